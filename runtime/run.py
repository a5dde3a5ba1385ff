"""The path of a program: identify -> resolve -> configure -> load -> run.

Read this file first; each line of _run() is a module.
"""

import gc
import os
import sys

from runtime import bundle, config
from runtime._core import SYS, quick_syscall, signal_mask_get, signals_start
from runtime.abi.errors import GuestError
from runtime.arch import load_all, load_processors
from runtime.arch.architecture import ProcessorError
from runtime.command_error import CommandError
from runtime.container import ContainerError
from runtime.image import ImageError
from runtime.places import configured
from runtime.policy import THROUGHPUT, PageSizeError
from runtime.rootfs import RootError, explain_root, find_program, open_view
from runtime.syscalls import families
from runtime.syscalls.registry import SyscallTable
from runtime.syscalls.trace import Trace
from runtime.task import status_page
from runtime.task.configured import adopt, host_personality
from runtime.task.execve import Program, execve_native, prepare, start
from runtime.task.leader import lead
from runtime.task.limits import RLIMIT_STACK, get_limits
from runtime.task.machine import build
from runtime.task.process import Process, Settings
from runtime.task.signals import inherit
from runtime.task.task import Task
from runtime.task.vfork import own_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.gdb import Listener
    from runtime.run_command import Options

FAILED = 1  # a wrong command line
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what a shell answers for a program it can't start
ENOENT, ENOEXEC = 2, 8
GARBAGE = (
    20_000  # new containers before the collector looks for cycles; a short process never gets there
)


def main(options: "Options") -> int:
    """Run the program. Ends with its status or signal; comes back only with the status of a start that failed."""
    listener = None
    try:
        if options.gdb is not None:
            from runtime import gdb  # noqa: PLC0415  only for who debugs

            listener = gdb.listen(options.gdb)
        return _run(options, listener)
    except CommandError as error:
        sys.stderr.write(f"octavo: {error.args[0]}\n")
        return FAILED
    except (
        config.ConfigError,
        ImageError,
        PageSizeError,
        ProcessorError,
        RootError,
        ContainerError,
        GuestError,
        OSError,
    ) as error:
        sys.stderr.write(f"octavo: {error}\n")
        return NOT_FOUND if getattr(error, "errno", 0) == ENOENT else NOT_EXECUTABLE
    finally:
        if listener is not None:
            listener.close()


def _trace_descriptor(options: "Options") -> int | None:
    """Where --strace writes: a descriptor out of the guest's way, or None."""
    if not options.strace:
        return None
    if options.strace_file is None:
        return own_descriptor(os.dup(2))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    return own_descriptor(os.open(options.strace_file, flags, 0o666))


def configure(process: Process, target: config.Target) -> None:
    """What the configuration says about the first program's target, where nothing else was asked for."""
    settings = process.settings
    if target.log != "stderr":
        path = os.devnull if target.log == "none" else target.log
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        settings.log_fd = own_descriptor(os.open(path, flags, 0o666))
        process.reserved_fds.add(settings.log_fd)


def _find(process: Process, options: "Options", root: bytes | None) -> Program:
    """The first program, found by its name or opened by the kernel already."""
    try:
        return _program(process, options)
    except (ImageError, RootError) as error:
        if root is None:
            raise
        raise RootError(error.errno, f"{error}{explain_root(process.view, root)}") from None


def _program(process: Process, options: "Options") -> Program:
    view, path, opened = process.view, options.program, options.program_fd
    if not options.by_kernel:
        path = find_program(view, path, options.environment)
    program = prepare(process, path, options.argv, options.environment, opened=opened)
    if opened is not None:
        os.close(opened)  # the plan has its own; the kernel's is not close-on-exec
    if options.execfn is not None and options.by_kernel:
        program.plan.execfn = options.execfn
    found = program.plan.image
    if options.architecture not in (None, found.arch):
        reason = f"a program for {found.machine}, not for {options.architecture}"
        raise ImageError(ENOEXEC, found.path, reason)
    return program


def _asked_for(process: Process, options: "Options") -> None:
    """What the command line says is stronger than the configuration."""
    if options.stack is not None:
        process.limits[RLIMIT_STACK] = (options.stack, get_limits(process, RLIMIT_STACK)[1])


def _places(
    options: "Options", configuration: config.Configuration
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """(root directory, prefixes): the command line's, or what the configuration says of the program's target. In a
    configured container the program is named by its path in there: options.program is changed."""
    if options.root is not None or options.prefixes or not configuration.has("root"):
        return options.root, options.prefixes
    fd = options.program_fd
    found = configured(configuration, options.program, options.environment, fd)
    options.program = found.program
    return found.root, found.prefixes


def _run(options: "Options", listener: "Listener | None") -> int:
    if bundle.current is None:
        families.register()
    settings = Settings(
        # who gained privileges takes no advice from the environment
        configuration=config.load(None, options.secure),
        page_size=options.page_size,
        cpu=options.cpu,
        fast_calls=options.fast_calls,
        trace_fd=_trace_descriptor(options),
        by_kernel=options.by_kernel,
        uname_release=options.uname_release,
        chosen_variables=options.chosen_variables,
    )
    configuration = settings.configuration
    if options.page_size == THROUGHPUT or configuration.mentions("page_size", THROUGHPUT):
        from runtime.libraries import closure  # noqa: PLC0415  most starts never want it

        settings.find_libraries = closure
    if options.cpu is not None or configuration.says("cpu"):
        load_processors()
    root, prefixes = _places(options, configuration)
    if root is not None:
        load_all()  # nothing can be imported once the root has changed
    view = open_view(root, prefixes)
    process = Process(settings, view, SyscallTable)
    process.personality = host_personality()
    process.status_page = status_page.make()
    _asked_for(process, options)
    if settings.trace_fd is not None:
        process.trace = Trace(settings.trace_fd)
        process.reserved_fds.add(settings.trace_fd)
    program = _find(process, options, root)
    if program.native:
        execve_native(process, program)
    settings.cpu_for = program.arch.name
    configure(process, program.target)
    adopt(process, program.target, program.plan.image)
    signals_start()
    task = Task(process, build(process, program.arch, program.pages), quick_syscall(SYS["gettid"]))
    process.leader = task.tid
    process.tasks[task.tid] = task
    task.cpu.bind()
    inherit(task, signal_mask_get())
    start(process, task, program, secure=options.secure, random=options.random)
    if listener is not None:
        listener.attach(process, task)
    # A collection writes to every object it looks at, and a forked child pays for each page of them.
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 100)
    gc.enable()
    lead(process, task)
