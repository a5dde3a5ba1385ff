"""Signals: dispositions, delivery into a guest frame, synchronous faults, death.

The host kernel does the queueing: dispositions SIG_DFL and SIG_IGN and the blocked mask are the host's own, so only
caught signals come here. The core records one at a time and holds back the rest until `Task.block` sets a mask again.
All signal numbers here are generic; the guest's numbering appears in the frame and at the system calls.
"""

from runtime._core import ERESTART, KICK_SIGNAL, SYS, quick_syscall, signal_action, signal_mask
from runtime.abi.errors import EINTR
from runtime.abi.linux import (
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_NODEFER,
    SA_RESETHAND,
    SA_RESTART,
    SIG_DFL,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGSEGV,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGWINCH,
)
from runtime.task.frames import push_frame
from runtime.task.futex import exit_robust_lists
from runtime.task.siginfo import fault_info, host_info
from runtime.task.vfork import release_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from runtime.task.process import Process
    from runtime.task.siginfo import SigInfo
    from runtime.task.task import Task

SIGNALS = 64


IGNORED_BY_DEFAULT = frozenset((SIGCHLD, SIGCONT, SIGURG, SIGWINCH))
STOPS_BY_DEFAULT = frozenset((SIGTSTP, SIGTTIN, SIGTTOU))
_HOST_DEFAULT, _HOST_IGNORE, _HOST_RECORD, _HOST_DEATH = 0, 1, 2, 3  # runtime._core.signal_action

MAPERR, ACCERR, ADRERR, ILLOPN, SI_KERNEL = 1, 2, 2, 2, 0x80  # si_code, asm-generic/siginfo.h


class Action:
    """struct sigaction of one signal: handler (guest address, SIG_DFL, SIG_IGN), SA_ flags, mask, restorer address."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(self, handler: int, flags: int = 0, mask: int = 0, restorer: int = 0) -> None:
        self.handler = handler
        self.flags = flags
        self.mask = mask
        self.restorer = restorer


DEFAULT = Action(SIG_DFL)


def bit(signo: int) -> int:
    """A signal's bit in a mask."""
    return 1 << signo - 1


def set_action(process: "Process", signo: int, action: Action) -> None:
    """Set a disposition and mirror it to the host."""
    process.actions[signo] = action
    _mirror(process, signo, action)


def mirror(process: "Process") -> None:
    """All dispositions, when a debugger has come or gone."""
    for signo in range(1, SIGNALS + 1):
        _mirror(process, signo, process.actions.get(signo, DEFAULT))


def _mirror(process: "Process", signo: int, action: Action) -> None:
    kind = {SIG_DFL: _HOST_DEFAULT, SIG_IGN: _HOST_IGNORE}.get(action.handler, _HOST_RECORD)
    if process.debugger and kind == _HOST_DEFAULT and signo not in IGNORED_BY_DEFAULT:
        kind = _HOST_RECORD  # the debugger sees it before the program ends or stops by it
    signal_action(signo, kind, action.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT))


def reset_for_exec(process: "Process") -> None:
    """execve(2): caught signals go back to default, ignored ones stay ignored."""
    for signo, action in process.actions.items():
        if action.handler not in (SIG_DFL, SIG_IGN):
            _mirror(process, signo, DEFAULT)
    process.actions = {
        s: Action(SIG_IGN) for s, a in process.actions.items() if a.handler == SIG_IGN
    }


def change_mask(task: "Task", mask: int) -> int:
    """For the calls that set the mask: 0. -ERESTART, and the mask as before, when a signal that it blocks came first:
    the kernel would have delivered it by now, and no other thread could take it from this one afterwards."""
    before = task.blocked
    task.block(mask)
    came = task.cpu.signalled
    if came and bit(came) & task.blocked:
        task.block(before)
        return -ERESTART
    return 0


def deliver(task: "Task", interrupted: bool = False) -> bool:
    """Turn the recorded signal into a handler frame. interrupted: a system call gave -ERESTART and its registers still
    stand as at its start, pc after it. True when a handler was set up; then that call is restarted or fails with EINTR
    as SA_RESTART says. False: nothing to deliver, and the caller restarts the call."""
    entered = task.cpu.entered
    recorded = task.cpu.take_signal()
    if recorded is None:
        return False
    signo, info = recorded
    mask = task.blocked if task.restore_mask is None else task.restore_mask
    if bit(signo) & task.blocked:  # arrived under a mask that is gone: back to the kernel's queue
        quick_syscall(SYS["rt_tgsigqueueinfo"], task.process.leader, task.tid, signo, info)
        signal_mask(task.blocked)
        return False
    debugger = task.process.debugger
    if debugger is not None and not debugger.signal(task, host_info(task, info), interrupted):
        signal_mask(task.blocked)
        return False
    action = task.process.actions.get(signo, DEFAULT)
    if action.handler == SIG_IGN or (action.handler == SIG_DFL and signo in IGNORED_BY_DEFAULT):
        signal_mask(task.blocked)
        return False
    if action.handler == SIG_DFL:
        if signo in STOPS_BY_DEFAULT:
            _stop_by_default(task, signo)
            return False
        die(task, signo)
    if interrupted:
        # A signal that came before the call began is handled first; then the call is made, as if it had come a little
        # earlier. close(2), say, never fails with EINTR. Only under a temporary mask has the signal ended the call.
        if task.restore_mask is None and (action.flags & SA_RESTART or not entered):
            rewind(task)
        else:
            task.cpu.set_result(-task.arch.constants.errno_to_guest(EINTR))
    _enter_handler(task, signo, host_info(task, info), action, mask)
    return True


def force(task: "Task", signo: int, code: int, address: int, trap: int = 0) -> None:
    """A synchronous signal of the task's own making (kernel force_sig_fault): can be neither blocked nor ignored."""
    info = fault_info(signo, code, address, trap)
    debugger = task.process.debugger
    if debugger is not None and not debugger.signal(task, info):
        return
    action = task.process.actions.get(signo, DEFAULT)
    if action.handler in (SIG_DFL, SIG_IGN) or bit(signo) & task.blocked:
        die(
            task,
            signo,
            f"si_code {code} at {address:#x}, pc {task.cpu.get(task.arch.engine.pc):#x}",
        )
    _enter_handler(task, signo, info, action, task.blocked)


def _enter_handler(
    task: "Task", signo: int, info: "SigInfo", action: Action, saved_mask: int
) -> None:
    if task.process.trace is not None:
        task.process.trace.signal(task, signo, info)
    if action.flags & SA_RESETHAND:
        set_action(task.process, signo, DEFAULT)
    if not push_frame(task, signo, info, action, saved_mask):
        # No room for the frame: SIGSEGV, and by default action if it was SIGSEGV that did not fit.
        if signo == SIGSEGV:
            set_action(task.process, SIGSEGV, DEFAULT)
        task.restore_mask = None
        task.block(saved_mask)
        force(task, SIGSEGV, SI_KERNEL, 0)
        return
    blocked = task.blocked | action.mask
    if not action.flags & SA_NODEFER:
        blocked |= bit(signo)
    task.restore_mask = None
    task.block(blocked)


def _stop_by_default(task: "Task", signo: int) -> None:
    """A signal was recorded whose default action, which it has now, is to stop the process: let the host do it."""
    signal_action(signo, _HOST_DEFAULT)
    quick_syscall(SYS["tgkill"], task.process.leader, task.tid, signo)
    signal_mask(task.blocked & ~bit(signo))  # here it stops, until SIGCONT
    _mirror(task.process, signo, DEFAULT)
    signal_mask(task.blocked)


def rewind(task: "Task") -> None:
    """Put pc back on the system call instruction that was just executed."""
    engine = task.arch.engine
    lengths = engine.syscall_length
    task.cpu.set(engine.pc, task.cpu.get(engine.pc) - lengths[task.arch.instruction_set(task.cpu)])


def die(task: "Task", signo: int, why: str = "") -> "NoReturn":
    """End the whole process by this signal, on the host too, so that whoever waits sees the same death."""
    if task.process.debugger is not None:
        task.process.debugger.dying(task, signo)
    if task.process.trace is not None:
        task.process.trace.killed(task, signo, why)
    exit_robust_lists(task.process)
    release_parent(task.process)
    signal_action(signo, _HOST_DEATH)
    signal_mask(~bit(signo) & (1 << SIGNALS) - 1)
    quick_syscall(SYS["tgkill"], task.process.leader, task.tid, signo)
    # A signal whose default is not death (a forced SIGCHLD?) must not let the program run on.
    quick_syscall(SYS["exit_group"], 128 + signo)
    raise SystemExit  # not reached


def inherit(task: "Task", mask: int) -> None:
    """The blocked mask and the ignored signals that this process was started with."""
    for signo in range(1, SIGNALS + 1):
        if signal_ignored(signo):
            task.process.actions[signo] = Action(SIG_IGN)
    task.block(mask)


def signal_ignored(signo: int) -> bool:
    """Whether the host's disposition is SIG_IGN."""
    action = bytearray(32)  # the host kernel's struct sigaction, handler first
    if signo == KICK_SIGNAL or quick_syscall(SYS["rt_sigaction"], signo, 0, action, 8) < 0:
        return False
    return int.from_bytes(action[:8], "little") == SIG_IGN
