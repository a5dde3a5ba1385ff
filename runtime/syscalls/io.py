"""Reading, writing and seeking: the calls that move bytes between a descriptor and guest memory, or between
descriptors.

Descriptors themselves (close, dup, pipe, fcntl) are in descriptors.py and fcntl.py. Data never passes through Python:
the host call is given the guest's buffer as host memory (buffers.py).
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EBADF, EINVAL, EOVERFLOW, GuestError
from runtime.abi.linux import F_GETFL, O_ACCMODE, O_WRONLY, SEEK_SET
from runtime.syscalls import memory_file
from runtime.syscalls.buffers import R, W, buffer_spans, host_iovec, transfer, vector_spans
from runtime.syscalls.directories import guest_position, host_position
from runtime.syscalls.event_data import read_converted, write_converted
from runtime.syscalls.kinds import (
    Address,
    Fd,
    InBuffer,
    Int,
    Loff,
    Long,
    OutBuffer,
    Size,
    UInt,
    ULong,
)
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task


# Fast twins exist for the plain calls; the registry's table decides per architecture, see SyscallTable.fast.
@syscall(fast="read")
def read(task: "Task", fd: Fd, buf: OutBuffer, count: Size) -> int:
    """read(2)."""
    if task.arch.model.big:
        converted = read_converted(task, fd, buf, count)
        if converted is not None:
            return converted
    if task.process.memory_files:
        moved = memory_file.transfer(task, fd, [(buf, count)], None, False)
        if moved is not None:
            return moved
    return transfer("read", "readv", fd, buffer_spans(task, buf, count, W))


@syscall(fast="write")
def write(task: "Task", fd: Fd, buf: InBuffer, count: Size) -> int:
    """write(2)."""
    if task.arch.model.big:
        converted = write_converted(task, fd, buf, count)
        if converted is not None:
            return converted
    if task.process.memory_files:
        moved = memory_file.transfer(task, fd, [(buf, count)], None, True)
        if moved is not None:
            return moved
    return transfer("write", "writev", fd, buffer_spans(task, buf, count, R))


@syscall(fast="pread64")
def pread64(task: "Task", fd: Fd, buf: OutBuffer, count: Size, pos: Loff) -> int:
    """pread(2)."""
    if pos < 0:
        raise GuestError(EINVAL)
    if task.process.memory_files:
        moved = memory_file.transfer(task, fd, [(buf, count)], pos, False)
        if moved is not None:
            return moved
    return transfer("pread64", "preadv", fd, buffer_spans(task, buf, count, W), pos)


@syscall(fast="pwrite64")
def pwrite64(task: "Task", fd: Fd, buf: InBuffer, count: Size, pos: Loff) -> int:
    """pwrite(2)."""
    if pos < 0:
        raise GuestError(EINVAL)
    if task.process.memory_files:
        moved = memory_file.transfer(task, fd, [(buf, count)], pos, True)
        if moved is not None:
            return moved
    return transfer("pwrite64", "pwritev", fd, buffer_spans(task, buf, count, R), pos)


@syscall
def readv(task: "Task", fd: Fd, iov: Address, count: ULong) -> int:
    """readv(2)."""
    return _vectored(task, "readv", fd, iov, count, W)


@syscall
def writev(task: "Task", fd: Fd, iov: Address, count: ULong) -> int:
    """writev(2)."""
    return _vectored(task, "writev", fd, iov, count, R)


@syscall
def preadv(task: "Task", fd: Fd, iov: Address, count: ULong, low: ULong, high: ULong) -> int:
    """preadv(2). The position comes low word first whatever the byte order, and is never an aligned pair."""
    return _vectored(task, "preadv", fd, iov, count, W, _checked(_position(task, low, high)), 0)


@syscall
def pwritev(task: "Task", fd: Fd, iov: Address, count: ULong, low: ULong, high: ULong) -> int:
    """pwritev(2)."""
    return _vectored(task, "pwritev", fd, iov, count, R, _checked(_position(task, low, high)), 0)


@syscall
def preadv2(
    task: "Task", fd: Fd, iov: Address, count: ULong, low: ULong, high: ULong, flags: Int
) -> int:
    """preadv2(2). Position -1: the file's own."""
    return _vectored(task, "preadv2", fd, iov, count, W, _position(task, low, high), 0, flags)


@syscall
def pwritev2(
    task: "Task", fd: Fd, iov: Address, count: ULong, low: ULong, high: ULong, flags: Int
) -> int:
    """pwritev2(2). Position -1: the file's own."""
    return _vectored(task, "pwritev2", fd, iov, count, R, _position(task, low, high), 0, flags)


def _vectored(
    task: "Task", name: str, fd: int, iov: int, count: int, access: int, *tail: int
) -> int:
    if not quick(SYS["fcntl"], fd, F_GETFL) >= 0:
        raise GuestError(EBADF)
    if task.process.memory_files:
        pos = tail[0] if tail and tail[0] >= 0 else None
        buffers = task.memory.access.iovec(iov, count)
        moved = memory_file.transfer(task, fd, buffers, pos, access == R)
        if moved is not None:
            return moved
    spans = vector_spans(task, iov, count, access)
    return wait(SYS[name], fd, host_iovec(spans), len(spans), *tail)


def _position(task: "Task", low: int, high: int) -> int:
    """fs/read_write.c, pos_from_hilo: the high word counts on 32-bit ABIs only."""
    value = low | high << 32 if task.arch.elf_class == 32 else low
    return (value ^ (1 << 63)) - (1 << 63)


def _checked(position: int) -> int:
    if position < 0:
        raise GuestError(EINVAL)
    return position


@syscall(fast="lseek")
def lseek(task: "Task", fd: Fd, offset: Long, whence: UInt) -> int:
    """lseek(2). EOVERFLOW where the new position does not fit the guest's off_t."""
    position = _seek(task, fd, offset, whence)
    if position > (1 << (task.arch.model.bits - 1)) - 1:
        raise GuestError(EOVERFLOW)
    return position


@syscall
def llseek(task: "Task", fd: Fd, high: ULong, low: ULong, result: Address, whence: UInt) -> int:
    """_llseek(2), of 32-bit ABIs: the new position goes to memory."""
    value = high << 32 | low
    position = _seek(task, fd, (value ^ (1 << 63)) - (1 << 63), whence)
    if position < 0:
        return position
    task.memory.access.write(result, position.to_bytes(8, task.arch.model.endian))
    return 0


def _seek(task: "Task", fd: int, offset: int, whence: int) -> int:
    if task.arch.elf_class == 64:
        return quick(SYS["lseek"], fd, offset, whence)
    # A 32-bit guest knows positions in directories as cookies.
    if whence == SEEK_SET:
        offset = host_position(fd, offset)
    return guest_position(fd, quick(SYS["lseek"], fd, offset, whence))


# Between descriptors -----------------------------------------------------------------------------------------------
@syscall
def sendfile(task: "Task", out: Fd, source: Fd, offset: Address, count: Size) -> int:
    """sendfile(2) with the guest's off_t."""
    return _sendfile(task, out, source, offset, count, task.arch.model.long)


@syscall
def sendfile64(task: "Task", out: Fd, source: Fd, offset: Address, count: Size) -> int:
    """sendfile64(2): the offset is a loff_t on every ABI."""
    return _sendfile(task, out, source, offset, count, 8)


def _sendfile(task: "Task", out: int, source: int, offset: int, count: int, width: int) -> int:
    """width: bytes of the offset at guest address `offset`."""
    count = min(count, 0x7FFFFFFF)
    if not offset:
        return wait(SYS["sendfile"], out, source, 0, count)
    access, endian = task.memory.access, task.arch.model.endian
    start = int.from_bytes(access.read(offset, width), endian, signed=True)
    position = bytearray(struct.pack("=q", start))
    result = wait(SYS["sendfile"], out, source, position, count)
    if result >= 0:
        (after,) = struct.unpack("=q", position)
        access.write(offset, (after & (1 << 8 * width) - 1).to_bytes(width, endian))
    return result


@syscall
def splice(
    task: "Task",
    source: Fd,
    in_offset: Address,
    out: Fd,
    out_offset: Address,
    length: Size,
    flags: UInt,
) -> int:
    """splice(2)."""
    return _with_offsets(task, "splice", source, in_offset, out, out_offset, length, flags)


@syscall
def copy_file_range(
    task: "Task",
    source: Fd,
    in_offset: Address,
    out: Fd,
    out_offset: Address,
    length: Size,
    flags: UInt,
) -> int:
    """copy_file_range(2)."""
    return _with_offsets(task, "copy_file_range", source, in_offset, out, out_offset, length, flags)


def _with_offsets(
    task: "Task",
    name: str,
    source: int,
    in_offset: int,
    out: int,
    out_offset: int,
    length: int,
    flags: int,
) -> int:
    """A call with two optional loff_t, read and written back in the guest's byte order."""
    access, endian = task.memory.access, task.arch.model.endian
    offsets: list[bytearray | None] = []
    for address in (in_offset, out_offset):
        if not address:
            offsets.append(None)
            continue
        value = int.from_bytes(access.read(address, 8), endian, signed=True)
        offsets.append(bytearray(struct.pack("=q", value)))
    first, second = offsets
    result = wait(SYS[name], source, first or 0, out, second or 0, length, flags)
    if result >= 0:
        for address, offset in ((in_offset, first), (out_offset, second)):
            if offset is not None:
                (after,) = struct.unpack("=q", offset)
                access.write(address, after.to_bytes(8, endian, signed=True))
    return result


@syscall
def tee(task: "Task", source: Fd, out: Fd, length: Size, flags: UInt) -> int:
    """tee(2)."""
    return wait(SYS["tee"], source, out, length, flags)


@syscall
def vmsplice(task: "Task", fd: Fd, iov: Address, count: ULong, flags: UInt) -> int:
    """vmsplice(2): the pipe's end says whether guest memory is read or written."""
    mode = quick(SYS["fcntl"], fd, F_GETFL)
    if mode < 0:
        return mode
    spans = vector_spans(task, iov, count, R if mode & O_ACCMODE == O_WRONLY else W)
    return wait(SYS["vmsplice"], fd, host_iovec(spans), len(spans), flags)


# Length, space, caching --------------------------------------------------------------------------------------------
@syscall
def readahead(task: "Task", fd: Fd, offset: Loff, count: Size) -> int:
    """readahead(2)."""
    return wait(SYS["readahead"], fd, offset, count)


@syscall
def fadvise64(task: "Task", fd: Fd, offset: Loff, length: Size, advice: Int) -> int:
    """posix_fadvise(2) where the length is a size_t."""
    return quick(SYS["fadvise64"], fd, offset, length, advice)


@syscall
def fadvise64_64(task: "Task", fd: Fd, offset: Loff, length: Loff, advice: Int) -> int:
    """posix_fadvise(2) with a 64-bit length."""
    return quick(SYS["fadvise64"], fd, offset, length, advice)


@syscall
def arm_fadvise64_64(task: "Task", fd: Fd, advice: Int, offset: Loff, length: Loff) -> int:
    """posix_fadvise(2) with the advice moved forward, so that both pairs are aligned without a hole."""
    return quick(SYS["fadvise64"], fd, offset, length, advice)


@syscall
def sync_file_range(task: "Task", fd: Fd, offset: Loff, length: Loff, flags: UInt) -> int:
    """sync_file_range(2)."""
    return wait(SYS["sync_file_range"], fd, offset, length, flags)


@syscall
def sync_file_range2(task: "Task", fd: Fd, flags: UInt, offset: Loff, length: Loff) -> int:
    """sync_file_range(2) with the flags moved forward (arm, powerpc)."""
    return wait(SYS["sync_file_range"], fd, offset, length, flags)


@syscall
def fallocate(task: "Task", fd: Fd, mode: Int, offset: Loff, length: Loff) -> int:
    """fallocate(2)."""
    result = wait(SYS["fallocate"], fd, mode, offset, length)
    if task.memory.follows_files:
        task.memory.resized()
    return result


@syscall
def ftruncate(task: "Task", fd: Fd, length: Long) -> int:
    """ftruncate(2)."""
    result = wait(SYS["ftruncate"], fd, length)
    if task.memory.follows_files:
        task.memory.resized()
    return result


@syscall
def ftruncate64(task: "Task", fd: Fd, length: Loff) -> int:
    """ftruncate64(2), of 32-bit ABIs."""
    result = wait(SYS["ftruncate"], fd, length)
    if task.memory.follows_files:
        task.memory.resized()
    return result


@syscall
def fsync(task: "Task", fd: Fd) -> int:
    """fsync(2)."""
    return wait(SYS["fsync"], fd)


@syscall
def fdatasync(task: "Task", fd: Fd) -> int:
    """fdatasync(2)."""
    return wait(SYS["fdatasync"], fd)


@syscall
def sync(task: "Task") -> int:
    """sync(2)."""
    return wait(SYS["sync"])


@syscall
def syncfs(task: "Task", fd: Fd) -> int:
    """syncfs(2)."""
    return wait(SYS["syncfs"], fd)
