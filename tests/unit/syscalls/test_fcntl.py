"""fcntl: locks in every layout, status flags in every numbering, owners."""

import fcntl
import os
import struct
import subprocess
import sys

from runtime.abi import structs
from runtime.syscalls import fcntl as handlers

EINVAL, EBADF, EAGAIN, EOVERFLOW = 22, 9, 11, 75
HOLDER = """
import fcntl, os, struct, sys
fd = os.open("file", os.O_RDWR)
start, length = int(sys.argv[1]), int(sys.argv[2])
fcntl.fcntl(fd, fcntl.F_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, start, length, 0))
print("held", flush=True)
sys.stdin.read()
"""


def held(start, length):
    """Another process that holds a write lock."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(start), str(length)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def release(child):
    child.communicate(b"")


def command(guest, name):
    return guest.arch.constants.value("fcntl", name)


def lock(guest, layout, **values):
    return guest.put(layout.of(guest.model).pack(values))


def seen(guest, layout, address):
    compiled = layout.of(guest.model)
    return compiled.mapping(guest.table.read(address, compiled.size))


def test_locks_of_others_are_seen(guest):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    name = "fcntl64" if guest.model.bits == 32 else "fcntl"
    child = held(10, 5)
    try:
        pointer = lock(guest, structs.flock, l_type=1, l_start=12, l_len=100)
        assert guest.call(name, fd, command(guest, "F_GETLK"), pointer) == 0
        values = seen(guest, structs.flock, pointer)
        assert (values["l_type"], values["l_start"], values["l_len"]) == (1, 10, 5)
        assert values["l_pid"] == child.pid
        pointer = lock(guest, structs.flock, l_type=1, l_start=12, l_len=1)
        assert guest.call(name, fd, command(guest, "F_SETLK"), pointer) == -EAGAIN
        pointer = lock(guest, structs.flock, l_type=1, l_start=20, l_len=1)
        assert guest.call(name, fd, command(guest, "F_SETLK"), pointer) == 0
        if guest.model.bits == 32:
            pointer = lock(guest, structs.flock64, l_type=1, l_start=12, l_len=1 << 40)
            assert guest.call(name, fd, command(guest, "F_GETLK64"), pointer) == 0
            assert seen(guest, structs.flock64, pointer)["l_pid"] == child.pid
    finally:
        release(child)


def test_a_far_lock_overflows_a_small_structure(guest):
    if guest.model.bits == 64:
        return
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    child = held(1 << 33, 1 << 33)
    try:
        pointer = lock(guest, structs.flock, l_type=1, l_start=0, l_len=0)
        assert guest.call("fcntl64", fd, command(guest, "F_GETLK"), pointer) == -EOVERFLOW
        pointer = lock(guest, structs.flock64, l_type=1, l_start=0, l_len=0)
        assert guest.call("fcntl64", fd, command(guest, "F_GETLK64"), pointer) == 0
        assert seen(guest, structs.flock64, pointer)["l_start"] == 1 << 33
    finally:
        release(child)


def test_locks_of_descriptions(guest):
    first = os.open("file", os.O_RDWR | os.O_CREAT)
    second = os.open("file", os.O_RDWR)
    layout = structs.flock64 if guest.model.bits == 32 else structs.flock
    name = "fcntl64" if guest.model.bits == 32 else "fcntl"
    far = 1 << 34
    pointer = lock(guest, layout, l_type=1, l_start=far, l_len=10)
    assert guest.call(name, first, handlers.F_OFD_SETLK, pointer) == 0
    assert guest.call(name, second, handlers.F_OFD_SETLK, pointer) == -EAGAIN
    assert guest.call(name, second, handlers.F_OFD_GETLK, pointer) == 0
    assert seen(guest, layout, pointer)["l_pid"] == -1


def test_flags_both_ways(guest):
    constants = guest.arch.constants
    names = ("O_APPEND", "O_NONBLOCK", "O_DIRECT", "O_NOFOLLOW", "O_DIRECTORY", "O_CREAT")
    append, nonblock, _, nofollow, directory, create = (
        constants.value("open", name) for name in names
    )
    fd = guest.call("openat", -100, b"file", 2 | create | append | nonblock, 0o600)
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_APPEND | os.O_NONBLOCK | 3) == (
        os.O_APPEND | os.O_NONBLOCK | 2
    )
    flags = guest.call("fcntl", fd, 3, 0)
    assert flags & (append | nonblock | 3) == append | nonblock | 2
    assert guest.call("fcntl", fd, 4, nonblock) == 0
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_APPEND | os.O_NONBLOCK) == os.O_NONBLOCK
    folder = guest.call("openat", -100, b".", directory | nofollow)
    flags = guest.call("fcntl", folder, 3, 0)
    assert flags & directory and flags & nofollow
    assert guest.call("openat", -100, b"file", directory) == -20


def test_owner_and_the_rest(guest):
    reader, _ = os.pipe()
    pointer = guest.words("ii", 1, os.getpid())
    assert guest.call("fcntl", reader, handlers.F_SETOWN_EX, pointer) == 0
    other = guest.room(8)
    assert guest.call("fcntl", reader, handlers.F_GETOWN_EX, other) == 0
    assert guest.read(other, "ii") == (1, os.getpid())
    assert guest.call("fcntl", reader, handlers.F_SETPIPE_SZ, 1 << 16) == 1 << 16
    copy = guest.call("fcntl", reader, fcntl.F_DUPFD_CLOEXEC, 100)
    assert copy >= 100
    assert guest.call("fcntl", copy, fcntl.F_GETFD, 0) == 1
    assert guest.call("fcntl", reader, 4242, 0) == -EINVAL
    assert guest.call("fcntl", 999, 4242, 0) == -EBADF
    os.close(copy)


def test_the_hosts_structure_is_what_we_think():
    assert handlers.FLOCK.size == struct.calcsize("hhqqi4x") == 32
