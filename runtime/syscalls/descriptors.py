"""Descriptors as such: close, dup, pipe, flock, memfd_create. Guest and host numbers are the same.

Octavo's own descriptors (log, trace, the pipe of a vfork) lie in the same table. `process.reserved_fds` names them:
to the guest they are not open, and a dup2 onto one fails as if the number were beyond the limit. fcntl is in fcntl.py.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EBADF, GuestError
from runtime.abi.linux import F_GETFD
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.kinds import Address, Fd, OpenFlags, Text, UInt
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

CLOSE_RANGE_UNSHARE = 2


@syscall
def close(task: "Task", fd: Fd) -> int:
    """close(2). May block: a terminal drains, a socket lingers."""
    if fd in task.process.reserved_fds:
        raise GuestError(EBADF)
    return wait(SYS["close"], fd)


@syscall
def close_range(task: "Task", first: UInt, last: UInt, flags: UInt) -> int:
    """close_range(2), around the descriptors that are not the guest's."""
    inside = sorted(fd for fd in task.process.reserved_fds if first <= fd <= last)
    if not inside or first > last:
        return quick(SYS["close_range"], first, last, flags)
    start: int = first
    option: int = flags
    for fd in [*inside, last + 1]:
        if start <= fd - 1:
            result = quick(SYS["close_range"], start, fd - 1, option)
            if result < 0:
                return result
            option &= ~CLOSE_RANGE_UNSHARE  # the table is our own from the first call on
        start = fd + 1
    return 0


@syscall
def dup(task: "Task", fd: Fd) -> int:
    """dup(2)."""
    return quick(SYS["dup"], _own(task, fd))


@syscall
def dup2(task: "Task", old: Fd, new: Fd) -> int:
    """dup2(2): onto itself it only asks whether the descriptor is open."""
    if old == new:
        result = quick(SYS["fcntl"], _own(task, old), F_GETFD)
        return result if result < 0 else new
    return wait(SYS["dup3"], _own(task, old), _own(task, new), 0)


@syscall
def dup3(task: "Task", old: Fd, new: Fd, flags: OpenFlags) -> int:
    """dup3(2)."""
    return wait(SYS["dup3"], _own(task, old), _own(task, new), host_open_flags(flags))


def _own(task: "Task", fd: int) -> int:
    """The descriptor, if it is the guest's. EBADF."""
    if fd in task.process.reserved_fds:
        raise GuestError(EBADF)
    return fd


class PipeEnds(Address):
    """Where pipe puts its two descriptors: memory, or (variant two_results) the result and the second result
    register."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return (lambda task, raw: -1) if row.variant == "two_results" else None


@syscall
def pipe(task: "Task", fds: PipeEnds) -> int:
    """pipe(2)."""
    if fds >= 0:
        return _pipe(task, fds, 0)
    pair = bytearray(8)
    result = quick(SYS["pipe2"], pair, 0)
    if result < 0:
        return result
    read_end, write_end = struct.unpack("=2i", pair)
    task.cpu.set(task.arch.engine.registers[task.arch.second_result], write_end)
    return int(read_end)


@syscall
def pipe2(task: "Task", fds: Address, flags: OpenFlags) -> int:
    """pipe2(2)."""
    return _pipe(task, fds, flags)


def _pipe(task: "Task", address: int, flags: int) -> int:
    pair = bytearray(8)
    result = quick(SYS["pipe2"], pair, host_open_flags(flags))
    if result < 0:
        return result
    ends = struct.unpack("=2i", pair)
    try:
        task.memory.access.write(address, struct.pack(f"{task.arch.model.prefix}2i", *ends))
    except Exception:
        for end in ends:
            quick(SYS["close"], end)
        raise
    return 0


@syscall
def flock(task: "Task", fd: Fd, operation: UInt) -> int:
    """flock(2)."""
    return wait(SYS["flock"], fd, operation)


@syscall
def memfd_create(task: "Task", name: Text, flags: UInt) -> int:
    """memfd_create(2)."""
    return quick(SYS["memfd_create"], name, flags)
