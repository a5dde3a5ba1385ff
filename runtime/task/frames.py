"""Signal frames: build one before a handler runs, read it back at rt_sigreturn.

The layout is the architecture's FrameFacts.
"""

from runtime._core import MemoryFault
from runtime.abi.errors import GuestError
from runtime.abi.linux import SA_ONSTACK, SA_SIGINFO, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK
from runtime.abi.structs import stack_t
from runtime.task.siginfo import SIZE as INFO_SIZE
from runtime.task.siginfo import guest_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.frame_facts import FrameFacts
    from runtime.task.siginfo import SigInfo
    from runtime.task.signals import Action
    from runtime.task.task import Task

LONGEST_WORD = 8  # bytes; wider registers are byte strings


class BadFrame(Exception):
    """rt_sigreturn(2) found no frame it can read: the task gets SIGSEGV."""


def on_alternate_stack(task: "Task", sp: int | None = None) -> bool:
    """Whether the task runs on its alternate signal stack now (kernel on_sig_stack)."""
    base, size, flags = task.alternate_stack
    if flags & SS_AUTODISARM:
        return False
    sp = task.cpu.get(task.arch.engine.sp) if sp is None else sp
    return base < sp <= base + size


def push_frame(
    task: "Task", signo: int, info: "SigInfo", action: "Action", saved_mask: int
) -> bool:
    """Put the frame on the stack and the registers at the handler's entry. False: the stack can't be written."""
    arch, cpu, facts = task.arch, task.cpu, task.arch.frames
    if arch.plain_frame is not None and not action.flags & SA_SIGINFO:
        facts = arch.plain_frame
    sp = cpu.get(arch.engine.sp)
    base, size, flags = task.alternate_stack
    top = sp - facts.red_zone
    inside = on_alternate_stack(task, sp)
    if action.flags & SA_ONSTACK and size and not flags & SS_DISABLE and not inside:
        top = base + size
    frame = (top - facts.size & -facts.align) - _return_slot(task)
    if inside and not base < frame <= base + size:
        return False  # the alternate stack itself has overflowed
    returns_to = arch.signal_return_address(task, action)
    data = _frame(task, facts, frame, info, returns_to)
    stack = stack_t.of(arch.model)
    shown = {"ss_sp": base, "ss_size": size, "ss_flags": _stack_flags(flags, size, inside)}
    data[facts.stack : facts.stack + stack.size] = stack.pack([shown[n] for n in stack.names])
    mask = arch.sigset_encode(saved_mask)
    data[facts.mask : facts.mask + len(mask)] = mask
    try:
        task.memory.access.write(frame, data)
        if facts.below:  # the caller's save area, its first word a back chain
            task.memory.access.put_long(frame - facts.below, sp)
    except (GuestError, MemoryFault):
        return False
    if flags & SS_AUTODISARM and size:
        task.alternate_stack = (0, 0, SS_DISABLE)
    _enter(task, signo, action, facts, frame, returns_to)
    return True


def _frame(
    task: "Task", facts: "FrameFacts", frame: int, info: "SigInfo", returns_to: int
) -> bytearray:
    """The frame that will lie at `frame`, with siginfo and registers; stack and mask are left to be filled in."""
    arch, cpu = task.arch, task.cpu
    ids, order = arch.engine.registers, arch.model.endian
    data = bytearray(facts.size)

    def word(offset: int, width: int, value: int) -> None:
        data[offset : offset + width] = (value & (1 << 8 * width) - 1).to_bytes(width, order)

    if facts.ucontext >= INFO_SIZE or facts.info:  # else a plain frame, without siginfo
        data[facts.info : facts.info + INFO_SIZE] = guest_info(arch, info)
    for name, offset, width in facts.registers:
        if width <= LONGEST_WORD:
            word(offset, width, cpu.get(ids[name]))
        else:
            data[offset : offset + width] = cpu.get_bytes(ids[name], width)
    for offset, width, value in facts.words:
        word(offset, width, value)
    for offset, width, delta in facts.links:
        word(offset, width, frame + delta)
    for offset, value in (
        (facts.fault_offset, info.address),
        (facts.trap_offset, info.trap),
        (facts.return_offset, returns_to),
    ):
        if offset >= 0:
            word(offset, arch.model.long, value)
    return data


def _stack_flags(flags: int, size: int, inside: bool) -> int:
    """uc_stack.ss_flags as sigaltstack(2) would show it, as a signed int."""
    shown = SS_DISABLE if not size else (SS_ONSTACK if inside else 0)
    return shown - (1 << 31) if flags & SS_AUTODISARM else shown


def _enter(
    task: "Task", signo: int, action: "Action", facts: "FrameFacts", frame: int, returns_to: int
) -> None:
    arch, cpu = task.arch, task.cpu
    ids = arch.engine.registers
    values = {"return": returns_to, "handler": action.handler, "zero": 0}
    for name, what in facts.entry_registers:
        cpu.set(ids[name], values[what])
    first, second, third = facts.argument_registers
    cpu.set(ids[first], arch.constants.encode("signal", signo))
    cpu.set(ids[second], frame + facts.info)
    cpu.set(ids[third], frame + facts.ucontext)
    cpu.set(arch.engine.sp, frame - facts.below)
    arch.jump(cpu, action.handler)


def _return_slot(task: "Task") -> int:
    """Bytes at the frame's start that the handler's return instruction pops (x86)."""
    return task.arch.model.long if task.arch.frames.return_offset >= 0 else 0


def pop_frame(task: "Task", *, plain: bool = False) -> None:
    """rt_sigreturn(2), or sigreturn(2) of a plain frame: registers, mask and alternate stack from the frame at sp.

    The trampoline has put sp back to the frame's start (ppc), or the return has moved it past the return address (x86).
    BadFrame when the frame can't be read.
    """
    arch, cpu = task.arch, task.cpu
    facts, ids, order = arch.frames, arch.engine.registers, arch.model.endian
    if plain and arch.plain_frame is not None:
        facts = arch.plain_frame
    frame = cpu.get(arch.engine.sp) - _return_slot(task)
    try:
        data = task.memory.access.read(frame, facts.size)
    except (GuestError, MemoryFault):
        raise BadFrame from None
    for name, offset, width in facts.registers:
        if facts.restored is not None and name not in facts.restored:
            continue
        piece = data[offset : offset + width]
        if width <= LONGEST_WORD:
            value = int.from_bytes(piece, order)
            if (writable := facts.writable.get(name)) is not None:
                value = value & writable | cpu.get(ids[name]) & ~writable
            cpu.set(ids[name], value)
        else:
            cpu.set_bytes(ids[name], piece)
    arch.after_sigreturn(cpu)
    stack = stack_t.of(arch.model)
    at = facts.stack
    saved = dict(zip(stack.names, stack.unpack(data[at : at + stack.size]), strict=True))
    flags = saved["ss_flags"] & 0xFFFFFFFF
    if not on_alternate_stack(task):
        if flags & SS_DISABLE:
            task.alternate_stack = (0, 0, SS_DISABLE)
        elif saved["ss_size"] >= arch.min_signal_stack:
            task.alternate_stack = (saved["ss_sp"], saved["ss_size"], flags & SS_AUTODISARM)
    task.block(arch.sigset_decode(data[facts.mask : facts.mask + arch.sigset_size]))
