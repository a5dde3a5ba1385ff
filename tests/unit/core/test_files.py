"""Files under guest memory: lengths that change, code that others write, one byte at two guest addresses."""

import os

import pytest

from runtime import _core
from runtime._core import R, Stop, W, X
from tests.unit.core.snippets import CODE

AT = 0x10000
PAGE = _core.HOST_PAGE


@pytest.fixture
def file(tmp_path):
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 3 * PAGE)
    yield fd
    os.close(fd)


def test_a_watched_length_is_compared_before_guest_code_runs(machine, file):
    machine.map(AT, CODE[machine.name]["one"], R | X)
    machine.table.watch([(file, 3 * PAGE)])
    assert machine.run_at(AT) == Stop.SYSCALL
    os.ftruncate(file, PAGE)
    assert machine.run_at(AT) == Stop.RESIZED
    assert machine.pc == AT
    machine.table.watch([(file, PAGE)])
    assert machine.run_at(AT) == Stop.SYSCALL
    os.ftruncate(file, 0)
    machine.table.watch([])
    assert machine.run_at(AT) == Stop.SYSCALL


@pytest.mark.parametrize("watched", [True, False])
def test_code_that_is_written_to_the_file(machine, file, watched):
    """Unwatched, the old code runs on: which shows that the other half of this test can fail."""
    one, two = CODE[machine.name]["one"], CODE[machine.name]["two"]
    os.pwrite(file, one, 0)
    machine.host_map(0x100000, 3 * PAGE, file, 0x11)
    machine.table.install(0x200000, 3 * PAGE, 0x100000, R | X)
    if watched:
        machine.engine.watch_code([(0x100000, 3 * PAGE)])
    assert machine.run_at(0x200000) == Stop.SYSCALL
    assert machine.cpu.get(machine.facts["arguments"][0]) == 1
    os.pwrite(file, two, 0)
    assert machine.run_at(0x200000) == Stop.SYSCALL
    assert machine.cpu.get(machine.facts["arguments"][0]) == (2 if watched else 1)
    if watched:
        machine.engine.flush()
        os.pwrite(file, one, 0)
        assert machine.run_at(0x200000) == Stop.SYSCALL
        assert machine.cpu.get(machine.facts["arguments"][0]) == 1


@pytest.mark.parametrize("kind", ["load", "store"])
@pytest.mark.parametrize("warm", [True, False])
def test_which_of_two_addresses_met_the_cut_file(machine, file, kind, warm):
    _core.signals_start()
    machine.host_map(0x100000, 3 * PAGE, file, 0x11)
    views = (0x200000, 0x300000, 0x280000)
    for view in views:
        machine.table.install(view, 3 * PAGE, 0x100000, R | W)
    code = CODE[machine.name][kind]
    body = code[:4] if machine.name in ("mips", "riscv64", "ppc64le") else code
    machine.map(AT, body + CODE[machine.name]["call"], R | X)
    address = machine.facts["arguments"][1]
    for view in views:
        os.ftruncate(file, 3 * PAGE)
        if warm:
            for each in views:
                machine.cpu.set(address, each + 2 * PAGE + 8)
                assert machine.run_at(AT) == Stop.SYSCALL
        os.ftruncate(file, PAGE)
        machine.cpu.set(address, view + 2 * PAGE + 24)
        assert machine.run_at(AT) == Stop.FAULT
        assert machine.cpu.fault == (view + 2 * PAGE + 24, W if kind == "store" else R, 3)


def test_copies_in_the_arena_stop_at_a_cut_file(machine, file):
    _core.signals_start()
    os.pwrite(file, b"a" * 3 * PAGE, 0)
    machine.host_map(0x100000, 3 * PAGE, file, 0x11)
    machine.map(AT, bytes(3 * PAGE), R | W)
    place = machine.table.lookup(AT)[0]
    assert machine.arena.copy(place, 0x100000, 3 * PAGE) == 3 * PAGE
    assert machine.table.read(AT, 3 * PAGE) == b"a" * 3 * PAGE
    os.ftruncate(file, PAGE)
    assert machine.arena.copy(place, 0x100000, 3 * PAGE) == PAGE
    with pytest.raises(ValueError, match="beyond the arena"):
        machine.arena.copy(machine.arena.size, 0, 1)
