"""getdents, getdents64 and old_readdir.

64-bit little-endian guests get the host's records as they are. For the others records are converted, and for 32-bit
guests folded: a C library that has 32-bit `d_off` and `d_ino` fails with EOVERFLOW on the 64-bit positions of ext4
and on large inode numbers, which is the oldest complaint about 32-bit user-mode emulation. So

- an inode number is folded to 32 bits, here and in every stat call (status.py), always the same way;
- a position that does not fit 30 bits is shown as a *cookie*, BASE + n. What a position means is a property of the
  directory, not of the descriptor, so the table is kept per (device, inode); lseek translates back (io.py).
"""

import struct

from runtime._core import SYS, W
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, GuestError
from runtime.abi.linux import S_IFDIR, S_IFMT, SEEK_CUR, SEEK_SET
from runtime.syscalls.buffers import NOWHERE, buffer_spans
from runtime.syscalls.kinds import Address, Fd, OutBuffer, UInt
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.task.task import Task

    Entry = tuple[int, int, int, bytes]  # inode, position after it, DT_ type, name
    Record = Callable[[str, int, int, int, int, bytes], bytes]

BASE = 1 << 30  # first cookie
KEPT_TABLES = 64  # directories whose cookies are remembered
HEADER = struct.Struct(
    "=QqHB"
)  # struct linux_dirent64: d_ino, d_off, d_reclen, d_type; then the name
ROOM = 32768  # bytes asked of the host at once, at most
LONGEST = 280  # bytes of a linux_dirent64 with a name of NAME_MAX, rounded up


class Cookies:
    """Positions in one directory that a 32-bit guest cannot hold, both ways."""

    __slots__ = ("known", "positions")

    def __init__(self) -> None:
        self.known: dict[int, int] = {}  # position -> cookie
        self.positions: list[int] = []  # cookie - BASE -> position

    def fold(self, position: int) -> int:
        """The 31-bit number that stands for a position."""
        if 0 <= position < BASE:
            return position
        cookie = self.known.get(position)
        if cookie is None:
            cookie = self.known[position] = BASE + len(self.positions)
            self.positions.append(position)
        return cookie

    def unfold(self, cookie: int) -> int:
        """The position a cookie stands for; a number that is none, as it is."""
        index = cookie - BASE
        return self.positions[index] if 0 <= index < len(self.positions) else cookie


TABLES: dict[tuple[int, int], Cookies] = {}  # (device, inode) of a directory; oldest first


def fold_inode(inode: int) -> int:
    """A 64-bit inode number in 32 bits, never 0 (which marks a deleted entry). Numbers that fit stay."""
    if inode <= 0xFFFFFFFF:
        return inode
    return (inode ^ inode >> 32) & 0xFFFFFFFF or 1


def _cookies(fd: int, create: bool) -> "Cookies | None":
    """The table of the directory open at `fd`; None when it is no directory, or has none and `create` is False."""
    data = bytearray(256)
    if quick(SYS["statx"], fd, b"", 0x1000, 0x7FF, data) < 0:  # AT_EMPTY_PATH
        return None
    mode, inode = struct.unpack_from("=H2xQ", data, 28)
    if mode & S_IFMT != S_IFDIR:
        return None
    major, minor = struct.unpack_from("=II", data, 136)
    key = (major << 32 | minor, inode)
    table = TABLES.get(key)
    if table is None and create:
        while len(TABLES) >= KEPT_TABLES:
            del TABLES[next(iter(TABLES))]
        table = TABLES[key] = Cookies()
    return table


def host_position(fd: int, position: int) -> int:
    """What a 32-bit guest's lseek position means to the host: itself, unless it is a cookie of a directory."""
    if position < BASE:
        return position
    table = _cookies(fd, create=False)
    return position if table is None else table.unfold(position)


def guest_position(fd: int, position: int) -> int:
    """A position that lseek gave (or -errno), for a 32-bit guest."""
    if position < BASE:
        return position
    table = _cookies(fd, create=True)
    return position if table is None else table.fold(position)


def entries(data: "bytes | bytearray | memoryview", length: int) -> "Iterator[Entry]":
    """The records of a getdents64 buffer."""
    at = 0
    while at < length:
        inode, position, size, kind = HEADER.unpack_from(data, at)
        name = bytes(data[at + HEADER.size : at + size])
        yield inode, position, kind, name[: name.index(0)]
        at += size


@syscall
def getdents64(task: "Task", fd: Fd, dirent: OutBuffer, count: UInt) -> int:
    """getdents64(2)."""
    model = task.arch.model
    if model.bits == 64 and not model.big:
        spans = buffer_spans(task, dirent, count, W)
        if len(spans) == 1:
            return wait(SYS["getdents64"], fd, *spans[0])
    return _convert(task, fd, dirent, count, _record64)


@syscall
def getdents(task: "Task", fd: Fd, dirent: OutBuffer, count: UInt) -> int:
    """getdents(2): d_ino and d_off are longs, the type is the record's last byte."""
    return _convert(task, fd, dirent, count, _record)


@syscall
def old_readdir(task: "Task", fd: Fd, dirent: Address, count: UInt) -> int:
    """readdir(2): one entry, whose d_off is its own position and d_reclen the name's length. 0 at the end, else 1."""
    buffer = bytearray(LONGEST)
    got = wait(SYS["getdents64"], fd, buffer, len(buffer))
    if got <= 0:
        return got
    inode, position, _, name = next(entries(buffer, got))
    quick(SYS["lseek"], fd, position, SEEK_SET)
    model = task.arch.model
    head = struct.pack(
        f"{model.prefix}{'II' if model.bits == 32 else 'QQ'}H",
        *_numbers(task, fd, inode, position),
        len(name),
    )
    task.memory.access.write(dirent, head + name + b"\0")
    return 1


def _numbers(task: "Task", fd: int, inode: int, position: int) -> "tuple[int, int]":
    """d_ino and d_off as this guest can hold them."""
    if task.arch.elf_class == 64:
        return inode, position & (1 << 64) - 1
    if 0 <= position < BASE:
        return fold_inode(inode), position
    table = _cookies(fd, create=True)
    assert table is not None  # it just gave directory entries
    return fold_inode(inode), table.fold(position)


def _record64(prefix: str, bits: int, inode: int, position: int, kind: int, name: bytes) -> bytes:
    """struct linux_dirent64, aligned to 8."""
    size = (HEADER.size + len(name) + 1 + 7) & ~7
    return struct.pack(f"{prefix}QQHB{size - HEADER.size}s", inode, position, size, kind, name)


def _record(prefix: str, bits: int, inode: int, position: int, kind: int, name: bytes) -> bytes:
    """struct linux_dirent, aligned to a long; the type is in the last byte, after the padding."""
    word = bits // 8
    size = (2 * word + 2 + len(name) + 2 + word - 1) & -word
    room = size - 2 * word - 3
    return struct.pack(
        f"{prefix}{'II' if bits == 32 else 'QQ'}H{room}sB", inode, position, size, name, kind
    )


def _convert(task: "Task", fd: int, address: int, count: int, record: "Record") -> int:
    """Read records from the host and write as many as fit into the guest's form; the directory's position ends
    after the last one written. EINVAL when not even one fits, as in the kernel."""
    model = task.arch.model
    spans = buffer_spans(task, address, count, W)
    room = sum(length for host, length in spans if host not in (0, NOWHERE))
    if not room:
        return wait(
            SYS["getdents64"], fd, NOWHERE, count
        )  # the host's check order: EBADF, ENOTDIR, EINVAL, EFAULT
    buffer = bytearray(max(LONGEST, min(room, ROOM)))
    before = quick(SYS["lseek"], fd, 0, SEEK_CUR)
    got = wait(SYS["getdents64"], fd, buffer, len(buffer))
    if got <= 0:
        return got
    out: list[bytes] = []
    used = 0
    last = before
    for inode, position, kind, name in entries(buffer, got):
        guest_inode, guest_offset = _numbers(task, fd, inode, position)
        data = record(model.prefix, model.bits, guest_inode, guest_offset, kind, name)
        if used + len(data) > room:
            quick(SYS["lseek"], fd, last, SEEK_SET)
            break
        out.append(data)
        used += len(data)
        last = position
    if not out:
        raise GuestError(EINVAL)
    task.memory.access.write(address, b"".join(out))
    return used
