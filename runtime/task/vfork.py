"""vfork(2) and CLONE_VM|CLONE_VFORK: the parent waits, and sees what its child stores.

The host child is an ordinary copy of this process, so what it stores would be lost to the parent; therefore the child
journals the pages it writes and hands the bytes it changed back down a pipe when it executes a program or ends (not the
whole pages: other tasks of the parent go on meanwhile). posix_spawn(3) depends
on that: its child reports a failed exec by storing the errno.
"""

from runtime._core import ERESTART, SYS, MemoryFault, quick_syscall, syscall
from runtime.abi.errors import GuestError
from runtime.abi.linux import F_DUPFD_CLOEXEC, O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process
    from runtime.task.task import Task

OWN_DESCRIPTORS = 1000  # descriptors of our own start here, out of the guest's way


def own_descriptor(fd: int) -> int:
    """Move a descriptor of ours out of the guest's way, close-on-exec; where RLIMIT_NOFILE forbids, it stays."""
    high = quick_syscall(SYS["fcntl"], fd, F_DUPFD_CLOEXEC, OWN_DESCRIPTORS)
    if high < 0:
        return fd
    quick_syscall(SYS["close"], fd)
    return high


def pipe() -> tuple[int, int]:
    """A close-on-exec pipe: (read end, write end). GuestError."""
    ends = bytearray(8)
    result = quick_syscall(SYS["pipe2"], ends, O_CLOEXEC)
    if result < 0:
        raise GuestError(-result)
    reader, writer = (int.from_bytes(ends[at : at + 4], "little") for at in (0, 4))
    return own_descriptor(reader), own_descriptor(writer)


def release_parent(process: "Process", *, last: bool = True) -> None:
    """A vfork child executes or ends: give the parent what we wrote. last=False keeps the parent waiting (a host
    execve closes the descriptor if it succeeds)."""
    if process.vfork is None:
        return
    records = b"".join(
        address.to_bytes(8, "little") + len(data).to_bytes(8, "little") + data
        for address, data in process.table.journal_take()
    )
    while records:
        sent = quick_syscall(SYS["write"], process.vfork, records, len(records))
        if sent <= 0:
            break  # the parent is gone
        records = records[sent:]
    if last:
        quick_syscall(SYS["close"], process.vfork)
        process.vfork = None
    else:
        process.table.journal_begin()


def await_release(task: "Task", fd: int) -> None:
    """Wait, deaf to all but the end of the process as the kernel's vfork is, and store what the child stored. The
    caller has blocked all signals."""
    received = bytearray()
    block = bytearray(1 << 16)
    kicked = False
    while not task.ending:
        count = syscall(SYS["read"], fd, block, len(block))
        if count == -ERESTART:
            kicked |= task.cpu.unkick()  # or each further call would end like this at once
            continue
        if count <= 0:
            break
        received += block[:count]
    if kicked:
        task.cpu.kick()
    position = 0
    while len(received) - position >= 16:
        address = int.from_bytes(received[position : position + 8], "little")
        length = int.from_bytes(received[position + 8 : position + 16], "little")
        data = received[position + 16 : position + 16 + length]
        position += 16 + length
        try:
            task.memory.poke(address, data)
        except MemoryFault:
            task.log(f"vfork: the child's page at {address:#x} is not mapped in the parent")
