"""What the tasks of one guest process share. One host process per guest process: pid, wait status, job control,
priorities and cgroups are the host's own."""

import _thread

from runtime._core import SYS, quick_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runtime._core import Arena, Engine, PageTable
    from runtime.arch.architecture import Architecture
    from runtime.config import Configuration, Target
    from runtime.gdb.debugger import Debugger
    from runtime.image import Image
    from runtime.libraries import Library
    from runtime.loader import Loaded
    from runtime.memory.space import AddressSpace
    from runtime.policy import PageSizes
    from runtime.rootfs import View
    from runtime.syscalls.registry import SyscallTable
    from runtime.syscalls.trace import Trace
    from runtime.task.execve import Program
    from runtime.task.signals import Action
    from runtime.task.task import Task


TRANSFERS = frozenset({"read", "write", "pread64", "pwrite64"})


class Settings:
    """What was chosen when Octavo started and holds for every program it runs from then on."""

    __slots__ = (
        "asked_release",
        "by_kernel",
        "chosen_variables",
        "configuration",
        "cpu",
        "cpu_for",
        "fast_calls",
        "find_libraries",
        "log_fd",
        "page_size",
        "trace_fd",
        "uname_release",
    )

    def __init__(
        self,
        *,
        configuration: "Configuration",
        # --page-size: bytes, "auto", "host"; None: as configured
        page_size: int | str | None = None,
        cpu: tuple[str, str] | None = None,
        log_fd: int = 2,
        trace_fd: int | None = None,  # --strace
        fast_calls: bool = True,
        uname_release: bytes | None = None,
        by_kernel: bool = False,
        chosen_variables: "Iterable[bytes]" = (),
        find_libraries: "Callable[[View, Image, Sequence[bytes]], list[Library]] | None" = None,
    ) -> None:
        self.find_libraries = find_libraries  # libraries.closure, where the configuration asks
        self.chosen_variables = frozenset(chosen_variables)  # set or removed by the command line
        self.asked_release = uname_release  # by the command line; stronger than the configuration
        self.by_kernel = (
            by_kernel  # binfmt_misc started us, so an execve by the host comes back here
        )
        self.configuration = configuration
        self.page_size = page_size
        self.cpu = cpu  # (name, the option that asks for it); None: as configured
        self.cpu_for = ""  # the architecture that it is for: the first program's
        self.log_fd = log_fd
        self.trace_fd = trace_fd
        self.fast_calls = fast_calls
        self.uname_release = uname_release  # of the program that runs


class Process:
    """One guest process.

    `lock` guards `tasks`, `waiters`, `closing` and `actions`; memory has its own lock. It is never held over a call
    that may block.
    """

    __slots__ = (
        "actions",
        "arch",
        "arena",
        "closing",
        "command_line",
        "commpage_entries",
        "debugger",
        "emulates",
        "engine",
        "environment",
        "executable",
        "image",
        "leader",
        "limits",
        "lock",
        "make_syscalls",
        "memory",
        "memory_files",
        "pages",
        "personality",
        "reserved_fds",
        "settings",
        "status_page",
        "successor",
        "syscalls",
        "table",
        "target",
        "tasks",
        "timers",
        "trace",
        "trampoline",
        "vfork",
        "view",
        "waiters",
        "watched_libraries",
    )

    arch: "Architecture"
    arena: "Arena"
    table: "PageTable"
    engine: "Engine"
    memory: "AddressSpace"
    pages: "PageSizes"
    image: "Loaded"
    syscalls: "SyscallTable"
    target: "Target"  # the configuration of the program that runs

    def __init__(
        self,
        settings: Settings,
        view: "View",
        make_syscalls: "Callable[[Architecture], SyscallTable]",
    ) -> None:
        self.settings = settings
        self.view = view
        # the system-call layer is handed in: this package does not know it
        self.make_syscalls = make_syscalls
        self.trace: Trace | None = None
        self.debugger: Debugger | None = None  # -g
        # generic signal number -> disposition; absent: SIG_DFL
        self.actions: dict[int, Action] = {}
        self.tasks: dict[int, Task] = {}  # tid -> Task
        self.leader = 0  # tid of the thread group leader: the pid
        self.lock = _thread.allocate_lock()
        # held locks, each released when a task leaves `tasks`
        self.waiters: list[_thread.LockType] = []
        self.closing = False  # the other tasks have been told to end; new ones end at once
        # the leader goes on with this program (execve by another task)
        self.successor: tuple[Task, Program] | None = None
        self.trampoline = 0  # guest address of the page signal handlers return to; 0: there is none
        self.status_page = 0  # host address of the page that `octavo ps` reads (status_page.py)
        self.personality = 0  # of the caller, later as personality(2) sets it
        # (device, inode) of libraries that were complained of; None while every library fits the page size
        self.watched_libraries: set[tuple[int, int]] | None = None
        self.emulates = ""  # name of the architecture; empty before the first program
        self.timers: set[int] = set()  # POSIX timers that exist on the host (timers.py)
        # RLIMIT_ number -> (soft, hard) kept off the host (limits.py)
        self.limits: dict[int, tuple[int, int]] = {}
        # guest address -> number of the system call that a function call there stands for
        self.commpage_entries: dict[int, int] = {}
        self.reserved_fds: set[int] = set()  # descriptors of our own that the guest may not close
        # open /proc/self/mem: (device, inode) -> (pid whose memory it is, the host's descriptor)
        self.memory_files: dict[tuple[int, int], tuple[int, int]] = {}
        self.vfork: int | None = None  # descriptor to the parent that waits for our exec or exit
        self.executable = b""  # host path of the program: /proc/self/exe
        self.command_line = b""  # argv, each NUL-terminated: /proc/self/cmdline
        self.environment = b""
        if settings.log_fd > 2:
            self.reserved_fds.add(settings.log_fd)

    def log(self, message: str) -> None:
        """One line on the log, in one write so that processes do not mix."""
        line = f"octavo: {message}\n".encode()
        quick_syscall(SYS["write"], self.settings.log_fd, line, len(line))

    def forget_memory_files(self) -> None:
        """execve(2): what was opened before is about memory that is gone, and reads nothing. A parent's stays."""
        own = quick_syscall(SYS["getpid"])
        for identity, (pid, host) in list(self.memory_files.items()):
            if pid == own:
                quick_syscall(SYS["close"], host)
                self.reserved_fds.discard(host)
                del self.memory_files[identity]

    def choose_fast_calls(self) -> None:
        """The calls that the core answers itself: not those that may be about an open /proc/self/mem."""
        if not self.settings.fast_calls or self.trace is not None:
            return
        calls = self.syscalls.fast()
        if self.memory_files:
            calls = {number: twin for number, twin in calls.items() if twin not in TRANSFERS}
        self.engine.fast_calls(calls)

    def tell_others(self, task: "Task") -> None:
        """Every task but this one is to end, at its next stop or blocking call."""
        with self.lock:
            self.closing = True
            others = [other for other in self.tasks.values() if other is not task]
            for other in others:
                other.ending = True
        for other in others:
            other.cpu.kick()
        if self.debugger is not None:
            self.debugger.release_ending()

    def await_others(self, task: "Task | None") -> None:
        """Until `task` is the only one left (None: no one is)."""
        left = 0 if task is None else 1
        while True:
            with self.lock:
                if len(self.tasks) <= left:
                    self.closing = False
                    return
                waiter = _thread.allocate_lock()
                waiter.acquire()
                self.waiters.append(waiter)
            waiter.acquire()

    def leave(self, task: "Task") -> None:
        """The task is no more."""
        with self.lock:
            self.tasks.pop(task.tid, None)
            for waiter in self.waiters:
                waiter.release()
            self.waiters.clear()
