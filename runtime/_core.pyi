"""The native core: what Python may ask of C++, and what it is told back.

C++ never calls Python. A `Cpu` runs guest code until something happens that needs a decision and returns a `Stop`;
everything that decides lives in Python. Addresses are plain ints: `guest` ones are what the program sees, `offset` ones
count bytes from the start of the arena (the engine's "physical" address), `host` ones are pointers in this process.
Lengths are bytes. Permissions are the bits R, W, X. Calls marked [nogil] release the interpreter lock.

Locks. One engine serves all tasks of a process, and at most one task is inside guest code: the *baton*. `Cpu.run` takes
it, every method here that touches the engine or the page table takes it (kicking the runner out for a moment when it
must), and it is never held while Python runs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

R: Final = 1
W: Final = 2
X: Final = 4
# only to install(): a shared mapping, which a journal leaves out. Never given back.
SHARED: Final = 8

class MemoryFault(Exception):
    """A guest address that could not be read or written. args == (address,): the first byte that failed."""

    address: int

class Stop:
    """Why `Cpu.run` came back (plain int constants; no enum on the launch path)."""

    SYSCALL: Final = 1  # Cpu.call holds (number, a0, ..., a5); pc is after the instruction
    # Cpu.fault holds (address, access, mapped): exact address; access is R, W or X;
    # mapped: 0 nothing there (MAPERR), 1 permission (ACCERR), 2 beyond the file's end as limit() has it (SIGBUS ADRERR),
    # 3 the same, because the host's memory itself raised SIGBUS
    FAULT: Final = 2
    ILLEGAL: Final = 3  # pc is at the instruction
    # Cpu.trap holds the engine's exception number; the architecture's facts say what it means
    TRAP: Final = 4
    BREAKPOINT: Final = 5  # pc is at an address given to Engine.breakpoints
    KICKED: Final = 6  # somebody called kick(), or a signal was recorded; consumed by returning it
    RESIZED: Final = (
        7  # a file given to PageTable.watch() has another length now: give the new ones
    )
    STEPPED: Final = 8  # only step(): one instruction is done

class ErrorStyle:
    """How a system call's failure is shown to the guest."""

    NEGATIVE: Final = 0  # result register holds -errno
    FLAG_REGISTER: Final = 1  # result holds errno and the error register is 1, else 0 (mips a3)
    # result holds errno and bit 28 (0x10000000, cr0.SO) of the error register is set, else clear (ppc)
    CR0_SO: Final = 2

class Arena:
    """A PROT_NONE, NORESERVE reservation of host address space that holds all guest memory of the process.

    Tries `size`, then halves down to `least`; OSError(ENOMEM) when even that fails (RLIMIT_AS). Host pages in it are
    mapped by Python with `syscall(SYS["mmap"], arena.base + offset, ...)`. Never unmapped, only replaced, while the Arena, a
    PageTable or an Engine of it lives.
    """

    base: Final[int]
    size: Final[int]
    def __init__(self, size: int, least: int) -> None: ...
    def copy(self, target: int, source: int, length: int) -> int:
        """Copy bytes between arena offsets; what was done before the first that could not be read or written
        (signals_start() must have been called)."""

class PageTable:
    """Guest address -> (arena offset, permissions), at `page` granularity (the engine page). The only truth for guest
    permissions. Kept as sorted, merged ranges, so a reservation of terabytes costs one entry."""

    page: Final[int]
    def __init__(self, arena: Arena, page: int) -> None: ...
    def install(self, guest: int, length: int, offset: int, perms: int) -> None:
        """Map [guest, guest+length) to the arena from `offset` on, replacing what was there. ValueError if unaligned.
        Stale TLB entries are flushed before this returns, unless the range was empty before."""
    def protect(self, guest: int, length: int, perms: int) -> None:
        """Change permissions of what is installed in the range; holes stay holes. Flushes only when something is revoked."""
    def remove(self, guest: int, length: int) -> None: ...
    def clear(self) -> None:
        """Forget everything (execve)."""
    def limit(self, guest: int, length: int) -> None:
        """Bytes of the range from which accesses are 'beyond the file's end' (Stop.FAULT mapped == 2, MemoryFault)."""
    def watch(self, files: Sequence[tuple[int, int]]) -> None:
        """Descriptors of files and their lengths in bytes, instead of those given before. `Cpu.run` compares them each
        time before it runs guest code, fast calls included, and returns Stop.RESIZED when one differs."""
    def count_touched(self) -> None:
        """From now on remember which pages of the arena the guest, or a copy for it, has accessed."""
    def touched(self, offset: int, length: int, unit: int) -> bytes:
        """One byte for each `unit` bytes of the arena: 1 when any page of it is remembered."""
    def touch(self, offset: int, length: int) -> None:
        """As if it had been accessed."""
    def forget(self, offset: int, length: int) -> None:
        """As if it had not been. The next access counts again."""
    def ranges(self) -> list[tuple[int, int, int, int]]:
        """(guest start, guest end, offset, perms), sorted, merged."""
    def lookup(self, guest: int) -> tuple[int, int] | None:
        """(offset, perms) of the byte, or None."""
    def read(self, guest: int, length: int) -> bytes:
        """MemoryFault at the first byte without R. Never a host signal, also past the end of a truncated file."""
    def write(self, guest: int, data: bytes | bytearray | memoryview) -> None:
        """MemoryFault at the first byte without W (bytes before it are written, as copy_to_user does). Drops translations of the bytes."""
    def poke(self, guest: int, data: bytes | bytearray | memoryview) -> None:
        """As write, but needs only that the page is installed (loader, ptrace): permissions are not asked."""
    def cstring(self, guest: int, limit: int) -> bytes:
        """Bytes up to and without the NUL. MemoryFault; ValueError when there is no NUL in `limit` bytes."""
    def read_u32(self, guest: int) -> int: ...  # host byte order
    def compare_exchange_u32(self, guest: int, expected: int, value: int) -> int:
        """Atomic on the host; returns the value found (equal to expected: stored)."""
    def spans(self, guest: int, length: int, access: int) -> list[tuple[int, int]]:
        """The buffer as host memory: [(host address, bytes), ...], merged where contiguous, for readv/writev-like host calls.
        Stops at the first byte without `access`; MemoryFault only if that is the very first byte (length 0: []).
        With access W: translations in the buffer are dropped, and the pages count as written (journal)."""
    def host(self, guest: int, length: int, access: int) -> int:
        """Host address of a buffer that must be accessible and contiguous in the arena (futex words, small structs); MemoryFault if not."""
    def journal_begin(self) -> None:
        """From now on remember which pages are written, by guest or host (a vfork child)."""
    def journal_take(self) -> list[tuple[int, bytes]]:
        """(guest address, bytes) of every run of bytes that differs from what it was at journal_begin(); ends the journal.
        Shared mappings are not in it."""

class Engine:
    """One Unicorn instance over a page table. Every fact about the architecture comes in through the arguments."""

    def __init__(
        self,
        table: PageTable,
        *,
        arch: int,  # UC_ARCH_*
        mode: int,  # UC_MODE_*
        model: int,  # UC_CPU_*, or -1 for the default
        setup: Sequence[tuple[int, int]],  # (register id, value) written into every new Cpu
        page_settable: bool,  # set UC_CTL_UC_PAGE_SIZE to table.page
        # exception numbers (UC_HOOK_INTR) that are the system call instruction
        syscall_traps: Sequence[int],
        syscall_insn: int,  # instruction id for UC_HOOK_INSN (x86 SYSCALL), or -1
        number: int,  # register ids
        arguments: Sequence[int],
        result: int,
        error: int,  # or -1
        error_style: int,  # ErrorStyle
        pc: int,
        sp: int,
    ) -> None: ...
    def invalidate(self, offset: int, length: int) -> None:
        """Drop translations made from these bytes of the arena."""
    def watch_code(self, parts: Sequence[tuple[int, int]]) -> None:
        """Parts of the arena (offset, length) whose bytes others than this process's guest may change, instead of those
        given before. Pages of them that were translated are compared with what they were each time before `Cpu.run` runs
        guest code, up to 128 at a time."""
    def flush(self) -> None:
        """Empty the TLB (it also grows then)."""
    def breakpoints(self, addresses: Sequence[int]) -> None:
        """Guest addresses at which run() stops before executing (arm kernel helpers, x86 vsyscall entries)."""
    def fast_calls(self, names: Mapping[int, str], errors: Mapping[int, int] = ...) -> None:
        """System call number -> name of a native fast call (FAST_CALLS) answered inside run(); {} switches all off.
        errors: host errno -> the guest's. Those below 35 are the same everywhere; another one that is not in here ends in
        Stop.SYSCALL, and Python makes the call again."""
    def before_fork(self) -> None:
        """Take the baton, so that no task is inside guest code."""
    def after_fork_parent(self) -> None: ...
    def after_fork_child(self, cpu: Cpu) -> None:
        """`cpu` is the only task left."""
    # fills, flushes, stops, fast calls, switches: for the bench and --stats
    counters: dict[str, int]

class Cpu:
    """The registers of one task, on the shared engine. Bound to the host thread that calls `bind`."""

    call: tuple[int, ...]  # after Stop.SYSCALL: (number, a0, ...): unsigned, register width
    fault: tuple[int, int, int]
    trap: int
    def __init__(self, engine: Engine, copy: Cpu | None = None) -> None:
        """Fresh registers (facts' setup), or a copy of another task's (clone)."""
    def bind(self) -> None:
        """The calling host thread runs this Cpu from now on: kicks and recorded signals of that thread are its own."""
    def run(self) -> int:
        """Run guest code until a Stop. [nogil] Gives up the baton when it stops, and now and then when others wait."""
    def step(self) -> int:
        """As run(), but one instruction, with its delay slot if it has one, and then STEPPED. After any other Stop than
        SYSCALL it has not been done. [nogil]"""
    def kick(self) -> None:
        """From any thread: make run() return KICKED, and a blocking syscall() return -ERESTART, now or at their next start. Level-triggered."""
    def unkick(self) -> bool:
        """Forget a kick; whether there was one. For the task's own thread, when it waits for what no kick may end."""
    def get(self, register: int) -> int:
        """Unsigned value of a general register (up to 64 bits)."""
    def set(self, register: int, value: int) -> None: ...
    def get_many(self, registers: Sequence[int]) -> list[int]: ...
    def set_many(self, registers: Sequence[int], values: Sequence[int]) -> None: ...
    def get_bytes(self, register: int, size: int) -> bytes:
        """A wide register (vector, x87), guest-independent little-endian bytes as Unicorn gives them."""
    def set_bytes(self, register: int, data: bytes) -> None: ...
    def set_result(self, value: int) -> None:
        """The system call's result (>= 0, or -errno in the *guest's* numbering) by the facts' ErrorStyle."""
    def reset(self) -> None:
        """Fresh registers (execve)."""
    @property
    def signalled(self) -> int:
        """The signal that is recorded for this thread and not taken yet, 0: none."""
    @property
    def entered(self) -> bool:
        """Whether the recorded signal cut short a host call that had begun. If not, and syscall() gave -ERESTART, the
        signal came before the call, which goes on after its handler whatever SA_RESTART says."""
    def take_signal(self) -> tuple[int, bytes] | None:
        """(signal number, host siginfo_t, 128 bytes) that was recorded for this thread, and forget it."""

# syscall() gives -ERESTART: nothing was done, start it again after signals are dealt with
ERESTART: Final = 512

def syscall(number: int, *args: int | bytes | bytearray | memoryview) -> int:
    """A host system call that may block: [nogil], and race-free against a kick or a signal of this thread's bound Cpu.
    Buffers pass their address (bytearray to be written to). Result >= 0, -errno, or -ERESTART. A kick stays until run()
    returned KICKED and a recorded signal until take_signal(): until then every call gives -ERESTART."""

def quick_syscall(number: int, *args: int | bytes | bytearray | memoryview) -> int:
    """A host system call that does not block: keeps the interpreter lock, ignores kicks. Result >= 0 or -errno."""

def address(buffer: bytes | bytearray | memoryview) -> int:
    """Host address of a buffer's bytes, to put into a host struct (msghdr, sigevent). The caller keeps the buffer alive
    and, for a bytearray, at its size."""

def auxv(kind: int) -> int | None:
    """An entry of this process's own auxiliary vector (AT_*); None when the kernel gave none. Needs no /proc."""

def auxv_string(kind: int) -> bytes | None:
    """The string that an entry points to (AT_EXECFN, AT_PLATFORM)."""

def fork(flags: int, pidfd: bytearray | None = None, engine: Engine | None = None) -> int:
    """A raw clone(2) of this process (flags: CLONE_* namespace bits, CLONE_PARENT, CLONE_PIDFD and the exit signal; never
    CLONE_VM), with the interpreter's own fork hooks around it. Child pid, 0 in the child, or -errno. pidfd: 4 bytes.
    engine: no task of it is inside guest code meanwhile (before_fork and after_fork_parent are done in here, where the
    interpreter lock stays with this thread); the child has to call after_fork_child."""

SYS: dict[str, int]  # every __NR_* of the host: {"read": 0, ...}
HOST_PAGE: int
HOST_MACHINE: str  # "x86_64", "aarch64"
FAST_CALLS: tuple[str, ...]
KICK_SIGNAL: int  # 64: the one host signal that is ours

def signals_start() -> None:
    """Once, in the first thread: install the kick handler and the handlers for our own faults; take SIGINT and SIGPIPE back from Python."""

def signal_action(signo: int, kind: int, flags: int = 0) -> int:
    """Host disposition of a signal 1..64: kind 0 default, 1 ignore, 2 record for the guest, 3 default even where
    our own handler stays otherwise (for a death by the signal). flags: SA_NOCLDSTOP | SA_NOCLDWAIT
    of the host. Returns 0 or -errno. SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP and KICK_SIGNAL are recorded only when sent (si_code <= 0),
    and whatever the kind, since our handler has to stay: default and ignore are Python's to carry out for the first five."""

def signal_mask(mask: int) -> None:
    """Blocked signals of the calling thread: bit n-1 is signal n. KICK_SIGNAL is never blocked on the host."""

def signal_mask_get() -> int: ...
def open_fds() -> list[int]:
    """Descriptors open in this process, sorted, with or without /proc."""
