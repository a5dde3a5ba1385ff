"""POSIX timers of a process across execve and fork.

The kernel deletes timers at execve(2). Ours stays in the host process, so the host's timers have to be deleted here.
fork(2) gives the child none, which the host sees to; only the list has to be emptied.
"""

from runtime._core import SYS, quick_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process


def delete_timers(process: "Process") -> None:
    """At execve(2)."""
    while process.timers:
        quick_syscall(SYS["timer_delete"], process.timers.pop())


def forget_timers(process: "Process") -> None:
    """In the child of a fork."""
    process.timers.clear()
