"""utime, utimes, futimesat, utimensat: four ages of setting a file's times, all by the host's utimensat(2)."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EFAULT, EINVAL, GuestError
from runtime.abi.linux import AT_FDCWD, AT_SYMLINK_NOFOLLOW
from runtime.syscalls.kinds import Address, Fd, Int, OptionalPath, Path
from runtime.syscalls.registry import syscall
from runtime.syscalls.status import located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

    Words = tuple[int, ...]

MICROSECONDS = 1_000_000  # of a second; a tv_usec is below


class FourWords(Address):
    """Address of `words` time words: 64 bits each, or the guest's long where the table row says time32. None for
    NULL."""

    words = 4  # two struct timespec or timeval

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        wide = arch.model.bits == 64 or row.variant != "time32"
        code = f"{arch.model.prefix}{cls.words}{'q' if wide else 'i'}"
        size = struct.calcsize(code)
        half_nanoseconds = wide and arch.model.bits == 32

        def decode(task: "Task", raw: int) -> "Words | None":
            if not raw:
                return None
            values = struct.unpack(code, task.memory.access.read(raw, size))
            if half_nanoseconds:  # kernel/time/time.c, get_timespec64: the upper half is padding
                values = (values[0], values[1] & 0xFFFFFFFF, values[2], values[3] & 0xFFFFFFFF)
            return values

        return decode


class TwoWords(FourWords):
    """struct utimbuf: two times in seconds."""

    words = 2

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        code = f"{arch.model.prefix}{'qq' if arch.model.bits == 64 else 'ii'}"
        size = struct.calcsize(code)
        return lambda task, raw: (
            struct.unpack(code, task.memory.access.read(raw, size)) if raw else None
        )


if TYPE_CHECKING:
    TimeWords: TypeAlias = Words | None
    TwoTimes: TypeAlias = Words | None
else:
    TimeWords, TwoTimes = FourWords, TwoWords


def _set(task: "Task", dirfd: int, path: "bytes | None", times: "Words | None", flags: int) -> int:
    """times: seconds and nanoseconds of the access time, then of the modification time; None: now."""
    host = struct.pack("=4q", *times) if times is not None else 0
    if path is None:
        if dirfd == AT_FDCWD:
            raise GuestError(EFAULT)
        return quick(SYS["utimensat"], dirfd, 0, host, flags)
    return quick(
        SYS["utimensat"], *located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW), host, flags
    )


def _from_microseconds(times: "Words | None") -> "Words | None":
    """timeval to timespec. EINVAL outside [0, 1000000)."""
    if times is None:
        return None
    access, access_us, change, change_us = times
    if not (0 <= access_us < MICROSECONDS and 0 <= change_us < MICROSECONDS):
        raise GuestError(EINVAL)
    return access, access_us * 1000, change, change_us * 1000


@syscall
def utimensat(task: "Task", dirfd: Fd, path: OptionalPath, times: TimeWords, flags: Int) -> int:
    """utimensat(2). UTIME_NOW and UTIME_OMIT are the same numbers everywhere; a NULL path means dirfd itself."""
    return _set(task, dirfd, path, times, flags)


@syscall
def futimesat(task: "Task", dirfd: Fd, path: OptionalPath, times: TimeWords) -> int:
    """futimesat(2)."""
    return _set(task, dirfd, path, _from_microseconds(times), 0)


@syscall
def utimes(task: "Task", path: Path, times: TimeWords) -> int:
    """utimes(2)."""
    return _set(task, AT_FDCWD, path, _from_microseconds(times), 0)


@syscall
def utime(task: "Task", path: Path, times: TwoTimes) -> int:
    """utime(2)."""
    return _set(task, AT_FDCWD, path, None if times is None else (times[0], 0, times[1], 0), 0)
