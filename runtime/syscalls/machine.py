"""Calls that one architecture's kernel has: thread pointers by system call, cache maintenance, switches of the
processor.

Nothing asks which architecture it is: a call is in the tables of those that have it, and what it needs to know is
in the
architecture's facts. Cache maintenance has little to do, as the engine drops translations when their bytes are
written where they are executed; but code may be written through another mapping, or into the file that is mapped.
"""

import struct

from runtime.abi.errors import EINVAL, ENOSYS, EPERM
from runtime.abi.linux import SIGTRAP, TRAP_BRKPT
from runtime.syscalls.kinds import Address, Int, UInt, ULong
from runtime.syscalls.registry import syscall
from runtime.task.futex import swap32
from runtime.task.signals import force

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

# asm/prctl.h (x86)
ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS = 0x1001, 0x1002, 0x1003, 0x1004
# asm/sysmips.h
MIPS_ATOMIC_SET, FLUSH_CACHE, MIPS_FIXADE = 2001, 3, 7


def _set_tls(task: "Task", value: int) -> int:
    register = task.arch.engine.tls_register
    if register < 0:
        return -ENOSYS
    task.cpu.set(register, value)
    return 0


def _drop_code(task: "Task", start: int, end: int) -> None:
    """Forget what was translated from the guest's [start, end)."""
    process = task.process
    for first, last, offset, _ in process.table.ranges():
        low, high = max(first, start), min(last, end)
        if low < high:
            process.engine.invalidate(offset + low - first, high - low)


@syscall
def arm_set_tls(task: "Task", value: ULong) -> int:
    """__ARM_NR_set_tls."""
    return _set_tls(task, value)


@syscall
def arm_get_tls(task: "Task") -> int:
    """__ARM_NR_get_tls."""
    return task.cpu.get(task.arch.engine.tls_register)


@syscall
def set_thread_area(task: "Task", address: ULong) -> int:
    """set_thread_area(2) of mips: the thread pointer itself."""
    return _set_tls(task, address)


@syscall
def arm_cacheflush(task: "Task", start: Address, end: Address, flags: UInt) -> int:
    """__ARM_NR_cacheflush: EINVAL for a reversed range or flags, as in arch/arm/kernel/traps.c."""
    if end < start or flags:
        return -EINVAL
    _drop_code(task, start, end)
    return 0


@syscall
def arm_breakpoint(task: "Task") -> None:
    """__ARM_NR_breakpoint: the trap of a breakpoint instruction."""
    force(task, SIGTRAP, TRAP_BRKPT, task.cpu.get(task.arch.engine.pc))


@syscall
def arm_usr26(task: "Task") -> int:
    """__ARM_NR_usr26: no processor has that mode any more."""
    return -ENOSYS


@syscall
def arm_usr32(task: "Task") -> int:
    """__ARM_NR_usr32: the only mode there is."""
    return 0


@syscall
def cacheflush(task: "Task", address: Address, size: ULong, caches: UInt) -> int:
    """cacheflush(2) of mips: ICACHE 1, DCACHE 2, both 3."""
    if caches & ~3:
        return -EINVAL
    _drop_code(task, address, address + size)
    return 0


@syscall
def cachectl(task: "Task", address: Address, size: Int, operation: Int) -> int:
    """cachectl of mips: the kernel has never implemented it."""
    return -ENOSYS


@syscall
def sysmips(task: "Task", command: Int, a: ULong, b: ULong) -> int:
    """sysmips(2)."""
    if command == MIPS_ATOMIC_SET:
        return _atomic_set(task, a, b)
    return 0 if command in (FLUSH_CACHE, MIPS_FIXADE) else -EINVAL


def _atomic_set(task: "Task", address: int, value: int) -> int:
    """Exchange of a word: the old one is the result (as an unsigned word, never an error)."""
    if address % 4:
        return -EINVAL
    table = task.process.table
    task.memory.access.write(address, task.memory.access.read(address, 4))  # EFAULT
    swap = task.arch.model.big
    wanted = swap32(value) if swap else value & 0xFFFFFFFF
    while True:
        raw = table.read_u32(address)
        if task.memory.access.compare_exchange_u32(address, raw, wanted) == raw:
            return swap32(raw) if swap else raw


@syscall
def riscv_flush_icache(task: "Task", start: Address, end: Address, flags: ULong) -> int:
    """riscv_flush_icache(2): flag 1 is SYS_RISCV_FLUSH_ICACHE_LOCAL."""
    if flags & ~1:
        return -EINVAL
    _drop_code(task, start, end)
    return 0


@syscall
def arch_prctl(task: "Task", code: Int, address: ULong) -> int:
    """arch_prctl(2) of x86-64: the segment bases. EPERM for an address outside the guest's space."""
    registers = task.arch.engine.registers
    name = {
        ARCH_SET_FS: "fs_base",
        ARCH_GET_FS: "fs_base",
        ARCH_SET_GS: "gs_base",
        ARCH_GET_GS: "gs_base",
    }.get(code)
    if name is None:
        return -EINVAL
    if code in (ARCH_SET_FS, ARCH_SET_GS):
        if address >= task.arch.address_top:
            return -EPERM
        task.cpu.set(registers[name], address)
        return 0
    value = struct.pack(task.arch.model.prefix + "Q", task.cpu.get(registers[name]))
    task.memory.access.write(address, value)
    return 0
