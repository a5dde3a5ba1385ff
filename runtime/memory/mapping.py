"""mmap(2): the checks of mm/mmap.c in their order, the choice of the address, and putting the new area in place."""

from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISSOCK

from runtime.abi.errors import (
    EACCES,
    EAGAIN,
    EBADF,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOMEM,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    GuestError,
)
from runtime.memory import advice, paging
from runtime.memory.areas import (
    BACKED,
    GROWSDOWN,
    LOCKED,
    MAYSHARE,
    NORESERVE,
    SHARED,
    WINDOWED,
    WRITTEN,
    Area,
)
from runtime.memory.flags import (
    CAP_IPC_LOCK,
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_HUGETLB,
    MAP_LEGACY,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_TYPE,
    PROT_ACCESS,
    PROT_EXEC,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
    RLIM_INFINITY,
    RLIMIT_AS,
    RLIMIT_DATA,
    RLIMIT_MEMLOCK,
)
from runtime.memory.host import Descriptor
from runtime.memory.limits import WRAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace


def mmap(
    space: "AddressSpace", address: int, length: int, prot: int, flags: int, fd: int, offset: int
) -> int:
    limits = space.limits
    if limits.strict_prot and prot & ~(PROT_ACCESS | PROT_SEM | limits.extra_prot):
        raise GuestError(EINVAL)
    if not space.aligned(offset):
        raise GuestError(EINVAL)
    descriptor = descriptor_of(space, fd, flags)
    if not length:
        raise GuestError(EINVAL)
    if space.read_implies_exec and prot & PROT_READ:
        prot |= PROT_EXEC
    if flags & MAP_FIXED_NOREPLACE:
        flags |= MAP_FIXED
    if not flags & MAP_FIXED and address:
        # round_hint_to_min
        address = max(space.round(address), limits.min_address)
    length = space.round(length)
    if length > limits.address_top:
        raise GuestError(ENOMEM)
    if offset + length > WRAP:
        raise GuestError(EOVERFLOW)
    if len(space.areas) > space.max_map_count:
        raise GuestError(ENOMEM)
    address = _choose(space, address, length, flags, descriptor, offset)
    end = address + length
    if flags & MAP_FIXED_NOREPLACE and space.areas.overlaps(address, end):
        raise GuestError(EEXIST)
    space.check_sealed(address)
    if flags & MAP_LOCKED and not space.rlimit(RLIMIT_MEMLOCK) and not space.capable(CAP_IPC_LOCK):
        raise GuestError(EPERM)
    born = space.default_flags | (LOCKED if flags & MAP_LOCKED else 0)
    if born & LOCKED:
        _may_lock(space, length)
    area = describe(space, address, end, prot, flags, descriptor, offset)
    area.flags |= born
    replaced = sum(piece.length for piece in space.areas.pieces(address, end))
    data = bool(prot & PROT_WRITE) and not area.flags & (SHARED | GROWSDOWN)
    if not _may_grow(space, length, replaced, data):
        raise GuestError(ENOMEM)
    if len(space.areas) + space.areas.splits(address, end) > space.max_map_count:
        raise GuestError(ENOMEM)
    establish(space, area, fd, descriptor)
    return address


def _may_grow(space: "AddressSpace", length: int, replaced: int, data: bool) -> bool:
    """RLIMIT_AS and RLIMIT_DATA allow `length` more bytes when `replaced` ones go (may_expand_vm)."""
    if space.areas.total - replaced + length > space.rlimit(RLIMIT_AS):
        return False
    limit = space.rlimit(RLIMIT_DATA)
    if not data or limit == RLIM_INFINITY:
        return True
    used = sum(
        area.length
        for area in space.areas
        if area.prot & PROT_WRITE and not area.flags & (SHARED | GROWSDOWN)
    )
    return used + length <= limit


def _may_lock(space: "AddressSpace", length: int) -> None:
    """A mapping that is born locked (mlock_future_check)."""
    limit = space.rlimit(RLIMIT_MEMLOCK)
    if space.locked_bytes() + length > limit and not space.capable(CAP_IPC_LOCK):
        raise GuestError(EAGAIN)


def descriptor_of(space: "AddressSpace", fd: int, flags: int) -> Descriptor | None:
    """The file to map (EBADF), or None for anonymous memory."""
    if flags & MAP_ANONYMOUS:
        if flags & MAP_HUGETLB:
            raise GuestError(ENOMEM)  # a kernel whose pool of huge pages is empty
        return None
    descriptor = space.host.describe(fd)
    if descriptor.path_only:
        raise GuestError(EBADF)
    if flags & MAP_HUGETLB:
        raise GuestError(EINVAL)
    if space.file_name is not None:
        descriptor.file.name = space.file_name(fd)
    return descriptor


def _choose(
    space: "AddressSpace",
    address: int,
    length: int,
    flags: int,
    descriptor: Descriptor | None,
    offset: int,
) -> int:
    """get_unmapped_area with its checks."""
    limits = space.limits
    if not flags & MAP_FIXED:
        if flags & MAP_32BIT and limits.low_range[1]:
            return _choose_low(space, address, length)
        private = flags & MAP_TYPE == MAP_PRIVATE
        if not address and descriptor is not None and not offset and private:
            address = space.place(descriptor.file, length)
        return space.find(address, length)
    if address > limits.address_top - length:
        raise GuestError(limits.fixed_top_errno)
    if not space.aligned(address) or address < limits.min_fixed:
        raise GuestError(EINVAL)
    space.check_low(address)
    return address


def _choose_low(space: "AddressSpace", address: int, length: int) -> int:
    """MAP_32BIT: the hint if it is below the range's end, else bottom-up in the range (x86 arch_get_unmapped_area)."""
    bottom, top = space.limits.low_range
    if address and address + length <= top and space.areas.free(address, address + length):
        return address
    address = space.areas.gap_above(length, bottom, top, space.page, 0)
    if address < 0:
        raise GuestError(ENOMEM)
    return address


def describe(
    space: "AddressSpace",
    start: int,
    end: int,
    prot: int,
    flags: int,
    descriptor: Descriptor | None,
    offset: int,
) -> Area:
    """The new area, after the checks of do_mmap that depend on the kind of mapping."""
    kind = flags & MAP_TYPE
    area = Area(start, end, prot=prot & PROT_ACCESS)
    if flags & MAP_NORESERVE:
        area.flags |= NORESERVE
    if descriptor is None:
        if kind == MAP_SHARED:
            if flags & MAP_GROWSDOWN:
                raise GuestError(EINVAL)
            area.flags |= SHARED | MAYSHARE
            area.file = space.shared_file(b"/dev/zero (deleted)", area.length)
        elif kind != MAP_PRIVATE:
            raise GuestError(EINVAL)
        elif flags & MAP_GROWSDOWN:
            area.flags |= GROWSDOWN
        return area
    if kind == MAP_SHARED_VALIDATE and flags & ~MAP_LEGACY:
        raise GuestError(EOPNOTSUPP)
    if kind in (MAP_SHARED, MAP_SHARED_VALIDATE):
        writable = descriptor.access != 0
        if prot & PROT_WRITE and not writable:
            raise GuestError(EACCES)
        if descriptor.append and writable:
            raise GuestError(EACCES)
        area.flags |= SHARED | MAYSHARE if writable else MAYSHARE
        area.may = PROT_ACCESS if writable else PROT_READ | PROT_EXEC
    elif kind != MAP_PRIVATE:
        raise GuestError(EINVAL)
    if descriptor.access == 1:
        raise GuestError(EACCES)
    mode = descriptor.mode
    if S_ISDIR(mode) or S_ISFIFO(mode) or S_ISSOCK(mode) or S_ISLNK(mode):
        raise GuestError(ENODEV)
    if flags & MAP_GROWSDOWN:
        raise GuestError(EINVAL)
    area.file = descriptor.file
    area.file.changing = descriptor.access != 0
    area.offset = offset
    if S_ISCHR(mode) or S_ISBLK(mode):
        area.file.stable = False
    return area


def establish(space: "AddressSpace", area: Area, fd: int, descriptor: Descriptor | None) -> None:
    """Replace what is at the area's addresses by it."""
    start, length = area.start, area.length
    private = not area.flags & MAYSHARE
    anonymous = descriptor is None and private
    reservation = anonymous and not space.perms(area.prot)
    linear = not reservation and space.backing.is_linear(start, length, not anonymous)
    # Sub-page memory is counted, so it has to be given up before it is taken again.
    linear = linear and not space.backing.small
    linear = linear and not (descriptor is not None and windowed(space, area))
    old = space.areas.remove(start, area.end)
    if old and not linear:
        space.table.remove(start, length)
    space.discard(old, start, area.end, linear)
    try:
        _fill(space, area, fd, descriptor, anonymous, reservation)
    except GuestError:
        if linear:
            space.table.remove(start, length)
            space.backing.drop(start, length, True)
        raise
    if area.prot & PROT_WRITE and area.file is not None and private:
        area.flags |= WRITTEN
    if not area.flags & WINDOWED:
        space.translations.replaced(area.place, length)
    space.show(area)
    flags = area.flags
    place = area.place
    space.areas.insert(area)
    if flags & LOCKED and space.perms(area.prot):
        advice.lock_host(space, place, length, flags)


def windowed(space: "AddressSpace", area: Area) -> bool:
    """Whether a file lies in the window that all its mappings share (windows.py): a private mapping does not need it
    where the host's page is the guest's."""
    if area.file is None or not area.file.sized:
        return False
    return bool(area.flags & MAYSHARE) or space.page != space.host.page


def _fill(
    space: "AddressSpace",
    area: Area,
    fd: int,
    descriptor: Descriptor | None,
    anonymous: bool,
    reservation: bool,
) -> None:
    """Get host memory for a new area and record its place."""
    backing = space.backing
    start, length = area.start, area.length
    if reservation:
        area.place, backed = backing.reserve(start, length)
        area.flags |= BACKED if backed else 0
        return
    spare = MAP_NORESERVE if area.flags & NORESERVE or not area.prot & PROT_WRITE else 0
    area.flags |= BACKED
    if anonymous:
        area.place = backing.private(start, length, spare)
        return
    shared = bool(area.flags & MAYSHARE)
    file = area.file
    if descriptor is not None and windowed(space, area):
        assert file is not None
        changing = descriptor.access != 0
        paging.establish(space, area, fd, file, shared, bool(area.flags & SHARED), changing)
        return
    access = PROT_READ | PROT_WRITE
    kind = MAP_PRIVATE | spare
    if area.flags & MAYSHARE:
        kind = MAP_SHARED
        access = PROT_READ | (PROT_WRITE if area.flags & SHARED else 0)
    if fd < 0:
        kind |= MAP_ANONYMOUS
    area.place = backing.exclusive(start, length, access, kind, fd, area.offset)
