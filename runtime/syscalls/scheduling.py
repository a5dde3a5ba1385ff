"""Scheduling, priorities and CPU sets: all the host's, since every task is a host thread."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import E2BIG, EINVAL
from runtime.syscalls.kinds import Address, Int, UInt
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import HOST_TIMESPEC, TimespecOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

HOST_CPUS = (
    8192  # CONFIG_NR_CPUS of the largest distribution kernels: bits of a mask we ask the host for
)
SCHED_ATTR_SIZE_VER0, SCHED_ATTR_SIZE_VER1 = 48, 56  # linux/sched/types.h
SCHED_ATTR_MAX = 4096  # a page, by the kernel's own check of `size`
_SCHED_ATTR = "IIQiIQQQII"
BARRIER_QUERY, BARRIER_REGISTER_PRIVATE_SYNC_CORE = 0, 1 << 5
BARRIER_PRIVATE_SYNC_CORE, BARRIER_PRIVATE_EXPEDITED, BARRIER_REGISTER_PRIVATE = (
    1 << 6,
    1 << 3,
    1 << 4,
)


@syscall(fast="sched_yield")
def sched_yield(task: "Task") -> int:
    """sched_yield(2)."""
    return wait(SYS["sched_yield"])


@syscall
def sched_get_priority_max(task: "Task", policy: Int) -> int:
    """sched_get_priority_max(2)."""
    return quick(SYS["sched_get_priority_max"], policy)


@syscall
def sched_get_priority_min(task: "Task", policy: Int) -> int:
    """sched_get_priority_min(2)."""
    return quick(SYS["sched_get_priority_min"], policy)


def _param(task: "Task", address: int) -> bytes:
    """struct sched_param: one int."""
    (priority,) = struct.unpack(task.arch.model.prefix + "i", task.memory.access.read(address, 4))
    return struct.pack("=i", priority)


@syscall
def sched_setparam(task: "Task", pid: Int, param: Address) -> int:
    """sched_setparam(2)."""
    if not param:
        return -EINVAL
    return quick(SYS["sched_setparam"], pid, _param(task, param))


@syscall
def sched_getparam(task: "Task", pid: Int, param: Address) -> int:
    """sched_getparam(2)."""
    if not param:
        return -EINVAL
    host = bytearray(4)
    result = quick(SYS["sched_getparam"], pid, host)
    if result == 0:
        task.memory.access.write(
            param, struct.pack(task.arch.model.prefix + "i", *struct.unpack("=i", host))
        )
    return result


@syscall
def sched_setscheduler(task: "Task", pid: Int, policy: Int, param: Address) -> int:
    """sched_setscheduler(2)."""
    if not param or policy < 0:
        return -EINVAL
    return quick(SYS["sched_setscheduler"], pid, policy, _param(task, param))


@syscall
def sched_getscheduler(task: "Task", pid: Int) -> int:
    """sched_getscheduler(2)."""
    return quick(SYS["sched_getscheduler"], pid)


@syscall
def sched_rr_get_interval(task: "Task", pid: Int, interval: TimespecOut) -> int:
    """sched_rr_get_interval(2)."""
    host = bytearray(16)
    result = quick(SYS["sched_rr_get_interval"], pid, host)
    if result == 0:
        interval.put(*HOST_TIMESPEC.unpack(host))
    return result


@syscall
def sched_setattr(task: "Task", pid: Int, attributes: Address, flags: UInt) -> int:
    """sched_setattr(2): struct sched_attr has fixed-width members; its first says how large it is."""
    access, prefix = task.memory.access, task.arch.model.prefix
    (size,) = struct.unpack(prefix + "I", access.read(attributes, 4))
    size = size or SCHED_ATTR_SIZE_VER0
    if not SCHED_ATTR_SIZE_VER0 <= size <= SCHED_ATTR_MAX:
        access.write(attributes, struct.pack(prefix + "I", SCHED_ATTR_SIZE_VER1))
        return -E2BIG
    data = access.read(attributes, size)
    if any(data[SCHED_ATTR_SIZE_VER1:]):
        access.write(attributes, struct.pack(prefix + "I", SCHED_ATTR_SIZE_VER1))
        return -E2BIG
    values = struct.unpack(
        prefix + _SCHED_ATTR, data[:SCHED_ATTR_SIZE_VER1].ljust(SCHED_ATTR_SIZE_VER1, b"\0")
    )
    known = min(size, SCHED_ATTR_SIZE_VER1)
    return quick(
        SYS["sched_setattr"], pid, struct.pack("=" + _SCHED_ATTR, known, *values[1:]), flags
    )


@syscall
def sched_getattr(task: "Task", pid: Int, attributes: Address, size: UInt, flags: UInt) -> int:
    """sched_getattr(2)."""
    if not attributes or not SCHED_ATTR_SIZE_VER0 <= size <= SCHED_ATTR_MAX:
        return -EINVAL
    host = bytearray(SCHED_ATTR_SIZE_VER1)
    room = min(size, SCHED_ATTR_SIZE_VER1)
    result = quick(SYS["sched_getattr"], pid, host, room, flags)
    if result == 0:
        values = struct.unpack("=" + _SCHED_ATTR, host)
        data = struct.pack(task.arch.model.prefix + _SCHED_ATTR, *values)
        task.memory.access.write(attributes, data[:room])
    return result


def swap_mask(mask: bytes, big: bool, word: int) -> bytes:
    """A bitmap of `word`-byte longs between the guest's byte order and the host's (its own inverse)."""
    if not big:
        return mask
    return b"".join(mask[i : i + word][::-1] for i in range(0, len(mask), word))


@syscall
def sched_setaffinity(task: "Task", pid: Int, length: UInt, mask: Address) -> int:
    """sched_setaffinity(2): a bitmap of guest longs; a short one is filled up with zeros, as in the kernel."""
    model = task.arch.model
    data = task.memory.access.read(mask, min(length, HOST_CPUS // 8))
    data = swap_mask(data + bytes(-len(data) % model.long), model.big, model.long)
    data += bytes(-len(data) % 8)
    return quick(SYS["sched_setaffinity"], pid, len(data), data)


@syscall
def sched_getaffinity(task: "Task", pid: Int, length: UInt, mask: Address) -> int:
    """sched_getaffinity(2): the number of bytes written, a whole number of guest longs."""
    model = task.arch.model
    if length % model.long:
        return -EINVAL
    host = bytearray(HOST_CPUS // 8)
    result = quick(SYS["sched_getaffinity"], pid, len(host), host)
    if result < 0:
        return result
    if length < result and any(host[length:result]):
        return -EINVAL  # there are CPUs that the guest's mask has no bits for
    used = min(result, length)
    task.memory.access.write(mask, swap_mask(bytes(host[:used]), model.big, model.long))
    return used


@syscall
def getpriority(task: "Task", which: Int, who: Int) -> int:
    """getpriority(2): the raw call gives 20 - nice, so that errors are the only negative numbers."""
    return quick(SYS["getpriority"], which, who)


@syscall
def setpriority(task: "Task", which: Int, who: Int, nice: Int) -> int:
    """setpriority(2)."""
    return quick(SYS["setpriority"], which, who, nice)


@syscall
def nice(task: "Task", increment: Int) -> int:
    """nice(2), by getpriority and setpriority: hosts with asm-generic calls have no other."""
    current = 20 - quick(SYS["getpriority"], 0, 0)
    wanted = max(-20, min(19, current + max(-40, min(40, increment))))
    result = quick(SYS["setpriority"], 0, 0, wanted)
    return -1 if result == -13 else result  # EACCES is EPERM here (nice(2))


@syscall
def ioprio_get(task: "Task", which: Int, who: Int) -> int:
    """ioprio_get(2)."""
    return quick(SYS["ioprio_get"], which, who)


@syscall
def ioprio_set(task: "Task", which: Int, who: Int, priority: Int) -> int:
    """ioprio_set(2)."""
    return quick(SYS["ioprio_set"], which, who, priority)


@syscall
def getcpu(task: "Task", cpu: Address, node: Address, cache: Address) -> int:
    """getcpu(2); the cache is unused since Linux 2.6.24."""
    host_cpu, host_node = bytearray(4), bytearray(4)
    result = quick(SYS["getcpu"], host_cpu, host_node, 0)
    if result == 0:
        for address, host in ((cpu, host_cpu), (node, host_node)):
            if address:
                value = struct.pack(task.arch.model.prefix + "I", *struct.unpack("=I", host))
                task.memory.access.write(address, value)
    return result


@syscall
def membarrier(task: "Task", command: Int, flags: UInt, cpu: Int) -> int:
    """membarrier(2): the host's, which orders what our host threads do; that is all that guest code is made of. The
    two SYNC_CORE commands are answered by us: code is not self-modified behind the engine's back, it watches for
    stores."""
    if command in (BARRIER_REGISTER_PRIVATE_SYNC_CORE, BARRIER_PRIVATE_SYNC_CORE) and not flags:
        plain = (
            BARRIER_REGISTER_PRIVATE
            if command == BARRIER_REGISTER_PRIVATE_SYNC_CORE
            else BARRIER_PRIVATE_EXPEDITED
        )
        return quick(SYS["membarrier"], plain, 0, 0)
    return wait(SYS["membarrier"], command, flags, cpu)
