"""A host with a page size of the test's choice, and a page table over it, in plain Python.

`SimulatedHost` answers as runtime.memory.backing.HostMemory does, byte for byte: files, private copies, shared memory,
SIGBUS past a file's end. With the guest's page size it also serves as the model of the kernel that a guest expects.
"""

from runtime._core import MemoryFault, R, W
from runtime.abi.errors import EBADF, EFAULT, EINVAL, ENOMEM, GuestError
from runtime.memory.areas import File
from runtime.memory.flags import MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, PROT_NONE
from runtime.memory.host import Descriptor

REGULAR = 0o100644
TRACKED = 1 << 20  # handles of track() are not descriptors of the guest


class Beyond(Exception):
    """SIGBUS: a page wholly past the end of the file."""


class SimulatedFile:
    def __init__(self, ino: int, data: bytes, access: int = 2, mode: int = REGULAR) -> None:
        self.ino = ino
        self.data = bytearray(data)
        self.access = access
        self.mode = mode
        self.append = False
        self.stable = True
        self.mtime = 1


class Page:
    """One page of a mapping: `data` is its private copy (or zero memory), otherwise the file's bytes at `start`."""

    def __init__(self, file: SimulatedFile | None, start: int, shared: bool, prot: int) -> None:
        self.file = file
        self.start = start
        self.shared = shared
        self.prot = prot
        self.data: bytearray | None = None


class SimulatedHost:
    def __init__(self, page: int, size: int) -> None:
        self.page = page
        self.size = size
        self.pages: dict[int, Page] = {}
        self.files: dict[int, SimulatedFile] = {}
        self.tracked: dict[int, SimulatedFile] = {}
        self.calls: list[str] = []

    def open(self, fd: int, file: SimulatedFile) -> None:
        self.files[fd] = file

    def _range(self, offset: int, length: int) -> range:
        assert offset % self.page == 0, f"host call at {offset:#x}"
        assert length > 0 and offset >= 0 and offset + length <= self.size
        return range(offset // self.page, -(-(offset + length) // self.page))

    # -- HostMemory ---------------------------------------------------------------------------------------------------

    def map(self, offset: int, length: int, prot: int, flags: int, fd: int, start: int) -> None:
        self.calls.append("map")
        file = None
        shared = not flags & MAP_PRIVATE
        if not flags & MAP_ANONYMOUS:
            assert start % self.page == 0
            file = self.files[fd]
        elif shared:
            file = SimulatedFile(0, bytes(-(-length // self.page) * self.page))
        if prot == PROT_NONE:
            for number in self._range(offset, length):
                self.pages.pop(number, None)
            return
        for position, number in enumerate(self._range(offset, length)):
            self.pages[number] = Page(file, start + position * self.page, shared, prot)

    def release(self, offset: int, length: int) -> None:
        self.calls.append("release")
        if length == self.size:
            self.pages.clear()
            return
        for number in self._range(offset, length):
            self.pages.pop(number, None)

    def move(self, old: int, old_length: int, new: int, new_length: int, copy: bool) -> None:
        self.calls.append("move")
        source = [self.pages[number] for number in self._range(old, max(old_length, self.page))]
        first = source[0]
        if not copy:
            assert old_length
            self.release(old, old_length)
            source = source[: -(-new_length // self.page)]
        else:
            assert first.shared
            source = []
        for position, number in enumerate(self._range(new, new_length)):
            if position < len(source):
                self.pages[number] = source[position]
            else:
                start = first.start + position * self.page
                self.pages[number] = Page(first.file, start, first.shared, first.prot)

    def advise(self, offset: int, length: int, advice: int) -> None:
        self.calls.append(f"advise {advice}")
        for number in self._range(offset, length):
            if number not in self.pages:
                raise GuestError(ENOMEM)
            if advice == MADV_DONTNEED:
                self.pages[number].data = None

    def sync(self, offset: int, length: int, flags: int) -> None:
        self.calls.append("sync")
        self._range(offset, length)

    def resident(self, offset: int, length: int) -> bytes:
        return bytes(self.pages[number].data is not None for number in self._range(offset, length))

    def lock(self, offset: int, length: int, flags: int) -> None:
        self.calls.append("lock")

    def unlock(self, offset: int, length: int) -> None:
        self.calls.append("unlock")

    def attach(self, offset: int, shmid: int, flags: int) -> None:
        file = self.files[shmid]
        for position, number in enumerate(self._range(offset, len(file.data))):
            self.pages[number] = Page(file, position * self.page, True, 3)

    def read(self, offset: int, length: int) -> bytes:
        try:
            return self.load(offset, length)
        except Beyond:
            raise GuestError(EFAULT) from None

    def write(self, offset: int, data: bytes) -> None:
        try:
            self.store(offset, data)
        except Beyond:
            raise GuestError(EFAULT) from None

    def copy(self, source: int, target: int, length: int) -> int:
        done = 0
        while done < length:
            part = min(length - done, self.page - (source + done) % self.page)
            try:
                self.store(target + done, self.load(source + done, part))
            except Beyond:
                break
            done += part
        return done

    def track(self, fd: int) -> int:
        handle = TRACKED + fd
        while handle in self.tracked:
            handle += 1000
        self.tracked[handle] = self.tracked.get(fd) or self.files[fd]
        return handle

    def length(self, handle: int) -> int:
        return len(self.tracked[handle].data)

    def untrack(self, handle: int) -> None:
        del self.tracked[handle]

    def truncated(self, file: SimulatedFile) -> None:
        """The file was cut: what was copied from past its end is gone with it."""
        end = -(-len(file.data) // self.page) * self.page
        for page in self.pages.values():
            if page.file is file and page.start >= end:
                page.data = None

    def describe(self, fd: int) -> Descriptor:
        if fd not in self.files:
            raise GuestError(EBADF)
        file = self.files[fd]
        identity = File(
            dev=0x801,
            ino=file.ino,
            name=b"/file%d" % file.ino,
            size=len(file.data),
            mtime=file.mtime,
            ctime=file.mtime,
            stable=file.stable,
            sized=file.mode == REGULAR,
        )
        return Descriptor(
            mode=file.mode, access=file.access, append=file.append, path_only=False, file=identity
        )

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _content(self, number: int) -> bytes | bytearray:
        assert number in self.pages, f"host SIGSEGV at {number * self.page:#x}"
        page = self.pages[number]
        if page.file is not None and page.start >= len(page.file.data):
            raise Beyond
        if page.data is not None:
            return page.data
        if page.file is None:
            return bytes(self.page)
        return bytes(page.file.data[page.start : page.start + self.page]).ljust(self.page, b"\0")

    def load(self, offset: int, length: int) -> bytes:
        found = bytearray()
        while length:
            number, skip = divmod(offset, self.page)
            part = self._content(number)[skip : skip + length]
            found += part
            offset += len(part)
            length -= len(part)
        return bytes(found)

    def store(self, offset: int, data: bytes) -> None:
        while data:
            number, skip = divmod(offset, self.page)
            content = self._content(number)
            page = self.pages[number]
            assert page.prot & 2, "host SIGSEGV: not writable"
            part = data[: self.page - skip]
            if page.shared:
                assert page.file is not None
                at = page.start + skip
                # What lies beyond the end in the last page is not the file's.
                fits = max(0, min(len(part), len(page.file.data) - at))
                page.file.data[at : at + fits] = part[:fits]
            else:
                if page.data is None:
                    page.data = bytearray(content)
                page.data[skip : skip + len(part)] = part
            offset += len(part)
            data = data[len(part) :]


class FakeTable:
    """runtime._core.PageTable over a SimulatedHost, page by page."""

    def __init__(self, host: SimulatedHost, page: int) -> None:
        self.host_memory = host
        self.page = page
        self.map: dict[int, tuple[int, int]] = {}  # guest page number -> (arena offset, perms)
        self.beyond: set[int] = set()
        self.watched: list[tuple[int, int]] = []

    def _numbers(self, guest: int, length: int) -> range:
        if guest % self.page or length % self.page:
            raise ValueError("unaligned")
        return range(guest // self.page, (guest + length) // self.page)

    # Which pages were touched is the native table's own business (tests/unit/core): here all that the host has were.

    def count_touched(self) -> None: ...
    def touch(self, offset: int, length: int) -> None: ...
    def forget(self, offset: int, length: int) -> None: ...
    def touched(self, offset: int, length: int, unit: int) -> bytes:
        return b"\1" * (length // unit)

    def install(self, guest: int, length: int, offset: int, perms: int) -> None:
        assert offset + length <= self.host_memory.size
        for position, number in enumerate(self._numbers(guest, length)):
            self.map[number] = (offset + position * self.page, perms)
            self.beyond.discard(number)

    def protect(self, guest: int, length: int, perms: int) -> None:
        for number in self._numbers(guest, length):
            if number in self.map:
                self.map[number] = (self.map[number][0], perms)

    def remove(self, guest: int, length: int) -> None:
        for number in self._numbers(guest, length):
            self.map.pop(number, None)

    def limit(self, guest: int, length: int) -> None:
        self.beyond.update(self._numbers(guest, length))

    def watch(self, files: list[tuple[int, int]]) -> None:
        self.watched = list(files)

    def resized(self) -> bool:
        """What the core asks before it runs guest code."""
        return any(self.host_memory.length(handle) != size for handle, size in self.watched)

    def clear(self) -> None:
        self.map.clear()
        self.beyond.clear()

    def lookup(self, guest: int) -> tuple[int, int] | None:
        entry = self.map.get(guest // self.page)
        return entry and (entry[0] + guest % self.page, entry[1])

    def _offset(self, guest: int, access: int) -> int:
        entry = self.map.get(guest // self.page)
        if entry is None or not entry[1] & access or guest // self.page in self.beyond:
            raise MemoryFault(guest)
        return entry[0] + guest % self.page

    def read(self, guest: int, length: int) -> bytes:
        found = bytearray()
        while length:
            part = min(length, self.page - guest % self.page)
            try:
                found += self.host_memory.load(self._offset(guest, R), part)
            except Beyond:
                raise MemoryFault(guest) from None
            guest += part
            length -= part
        return bytes(found)

    def write(self, guest: int, data: bytes | bytearray | memoryview) -> None:
        data = bytes(data)
        while data:
            part = data[: self.page - guest % self.page]
            try:
                self.host_memory.store(self._offset(guest, W), part)
            except Beyond:
                raise MemoryFault(guest) from None
            guest += len(part)
            data = data[len(part) :]

    def cstring(self, guest: int, limit: int) -> bytes:
        found = bytearray()
        while len(found) < limit:
            byte = self.read(guest + len(found), 1)
            if byte == b"\0":
                return bytes(found)
            found += byte
        raise ValueError("no NUL")

    def spans(self, guest: int, length: int, access: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        while length:
            part = min(length, self.page - guest % self.page)
            try:
                offset = self._offset(guest, access)
            except MemoryFault:
                if found:
                    break
                raise
            if found and found[-1][0] + found[-1][1] == offset:
                found[-1] = (found[-1][0], found[-1][1] + part)
            else:
                found.append((offset, part))
            guest += part
            length -= part
        return found


__all__ = ["EINVAL", "Beyond", "FakeTable", "SimulatedFile", "SimulatedHost"]
