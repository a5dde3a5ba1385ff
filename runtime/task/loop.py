"""The run loop of one task: run guest code until it stops, deal with the reason, again."""

from runtime._core import ERESTART, MemoryFault, R, Stop, X
from runtime.abi.errors import GuestError
from runtime.abi.linux import SIGBUS, SIGILL, SIGSEGV, SIGTRAP, TRAP_BRKPT
from runtime.task.signals import ACCERR, ADRERR, ILLOPN, MAPERR, deliver, force, rewind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.task.task import Task

    Hot = tuple[
        Callable[[], int], Callable[[int], None], Callable[[Task], int | None], Callable[[int], int]
    ]


class TaskEnd(BaseException):
    """Leaves the loop of the current task: it has exited, or another task wants it gone."""


def run(task: "Task") -> None:
    """Run the task until it ends (TaskEnd is caught here)."""
    cpu_run, set_result, dispatch, to_guest = hot(task)
    try:
        while True:
            stop = cpu_run()
            if stop == Stop.SYSCALL:
                result = dispatch(task)
                if result is None:
                    # execve may have put a machine of another kind in place
                    cpu_run, set_result, dispatch, to_guest = hot(task)
                    continue
                if result == -ERESTART:
                    interrupted(task)
                    continue
                set_result(result if result >= 0 else -to_guest(-result))
                if task.restore_mask is not None:
                    end_suspension(task)
            elif stop == Stop.KICKED:
                if task.ending:
                    raise TaskEnd
                deliver(task)
            else:
                fault(task, stop)
    except TaskEnd:
        return


def hot(task: "Task") -> "Hot":
    """What each system call needs: Cpu.run (or a debugger's idea of it) and Cpu.set_result, the table's dispatch, the
    guest's errno numbers."""
    cpu, debugger = task.cpu, task.process.debugger
    to_guest = task.arch.constants.errno_to_guest
    run_it = cpu.run if debugger is None else debugger.runner(task)
    return run_it, cpu.set_result, task.process.syscalls.dispatch, to_guest


def interrupted(task: "Task") -> None:
    """A host call was cut short before it did anything: by a signal for the guest, or by a kick."""
    if task.ending:
        raise TaskEnd
    if not deliver(task, interrupted=True):
        rewind(task)
        if task.restore_mask is not None:
            end_suspension(task)


def end_suspension(task: "Task") -> None:
    """A call under a temporary mask has returned: deliver what that mask let in, then the old mask is back."""
    if not deliver(task) and (mask := task.restore_mask) is not None:
        task.restore_mask = None
        task.block(mask)


def fault(task: "Task", stop: int) -> None:
    """Everything that is not a system call or a kick becomes a signal, unless memory can be made to fit."""
    if stop == Stop.FAULT:
        memory_fault(task)
    elif stop == Stop.RESIZED:
        task.memory.resized(everything=False)
    elif stop == Stop.ILLEGAL:
        if not breakpoint_here(task):
            force(task, SIGILL, ILLOPN, task.cpu.get(task.arch.engine.pc))
    elif stop == Stop.BREAKPOINT:
        commpage_call(task)
    else:
        known = task.arch.engine.traps.get(task.cpu.trap)
        if known is None:
            task.log(f"engine exception {task.cpu.trap} is not known for {task.arch.name}")
            known = (SIGILL, ILLOPN)
        if known[0] == SIGILL and breakpoint_here(task):
            return
        address = task.cpu.get(task.arch.engine.pc)
        if known[0] == SIGBUS and task.arch.exclusive_words:
            word, kind = word_here(task), task.arch.instruction_set(task.cpu)
            address = task.arch.exclusive_address(task.cpu, word, kind) or address
        force(task, *known, address, task.cpu.trap)


def memory_fault(task: "Task") -> None:
    """An access that the page table does not allow."""
    address, access, mapped = task.cpu.fault
    if access == X and task.arch.readable_executes:
        if mapped == 1 and task.memory.executed(address):
            return
        access = R
    memory = task.memory
    if memory.resolve(address, access, mapped == 3):
        return
    if mapped >= 2 or (mapped and memory.allows(address, access)):
        force(task, SIGBUS, ADRERR, address)
    elif mapped and address < task.arch.address_top:
        force(task, SIGSEGV, ACCERR, address)
    else:  # a commpage is in no area of the kernel's
        force(task, SIGSEGV, MAPERR, address)


def commpage_call(task: "Task") -> None:
    """A function call to an address that stands for a system call (x86 vsyscall): its first arguments are in the
    registers that a system call's are in, and it returns to the address on the stack."""
    cpu, engine = task.cpu, task.arch.engine
    number = task.process.commpage_entries[cpu.get(engine.pc)]
    sp, size = cpu.get(engine.sp), task.arch.model.pointer
    try:
        back = int.from_bytes(task.memory.access.read(sp, size), task.arch.model.endian)
    except (GuestError, MemoryFault):
        force(task, SIGSEGV, MAPERR, sp)
        return
    arguments = cpu.get_many(engine.argument_registers)
    result = task.process.syscalls.dispatch(task, (number, *arguments))
    if result is None or result == -ERESTART:  # not of the calls that are reached like this
        return
    cpu.set(engine.sp, sp + size)
    cpu.set(engine.pc, back)
    cpu.set_result(result if result >= 0 else -task.arch.constants.errno_to_guest(-result))


def breakpoint_here(task: "Task") -> bool:
    """SIGTRAP, when the instruction that the engine refused is one that the kernel takes for a breakpoint."""
    arch = task.arch
    if not arch.breakpoint_words:
        return False
    if not arch.is_breakpoint(word_here(task), arch.instruction_set(task.cpu)):
        return False
    force(task, SIGTRAP, TRAP_BRKPT, task.cpu.get(arch.engine.pc))
    return True


def word_here(task: "Task") -> bytes:
    """The instruction at pc: 4 bytes, 2 at the end of memory, or none."""
    pc = task.cpu.get(task.arch.engine.pc)
    for size in (4, 2):
        try:
            return task.memory.access.read(pc, size)
        except (GuestError, MemoryFault):
            continue
    return b""
