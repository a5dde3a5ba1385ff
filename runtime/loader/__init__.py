"""From a guest path to a program in memory: plan() before execve's point of no return, load() after it.

plan() opens, identifies, follows #! lines, finds the interpreter and checks all that can be checked; whatever is wrong
is an ImageError with the errno that execve answers. load() maps; an error there ends the program.
"""

import errno
import os

from runtime import image as images
from runtime.abi.errors import GuestError
from runtime.abi.linux import AT_FDCWD
from runtime.image import Image, ImageError
from runtime.loader import commpages, elf, script, stack
from runtime.loader.elf import LoadedImage
from runtime.loader.stack import Credentials, StackImage
from runtime.rootfs import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.arch.architecture import Architecture
    from runtime.memory.space import AddressSpace
    from runtime.policy import PageSizes
    from runtime.rootfs import View

__all__ = ("Credentials", "Loaded", "Plan", "check", "load", "plan")


class Plan:
    """What execve will do. The descriptors belong to the plan until close()."""

    __slots__ = ("argv", "envp", "executable", "execfn", "image", "interpreter")

    def __init__(
        self,
        *,
        image: Image,
        interpreter: Image | None,
        argv: "list[bytes]",
        envp: "Sequence[bytes]",
        execfn: bytes,
        executable: bytes,
    ) -> None:
        self.image = image  # the ELF program that runs (a script's interpreter, say)
        self.interpreter = interpreter  # PT_INTERP's file
        self.argv = argv  # rewritten by #! lines; never empty
        self.envp = envp
        self.execfn = execfn  # AT_EXECFN: the path execve was called with
        self.executable = (
            executable  # host path of `image`: what /proc/self/exe shows, after View.guest_path
        )

    @property
    def images(self) -> tuple[Image, ...]:
        """Program and interpreter, for policy.decide()."""
        return (self.image,) if self.interpreter is None else (self.image, self.interpreter)

    def close(self) -> None:
        """Close the files. The mappings stay."""
        for image in self.images:
            os.close(image.fd)


class Loaded:
    """A program in memory, ready for its first instruction. Addresses are the guest's."""

    __slots__ = ("auxv", "image", "initial", "sp", "trampoline")

    def __init__(self, image: LoadedImage, initial: StackImage, trampoline: int) -> None:
        self.image = image
        self.initial = initial
        self.sp = initial.sp
        self.auxv = initial.auxv
        self.trampoline = (
            trampoline  # address of the sigreturn code page; 0: the architecture needs none
        )

    @property
    def entry(self) -> int:
        """Where to start (bit 0 may be an instruction set's mark, see Architecture)."""
        return self.image.entry

    @property
    def toc(self) -> int:
        """The table of contents of the code at `entry`, where the architecture has such a thing; else 0."""
        return self.image.toc


def plan(
    view: "View",
    path: bytes,
    argv: "Sequence[bytes]",
    envp: "Sequence[bytes]",
    *,
    fd: int | None = None,
    dirfd: int = AT_FDCWD,
    follow: bool = True,
    inaccessible: bool = False,
) -> Plan:
    """Find out what running `path` means. ImageError: execve fails, nothing was changed.

    `fd`: the program, already open (fexecve, AT_EXECFD); it is duplicated, and `path` is its name ("/dev/fd/5").
    `dirfd`: what a relative path is relative to. `follow` False: a symbolic link is ELOOP (AT_SYMLINK_NOFOLLOW).
    `inaccessible`: `fd` is close-on-exec, so a script could not be read by its interpreter (ENOENT, as the kernel).
    A program for the host comes back with image.native set, and with no interpreter looked up: a host execve takes it.
    """
    image = _open(view, dirfd, path, follow) if fd is None else _adopt(fd, path)
    words = list(argv) or [b""]  # Linux 5.18: an empty argv becomes { "" }
    if inaccessible and image.kind == "script":
        os.close(image.fd)
        reason = "a script in a close-on-exec descriptor cannot be read by its interpreter"
        raise ImageError(errno.ENOENT, path, reason)
    image, name, words = _follow_scripts(view, image, path, words)
    interpreter = None
    try:
        if image.interpreter is not None and image.arch:
            interpreter = _open_interpreter(view, image)
    except ImageError:
        os.close(image.fd)
        raise
    return Plan(
        image=image,
        interpreter=interpreter,
        argv=words,
        envp=envp,
        execfn=path,
        executable=_host_path(image.fd, name),
    )


def _follow_scripts(
    view: "View", image: Image, path: bytes, words: "list[bytes]"
) -> "tuple[Image, bytes, list[bytes]]":
    """From a program to what its #! line names, and so on: the ELF program, its name, and the arguments it gets. The
    images on the way are closed, the last one too when there is an ImageError."""
    name = path
    rewrites = 0
    try:
        while image.kind == "script":
            command, argument = script.parse(image.head, name)
            words = script.rewrite(words, command, argument, name)
            old, image = image, _open_named(view, command, f"interpreter of {os.fsdecode(name)}")
            os.close(old.fd)
            rewrites += 1
            if rewrites > script.REWRITES:
                reason = f"more than {script.REWRITES} #! interpreters in a row"
                raise ImageError(errno.ELOOP, path, reason)
            name = command
    except ImageError:
        os.close(image.fd)
        raise
    return image, name, words


def load(
    plan: Plan,
    space: "AddressSpace",
    arch: "Architecture",
    pages: "PageSizes",
    who: Credentials,
    *,
    stack_limit: int,
    flags: int = 0,
    random: bytes | None = None,
    personality: int = 0,
    sealing: bool = False,
) -> Loaded:
    """Map everything into an empty address space and set up its heap. GuestError: the program is lost (see plan()).

    `stack_limit`: RLIMIT_STACK in bytes (RLIM_INFINITY allowed); `flags`: AT_FLAGS (1: argv[0] was preserved).
    `random`: the 16 bytes at AT_RANDOM, for a run that is to be repeated (qemu-user's -seed). `personality`: what
    personality(2) says; `sealing`: whether the kernel that the program sees seals page 0.
    """
    loaded = elf.load(space, arch, plan.image, plan.interpreter)
    space.set_brk(loaded.brk)
    trampoline = commpages.map_all(space, arch)
    commpages.map_null_page(space, plan.image.interpreter, personality, sealed=sealing)
    entries = stack.auxiliary_vector(arch, loaded, page=pages.guest, who=who, flags=flags)
    top = arch.stack_top & -pages.guest
    initial = stack.build(
        top,
        bits=arch.elf_class,
        order="<" if arch.elf_data == 1 else ">",
        argv=plan.argv,
        envp=plan.envp,
        name=plan.execfn,
        entries=entries,
        random=os.urandom(16) if random is None else random,
    )
    executable = arch.executable_stack if loaded.exec_stack is None else loaded.exec_stack
    stack.map_stack(space, initial, top=top, limit=stack_limit, executable=executable)
    return Loaded(loaded, initial, trampoline)


def check(plan: Plan, arch: "Architecture", pages: "PageSizes", stack_limit: int) -> None:
    """The last checks before the point of no return. ImageError: EINVAL (pages too large), E2BIG (arguments)."""
    for image in plan.images:
        elf.check(image, arch, pages.guest)
    try:
        stack.check_size(
            plan.argv,
            plan.envp,
            plan.execfn,
            page=pages.guest,
            word=arch.elf_class // 8,
            limit=stack_limit,
        )
    except GuestError as error:
        raise ImageError(
            error.errno, plan.execfn, "arguments and environment are too long for a program"
        ) from None


def _open(view: "View", dirfd: int, path: bytes, follow: bool) -> Image:
    try:
        host_dirfd, host_path = view.resolve(dirfd, path, follow)
    except OSError as error:
        raise ImageError(
            error.errno or errno.EIO, path, (error.strerror or "cannot be found").lower()
        ) from None
    fd = images.open_program(host_dirfd, host_path, path, follow)
    return _identify(fd, path)


def _adopt(fd: int, path: bytes) -> Image:
    try:
        own = os.open(
            b"/proc/self/fd/%d" % fd, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        )  # works for O_PATH too
    except OSError:
        try:
            own = os.dup(fd)
        except OSError as error:
            raise ImageError(error.errno or errno.EBADF, path, "not an open file") from None
    try:
        images.check_executable(own, path)
    except ImageError:
        os.close(own)
        raise
    return _identify(own, path)


def _identify(fd: int, path: bytes) -> Image:
    try:
        return images.identify(fd, path)
    except ImageError:
        os.close(fd)
        raise


def _open_named(view: "View", path: bytes, what: str) -> Image:
    """Open an interpreter; a failure names it, whose it is, and where it was looked for."""
    try:
        return _open(view, AT_FDCWD, path, True)
    except ImageError as error:
        if error.errno == errno.ENOENT:
            raise ImageError(error.errno, path, f"{what}: no such file {view.describe()}") from None
        raise ImageError(error.errno, path, f"{what}: {error.reason}") from None


def _open_interpreter(view: "View", image: Image) -> Image:
    """PT_INTERP's file. ImageError: ENOENT and the like, ELIBBAD when it cannot be this program's interpreter."""
    assert image.interpreter is not None
    what = f"interpreter (dynamic loader) of {os.fsdecode(image.path)}"
    try:
        found = _open_named(view, image.interpreter, what)
    except ImageError as error:
        if error.errno in (errno.ENOEXEC, errno.EINVAL):
            number = errno.EIO if _too_short(view, image) else errno.ELIBBAD
            raise ImageError(number, error.path, error.reason) from None
        if error.errno == errno.ENOENT:
            raise ImageError(
                error.errno, error.path, error.reason + _other_root(view, image)
            ) from None
        raise
    if found.kind != "elf" or found.arch != image.arch:
        os.close(found.fd)
        kind = "a script" if found.kind != "elf" else f"for {found.machine}"
        raise ImageError(errno.ELIBBAD, found.path, f"{what}: is {kind}, not for {image.machine}")
    return found


def _too_short(view: "View", image: Image) -> bool:
    """Whether the interpreter's file can't even hold an ELF header, which elf_read() calls an I/O error."""
    assert image.interpreter is not None
    dirfd, host = view.resolve(AT_FDCWD, image.interpreter, True)
    size = os.stat(host, dir_fd=None if dirfd == AT_FDCWD else dirfd).st_size
    return size < (52 if image.elf_class == 32 else 64)


def _other_root(view: "View", image: Image) -> str:
    """A hint when the programs that are found there are for another architecture than the one to be started."""
    there, _ = machine(view)
    if there in ("", image.machine):
        return ""
    if view.kind == "host":
        return f"; the program is for {image.machine}: name its root with --root DIR or -L PREFIX"
    return f"; the programs there are for {there}, this one is for {image.machine}"


def _host_path(fd: int, fallback: bytes) -> bytes:
    try:
        return os.readlink(b"/proc/self/fd/%d" % fd)
    except OSError:
        return fallback
