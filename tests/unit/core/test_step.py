"""Cpu.step: one instruction and no more, also where longer blocks have been translated before."""

import threading

import pytest

from runtime._core import R, Stop, W, X
from tests.unit.core.machine import Machine
from tests.unit.core.snippets import CODE

AT = 0x10000
DATA = 0x40000
# offsets of the instructions of `count`; mips: the last one is the branch, its delay slot does the second addition
COUNT = {
    "aarch64": (0, 4, 8, 12, 16),
    "arm": (0, 4, 8, 12, 16),
    "riscv64": (0, 2, 4, 6, 8),
    "ppc64le": (0, 4, 8, 12, 16),
    "mips": (0, 4, 8, 12),
    "x86_64": (0, 4, 8),
}


@pytest.fixture
def counter(machine):
    machine.map(AT, CODE[machine.name]["count"], R | X)
    machine.map(DATA, 4096, R | W)
    machine.cpu.set(machine.facts["arguments"][1], DATA)
    machine.cpu.set(machine.facts["arguments"][2], 0)
    return machine


def stored(machine) -> int:
    data = machine.table.read(DATA, 4 if machine.name in ("arm", "mips") else 8)
    return int.from_bytes(data if machine.name == "mips" else data[::-1], "big")


def run_for_a_moment(machine) -> None:
    timer = threading.Timer(0.05, machine.cpu.kick)
    timer.start()
    assert machine.cpu.run() == Stop.KICKED
    timer.join()


def steps(machine, number: int) -> list[int]:
    seen = []
    for _ in range(number):
        assert machine.cpu.step() == Stop.STEPPED
        seen.append(machine.pc - AT)
    return seen


def test_each_instruction_of_a_loop(counter):
    offsets = COUNT[counter.name]
    counter.pc = AT
    rounds = 50
    expected = [*offsets[1:], 0] * rounds
    assert steps(counter, len(expected)) == expected
    assert stored(counter) == rounds
    assert counter.cpu.get(counter.facts["arguments"][2]) == rounds


def test_code_that_has_run_before_is_stepped_too(counter):
    """The whole loop is one translated block by then."""
    counter.pc = AT
    run_for_a_moment(counter)
    assert counter.pc == AT
    before = stored(counter)
    assert before > 1
    offsets = COUNT[counter.name]
    assert steps(counter, 2 * len(offsets)) == [*offsets[1:], 0] * 2
    assert stored(counter) == before + 2


def test_whole_blocks_run_again_after_a_step(counter):
    counter.pc = AT
    steps(counter, len(COUNT[counter.name]))
    before = counter.engine.counters["translations"]
    run_for_a_moment(counter)
    assert counter.engine.counters["translations"] - before <= 2
    assert stored(counter) > 100


def test_a_system_call_is_a_system_call(machine):
    machine.map(AT, CODE[machine.name]["call"], R | X)
    machine.pc = AT
    assert machine.cpu.step() == Stop.STEPPED
    assert machine.cpu.step() == Stop.SYSCALL
    assert machine.cpu.call[0] == 93
    assert machine.pc == AT + {"x86_64": 7}.get(machine.name, 8)


def test_a_fast_call_is_one_step(machine):
    machine.map(AT, CODE[machine.name]["call"], R | X)
    machine.engine.fast_calls({93: "getpid"})
    machine.pc = AT
    after = {"x86_64": (5, 7)}.get(machine.name, (4, 8))
    assert steps(machine, 2) == list(after)


@pytest.mark.parametrize("kind", ["load", "store"])
def test_a_fault_is_a_fault(machine, kind):
    machine.map(AT, CODE[machine.name][kind], R | X)
    machine.cpu.set(machine.facts["arguments"][1], DATA)
    machine.pc = AT
    assert machine.cpu.step() == Stop.FAULT
    assert machine.cpu.fault[0] == DATA
    assert machine.pc == AT
    machine.map(DATA, 4096, R | W)
    assert machine.cpu.step() == Stop.STEPPED


def test_a_trap_is_a_trap(machine):
    machine.map(AT, CODE[machine.name]["trap"], R | X)
    machine.pc = AT
    assert machine.cpu.step() in (Stop.TRAP, Stop.ILLEGAL)


def test_a_kick_comes_before_the_instruction(counter):
    counter.pc = AT
    counter.cpu.kick()
    assert counter.cpu.step() == Stop.KICKED
    assert counter.pc == AT
    assert counter.cpu.step() == Stop.STEPPED


def test_a_step_falls_off_a_page(machine):
    code = CODE[machine.name]["call"]
    nop = code[{"riscv64": 8, "x86_64": 7}.get(machine.name, 8) :]
    width = {"riscv64": 2, "x86_64": 1}.get(machine.name, 4)
    machine.map(AT, nop[:width] * (4096 // width), R | X)
    machine.pc = AT + 4096 - 2 * width
    assert steps(machine, 2) == [4096 - width, 4096]
    assert machine.cpu.step() == Stop.FAULT
    assert machine.cpu.fault == (AT + 4096, X, 0)
    assert machine.pc == AT + 4096


def test_a_locked_instruction_across_a_boundary(machine):
    """It is tried again on its own (do_alone), which is still the same step."""
    if machine.name != "x86_64":
        pytest.skip("no other architecture allows it")
    machine.map(AT, bytes.fromhex("f048ff06 90"), R | X)  # lock incq (%rsi); nop
    machine.map(DATA, 4096, R | W)
    machine.cpu.set(machine.facts["arguments"][1], DATA + 60)
    for number in (1, 2, 3):
        machine.pc = AT
        assert steps(machine, 2) == [4, 5]
        assert machine.table.read(DATA + 60, 1) == bytes([number])


def test_a_fault_in_a_delay_slot_is_the_branch_s():
    machine = Machine("mips")
    machine.map(AT, CODE["mips"]["slot"], R | X)  # a branch, and a load in its slot
    machine.cpu.set(machine.facts["arguments"][1], DATA)
    machine.pc = AT
    assert machine.cpu.step() == Stop.FAULT
    assert (machine.cpu.fault[0], machine.pc) == (DATA, AT)
    machine.map(DATA, 4096, R | W)
    assert steps(machine, 1) == [12]
