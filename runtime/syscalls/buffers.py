"""Guest buffers as host memory, for host calls that read and write them in place.

A span is (host address, bytes). Where the guest's memory is not accessible the span points at NOWHERE, the host's
second page, which no process of ours ever maps (the first is there under MMAP_PAGE_ZERO): the host's kernel then makes
every other check first, in its own order (EBADF before EFAULT, end of file before EFAULT), and fails just where the
guest's kernel would.
"""

import struct

from runtime._core import HOST_PAGE, SYS, R, W
from runtime._core import syscall as wait
from runtime.abi.errors import EFAULT, EINVAL, GuestError
from runtime.abi.linux import UIO_MAXIOV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

    Spans = list[tuple[int, int]]

__all__ = ["NOWHERE", "R", "W", "buffer_spans", "host_iovec", "transfer", "vector_spans"]

MAX_COUNT = (
    0x7FFFFFFF  # INT_MAX; the host's kernel rounds it down to its own MAX_RW_COUNT (linux/fs.h)
)
NOWHERE = HOST_PAGE
OUTSIDE = 1 << 63  # no user address on any host: access_ok fails


def buffer_spans(task: "Task", address: int, count: int, access: int) -> "Spans":
    """Host memory of `count` bytes at a guest address, or as many of them as are accessible.

    count: as the guest gave it, unsigned; more than MAX_RW_COUNT is cut as the kernel does.
    """
    if address + count > task.arch.address_top:  # access_ok in vfs_read and vfs_write
        return [(OUTSIDE, min(count, MAX_COUNT))]
    if count == 0:
        return [(0, 0)]
    count = min(count, MAX_COUNT)
    try:
        spans: Spans = task.memory.access.spans(address, count, access)
        return spans
    except GuestError:
        return [(NOWHERE, count)]


def vector_spans(task: "Task", address: int, count: int, access: int) -> "Spans":
    """Host memory of a guest iovec array, up to the first byte that is not accessible.

    EINVAL for more than UIO_MAXIOV segments or a negative length, EFAULT for the array itself or an address outside the
    guest's space (lib/iov_iter.c, __import_iovec).
    """
    if count > UIO_MAXIOV:
        raise GuestError(EINVAL)
    segments = read_iovec(task, address, count)
    top = task.arch.address_top
    longest = (1 << (task.arch.model.bits - 1)) - 1  # SSIZE_MAX
    for base, length in segments:
        if length > longest:
            raise GuestError(EINVAL)
        if base + length > top:
            raise GuestError(EFAULT)
    spans: Spans = []
    room = MAX_COUNT
    for base, length in segments:
        length = min(length, room)
        if not length:
            continue
        room -= length
        try:
            found = task.memory.access.spans(base, length, access)
        except GuestError:
            found = []
        spans += found
        if sum(size for _, size in found) < length:
            if not spans:
                return [(NOWHERE, length)]
            break
    return spans[:UIO_MAXIOV]


def read_iovec(task: "Task", address: int, count: int) -> "list[tuple[int, int]]":
    """The (guest address, bytes) pairs of a guest iovec array."""
    model = task.arch.model
    if count <= 0:
        return []
    raw = task.memory.access.read(address, count * 2 * model.pointer)
    words = struct.unpack(f"{model.prefix}{2 * count}{'Q' if model.pointer == 8 else 'I'}", raw)
    return list(zip(words[::2], words[1::2], strict=True))


def host_iovec(spans: "Spans") -> bytes:
    """Spans as the host's struct iovec array."""
    return struct.pack(f"={2 * len(spans)}Q", *(word for span in spans for word in span))


def transfer(scalar: str, vector: str, fd: int, spans: "Spans", *position: int) -> int:
    """The host's read-like call on spans: `scalar` for one, `vector` for several. May block."""
    if len(spans) == 1:
        address, length = spans[0]
        return wait(SYS[scalar], fd, address, length, *position)
    spans = spans[:UIO_MAXIOV]
    return wait(SYS[vector], fd, host_iovec(spans), len(spans), *position)
