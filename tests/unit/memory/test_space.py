"""mmap and its family for every pair of guest and host page size, against a kernel whose page is the guest's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._core import MemoryFault
from runtime.abi.errors import ENOMEM, GuestError
from runtime.memory.flags import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
)
from tests.effort import tries
from tests.unit.memory.fakes import Beyond, SimulatedFile, SimulatedHost
from tests.unit.memory.machine import PAIRS, Machine

PAGES = 20  # guest pages of the playground
SHARED_FD, PRIVATE_FD = 3, 4
KINDS = {
    "anonymous": (MAP_PRIVATE | MAP_ANONYMOUS, -1),
    "common": (MAP_SHARED | MAP_ANONYMOUS, -1),
    "shared": (MAP_SHARED, SHARED_FD),
    "private": (MAP_PRIVATE, PRIVATE_FD),
}
spans = st.tuples(st.integers(0, PAGES - 1), st.integers(1, 9)).map(
    lambda pair: (pair[0], min(pair[1], PAGES - pair[0]))
)
prots = st.sampled_from([0, 1, 3, 3, 3, 5, 7])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("mmap"), spans, prots, st.sampled_from(sorted(KINDS)), st.integers(0, 4)),
        st.tuples(st.just("munmap"), spans),
        st.tuples(st.just("mprotect"), spans, prots),
        st.tuples(st.just("store"), spans),
        st.tuples(st.just("store"), spans),
        st.tuples(st.just("dontneed"), spans),
        st.tuples(st.just("move"), spans, st.integers(0, PAGES - 1)),
    ),
    max_size=25,
)


def contents(page: int) -> bytes:
    """Five and a half pages, told apart at both ends of each."""
    blocks = (bytes([65 + n]) * 8 + bytes(page - 16) + bytes([97 + n]) * 8 for n in range(6))
    return b"".join(blocks)[: 5 * page + page // 2]


class Pair:
    """The address space under test, and the model: a host with the guest's page, and the guest's permissions."""

    def __init__(self, guest: int, host: int) -> None:
        self.machine = Machine(guest, host)
        self.space = self.machine.space
        self.page = guest
        self.base = 64 * max(guest, host) + guest  # not aligned to a larger host page
        self.model = SimulatedHost(guest, 1 << 32)
        self.prots: dict[int, int] = {}
        self.serial = 0
        for fd in (SHARED_FD, PRIVATE_FD):
            self.machine.host.open(fd, SimulatedFile(fd, contents(guest)))
            self.model.open(fd, SimulatedFile(fd, contents(guest)))

    def at(self, number: int) -> int:
        return self.base + number * self.page

    def mmap(self, span: tuple[int, int], prot: int, kind: str, offset: int) -> None:
        flags, fd = KINDS[kind]
        start = offset * self.page if fd >= 0 else 0
        address, length = self.at(span[0]), span[1] * self.page
        assert self.space.mmap(address, length, prot, flags | MAP_FIXED, fd, start) == address
        self.model.map(address, length, 3, flags, fd, start)
        self.prots.update((n, prot) for n in range(span[0], sum(span)))

    def munmap(self, span: tuple[int, int]) -> None:
        self.space.munmap(self.at(span[0]), span[1] * self.page)
        self.model.release(self.at(span[0]), span[1] * self.page)
        for number in range(span[0], sum(span)):
            self.prots.pop(number, None)

    def mprotect(self, span: tuple[int, int], prot: int) -> None:
        hole = next((n for n in range(span[0], sum(span)) if n not in self.prots), None)
        try:
            self.space.mprotect(self.at(span[0]), span[1] * self.page, prot)
            assert hole is None
        except GuestError as error:
            assert hole is not None and error.errno == ENOMEM
        self.prots.update((n, prot) for n in range(span[0], sum(span) if hole is None else hole))

    def store(self, span: tuple[int, int]) -> None:
        for number in range(span[0], sum(span)):
            self.serial += 1
            data = b"%08d" % self.serial
            try:
                self.machine.table.write(self.at(number), data)
                done = True
            except MemoryFault:
                done = False
            expected = bool(self.prots.get(number, 0) & 2)
            if expected:
                try:
                    self.model.store(self.at(number), data)
                except Beyond:
                    expected = False
            assert done == expected, f"store to page {number}"

    def dontneed(self, span: tuple[int, int]) -> None:
        holes = any(n not in self.prots for n in range(span[0], sum(span)))
        try:
            self.space.madvise(self.at(span[0]), span[1] * self.page, MADV_DONTNEED)
            assert not holes
        except GuestError as error:
            assert holes and error.errno == ENOMEM
        for number in range(span[0], sum(span)):
            page = self.model.pages.get(self.at(number) // self.page)
            if page is not None and not page.shared:
                page.data = None

    def move(self, span: tuple[int, int], target: int) -> None:
        """mremap to a place that is emptied first; refused where the source is not one area."""
        count = min(span[1], PAGES - target)
        if span[0] < target + count and target < span[0] + count:
            return
        self.munmap((target, count))
        old, new, length = self.at(span[0]), self.at(target), count * self.page
        try:
            self.space.mremap(old, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, new)
        except GuestError:
            one = len(self.space.areas.overlapping(old, old + length)) == 1
            assert not (one and self.space.areas.covered(old, old + length))
            return
        pages = [self.model.pages.pop(old // self.page + n) for n in range(count)]
        for position, page in enumerate(pages):
            self.model.pages[new // self.page + position] = page
            self.prots[target + position] = self.prots.pop(span[0] + position)

    def check(self) -> None:
        for number in range(PAGES):
            for skip in (0, self.page - 8):
                address = self.at(number) + skip
                expected: bytes | None = None
                if self.prots.get(number, 0) & 5:
                    try:
                        expected = self.model.load(address, 8)
                    except Beyond:
                        expected = None
                try:
                    found: bytes | None = self.machine.table.read(address, 8)
                except MemoryFault:
                    found = None
                assert found == expected, f"page {number} at {skip}"
        areas = {}
        for area in self.space.areas:
            for address in range(area.start, area.end, self.page):
                areas[(address - self.base) // self.page] = area.prot
        assert areas == self.prots


@pytest.mark.parametrize(("guest", "host"), PAIRS)
@given(steps)
@tries(120)
def test_as_a_kernel_with_the_guests_page(guest: int, host: int, history: list[Any]) -> None:
    pair = Pair(guest, host)
    for what, *arguments in history:
        getattr(pair, what)(*arguments)
    pair.check()
    for fd in (SHARED_FD,):
        assert pair.machine.host.files[fd].data == pair.model.files[fd].data
    pair.munmap((0, PAGES))
    assert not pair.machine.host.pages, "host memory that nobody can reach"
    assert not pair.machine.table.map
