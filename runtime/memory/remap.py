"""mremap(2): checks in the order of mm/mremap.c; memory moves inside the arena by the host's own mremap."""

from runtime.abi.errors import EAGAIN, EFAULT, EINVAL, ENOMEM, GuestError
from runtime.memory import advice, paging
from runtime.memory.areas import BACKED, LOCKED, MAYSHARE, NORESERVE, SPECIAL, WINDOWED, Area
from runtime.memory.flags import (
    CAP_IPC_LOCK,
    MAP_NORESERVE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    RLIMIT_AS,
    RLIMIT_MEMLOCK,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace


def mremap(
    space: "AddressSpace", address: int, old_length: int, length: int, flags: int, target: int
) -> int:
    """The new address. `target` counts with MREMAP_FIXED, and as a hint with MREMAP_DONTUNMAP."""
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP):
        raise GuestError(EINVAL)
    if flags & MREMAP_FIXED and not flags & MREMAP_MAYMOVE:
        raise GuestError(EINVAL)
    if flags & MREMAP_DONTUNMAP and (not flags & MREMAP_MAYMOVE or old_length != length):
        raise GuestError(EINVAL)
    old_length, length = space.round(old_length), space.round(length)
    if not space.aligned(address) or not length:
        raise GuestError(EINVAL)
    area = space.areas.find(address)
    if area is None:
        raise GuestError(EFAULT)
    space.check_sealed(address)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return _move_to(space, address, old_length, length, flags, target)
    if old_length >= length:
        if old_length > length:
            _cut_tail(space, address, length, old_length)
        return address
    area = _growable(space, address, old_length, length, 0)
    last = space.areas.find(address + old_length - 1) if old_length else None
    whole = old_length == space.areas.extent(area) - address
    if last is not None and whole and _grow_in_place(space, last, address, length):
        return address
    if not flags & MREMAP_MAYMOVE:
        raise GuestError(ENOMEM)
    goal = space.find(0, length)
    _move(space, address, old_length, goal, length, False)
    return goal


def _cut_tail(space: "AddressSpace", address: int, length: int, old_length: int) -> None:
    """Shrinking is munmap of the tail, with its check of the range."""
    end = address + old_length
    if end > space.limits.address_top:
        raise GuestError(EINVAL)
    space.clear_range(address + length, end)


def _growable(
    space: "AddressSpace", address: int, old_length: int, length: int, flags: int
) -> Area:
    """vma_to_resize: the area at the address, if it may become `length` long."""
    area = space.areas.find(address)
    if area is None:
        raise GuestError(EFAULT)
    area_end = space.areas.extent(area)
    if not old_length and not area.flags & MAYSHARE:
        raise GuestError(EINVAL)
    if flags & MREMAP_DONTUNMAP and area.flags & SPECIAL:
        raise GuestError(EINVAL)
    if flags & MREMAP_DONTUNMAP and area.file is not None:
        raise GuestError(EINVAL)  # as kernels before 5.13: only private anonymous memory
    if old_length > area_end - address:
        raise GuestError(EFAULT)
    if length == old_length:
        return area
    if area.flags & SPECIAL:
        raise GuestError(EFAULT)
    more = length - old_length
    if area.flags & LOCKED:
        limit = space.rlimit(RLIMIT_MEMLOCK)
        if space.locked_bytes() + more > limit and not space.capable(CAP_IPC_LOCK):
            raise GuestError(EAGAIN)
    if space.areas.total + more > space.rlimit(RLIMIT_AS):
        raise GuestError(ENOMEM)
    return area


def _move_to(
    space: "AddressSpace", address: int, old_length: int, length: int, flags: int, target: int
) -> int:
    """mremap_to: MREMAP_FIXED or MREMAP_DONTUNMAP."""
    top = space.limits.address_top
    if not space.aligned(target) or length > top or target > top - length:
        raise GuestError(EINVAL)
    if address + old_length > target and target + length > address:
        raise GuestError(EINVAL)
    if len(space.areas) + 2 >= space.max_map_count - 3:
        raise GuestError(ENOMEM)
    if flags & MREMAP_FIXED:
        if target < space.limits.min_fixed:
            raise GuestError(EINVAL)
        space.check_low(target)
        space.check_sealed(target)
        space.clear_range(target, target + length)
    if old_length > length:
        _cut_tail(space, address, length, old_length)
        old_length = length
    keep = bool(flags & MREMAP_DONTUNMAP)
    _growable(space, address, old_length, length, flags)
    if keep and space.areas.total + length > space.rlimit(RLIMIT_AS):
        raise GuestError(ENOMEM)
    if not flags & MREMAP_FIXED:
        target = space.find(target, length)
    _move(space, address, old_length, target, length, keep)
    return target


def _grow_in_place(space: "AddressSpace", area: Area, address: int, length: int) -> bool:
    """Extend the area upward when the room above is free. False: it must move."""
    start, end = area.end, address + length
    if end > space.limits.address_top or not space.areas.free(start, end):
        return False
    tail = area.part(area.start, area.end)
    tail.start, tail.end = start, end
    tail.offset = area.offset + area.length if area.file is not None else 0
    if not extend(space, area, tail):
        return False
    if not tail.flags & WINDOWED:
        space.translations.replaced(tail.place, tail.length)
    space.show(tail)
    space.areas.insert(tail)
    return True


def extend(space: "AddressSpace", area: Area, tail: Area) -> bool:
    """Host memory for `tail`, which continues `area`. False when that needs a move (a file: its descriptor is gone)."""
    if area.flags & WINDOWED:
        return paging.extend(space, tail)
    if not area.flags & BACKED:
        tail.place, backed = space.backing.reserve(tail.start, tail.length)
        tail.flags |= BACKED if backed else 0
        return True
    if area.file is not None:
        return False
    spare = MAP_NORESERVE if area.flags & NORESERVE else 0
    tail.place = space.backing.private(tail.start, tail.length, spare)
    return True


def _move(
    space: "AddressSpace", address: int, old_length: int, target: int, length: int, keep: bool
) -> None:
    """move_vma. `keep`: the old addresses stay mapped, empty (MREMAP_DONTUNMAP); with old_length 0 they stay
    as they are."""
    source = space.areas.find(address)
    if source is None:
        raise GuestError(EFAULT)
    if not old_length:
        piece = source.part(address, address + space.page)
        piece.end = piece.start
        _move_piece(space, piece, target, length, False)
        return
    # Nobody may touch the old place while its memory moves.
    space.table.remove(address, old_length)
    pieces = space.areas.pieces(address, address + old_length)
    try:
        for number, piece in enumerate(pieces):
            start = target + piece.start - address
            end = target + length if number == len(pieces) - 1 else start + piece.length
            _move_piece(space, piece, start, end - start, keep)
    finally:
        # What stays, by request or because the host had no more memory.
        for piece in space.areas.pieces(address, address + old_length):
            space.show(piece)


def _move_piece(space: "AddressSpace", moved: Area, target: int, length: int, keep: bool) -> None:
    """Move a part of an area, which is the whole of what differs in our own bookkeeping from its neighbours. An empty
    one is duplicated."""
    more = length - moved.length
    new = moved.part(moved.start, moved.end)
    new.start, new.end = target, target + length
    if moved.flags & WINDOWED:
        _move_windowed(space, moved, new, more)
        return
    used = advice.in_use(space, moved) if moved.flags & BACKED else b""
    new.place = space.backing.transfer(moved, target, length, keep)
    if space.backing.small and new.flags & BACKED:
        advice.use(space, new.place, used)
    if moved.length:
        if new.flags & BACKED:
            space.translations.replaced(moved.place, moved.length)
        if not keep:
            space.areas.remove(moved.start, moved.end)
    if new.flags & BACKED:
        space.translations.replaced(new.place, length)
    space.show(new)
    space.areas.insert(new)


def _move_windowed(space: "AddressSpace", moved: Area, new: Area, more: int) -> None:
    """A window has nothing to do with guest addresses: only those change. What is added is the file's, not a copy."""
    tail = left = None
    if more:
        tail = new.part(new.start, new.end)
        tail.start = new.start + moved.length
        tail.offset = new.offset + moved.length
        new.end = tail.start
        if not paging.extend(space, tail):
            if not paging.rehome(space, new, tail):
                raise GuestError(ENOMEM)
            left = paging.store_of(moved)
    if moved.length:
        space.areas.remove(moved.start, moved.end)
        if left is not None:
            space.windows.drop(left, moved.length)
        space.show(new)
        space.areas.insert(new)
    if tail is not None:
        space.show(tail)
        space.areas.insert(tail)
