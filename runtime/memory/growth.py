"""Areas that grow by themselves: the heap (brk) and the stack (a fault below a MAP_GROWSDOWN area)."""

from runtime.abi.errors import GuestError
from runtime.memory import advice
from runtime.memory.areas import GROWSDOWN, LOCKED, Area
from runtime.memory.flags import (
    CAP_IPC_LOCK,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    RLIMIT_AS,
    RLIMIT_DATA,
    RLIMIT_MEMLOCK,
    RLIMIT_STACK,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace


def brk(space: "AddressSpace", address: int) -> int:
    """mm/mmap.c SYSCALL_DEFINE1(brk)."""
    current = space.brk_end
    if address < space.start_brk or address - space.start_brk > space.rlimit(RLIMIT_DATA):
        return current
    old, new = space.round(current), space.round(address)
    if old == new:
        space.brk_end = address
    elif new < old:
        space.clear_range(new, old)
        space.brk_end = address
    elif _extend_heap(space, old, new):
        space.brk_end = address
    return space.brk_end


def _extend_heap(space: "AddressSpace", start: int, end: int) -> bool:
    # One page more must be free: the kernel keeps the heap from touching its upper neighbour.
    if end > space.limits.address_top or not space.areas.free(start, end + space.page):
        return False
    length = end - start
    if space.areas.total + length > space.rlimit(RLIMIT_AS):
        return False
    if len(space.areas) > space.max_map_count:
        return False
    if space.default_flags & LOCKED and not _may_lock(space, length):
        return False
    prot = PROT_READ | PROT_WRITE | (PROT_EXEC if space.read_implies_exec else 0)
    try:
        space.map_anonymous(start, length, prot, flags=space.default_flags)
    except GuestError:
        return False
    return True


def _may_lock(space: "AddressSpace", length: int) -> bool:
    limit = space.rlimit(RLIMIT_MEMLOCK)
    return space.locked_bytes() + length <= limit or space.capable(CAP_IPC_LOCK)


def _top(space: "AddressSpace", area: Area) -> int:
    """Where the stack ends of which the area is the lowest part: parts whose memory lies apart are not merged."""
    end = area.end
    above = space.areas.following(end)
    while above is not None and above.start == end and above.flags & GROWSDOWN:
        end = above.end
        above = space.areas.following(end)
    return end


def grow(space: "AddressSpace", address: int) -> bool:
    """expand_downwards: the stack above the address is extended down to its page, if the limits and the guard
    gap allow."""
    area = space.areas.following(address)
    if area is None or area.start <= address or not area.flags & GROWSDOWN:
        return False
    start = address & -space.page
    if start < space.limits.min_address:
        return False
    below = space.areas.preceding(area.start)
    if below is not None and not below.flags & GROWSDOWN and space.perms(below.prot):
        # stack_guard_gap: memory that can be accessed must be a gap away; a PROT_NONE neighbour may be closer.
        if start - below.end < space.areas.guard:
            return False
    elif below is not None and below.end > start:
        return False
    added = area.start - start
    if _top(space, area) - start > space.rlimit(RLIMIT_STACK):
        return False
    if space.areas.total + added > space.rlimit(RLIMIT_AS):
        return False
    if area.flags & LOCKED and not _may_lock(space, added):
        return False
    lower = Area(start, area.start, prot=area.prot, may=area.may, flags=area.flags, name=area.name)
    try:
        lower.place = space.backing.private(start, added, 0)
    except GuestError:
        return False
    space.translations.replaced(lower.place, added)
    space.show(lower)
    place, flags = lower.place, lower.flags
    space.areas.insert(lower)
    if flags & LOCKED:
        advice.lock_host(space, place, added, flags)
    return True
