"""Calls that name files: open, create, remove, rename, links, permissions, owners, the working directory.

Every guest path goes through the view (`task.view.resolve`) once and reaches the host in the *at form of its call; the
hosts we run on (x86-64, arm64) have different sets of the older calls, so only the *at forms are used. Names under
/proc that describe the program itself are answered by procfs.py. stat calls are in status.py, times in
times_of_files.py, mounting in mounts.py.
"""

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, ENOENT, ERANGE, GuestError
from runtime.abi.linux import (
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    O_ACCMODE,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    O_TRUNC,
    O_WRONLY,
)
from runtime.syscalls import alignment, procfs
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.kinds import (
    Address,
    Fd,
    Int,
    Loff,
    Long,
    Mode,
    OpenFlags,
    OutBuffer,
    Path,
    Size,
    Text,
    UInt,
    ULong,
)
from runtime.syscalls.registry import syscall
from runtime.syscalls.status import located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

OPEN_HOW_SIZE = 24  # OPEN_HOW_SIZE_VER0, linux/openat2.h: flags, mode, resolve, each a u64
PATH_ROOM = 4096  # linux/limits.h PATH_MAX: what readlink and getcwd can give


class Owner(UInt):
    """uid_t or gid_t; 16 bits wide in the calls of variant uid16, where 0xffff means "leave it" as -1 does."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        if row.variant == "uid16":
            return lambda task, raw: raw & 0xFFFF if raw & 0xFFFF != 0xFFFF else 0xFFFFFFFF
        return super().bind(arch, row)


def host_path(task: "Task", path: bytes, follow: bool = True, dirfd: int = AT_FDCWD) -> bytes:
    """A guest path as one host path, for host calls without an *at form. ENOENT for the empty path."""
    if not path:
        raise GuestError(ENOENT)
    at, name = task.view.resolve(dirfd, path, follow)
    if at == AT_FDCWD or name.startswith(b"/"):
        return name
    return b"/proc/self/fd/%d/%s" % (at, name)


# Opening -----------------------------------------------------------------------------------------------------------
@syscall
def openat(task: "Task", dirfd: Fd, path: Path, flags: OpenFlags, mode: Mode) -> int:
    """openat(2). May block (a FIFO, a lease)."""
    return _open(task, dirfd, path, flags, mode)


@syscall(entry="open")
def open_(task: "Task", path: Path, flags: OpenFlags, mode: Mode) -> int:
    """open(2)."""
    return _open(task, AT_FDCWD, path, flags, mode)


@syscall
def creat(task: "Task", path: Path, mode: Mode) -> int:
    """creat(2)."""
    return _open(task, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode)


def _open(task: "Task", dirfd: int, path: bytes, flags: int, mode: int) -> int:
    follow = not (flags & O_NOFOLLOW or flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL)
    if procfs.suspicious(path):
        answer = procfs.opened(task, dirfd, path, flags)
        if answer is not None:
            return answer
    at, name = task.view.resolve(dirfd, path, follow)
    fd = wait(SYS["openat"], at, name, host_open_flags(flags), mode)
    if flags & O_TRUNC and task.memory.follows_files:
        task.memory.resized()
    if task.process.watched_libraries is not None and b".so" in path and not flags & O_ACCMODE:
        alignment.opened(task, fd)
    return fd


@syscall
def openat2(task: "Task", dirfd: Fd, path: Path, how: Address, size: Size) -> int:
    """openat2(2). EINVAL for a struct open_how shorter than its first version, E2BIG (by the host) for an unknown
    tail."""
    if size < OPEN_HOW_SIZE:
        raise GuestError(EINVAL)
    raw = task.memory.access.read(how, min(size, PATH_ROOM))
    endian = task.arch.model.endian
    flags, mode, resolve = (int.from_bytes(raw[at : at + 8], endian) for at in (0, 8, 16))
    decode = task.arch.constants.decoder("open")
    generic = flags if decode is None or flags >> 31 else decode(flags)
    follow = not generic & O_NOFOLLOW
    if not resolve and procfs.suspicious(path):
        answer = procfs.opened(task, dirfd, path, generic)
        if answer is not None:
            return answer
    at, name = task.view.resolve(dirfd, path, follow)
    words = (host_open_flags(generic), mode, resolve)
    host = b"".join(word.to_bytes(8, "little") for word in words) + raw[OPEN_HOW_SIZE:]
    fd = wait(SYS["openat2"], at, name, host, size)
    if generic & O_TRUNC and task.memory.follows_files:
        task.memory.resized()
    return fd


@syscall
def truncate(task: "Task", path: Path, length: Long) -> int:
    """truncate(2)."""
    result = wait(SYS["truncate"], host_path(task, path), length)
    if task.memory.follows_files:
        task.memory.resized()
    return result


@syscall
def truncate64(task: "Task", path: Path, length: Loff) -> int:
    """truncate64(2), of 32-bit ABIs."""
    result = wait(SYS["truncate"], host_path(task, path), length)
    if task.memory.follows_files:
        task.memory.resized()
    return result


# Making and removing -----------------------------------------------------------------------------------------------
@syscall
def mkdirat(task: "Task", dirfd: Fd, path: Path, mode: Mode) -> int:
    """mkdirat(2)."""
    return quick(SYS["mkdirat"], *task.view.resolve(dirfd, path, False), mode)


@syscall
def mkdir(task: "Task", path: Path, mode: Mode) -> int:
    """mkdir(2)."""
    return quick(SYS["mkdirat"], *task.view.resolve(AT_FDCWD, path, False), mode)


@syscall
def mknodat(task: "Task", dirfd: Fd, path: Path, mode: Mode, device: UInt) -> int:
    """mknodat(2)."""
    return quick(SYS["mknodat"], *task.view.resolve(dirfd, path, False), mode, device)


@syscall
def mknod(task: "Task", path: Path, mode: Mode, device: UInt) -> int:
    """mknod(2)."""
    return quick(SYS["mknodat"], *task.view.resolve(AT_FDCWD, path, False), mode, device)


@syscall
def unlinkat(task: "Task", dirfd: Fd, path: Path, flags: Int) -> int:
    """unlinkat(2)."""
    return quick(SYS["unlinkat"], *task.view.resolve(dirfd, path, False), flags)


@syscall
def unlink(task: "Task", path: Path) -> int:
    """unlink(2)."""
    return quick(SYS["unlinkat"], *task.view.resolve(AT_FDCWD, path, False), 0)


@syscall
def rmdir(task: "Task", path: Path) -> int:
    """rmdir(2)."""
    return quick(SYS["unlinkat"], *task.view.resolve(AT_FDCWD, path, False), AT_REMOVEDIR)


# Links and names ---------------------------------------------------------------------------------------------------
@syscall
def linkat(task: "Task", old_dirfd: Fd, old: Path, new_dirfd: Fd, new: Path, flags: Int) -> int:
    """linkat(2)."""
    return _link(task, old_dirfd, old, new_dirfd, new, flags)


@syscall
def link(task: "Task", old: Path, new: Path) -> int:
    """link(2)."""
    return _link(task, AT_FDCWD, old, AT_FDCWD, new, 0)


def _link(task: "Task", old_dirfd: int, old: bytes, new_dirfd: int, new: bytes, flags: int) -> int:
    source = located(task, old_dirfd, old, bool(flags & AT_SYMLINK_FOLLOW))
    return quick(SYS["linkat"], *source, *task.view.resolve(new_dirfd, new, False), flags)


@syscall
def symlinkat(task: "Task", target: Text, dirfd: Fd, path: Path) -> int:
    """symlinkat(2). The target is text: it is looked up when the link is followed."""
    return quick(SYS["symlinkat"], target, *task.view.resolve(dirfd, path, False))


@syscall
def symlink(task: "Task", target: Text, path: Path) -> int:
    """symlink(2)."""
    return quick(SYS["symlinkat"], target, *task.view.resolve(AT_FDCWD, path, False))


@syscall
def renameat2(task: "Task", old_dirfd: Fd, old: Path, new_dirfd: Fd, new: Path, flags: UInt) -> int:
    """renameat2(2)."""
    return _rename(task, old_dirfd, old, new_dirfd, new, flags)


@syscall
def renameat(task: "Task", old_dirfd: Fd, old: Path, new_dirfd: Fd, new: Path) -> int:
    """renameat(2)."""
    return _rename(task, old_dirfd, old, new_dirfd, new)


@syscall
def rename(task: "Task", old: Path, new: Path) -> int:
    """rename(2)."""
    return _rename(task, AT_FDCWD, old, AT_FDCWD, new)


def _rename(
    task: "Task", old_dirfd: int, old: bytes, new_dirfd: int, new: bytes, flags: int = 0
) -> int:
    source = task.view.resolve(old_dirfd, old, False)
    return quick(SYS["renameat2"], *source, *task.view.resolve(new_dirfd, new, False), flags)


@syscall
def readlinkat(task: "Task", dirfd: Fd, path: Path, buf: OutBuffer, size: Int) -> int:
    """readlinkat(2). EINVAL for a size <= 0; a longer target is cut."""
    return _readlink(task, dirfd, path, buf, size)


def _readlink(task: "Task", dirfd: int, path: bytes, buf: int, size: int) -> int:
    if size <= 0:
        raise GuestError(EINVAL)
    target = procfs.link(task, dirfd, path) if procfs.suspicious(path) else None
    if target is None:
        buffer = bytearray(PATH_ROOM)
        at, name = (dirfd, path) if not path else task.view.resolve(dirfd, path, False)
        length = quick(SYS["readlinkat"], at, name, buffer, len(buffer))
        if length < 0:
            return length
        target = bytes(buffer[:length])
        if b"/proc/" in path or not path:
            target = task.view.guest_path(target)
    target = target[:size]
    task.memory.access.write(buf, target)
    return len(target)


@syscall
def readlink(task: "Task", path: Path, buf: OutBuffer, size: Int) -> int:
    """readlink(2)."""
    return _readlink(task, AT_FDCWD, path, buf, size) if path else -ENOENT


# The working directory ---------------------------------------------------------------------------------------------
@syscall
def chdir(task: "Task", path: Path) -> int:
    """chdir(2)."""
    at, name = task.view.resolve(AT_FDCWD, path, True)
    if at == AT_FDCWD:
        return quick(SYS["chdir"], name)
    opened = quick(SYS["openat"], at, name, host_open_flags(O_PATH | O_DIRECTORY | 0o2000000), 0)
    if opened < 0:
        return opened
    result = quick(SYS["fchdir"], opened)
    quick(SYS["close"], opened)
    return result


@syscall
def fchdir(task: "Task", fd: Fd) -> int:
    """fchdir(2)."""
    return quick(SYS["fchdir"], fd)


@syscall
def getcwd(task: "Task", buf: OutBuffer, size: ULong) -> int:
    """getcwd(2): the length with the NUL. ERANGE when it does not fit."""
    buffer = bytearray(PATH_ROOM)
    length = quick(SYS["getcwd"], buffer, len(buffer))
    if length < 0:
        return length
    path = task.view.guest_path(bytes(buffer[: length - 1])) + b"\0"
    if len(path) > size:
        raise GuestError(ERANGE)
    task.memory.access.write(buf, path)
    return len(path)


@syscall
def umask(task: "Task", mask: Mode) -> int:
    """umask(2)."""
    return quick(SYS["umask"], mask)


# Permissions and owners --------------------------------------------------------------------------------------------
@syscall
def faccessat(task: "Task", dirfd: Fd, path: Path, mode: Int) -> int:
    """faccessat(2): the system call has no flags."""
    return quick(SYS["faccessat"], *located(task, dirfd, path, True), mode)


@syscall
def faccessat2(task: "Task", dirfd: Fd, path: Path, mode: Int, flags: Int) -> int:
    """faccessat2(2)."""
    return quick(
        SYS["faccessat2"], *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), mode, flags
    )


@syscall
def access(task: "Task", path: Path, mode: Int) -> int:
    """access(2)."""
    return quick(SYS["faccessat"], *located(task, AT_FDCWD, path, True), mode)


@syscall
def fchmodat(task: "Task", dirfd: Fd, path: Path, mode: Mode) -> int:
    """fchmodat(2): the system call has no flags."""
    return quick(SYS["fchmodat"], *located(task, dirfd, path, True), mode)


@syscall
def fchmodat2(task: "Task", dirfd: Fd, path: Path, mode: Mode, flags: UInt) -> int:
    """fchmodat2(2)."""
    number = SYS.get("fchmodat2", 452)  # newer than some headers; a kernel without it says ENOSYS
    return quick(number, *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), mode, flags)


@syscall
def chmod(task: "Task", path: Path, mode: Mode) -> int:
    """chmod(2)."""
    return quick(SYS["fchmodat"], *located(task, AT_FDCWD, path, True), mode)


@syscall
def fchmod(task: "Task", fd: Fd, mode: Mode) -> int:
    """fchmod(2)."""
    return quick(SYS["fchmod"], fd, mode)


@syscall
def fchownat(task: "Task", dirfd: Fd, path: Path, uid: Owner, gid: Owner, flags: Int) -> int:
    """fchownat(2)."""
    return quick(
        SYS["fchownat"],
        *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW),
        uid,
        gid,
        flags,
    )


@syscall
def chown(task: "Task", path: Path, uid: Owner, gid: Owner) -> int:
    """chown(2)."""
    return quick(SYS["fchownat"], *located(task, AT_FDCWD, path, True), uid, gid, 0)


@syscall
def lchown(task: "Task", path: Path, uid: Owner, gid: Owner) -> int:
    """lchown(2)."""
    return quick(
        SYS["fchownat"], *located(task, AT_FDCWD, path, False), uid, gid, AT_SYMLINK_NOFOLLOW
    )


@syscall
def fchown(task: "Task", fd: Fd, uid: Owner, gid: Owner) -> int:
    """fchown(2)."""
    return quick(SYS["fchown"], fd, uid, gid)
