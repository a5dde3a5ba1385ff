"""Signals: dispositions, masks, waiting for them, sending them, alternate stacks, return from handlers."""

from runtime._core import SYS, quick_syscall
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, ENOMEM, EPERM, GuestError
from runtime.abi.linux import SIGKILL, SIGSEGV, SIGSTOP, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK
from runtime.abi.structs import sigaction, stack_t
from runtime.syscalls.kinds import Address, Fd, Int, SigHow, Signal, Size
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import TimespecIn
from runtime.task.frames import BadFrame, on_alternate_stack, pop_frame
from runtime.task.siginfo import put_host_info, to_host_info
from runtime.task.signals import (
    DEFAULT,
    SI_KERNEL,
    SIGNALS,
    Action,
    change_mask,
    force,
    set_action,
)
from runtime.task.vfork import release_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtime.abi.layout import CStruct
    from runtime.task.task import Task

SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2


def check_set_size(task: "Task", size: int) -> None:
    """The sigsetsize argument must be the guest kernel's sizeof(sigset_t)."""
    if size != task.arch.sigset_size:
        raise GuestError(EINVAL)


def get_mask(task: "Task", address: int) -> int:
    """A guest sigset_t as a mask of generic signal numbers."""
    return task.arch.sigset_decode(task.memory.access.read(address, task.arch.sigset_size))


def put_mask(task: "Task", address: int, mask: int) -> None:
    task.memory.access.write(address, task.arch.sigset_encode(mask))


def exchange_action(task: "Task", signo: int, new: Action | None) -> Action:
    """Set a disposition, if one is given; the one before. EINVAL for SIGKILL, SIGSTOP and numbers beyond 64."""
    if not 1 <= signo <= SIGNALS or (new is not None and signo in (SIGKILL, SIGSTOP)):
        raise GuestError(EINVAL)
    with task.process.lock:
        before = task.process.actions.get(signo, DEFAULT)
        if new is not None:
            set_action(task.process, signo, new)
    return before


def swap_action(
    task: "Task",
    signo: int,
    act: int,
    old: int,
    struct: "CStruct",
    decode: "Callable[[Any], int]",
    encode: "Callable[[int], Any]",
) -> int:
    """sigaction in the layout `struct`; decode, encode: its sa_mask from and to generic signal numbers."""
    access, constants = task.memory.access, task.arch.constants
    new = None
    if act:
        fields = struct.mapping(access.read(act, struct.size))
        new = Action(
            fields["sa_handler"],
            constants.decode("sa_flags", fields["sa_flags"] & 0xFFFFFFFF),
            decode(fields["sa_mask"]),
            fields.get("sa_restorer", 0),
        )
    before = exchange_action(task, signo, new)
    if old:
        shown = {
            "sa_handler": before.handler,
            "sa_flags": constants.encode("sa_flags", before.flags),
            "sa_mask": encode(before.mask),
            "sa_restorer": before.restorer,
        }
        values = {name: shown[name] for name in struct.names if name in shown}
        access.write(old, struct.pack(values))
    return 0


@syscall
def rt_sigaction(task: "Task", signo: Signal, act: Address, old: Address, size: Size) -> int:
    check_set_size(task, size)
    arch = task.arch
    struct = sigaction.of(arch.model)
    return swap_action(task, signo, act, old, struct, arch.sigset_decode, arch.sigset_encode)


@syscall
def rt_sigprocmask(task: "Task", how: SigHow, new: Address, old: Address, size: Size) -> int:
    check_set_size(task, size)
    before = task.blocked
    if new:
        mask = get_mask(task, new)
        if how == SIG_BLOCK:
            mask |= before
        elif how == SIG_UNBLOCK:
            mask = before & ~mask
        elif how != SIG_SETMASK:
            raise GuestError(EINVAL)
        if result := change_mask(task, mask):
            return result
    if old:
        put_mask(task, old, before)
    return 0


@syscall
def rt_sigpending(task: "Task", mask: Address, size: Size) -> int:
    if size > task.arch.sigset_size:
        raise GuestError(EINVAL)
    host = bytearray(8)
    result = quick_syscall(SYS["rt_sigpending"], host, 8)
    if result == 0:
        pending = int.from_bytes(host, "little") & task.blocked
        task.memory.access.write(mask, task.arch.sigset_encode(pending)[:size])
    return result


@syscall
def rt_sigsuspend(task: "Task", mask: Address, size: Size) -> int:
    """Always EINTR, after the handler has run under the temporary mask."""
    check_set_size(task, size)
    task.suspend_mask(get_mask(task, mask))
    return wait(SYS["ppoll"], 0, 0, 0, 0, 0)


@syscall
def pause(task: "Task") -> int:
    return wait(SYS["ppoll"], 0, 0, 0, 0, 0)


@syscall
def rt_sigtimedwait(
    task: "Task", mask: Address, info: Address, timeout: TimespecIn, size: Size
) -> int:
    check_set_size(task, size)
    host_mask = get_mask(task, mask).to_bytes(8, "little")
    limit = (
        b"" if timeout is None else b"".join(v.to_bytes(8, "little", signed=True) for v in timeout)
    )
    host_info = bytearray(128)
    result = wait(SYS["rt_sigtimedwait"], host_mask, host_info, limit or 0, 8)
    if result > 0:
        if info:
            put_host_info(task, info, bytes(host_info))
        return task.arch.constants.encode("signal", result)
    # The host's EAGAIN is also what it says when our kick came first; that case is -ERESTART.
    return result


@syscall
def sigaltstack(task: "Task", new: Address, old: Address) -> int:
    """sp, flags, size; EPERM on the stack in use, ENOMEM below MINSIGSTKSZ."""
    struct = stack_t.of(task.arch.model)
    access = task.memory.access
    sp, size, flags = task.alternate_stack
    inside = on_alternate_stack(task)
    values = None
    if new:
        values = dict(zip(struct.names, struct.unpack(access.read(new, struct.size)), strict=True))
    if old:
        shown = SS_DISABLE if not size else flags & SS_AUTODISARM | (SS_ONSTACK if inside else 0)
        now = {"ss_sp": sp, "ss_size": size, "ss_flags": _signed(shown)}
        access.write(old, struct.pack([now[name] for name in struct.names]))
    if values is None:
        return 0
    if inside:
        raise GuestError(EPERM)
    wanted = values["ss_flags"] & 0xFFFFFFFF
    mode = wanted & ~SS_AUTODISARM
    if mode not in (0, SS_ONSTACK, SS_DISABLE):
        raise GuestError(EINVAL)
    if mode == SS_DISABLE:
        task.alternate_stack = (0, 0, wanted)
    else:
        if values["ss_size"] < task.arch.min_signal_stack:
            raise GuestError(ENOMEM)
        task.alternate_stack = (values["ss_sp"], values["ss_size"], wanted)
    return 0


def _signed(value: int) -> int:
    return value - (1 << 32) if value & 0x80000000 else value


@syscall
def rt_sigreturn(task: "Task") -> None:
    try:
        pop_frame(task)
    except BadFrame:
        force(task, SIGSEGV, SI_KERNEL, 0)


@syscall
def sigreturn(task: "Task") -> None:
    """The frame of a handler without SA_SIGINFO, on ABIs that have one (arm)."""
    try:
        pop_frame(task, plain=True)
    except BadFrame:
        force(task, SIGSEGV, SI_KERNEL, 0)


# --- sending ---------------------------------------------------------------------------------------------------------
# A vfork child may be the one that the signal kills, without a word: its parent gets the child's stores before.


@syscall
def kill(task: "Task", pid: Int, signo: Signal) -> int:
    release_parent(task.process, last=False)
    return quick_syscall(SYS["kill"], pid, signo)


@syscall
def tkill(task: "Task", tid: Int, signo: Signal) -> int:
    release_parent(task.process, last=False)
    return quick_syscall(SYS["tkill"], tid, signo)


@syscall
def tgkill(task: "Task", pid: Int, tid: Int, signo: Signal) -> int:
    release_parent(task.process, last=False)
    return quick_syscall(SYS["tgkill"], pid, tid, signo)


@syscall
def rt_sigqueueinfo(task: "Task", pid: Int, signo: Signal, info: Address) -> int:
    return quick_syscall(SYS["rt_sigqueueinfo"], pid, signo, to_host_info(task, info, signo))


@syscall
def rt_tgsigqueueinfo(task: "Task", pid: Int, tid: Int, signo: Signal, info: Address) -> int:
    return quick_syscall(SYS["rt_tgsigqueueinfo"], pid, tid, signo, to_host_info(task, info, signo))


@syscall
def pidfd_send_signal(task: "Task", pidfd: Fd, signo: Signal, info: Address, flags: Int) -> int:
    host = to_host_info(task, info, signo) if info else 0
    return quick_syscall(SYS["pidfd_send_signal"], pidfd, signo, host, flags)
