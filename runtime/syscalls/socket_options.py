"""setsockopt(2) and getsockopt(2): what the values are made of.

Most options are an int, and a structure of fixed-width members is the same bytes on every little-endian ABI. What has
longs or pointers is converted for every ABI that differs; what is left is converted by the table below where the byte
order differs, and passes as it is otherwise.
"""

import struct

from runtime._core import SYS, address
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EFAULT, EINVAL, GuestError
from runtime.abi.linux import SOL_ICMPV6, SOL_IP, SOL_IPV6, SOL_RAW, SOL_SOCKET, SOL_TCP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD = 20, 21
SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, SO_MAX_PACING_RATE = 26, 51, 47
SO_PEERNAME, SO_TYPE, SO_ERROR = 28, 3, 4
MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP = 42, 45
BPF_MAXINSNS = 4096  # linux/bpf_common.h
VALUE_MAX = 1 << 16  # no option has a longer value; a guest's larger room is a promise

# (level, option) -> struct codes of the value in the machine's byte order; "" bytes as they are; "*": as many as
# there are.
# Absent: an int if the value has 4 bytes, else bytes. The rest of a longer value passes as it is.
VALUES: dict[tuple[int, int], str] = {
    (SOL_SOCKET, 13): "ii",  # SO_LINGER
    (SOL_SOCKET, 17): "iII",  # SO_PEERCRED
    (SOL_SOCKET, 25): "",  # SO_BINDTODEVICE
    (SOL_SOCKET, 31): "",  # SO_PEERSEC
    (SOL_SOCKET, 55): "*I",  # SO_MEMINFO
    (SOL_SOCKET, 57): "Q",  # SO_COOKIE
    (SOL_SOCKET, 59): "*I",  # SO_PEERGROUPS
    (SOL_SOCKET, 61): "iI",  # SO_TXTIME
    (SOL_SOCKET, 66): "qq",  # SO_RCVTIMEO_NEW
    (SOL_SOCKET, 67): "qq",  # SO_SNDTIMEO_NEW
    (SOL_IP, 32): "",  # IP_MULTICAST_IF, the form with an address; struct ip_mreqn is below
    (SOL_IP, 35): "8sI",  # IP_ADD_MEMBERSHIP: ip_mreqn
    (SOL_IP, 36): "8sI",  # IP_DROP_MEMBERSHIP
    (SOL_IPV6, 20): "16sI",  # IPV6_ADD_MEMBERSHIP
    (SOL_IPV6, 21): "16sI",
    (SOL_IPV6, 50): "16sI",  # IPV6_PKTINFO
    (SOL_TCP, 11): "8s24I8Q",  # TCP_INFO, its part up to tcpi_delivery_rate
    (SOL_TCP, 13): "",  # TCP_CONGESTION
    (SOL_TCP, 31): "",  # TCP_ULP
    (SOL_ICMPV6, 1): "*I",  # ICMPV6_FILTER
    (SOL_RAW, 1): "I",  # ICMP_FILTER
}


def convert_value(level: int, option: int, data: bytes, source: str, target: str) -> bytes:
    """A value of fixed-width members between two byte orders (struct prefixes)."""
    code = VALUES.get((level, option), "I" if len(data) == 4 else "")
    if code.startswith("*"):
        code = f"{len(data) // struct.calcsize('=' + code[1:])}{code[1:]}"
    if not code:
        return data
    size = struct.calcsize("=" + code)
    if size > len(data):
        words = len(data) // 4 if "s" not in code and "Q" not in code and "q" not in code else 0
        code, size = f"{words}I", 4 * words
    return struct.pack(target + code, *struct.unpack(source + code, data[:size])) + data[size:]


def _timeval(task: "Task") -> struct.Struct:
    model = task.arch.model
    return struct.Struct(model.prefix + ("qq" if model.bits == 64 else "ii"))


def _is_time(level: int, option: int) -> bool:
    return level == SOL_SOCKET and option in (SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD)


def _filter(task: "Task", at: int, length: int) -> tuple[bytes, bytes]:
    """struct sock_fprog {u16 count; pointer} and its instructions {u16 code; u8 jt, jf; u32 k} as the host's."""
    model = task.arch.model
    layout = struct.Struct(model.prefix + ("H6xQ" if model.bits == 64 else "H2xI"))
    if length < layout.size:
        raise GuestError(EINVAL)
    count, where = layout.unpack(task.memory.access.read(at, layout.size))
    if not 0 < count <= BPF_MAXINSNS:
        raise GuestError(EINVAL)
    code = task.memory.access.read(where, 8 * count)
    if model.big:
        code = b"".join(struct.pack("=HBBI", *i) for i in struct.iter_unpack(">HBBI", code))
    return struct.pack("=H6xQ", count, address(code)), code


def _group(task: "Task", data: bytes) -> bytes:
    """struct group_req {u32 interface; sockaddr_storage}, which is aligned to a long."""
    model = task.arch.model
    offset = model.long
    if len(data) < offset + 128:
        raise GuestError(EINVAL)
    (interface,) = struct.unpack_from(model.prefix + "I", data)
    storage = data[offset : offset + 128]
    if model.big:
        storage = storage[:2][::-1] + storage[2:]
    return struct.pack("=I4x", interface) + storage


def set_option(task: "Task", fd: int, level: int, option: int, at: int, length: int) -> int:
    """setsockopt with a level in generic numbering."""
    model = task.arch.model
    if level == SOL_SOCKET:
        option = task.arch.constants.decode("socket_option", option)
    if not 0 <= length <= VALUE_MAX:
        return quick(SYS["setsockopt"], fd, level, option, 0, length)
    if level == SOL_SOCKET and option in (SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF):
        program, _instructions = _filter(task, at, length)
        return quick(SYS["setsockopt"], fd, level, option, program, len(program))
    if not at:
        return quick(SYS["setsockopt"], fd, level, option, 0, length)
    data = task.memory.access.read(at, length)
    if _is_time(level, option):
        layout = _timeval(task)
        if length < layout.size:
            return -EINVAL
        data = struct.pack("=qq", *layout.unpack_from(data))
    elif level in (SOL_IP, SOL_IPV6) and option in (MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP):
        data = _group(task, data)
    elif model.big:
        data = convert_value(level, option, data, model.prefix, "=")
    return quick(SYS["setsockopt"], fd, level, option, data, len(data))


def get_option(task: "Task", fd: int, level: int, option: int, at: int, length_at: int) -> int:
    """getsockopt with a level in generic numbering: the value and its length are written back."""
    model = task.arch.model
    access = task.memory.access
    if level == SOL_SOCKET:
        option = task.arch.constants.decode("socket_option", option)
    (room,) = struct.unpack(model.prefix + "i", access.read(length_at, 4))
    time = _is_time(level, option)
    host = bytearray(max(16, min(room, VALUE_MAX)) if time else max(0, min(room, VALUE_MAX)))
    length = bytearray(struct.pack("=i", len(host) if room >= 0 else room))
    result = quick(SYS["getsockopt"], fd, level, option, host, length)
    if result < 0:
        return result
    data = bytes(host[: struct.unpack("=i", length)[0]])
    if level == SOL_SOCKET:
        data = _renumbered(task, option, data)
    if time:
        seconds, microseconds = struct.unpack("=qq", data)
        data = _timeval(task).pack(min(seconds, (1 << model.bits - 1) - 1), microseconds)[:room]
    elif model.big:
        data = _to_big(task, level, option, data)
    if data and not at:
        return -EFAULT
    access.write(at, data)
    access.write(length_at, struct.pack(model.prefix + "i", len(data)))
    return result


def _to_big(task: "Task", level: int, option: int, data: bytes) -> bytes:
    if level == SOL_SOCKET and option == SO_PEERNAME:
        return data[:2][::-1] + data[2:]
    if level == SOL_SOCKET and option == SO_ATTACH_FILTER:  # SO_GET_FILTER: instructions
        return b"".join(struct.pack(">HBBI", *i) for i in struct.iter_unpack("=HBBI", data))
    return convert_value(level, option, data, "=", task.arch.model.prefix)


def _renumbered(task: "Task", option: int, data: bytes) -> bytes:
    """SO_TYPE and SO_ERROR answer with a number of the ABI."""
    if len(data) != 4 or option not in (SO_TYPE, SO_ERROR):
        return data
    (number,) = struct.unpack("=i", data)
    constants = task.arch.constants
    if option == SO_TYPE:
        return struct.pack("=i", constants.encode("socket_type", number))
    return struct.pack("=i", constants.errno_to_guest(number))
