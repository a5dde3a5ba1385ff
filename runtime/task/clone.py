"""New tasks and processes: threads on host threads of their own, fork on a raw host clone, vfork by a pipe."""

import _thread

from runtime._core import ERESTART, SYS, Cpu, MemoryFault, fork, quick_syscall, signal_mask
from runtime.abi.errors import EAGAIN, EINVAL, GuestError
from runtime.abi.linux import CLONE_NEWNS, SS_DISABLE
from runtime.task import vfork
from runtime.task.futex import exit_robust_list, wake
from runtime.task.loop import run
from runtime.task.signals import reset_for_exec
from runtime.task.task import Task
from runtime.task.timers import forget_timers

CSIGNAL = 0xFF
CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND = 0x100, 0x200, 0x400, 0x800
CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT = 0x1000, 0x2000, 0x4000, 0x8000
CLONE_THREAD, CLONE_SYSVSEM, CLONE_SETTLS = 0x10000, 0x40000, 0x80000
CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID = 0x100000, 0x200000
CLONE_DETACHED, CLONE_UNTRACED, CLONE_CHILD_SETTID = 0x400000, 0x800000, 0x1000000
CLONE_CLEAR_SIGHAND = 0x1_0000_0000
# What a copied process passes to the host; the rest is done here.
HOST_FLAGS = 0xFF000000 & ~CLONE_CHILD_SETTID | CLONE_NEWNS | CLONE_PARENT | CLONE_PIDFD | CSIGNAL
HOST_FLAGS &= ~0x80000000  # CLONE_IO: harmless either way, and refused by some seccomp filters
THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD

ALL_SIGNALS = (1 << 64) - 1
# bytes of host stack: Python frames of the deepest handler, measured below 200 KiB
THREAD_STACK = 1 << 20


class CloneArguments:
    """struct clone_args, or clone(2)'s registers. stack: the value for sp, 0 the parent's. Guest addresses."""

    __slots__ = ("child_tid", "exit_signal", "flags", "parent_tid", "pidfd", "stack", "tls")

    def __init__(
        self,
        flags: int,
        *,
        exit_signal: int = 0,
        stack: int = 0,
        parent_tid: int = 0,
        child_tid: int = 0,
        tls: int = 0,
        pidfd: int = 0,
    ) -> None:
        self.flags = flags
        self.exit_signal = exit_signal
        self.stack = stack
        self.parent_tid = parent_tid
        self.child_tid = child_tid
        self.tls = tls
        self.pidfd = pidfd


def clone(task: Task, wanted: CloneArguments) -> int:
    """The new task's tid, as clone(2) returns it in the parent; 0 in the child of a fork; -ERESTART, as in the kernel,
    when a signal came first, which the child would have too.

    EINVAL for combinations the kernel refuses (kernel/fork.c copy_process), and for sharing memory between processes
    without CLONE_VFORK, which a copied host process can't do.
    """
    flags = wanted.flags
    if flags & CLONE_THREAD and not flags & CLONE_SIGHAND:
        raise GuestError(EINVAL)
    if flags & CLONE_SIGHAND and not flags & CLONE_VM:
        raise GuestError(EINVAL)
    if flags & CLONE_FS and flags & CLONE_NEWNS:
        raise GuestError(EINVAL)
    if flags & CLONE_THREAD:
        if flags & THREAD_FLAGS != THREAD_FLAGS:
            task.log(f"clone flags {flags:#x}: a thread that shares less than all is not supported")
            raise GuestError(EINVAL)
        return _start_thread(task, wanted)
    if flags & CLONE_VM and not flags & CLONE_VFORK:
        task.log(f"clone flags {flags:#x}: processes that share memory are not supported: EINVAL")
        raise GuestError(EINVAL)
    return _fork(task, wanted)


# --- threads ---------------------------------------------------------------------------------------------------------


def _child_cpu(task: Task, wanted: CloneArguments, cpu: Cpu) -> None:
    """The registers in which a child differs from its parent."""
    facts = task.arch.engine
    if wanted.stack:
        cpu.set(facts.sp, wanted.stack)
    if wanted.flags & CLONE_SETTLS and facts.tls_register >= 0:
        cpu.set(facts.tls_register, wanted.tls + task.arch.tls_offset)
    cpu.set_result(0)


def _start_thread(task: Task, wanted: CloneArguments) -> int:
    process = task.process
    child = Task(process, Cpu(process.engine, task.cpu), 0)
    _child_cpu(task, wanted, child.cpu)
    child.blocked = task.blocked
    child.alternate_stack = (0, 0, SS_DISABLE)
    if wanted.flags & CLONE_CHILD_CLEARTID:
        child.clear_child_tid = wanted.child_tid
    has_tid, may_run = _thread.allocate_lock(), _thread.allocate_lock()
    has_tid.acquire()
    may_run.acquire()
    signal_mask(ALL_SIGNALS)  # the host thread inherits it: nothing is delivered before it is bound
    try:
        _thread.stack_size(THREAD_STACK)
        _thread.start_new_thread(_thread_main, (child, wanted, has_tid, may_run))
    except RuntimeError as error:
        raise GuestError(EAGAIN) from error
    finally:
        signal_mask(task.blocked)
    has_tid.acquire()
    tid = child.tid
    try:
        if wanted.flags & CLONE_PARENT_SETTID:
            task.memory.access.put_u32(wanted.parent_tid, tid)
    finally:
        may_run.release()
    return tid


def _thread_main(
    task: Task,
    wanted: CloneArguments,
    has_tid: "_thread.LockType",
    may_run: "_thread.LockType",
) -> None:
    task.tid = quick_syscall(SYS["gettid"])
    task.cpu.bind()
    with task.process.lock:
        task.process.tasks[task.tid] = task
        task.ending = task.process.closing
    has_tid.release()
    may_run.acquire()
    if wanted.flags & CLONE_CHILD_SETTID:
        _put_tid(task, wanted.child_tid)
    task.block(task.blocked)
    run(task)
    signal_mask(ALL_SIGNALS)
    retire(task)


def _put_tid(task: Task, address: int) -> None:
    """A bad address is the child's own loss, not an error (kernel schedule_tail)."""
    try:
        task.memory.access.put_u32(address, task.tid)
    except (GuestError, MemoryFault):
        return


def retire(task: Task) -> None:
    """What the kernel does for the memory of a task that ends (mm_release), and the end of its entry here."""
    exit_robust_list(task)
    if task.clear_child_tid:
        try:
            task.memory.access.put_u32(task.clear_child_tid, 0)
            wake(task, task.clear_child_tid, 1)
        except (GuestError, MemoryFault):
            pass
    task.process.leave(task)


# --- processes -------------------------------------------------------------------------------------------------------


def _fork(task: Task, wanted: CloneArguments) -> int:
    """fork(2), vfork(2) and clone(2) without CLONE_THREAD."""
    process = task.process
    waits = bool(wanted.flags & CLONE_VFORK)
    shared = waits and bool(wanted.flags & CLONE_VM)
    signal_mask(ALL_SIGNALS)
    if task.cpu.signalled:
        return -ERESTART
    try:
        ends = vfork.pipe() if waits else (-1, -1)
    except GuestError:
        signal_mask(task.blocked)
        raise
    pidfd = bytearray(4) if wanted.flags & CLONE_PIDFD else None
    with process.memory.lock:  # another task's half-done change would stay half done in the child
        host_flags = wanted.flags & HOST_FLAGS & ~CSIGNAL | wanted.exit_signal
        pid = fork(host_flags, pidfd, process.engine)
    if pid == 0:
        _child_of_fork(task, wanted, ends, shared)
        return 0
    if waits:
        quick_syscall(SYS["close"], ends[1])
    if pid > 0:
        if pidfd is not None and (at := wanted.pidfd or wanted.parent_tid):
            task.memory.access.write(at, pidfd if task.arch.elf_data == 1 else pidfd[::-1])
        if wanted.flags & CLONE_PARENT_SETTID and not (pidfd and not wanted.pidfd):
            task.memory.access.put_u32(wanted.parent_tid, pid)
    if waits:
        if pid > 0:
            vfork.await_release(task, ends[0])
        quick_syscall(SYS["close"], ends[0])
    signal_mask(task.blocked)
    return pid


def _child_of_fork(task: Task, wanted: CloneArguments, ends: tuple[int, int], shared: bool) -> None:
    process = task.process
    process.engine.after_fork_child(task.cpu)
    task.tid = process.leader = quick_syscall(SYS["gettid"])
    task.cpu.bind()
    process.lock = _thread.allocate_lock()
    process.tasks = {task.tid: task}
    process.waiters = []
    process.closing = False
    process.memory.after_fork(shared)
    forget_timers(process)
    if process.vfork is not None:  # our parent's own waiting parent is not ours
        quick_syscall(SYS["close"], process.vfork)
        process.vfork = None
    if process.debugger is not None:
        process.debugger.forked()
    if wanted.flags & CLONE_VFORK:
        quick_syscall(SYS["close"], ends[0])
        process.vfork = ends[1]
        if shared:
            process.table.journal_begin()
    if wanted.flags & CLONE_CLEAR_SIGHAND:
        reset_for_exec(process)
    _child_cpu(task, wanted, task.cpu)
    task.robust_list = 0
    task.clear_child_tid = wanted.child_tid if wanted.flags & CLONE_CHILD_CLEARTID else 0
    if wanted.stack and not wanted.flags & CLONE_VFORK:
        task.alternate_stack = (
            (0, 0, SS_DISABLE) if wanted.flags & CLONE_VM else task.alternate_stack
        )
    if wanted.flags & CLONE_CHILD_SETTID:
        _put_tid(task, wanted.child_tid)
    signal_mask(task.blocked)
