"""Resource limits and usage. Which limits are kept off the host: runtime/task/limits.py."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EPERM
from runtime.syscalls.kinds import Address, Int, Resource
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import long_codec
from runtime.task.limits import INFINITY, KEPT, get_limits, host_limits, set_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

RUSAGE_LONGS = 18  # two timevals and fourteen longs


def _pair(task: "Task") -> struct.Struct:
    """struct rlimit: two unsigned longs."""
    model = task.arch.model
    return struct.Struct(model.prefix + ("QQ" if model.bits == 64 else "II"))


@syscall
def getrlimit(task: "Task", resource: Resource, rlim: Address) -> int:
    """getrlimit(2) (ugetrlimit on arm). What does not fit a long is shown as infinity."""
    infinity = task.arch.rlim_infinity  # mips has its own
    pair = get_limits(task.process, resource)
    task.memory.access.write(rlim, _pair(task).pack(*(min(v, infinity) for v in pair)))
    return 0


@syscall
def setrlimit(task: "Task", resource: Resource, rlim: Address) -> int:
    """setrlimit(2)."""
    infinity = task.arch.rlim_infinity  # mips has its own
    layout = _pair(task)
    soft, hard = layout.unpack(task.memory.access.read(rlim, layout.size))
    get_limits(task.process, resource)  # EINVAL for an unknown one
    soft, hard = (INFINITY if v >= infinity else v for v in (soft, hard))
    set_limits(task.process, resource, soft, hard)
    return 0


@syscall
def prlimit64(task: "Task", pid: Int, resource: Resource, new: Address, old: Address) -> int:
    """prlimit(2): struct rlimit64 on every ABI. The limits of another process are its host's.

    Those about memory can be read there and not set.
    """
    access, prefix = task.memory.access, task.arch.model.prefix
    values = struct.unpack(prefix + "QQ", access.read(new, 16)) if new else None
    own = pid in (0, task.process.leader)
    before = get_limits(task.process, resource) if own else host_limits(resource, pid)
    if values is not None:
        if own:
            set_limits(task.process, resource, *values)
        elif resource in KEPT:
            task.log(f"prlimit: limit {resource} of process {pid} is kept inside it: EPERM")
            return -EPERM
        else:
            result = quick(SYS["prlimit64"], pid, resource, struct.pack("=QQ", *values), 0)
            if result < 0:
                return result
    if old:
        access.write(old, struct.pack(prefix + "QQ", *before))
    return 0


def write_rusage(task: "Task", address: int, host: bytes | bytearray) -> None:
    """The host's struct rusage (144 bytes) in the guest's longs."""
    long_codec(task.arch, RUSAGE_LONGS).write(task, address, struct.unpack("=18q", host))


@syscall
def getrusage(task: "Task", who: Int, usage: Address) -> int:
    """getrusage(2): Octavo's own work for the guest is in it."""
    host = bytearray(8 * RUSAGE_LONGS)
    result = quick(SYS["getrusage"], who, host)
    if result == 0:
        write_rusage(task, usage, host)
    return result
