"""Waiting for descriptors: poll, select, epoll; and the descriptors made for being waited for (eventfd, signalfd).

Temporary signal masks are set by Task.suspend_mask before a host call without a mask: a signal that comes in between
is seen by the core's check before the host call, so nothing is lost. What the kernel writes back on every path
(remaining time, cleared sets) is written back here on every path but -ERESTART, which means that nothing has happened
yet.
"""

import struct

from runtime._core import ERESTART, HOST_MACHINE, SYS, open_fds
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EFAULT, EINVAL, GuestError
from runtime.abi.structs import epoll_event
from runtime.syscalls.kinds import Address, Fd, Int, OpenFlags, Size, UInt
from runtime.syscalls.registry import syscall
from runtime.syscalls.scheduling import swap_mask
from runtime.syscalls.timespecs import (
    HOST_TIMESPEC,
    NSEC,
    USEC,
    TimesOut,
    TimespecIn,
    TimespecInOut,
    TimevalInOut,
)
from runtime.task.limits import RLIMIT_NOFILE, host_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

POLLFD_SIZE = 8
FD_SETSIZE = 1024  # descriptors in the C library's fd_set
HOST_WORD_BITS = 64
STICKY_TIMEOUTS = 0x4000000  # personality(2): select and ppoll leave the timeout alone
EPOLL_CTL_DEL = 2
# Asked of the host at once; a larger maxevents is a promise of room, not a demand.
MOST_EVENTS = 4096
_HOST_EVENT = struct.Struct("=IQ" if HOST_MACHINE == "x86_64" else "=I4xQ")  # linux/eventpoll.h


# Timeouts and masks --------------------------------------------------------------------------------------------------
def _read_timeout(task: "Task", where: TimesOut) -> "bytearray | None":
    """A guest timespec as the host's, or None for NULL. The host judges the value."""
    if not where:
        return None
    return bytearray(HOST_TIMESPEC.pack(*where.codec.read(task, where.address)))


def _return_timeout(task: "Task", where: TimesOut, left: "bytearray | None", result: int) -> None:
    """Remaining time goes back to the guest, unless nothing was waited for; a bad address is not an error then
    (fs/select.c, poll_select_finish)."""
    if left is None or result in (-ERESTART, -EINVAL, -EFAULT):
        return
    if task.process.personality & STICKY_TIMEOUTS:
        return
    try:
        where.put(*HOST_TIMESPEC.unpack(left))
    except GuestError:
        return


def _suspend(task: "Task", address: int, size: int) -> None:
    """Install the temporary mask of ppoll, pselect6 and epoll_pwait, if there is one."""
    if not address:
        return
    if size != task.arch.sigset_size:
        raise GuestError(EINVAL)
    task.suspend_mask(task.arch.sigset_decode(task.memory.access.read(address, size)))


# poll ----------------------------------------------------------------------------------------------------------------
def _poll(task: "Task", address: int, count: int, timeout: "bytes | bytearray | None") -> int:
    """ppoll of the host on the guest's array, results written back."""
    if count > FD_SETSIZE and count > host_limits(RLIMIT_NOFILE)[0]:
        return -EINVAL
    model = task.arch.model
    data = task.memory.access.read(address, count * POLLFD_SIZE)
    encode, decode = task.arch.constants.encode, task.arch.constants.decode
    plain = not model.big
    if plain:
        host = bytearray(data)
    else:
        host = bytearray()
        for fd, events, _ in struct.iter_unpack(model.prefix + "iHH", data):
            host += struct.pack("=iHH", fd, decode("poll", events), 0)
    result = wait(SYS["ppoll"], host, count, timeout if timeout is not None else 0, 0, 8)
    if result == -ERESTART or not count:
        return result
    # Only revents is ours to write; another thread may have changed the rest meanwhile.
    back = bytearray(task.memory.access.read(address, count * POLLFD_SIZE))
    if plain:
        back[6::8], back[7::8] = host[6::8], host[7::8]
    else:
        for i, (_, _, revents) in enumerate(struct.iter_unpack("=iHH", host)):
            at = i * POLLFD_SIZE + 6
            back[at : at + 2] = struct.pack(model.prefix + "H", encode("poll", revents))
    task.memory.access.write(address, back)
    return result


@syscall
def poll(task: "Task", fds: Address, count: UInt, timeout: Int) -> int:
    """poll(2): milliseconds; negative waits for ever."""
    limit = None
    if timeout >= 0:
        limit = bytearray(HOST_TIMESPEC.pack(timeout // 1000, timeout % 1000 * 1_000_000))
    return _poll(task, fds, count, limit)


@syscall
def ppoll(
    task: "Task", fds: Address, count: UInt, timeout: TimespecInOut, mask: Address, size: Size
) -> int:
    """ppoll(2)."""
    left = _read_timeout(task, timeout)
    _suspend(task, mask, size)
    result = _poll(task, fds, count, left)
    _return_timeout(task, timeout, left, result)
    return result


# select --------------------------------------------------------------------------------------------------------------
def set_bytes(count: int, bits: int) -> int:
    """Bytes of an fd_set for `count` descriptors, in longs of `bits` (kernel FDS_BYTES)."""
    return (count + bits - 1) // bits * bits // 8


def _clamp(count: int) -> int:
    """The kernel looks at no more descriptors than the process's table has room for, so programs may give
    getdtablesize() with a set of 1024 bits."""
    if count <= FD_SETSIZE:
        return count
    highest = max(open_fds(), default=0) + 1
    return min(count, max(FD_SETSIZE, -(-highest // HOST_WORD_BITS) * HOST_WORD_BITS))


def _select(
    task: "Task", count: int, sets: tuple[int, int, int], timeout: "bytearray | None"
) -> int:
    """pselect6 of the host on the guest's three sets, results written back."""
    if count < 0:
        return -EINVAL
    model = task.arch.model
    count = _clamp(count)
    size = set_bytes(count, model.bits)
    room = set_bytes(count, HOST_WORD_BITS)
    access = task.memory.access
    hosts: list[bytearray | None] = []
    for address in sets:
        if not address:
            hosts.append(None)
            continue
        words = swap_mask(access.read(address, size), model.big, model.long)
        hosts.append(bytearray(words.ljust(room, b"\0")))
    result = wait(
        SYS["pselect6"],
        count,
        *(host if host is not None else 0 for host in hosts),
        timeout if timeout is not None else 0,
        0,
    )
    if result >= 0:
        for address, host in zip(sets, hosts, strict=True):
            if host is not None:
                access.write(address, swap_mask(bytes(host[:size]), model.big, model.long))
    return result


@syscall
def select(
    task: "Task",
    count: Int,
    readable: Address,
    writable: Address,
    exceptional: Address,
    timeout: TimevalInOut,
) -> int:
    """select(2) (_newselect): the timeval is normalised, and holds the remaining time afterwards."""
    left = None
    if timeout:
        seconds, microseconds = timeout.codec.read(task, timeout.address)
        if seconds < 0 or microseconds < 0:
            return -EINVAL
        left = bytearray(
            HOST_TIMESPEC.pack(seconds + microseconds // USEC, microseconds % USEC * (NSEC // USEC))
        )
    result = _select(task, count, (readable, writable, exceptional), left)
    if left is not None:
        seconds, nanoseconds = HOST_TIMESPEC.unpack(left)
        micro = bytearray(HOST_TIMESPEC.pack(seconds, nanoseconds // (NSEC // USEC)))
        _return_timeout(task, timeout, micro, result)
    return result


@syscall
def pselect6(
    task: "Task",
    count: Int,
    readable: Address,
    writable: Address,
    exceptional: Address,
    timeout: TimespecInOut,
    mask: Address,
) -> int:
    """pselect6(2): the last argument points to a pointer to the mask and its size."""
    left = _read_timeout(task, timeout)
    if mask:
        model = task.arch.model
        code = model.prefix + ("QQ" if model.bits == 64 else "II")
        data = task.memory.access.read(mask, 2 * model.pointer)
        _suspend(task, *struct.unpack(code, data))
    result = _select(task, count, (readable, writable, exceptional), left)
    _return_timeout(task, timeout, left, result)
    return result


# epoll ---------------------------------------------------------------------------------------------------------------
@syscall
def epoll_create(task: "Task", size: Int) -> int:
    """epoll_create(2)."""
    return -EINVAL if size <= 0 else quick(SYS["epoll_create1"], 0)


@syscall
def epoll_create1(task: "Task", flags: OpenFlags) -> int:
    """epoll_create1(2)."""
    return quick(SYS["epoll_create1"], flags)


@syscall
def epoll_ctl(task: "Task", epfd: Fd, operation: Int, fd: Fd, event: Address) -> int:
    """epoll_ctl(2). The events are EPOLL* numbers, the same on every ABI; data is the guest's, kept as a number."""
    if operation == EPOLL_CTL_DEL:
        return quick(SYS["epoll_ctl"], epfd, operation, fd, 0)
    layout = epoll_event.of(task.arch.model)
    events, data = layout.unpack(task.memory.access.read(event, layout.size))
    return quick(SYS["epoll_ctl"], epfd, operation, fd, _HOST_EVENT.pack(events, data))


def _epoll_wait(
    task: "Task", epfd: int, events: int, most: int, timeout: "int | bytes | None"
) -> int:
    """timeout: milliseconds for epoll_pwait, a host timespec or None (no end) for epoll_pwait2."""
    layout = epoll_event.of(task.arch.model)
    if most <= 0 or most > 0x7FFFFFFF // layout.size:
        return -EINVAL
    room = min(most, MOST_EVENTS)
    host = bytearray(room * _HOST_EVENT.size)
    if isinstance(timeout, int):
        result = wait(SYS["epoll_pwait"], epfd, host, room, timeout, 0, 8)
    else:
        result = wait(SYS["epoll_pwait2"], epfd, host, room, timeout or 0, 0, 8)
    if result > 0:
        found = _HOST_EVENT.iter_unpack(host[: result * _HOST_EVENT.size])
        task.memory.access.write(events, b"".join(layout.pack(pair) for pair in found))
    return result


@syscall
def epoll_wait(task: "Task", epfd: Fd, events: Address, most: Int, timeout: Int) -> int:
    """epoll_wait(2)."""
    return _epoll_wait(task, epfd, events, most, timeout)


@syscall
def epoll_pwait(
    task: "Task", epfd: Fd, events: Address, most: Int, timeout: Int, mask: Address, size: Size
) -> int:
    """epoll_pwait(2)."""
    _suspend(task, mask, size)
    return _epoll_wait(task, epfd, events, most, timeout)


@syscall
def epoll_pwait2(
    task: "Task",
    epfd: Fd,
    events: Address,
    most: Int,
    timeout: TimespecIn,
    mask: Address,
    size: Size,
) -> int:
    """epoll_pwait2(2): a 64-bit timespec on every ABI."""
    limit = HOST_TIMESPEC.pack(*timeout) if timeout else None
    _suspend(task, mask, size)
    return _epoll_wait(task, epfd, events, most, limit)


# Descriptors to wait for
# ---------------------------------------------------------------------------------------------
@syscall
def eventfd2(task: "Task", count: UInt, flags: OpenFlags) -> int:
    """eventfd2(2): EFD_NONBLOCK and EFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC of the ABI, EFD_SEMAPHORE is 1."""
    return quick(SYS["eventfd2"], count, flags)


@syscall
def eventfd(task: "Task", count: UInt) -> int:
    """eventfd(2)."""
    return quick(SYS["eventfd2"], count, 0)


def _signalfd(task: "Task", fd: int, mask: int, size: int, flags: int) -> int:
    if size != task.arch.sigset_size:
        return -EINVAL
    signals = task.arch.sigset_decode(task.memory.access.read(mask, size))
    return quick(SYS["signalfd4"], fd, signals.to_bytes(8, "little"), 8, flags)


@syscall
def signalfd4(task: "Task", fd: Fd, mask: Address, size: Size, flags: OpenFlags) -> int:
    """signalfd4(2)."""
    return _signalfd(task, fd, mask, size, flags)


@syscall
def signalfd(task: "Task", fd: Fd, mask: Address, size: Size) -> int:
    """signalfd(2)."""
    return _signalfd(task, fd, mask, size, 0)
