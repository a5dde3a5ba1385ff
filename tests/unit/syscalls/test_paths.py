"""Calls with paths, and the emulated names under /proc."""

import os

import pytest

from tests.unit.syscalls.guest import pair

ENOENT, EEXIST, EINVAL, ENOTDIR, ERANGE, EFAULT, EIO, EPERM = 2, 17, 22, 20, 34, 14, 5, 1


def text(guest, address, length):
    return guest.table.read(address, length)


def read_all(guest, path):
    fd = guest.call("openat", -100, path, 0)
    assert fd >= 0, fd
    data = os.pread(fd, 1 << 16, 0)
    assert guest.call("close", fd) == 0
    return data


def test_make_rename_remove(guest):
    assert guest.call("mkdirat", -100, b"a", 0o755) == 0
    assert guest.call("mkdirat", -100, b"a", 0o755) == -EEXIST
    folder = os.open("a", os.O_RDONLY)
    assert guest.call("symlinkat", b"target", folder, b"link") == 0
    buffer = guest.room(64)
    assert guest.call("readlinkat", folder, b"link", buffer, 64) == 6
    assert guest.call("readlinkat", folder, b"link", buffer, 3) == 3
    assert text(guest, buffer, 4) == b"tar\xee"[:3] + b"g"
    assert guest.call("readlinkat", folder, b"link", buffer, 0) == -EINVAL
    open("a/file", "w").close()
    assert guest.call("linkat", folder, b"file", -100, b"second", 0) == 0
    assert guest.call("renameat2", -100, b"second", folder, b"file", 1) == -EEXIST
    assert guest.call("renameat2", -100, b"second", folder, b"third", 0) == 0
    assert guest.call("unlinkat", folder, b"third", 0) == 0
    assert guest.call("unlinkat", -100, b"a", 0x200) == -39
    assert guest.call("unlinkat", folder, b"third", 0) == -ENOENT
    assert guest.call("mknodat", -100, b"fifo", 0o010644, 0) == 0
    assert guest.call("openat", -100, b"", 0) == -ENOENT
    assert guest.call("openat", -100, 8, 0) == -EFAULT


def test_working_directory(guest):
    here = os.getcwdb()
    os.mkdir("sub")
    assert guest.call("chdir", b"sub") == 0
    buffer = guest.room(4096)
    assert guest.call("getcwd", buffer, 4096) == len(here) + 5
    assert text(guest, buffer, len(here) + 5) == here + b"/sub\0"
    assert guest.call("getcwd", buffer, 3) == -ERANGE
    assert guest.call("chdir", b"missing") == -ENOENT


def test_owners_of_the_old_calls_have_16_bits(guest):
    if os.getuid():
        pytest.skip("needs to be root")
    open("file", "w").close()
    if "chown" not in guest.rows:
        assert guest.call("fchownat", -100, b"file", 5, -1, 0) == 0
        return
    assert guest.call("chown", b"file", 5, 6) == 0
    assert guest.call("lchown", b"file", 0xFFFF if guest.rows["chown"].variant else -1, 7) == 0
    info = os.stat("file")
    assert (info.st_uid, info.st_gid) == (5, 7)


def test_openat2(guest):
    constants = guest.arch.constants
    directory = constants.value("open", "O_DIRECTORY")
    how = guest.words("QQQ", directory, 0, 0)
    assert guest.call("openat2", -100, b".", how, 24) >= 0
    open("file", "w").close()
    assert guest.call("openat2", -100, b"file", how, 24) == -ENOTDIR
    assert guest.call("openat2", -100, b".", how, 8) == -EINVAL
    beneath = guest.words("QQQ", 0, 0, 8)
    assert guest.call("openat2", -100, b"/etc/passwd", beneath, 24) == -18
    longer = guest.words("QQQQ", 0, 0, 0, 0)
    assert guest.call("openat2", -100, b"file", longer, 32) >= 0
    longer = guest.words("QQQQ", 0, 0, 0, 1)
    assert guest.call("openat2", -100, b"file", longer, 32) == -7


def test_attributes(guest):
    open("file", "w").close()
    try:
        os.setxattr("file", "user.probe", b"")
    except OSError:
        pytest.skip("no extended attributes here")
    value = guest.put(b"value")
    assert guest.call("setxattr", b"file", b"user.a", value, 5, 0) == 0
    buffer = guest.room(64)
    assert guest.call("getxattr", b"file", b"user.a", 0, 0) == 5
    assert guest.call("getxattr", b"file", b"user.a", buffer, 3) == -ERANGE
    assert guest.call("getxattr", b"file", b"user.a", buffer, 64) == 5
    assert text(guest, buffer, 5) == b"value"
    length = guest.call("listxattr", b"file", buffer, 64)
    assert b"user.a\0" in text(guest, buffer, length)
    assert guest.call("removexattr", b"file", b"user.a") == 0
    assert guest.call("getxattr", b"file", b"user.a", buffer, 64) == -61


# /proc --------------------------------------------------------------------------------------------
def test_the_program_is_what_exe_names(guest):
    guest.process.executable = b"/bin/true"
    buffer = guest.room(256)
    guest.process.tasks = {os.getpid(): guest.task}
    guest.process.leader = os.getpid()
    numbered = b"/proc/%d/exe" % os.getpid()
    for path in (b"/proc/self/exe", b"/proc//self/./exe", b"/proc/thread-self/exe", numbered):
        length = guest.call("readlinkat", -100, path, buffer, 256)
        assert text(guest, buffer, length) == b"/bin/true"
    fd = guest.call("openat", -100, b"/proc/self/exe", 0)
    assert os.path.samestat(os.fstat(fd), os.stat("/bin/true"))
    directory = os.open("/proc/self", os.O_RDONLY)
    length = guest.call("readlinkat", directory, b"exe", buffer, 256)
    assert text(guest, buffer, length) == b"/bin/true"
    own = os.open(".", os.O_RDONLY)
    os.symlink("elsewhere", "exe")
    length = guest.call("readlinkat", own, b"exe", buffer, 256)
    assert text(guest, buffer, length) == b"elsewhere"


def test_texts_of_the_program(guest):
    strings = guest.put(b"program\0argument\0A=B\0")
    initial = guest.process.image.initial
    initial.argv_start, initial.argv_end = strings, strings + 17
    initial.env_start, initial.env_end = strings + 17, strings + 21
    guest.process.image.auxv = b"vector"
    assert read_all(guest, b"/proc/self/cmdline") == b"program\0argument\0"
    assert read_all(guest, b"/proc/self/environ") == b"A=B\0"
    assert read_all(guest, b"/proc/self/auxv") == b"vector"
    fields = read_all(guest, b"/proc/self/stat").rpartition(b") ")[2].split()
    assert fields[26 - 3] == b"%d" % 0x1000
    assert fields[48 - 3] == b"%d" % strings
    assert len(fields) == 50
    assert fields[23 - 3 : 24 - 3 + 1] == [b"%d" % (64 * 4096), b"1"]
    assert read_all(guest, b"/proc/self/statm").split()[:4] == [b"64", b"1", b"0", b"1"]
    status = read_all(guest, b"/proc/self/status")
    assert b"\nSigCgt:\t0000000000000000\n" in status
    assert b"processor" in read_all(guest, b"/proc/cpuinfo").lower()


def test_memory_is_the_guests_and_not_ours(guest):
    guest.process.arena, guest.process.table = guest.arena, guest.table
    guest.process.choose_fast_calls = lambda: None
    fd = guest.call("openat", -100, b"/proc/self/mem", 2)
    assert fd >= 0
    host = set(guest.process.reserved_fds)
    text, room = guest.put(b"some text"), guest.room(9)
    assert guest.call("pread64", fd, room, 9, pair(text)) == 9
    assert guest.table.read(room, 9) == b"some text"
    across = guest.middle - 4  # two pieces of the arena
    assert guest.call("pwrite64", fd, text, 9, pair(across)) == 9
    assert guest.table.read(across, 9) == b"some text"
    assert guest.call("pread64", fd, room, 9, pair(guest.end)) == -EIO
    address = guest.arena.base + guest.table.lookup(text)[0]
    if guest.model.bits == 64:
        assert guest.call("pread64", fd, room, 9, pair(address)) == -EIO
    for own in (fd, *host):
        os.close(own)


def test_an_emulated_file_takes_the_lowest_descriptor_and_is_close_on_exec(guest):
    free = os.dup(0)
    os.close(free)
    guest.process.image.auxv = b"x"
    cloexec = guest.arch.constants.value("open", "O_CLOEXEC")
    fd = guest.call("openat", -100, b"/proc/self/auxv", cloexec)
    assert fd == free
    assert not os.get_inheritable(fd)
    os.close(fd)
    fd = guest.call("openat", -100, b"/proc/self/auxv", 0)
    assert os.get_inheritable(fd)
    os.close(fd)


def test_another_process_is_the_hosts(guest):
    with open("/proc/1/stat", "rb") as file:
        assert read_all(guest, b"/proc/1/stat").split()[0] == file.read().split()[0]
