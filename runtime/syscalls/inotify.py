"""inotify. Events are read with read(2): struct inotify_event is ints and text, the same on every ABI but for byte
order, which event_data.py sees to."""

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.kinds import Fd, Int, OpenFlags, Path, UInt
from runtime.syscalls.paths import host_path
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

IN_DONT_FOLLOW = 0x02000000


def _open(task: "Task", flags: int) -> int:
    return quick(SYS["inotify_init1"], host_open_flags(flags))


@syscall
def inotify_init1(task: "Task", flags: OpenFlags) -> int:
    """inotify_init1(2)."""
    return _open(task, flags)


@syscall
def inotify_init(task: "Task") -> int:
    """inotify_init(2)."""
    return _open(task, 0)


@syscall
def inotify_add_watch(task: "Task", fd: Fd, path: Path, mask: UInt) -> int:
    """inotify_add_watch(2)."""
    return quick(
        SYS["inotify_add_watch"], fd, host_path(task, path, not mask & IN_DONT_FOLLOW), mask
    )


@syscall
def inotify_rm_watch(task: "Task", fd: Fd, watch: Int) -> int:
    """inotify_rm_watch(2)."""
    return quick(SYS["inotify_rm_watch"], fd, watch)
