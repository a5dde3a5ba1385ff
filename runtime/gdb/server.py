"""What each packet asks for, and the thread that answers.

GDB's manual, "Packets", "General Query Packets", "Stop Reply Packets". A packet that is not in the table is answered
with nothing, which is how the protocol says that it is not supported; what goes wrong is an E with an errno.
"""

import os

from runtime._core import MemoryFault
from runtime.abi.errors import EFAULT, EINVAL, ESRCH
from runtime.abi.linux import SIGKILL
from runtime.gdb.connection import BLOCK, INTERRUPT, escape, numbers, unescape
from runtime.gdb.debugger import HOLD, RUN, STEP, Control, Debugger, Event
from runtime.gdb.files import Files
from runtime.gdb.numbers import from_gdb, to_gdb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PACKET = BLOCK - 16  # bytes of a packet's contents
WATCHED = 1 << 12  # bytes that one watchpoint can be on
OK, UNSUPPORTED = b"OK", b""
ANY, ALL = 0, -1  # thread ids that mean no one in particular
FEATURES = (
    "QStartNoAckMode+;QPassSignals+;multiprocess+;vContSupported+;qXfer:features:read+;qXfer:auxv:read+;"
    "qXfer:exec-file:read+;qXfer:siginfo:read+"
)


class Refused(Exception):
    """A packet that cannot be done. args == (errno,)."""


class Server:
    """One debugger's session."""

    def __init__(self, debugger: Debugger) -> None:
        self.debugger = debugger
        self.process = debugger.process
        self.connection = debugger.connection
        self.memory = debugger.memory
        self.files = Files(debugger)
        self.pid = debugger.process.leader
        self.selected = ANY  # thread that registers and memory are asked of (Hg)
        self.resumed = ALL  # thread that the old way of resuming is about (Hc)
        self.multiprocess = False  # thread ids are written pPID.TID
        self.sees_exec = False
        self.over = False
        debugger.describe = self.stop_reply
        self.packets: tuple[tuple[bytes, Callable[[bytes], bytes | None]], ...] = (
            (b"qSupported", self.supported),
            (b"QStartNoAckMode", self.start_without_acks),
            (b"?", self.why),
            (b"vCont?", lambda rest: b"vCont;c;C;s;S"),
            (b"vCont", self.resume),
            (b"vKill", self.kill_and_say),
            (b"vFile", self.file),
            (b"qXfer:", self.transfer),
            (b"qAttached", lambda rest: b"0"),
            (b"qC", self.current),
            (b"qfThreadInfo", self.threads),
            (b"qsThreadInfo", lambda rest: b"l"),
            (b"qThreadExtraInfo,", self.thread_name),
            (b"QPassSignals:", self.pass_signals),
            (b"H", self.select),
            (b"T", self.alive),
            (b"g", lambda rest: self.debugger.layout.read_all(self.control().task.cpu)),
            (b"G", self.write_registers),
            (b"p", self.read_register),
            (b"P", self.write_register),
            (b"m", self.read_memory),
            (b"M", self.write_memory),
            (b"X", self.write_memory),
            (b"Z0,", self.set_breakpoint),
            (b"z0,", self.clear_breakpoint),
            (b"Z2,", self.set_watchpoint),
            (b"z2,", self.clear_watchpoint),
            (b"c", self.resume_one),
            (b"C", self.resume_one),
            (b"s", self.resume_one),
            (b"S", self.resume_one),
            (b"D", self.detach),
            (b"k", self.kill),
        )

    # The thread ------------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Answer until the debugger leaves, or is gone."""
        line = "an error in the debugger's port: the debugger is let go, the program runs on"
        try:
            while not self.over:
                packet = self.connection.receive()
                if packet is None:
                    line = "the debugger has gone, the program runs on"
                    break
                if packet == INTERRUPT:
                    self.debugger.interrupt()
                    continue
                reply = self.answer(packet)
                if reply is not None:
                    self.connection.send(reply)
        finally:
            if not self.debugger.ending:
                if not self.over:
                    self.process.log(line)
                self.files.close_all()
                self.debugger.leave()
                self.process.reserved_fds.discard(self.connection.fd)
            self.connection.close()

    def answer(self, packet: bytes) -> bytes | None:
        """The reply, escaped where it has to be; None when it comes later."""
        for start, do in self.packets:
            if packet.startswith(start):
                try:
                    return do(packet[len(start) :] if start not in WHOLE else packet)
                except Refused as refused:
                    return b"E%02x" % refused.args[0]
                except MemoryFault:
                    return b"E%02x" % EFAULT
                except (ValueError, IndexError, OverflowError):
                    return b"E%02x" % EINVAL
        return UNSUPPORTED

    # What is here ----------------------------------------------------------------------------------------------------
    def supported(self, rest: bytes) -> bytes:
        """qSupported: what GDB can do, and what can be done here."""
        theirs = rest.lstrip(b":").split(b";")
        self.multiprocess = b"multiprocess+" in theirs
        self.sees_exec = b"exec-events+" in theirs
        more = ";exec-events+" if self.sees_exec else ""
        return f"PacketSize={PACKET:x};{FEATURES}{more}".encode()

    def start_without_acks(self, rest: bytes) -> bytes:
        self.connection.acknowledges = False
        return OK

    def transfer(self, rest: bytes) -> bytes:
        """qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH."""
        kind, operation, annex, place = rest.split(b":")
        if operation != b"read":
            return UNSUPPORTED
        offset, length = numbers(place)
        if kind == b"features":
            if annex != b"target.xml":
                return b"E00"
            data = self.debugger.layout.description()
        elif kind == b"auxv":
            data = self.process.image.auxv
        elif kind == b"exec-file":
            data = self.process.view.guest_path(self.process.executable)
        elif kind == b"siginfo":
            data = self.debugger.event.info
        else:
            return UNSUPPORTED
        piece = data[offset : offset + min(length, PACKET // 2)]
        return (b"m" if offset + len(piece) < len(data) else b"l") + escape(piece)

    def file(self, packet: bytes) -> bytes:
        return self.files.answer(unescape(packet), self.control(ANY).task)

    # Threads ---------------------------------------------------------------------------------------------------------
    def name(self, tid: int) -> bytes:
        """A thread id as GDB wants it."""
        return b"p%x.%x" % (self.pid, tid) if self.multiprocess else b"%x" % tid

    def parse(self, name: bytes) -> int:
        """The tid of a thread id, ANY or ALL. ValueError."""
        if name[:1] == b"p":
            _, dot, name = name.partition(b".")
            if not dot:
                return ALL
        return int(name, 16)

    def control(self, tid: int | None = None) -> Control:
        """A task, by default the selected one; for ANY that which has stopped. Refused(ESRCH)."""
        wanted = self.selected if tid is None else tid
        if wanted in (ANY, ALL):
            wanted = self.debugger.event.tid
        controls = self.debugger.controls()
        for control in controls:
            if control.task.tid == wanted:
                return control
        if tid in (ANY, ALL) and controls:
            return controls[0]
        raise Refused(ESRCH)

    def standing(self) -> Control:
        """The selected task, if its registers can be written now. Refused(ESRCH)."""
        control = self.control()
        if not control.stands:
            raise Refused(ESRCH)
        return control

    def current(self, rest: bytes) -> bytes:
        """qC; qCRC, say, is another one."""
        return UNSUPPORTED if rest else b"QC" + self.name(self.control(ANY).task.tid)

    def threads(self, rest: bytes) -> bytes:
        return b"m" + b",".join(self.name(each.task.tid) for each in self.debugger.controls())

    def thread_name(self, rest: bytes) -> bytes:
        """The task's comm, in hexadecimal."""
        try:
            fd = os.open(b"/proc/self/task/%d/comm" % self.parse(rest), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return UNSUPPORTED
        try:
            return os.read(fd, 64).strip().hex().encode()
        finally:
            os.close(fd)

    def select(self, rest: bytes) -> bytes:
        """Hg and Hc."""
        tid = self.parse(rest[1:])
        if tid > 0:
            self.control(tid)
        if rest[:1] == b"g":
            self.selected = tid
        elif rest[:1] == b"c":
            self.resumed = tid
        else:
            return UNSUPPORTED
        return OK

    def alive(self, rest: bytes) -> bytes:
        self.control(self.parse(rest))
        return OK

    # Registers and memory --------------------------------------------------------------------------------------------
    def read_register(self, rest: bytes) -> bytes:
        (number,) = numbers(rest)
        return self.debugger.layout.read(self.control().task.cpu, number)

    def write_register(self, rest: bytes) -> bytes:
        place, _, digits = rest.partition(b"=")
        (number,) = numbers(place)
        data = bytes.fromhex(digits.decode())
        self.debugger.layout.write(self.standing().task.cpu, number, data)
        return OK

    def write_registers(self, rest: bytes) -> bytes:
        self.debugger.layout.write_all(self.standing().task.cpu, rest)
        return OK

    def read_memory(self, rest: bytes) -> bytes:
        address, length = numbers(rest)
        return self.memory.read(address, min(length, PACKET // 2)).hex().encode()

    def write_memory(self, packet: bytes) -> bytes:
        """M with hexadecimal digits, X with bytes."""
        place, _, contents = packet[1:].partition(b":")
        address, length = numbers(place)
        binary = packet[:1] == b"X"
        data = unescape(contents) if binary else bytes.fromhex(contents.decode())
        if len(data) != length:
            raise Refused(EINVAL)
        self.memory.write(address, data)
        return OK

    def set_breakpoint(self, rest: bytes) -> bytes:
        address, kind = numbers(rest.partition(b";")[0])
        instruction = self.debugger.layout.facts.breakpoints.get(kind)
        if instruction is None:
            raise Refused(EINVAL)
        self.memory.set_breakpoint(address, instruction)
        return OK

    def clear_breakpoint(self, rest: bytes) -> bytes:
        self.memory.clear_breakpoint(numbers(rest)[0])
        return OK

    def set_watchpoint(self, rest: bytes) -> bytes:
        address, length = numbers(rest.partition(b";")[0])
        if length > WATCHED:
            raise Refused(EINVAL)
        self.memory.watch(address, length)
        return OK

    def clear_watchpoint(self, rest: bytes) -> bytes:
        address, length = numbers(rest)
        self.memory.watched.pop((address, length), None)
        return OK

    # Stopping and going on -------------------------------------------------------------------------------------------
    def why(self, rest: bytes) -> bytes:
        """The question with which every session begins."""
        self.debugger.settle()
        return self.stop_reply(self.debugger.event)

    def stop_reply(self, event: Event) -> bytes:
        """An event as GDB is told of it."""
        process = b";process:%x" % self.pid if self.multiprocess else b""
        if event.kind == "exit":
            return b"W%02x%b" % (event.number & 0xFF, process)
        if event.kind == "death":
            return b"X%02x%b" % (to_gdb(event.number), process)
        self.selected = self.resumed = event.tid
        what = b""
        if event.kind == "exec" and self.sees_exec:
            what = b"exec:%b;" % event.detail.hex().encode()
        elif event.kind == "watch":
            what = b"watch:%b;" % event.detail
        return b"T%02x%bthread:%b;" % (to_gdb(event.number), what, self.name(event.tid))

    def pass_signals(self, rest: bytes) -> bytes:
        self.debugger.quiet = frozenset(
            from_gdb(int(word, 16)) for word in rest.split(b";") if word
        )
        return OK

    def resume(self, rest: bytes) -> None:
        """vCont;ACTION[:THREAD];...: for each thread, the first that fits. ValueError, Refused."""
        actions = []
        for word in rest.split(b";")[1:]:
            action, _, thread = word.partition(b":")
            actions.append((_action(action), self.parse(thread) if thread else ALL))
        if not actions:
            raise Refused(EINVAL)
        wanted = {}
        for control in self.debugger.controls():
            tid = control.task.tid
            fits = [action for action, whom in actions if whom in (ANY, ALL, tid)]
            wanted[tid] = fits[0] if fits else (HOLD, 0)
        self.debugger.resume(wanted)

    def resume_one(self, packet: bytes) -> None:
        """c, s, Csig, Ssig, of before vCont: the signal and the step are the selected thread's."""
        action, signo = _action(packet.partition(b";")[0])
        chosen = self.control(self.resumed).task.tid
        wanted = {control.task.tid: (RUN, 0) for control in self.debugger.controls()}
        wanted[chosen] = (action, signo)
        self.debugger.resume(wanted)

    # The end ---------------------------------------------------------------------------------------------------------
    def detach(self, rest: bytes) -> bytes:
        self.over = True
        return OK

    def kill_and_say(self, rest: bytes) -> None:
        self.connection.send(OK)
        self.kill(rest)

    def kill(self, rest: bytes) -> None:
        os.kill(self.pid, SIGKILL)


# packets whose first letter says something that their function wants to know
WHOLE = frozenset((b"vFile", b"M", b"X", b"c", b"C", b"s", b"S"))


def _action(word: bytes) -> tuple[str, int]:
    """(what to do, signal to deliver) of one action. ValueError."""
    letter, number = word[:1], word[1:]
    actions = {b"c": RUN, b"C": RUN, b"s": STEP, b"S": STEP}
    if letter not in actions or bool(number) != letter.isupper():
        raise ValueError
    return actions[letter], from_gdb(int(number, 16)) if number else 0
