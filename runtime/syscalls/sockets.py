"""Sockets: the calls. Addresses are in socket_addresses.py, options in socket_options.py, messages with control data
in messages.py. Data never passes through Python: the host call is given the guest's buffer as host memory."""

import struct

from runtime._core import ERESTART, SYS, R, W, address
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EAFNOSUPPORT, EAGAIN, EFAULT, EINVAL, GuestError
from runtime.syscalls.buffers import NOWHERE, buffer_spans, host_iovec
from runtime.syscalls.kinds import (
    Address,
    Fd,
    InBuffer,
    Int,
    OpenFlags,
    OutBuffer,
    Size,
    SocketLevel,
    SocketType,
    UInt,
)
from runtime.syscalls.messages import HOST_MSGHDR, msghdr, receive_message, send_message
from runtime.syscalls.multiplexer import multiplex
from runtime.syscalls.registry import syscall
from runtime.syscalls.socket_addresses import (
    ADDRESS_MAX,
    AF_NETLINK,
    HostAddress,
    host_address,
    put_address,
)
from runtime.syscalls.socket_options import get_option, set_option
from runtime.syscalls.timespecs import HOST_TIMESPEC, NSEC, TimespecInOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.syscalls.buffers import Spans
    from runtime.task.task import Task

MESSAGES_MAX = 1024  # UIO_MAXIOV: sendmmsg and recvmmsg take no more at once
MSG_DONTWAIT, MSG_WAITFORONE = 0x40, 0x10000
CLOCK_MONOTONIC = 1

# socketcall(2): the call's number is an index (linux/net.h); (entry, arguments).
SOCKETCALLS = (
    ("", 0),
    ("socket", 3),
    ("bind", 3),
    ("connect", 3),
    ("listen", 2),
    ("accept", 3),
    ("getsockname", 3),
    ("getpeername", 3),
    ("socketpair", 4),
    ("send", 4),
    ("recv", 4),
    ("sendto", 6),
    ("recvfrom", 6),
    ("shutdown", 2),
    ("setsockopt", 5),
    ("getsockopt", 5),
    ("sendmsg", 3),
    ("recvmsg", 3),
    ("accept4", 4),
    ("recvmmsg", 5),
    ("sendmmsg", 4),
)


# Making and naming ---------------------------------------------------------------------------------------------------
def _refuse_family(task: "Task", family: int) -> None:
    """Netlink messages are structures of the kernel's, in its byte order; a guest of the other order could not be
    understood."""
    if family == AF_NETLINK and task.arch.model.big:
        task.log("netlink sockets are not converted for this byte order: EAFNOSUPPORT")
        raise GuestError(EAFNOSUPPORT)


@syscall
def socket(task: "Task", family: Int, kind: SocketType, protocol: Int) -> int:
    """socket(2)."""
    _refuse_family(task, family)
    return quick(SYS["socket"], family, kind, protocol)


@syscall
def socketpair(task: "Task", family: Int, kind: SocketType, protocol: Int, pair: Address) -> int:
    """socketpair(2)."""
    host = bytearray(8)
    result = quick(SYS["socketpair"], family, kind, protocol, host)
    if result == 0:
        ends = struct.unpack("=ii", host)
        try:
            task.memory.access.write(pair, struct.pack(task.arch.model.prefix + "ii", *ends))
        except Exception:
            for fd in ends:
                quick(SYS["close"], fd)
            raise
    return result


def _address_call(task: "Task", call: str, fd: int, addr: int, length: int, creates: bool) -> int:
    where = host_address(task, addr, length, creates=creates)
    try:
        return wait(SYS[call], fd, where.data, len(where.data))
    finally:
        where.close()


@syscall
def bind(task: "Task", fd: Fd, addr: Address, length: Int) -> int:
    """bind(2)."""
    return _address_call(task, "bind", fd, addr, length, True)


@syscall
def connect(task: "Task", fd: Fd, addr: Address, length: Int) -> int:
    """connect(2)."""
    return _address_call(task, "connect", fd, addr, length, False)


@syscall
def listen(task: "Task", fd: Fd, backlog: Int) -> int:
    """listen(2)."""
    return quick(SYS["listen"], fd, backlog)


def _accept(task: "Task", fd: int, addr: int, length: int, flags: int) -> int:
    name = bytearray(ADDRESS_MAX)
    room = bytearray(struct.pack("=i", ADDRESS_MAX))
    result = wait(SYS["accept4"], fd, name if addr else 0, room if addr else 0, flags)
    if result >= 0 and addr:
        try:
            put_address(task, addr, length, _given(name, room))
        except Exception:
            quick(SYS["close"], result)
            raise
    return result


def _given(name: bytearray, room: bytearray) -> bytes:
    """The address the host has written; a name longer than our buffer does not exist."""
    return bytes(name[: struct.unpack("=i", room)[0]])


@syscall
def accept(task: "Task", fd: Fd, addr: Address, length: Address) -> int:
    """accept(2)."""
    return _accept(task, fd, addr, length, 0)


@syscall
def accept4(task: "Task", fd: Fd, addr: Address, length: Address, flags: OpenFlags) -> int:
    """accept4(2): SOCK_NONBLOCK and SOCK_CLOEXEC are O_NONBLOCK and O_CLOEXEC of the ABI."""
    return _accept(task, fd, addr, length, flags)


def _name(task: "Task", call: str, fd: int, addr: int, length: int) -> int:
    name = bytearray(ADDRESS_MAX)
    room = bytearray(struct.pack("=i", ADDRESS_MAX))
    result = quick(SYS[call], fd, name, room)
    if result == 0:
        if not addr:
            return -EFAULT
        put_address(task, addr, length, _given(name, room))
    return result


@syscall
def getsockname(task: "Task", fd: Fd, addr: Address, length: Address) -> int:
    """getsockname(2)."""
    return _name(task, "getsockname", fd, addr, length)


@syscall
def getpeername(task: "Task", fd: Fd, addr: Address, length: Address) -> int:
    """getpeername(2)."""
    return _name(task, "getpeername", fd, addr, length)


@syscall
def shutdown(task: "Task", fd: Fd, how: Int) -> int:
    """shutdown(2)."""
    return quick(SYS["shutdown"], fd, how)


# Options -------------------------------------------------------------------------------------------------------------
@syscall
def setsockopt(
    task: "Task", fd: Fd, level: SocketLevel, option: Int, value: Address, length: Int
) -> int:
    """setsockopt(2)."""
    return set_option(task, fd, level, option, value, length)


@syscall
def getsockopt(
    task: "Task", fd: Fd, level: SocketLevel, option: Int, value: Address, length: Address
) -> int:
    """getsockopt(2)."""
    return get_option(task, fd, level, option, value, length)


# Data ----------------------------------------------------------------------------------------------------------------
def _complete(spans: "Spans", count: int) -> "Spans":
    """Spans of the whole buffer: an inaccessible rest is host address 0, at which the host's kernel gives EFAULT."""
    missing = min(count, 0x7FFFFFFF) - sum(length for _, length in spans)
    return [*spans, (NOWHERE, missing)] if missing > 0 else spans


def _transmit(task: "Task", fd: int, buf: int, count: int, flags: int, name: bytes) -> int:
    spans = _complete(buffer_spans(task, buf, count, R), count)
    if len(spans) == 1:
        host, length = spans[0]
        return wait(SYS["sendto"], fd, host, length, flags, name if name else 0, len(name))
    vector = host_iovec(spans)
    header = HOST_MSGHDR.pack(
        address(name) if name else 0, len(name), address(vector), len(spans), 0, 0, 0
    )
    return wait(SYS["sendmsg"], fd, header, flags)


@syscall
def send(task: "Task", fd: Fd, buf: InBuffer, count: Size, flags: UInt) -> int:
    """send(2)."""
    return _transmit(task, fd, buf, count, flags, b"")


@syscall
def sendto(
    task: "Task", fd: Fd, buf: InBuffer, count: Size, flags: UInt, addr: Address, length: Int
) -> int:
    """sendto(2)."""
    where = host_address(task, addr, length) if addr else HostAddress(b"")
    try:
        return _transmit(task, fd, buf, count, flags, where.data)
    finally:
        where.close()


def _receive(
    task: "Task", fd: int, buf: int, count: int, flags: int, addr: int, length: int
) -> int:
    spans = _complete(buffer_spans(task, buf, count, W), count)
    name = bytearray(ADDRESS_MAX)
    if len(spans) == 1:
        host, size = spans[0]
        room = bytearray(struct.pack("=i", ADDRESS_MAX))
        result = wait(
            SYS["recvfrom"], fd, host, size, flags, name if addr else 0, room if addr else 0
        )
    else:
        vector = host_iovec(spans)
        header = bytearray(
            HOST_MSGHDR.pack(address(name), len(name), address(vector), len(spans), 0, 0, 0)
        )
        result = wait(SYS["recvmsg"], fd, header, flags)
        room = bytearray(header[8:12])
    if result >= 0 and addr:
        put_address(task, addr, length, _given(name, room))
    return result


@syscall
def recv(task: "Task", fd: Fd, buf: OutBuffer, count: Size, flags: UInt) -> int:
    """recv(2)."""
    return _receive(task, fd, buf, count, flags, 0, 0)


@syscall
def recvfrom(
    task: "Task", fd: Fd, buf: OutBuffer, count: Size, flags: UInt, addr: Address, length: Address
) -> int:
    """recvfrom(2)."""
    return _receive(task, fd, buf, count, flags, addr, length)


@syscall
def sendmsg(task: "Task", fd: Fd, message: Address, flags: UInt) -> int:
    """sendmsg(2)."""
    return send_message(task, fd, message, flags)


@syscall
def recvmsg(task: "Task", fd: Fd, message: Address, flags: UInt) -> int:
    """recvmsg(2)."""
    return receive_message(task, fd, message, flags)


# Several messages at once
# --------------------------------------------------------------------------------------------
def _mmsghdr(task: "Task") -> tuple[int, int]:
    """(offset of msg_len, bytes of struct mmsghdr)."""
    model = task.arch.model
    size = msghdr(model).size
    return size, -(-(size + 4) // model.long) * model.long


def _put_length(task: "Task", at: int, length: int) -> None:
    task.memory.access.write(at, struct.pack(task.arch.model.prefix + "I", length))


@syscall
def sendmmsg(task: "Task", fd: Fd, messages: Address, count: UInt, flags: UInt) -> int:
    """sendmmsg(2): the number sent; an error only when it is the first that fails."""
    length_at, size = _mmsghdr(task)
    sent = 0
    for at in range(messages, messages + min(count, MESSAGES_MAX) * size, size):
        result = _one(task, send_message, fd, at, flags)
        if result < 0:
            return sent or result
        _put_length(task, at + length_at, result)
        sent += 1
    return sent


def _one(task: "Task", call, fd: int, at: int, flags: int) -> int:  # type: ignore[no-untyped-def]
    try:
        return int(call(task, fd, at, flags))
    except GuestError as error:
        return -error.errno


def _now() -> int:
    host = bytearray(16)
    quick(SYS["clock_gettime"], CLOCK_MONOTONIC, host)
    seconds, nanoseconds = HOST_TIMESPEC.unpack(host)
    return int(seconds * NSEC + nanoseconds)


@syscall
def recvmmsg(
    task: "Task", fd: Fd, messages: Address, count: UInt, flags: UInt, timeout: TimespecInOut
) -> int:
    """recvmmsg(2). The timeout is looked at after each message only, as in the kernel, and what is left is written
    back."""
    end = None
    if timeout:
        seconds, nanoseconds = timeout.codec.read(task, timeout.address)
        if seconds < 0 or not 0 <= nanoseconds < NSEC:
            return -EINVAL
        end = _now() + seconds * NSEC + nanoseconds
    length_at, size = _mmsghdr(task)
    received = 0
    result = 0
    wanted: int = flags & ~MSG_WAITFORONE
    for at in range(messages, messages + min(count, MESSAGES_MAX) * size, size):
        result = _one(task, receive_message, fd, at, wanted)
        if result < 0:
            break
        _put_length(task, at + length_at, result)
        received += 1
        if flags & MSG_WAITFORONE:
            wanted |= MSG_DONTWAIT
        if end is not None and _now() >= end:
            break
    if end is not None and result not in (-ERESTART, -EAGAIN):
        timeout.put(*divmod(max(0, end - _now()), NSEC))
    return received or result


@syscall
def socketcall(task: "Task", call: Int, arguments: Address) -> int:
    """socketcall(2): an index and an array of longs."""
    if not 0 < call < len(SOCKETCALLS):
        return -EINVAL
    entry, count = SOCKETCALLS[call]
    model = task.arch.model
    code = f"{model.prefix}{count}{'Q' if model.bits == 64 else 'I'}"
    data = task.memory.access.read(arguments, count * model.long)
    variant = "time32" if entry == "recvmmsg" and model.bits == 32 else ""
    return multiplex(task, entry, variant, struct.unpack(code, data))
