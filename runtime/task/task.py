"""A task: one guest thread, on its own host thread. Its registers are task.cpu; what it shares is task.process."""

from runtime._core import signal_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime._core import Cpu
    from runtime.arch.architecture import Architecture
    from runtime.memory.space import AddressSpace
    from runtime.rootfs import View
    from runtime.task.process import Process


class Task:
    """State of one guest thread. Touched by its own host thread only, but for `ending` and `cpu.kick()`."""

    __slots__ = (
        "alternate_stack",
        "arch",
        "blocked",
        "clear_child_tid",
        "cpu",
        "ending",
        "exit_status",
        "memory",
        "process",
        "restore_mask",
        "robust_list",
        "tid",
        "trace_variant",
        "view",
    )

    def __init__(self, process: "Process", cpu: "Cpu", tid: int) -> None:
        self.process = process
        self.cpu = cpu
        self.tid = tid
        # The three that system calls touch most, one attribute away.
        self.arch: Architecture = process.arch
        self.memory: AddressSpace = process.memory
        self.view: View = process.view
        # signal mask: bit n-1 is signal n, generic numbering; mirrored to the host thread
        self.blocked = 0
        # mask to go back to after a call that changed it (sigsuspend, ppoll)
        self.restore_mask: int | None = None
        self.alternate_stack = (0, 0, 0)  # sp, size, SS_ flags as set by sigaltstack(2)
        self.clear_child_tid = 0  # guest address, futex-woken when the task ends
        self.robust_list = 0  # guest address of struct robust_list_head
        self.ending = False  # another task asked this one to end (exit_group, execve)
        self.exit_status = 0  # of exit(2), kept for the leader's sake
        self.trace_variant = ""  # of the row being shown by --strace

    def log(self, message: str) -> None:
        """One line to Octavo's log (standard error, or the configured file); never to the guest's stdout."""
        self.process.log(message)

    def block(self, mask: int) -> None:
        """Set the task's blocked signals (SIGKILL and SIGSTOP never are), here and on the host thread.

        A signal this lets in is recorded by the core and delivered before the next guest instruction.
        """
        self.blocked = mask & ~UNBLOCKABLE
        signal_mask(self.blocked)

    def suspend_mask(self, mask: int) -> None:
        """A mask for the duration of this call (sigsuspend, ppoll, pselect6, epoll_pwait): the old one comes back when
        the call has returned, or after the handler of the signal that ended it has."""
        self.restore_mask = self.blocked
        self.block(mask)


UNBLOCKABLE = 1 << 8 | 1 << 18  # SIGKILL, SIGSTOP
