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

AT_FDCWD = -100
LINKS = 40  # the kernel's limit of symbolic links in one path (MAXSYMLINKS)
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_S_IFMT, _S_IFLNK, _S_IFDIR = 0o170000, 0o120000, 0o040000
_KERNEL = (b"proc", b"dev", b"sys")


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


def sysroot(prefixes: "tuple[bytes, ...] | list[bytes]") -> View:
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


def walk(root: bytes, path: bytes, follow: bool, missing: bool = False) -> bytes | None:
    """The host path of `path` inside `root`, every link but (without `follow`) the last resolved inside `root`.

    None when it does not exist. `missing`: a last name that does not exist is allowed (it is about to be created).
    OSError(ELOOP) after 40 links. Costs one lstat for each name.
    """
    names = path.split(b"/")
    names.reverse()
    directory_wanted = path.endswith((b"/", b"/."))
    done: list[bytes] = []
    links = 0
    while names:
        name = names.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if done:
                done.pop()
            continue
        host = b"/".join((root, *done, name))
        try:
            mode = os.lstat(host).st_mode
        except OSError:
            return host if missing and not any(names) else None
        if mode & _S_IFMT == _S_IFLNK and (follow or directory_wanted or any(names)):
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), host)
            target = os.readlink(host)
            if target[:1] == b"/":
                done.clear()
            names += reversed(target.split(b"/"))
            continue
        done.append(name)
    return b"/".join((root, *done)) + (b"/" if directory_wanted and done else b"")


def find_program(view: View, name: bytes, path: bytes | None) -> bytes | None:
    """The guest path of a program named without a slash, searched in the guest's PATH as execvp(3) does; None: not found.

    A name with a slash is returned as it is. A file that is not executable is passed over.
    """
    if b"/" in name:
        return name
    for directory in (DEFAULT_PATH if path is None else path).split(b":"):
        guest = directory + b"/" + name if directory else name
        dirfd, host = view.resolve(AT_FDCWD, guest, True)
        try:
            if os.access(host, os.X_OK, dir_fd=None if dirfd == AT_FDCWD else dirfd, effective_ids=True) and not (
                os.stat(host).st_mode & _S_IFMT == _S_IFDIR
            ):
                return guest
        except OSError:
            continue
    return None
