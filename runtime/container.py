"""The container view: this process moves into a guest root, with the mounts that a container has.

As root: a mount namespace of our own and pivot_root(2), or chroot(2) where namespaces are not allowed. As an ordinary
user: a user namespace too, in which the user is root (newuidmap(1) gives it a range of ids when /etc/subuid has one).
Everything is mounted privately, so nothing remains on the host when the last process has gone. Directories that are
missing in the root (/proc, /dev, /sys) are made, as container runtimes do.

Steps are objects: plan() describes what will happen, enter() does it. No subprocess but newuidmap. The pid namespace
stays the host's, since guest processes are host processes and are meant to be seen.

The odd thing: the host's resolv.conf is mounted over the root's *name* for it, even when that is a symbolic link to a
file that does not exist (systemd-resolved), through /proc/self/fd of the link itself.
"""

import errno
import os

from runtime._core import SYS, quick_syscall
from runtime.abi.linux import (
    AT_FDCWD,
    AT_RECURSIVE,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_MOVE,
    O_PATH,
)
from runtime.walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MS_RDONLY, MS_NOSUID, MS_NOEXEC = 0x1, 0x2, 0x8
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 2
MOUNT_ATTR_RDONLY = 1

DEVICES = (b"null", b"zero", b"full", b"random", b"urandom", b"tty")
LINKS = (
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"ptmx", b"pts/ptmx"),
)


class ContainerError(Exception):
    """The root could not be entered. `errno` of the step that failed; str(): one line that names it."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(line)
        self.errno = number


class NotPermitted(ContainerError):
    """Neither namespaces nor chroot are allowed here; nothing was changed."""


def call(name: str, *arguments: int | bytes) -> int:
    """A host system call; strings get their NUL. OSError."""
    words = [word + b"\0" if isinstance(word, bytes) else word for word in arguments]
    result = quick_syscall(SYS[name], *words)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


class Step:
    """One change. `optional`: a failure is passed over (a root or a kernel that lacks the thing)."""

    __slots__ = ("optional",)

    def __init__(self, optional: bool = False) -> None:
        self.optional = optional

    def describe(self) -> str:
        raise NotImplementedError

    def execute(self) -> None:
        raise NotImplementedError


class Mount(Step):
    """Mount `source` on `target`, which is made if it is missing. `kind` b"": a bind of source with all below it."""

    __slots__ = ("data", "kind", "read_only", "source", "target")

    def __init__(
        self,
        source: bytes,
        target: bytes,
        kind: bytes = b"",
        data: bytes = b"",
        *,
        read_only: bool = False,
        optional: bool = False,
    ) -> None:
        super().__init__(optional)
        self.source = source
        self.target = target
        self.kind = kind
        self.data = data
        self.read_only = read_only

    def describe(self) -> str:
        what = f"a {os.fsdecode(self.kind)}" if self.kind else os.fsdecode(self.source)
        return f"mount {what} on {os.fsdecode(self.target)}{' read-only' if self.read_only else ''}"

    def execute(self) -> None:
        self._make_target()
        # The link itself, where the target is one: see the top of the file.
        fd = os.open(self.target, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if self.kind:
                call(
                    "mount", self.source, b"/proc/self/fd/%d" % fd, self.kind, MS_NOSUID, self.data
                )
            else:
                call("mount", self.source, b"/proc/self/fd/%d" % fd, b"", MS_BIND | MS_REC, b"")
        finally:
            os.close(fd)
        if self.read_only:
            attributes = MOUNT_ATTR_RDONLY.to_bytes(8, "little") + bytes(24)
            quick_syscall(
                SYS["mount_setattr"],
                AT_FDCWD,
                self.target + b"\0",
                AT_RECURSIVE,
                attributes,
                len(attributes),
            )  # before Linux 5.12 it stays writable

    def _make_target(self) -> None:
        if os.path.lexists(self.target):
            return
        if self.kind or os.path.isdir(self.source):
            os.mkdir(self.target, 0o755)
        else:
            os.close(os.open(self.target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


class Link(Step):
    """A symbolic link in the new /dev."""

    __slots__ = ("path", "target")

    def __init__(self, path: bytes, target: bytes) -> None:
        super().__init__()
        self.path = path
        self.target = target

    def describe(self) -> str:
        return f"link {os.fsdecode(self.path)} to {os.fsdecode(self.target)}"

    def execute(self) -> None:
        os.symlink(self.target, self.path)


class Namespaces(Step):
    """A mount namespace of our own, and with `user` a user namespace in which we are root."""

    __slots__ = ("user",)

    def __init__(self, user: bool) -> None:
        super().__init__()
        self.user = user

    def describe(self) -> str:
        return (
            "unshare the user and mount namespaces" if self.user else "unshare the mount namespace"
        )

    def execute(self) -> None:
        if not self.user:
            call("unshare", CLONE_NEWNS)
            return
        uid, gid = os.geteuid(), os.getegid()
        ranges = id_range(b"/etc/subuid", uid), id_range(b"/etc/subgid", uid)
        helper = _Helper(uid, gid, ranges[0], ranges[1]) if ranges[0] and ranges[1] else None
        try:
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
        except OSError:
            if helper is not None:
                helper.finish(go=False)
            raise
        if helper is not None and helper.finish(go=True):
            return
        try:
            _write(b"/proc/self/setgroups", b"deny")
            _write(b"/proc/self/uid_map", b"0 %d 1" % uid)
            _write(b"/proc/self/gid_map", b"0 %d 1" % gid)
        except OSError as error:  # half inside: there is no way back
            raise _failure(self, error) from None


class _Helper:
    """A child that stays outside and calls newuidmap and newgidmap (set-uid root) for us once we are inside."""

    __slots__ = ("pid", "pipe")

    def __init__(self, uid: int, gid: int, uids: tuple[int, int], gids: tuple[int, int]) -> None:
        parent = os.getpid()
        read, self.pipe = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(read)
            return
        status = 1
        try:
            os.close(self.pipe)
            if os.read(read, 1):
                status = _map_ids(b"newuidmap", parent, uid, uids) or _map_ids(
                    b"newgidmap", parent, gid, gids
                )
        finally:
            os._exit(status)

    def finish(self, go: bool) -> bool:
        """Let it work, or give up; True when the ids are mapped."""
        if go:
            os.write(self.pipe, b"x")
        os.close(self.pipe)
        return os.waitpid(self.pid, 0)[1] == 0


def _map_ids(program: bytes, pid: int, own: int, ids: tuple[int, int]) -> int:
    """Run newuidmap or newgidmap: our id becomes 0, the range follows. 0 when it worked."""
    child = os.fork()
    if child == 0:
        try:
            null = os.open(b"/dev/null", os.O_WRONLY)
            os.dup2(null, 2)
            words = [
                program,
                b"%d" % pid,
                b"0",
                b"%d" % own,
                b"1",
                b"1",
                b"%d" % ids[0],
                b"%d" % ids[1],
            ]
            os.execvp(program, words)
        finally:
            os._exit(127)
    return os.waitpid(child, 0)[1]


def id_range(path: bytes, uid: int) -> tuple[int, int] | None:
    """(first, count) of the user's first range in /etc/subuid or /etc/subgid (subuid(5)), by name or number."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return None
    names = {b"%d" % uid, *_user_names(uid)}
    for line in lines:
        fields = line.split(b":")
        if (
            len(fields) == 3
            and fields[0] in names
            and fields[1].isdigit()
            and fields[2].strip().isdigit()
        ):
            return int(fields[1]), int(fields[2])
    return None


def _user_names(uid: int) -> list[bytes]:
    try:
        with open(b"/etc/passwd", "rb") as file:
            rows = [line.split(b":") for line in file.read().split(b"\n")]
    except OSError:
        return []
    return [row[0] for row in rows if len(row) > 3 and row[2] == b"%d" % uid]


def _write(path: bytes, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


class Private(Step):
    """Nothing that is mounted from now on is seen outside, and the root is a mount point of its own."""

    __slots__ = ("root",)

    def __init__(self, root: bytes) -> None:
        super().__init__()
        self.root = root

    def describe(self) -> str:
        return f"make mounts private and {os.fsdecode(self.root)} a mount point"

    def execute(self) -> None:
        call("mount", b"none", b"/", b"", MS_REC | MS_PRIVATE, b"")
        call("mount", self.root, self.root, b"", MS_BIND | MS_REC, b"")


class Pivot(Step):
    """Make the root ours and let go of the old one."""

    __slots__ = ("root",)

    def __init__(self, root: bytes) -> None:
        super().__init__()
        self.root = root

    def describe(self) -> str:
        return f"pivot_root to {os.fsdecode(self.root)}"

    def execute(self) -> None:
        os.chdir(self.root)
        try:
            call("pivot_root", b".", b".")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._over_the_old()
        else:
            call(
                "umount2", b".", MNT_DETACH
            )  # pivot_root(2): the old root is on top of the new one
        os.chdir(b"/")

    def _over_the_old(self) -> None:
        """An initramfs cannot be pivoted away from: the root is moved on top of it, as switch_root(8) does."""
        call("mount", b".", b"/", b"", MS_MOVE, b"")
        call("chroot", b".")


def _terminal() -> bytes | None:
    """The terminal on standard input, output or error, the first that is one."""
    for fd in range(3):
        try:
            return os.ttyname(fd).encode()
        except OSError:
            continue
    return None


def plan(root: bytes, user: bool) -> "list[Step]":
    """The steps, in order. `root`: a real path; `user`: a user namespace is needed."""
    dev = _inside(root, b"/dev")
    steps: list[Step] = [
        Namespaces(user),
        Private(root),
        Mount(b"/proc", _inside(root, b"/proc"), optional=True),
        Mount(b"/sys", _inside(root, b"/sys"), read_only=True, optional=True),
        Mount(b"tmpfs", dev, b"tmpfs", b"mode=755,size=64k"),
    ]
    steps += [Mount(b"/dev/" + name, dev + b"/" + name, optional=True) for name in DEVICES]
    # An instance of our own, since the host's ptmx cannot be bound: it looks for its pts beside itself.
    terminals = b"newinstance,ptmxmode=0666,mode=620" + (b"" if user else b",gid=5")
    steps += [
        Mount(b"devpts", dev + b"/pts", b"devpts", terminals),
        Mount(b"/dev/shm", dev + b"/shm", optional=True),
    ]
    if (terminal := _terminal()) is not None:
        # The one we were started on is of the host's devpts; under this name ttyname(3) finds it.
        steps.append(Mount(terminal, dev + b"/console", optional=True))
    steps += [Link(dev + b"/" + name, target) for name, target in LINKS]
    if os.path.exists(b"/etc/resolv.conf") and os.path.isdir(_inside(root, b"/etc")):
        target = _inside(root, b"/etc") + b"/resolv.conf"
        steps.append(
            Mount(os.path.realpath(b"/etc/resolv.conf"), target, read_only=True, optional=True)
        )
    steps.append(Pivot(root))
    return steps


def _inside(root: bytes, path: bytes) -> bytes:
    """Host path of a mount point in the root; a link there does not lead outside."""
    return walk(root, path, True, missing=True) or root + path


def enter(root: bytes) -> None:
    """Move this process (one thread so far) into the root; the working directory stays where the root has it, else "/".

    NotPermitted: nothing was changed, and the user has neither namespaces nor chroot. ContainerError: a step failed.
    """
    here = os.getcwdb()
    steps = plan(root, user=not _may_mount())
    try:
        steps[0].execute()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL, errno.ENOSYS):
            raise _failure(steps[0], error) from None
        _change_root(root, error)
    else:
        _execute(steps[1:])
    try:
        os.chdir(here)
    except OSError:
        os.chdir(b"/")


def _execute(steps: "Sequence[Step]") -> None:
    for step in steps:
        try:
            step.execute()
        except OSError as error:
            if not step.optional:
                raise _failure(step, error) from None


def _failure(step: Step, error: OSError) -> ContainerError:
    return ContainerError(error.errno or errno.EIO, f"cannot {step.describe()}: {error.strerror}")


def _change_root(root: bytes, reason: OSError) -> None:
    """chroot, where no namespace is to be had: /proc and /dev are then what the root has."""
    try:
        os.chroot(root)
    except OSError:
        name = os.fsdecode(root)
        raise NotPermitted(
            reason.errno or errno.EPERM,
            f"root {name}: user namespaces are not allowed ({reason.strerror}; see sysctl user.max_user_namespaces and "
            "kernel.unprivileged_userns_clone), nor is chroot",
        ) from None
    os.chdir(b"/")


def _may_mount() -> bool:
    """CAP_SYS_ADMIN in effect: no user namespace is needed."""
    try:
        with open(b"/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"CapEff:"):
                    return bool(int(line.split()[1], 16) >> 21 & 1)
    except OSError:
        pass
    return os.geteuid() == 0
