"""System V IPC structures against the cross compilers' own answers, and the calls."""

import errno
import os

import pytest

from runtime._core import HOST_PAGE, SYS, quick_syscall
from runtime.abi.ipc_structs import msqid64_ds, semid64_ds, shmid64_ds
from runtime.arch import load
from runtime.syscalls.ipc import HOST_MODEL, IPC_64, convert, times_whole

# sizeof in <linux/sem.h>, <linux/shm.h>, <linux/msg.h> of each ABI.
SIZES = {
    "aarch64": (88, 112, 120),
    "arm": (64, 84, 88),
    "riscv64": (88, 112, 120),
    "ppc64le": (88, 112, 120),
    "mips": (56, 72, 88),
    "x86_64": (104, 112, 120),
}
LAYOUTS = (semid64_ds, shmid64_ds, msqid64_ds)


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    model = load(name).model
    assert tuple(layout.of(model).size for layout in LAYOUTS) == SIZES[name]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_conversion_keeps_times_beyond_32_bits(name, layout):
    model = load(name).model
    time = (1 << 33) + 12345
    host = layout.of(HOST_MODEL).pack({"ctime": time, "perm": (7, 1, 2, 3, 4, 0o640, 9, 0, 0, 0)})
    bare = convert(layout, host, HOST_MODEL, model)
    whole = times_whole(layout.of(model).mapping(bare))
    assert whole["ctime"] == time
    assert whole["perm"][:7] == (7, 1, 2, 3, 4, 0o640, 9)
    assert convert(layout, bare, model, HOST_MODEL) == host


def test_semaphores(bare):
    ident = bare.call("semget", 0, 3, 0o1600)
    assert ident >= 0
    try:
        values = bare.put(bare.pack("HHH", 5, 6, 7))
        assert bare.call("semctl", ident, 0, 17 | IPC_64, values) == 0
        assert bare.call("semctl", ident, 1, 12 | IPC_64, 0) == 6
        down = bare.put(bare.pack("Hhh", 0, -4, 0) + bare.pack("Hhh", 2, 1, 0))
        assert bare.call("semop", ident, down, 2) == 0
        out = bare.room(8)
        assert bare.call("semctl", ident, 0, 13 | IPC_64, out) == 0
        assert bare.unpack("HHH", out) == (1, 6, 8)
        status = bare.room(128)
        assert bare.call("semctl", ident, 0, 2 | IPC_64, status) == 0
        assert semid64_ds.of(bare.arch.model).get(bare.get(status, 104), "nsems") == 3
        blocked = bare.put(bare.pack("Hhh", 0, -4, 0))
        soon = bare.put(bare.pack("qq", 0, 1000))
        assert bare.call("semtimedop", ident, blocked, 1, soon) == -errno.EAGAIN
        assert bare.call("semop", ident, blocked, 0) == -errno.EINVAL
    finally:
        assert bare.call("semctl", ident, 0, 0 | IPC_64, 0) == 0


def test_messages(bare):
    ident = bare.call("msgget", 0, 0o1600)
    assert ident >= 0
    try:
        message = bare.put(bare.pack("l", 42) + b"hello")
        assert bare.call("msgsnd", ident, message, 5, 0) == 0
        room = bare.room(32)
        assert bare.call("msgrcv", ident, room, 16, 42, 0) == 5
        assert bare.unpack("l", room) == (42,)
        assert bare.get(room + bare.arch.model.long, 5) == b"hello"
        assert bare.call("msgrcv", ident, room, 16, 0, 0o4000) == -errno.ENOMSG
    finally:
        assert bare.call("msgctl", ident, 0 | IPC_64, 0) == 0


def test_ipc_carries_the_others(bare):
    ident = bare.call("ipc", 2, 0, 1, 0o1600, 0, 0)
    assert ident >= 0
    argument = bare.put(bare.pack("L", 9))
    assert bare.call("ipc", 3, ident, 0, 16 | IPC_64, argument, 0) == 0
    argument = bare.put(bare.pack("L", 0))
    assert bare.call("ipc", 3, ident, 0, 12 | IPC_64, argument, 0) == 9
    assert bare.call("ipc", 3, ident, 0, 0 | IPC_64, argument, 0) == 0
    assert bare.call("ipc", 99, 0, 0, 0, 0, 0) == -errno.ENOSYS


@pytest.mark.parametrize("page", [HOST_PAGE, 4 * HOST_PAGE])
def test_a_segment_ends_with_a_whole_guest_page(bare, page):
    bare.task.memory.page, bare.task.memory.round = page, lambda size: size + page - 1 & -page
    layout, room = shmid64_ds.of(bare.arch.model), bare.room(128)
    size = HOST_PAGE + 100
    ident = bare.call("shmget", 0, size, 0o1600)
    try:
        host = bytearray(shmid64_ds.of(HOST_MODEL).size)
        assert quick_syscall(SYS["shmctl"], ident, 2, host) == 0
        length = shmid64_ds.of(HOST_MODEL).get(host, "segsz")
        assert -(-length // HOST_PAGE) * HOST_PAGE % page == 0
        assert bare.call("shmctl", ident, 2 | IPC_64, room) == 0
        assert layout.get(bare.get(room, layout.size), "segsz") == size
    finally:
        assert bare.call("shmctl", ident, 0 | IPC_64, 0) == 0


def test_a_key_finds_a_segment_smaller_than_a_guest_page(bare):
    page = 4 * HOST_PAGE
    bare.task.memory.page, bare.task.memory.round = page, lambda size: size + page - 1 & -page
    key = 0x0C7A0000 | os.getpid() & 0xFFFF
    ident = quick_syscall(SYS["shmget"], key, 100, 0o3600)
    try:
        assert bare.call("shmget", key, 100, 0o1600) == ident
        assert bare.call("shmget", key, 100, 0o3600) == -errno.EEXIST
        assert bare.call("shmget", key, 101, 0o1600) == -errno.EINVAL
    finally:
        assert quick_syscall(SYS["shmctl"], ident, 0, 0) == 0
