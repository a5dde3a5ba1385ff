"""What the guest asked for: a sorted map of areas [start, end) with their attributes, as the kernel's VMA tree.

Pure bookkeeping over integers: nothing here maps anything. Addresses and lengths are bytes; callers keep them aligned
to the guest page (this file never asks for its size). Neighbours that differ in nothing are one area, as in
/proc/PID/maps.
"""

from _collections_abc import Callable, Iterator
from bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.windows import Store

SHARED = 1 << 0  # MAP_SHARED of a writable file, or of memory: stores are seen by others
MAYSHARE = (
    1 << 1
)  # MAP_SHARED was asked for (a read-only file's shared mapping has only this): 's' in maps
GROWSDOWN = 1 << 2
NORESERVE = 1 << 3
LOCKED = 1 << 4
LOCKONFAULT = 1 << 5
DONTFORK = 1 << 6
WIPEONFORK = 1 << 7
DONTDUMP = 1 << 8
HUGE = 1 << 9
NOHUGE = 1 << 10
MERGEABLE = 1 << 11
RANDOM = 1 << 12
SEQUENTIAL = 1 << 13
SPECIAL = 1 << 14  # vDSO and the like: no mremap growth, no madvise(DONTNEED)
BACKED = (
    1 << 15
)  # host memory is mapped; without it the area is a PROT_NONE reservation that costs nothing
WRITTEN = 1 << 16  # was writable at some time: its bytes may differ from the file's
SYSV = 1 << 17  # attached by shmat
FIXED_BYTES = (
    1 << 18
)  # lies in host memory that is not ours to unmap page by page (reserved for sub-page backing)

WINDOWED = 1 << 19  # a file in a window of windows.py: `place` is the window's, unless COPIED
COPIED = 1 << 20  # private pages of a WINDOWED area that are no longer the page cache's

# Bookkeeping of ours: two areas that differ only in these are one line of /proc/PID/maps.
INTERNAL = BACKED | WRITTEN | FIXED_BYTES | WINDOWED | COPIED


class File:
    """The file behind an area: identity (for maps, merging and kept translations), and what its descriptor allows.

    `dev`, `ino`, `size` (bytes), `mtime` and `ctime` (ns) as stat(2) gave them when it was mapped; `name` is the path
    as /proc/PID/maps shows it. `sized`: a regular file, beyond whose end is SIGBUS. `stable` is False when the bytes
    may change without the times telling.
    """

    __slots__ = (
        "changing",
        "ctime",
        "dev",
        "ino",
        "mtime",
        "name",
        "size",
        "sized",
        "stable",
        "store",
    )

    def __init__(
        self,
        *,
        dev: int,
        ino: int,
        name: bytes,
        size: int = 0,
        mtime: int = 0,
        ctime: int = 0,
        stable: bool = False,
        sized: bool = False,
    ) -> None:
        self.sized = sized
        self.dev = dev
        self.ino = ino
        self.name = name
        self.size = size
        self.mtime = mtime
        self.ctime = ctime
        self.stable = stable
        self.store: Store | None = None  # of its WINDOWED areas
        self.changing = False  # was mapped through a descriptor that can write

    def twin(self, store: "Store") -> "File":
        """The same file, in another window."""
        other = File(
            dev=self.dev,
            ino=self.ino,
            name=self.name,
            size=self.size,
            mtime=self.mtime,
            ctime=self.ctime,
            stable=self.stable,
            sized=self.sized,
        )
        other.changing = self.changing
        other.store = store
        return other

    def __repr__(self) -> str:
        return f"File({self.dev:#x}:{self.ino} {self.name!r} {self.size})"

    def same(self, other: "File | None") -> bool:
        """True if areas of the two may be merged: the same inode under the same name in the same state."""
        return self is other or (
            other is not None
            and self.ino == other.ino
            and self.dev == other.dev
            and self.name == other.name
            and self.size == other.size
            and self.mtime == other.mtime
            and self.ctime == other.ctime
            and self.store is other.store
        )


class Area:
    """[start, end) of guest addresses. `place` is the arena offset of `start`; `offset` the file offset of `start` (0
    without a file); `prot` and `may` are PROT_* bits (may: what mprotect can give); `flags` the words above."""

    __slots__ = ("end", "file", "flags", "may", "name", "offset", "place", "prot", "start")

    def __init__(
        self,
        start: int,
        end: int,
        *,
        prot: int,
        may: int = 7,
        flags: int = 0,
        place: int = 0,
        file: File | None = None,
        offset: int = 0,
        name: bytes = b"",
    ) -> None:
        self.start = start
        self.end = end
        self.prot = prot
        self.may = may
        self.flags = flags
        self.place = place
        self.file = file
        self.offset = offset
        self.name = name

    def __repr__(self) -> str:
        return (
            f"Area({self.start:#x}-{self.end:#x} prot={self.prot} flags={self.flags:#x} "
            f"place={self.place:#x} {self.file or self.name!r}+{self.offset:#x})"
        )

    @property
    def length(self) -> int:
        return self.end - self.start

    def part(self, start: int, end: int) -> "Area":
        """A copy that covers only [start, end), which must lie inside."""
        skip = start - self.start
        return Area(
            start,
            end,
            prot=self.prot,
            may=self.may,
            flags=self.flags,
            place=self.place + skip,
            file=self.file,
            offset=self.offset + skip if self.file is not None else 0,
            name=self.name,
        )

    def place_of(self, address: int) -> int:
        """Arena offset of a guest address inside the area."""
        return self.place + address - self.start

    def continues(self, other: "Area", ignore: int = 0, places: bool = True) -> bool:
        """True if `other` begins where this ends and differs in nothing but flags in `ignore` (and, on demand,
        place)."""
        if (
            self.end != other.start
            or self.prot != other.prot
            or (self.flags ^ other.flags) & ~ignore
            or self.may != other.may
            or self.name != other.name
            or (places and self.place + (self.end - self.start) != other.place)
        ):
            return False
        if self.file is None:
            return other.file is None
        return self.file.same(other.file) and self.offset + (self.end - self.start) == other.offset


class AreaMap:
    """Areas in order of address. `guard` bytes below a GROWSDOWN area are kept free by the gap searches."""

    __slots__ = ("_areas", "_ceiling", "_starts", "_tops", "guard", "total")

    def __init__(self, guard: int = 0) -> None:
        self.guard = guard
        self.total = 0  # bytes in all areas
        self._starts: list[int] = []
        self._areas: list[Area] = []
        # _tops[k]: every gap in [_tops[k], _ceiling) is smaller than 2**k. Makes repeated top-down searches cheap.
        self._tops: dict[int, int] = {}
        self._ceiling = 0

    def __len__(self) -> int:
        return len(self._areas)

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas)

    def clear(self) -> None:
        self._starts.clear()
        self._areas.clear()
        self._tops.clear()
        self.total = 0

    def find(self, address: int) -> Area | None:
        """The area that contains the address."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._areas[index].end:
            return self._areas[index]
        return None

    def following(self, address: int) -> Area | None:
        """The first area that ends above the address (find_vma of the kernel)."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._areas[index].end:
            return self._areas[index]
        index += 1
        return self._areas[index] if index < len(self._areas) else None

    def preceding(self, address: int) -> Area | None:
        """The last area that starts below the address."""
        index = bisect_left(self._starts, address) - 1
        return self._areas[index] if index >= 0 else None

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """Index range of the areas that overlap [start, end)."""
        low = bisect_right(self._starts, start) - 1
        if low < 0 or self._areas[low].end <= start:
            low += 1
        return low, bisect_left(self._starts, end, low)

    def extent(self, area: Area) -> int:
        """Where the kernel's area ends that this one is the first part of: parts that differ only in our own
        bookkeeping count as one."""
        index = bisect_left(self._starts, area.start)
        while index + 1 < len(self._areas):
            following = self._areas[index + 1]
            if not self._areas[index].continues(following, INTERNAL, False):
                break
            index += 1
        return self._areas[index].end

    def overlapping(self, start: int, end: int) -> list[Area]:
        """The areas that share a byte with [start, end), whole."""
        low, high = self._span(start, end)
        return self._areas[low:high]

    def overlaps(self, start: int, end: int) -> bool:
        low, high = self._span(start, end)
        return low < high

    def pieces(self, start: int, end: int) -> list[Area]:
        """Copies of what lies in [start, end), cut to it."""
        return [
            area.part(max(area.start, start), min(area.end, end))
            for area in self.overlapping(start, end)
        ]

    def covered(self, start: int, end: int) -> bool:
        """True if no byte of [start, end) is a hole."""
        for area in self.overlapping(start, end):
            if area.start > start:
                return False
            start = area.end
        return start >= end

    def splits(self, start: int, end: int) -> int:
        """How many more areas there would be if [start, end) were cut out and put back changed (0..2)."""
        count = 0
        first = self.find(start)
        if first is not None and first.start < start:
            count += 1
        last = self.find(end)
        if last is not None and last.start < end:
            count += 1
        return count

    def insert(self, area: Area) -> Area:
        """Add an area where nothing is; returns it or what it was merged into. ValueError if something is there."""
        if area.start >= area.end:
            raise ValueError(f"empty area: {area!r}")
        low, high = self._span(area.start, area.end)
        if low != high:
            raise ValueError(f"{area!r} overlaps {self._areas[low]!r}")
        self.total += area.end - area.start
        if low < len(self._areas) and area.continues(self._areas[low]):
            area.end = self._areas[low].end
            del self._areas[low]
            del self._starts[low]
        if low and self._areas[low - 1].continues(area):
            merged = self._areas[low - 1]
            merged.end = area.end
            return merged
        self._areas.insert(low, area)
        self._starts.insert(low, area.start)
        return area

    def remove(self, start: int, end: int) -> list[Area]:
        """Cut [start, end) out; returns the pieces that were in it."""
        removed = self._cut(start, end)
        if removed:
            self._widen(end)
        return removed

    def _cut(self, start: int, end: int) -> list[Area]:
        low, high = self._span(start, end)
        if low == high:
            return []
        removed = [
            area.part(max(area.start, start), min(area.end, end)) for area in self._areas[low:high]
        ]
        first, last = self._areas[low], self._areas[high - 1]
        keep = []
        if first.start < start:
            keep.append(first.part(first.start, start))
        if last.end > end:
            keep.append(last.part(end, last.end))
        self._areas[low:high] = keep
        self._starts[low:high] = [area.start for area in keep]
        self.total -= sum(area.end - area.start for area in removed)
        return removed

    def _widen(self, end: int) -> None:
        """A hole now ends at `end` or at the next area above it: correct what the search remembers."""
        if not self._tops:
            return
        after = self.following(end - 1)
        # The guard below a stack is no usable gap, but being too careful here only costs time.
        top = after.start if after is not None else self._ceiling
        for order, known in self._tops.items():
            if known < top:
                self._tops[order] = top

    def change(self, start: int, end: int, alter: Callable[[Area], None]) -> None:
        """Call `alter` on each piece of [start, end) (it may change anything but start and end), and merge again."""
        pieces = self._cut(start, end)
        for piece in pieces:
            alter(piece)
            self.insert(piece)
        if pieces:
            self._join(pieces[-1].end)

    def _join(self, address: int) -> None:
        """Merge the areas that meet at the address, if they may."""
        index = bisect_left(self._starts, address)
        if 0 < index < len(self._areas) and self._areas[index - 1].continues(self._areas[index]):
            self._areas[index - 1].end = self._areas[index].end
            del self._areas[index]
            del self._starts[index]

    def _bottom(self, index: int) -> int:
        """Lowest address that the area keeps others from: its start, or its guard's."""
        area = self._areas[index]
        return area.start - self.guard if area.flags & GROWSDOWN else area.start

    def free(self, start: int, end: int) -> bool:
        """True if [start, end) is a hole that touches no stack's guard."""
        low, high = self._span(start, end)
        if low != high:
            return False
        return high >= len(self._areas) or end <= self._bottom(high)

    def gap_below(self, length: int, low: int, high: int, align: int, residue: int = 0) -> int:
        """Highest address a in [low, high - length] with a % align == residue and [a, a + length) free, or -1."""
        if high != self._ceiling:
            self._ceiling = high
            self._tops.clear()
        order = length.bit_length() - 1
        top = min(high, self._tops.get(order, high))
        known = False  # whether _tops[order] has been settled in this search
        index = bisect_left(self._starts, top) - 1
        if index + 1 < len(self._areas):
            top = min(top, self._bottom(index + 1))
        while top - low >= length:
            bottom = self._areas[index].end if index >= 0 else 0
            gap = top - max(bottom, low)
            if not known and top - bottom >= 1 << order:
                self._tops[order] = (
                    max(top, self._starts[index + 1]) if index + 1 < len(self._starts) else top
                )
                known = True
            if gap >= length:
                address = top - length
                address -= (address - residue) % align
                if address >= low and address >= bottom:
                    return address
            if index < 0:
                break
            top = self._bottom(index)
            index -= 1
        return -1

    def gap_above(self, length: int, low: int, high: int, align: int, residue: int = 0) -> int:
        """Lowest address a >= low with a % align == residue, a + length <= high and [a, a + length) free, or -1."""
        index = bisect_right(self._starts, low) - 1
        address = low
        if index >= 0 and self._areas[index].end > address:
            address = self._areas[index].end
        index += 1
        while True:
            address += (residue - address) % align
            if address + length > high:
                return -1
            if index >= len(self._areas) or address + length <= self._bottom(index):
                return address
            address = max(address, self._areas[index].end)
            index += 1
