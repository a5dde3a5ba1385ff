"""Clocks and timers: words of both widths, what is written back, errors."""

import errno
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.arch import ARCHITECTURES, load
from runtime.syscalls import time as time_calls  # noqa: F401 (registers)
from runtime.syscalls.timespecs import time_codec
from runtime.task.timers import delete_timers
from tests.unit.syscalls.bare_guest import BareGuest

WIDTHS = [
    (name, variant, code)
    for name in ARCHITECTURES
    for variant, code in (("", "qq"), ("time32", "ii"))
    if variant == "" or load(name).model.bits == 32
]


@pytest.mark.parametrize(("name", "variant", "code"), WIDTHS)
def test_clock_gettime_in_both_widths(name, variant, code):
    bare = BareGuest(name)
    at = bare.room(16)
    before = int(time.time())
    assert bare.call("clock_gettime", 0, at, variant=variant) == 0
    seconds, nanoseconds = bare.unpack(code, at)
    assert before <= seconds <= before + 5
    assert 0 <= nanoseconds < 1_000_000_000


def test_errors(bare):
    assert bare.call("clock_gettime", 12345, bare.room(16)) == -errno.EINVAL
    assert bare.call("clock_gettime", 0, 0) == -errno.EFAULT
    assert bare.call("nanosleep", 0, 0) == -errno.EFAULT
    assert bare.call("nanosleep", bare.put(bare.pack("qq", 0, 1_000_000_000)), 0) == -errno.EINVAL
    assert bare.call("clock_getres", 0, 0) == 0


def test_upper_half_of_nanoseconds_is_padding_on_32_bits(bare):
    """A C library of a 32-bit ABI does not clear it."""
    request = bare.put(bare.pack("qq", 0, (0xABCD << 32) + 1000))
    expected = 0 if bare.arch.model.bits == 32 else -errno.EINVAL
    assert bare.call("nanosleep", request, 0) == expected


def test_gettimeofday_and_time(bare):
    tv, tz, seconds_at = bare.room(16), bare.room(8), bare.room(8)
    assert bare.call("gettimeofday", tv, tz) == 0
    seconds, microseconds = bare.unpack("ll", tv)
    assert abs(seconds - time.time()) < 5
    assert 0 <= microseconds < 1_000_000
    assert abs(bare.call("time", seconds_at) - seconds) <= 1
    assert abs(bare.unpack("l", seconds_at)[0] - seconds) <= 1


def test_itimer_reads_back_what_was_set(bare):
    old = bare.room(32)
    value = bare.put(bare.pack("llll", 0, 0, 1000, 500_000))
    try:
        assert bare.call("setitimer", 0, value, 0) == 0
        assert bare.call("getitimer", 0, old) == 0
        interval, _, seconds, _ = bare.unpack("llll", old)
        assert interval == 0
        assert seconds in (999, 1000)
        assert bare.call("alarm", 0) in (1000, 1001)
        assert bare.call("alarm", 0) == 0
    finally:
        assert bare.call("setitimer", 0, 0, 0) == 0


def test_posix_timer_life(bare):
    event = bare.put(bare.pack("Liii", 0x1234, 0, 1, 0).ljust(64, b"\0"))  # SIGEV_NONE
    where = bare.room(4)
    assert bare.call("timer_create", 1, event, where) == 0
    (timer,) = bare.unpack("i", where)
    assert bare.task.process.timers == {timer}
    value = bare.put(bare.pack("qqqq", 0, 0, 500, 7))
    assert bare.call("timer_settime", timer, 0, value, 0) == 0
    left = bare.room(32)
    assert bare.call("timer_gettime", timer, left) == 0
    assert bare.unpack("qqqq", left)[2] in (499, 500)
    delete_timers(bare.task.process)
    assert bare.call("timer_gettime", timer, left) == -errno.EINVAL
    assert bare.task.process.timers == set()


def test_timer_create_undone_when_its_id_can_not_be_stored(bare):
    assert bare.call("timer_create", 1, 0, 8) == -errno.EFAULT
    assert bare.task.process.timers == set()


def test_adjtimex_reads(bare):
    size = 208 if bare.arch.model.bits == 64 else 128
    at = bare.room(size)
    assert bare.call("adjtimex", at) >= 0
    tick_at = 88 if bare.arch.model.bits == 64 else 44
    assert 9000 <= bare.unpack("l", at + tick_at)[0] <= 11000


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 999_999_999), st.sampled_from(WIDTHS))
def test_codec_round_trip(seconds, nanoseconds, width):
    name, variant, _ = width
    memory: dict[int, bytes] = {}

    class FakeTask:
        class memory:
            class access:
                @staticmethod
                def read(at, size):
                    return memory[at][:size]

                @staticmethod
                def write(at, data):
                    memory[at] = data

    codec = time_codec(load(name), variant, 2)
    task: Any = FakeTask
    codec.write(task, 0, (seconds, nanoseconds))
    assert codec.read(task, 0) == (seconds, nanoseconds)


def test_seconds_too_wide_for_the_word_are_cut():
    bare = BareGuest("mips")
    at = bare.room(8)
    time_codec(bare.arch, "time32", 2).write(bare.task, at, ((1 << 32) + 5, 0))
    assert bare.unpack("ii", at) == (5, 0)
