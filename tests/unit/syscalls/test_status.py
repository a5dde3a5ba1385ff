"""stat, statfs, times: host values in every ABI's structures."""

import os
import struct

import pytest

from runtime.abi import structs
from runtime.abi.errors import GuestError
from runtime.syscalls import status
from runtime.syscalls.directories import fold_inode

EINVAL, ENOENT, EBADF, EOVERFLOW = 22, 2, 9, 75


def get(guest, layout, address):
    compiled = layout.of(guest.model)
    return compiled.mapping(guest.table.read(address, compiled.size))


def stat_calls(guest):
    """(call, its arguments before the buffer, after it, layout) of those the table has."""
    wide = structs.stat64
    calls = [
        ("stat", (b"file",), (), structs.stat),
        ("lstat", (b"file",), (), structs.stat),
        ("stat64", (b"file",), (), wide),
        ("lstat64", (b"file",), (), wide),
        ("newfstatat", (-100, b"file"), (0,), structs.stat),
        ("fstatat64", (-100, b"file"), (0,), wide),
    ]
    return [call for call in calls if call[0] in guest.rows]


def test_every_stat_call_tells_the_same(guest):
    with open("file", "wb") as file:
        file.write(bytes(12345))
    os.chmod("file", 0o6751)
    os.link("file", "second")
    os.utime("file", ns=(1_600_000_000_000_000_001, 1_500_000_000_999_999_999))
    real = os.stat("file")
    for name, before, after, layout in stat_calls(guest):
        buffer = guest.room(256)
        assert guest.call(name, *before, buffer, *after) == 0, name
        fields = get(guest, layout, buffer)
        assert fields["st_mode"] == real.st_mode
        assert fields["st_size"] == 12345
        assert fields["st_nlink"] == 2
        assert fields["st_ino"] == (
            real.st_ino if guest.model.bits == 64 else fold_inode(real.st_ino)
        )
        assert fields["st_uid"] == min(real.st_uid, 65534)
        assert fields["st_blocks"] == real.st_blocks
        assert fields["st_blksize"] == real.st_blksize
        assert (fields["st_atime"], fields["st_atime_nsec"]) == (1_600_000_000, 1)
        assert (fields["st_mtime"], fields["st_mtime_nsec"]) == (1_500_000_000, 999_999_999)


def test_devices(guest):
    name, before, after, layout = stat_calls(guest)[-1]
    buffer = guest.room(256)
    arguments = [b"/dev/null" if argument == b"file" else argument for argument in before]
    assert guest.call(name, *arguments, buffer, *after) == 0
    assert get(guest, layout, buffer)["st_rdev"] == 1 << 8 | 3
    assert status.encode_device(0x123, 0x45678) == 0x78 | 0x123 << 8 | 0x45600 << 12


def test_errors(guest):
    name, before, after, _ = stat_calls(guest)[-1]
    buffer = guest.room(256)
    missing = [b"missing" if argument == b"file" else argument for argument in before]
    assert guest.call(name, *missing, buffer, *after) == -ENOENT
    open("file", "w").close()
    assert guest.call(name, *before, 8, *after) == -14
    assert guest.call(name, *before, buffer, *([0x8000] if after else [])) == (
        -EINVAL if after else 0
    )
    fstat = "fstat64" if "fstat64" in guest.rows else "fstat"
    assert guest.call(fstat, -100, buffer) == -EBADF
    assert guest.call(fstat, 999, buffer) == -EBADF
    empty = [b"" if argument == b"file" else argument for argument in before]
    assert guest.call(name, *empty, buffer, *after) == -ENOENT


def host_statx(**values: int) -> bytes:
    assert set(values) <= {"size", "inode", "links", "uid"}
    raw = bytearray(256)
    struct.pack_into("=II", raw, 16, values.get("links", 1), values.get("uid", 0))
    struct.pack_into("=H", raw, 28, 0o100644)
    struct.pack_into("=QQ", raw, 32, values.get("inode", 1), values.get("size", 1))
    struct.pack_into("=II", raw, 136, 8, 1)
    return bytes(raw)


def test_what_does_not_fit(guest):
    plain = status.Shape(structs.stat.of(guest.model), guest.model.bits)
    big_file, big_inode = host_statx(size=1 << 31), host_statx(inode=0x1_2345_6789_ABCD)
    if guest.model.bits == 64:
        assert (
            len(plain.pack(big_file))
            == len(plain.pack(big_inode))
            == structs.stat.of(guest.model).size
        )
        return
    with pytest.raises(GuestError) as caught:
        plain.pack(big_file)
    assert caught.value.errno == EOVERFLOW
    wide = status.Shape(structs.stat64.of(guest.model), 32)
    folded = fold_inode(0x1_2345_6789_ABCD)
    assert folded < 1 << 32
    assert structs.stat.of(guest.model).get(plain.pack(big_inode), "st_ino") == folded
    assert structs.stat64.of(guest.model).get(wide.pack(big_inode), "st_ino") == folded
    assert structs.stat64.of(guest.model).get(wide.pack(big_file), "st_size") == 1 << 31
    if "st_uid" in plain.narrow:
        assert (
            structs.stat.of(guest.model).get(plain.pack(host_statx(uid=70000)), "st_uid") == 65534
        )
        with pytest.raises(GuestError):
            plain.pack(host_statx(links=70000))


def test_folding_keeps_small_numbers_and_is_never_zero():
    assert fold_inode(0xFFFFFFFF) == 0xFFFFFFFF
    assert fold_inode(0x100000001) != 0
    assert fold_inode(0x500000005) == 1


def test_statx(guest):
    with open("file", "wb") as file:
        file.write(bytes(7))
    buffer = guest.room(256)
    assert guest.call("statx", -100, b"file", 0, 0x7FF, buffer) == 0
    mask, block_size = guest.read(buffer, "II")
    assert mask & 0x7FF == 0x7FF
    assert block_size == os.stat("file").st_blksize
    assert guest.read(buffer + 40, "Q") == (7,)
    assert guest.read(buffer + 28, "H") == (os.stat("file").st_mode,)
    fd = os.open("file", os.O_RDONLY)
    assert guest.call("statx", fd, b"", 0x1000, 0x7FF, buffer) == 0
    assert guest.call("statx", fd, b"", 0, 0x7FF, buffer) == -ENOENT
    assert guest.call("statx", fd, b"", 0x1000, 1 << 31, buffer) == -EINVAL


def test_statfs(guest):
    real = os.statvfs(".")
    name, size = (
        ("statfs64", (structs.statfs64.of(guest.model).size,))
        if guest.model.bits == 32
        else ("statfs", ())
    )
    layout = structs.statfs64 if size else structs.statfs
    buffer = guest.room(200)
    assert guest.call(name, b".", *size, buffer) == 0
    fields = get(guest, layout, buffer)
    assert fields["f_blocks"] == real.f_blocks
    assert fields["f_bsize"] == real.f_bsize
    assert fields["f_namelen"] == real.f_namemax
    if size:
        assert guest.call("statfs64", b".", 12, buffer) == -EINVAL
        fd = os.open(".", os.O_RDONLY)
        assert guest.call("fstatfs64", fd, *size, buffer) == 0


def test_times(guest):
    open("file", "w").close()
    times = guest.words("llll", 1000, 5, 2000, 999_999_999)
    assert guest.call("utimensat", -100, b"file", times, 0) == 0
    info = os.stat("file")
    assert (info.st_atime_ns, info.st_mtime_ns) == (1_000_000_000_005, 2_000_999_999_999)
    omit = guest.words("llll", 7, 0, 0, (1 << 30) - 2)
    assert guest.call("utimensat", -100, b"file", omit, 0) == 0
    info = os.stat("file")
    assert (info.st_atime_ns, info.st_mtime_ns) == (7_000_000_000, 2_000_999_999_999)
    if "utimensat_time64" in guest.rows:
        high = guest.model.prefix == ">"
        nanoseconds = 5 | (0xABCD << 32)  # a 32-bit program's padding
        wide = guest.words("qqqq", 1 << 33, nanoseconds, 3, 4)
        assert guest.call("utimensat_time64", -100, b"file", wide, 0) == 0, high
        assert os.stat("file").st_atime_ns == (1 << 33) * 1_000_000_000 + 5
    if "utimes" in guest.rows:
        assert guest.call("utimes", b"file", guest.words("llll", 1, 2, 3, 4)) == 0
        assert os.stat("file").st_mtime_ns == 3_000_004_000
        assert guest.call("utimes", b"file", guest.words("llll", 1, 1_000_000, 3, 4)) == -EINVAL
    if "utime" in guest.rows:
        assert guest.call("utime", b"file", guest.words("ll", 10, 20)) == 0
        assert os.stat("file").st_mtime_ns == 20_000_000_000
    fd = os.open("file", os.O_RDONLY)
    assert guest.call("utimensat", fd, 0, guest.words("llll", 5, 0, 6, 0), 0) == 0
    assert os.stat("file").st_mtime == 6
