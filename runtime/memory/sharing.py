"""System V shared memory in a guest's address space: the host attaches its own segment over the arena (SHM_REMAP)."""

from runtime.abi.errors import EINVAL, ENOMEM, GuestError
from runtime.memory.areas import BACKED, MAYSHARE, SHARED, SYSV, Area
from runtime.memory.flags import (
    MAP_ANONYMOUS,
    MAP_SHARED,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    RLIMIT_AS,
    SHM_EXEC,
    SHM_RDONLY,
    SHM_REMAP,
    SHM_RND,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace


def shmat(
    space: "AddressSpace", shmid: int, address: int, flags: int, size: int, key: int = 0
) -> int:
    """ipc/shm.c do_shmat. `size` is the segment's in bytes."""
    align = space.limits.shmlba
    if address:
        if address & (align - 1):
            if flags & SHM_RND:
                address &= -align
                if not address and flags & SHM_REMAP:
                    raise GuestError(EINVAL)
            elif space.limits.shmlba_forced or not space.aligned(address):
                raise GuestError(EINVAL)
    elif flags & SHM_REMAP:
        raise GuestError(EINVAL)
    length = space.round(size)
    top = space.limits.address_top
    if length > top or address > top - length:
        raise GuestError(EINVAL if address else ENOMEM)
    replaced = 0
    if address:
        space.check_low(address)
        if flags & SHM_REMAP:
            space.check_sealed(address)
        if not flags & SHM_REMAP and space.areas.overlaps(address, address + length):
            raise GuestError(EINVAL)
        replaced = sum(piece.length for piece in space.areas.pieces(address, address + length))
    if space.areas.total - replaced + length > space.rlimit(RLIMIT_AS):
        raise GuestError(ENOMEM)
    if not address:
        address = space.find(0, length, align)
    prot = PROT_READ if flags & SHM_RDONLY else PROT_READ | PROT_WRITE
    if flags & SHM_EXEC:
        prot |= PROT_EXEC
    file = space.shared_file(b"/SYSV%08x (deleted)" % (key & 0xFFFFFFFF), length)
    file.ino = shmid
    area = Area(address, address + length, prot=prot, file=file)
    area.may = prot | PROT_EXEC if flags & SHM_RDONLY else PROT_READ | PROT_WRITE | PROT_EXEC
    area.flags = MAYSHARE | SYSV | BACKED | (0 if flags & SHM_RDONLY else SHARED)
    space.clear_range(address, area.end)
    area.place = space.backing.attach(address, length, shmid, flags & SHM_RDONLY)
    _fill_last_page(space, area, size)
    space.translations.replaced(area.place, length)
    space.show(area)
    space.areas.insert(area)
    return address


def _fill_last_page(space: "AddressSpace", area: Area, size: int) -> None:
    """The host's segment ends within the guest's last page when somebody with smaller pages made it: zeros follow,
    which only this attachment has."""
    covered = size + space.host.page - 1 & -space.host.page
    if covered < area.length:
        offset, length = area.place + covered, area.length - covered
        space.host.map(offset, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)


def shmdt(space: "AddressSpace", address: int) -> int:
    """ipc/shm.c ksys_shmdt: every part of the attachment that began at the address goes."""
    if not space.aligned(address):
        raise GuestError(EINVAL)
    # The first part may be unmapped: what counts is which address offset 0 of the segment had.
    found = None
    for area in list(space.areas):
        if area.flags & SYSV and area.start - area.offset == address:
            if found is None:
                found = area.file
            if area.file is found:
                space.clear_range(area.start, area.end)
    if found is None:
        raise GuestError(EINVAL)
    return 0
