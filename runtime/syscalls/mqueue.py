"""POSIX message queues: the host's. struct mq_attr is eight longs; the timeouts are absolute times."""

import struct

from runtime._core import SYS, address
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EMSGSIZE
from runtime.abi.linux import O_CREAT
from runtime.syscalls.kinds import (
    Address,
    Fd,
    InBuffer,
    Int,
    Mode,
    OpenFlags,
    OutBuffer,
    Size,
    Text,
    UInt,
)
from runtime.syscalls.registry import syscall
from runtime.syscalls.time import SIGEV_SIZE, host_sigevent
from runtime.syscalls.timespecs import HOST_TIMESPEC, TimespecIn, long_codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

ATTRIBUTES = 8  # longs: flags, maxmsg, msgsize, curmsgs and four reserved
SIGEV_THREAD = 2
COOKIE = 32  # bytes of NOTIFY_COOKIE_LEN, linux/mqueue.h
MESSAGE_MOST = 1 << 24


def _read_attributes(task: "Task", at: int) -> bytes:
    flags, *rest = long_codec(task.arch, ATTRIBUTES).read(task, at)
    return struct.pack("=8q", task.arch.constants.decode("open", flags & 0xFFFFFFFF), *rest)


def _limit(timeout: tuple[int, ...]) -> "bytes | int":
    return HOST_TIMESPEC.pack(*timeout) if timeout else 0


@syscall
def mq_open(task: "Task", name: Text, flags: OpenFlags, mode: Mode, attributes: Address) -> int:
    """mq_open: the name comes without its slash."""
    host: bytes | int = 0
    if attributes and flags & O_CREAT:
        host = _read_attributes(task, attributes)
    return quick(SYS["mq_open"], name + b"\0", flags, mode, host)


@syscall
def mq_unlink(task: "Task", name: Text) -> int:
    """mq_unlink."""
    return quick(SYS["mq_unlink"], name + b"\0")


@syscall
def mq_timedsend(
    task: "Task", queue: Fd, message: InBuffer, size: Size, priority: UInt, timeout: TimespecIn
) -> int:
    """mq_timedsend(2)."""
    if size > MESSAGE_MOST:
        return -EMSGSIZE
    text = task.memory.access.read(message, size)
    return wait(SYS["mq_timedsend"], queue, text, size, priority, _limit(timeout))


@syscall
def mq_timedreceive(
    task: "Task", queue: Fd, message: OutBuffer, size: Size, priority: Address, timeout: TimespecIn
) -> int:
    """mq_timedreceive(2)."""
    host = bytearray(min(size, MESSAGE_MOST))
    host_priority = bytearray(4)
    result = wait(SYS["mq_timedreceive"], queue, host, len(host), host_priority, _limit(timeout))
    if result >= 0:
        task.memory.access.write(message, host[:result])
        if priority:
            value = struct.pack(task.arch.model.prefix + "I", *struct.unpack("=I", host_priority))
            task.memory.access.write(priority, value)
    return result


@syscall
def mq_notify(task: "Task", queue: Fd, event: Address) -> int:
    """mq_notify: with SIGEV_THREAD the value points to a cookie that the kernel copies, and the signal number is a
    socket."""
    if not event:
        return quick(SYS["mq_notify"], queue, 0)
    model = task.arch.model
    raw = task.memory.access.read(event, SIGEV_SIZE)
    code = f"{model.prefix}{'Q' if model.bits == 64 else 'I'}ii"
    value, signo, notify = struct.unpack_from(code, raw)
    if notify != SIGEV_THREAD:
        return quick(SYS["mq_notify"], queue, host_sigevent(task, event))
    cookie = task.memory.access.read(value, COOKIE)
    host = struct.pack("=Qii48x", address(cookie), signo, notify)
    return quick(SYS["mq_notify"], queue, host)


@syscall
def mq_getsetattr(task: "Task", queue: Int, new: Address, old: Address) -> int:
    """mq_getsetattr(2)."""
    host = bytearray(8 * ATTRIBUTES)
    result = quick(SYS["mq_getsetattr"], queue, _read_attributes(task, new) if new else 0, host)
    if result == 0 and old:
        flags, *rest = struct.unpack("=8q", host)
        values = (task.arch.constants.encode("open", flags), *rest)
        long_codec(task.arch, ATTRIBUTES).write(task, old, values)
    return result
