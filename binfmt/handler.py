"""The handler: the file that the kernel starts for a foreign program.

It has to be one static ELF file. With flag F the kernel opens it at registration, so that it is there in every chroot;
but a dynamic one would look for its libraries in that chroot, and a `#!` script cannot be a handler with F or O at all
(fs/exec.c, exec_binprm: a second interpreter is ENOEXEC when the first has opened the program). Such a handler still
helps who works on Octavo from the source tree.

F pins the inode: after an upgrade the kernel goes on starting the old file. It does not show which, so pinned() lets it
start one: a child asks to be traced, executes an empty program of the target, and stops before the handler's first
instruction; /proc/PID/exe then names the inode. Nothing of the handler runs.
"""

import errno
import os
import signal
import struct
import sys

from binfmt import magic
from binfmt.kernel import BinfmtError
from runtime import arch
from runtime._core import HOST_MACHINE, SYS, quick_syscall

STATIC, DYNAMIC, SCRIPT = "static", "dynamic", "script"

# In this order: where packages put the launcher, where `make launcher` does.
PLACES = (
    "/usr/libexec/octavo/octavo",
    "/usr/lib/octavo/octavo",
    "/usr/local/libexec/octavo/octavo",
)
BUILT = "build/launcher/octavo"

_PT_INTERP = 3
_PTRACE_TRACEME = 0
_AT_EMPTY_PATH = 0x1000


def default() -> str:
    """The handler to register when none is named. BinfmtError when there is none."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = (*PLACES, os.path.join(top, BUILT))
    for place in places:
        if os.access(place, os.X_OK):
            return place
    script = os.path.abspath(sys.argv[0])
    if os.path.basename(script) == "octavo" and os.access(script, os.X_OK):
        return script
    raise BinfmtError(
        f"no launcher found ({', '.join(places)}): make launcher builds it, --interpreter names another"
    )


def kind(path: str) -> str:
    """STATIC, DYNAMIC or SCRIPT. BinfmtError: it cannot be a handler."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
            executable = os.access(path, os.X_OK)
    except OSError as error:
        raise BinfmtError(f"{path}: the handler cannot be read: {error.strerror}") from None
    if not executable:
        raise BinfmtError(
            f"{path}: the handler is not executable (chmod +x; is it mounted noexec?)"
        )
    if head[:2] == b"#!":
        return SCRIPT
    if head[:4] != b"\x7fELF" or len(head) < 52:
        raise BinfmtError(f"{path}: the handler is neither an ELF program nor a #! script")
    order = "<" if head[5] == 1 else ">"
    name = arch.identify(head[4] * 32, head[5], struct.unpack_from(order + "H", head, 18)[0], 0)
    if name is not None and name != HOST_MACHINE:
        raise BinfmtError(
            f"{path}: the handler is a program for {name}, and this is {HOST_MACHINE}"
        )
    return DYNAMIC if _has_interpreter(head, order) else STATIC


def _has_interpreter(head: bytes, order: str) -> bool:
    if head[4] == 2:
        offset, size, count = (
            struct.unpack_from(order + "Q", head, 32)[0],
            *struct.unpack_from(order + "HH", head, 54),
        )
    else:
        offset, size, count = (
            struct.unpack_from(order + "I", head, 28)[0],
            *struct.unpack_from(order + "HH", head, 42),
        )
    for index in range(count):
        place = offset + index * size
        if place + 4 > len(head):
            break
        if struct.unpack_from(order + "I", head, place)[0] == _PT_INTERP:
            return True
    return False


class Pinned:
    """What the kernel starts for a target. `path`: as the kernel names it, " (deleted)" cut off."""

    __slots__ = ("deleted", "identity", "path")

    def __init__(self, path: bytes, deleted: bool, identity: tuple[int, int]) -> None:
        self.path = path
        self.deleted = deleted
        self.identity = identity  # (device, inode)


def pinned(target: str) -> Pinned | None:
    """The file that the kernel starts for the target's programs. None: it starts none, or we are not allowed to see."""
    try:
        fd = os.memfd_create("octavo-probe", 0)  # a handler without O opens it by its number
    except OSError:
        return None
    try:
        os.write(fd, magic.header(arch.load(target)))
        os.fchmod(fd, 0o700)
        child = os.fork()
        if child == 0:
            _become(fd)
        return _look(child)
    finally:
        os.close(fd)


def _become(fd: int) -> None:
    """In the child: execute what is in the descriptor, and stop there. Does not come back."""
    nothing = bytes(8)  # empty argv and environment
    quick_syscall(SYS["ptrace"], _PTRACE_TRACEME, 0, 0, 0)
    quick_syscall(SYS["execveat"], fd, b"\0", nothing, nothing, _AT_EMPTY_PATH)
    os._exit(127)


def _look(child: int) -> Pinned | None:
    found = None
    _, status = os.waitpid(child, 0)
    if os.WIFSTOPPED(status):
        try:
            link = f"/proc/{child}/exe".encode()
            name, state = os.readlink(link), os.stat(link)
            path = name.removesuffix(b" (deleted)")
            found = Pinned(path, path != name, (state.st_dev, state.st_ino))
        except OSError:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return found


def on_disk(path: bytes) -> tuple[int, int] | None:
    """(device, inode) of a file now, or None."""
    try:
        state = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return None
        raise
    return state.st_dev, state.st_ino
