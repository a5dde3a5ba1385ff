"""getdents in every form; positions and inode numbers that a 32-bit guest can't hold."""

import os
import struct

import pytest

from runtime.syscalls import directories
from runtime.syscalls.directories import BASE, Cookies

EINVAL, ENOTDIR, EBADF, EFAULT = 22, 20, 9, 14
NAMES = {b".", b"..", b"file", b"folder", b"link", b"n" * 255, *(b"x%03d" % i for i in range(60))}


@pytest.fixture
def folder(guest):
    for name in NAMES - {b".", b"..", b"folder", b"link"}:
        open(name, "w").close()
    os.mkdir("folder")
    os.symlink("file", "link")
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY)


def records64(guest, address, length):
    data = guest.table.read(address, length)
    at = 0
    while at < length:
        inode, offset, size, kind = struct.unpack_from(guest.model.prefix + "QqHB", data, at)
        yield inode, offset, kind, data[at + 19 : data.index(b"\0", at + 19)]
        assert size % 8 == 0
        at += size


def records(guest, address, length):
    data = guest.table.read(address, length)
    at, word = 0, guest.model.long
    while at < length:
        inode, offset, size = struct.unpack_from(guest.code("LlH"), data, at)
        start = at + 2 * word + 2
        yield inode, offset, data[at + size - 1], data[start : data.index(b"\0", start)]
        assert size % word == 0
        at += size


FORMS = {"getdents64": records64, "getdents": records}


def forms(guest):
    return [(name, parse) for name, parse in FORMS.items() if name in guest.rows]


def test_all_entries_come_once_with_types(guest, folder):
    for name, parse in forms(guest):
        os.lseek(folder, 0, 0)
        buffer = guest.room(600)
        found = {}
        while length := guest.call(name, folder, buffer, 600):
            assert 0 < length <= 600
            for inode, _, kind, entry in parse(guest, buffer, length):
                assert entry not in found
                found[entry] = inode, kind
        assert set(found) == NAMES
        assert [found[entry][1] for entry in (b"file", b"folder", b"link")] == [8, 4, 10]
        inode = os.stat("file").st_ino
        assert found[b"file"][0] == (
            inode if guest.model.bits == 64 else directories.fold_inode(inode)
        )


def test_positions_lead_back(guest, folder):
    for name, parse in forms(guest):
        os.lseek(folder, 0, 0)
        buffer = guest.room(8192)
        length = guest.call(name, folder, buffer, 8192)
        entries = list(parse(guest, buffer, length))
        position = entries[9][1]
        if guest.model.bits == 32:
            assert 0 <= position < 1 << 31
        assert guest.call("lseek", folder, position, 0) == position
        assert guest.call("lseek", folder, 0, 1) == position
        length = guest.call(name, folder, buffer, 8192)
        assert next(parse(guest, buffer, length))[3] == entries[10][3]


def test_errors_lose_nothing(guest, folder):
    for name, parse in forms(guest):
        os.lseek(folder, 0, 0)
        assert guest.call(name, folder, guest.room(8), 8) == -EINVAL
        assert guest.call(name, folder, 8, 4096) == -EFAULT
        buffer = guest.room(8192)
        length = guest.call(name, folder, buffer, 8192)
        assert {entry[3] for entry in parse(guest, buffer, length)} == NAMES
        file = os.open("file", os.O_RDONLY)
        assert guest.call(name, file, guest.room(64), 64) == -ENOTDIR
        assert guest.call(name, 999, guest.room(64), 64) == -EBADF


def test_large_positions_and_inodes_are_folded(guest, monkeypatch):
    """As ext4 gives them: 63-bit hashes for positions, and the end as the largest."""
    if guest.model.bits == 64:
        pytest.skip("a 64-bit guest gets the host's records")
    hashes = [0x1234_5678_9ABC_DEF0, 0x7FFF_FFFF_FFFF_FFFF, 7]
    entries = [(0x1_0000_0001 + i, hashes[i], 8, b"e%d" % i) for i in range(3)]
    data = b"".join(directories._record64("=", 64, *entry) for entry in entries)
    fd = os.open(".", os.O_RDONLY)

    def wait(number, fd, buffer, count):
        buffer[: len(data)] = data
        return len(data)

    monkeypatch.setattr(directories, "wait", wait)
    for name, parse in forms(guest):
        buffer = guest.room(512)
        length = guest.call(name, fd, buffer, 512)
        found = list(parse(guest, buffer, length))
        assert [entry[1] for entry in found] == [BASE, BASE + 1, 7]
        assert all(0 < entry[0] < 1 << 32 for entry in found)
        assert [directories.host_position(fd, entry[1]) for entry in found] == hashes


def test_cookies_are_a_bijection():
    table = Cookies()
    positions = [BASE, BASE - 1, 0, 1 << 62, BASE + 5, -1, (1 << 63) - 1]
    folded = [table.fold(position) for position in positions]
    assert folded == [table.fold(position) for position in positions]
    assert len(set(folded)) == len(positions)
    assert all(0 <= number < 1 << 31 for number in folded)
    assert [table.unfold(number) for number in folded] == positions


def test_tables_do_not_grow_without_bound(guest):
    for index in range(directories.KEPT_TABLES + 5):
        os.mkdir(f"d{index}")
        fd = os.open(f"d{index}", os.O_RDONLY)
        directories.guest_position(fd, 1 << 40)
        os.close(fd)
    assert len(directories.TABLES) <= directories.KEPT_TABLES


def test_old_readdir(guest, folder):
    if "readdir" not in guest.rows or guest.rows["readdir"].entry == "ni_syscall":
        pytest.skip("this ABI has no readdir")
    found = set()
    while guest.call("readdir", folder, buffer := guest.room(280), 1) == 1:
        _, _, length = guest.read(buffer, "LLH")
        found.add(guest.table.read(buffer + 2 * guest.model.long + 2, length))
        guest.next -= 288
    assert found == NAMES
