"""The kernel's binfmt_misc: its directory, its entries, and what is wrong with it. Sources: fs/binfmt_misc.c,
Documentation/admin-guide/binfmt-misc.rst.

Every user namespace can have a registry of its own (Linux 6.7): the first mount of binfmt_misc in it makes one, empty.
From then on programs of that namespace, and of those below it, are looked up there and nowhere else. So an empty mount
hides what the parent has registered, and "Exec format error" is all that is seen of it.

The odd thing: the directory lists its entries in the order of registration, newest first, which
is the order in which the kernel compares. That is how we know who wins.
"""

import errno
import fcntl
import os

from binfmt.magic import LOOKED_AT, Magic
from runtime.command_error import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/proc/sys/fs/binfmt_misc"
MOUNT_COMMAND = f"mount -t binfmt_misc binfmt_misc {PATH}"

RECORD_MAX = 1920  # MAX_REGISTER_LENGTH
INTERPRETER_MAX = 127  # BINPRM_BUF_SIZE - 1: what older kernels copy

READY, UNSUPPORTED, NO_PROC, NOT_MOUNTED, READ_ONLY, HIDDEN = (
    "ready",
    "unsupported",
    "no /proc",
    "not mounted",
    "read-only",
    "hidden",
)

_RESERVED = ("register", "status")
_INITIAL_USER_NAMESPACE = "user:[4026531837]"  # PROC_USER_INIT_INO
_OVERFLOW_UID = 65534


class BinfmtError(CommandError):
    """Something about a registration that one line says."""


class Entry:
    """One registration. `interpreter` is a host path as bytes; flags a subset of "POCF" in the kernel's order."""

    __slots__ = ("enabled", "extension", "flags", "interpreter", "magic", "mask", "name", "offset")

    def __init__(
        self,
        name: str,
        interpreter: bytes,
        flags: str,
        *,
        magic: bytes = b"",
        mask: bytes = b"",
        offset: int = 0,
        extension: bytes | None = None,
        enabled: bool = True,
    ) -> None:
        self.name = name
        self.interpreter = interpreter
        self.flags = flags
        self.magic = magic
        self.mask = mask
        self.offset = offset
        self.extension = extension  # for type E: matched by the name's ending
        self.enabled = enabled

    @property
    def ours(self) -> bool:
        return self.extension is None and Magic(self.magic, self.mask).ours

    def matches(self, head: bytes, name: bytes = b"") -> bool:
        """Whether the kernel would take it for a file that begins so and is called so."""
        if not self.enabled:
            return False
        if self.extension is not None:
            return name.rpartition(b".")[2] == self.extension and b"." in name
        window = head[:LOOKED_AT].ljust(LOOKED_AT, b"\0")[self.offset :]
        return Magic(self.magic, self.mask or b"\xff" * len(self.magic)).matches(window)

    def same(self, other: "Entry") -> bool:
        """Whether what the kernel shows is what was asked for. O is shown with C, which implies it."""
        mine, theirs = set(self.flags), set(other.flags)
        for flags in (mine, theirs):
            if "C" in flags:
                flags.add("O")
        return (
            self.interpreter == other.interpreter
            and mine == theirs
            and (self.magic, self.mask, self.offset, self.extension)
            == (other.magic, other.mask, other.offset, other.extension)
        )

    def record(self) -> bytes:
        """What is written to `register`. BinfmtError: it cannot be said, or is too long."""
        delimiter = next(
            (mark for mark in b":|,;!@%" if mark not in self.interpreter + self.name.encode()), None
        )
        path = os.fsdecode(self.interpreter)
        if delimiter is None or b"\n" in self.interpreter:
            raise BinfmtError(f"{path!r}: binfmt_misc cannot have a path with these characters")
        if not self.name or "/" in self.name or self.name in (".", "..", *_RESERVED):
            raise BinfmtError(f"{self.name!r} cannot be the name of an entry of binfmt_misc")
        if len(self.interpreter) > INTERPRETER_MAX:
            raise BinfmtError(
                f"{path}: {len(self.interpreter)} bytes, and binfmt_misc takes paths of up to "
                f"{INTERPRETER_MAX}; put the handler, or a link to it, in a shorter place"
            )
        if not self.interpreter.startswith(b"/"):
            raise BinfmtError(f"{path}: the handler's path must begin with /")
        fields = (
            b"",
            self.name.encode(),
            b"M",
            b"%d" % self.offset,
            escape(self.magic),
            escape(self.mask),
            self.interpreter,
            self.flags.encode(),
        )
        text = bytes((delimiter,)).join(fields)
        if len(text) > RECORD_MAX:
            raise BinfmtError(
                f"{self.name}: the entry has {len(text)} bytes, and binfmt_misc takes up to {RECORD_MAX}"
            )
        return text


def escape(data: bytes) -> bytes:
    """Every byte as \\xHH: a NUL that is not escaped ends the magic, which then matches far too much."""
    return b"".join(b"\\x%02x" % byte for byte in data)


def parse(name: str, text: bytes) -> Entry:
    """An entry as the kernel shows it. BinfmtError for what is none."""
    fields: dict[bytes, bytes] = {}
    enabled = False
    for line in text.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"enabled":
            enabled = True
        elif key:
            fields.setdefault(key.rstrip(b":"), value)
    try:
        magic = bytes.fromhex(fields.get(b"magic", b"").decode())
        mask = bytes.fromhex(fields.get(b"mask", b"").decode())
        return Entry(
            name,
            fields[b"interpreter"],
            fields.get(b"flags", b"").decode().strip(),
            magic=magic,
            mask=mask,
            offset=int(fields.get(b"offset", b"0")),
            extension=fields[b"extension"].lstrip(b".") if b"extension" in fields else None,
            enabled=enabled,
        )
    except (KeyError, ValueError):
        raise BinfmtError(f"{name}: the kernel shows an entry that is not understood") from None


class Registry:
    """The directory of binfmt_misc. OSError from whatever the kernel refuses."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: str = PATH) -> None:
        self.path = path
        self._lock = -1

    def lock(self) -> None:
        """Wait for others who register with Octavo, until unlock() or the process's end."""
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def unlock(self) -> None:
        os.close(self._lock)
        self._lock = -1

    def enabled(self) -> bool:
        """Whether binfmt_misc as a whole is switched on."""
        return self._read("status").strip() == b"enabled"

    def entries(self) -> list[Entry]:
        """All of them, newest first."""
        found = []
        with os.scandir(self.path) as listing:
            names = [item.name for item in listing if item.name not in _RESERVED]
        for name in names:
            try:
                found.append(parse(name, self._read(name)))
            except FileNotFoundError:  # gone since
                continue
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
        return found

    def read(self, name: str) -> Entry:
        return parse(name, self._read(name))

    def add(self, entry: Entry) -> None:
        """In one write, so that nobody can be stopped half-way."""
        self._write("register", entry.record())

    def remove(self, name: str) -> None:
        """Of an entry. Never of `status`, where the same would remove everybody's."""
        if name in _RESERVED or "/" in name:
            raise BinfmtError(f"{name!r} is not the name of an entry")
        self._write(name, b"-1")

    def _read(self, name: str) -> bytes:
        with open(os.path.join(self.path, name), "rb", buffering=0) as file:
            data = b""
            while piece := file.read(RECORD_MAX):
                data += piece
        return data

    def _write(self, name: str, data: bytes) -> None:
        path = os.path.join(self.path, name)
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        finally:
            os.close(fd)


class Mount:
    """What there is of binfmt_misc here. `state` is one of READY ... HIDDEN; `remedy` is empty for READY."""

    __slots__ = ("remedy", "state", "text")

    def __init__(self, state: str, text: str, remedy: str = "") -> None:
        self.state = state
        self.text = text
        self.remedy = remedy

    @property
    def usable(self) -> bool:
        return self.state in (READY, HIDDEN)


def mount(path: str = PATH, proc: str = "/proc") -> Mount:
    """Look at the mount, and tell the ways apart in which it can be missing."""
    try:
        register = os.stat(f"{path}/register")
    except OSError:
        return _missing(path, proc)
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return Mount(
            READ_ONLY,
            f"binfmt_misc is mounted read-only on {path}",
            f"mount -o remount,rw {path}, outside of the container if this is one",
        )
    if not in_initial_namespace(proc):
        with os.scandir(path) as listing:
            empty = all(item.name in _RESERVED for item in listing)
        # The parent's registry belongs to a user who is nobody in here.
        if empty and register.st_uid != _OVERFLOW_UID:
            return Mount(
                HIDDEN,
                f"this user namespace has a registry of its own on {path}, which is empty and hides its parent's: "
                "no foreign program runs",
                "register in here too (octavo binfmt register all)",
            )
    return Mount(READY, f"binfmt_misc is mounted on {path}")


def _missing(path: str, proc: str) -> Mount:
    try:
        with open(f"{proc}/filesystems", encoding="ascii", errors="replace") as file:
            known = "binfmt_misc" in file.read().split()
    except OSError:
        return Mount(NO_PROC, f"{proc} is not mounted", f"mount -t proc proc {proc}")
    if not known:
        return Mount(
            UNSUPPORTED,
            "the kernel has no binfmt_misc",
            "modprobe binfmt_misc, or a kernel with CONFIG_BINFMT_MISC",
        )
    remedy = MOUNT_COMMAND
    if not in_initial_namespace(proc):
        remedy += " (this makes a registry of this user namespace's own, which hides its parent's)"
    return Mount(NOT_MOUNTED, f"binfmt_misc is not mounted on {path}", remedy)


def in_initial_namespace(proc: str = "/proc") -> bool:
    """Whether this process is in the first user namespace; yes where there are none."""
    try:
        return os.readlink(f"{proc}/self/ns/user") == _INITIAL_USER_NAMESPACE
    except OSError:
        return True


def winners(entries: "Sequence[Entry]", head: bytes, name: bytes = b"") -> list[Entry]:
    """Those that match a file, the one that the kernel takes first."""
    return [entry for entry in entries if entry.matches(head, name)]
