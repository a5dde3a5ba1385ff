"""File systems: statfs, mounting, changing the root, file handles."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi import structs
from runtime.abi.errors import EINVAL, EOVERFLOW, EPERM, GuestError
from runtime.abi.linux import AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, MS_BIND, MS_MOVE, O_TRUNC
from runtime.rootfs import View
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.kinds import (
    Address,
    Fd,
    Int,
    OpenFlags,
    OptionalPath,
    Path,
    Size,
    UInt,
    ULong,
)
from runtime.syscalls.paths import host_path
from runtime.syscalls.registry import syscall
from runtime.syscalls.status import located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.abi.layout import CStruct
    from runtime.task.task import Task

# The hosts' struct statfs (asm-generic, 64 bits): type, bsize, blocks, bfree, bavail, files, ffree, fsid[2], namelen,
# frsize, flags.
STATFS = struct.Struct("=7q2i3q32x")
FIELDS = (
    "f_type",
    "f_bsize",
    "f_blocks",
    "f_bfree",
    "f_bavail",
    "f_files",
    "f_ffree",
    "f_namelen",
    "f_frsize",
    "f_flags",
)
UNLIMITED = (1 << 64) - 1  # f_files and f_ffree of file systems without a count
HANDLE_HEAD = 8  # struct file_handle: handle_bytes, handle_type
MAX_HANDLE_SZ = 128
UMOUNT_NOFOLLOW = 8
MOUNT_DATA = 4096  # bytes of file system options read at most


def _statfs(task: "Task", layout: "CStruct", address: int, call: str, where: "int | bytes") -> int:
    """Make the host call and write its result in the guest's form. EOVERFLOW as fs/statfs.c has it."""
    buffer = bytearray(STATFS.size)
    result = wait(SYS[call], where, buffer)
    if result < 0:
        return result
    kind, bsize, blocks, bfree, bavail, files, ffree, id0, id1, namelen, frsize, flags = (
        STATFS.unpack(buffer)
    )
    values = (kind, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags)
    unsigned = {name: value & UNLIMITED for name, value in zip(FIELDS, values, strict=True)}
    if task.arch.model.bits == 32:
        for name in ("f_files", "f_ffree"):
            if unsigned[name] == UNLIMITED and layout.name == "statfs":
                unsigned[name] = 0xFFFFFFFF
    try:
        data = layout.pack({**unsigned, "f_fsid": (id0, id1)})
    except OverflowError:
        raise GuestError(EOVERFLOW) from None
    task.memory.access.write(address, data)
    return 0


@syscall
def statfs(task: "Task", path: Path, buf: Address) -> int:
    """statfs(2)."""
    return _statfs(task, structs.statfs.of(task.arch.model), buf, "statfs", host_path(task, path))


@syscall
def fstatfs(task: "Task", fd: Fd, buf: Address) -> int:
    """fstatfs(2)."""
    return _statfs(task, structs.statfs.of(task.arch.model), buf, "fstatfs", fd)


@syscall
def statfs64(task: "Task", path: Path, size: Size, buf: Address) -> int:
    """statfs64(2): the caller says how large it believes the structure to be."""
    layout = _sized(task, size)
    return _statfs(task, layout, buf, "statfs", host_path(task, path))


@syscall
def fstatfs64(task: "Task", fd: Fd, size: Size, buf: Address) -> int:
    """fstatfs64(2)."""
    return _statfs(task, _sized(task, size), buf, "fstatfs", fd)


def _sized(task: "Task", size: int) -> "CStruct":
    """EINVAL unless it is the structure's size, or that with its tail padded to 8: arm's own is packed to 4, and old C
    libraries say 88 (arch/arm/kernel/sys_oabi-compat.c, sys_statfs64_wrapper)."""
    layout = structs.statfs64.of(task.arch.model)
    if size not in (layout.size, (layout.size + 7) & ~7):
        raise GuestError(EINVAL)
    return layout


# Mounting ----------------------------------------------------------------------------------------------------------
@syscall
def mount(
    task: "Task",
    source: OptionalPath,
    target: Path,
    kind: OptionalPath,
    flags: ULong,
    data: Address,
) -> int:
    """mount(2). The data is text for every file system an unprivileged or chrooted program mounts."""
    origin: bytes | int = 0
    if source is not None:
        is_path = flags & (MS_BIND | MS_MOVE) or source.startswith(b"/")
        origin = host_path(task, source) if is_path and source else source
    options: bytes | int = task.memory.access.string(data, MOUNT_DATA) if data else 0
    return wait(
        SYS["mount"], origin, host_path(task, target), 0 if kind is None else kind, flags, options
    )


@syscall
def umount(task: "Task", target: Path, flags: Int) -> int:
    """umount2(2)."""
    return wait(SYS["umount2"], host_path(task, target, not flags & UMOUNT_NOFOLLOW), flags)


@syscall
def oldumount(task: "Task", target: Path) -> int:
    """umount(2)."""
    return wait(SYS["umount2"], host_path(task, target), 0)


@syscall
def pivot_root(task: "Task", new_root: Path, put_old: Path) -> int:
    """pivot_root(2)."""
    return quick(SYS["pivot_root"], host_path(task, new_root), host_path(task, put_old))


@syscall
def chroot(task: "Task", path: Path) -> int:
    """chroot(2): the host's, where paths are the host's from the root down; a view with a root of its own moves it."""
    view = task.view
    if view.kind == "inlayer":
        raise GuestError(EPERM)  # the host's chroot is what this view does without
    result = quick(SYS["chroot"], host_path(task, path))
    if result == 0 and view.kind == "sysroot":
        task.process.view = plain = View()  # the prefixes lie outside the new root
        for other in task.process.tasks.values():
            other.view = plain
    return result


@syscall
def open_tree(task: "Task", dirfd: Fd, path: Path, flags: UInt) -> int:
    """open_tree(2). O_CLOEXEC among the flags is the same number on all our ABIs."""
    return quick(
        SYS["open_tree"], *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), flags
    )


@syscall
def move_mount(
    task: "Task", from_fd: Fd, source: Path, to_fd: Fd, target: Path, flags: UInt
) -> int:
    """move_mount(2)."""
    origin = (
        (from_fd, source) if not source else task.view.resolve(from_fd, source, bool(flags & 1))
    )
    where = (to_fd, target) if not target else task.view.resolve(to_fd, target, bool(flags & 0x10))
    return quick(SYS["move_mount"], *origin, *where, flags)


@syscall
def fsopen(task: "Task", name: Path, flags: UInt) -> int:
    """fsopen(2)."""
    return quick(SYS["fsopen"], name, flags)


@syscall
def fsmount(task: "Task", fd: Fd, flags: UInt, attributes: UInt) -> int:
    """fsmount(2)."""
    return quick(SYS["fsmount"], fd, flags, attributes)


# File handles ------------------------------------------------------------------------------------------------------
@syscall
def name_to_handle_at(
    task: "Task", dirfd: Fd, path: Path, handle: Address, mount_id: Address, flags: Int
) -> int:
    """name_to_handle_at(2). EOVERFLOW with the needed size written back."""
    access, model = task.memory.access, task.arch.model
    room = int.from_bytes(access.read(handle, 4), model.endian)
    if room > MAX_HANDLE_SZ:
        raise GuestError(EINVAL)
    host = bytearray(struct.pack("=Ii", room, 0) + bytes(room))
    identity = bytearray(4)
    at, name = located(task, dirfd, path, bool(flags & AT_SYMLINK_FOLLOW))
    result = quick(SYS["name_to_handle_at"], at, name, host, identity, flags)
    if result >= 0 or result == -EOVERFLOW:
        size, kind = struct.unpack_from("=Ii", host)
        body = bytes(host[HANDLE_HEAD : HANDLE_HEAD + min(size, room)]) if result >= 0 else b""
        access.write(handle, struct.pack(f"{model.prefix}Ii", size, kind) + body)
        access.write(mount_id, int.from_bytes(identity, "little").to_bytes(4, model.endian))
    return result


@syscall
def open_by_handle_at(task: "Task", mount_fd: Fd, handle: Address, flags: OpenFlags) -> int:
    """open_by_handle_at(2)."""
    access, model = task.memory.access, task.arch.model
    size, kind = struct.unpack(f"{model.prefix}Ii", access.read(handle, HANDLE_HEAD))
    if not 0 < size <= MAX_HANDLE_SZ:
        raise GuestError(EINVAL)
    host = struct.pack("=Ii", size, kind) + access.read(handle + HANDLE_HEAD, size)
    fd = wait(SYS["open_by_handle_at"], mount_fd, host, host_open_flags(flags))
    if flags & O_TRUNC and task.memory.follows_files:
        task.memory.resized()
    return fd
