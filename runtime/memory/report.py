"""/proc/self/maps, smaps and the sizes in stat, from the area map: guest addresses, guest pages, the kernel's format.

Source: fs/proc/task_mmu.c (show_map_vma, show_smap).
"""

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
    from collections.abc import Iterator

    from runtime.memory.space import AddressSpace

NAME_COLUMN = (
    72  # 25 + 6 * sizeof(void *) - 1 of a 64-bit kernel; a blank more goes before the name
)
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
    """Bytes: `total` mapped, `resident` estimated, `shared` of it file and shared memory, `text`, `data`,
    `stack`, `locked`."""

    __slots__ = ("data", "locked", "resident", "shared", "stack", "text", "total")

    def __init__(self) -> None:
        self.total = self.resident = self.shared = 0
        self.text = self.data = self.stack = self.locked = 0


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


def resident(space: "AddressSpace", area: Area) -> int:
    """Bytes of an area in memory, as mincore tells (page cache counts)."""
    total = 0
    for piece in space.areas.pieces(area.start, area.end):
        if piece.flags & BACKED:
            try:
                total += sum(advice.pages(space, piece.place, piece.length)) * space.page
            except GuestError:
                continue
    return total


def smaps(space: "AddressSpace") -> bytes:
    return b"".join(line(space, area) + _details(space, area) for area in visible(space))


def _details(space: "AddressSpace", area: Area) -> bytes:
    page = space.page >> 10
    held = resident(space, area) >> 10
    private = not area.flags & MAYSHARE
    anonymous = held if area.file is None else 0
    clean = held if area.file is not None and private else 0
    rows = [
        (b"Size", area.length >> 10),
        (b"KernelPageSize", page),
        (b"MMUPageSize", page),
        (b"Rss", held),
        (b"Pss", held),
        (b"Pss_Dirty", anonymous),
        (b"Shared_Clean", 0 if private else held),
        (b"Shared_Dirty", 0),
        (b"Private_Clean", clean),
        (b"Private_Dirty", anonymous if private else 0),
        (b"Referenced", held),
        (b"Anonymous", anonymous if private else 0),
        (b"KSM", 0),
        (b"LazyFree", 0),
        (b"AnonHugePages", 0),
        *((name, 0) for name in SMAPS_ZERO),
        (b"Locked", held if area.flags & LOCKED else 0),
    ]
    text = b"".join(b"%s%8d kB\n" % ((name + b":").ljust(16), value) for name, value in rows)
    return text + b"THPeligible:%8d\nVmFlags: %s\n" % (0, _vm_flags(area))


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


def figures(space: "AddressSpace") -> Figures:
    result = Figures()
    for area in space.areas:
        length = area.length
        held = resident(space, area)
        result.total += length
        result.resident += held
        if area.flags & MAYSHARE or area.file is not None:
            result.shared += held
        if area.flags & GROWSDOWN:
            result.stack += length
        elif area.prot & 2 and not area.flags & SHARED:
            result.data += length
        elif area.prot & 4 and area.file is not None:
            result.text += length
        if area.flags & LOCKED:
            result.locked += length
    return result
