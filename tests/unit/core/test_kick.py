"""Kicks are never lost, and never leave an instruction half done."""

import os
import threading
import time

from runtime import _core
from runtime._core import R, Stop, W, X
from tests.unit.core.snippets import CODE

AT = 0x10000
DATA = 0x40000


def test_kick_ends_a_loop(machine):
    machine.map(AT, CODE[machine.name]["spin"], R | X)
    timer = threading.Timer(0.02, machine.cpu.kick)
    timer.start()
    assert machine.run_at(AT) == Stop.KICKED
    assert machine.pc == AT
    timer.join()


def test_kick_before_the_start(machine):
    machine.map(AT, CODE[machine.name]["spin"], R | X)
    machine.cpu.kick()
    assert machine.run_at(AT) == Stop.KICKED
    # Consumed: the next run runs.
    threading.Timer(0.02, machine.cpu.kick).start()
    assert machine.cpu.run() == Stop.KICKED


def test_storm(machine):
    """Each kick is answered, and what the guest did stays whole: an instruction that loads, adds and stores is never
    done twice because it was left in the middle."""
    machine.map(AT, CODE[machine.name]["count"], R | X)
    machine.map(DATA, 4096, R | W)
    cpu, arguments = machine.cpu, machine.facts["arguments"]
    cpu.set(arguments[1], DATA)
    cpu.set(arguments[2], 0)
    machine.pc = AT
    rounds = 2000
    answered = threading.Semaphore(0)
    seen = 0

    def storm():
        for _ in range(rounds):
            cpu.kick()
            assert answered.acquire(timeout=10)

    thread = threading.Thread(target=storm)
    thread.start()
    while seen < rounds:
        assert cpu.run() == Stop.KICKED
        seen += 1
        answered.release()
    thread.join()
    width = 4 if machine.name in ("arm", "mips") else 8
    memory = int.from_bytes(
        machine.table.read(DATA, width), "big" if machine.name == "mips" else "little"
    )
    assert memory == cpu.get(arguments[2])
    assert memory > 0


def test_kick_ends_a_blocking_call(arm64):
    """A pipe nobody writes to: every kick ends the read, wherever in it the kick arrives."""
    read_end, write_end = os.pipe()
    cpu = arm64.cpu
    _core.signals_start()
    arm64.map(AT, CODE["aarch64"]["spin"], R | X)
    arm64.pc = AT
    rounds = 3000
    answered = threading.Semaphore(0)

    def storm():
        for n in range(rounds):
            if n % 3:
                time.sleep(n % 7 * 1e-6)
            cpu.kick()
            assert answered.acquire(timeout=10)

    thread = threading.Thread(target=storm)
    thread.start()
    buffer = bytearray(8)
    for _ in range(rounds):
        assert _core.syscall(_core.SYS["read"], read_end, buffer, 8) == -_core.ERESTART
        assert cpu.run() == Stop.KICKED
        answered.release()
    thread.join()
    os.write(write_end, b"12345678")
    assert _core.syscall(_core.SYS["read"], read_end, buffer, 8) == 8
    assert buffer == b"12345678"
    os.close(read_end)
    os.close(write_end)
