"""poll, select, epoll: layouts, what is written back, errors."""

import errno
import os

import pytest

from runtime.syscalls import polling  # noqa: F401 (registers)
from runtime.syscalls.polling import set_bytes
from runtime.syscalls.scheduling import swap_mask

IN, OUT, NVAL = 1, 4, 0x20


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def bits(guest, numbers, count):
    """A guest fd_set."""
    width = guest.arch.model.bits
    words = [0] * (set_bytes(count, width) * 8 // width)
    for n in numbers:
        words[n // width] |= 1 << n % width
    return guest.pack(f"{len(words)}L", *words)


def test_poll_reports_and_leaves_the_rest(guest, pipe):
    reader, writer = pipe
    os.write(writer, b"x")
    entries = [(reader, IN), (writer, OUT), (-1, IN), (999, IN)]
    at = guest.put(b"".join(guest.pack("iHH", fd, events, 0xFFFF) for fd, events in entries))
    assert guest.call("poll", at, 4, 0) == 3
    shown = [guest.unpack("iHH", at + 8 * i) for i in range(4)]
    assert shown == [(reader, IN, IN), (writer, OUT, OUT), (-1, IN, 0), (999, IN, NVAL)]


def test_ppoll_timeout_comes_back_and_mask_is_set(guest, pipe):
    at = guest.put(guest.pack("iHH", pipe[0], IN, 0))
    timeout = guest.put(guest.pack("qq", 0, 1_000_000))
    mask = guest.put(guest.arch.sigset_encode(1 << 9))
    assert guest.call("ppoll", at, 1, timeout, mask, guest.arch.sigset_size) == 0
    assert guest.unpack("qq", timeout) == (0, 0)
    assert guest.suspended == 1 << 9
    assert guest.call("ppoll", at, 1, timeout, mask, 4) == -errno.EINVAL


def test_poll_errors(guest):
    assert guest.call("poll", 8, 1, 0) == -errno.EFAULT
    assert guest.call("poll", 8, 0, 0) == 0
    assert guest.call("poll", 8, 0x7FFFFFFF, 0) == -errno.EINVAL


def test_select_sets(guest, pipe):
    reader, writer = pipe
    os.write(writer, b"x")
    count = max(pipe) + 1
    readable = guest.put(bits(guest, [reader], 128))
    writable = guest.put(bits(guest, [writer], 128))
    timeout = guest.put(guest.pack("ll", 5, 1_500_000))
    assert guest.call("select", count, readable, writable, 0, timeout) == 2
    assert guest.get(readable, 16) == bits(guest, [reader], 128)
    assert guest.get(writable, 16) == bits(guest, [writer], 128)
    assert 5 <= guest.unpack("ll", timeout)[0] <= 6


def test_select_touches_only_its_words(guest, pipe):
    size = set_bytes(pipe[0] + 1, guest.arch.model.bits)
    at = guest.put(bits(guest, [pipe[0]], pipe[0] + 1) + b"\xaa" * 32)
    timeout = guest.put(guest.pack("ll", 0, 0))
    assert guest.call("select", pipe[0] + 1, at, 0, 0, timeout) == 0
    assert guest.get(at, size) == bytes(size)
    assert guest.get(at + size, 32) == b"\xaa" * 32
    assert guest.call("select", -1, 0, 0, 0, timeout) == -errno.EINVAL


def test_select_with_a_huge_count_reads_no_more_than_there_is(guest, pipe):
    """getdtablesize() as the count, with a set of 1024 bits at the end of memory."""
    end = 0x100000 + (1 << 20)
    at = end - 128
    guest.table.write(at, bits(guest, [pipe[1]], 1024))
    timeout = guest.put(guest.pack("ll", 0, 0))
    assert guest.call("select", 1 << 20, 0, at, 0, timeout) == 1


def test_pselect6_mask_behind_a_pointer(guest, pipe):
    mask = guest.put(guest.arch.sigset_encode(1 << 14))
    argument = guest.put(guest.pack("LL", mask, guest.arch.sigset_size))
    timeout = guest.put(guest.pack("qq", 0, 1000))
    assert guest.call("pselect6", 0, 0, 0, 0, timeout, argument) == 0
    assert guest.suspended == 1 << 14


def test_epoll_keeps_the_data(guest, pipe):
    reader, writer = pipe
    size = 12 if guest.arch.name == "x86_64" else 16
    event = guest.pack("IQ", IN, 0x1122334455667788)
    if size == 16:
        event = guest.pack("I", IN) + bytes(4) + guest.pack("Q", 0x1122334455667788)
    epoll = guest.call("epoll_create1", 0)
    try:
        assert guest.call("epoll_ctl", epoll, 1, reader, guest.put(event)) == 0
        out = guest.room(4 * size)
        assert guest.call("epoll_pwait", epoll, out, 4, 0, 0, 0) == 0
        os.write(writer, b"x")
        assert guest.call("epoll_wait", epoll, out, 1 << 20, -1) == 1
        assert guest.get(out, size) == event
        assert guest.call("epoll_wait", epoll, out, 0, 0) == -errno.EINVAL
        assert guest.call("epoll_ctl", epoll, 2, reader, 0) == 0
        assert guest.call("epoll_wait", epoll, out, 1, 0) == 0
    finally:
        os.close(epoll)


def test_eventfd_flags_are_the_guests(guest):
    nonblock = guest.arch.constants.encode("open", 0o4000)
    fd = guest.call("eventfd2", 3, nonblock | 0o2000000)
    try:
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        assert os.eventfd_read(fd) == 3
    finally:
        os.close(fd)


def test_swap_mask_is_its_own_inverse():
    mask = bytes(range(16))
    assert swap_mask(mask, False, 4) == mask
    assert swap_mask(mask, True, 4)[:4] == bytes([3, 2, 1, 0])
    assert swap_mask(swap_mask(mask, True, 8), True, 8) == mask
