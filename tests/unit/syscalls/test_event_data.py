"""Data with the kernel's byte order reaches a guest of the other one converted."""

import errno
import os
import signal
import struct

import pytest

from runtime.syscalls import inotify, io, polling  # noqa: F401 (registers)
from runtime.syscalls.event_data import swap_events
from runtime.syscalls.time import timerfd_create  # noqa: F401 (registers)


def test_eventfd_counts(bare):
    fd = bare.call("eventfd2", 3, bare.arch.constants.encode("open", os.O_NONBLOCK))
    assert bare.call("write", fd, bare.put(bare.pack("Q", 4)), 8) == 8
    out = bare.room(8)
    assert bare.call("read", fd, out, 8) == 8
    assert bare.unpack("Q", out) == (7,)
    assert bare.call("read", fd, out, 8) == -errno.EAGAIN
    assert bare.call("read", fd, out, 4) == -errno.EINVAL
    os.close(fd)


def test_timerfd_counts(bare):
    fd = bare.call("timerfd_create", 1, 0)
    value = bare.put(bare.pack("qqqq", 0, 0, 0, 1))
    assert bare.call("timerfd_settime", fd, 0, value, 0) == 0
    out = bare.room(8)
    assert bare.call("read", fd, out, 8) == 8
    assert bare.unpack("Q", out) == (1,)
    os.close(fd)


def test_signalfd_numbers(bare):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        mask = bare.put(bare.arch.sigset_encode(1 << signal.SIGUSR1 - 1))
        fd = bare.call("signalfd4", -1, mask, bare.arch.sigset_size, 0)
        signal.raise_signal(signal.SIGUSR1)  # to this thread: others do not block it
        out = bare.room(128)
        assert bare.call("read", fd, out, 128) == 128
        number, _, _, pid = bare.unpack("IiiI", out)
        assert number == bare.arch.constants.encode("signal", signal.SIGUSR1)
        assert pid == os.getpid()
        os.close(fd)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("names", [[], [b""], [b"file", b"", b"another-name"]])
def test_events_of_inotify(bare, names):
    padded = [name + bytes(-len(name) % 16) for name in names]
    host = b"".join(struct.pack("=iIII", 1, 0x100, 7, len(name)) + name for name in padded)
    guest = b"".join(bare.pack("iIII", 1, 0x100, 7, len(name)) + name for name in padded)
    assert swap_events(bare.task, host) == guest
