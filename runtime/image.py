"""IDENTIFY: the first bytes of a file -> Image, or one line that says why it cannot be run.

What it is not: the loader. Nothing is mapped here, and nothing that was read is trusted later without having been
checked here: the loader may take every number in an Image as it stands.

The odd thing: the kernel answers ENOEXEC before execve's point of no return, and kills the program with SIGSEGV when a
header turns out to be nonsense after it. Everything is checked here, so both become an error number and a line for the
user. Stricter than fs/binfmt_elf.c on purpose: segments that overlap and an alignment that is not a power of two are
refused (the kernel maps the later one over the earlier, and ignores the alignment); nobody links such a file.

Sources: fs/binfmt_elf.c (load_elf_binary, load_elf_phdrs, load_elf_interp), fs/exec.c (do_open_execat), elf(5).
"""

import errno
import os
import struct

from runtime import arch
from runtime._core import HOST_MACHINE, KICK_SIGNAL, SYS, quick_syscall
from runtime.abi.linux import AT_FDCWD, PATH_MAX, S_IFDIR, S_IFMT, S_IFREG

HEAD = 1024  # bytes of the one read that holds header, program headers and interpreter of nearly every file
HEADERS_MAX = 65536  # bytes of program headers, as load_elf_phdrs

ELF_MAGIC = b"\x7fELF"
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_PHDR, PT_GNU_STACK = 1, 2, 3, 6, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4

_TYPES = {
    0: "an ELF file without a type",
    1: "an object file (ET_REL): link it first",
    4: "a core dump (ET_CORE): open it in a debugger",
}
# e_machine of what people meet, for messages only: what can be run is decided by runtime.arch.
_MACHINES = {
    2: "sparc", 3: "i386", 4: "m68k", 8: "mips", 15: "hppa", 18: "sparc32plus", 20: "powerpc", 21: "ppc64",
    22: "s390x", 40: "arm", 42: "sh4", 43: "sparc64", 50: "ia64", 62: "x86_64", 83: "avr", 92: "or1k", 94: "xtensa",
    164: "hexagon", 183: "aarch64", 189: "microblaze", 243: "riscv", 247: "bpf", 258: "loongarch", 0x9026: "alpha",
}  # fmt: skip

_AT_EMPTY_PATH = 0x1000
_AT_EACCESS, _X_OK = 0x200, 1
_F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_OWNER_TID, _F_RDLCK, _F_UNLCK = 10, 15, 1024, 0, 0, 2
_OPEN_FLAGS = (
    os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
)  # a FIFO or terminal must not stop or adopt us


class ImageError(Exception):
    """A file that cannot be run. `errno`: what execve(2) answers a guest; str(): one line that names the file."""

    def __init__(self, number: int, path: bytes, reason: str) -> None:
        super().__init__(f"{os.fsdecode(path)}: {reason}")
        self.errno = number
        self.path = path
        self.reason = reason


class Segment:
    """One PT_LOAD, checked: filesz <= memsz, memsz > 0, the end inside the address space, align a power of two."""

    __slots__ = ("align", "filesz", "flags", "memsz", "offset", "vaddr")

    def __init__(
        self, offset: int, vaddr: int, filesz: int, memsz: int, flags: int, align: int
    ) -> None:
        self.offset = offset  # bytes
        self.vaddr = vaddr
        self.filesz = filesz
        self.memsz = memsz
        self.flags = flags  # PF_R | PF_W | PF_X
        self.align = align


class Image:
    """What a file is. kind "script": only `path`, `fd`, `identity`, `head` mean anything (see loader/script.py)."""

    __slots__ = (
        "arch",
        "dynamic",
        "e_flags",
        "elf_class",
        "elf_type",
        "entry",
        "fd",
        "head",
        "identity",
        "interpreter",
        "kind",
        "little",
        "machine",
        "native",
        "path",
        "phdr",
        "phentsize",
        "phnum",
        "segments",
        "stack_flags",
    )

    def __init__(
        self, *, kind: str, path: bytes, fd: int, identity: tuple[int, int, int, int], head: bytes
    ) -> None:
        self.kind = kind  # "elf" or "script"
        self.path = path  # as the guest named it
        self.fd = fd  # open for reading; the owner of the Image closes it
        self.identity = (
            identity  # (device, inode, mtime in ns, size): the same numbers, the same bytes
        )
        self.head = head  # the file's first bytes, at most HEAD
        self.native = False  # the host's own kind of program: a host execve runs it
        self.arch = (
            ""  # a name of runtime.arch.ARCHITECTURES, or "" for a native program we do not emulate
        )
        self.machine = ""  # for people
        self.elf_class = 0  # 32 or 64
        self.little = True  # byte order
        self.elf_type = 0  # ET_EXEC or ET_DYN
        self.entry = 0
        self.e_flags = 0
        self.phdr = 0  # address of the program headers before relocation; 0: in no segment
        self.phentsize = 0
        self.phnum = 0
        self.segments: tuple[Segment, ...] = ()  # in the file's order; at least one
        self.interpreter: bytes | None = None
        self.dynamic: tuple[int, int] | None = (
            None  # PT_DYNAMIC: (file offset, bytes), inside the file
        )
        self.stack_flags: int | None = None  # PT_GNU_STACK's p_flags; None: no such header

    @property
    def low(self) -> int:
        """Lowest address of a segment."""
        return min(segment.vaddr for segment in self.segments)

    @property
    def high(self) -> int:
        """First address above all segments."""
        return max(segment.vaddr + segment.memsz for segment in self.segments)

    @property
    def min_align(self) -> int:
        """The smallest p_align: no page size above it is sure to work."""
        return min(segment.align for segment in self.segments)

    @property
    def max_align(self) -> int:
        return max(segment.align for segment in self.segments)


class _Header:
    """The ELF header's fields that matter here."""

    __slots__ = (
        "data",
        "elf_class",
        "entry",
        "flags",
        "machine",
        "phentsize",
        "phnum",
        "phoff",
        "prefix",
        "type",
    )

    def __init__(self, head: bytes, path: bytes) -> None:
        classes, orders = {1: 32, 2: 64}, {1: "<", 2: ">"}
        if len(head) < 52 or (head[4] == 2 and len(head) < 64):
            raise ImageError(
                errno.ENOEXEC,
                path,
                f"the ELF header is cut off after {len(head)} bytes: the file is incomplete",
            )
        if head[4] not in classes:
            raise ImageError(
                errno.ENOEXEC,
                path,
                f"the ELF header has class {head[4]}, neither 32-bit (1) nor 64-bit (2)",
            )
        if head[5] not in orders:
            raise ImageError(
                errno.ENOEXEC,
                path,
                f"the ELF header has byte order {head[5]}, neither little (1) nor big (2) endian",
            )
        self.elf_class = classes[head[4]]
        self.data = head[5]
        self.prefix = orders[head[5]]
        form = "HHIIIIIHHHHHH" if self.elf_class == 32 else "HHIQQQIHHHHHH"
        fields = struct.unpack_from(self.prefix + form, head, 16)
        (
            self.type,
            self.machine,
            _,
            self.entry,
            self.phoff,
            _,
            self.flags,
            _,
            self.phentsize,
            self.phnum,
        ) = fields[:10]

    def describe(self) -> str:
        name = _MACHINES.get(self.machine, f"machine {self.machine}")
        order = {1: "little-endian", 2: "big-endian"}[self.data]
        return f"{name} ({self.elf_class}-bit, {order})"


def open_program(dirfd: int, host_path: bytes, path: bytes, follow: bool = True) -> int:
    """Open a program for identify(), as do_open_execat does: a regular, executable file, not on a noexec mount.

    `host_path` (relative to `dirfd`) comes from the view, `path` is the guest's name for messages. The descriptor is
    close-on-exec. ImageError(ENOENT, EACCES, ELOOP, ENOTDIR, ENAMETOOLONG, ...).
    """
    try:
        flags = _OPEN_FLAGS if follow else _OPEN_FLAGS | os.O_NOFOLLOW
        fd = os.open(host_path, flags, dir_fd=None if dirfd == AT_FDCWD else dirfd)
    except OSError as error:
        raise ImageError(error.errno or errno.EIO, path, _open_reason(error)) from None
    try:
        check_executable(fd, path)
    except ImageError:
        os.close(fd)
        raise
    return fd


def check_executable(fd: int, path: bytes) -> None:
    """ImageError(EACCES) unless execve would take the open file: not a directory or device, x bit, exec mount."""
    mode = os.fstat(fd).st_mode
    if mode & S_IFMT == S_IFDIR:
        raise ImageError(errno.EACCES, path, "is a directory")
    if mode & S_IFMT != S_IFREG:
        raise ImageError(errno.EACCES, path, "is not a regular file")
    if _being_written(fd):
        raise ImageError(errno.ETXTBSY, path, "is open for writing")
    result = quick_syscall(SYS["faccessat2"], fd, b"\0", _X_OK, _AT_EMPTY_PATH | _AT_EACCESS)
    if result == -errno.EACCES:
        hint = (
            "no execute permission (chmod +x)"
            if not mode & 0o111
            else "not executable here (permissions or a noexec mount)"
        )
        raise ImageError(errno.EACCES, path, hint)
    if (
        result < 0 and result != -errno.ENOSYS and not mode & 0o111
    ):  # before Linux 5.8: the mode has to do
        raise ImageError(errno.EACCES, path, "no execute permission (chmod +x)")


def _being_written(fd: int) -> bool:
    """Whether somebody has the file open for writing, which execve(2) refuses (deny_write_access).

    The kernel grants a read lease only to a file that nobody writes. It is given back at once; a writer who comes in
    between waits that long, and what the kernel sends us then is the signal of our own kicks. Where leases are refused
    (another owner's file, without CAP_LEASE), nothing is known and the program runs.
    """
    own = struct.pack("=ii", _F_OWNER_TID, quick_syscall(SYS["gettid"]))
    quick_syscall(SYS["fcntl"], fd, _F_SETOWN_EX, own)
    quick_syscall(SYS["fcntl"], fd, _F_SETSIG, KICK_SIGNAL)
    result = quick_syscall(SYS["fcntl"], fd, _F_SETLEASE, _F_RDLCK)
    if result == 0:
        quick_syscall(SYS["fcntl"], fd, _F_SETLEASE, _F_UNLCK)
    return result == -errno.EAGAIN


def _open_reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno == errno.EACCES:
        return "permission denied: octavo must be able to read the file"
    return (error.strerror or "cannot be opened").lower()


def identify(fd: int, path: bytes) -> Image:
    """Look at an open file. Any bytes at all give an Image or ImageError (ENOEXEC, EINVAL, EACCES, EIO).

    The descriptor stays the caller's in both cases.
    """
    status = os.fstat(fd)
    if status.st_mode & S_IFMT == S_IFDIR:
        raise ImageError(errno.EACCES, path, "is a directory")
    try:
        head = os.pread(fd, HEAD, 0)
    except OSError as error:
        raise ImageError(
            error.errno or errno.EIO, path, f"cannot be read: {error.strerror}"
        ) from None
    identity = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    if head[:2] == b"#!":
        return Image(kind="script", path=path, fd=fd, identity=identity, head=head)
    if head[:4] != ELF_MAGIC:
        raise ImageError(errno.ENOEXEC, path, _not_elf(head))
    image = Image(kind="elf", path=path, fd=fd, identity=identity, head=head)
    _read_elf(image, status.st_size)
    return image


def machine_of(fd: int) -> tuple[str, str]:
    """What an ELF file is for: (for people, a name of runtime.arch.ARCHITECTURES or ""); ("", "") for other files."""
    try:
        head = os.pread(fd, HEAD, 0)
        header = _Header(head, b"") if head[:4] == ELF_MAGIC else None
    except (OSError, ImageError):
        header = None
    if header is None:
        return "", ""
    name = arch.identify(header.elf_class, header.data, header.machine, header.flags)
    return header.describe(), name or ""


def _not_elf(head: bytes) -> str:
    if not head:
        return "the file is empty"
    if ELF_MAGIC.startswith(head):
        return f"the ELF header is cut off after {len(head)} bytes: the file is incomplete"
    if b"\0" not in head:
        return (
            "a text file without a #! line: give it one, or run it with its interpreter (sh FILE)"
        )
    return "not an ELF program and not a #! script"


def _read_elf(image: Image, size: int) -> None:
    header = _Header(image.head, image.path)
    path = image.path
    image.elf_class = header.elf_class
    image.little = header.data == 1
    image.machine = header.describe()
    name = arch.identify(header.elf_class, header.data, header.machine, header.flags)
    image.arch = name or ""
    image.native = _is_native(header)
    if header.type not in (ET_EXEC, ET_DYN):
        raise ImageError(
            errno.ENOEXEC,
            path,
            _TYPES.get(header.type, f"an ELF file of type {header.type}, not a program"),
        )
    if not name and not image.native:
        raise ImageError(
            errno.ENOEXEC,
            path,
            f"a program for {image.machine}, which octavo does not run ({', '.join(arch.ARCHITECTURES)})",
        )
    image.elf_type = header.type
    image.entry = header.entry
    image.e_flags = header.flags
    image.phentsize = header.phentsize
    image.phnum = header.phnum
    _read_program_headers(image, header, size)


def _is_native(header: _Header) -> bool:
    """The host's own architecture, or the 32-bit one that an x86-64 kernel runs too."""
    if header.machine == 3 and header.elf_class == 32:
        return HOST_MACHINE == "x86_64"
    name = arch.identify(header.elf_class, header.data, header.machine, header.flags)
    return name == HOST_MACHINE


def _header_table(image: Image, header: _Header, size: int) -> bytes:
    """The program headers' bytes, all of them in the file. ImageError(ENOEXEC)."""

    def refused(reason: str) -> ImageError:
        return ImageError(errno.ENOEXEC, image.path, reason)

    expected = 32 if header.elf_class == 32 else 56
    if header.phentsize != expected:
        raise refused(
            f"program headers of {header.phentsize} bytes instead of {expected}: the ELF header is damaged"
        )
    length = header.phnum * expected
    if not length:
        raise refused("no program headers: not a program")
    if length > HEADERS_MAX:
        raise refused(f"{header.phnum} program headers, more than the kernel takes")
    end = header.phoff + length
    if end > size:
        raise refused(
            f"the program headers end at byte {end} of a file of {size}: the file is incomplete"
        )
    return _bytes_at(image, header.phoff, length)


def _read_program_headers(image: Image, header: _Header, size: int) -> None:
    table = _header_table(image, header, size)
    form = header.prefix + ("IIIIIIII" if header.elf_class == 32 else "IIQQQQQQ")
    segments: list[Segment] = []
    declared = 0
    for fields in struct.iter_unpack(form, table):
        if header.elf_class == 32:
            kind, offset, vaddr, _, filesz, memsz, flags, align = fields
        else:
            kind, flags, offset, vaddr, _, filesz, memsz, align = fields
        if kind == PT_LOAD and memsz:
            segment = Segment(offset, vaddr, filesz, memsz, flags, align or 1)
            segments.append(_segment(image, segment, len(segments)))
        elif kind == PT_LOAD and filesz:
            reason = "a segment has bytes in the file and none in memory"
            raise ImageError(errno.EINVAL, image.path, reason)
        elif kind == PT_INTERP and image.interpreter is None:
            image.interpreter = _interpreter(image, offset, filesz, size)
        elif kind == PT_DYNAMIC and offset + filesz <= size:
            image.dynamic = (offset, filesz)
        elif kind == PT_GNU_STACK:
            image.stack_flags = flags
        elif kind == PT_PHDR:
            declared = vaddr
    _check_layout(image, segments)
    image.segments = tuple(segments)
    image.phdr = _find_headers(segments, header.phoff) or declared


def _segment(image: Image, segment: Segment, index: int) -> Segment:
    """EINVAL is what load_elf_binary says to a segment that its own checks refuse."""
    where = f"segment {index} (at {segment.vaddr:#x})"
    if segment.align & (segment.align - 1):
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"{where} has the alignment {segment.align:#x}, which is not a power of two",
        )
    if segment.filesz > segment.memsz:
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"{where} has more bytes in the file ({segment.filesz:#x}) than in memory ({segment.memsz:#x})",
        )
    top = 1 << image.elf_class
    if segment.memsz > top >> 1:
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"{where} wants {segment.memsz:#x} bytes of memory, more than a program can have",
        )
    if segment.vaddr + segment.memsz > top:
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"{where} ends at {segment.vaddr + segment.memsz:#x}, outside the address space",
        )
    if segment.offset + segment.filesz >= 1 << 63:
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"{where} starts at byte {segment.offset:#x} of the file, which no file can have",
        )
    return segment


def _check_layout(image: Image, segments: list[Segment]) -> None:
    if not segments:
        raise ImageError(
            errno.EINVAL,
            image.path,
            "no segment to load (PT_LOAD): a debug file? run the program it was split from",
        )
    ordered = sorted(segments, key=lambda segment: segment.vaddr)
    for index, upper in enumerate(ordered[1:]):
        lower = ordered[index]
        if lower.vaddr + lower.memsz > upper.vaddr:
            raise ImageError(
                errno.EINVAL,
                image.path,
                f"the segments at {lower.vaddr:#x} and {upper.vaddr:#x} overlap: the file is damaged",
            )


def _find_headers(segments: list[Segment], phoff: int) -> int:
    """Address of the program headers: in the last PT_LOAD whose file bytes hold them, as load_elf_binary."""
    address = 0
    for segment in segments:
        if segment.offset <= phoff < segment.offset + segment.filesz:
            address = phoff - segment.offset + segment.vaddr
    return address


def _interpreter(image: Image, offset: int, length: int, size: int) -> bytes:
    if not 2 <= length <= PATH_MAX:
        raise ImageError(
            errno.ENOEXEC, image.path, f"the interpreter's path (PT_INTERP) is {length} bytes long"
        )
    if offset + length > size:
        raise ImageError(
            errno.EIO,
            image.path,
            "the interpreter's path (PT_INTERP) lies beyond the file's end: the file is incomplete",
        )
    path = _bytes_at(image, offset, length)
    if path[-1:] != b"\0":
        raise ImageError(
            errno.ENOEXEC, image.path, "the interpreter's path (PT_INTERP) does not end in NUL"
        )
    return path[: path.index(b"\0")]


def _bytes_at(image: Image, offset: int, length: int) -> bytes:
    """`length` bytes of the file, from the head when it holds them. The file may have shrunk since: EIO."""
    if offset + length <= len(image.head):
        return image.head[offset : offset + length]
    try:
        data = os.pread(image.fd, length, offset)
    except OSError as error:
        raise ImageError(
            error.errno or errno.EIO, image.path, f"cannot be read: {error.strerror}"
        ) from None
    if len(data) < length:
        raise ImageError(errno.EIO, image.path, "the file became shorter while it was read")
    return data
