"""Every reason to stop, on every architecture, with exact addresses."""

import pytest

from runtime._core import R, Stop, W, X
from tests.unit.core.snippets import CODE

AT = 0x10000
DATA = 0x40000
THIRD = {
    "x86_64": 2,
    "riscv64": 4,
}  # where the third instruction of `second` is (compressed in riscv64)


def load(machine, name, at=AT):
    code = CODE[machine.name][name]
    machine.map(at, code, R | X)
    return code


def arguments(machine, pointer, value=0):
    machine.cpu.set(machine.facts["arguments"][1], pointer)
    machine.cpu.set(machine.facts["arguments"][2], value)


def test_syscall(machine):
    load(machine, "call")
    for n, register in enumerate(machine.facts["arguments"]):
        machine.cpu.set(register, 100 + n)
    assert machine.run_at(AT) == Stop.SYSCALL
    assert machine.cpu.call == (93, *range(100, 100 + len(machine.facts["arguments"])))
    after = {"riscv64": 8, "x86_64": 7}.get(machine.name, 8)
    assert machine.pc == AT + after


@pytest.mark.parametrize("kind", ["load", "load1", "store"])
@pytest.mark.parametrize("where", [0, 0x12340, 0x12347, 0x41000, 0x7FFF_FFF8])
def test_data_fault_nothing_there(machine, kind, where):
    if machine.name == "mips" and where & 3 and kind != "load1":
        pytest.skip("an address error, not a page fault")
    load(machine, kind)
    machine.map(DATA, 4096, R | W)
    arguments(machine, where)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (where, W if kind == "store" else R, 0)
    assert machine.pc == AT


@pytest.mark.parametrize("kind", ["load", "store"])
def test_crossing_into_nothing(machine, kind):
    """An access that begins on a good page and ends on a bad one: the first bad byte is the next page's first."""
    if machine.name == "mips":
        pytest.skip("unaligned accesses trap")
    load(machine, kind)
    machine.map(DATA, 4096, R | W)
    arguments(machine, DATA + 4096 - 2)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA + 4096, W if kind == "store" else R, 0)
    assert machine.pc == AT
    arguments(machine, DATA - 2)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA - 2, W if kind == "store" else R, 0)


def test_crossing_store_writes_nothing(machine):
    if machine.name == "mips":
        pytest.skip("unaligned accesses trap")
    load(machine, "store")
    machine.map(DATA, 4096, R | W)
    arguments(machine, DATA + 4096 - 2, 0x5555_5555)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.table.read(DATA + 4094, 2) == b"\0\0"


def test_store_without_permission(machine):
    load(machine, "second")
    machine.map(DATA, 4096, R)
    arguments(machine, DATA + 24)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA + 24, W, 1)
    assert machine.pc == AT + THIRD.get(machine.name, 8)
    # More permission needs no flush; less is seen at once.
    load(machine, "call", AT + 0x1000)
    machine.table.protect(DATA, 4096, R | W)
    code = CODE[machine.name]["second"] + CODE[machine.name]["call"]
    machine.table.poke(AT, code)
    assert machine.run_at(AT) == Stop.SYSCALL
    machine.table.protect(DATA, 4096, R)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA + 24, W, 1)


def test_load_without_permission(machine):
    load(machine, "load")
    machine.map(DATA, 4096, 0)
    arguments(machine, DATA + 8)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA + 8, R, 1)
    assert machine.pc == AT


@pytest.mark.parametrize("target, kind", [(0, 0), (0x55550, 0), (DATA + 0x10, 1)])
def test_jump_fault(machine, target, kind):
    load(machine, "jump")
    machine.map(DATA, 4096, R | W)
    arguments(machine, target)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (target, X, kind)
    assert machine.pc == target


def test_falling_off_a_page(machine):
    code = CODE[machine.name]["call"]
    nop = code[{"riscv64": 8, "x86_64": 7}.get(machine.name, 8) :]
    width = {"riscv64": 2, "x86_64": 1}.get(machine.name, 4)
    machine.map(AT, nop[:width] * (4096 // width), R | X)
    assert machine.run_at(AT + 4096 - 4 * width) == Stop.FAULT
    assert machine.cpu.fault == (AT + 4096, X, 0)
    assert machine.pc == AT + 4096


def test_illegal(machine):
    load(machine, "illegal")
    why = machine.run_at(AT)
    # ppc, riscv and mips raise an exception of their own for it, which the facts know.
    assert why in (Stop.ILLEGAL, Stop.TRAP)
    assert machine.pc == AT


def test_trap(machine):
    load(machine, "trap")
    assert machine.run_at(AT) == Stop.TRAP
    assert machine.cpu.trap > 0
    after = {"x86_64": 1}.get(machine.name, 0)  # int3 is reported after it, as the processor does
    assert machine.pc == AT + after


def test_breakpoint(machine):
    load(machine, "jump")
    machine.engine.breakpoints([0xFFFF0F00])
    arguments(machine, 0xFFFF0F00)
    assert machine.run_at(AT) == Stop.BREAKPOINT
    assert machine.pc == 0xFFFF0F00
    arguments(machine, 0xFFFF0F04)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (0xFFFF0F04, X, 0)


def test_breakpoint_beside_code(machine):
    """A page of real code with a breakpoint in it: the code runs, the breakpoint stops, translated or not."""
    code = CODE[machine.name]["call"]
    machine.map(AT, code, R | X)
    assert machine.run_at(AT) == Stop.SYSCALL
    end = {"riscv64": 8, "x86_64": 7}.get(machine.name, 8)
    machine.engine.breakpoints([AT + end])
    assert machine.run_at(AT) == Stop.SYSCALL
    assert machine.cpu.run() == Stop.BREAKPOINT
    assert machine.pc == AT + end
    machine.engine.breakpoints([])
    load(machine, "spin", AT + 0x1000)
    machine.table.poke(AT, code[:end] + CODE[machine.name]["trap"])
    assert machine.run_at(AT) == Stop.SYSCALL
    assert machine.cpu.run() == Stop.TRAP


def test_limit(machine):
    load(machine, "load")
    machine.map(DATA, 8192, R | W)
    machine.table.limit(DATA + 4096, 4096)
    arguments(machine, DATA + 4096 + 16)
    assert machine.run_at(AT) == Stop.FAULT
    assert machine.cpu.fault == (DATA + 4096 + 16, R, 2)
    assert machine.pc == AT


def test_registers_after_a_stop_are_seen(machine):
    """Python changes pc and registers between runs, with nothing special."""
    load(machine, "one")
    load(machine, "two", AT + 0x1000)
    for _ in range(3):
        for at, value in ((AT, 1), (AT + 0x1000, 2)):
            machine.pc = at
            assert machine.cpu.run() == Stop.SYSCALL
            assert machine.cpu.get(machine.facts["arguments"][0]) == value


def test_results(machine):
    cpu, facts = machine.cpu, machine.facts
    width = 32 if machine.name in ("arm", "mips") else 64
    cpu.set_result(5)
    assert cpu.get(facts["result"]) == 5
    if facts["error_style"] == 0:
        cpu.set_result(-2)
        assert cpu.get(facts["result"]) == 2**width - 2
    elif facts["error_style"] == 1:
        assert cpu.get(facts["error"]) == 0
        cpu.set_result(-2)
        assert (cpu.get(facts["result"]), cpu.get(facts["error"])) == (2, 1)
    else:
        cpu.set(facts["error"], 0x2FFF_FFFF)
        cpu.set_result(0)
        assert cpu.get(facts["error"]) == 0x2FFF_FFFF
        cpu.set_result(-2)
        assert (cpu.get(facts["result"]), cpu.get(facts["error"])) == (2, 0x3FFF_FFFF)
        cpu.set_result(7)
        assert (cpu.get(facts["result"]), cpu.get(facts["error"])) == (7, 0x2FFF_FFFF)
