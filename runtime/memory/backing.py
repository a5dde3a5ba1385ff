"""Which host memory holds the guest's pages.

All guest memory of a process lies in one arena of host address space. An area is *linear* when the arena offset of a
byte is its guest address; it lies in a *window* (a piece of the arena's upper half) when its guest address is above the
lower half, or when the host page is larger than the guest page and the area cannot share host pages with its
neighbours.

Host permissions are a superset of the guest's: private memory is readable and writable on the host, shared file memory
as its descriptor allows. The page table alone knows what the guest may do.
"""

from bisect import bisect_left, bisect_right

from runtime.abi.errors import ENOMEM, GuestError
from runtime.memory.areas import BACKED, MAYSHARE, NORESERVE, WINDOWED, Area
from runtime.memory.flags import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.memory.host import HostMemory


class Intervals:
    """A set of integers kept as sorted, disjoint [start, end)."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, *initial: tuple[int, int]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in initial:
            self.add(start, end)

    def __iter__(self) -> "Iterator[tuple[int, int]]":
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def discard(self, start: int, end: int) -> None:
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return
        pieces = []
        if self._starts[low] < start:
            pieces.append((self._starts[low], start))
        if self._ends[high - 1] > end:
            pieces.append((end, self._ends[high - 1]))
        self._starts[low:high] = [piece[0] for piece in pieces]
        self._ends[low:high] = [piece[1] for piece in pieces]

    def touches(self, start: int, end: int) -> bool:
        """True if some member lies in [start, end)."""
        low = bisect_right(self._ends, start)
        return low < len(self._starts) and self._starts[low] < end

    def claim(self, start: int, end: int) -> bool:
        """Remove [start, end) if all of it is there."""
        index = bisect_right(self._starts, start) - 1
        if index < 0 or self._ends[index] < end:
            return False
        self.discard(start, end)
        return True

    def take(self, length: int) -> int:
        """Remove the lowest run of `length` and return its start; -1 when there is none."""
        for start, end in zip(self._starts, self._ends, strict=True):
            if end - start >= length:
                self.discard(start, start + length)
                return start
        return -1


class Backing:
    """Places guest memory in the arena. `page` is the guest page in bytes; host and guest page are powers of two.

    Every method takes guest-page aligned lengths; what the host gets is host-page aligned.
    """

    __slots__ = (
        "_busy", "_copies", "_upper", "_windows", "forget", "host", "linear", "page", "small",
    )  # fmt: skip

    def __init__(
        self,
        host: "HostMemory",
        page: int,
        forget: "Callable[[int, int], None]" = lambda offset, length: None,
    ) -> None:
        self.host = host
        self.forget = forget  # memory at (arena offset, bytes) is new: nobody has touched it
        self.linear = host.size // 2  # guest addresses below are their own arena offsets
        self._upper = host.size - host.size // 8  # single pages above, which may share a host page
        self._begin(page)

    def _begin(self, page: int) -> None:
        self.page = page
        self.small = page < self.host.page  # several guest pages share a host page
        self._windows = Intervals((self.linear, self._upper))  # free part of the upper half
        self._copies = Intervals((self._upper, self.host.size))
        self._busy = Intervals()  # arena bytes in use, kept only when host pages are shared

    def reset(self, page: int) -> None:
        """Everything back to a reservation, in one host call; `page` is the next guest's."""
        self.host.release(0, self.host.size)
        self._begin(page)

    def round_window(self, length: int) -> int:
        """Windows are whole host pages and whole guest pages."""
        unit = max(self.page, self.host.page)
        return (length + unit - 1) & -unit

    def window(self, length: int, seed: int = -1) -> int:
        """A free part of the upper half, without memory; ENOMEM. `seed`: the same place for the same file, whichever
        program maps it, so that its translations are found again."""
        length = self.round_window(length)
        if seed >= 0:
            slots = (self._upper - self.linear) // length
            for _ in range(4 if slots else 0):
                seed = (seed * 0x5851F42D4C957F2D + 0x14057B7EF767814F) & ((1 << 64) - 1)
                place = self.linear + (seed >> 20) % slots * length
                if self._windows.claim(place, place + length):
                    return place
        place = self._windows.take(length)
        if place < 0:
            raise GuestError(ENOMEM)
        return place

    def give_back(self, place: int, length: int, mapped: bool = True) -> None:
        """Free a window; `mapped`: its host memory too."""
        if mapped:
            self.host.release(place, length)
        self._windows.add(place, place + self.round_window(length))

    def copy_place(self) -> int:
        """Host memory for one private guest page that is about to be written whole; ENOMEM."""
        place = self._copies.take(self.page)
        if place < 0:
            raise GuestError(ENOMEM)
        first, last = self._own(place, self.page) if self.small else (place, place + self.page)
        if first < last:
            try:
                kind = MAP_PRIVATE | MAP_ANONYMOUS
                self.host.map(first, last - first, PROT_READ | PROT_WRITE, kind, -1, 0)
            except GuestError:
                self._copies.add(place, place + self.page)
                raise
        if self.small:
            self._busy.add(place, place + self.page)
        return place

    def drop_copy(self, place: int, length: int) -> None:
        """Give up pages of copy_place."""
        if self.small:
            self._busy.discard(place, place + length)
        first, last = self._own(place, length) if self.small else (place, place + length)
        if first < last:
            self.host.release(first, last - first)
        self._copies.add(place, place + length)

    def is_linear(self, guest: int, length: int, exclusive: bool) -> bool:
        """Where `place` would put it. `exclusive`: its host pages cannot hold anything else (files, shared memory)."""
        return guest + length <= self.linear and not (self.small and exclusive)

    def reserve(self, guest: int, length: int) -> tuple[int, bool]:
        """(arena offset, whether host memory is there) for memory nobody may touch yet (PROT_NONE)."""
        if guest + length <= self.linear:
            return guest, False
        place = self.window(self.round_host(length))
        if self.small:
            # Later calls could not tell the unused rest of a host page from a reserved one.
            self.anonymous(length, place, MAP_NORESERVE)
        return place, self.small

    def round_host(self, length: int) -> int:
        return (length + self.host.page - 1) & -self.host.page

    def anonymous(self, length: int, place: int, flags: int) -> None:
        """Put private zero memory at a reserved place. `flags`: MAP_NORESERVE or 0."""
        kind = MAP_PRIVATE | MAP_ANONYMOUS | flags
        if not self.small:
            self.host.map(place, length, PROT_READ | PROT_WRITE, kind, -1, 0)
            return
        first, last = self._own(place, length)
        if first < last:
            self.host.map(first, last - first, PROT_READ | PROT_WRITE, kind, -1, 0)
            self._zero(place, first)
            self._zero(last, place + length)
        else:
            self._zero(place, place + length)
        self._busy.add(place, place + length)
        self.forget(place, length)

    def private(self, guest: int, length: int, flags: int) -> int:
        """Private zero memory for the guest; returns its arena offset. `flags` as for `anonymous`."""
        linear = guest + length <= self.linear
        place = guest if linear else self.window(self.round_host(length))
        try:
            self.anonymous(length, place, flags)
        except GuestError:
            if not linear:
                self._abandon(place, length)
            raise
        return place

    def _zero(self, start: int, end: int) -> None:
        if start < end:
            self.host.write(start, bytes(end - start))

    def _own(self, place: int, length: int) -> tuple[int, int]:
        """The host pages (arena range, perhaps empty) that hold bytes of [place, place + length) and no others
        in use."""
        unit = self.host.page
        end = place + length
        first, last = place & -unit, self.round_host(end)
        if first < place and self._busy.touches(first, place):
            first += unit
        if last > end and last > first and self._busy.touches(end, last):
            last -= unit
        return first, max(first, last)

    def exclusive(self, guest: int, length: int, prot: int, flags: int, fd: int, start: int) -> int:
        """Map a file or shared memory for the guest; returns its arena offset. `start`: file offset,
        guest-page aligned."""
        lead = start & (self.host.page - 1)
        size = self.round_host(lead + length) if self.small else length
        if self.is_linear(guest, length, True):
            place = guest
        else:
            place = self.window(self.round_host(size))
        try:
            self.host.map(place, size, prot, flags, fd, start - lead)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place + lead, place + lead + length)
        return place + lead

    def attach(self, guest: int, length: int, shmid: int, flags: int) -> int:
        """Attach a System V segment for the guest; returns its arena offset."""
        place = guest
        size = self.round_host(length)
        if not self.is_linear(guest, length, True):
            place = self.window(size)
        try:
            self.host.attach(place, shmid, flags)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place, place + length)
        return place

    def _abandon(self, place: int, size: int) -> None:
        """A host call on the range failed, perhaps half way."""
        self.host.release(place, size)
        if place >= self.linear:
            self._windows.add(place, place + self.round_host(size))

    def drop(self, place: int, length: int, backed: bool) -> None:
        """The guest no longer has these bytes of the arena. `backed`: host memory was mapped there."""
        if not self.small:
            first, last = place, place + length
        else:
            if backed:
                self._busy.discard(place, place + length)
            first, last = self._own(place, length)
        if backed and first < last:
            self.host.release(first, last - first)
        if place >= self.linear:
            self._windows.add(first, last)

    def transfer(self, old: Area, target: int, length: int, keep: bool) -> int:
        """Move an area's memory (mremap) for guest addresses [target, target + length); returns its arena offset.
        Shared memory with an empty `old` is duplicated from old.place. `keep`: zero memory stays at the old place."""
        if old.flags & WINDOWED:
            return old.place  # it has nothing to do with the guest address
        if not old.flags & BACKED:
            place, _backed = self.reserve(target, length)
            if not keep:
                self.drop(old.place, old.length, False)
            return place
        spare = MAP_NORESERVE if old.flags & NORESERVE else 0
        if old.file is None:
            place = self.private(target, length, spare)
            self._carry(old, place, min(old.length, length), keep, spare)
            return place
        return self._transfer_file(old, target, length)

    def _carry(self, old: Area, place: int, length: int, keep: bool, spare: int) -> None:
        """Move the bytes of private zero memory into the memory that is already at `place`."""
        if self.small and (old.place | place | length) & (self.host.page - 1):
            self.host.copy(old.place, place, length)
            if keep:
                self._zero(old.place, old.place + length)
                self.forget(old.place, length)
            else:
                self.drop(old.place, old.length, True)
            return
        self.host.move(old.place, length, place, length, False)
        if keep:
            self.forget(old.place, length)
            self.host.map(old.place, length, 3, MAP_PRIVATE | MAP_ANONYMOUS | spare, -1, 0)
        else:
            self.drop(old.place, old.length, True)

    def _transfer_file(self, old: Area, target: int, length: int) -> int:
        if self.small and old.length == length:
            # A window's place has nothing to do with its guest address: it can stay where it is.
            return old.place
        unit = self.host.page
        lead = old.place & (unit - 1) if self.small else 0
        size = self.round_host(lead + length) if self.small else length
        copy = bool(old.flags & MAYSHARE)
        place = (
            target if self.is_linear(target, length, True) else self.window(self.round_host(size))
        )
        first = old.place - lead
        extent = self.round_host(lead + old.length) if self.small else old.length
        try:
            if (
                not copy
                and self.small
                and self._own(old.place, old.length) != (first, first + extent)
            ):
                # A neighbour has a part of the host page: a private file's bytes can only be copied.
                self.host.map(place, size, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                self.host.copy(old.place, place + lead, min(old.length, length))
            else:
                self.host.move(first, extent, place, size, copy)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place + lead, place + lead + length)
        if old.length:
            self.drop(old.place, old.length, True)
        return place + lead

    def advise_zero(self, place: int, length: int) -> None:
        """Private zero memory back to zero (MADV_DONTNEED), also where a host page is shared with neighbours."""
        first, last = self._own(place, length) if self.small else (place, place + length)
        if self.small:
            self.forget(place, length)
        if first < last:
            self.host.advise(first, last - first, MADV_DONTNEED)
            self._zero(place, first)
            self._zero(last, place + length)
        else:
            self._zero(place, place + length)

    def advise_file(self, place: int, length: int) -> None:
        """Private file memory back to the file's bytes, neighbours in the same host page left as they are."""
        if not self.small:
            self.host.advise(place, length, MADV_DONTNEED)
            return
        unit = self.host.page
        start, end = place & -unit, self.round_host(place + length)
        kept = []
        for at in (*range(start, place, self.page), *range(place + length, end, self.page)):
            if self._busy.touches(at, at + self.page):
                try:
                    kept.append((at, self.host.read(at, self.page)))
                except GuestError:
                    continue  # beyond the end of the file: nothing to keep
        self.host.advise(start, end - start, MADV_DONTNEED)
        for at, data in kept:
            if self.host.read(at, len(data)) != data:
                self.host.write(at, data)

    def whole(self, place: int, length: int) -> tuple[int, int]:
        """(offset, length) of all host pages that hold bytes of the range, for calls that may touch neighbours."""
        start = place & -self.host.page
        return start, self.round_host(place + length) - start
