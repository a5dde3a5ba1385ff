"""mmap(2) and its relatives on a guest address space: check order, errors, placement, and what the page table shows.

Flags are generic Linux numbers (flags.py); failures are `GuestError`. The order of checks is the kernel's (mm/mmap.c,
mm/mprotect.c): mapping.py, protection.py, remap.py, advice.py, growth.py, sharing.py. The page size is the
guest's: nothing in this file knows the host's.
"""

import _thread

from runtime.abi.errors import (
    EINVAL,
    ENOMEM,
    EPERM,
    GuestError,
)
from runtime.memory import advice, growth, mapping, paging, protection, remap, report, sharing
from runtime.memory.access import Access
from runtime.memory.areas import (
    BACKED,
    COPIED,
    LOCKED,
    MAYSHARE,
    WINDOWED,
    WRITTEN,
    Area,
    AreaMap,
    File,
)
from runtime.memory.backing import Backing
from runtime.memory.flags import (
    CAP_SYS_RAWIO,
    MAP_PRIVATE,
    PROT_ACCESS,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)
from runtime.memory.limits import Limits, soft_limit
from runtime.memory.translations import Identity, Translations
from runtime.memory.windows import Windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime._core import PageTable
    from runtime.abi import DataModel
    from runtime.memory.host import HostMemory

__all__ = ["AddressSpace", "Limits"]

GUARD_PAGES = 256  # stack_guard_gap of the kernel, in pages
MAX_MAP_COUNT = 65530  # the kernel's default of vm.max_map_count
SHARED_MEMORY_DEVICE = 1  # the shmem mount's st_dev: 00:01 in maps
MASK64 = (1 << 64) - 1


def nothing(offset: int, length: int) -> None:
    """An engine that keeps no translations."""


class AddressSpace:
    """One guest process's memory. Methods are safe to call from every task; each holds `lock`.

    `table` is told of every change; `host` holds the bytes; `invalidate(offset, length)` is the engine's.
    `capable(cap)`
    and `rlimit(resource)` answer for the calling process, `file_name(fd)` gives a path as the guest sees it
    (or None: the
    host's own name of it)."""

    def __init__(
        self,
        table: "PageTable",
        host: "HostMemory",
        limits: Limits,
        model: "DataModel",
        *,
        invalidate: "Callable[[int, int], None]" = nothing,
        watch_code: "Callable[[list[tuple[int, int]]], None]" = lambda parts: None,
        capable: "Callable[[int], bool]" = lambda capability: False,
        rlimit: "Callable[[int], int]" = soft_limit,
        file_name: "Callable[[int], bytes] | None" = None,
        max_map_count: int = MAX_MAP_COUNT,
    ) -> None:
        self.lock = _thread.RLock()
        self.table = table
        self.host = host
        self.page = limits.page
        self.access = Access(table, model, limits.page, self.resolve)
        self.backing = Backing(host, limits.page, table.forget)
        self.windows = Windows(self.backing)
        self.translations = Translations(invalidate)
        self.watch_code = watch_code
        self._code_watched = False
        self.areas = AreaMap(GUARD_PAGES * limits.page)
        self.capable = capable
        self.rlimit = rlimit
        self.file_name = file_name
        self.max_map_count = max_map_count
        self._serial = 0  # inode numbers of shared anonymous memory
        self._begin(limits)

    def _begin(self, limits: Limits) -> None:
        self.limits = limits
        # Lengths of mapped files matter to the page table: whoever changes one calls `resized`.
        self.follows_files = limits.page != self.host.page
        if self.backing.small:  # the host cannot say which parts of its pages are in use
            self.table.count_touched()
        # Linear memory is the fast and simple kind: search below its end when the architecture leaves the choice.
        self.mmap_top = min(limits.mmap_top, self.backing.linear) & -limits.page
        self.place_high = min(limits.place_high, self.mmap_top)
        self.start_brk = self.brk_end = 0  # heap: set_brk()
        self.start_stack = 0  # initial stack pointer: which area is [stack]
        self.default_flags = 0  # mlockall(MCL_FUTURE)
        self.read_implies_exec = False  # personality
        self.sealed_end = 0  # nothing below this address may be changed or unmapped (mseal)

    # -- small helpers ------------------------------------------------------------------------------------------------

    def round(self, length: int) -> int:
        """Up to whole guest pages."""
        return (length + self.page - 1) & -self.page

    def aligned(self, value: int) -> bool:
        return not value & (self.page - 1)

    def perms(self, prot: int) -> int:
        """Page table permissions of a PROT_* word."""
        return self.limits.hardware[prot & PROT_ACCESS]

    def locked_bytes(self) -> int:
        return sum(area.length for area in self.areas if area.flags & LOCKED)

    # -- placement ----------------------------------------------------------------------------------------------------

    def find(self, hint: int, length: int, align: int = 0, residue: int = 0) -> int:
        """A free address as get_unmapped_area chooses it; ENOMEM. `align` bytes (default: page), address %
        align == residue."""
        limits = self.limits
        if length > limits.address_top:
            raise GuestError(ENOMEM)
        align = align or self.page
        if hint:
            hint = self.round(hint)
            if (
                limits.min_address <= hint <= limits.address_top - length
                and hint % align == residue
                and self.areas.free(hint, hint + length)
            ):
                return hint
        low = max(limits.min_address, self.page)
        address = self.areas.gap_below(length, low, self.mmap_top, align, residue)
        if address < 0:
            # Bottom-up, as the kernel does when the room below the top is used up.
            bottom = limits.bottom or limits.address_top // 3
            start = self.round(max(bottom, low))
            address = self.areas.gap_above(length, start, limits.address_top, align, residue)
        if address < 0:
            raise GuestError(ENOMEM)
        return address

    def place(self, file: File, length: int, align: int = 0) -> int:
        """A free address for a whole image of this file that is the same in every process, or 0 when there is none.

        Translations of a shared library are then found again after the next execve."""
        align = max(align, self.page, 1 << 16)
        slots = (self.place_high - self.limits.place_low - length) // align
        if slots <= 0:
            return 0
        seed = (file.dev * 0x9E3779B97F4A7C15 + file.ino) ^ (file.mtime << 1) ^ file.size
        low = (self.limits.place_low + align - 1) & -align
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK64
            mixed = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK64
            address = low + (mixed >> 16) % slots * align
            if self.areas.free(address, address + length) and address + length <= self.place_high:
                return address
        return 0

    # -- what is there ------------------------------------------------------------------------------------------------

    def identity(self, area: Area) -> "Identity | None":
        """What the bytes of an area are, for the engine's translations; None when the file does not tell."""
        file = area.file
        if file is None or not file.stable or area.flags & (MAYSHARE | COPIED):
            return None
        if area.flags & WRITTEN and not area.flags & WINDOWED:
            return None
        return (file.dev, file.ino, file.size, file.mtime, file.ctime, area.offset - area.place)

    def show(self, area: Area) -> None:
        """Put an area of `areas`, or a part of one, into the page table."""
        perms = paging.granted(self, area)
        if perms & PROT_WRITE:
            self.translations.written(area.place, area.length)
        if perms & PROT_EXEC:
            self.translations.executable(area.place, area.length, self.identity(area))
            self.watch_executable(area)
        self.table.install(area.start, area.length, area.place, perms)
        if area.flags & WINDOWED:
            paging.mark(self, area)
        elif self.backing.small and area.flags & MAYSHARE:
            self._mark_shared_memory(area)

    def watch_executable(self, area: Area) -> None:
        """The area can be executed now. If it is of a file that somebody may change by other means than guest stores,
        its code is to be looked after, as that of others of its kind."""
        if area.file is None or not area.file.changing or not area.file.sized:
            return
        parts = [
            (known.place, known.length)
            for known in self.areas
            if known.file is not None and known.file.changing and self.perms(known.prot) & PROT_EXEC
        ]
        self.watch_code([*parts, (area.place, area.length)])
        self._code_watched = True

    def _mark_shared_memory(self, area: Area) -> None:
        """Shared anonymous memory keeps its length when a mapping of it grows (mremap); the host rounds it up."""
        file = area.file
        if file is None or file.dev != SHARED_MEMORY_DEVICE:
            return
        beyond = max(area.start, area.start + self.round(file.size) - area.offset)
        if beyond < area.end:
            self.table.limit(beyond, area.end - beyond)

    def discard(self, pieces: list[Area], start: int, end: int, linear: bool = False) -> None:
        """Give up the memory of areas already out of the map. With `linear`, [start, end) is about to be replaced by
        linear memory in one host call, which needs no release first."""
        for piece in pieces:
            backed = bool(piece.flags & BACKED)
            if piece.flags & WINDOWED:
                paging.discard(self, piece)
                continue
            if backed:
                self.translations.replaced(piece.place, piece.length)
            if not (linear and piece.place == piece.start):
                self.backing.drop(piece.place, piece.length, backed)

    def clear_range(self, start: int, end: int) -> None:
        """Unmap [start, end) without checks."""
        pieces = self.areas.remove(start, end)
        if pieces:
            self.table.remove(start, end - start)
            self.discard(pieces, start, end)

    # -- mmap(2) and its family: one file per kind --------------------------------------------------------------------

    def mmap(
        self, address: int, length: int, prot: int, flags: int, fd: int = -1, offset: int = 0
    ) -> int:
        """mmap(2): the address. `fd` is a host descriptor, `offset` in bytes."""
        with self.lock:
            return mapping.mmap(self, address, length, prot, flags, fd, offset)

    def check_low(self, address: int) -> None:
        """mmap_min_addr: only CAP_SYS_RAWIO may map below it."""
        if address < self.limits.min_address and not self.capable(CAP_SYS_RAWIO):
            raise GuestError(EPERM)

    def check_sealed(self, address: int) -> None:
        """EPERM for a change that begins at an address in sealed memory."""
        if address < self.sealed_end:
            raise GuestError(EPERM)

    def munmap(self, address: int, length: int) -> int:
        """munmap(2): 0."""
        with self.lock:
            top = self.limits.address_top
            if not self.aligned(address) or address > top or length > top - address:
                raise GuestError(EINVAL)
            end = address + self.round(length)
            if end == address:
                raise GuestError(EINVAL)
            self.check_sealed(address)
            first = self.areas.find(address)
            inside = first is not None and first.start < address and end < first.end
            if inside and len(self.areas) >= self.max_map_count:
                raise GuestError(ENOMEM)
            self.clear_range(address, end)
            return 0

    def mprotect(self, address: int, length: int, prot: int) -> int:
        """mprotect(2): 0. What lies before a hole is changed although the call fails with ENOMEM."""
        with self.lock:
            return protection.mprotect(self, address, length, prot)

    def shared_file(self, name: bytes, size: int) -> File:
        """A file of its own for shared anonymous memory, as the kernel has it."""
        self._serial += 1
        return File(dev=SHARED_MEMORY_DEVICE, ino=self._serial, name=name, size=size)

    def brk(self, address: int) -> int:
        """brk(2) as the kernel has it: the new end of the heap, or the old one when it cannot move."""
        with self.lock:
            return growth.brk(self, address)

    def grow(self, address: int) -> bool:
        """A fault at this address hit nothing: True if a stack area was extended to hold it (retry the instruction)."""
        with self.lock:
            return growth.grow(self, address)

    def executed(self, address: int) -> bool:
        """Something without PROT_EXEC was executed, on hardware that knows no such thing: True if it can be read, and
        now be executed too (retry the instruction)."""
        with self.lock:
            start = address & -self.page
            for piece in self.areas.pieces(start, start + self.page):
                if not piece.flags & BACKED or not self.perms(piece.prot) & PROT_READ:
                    break
                self.translations.executable(piece.place, piece.length, self.identity(piece))
                self.table.protect(start, self.page, paging.granted(self, piece) | PROT_EXEC)
                return True
        return False

    def resolve(self, address: int, access: int, host_bus: bool = False) -> bool:
        """A fault at this address, for an access of the bits R, W, X: True if memory was put there after all (a stack
        that grows, a file that grew, a private copy), so that the access can be tried again. `host_bus`: the host's
        memory itself failed."""
        with self.lock:
            return paging.resolve(self, address, access, host_bus)

    def allows(self, address: int, access: int) -> bool:
        """Whether the file at the address may be accessed like that: a fault all the same is SIGBUS."""
        with self.lock:
            area = self.areas.find(address)
            if area is None or not area.flags & WINDOWED:
                return False
            return not access & ~self.perms(area.prot)

    def resized(self, everything: bool = True) -> None:
        """Files may have changed their lengths. Without `everything`: only those that others may change."""
        with self.lock:
            paging.recheck(self, everything)

    def mremap(
        self, address: int, old_length: int, length: int, flags: int, target: int = 0
    ) -> int:
        """mremap(2): the new address."""
        with self.lock:
            return remap.mremap(self, address, old_length, length, flags, target)

    def madvise(self, address: int, length: int, what: int) -> int:
        """madvise(2): 0."""
        with self.lock:
            return advice.madvise(self, address, length, what)

    def mincore(self, address: int, length: int) -> bytes:
        """mincore(2): one byte per guest page, for the caller to store."""
        with self.lock:
            return advice.mincore(self, address, length)

    def msync(self, address: int, length: int, flags: int) -> int:
        """msync(2): 0."""
        with self.lock:
            return advice.msync(self, address, length, flags)

    def mlock(self, address: int, length: int, flags: int = 0) -> int:
        """mlock(2) and mlock2(2): 0."""
        with self.lock:
            return advice.mlock(self, address, length, flags)

    def mlock2(self, address: int, length: int, flags: int) -> int:
        """mlock2(2): 0."""
        return self.mlock(address, length, flags)

    def munlock(self, address: int, length: int) -> int:
        """munlock(2): 0."""
        with self.lock:
            return advice.munlock(self, address, length)

    def mlockall(self, flags: int) -> int:
        """mlockall(2): 0."""
        with self.lock:
            return advice.mlockall(self, flags)

    def munlockall(self) -> int:
        """munlockall(2): 0."""
        with self.lock:
            return advice.munlockall(self)

    def shmat(self, shmid: int, address: int, flags: int, size: int, key: int = 0) -> int:
        """shmat(2) of a host segment of `size` bytes (IPC_STAT's shm_segsz): the address. `key`: for its name."""
        with self.lock:
            return sharing.shmat(self, shmid, address, flags, size, key)

    def shmdt(self, address: int) -> int:
        """shmdt(2): 0."""
        with self.lock:
            return sharing.shmdt(self, address)

    def name_range(self, address: int, length: int, name: bytes | None) -> int:
        """prctl(PR_SET_VMA_ANON_NAME): 0. `name` without NUL; None takes the name away."""
        with self.lock:
            return advice.name_range(self, address, length, name)

    def maps(self) -> bytes:
        """Text of /proc/self/maps."""
        with self.lock:
            return report.maps(self)

    def smaps(self, base: int = 0) -> bytes:
        """Text of /proc/self/smaps. `base`: host address of the arena, for exact residence."""
        with self.lock, report.Residence(self, base) as seen:
            return report.smaps(self, seen)

    def smaps_rollup(self, base: int = 0) -> bytes:
        """Text of /proc/self/smaps_rollup."""
        with self.lock, report.Residence(self, base) as seen:
            return report.smaps_rollup(self, seen)

    def pagemap(self, base: int, write: "Callable[[bytes, int], object]", big: bool) -> int:
        """/proc/self/pagemap: hands `write` (bytes, offset) of what is there, and returns the file's size. `big`: the
        guest's byte order."""
        with self.lock, report.Residence(self, base) as seen:
            return report.pagemap(self, seen, write, big)

    def figures(self, base: int = 0) -> "report.Figures":
        """Sizes for /proc/self/stat, statm and status."""
        with self.lock, report.Residence(self, base) as seen:
            return report.figures(self, seen)

    # -- for the loader -----------------------------------------------------------------------------------------------

    def map_anonymous(
        self, address: int, length: int, prot: int, *, flags: int = 0, name: bytes = b""
    ) -> int:
        """Private zero memory at a fixed address, replacing what is there, without privilege and limit checks. `flags`:
        area flags (GROWSDOWN, SPECIAL); `name` is shown in maps ("[vdso]"). Whole guest pages. ENOMEM, EINVAL."""
        with self.lock:
            if not self.aligned(address) or not length:
                raise GuestError(EINVAL)
            area = Area(address, address + self.round(length), prot=prot & PROT_ACCESS)
            area.flags = flags
            area.name = name
            mapping.establish(self, area, -1, None)
            return address

    def map_file(
        self,
        address: int,
        length: int,
        prot: int,
        fd: int,
        offset: int,
        *,
        name: bytes | None = None,
    ) -> int:
        """A private file mapping at a fixed address, replacing what is there; `offset` in whole guest pages. Errors as
        mmap's. `name`: the path for maps, when the descriptor's is not the guest's."""
        with self.lock:
            if not self.aligned(address) or not self.aligned(offset) or not length:
                raise GuestError(EINVAL)
            descriptor = mapping.descriptor_of(self, fd, 0)
            if descriptor is not None and name is not None:
                descriptor.file.name = name
            end = address + self.round(length)
            area = mapping.describe(self, address, end, prot, MAP_PRIVATE, descriptor, offset)
            mapping.establish(self, area, fd, descriptor)
            return address

    def set_brk(self, start: int) -> None:
        """Where the heap begins (any byte address, usually the end of the image's bss); it is empty."""
        self.start_brk = self.brk_end = start

    def reset(self, limits: Limits | None = None) -> None:
        """execve: nothing is mapped any more. `limits`: of the new program, when its page size or layout
        differ. The page
        table must be a new one when the page changes (set `table` and `access` first)."""
        with self.lock:
            self.table.clear()
            self.areas.clear()
            self.translations.replaced_all()
            self.windows.reset()
            if self._code_watched:
                self.watch_code([])
                self._code_watched = False
            if limits is not None:
                self.page = limits.page
                self.areas.guard = GUARD_PAGES * limits.page
            self.backing.reset(self.page)
            paging.watch(self)
            self._begin(limits or self.limits)

    def poke(self, address: int, data: bytes | bytearray) -> None:
        """Store in spite of permissions (a vfork child's stores). MemoryFault where nothing is mapped."""
        with self.lock:
            paging.own_private(self, address & -self.page, self.round(address + len(data)))
            self.table.poke(address, data)

    def poked(self, address: int, length: int) -> None:
        """Bytes were changed in spite of permissions (ptrace, a breakpoint): they are no longer the file's."""
        with self.lock:
            for piece in self.areas.pieces(address & -self.page, self.round(address + length)):
                self.translations.written(piece.place, piece.length)
                if piece.file is not None and not piece.flags & (MAYSHARE | WRITTEN):
                    self.areas.change(piece.start, piece.end, mark_written)

    def rewritten(self, piece: Area) -> None:
        """The host put other bytes into a mapped area (MADV_DONTNEED): translations must follow at once if it has X."""
        self.translations.replaced(piece.place, piece.length)
        if self.perms(piece.prot) & PROT_EXEC:
            self.translations.executable(piece.place, piece.length, self.identity(piece))

    def after_fork(self, shared: bool = False) -> None:
        """In the child of a fork: no other task holds the lock; what madvise said of forks is done. `shared`: to the
        guest it was none, parent and child have the same memory (vfork)."""
        self.lock = _thread.RLock()
        if not shared:
            advice.forget_unforked(self)


def mark_written(area: Area) -> None:
    area.flags |= WRITTEN
