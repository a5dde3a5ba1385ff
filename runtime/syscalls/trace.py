"""--strace: one line for each system call, signal and end, as strace(1) prints them, from the signatures that
decode them.

A line is written in one write(2), so that the lines of several processes do not mix. Error names and signal names are
the generic ones, whatever number the guest sees.
"""

import os

from runtime._core import SYS, quick_syscall
from runtime.abi.constant_names import GENERIC
from runtime.abi.errors import NAMES
from runtime.abi.linux import MAX_ERRNO
from runtime.syscalls.kinds import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.syscalls.registry import Call
    from runtime.task.siginfo import SigInfo
    from runtime.task.task import Task

ADDRESS_RESULTS = frozenset({"brk", "mmap", "mmap2", "mremap", "shmat"})
SHOWN_WORDS = 32  # of an argument vector
SIGNAL_NAMES = {number: name for name, number in GENERIC["signal"].items()}
SI_CODES = {0: "SI_USER", -1: "SI_QUEUE", -2: "SI_TIMER", -6: "SI_TKILL", 0x80: "SI_KERNEL"}
CHILD_CODES = {
    1: "CLD_EXITED",
    2: "CLD_KILLED",
    3: "CLD_DUMPED",
    4: "CLD_TRAPPED",
    5: "CLD_STOPPED",
    6: "CLD_CONTINUED",
}


def signal_name(signo: int) -> str:
    """SIGTERM, or SIGRT_2 for a real-time signal."""
    return SIGNAL_NAMES.get(signo) or (f"SIGRT_{signo - 32}" if signo >= 32 else str(signo))


def shown_result(entry: str, result: "int | None") -> str:
    """What follows the equals sign."""
    if result is None:
        return "?"
    if -MAX_ERRNO <= result < 0:
        name = NAMES.get(-result, "E?")
        return f"-1 {name} ({os.strerror(-result)})"
    return hex(result) if entry in ADDRESS_RESULTS else str(result)


class Trace:
    """The lines of one process. fd: a descriptor that the guest does not use."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def _line(self, task: "Task", text: str) -> None:
        line = f"{task.tid} {text}\n".encode(errors="backslashreplace")
        quick_syscall(SYS["write"], self.fd, line, len(line))

    def call(
        self,
        task: "Task",
        call: "Call | None",
        registers: "tuple[int, ...]",
        result: "int | None",
    ) -> None:
        """A system call that has returned; call: None for one that is not implemented."""
        if call is None:
            row = task.process.syscalls.rows.get(registers[0])
            name = row.name if row else f"syscall_{registers[0]:#x}"
            arguments = ", ".join(map(hex, registers[1:]))
            self._line(task, f"{name}({arguments}) = {shown_result(name, result)}")
            return
        text = call.show(task, registers, -1 if result is None else result)
        self._line(task, f"{text} = {shown_result(call.row.entry, result)}")

    def executing(self, task: "Task", path: bytes, argv: "Sequence[bytes]") -> None:
        """An execve(2) that is past its errors: the program's memory is still the old one's."""
        shown = ", ".join(quote(word) for word in argv[:SHOWN_WORDS])
        more = ", ..." if len(argv) > SHOWN_WORDS else ""
        self._line(task, f"execve({quote(path)}, [{shown}{more}]) = 0")

    def signal(self, task: "Task", signo: int, info: "SigInfo") -> None:
        """A signal for which a handler is about to run."""
        name = signal_name(signo)
        fields = [f"si_signo={name}"]
        codes = CHILD_CODES if info.kind == "child" else SI_CODES
        fields.append(f"si_code={codes.get(info.code, info.code)}")
        if info.kind == "fault":
            fields.append(f"si_addr={info.address:#x}")
        elif info.kind == "timer":
            fields += [f"si_timerid={info.first}", f"si_overrun={info.second}"]
        elif info.kind == "poll":
            fields += [f"si_band={info.second}", f"si_fd={info.first}"]
        else:
            fields += [f"si_pid={info.first}", f"si_uid={info.second}"]
            if info.kind == "child":
                fields.append(f"si_status={info.status}")
        self._line(task, f"--- {name} {{{', '.join(fields)}}} ---")

    def killed(self, task: "Task", signo: int, why: str) -> None:
        """The process dies of a signal."""
        self._line(task, f"+++ killed by {signal_name(signo)}{f' ({why})' if why else ''} +++")

    def exited(self, task: "Task", status: int) -> None:
        """The process ends by itself."""
        self._line(task, f"+++ exited with {status} +++")
