"""struct msghdr and its control messages between guest and host.

A control message is a header (a size_t and two ints) and data, aligned to a size_t. Where the guest is a 64-bit
little-endian one the bytes are the host's and pass as they are. Otherwise each message is converted by its kind: the
table below says how its data is made of words.
"""

import struct

from runtime._core import SYS, MemoryFault, R, W, address
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, EMSGSIZE, ENOBUFS, GuestError
from runtime.abi.linux import SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_UDP, UIO_MAXIOV
from runtime.syscalls.buffers import NOWHERE, host_iovec, read_iovec
from runtime.syscalls.socket_addresses import ADDRESS_MAX, HostAddress, guest_bytes, host_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.abi.layout import DataModel
    from runtime.syscalls.buffers import Spans
    from runtime.task.task import Task

CONTROL_MAX = 1 << 20  # more than any net.core.optmem_max: ENOBUFS
MSG_CTRUNC = 0x8
HOST_HEADER = 16
HOST_MSGHDR = struct.Struct("=Qi4xQQQQi4x")

SCM_RIGHTS, SCM_CREDENTIALS = 1, 2

# (level, type) -> words of the data: struct codes, "l" for a long; "*" in front: as many as fit. Absent: 32-bit
# words if the
# data is 4 bytes, else bytes.
DATA: dict[tuple[int, int], str] = {
    (SOL_SOCKET, SCM_RIGHTS): "*i",
    (SOL_SOCKET, SCM_CREDENTIALS): "iII",
    (SOL_SOCKET, 29): "ll",  # SO_TIMESTAMP_OLD
    (SOL_SOCKET, 35): "ll",  # SO_TIMESTAMPNS_OLD
    (SOL_SOCKET, 37): "llllll",  # SO_TIMESTAMPING_OLD
    (SOL_SOCKET, 63): "qq",
    (SOL_SOCKET, 64): "qq",
    (SOL_SOCKET, 65): "qqqqqq",
    (SOL_SOCKET, 61): "Q",  # SCM_TXTIME
    (SOL_IP, 8): "I4s4s",  # IP_PKTINFO
    (SOL_IP, 11): "I4sII16s",  # IP_RECVERR: sock_extended_err, sockaddr_in
    (SOL_IPV6, 50): "16sI",  # IPV6_PKTINFO
    (SOL_IPV6, 25): "I4sII28s",  # IPV6_RECVERR
    (SOL_UDP, 103): "H",  # UDP_SEGMENT
}
_WORDS = struct.Struct("=I")


class Header:
    """A guest's struct msghdr: addresses and lengths as the guest gave them."""

    __slots__ = ("control", "control_length", "flags", "name", "name_length", "segments", "vector")

    def __init__(self, task: "Task", at: int) -> None:
        layout = msghdr(task.arch.model)
        values = layout.unpack(task.memory.access.read(at, layout.size))
        self.name, self.name_length, self.vector, self.segments = values[:4]
        self.control, self.control_length, self.flags = values[4:]


def msghdr(model: "DataModel") -> struct.Struct:
    """struct msghdr (user_msghdr) of an ABI."""
    return struct.Struct(model.prefix + ("Qi4xQQQQi4x" if model.bits == 64 else "IiIIIIi"))


def data_code(code: str, size: int, bits: int) -> str:
    """The struct codes of a message's data: longs by width, repeated ones counted."""
    code = code.replace("l", "q" if bits == 64 else "i")
    return f"{size // struct.calcsize('=' + code[1:])}{code[1:]}" if code.startswith("*") else code


def convert_data(
    level: int, kind: int, data: bytes, source: "tuple[str, int]", target: "tuple[str, int]"
) -> bytes:
    """One message's data from one ABI to another, each given as (struct prefix, bits of a long)."""
    code = DATA.get((level, kind), "I" if len(data) == 4 else "")
    if not code:
        return data
    from_code = source[0] + data_code(code, len(data), source[1])
    size = struct.calcsize(from_code)
    if size > len(data):
        return data
    values = struct.unpack_from(from_code, data)
    to_code = target[0] + data_code(code, len(data), target[1])
    if target[1] == 32 and "l" in code:
        values = tuple((v + (1 << 31) & 0xFFFFFFFF) - (1 << 31) for v in values)
    return struct.pack(to_code, *values) + data[size:]


HOST_SIDE = ("=", 64)


def _side(model: "DataModel") -> tuple[str, int]:
    return model.prefix, model.bits


def is_native(model: "DataModel") -> bool:
    """Control messages have the host's bytes."""
    return model.bits == 64 and not model.big


def to_host_control(task: "Task", data: bytes) -> bytes:
    """Guest control messages as the host's. EINVAL for a length that is no message (kernel CMSG_OK)."""
    model = task.arch.model
    if is_native(model):
        return data
    header = struct.Struct(model.prefix + ("Qii" if model.bits == 64 else "Iii"))
    decode = task.arch.constants.decode
    out = bytearray()
    at = 0
    while at + header.size <= len(data):
        length, level, kind = header.unpack_from(data, at)
        if length < header.size or length > len(data) - at:
            raise GuestError(EINVAL)
        level = decode("socket_level", level)
        body = data[at + header.size : at + length]
        body = convert_data(level, kind, body, _side(model), HOST_SIDE)
        out += struct.pack("=Qii", HOST_HEADER + len(body), level, kind)
        out += body + bytes(-len(body) % 8)
        at += -(-length // model.long) * model.long
    return bytes(out)


def to_guest_control(task: "Task", data: bytes, room: int) -> tuple[bytes, bool]:
    """Host control messages as the guest's, cut to `room` bytes as put_cmsg and scm_detach_fds do: (bytes, was cut).

    Descriptors that find no room are closed again, as the guest will never learn of them.
    """
    model = task.arch.model
    if is_native(model):
        return data[:room], len(data) > room
    header = struct.Struct(model.prefix + ("Qii" if model.bits == 64 else "Iii"))
    encode = task.arch.constants.encode
    out = bytearray()
    cut = False
    at = 0
    while at + HOST_HEADER <= len(data):
        length, level, kind = struct.unpack_from("=Qii", data, at)
        if length < HOST_HEADER:
            break
        body = bytes(data[at + HOST_HEADER : at + length])
        at += -(-length // 8) * 8
        left = room - len(out) - header.size
        rights = (level, kind) == (SOL_SOCKET, SCM_RIGHTS)
        converted = convert_data(level, kind, body, HOST_SIDE, _side(model))
        if left < len(converted):
            cut = True
            keep = max(0, left) // 4 * 4 if rights else left
            if rights:
                _close_descriptors(body[keep:])
            if left < 0 or (rights and not keep):
                continue
            converted = converted[:keep]
        out += header.pack(header.size + len(converted), encode("socket_level", level), kind)
        out += converted + bytes(
            min(-len(converted) % model.long, max(0, room - len(out) - len(converted)))
        )
    return bytes(out), cut


def _close_descriptors(data: bytes) -> None:
    for (fd,) in _WORDS.iter_unpack(data):
        quick(SYS["close"], fd)


def whole_spans(task: "Task", segments: "list[tuple[int, int]]", access: int) -> "Spans":
    """Host memory of segments. Where the guest's can't be accessed a span at host address 0 stands for it, so that
    the host's kernel fails there and nothing is sent short."""
    spans: Spans = []
    for base, length in segments:
        if not length:
            continue
        try:
            found = task.memory.access.spans(base, length, access)
        except (MemoryFault, GuestError):
            found = []
        spans += found
        missing = length - sum(size for _, size in found)
        if missing:
            spans.append((NOWHERE, missing))
    return spans[:UIO_MAXIOV]


def _segments(task: "Task", header: Header) -> "list[tuple[int, int]]":
    if header.segments > UIO_MAXIOV:
        raise GuestError(EMSGSIZE)
    segments = read_iovec(task, header.vector, header.segments)
    if any(length >> task.arch.model.bits - 1 for _, length in segments):
        raise GuestError(EINVAL)
    return segments


def send_message(task: "Task", fd: int, at: int, flags: int) -> int:
    """sendmsg(2) of the guest's msghdr at an address."""
    header = Header(task, at)
    if header.name_length < 0:
        raise GuestError(EINVAL)
    name = HostAddress(b"")
    if header.name and header.name_length:
        name = host_address(task, header.name, min(header.name_length, ADDRESS_MAX))
    try:
        return _send(task, fd, header, name.data, flags)
    finally:
        name.close()


def _send(task: "Task", fd: int, header: Header, name: bytes, flags: int) -> int:
    spans = whole_spans(task, _segments(task, header), R)
    control = b""
    if header.control and header.control_length:
        if header.control_length > CONTROL_MAX:
            raise GuestError(ENOBUFS)
        raw = task.memory.access.read(header.control, header.control_length)
        control = to_host_control(task, raw)
    vector = host_iovec(spans)
    host = HOST_MSGHDR.pack(
        address(name) if name else 0,
        len(name),
        address(vector) if spans else 0,
        len(spans),
        address(control) if control else 0,
        len(control),
        0,
    )
    return wait(SYS["sendmsg"], fd, host, flags)


def receive_message(task: "Task", fd: int, at: int, flags: int) -> int:
    """recvmsg(2) into the guest's msghdr at an address: data in place, then name, control, lengths and flags."""
    header = Header(task, at)
    if header.name_length < 0:
        raise GuestError(EINVAL)
    model = task.arch.model
    spans = whole_spans(task, _segments(task, header), W)
    vector = host_iovec(spans)
    name = bytearray(ADDRESS_MAX) if header.name else bytearray()
    room = min(header.control_length, CONTROL_MAX) if header.control else 0
    # Headers and paddings of the host are larger; what does not fit the guest's is cut afterwards.
    control = bytearray(room if is_native(model) else 2 * room + 64 if room else 0)
    host = bytearray(
        HOST_MSGHDR.pack(
            address(name) if name else 0,
            len(name),
            address(vector) if spans else 0,
            len(spans),
            address(control) if control else 0,
            len(control),
            0,
        )
    )
    result = wait(SYS["recvmsg"], fd, host, flags)
    if result < 0:
        return result
    _, name_length, _, _, _, control_length, answer = HOST_MSGHDR.unpack(host)
    access = task.memory.access
    if header.name:
        seen = guest_bytes(task, bytes(name[:name_length]))
        access.write(header.name, seen[: header.name_length])
        name_length = len(seen)
    shown = b""
    if control_length:
        shown, cut = to_guest_control(task, bytes(control[:control_length]), room)
        answer |= MSG_CTRUNC if cut else 0
        access.write(header.control, shown)
    values = (
        header.name,
        name_length if header.name else header.name_length,
        header.vector,
        header.segments,
        header.control,
        len(shown),
        answer,
    )
    access.write(at, msghdr(model).pack(*values))
    return result
