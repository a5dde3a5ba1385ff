"""What the tasks of one guest process share. One host process per guest process: pid, wait status, job control,
priorities and cgroups are the host's own."""

import _thread

from runtime._core import SYS, quick_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime._core import Arena, Engine, PageTable
    from runtime.arch.architecture import Architecture
    from runtime.loader.elf import LoadedImage
    from runtime.memory.space import AddressSpace
    from runtime.policy import PageSizes
    from runtime.rootfs import View
    from runtime.syscalls.registry import SyscallTable
    from runtime.syscalls.trace import Trace
    from runtime.task.signals import Action
    from runtime.task.task import Task


class Settings:
    """What was chosen when Octavo started and holds for every program it runs from then on."""

    __slots__ = ("fast_calls", "log_fd", "page_size", "trace_fd", "uname_release")

    def __init__(
        self,
        *,
        page_size: int | None = None,  # bytes, from --page-size or the configuration; None: by policy
        log_fd: int = 2,
        trace_fd: int | None = None,  # --strace
        fast_calls: bool = True,
        uname_release: bytes | None = None,
    ) -> None:
        self.page_size = page_size
        self.log_fd = log_fd
        self.trace_fd = trace_fd
        self.fast_calls = fast_calls
        self.uname_release = uname_release


class Process:
    """One guest process.

    `lock` guards `tasks` and `actions`; memory has its own lock. It is never held over a call that may block.
    """

    __slots__ = (
        "actions",
        "arch",
        "arena",
        "auxv",
        "command_line",
        "engine",
        "environment",
        "ended",
        "exit_status",
        "image",
        "leader",
        "lock",
        "memory",
        "pages",
        "personality",
        "settings",
        "successor",
        "syscalls",
        "table",
        "tasks",
        "trace",
        "vfork",
        "view",
    )

    arch: "Architecture"
    arena: "Arena"
    table: "PageTable"
    engine: "Engine"
    memory: "AddressSpace"
    pages: "PageSizes"
    image: "LoadedImage"
    syscalls: "SyscallTable"

    def __init__(self, settings: Settings, view: "View") -> None:
        self.settings = settings
        self.view = view
        self.trace: Trace | None = None
        self.actions: dict[int, Action] = {}  # generic signal number -> disposition; absent: SIG_DFL
        self.tasks: dict[int, Task] = {}  # tid -> Task
        self.leader = 0  # tid of the thread group leader: the pid
        self.lock = _thread.allocate_lock()
        self.ended = _thread.allocate_lock()  # released each time a task has left `tasks`
        self.successor: Callable[[Task], None] | None = None  # what the leader does once it is alone (execve)
        self.exit_status: int | None = None
        self.personality = 0
        self.vfork: int | None = None  # descriptor to the parent that waits for our exec or exit
        self.command_line = b""  # argv, each NUL-terminated: /proc/self/cmdline
        self.environment = b""
        self.auxv = b""  # as on the stack: /proc/self/auxv

    def log(self, message: str) -> None:
        """One line on the log, in one write so that processes do not mix."""
        quick_syscall(SYS["write"], self.settings.log_fd, line := f"octavo: {message}\n".encode(), len(line))
