"""A debugger's way in: the GDB remote serial protocol, as qemu-user's -g has it.

One thread of our own, the server, reads packets for as long as the debugger is there. It is the only one that reads,
and answers what it is asked; the one thing that is said unasked, that the program has stopped or ended, is said by the
task that this happened to, and only while the program runs, when the server has nothing to say. So nothing here waits
for two things at once.

    connection.py   packets on a socket
    server.py       what each packet asks for; the server thread
    debugger.py     tasks that stop, wait and go on: Process.debugger, and what the tasks call of it
    target.py       registers, and their description in XML
    memory.py       the program's memory, and breakpoints in it
    files.py        the program's files, as it sees them (GDB's "target:" paths)
    numbers.py      GDB's numbers of signals

A program without -g meets none of this: Process.debugger is None, and nothing is imported. With it, whatever may be
needed is imported at the start, as everywhere (the program may change its root).

What the debugger cannot tell from a program that nobody debugs: breakpoints are instructions in memory, as ptrace's;
and the process has a thread more, so that unshare(2) and setns(2) of a user namespace fail.
"""

import _thread
import os

from runtime._core import SYS, quick_syscall, signal_mask, signal_mask_get
from runtime.abi.linux import O_CLOEXEC, O_PATH, SOL_SOCKET
from runtime.command_error import CommandError
from runtime.gdb.connection import Connection
from runtime.gdb.debugger import Debugger
from runtime.gdb.server import Server
from runtime.task.vfork import own_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process
    from runtime.task.task import Task

AF_UNIX, AF_INET = 1, 2
SOCK_STREAM, SOCK_CLOEXEC = 1, 0o2000000
SO_REUSEADDR = 2
IPPROTO_TCP, TCP_NODELAY = 6, 1
LOOPBACK = bytes((127, 0, 0, 1))
SUN_PATH = 108  # bytes of sockaddr_un's path, with a NUL
PORTS = range(1, 1 << 16)
EINTR = 4
ALL_SIGNALS = (1 << 64) - 1


class Listener:
    """A socket that waits for one debugger. The directory that a Unix socket has its name in is kept open: the program
    may have another root by the time the name is removed."""

    __slots__ = ("_fd", "_folder", "_name")

    def __init__(self, fd: int, path: bytes) -> None:
        self._fd = fd
        folder, _, self._name = path.rpartition(b"/")
        if path[:1] == b"/":
            folder += b"/"
        self._folder = -1
        if path:
            flags = O_PATH | O_CLOEXEC
            self._folder = own_descriptor(os.open(folder or b".", flags))

    def attach(self, process: "Process", task: "Task") -> None:
        """Wait for the debugger, and let it have the process. `task` has not run yet, and stops before it does."""
        connection = Connection(self._accept())
        process.reserved_fds.add(connection.fd)
        server = Server(Debugger(process, connection, task))
        mask = signal_mask_get()
        signal_mask(ALL_SIGNALS)  # the thread inherits it: signals are for the tasks
        _thread.start_new_thread(server.run, ())
        signal_mask(mask)

    def _accept(self) -> int:
        """Wait for the debugger; its descriptor. Nobody else can come after that."""
        fd = -EINTR
        while fd == -EINTR:
            fd = quick_syscall(SYS["accept4"], self._fd, 0, 0, SOCK_CLOEXEC)
        self.close()
        if fd < 0:
            raise CommandError(f"-g: {os.strerror(-fd)}")
        one = (1).to_bytes(4, "little")
        quick_syscall(SYS["setsockopt"], fd, IPPROTO_TCP, TCP_NODELAY, one, len(one))
        return own_descriptor(fd)

    def close(self) -> None:
        """Nobody is waited for any longer."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._name:
            try:
                os.unlink(self._name, dir_fd=self._folder)
            except OSError:
                pass
            os.close(self._folder)


def listen(where: bytes) -> Listener:
    """A number is a TCP port, on the loopback interface alone: who connects can do what the user can. (qemu-user takes
    connections from anywhere.) Anything else is the path of a Unix socket, %d in it the process's id. CommandError."""
    shown = os.fsdecode(where)
    path = b""
    if where.isdigit():
        if int(where) not in PORTS:
            raise CommandError(f"-g {shown}: not a TCP port (1 to {PORTS[-1]})")
        port = int(where).to_bytes(2, "big")
        address = AF_INET.to_bytes(2, "little") + port + LOOPBACK + bytes(8)
    else:
        path = where.replace(b"%d", b"%d" % os.getpid())
        if not path or len(path) >= SUN_PATH:
            raise CommandError(f"-g {shown}: not a TCP port, and not the path of a Unix socket")
        address = AF_UNIX.to_bytes(2, "little") + path + b"\0"
        _remove_socket(path)
    fd = quick_syscall(SYS["socket"], AF_UNIX if path else AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
    one = (1).to_bytes(4, "little")
    quick_syscall(SYS["setsockopt"], fd, SOL_SOCKET, SO_REUSEADDR, one, len(one))
    error = quick_syscall(SYS["bind"], fd, address, len(address))
    error = error or quick_syscall(SYS["listen"], fd, 1)
    if error:
        raise CommandError(f"-g {shown}: {os.strerror(-error)}")
    return Listener(own_descriptor(fd), path)


def _remove_socket(path: bytes) -> None:
    """One that was left behind is in the way of bind(2), as qemu-user has it; a file of another kind stays."""
    try:
        if os.stat(path).st_mode >> 12 == 0o14:
            os.unlink(path)
    except OSError:
        return
