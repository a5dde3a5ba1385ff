"""Futexes as task life needs them: the wake at a task's end, and the robust list of mutexes it dies with.

A futex word is the guest's word in the arena, in guest byte order; its host address is the key by which the host's
kernel finds the waiters, so that guests sharing a mapping meet without our doing anything.
"""

from runtime._core import SYS, MemoryFault, R, W, quick_syscall
from runtime.abi.errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process
    from runtime.task.task import Task

FUTEX_WAKE = 1
FUTEX_WAITERS, FUTEX_OWNER_DIED, FUTEX_TID_MASK = 0x80000000, 0x40000000, 0x3FFFFFFF
ROBUST_LIST_LIMIT = 2048  # entries, linux/futex.h: a circular list ends somewhere


def swap32(value: int) -> int:
    """A 32-bit word in the other byte order."""
    return int.from_bytes((value & 0xFFFFFFFF).to_bytes(4, "little"), "big")


def wake(task: "Task", address: int, count: int) -> int:
    """FUTEX_WAKE on a guest word, shared between processes as the kernel's own wakes are. EFAULT."""
    host = task.memory.access.word(address, R)
    return quick_syscall(SYS["futex"], host, FUTEX_WAKE, count, 0, 0, 0)


def exit_robust_list(task: "Task") -> None:
    """Mark the robust mutexes the task held as left by a dead owner (kernel/futex/core.c, exit_robust_list).

    A list that can't be read ends the walk without a word, as in the kernel.
    """
    if not task.robust_list:
        return
    head, task.robust_list = task.robust_list, 0
    try:
        _walk(task, head)
    except (MemoryFault, GuestError):
        return


def exit_robust_lists(process: "Process") -> None:
    """The whole process ends (exit_group, death by a signal): every task's list, as each dies with what it holds."""
    for task in list(process.tasks.values()):
        exit_robust_list(task)


def _walk(task: "Task", head: int) -> None:
    model = task.arch.model
    size = model.pointer

    def word(address: int) -> int:
        return int.from_bytes(task.memory.access.read(address, size), model.endian)

    entry = word(head)
    offset = word(head + size)  # from the list's link to the futex word; negative ones wrap
    pending = word(head + 2 * size)
    top = 1 << model.bits
    for _ in range(ROBUST_LIST_LIMIT):
        at, priority_inheritance = entry & ~1, entry & 1
        if at == head:
            break
        # The next link first: the entry may be freed as soon as its owner is gone.
        following = word(at)
        if at != pending & ~1:
            _owner_died(task, (at + offset) % top, bool(priority_inheritance), False)
        entry = following
    if pending & ~1:
        _owner_died(task, ((pending & ~1) + offset) % top, bool(pending & 1), True)


def _owner_died(task: "Task", address: int, priority_inheritance: bool, pending: bool) -> None:
    """handle_futex_death: hand the word over and wake one waiter."""
    table = task.process.table
    if address % 4:
        return
    task.memory.access.host(address, 4, W)
    swap = task.arch.model.big
    while True:
        raw = table.read_u32(address)
        value = swap32(raw) if swap else raw
        if pending and not priority_inheritance and not value:
            wake(task, address, 1)  # the unlock was done, its wake perhaps not
            return
        if value & FUTEX_TID_MASK != task.tid:
            return
        left = value & FUTEX_WAITERS | FUTEX_OWNER_DIED
        if table.compare_exchange_u32(address, raw, swap32(left) if swap else left) == raw:
            break
    if not priority_inheritance and value & FUTEX_WAITERS:
        wake(task, address, 1)
