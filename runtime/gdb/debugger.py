"""Tasks under a debugger: how they stop, wait and go on. Process.debugger is the one object of this kind, or None.

All stop when one does. Whoever has a reason takes the world (`_take`), kicks the others out of guest code and waits
until they stand; then the debugger is told, and the server resumes them as it is asked to. A task stands in
`Control.run`, which takes the place of Cpu.run in the task's loop: before guest code runs, never inside a system call.
A blocking host call that a kick cuts short has been put back to its beginning by then.

The odd thing: the wait has an end. A task that waits for another process, or for another task that stands, cannot be
cut short; it is left to its call, and stands as soon as it comes back, because it passes Control.run before any guest
code. Until then its registers can be read, and not be written.
"""

import _thread
from time import monotonic

from runtime._core import SYS, Stop, quick_syscall
from runtime.abi.linux import SIGINT, SIGTRAP
from runtime.gdb.memory import Memory
from runtime.gdb.target import Layout
from runtime.task.siginfo import guest_info
from runtime.task.signals import mirror, rewind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.gdb.connection import Connection
    from runtime.task.process import Process
    from runtime.task.siginfo import SigInfo
    from runtime.task.task import Task

RUN, STEP, HOLD = "run", "step", "hold"  # what a task does once the world goes on
PATIENCE = 1.0  # seconds that a stop waits for the other tasks
BY_DEBUGGER = frozenset((SIGTRAP, SIGINT))  # signals that mean nothing without one


class Event:
    """Why the world stands. `kind`: "signal"; "watch" (detail: the address, in hexadecimal); "exec" (detail: the
    program's path); at the end, after which nobody answers, "exit" (number: the status) and "death"."""

    __slots__ = ("detail", "info", "kind", "number", "tid")

    def __init__(
        self, tid: int, number: int, kind: str = "signal", detail: bytes = b"", info: bytes = b""
    ) -> None:
        self.tid = tid
        self.number = number  # generic signal number, or exit status
        self.kind = kind
        self.detail = detail
        self.info = info  # the guest's siginfo_t


class Control:
    """What the debugger wants of one task. Debugger.lock guards all but `stepped`, which is the task's own."""

    __slots__ = ("action", "debugger", "gate", "passed", "signo", "stands", "stepped", "task")

    def __init__(self, debugger: "Debugger", task: "Task") -> None:
        self.debugger = debugger
        self.task = task
        self.action = RUN
        self.stands = False
        self.stepped = False  # it has made its step, in a system call too, and this is not told yet
        self.signo = 0  # to be delivered when it goes on
        self.passed: set[int] = set()  # signals on their way that have been shown already
        self.gate = _thread.allocate_lock()  # released when it may go on
        self.gate.acquire()

    def run(self) -> int:
        """Cpu.run, when the debugger lets the task run."""
        debugger, task, memory = self.debugger, self.task, self.debugger.memory
        while not debugger.gone:
            if task.ending:
                return Stop.KICKED
            if memory.watched and (place := memory.look()) is not None:
                debugger.report(self, Event(task.tid, SIGTRAP, "watch", b"%x" % place))
            elif self.stepped:
                debugger.report(self, Event(task.tid, SIGTRAP), fleeting=True)
            elif debugger.wait(self):
                continue
            elif self.action == STEP or memory.watched:
                stop = task.cpu.step()
                done = stop in (Stop.STEPPED, Stop.SYSCALL, Stop.BREAKPOINT)
                self.stepped = done and self.action == STEP
                if stop != Stop.STEPPED:
                    return stop
            else:
                return task.cpu.run()
        return task.cpu.run()


class Debugger:
    """The debugger of a process. The first group of methods is for its tasks, the second for the server."""

    def __init__(self, process: "Process", connection: "Connection", task: "Task") -> None:
        self.process = process
        self.connection = connection
        self.memory = Memory(process)
        self.layout = Layout(process.arch)
        self.files: set[int] = set()  # descriptors that the debugger has open
        self.quiet: frozenset[int] = frozenset()  # signals to pass on without a stop
        self.describe: Callable[[Event], bytes]  # an event as a stop reply, set by the server
        self.lock = _thread.allocate_lock()
        self.gone = False  # the debugger has left: tasks run as if it had never been
        self.ending = False  # the debugger knows that the process is at its end
        self.halted = True  # the world stands, or is about to
        self.event = Event(task.tid, SIGTRAP)
        self._controls: dict[int, Control] = {}
        self._arrival = _thread.allocate_lock()  # released when a task has come to stand
        self._arrival.acquire()
        process.debugger = self
        mirror(process)

    # For tasks -------------------------------------------------------------------------------------------------------
    def runner(self, task: "Task") -> "Callable[[], int]":
        """What the task's loop calls instead of Cpu.run."""
        with self.lock:
            return self._control(task).run

    def _control(self, task: "Task") -> Control:
        control = self._controls.get(task.tid)
        if control is None or control.task is not task:
            control = self._controls[task.tid] = Control(self, task)
        return control

    def wait(self, control: Control) -> bool:
        """Stand while the world does. False: there was no need to."""
        with self.lock:
            needed = self.halted or control.action == HOLD
            if self.gone or control.task.ending or not needed:
                return False
            self._stand(control)
        self._inject(control, self._released(control))
        return True

    def _released(self, control: Control) -> int:
        """Wait until the task may go on; the signal that the debugger has for it, or 0."""
        control.gate.acquire()
        signo, control.signo = control.signo, 0
        return signo

    def _stand(self, control: Control) -> None:
        """With the lock held."""
        control.stands = True
        if self._arrival.locked():
            self._arrival.release()

    def _take(self, control: Control, event: Event, fleeting: bool = False) -> bool:
        """Make the world stand for this event, as soon as it goes. The task itself counts as standing from here on.
        False, with nothing taken: the debugger has left, the task is to end, or (fleeting) another event came first."""
        while True:
            with self.lock:
                if self.gone or control.task.ending:
                    return False
                if not self.halted:
                    self.halted = True
                    self.event = event
                    self._stand(control)
                    return True
            if self.wait(control) and fleeting:
                return False

    def report(self, control: Control, event: Event, fleeting: bool = False, moved: int = 0) -> int:
        """Tell the debugger, and stand until it lets the task go on: with the signal that is returned, or 0.

        fleeting: an event that means nothing any more when another one came first. The debugger has seen then where the
        task stands, and a breakpoint that is still there when the task goes on is reached once more. moved: bytes by
        which pc is past that breakpoint (GDB takes them off again).
        """
        facts, cpu = control.task.arch.engine, control.task.cpu
        if moved:
            cpu.set(facts.pc, cpu.get(facts.pc) - moved)
        if not self._take(control, event, fleeting):
            return 0 if event.number in BY_DEBUGGER else event.number
        if moved:
            cpu.set(facts.pc, cpu.get(facts.pc) + moved)
        self.settle()
        self.connection.send(self.describe(event))
        return self._released(control)

    def signal(self, task: "Task", info: "SigInfo", interrupted: bool = False) -> bool:
        """Whether the program gets this signal. interrupted: as deliver() has it; the debugger sees the task before the
        system call, which begins anew if it goes on there."""
        with self.lock:
            control = self._control(task)
        if info.signo in control.passed:
            control.passed.discard(info.signo)
            return True
        if info.signo in self.quiet:
            return True
        facts = task.arch.engine
        length = facts.syscall_length[task.arch.instruction_set(task.cpu)]
        if interrupted:
            rewind(task)
        event = Event(task.tid, info.signo, info=guest_info(task.arch, info))
        moved = self.layout.facts.pc_after_break
        ours = info.signo == SIGTRAP and (task.cpu.get(facts.pc) - moved in self.memory.breakpoints)
        signo = self.report(control, event, ours, moved if ours else 0)
        if interrupted:
            task.cpu.set(facts.pc, task.cpu.get(facts.pc) + length)
        if signo == info.signo:
            return True
        self._inject(control, signo)
        return False

    def _inject(self, control: Control, signo: int) -> None:
        """Send the calling task a signal that the debugger has chosen, and need not be shown."""
        if signo:
            control.passed.add(signo)
            tid = control.task.tid
            quick_syscall(SYS["tgkill"], self.process.leader, tid, signo)

    def executed(self, task: "Task") -> None:
        """The task stands at the first instruction of a new program."""
        with self.lock:
            self.memory.forget()
            self.layout = Layout(self.process.arch)
            control = self._control(task)
            control.stepped = False
        path = self.process.view.guest_path(self.process.executable)
        signo = self.report(control, Event(task.tid, SIGTRAP, "exec", path))
        self._inject(control, signo)

    def forked(self) -> None:
        """In the child, which the debugger does not follow. Nobody else is there, whatever the locks say."""
        self.gone = True
        self.process.debugger = None
        self.memory.clear_breakpoints()
        for fd in (self.connection.fd, *self.files):
            self.process.reserved_fds.discard(fd)
            quick_syscall(SYS["close"], fd)
        mirror(self.process)

    def exiting(self, task: "Task", status: int) -> None:
        """The process is about to exit."""
        self._end(task, Event(task.tid, status, "exit"))

    def dying(self, task: "Task", signo: int) -> None:
        """The process is about to die by a signal."""
        self._end(task, Event(task.tid, signo, "death"))

    def _end(self, task: "Task", event: Event) -> None:
        with self.lock:
            control = self._control(task)
        if self._take(control, event):
            self.ending = True
            self.connection.send(self.describe(event))
            self.connection.finish()

    def release_ending(self) -> None:
        """Tasks that are to end do not stand any longer."""
        with self.lock:
            for control in self._controls.values():
                if control.task.ending:
                    self._go(control)

    def _go(self, control: Control) -> None:
        """With the lock held."""
        if control.stands:
            control.stands = False
            control.gate.release()

    # For the server --------------------------------------------------------------------------------------------------
    def controls(self) -> "list[Control]":
        """Of all tasks, the leader first."""
        with self.process.lock:
            tasks = sorted(self.process.tasks.items(), key=lambda item: item[0])
        with self.lock:
            self._controls = {tid: self._control(task) for tid, task in tasks}
            return list(self._controls.values())

    def settle(self) -> None:
        """Wait until all tasks stand that can."""
        deadline = monotonic() + PATIENCE
        for control in self.controls():
            if not control.stands:
                control.task.cpu.kick()
        while True:
            if all(control.stands or control.task.ending for control in self.controls()):
                return
            left = deadline - monotonic()
            if left <= 0 or not self._arrival.acquire(timeout=left):
                return

    def interrupt(self) -> None:
        """Ctrl-C: stop the world, unless that is happening already."""
        controls = self.controls()
        with self.lock:
            if self.halted or not controls:
                return
            self.halted = True
            self.event = Event(controls[0].task.tid, SIGINT)
        self.settle()
        self.connection.send(self.describe(self.event))

    def resume(self, wanted: "Mapping[int, tuple[str, int]]") -> None:
        """tid -> (action, signal to deliver); tasks that are not in there stand on."""
        controls = self.controls()
        self.memory.look_away()
        with self.lock:
            self.halted = False
            for control in controls:
                control.action, control.signo = wanted.get(control.task.tid, (HOLD, 0))
                control.stepped = False
                if control.action != HOLD:
                    self._go(control)

    def leave(self) -> None:
        """The debugger goes, the program runs on as if it had never been there. What was to be delivered is."""
        with self.lock:
            stood, self.halted = self.halted, True
        self.settle()
        self.memory.clear_breakpoints()
        controls = self.controls()
        event = self.event
        signal = stood and event.kind == "signal" and event.number not in BY_DEBUGGER
        with self.lock:
            self.gone = True
            self.process.debugger = None
            mirror(self.process)
            self.halted = False
            for control in controls:
                given = signal and control.task.tid == event.tid
                control.signo = event.number if given else 0
                self._go(control)
