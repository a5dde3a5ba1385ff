"""Which host memory holds the guest's pages.

All guest memory of a process lies in one arena of host address space. An area is *linear* when the arena offset of a
byte is its guest address; it lies in a *window* (a piece of the arena's upper half) when its guest address is above the
lower half, or when the host page is larger than the guest page and the area cannot share host pages with its
neighbours.

The host is asked through `HostMemory`, so that every pair of page sizes can be tested on any machine. Host permissions
are a superset of the guest's: private memory is readable and writable on the host, shared file memory as its descriptor
allows. The page table alone knows what the guest may do.
"""

from bisect import bisect_left, bisect_right
from os import close, fstat, pipe, read, readlink, write
from stat import S_ISREG
from time import time_ns

from runtime import _core
from runtime.abi.errors import EBADF, EFAULT, EINVAL, ENOMEM, GuestError
from runtime.abi.linux import F_GETFL, O_ACCMODE, O_PATH
from runtime.memory.areas import BACKED, MAYSHARE, NORESERVE, Area, File
from runtime.memory.flags import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    SHM_REMAP,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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
        def describe(self, fd: int) -> "Descriptor":
            """What mmap must know of an open descriptor. GuestError(EBADF)."""


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
PIPE_BYTES = 1 << 12  # always fits an empty pipe, also one at the user's pipe limit
# A file changed so lately that a further change could leave its times as they are (they tick with the host's timer).
RACY_NS = 20_000_000


class ArenaHost:
    """HostMemory on a real arena of the native core."""

    __slots__ = ("_arena", "_base", "_call", "page", "size")

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

    def describe(self, fd: int) -> Descriptor:
        return describe(fd)


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


class Intervals:
    """A set of integers kept as sorted, disjoint [start, end)."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, *initial: tuple[int, int]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in initial:
            self.add(start, end)

    def __iter__(self) -> "Iterator[tuple[int, int]]":
        return iter(zip(self._starts, self._ends, strict=True))

    def add(self, start: int, end: int) -> None:
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def discard(self, start: int, end: int) -> None:
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return
        pieces = []
        if self._starts[low] < start:
            pieces.append((self._starts[low], start))
        if self._ends[high - 1] > end:
            pieces.append((end, self._ends[high - 1]))
        self._starts[low:high] = [piece[0] for piece in pieces]
        self._ends[low:high] = [piece[1] for piece in pieces]

    def touches(self, start: int, end: int) -> bool:
        """True if some member lies in [start, end)."""
        low = bisect_right(self._ends, start)
        return low < len(self._starts) and self._starts[low] < end

    def take(self, length: int) -> int:
        """Remove the lowest run of `length` and return its start; -1 when there is none."""
        for start, end in zip(self._starts, self._ends, strict=True):
            if end - start >= length:
                self.discard(start, start + length)
                return start
        return -1


class Backing:
    """Places guest memory in the arena. `page` is the guest page in bytes; host and guest page are powers of two.

    Every method takes guest-page aligned lengths; what the host gets is host-page aligned.
    """

    __slots__ = ("_busy", "_windows", "host", "linear", "page", "small")

    def __init__(self, host: "HostMemory", page: int) -> None:
        self.host = host
        self.page = page
        self.linear = host.size // 2  # guest addresses below are their own arena offsets
        self.small = page < host.page  # several guest pages share a host page
        self._windows = Intervals((self.linear, host.size))  # free part of the upper half
        self._busy = Intervals()  # arena bytes in use, kept only when host pages are shared

    def reset(self) -> None:
        """Everything back to a reservation, in one host call."""
        self.host.release(0, self.host.size)
        self._windows = Intervals((self.linear, self.host.size))
        self._busy = Intervals()

    def _window(self, length: int) -> int:
        place = self._windows.take(length)
        if place < 0:
            raise GuestError(ENOMEM)
        return place

    def is_linear(self, guest: int, length: int, exclusive: bool) -> bool:
        """Where `place` would put it. `exclusive`: its host pages cannot hold anything else (files, shared memory)."""
        return guest + length <= self.linear and not (self.small and exclusive)

    def reserve(self, guest: int, length: int) -> tuple[int, bool]:
        """(arena offset, whether host memory is there) for memory nobody may touch yet (PROT_NONE)."""
        if guest + length <= self.linear:
            return guest, False
        place = self._window(self._round(length))
        if self.small:
            # Later calls could not tell the unused rest of a host page from a reserved one.
            self.anonymous(length, place, MAP_NORESERVE)
        return place, self.small

    def _round(self, length: int) -> int:
        return (length + self.host.page - 1) & -self.host.page

    def anonymous(self, length: int, place: int, flags: int) -> None:
        """Put private zero memory at a reserved place. `flags`: MAP_NORESERVE or 0."""
        kind = MAP_PRIVATE | MAP_ANONYMOUS | flags
        if not self.small:
            self.host.map(place, length, PROT_READ | PROT_WRITE, kind, -1, 0)
            return
        first, last = self._own(place, length)
        if first < last:
            self.host.map(first, last - first, PROT_READ | PROT_WRITE, kind, -1, 0)
            self._zero(place, first)
            self._zero(last, place + length)
        else:
            self._zero(place, place + length)
        self._busy.add(place, place + length)

    def private(self, guest: int, length: int, flags: int) -> int:
        """Private zero memory for the guest; returns its arena offset. `flags` as for `anonymous`."""
        linear = guest + length <= self.linear
        place = guest if linear else self._window(self._round(length))
        try:
            self.anonymous(length, place, flags)
        except GuestError:
            if not linear:
                self._abandon(place, length)
            raise
        return place

    def _zero(self, start: int, end: int) -> None:
        if start < end:
            self.host.write(start, bytes(end - start))

    def _own(self, place: int, length: int) -> tuple[int, int]:
        """The host pages (arena range, perhaps empty) that hold bytes of [place, place + length) and no others
        in use."""
        unit = self.host.page
        end = place + length
        first, last = place & -unit, self._round(end)
        if first < place and self._busy.touches(first, place):
            first += unit
        if last > end and last > first and self._busy.touches(end, last):
            last -= unit
        return first, max(first, last)

    def cover_tail(self, place: int, start: int, length: int, size: int) -> None:
        """A host page smaller than the guest's ends the file too early: zero pages from the host's end of a file of
        `size` bytes to the guest's. `place` is where `length` bytes from file offset `start` are mapped."""
        first = max(self._round(size) - start, 0)
        last = min(((size + self.page - 1) & -self.page) - start, length)
        if first < last:
            access, kind = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
            self.host.map(place + first, last - first, access, kind, -1, 0)

    def exclusive(self, guest: int, length: int, prot: int, flags: int, fd: int, start: int) -> int:
        """Map a file or shared memory for the guest; returns its arena offset. `start`: file offset,
        guest-page aligned."""
        lead = start & (self.host.page - 1)
        size = self._round(lead + length) if self.small else length
        if self.is_linear(guest, length, True):
            place = guest
        else:
            place = self._window(self._round(size))
        try:
            self.host.map(place, size, prot, flags, fd, start - lead)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place + lead, place + lead + length)
        return place + lead

    def attach(self, guest: int, length: int, shmid: int, flags: int) -> int:
        """Attach a System V segment for the guest; returns its arena offset."""
        place = guest
        size = self._round(length)
        if not self.is_linear(guest, length, True):
            place = self._window(size)
        try:
            self.host.attach(place, shmid, flags)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place, place + length)
        return place

    def _abandon(self, place: int, size: int) -> None:
        """A host call on the range failed, perhaps half way."""
        self.host.release(place, size)
        if place >= self.linear:
            self._windows.add(place, place + self._round(size))

    def drop(self, place: int, length: int, backed: bool) -> None:
        """The guest no longer has these bytes of the arena. `backed`: host memory was mapped there."""
        if not self.small:
            first, last = place, place + length
        else:
            if backed:
                self._busy.discard(place, place + length)
            first, last = self._own(place, length)
        if backed and first < last:
            self.host.release(first, last - first)
        if place >= self.linear:
            self._windows.add(first, last)

    def transfer(self, old: Area, target: int, length: int, keep: bool) -> int:
        """Move an area's memory (mremap) for guest addresses [target, target + length); returns its arena offset.
        Shared memory with an empty `old` is duplicated from old.place. `keep`: zero memory stays at the old place."""
        if not old.flags & BACKED:
            place, _backed = self.reserve(target, length)
            if not keep:
                self.drop(old.place, old.length, False)
            return place
        spare = MAP_NORESERVE if old.flags & NORESERVE else 0
        if old.file is None:
            place = self.private(target, length, spare)
            self._carry(old, place, min(old.length, length), keep, spare)
            return place
        return self._transfer_file(old, target, length)

    def _carry(self, old: Area, place: int, length: int, keep: bool, spare: int) -> None:
        """Move the bytes of private zero memory into the memory that is already at `place`."""
        if self.small and (old.place | place | length) & (self.host.page - 1):
            self.host.write(place, self.host.read(old.place, length))
            if keep:
                self._zero(old.place, old.place + length)
            else:
                self.drop(old.place, old.length, True)
            return
        self.host.move(old.place, length, place, length, False)
        if keep:
            self.host.map(old.place, length, 3, MAP_PRIVATE | MAP_ANONYMOUS | spare, -1, 0)
        else:
            self.drop(old.place, old.length, True)

    def _transfer_file(self, old: Area, target: int, length: int) -> int:
        if self.small and old.length == length:
            # A window's place has nothing to do with its guest address: it can stay where it is.
            return old.place
        unit = self.host.page
        lead = old.place & (unit - 1) if self.small else 0
        size = self._round(lead + length) if self.small else length
        copy = bool(old.flags & MAYSHARE)
        place = target if self.is_linear(target, length, True) else self._window(self._round(size))
        first = old.place - lead
        extent = self._round(lead + old.length) if self.small else old.length
        try:
            if (
                not copy
                and self.small
                and self._own(old.place, old.length) != (first, first + extent)
            ):
                # A neighbour has a part of the host page: a private file's bytes can only be copied.
                self.host.map(place, size, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                self._copy_pages(old.place, place + lead, min(old.length, length))
            else:
                self._move_file(old, first, extent, place, size, copy)
        except GuestError:
            self._abandon(place, size)
            raise
        if self.small:
            self._busy.add(place + lead, place + lead + length)
        if old.length:
            self.drop(old.place, old.length, True)
        return place + lead

    def _move_file(
        self, old: Area, source: int, extent: int, place: int, size: int, copy: bool
    ) -> None:
        """Move host pages of a file, and the zero pages of cover_tail, which the host has as a mapping of their own."""
        move = self.host.move
        file = old.file
        if file is None or not file.sized or self.page <= self.host.page:
            move(source, extent, place, size, copy)
            return
        first = max(self._round(file.size) - old.offset, 0)
        last = min(((file.size + self.page - 1) & -self.page) - old.offset, extent)
        if first >= last:
            move(source, extent, place, size, copy)
            self.cover_tail(place, old.offset, size, file.size)
            return
        rest = extent - last
        if copy:
            move(source, extent, place, size, True)
            self.cover_tail(place, old.offset, size, file.size)
            self.host.write(place + first, self.host.read(source + first, last - first))
            return
        move(source, first, place, first if rest else size, False)
        move(source + first, last - first, place + first, last - first, False)
        if rest:
            move(source + last, rest, place + last, size - last, False)

    def _copy_pages(self, source: int, target: int, length: int) -> None:
        """Copy what can be read; pages beyond the end of the file stay zero (the page table guards them)."""
        for done in range(0, length, self.page):
            try:
                data = self.host.read(source + done, self.page)
            except GuestError:
                continue
            self.host.write(target + done, data)

    def advise_zero(self, place: int, length: int) -> None:
        """Private zero memory back to zero (MADV_DONTNEED), also where a host page is shared with neighbours."""
        first, last = self._own(place, length) if self.small else (place, place + length)
        if first < last:
            self.host.advise(first, last - first, MADV_DONTNEED)
            self._zero(place, first)
            self._zero(last, place + length)
        else:
            self._zero(place, place + length)

    def advise_file(self, place: int, length: int) -> None:
        """Private file memory back to the file's bytes, neighbours in the same host page left as they are."""
        if not self.small:
            self.host.advise(place, length, MADV_DONTNEED)
            return
        unit = self.host.page
        start, end = place & -unit, self._round(place + length)
        kept = []
        for at in (*range(start, place, self.page), *range(place + length, end, self.page)):
            if self._busy.touches(at, at + self.page):
                try:
                    kept.append((at, self.host.read(at, self.page)))
                except GuestError:
                    continue  # beyond the end of the file: nothing to keep
        self.host.advise(start, end - start, MADV_DONTNEED)
        for at, data in kept:
            if self.host.read(at, len(data)) != data:
                self.host.write(at, data)

    def whole(self, place: int, length: int) -> tuple[int, int]:
        """(offset, length) of all host pages that hold bytes of the range, for calls that may touch neighbours."""
        start = place & -self.host.page
        return start, self._round(place + length) - start
