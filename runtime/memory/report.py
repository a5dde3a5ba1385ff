"""/proc/self/maps, smaps, pagemap and the sizes in stat, from the area map: guest addresses, guest pages, the kernel's
format.

Source: fs/proc/task_mmu.c (show_map_vma, show_smap, pagemap_read).
"""

import os
from os import major, minor

from runtime.abi.errors import GuestError
from runtime.memory import advice
from runtime.memory.areas import (
    BACKED,
    DONTDUMP,
    DONTFORK,
    GROWSDOWN,
    HUGE,
    INTERNAL,
    LOCKED,
    LOCKONFAULT,
    MAYSHARE,
    MERGEABLE,
    NOHUGE,
    NORESERVE,
    RANDOM,
    SEQUENTIAL,
    SHARED,
    SPECIAL,
    WIPEONFORK,
    Area,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from runtime.memory.space import AddressSpace

NAME_COLUMN = (
    72  # 25 + 6 * sizeof(void *) - 1 of a 64-bit kernel; a blank more goes before the name
)
CHUNK = 1 << 30  # bytes of guest memory looked at in one go
PRESENT, FILE_PAGE, FRAME = 1 << 63, 1 << 61, (1 << 55) - 1  # of an entry of pagemap
# show_smap_vma_flags: in the order of the kernel's flag bits.
VM_WORDS = (
    (SHARED, b"sh"),
    (GROWSDOWN, b"gd"),
    (LOCKED, b"lo"),
    (SEQUENTIAL, b"sr"),
    (RANDOM, b"rr"),
    (DONTFORK, b"dc"),
    (SPECIAL, b"de"),
    (NORESERVE, b"nr"),
    (WIPEONFORK, b"wf"),
    (DONTDUMP, b"dd"),
    (LOCKONFAULT, b"lf"),
    (HUGE, b"hg"),
    (NOHUGE, b"nh"),
    (MERGEABLE, b"mg"),
)
SMAPS_ZERO = (
    b"ShmemPmdMapped",
    b"FilePmdMapped",
    b"Shared_Hugetlb",
    b"Private_Hugetlb",
    b"Swap",
    b"SwapPss",
)


class Figures:
    """Bytes: `total` mapped, `resident` in memory, `shared` of it file and shared memory, `code`, `data`, `stack`,
    `locked`."""

    __slots__ = ("code", "data", "locked", "resident", "shared", "stack", "total")

    def __init__(self) -> None:
        self.total = self.resident = self.shared = 0
        self.code = self.data = self.stack = self.locked = 0


def visible(space: "AddressSpace") -> "Iterator[Area]":
    """The areas as the kernel would have them: those that differ only in bookkeeping of ours are one."""
    last: Area | None = None
    for area in space.areas:
        if last is not None and last.continues(area, INTERNAL, False):
            last.end = area.end
            continue
        if last is not None:
            yield last
        last = area.part(area.start, area.end)
    if last is not None:
        yield last


def label(space: "AddressSpace", area: Area) -> bytes:
    """What maps shows as the name."""
    if area.file is not None:
        return area.file.name.replace(b"\n", b"\\012")
    if area.name:
        return area.name
    if area.start <= space.brk_end and area.end >= space.start_brk and space.start_brk:
        return b"[heap]" if space.brk_end > space.start_brk else b""
    if area.start <= space.start_stack <= area.end and space.start_stack:
        return b"[stack]"
    return b""


def line(space: "AddressSpace", area: Area) -> bytes:
    """One line of maps with its newline."""
    prot = area.prot
    file = area.file
    device, inode = (file.dev, file.ino) if file is not None else (0, 0)
    text = b"%08x-%08x %c%c%c%c %08x %02x:%02x %d " % (
        area.start,
        area.end,
        b"r" if prot & 1 else b"-",
        b"w" if prot & 2 else b"-",
        b"x" if prot & 4 else b"-",
        b"s" if area.flags & MAYSHARE else b"p",
        area.offset,
        major(device),
        minor(device),
        inode,
    )
    name = label(space, area)
    if name:
        text = text.ljust(NAME_COLUMN) + b" " + name
    return text + b"\n"


def maps(space: "AddressSpace") -> bytes:
    return b"".join(line(space, area) for area in visible(space))


class Residence:
    """Which guest pages are in the host's memory: by its page table (/proc/self/pagemap), or, where there is no /proc,
    by mincore, which counts the page cache too. `base`: host address of the arena, 0: not known."""

    __slots__ = ("_base", "_file", "_space")

    def __init__(self, space: "AddressSpace", base: int) -> None:
        self._space = space
        self._base = base
        self._file = -1
        if base:
            try:
                self._file = os.open(b"/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return

    def __enter__(self) -> "Residence":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def entries(self, piece: Area) -> "list[int]":
        """The entries of proc_pid_pagemap(5), one per guest page of an area or a part of one. No frame numbers where
        guest and host pages differ."""
        space = self._space
        unit, page = space.host.page, space.page
        if not piece.flags & BACKED:
            return [0] * (piece.length // page)
        if self._file < 0:
            return self._by_mincore(piece)
        first = (self._base + piece.place) // unit
        last = -(-(self._base + piece.place + piece.length) // unit)
        data = os.pread(self._file, 8 * (last - first), 8 * first)
        host = memoryview(data[: len(data) & -8]).cast("Q").tolist()
        host += [0] * (last - first - len(host))
        if unit == page:
            return host
        result = []
        used = advice.in_use(self._space, piece)
        for at, use in zip(range(piece.place, piece.place + piece.length, page), used, strict=True):
            low = (self._base + at) // unit - first
            entry = 0
            for each in host[low : max(low + page // unit, low + 1)]:
                entry |= each
            result.append(entry & ~FRAME if use else 0)
        return result

    def _by_mincore(self, piece: Area) -> "list[int]":
        try:
            pages = advice.pages(self._space, piece)
        except GuestError:
            return [0] * (piece.length // self._space.page)
        kind = PRESENT | (FILE_PAGE if piece.file is not None else 0)
        return [kind if page else 0 for page in pages]

    def of(self, area: Area) -> "tuple[int, int]":
        """Bytes of an area in memory, and how many of them are pages of files or shared memory."""
        total = shared = 0
        for start in range(area.start, area.end, CHUNK):
            for piece in self._space.areas.pieces(start, min(start + CHUNK, area.end)):
                if piece.flags & BACKED:
                    held = [entry for entry in self.entries(piece) if entry & PRESENT]
                    total += len(held)
                    shared += sum(1 for entry in held if entry & FILE_PAGE)
        return total * self._space.page, shared * self._space.page


def pagemap(
    space: "AddressSpace", seen: Residence, write: "Callable[[bytes, int], object]", big: bool
) -> int:
    """/proc/self/pagemap, 8 bytes per guest page: hands `write` (bytes, offset) where there is something; its size."""
    top = space.limits.address_top
    order: Literal["little", "big"] = "big" if big else "little"
    for area in space.areas:
        for start in range(area.start, min(area.end, top), CHUNK):
            for piece in space.areas.pieces(start, min(start + CHUNK, area.end)):
                if piece.flags & BACKED:
                    entries = seen.entries(piece)
                    if any(entries):
                        data = b"".join(entry.to_bytes(8, order) for entry in entries)
                        write(data, piece.start // space.page * 8)
    return top // space.page * 8


def smaps(space: "AddressSpace", seen: Residence) -> bytes:
    return b"".join(
        line(space, area) + _table(_numbers(space, area, seen)) + _rest(area)
        for area in visible(space)
    )


def smaps_rollup(space: "AddressSpace", seen: Residence) -> bytes:
    """The sums of smaps over all areas, under one line."""
    areas = [area for area in visible(space) if area.start < space.limits.address_top]
    sums: dict[bytes, int] = {}
    for area in areas:
        for name, value in _numbers(space, area, seen):
            sums[name] = sums.get(name, 0) + value
    for name in (b"Size", b"KernelPageSize", b"MMUPageSize"):
        sums.pop(name, None)
    start, end = (areas[0].start, areas[-1].end) if areas else (0, 0)
    head = b"%08x-%08x ---p 00000000 00:00 0 " % (start, end)
    return head.ljust(NAME_COLUMN) + b" [rollup]\n" + _table(list(sums.items()))


def _table(rows: "list[tuple[bytes, int]]") -> bytes:
    return b"".join(b"%s%8d kB\n" % ((name + b":").ljust(16), value) for name, value in rows)


def _rest(area: Area) -> bytes:
    return b"THPeligible:%8d\nVmFlags: %s\n" % (0, _vm_flags(area))


def _numbers(space: "AddressSpace", area: Area, seen: Residence) -> "list[tuple[bytes, int]]":
    """The kB lines of an area. A page counts as clean when it is a file's: the host does not tell us more."""
    page = space.page >> 10
    total, shared = seen.of(area)
    held, file = total >> 10, shared >> 10
    mine = held - file  # anonymous: private memory, or copies of a file's pages
    public = bool(area.flags & MAYSHARE)
    return [
        (b"Size", area.length >> 10),
        (b"KernelPageSize", page),
        (b"MMUPageSize", page),
        (b"Rss", held),
        (b"Pss", held),
        (b"Pss_Dirty", mine),
        (b"Shared_Clean", held if public else 0),
        (b"Shared_Dirty", 0),
        (b"Private_Clean", 0 if public else file),
        (b"Private_Dirty", 0 if public else mine),
        (b"Referenced", held),
        (b"Anonymous", 0 if public else mine),
        (b"KSM", 0),
        (b"LazyFree", 0),
        (b"AnonHugePages", 0),
        *((name, 0) for name in SMAPS_ZERO),
        (b"Locked", held if area.flags & LOCKED else 0),
    ]


def _vm_flags(area: Area) -> bytes:
    prot, may = area.prot, area.may
    words = [word for bit, word in ((1, b"rd"), (2, b"wr"), (4, b"ex")) if prot & bit]
    flags = area.flags
    if flags & SHARED:
        words.append(b"sh")
    words += [word for bit, word in ((1, b"mr"), (2, b"mw"), (4, b"me")) if may & bit]
    if flags & MAYSHARE:
        words.append(b"ms")
    words += [word for bit, word in VM_WORDS[1:] if flags & bit]
    return b"".join(word + b" " for word in words)


def figures(space: "AddressSpace", seen: Residence) -> Figures:
    result = Figures()
    for area in space.areas:
        if area.start >= space.limits.address_top:
            continue  # a commpage is nobody's memory
        length = area.length
        held, shared = seen.of(area)
        result.total += length
        result.resident += held
        result.shared += shared
        if area.flags & GROWSDOWN:
            result.stack += length
        elif area.prot & 2 and not area.flags & SHARED:
            result.data += length
        elif area.prot & 4 and not area.prot & 2:
            result.code += length
        if area.flags & LOCKED:
            result.locked += length
    return result
