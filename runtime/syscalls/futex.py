"""futex(2), on the guest's word in the arena: the host's kernel compares and queues.

Where the guest's byte order is not the host's, values to compare are swapped, FUTEX_WAKE_OP (arithmetic on the
word) is
done here, and priority inheritance is declined, because the kernel itself would store thread ids in the wrong order.
"""

import struct

from runtime._core import SYS, R, W
from runtime._core import syscall as wait
from runtime.abi.errors import EFAULT, EINVAL, ENOSYS, EPERM, ESRCH, GuestError
from runtime.syscalls.kinds import Address, Int, Size, UInt
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import HOST_TIMESPEC, TimespecInOut, time_codec
from runtime.task.futex import swap32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

# linux/futex.h
WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, LOCK_PI, UNLOCK_PI, TRYLOCK_PI = 0, 1, 3, 4, 5, 6, 7, 8
WAIT_BITSET, WAKE_BITSET, WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2 = 9, 10, 11, 12, 13
PRIVATE_FLAG, CLOCK_REALTIME_FLAG = 128, 256
COMMAND = ~(PRIVATE_FLAG | CLOCK_REALTIME_FLAG)

TIMED = frozenset({WAIT, WAIT_BITSET, LOCK_PI, LOCK_PI2, WAIT_REQUEUE_PI})
TWO_WORDS = frozenset({REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_REQUEUE_PI, CMP_REQUEUE_PI})
INHERITING = frozenset({LOCK_PI, UNLOCK_PI, TRYLOCK_PI, WAIT_REQUEUE_PI, CMP_REQUEUE_PI, LOCK_PI2})
STORING = frozenset({LOCK_PI, UNLOCK_PI, TRYLOCK_PI, LOCK_PI2})

FUTEX_WAITV_MAX = 128
FUTEX_SIZE_U32 = 2
ROBUST_LIST_HEAD_WORDS = 3


class FutexOp(Int):
    """The operation, shown by name."""

    NAMES = [
        "WAIT",
        "WAKE",
        "FD",
        "REQUEUE",
        "CMP_REQUEUE",
        "WAKE_OP",
        "LOCK_PI",
        "UNLOCK_PI",
        "TRYLOCK_PI",
        "WAIT_BITSET",
        "WAKE_BITSET",
        "WAIT_REQUEUE_PI",
        "CMP_REQUEUE_PI",
        "LOCK_PI2",
    ]

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        command = raw & COMMAND & 0xFFFFFFFF
        if command >= len(cls.NAMES):
            return hex(raw)
        private = "_PRIVATE" if raw & PRIVATE_FLAG else ""
        realtime = "|FUTEX_CLOCK_REALTIME" if raw & CLOCK_REALTIME_FLAG else ""
        return f"FUTEX_{cls.NAMES[command]}{private}{realtime}"


def host_word(task: "Task", address: int, access: int) -> int:
    """Host address of a futex word. EINVAL when it is not aligned, EFAULT when it can't be accessed."""
    if address % 4:
        raise GuestError(EINVAL)
    return task.memory.access.word(address, access)


@syscall
def futex(
    task: "Task",
    uaddr: Address,
    op: FutexOp,
    val: UInt,
    timeout: TimespecInOut,  # or val2, a number
    uaddr2: Address,
    val3: UInt,
) -> int:
    """futex(2)."""
    command = op & COMMAND
    swapped = task.arch.model.big
    if swapped and command in INHERITING:
        return -ENOSYS
    if swapped and command == WAKE_OP:
        return _wake_op(task, uaddr, op, val, timeout.address, uaddr2, val3)
    fourth: int | bytes = timeout.address & 0xFFFFFFFF
    if command in TIMED:
        fourth = HOST_TIMESPEC.pack(*timeout.codec.read(task, timeout.address)) if timeout else 0
    first = host_word(task, uaddr, W if command in STORING else R)
    second = host_word(task, uaddr2, W if command == WAKE_OP else R) if command in TWO_WORDS else 0
    value = swap32(val) if swapped and command in (WAIT, WAIT_BITSET) else val
    value3 = swap32(val3) if swapped and command == CMP_REQUEUE else val3
    return wait(SYS["futex"], first, op, value, fourth, second, value3)


def _signed12(value: int) -> int:
    return ((value & 0xFFF) ^ 0x800) - 0x800  # not a page: twelve bits


def wake_op_result(code: int, old: int) -> tuple[int, bool]:
    """FUTEX_WAKE_OP's arithmetic (kernel futex_atomic_op_inuser): the word's new value, and whether to wake the
    second queue. EINVAL or ENOSYS for an unknown operation."""
    shift = code >> 28 & 8
    operation, comparison = code >> 28 & 7, code >> 24 & 15
    operand, against = _signed12(code >> 12), _signed12(code)
    if shift:
        operand = 1 << (operand & 31)
    operations = (operand, old + operand, old | operand, old & ~operand, old ^ operand)
    if operation >= len(operations):
        raise GuestError(ENOSYS)
    signed = (old ^ 0x80000000) - 0x80000000
    comparisons = (
        signed == against,
        signed != against,
        signed < against,
        signed <= against,
        signed > against,
        signed >= against,
    )
    if comparison >= len(comparisons):
        raise GuestError(ENOSYS)
    return operations[operation] & 0xFFFFFFFF, comparisons[comparison]


def _wake_op(
    task: "Task", uaddr: int, op: int, count: int, count2: int, uaddr2: int, code: int
) -> int:
    """FUTEX_WAKE_OP for a guest of the other byte order. Only one task of a process runs guest code at a time, and
    other processes are met by compare-and-exchange."""
    table, access = task.process.table, task.memory.access
    first, second = host_word(task, uaddr, R), host_word(task, uaddr2, W)
    while True:
        raw = table.read_u32(uaddr2)
        value, also = wake_op_result(code, swap32(raw))
        if access.compare_exchange_u32(uaddr2, raw, swap32(value)) == raw:
            break
    wake_code = WAKE | op & PRIVATE_FLAG
    woken = wait(SYS["futex"], first, wake_code, count, 0, 0, 0)
    if woken >= 0 and also:
        woken += max(0, wait(SYS["futex"], second, wake_code, count2 & 0xFFFFFFFF, 0, 0, 0))
    return woken


@syscall
def futex_waitv(
    task: "Task", waiters: Address, count: UInt, flags: UInt, timeout: Address, clock: Int
) -> int:
    """futex_waitv(2): struct futex_waitv has 64-bit members on every ABI, and the timeout is the 64-bit timespec."""
    if flags or not 0 < count <= FUTEX_WAITV_MAX or not waiters:
        return -EINVAL
    prefix = task.arch.model.prefix
    data = task.memory.access.read(waiters, 24 * count)
    entries = bytearray()
    for value, address, kind, reserved in struct.iter_unpack(prefix + "QQII", data):
        if kind & ~PRIVATE_FLAG != FUTEX_SIZE_U32 or reserved:
            return -EINVAL
        if task.arch.model.big:
            value = swap32(value)
        entries += struct.pack("=QQII", value, host_word(task, address, R), kind, 0)
    host_timeout: int | bytes = 0
    if timeout:
        host_timeout = HOST_TIMESPEC.pack(*time_codec(task.arch, "", 2).read(task, timeout))
    return wait(SYS["futex_waitv"], entries, count, 0, host_timeout, clock)


@syscall
def set_robust_list(task: "Task", head: Address, length: Size) -> int:
    """set_robust_list(2): kept here, walked when the task ends; the host's kernel could not read it."""
    if length != ROBUST_LIST_HEAD_WORDS * task.arch.model.pointer:
        return -EINVAL
    task.robust_list = head
    return 0


@syscall
def get_robust_list(task: "Task", pid: Int, head: Address, length: Address) -> int:
    """get_robust_list(2), for tasks of the calling process; another process's list is not visible to us: EPERM."""
    if pid == 0:
        other = task
    else:
        found = task.process.tasks.get(pid)
        if found is None:
            return -EPERM if _exists(pid) else -ESRCH
        other = found
    model = task.arch.model
    if not head or not length:
        return -EFAULT
    access = task.memory.access
    access.write(
        length, (ROBUST_LIST_HEAD_WORDS * model.pointer).to_bytes(model.pointer, model.endian)
    )
    access.write(head, other.robust_list.to_bytes(model.pointer, model.endian))
    return 0


def _exists(pid: int) -> bool:
    return wait(SYS["kill"], pid, 0) != -ESRCH
