"""Resource limits that concern guest memory: kept for the guest, off the host.

RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK are about the address space a program sees. On the host they would count our
arena and the engine's buffers, and a modest `ulimit -v` would end Octavo instead of failing the guest's mmap.
All other limits are the host's own. fork copies them with the Process; execve keeps it.
"""

import struct

from runtime._core import SYS, quick_syscall
from runtime.abi.errors import EINVAL, EPERM, GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process

RLIMIT_DATA, RLIMIT_STACK, RLIMIT_NOFILE, RLIMIT_AS = 2, 3, 7, 9  # asm-generic/resource.h
KEPT = frozenset({RLIMIT_DATA, RLIMIT_STACK, RLIMIT_AS})
INFINITY = (1 << 64) - 1
CAP_SYS_RESOURCE = 24
CAPABILITY_VERSION_3 = 0x20080522
_PAIR = struct.Struct("=QQ")


def host_limits(resource: int, pid: int = 0) -> tuple[int, int]:
    """(soft, hard) of the host process. GuestError."""
    host = bytearray(_PAIR.size)
    result = quick_syscall(SYS["prlimit64"], pid, resource, 0, host)
    if result < 0:
        raise GuestError(-result)
    soft, hard = _PAIR.unpack(host)
    return soft, hard


def get_limits(process: "Process", resource: int) -> tuple[int, int]:
    """(soft, hard) as the guest sees them; INFINITY for none."""
    return process.limits.get(resource) or host_limits(resource)


def soft_limit(process: "Process", resource: int) -> int:
    """What mmap, brk and the loader ask."""
    return get_limits(process, resource)[0]


def set_limits(process: "Process", resource: int, soft: int, hard: int) -> None:
    """setrlimit(2): EINVAL for soft > hard, EPERM for raising the hard one without CAP_SYS_RESOURCE."""
    if soft > hard:
        raise GuestError(EINVAL)
    if resource not in KEPT:
        result = quick_syscall(SYS["prlimit64"], 0, resource, _PAIR.pack(soft, hard), 0)
        if result < 0:
            raise GuestError(-result)
        return
    if hard > get_limits(process, resource)[1] and not has_capability(CAP_SYS_RESOURCE):
        raise GuestError(EPERM)
    process.limits[resource] = (soft, hard)


def has_capability(number: int) -> bool:
    """Whether the calling thread has it in its effective set."""
    data = bytearray(24)
    if quick_syscall(SYS["capget"], struct.pack("=Ii", CAPABILITY_VERSION_3, 0), data) < 0:
        return False
    effective = struct.unpack_from("=I", data, 12 * (number // 32))[0]
    return bool(effective >> number % 32 & 1)


def give_to_host(process: "Process") -> dict[int, tuple[int, int]]:
    """Before a host execve: the next program runs under the soft limits the guest has set. What they were, for
    take_from_host. The hard ones stay, because lowering them could not be undone when the execve fails."""
    before = {}
    for resource, (soft, _) in process.limits.items():
        before[resource] = old = host_limits(resource)
        _set_host(resource, min(soft, old[1]), old[1])
    return before


def take_from_host(before: dict[int, tuple[int, int]]) -> None:
    """The host execve has failed."""
    for resource, pair in before.items():
        _set_host(resource, *pair)


def _set_host(resource: int, soft: int, hard: int) -> None:
    quick_syscall(SYS["prlimit64"], 0, resource, _PAIR.pack(soft, hard), 0)
