"""Errors and their order, placement, heap, stack, exec: each call for itself."""

import pytest

from runtime._core import MemoryFault
from runtime.abi.errors import (
    EACCES,
    EAGAIN,
    EBADF,
    EEXIST,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
    GuestError,
)
from runtime.loader.commpages import MMAP_PAGE_ZERO, map_null_page
from runtime.memory.areas import GROWSDOWN
from runtime.memory.flags import (
    CAP_SYS_RAWIO,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_KEEPONFORK,
    MADV_NORMAL,
    MADV_WILLNEED,
    MADV_WIPEONFORK,
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_SYNC,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MS_ASYNC,
    MS_SYNC,
    RLIMIT_AS,
    RLIMIT_DATA,
    RLIMIT_MEMLOCK,
    RLIMIT_STACK,
)
from tests.unit.memory.fakes import SimulatedFile
from tests.unit.memory.machine import PAIRS, Machine

ANON = MAP_PRIVATE | MAP_ANONYMOUS
TOP = 1 << 31
PIPE = 0o010600


@pytest.fixture(params=PAIRS, ids=lambda pair: f"g{pair[0] >> 10}h{pair[1] >> 10}")
def machine(request: pytest.FixtureRequest) -> Machine:
    machine = Machine(*request.param)
    for fd, access in ((3, 2), (4, 0), (5, 1)):  # read-write, read-only, write-only
        machine.host.open(fd, SimulatedFile(fd, b"file" * 4 * machine.page, access))
    machine.host.open(6, SimulatedFile(6, b"", 2, PIPE))
    machine.host.open(7, SimulatedFile(7, b"x" * machine.page))
    machine.host.files[7].append = True
    return machine


def fails(errno: int, function, *args) -> None:
    with pytest.raises(GuestError) as caught:
        function(*args)
    assert caught.value.errno == errno


def test_mmap_errors(machine: Machine) -> None:
    mmap, g = machine.space.mmap, machine.page
    fixed = ANON | MAP_FIXED
    fails(EINVAL, mmap, 0, 0, 3, ANON)
    fails(EINVAL, mmap, 0, 0, 3, MAP_PRIVATE, 3, 1)  # the offset comes first
    fails(EINVAL, mmap, 0, g, 3, MAP_PRIVATE, 99, g // 2)
    fails(EBADF, mmap, 0, 0, 3, MAP_PRIVATE, 99, 0)
    fails(ENOMEM, mmap, 0, (1 << 64) - g // 2, 3, ANON)
    fails(ENOMEM, mmap, 0, TOP + g, 3, ANON)
    fails(EINVAL, mmap, 64 * g + 1, g, 3, fixed)
    fails(ENOMEM, mmap, TOP, g, 3, fixed)
    fails(ENOMEM, mmap, TOP - g, 2 * g, 3, fixed)
    assert mmap(TOP - g, g, 3, fixed) == TOP - g
    fails(EINVAL, mmap, 0, g, 3, MAP_ANONYMOUS)
    fails(EINVAL, mmap, 0, g, 3, MAP_SHARED_VALIDATE | MAP_ANONYMOUS)
    fails(EOPNOTSUPP, mmap, 0, g, 3, MAP_SHARED_VALIDATE | MAP_SYNC, 3)
    assert mmap(0, g, 3, MAP_SHARED_VALIDATE, 3)
    fails(EACCES, mmap, 0, g, 3, MAP_SHARED, 4)
    assert mmap(0, g, 1, MAP_SHARED, 4)
    assert mmap(0, g, 3, MAP_PRIVATE, 4)
    fails(EACCES, mmap, 0, g, 1, MAP_PRIVATE, 5)
    fails(EACCES, mmap, 0, g, 2, MAP_SHARED, 5)
    fails(EACCES, mmap, 0, g, 1, MAP_SHARED, 7)
    fails(ENODEV, mmap, 0, g, 1, MAP_PRIVATE, 6)
    assert mmap(0, g, 0x1003, ANON)  # unknown bits: most kernels do not look


def test_noreplace(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 2 * g, 3, ANON)
    machine.space.access.write(at, b"kept")
    for start in (at - g, at, at + g):
        fails(EEXIST, space.mmap, start, 2 * g, 3, ANON | MAP_FIXED_NOREPLACE)
    assert machine.space.access.read(at, 4) == b"kept"
    assert space.mmap(at - g, g, 3, ANON | MAP_FIXED_NOREPLACE) == at - g


def test_low_addresses_need_a_capability(machine: Machine) -> None:
    space, g = machine.space, machine.page
    low = space.limits.min_address
    assert space.mmap(0, g, 3, ANON | MAP_FIXED) == 0
    machine.space.access.write(0, b"ordinary")
    machine.caps.clear()
    fails(EPERM, space.mmap, low - g, g, 3, ANON | MAP_FIXED)
    assert space.mmap(low, g, 3, ANON | MAP_FIXED) == low
    assert space.mmap(g // 2, g, 3, ANON) >= low  # a hint is moved instead


def test_sealed_page_zero(machine: Machine) -> None:
    """mm/mseal.c: nothing changes it, nothing takes its bytes; it goes with execve."""
    space, g = machine.space, machine.page
    map_null_page(space, b"/usr/lib/ld.so.1", 0, sealed=True)
    other = space.mmap(0, 2 * g, 3, ANON)
    fails(EPERM, space.munmap, 0, g)
    fails(EPERM, space.munmap, 0, 4 * g)
    fails(EPERM, space.mmap, 0, g, 3, ANON | MAP_FIXED)
    fails(EEXIST, space.mmap, 0, g, 3, ANON | MAP_FIXED_NOREPLACE)
    fails(EPERM, space.mprotect, 0, g, 1)
    fails(EPERM, space.mremap, 0, g, 2 * g, MREMAP_MAYMOVE)
    fails(EPERM, space.mremap, other, g, g, MREMAP_MAYMOVE | MREMAP_FIXED, 0)
    for advice in (MADV_DONTNEED, MADV_FREE, MADV_WIPEONFORK):
        fails(EPERM, space.madvise, 0, g, advice)
    assert space.madvise(0, g, MADV_WILLNEED) == 0
    assert machine.table.read(0, g) == bytes(g)
    with pytest.raises(MemoryFault):
        machine.table.write(0, b"x")
    assert space.maps().startswith(b"00000000-%08x r-xp 00000000 00:00 0 \n" % g)
    space.reset()
    assert space.mmap(0, g, 3, ANON | MAP_FIXED) == 0


def test_page_zero_is_had_or_not(machine: Machine) -> None:
    space, g = machine.space, machine.page
    map_null_page(space, b"/lib/ld.so", 0, sealed=True)
    assert not len(space.areas)
    machine.caps.clear()
    map_null_page(space, None, MMAP_PAGE_ZERO, sealed=True)
    assert not len(space.areas) and not space.sealed_end
    machine.caps.add(CAP_SYS_RAWIO)
    map_null_page(space, None, MMAP_PAGE_ZERO, sealed=False)
    assert [(area.start, area.end, area.prot) for area in space.areas] == [(0, g, 5)]
    assert space.munmap(0, g) == 0
    space.map_anonymous(0, g, 3)
    machine.table.write(0, b"program")
    map_null_page(space, None, MMAP_PAGE_ZERO, sealed=True)  # a program that is linked there stays
    assert machine.table.read(0, 7) == b"program"


def test_hints(machine: Machine) -> None:
    space, g = machine.space, machine.page
    hint = 300 * machine.unit
    assert space.mmap(hint - 1, g, 3, ANON) == hint
    other = space.mmap(hint, g, 3, ANON)
    assert other != hint and other + g <= space.mmap_top
    assert not other % g
    assert space.mmap(TOP, g, 3, ANON) != TOP


def test_top_down_until_full_then_bottom_up(machine: Machine) -> None:
    space, g = machine.space, machine.page
    first = space.mmap(0, g, 3, ANON)
    assert first == space.mmap_top - g
    assert space.mmap(0, g, 3, ANON) == first - g
    big = space.mmap(0, first - g - 2 * space.limits.min_address, 0, ANON | MAP_NORESERVE)
    assert space.mmap(0, 4 * space.limits.min_address, 3, ANON) >= space.mmap_top
    assert big < first
    fails(ENOMEM, space.mmap, 0, TOP - 4 * g, 0, ANON)


def test_a_reservation_costs_no_host_memory(machine: Machine) -> None:
    space, g = machine.space, machine.page
    machine.host.calls.clear()
    at = space.mmap(0, 1 << 29, 0, ANON | MAP_NORESERVE)
    assert machine.host.calls == []
    space.mprotect(at + 8 * g, 2 * g, 3)
    machine.space.access.write(at + 8 * g, b"x" * 2 * g)
    assert len(machine.host.pages) <= 2 * max(g // machine.host.page, 1)
    space.mprotect(at + 8 * g, 2 * g, 0)
    assert space.maps().count(b"\n") == 1  # what differs is our bookkeeping
    space.munmap(at, 1 << 29)
    assert not machine.host.pages


def test_limits(machine: Machine) -> None:
    space, g = machine.space, machine.page
    machine.limits[RLIMIT_AS] = 4 * g
    at = space.mmap(0, 4 * g, 3, ANON)
    fails(ENOMEM, space.mmap, 0, g, 3, ANON)
    assert space.mmap(at, 2 * g, 3, ANON | MAP_FIXED) == at  # replaces as much
    fails(ENOMEM, space.mremap, at, g * 4, g * 5, MREMAP_MAYMOVE)
    machine.limits = {RLIMIT_DATA: 4 * g}
    fails(ENOMEM, space.mmap, 0, g, 3, ANON)
    assert space.mmap(0, g, 1, ANON)
    machine.limits = {RLIMIT_MEMLOCK: 0}
    fails(EPERM, space.mmap, 0, g, 3, ANON | MAP_LOCKED)
    machine.limits = {RLIMIT_MEMLOCK: g}
    fails(EAGAIN, space.mmap, 0, 2 * g, 3, ANON | MAP_LOCKED)
    fails(ENOMEM, space.mlock, at, 2 * g)
    assert space.mlock(at + 1, g - 2) == 0
    assert space.locked_bytes() == g
    fails(EINVAL, space.madvise, at, g, MADV_DONTNEED)
    space.max_map_count = len(space.areas)
    fails(ENOMEM, space.munmap, at + 2 * g, g)
    fails(ENOMEM, space.mprotect, at + 2 * g, g, 1)


def test_munmap_and_mprotect_errors(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 3 * g, 3, ANON)
    assert space.munmap(at - 100 * g, g) == 0
    for address, length in ((at, 0), (at + 1, g), (TOP + g, g), (at, 1 << 63)):
        fails(EINVAL, space.munmap, address, length)
    fails(EINVAL, space.mprotect, at + 1, 0, 0x1000)
    assert space.mprotect(at, 0, 0x1000) == 0
    fails(EINVAL, space.mprotect, at, g, 0x1000)
    space.munmap(at + g, g)
    fails(ENOMEM, space.mprotect, at, 3 * g, 1)
    assert [area.prot for area in space.areas] == [1, 3]  # before the hole, not after it
    shared = space.mmap(0, g, 1, MAP_SHARED, 4)
    fails(EACCES, space.mprotect, shared, g, 3)


def test_mremap_errors_and_growth(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 2 * g, 3, ANON)
    space.access.write(at, b"first")
    space.access.write(at + g, b"second")
    mremap = space.mremap
    fails(EINVAL, mremap, at, g, g, 8)
    fails(EINVAL, mremap, at, g, g, MREMAP_FIXED, at)
    fails(EINVAL, mremap, at + 1, g, g, 0)
    fails(EINVAL, mremap, at, g, 0, 0)
    fails(EFAULT, mremap, at - 64 * g, g, 2 * g, MREMAP_MAYMOVE)
    fails(EFAULT, mremap, at, 4 * g, 5 * g, MREMAP_MAYMOVE)
    fails(EINVAL, mremap, at, 0, g, MREMAP_MAYMOVE)
    fails(EINVAL, mremap, at, 2 * g, g, MREMAP_MAYMOVE | MREMAP_FIXED, at + g)
    fails(EINVAL, mremap, at, g, g, MREMAP_MAYMOVE | MREMAP_FIXED, TOP)
    fails(ENOMEM, mremap, at, g, 2 * g, 0)
    space.mmap(at + 2 * g, g, 3, ANON | MAP_FIXED)  # no room to grow in place
    new = mremap(at, 2 * g, 5 * g, MREMAP_MAYMOVE)
    assert (
        new != at
        and space.access.read(new, 5) == b"first"
        and space.access.read(new + g, 6) == b"second"
    )
    assert space.access.read(new + 2 * g, 3 * g) == bytes(3 * g)
    assert mremap(new, 5 * g, 2 * g, 0) == new
    assert mremap(new, 2 * g, 3 * g, 0) == new  # the room above is free again
    assert space.access.read(new + 2 * g, 4) == bytes(4)
    kept = mremap(new, 3 * g, 3 * g, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)
    assert space.access.read(kept, 5) == b"first" and space.access.read(new, 5) == bytes(5)


@pytest.mark.parametrize("kind", [MAP_PRIVATE, MAP_SHARED])
def test_mremap_grows_a_file(machine: Machine, kind: int) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, g, 3, kind, 3)
    space.access.write(at, b"STORED")
    new = space.mremap(at, g, 3 * g, MREMAP_MAYMOVE)
    assert space.access.read(new, 8) == b"STOREDle"
    assert space.access.read(new + 2 * g, 8) == b"filefile"
    if kind == MAP_SHARED:
        again = space.mremap(new, 0, g, MREMAP_MAYMOVE)
        space.access.write(new, b"both")
        assert space.access.read(again, 4) == b"both"


def test_advice(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 3 * g, 3, ANON)
    machine.space.access.write(at, b"x" * 3 * g)
    fails(EINVAL, space.madvise, at, 0, 12345)
    fails(EINVAL, space.madvise, at + 1, g, MADV_NORMAL)
    assert space.madvise(at, 0, MADV_DONTNEED) == 0
    space.munmap(at + g, g)
    fails(ENOMEM, space.madvise, at, 3 * g, MADV_DONTNEED)
    assert machine.space.access.read(at, 1) == machine.space.access.read(at + 2 * g, 1) == b"\0"
    assert len(space.mincore(at, g)) == 1
    fails(ENOMEM, space.mincore, at, 2 * g)
    fails(EINVAL, space.mincore, at + 1, g)
    fails(EINVAL, space.msync, at, g, MS_ASYNC | MS_SYNC)
    fails(EINVAL, space.msync, at, g, 64)
    fails(ENOMEM, space.msync, at, 2 * g, MS_SYNC)
    space.madvise(at, g, MADV_DONTFORK)
    space.after_fork()
    assert machine.table.lookup(at) is None and machine.table.lookup(at + 2 * g)


def test_a_fork_wipes_what_was_marked_and_nothing_else(machine: Machine) -> None:
    """Marked pages begin and end inside larger host pages. One of them is new memory by the time of the fork."""
    space, g = machine.space, machine.page
    at = space.mmap(100 * machine.unit + g, 8 * g, 3, ANON | MAP_FIXED)
    space.access.write(at, b"x" * 8 * g)
    space.madvise(at + g, 4 * g, MADV_WIPEONFORK)
    space.madvise(at + 4 * g, g, MADV_KEEPONFORK)
    space.munmap(at + 2 * g, g)
    space.mmap(at + 2 * g, g, 3, ANON | MAP_FIXED)
    space.access.write(at + 2 * g, b"y")
    # A mark on the host's page would outlive the area and take its neighbours' bytes.
    assert f"advise {MADV_WIPEONFORK}" not in machine.host.calls
    space.after_fork(shared=True)
    assert space.access.read(at + g, 1) == b"x"
    space.after_fork()
    first = [space.access.read(at + n * g, 1) for n in range(8)]
    assert first == [b"x", b"\0", b"y", b"\0", *[b"x"] * 4]
    assert space.access.read(at + g, g) == space.access.read(at + 3 * g, g) == bytes(g)
    assert space.access.read(at + 2 * g - 1, 2) == b"\0y"
    assert space.access.read(at + 4 * g, g) == b"x" * g


def test_a_reservation_is_wiped_too(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 3 * g, 0, ANON)
    space.madvise(at + g, g, MADV_WIPEONFORK)
    space.mprotect(at, 3 * g, 3)
    space.access.write(at, b"x" * 3 * g)
    space.after_fork()
    assert space.access.read(at, 3 * g) == b"x" * g + bytes(g) + b"x" * g


def test_the_child_of_a_vfork_has_all_memory(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 2 * g, 3, ANON)
    space.madvise(at, g, MADV_DONTFORK)
    space.after_fork(shared=True)
    space.access.write(at, b"there")
    space.after_fork()
    fails(EFAULT, space.access.read, at, 1)


def test_the_heap(machine: Machine) -> None:
    space, g = machine.space, machine.page
    base = 100 * machine.unit + 5
    space.set_brk(base)
    assert space.brk(0) == base
    assert space.brk(base + 1) == base + 1
    assert space.brk(base + 3 * g) == base + 3 * g
    top = space.round(base + 3 * g)
    machine.space.access.write(top - 4, b"heap")
    assert b"[heap]" in space.maps()
    wall = space.mmap(top + 2 * g, g, 3, ANON | MAP_FIXED)
    assert space.brk(wall) == base + 3 * g  # would touch its neighbour
    assert space.brk(wall - g) == wall - g
    assert space.brk(base) == base
    assert machine.table.lookup(top - 4) is None
    assert space.brk(base + 3 * g) and machine.space.access.read(top - 4, 4) == bytes(4)
    machine.limits[RLIMIT_DATA] = 4 * g
    space.munmap(wall, g)
    assert space.brk(base + 8 * g) == base + 3 * g


def test_the_stack_grows_to_its_limit_and_not_into_others(machine: Machine) -> None:
    space, g = machine.space, machine.page
    top = 1000 * machine.unit
    space.map_anonymous(top - 2 * g, 2 * g, 3, flags=GROWSDOWN)
    space.start_stack = top - 16
    machine.limits[RLIMIT_STACK] = 16 * g
    space.access.write(top - 4, b"old!")
    assert space.grow(top - 10 * g + 3)
    space.access.write(top - 10 * g, b"x")
    assert space.access.read(top - 4, 4) == b"old!"
    assert [area.length for area in space.areas] == [10 * g]
    assert space.maps().endswith(b"[stack]\n")
    assert not space.grow(top - 17 * g)
    assert space.grow(top - 16 * g)
    assert not space.grow(top - 4)  # it is there already
    machine.limits.clear()
    below = top - 400 * g
    space.mmap(below, g, 3, ANON | MAP_FIXED)
    assert not space.grow(below + 256 * g)
    assert space.grow(below + 257 * g)


def test_maps_has_the_kernels_form() -> None:
    machine = Machine(4096, 4096)
    machine.host.open(3, SimulatedFile(77, bytes(5 * machine.page)))
    space = machine.space
    space.mmap(0x200000, 0x3000, 5, MAP_PRIVATE | MAP_FIXED, 3, 0x1000)
    space.mmap(0x300000, 0x1000, 3, ANON | MAP_FIXED)
    assert space.maps() == (
        b"00200000-00203000 r-xp 00001000 08:01 77" + b" " * 33 + b"/file77\n"
        b"00300000-00301000 rw-p 00000000 00:00 0 \n"
    )
    first = space.smaps().split(b"\n")
    assert first[1] == b"Size:                 12 kB"
    assert first[2] == b"KernelPageSize:        4 kB"


def test_a_library_comes_back_to_its_place_with_its_translations(machine: Machine) -> None:
    host = machine.host.page
    again = Machine(machine.page, host, place_low=1 << 28, place_high=1 << 29)
    again.host.open(3, SimulatedFile(3, b"lib1" * machine.page * 2))
    again.host.open(4, SimulatedFile(4, b"lib2" * machine.page * 2))
    space, g = again.space, again.page
    first = space.mmap(0, 4 * g, 5, MAP_PRIVATE, 3)
    other = space.mmap(0, 4 * g, 5, MAP_PRIVATE, 4)
    assert 1 << 28 <= first < 1 << 29 and 1 << 28 <= other < 1 << 29
    space.reset()
    assert not again.host.pages and not again.table.map and len(space.areas) == 0
    assert space.mmap(0, 4 * g, 5, MAP_PRIVATE, 4) == other
    assert space.mmap(0, 4 * g, 5, MAP_PRIVATE, 3) == first
    twice = space.mmap(0, 4 * g, 5, MAP_PRIVATE, 3)
    assert twice != first
    assert again.invalidated == []
    if g == host:
        space.mmap(first + g, g, 7, ANON | MAP_FIXED)
        assert again.invalidated == [(first + g, g)]
        again.host.files[3].mtime += 1
        space.mmap(other, 2 * g, 5, MAP_PRIVATE | MAP_FIXED, 3)
        assert again.invalidated[1:] == [(other, 2 * g)]


def test_system_v_segments(machine: Machine) -> None:
    space, g = machine.space, machine.page
    machine.host.files[1000] = SimulatedFile(1000, bytes(max(2 * g, machine.host.page)))
    size = len(machine.host.files[1000].data)
    one = space.shmat(1000, 0, 0, size)
    two = space.shmat(1000, 0, 0o10000, size)
    machine.space.access.write(one, b"segment")
    assert machine.space.access.read(two, 7) == b"segment"
    fails(EINVAL, space.shmat, 1000, one, 0, size)
    fails(EINVAL, space.shmat, 1000, one + 1, 0, size)
    assert space.shmat(1000, one + 1, 0o20000 | 0o40000, size) == one
    fails(EACCES, space.mprotect, two, g, 3)
    assert space.shmdt(one) == 0
    fails(EINVAL, space.shmdt, one)
    assert machine.space.access.read(two, 7) == b"segment"


def test_what_is_readable_can_be_executed_where_hardware_cannot_tell(machine: Machine) -> None:
    space, g = machine.space, machine.page
    at = space.mmap(0, 3 * g, 3, ANON)
    space.mprotect(at + 2 * g, g, 0)
    assert space.executed(at + g + 8)
    assert [perms_at(machine, at + n * g) for n in range(3)] == [3, 7, None]
    assert not space.executed(at + 2 * g)
    assert not space.executed(at + 3 * g)
    space.mprotect(at + g, g, 1)
    assert perms_at(machine, at + g) == 1


def perms_at(machine: Machine, address: int) -> int | None:
    """What the page table allows there; None: nothing."""
    found = machine.table.lookup(address)
    return None if found is None or not found[1] & 7 else found[1] & 7


@pytest.mark.parametrize("hint", [0, 0x60000000, 0x15000000])
def test_low_mappings(hint: int) -> None:
    low, high = 0x10000000, 0x20000000
    machine = Machine(4096, 4096, low_range=(low, high))
    space, g = machine.space, machine.page
    flags = ANON | MAP_32BIT
    followed = low <= hint < high
    assert space.mmap(hint, g, 3, flags) == (hint if followed else low)
    assert space.mmap(hint, g, 3, flags) == (low if followed else low + g)
    fails(ENOMEM, space.mmap, hint, high - low, 3, flags)
    assert space.mmap(0x60000000, g, 3, flags | MAP_FIXED) == 0x60000000


def test_a_file_outgrows_its_window(machine: Machine) -> None:
    """The host's window of the file has room for twice the file, at least a 4096th of the arena."""
    space, g = machine.space, machine.page
    room = max(machine.host.size >> 12, 32 * g) + 4 * g
    at = space.mmap(0, 2 * g, 3, MAP_SHARED, 3)
    again = space.mmap(0, g, 3, MAP_SHARED, 3)
    space.access.write(at, b"kept")
    new = space.mremap(at, 2 * g, room, MREMAP_MAYMOVE)
    assert space.access.read(new, 4) == b"kept"
    space.access.write(new, b"both")
    assert space.access.read(again, 4) == b"both"
    machine.host.files[3].data += bytes(room)
    space.resized()
    space.access.write(new + room - 4, b"last")
    assert machine.host.files[3].data[room - 4 : room] == b"last"
    space.munmap(new, room)
    space.munmap(again, g)
    assert not machine.host.pages and not machine.host.tracked


def test_growth_is_seen_at_the_fault(machine: Machine) -> None:
    """Another process made the file longer, and no system call came between."""
    space, g = machine.space, machine.page
    data = machine.host.files[3].data
    del data[g + 1 :]
    at = space.mmap(0, 4 * g, 3, MAP_SHARED, 3)
    fails(EFAULT, space.access.read, at + 2 * g, 1)
    assert space.access.read(at + g, g)[1:] == bytes(g - 1)
    data += b"n" * (2 * g)
    assert space.access.read(at + 2 * g, 4) == b"nnnn"
    space.access.write(at + 2 * g, b"mine")
    assert data[2 * g : 2 * g + 4] == b"mine"


def test_a_cut_file_takes_private_copies_with_it(machine: Machine) -> None:
    """What a program stored in its own pages past the new end does not come back when the file grows again."""
    space, host, g = machine.space, machine.host, machine.page
    file = host.files[3]
    at = space.mmap(0, 4 * g, 3, MAP_PRIVATE, 3)
    kept = space.mmap(0, 4 * g, 3, MAP_PRIVATE, 4)  # another file
    for address in (at, kept):
        for page in range(4):  # the copies lie side by side: one area that is cut in the middle
            space.access.write(address + page * g, b"mine")
    del file.data[g + 1 :]
    host.truncated(file)
    space.resized()
    for page in (2, 3):
        fails(EFAULT, space.access.read, at + page * g, 1)
        fails(EFAULT, space.access.write, at + page * g, b"x")
    assert space.access.read(at, 4) == space.access.read(at + g, 4) == b"mine"
    file.data += b"n" * (3 * g)
    space.resized()
    assert space.access.read(at + 2 * g, 2 * g) == b"n" * 2 * g
    assert space.access.read(at, 4) == space.access.read(at + g, 4) == b"mine"
    assert all(space.access.read(kept + page * g, 4) == b"mine" for page in range(4))
    space.munmap(at, 4 * g)
    space.munmap(kept, 4 * g)
    assert not host.pages and not host.tracked
