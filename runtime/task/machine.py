"""The machine a guest process runs on: arena, page table, engine and address space, from the architecture's facts.

Kept over execve as long as the next program has the same architecture, processor and page sizes, which keeps the
translations.
"""

from runtime._core import SYS, Arena, Cpu, Engine, PageTable, quick_syscall
from runtime.abi.linux import AT_FDCWD, O_CLOEXEC, PATH_MAX
from runtime.memory.host import ArenaHost
from runtime.memory.space import AddressSpace, Limits
from runtime.policy import mmap_min_addr
from runtime.task.limits import has_capability, soft_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture, EngineFacts
    from runtime.policy import PageSizes
    from runtime.task.process import Process
    from runtime.task.task import Task

ARENA = {32: 1 << 33, 64: 1 << 46}  # bytes of host address space at most
ARENA_LEAST = {32: 1 << 31, 64: 1 << 34}  # under RLIMIT_AS


def engine(table: PageTable, facts: "EngineFacts", privileged: bool = False) -> Engine:
    """The engine for an architecture's programs; `privileged`: as the processor comes out of reset."""
    return Engine(
        table,
        arch=facts.arch,
        mode=facts.mode,
        model=facts.model,
        setup=() if privileged else facts.setup,
        page_settable=facts.page_settable,
        syscall_traps=facts.syscall_traps,
        syscall_insn=facts.syscall_insn,
        number=facts.number_register,
        arguments=facts.argument_registers,
        result=facts.result_register,
        error=facts.error_register,
        error_style=facts.error_style,
        pc=facts.pc,
        sp=facts.sp,
    )


def build(process: "Process", arch: "Architecture", pages: "PageSizes") -> Cpu:
    """Give the process a machine; the first task's registers."""
    bits = arch.elf_class
    process.arch = arch
    process.emulates = arch.name
    process.pages = pages
    # ld.so refuses what the architecture's smallest pages would have allowed (syscalls/alignment.py)
    process.watched_libraries = set() if pages.guest > min(arch.page_sizes) else None
    # Twice what a 32-bit guest can address. For mips that is also all that the engine can: it cuts arena offsets to 32
    # bits there.
    size = 2 << (arch.address_top - 1).bit_length() if bits == 32 else ARENA[bits]
    process.arena = Arena(size, ARENA_LEAST[bits])
    process.table = PageTable(process.arena, pages.engine)
    process.engine = engine(process.table, arch.engine)
    process.memory = AddressSpace(
        process.table,
        ArenaHost(process.arena),
        limits(process, arch, pages.guest),
        arch.model,
        invalidate=process.engine.invalidate,
        watch_code=process.engine.watch_code,
        capable=has_capability,
        rlimit=lambda resource: soft_limit(process, resource),
        file_name=lambda fd: file_name(process, fd),
    )
    process.memory.windows.own_fds = process.reserved_fds
    process.syscalls = process.make_syscalls(arch)
    process.commpage_entries = {
        address: process.syscalls.number(entry)
        for *_, entries in arch.commpages
        for address, entry in entries
    }
    if process.commpage_entries:
        process.engine.breakpoints(list(process.commpage_entries))
    process.choose_fast_calls()
    return Cpu(process.engine)


def fit(process: "Process", task: "Task", arch: "Architecture", pages: "PageSizes") -> None:
    """Empty the machine for the next program, or build another when it is of another kind."""
    slow = bool(process.memory_files)
    process.forget_memory_files()
    now, sizes = process.arch, process.pages
    same = (now.name, now.processor, sizes.guest, sizes.engine) == (
        arch.name,
        arch.processor,
        pages.guest,
        pages.engine,
    )
    if same:
        process.memory.reset(limits(process, arch, pages.guest))
        task.cpu.reset()
        if slow:
            process.choose_fast_calls()
        return
    task.cpu = build(process, arch, pages)
    task.cpu.bind()
    task.arch = process.arch
    task.memory = process.memory


def limits(process: "Process", arch: "Architecture", page: int) -> Limits:
    """Where the architecture's address space ends, for guest pages of this size."""
    spread = arch.elf_class == 64  # libraries at addresses of their own: there is room for it
    return Limits(
        page=page,
        address_top=arch.address_top & -page,
        mmap_top=arch.mmap_top & -page,
        min_address=mmap_min_addr(page, read_min_addr, process.target.mmap_min_addr),
        min_fixed=arch.min_fixed,
        low_range=arch.low_range,
        fixed_top_errno=arch.fixed_range_error,
        shmlba=arch.shmlba,
        shmlba_forced=arch.shmlba_forced,
        extra_prot=arch.prot_extra,
        strict_prot=arch.prot_checked,
        place_low=arch.mmap_top >> 1 if spread else 0,
        place_high=arch.mmap_top - (arch.mmap_top >> 3) if spread else 0,
    )


def read_min_addr() -> bytes:
    """The text of the host's vm.mmap_min_addr; empty where it cannot be read."""
    fd = quick_syscall(SYS["openat"], AT_FDCWD, b"/proc/sys/vm/mmap_min_addr\0", O_CLOEXEC)
    if fd < 0:
        return b""
    text = bytearray(32)
    count = quick_syscall(SYS["read"], fd, text, len(text))
    quick_syscall(SYS["close"], fd)
    return bytes(text[: max(count, 0)])


def file_name(process: "Process", fd: int) -> bytes:
    """What /proc/self/maps calls the file behind a descriptor: its path in the guest's view; empty without /proc."""
    name = bytearray(PATH_MAX)
    count = quick_syscall(SYS["readlinkat"], AT_FDCWD, b"/proc/self/fd/%d\0" % fd, name, len(name))
    return process.view.guest_path(bytes(name[:count])) if count > 0 else b""
