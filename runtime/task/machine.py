"""The machine a guest process runs on: arena, page table, engine and address space, from the architecture's facts.

Kept over execve as long as the next program has the same architecture and page sizes, which keeps the translations.
"""

from runtime._core import Arena, Cpu, Engine, PageTable
from runtime.memory.backing import ArenaHost
from runtime.memory.space import AddressSpace, Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.policy import PageSizes
    from runtime.task.process import Process
    from runtime.task.task import Task

ARENA = {32: 1 << 33, 64: 1 << 46}  # bytes of host address space: twice what 32-bit guests can address
ARENA_LEAST = {32: 1 << 31, 64: 1 << 34}  # under RLIMIT_AS


def build(process: "Process", arch: "Architecture", pages: "PageSizes") -> Cpu:
    """Give the process a machine; the first task's registers."""
    bits = arch.elf_class
    process.arch = arch
    process.pages = pages
    process.arena = Arena(ARENA[bits], ARENA_LEAST[bits])
    process.table = PageTable(process.arena, pages.engine)
    facts = arch.engine
    process.engine = Engine(
        process.table,
        arch=facts.arch,
        mode=facts.mode,
        model=facts.model,
        setup=facts.setup,
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
    process.memory = AddressSpace(process, arch, pages)
    process.syscalls = process.make_syscalls(arch)
    if process.settings.fast_calls and process.trace is None:
        process.engine.fast_calls(process.syscalls.fast())
    return Cpu(process.engine)


def fit(process: "Process", task: "Task", arch: "Architecture", pages: "PageSizes") -> None:
    """Empty the machine for the next program, or build another when it is of another kind."""
    same = process.arch.name == arch.name and (
        (process.pages.guest, process.pages.engine) == (pages.guest, pages.engine)
    )
    if same:
        process.memory.reset()
        task.cpu.reset()
        return
    task.cpu = build(process, arch, pages)
    task.cpu.bind()
    task.arch = process.arch
    task.memory = process.memory
