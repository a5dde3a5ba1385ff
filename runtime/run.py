"""The path of a program: identify -> resolve -> configure -> load -> run. Read this file first; each line of main() is a
module."""

import os
import sys

from runtime._core import SYS, quick_syscall, signal_mask_get, signals_start
from runtime.container import ContainerError, enter
from runtime.image import ImageError
from runtime.policy import PageSizeError
from runtime.rootfs import RootError, find_program, open_view
from runtime.syscalls import families
from runtime.syscalls.registry import SyscallTable
from runtime.syscalls.trace import Trace
from runtime.task.execve import execve_native, prepare, start
from runtime.task.leader import lead
from runtime.task.machine import build
from runtime.task.process import Process, Settings
from runtime.task.signals import inherit
from runtime.task.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.run_command import Options

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what a shell answers for a program it can't start
ENOENT = 2

families.register()


def main(options: "Options") -> int:
    """Run the program. Ends with its status or signal; comes back only with the status of a start that failed."""
    try:
        return _run(options)
    except (ImageError, PageSizeError, RootError, ContainerError, OSError) as error:
        sys.stderr.write(f"octavo: {error}\n")
        return NOT_FOUND if getattr(error, "errno", 0) == ENOENT else NOT_EXECUTABLE


def _run(options: "Options") -> int:
    settings = Settings(
        page_size=options.page_size,
        fast_calls=options.fast_calls,
        trace_fd=_trace_descriptor(options),
    )
    view = open_view(options.root, options.prefixes)
    process = Process(settings, view, SyscallTable)
    path = find_program(view, options.program, options.environment)
    program = prepare(process, path, options.argv, options.environment)
    if program.native:
        return execve_native(process, program)
    signals_start()
    task = Task(process, build(process, program.arch, program.pages), quick_syscall(SYS["gettid"]))
    process.leader = task.tid
    process.tasks[task.tid] = task
    task.cpu.bind()
    inherit(task, signal_mask_get())
    start(process, task, program)
    lead(process, task)
