"""Clocks, sleeping and timers.

Times are the host's, converted to the guest's words (timespecs.py). Timers are the host's as well: their ids are the
host's ids, their signals go the way of every signal of the guest. What the kernel forgets at execve, exec has to
delete,
because our execve stays in the host process: runtime/task/timers.py.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EFAULT, EINTR, EINVAL, GuestError
from runtime.syscalls.kinds import Address, Fd, Int, OpenFlags, UInt
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import (
    HOST_ITIMERSPEC,
    HOST_TIMESPEC,
    USEC,
    ItimerspecIn,
    ItimerspecOut,
    ItimervalIn,
    ItimervalOut,
    TimespecIn,
    TimespecOut,
    TimevalIn,
    TimevalOut,
    TmsOut,
    long_codec,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

CLOCK_REALTIME = 0
TIMER_ABSTIME = 1
ITIMER_REAL = 0
SIGALRM = 14
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID = 0, 1, 4
SIGEV_SIZE = 64  # struct sigevent, every ABI


# Clocks --------------------------------------------------------------------------------------------------------------
@syscall(fast="clock_gettime64")
def clock_gettime(task: "Task", clock: Int, tp: TimespecOut) -> int:
    """clock_gettime(2)."""
    host = bytearray(16)
    result = quick(SYS["clock_gettime"], clock, host)
    if result == 0:
        tp.put(*HOST_TIMESPEC.unpack(host))
    return result


@syscall
def clock_getres(task: "Task", clock: Int, tp: TimespecOut) -> int:
    """clock_getres(2)."""
    host = bytearray(16)
    result = quick(SYS["clock_getres"], clock, host)
    if result == 0 and tp:
        tp.put(*HOST_TIMESPEC.unpack(host))
    return result


@syscall
def clock_settime(task: "Task", clock: Int, tp: TimespecIn) -> int:
    """clock_settime(2)."""
    return quick(SYS["clock_settime"], clock, HOST_TIMESPEC.pack(*_given(tp)))


def _given(value: tuple[int, ...]) -> tuple[int, ...]:
    """A structure that must not be NULL."""
    if not value:
        raise GuestError(EFAULT)
    return value


@syscall
def gettimeofday(task: "Task", tv: TimevalOut, tz: Address) -> int:
    """gettimeofday(2); the time zone is two ints."""
    now, zone = bytearray(16), bytearray(8)
    quick(SYS["gettimeofday"], now, zone)
    if tv:
        tv.put(*HOST_TIMESPEC.unpack(now))
    if tz:
        values = struct.unpack("=ii", zone)
        task.memory.access.write(tz, struct.pack(task.arch.model.prefix + "ii", *values))
    return 0


@syscall
def settimeofday(task: "Task", tv: TimevalIn, tz: Address) -> int:
    """settimeofday(2)."""
    zone: bytes | int = 0
    if tz:
        values = struct.unpack(task.arch.model.prefix + "ii", task.memory.access.read(tz, 8))
        zone = struct.pack("=ii", *values)
    return quick(SYS["settimeofday"], HOST_TIMESPEC.pack(*tv) if tv else 0, zone)


def _seconds() -> int:
    host = bytearray(16)
    quick(SYS["clock_gettime"], CLOCK_REALTIME, host)
    return int(HOST_TIMESPEC.unpack(host)[0])


@syscall
def time(task: "Task", tloc: Address) -> int:
    """time(2)."""
    now = _seconds()
    if tloc:
        long_codec(task.arch, 1).write(task, tloc, (now,))
    return now


@syscall
def stime(task: "Task", tptr: Address) -> int:
    """stime(2): one long."""
    (seconds,) = long_codec(task.arch, 1).read(task, tptr)
    return quick(SYS["clock_settime"], CLOCK_REALTIME, HOST_TIMESPEC.pack(seconds, 0))


@syscall
def times(task: "Task", buf: TmsOut) -> int:
    """times(2): clock ticks, 100 in a second on every ABI that we have."""
    host = bytearray(32)
    result = quick(SYS["times"], host)
    if buf:
        buf.put(*struct.unpack("=qqqq", host))
    return result & ((1 << task.arch.model.bits) - 1) if result >= 0 else result


# struct timex: modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance, time (2), tick,
# ppsfreq,
# jitter, shift, stabil, jitcnt, calcnt, errcnt, stbcnt, tai, padding. include/uapi/linux/timex.h.
_TIMEX64 = "I4xqqqqi4xqqqqqqqqi4xqqqqqi44x"
_TIMEX32 = "Iiiiiiiiiiiiiiiiiiiii44x"
_HOST_TIMEX = struct.Struct("=" + _TIMEX64)


def _adjust(task: "Task", address: int, time32: bool, number: str, *clock: int) -> int:
    guest = struct.Struct(task.arch.model.prefix + (_TIMEX32 if time32 else _TIMEX64))
    values = guest.unpack(task.memory.access.read(address, guest.size))
    host = bytearray(_HOST_TIMEX.pack(*values))
    result = quick(SYS[number], *clock, host)
    if result >= 0:
        out = _HOST_TIMEX.unpack(host)
        if time32:
            out = tuple(
                v if i == 0 else ((v + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
                for i, v in enumerate(out)
            )
        task.memory.access.write(address, guest.pack(*out))
    return result


@syscall
def adjtimex(task: "Task", buf: Address) -> int:
    """adjtimex(2): old timex of longs on every ABI."""
    return _adjust(task, buf, task.arch.model.bits == 32, "adjtimex")


class TimexAddress(Address):
    """struct timex *: the low bit of what the handler gets says that it is the 32-bit one (the address is aligned
    to 4)."""

    @classmethod
    def bind(cls, arch, row):  # type: ignore[no-untyped-def]
        return (lambda task, raw: raw | 1) if row.variant == "time32" else None


@syscall
def clock_adjtime(task: "Task", clock: Int, buf: TimexAddress) -> int:
    """clock_adjtime(2)."""
    return _adjust(task, buf & ~1, bool(buf & 1), "clock_adjtime", clock)


# Sleeping ------------------------------------------------------------------------------------------------------------
@syscall
def nanosleep(task: "Task", request: TimespecIn, remaining: TimespecOut) -> int:
    """nanosleep(2): after a handler the remaining time is written and the answer is EINTR, whatever SA_RESTART
    says."""
    left = bytearray(16)
    result = wait(SYS["nanosleep"], HOST_TIMESPEC.pack(*_given(request)), left)
    if result == -EINTR and remaining:
        remaining.put(*HOST_TIMESPEC.unpack(left))
    return result


@syscall
def clock_nanosleep(
    task: "Task", clock: Int, flags: Int, request: TimespecIn, remaining: TimespecOut
) -> int:
    """clock_nanosleep(2)."""
    left = bytearray(16)
    host = HOST_TIMESPEC.pack(*_given(request))
    result = wait(SYS["clock_nanosleep"], clock, flags, host, left)
    if result == -EINTR and remaining and not flags & TIMER_ABSTIME:
        remaining.put(*HOST_TIMESPEC.unpack(left))
    return result


# Interval timers -----------------------------------------------------------------------------------------------------
@syscall
def getitimer(task: "Task", which: Int, value: ItimervalOut) -> int:
    """getitimer(2)."""
    host = bytearray(32)
    result = quick(SYS["getitimer"], which, host)
    if result == 0:
        value.put(*HOST_ITIMERSPEC.unpack(host))
    return result


@syscall
def setitimer(task: "Task", which: Int, value: ItimervalIn, old: ItimervalOut) -> int:
    """setitimer(2). A NULL value stops the timer (the kernel warns, and does it)."""
    host = bytearray(32)
    result = quick(SYS["setitimer"], which, HOST_ITIMERSPEC.pack(*(value or (0, 0, 0, 0))), host)
    if result == 0 and old:
        old.put(*HOST_ITIMERSPEC.unpack(host))
    return result


@syscall
def alarm(task: "Task", seconds: UInt) -> int:
    """alarm(2) by setitimer, as not every host has it. The rest is rounded as in kernel/time/itimer.c."""
    host = bytearray(32)
    quick(
        SYS["setitimer"], ITIMER_REAL, HOST_ITIMERSPEC.pack(0, 0, min(seconds, 0x7FFFFFFF), 0), host
    )
    _, _, left, microseconds = HOST_ITIMERSPEC.unpack(host)
    if microseconds >= USEC // 2 or (not left and microseconds):
        left += 1
    return int(left)


# POSIX timers --------------------------------------------------------------------------------------------------------
def host_sigevent(task: "Task", address: int) -> bytes:
    """The guest's struct sigevent as the host's.

    sigev_value is a word of the guest: as an unsigned number it fits the host's, and comes back by the same number in
    siginfo. A 32-bit guest's sival_int and sival_ptr are the same word, a 64-bit little-endian guest's int is the
    low half.
    """
    model = task.arch.model
    data = task.memory.access.read(address, SIGEV_SIZE)
    code = f"{model.prefix}{'Q' if model.bits == 64 else 'I'}iii"
    value, signo, notify, tid = struct.unpack_from(code, data)
    if notify & ~SIGEV_THREAD_ID == SIGEV_SIGNAL:
        signo = task.arch.constants.decode("signal", signo)
    return struct.pack("=Qiii44x", value, signo, notify, tid)


@syscall
def timer_create(task: "Task", clock: Int, event: Address, timer: Address) -> int:
    """timer_create(2)."""
    host_event: bytes | int = host_sigevent(task, event) if event else 0
    identity = bytearray(4)
    result = quick(SYS["timer_create"], clock, host_event, identity)
    if result:
        return result
    (number,) = struct.unpack("=i", identity)
    try:
        task.memory.access.write(timer, struct.pack(task.arch.model.prefix + "i", number))
    except Exception:
        quick(SYS["timer_delete"], number)
        raise
    task.process.timers.add(number)
    return 0


@syscall
def timer_settime(
    task: "Task", timer: Int, flags: Int, value: ItimerspecIn, old: ItimerspecOut
) -> int:
    """timer_settime(2)."""
    if not value:
        raise GuestError(EINVAL)
    host = bytearray(32)
    result = quick(SYS["timer_settime"], timer, flags, HOST_ITIMERSPEC.pack(*value), host)
    if result == 0 and old:
        old.put(*HOST_ITIMERSPEC.unpack(host))
    return result


@syscall
def timer_gettime(task: "Task", timer: Int, value: ItimerspecOut) -> int:
    """timer_gettime(2)."""
    host = bytearray(32)
    result = quick(SYS["timer_gettime"], timer, host)
    if result == 0:
        value.put(*HOST_ITIMERSPEC.unpack(host))
    return result


@syscall
def timer_getoverrun(task: "Task", timer: Int) -> int:
    """timer_getoverrun(2)."""
    return quick(SYS["timer_getoverrun"], timer)


@syscall
def timer_delete(task: "Task", timer: Int) -> int:
    """timer_delete(2)."""
    result = quick(SYS["timer_delete"], timer)
    if result == 0:
        task.process.timers.discard(timer)
    return result


# Timers as descriptors
# -----------------------------------------------------------------------------------------------
@syscall
def timerfd_create(task: "Task", clock: Int, flags: OpenFlags) -> int:
    """timerfd_create(2): TFD_NONBLOCK and TFD_CLOEXEC are O_NONBLOCK and O_CLOEXEC of the ABI."""
    return quick(SYS["timerfd_create"], clock, flags)


@syscall
def timerfd_settime(
    task: "Task", fd: Fd, flags: Int, value: ItimerspecIn, old: ItimerspecOut
) -> int:
    """timerfd_settime(2)."""
    host = bytearray(32)
    request = HOST_ITIMERSPEC.pack(*_given(value))
    result = quick(SYS["timerfd_settime"], fd, flags, request, host)
    if result == 0 and old:
        old.put(*HOST_ITIMERSPEC.unpack(host))
    return result


@syscall
def timerfd_gettime(task: "Task", fd: Fd, value: ItimerspecOut) -> int:
    """timerfd_gettime(2)."""
    host = bytearray(32)
    result = quick(SYS["timerfd_gettime"], fd, host)
    if result == 0:
        value.put(*HOST_ITIMERSPEC.unpack(host))
    return result
