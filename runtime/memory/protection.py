"""mprotect(2): checks in the order of mm/mprotect.c. The host hears of it only when a reservation comes to life."""

from runtime.abi.errors import EACCES, EINVAL, ENOMEM, GuestError
from runtime.memory import paging
from runtime.memory.areas import BACKED, GROWSDOWN, MAYSHARE, NORESERVE, WINDOWED, WRITTEN, Area
from runtime.memory.flags import (
    MAP_NORESERVE,
    PROT_ACCESS,
    PROT_EXEC,
    PROT_GROWSDOWN,
    PROT_GROWSUP,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
)
from runtime.memory.limits import WRAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace


def mprotect(space: "AddressSpace", address: int, length: int, prot: int) -> int:
    """mprotect(2): 0. What lies before a hole is changed although the call fails with ENOMEM."""
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or not space.aligned(address):
        raise GuestError(EINVAL)
    if not length:
        return 0
    end = address + space.round(length)
    if end >= WRAP:
        raise GuestError(ENOMEM)
    if prot & ~(PROT_ACCESS | PROT_SEM | space.limits.extra_prot):
        raise GuestError(EINVAL)
    if space.read_implies_exec and prot & PROT_READ:
        prot |= PROT_EXEC
    first = space.areas.following(address)
    if first is None:
        raise GuestError(ENOMEM)
    if grows:
        if first.start >= end:
            raise GuestError(ENOMEM)
        if not (grows == PROT_GROWSDOWN and first.flags & GROWSDOWN):
            raise GuestError(EINVAL)
        address = first.start
    _mprotect(space, address, end, prot & PROT_ACCESS)
    return 0


def _mprotect(space: "AddressSpace", address: int, end: int, prot: int) -> None:
    # Pieces are copies, so the map may change under the walk.
    for piece in space.areas.pieces(address, end):
        if piece.start > address:
            break
        address = piece.end
        if prot & ~piece.may:
            raise GuestError(EACCES)
        space.check_sealed(piece.start)
        if prot != piece.prot:
            if len(space.areas) + space.areas.splits(piece.start, piece.end) > space.max_map_count:
                raise GuestError(ENOMEM)
            _reprotect(space, piece, prot)
    if address < end:
        raise GuestError(ENOMEM)


def _reprotect(space: "AddressSpace", piece: Area, prot: int) -> None:
    """Give a part of an area a new protection."""
    perms = space.perms(prot)
    flags = piece.flags
    private_file = piece.file is not None and not flags & MAYSHARE
    if prot & PROT_WRITE and private_file and not flags & WINDOWED:
        flags |= WRITTEN
    if perms and not flags & BACKED:
        spare = MAP_NORESERVE if flags & NORESERVE or not prot & PROT_WRITE else 0
        space.backing.anonymous(piece.length, piece.place, spare)
        space.translations.replaced(piece.place, piece.length)
        flags |= BACKED
    piece.prot = prot
    piece.flags = flags

    def alter(area: Area) -> None:
        area.prot = prot
        area.flags = flags

    space.areas.change(piece.start, piece.end, alter)
    perms = paging.granted(space, piece)
    if perms & PROT_WRITE:
        space.translations.written(piece.place, piece.length)
    if perms & PROT_EXEC:
        space.translations.executable(piece.place, piece.length, space.identity(piece))
        space.watch_executable(piece)
    space.table.protect(piece.start, piece.length, perms)
