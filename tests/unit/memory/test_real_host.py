"""The same address space on the machine's own memory: the native page table over a real arena."""

import os
import tempfile
import traceback

import pytest

from runtime._core import HOST_PAGE, Arena, MemoryFault, PageTable, signals_start
from runtime.abi.errors import EFAULT, GuestError
from runtime.memory.flags import (
    MADV_DONTDUMP,
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_MAYMOVE,
)
from runtime.memory.host import ArenaHost
from runtime.memory.space import AddressSpace, Limits
from tests.unit.memory.machine import MODEL

ANON = MAP_PRIVATE | MAP_ANONYMOUS


@pytest.fixture(params=[HOST_PAGE, 4 * HOST_PAGE])
def space(request: pytest.FixtureRequest) -> AddressSpace:
    arena = Arena(1 << 40, 1 << 33)
    page = request.param
    limits = Limits(page=page, address_top=1 << 47, mmap_top=1 << 46, min_address=1 << 16)
    return AddressSpace(PageTable(arena, HOST_PAGE), ArenaHost(arena), limits, MODEL)


def test_anonymous_memory_moves_and_forgets(space: AddressSpace) -> None:
    g, table = space.page, space.table
    at = space.mmap(0, 4 * g, 3, ANON)
    space.mmap(at + 4 * g, g, 3, ANON | MAP_FIXED)
    table.write(at, b"data" * g)
    new = space.mremap(at, 4 * g, 64 * g, MREMAP_MAYMOVE)
    assert new != at and table.read(new, 4 * g) == b"data" * g
    assert table.read(new + 63 * g, g) == bytes(g)
    space.madvise(new + g, g, MADV_DONTNEED)
    assert table.read(new + g, g) == bytes(g) and table.read(new, 4) == b"data"
    assert sum(space.mincore(new, 8 * g)) >= 3
    with pytest.raises(MemoryFault):
        table.read(at, 1)
    high = space.mmap((1 << 47) - 4 * g, 2 * g, 3, ANON | MAP_FIXED)  # above the linear half
    table.write(high + 2 * g - 4, b"high")
    assert table.read(high + 2 * g - 4, 4) == b"high"
    space.host.write(space.areas.find(high).place, b"host")  # type: ignore[union-attr]
    assert table.read(high, 4) == b"host"


def test_moves_what_is_several_mappings_to_the_host() -> None:
    """The host does not merge all that looks like one, and a growing move of two at once is EFAULT."""
    arena, page = Arena(1 << 33, 1 << 33), HOST_PAGE
    host = ArenaHost(arena)
    for new_length in (5, 8, 3):
        host.map(0, 5 * page, 3, ANON, -1, 0)
        host.advise(page, 3 * page, MADV_DONTDUMP)  # nothing merges with its neighbours now
        host.write(0, b"".join(bytes([number]) * page for number in range(1, 6)))
        host.move(0, 5 * page, 16 * page, new_length * page, False)
        moved = host.read(16 * page, new_length * page)
        assert list(moved[::page]) == [1, 2, 3, 4, 5, 0, 0, 0][:new_length]
        host.release(0, 32 * page)


@pytest.mark.parametrize("kind", [MAP_PRIVATE, MAP_SHARED])
def test_files(space: AddressSpace, kind: int) -> None:
    """In a child: the handlers that turn SIGBUS into EFAULT are for a whole process."""
    child = os.fork()
    if not child:
        status = 1
        try:
            signals_start()
            files(space, kind)
            status = 0
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - the child must end here
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def files(space: AddressSpace, kind: int) -> None:
    g, access = space.page, space.access
    with tempfile.TemporaryFile() as file:
        file.write(b"f" * (g + 100))
        file.flush()
        at = space.mmap(0, 3 * g, 3, kind, file.fileno(), 0)
        assert access.read(at + g, g) == b"f" * 100 + bytes(g - 100)
        with pytest.raises(GuestError) as caught:
            space.access.read(at + 2 * g, 1)
        assert caught.value.errno == EFAULT
        access.write(at, b"new")
        assert os.pread(file.fileno(), 3, 0) == (b"new" if kind == MAP_SHARED else b"fff")
        new = space.mremap(at, 3 * g, 4 * g, MREMAP_MAYMOVE)
        assert access.read(new, 4) == b"newf"
        assert access.read(new + g, g) == b"f" * 100 + bytes(g - 100)
        space.madvise(new, g, MADV_DONTNEED)
        assert access.read(new, 3) == (b"new" if kind == MAP_SHARED else b"fff")
        os.ftruncate(file.fileno(), 0)
        with pytest.raises(GuestError):
            space.access.read(new, 1)


def test_exec_leaves_nothing(space: AddressSpace) -> None:
    g = space.page
    at = space.mmap(0, 4 * g, 3, ANON)
    space.table.write(at, b"secret")
    space.reset()
    assert space.mmap(at, 4 * g, 3, ANON | MAP_FIXED) == at
    assert space.table.read(at, 6) == bytes(6)
    assert space.figures().total == 4 * g
