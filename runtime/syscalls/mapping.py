"""mmap(2) and its family: the arguments in generic flags, the work in runtime/memory/space.py."""

from runtime.abi.errors import EINVAL, GuestError
from runtime.syscalls import alignment
from runtime.syscalls.kinds import Address, Fd, Int, MmapFlags, OutBuffer, Size, UInt, ULong
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

MMAP2_UNIT = 4096  # mmap2(2): its offset counts these, whatever the page size


class FileOffset(ULong):
    """An offset in bytes; in rows of mmap2 (variant pgoff4096) it counts units of 4096, and the handler gets bytes
    too."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return (lambda task, raw: raw * MMAP2_UNIT) if row.variant == "pgoff4096" else None


@syscall
def mmap(
    task: "Task",
    addr: Address,
    length: Size,
    prot: UInt,
    flags: MmapFlags,
    fd: Fd,
    offset: FileOffset,
) -> int:
    """mmap(2) and mmap2(2)."""
    try:
        return task.memory.mmap(addr, length, prot, flags, fd, offset)
    except GuestError as error:
        if error.errno == EINVAL and task.process.watched_libraries is not None:
            alignment.refused(task, fd, offset)
        raise


@syscall
def munmap(task: "Task", addr: Address, length: Size) -> int:
    return task.memory.munmap(addr, length)


@syscall
def mprotect(task: "Task", addr: Address, length: Size, prot: UInt) -> int:
    return task.memory.mprotect(addr, length, prot)


@syscall
def pkey_mprotect(task: "Task", addr: Address, length: Size, prot: UInt, key: Int) -> int:
    """Without protection keys only key -1, which means plain mprotect(2)."""
    if key != -1:
        raise GuestError(EINVAL)
    return task.memory.mprotect(addr, length, prot)


@syscall
def mremap(
    task: "Task", old: Address, old_size: Size, new_size: Size, flags: UInt, new: Address
) -> int:
    return task.memory.mremap(old, old_size, new_size, flags, new)


@syscall
def brk(task: "Task", addr: Address) -> int:
    return task.memory.brk(addr)


@syscall
def madvise(task: "Task", addr: Address, length: Size, advice: Int) -> int:
    return task.memory.madvise(addr, length, advice)


@syscall
def mincore(task: "Task", addr: Address, length: Size, vec: OutBuffer) -> int:
    """One byte per guest page."""
    task.memory.access.write(vec, task.memory.mincore(addr, length))
    return 0


@syscall
def msync(task: "Task", addr: Address, length: Size, flags: Int) -> int:
    return task.memory.msync(addr, length, flags)


@syscall
def mlock(task: "Task", addr: Address, length: Size) -> int:
    return task.memory.mlock(addr, length)


@syscall
def mlock2(task: "Task", addr: Address, length: Size, flags: Int) -> int:
    return task.memory.mlock2(addr, length, flags)


@syscall
def munlock(task: "Task", addr: Address, length: Size) -> int:
    return task.memory.munlock(addr, length)


@syscall
def mlockall(task: "Task", flags: Int) -> int:
    return task.memory.mlockall(flags)


@syscall
def munlockall(task: "Task") -> int:
    return task.memory.munlockall()
