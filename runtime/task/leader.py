"""The life of the thread group leader on the first host thread.

It outlasts its own exit(2) until the last task is gone, and carries on with a program that another task has executed,
as the kernel has the executing task take the leader's tid.
"""

from runtime._core import SYS, quick_syscall, signal_mask
from runtime.task.clone import ALL_SIGNALS, retire
from runtime.task.execve import install
from runtime.task.futex import exit_robust_lists
from runtime.task.loop import run
from runtime.task.vfork import release_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.task.process import Process
    from runtime.task.task import Task


def lead(process: "Process", task: "Task") -> "NoReturn":
    """Run the leader, and with it the process, to its end. The host process exits here."""
    while True:
        run(task)
        signal_mask(ALL_SIGNALS)
        retire(task)
        process.await_others(None)
        if process.successor is None:
            end(process, task, task.exit_status)
        caller, program = process.successor
        process.successor = None
        task.ending = False
        process.tasks[task.tid] = task
        task.blocked, task.restore_mask = caller.blocked, None
        install(process, task, program)
        task.block(task.blocked)


def end(process: "Process", task: "Task", status: int) -> "NoReturn":
    """exit_group(2): the host ends all threads at once. status: the wait status' low 8 bits count."""
    if process.debugger is not None:
        process.debugger.exiting(task, status)
    if process.trace is not None:
        process.trace.exited(task, status & 0xFF)
    exit_robust_lists(process)
    release_parent(process)
    quick_syscall(SYS["exit_group"], status)
    raise SystemExit  # not reached
