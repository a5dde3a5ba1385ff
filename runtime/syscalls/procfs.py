"""The names under /proc that describe the guest program, where the host's would describe Octavo.

Emulated, for the program itself under any of its names (/proc/self, /proc/thread-self, /proc/PID,
/proc/PID/task/TID, with a descriptor of such a directory too): exe, maps, smaps, smaps_rollup, pagemap, auxv, cmdline,
environ, stat, statm, status, mem (memory_file.py), and /proc/cpuinfo. All else is the host's file.

Sizes are in guest pages and of guest memory; Octavo's own memory is not shown.

An emulated text is made when it is opened and put in a memory file, which takes the place of the host's descriptor; so
existence and permission are the host's (no /proc mounted: ENOENT), and reading it later gives the same text.

What other processes see of an Octavo process is the host's file, which shows the guest's `comm`, `cmdline` and
`environ` (task/visible.py). Its `exe` is Octavo; to a guest that asks, it is the file that holds the guest's code.

The hot path pays one test, `suspicious`.
"""

import os

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import GuestError
from runtime.abi.linux import AT_FDCWD, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, SIG_DFL, SIG_IGN
from runtime.syscalls.hostflags import host_open_flags
from runtime.syscalls.memory_file import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.task.task import Task

MFD_CLOEXEC = 1
MEMBERS = frozenset(
    (
        b"exe", b"maps", b"smaps", b"smaps_rollup", b"pagemap", b"auxv", b"cmdline", b"environ", b"stat", b"statm",
        b"status", b"mem",
    )
)  # fmt: skip
NAMES = MEMBERS | {b"cpuinfo"}
# /proc/PID/stat, fields counted from 1 as in proc(5), that hold addresses of the program.
VSIZE, RSS, START_CODE, END_CODE, START_STACK, ESP, EIP, START_DATA, END_DATA, START_BRK, ARG_START, ENV_END = (
    23, 24, 26, 27, 28, 29, 30, 45, 46, 47, 48, 51,
)  # fmt: skip
FIRST_AFTER_NAME = 3  # the state


def suspicious(path: bytes) -> bool:
    """Whether a path might name one of our files: below /proc, or relative with one of the names last."""
    return path[:6] == b"/proc/" or (path[:1] != b"/" and path.rpartition(b"/")[2] in NAMES)


def identify(task: "Task", dirfd: int, path: bytes) -> "tuple[bytes, Task] | None":
    """The emulated name a path means, and the task it is asked about; None when it is the host's."""
    words = _words(dirfd, path)
    if len(words) < 2 or words[0] != b"proc" or words[-1] not in NAMES:
        return None
    if words[1:] == [b"cpuinfo"]:
        return b"cpuinfo", task
    subject = _subject(task, words[1:-1])
    return None if subject is None or words[-1] not in MEMBERS else (words[-1], subject)


def _words(dirfd: int, path: bytes) -> "list[bytes]":
    """The names of an absolute path, or of one relative to a descriptor; [] when that has none."""
    if path[:1] != b"/":
        link = b"/proc/self/cwd" if dirfd == AT_FDCWD else b"/proc/self/fd/%d" % dirfd
        try:
            path = os.readlink(link) + b"/" + path
        except OSError:
            return []
    return [word for word in path.split(b"/") if word and word != b"."]


def _subject(task: "Task", words: "list[bytes]") -> "Task | None":
    """The task of this process that `self`, `thread-self`, `PID` or `PID/task/TID` means."""
    tasks = task.process.tasks
    match words:
        case [b"thread-self"]:
            return task
        case [b"self"]:
            return tasks.get(task.process.leader, task)
        case [pid] if pid.isdigit():
            return tasks.get(int(pid))
        case [pid, b"task", tid] if tid.isdigit() and (
            pid == b"self" or (pid.isdigit() and int(pid) in tasks)
        ):
            return tasks.get(int(tid))
    return None


# The program's own file --------------------------------------------------------------------------------------------
def link(task: "Task", dirfd: int, path: bytes) -> "bytes | None":
    """The target of the symbolic link, as the guest names it; None when it is the host's to say."""
    found = followed(task, dirfd, path)
    if found is None or quick(SYS["readlinkat"], dirfd, path, bytearray(1), 1) < 0:
        return None  # the host gives the error
    return task.view.guest_path(found)


def followed(task: "Task", dirfd: int, path: bytes) -> "bytes | None":
    """The host path that following /proc/PID/exe leads to, for calls that follow links; None for other paths."""
    if path.rpartition(b"/")[2] != b"exe":
        return None
    found = identify(task, dirfd, path)
    if found is None:
        return _program_of_other(_words(dirfd, path))
    return task.process.executable or None


def _program_of_other(words: "list[bytes]") -> "bytes | None":
    """The host path of the program that another guest process runs: the file that is mapped where its code starts.
    None when that is not said, and when /proc/PID/exe is no Octavo of ours."""
    match words:
        case [b"proc", pid, b"exe"] if pid.isdigit():
            top = b"/proc/" + pid
        case _:
            return None
    try:
        if os.readlink(top + b"/exe") != os.readlink(b"/proc/self/exe"):
            return None
        fields = _contents(top + b"/stat").rpartition(b") ")[2].split()
        code = int(fields[START_CODE - FIRST_AFTER_NAME])
        for line in _contents(top + b"/maps").splitlines():
            start, _, end = line.partition(b" ")[0].partition(b"-")
            if int(start, 16) <= code < int(end, 16):
                name = line.split(None, 5)[5:]
                return name[0] if name and name[0][:1] == b"/" else None
    except (OSError, ValueError, IndexError):
        pass
    return None


def _contents(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


# Emulated text -----------------------------------------------------------------------------------------------------
def opened(task: "Task", dirfd: int, path: bytes, flags: int) -> "int | None":
    """A descriptor (or -errno) for an emulated name, by generic open flags; None: open the host's file."""
    program = None if flags & (O_DIRECTORY | O_NOFOLLOW) else followed(task, dirfd, path)
    if program is not None:
        return wait(SYS["openat"], AT_FDCWD, program, host_open_flags(flags), 0)
    found = identify(task, dirfd, path)
    if found is None or found[0] == b"exe" or flags & O_DIRECTORY:
        return None
    name, subject = found
    if flags & O_PATH:
        return None
    at, host = task.view.resolve(dirfd, path, True)
    fd = wait(SYS["openat"], at, host, host_open_flags(flags), 0)
    if fd < 0:
        return fd
    if name == b"mem":
        return open_file(task, fd, host_open_flags(flags))
    try:
        memory = os.memfd_create(name.decode(), MFD_CLOEXEC)
        if name == b"pagemap":
            text = _pagemap(subject, memory)
        else:
            text = TEXTS[name](subject, os.read(fd, 1 << 16) if name in FROM_HOST else b"")
    except OSError as error:
        quick(SYS["close"], fd)
        return -(error.errno or 0)
    os.write(memory, text) if text else None
    os.lseek(memory, 0, os.SEEK_SET)
    quick(SYS["dup3"], memory, fd, host_open_flags(flags & O_CLOEXEC))
    quick(SYS["close"], memory)
    return fd


def _maps(subject: "Task", host: bytes) -> bytes:
    return subject.process.memory.maps()


def _smaps(subject: "Task", host: bytes) -> bytes:
    return subject.process.memory.smaps(subject.process.arena.base)


def _smaps_rollup(subject: "Task", host: bytes) -> bytes:
    return subject.process.memory.smaps_rollup(subject.process.arena.base)


def _pagemap(subject: "Task", memory: int) -> bytes:
    """Filled in place: the file is as long as the address space allows, and nearly all of it is a hole."""

    def put(data: bytes, offset: int) -> None:
        os.pwrite(memory, data, offset)

    base, big = subject.process.arena.base, subject.arch.model.big
    os.ftruncate(memory, subject.process.memory.pagemap(base, put, big))
    return b""


def _statm(subject: "Task", host: bytes) -> bytes:
    """proc_pid_statm(5): size resident shared text lib data dt, in pages."""
    memory, image = subject.process.memory, subject.process.image.image
    sizes, page = memory.figures(subject.process.arena.base), memory.page
    text = memory.round(image.text_end) - (image.text_start & -page)
    parts = (sizes.total, sizes.resident, sizes.shared, text, 0, sizes.data + sizes.stack, 0)
    return b"%d %d %d %d %d %d %d\n" % tuple(part // page for part in parts)


def _auxv(subject: "Task", host: bytes) -> bytes:
    return subject.process.image.auxv


def _cmdline(subject: "Task", host: bytes) -> bytes:
    """What lies there now: a program may have written over its arguments (fs/proc/base.c, get_mm_cmdline)."""
    initial = subject.process.image.initial
    return _strings(subject, initial.argv_start, initial.argv_end)


def _environ(subject: "Task", host: bytes) -> bytes:
    initial = subject.process.image.initial
    return _strings(subject, initial.env_start, initial.env_end)


def _strings(subject: "Task", start: int, end: int) -> bytes:
    """Memory of the program; nothing where it has unmapped it."""
    try:
        return subject.memory.access.read(start, end - start)
    except GuestError:
        return b""


def _cpuinfo(subject: "Task", host: bytes) -> bytes:
    """As many processors as the host shows."""
    each, _, once = subject.arch.cpuinfo.partition("\0")
    count = host.count(b"\nprocessor\t") + host.startswith(b"processor\t") or 1
    return ("".join(each.replace("{cpu}", str(cpu)) for cpu in range(count)) + once).encode()


def _stat(subject: "Task", host: bytes) -> bytes:
    """The host's line with the program's addresses in it."""
    head, _, tail = host.rpartition(b") ")
    fields = tail.split()
    memory, loaded = subject.process.memory, subject.process.image
    image, initial = loaded.image, loaded.initial
    sizes = memory.figures(subject.process.arena.base)
    values = {
        VSIZE: sizes.total,
        RSS: sizes.resident // memory.page,
        START_CODE: image.text_start,
        END_CODE: image.text_end,
        START_STACK: memory.start_stack,
        ESP: 0,
        EIP: 0,
        START_DATA: image.data_start,
        END_DATA: image.data_end,
        START_BRK: memory.start_brk,
    }
    strings = (initial.argv_start, initial.argv_end, initial.env_start, initial.env_end)
    values.update(zip(range(ARG_START, ENV_END + 1), strings, strict=True))
    for field, value in values.items():
        index = field - FIRST_AFTER_NAME
        if index < len(fields):
            fields[index] = b"%d" % value
    return head + b") " + b" ".join(fields) + b"\n"


def _status(subject: "Task", host: bytes) -> bytes:
    """The host's text with the program's signal sets and sizes in it."""
    ignored = caught = 0
    for signo, action in subject.process.actions.items():
        if action.handler == SIG_IGN:
            ignored |= 1 << signo - 1
        elif action.handler != SIG_DFL:
            caught |= 1 << signo - 1
    memory, image = subject.process.memory, subject.process.image.image
    sizes = memory.figures(subject.process.arena.base)
    text = memory.round(image.text_end) - (image.text_start & -memory.page)
    kilobytes = {
        b"VmPeak": sizes.total,
        b"VmSize": sizes.total,
        b"VmLck": sizes.locked,
        b"VmHWM": sizes.resident,
        b"VmRSS": sizes.resident,
        b"RssAnon": sizes.resident - sizes.shared,
        b"RssFile": sizes.shared,
        b"RssShmem": 0,  # in RssFile
        b"VmData": sizes.data,
        b"VmStk": sizes.stack,
        b"VmExe": text,
        b"VmLib": max(sizes.code - text, 0),
    }
    values = {
        b"SigBlk": b"%016x" % subject.blocked,
        b"SigIgn": b"%016x" % ignored,
        b"SigCgt": b"%016x" % caught,
        **{name: b"%8d kB" % (size >> 10) for name, size in kilobytes.items()},
    }
    lines = []
    for line in host.splitlines():
        key, colon, _ = line.partition(b":")
        lines.append(key + b":\t" + values[key] if colon and key in values else line)
    return b"\n".join(lines) + b"\n"


TEXTS: "dict[bytes, Callable[[Task, bytes], bytes]]" = {
    b"auxv": _auxv,
    b"cmdline": _cmdline,
    b"cpuinfo": _cpuinfo,
    b"environ": _environ,
    b"maps": _maps,
    b"smaps": _smaps,
    b"smaps_rollup": _smaps_rollup,
    b"stat": _stat,
    b"statm": _statm,
    b"status": _status,
}
FROM_HOST = frozenset((b"stat", b"status", b"cpuinfo"))  # made from the host's text
