"""madvise, mincore, msync and the mlock family: what walks over areas and tells the host about each.

All of them apply to what is mapped on both sides of a hole and then fail with ENOMEM, as the kernel does.
"""

from runtime.abi.errors import (
    EACCES,
    EBUSY,
    EFAULT,
    EINVAL,
    ENOMEM,
    EPERM,
    GuestError,
)
from runtime.memory import paging
from runtime.memory.areas import (
    BACKED,
    DONTDUMP,
    DONTFORK,
    HUGE,
    LOCKED,
    LOCKONFAULT,
    MAYSHARE,
    MERGEABLE,
    NOHUGE,
    RANDOM,
    SEQUENTIAL,
    SHARED,
    SPECIAL,
    WINDOWED,
    WIPEONFORK,
    Area,
)
from runtime.memory.flags import (
    CAP_IPC_LOCK,
    MADV_COLD,
    MADV_COLLAPSE,
    MADV_DODUMP,
    MADV_DOFORK,
    MADV_DONTDUMP,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_DONTNEED_LOCKED,
    MADV_FREE,
    MADV_HUGEPAGE,
    MADV_KEEPONFORK,
    MADV_MERGEABLE,
    MADV_NOHUGEPAGE,
    MADV_NORMAL,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_RANDOM,
    MADV_REMOVE,
    MADV_SEQUENTIAL,
    MADV_UNMERGEABLE,
    MADV_WILLNEED,
    MADV_WIPEONFORK,
    MCL_CURRENT,
    MCL_FUTURE,
    MCL_ONFAULT,
    MLOCK_ONFAULT,
    MS_ASYNC,
    MS_INVALIDATE,
    MS_SYNC,
    PROT_READ,
    PROT_WRITE,
    RLIMIT_MEMLOCK,
)
from runtime.memory.limits import WRAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.memory.space import AddressSpace

# Advice that only changes an area's flags: advice -> (set, cleared).
MARKS = {
    MADV_NORMAL: (0, RANDOM | SEQUENTIAL),
    MADV_RANDOM: (RANDOM, SEQUENTIAL),
    MADV_SEQUENTIAL: (SEQUENTIAL, RANDOM),
    MADV_DONTFORK: (DONTFORK, 0),
    MADV_DOFORK: (0, DONTFORK),
    MADV_DONTDUMP: (DONTDUMP, 0),
    MADV_DODUMP: (0, DONTDUMP),
    MADV_WIPEONFORK: (WIPEONFORK, 0),
    MADV_KEEPONFORK: (0, WIPEONFORK),
    MADV_MERGEABLE: (MERGEABLE, 0),
    MADV_UNMERGEABLE: (0, MERGEABLE),
    MADV_HUGEPAGE: (HUGE, NOHUGE),
    MADV_NOHUGEPAGE: (NOHUGE, HUGE),
}
# Advice about speed alone: the host hears of it, its opinion does not matter.
HINTS = (MADV_WILLNEED, MADV_COLD, MADV_PAGEOUT, MADV_COLLAPSE)
ACTIONS = (
    MADV_DONTNEED,
    MADV_DONTNEED_LOCKED,
    MADV_FREE,
    MADV_REMOVE,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
)
# What takes bytes away, which sealed memory does not allow (mm/mseal.c, is_madv_discard).
DISCARDS = (
    MADV_DONTNEED,
    MADV_DONTNEED_LOCKED,
    MADV_FREE,
    MADV_REMOVE,
    MADV_DONTFORK,
    MADV_WIPEONFORK,
)
MINCORE_CHUNK = 1 << 30  # bytes of guest memory asked about at a time


def madvise(space: "AddressSpace", address: int, length: int, what: int) -> int:
    """mm/madvise.c do_madvise."""
    if what not in MARKS and what not in HINTS and what not in ACTIONS:
        raise GuestError(EINVAL)
    if not space.aligned(address):
        raise GuestError(EINVAL)
    end = address + space.round(length)
    if end >= WRAP:
        raise GuestError(EINVAL)
    if end == address:
        return 0
    if what in DISCARDS:
        space.check_sealed(address)
    reached = address
    hole = False
    for piece in space.areas.pieces(address, end):
        hole = hole or piece.start > reached
        if hole and what in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
            break
        reached = piece.end
        _advise(space, piece, what)
    if hole or reached < end:
        raise GuestError(ENOMEM)
    return 0


def _advise(space: "AddressSpace", piece: Area, what: int) -> None:
    if what in MARKS:
        _mark(space, piece, what)
    elif what in (MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE):
        _discard(space, piece, what)
    elif what == MADV_REMOVE:
        _punch(space, piece)
    elif what in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
        _populate(space, piece, what)
    elif piece.flags & BACKED:
        offset, size = space.backing.whole(piece.place, piece.length)
        try:
            space.host.advise(offset, size, what)
        except GuestError:
            return


def _mark(space: "AddressSpace", piece: Area, what: int) -> None:
    added, cleared = MARKS[what]
    flags = piece.flags
    if what == MADV_WIPEONFORK and (piece.file is not None or flags & MAYSHARE):
        raise GuestError(EINVAL)
    if what == MADV_DODUMP and flags & SPECIAL:
        raise GuestError(EINVAL)
    if what == MADV_DOFORK and flags & SPECIAL:
        raise GuestError(EINVAL)
    if len(space.areas) + space.areas.splits(piece.start, piece.end) > space.max_map_count:
        raise GuestError(ENOMEM)
    # What a fork does is ours (forget_unforked): a host page may hold pages of several areas, a reservation has no host
    # memory yet, and a vfork is a fork to the host.
    if flags & BACKED and what in (MADV_HUGEPAGE, MADV_NOHUGEPAGE):
        aligned = not (piece.place | piece.length) & (space.host.page - 1)
        if aligned:
            try:
                space.host.advise(piece.place, piece.length, what)
            except GuestError:
                pass

    def alter(area: Area) -> None:
        area.flags = area.flags & ~cleared | added

    space.areas.change(piece.start, piece.end, alter)


def _discard(space: "AddressSpace", piece: Area, what: int) -> None:
    flags = piece.flags
    if flags & SPECIAL or (flags & LOCKED and what != MADV_DONTNEED_LOCKED):
        raise GuestError(EINVAL)
    if what == MADV_FREE and (piece.file is not None or flags & MAYSHARE):
        raise GuestError(EINVAL)
    if not flags & BACKED:
        return
    if flags & WINDOWED and paging.store_of(piece).followed:
        paging.uncopy(space, piece.start, piece.end)
        return
    if flags & MAYSHARE:
        # The bytes are the file's before and after: only residency changes, which is the host's business.
        return
    if piece.file is None:
        space.backing.advise_zero(piece.place, piece.length)
    else:
        space.backing.advise_file(piece.place, piece.length)
    space.rewritten(piece)


def _punch(space: "AddressSpace", piece: Area) -> None:
    """MADV_REMOVE: a hole in the file behind a shared, writable mapping."""
    if piece.flags & LOCKED or piece.file is None:
        raise GuestError(EINVAL)
    if not piece.flags & SHARED or not piece.may & PROT_WRITE:
        raise GuestError(EACCES)
    first = space.backing.round_host(piece.place)
    last = (piece.place + piece.length) & -space.host.page
    if first < last:
        space.host.advise(first, last - first, MADV_REMOVE)
    else:
        first = last = piece.place
    # Guest pages that share a host page with others: a hole reads as zeroes.
    for start, end in ((piece.place, first), (last, piece.place + piece.length)):
        if start < end:
            space.host.write(start, bytes(end - start))
    space.rewritten(piece)


def _populate(space: "AddressSpace", piece: Area, what: int) -> None:
    perms = space.perms(piece.prot)
    wanted = PROT_READ if what == MADV_POPULATE_READ else PROT_WRITE
    if piece.flags & SPECIAL or not perms & wanted:
        raise GuestError(EINVAL)
    if piece.flags & WINDOWED and paging.store_of(piece).followed:
        if not paging.own_page(space, piece.start, piece.end, wanted):
            raise GuestError(EFAULT)
        return
    if piece.flags & BACKED:
        space.host.advise(*space.backing.whole(piece.place, piece.length), what)
        space.table.touch(piece.place, piece.length)


def name_range(space: "AddressSpace", address: int, length: int, name: bytes | None) -> int:
    """kernel/sys.c prctl_set_vma, mm/madvise.c madvise_set_anon_name. EINVAL, ENOMEM."""
    if not space.aligned(address):
        raise GuestError(EINVAL)
    end = address + space.round(length)
    if end >= WRAP:
        raise GuestError(ENOMEM)
    label = b"[anon:" + name + b"]" if name else b""

    def alter(area: Area) -> None:
        if area.file is None and not area.flags & SPECIAL:
            area.name = label

    covered = space.areas.covered(address, end)
    space.areas.change(address, end, alter)
    if not covered:
        raise GuestError(ENOMEM)
    return 0


def mincore(space: "AddressSpace", address: int, length: int) -> bytes:
    """One byte per guest page. ENOMEM across a hole: the kernel stores nothing of the part that holds it."""
    if not space.aligned(address):
        raise GuestError(EINVAL)
    end = address + space.round(length)
    if end > space.limits.address_top or not space.areas.covered(address, end):
        raise GuestError(ENOMEM)
    result = bytearray()
    for piece in space.areas.pieces(address, end):
        if piece.flags & BACKED:
            result += pages(space, piece)
        else:
            result += bytes(piece.length // space.page)
    return bytes(result)


def in_use(space: "AddressSpace", piece: Area) -> bytes:
    """One byte per guest page of backed memory: 0 when it certainly is not in memory, whatever the host says of the
    larger page that it is a part of."""
    if not space.backing.small or piece.file is not None or piece.flags & (MAYSHARE | LOCKED):
        return b"\1" * (piece.length // space.page)
    return space.table.touched(piece.place, piece.length, space.page)


def use(space: "AddressSpace", place: int, used: bytes) -> None:
    """What in_use() said holds for the memory from `place` on."""
    for number, one in enumerate(used):
        if one:
            space.table.touch(place + number * space.page, space.page)


def pages(space: "AddressSpace", piece: Area) -> bytes:
    """One byte per guest page of backed memory: 1 when (any part of) it is in the host's memory."""
    unit, page, place, length = space.host.page, space.page, piece.place, piece.length
    start, size = space.backing.whole(place, length)
    vector = b"".join(
        space.host.resident(start + done, min(MINCORE_CHUNK, size - done))
        for done in range(0, size, MINCORE_CHUNK)
    )
    if unit == page:
        return bytes(byte & 1 for byte in vector)
    count = max(page // unit, 1)
    firsts = range(place, place + length, page)
    held = [vector[(at - start) // unit :][:count] for at in firsts]
    used = in_use(space, piece)
    return bytes(
        any(byte & 1 for byte in each) and use for each, use in zip(held, used, strict=True)
    )


def msync(space: "AddressSpace", address: int, length: int, flags: int) -> int:
    """mm/msync.c."""
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or not space.aligned(address):
        raise GuestError(EINVAL)
    if flags & MS_ASYNC and flags & MS_SYNC:
        raise GuestError(EINVAL)
    end = address + space.round(length)
    if end >= WRAP:
        raise GuestError(ENOMEM)
    for piece in space.areas.pieces(address, end):
        if flags & MS_INVALIDATE and piece.flags & LOCKED:
            raise GuestError(EBUSY)
        if flags & MS_SYNC and piece.flags & SHARED and piece.flags & BACKED:
            space.host.sync(*space.backing.whole(piece.place, piece.length), MS_SYNC)
    if not space.areas.covered(address, end):
        raise GuestError(ENOMEM)
    return 0


# -- locking ----------------------------------------------------------------------------------------------------------


def lock_host(space: "AddressSpace", place: int, length: int, flags: int) -> None:
    """Keep the range in the host's memory; a host that does not let us is no failure of the guest's mapping."""
    try:
        on_fault = MLOCK_ONFAULT if flags & LOCKONFAULT else 0
        space.host.lock(*space.backing.whole(place, length), on_fault)
    except GuestError:
        return


def mlock(space: "AddressSpace", address: int, length: int, flags: int) -> int:
    """mm/mlock.c do_mlock."""
    if flags & ~MLOCK_ONFAULT:
        raise GuestError(EINVAL)
    limit = space.rlimit(RLIMIT_MEMLOCK)
    privileged = space.capable(CAP_IPC_LOCK)
    if not limit and not privileged:
        raise GuestError(EPERM)
    start = address & -space.page
    end = space.round(address + length)
    if end >= WRAP:
        raise GuestError(EINVAL)
    if end == start:
        return 0
    fresh = sum(
        piece.length for piece in space.areas.pieces(start, end) if not piece.flags & LOCKED
    )
    if space.locked_bytes() + fresh > limit and not privileged:
        raise GuestError(ENOMEM)
    added = LOCKED | (LOCKONFAULT if flags & MLOCK_ONFAULT else 0)
    return _lock_range(space, start, end, added)


def _lock_range(space: "AddressSpace", start: int, end: int, added: int) -> int:
    covered = space.areas.covered(start, end)
    readable = True
    for piece in space.areas.pieces(start, end):
        _set_lock(space, piece, added)
        readable = readable and bool(space.perms(piece.prot))
    if not covered or not readable:
        raise GuestError(ENOMEM)
    return 0


def _set_lock(space: "AddressSpace", piece: Area, added: int) -> None:
    if piece.flags & BACKED:
        if added:
            lock_host(space, piece.place, piece.length, added)
        elif not (piece.place | piece.length) & (space.host.page - 1):
            space.host.unlock(piece.place, piece.length)

    def alter(area: Area) -> None:
        area.flags = area.flags & ~(LOCKED | LOCKONFAULT) | added

    space.areas.change(piece.start, piece.end, alter)


def munlock(space: "AddressSpace", address: int, length: int) -> int:
    start = address & -space.page
    end = space.round(address + length)
    if end >= WRAP:
        raise GuestError(EINVAL)
    covered = space.areas.covered(start, end)
    for piece in space.areas.pieces(start, end):
        _set_lock(space, piece, 0)
    if not covered:
        raise GuestError(ENOMEM)
    return 0


def mlockall(space: "AddressSpace", flags: int) -> int:
    """mm/mlock.c SYSCALL_DEFINE1(mlockall)."""
    if not flags or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or flags == MCL_ONFAULT:
        raise GuestError(EINVAL)
    limit = space.rlimit(RLIMIT_MEMLOCK)
    privileged = space.capable(CAP_IPC_LOCK)
    if not limit and not privileged:
        raise GuestError(EPERM)
    if flags & MCL_CURRENT and space.areas.total > limit and not privileged:
        raise GuestError(ENOMEM)
    added = LOCKED | (LOCKONFAULT if flags & MCL_ONFAULT else 0)
    space.default_flags = added if flags & MCL_FUTURE else 0
    if flags & MCL_CURRENT:
        for piece in list(space.areas):
            _set_lock(space, piece.part(piece.start, piece.end), added)
    return 0


def munlockall(space: "AddressSpace") -> int:
    space.default_flags = 0
    for piece in list(space.areas):
        if piece.flags & LOCKED:
            _set_lock(space, piece.part(piece.start, piece.end), 0)
    return 0


def forget_unforked(space: "AddressSpace") -> None:
    """In a fork's child: areas marked DONTFORK are not there, those marked WIPEONFORK are zero; locks are not
    inherited."""
    space.default_flags = 0
    for area in list(space.areas):
        if area.flags & DONTFORK:
            space.clear_range(area.start, area.end)
        elif area.flags & WIPEONFORK and area.flags & BACKED:
            space.backing.advise_zero(area.place, area.length)
            space.rewritten(area)
    if any(area.flags & LOCKED for area in space.areas):
        clear = _unlocker()
        for area in list(space.areas):
            if area.flags & LOCKED:
                space.areas.change(area.start, area.end, clear)


def _unlocker() -> "Callable[[Area], None]":
    def clear(area: Area) -> None:
        area.flags &= ~(LOCKED | LOCKONFAULT)

    return clear
