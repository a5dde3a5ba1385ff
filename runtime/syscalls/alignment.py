"""Libraries that a program cannot load because its pages are too large for them: one line on the log for each.

ld.so says "ELF load command alignment not page-aligned" of them, which tells nobody what to do. Only asked when the
guest page is larger than the architecture's smallest: with that one every library loads.

The odd thing: glibc looks at the headers itself and never comes to mmap(2), so what is watched is its open(2). Only an
open by the dynamic loader's own code counts; cp(1) may read whatever it likes.
"""

import os

from runtime.image import ImageError, identify
from runtime.policy import too_tight
from runtime.task.machine import file_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task


def opened(task: "Task", fd: int) -> None:
    """A file with a library's name was opened for reading."""
    loaded = task.process.image.image
    pc = task.cpu.get(task.arch.engine.pc)
    if loaded.interpreter_base <= pc < loaded.interpreter_end:
        _judge(task, fd)


def refused(task: "Task", fd: int, offset: int) -> None:
    """mmap(2) said EINVAL: a loader that does not look first (musl, a program's own)."""
    if fd >= 0 and offset & (task.memory.page - 1):
        _judge(task, fd)


def _judge(task: "Task", fd: int) -> None:
    process = task.process
    try:
        status = os.fstat(fd)
        image = identify(fd, file_name(process, fd))
    except (ImageError, OSError):
        return
    told = process.watched_libraries
    key = (status.st_dev, status.st_ino)
    if told is None or key in told or image.kind != "elf" or image.arch != process.arch.name:
        return
    line = too_tight(process.arch, image, process.pages.guest)
    if line is not None:
        told.add(key)
        task.log(line)
