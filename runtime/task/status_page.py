"""A page of the host process in which `octavo ps` reads what the guest is: target, page size, view and command line.

From outside every process of ours looks like the one that `octavo run` started: execve and fork of a guest happen
inside. The page is a private mapping of a memfd that is named so that it can be found in /proc/PID/maps; fork copies
it, and each program that starts writes its own. A reader needs the right to look into the process (ptrace(2)).
"""

from runtime._core import HOST_PAGE, SYS, address, quick_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process

NAME = b"octavo-status"
MAGIC = b"octavo1\0"
MFD_CLOEXEC = 1
PROT_READ_WRITE, MAP_PRIVATE = 3, 2


def make() -> int:
    """Host address of the page, or 0 where the host has none to give."""
    fd = quick_syscall(SYS["memfd_create"], NAME + b"\0", MFD_CLOEXEC)
    if fd < 0:
        return 0
    quick_syscall(SYS["ftruncate"], fd, HOST_PAGE)
    place = quick_syscall(SYS["mmap"], 0, HOST_PAGE, PROT_READ_WRITE, MAP_PRIVATE, fd, 0)
    quick_syscall(SYS["close"], fd)
    return max(place, 0)


def write(process: "Process", pid: int) -> None:
    """The process runs another program now. Text: MAGIC, then target, page size, view and the length of the command
    line, each ended by NUL, then the command line."""
    if not process.status_page:
        return
    fields = (
        process.arch.name.encode(),
        b"%d" % process.pages.guest,
        process.view.kind.encode(),
        b"%d" % len(process.command_line),
        process.command_line,
    )
    text = (MAGIC + b"\0".join(fields))[:HOST_PAGE]
    local = address(text).to_bytes(8, "little") + len(text).to_bytes(8, "little")
    remote = process.status_page.to_bytes(8, "little") + len(text).to_bytes(8, "little")
    quick_syscall(SYS["process_vm_writev"], pid, local, 1, remote, 1, 0)


def read(text: bytes) -> tuple[str, int, str, list[str]] | None:
    """(target, page size in bytes, view, command line) of what write() left; None when it is not that."""
    if not text.startswith(MAGIC):
        return None
    target, page, view, length, rest = text[len(MAGIC) :].split(b"\0", 4)
    words = rest[: int(length)].removesuffix(b"\0").split(b"\0")  # cut where the page ends
    shown = [word.decode(errors="surrogateescape") for word in words]
    return target.decode(), int(page), view.decode(), shown
