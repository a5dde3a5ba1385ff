"""Data that the kernel itself writes into or reads from descriptors, in its own byte order: counters of eventfd and
timerfd, signalfd's records, inotify's events. For guests of the other byte order read(2) and write(2) convert it.

The kind of a descriptor is asked of the kernel each time (its link in /proc), not remembered: so it is right after dup,
fork, execve and for descriptors that came over a socket. Guests of the host's byte order never come here.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.linux import AT_FDCWD, SIGCHLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.task.task import Task

COUNTER = 8  # bytes of eventfd's and timerfd's number
SIGNAL_RECORD = 128  # struct signalfd_siginfo, linux/signalfd.h
_SIGNAL = "IiiIIiIIIIiiQQQQHHiQI28s"
EVENT_HEADER = 16  # struct inotify_event without the name
MOST = 1 << 16  # bytes of records read at once: more is a promise of room
CLD_EXITED = 1
_LINK_MOST = 64


def swap_counter(task: "Task", data: bytes) -> bytes:
    return data[:COUNTER][::-1] + data[COUNTER:]


def swap_signals(task: "Task", data: bytes) -> bytes:
    """Records of signals, numbers in the guest's numbering."""
    encode = task.arch.constants.encode
    prefix = task.arch.model.prefix
    out = bytearray()
    for record in struct.iter_unpack("=" + _SIGNAL, data):
        signo, error, code, *rest = record
        if signo == SIGCHLD and code != CLD_EXITED:
            rest[7] = encode("signal", rest[7])  # ssi_status
        out += struct.pack(prefix + _SIGNAL, encode("signal", signo), error, code, *rest)
    return bytes(out)


def swap_events(task: "Task", data: bytes) -> bytes:
    """inotify's events: four words and a padded name each."""
    prefix = task.arch.model.prefix
    out = bytearray()
    at = 0
    while at + EVENT_HEADER <= len(data):
        words = struct.unpack_from("=iIII", data, at)
        name_end = at + EVENT_HEADER + words[3]
        out += struct.pack(prefix + "iIII", *words) + data[at + EVENT_HEADER : name_end]
        at = name_end
    return bytes(out)


READERS: "dict[bytes, Callable[[Task, bytes], bytes]]" = {
    b"anon_inode:[eventfd]": swap_counter,
    b"anon_inode:[timerfd]": swap_counter,
    b"anon_inode:[signalfd]": swap_signals,
    b"anon_inode:inotify": swap_events,
}


def _kind(fd: int) -> bytes:
    link = bytearray(_LINK_MOST)
    path = b"/proc/self/fd/%d\0" % fd
    length = quick(SYS["readlinkat"], AT_FDCWD, path, link, _LINK_MOST)
    return bytes(link[:length]) if length > 0 else b""


def read_converted(task: "Task", fd: int, address: int, count: int) -> "int | None":
    """read(2) of a descriptor whose data has the kernel's byte order; None for every other one."""
    reader = READERS.get(_kind(fd)) if count >= COUNTER else None
    if reader is None:
        return None
    host = bytearray(min(count, MOST))
    result = wait(SYS["read"], fd, host, len(host))
    if result > 0:
        task.memory.access.write(address, reader(task, bytes(host[:result])))
    return result


def write_converted(task: "Task", fd: int, address: int, count: int) -> "int | None":
    """write(2) to an eventfd; None for every other descriptor."""
    if count < COUNTER or _kind(fd) != b"anon_inode:[eventfd]":
        return None
    data = task.memory.access.read(address, COUNTER)
    return wait(SYS["write"], fd, data[::-1], COUNTER)
