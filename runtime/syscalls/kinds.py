"""What a system call's arguments are: each annotation class decodes a register and shows it for --strace.

A handler's signature is the one place that says what its arguments are:

    @syscall
    def pread64(task: Task, fd: Fd, buf: OutBuffer, count: Size, pos: Loff) -> int: ...

The classes derive from the Python type the handler receives (an `Fd` is a plain int at run time; the class is never
instantiated), so a type checker sees ints and bytes. `bind` is asked once per (architecture, table row) and answers
with the decoder, or None when the register already is the value.
"""

from runtime.abi.errors import GuestError
from runtime.abi.linux import PATH_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic, TypeAlias, TypeVar

    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.task.task import Task

    Decoder = Callable[[Task, int], Any]
    T = TypeVar("T")

SHOWN_BYTES = 32  # of a buffer or string, as strace shows by default


def quote(data: bytes) -> str:
    """Bytes as a C string, shortened."""
    text = "".join(
        chr(b) if 32 <= b < 127 and b not in (34, 92) else _ESCAPES.get(b) or f"\\{b:03o}"
        for b in data[:SHOWN_BYTES]
    )
    return f'"{text}"' + ("..." if len(data) > SHOWN_BYTES else "")


_ESCAPES = {10: "\\n", 9: "\\t", 13: "\\r", 34: '\\"', 92: "\\\\", 0: "\\0"}


class Argument:
    """Base of all kinds: an unsigned register passed as it is, shown in hexadecimal."""

    pair = False  # a 64-bit value, which takes two registers of a 32-bit ABI

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return None

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        """raw: the register (or pair); following: the next argument's, a buffer's length; result: of the call."""
        return hex(raw)


def _int32(task: "Task", raw: int) -> int:
    return ((raw & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def _uint32(task: "Task", raw: int) -> int:
    return raw & 0xFFFFFFFF


def _int64(task: "Task", raw: int) -> int:
    return (raw ^ (1 << 63)) - (1 << 63)


class Int(int, Argument):
    """C int: the low 32 bits, signed. The upper half of a 64-bit register is not looked at, as in the kernel."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return _int32

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return str(_int32(task, raw))


class UInt(int, Argument):
    """C unsigned int."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return _uint32 if arch.elf_class == 64 else None

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return str(raw & 0xFFFFFFFF)


class Long(int, Argument):
    """C long of the guest, signed."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return _int64 if arch.elf_class == 64 else _int32

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return str((_int64 if task.arch.elf_class == 64 else _int32)(task, raw))


class ULong(int, Argument):
    """C unsigned long of the guest."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return str(raw)


class Size(ULong):
    """size_t of the guest."""


class Address(int, Argument):
    """A guest pointer."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return hex(raw) if raw else "NULL"


class Loff(int, Argument):
    """loff_t: signed 64 bits; on a 32-bit ABI two registers, in the ABI's order, from an even one where it says so."""

    pair = True

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return _int64

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return str(_int64(task, raw))


class U64(Loff):
    """A 64-bit word that is no offset (fanotify masks, fadvise lengths)."""


class Fd(Int):
    """A file descriptor. Guest and host descriptors are the same numbers."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        number = _int32(task, raw)
        return "AT_FDCWD" if number == -100 else str(number)


class Mode(UInt):
    """mode_t, shown in octal."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return f"{raw & 0xFFFFFFFF:#o}"


class Path(bytes, Argument):
    """A guest path: bytes without the NUL. EFAULT; ENAMETOOLONG from PATH_MAX on."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        return _path

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return show_string(task, raw)


def _path(task: "Task", raw: int) -> bytes:
    return task.memory.access.string(raw, PATH_MAX)


def show_string(task: "Task", address: int) -> str:
    if not address:
        return "NULL"
    try:
        return quote(task.memory.access.string(address, PATH_MAX))
    except GuestError:  # a trace never disturbs the program
        return hex(address)


class Text(Path):
    """A NUL-terminated string that is no path (a host name, an attribute's name)."""


class InBuffer(Address):
    """Address of bytes the call reads; their number is the next argument."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        try:
            return quote(task.memory.access.read(raw, min(following, SHOWN_BYTES + 1)))
        except GuestError:  # a trace never disturbs the program
            return hex(raw)


class OutBuffer(Address):
    """Address of bytes the call writes; their room is the next argument, how many came is the result."""

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return InBuffer.show(task, raw, result, result) if result >= 0 else hex(raw)


class Flags(Int):
    """A flag word in the guest's numbering, given to the handler in Linux's generic numbering. `domain` names the table
    in the architecture's constants that tells the two apart; a subclass per domain."""

    domain = ""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        translate = arch.constants.decoder(cls.domain)
        if translate is None:
            return _int32
        return lambda task, raw: translate(_int32(task, raw))

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return task.arch.constants.show(cls.domain, _int32(task, raw))


class OpenFlags(Flags):
    domain = "open"


class MmapFlags(Flags):
    domain = "mmap"


class Signal(Flags):
    """A signal number."""

    domain = "signal"


class SocketType(Flags):
    domain = "socket_type"


class SocketLevel(Flags):
    domain = "socket_level"


class FcntlCommand(Flags):
    domain = "fcntl"


class Resource(Flags):
    domain = "resource"


class SigHow(Flags):
    domain = "sighow"


class OutStruct:
    """Where a call's struct goes: `put` writes it in the guest's layout. False when the guest passed NULL."""

    __slots__ = ("address", "layout", "task")

    def __init__(self, task: "Task", layout: "Any", address: int) -> None:
        self.task = task
        self.layout = layout
        self.address = address

    def __bool__(self) -> bool:
        return self.address != 0

    def put(self, *values: "Any") -> None:
        """EFAULT when the guest's memory there can't be written, NULL included."""
        self.task.memory.access.write(self.address, self.layout.pack(values))


if TYPE_CHECKING:
    OptionalPath: TypeAlias = bytes | None

    class In(tuple[Any, ...], Generic[T]):
        """Pointer to a struct the call reads: the handler gets the tuple of its fields, or None for NULL."""

    class Out(OutStruct, Generic[T]):
        """Pointer to a struct the call writes: the handler gets an OutStruct."""

else:

    class OptionalPath(Path):
        """A path that may be NULL: then None."""

        @classmethod
        def bind(cls, arch, row):
            return lambda task, raw: _path(task, raw) if raw else None

    class In(Argument):
        """Pointer to a struct the call reads: the handler gets the tuple of its fields, or None for NULL."""

        def __class_getitem__(cls, layout):
            return type(f"In[{layout.__name__}]", (cls,), {"layout": layout})

        @classmethod
        def bind(cls, arch, row):
            struct = cls.layout.of(arch.model, row.variant)
            size, unpack = struct.size, struct.unpack

            def read(task, raw):
                return unpack(task.memory.access.read(raw, size)) if raw else None

            return read

        @classmethod
        def show(cls, task, raw, following, result):
            return _show_struct(task, cls.layout, raw)

    class Out(Argument):
        """Pointer to a struct the call writes: the handler gets an OutStruct."""

        def __class_getitem__(cls, layout):
            return type(f"Out[{layout.__name__}]", (cls,), {"layout": layout})

        @classmethod
        def bind(cls, arch, row):
            struct = cls.layout.of(arch.model, row.variant)
            return lambda task, raw: OutStruct(task, struct, raw)

        @classmethod
        def show(cls, task, raw, following, result):
            return _show_struct(task, cls.layout, raw) if result >= 0 else hex(raw)


def _show_struct(task: "Task", layout: "Any", address: int) -> str:
    if not address:
        return "NULL"
    try:
        struct = layout.of(task.arch.model, task.trace_variant)
        values = struct.unpack(task.memory.access.read(address, struct.size))
        names = struct.names
    except GuestError:  # a trace never disturbs the program
        return hex(address)
    shown = ", ".join(
        f"{n}={v if not isinstance(v, bytes) else quote(v)}"
        for n, v in zip(names, values, strict=False)
    )
    return "{" + shown + "}"
