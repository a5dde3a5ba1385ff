"""RESOLVE: the only place where a guest path becomes a host path, and a host path a guest path again.

Three kinds of view:
- host: paths are what they are. Also inside a container: container.enter() has changed the root of the whole process,
  so nothing needs translating any more (View.kind is then "container").
- sysroot: an absolute path is looked up under each prefix first, and is the host's own when none has it. Symbolic links
  under a prefix are followed inside that prefix; nothing under a prefix leads out of it by `..` or an absolute link.
- inlayer: `--root` where no namespace and no chroot is to be had: every path is resolved inside the root, step by step.
  Another process that renames directories at the wrong moment can lead a step outside; it is a convenience, not a wall.

The odd thing: /proc, /dev and /sys are the host's in a sysroot even when a prefix has directories of these names, since
those are always the empty mount points of an unpacked root.
"""

import errno
import os

from runtime import container, image
from runtime.abi.linux import AT_FDCWD, S_IFDIR, S_IFMT, S_IFREG
from runtime.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# One of these is in every root that programs can live in.
USUAL = (b"/bin/sh", b"/usr/bin/env", b"/bin/busybox", b"/sbin/init")

_KERNEL = (b"proc", b"dev", b"sys")


class RootError(Exception):
    """A root that cannot be used, or a program that is not in it. `errno` as the kernel would say; str(): one line."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(line)
        self.errno = number


class View:
    """How guest paths become host paths. This class is the host's own view: it returns what it is given."""

    __slots__ = ("kind", "prefixes")

    def __init__(self, kind: str = "host", prefixes: tuple[bytes, ...] = ()) -> None:
        self.kind = kind  # "host", "container", "sysroot" or "inlayer"
        self.prefixes = prefixes  # absolute host paths without a trailing slash, real (no symbolic link in them)

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        """(host dirfd, host path) for an *at system call. `follow`: does that call follow a link in the last place?
        OSError only where the step-by-step walk meets one (inlayer); a missing file is left for the call to report."""
        return dirfd, path

    def guest_path(self, host_path: bytes) -> bytes:
        """What the guest calls a file that the host names so (readlink of /proc/self/exe, getcwd, maps)."""
        return host_path

    def describe(self) -> str:
        """For messages: where a path was looked up."""
        return "on the host" if self.kind == "host" else "in the container"


class Sysroot(View):
    """See the top of the file."""

    __slots__ = ()

    def __init__(self, prefixes: tuple[bytes, ...]) -> None:
        super().__init__("sysroot", prefixes)

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        if path[:1] != b"/" or is_kernel_path(path):
            return dirfd, path
        for prefix in self.prefixes:
            found = walk(prefix, path, follow)
            if found is not None:
                return AT_FDCWD, found
        return dirfd, path

    def guest_path(self, host_path: bytes) -> bytes:
        return without_prefix(self.prefixes, host_path)

    def describe(self) -> str:
        return f"under {', '.join(map(os.fsdecode, self.prefixes))} and on the host"


class InLayer(View):
    """A root directory without the kernel's help. Every path, relative ones too, is resolved in Python."""

    __slots__ = ("root",)

    def __init__(self, root: bytes) -> None:
        super().__init__("inlayer", (root,))
        self.root = root

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        if not path:
            return dirfd, path
        if path[:1] != b"/":
            here = os.getcwdb() if dirfd == AT_FDCWD else os.readlink(b"/proc/self/fd/%d" % dirfd)
            path = self.guest_path(here) + b"/" + path
        if is_kernel_path(path):
            return AT_FDCWD, path
        found = walk(self.root, path, follow, missing=True)
        return AT_FDCWD, self.root + path if found is None else found

    def guest_path(self, host_path: bytes) -> bytes:
        return without_prefix(self.prefixes, host_path)

    def describe(self) -> str:
        return f"under {os.fsdecode(self.root)}"


def sysroot(prefixes: "Sequence[bytes]") -> View:
    """The view of -L and QEMU_LD_PREFIX. Prefixes that do not exist are left out, as qemu-user does (it is a default
    that distributions set for everybody); with none left it is the host's view."""
    real = []
    for prefix in prefixes:
        if prefix and os.path.isdir(prefix):
            path = os.path.realpath(prefix)
            if path != b"/" and path not in real:
                real.append(path)
    return Sysroot(tuple(real)) if real else View()


def is_kernel_path(path: bytes) -> bool:
    """True for /proc, /dev, /sys and what is below."""
    for name in path.split(b"/", 8)[1:]:
        if name and name != b".":
            return name in _KERNEL
    return False


def without_prefix(prefixes: tuple[bytes, ...], host_path: bytes) -> bytes:
    """The path as seen from inside the prefix that it lies in; unchanged if in none."""
    for prefix in prefixes:
        if host_path.startswith(prefix):
            rest = host_path[len(prefix) :]
            if not rest:
                return b"/"
            if rest[:1] == b"/":
                return rest
    return host_path


def find_program(view: View, name: bytes, environment: "Sequence[bytes]") -> bytes:
    """The guest path of a program as a user names it. A name with a slash is taken as it is; without one it is searched
    in the PATH of the guest's environment, in the view, as execvp(3) does. Outside a root a file of that name in the
    working directory comes first, as with qemu-user. RootError(ENOENT, ENOTDIR) when it is nowhere."""
    if b"/" in name:
        return name
    path = next((word[5:] for word in environment if word.startswith(b"PATH=")), DEFAULT_PATH)
    here = view.kind in ("host", "sysroot")
    if here and _executable(view, name):
        return name
    for directory in path.split(b":"):
        guest = directory + b"/" + name if directory else name
        if _executable(view, guest):
            return guest
    shown = os.fsdecode(name)
    where = "in the working directory or " if here else ""
    raise RootError(
        errno.ENOENT, f"{shown}: not found {where}in PATH ({os.fsdecode(path)}) {view.describe()}"
    )


def _executable(view: View, guest: bytes) -> bool:
    """A file that could be executed; directories and files without the x bit are passed over."""
    try:
        dirfd, host = view.resolve(AT_FDCWD, guest, True)
        at = None if dirfd == AT_FDCWD else dirfd
        mode = os.stat(host, dir_fd=at).st_mode
        return mode & S_IFMT == S_IFREG and os.access(host, os.X_OK, dir_fd=at, effective_ids=True)
    except OSError:
        return False


def open_view(root: bytes | None, prefixes: "Sequence[bytes]") -> View:
    """The view that the command line asks for. With `root` this process's root directory is changed before it returns,
    so everything that is still to be imported must have been. RootError: no such root, or it cannot be entered."""
    if root is None:
        return sysroot(prefixes)
    real = check_root(root)
    try:
        container.enter(real)
    except container.NotPermitted:
        return InLayer(real)
    return View("container")


def check_root(root: bytes) -> bytes:
    """The real path of a guest root directory. RootError(ENOENT, ENOTDIR, EACCES)."""
    name = os.fsdecode(root)
    try:
        real = os.path.realpath(root, strict=True)
        mode = os.stat(real).st_mode
    except OSError as error:
        reason = (
            "no such directory" if error.errno == errno.ENOENT else (error.strerror or "").lower()
        )
        raise RootError(error.errno or errno.EIO, f"root {name}: {reason}") from None
    if mode & S_IFMT != S_IFDIR:
        raise RootError(errno.ENOTDIR, f"root {name}: is not a directory")
    if not os.access(real, os.X_OK | os.R_OK, effective_ids=True):
        raise RootError(
            errno.EACCES,
            f"root {name}: permission denied (its directory cannot be read by this user)",
        )
    return real


def machine(view: View) -> tuple[str, str]:
    """Whose programs a root holds, by the first usual one that is there: (for people, a name of ARCHITECTURES or "").
    ("", ""): there is none, or none that says it."""
    for path in USUAL:
        try:
            dirfd, host = view.resolve(AT_FDCWD, path, True)
            at = None if dirfd == AT_FDCWD else dirfd
            fd = os.open(host, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=at)
        except OSError:
            continue
        found = image.machine_of(fd)
        os.close(fd)
        if found[0]:
            return found
    return "", ""


def explain_root(view: View, root: bytes) -> str:
    """To be added to the line about a program that did not start: what is wrong with the root itself, or ""."""
    found, name = machine(view)
    if not found:
        usual = ", ".join(map(os.fsdecode, USUAL))
        return f"; root {os.fsdecode(root)} has no program of the usual ones ({usual}): is it a system?"
    if not name:
        return f"; root {os.fsdecode(root)} is a system for {found}, which octavo does not run"
    return ""
