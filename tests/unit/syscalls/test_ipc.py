"""System V IPC structures against the cross compilers' own answers, and the calls."""

import errno

import pytest

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
    guest = convert(layout, host, HOST_MODEL, model)
    whole = times_whole(layout.of(model).mapping(guest))
    assert whole["ctime"] == time
    assert whole["perm"][:7] == (7, 1, 2, 3, 4, 0o640, 9)
    assert convert(layout, guest, model, HOST_MODEL) == host


def test_semaphores(guest):
    ident = guest.call("semget", 0, 3, 0o1600)
    assert ident >= 0
    try:
        values = guest.put(guest.pack("HHH", 5, 6, 7))
        assert guest.call("semctl", ident, 0, 17 | IPC_64, values) == 0
        assert guest.call("semctl", ident, 1, 12 | IPC_64, 0) == 6
        down = guest.put(guest.pack("Hhh", 0, -4, 0) + guest.pack("Hhh", 2, 1, 0))
        assert guest.call("semop", ident, down, 2) == 0
        out = guest.room(8)
        assert guest.call("semctl", ident, 0, 13 | IPC_64, out) == 0
        assert guest.unpack("HHH", out) == (1, 6, 8)
        status = guest.room(128)
        assert guest.call("semctl", ident, 0, 2 | IPC_64, status) == 0
        assert semid64_ds.of(guest.arch.model).get(guest.get(status, 104), "nsems") == 3
        blocked = guest.put(guest.pack("Hhh", 0, -4, 0))
        soon = guest.put(guest.pack("qq", 0, 1000))
        assert guest.call("semtimedop", ident, blocked, 1, soon) == -errno.EAGAIN
        assert guest.call("semop", ident, blocked, 0) == -errno.EINVAL
    finally:
        assert guest.call("semctl", ident, 0, 0 | IPC_64, 0) == 0


def test_messages(guest):
    ident = guest.call("msgget", 0, 0o1600)
    assert ident >= 0
    try:
        message = guest.put(guest.pack("l", 42) + b"hello")
        assert guest.call("msgsnd", ident, message, 5, 0) == 0
        room = guest.room(32)
        assert guest.call("msgrcv", ident, room, 16, 42, 0) == 5
        assert guest.unpack("l", room) == (42,)
        assert guest.get(room + guest.arch.model.long, 5) == b"hello"
        assert guest.call("msgrcv", ident, room, 16, 0, 0o4000) == -errno.ENOMSG
    finally:
        assert guest.call("msgctl", ident, 0 | IPC_64, 0) == 0


def test_ipc_carries_the_others(guest):
    ident = guest.call("ipc", 2, 0, 1, 0o1600, 0, 0)
    assert ident >= 0
    argument = guest.put(guest.pack("L", 9))
    assert guest.call("ipc", 3, ident, 0, 16 | IPC_64, argument, 0) == 0
    argument = guest.put(guest.pack("L", 0))
    assert guest.call("ipc", 3, ident, 0, 12 | IPC_64, argument, 0) == 9
    assert guest.call("ipc", 3, ident, 0, 0 | IPC_64, argument, 0) == 0
    assert guest.call("ipc", 99, 0, 0, 0, 0, 0) == -errno.ENOSYS
