"""A registry of one's own: a user namespace with its own binfmt_misc (Linux 6.7), so that no root is needed and nothing
of the machine changes. What is registered in it holds for the command, its children, and the namespaces these make.

Two namespaces, one in the other, for an ordinary user: binfmt_misc's files belong to the first one's root, and the
second gives the command the user's own ids back. As root one is enough: all ids are mapped to themselves.
"""

import errno
import os

from binfmt import kernel
from binfmt.kernel import BinfmtError
from runtime import container
from runtime.abi.linux import CLONE_NEWNS, CLONE_NEWUSER
from runtime.container import MS_PRIVATE, MS_REC, ContainerError, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

ALL_IDS = b"0 0 4294967295"


def run(command: "Sequence[str]", register: "Callable[[], None]", as_root: bool) -> "NoReturn":
    """Enter, register, and become the command. `as_root`: it sees itself as root. BinfmtError."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        if uid == 0:
            _enter_as_root()
        else:
            container.Namespaces(user=True).execute()
    except (ContainerError, OSError) as error:
        raise BinfmtError(
            f"no user namespace: {error.strerror if isinstance(error, OSError) else error}; "
            "see sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone"
        ) from None
    _mount()
    register()
    if uid != 0 and not as_root:
        call("unshare", CLONE_NEWUSER)
        _write(b"/proc/self/uid_map", b"%d 0 1" % uid)
        _write(b"/proc/self/setgroups", b"deny", optional=True)
        _write(b"/proc/self/gid_map", b"%d 0 1" % gid)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise BinfmtError(f"{command[0]}: {error.strerror}") from None


def _mount() -> None:
    """binfmt_misc where everybody looks for it, seen by nobody else."""
    path = kernel.PATH.encode()
    try:
        call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
        call("mount", b"binfmt_misc", path, b"binfmt_misc", 0, b"")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL):
            raise BinfmtError(
                "this kernel gives user namespaces no registry of their own (Linux 6.7 does): "
                f"{error.strerror}"
            ) from None
        if error.errno == errno.ENODEV:
            raise BinfmtError("the kernel has no binfmt_misc (modprobe binfmt_misc)") from None
        if error.errno == errno.ENOENT:
            raise BinfmtError(f"{kernel.PATH}: no such directory; is /proc mounted?") from None
        raise BinfmtError(f"cannot mount binfmt_misc: {error.strerror}") from None


def _enter_as_root() -> None:
    """A user namespace with all ids as they are. Who is in it may not say so: a child outside does."""
    parent = os.getpid()
    read, write = os.pipe()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.close(write)
            if os.read(read, 1):
                for name in ("uid_map", "gid_map"):
                    _write(f"/proc/{parent}/{name}".encode(), ALL_IDS)
                status = 0
        finally:
            os._exit(status)
    os.close(read)
    try:
        call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
        os.write(write, b"x")
    finally:
        os.close(write)
        status = os.waitpid(helper, 0)[1]
    if status:  # a container whose root does not have all the ids
        _write(b"/proc/self/setgroups", b"deny", optional=True)
        _write(b"/proc/self/uid_map", b"0 0 1")
        _write(b"/proc/self/gid_map", b"0 0 1")


def _write(path: bytes, text: bytes, optional: bool = False) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)
    except OSError:
        if not optional:
            raise
