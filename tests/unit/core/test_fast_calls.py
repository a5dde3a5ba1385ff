"""Native system calls: the same answers as the slow way, and the unusual is left to Python untouched."""

import os
import struct
import threading
import time

import pytest

from runtime import _core
from runtime._core import SYS, R, Stop, W, X
from tests.unit.core.snippets import CODE

AT = 0x10000
DATA = 0x40000
NUMBER = 93  # what the snippet `call` asks for
MARK = 60  # the number that stops after it


@pytest.fixture
def calling(arm64):
    """call(name, *arguments): the result, or None when Python is to do it."""
    body = CODE["aarch64"]["call"][:8]
    stop = struct.pack("<I", 0xD2800788) + body[4:8]  # mov x8,#60; svc #0
    arm64.map(AT, body + stop, R | X)
    arm64.map(DATA, 3 * 4096, R | W)

    def call(name, *arguments, errors=None):
        arm64.engine.fast_calls({NUMBER: name}, errors or {})
        for register, value in zip(arm64.facts["arguments"], arguments, strict=False):
            arm64.cpu.set(register, value)
        assert arm64.run_at(AT) == Stop.SYSCALL
        if arm64.cpu.call[0] == MARK:
            value = arm64.cpu.get(arm64.facts["result"])
            return value - (1 << 64) if value >> 63 else value
        assert arm64.cpu.call[0] == NUMBER
        assert arm64.cpu.call[1 : 1 + len(arguments)] == tuple(a % 2**64 for a in arguments)
        assert arm64.pc == AT + 8
        return None

    call.machine = arm64  # type: ignore[attr-defined]
    return call


def test_identity(calling):
    assert calling("getpid") == os.getpid()
    assert calling("gettid") == threading.get_native_id()
    assert calling("getppid") == os.getppid()
    assert calling("getuid") == os.getuid()
    assert calling("geteuid") == os.geteuid()
    assert calling("getgid") == os.getgid()
    assert calling("getegid") == os.getegid()
    assert calling("sched_yield") == 0
    assert calling.machine.engine.counters["fast_calls"] == 8
    calling.machine.engine.fast_calls({})
    assert calling.machine.run_at(AT) == Stop.SYSCALL
    assert calling.machine.cpu.call[0] == NUMBER


def test_clock(calling):
    assert calling("clock_gettime64", 0, DATA) == 0
    seconds, nanoseconds = struct.unpack("<qq", calling.machine.table.read(DATA, 16))
    assert abs(seconds - time.time()) < 2
    assert 0 <= nanoseconds < 10**9
    assert calling("clock_gettime64", 0, 0x1234) is None
    assert calling("clock_gettime64", 999, DATA) is None


def test_files(calling):
    table = calling.machine.table
    fd = os.memfd_create("file")
    table.write(DATA, b"hello, world")
    assert calling("write", fd, DATA, 12) == 12
    assert calling("pwrite64", fd, DATA, 5, 20) == 5
    assert calling("lseek", fd, -5, os.SEEK_END) == 20
    assert calling("read", fd, DATA + 4094, 100) == 5
    assert table.read(DATA + 4094, 5) == b"hello"
    assert calling("pread64", fd, DATA, 100, 7) == 18
    assert table.read(DATA, 5) == b"world"
    # Scattered in the arena: still one call.
    table.install(DATA + 4096, 4096, DATA + 2 * 4096, R | W)
    assert calling("pread64", fd, DATA + 4094, 12, 0) == 12
    assert table.read(DATA + 4094, 12) == b"hello, world"
    # Errors that every ABI numbers alike; the others need a table.
    assert calling("read", 999, DATA, 1) == -9
    assert calling("lseek", fd, 0, 77) == -22
    read_end, write_end = os.pipe()
    assert calling("lseek", read_end, 0, 0) == -29
    os.close(read_end)
    os.close(write_end)
    for bad in ((fd, DATA + 3 * 4096 - 1, 2), (fd, 0, 1), (fd, DATA, 0), (fd, DATA, 1 << 40)):
        assert calling("read", *bad) is None
    os.close(fd)


def test_other_errors(calling):
    import socket

    with socket.socket() as unconnected:
        fd = unconnected.fileno()
        assert calling("read", fd, DATA, 1) is None  # ENOTCONN, 107
        assert calling("read", fd, DATA, 1, errors={107: 134}) == -134


def test_a_kick_ends_a_blocking_read(calling):
    """The call was not done: Python gets it, with its registers as they were."""
    _core.signals_start()
    machine = calling.machine
    read_end, write_end = os.pipe()
    machine.engine.fast_calls({NUMBER: "read"})
    for register, value in zip(machine.facts["arguments"], (read_end, DATA, 8), strict=False):
        machine.cpu.set(register, value)
    timer = threading.Timer(0.05, machine.cpu.kick)
    timer.start()
    assert machine.run_at(AT) == Stop.SYSCALL
    assert machine.cpu.call[:4] == (NUMBER, read_end, DATA, 8)
    assert _core.syscall(SYS["read"], read_end, bytearray(8), 8) == -_core.ERESTART
    assert machine.cpu.run() == Stop.KICKED
    # Others run meanwhile: a blocked task does not hold the baton.
    other = _core.Cpu(machine.engine)
    done = []

    def work():
        other.bind()
        other.set(machine.facts["pc"], AT + 8)
        done.append(other.run())
        os.write(write_end, b"12345678")

    thread = threading.Thread(target=work)
    machine.pc = AT
    thread.start()
    assert machine.cpu.run() == Stop.SYSCALL
    thread.join()
    assert done == [Stop.SYSCALL]
    assert machine.cpu.call[0] == MARK
    assert machine.table.read(DATA, 8) == b"12345678"
    os.close(read_end)
    os.close(write_end)


def test_unknown_name(arm64):
    with pytest.raises(ValueError, match="frobnicate"):
        arm64.engine.fast_calls({1: "frobnicate"})
    assert "read" in _core.FAST_CALLS
