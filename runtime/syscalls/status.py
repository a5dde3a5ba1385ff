"""stat and its variants, from the host's statx(2) into the guest's own layout.

One mapping for all: `Shape` compiles, per guest structure, which of statx's values goes into which field; a field the
structure has not is left out, so the variants (struct stat, struct stat64, six ABIs) differ in data only. EOVERFLOW
follows fs/stat.c (cp_new_stat), but for inode numbers: a 32-bit guest gets them folded, see directories.py.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi import structs
from runtime.abi.errors import EBADF, EFAULT, EINVAL, EOVERFLOW, GuestError
from runtime.abi.linux import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_SYMLINK_NOFOLLOW,
    OVERFLOW_ID,
)
from runtime.syscalls import procfs
from runtime.syscalls.directories import fold_inode
from runtime.syscalls.kinds import Address, Fd, Int, OptionalPath, Path, UInt
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.abi.layout import CStruct
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

STATX_BASIC_STATS = 0x7FF
STATX_SIZE = 256
STATX_RESERVED = 1 << 31
MAX_NON_LFS = (1 << 31) - 1  # bytes of a file that a 32-bit off_t can hold
# struct statx of the host, linux/stat.h, without what follows dev_minor.
STATX = struct.Struct("=IIQIIIHxxQQQQqIxxxxqIxxxxqIxxxxqIxxxxIIII")
# All of it, for a guest whose bytes differ: the layout is the same on every ABI.
STATX_CODES = "IIQIIIH2xQQQQqI4xqI4xqI4xqI4xIIIIQII12Q"
STATX_ALL = struct.Struct("=" + STATX_CODES)
STATX_INODE = 7  # index among its values
AT_STATX_SYNC_TYPE = 0x6000
# What a value is called in the guest's structures, in the order of `Shape.values`.
NAMES = (
    ("st_dev",),
    ("st_ino",),
    ("st_mode",),
    ("st_nlink",),
    ("st_uid",),
    ("st_gid",),
    ("st_rdev",),
    ("st_size",),
    ("st_blksize",),
    ("st_blocks",),
    ("st_atime",),
    ("st_atime_nsec",),
    ("st_mtime",),
    ("st_mtime_nsec",),
    ("st_ctime",),
    ("st_ctime_nsec",),
    ("__st_ino",),
)


def encode_device(major: int, minor: int) -> int:
    """new_encode_dev of linux/kdev_t.h."""
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


class Shape:
    """How one guest structure is filled."""

    __slots__ = ("bits", "full", "narrow", "plan", "struct", "wide_size")

    def __init__(self, layout: "CStruct", bits: int) -> None:
        self.struct = layout
        self.bits = bits
        order = {name: index for index, names in enumerate(NAMES) for name in names}
        zeros = layout.unpack(bytes(layout.size))  # padding, in the shape that pack wants
        self.plan = tuple(
            (order.get(name, -1), zero) for name, zero in zip(layout.names, zeros, strict=True)
        )
        self.narrow = {
            name for name in ("st_dev", "st_rdev", "st_uid") if _holds(layout, name) == 16
        }
        self.wide_size = _holds(layout, "st_size") == 64

    def pack(self, raw: "bytes | bytearray") -> bytes:
        """The guest's bytes from a host struct statx. EOVERFLOW."""
        (
            _, block_size, _, links, uid, gid, mode, inode, size, blocks, _,
            atime, atime_ns, _, _, ctime, ctime_ns, mtime, mtime_ns, rmajor, rminor, major, minor,
        ) = STATX.unpack_from(raw)  # fmt: skip
        device, special = encode_device(major, minor), encode_device(rmajor, rminor)
        if self.bits == 32:
            inode = fold_inode(inode)
            if not self.wide_size:
                if size > MAX_NON_LFS:
                    raise GuestError(EOVERFLOW)
                blocks &= 0xFFFFFFFF
            atime, mtime, ctime = atime & 0xFFFFFFFF, mtime & 0xFFFFFFFF, ctime & 0xFFFFFFFF
            if self.narrow:
                if "st_dev" in self.narrow and (major | minor | rmajor | rminor) > 0xFF:
                    raise GuestError(EOVERFLOW)
                if "st_uid" in self.narrow:
                    uid = uid if uid <= 0xFFFF else OVERFLOW_ID
                    gid = gid if gid <= 0xFFFF else OVERFLOW_ID
        values = (
            device, inode, mode, links, uid, gid, special, size, block_size, blocks,
            atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns, inode,
        )  # fmt: skip
        try:
            return self.struct.pack(
                [values[index] if index >= 0 else zero for index, zero in self.plan]
            )
        except OverflowError:
            raise GuestError(EOVERFLOW) from None


def _holds(layout: "CStruct", field: str) -> int:
    """Bits of an integer field; 0 when the structure has none of the name."""
    if field not in layout.offsets:
        return 0
    for bits in (16, 32):
        try:
            layout.pack({field: 1 << bits - 1 | 1 << bits})
        except OverflowError:
            return bits
    return 64


class StatBuffer(Address):
    """Where struct stat goes, or struct stat64 in the calls of variant stat64: the handler gets a StatTarget."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        layout = structs.stat64 if row.variant == "stat64" else structs.stat
        shape = Shape(layout.of(arch.model), arch.model.bits)
        return lambda task, raw: StatTarget(raw, shape)


class StatTarget(StatBuffer):
    """A guest address that knows the structure to write there."""

    shape: Shape

    def __new__(cls, address: int, shape: Shape) -> "StatTarget":
        self = super().__new__(cls, address)
        self.shape = shape
        return self


def _stat(task: "Task", dirfd: int, path: bytes, flags: int, target: StatBuffer) -> int:
    """flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH as they came; the host's statx refuses the others."""
    assert isinstance(target, StatTarget)
    at, name = located(task, dirfd, path, not flags & AT_SYMLINK_NOFOLLOW)
    buffer = bytearray(STATX_SIZE)
    result = quick(SYS["statx"], at, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, buffer)
    if result < 0:
        return result
    task.memory.access.write(target, target.shape.pack(buffer))
    return 0


def located(task: "Task", dirfd: int, path: bytes, follow: bool) -> "tuple[int, bytes]":
    """Host (dirfd, path) of a file whose status is asked, the program's own /proc entries included."""
    if not path:
        return dirfd, path
    if follow and procfs.suspicious(path):
        redirected = procfs.followed(task, dirfd, path)
        if redirected is not None:
            return AT_FDCWD, redirected
    return task.view.resolve(dirfd, path, follow)


@syscall
def newstat(task: "Task", path: Path, buf: StatBuffer) -> int:
    """stat(2), stat64(2)."""
    return _stat(task, AT_FDCWD, path, 0, buf)


@syscall
def newlstat(task: "Task", path: Path, buf: StatBuffer) -> int:
    """lstat(2), lstat64(2)."""
    return _stat(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, buf)


@syscall
def newfstat(task: "Task", fd: Fd, buf: StatBuffer) -> int:
    """fstat(2), fstat64(2)."""
    if fd < 0:
        raise GuestError(EBADF)  # AT_FDCWD among them
    return _stat(task, fd, b"", AT_EMPTY_PATH, buf)


@syscall
def newfstatat(task: "Task", dirfd: Fd, path: Path, buf: StatBuffer, flags: Int) -> int:
    """newfstatat(2), fstatat64(2). EINVAL for a flag that is none of its own."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE):
        raise GuestError(EINVAL)
    return _stat(task, dirfd, path, flags, buf)


@syscall
def statx(task: "Task", dirfd: Fd, path: OptionalPath, flags: Int, mask: UInt, buf: Address) -> int:
    """statx(2). NULL for the path is the empty path since Linux 6.11; it is so here on every host."""
    if flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE or mask & STATX_RESERVED:
        raise GuestError(EINVAL)
    if path is None and not flags & AT_EMPTY_PATH:
        raise GuestError(EFAULT)
    at, name = located(task, dirfd, path or b"", not flags & AT_SYMLINK_NOFOLLOW)
    buffer = bytearray(STATX_SIZE)
    result = quick(SYS["statx"], at, name, flags, mask, buffer)
    if result < 0:
        return result
    model = task.arch.model
    if model.bits == 32 or model.big:
        values = list(STATX_ALL.unpack(buffer))
        if model.bits == 32:
            values[STATX_INODE] = fold_inode(values[STATX_INODE])
        buffer = bytearray(struct.pack(model.prefix + STATX_CODES, *values))
    task.memory.access.write(buf, buffer)
    return 0
