"""The program's files for a debugger (GDB's vFile packets), so that it finds the program and its libraries where the
program does: `target:` paths are paths in the program's view. For reading only.

GDB's manual, "Host I/O Packets" and "File-I/O Remote Protocol Extension": flags, errors and struct stat are its own.
"""

import os

from runtime._core import SYS, quick_syscall
from runtime.abi.linux import AT_FDCWD, O_ACCMODE, O_CLOEXEC, O_RDONLY
from runtime.gdb.connection import escape, numbers
from runtime.syscalls import procfs
from runtime.task.vfork import own_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.gdb.debugger import Debugger
    from runtime.task.process import Process
    from runtime.task.task import Task

EROFS = 30
MOST = 1 << 13  # bytes of one answer, which escaping may double
UNKNOWN_ERROR = 9999  # EUNKNOWN
KNOWN_ERRORS = frozenset((1, 2, 4, 9, 13, 14, 16, 17, 19, 20, 21, 22, 23, 24, 27, 28, 29, 30, 91))
WORD, LONG = 4, 8  # bytes, big-endian


class Files:
    """The files that the debugger has open."""

    __slots__ = ("_open", "_process")

    def __init__(self, debugger: "Debugger") -> None:
        self._process: Process = debugger.process
        self._open: set[int] = debugger.files

    def answer(self, packet: bytes, task: "Task") -> bytes:
        """The reply to "vFile:OPERATION:ARGUMENTS". ValueError: it is malformed."""
        _, operation, arguments = packet.split(b":", 2)
        words = arguments.split(b",")
        try:
            match operation:
                case b"setfs":
                    return b"F0"
                case b"open":
                    name, flags, _ = words
                    return b"F%x" % self._open_file(task, name, numbers(flags)[0])
                case b"readlink":
                    return _data(self._link(task, bytes.fromhex(words[0].decode())))
                case b"pread":
                    fd, count, offset = numbers(arguments)
                    return _data(os.pread(self._own(fd), min(count, MOST), offset))
                case b"fstat":
                    (fd,) = numbers(arguments)
                    return _data(_status(os.fstat(self._own(fd))))
                case b"close":
                    (fd,) = numbers(arguments)
                    self._close(self._own(fd))
                    return b"F0"
        except OSError as error:
            number = error.errno if error.errno in KNOWN_ERRORS else UNKNOWN_ERROR
            return b"F-1,%x" % number
        return b""

    def _open_file(self, task: "Task", name: bytes, flags: int) -> int:
        if flags & O_ACCMODE != O_RDONLY:
            raise OSError(EROFS, "")
        path = bytes.fromhex(name.decode())
        fd = procfs.opened(task, AT_FDCWD, path, O_CLOEXEC)  # /proc/PID/maps and the like
        if fd is None:
            dirfd, host = task.view.resolve(AT_FDCWD, path, True)
            fd = quick_syscall(SYS["openat"], dirfd, host + b"\0", O_CLOEXEC, 0)
        if fd < 0:
            raise OSError(-fd, "")
        fd = own_descriptor(fd)
        self._process.reserved_fds.add(fd)
        self._open.add(fd)
        return fd

    def _link(self, task: "Task", path: bytes) -> bytes:
        own = procfs.link(task, AT_FDCWD, path)
        if own is not None:
            return own
        dirfd, host = task.view.resolve(AT_FDCWD, path, False)
        return os.readlink(host, dir_fd=None if dirfd == AT_FDCWD else dirfd)

    def _own(self, fd: int) -> int:
        if fd not in self._open:
            raise OSError(9, "")
        return fd

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        self._process.reserved_fds.discard(fd)
        quick_syscall(SYS["close"], fd)

    def close_all(self) -> None:
        """The debugger leaves."""
        for fd in list(self._open):
            self._close(fd)


def _data(data: bytes) -> bytes:
    return b"F%x;%b" % (len(data), escape(data))


def _status(status: os.stat_result) -> bytes:
    """struct stat, 64 bytes."""
    fields = (
        (status.st_dev, WORD), (status.st_ino, WORD), (status.st_mode, WORD), (status.st_nlink, WORD),
        (status.st_uid, WORD), (status.st_gid, WORD), (status.st_rdev, WORD), (status.st_size, LONG),
        (status.st_blksize, LONG), (status.st_blocks, LONG), (int(status.st_atime), WORD),
        (int(status.st_mtime), WORD), (int(status.st_ctime), WORD),
    )  # fmt: skip
    return b"".join((value & (1 << 8 * size) - 1).to_bytes(size, "big") for value, size in fields)
