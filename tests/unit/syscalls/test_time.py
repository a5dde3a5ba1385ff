"""Clocks and timers: words of both widths, what is written back, errors."""

import errno
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.arch import ARCHITECTURES, load
from runtime.syscalls import time as time_calls  # noqa: F401 (registers)
from runtime.syscalls.timespecs import time_codec
from runtime.task.timers import delete_timers
from tests.unit.syscalls.bare_guest import Guest

WIDTHS = [
    (name, variant, code)
    for name in ARCHITECTURES
    for variant, code in (("", "qq"), ("time32", "ii"))
    if variant == "" or load(name).model.bits == 32
]


@pytest.mark.parametrize(("name", "variant", "code"), WIDTHS)
def test_clock_gettime_in_both_widths(name, variant, code):
    guest = Guest(name)
    at = guest.room(16)
    before = int(time.time())
    assert guest.call("clock_gettime", 0, at, variant=variant) == 0
    seconds, nanoseconds = guest.unpack(code, at)
    assert before <= seconds <= before + 5
    assert 0 <= nanoseconds < 1_000_000_000


def test_errors(guest):
    assert guest.call("clock_gettime", 12345, guest.room(16)) == -errno.EINVAL
    assert guest.call("clock_gettime", 0, 0) == -errno.EFAULT
    assert guest.call("nanosleep", 0, 0) == -errno.EFAULT
    assert (
        guest.call("nanosleep", guest.put(guest.pack("qq", 0, 1_000_000_000)), 0) == -errno.EINVAL
    )
    assert guest.call("clock_getres", 0, 0) == 0


def test_upper_half_of_nanoseconds_is_padding_on_32_bits(guest):
    """A C library of a 32-bit ABI does not clear it."""
    request = guest.put(guest.pack("qq", 0, (0xABCD << 32) + 1000))
    expected = 0 if guest.arch.model.bits == 32 else -errno.EINVAL
    assert guest.call("nanosleep", request, 0) == expected


def test_gettimeofday_and_time(guest):
    tv, tz, seconds_at = guest.room(16), guest.room(8), guest.room(8)
    assert guest.call("gettimeofday", tv, tz) == 0
    seconds, microseconds = guest.unpack("ll", tv)
    assert abs(seconds - time.time()) < 5
    assert 0 <= microseconds < 1_000_000
    assert abs(guest.call("time", seconds_at) - seconds) <= 1
    assert abs(guest.unpack("l", seconds_at)[0] - seconds) <= 1


def test_itimer_reads_back_what_was_set(guest):
    old = guest.room(32)
    value = guest.put(guest.pack("llll", 0, 0, 1000, 500_000))
    try:
        assert guest.call("setitimer", 0, value, 0) == 0
        assert guest.call("getitimer", 0, old) == 0
        interval, _, seconds, _ = guest.unpack("llll", old)
        assert interval == 0
        assert seconds in (999, 1000)
        assert guest.call("alarm", 0) in (1000, 1001)
        assert guest.call("alarm", 0) == 0
    finally:
        assert guest.call("setitimer", 0, 0, 0) == 0


def test_posix_timer_life(guest):
    event = guest.put(guest.pack("Liii", 0x1234, 0, 1, 0).ljust(64, b"\0"))  # SIGEV_NONE
    where = guest.room(4)
    assert guest.call("timer_create", 1, event, where) == 0
    (timer,) = guest.unpack("i", where)
    assert guest.task.process.timers == {timer}
    value = guest.put(guest.pack("qqqq", 0, 0, 500, 7))
    assert guest.call("timer_settime", timer, 0, value, 0) == 0
    left = guest.room(32)
    assert guest.call("timer_gettime", timer, left) == 0
    assert guest.unpack("qqqq", left)[2] in (499, 500)
    delete_timers(guest.task.process)
    assert guest.call("timer_gettime", timer, left) == -errno.EINVAL
    assert guest.task.process.timers == set()


def test_timer_create_undone_when_its_id_can_not_be_stored(guest):
    assert guest.call("timer_create", 1, 0, 8) == -errno.EFAULT
    assert guest.task.process.timers == set()


def test_adjtimex_reads(guest):
    size = 208 if guest.arch.model.bits == 64 else 128
    at = guest.room(size)
    assert guest.call("adjtimex", at) >= 0
    tick_at = 88 if guest.arch.model.bits == 64 else 44
    assert 9000 <= guest.unpack("l", at + tick_at)[0] <= 11000


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 999_999_999), st.sampled_from(WIDTHS))
def test_codec_round_trip(seconds, nanoseconds, width):
    name, variant, _ = width
    memory = {}

    class Task:
        class memory:
            class access:
                @staticmethod
                def read(at, size):
                    return memory[at][:size]

                @staticmethod
                def write(at, data):
                    memory[at] = data

    codec = time_codec(load(name), variant, 2)
    codec.write(Task, 0, (seconds, nanoseconds))
    assert codec.read(Task, 0) == (seconds, nanoseconds)


def test_seconds_too_wide_for_the_word_are_cut():
    guest = Guest("mips")
    at = guest.room(8)
    time_codec(guest.arch, "time32", 2).write(guest.task, at, ((1 << 32) + 5, 0))
    assert guest.unpack("ii", at) == (5, 0)
