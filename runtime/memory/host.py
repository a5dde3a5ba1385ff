"""What memory asks of the host, and the real host: its memory calls on the arena, and what mmap must know of a file.

The host is asked through `HostMemory`, so that every pair of page sizes can be tested on any machine.
"""

from os import close, fstat, pipe, read, readlink, write
from stat import S_ISREG
from time import time_ns

from runtime import _core
from runtime.abi.errors import EBADF, EFAULT, EINVAL, GuestError
from runtime.abi.linux import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    F_DUPFD_CLOEXEC,
    F_GETFL,
    O_ACCMODE,
    O_CLOEXEC,
    O_PATH,
)
from runtime.memory.areas import File
from runtime.memory.flags import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    SHM_REMAP,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class HostMemory(Protocol):
        """The host's memory calls on one arena. Offsets and lengths are multiples of `page`; failures are
        GuestError."""

        page: int  # bytes of a host page
        size: int  # bytes of the arena

        def map(self, offset: int, length: int, prot: int, flags: int, fd: int, start: int) -> None:
            """mmap(MAP_FIXED) at the arena offset; `start` is the file offset."""

        def release(self, offset: int, length: int) -> None:
            """Back to an inaccessible reservation."""

        def move(self, old: int, old_length: int, new: int, new_length: int, copy: bool) -> None:
            """Move mapped memory with its contents (mremap). With `copy` (shared memory only) the old place keeps it
            until it is released; without, the old place is left as a reservation. Lengths may differ."""

        def advise(self, offset: int, length: int, advice: int) -> None: ...
        def sync(self, offset: int, length: int, flags: int) -> None: ...
        def resident(self, offset: int, length: int) -> bytes:
            """One byte per host page, bit 0: resident (mincore)."""

        def lock(self, offset: int, length: int, flags: int) -> None: ...
        def unlock(self, offset: int, length: int) -> None: ...
        def attach(self, offset: int, shmid: int, flags: int) -> None:
            """shmat over the reservation at the offset (SHM_REMAP)."""

        def read(self, offset: int, length: int) -> bytes: ...
        def write(self, offset: int, data: bytes) -> None: ...
        def copy(self, source: int, target: int, length: int) -> int:
            """Copy inside the arena; the bytes done before the first that could not be read."""

        def describe(self, fd: int) -> "Descriptor":
            """What mmap must know of an open descriptor. GuestError(EBADF)."""

        def track(self, fd: int) -> int:
            """A descriptor of our own by which the file's length can be asked for when `fd` is closed."""

        def length(self, handle: int) -> int:
            """Bytes of the file now."""

        def untrack(self, handle: int) -> None: ...


class Descriptor:
    """An open file as mmap sees it: `mode` as st_mode, `access` the O_ACCMODE bits, `append` O_APPEND."""

    __slots__ = ("access", "append", "file", "mode", "path_only")

    def __init__(
        self, *, mode: int, access: int, append: bool, path_only: bool, file: File
    ) -> None:
        self.mode = mode
        self.access = access
        self.append = append
        self.path_only = path_only
        self.file = file


O_APPEND = 0o2000
OWN_DESCRIPTORS = 1000  # descriptors of our own start here, out of the guest's way
PIPE_BYTES = 1 << 12  # always fits an empty pipe, also one at the user's pipe limit
# A file changed so lately that a further change could leave its times as they are (they tick with the host's timer).
RACY_NS = 20_000_000


class ArenaHost:
    """HostMemory on a real arena of the native core."""

    __slots__ = ("_arena", "_base", "_call", "page", "size")  # the arena lives as long as this

    def __init__(self, arena: "_core.Arena") -> None:
        self._arena = arena
        self._base = arena.base
        self._call = _core.quick_syscall
        self.page = _core.HOST_PAGE
        self.size = arena.size

    def _do(self, name: str, *args: int | bytes | bytearray) -> int:
        result = self._call(_core.SYS[name], *args)
        if result < 0:
            raise GuestError(-result)
        return result

    def map(self, offset: int, length: int, prot: int, flags: int, fd: int, start: int) -> None:
        self._do("mmap", self._base + offset, length, prot, flags | MAP_FIXED, fd, start)

    def release(self, offset: int, length: int) -> None:
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        self.map(offset, length, PROT_NONE, flags, -1, 0)

    def move(self, old: int, old_length: int, new: int, new_length: int, copy: bool) -> None:
        source, target = self._base + old, self._base + new
        flags = MREMAP_MAYMOVE | MREMAP_FIXED
        if copy:
            self._do("mremap", source, 0, new_length, flags, target)
            return
        if new_length < old_length:
            self.release(old + new_length, old_length - new_length)
            old_length = new_length
        result = -EINVAL
        if old_length == new_length:
            # The old place must not become a hole for a moment: another thread's malloc could take it.
            keep = flags | MREMAP_DONTUNMAP
            result = self._call(_core.SYS["mremap"], source, old_length, new_length, keep, target)
        if result == -EINVAL:
            result = self._call(_core.SYS["mremap"], source, old_length, new_length, flags, target)
        if result == -EFAULT and old_length > self.page:
            # It is several mappings to the host, which does not merge all that could be one and (before Linux 6.17, or
            # where it grows) moves only one at a time. Where they end nobody says, without /proc.
            half = (old_length // 2) & -self.page
            self.move(old, half, new, half, False)
            self.move(old + half, old_length - half, new + half, new_length - half, False)
            return
        if result < 0:
            raise GuestError(-result)
        self.release(old, old_length)

    def advise(self, offset: int, length: int, advice: int) -> None:
        self._do("madvise", self._base + offset, length, advice)

    def sync(self, offset: int, length: int, flags: int) -> None:
        self._do("msync", self._base + offset, length, flags)

    def resident(self, offset: int, length: int) -> bytes:
        vector = bytearray(-(-length // self.page))
        self._do("mincore", self._base + offset, length, vector)
        return bytes(vector)

    def lock(self, offset: int, length: int, flags: int) -> None:
        self._do("mlock2", self._base + offset, length, flags)

    def unlock(self, offset: int, length: int) -> None:
        self._do("munlock", self._base + offset, length)

    def attach(self, offset: int, shmid: int, flags: int) -> None:
        self._do("shmat", shmid, self._base + offset, flags | SHM_REMAP)

    def read(self, offset: int, length: int) -> bytes:
        # A pipe carries the bytes: the kernel checks the address, so nothing here can raise a host signal.
        reader, writer = pipe()
        try:
            parts = []
            while length:
                count = self._do("write", writer, self._base + offset, min(length, PIPE_BYTES))
                parts.append(read(reader, count))
                offset += count
                length -= count
            return b"".join(parts)
        finally:
            close(reader)
            close(writer)

    def write(self, offset: int, data: bytes) -> None:
        reader, writer = pipe()
        try:
            while data:
                count = write(writer, data[:PIPE_BYTES])
                self._do("read", reader, self._base + offset, count)
                offset += count
                data = data[count:]
        finally:
            close(reader)
            close(writer)

    def copy(self, source: int, target: int, length: int) -> int:
        return self._arena.copy(target, source, length)

    def describe(self, fd: int) -> Descriptor:
        return describe(fd)

    def track(self, fd: int) -> int:
        # O_PATH: closing it does not release the guest's POSIX locks on the file, as closing any other would.
        own = self._call(_core.SYS["open_tree"], fd, b"\0", AT_EMPTY_PATH | O_CLOEXEC)
        if own < 0:
            own = self._do("openat", AT_FDCWD, b"/proc/self/fd/%d\0" % fd, O_PATH | O_CLOEXEC, 0)
        high = self._call(_core.SYS["fcntl"], own, F_DUPFD_CLOEXEC, OWN_DESCRIPTORS)
        if high < 0:  # RLIMIT_NOFILE is lower: it stays where it is
            return own
        self._call(_core.SYS["close"], own)
        return high

    def length(self, handle: int) -> int:
        return fstat(handle).st_size

    def untrack(self, handle: int) -> None:
        self._call(_core.SYS["close"], handle)


def describe(fd: int) -> Descriptor:
    """What mmap must know of a host descriptor. GuestError(EBADF)."""
    try:
        status = fstat(fd)
        flags = _core.quick_syscall(_core.SYS["fcntl"], fd, F_GETFL)
    except (OSError, ValueError, OverflowError):
        raise GuestError(EBADF) from None
    try:
        name = readlink(b"/proc/self/fd/%d" % fd)
    except OSError:
        name = b""
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return Descriptor(
        mode=status.st_mode,
        access=flags & O_ACCMODE,
        append=bool(flags & O_APPEND),
        path_only=bool(flags & O_PATH),
        file=File(
            dev=status.st_dev,
            ino=status.st_ino,
            name=name,
            size=status.st_size,
            mtime=status.st_mtime_ns,
            ctime=status.st_ctime_ns,
            sized=S_ISREG(status.st_mode),
            stable=changed + RACY_NS < time_ns(),
        ),
    )
