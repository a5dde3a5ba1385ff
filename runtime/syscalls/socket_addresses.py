"""Socket addresses between guest and host: the family and a few members are in the machine's byte order, the rest is
in the network's; a path of AF_UNIX goes through the view."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EINVAL, GuestError
from runtime.abi.linux import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.task.task import Task

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_CAN, AF_VSOCK = 1, 2, 10, 16, 17, 29, 40
ADDRESS_MAX = 128  # sizeof(struct sockaddr_storage)
UNIX_PATH_MAX = 108  # sun_path; all of it may be used, without a NUL
O_PATH_CLOEXEC = 0o12000000  # O_PATH | O_CLOEXEC, asm-generic

# family -> (offset, bytes) of the members in the machine's byte order
MACHINE_ORDER: "dict[int, Sequence[tuple[int, int]]]" = {
    AF_INET6: ((24, 4),),  # sin6_scope_id
    AF_NETLINK: ((4, 4), (8, 4)),  # nl_pid, nl_groups
    AF_PACKET: ((4, 4), (8, 2)),  # sll_ifindex, sll_hatype
    AF_CAN: ((4, 4),),  # can_ifindex
    AF_VSOCK: ((4, 4), (8, 4)),  # svm_port, svm_cid
}


def swap_members(data: bytes, family: int) -> bytes:
    """Change the byte order of family and members; its own inverse. family: in the runtime's own numbers."""
    swapped = bytearray(data)
    swapped[0:2] = data[0:2][::-1]
    for offset, size in MACHINE_ORDER.get(family, ()):
        if len(data) >= offset + size:
            swapped[offset : offset + size] = data[offset : offset + size][::-1]
    return bytes(swapped)


class HostAddress:
    """A guest's address as the host's bytes. `close` ends what holds a long path open."""

    __slots__ = ("data", "directory")

    def __init__(self, data: bytes, directory: int = -1) -> None:
        self.data = data
        self.directory = directory

    def close(self) -> None:
        if self.directory >= 0:
            quick(SYS["close"], self.directory)
            self.directory = -1


def host_address(task: "Task", address: int, length: int, *, creates: bool = False) -> HostAddress:
    """Read a guest sockaddr. creates: the call makes the name (bind), so a link in the last place is not followed.

    EINVAL for a length the kernel refuses (move_addr_to_kernel), EFAULT.
    """
    if not 0 <= length <= ADDRESS_MAX:
        raise GuestError(EINVAL)
    data = task.memory.access.read(address, length) if length else b""
    return host_bytes(task, data, creates)


def host_bytes(task: "Task", data: bytes, creates: bool = False) -> HostAddress:
    """As host_address, of bytes that were read already."""
    if len(data) < 2:
        return HostAddress(data)
    family = int.from_bytes(data[:2], task.arch.model.endian)
    if task.arch.model.big:
        data = swap_members(data, family)
    if family == AF_UNIX and len(data) > 2 and data[2]:
        return _unix_path(task, data, creates)
    return HostAddress(data)


def _unix_path(task: "Task", data: bytes, creates: bool) -> HostAddress:
    if len(data) > 2 + UNIX_PATH_MAX:
        return HostAddress(data)  # EINVAL from the host
    path = data[2:].split(b"\0", 1)[0]
    directory, host = task.view.resolve(AT_FDCWD, path, not creates)
    if directory == AT_FDCWD and host == path:
        return HostAddress(data)
    if directory != AT_FDCWD and not host.startswith(b"/"):
        host = b"/proc/self/fd/%d/%s" % (directory, host)
    if len(host) < UNIX_PATH_MAX:
        return HostAddress(data[:2] + host + b"\0")
    parent, _, name = host.rpartition(b"/")
    opened = quick(SYS["openat"], AT_FDCWD, parent + b"\0", O_PATH_CLOEXEC, 0)
    if opened < 0:
        raise GuestError(-opened)
    return HostAddress(data[:2] + b"/proc/self/fd/%d/%s\0" % (opened, name), opened)


def guest_bytes(task: "Task", data: bytes) -> bytes:
    """A host address as the guest sees it: names of AF_UNIX lose the prefix of the view."""
    if len(data) < 2:
        return data
    family = struct.unpack_from("=H", data)[0]
    if family == AF_UNIX and len(data) > 2 and data[2]:
        path = data[2:].split(b"\0", 1)[0]
        seen = task.view.guest_path(path)
        if seen != path:
            data = data[:2] + seen + b"\0"
    return swap_members(data, family) if task.arch.model.big else data


def put_address(task: "Task", address: int, length_at: int, data: bytes) -> None:
    """move_addr_to_user: as many bytes as there is room for, then the whole length. EINVAL for negative room."""
    if not address:
        return
    data = guest_bytes(task, data)
    access, prefix = task.memory.access, task.arch.model.prefix
    (room,) = struct.unpack(prefix + "i", access.read(length_at, 4))
    if room < 0:
        raise GuestError(EINVAL)
    if room and data:
        access.write(address, data[:room])
    access.write(length_at, struct.pack(prefix + "i", len(data)))
