"""/proc/self/mem of the guest: a descriptor whose reads and writes reach guest memory, its position being the address.

The descriptor is an empty, sealed memory file, which lends it what the kernel keeps of an open file: position, access
mode, copies by dup and fork. Reads and writes of it are carried out here, by way of the host's own /proc/self/mem, so
that permissions are overridden where the kernel overrides them (FOLL_FORCE) and a private page is copied first. A
descriptor that was opened before an execve reads nothing, as it should; one that came by a fork belongs to the parent's
memory, which is out of reach: EIO.

`Process.memory_files` is empty until a program opens its first one; only then do reads and writes look for them, and
the native fast calls for them end.
"""

import os

from runtime._core import SYS, MemoryFault
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EBADF, EIO, GuestError
from runtime.abi.linux import F_GETFL, O_ACCMODE, O_CLOEXEC, O_RDONLY, O_WRONLY, SEEK_CUR, SEEK_SET
from runtime.task.vfork import own_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2
F_ADD_SEALS, ALL_SEALS = 1033, 15  # seal, shrink, grow, write
OWNER_ONLY = 0o600
STEP = 1 << 20  # bytes that are moved at a time


def open_file(task: "Task", host: int, flags: int) -> int:
    """The guest's descriptor, given the host's /proc/self/mem opened with the same host flags (it is taken over)."""
    process = task.process
    host = own_descriptor(host)
    holder = own_descriptor(os.memfd_create("mem", MFD_CLOEXEC | MFD_ALLOW_SEALING))
    try:
        os.fchmod(holder, OWNER_ONLY)
        quick(SYS["fcntl"], holder, F_ADD_SEALS, ALL_SEALS)
        fd = os.open(b"/proc/self/fd/%d" % holder, flags & (O_ACCMODE | O_CLOEXEC))
        os.set_inheritable(fd, not flags & O_CLOEXEC)
        status = os.fstat(fd)
    except OSError:
        quick(SYS["close"], host)
        raise
    finally:
        quick(SYS["close"], holder)
    process.memory_files[status.st_dev, status.st_ino] = (os.getpid(), host)
    process.reserved_fds.add(host)
    process.choose_fast_calls()
    return fd


def find(task: "Task", fd: int, refused: int) -> int | None:
    """The host's descriptor behind one of these; None for any other. `refused`: the access mode that gives EBADF."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    found = task.process.memory_files.get((status.st_dev, status.st_ino))
    if found is None:
        return None
    if quick(SYS["fcntl"], fd, F_GETFL) & O_ACCMODE == refused:
        raise GuestError(EBADF)
    if found[0] != os.getpid():
        raise GuestError(EIO)
    return found[1]


def transfer(
    task: "Task", fd: int, buffers: "list[tuple[int, int]]", pos: int | None, store: bool
) -> int | None:
    """read(2) (store: write(2)) and its kin on guest buffers (address, bytes). pos None: at the descriptor's own
    position. None: the descriptor is another kind of file. EIO where there is no memory, EFAULT for a bad buffer."""
    host = find(task, fd, O_RDONLY if store else O_WRONLY)
    if host is None:
        return None
    start = quick(SYS["lseek"], fd, 0, SEEK_CUR) if pos is None else pos
    done = 0
    for buffer, length in buffers:
        moved = 0
        while moved < length:
            size = min(length - moved, STEP)
            count = _step(task, host, start + done, buffer + moved, size, store, bool(done))
            moved += count
            done += count
            if count < size:
                break
        if moved < length:
            break
    if pos is None:
        quick(SYS["lseek"], fd, start + done, SEEK_SET)
    return done


def _step(
    task: "Task", host: int, at: int, buffer: int, size: int, store: bool, started: bool
) -> int:
    """Move up to STEP bytes; what could be moved. EIO or EFAULT when nothing could, unless something was before."""
    access = task.memory.access
    try:
        if store:
            count = _store(task, host, at, access.read(buffer, size))
        else:
            data = _load(task, host, at, size)
            access.write(buffer, data)
            count = len(data)
        if not count and not started:
            raise GuestError(EIO)
    except GuestError:
        if not started:
            raise
        return 0
    return count


def _pieces(task: "Task", at: int, size: int) -> "list[tuple[int, int]]":
    """Guest memory as (arena offset, bytes), page by page, up to the first hole."""
    table, pieces = task.process.table, []
    while size:
        found = table.lookup(at)
        if found is None:
            break
        count = min(size, table.page - at % table.page)
        pieces.append((found[0], count))
        at += count
        size -= count
    return pieces


def _load(task: "Task", host: int, at: int, size: int) -> bytes:
    base, data = task.process.arena.base, bytearray()
    for offset, count in _pieces(task, at, size):
        part = bytearray(count)
        got = quick(SYS["pread64"], host, part, count, base + offset)
        data += part[: max(got, 0)]
        if got < count:
            break
    return bytes(data)


def _store(task: "Task", host: int, at: int, data: bytes) -> int:
    base, done = task.process.arena.base, 0
    for offset, count in _pieces(task, at, len(data)):
        part = data[done : done + count]
        try:
            task.memory.poke(at + done, part)  # a vfork's journal sees it
            got = count
        except MemoryFault:  # not writable for the host either
            got = quick(SYS["pwrite64"], host, part, count, base + offset)
            task.process.engine.invalidate(offset, count)
        done += max(got, 0)
        if got < count:
            break
    return done
