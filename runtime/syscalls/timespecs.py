"""Kinds for times: timespec, timeval and what is made of them, in whichever width the row has.

Two widths of a time word exist: `time32` rows have 32 bits, every other row has 64 (on a 64-bit ABI that is the
native structure, on a 32-bit one __kernel_timespec). timeval and tms are made of longs on every row, so they need no
variant. The handler sees plain ints; `TimesOut.put` takes them back.
"""

import struct

from runtime.abi.errors import GuestError
from runtime.syscalls.kinds import Argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

HOST_TIMESPEC = struct.Struct("=qq")  # the host is a 64-bit Linux
HOST_ITIMERSPEC = struct.Struct("=qqqq")
NSEC = 1_000_000_000
USEC = 1_000_000


class Codec:
    """Words of time in guest memory.

    `nanoseconds` (none for timeval and longs): the indexes of tv_nsec in 64-bit times of a 32-bit ABI. The kernel looks
    at their low half only; the upper is padding in the C library's structure.
    """

    __slots__ = ("nanoseconds", "size", "struct")

    def __init__(self, prefix: str, code: str, nanoseconds: tuple[int, ...]) -> None:
        self.struct = struct.Struct(prefix + code)
        self.size = self.struct.size
        self.nanoseconds = nanoseconds

    def read(self, task: "Task", address: int) -> tuple[int, ...]:
        values = self.struct.unpack(task.memory.access.read(address, self.size))
        if not self.nanoseconds:
            return values
        return tuple(v & 0xFFFFFFFF if i in self.nanoseconds else v for i, v in enumerate(values))

    def write(self, task: "Task", address: int, values: "tuple[int, ...]") -> None:
        """Values too wide for the guest's word are cut, as the kernel's conversion does."""
        try:
            data = self.struct.pack(*values)
        except struct.error:
            bits = 8 * self.size // len(values)
            half = 1 << bits - 1
            data = self.struct.pack(*(((v + half) & (half * 2 - 1)) - half for v in values))
        task.memory.access.write(address, data)


def time_codec(arch: "Architecture", variant: str, count: int) -> Codec:
    """`count` words of timespec or itimerspec."""
    if variant == "time32":
        return Codec(arch.model.prefix, "i" * count, ())
    odd = tuple(range(1, count, 2)) if arch.model.bits == 32 else ()
    return Codec(arch.model.prefix, "q" * count, odd)


def long_codec(arch: "Architecture", count: int) -> Codec:
    """`count` longs: timeval, itimerval, tms."""
    return Codec(arch.model.prefix, ("q" if arch.model.bits == 64 else "i") * count, ())


class TimesOut:
    """Where a call's time goes. False when the guest passed NULL."""

    __slots__ = ("address", "codec", "task")

    def __init__(self, task: "Task", codec: Codec, address: int) -> None:
        self.task = task
        self.codec = codec
        self.address = address

    def __bool__(self) -> bool:
        return self.address != 0

    def put(self, *values: int) -> None:
        """EFAULT when the guest's memory there can't be written."""
        self.codec.write(self.task, self.address, values)


def _show(task: "Task", codec: Codec, raw: int) -> str:
    if not raw:
        return "NULL"
    try:
        return "{" + ", ".join(map(str, codec.read(task, raw))) + "}"
    except GuestError:  # a trace never disturbs the program
        return hex(raw)


class _Words(Argument):
    """Pointer to `count` words; `longs`: they are longs, not words of time."""

    count = 2
    longs = False

    @classmethod
    def codec(cls, arch: "Architecture", variant: str) -> Codec:
        return long_codec(arch, cls.count) if cls.longs else time_codec(arch, variant, cls.count)


class _WordsIn(_Words):
    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        codec = cls.codec(arch, row.variant)
        return lambda task, raw: codec.read(task, raw) if raw else None

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        return _show(task, cls.codec(task.arch, task.trace_variant), raw)


class _WordsOut(_Words):
    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        codec = cls.codec(arch, row.variant)
        return lambda task, raw: TimesOut(task, codec, raw)

    @classmethod
    def show(cls, task: "Task", raw: int, following: int, result: int) -> str:
        if result < 0:
            return hex(raw) if raw else "NULL"
        return _show(task, cls.codec(task.arch, task.trace_variant), raw)


if TYPE_CHECKING:
    # What the handlers get: a tuple, empty standing for None; or a TimesOut.
    class TimespecIn(tuple[int, ...]): ...

    class TimespecOut(TimesOut): ...

    class ItimerspecIn(tuple[int, ...]): ...

    class ItimerspecOut(TimesOut): ...

    class TimevalIn(tuple[int, ...]): ...

    class TimevalOut(TimesOut): ...

    class ItimervalIn(tuple[int, ...]): ...

    class ItimervalOut(TimesOut): ...

    class TmsOut(TimesOut): ...

    class TimespecInOut(TimesOut): ...

    class TimevalInOut(TimesOut): ...

else:

    class TimespecIn(_WordsIn):
        """const struct timespec *: (seconds, nanoseconds) or None."""

    class TimespecOut(_WordsOut):
        """struct timespec *, written."""

    class TimespecInOut(_WordsOut):
        """struct timespec *, read and written back (ppoll, pselect6): a TimesOut, whose codec also reads."""

    class ItimerspecIn(_WordsIn):
        """const struct itimerspec *: (interval seconds, nanoseconds, value seconds, nanoseconds)."""

        count = 4

    class ItimerspecOut(_WordsOut):
        count = 4

    class TimevalIn(_WordsIn):
        """const struct timeval *: (seconds, microseconds) or None."""

        longs = True

    class TimevalOut(_WordsOut):
        longs = True

    class TimevalInOut(_WordsOut):
        longs = True

    class ItimervalIn(_WordsIn):
        count = 4
        longs = True

    class ItimervalOut(_WordsOut):
        count = 4
        longs = True

    class TmsOut(_WordsOut):
        count = 4
        longs = True
