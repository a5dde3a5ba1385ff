"""mmap and its family for every pair of guest and host page size, against a kernel whose page is the guest's.

Random histories of calls, stores and loads, and of changes to the mapped files by this process and by others. The model
is a simulated host whose page is the guest's. OCTAVO_HISTORIES=10000 tries that many for each pair.
"""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

HISTORIES = int(os.environ.get("OCTAVO_HISTORIES", "250"))
PAGES = 20  # guest pages of the playground
FILE_PAGES = 8
BOTH_FD, OTHER_FD, READ_ONLY_FD = 3, 4, 5
FILES = (BOTH_FD, OTHER_FD, READ_ONLY_FD)
KINDS = {
    "anonymous": (MAP_PRIVATE | MAP_ANONYMOUS, -1),
    "common": (MAP_SHARED | MAP_ANONYMOUS, -1),
    "shared": (MAP_SHARED, BOTH_FD),
    "private": (MAP_PRIVATE, BOTH_FD),
    "shared other": (MAP_SHARED, OTHER_FD),
    "private other": (MAP_PRIVATE, OTHER_FD),
    "library": (MAP_PRIVATE, READ_ONLY_FD),
}
spans = st.tuples(st.integers(0, PAGES - 1), st.integers(1, 9)).map(
    lambda pair: (pair[0], min(pair[1], PAGES - pair[0]))
)
prots = st.sampled_from([0, 1, 3, 3, 3, 5, 7])
# lengths of files in 1/16 of a guest page, and a few bytes more or less
lengths = st.tuples(st.integers(0, 16 * FILE_PAGES), st.sampled_from([0, 0, 1, 100]))
# where in a page: its first bytes, its last, or those of one of its sixteenths
spots = st.sampled_from([0, 0, 0, 15, 15, 1, 4, 7, 12])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("mmap"), spans, prots, st.sampled_from(sorted(KINDS)), st.integers(0, 4)),
        st.tuples(st.just("mmap"), spans, prots, st.sampled_from(sorted(KINDS)), st.integers(0, 4)),
        st.tuples(st.just("munmap"), spans),
        st.tuples(st.just("mprotect"), spans, prots),
        st.tuples(st.just("store"), spans, spots),
        st.tuples(st.just("store"), spans, spots),
        st.tuples(st.just("load"), spans, spots),
        st.tuples(st.just("dontneed"), spans),
        st.tuples(st.just("remap"), spans, st.integers(0, PAGES - 1), st.integers(0, 9)),
        st.tuples(st.just("ftruncate"), st.sampled_from(FILES), lengths, st.booleans()),
        st.tuples(st.just("pwrite"), st.sampled_from(FILES), lengths),
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
        for fd in FILES:
            access = 0 if fd == READ_ONLY_FD else 2
            self.machine.host.open(fd, SimulatedFile(fd, contents(guest), access))
            self.model.open(fd, SimulatedFile(fd, contents(guest), access))

    def at(self, number: int) -> int:
        return self.base + number * self.page

    def inside(self, spot: int) -> int:
        """Offset in a page."""
        return self.page - 8 if spot == 15 else self.page // 16 * spot

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

    def before_guest_code(self) -> None:
        """What the run loop does before the guest goes on after a system call."""
        if self.machine.table.resized():
            self.space.resized(everything=False)

    def store(self, span: tuple[int, int], spot: int) -> None:
        self.before_guest_code()
        for number in range(span[0], sum(span)):
            self.serial += 1
            data = b"%08d" % self.serial
            address = self.at(number) + self.inside(spot)
            expected = bool(self.prots.get(number, 0) & 2)
            if expected:
                if self._nobodys(address, len(data)):
                    continue
                expected = self._model_store(address, data)
            try:
                self.space.access.write(address, data)
                done = True
            except GuestError:
                done = False
            assert done == expected, f"store to page {number} at {spot}"

    def _nobodys(self, address: int, length: int) -> bool:
        """Past the end of a shared file, in its last page: a kernel does not say who sees what is stored there."""
        page = self.model.pages[address // self.page]
        if not page.shared or page.file is None or page.start >= len(page.file.data):
            return False
        return len(page.file.data) - page.start - address % self.page < length

    def _model_store(self, address: int, data: bytes) -> bool:
        try:
            self.model.store(address, data)
        except Beyond:
            return False
        return True

    def load(self, span: tuple[int, int], spot: int) -> None:
        self.before_guest_code()
        for number in range(span[0], sum(span)):
            address = self.at(number) + self.inside(spot)
            expected: bytes | None = None
            if self.prots.get(number, 0) & 5:
                try:
                    expected = self.model.load(address, 8)
                except Beyond:
                    expected = None
            try:
                found: bytes | None = self.space.access.read(address, 8)
            except GuestError:
                found = None
            assert found == expected, f"page {number} at {spot}"

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

    def remap(self, span: tuple[int, int], target: int, count: int) -> None:
        """mremap to a place that is emptied first, with another length; refused where the source is not one area."""
        count = min(count or span[1], PAGES - target)
        if span[0] < target + count and target < sum(span):
            return
        self.munmap((target, count))
        old, new = self.at(span[0]), self.at(target)
        length = min(count, span[1])
        there = self.space.areas.find(old)
        one = there is not None and self.space.areas.extent(there) >= old + length * self.page
        try:
            self.space.mremap(
                old, span[1] * self.page, count * self.page, MREMAP_MAYMOVE | MREMAP_FIXED, new
            )
            assert one
        except GuestError:
            assert not one
        if there is not None and count < span[1]:  # cut before the rest is looked at
            self.model.release(old + count * self.page, (span[1] - count) * self.page)
            for number in range(span[0] + count, sum(span)):
                self.prots.pop(number, None)
        if not one:
            return
        self.model.move(old, length * self.page, new, count * self.page, False)
        prot = self.prots[span[0]]
        for number in range(length):
            self.prots.pop(span[0] + number)
        self.prots.update((target + n, prot) for n in range(count))

    def ftruncate(self, fd: int, length: tuple[int, int], own: bool) -> None:
        size = length[0] * self.page // 16 + length[1]
        shorter = size < len(self.model.files[fd].data)
        for host in (self.machine.host, self.model):
            file = host.files[fd]
            if size <= len(file.data):
                del file.data[size:]
            else:
                file.data += bytes(size - len(file.data))
        self.model.truncated(self.model.files[fd])
        self.machine.host.truncated(self.machine.host.files[fd])
        # Another process's change is seen at the next system call. Two of them between two calls look like one, and of
        # a file that nobody here writes to or shares, only our own changes and growth are looked for.
        if own or (shorter and fd == READ_ONLY_FD):
            self.space.resized()
        else:
            self.before_guest_code()

    def pwrite(self, fd: int, place: tuple[int, int]) -> None:
        at = place[0] * self.page // 16 + place[1]
        self.serial += 1
        for host in (self.machine.host, self.model):
            data = host.files[fd].data
            if at + 8 <= len(data):
                data[at : at + 8] = b"%08d" % self.serial

    def check(self) -> None:
        for spot in (0, 1, 4, 7, 12, 15):
            self.load((0, PAGES), spot)
        areas = {}
        for area in self.space.areas:
            for address in range(area.start, area.end, self.page):
                areas[(address - self.base) // self.page] = area.prot
        assert areas == self.prots


@pytest.mark.parametrize(("guest", "host"), PAIRS)
@given(steps)
@tries(HISTORIES)
def test_as_a_kernel_with_the_guests_page(guest: int, host: int, history: list[Any]) -> None:
    pair = Pair(guest, host)
    for what, *arguments in history:
        getattr(pair, what)(*arguments)
    pair.check()
    for fd in FILES:
        assert pair.machine.host.files[fd].data == pair.model.files[fd].data
    pair.munmap((0, PAGES))
    assert not pair.machine.host.pages, "host memory that nobody can reach"
    assert not pair.machine.host.tracked, "descriptors that nobody needs"
    assert not pair.machine.table.map
