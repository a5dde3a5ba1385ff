"""utime, utimes, futimesat, utimensat: four ages of setting a file's times, all by the host's utimensat(2).

Two timespecs have an itimerspec's shape, two timevals an itimerval's, and struct utimbuf, two longs, a timeval's.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EFAULT, EINVAL, GuestError
from runtime.abi.linux import AT_FDCWD, AT_SYMLINK_NOFOLLOW
from runtime.syscalls.kinds import Fd, Int, OptionalPath, Path
from runtime.syscalls.registry import syscall
from runtime.syscalls.status import located
from runtime.syscalls.timespecs import USEC, ItimerspecIn, ItimervalIn, TimevalIn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

    Words = tuple[int, ...]


def _set(task: "Task", dirfd: int, path: "bytes | None", times: "Words", flags: int) -> int:
    """times: seconds and nanoseconds of the access time, then of the modification. None (a NULL pointer): now."""
    host = struct.pack("=4q", *times) if times else 0
    if path is None:
        if dirfd == AT_FDCWD:
            raise GuestError(EFAULT)
        return quick(SYS["utimensat"], dirfd, 0, host, flags)
    return quick(
        SYS["utimensat"], *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), host, flags
    )


def _from_microseconds(times: "Words") -> "Words":
    """timeval to timespec. EINVAL outside [0, 1000000)."""
    if not times:
        return times
    access, access_us, change, change_us = times
    if not (0 <= access_us < USEC and 0 <= change_us < USEC):
        raise GuestError(EINVAL)
    return access, access_us * 1000, change, change_us * 1000


@syscall
def utimensat(task: "Task", dirfd: Fd, path: OptionalPath, times: ItimerspecIn, flags: Int) -> int:
    """utimensat(2). UTIME_NOW and UTIME_OMIT are the same numbers everywhere; a NULL path means dirfd itself."""
    return _set(task, dirfd, path, times, flags)


@syscall
def futimesat(task: "Task", dirfd: Fd, path: OptionalPath, times: ItimervalIn) -> int:
    """futimesat(2)."""
    return _set(task, dirfd, path, _from_microseconds(times), 0)


@syscall
def utimes(task: "Task", path: Path, times: ItimervalIn) -> int:
    """utimes(2)."""
    return _set(task, AT_FDCWD, path, _from_microseconds(times), 0)


@syscall
def utime(task: "Task", path: Path, times: TimevalIn) -> int:
    """utime(2)."""
    return _set(task, AT_FDCWD, path, (times[0], 0, times[1], 0) if times else times, 0)
