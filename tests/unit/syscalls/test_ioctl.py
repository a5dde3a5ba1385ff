"""ioctl: terminals in every form, numbers, unknown requests."""

import fcntl
import os
import pty
import select
import socket
import struct
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.abi import ioctls
from runtime.abi import termios as forms

ENOTTY, EBADF, EFAULT = 25, 9, 14
MODELS = ["aarch64", "mips", "ppc64le"]


def number(guest, name):
    """The guest's number of a request."""
    found = [key for key, request in ioctls.table(guest.model).items() if request.name == name]
    assert len(found) == 1, name
    return found[0]


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_every_request_has_a_number_of_its_own(guest):
    names = [request.name for request in ioctls.table(guest.model).values()]
    expected = sum(
        len([line for line in text.split("\n") if line.strip()])
        for text in (ioctls.PLAIN, ioctls.ENCODED, ioctls.IFREQ)
    ) + len(ioctls.SPECIAL)
    missing = 4 if guest.model.name == "ppc64le" else 0  # it has no TCGETS2 and its three setters
    assert len(names) == len(set(names)) == expected - missing


def test_window_size(guest, terminal):
    _, slave = terminal
    size = guest.words("4H", 24, 80, 5, 6)
    assert guest.call("ioctl", slave, number(guest, "TIOCSWINSZ"), size) == 0
    host = fcntl.ioctl(slave, termios.TIOCGWINSZ, bytes(8))
    assert struct.unpack("4H", host) == (24, 80, 5, 6)
    room = guest.room(8)
    assert guest.call("ioctl", slave, number(guest, "TIOCGWINSZ"), room) == 0
    assert guest.read(room, "4H") == (24, 80, 5, 6)
    assert guest.call("ioctl", slave, number(guest, "TIOCGWINSZ"), 8) == -EFAULT


def test_attributes_go_there_and_back(guest, terminal):
    _, slave = terminal
    form = forms.form(guest.model.name)
    room = guest.room(form.size(False))
    before = termios.tcgetattr(slave)
    assert guest.call("ioctl", slave, number(guest, "TCGETS"), room) == 0
    assert guest.call("ioctl", slave, number(guest, "TCSETS"), room) == 0
    assert termios.tcgetattr(slave) == before
    flags = list(guest.read(room, "4I"))
    canonical = {"ppc64le": 0x100}.get(guest.model.name, 2)
    assert flags[3] & canonical
    flags[3] &= ~canonical
    guest.table.write(room, struct.pack(guest.model.prefix + "4I", *flags))
    assert guest.call("ioctl", slave, number(guest, "TCSETSW"), room) == 0
    assert before[3] & ~termios.tcgetattr(slave)[3] == termios.ICANON


def test_sizes_are_the_kernels():
    """sizeof(struct termios) in asm/termbits.h of each, with speeds and without."""
    sizes = {name: (forms.form(name).size(False), forms.form(name).size(True)) for name in MODELS}
    assert sizes == {"aarch64": (36, 44), "mips": (40, 48), "ppc64le": (44, 44)}


FLAGS = st.integers(0, (1 << 14) - 1)
CONTROL = st.integers(0, 0xFFF).filter(lambda flags: not flags & 0xF)


@pytest.mark.parametrize("name", MODELS)
@given(
    words=st.tuples(FLAGS, st.integers(0, (1 << 16) - 1), CONTROL, st.integers(0, (1 << 17) - 1)),
    speed=st.sampled_from([0, 1, 13, 15, 0x1001, 0x1002, 0x100F, 0x1000]),
    characters=st.binary(min_size=17, max_size=17),
)
def test_nothing_is_lost_between_the_forms(name, words, speed, characters):
    iflag, oflag, cflag, lflag = words
    lflag &= ~0x2000  # no flag on generic; mips has FLUSHO there
    host = forms.HOST.pack(
        iflag, oflag, cflag | speed, lflag, 3, characters + bytes(2), 9600, 19200
    )
    form = forms.form(name)
    prefix = ">" if name == "mips" else "<"
    for speeds in (False, True):
        guest = form.to_guest(host, prefix, speeds)
        assert len(guest) == form.size(speeds)
        assert form.to_host(guest, prefix, speeds, host) == host


def test_small_requests(guest, terminal):
    master, slave = terminal
    os.write(master, b"line\n")
    select.select([slave], [], [])  # the kernel hands it over by a worker
    room = guest.room(4)
    assert guest.call("ioctl", slave, number(guest, "FIONREAD"), room) == 0
    assert guest.read(room, "i") == (5,)
    assert guest.call("ioctl", master, number(guest, "TIOCGPTN"), room) == 0
    assert os.ttyname(slave).endswith(str(guest.read(room, "I")[0]))
    assert guest.call("ioctl", slave, number(guest, "FIONBIO"), guest.words("i", 1)) == 0
    assert fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK
    assert guest.call("ioctl", slave, number(guest, "FIOCLEX"), 0) == 0
    file = os.open("file", os.O_RDWR | os.O_CREAT)
    assert guest.call("ioctl", file, number(guest, "TCGETS"), room) == -ENOTTY


def test_an_unknown_request_is_refused_and_logged_once(guest, terminal):
    _, slave = terminal
    request = 0x5599 + ARCHITECTURE_SALT[guest.arch.name]
    assert guest.call("ioctl", slave, request, 8) == -ENOTTY
    assert guest.call("ioctl", slave, request, 8) == -ENOTTY
    assert len(guest.log) == 1
    assert guest.call("ioctl", 999, request, 8) == -EBADF


ARCHITECTURE_SALT = {
    name: index
    for index, name in enumerate(("aarch64", "arm", "riscv64", "ppc64le", "mips", "x86_64"))
}


def test_interfaces(guest):
    with socket.socket() as listener:
        fd = listener.fileno()
        size = 40 if guest.model.bits == 64 else 32
        request = guest.put(b"lo".ljust(size, b"\0"))
        assert guest.call("ioctl", fd, number(guest, "SIOCGIFINDEX"), request) == 0
        assert guest.read(request + 16, "i") == (socket.if_nametoindex("lo"),)
        buffer = guest.room(size * 4)
        pointer = guest.words("iI" if guest.model.bits == 32 else "i4xQ", size * 4, buffer)
        assert guest.call("ioctl", fd, number(guest, "SIOCGIFCONF"), pointer) == 0
        (length,) = guest.read(pointer, "i")
        assert length % size == 0
        names = [guest.table.read(buffer + at, 16).rstrip(b"\0") for at in range(0, length, size)]
        families = [guest.read(buffer + at + 16, "H")[0] for at in range(0, length, size)]
        assert set(families) <= {socket.AF_INET}
        assert set(names) <= {name.encode() for _, name in socket.if_nameindex()}


def test_extents_are_the_hosts_own(guest):
    """FS_IOC_FIEMAP, asked of the host too: the same answer, or the same refusal (tmpfs has no extents)."""
    fd = os.open("extents", os.O_RDWR | os.O_CREAT)
    for at in (0, 1 << 20, 3 << 20):
        os.pwrite(fd, b"x" * 100_000, at)
    os.fsync(fd)
    head, extent = "2Q4I", "5Q4I"
    question = (0, (1 << 64) - 1, 1, 0, 2, 0)
    host = bytearray(struct.pack("=" + head, *question) + bytes(2 * struct.calcsize("=" + extent)))
    room = guest.room(len(host))
    guest.table.write(room, struct.pack(guest.model.prefix + head, *question))
    try:
        fcntl.ioctl(fd, 0xC020660B, host)
    except OSError as error:
        assert guest.call("ioctl", fd, number(guest, "FS_IOC_FIEMAP"), room) == -(error.errno or 0)
        return
    assert guest.call("ioctl", fd, number(guest, "FS_IOC_FIEMAP"), room) == 0
    both = head + 2 * extent
    assert guest.read(room, both) == struct.unpack("=" + both, host)
    assert guest.read(room, head)[3] == 2
