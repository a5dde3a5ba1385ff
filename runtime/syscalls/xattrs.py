"""Extended attributes. Names and values are bytes on every ABI; only the paths need work."""

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import E2BIG, GuestError
from runtime.syscalls.kinds import Fd, InBuffer, Int, OutBuffer, Path, Size, Text
from runtime.syscalls.paths import host_path
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

XATTR_SIZE_MAX = 65536  # linux/limits.h: of a value, and of a list


def _set(
    task: "Task",
    name: str,
    where: "bytes | int",
    attribute: bytes,
    value: int,
    size: int,
    flags: int,
) -> int:
    if size > XATTR_SIZE_MAX:
        raise GuestError(E2BIG)
    data = task.memory.access.read(value, size) if size else 0
    return quick(SYS[name], where, attribute, data, size, flags)


def _get(task: "Task", name: str, buffer: int, size: int, *where: "bytes | int") -> int:
    """A call that fills a buffer, or says how large it must be when size is 0."""
    if not size:
        return quick(SYS[name], *where, 0, 0)
    room = bytearray(min(size, XATTR_SIZE_MAX))
    result = quick(SYS[name], *where, room, len(room))
    if result > 0:
        task.memory.access.write(buffer, room[:result])
    return result


@syscall
def setxattr(task: "Task", path: Path, name: Text, value: InBuffer, size: Size, flags: Int) -> int:
    """setxattr(2)."""
    return _set(task, "setxattr", host_path(task, path), name, value, size, flags)


@syscall
def lsetxattr(task: "Task", path: Path, name: Text, value: InBuffer, size: Size, flags: Int) -> int:
    """lsetxattr(2)."""
    return _set(task, "lsetxattr", host_path(task, path, False), name, value, size, flags)


@syscall
def fsetxattr(task: "Task", fd: Fd, name: Text, value: InBuffer, size: Size, flags: Int) -> int:
    """fsetxattr(2)."""
    return _set(task, "fsetxattr", fd, name, value, size, flags)


@syscall
def getxattr(task: "Task", path: Path, name: Text, value: OutBuffer, size: Size) -> int:
    """getxattr(2)."""
    return _get(task, "getxattr", value, size, host_path(task, path), name)


@syscall
def lgetxattr(task: "Task", path: Path, name: Text, value: OutBuffer, size: Size) -> int:
    """lgetxattr(2)."""
    return _get(task, "lgetxattr", value, size, host_path(task, path, False), name)


@syscall
def fgetxattr(task: "Task", fd: Fd, name: Text, value: OutBuffer, size: Size) -> int:
    """fgetxattr(2)."""
    return _get(task, "fgetxattr", value, size, fd, name)


@syscall
def listxattr(task: "Task", path: Path, names: OutBuffer, size: Size) -> int:
    """listxattr(2)."""
    return _get(task, "listxattr", names, size, host_path(task, path))


@syscall
def llistxattr(task: "Task", path: Path, names: OutBuffer, size: Size) -> int:
    """llistxattr(2)."""
    return _get(task, "llistxattr", names, size, host_path(task, path, False))


@syscall
def flistxattr(task: "Task", fd: Fd, names: OutBuffer, size: Size) -> int:
    """flistxattr(2)."""
    return _get(task, "flistxattr", names, size, fd)


@syscall
def removexattr(task: "Task", path: Path, name: Text) -> int:
    """removexattr(2)."""
    return quick(SYS["removexattr"], host_path(task, path), name)


@syscall
def lremovexattr(task: "Task", path: Path, name: Text) -> int:
    """lremovexattr(2)."""
    return quick(SYS["lremovexattr"], host_path(task, path, False), name)


@syscall
def fremovexattr(task: "Task", fd: Fd, name: Text) -> int:
    """fremovexattr(2)."""
    return quick(SYS["fremovexattr"], fd, name)
