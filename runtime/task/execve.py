"""execve(2), in the running process: no new interpreter, no new engine, translations kept (where builds gain most).

Two halves. `prepare` reads and judges, and fails with the errno the guest is told. `install` is past the point of no
return: what fails there ends the process, as in the kernel. The first program of a process takes the same two steps.
"""

import os

from runtime._core import SYS, address, open_fds, quick_syscall
from runtime.abi.errors import EINVAL, GuestError
from runtime.abi.linux import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    F_GETFD,
    FD_CLOEXEC,
    S_ISGID,
    S_ISUID,
    S_IXGRP,
    SIGSEGV,
    SS_DISABLE,
)
from runtime.arch import load as load_architecture
from runtime.arch.architecture import ProcessorError
from runtime.image import ImageError
from runtime.loader import Credentials, check, load, plan
from runtime.policy import PageSizeError
from runtime.task import status_page
from runtime.task.configured import (
    adopt,
    choose_pages,
    choose_processor,
    environment_of,
    host_personality,
    seals_page_zero,
    stack_of,
    target_of,
)
from runtime.task.futex import exit_robust_list
from runtime.task.limits import RLIMIT_STACK, give_to_host, soft_limit, take_from_host
from runtime.task.loop import TaskEnd
from runtime.task.machine import fit
from runtime.task.signals import die, reset_for_exec
from runtime.task.timers import delete_timers
from runtime.task.vfork import release_parent
from runtime.task.visible import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from runtime.arch.architecture import Architecture
    from runtime.config import Target
    from runtime.image import Image
    from runtime.loader import Plan
    from runtime.policy import PageSizes
    from runtime.task.process import Process
    from runtime.task.task import Task

PR_SET_NAME = 15
COMM = 15  # bytes of a task's name


class Program:
    """A program that can be run: what the loader found, and the machine it needs."""

    __slots__ = ("arch", "native", "pages", "plan", "target")

    arch: "Architecture"  # these three are missing when `native`: no machine of ours runs it
    pages: "PageSizes"
    target: "Target"  # its configuration

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan
        self.native = True

    def needs(self, arch: "Architecture", pages: "PageSizes", target: "Target") -> None:
        """It is a foreign program that wants such a machine."""
        self.native = False
        self.arch = arch
        self.pages = pages
        self.target = target


def prepare(
    process: "Process",
    path: bytes,
    argv: "Sequence[bytes]",
    envp: "Sequence[bytes]",
    *,
    dirfd: int = AT_FDCWD,
    flags: int = 0,
    opened: int | None = None,
) -> Program:
    """Find out what running `path` means. ImageError, PageSizeError, ProcessorError: it can't be run, nothing has
    changed.

    `opened`: binfmt_misc has opened the program already; `path` is its name.
    """
    fd = dirfd if flags & AT_EMPTY_PATH and not path else None
    name = b"/dev/fd/%d" % dirfd if fd is not None else path
    close_on_exec = fd is not None and quick_syscall(SYS["fcntl"], fd, F_GETFD) & FD_CLOEXEC
    if opened is not None:
        fd = opened
    if fd is None and dirfd != AT_FDCWD and path[:1] != b"/":
        name = b"/dev/fd/%d/%s" % (dirfd, path)  # what the kernel calls it (do_execveat_common)
    found = plan(
        process.view,
        path if fd is None else name,
        argv,
        envp,
        fd=fd,
        dirfd=dirfd if fd is None else AT_FDCWD,
        follow=not flags & AT_SYMLINK_NOFOLLOW,
        inaccessible=bool(close_on_exec),
    )
    if fd is None:
        found.execfn = name
    program = Program(found)
    try:
        if runs_natively(process, found.image):
            return program
        arch = load_architecture(found.image.arch)
        target = target_of(process, found, arch.name)
        arch = choose_processor(process, arch, target)
        pages = choose_pages(process, arch, found, target)
        found.envp = environment_of(process, target, found.envp)
        stack = stack_of(process, target)
        check(found, arch, pages, soft_limit(process, RLIMIT_STACK) if stack is None else stack)
        program.needs(arch, pages, target)
    except BaseException:
        found.close()
        raise
    return program


def runs_natively(process: "Process", image: "Image") -> bool:
    """The host's own kind of program is emulated only when the user asked for it by name; then its children are too."""
    return (image.native and process.emulates not in ("", image.arch)) or not image.arch


def execute(
    task: "Task", dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int
) -> None:
    """Replace the program. Returns with the registers at the new program's entry. GuestError: nothing has changed."""
    process = task.process
    if flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
        raise GuestError(EINVAL)
    try:
        program = prepare(process, path, argv, envp, dirfd=dirfd, flags=flags)
    except ImageError as error:
        raise GuestError(error.errno) from error
    except (PageSizeError, ProcessorError) as error:
        task.log(str(error))
        raise GuestError(EINVAL) from error
    if program.native:
        execve_native(process, program)
    if process.settings.by_kernel and gains_rights(program):
        execve_registered(process, program)
    if process.trace is not None:
        process.trace.executing(task, path, argv)
    process.tell_others(task)
    if task.tid != process.leader:
        # The program goes on under the leader's tid, so on its host thread (leader.py).
        process.successor = (task, program)
        raise TaskEnd
    process.await_others(task)
    install(process, task, program)


def install(process: "Process", task: "Task", program: Program) -> None:
    """Past the point of no return: the old program is gone, the new one in its place."""
    exit_robust_list(task)
    task.robust_list = task.clear_child_tid = 0
    task.alternate_stack = (0, 0, SS_DISABLE)
    reset_for_exec(process)
    delete_timers(process)
    release_parent(process)
    _close_on_exec(process, program)
    adopt(process, program.target, program.plan.image)
    fit(process, task, program.arch, program.pages)
    start(process, task, program)
    if process.debugger is not None:
        process.debugger.executed(task)


def start(
    process: "Process",
    task: "Task",
    program: Program,
    *,
    secure: bool = False,
    random: bytes | None = None,
) -> None:
    """Load into the empty address space and set the registers to the entry. `secure`: the kernel says that privileges
    were gained; `random`: see load()."""
    found = program.plan
    try:
        loaded = load(
            found,
            process.memory,
            process.arch,
            process.pages,
            credentials(secure),
            stack_limit=soft_limit(process, RLIMIT_STACK),
            random=random,
            personality=process.personality,
            sealing=seals_page_zero(process, process.arch),
        )
    except GuestError as error:
        shown = found.execfn.decode(errors="backslashreplace")
        task.log(f"{shown}: can't be loaded into memory: errno {error.errno}")
        die(task, SIGSEGV)
    found.close()
    process.image = loaded
    process.trampoline = loaded.trampoline
    process.executable = found.executable
    process.command_line = b"".join(word + b"\0" for word in found.argv)
    process.environment = b"".join(word + b"\0" for word in found.envp)
    status_page.write(process, quick_syscall(SYS["getpid"]))
    name = found.execfn.rpartition(b"/")[2][:COMM] + b"\0"
    quick_syscall(SYS["prctl"], PR_SET_NAME, name)
    publish(process)
    process.arch.enter(task.cpu, loaded.entry, loaded.sp, loaded.toc)


def credentials(secure: bool = False) -> Credentials:
    """What the auxiliary vector says of the user; AT_SECURE where real and effective ids differ, or where the kernel
    said so to us (file capabilities)."""
    uid, euid = quick_syscall(SYS["getuid"]), quick_syscall(SYS["geteuid"])
    gid, egid = quick_syscall(SYS["getgid"]), quick_syscall(SYS["getegid"])
    return Credentials(
        uid=uid, euid=euid, gid=gid, egid=egid, secure=secure or uid != euid or gid != egid
    )


def _close_on_exec(process: "Process", program: Program) -> None:
    """Close the guest's descriptors marked so. Ours stay."""
    ours = process.reserved_fds.union(image.fd for image in program.plan.images)
    for fd in open_fds():
        if fd not in ours and quick_syscall(SYS["fcntl"], fd, F_GETFD) & FD_CLOEXEC:
            quick_syscall(SYS["close"], fd)


def execve_native(process: "Process", program: Program) -> "NoReturn":
    """A program of the host's own kind: hand it to the host kernel. GuestError if that refuses."""
    release_parent(process, last=False)
    argv, arguments = vector(program.plan.argv)
    envp, variables = vector(program.plan.envp)
    limits = give_to_host(process)
    before = host_personality()
    quick_syscall(SYS["personality"], process.personality)
    name = visible_name(program)
    if name is not None:
        result = quick_syscall(SYS["execve"], name + b"\0", argv, envp)
    else:
        fd = program.plan.image.fd
        result = quick_syscall(SYS["execveat"], fd, b"\0", argv, envp, AT_EMPTY_PATH)
    del arguments, variables  # the strings had to live until here
    quick_syscall(SYS["personality"], before)
    take_from_host(limits)
    program.plan.close()
    raise GuestError(-result)


def visible_name(program: Program) -> bytes | None:
    """A path by which the host finds the very file: AT_EXECFN of the next program, and what binfmt_misc needs, which
    refuses a descriptor that is close-on-exec. None: there is none, the file is to be executed by its descriptor."""
    found = program.plan
    own = os.fstat(found.image.fd)
    for name in (found.execfn, found.image.path, found.executable):
        try:
            other = os.stat(name)
        except (OSError, ValueError):
            continue
        if (other.st_dev, other.st_ino) == (own.st_dev, own.st_ino):
            return name
    return None


def gains_rights(program: Program) -> bool:
    """Whether the program is set-id for another id than ours, or has capabilities: only the kernel can give them."""
    fd = program.plan.image.fd
    status = os.fstat(fd)
    euid, egid = quick_syscall(SYS["geteuid"]), quick_syscall(SYS["getegid"])
    if status.st_mode & S_ISUID and status.st_uid != euid:
        return True
    if status.st_mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP and status.st_gid != egid:
        return True
    return euid != 0 and quick_syscall(SYS["fgetxattr"], fd, b"security.capability\0", 0, 0) > 0


def execve_registered(process: "Process", program: Program) -> None:
    """Let the kernel start the program with the handler that is registered: with flag C it gets its rights.

    Comes back when there is no handler, or no path for it.
    """
    path = visible_name(program)
    if path is None:
        return
    release_parent(process, last=False)
    argv, arguments = vector(program.plan.argv)
    envp, variables = vector(program.plan.envp)
    limits = give_to_host(process)
    quick_syscall(SYS["execve"], path + b"\0", argv, envp)
    del arguments, variables
    take_from_host(limits)


def vector(words: "Sequence[bytes]") -> tuple[bytes, list[bytes]]:
    """A host array of string pointers, and what must stay alive while it is used."""
    kept = [word + b"\0" for word in words]
    return b"".join(address(word).to_bytes(8, "little") for word in kept) + bytes(8), kept
