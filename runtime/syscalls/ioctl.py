"""ioctl(2), by the table of runtime/abi/ioctls.py: a request that is not in it is refused with ENOTTY and one log line,
since its argument may hold pointers that mean nothing to the host."""

import struct

from runtime._core import SYS, address
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi import ioctls, termios
from runtime.abi.errors import EBADF, EBADR, EINVAL, ENOTTY, GuestError
from runtime.abi.ioctls import Ioctl
from runtime.abi.linux import F_GETFD
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.kinds import Fd, UInt, ULong
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.task.task import Task

IFNAMSIZ = 16
HOST_IFREQ = 40  # bytes
TCGETS2, TCSETS2 = 0x802C542A, 0x402C542B
TCSETS_TO_TCSETS2 = {"TCSETS": 0x402C542B, "TCSETSW": 0x402C542C, "TCSETSF": 0x402C542D}
FIEMAP_EXTENTS_LARGEST = 0xFFFFFFFF // 56  # fs/ioctl.c: FIEMAP_MAX_EXTENTS, less the header
FIEMAP_CHUNK = 4096  # extents asked of the host at once, whatever room a guest says it has
reported: set[int] = set()  # requests this process has had a log line for


@syscall
def ioctl(task: "Task", fd: Fd, request: UInt, argument: ULong) -> int:
    """ioctl(2)."""
    found = ioctls.table(task.arch.model).get(request)
    if found is None:
        return _unknown(task, fd, request)
    if found.way == "value":
        return wait(SYS["ioctl"], fd, found.host, argument & 0xFFFFFFFF)
    work = SPECIAL.get(found.way)
    return _flat(task, fd, found, argument) if work is None else work(task, fd, found, argument)


def _unknown(task: "Task", fd: int, request: int) -> int:
    if quick(SYS["fcntl"], fd, F_GETFD) < 0:
        raise GuestError(EBADF)
    if request not in reported:
        reported.add(request)
        task.log(f"ioctl request {request:#x} is not known: ENOTTY")
    raise GuestError(ENOTTY)


def _flat(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    """An argument without pointers, converted field by field."""
    model, access = task.arch.model, task.memory.access
    guest = struct.Struct(model.prefix + ioctls.widths(found.code, model.bits))
    host = struct.Struct("=" + ioctls.widths(found.code, 64))
    if found.way == "out":
        buffer = bytearray(host.size)
    else:
        buffer = bytearray(host.pack(*guest.unpack(access.read(argument, guest.size))))
    result = wait(SYS["ioctl"], fd, found.host, buffer)
    if result >= 0 and found.way != "in":
        values = host.unpack(buffer)
        if guest.size < host.size:  # a long that lost its upper half, as a 32-bit kernel's would
            values = tuple(
                value & 0xFFFFFFFF if isinstance(value, int) else value for value in values
            )
            guest = struct.Struct(guest.format.replace("i", "I"))
        access.write(argument, guest.pack(*values))
    return result


# Terminals ---------------------------------------------------------------------------------------------------------
def _get_termios(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    host = bytearray(termios.HOST.size)
    result = wait(SYS["ioctl"], fd, TCGETS2, host)
    if result >= 0:
        model = task.arch.model
        speeds = found.name.endswith("2")
        task.memory.access.write(
            argument, termios.form(model.name).to_guest(host, model.prefix, speeds)
        )
    return result


def _set_termios(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    before = bytearray(termios.HOST.size)
    result = quick(SYS["ioctl"], fd, TCGETS2, before)
    if result < 0:
        return result
    model = task.arch.model
    form = termios.form(model.name)
    speeds = found.name.endswith("2")
    guest = task.memory.access.read(argument, form.size(speeds))
    host = form.to_host(guest, model.prefix, speeds, before)
    return wait(SYS["ioctl"], fd, TCSETS_TO_TCSETS2.get(found.name, found.host), host)


def _peer(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    """TIOCGPTPEER: open(2) flags for the other end of a pseudo-terminal."""
    flags = task.arch.constants.decode("open", argument & 0xFFFFFFFF)
    return wait(SYS["ioctl"], fd, found.host, host_open_flags(flags))


# Network interfaces ------------------------------------------------------------------------------------------------
def _ifreq_codes(code: str, bits: int) -> "tuple[str, int]":
    """(struct code of the name and the union's member, bytes of struct ifreq)."""
    member = "H14s" if code == "a" else code
    return f"{IFNAMSIZ}s{member}", 40 if bits == 64 else 32


def _ifreq(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    """struct ifreq in and out; only the union's member that the request means is converted."""
    model, access = task.arch.model, task.memory.access
    code, size = _ifreq_codes(found.code, model.bits)
    guest, host = struct.Struct(model.prefix + code), struct.Struct("=" + code)
    data = access.read(argument, size)
    buffer = bytearray(host.pack(*guest.unpack_from(data)).ljust(HOST_IFREQ, b"\0"))
    result = wait(SYS["ioctl"], fd, found.host, buffer)
    if result >= 0:
        access.write(argument, guest.pack(*host.unpack_from(buffer)) + data[guest.size :])
    return result


def _ifconf(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    """SIOCGIFCONF: struct ifconf holds a length and a pointer to an array of struct ifreq, or NULL to ask for the
    length."""
    model, access = task.arch.model, task.memory.access
    head = struct.Struct(model.prefix + ("iI" if model.bits == 32 else "i4xQ"))
    length, target = head.unpack(access.read(argument, head.size))
    code, size = _ifreq_codes("a", model.bits)
    count = max(length, 0) // size
    buffer = bytearray(count * HOST_IFREQ or 1)
    host = bytearray(struct.pack("=i4xQ", count * HOST_IFREQ, address(buffer) if target else 0))
    result = wait(SYS["ioctl"], fd, found.host, host)
    if result < 0:
        return result
    got = struct.unpack_from("=i", host)[0] // HOST_IFREQ
    if target:
        records = []
        for index in range(got):
            values = struct.unpack_from("=" + code, buffer, index * HOST_IFREQ)
            records.append(struct.pack(model.prefix + code, *values).ljust(size, b"\0"))
        access.write(target, b"".join(records))
    access.write(argument, struct.pack(f"{model.prefix}i", got * size))
    return result


# Files -------------------------------------------------------------------------------------------------------------
def _fiemap(task: "Task", fd: int, found: Ioctl, argument: int) -> int:
    """FS_IOC_FIEMAP: struct fiemap (linux/fiemap.h) with an array of extents behind it, their number in the head.

    A guest with room for more than FIEMAP_CHUNK extents gets so many; only the extent with FIEMAP_EXTENT_LAST ends a
    program's questions."""
    prefix, access = task.arch.model.prefix, task.memory.access
    head, extent = "2Q4I", "5Q4I"
    guest = struct.Struct(prefix + head)
    start, length, flags, mapped, count, reserved = guest.unpack(access.read(argument, guest.size))
    if count > FIEMAP_EXTENTS_LARGEST:
        raise GuestError(EINVAL)
    room = min(count, FIEMAP_CHUNK)
    host = bytearray(guest.size + room * struct.calcsize("=" + extent))
    struct.pack_into("=" + head, host, 0, start, length, flags, mapped, room, reserved)
    result = wait(SYS["ioctl"], fd, found.host, host)
    start, length, flags, mapped, room, reserved = struct.unpack_from("=" + head, host)
    if result >= 0:
        filled = min(mapped, room) * struct.calcsize("=" + extent)
        records = struct.iter_unpack(
            "=" + extent, memoryview(host)[guest.size : guest.size + filled]
        )
        data = b"".join(struct.pack(prefix + extent, *values) for values in records)
        access.write(argument + guest.size, data)
    if result >= 0 or result == -EBADR:  # the flags that the file system does not know
        access.write(argument, guest.pack(start, length, flags, mapped, count, reserved))
    return result


SPECIAL: "dict[str, Callable[[Task, int, Ioctl, int], int]]" = {
    "TCGETS": _get_termios,
    "TCGETS2": _get_termios,
    "TCSETS": _set_termios,
    "TCSETSW": _set_termios,
    "TCSETSF": _set_termios,
    "TCSETS2": _set_termios,
    "TCSETSW2": _set_termios,
    "TCSETSF2": _set_termios,
    "TIOCGPTPEER": _peer,
    "SIOCGIFCONF": _ifconf,
    "FS_IOC_FIEMAP": _fiemap,
    "ifreq": _ifreq,
}
