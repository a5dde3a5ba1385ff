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


def bits(bare, numbers, count):
    """A guest fd_set."""
    width = bare.arch.model.bits
    words = [0] * (set_bytes(count, width) * 8 // width)
    for n in numbers:
        words[n // width] |= 1 << n % width
    return bare.pack(f"{len(words)}L", *words)


def test_poll_reports_and_leaves_the_rest(bare, pipe):
    reader, writer = pipe
    os.write(writer, b"x")
    entries = [(reader, IN), (writer, OUT), (-1, IN), (999, IN)]
    at = bare.put(b"".join(bare.pack("iHH", fd, events, 0xFFFF) for fd, events in entries))
    assert bare.call("poll", at, 4, 0) == 3
    shown = [bare.unpack("iHH", at + 8 * i) for i in range(4)]
    assert shown == [(reader, IN, IN), (writer, OUT, OUT), (-1, IN, 0), (999, IN, NVAL)]


def test_ppoll_timeout_comes_back_and_mask_is_set(bare, pipe):
    at = bare.put(bare.pack("iHH", pipe[0], IN, 0))
    timeout = bare.put(bare.pack("qq", 0, 1_000_000))
    mask = bare.put(bare.arch.sigset_encode(1 << 9))
    assert bare.call("ppoll", at, 1, timeout, mask, bare.arch.sigset_size) == 0
    assert bare.unpack("qq", timeout) == (0, 0)
    assert bare.suspended == 1 << 9
    assert bare.call("ppoll", at, 1, timeout, mask, 4) == -errno.EINVAL


def test_poll_errors(bare):
    assert bare.call("poll", 8, 1, 0) == -errno.EFAULT
    assert bare.call("poll", 8, 0, 0) == 0
    assert bare.call("poll", 8, 0x7FFFFFFF, 0) == -errno.EINVAL


def test_select_sets(bare, pipe):
    reader, writer = pipe
    os.write(writer, b"x")
    count = max(pipe) + 1
    readable = bare.put(bits(bare, [reader], 1024))
    writable = bare.put(bits(bare, [writer], 1024))
    timeout = bare.put(bare.pack("ll", 5, 1_500_000))
    assert bare.call("select", count, readable, writable, 0, timeout) == 2
    assert bare.get(readable, 128) == bits(bare, [reader], 1024)
    assert bare.get(writable, 128) == bits(bare, [writer], 1024)
    assert 5 <= bare.unpack("ll", timeout)[0] <= 6


def test_select_touches_only_its_words(bare, pipe):
    size = set_bytes(pipe[0] + 1, bare.arch.model.bits)
    at = bare.put(bits(bare, [pipe[0]], pipe[0] + 1) + b"\xaa" * 32)
    timeout = bare.put(bare.pack("ll", 0, 0))
    assert bare.call("select", pipe[0] + 1, at, 0, 0, timeout) == 0
    assert bare.get(at, size) == bytes(size)
    assert bare.get(at + size, 32) == b"\xaa" * 32
    assert bare.call("select", -1, 0, 0, 0, timeout) == -errno.EINVAL


def test_select_with_a_huge_count_reads_no_more_than_there_is(bare, pipe):
    """getdtablesize() as the count, with a set of 1024 bits at the end of memory."""
    end = 0x100000 + (1 << 20)
    at = end - 128
    bare.table.write(at, bits(bare, [pipe[1]], 1024))
    timeout = bare.put(bare.pack("ll", 0, 0))
    assert bare.call("select", 1 << 20, 0, at, 0, timeout) == 1


def test_pselect6_mask_behind_a_pointer(bare, pipe):
    mask = bare.put(bare.arch.sigset_encode(1 << 14))
    argument = bare.put(bare.pack("LL", mask, bare.arch.sigset_size))
    timeout = bare.put(bare.pack("qq", 0, 1000))
    assert bare.call("pselect6", 0, 0, 0, 0, timeout, argument) == 0
    assert bare.suspended == 1 << 14


def test_epoll_keeps_the_data(bare, pipe):
    reader, writer = pipe
    size = 12 if bare.arch.name == "x86_64" else 16
    event = bare.pack("IQ", IN, 0x1122334455667788)
    if size == 16:
        event = bare.pack("I", IN) + bytes(4) + bare.pack("Q", 0x1122334455667788)
    epoll = bare.call("epoll_create1", 0)
    try:
        assert bare.call("epoll_ctl", epoll, 1, reader, bare.put(event)) == 0
        out = bare.room(4 * size)
        assert bare.call("epoll_pwait", epoll, out, 4, 0, 0, 0) == 0
        os.write(writer, b"x")
        assert bare.call("epoll_wait", epoll, out, 1 << 20, -1) == 1
        assert bare.get(out, size) == event
        assert bare.call("epoll_wait", epoll, out, 0, 0) == -errno.EINVAL
        assert bare.call("epoll_ctl", epoll, 2, reader, 0) == 0
        assert bare.call("epoll_wait", epoll, out, 1, 0) == 0
    finally:
        os.close(epoll)


def test_eventfd_flags_are_the_guests(bare):
    nonblock = bare.arch.constants.encode("open", 0o4000)
    fd = bare.call("eventfd2", 3, nonblock | 0o2000000)
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
