"""The page table against a dictionary of pages, and its copies against bytes."""

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import _core
from runtime._core import MemoryFault, R, W, X
from tests.effort import tries
from tests.unit.core.machine import Machine
from tests.unit.core.snippets import CODE

PAGE = 4096
PAGES = 24
BASE = 0x10_0000

ARENA = _core.Arena(1 << 32, 1 << 28)
AREA = 1 << 20
assert _core.quick_syscall(_core.SYS["mmap"], ARENA.base, 2 * AREA, 3, 0x32, -1, 0) == ARENA.base

span = st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES))
change = st.one_of(
    st.tuples(st.just("install"), span, st.integers(0, 40), st.integers(0, 7)),
    st.tuples(st.just("protect"), span, st.just(0), st.integers(0, 7)),
    st.tuples(st.just("remove"), span, st.just(0), st.just(0)),
    st.tuples(st.just("limit"), span, st.just(0), st.just(0)),
)


def apply(table, model, limited, step):
    what, (first, count), offset, perms = step
    count = min(count, PAGES - first)
    guest, length = BASE + first * PAGE, count * PAGE
    pages = range(first, first + count)
    if what == "install":
        table.install(guest, length, offset * PAGE, perms)
        for n, page in enumerate(pages):
            model[page] = (offset + n, perms)
            limited.discard(page)
    elif what == "protect":
        table.protect(guest, length, perms)
        for page in pages:
            if page in model:
                model[page] = (model[page][0], perms)
    elif what == "remove":
        table.remove(guest, length)
        for page in pages:
            model.pop(page, None)
            limited.discard(page)
    else:
        table.limit(guest, length)
        limited.update(page for page in pages if page in model)


@tries(300)
@given(st.lists(change, max_size=20))
def test_against_a_dictionary(steps):
    table = _core.PageTable(ARENA, PAGE)
    model: dict[int, tuple[int, int]] = {}
    limited: set[int] = set()
    for step in steps:
        apply(table, model, limited, step)
    for page in range(PAGES):
        found = table.lookup(BASE + page * PAGE + 17)
        want = model.get(page)
        assert found == (want and (want[0] * PAGE + 17, want[1]))
        good = want is not None and want[1] & R and page not in limited
        if good:
            table.read(BASE + page * PAGE, PAGE)
        else:
            with pytest.raises(MemoryFault) as caught:
                table.read(BASE + page * PAGE + 5, 1)
            assert caught.value.address == BASE + page * PAGE + 5
            assert caught.value.args == (BASE + page * PAGE + 5,)
    ranges = table.ranges()
    assert [r[0] for r in ranges] == sorted(r[0] for r in ranges)
    flat = {}
    for start, end, offset, perms in ranges:
        for n in range((end - start) // PAGE):
            flat[(start - BASE) // PAGE + n] = (offset // PAGE + n, perms)
    assert flat == model
    for one, two in itertools.pairwise(ranges):
        merged = one[1] == two[0] and one[3] == two[3] and one[2] + one[1] - one[0] == two[2]
        assert not merged
    table.clear()
    assert table.ranges() == []


@tries(200)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=6),
    st.integers(0, 6 * PAGE),
    st.integers(0, 6 * PAGE),
)
def test_partial_copies(pages, start, length):
    """What could be copied is copied, and the fault names the first byte that could not."""
    table = _core.PageTable(ARENA, PAGE)
    for n, (offset, perms) in enumerate(pages):
        table.install(BASE + n * PAGE, PAGE, offset * PAGE, perms)

    def good(guest, access):
        page = (guest - BASE) // PAGE
        return page < len(pages) and pages[page][1] & access

    for access in (R, W):
        first_bad = next(
            (g for g in range(BASE + start, BASE + start + length) if not good(g, access)), None
        )
        data = os.urandom(length)
        try:
            if access == W:
                table.write(BASE + start, data)
            else:
                assert len(table.read(BASE + start, length)) == length
            assert first_bad is None
        except MemoryFault as fault:
            assert fault.address == first_bad
        try:
            spans = table.spans(BASE + start, length, access)
            have = sum(size for _, size in spans)
            assert have == (length if first_bad is None else first_bad - BASE - start)
            for (a, size), (b, _) in itertools.pairwise(spans):
                assert a + size != b
        except MemoryFault as fault:
            assert fault.address == first_bad == BASE + start


def test_write_reads_back_across_pages():
    table = _core.PageTable(ARENA, PAGE)
    table.install(BASE, PAGE, 5 * PAGE, R | W)
    table.install(BASE + PAGE, PAGE, 3 * PAGE, R | W)
    data = bytes(range(256)) * 8
    for form in (data, bytearray(data), memoryview(data)):
        table.write(BASE + PAGE - 1000, form)
        assert table.read(BASE + PAGE - 1000, len(data)) == data
    table.protect(BASE, 2 * PAGE, R)
    with pytest.raises(MemoryFault):
        table.write(BASE, b"x")
    table.poke(BASE, b"poked")
    assert table.read(BASE, 5) == b"poked"
    with pytest.raises(MemoryFault):
        table.poke(BASE + 2 * PAGE, b"x")


def test_strings():
    table = _core.PageTable(ARENA, PAGE)
    table.install(BASE, PAGE, 0, R | W)
    table.install(BASE + PAGE, PAGE, 9 * PAGE, R | W)
    table.write(BASE + PAGE - 3, b"hello\0rest")
    assert table.cstring(BASE + PAGE - 3, 100) == b"hello"
    assert table.cstring(BASE + PAGE - 3, 6) == b"hello"
    with pytest.raises(ValueError, match="NUL"):
        table.cstring(BASE + PAGE - 3, 5)
    table.write(BASE + 2 * PAGE - 4, b"abcd")
    with pytest.raises(MemoryFault) as caught:
        table.cstring(BASE + 2 * PAGE - 4, 100)
    assert caught.value.address == BASE + 2 * PAGE


def test_words():
    table = _core.PageTable(ARENA, PAGE)
    table.install(BASE, PAGE, 0, R | W)
    table.write(BASE + 8, (7).to_bytes(4, "little"))
    assert table.read_u32(BASE + 8) == 7
    assert table.compare_exchange_u32(BASE + 8, 6, 9) == 7
    assert table.read_u32(BASE + 8) == 7
    assert table.compare_exchange_u32(BASE + 8, 7, 9) == 7
    assert table.read_u32(BASE + 8) == 9
    table.protect(BASE, PAGE, R)
    with pytest.raises(MemoryFault):
        table.compare_exchange_u32(BASE + 8, 9, 1)


def test_host_wants_contiguity():
    table = _core.PageTable(ARENA, PAGE)
    table.install(BASE, PAGE, 5 * PAGE, R | W)
    table.install(BASE + PAGE, PAGE, 6 * PAGE, R)
    table.install(BASE + 2 * PAGE, PAGE, 2 * PAGE, R)
    assert table.host(BASE + 8, 16, W) == ARENA.base + 5 * PAGE + 8
    assert table.host(BASE + PAGE - 4, 8, R) == ARENA.base + 6 * PAGE - 4
    for at, length, access, bad in (
        (BASE + PAGE - 4, 8, W, BASE + PAGE),
        (BASE + 2 * PAGE - 4, 8, R, BASE + 2 * PAGE),
        (BASE + 3 * PAGE - 4, 8, R, BASE + 3 * PAGE),
    ):
        with pytest.raises(MemoryFault) as caught:
            table.host(at, length, access)
        assert caught.value.address == bad


def test_the_last_page_of_the_address_space():
    table = _core.PageTable(ARENA, PAGE)
    top = (1 << 64) - PAGE
    table.install(top, PAGE, 0, R | X)
    assert table.ranges() == [(top, 1 << 64, 0, R | X)]
    assert table.lookup((1 << 64) - 1) == (PAGE - 1, R | X)
    assert len(table.read(top, PAGE)) == PAGE
    with pytest.raises(MemoryFault):
        table.read(0, 1)
    table.remove(top, PAGE)
    assert table.ranges() == []


@pytest.mark.parametrize("arguments", [(1, PAGE, 0), (0, 5, 0), (0, PAGE, 7), (0, PAGE, 1 << 33)])
def test_refused(arguments):
    with pytest.raises(ValueError):
        _core.PageTable(ARENA, PAGE).install(*arguments, R)  # type: ignore[call-arg]


def test_arena_that_does_not_fit():
    with pytest.raises(OSError) as caught:
        _core.Arena(1 << 62, 1 << 61)
    assert caught.value.errno == 12


def test_cut_file(tmp_path):
    """Python's copies and the guest's accesses past the end of a file that was cut: never a host signal."""
    _core.signals_start()
    path = tmp_path / "file"
    path.write_bytes(b"a" * 3 * _core.HOST_PAGE)
    fd = os.open(path, os.O_RDWR)
    machine = Machine("aarch64")
    page = _core.HOST_PAGE
    machine.host_map(0x100000, 3 * page, fd, 0x11)  # MAP_SHARED | MAP_FIXED
    machine.table.install(0x100000, 3 * page, 0x100000, R | W)
    assert machine.table.read(0x100000, 3 * page) == b"a" * 3 * page
    os.ftruncate(fd, page + 1)
    got = machine.table.read(0x100000, 2 * page)
    assert got == b"a" * (page + 1) + bytes(page - 1)
    with pytest.raises(MemoryFault) as caught:
        machine.table.read(0x100000, 3 * page)
    assert caught.value.address == 0x100000 + 2 * page
    with pytest.raises(MemoryFault) as caught:
        machine.table.write(0x100000 + 2 * page - 4, b"12345678")
    assert caught.value.address == 0x100000 + 2 * page
    assert machine.table.read(0x100000 + 2 * page - 4, 4) == b"1234"
    with pytest.raises(MemoryFault):
        machine.table.compare_exchange_u32(0x100000 + 2 * page, 0, 1)
    os.close(fd)


def test_touched_pages_are_counted(machine):
    """By the guest, again after they are forgotten although the TLB had them, and by copies for it."""
    page, at = machine.table.page, 0x200000
    store = CODE[machine.name]["store"]
    machine.map(0x100000, store)
    end = len(store) if machine.name != "mips" else 4
    machine.table.poke(0x100000 + end, CODE[machine.name]["call"])
    machine.map(at, 8 * page, R | W)
    machine.table.count_touched()
    for _ in range(2):
        assert machine.table.touched(at, 8 * page, page) == bytes(8)
        machine.cpu.set(machine.facts["arguments"][1], at + 3 * page)
        machine.pc = 0x100000
        assert machine.cpu.run() == _core.Stop.SYSCALL
        assert machine.table.touched(at, 8 * page, page) == b"\0\0\0\1\0\0\0\0"
        assert machine.table.touched(at, 8 * page, 4 * page) == b"\1\0"
        machine.table.forget(at + 2 * page, 2 * page)
    machine.table.read(at + page - 1, 2)
    machine.table.touch(at + 7 * page, page)
    assert machine.table.touched(at, 8 * page, page) == b"\1\1\0\0\0\0\0\1"
