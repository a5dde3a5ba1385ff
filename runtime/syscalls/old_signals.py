"""The signal calls from before real-time signals: masks of one long, which hold the first signals only.

kernel/signal.c and, for mips, arch/mips/kernel/signal.c. Signals beyond the long are left alone, except where the
kernel builds a whole set from the long (siginitset): those that it leaves out are then unblocked.
"""

from runtime._core import SYS, quick_syscall
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, GuestError
from runtime.abi.linux import SA_NODEFER, SA_RESETHAND, SIGKILL, SIGSTOP
from runtime.abi.structs import old_sigaction
from runtime.syscalls.kinds import Address, Int, SigHow, Signal, ULong
from runtime.syscalls.registry import syscall
from runtime.syscalls.signals import (
    SIG_BLOCK,
    SIG_SETMASK,
    SIG_UNBLOCK,
    exchange_action,
    get_mask,
    swap_action,
)
from runtime.task.signals import Action, change_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task


def _decode(task: "Task", word: int) -> int:
    """An old_sigset_t as a mask of generic signal numbers."""
    model = task.arch.model
    return task.arch.sigset_decode(
        (word & (1 << model.bits) - 1).to_bytes(model.long, model.endian)
    )


def _encode(task: "Task", mask: int) -> int:
    model = task.arch.model
    return int.from_bytes(task.arch.sigset_encode(mask)[: model.long], model.endian)


def _put(task: "Task", address: int, mask: int) -> None:
    model = task.arch.model
    task.memory.access.write(address, _encode(task, mask).to_bytes(model.long, model.endian))


@syscall
def sigaction(task: "Task", signo: Signal, act: Address, old: Address) -> int:
    """EINVAL as rt_sigaction(2) has it."""
    struct = old_sigaction.of(task.arch.model)
    return swap_action(
        task,
        signo,
        act,
        old,
        struct,
        lambda word: _decode(task, word),
        lambda mask: _encode(task, mask),
    )


@syscall
def signal(task: "Task", signo: Signal, handler: Address) -> int:
    """The handler is for one signal, which is not blocked meanwhile; the result is the one before."""
    return exchange_action(task, signo, Action(handler, SA_RESETHAND | SA_NODEFER)).handler


@syscall
def sigprocmask(task: "Task", how: SigHow, new: Address, old: Address) -> int:
    before = task.blocked
    if new:
        model = task.arch.model
        mask = _decode(task, int.from_bytes(task.memory.access.read(new, model.long), model.endian))
        if how == SIG_BLOCK:
            mask |= before
        elif how == SIG_UNBLOCK:
            mask = before & ~mask
        elif how == SIG_SETMASK:
            mask |= before & ~_decode(task, -1)
        else:
            raise GuestError(EINVAL)
        if result := change_mask(task, mask):
            return result
    if old:
        _put(task, old, before)
    return 0


@syscall
def sigpending(task: "Task", mask: Address) -> int:
    host = bytearray(8)
    result = quick_syscall(SYS["rt_sigpending"], host, 8)
    if result == 0:
        _put(task, mask, int.from_bytes(host, "little") & task.blocked)
    return result


@syscall
def sigsuspend(task: "Task", unused1: Int, unused2: Int, mask: ULong) -> int:
    """The mask itself is the third argument (CONFIG_OLD_SIGSUSPEND3: arm)."""
    task.suspend_mask(_decode(task, mask))
    return wait(SYS["ppoll"], 0, 0, 0, 0, 0)


@syscall
def mips_sigsuspend(task: "Task", mask: Address) -> int:
    """mips: a whole set, by its address."""
    task.suspend_mask(get_mask(task, mask))
    return wait(SYS["ppoll"], 0, 0, 0, 0, 0)


@syscall
def sgetmask(task: "Task") -> int:
    return _encode(task, task.blocked)


@syscall
def ssetmask(task: "Task", mask: Int) -> int:
    before = _encode(task, task.blocked)
    wanted = _decode(task, mask) & ~(1 << SIGKILL - 1 | 1 << SIGSTOP - 1)
    return change_mask(task, wanted) or before
