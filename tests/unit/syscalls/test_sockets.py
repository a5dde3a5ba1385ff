"""Addresses, options, control messages and the calls that carry them."""

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.syscalls import sockets  # noqa: F401 (registers)
from runtime.syscalls.messages import DATA, convert_data, data_code, msghdr
from runtime.syscalls.socket_addresses import MACHINE_ORDER, swap_members
from tests.unit.syscalls.bare_guest import Guest

ABIS = [("<", 64), ("<", 32), (">", 32), (">", 64)]


@pytest.fixture
def pair(guest):
    at = guest.room(8)
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    assert guest.call("socketpair", socket.AF_UNIX, kind, 0, at) == 0
    ends = guest.unpack("ii", at)
    yield ends
    for fd in ends:
        os.close(fd)


def message(guest, *, name=(0, 0), segments=(), control=(0, 0)):
    """A guest msghdr; segments: (address, length)."""
    vector = guest.put(b"".join(guest.pack("LL", *pair) for pair in segments) or b"\0")
    values = (*name, vector, len(segments), *control, 0)
    return guest.put(msghdr(guest.arch.model).pack(*values))


def test_datagram_round_trip(guest, pair):
    text, room = guest.put(b"hello"), guest.room(16)
    assert guest.call("sendto", pair[0], text, 5, 0, 0, 0) == 5
    assert guest.call("recvfrom", pair[1], room, 16, 0, 0, 0) == 5
    assert guest.get(room, 6) == b"hello\0"


def test_nothing_is_sent_from_a_buffer_that_ends_too_early(guest, pair):
    end = 0x100000 + (1 << 20)
    assert guest.call("send", pair[0], end - 4, 100, 0) == -errno.EFAULT
    assert guest.call("recv", pair[1], guest.room(8), 8, 0x40) == -errno.EAGAIN


def test_descriptors_pass(guest, pair):
    read_end, write_end = os.pipe()
    long = guest.arch.model.long
    header = guest.pack("Lii", long + 8 + 4, guest.arch.constants.encode("socket_level", 1), 1)
    control = header + guest.pack("i", write_end)
    text = guest.put(b"x")
    sent = message(guest, segments=[(text, 1)], control=(guest.put(control), len(control)))
    assert guest.call("sendmsg", pair[0], sent, 0) == 1
    room, control_room = guest.room(8), guest.room(64)
    into = message(guest, segments=[(room, 8)], control=(control_room, 64))
    assert guest.call("recvmsg", pair[1], into, 0) == 1
    fields = msghdr(guest.arch.model).unpack(guest.get(into, msghdr(guest.arch.model).size))
    assert fields[5] >= len(control)
    assert fields[6] & 8 == 0  # MSG_CTRUNC
    assert guest.get(control_room, long + 8) == header
    (received,) = guest.unpack("i", control_room + long + 8)
    os.write(received, b"through")
    assert os.read(read_end, 10) == b"through"
    for fd in (received, read_end, write_end):
        os.close(fd)


def test_descriptors_without_room_are_closed(guest, pair):
    ends = os.pipe()
    long = guest.arch.model.long
    level = guest.arch.constants.encode("socket_level", 1)
    control = guest.pack("Lii", long + 8 + 8, level, 1) + guest.pack("ii", *ends)
    sent = message(
        guest, segments=[(guest.put(b"x"), 1)], control=(guest.put(control), len(control))
    )
    assert guest.call("sendmsg", pair[0], sent, 0) == 1
    before = set(os.listdir("/proc/self/fd"))
    room = long + 8 + 4
    at = guest.room(64)
    into = message(guest, segments=[(guest.room(8), 8)], control=(at, room))
    assert guest.call("recvmsg", pair[1], into, 0) == 1
    fields = msghdr(guest.arch.model).unpack(guest.get(into, msghdr(guest.arch.model).size))
    assert fields[6] & 8
    new = set(os.listdir("/proc/self/fd")) - before
    (received,) = guest.unpack("i", at + long + 8)
    assert new == {str(received)}
    assert guest.unpack("L", at)[0] == long + 8 + 4
    for fd in (received, *ends):
        os.close(fd)


def test_control_shorter_than_a_header_is_refused():
    guest = Guest("mips")
    at = guest.room(8)
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    assert guest.call("socketpair", socket.AF_UNIX, kind, 0, at) == 0
    ends = guest.unpack("ii", at)
    control = guest.pack("Lii", 4, 0xFFFF, 1)
    sent = message(
        guest, segments=[(guest.put(b"x"), 1)], control=(guest.put(control), len(control))
    )
    assert guest.call("sendmsg", ends[0], sent, 0) == -errno.EINVAL
    for fd in ends:
        os.close(fd)


@given(
    st.sampled_from([key for key, code in DATA.items() if code != "*i"]),
    st.sampled_from(ABIS),
    st.binary(min_size=64, max_size=64),
)
def test_control_data_round_trips(key, abi, raw):
    code = data_code(DATA[key], 64, abi[1])
    data = raw[: struct.calcsize(abi[0] + code)]
    there = convert_data(*key, data, abi, ("=", 64))
    assert convert_data(*key, there, ("=", 64), abi) == data


@given(st.sampled_from(sorted(MACHINE_ORDER)), st.binary(min_size=2, max_size=28))
def test_address_members_swap_back(family, data):
    assert swap_members(swap_members(data, family), family) == data


def test_inet_address_has_its_family_in_guest_order(guest):
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = guest.call("socket", socket.AF_INET, kind, 0)
    address = guest.pack("H", socket.AF_INET) + struct.pack(">H4s8x", 0, b"\x7f\0\0\1")
    assert guest.call("bind", fd, guest.put(address), 16) == 0
    assert guest.call("listen", fd, 5) == 0
    at, length = guest.room(128), guest.put(guest.pack("i", 8))
    assert guest.call("getsockname", fd, at, length) == 0
    assert guest.unpack("i", length) == (16,)
    port = socket.socket(fileno=os.dup(fd)).getsockname()[1]
    assert guest.get(at, 8) == guest.pack("H", socket.AF_INET) + struct.pack(
        ">H4s", port, b"\x7f\0\0\1"
    )
    assert guest.get(at + 8, 8) == bytes(8)  # no more than there was room for
    client = socket.create_connection(("127.0.0.1", port))
    accepted = guest.call("accept4", fd, 0, 0, guest.arch.constants.encode("open", 0o4000))
    assert not os.get_blocking(accepted)
    client.close()
    for each in (fd, accepted):
        os.close(each)


def test_unix_path_goes_through_the_view(guest, tmp_path):
    class Moved(type(guest.view)):
        def resolve(self, dirfd, path, follow):
            return dirfd, bytes(tmp_path) + path

        def guest_path(self, host_path):
            return host_path.removeprefix(bytes(tmp_path))

    guest.task.view = Moved()
    (tmp_path / "d").mkdir()
    address = guest.pack("H", socket.AF_UNIX) + b"/d/name\0"
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = guest.call("socket", socket.AF_UNIX, kind, 0)
    assert guest.call("bind", fd, guest.put(address), len(address)) == 0
    assert (tmp_path / "d" / "name").is_socket()
    at, length = guest.room(128), guest.put(guest.pack("i", 128))
    assert guest.call("getsockname", fd, at, length) == 0
    if len(bytes(tmp_path)) < 90:
        assert guest.get(at, guest.unpack("i", length)[0]) == address
    os.close(fd)


def test_long_unix_path(guest, tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)

    class Moved(type(guest.view)):
        def resolve(self, dirfd, path, follow):
            return dirfd, bytes(deep) + path

    guest.task.view = Moved()
    address = guest.pack("H", socket.AF_UNIX) + b"/s\0"
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    fd = guest.call("socket", socket.AF_UNIX, kind, 0)
    before = len(os.listdir("/proc/self/fd"))
    assert guest.call("bind", fd, guest.put(address), len(address)) == 0
    assert (deep / "s").is_socket()
    assert guest.call("connect", fd, guest.put(address), len(address)) == 0
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)


def test_options(guest, pair):
    level = guest.arch.constants.encode("socket_level", 1)

    def number(generic):
        return guest.arch.constants.encode("socket_option", generic)

    timeout = guest.put(guest.pack("ll", 3, 250_000))
    size = 2 * guest.arch.model.long
    assert guest.call("setsockopt", pair[0], level, number(20), timeout, size) == 0
    out, length = guest.room(64), guest.put(guest.pack("i", 64))
    assert guest.call("getsockopt", pair[0], level, number(20), out, length) == 0
    assert guest.unpack("i", length) == (size,)
    seconds, microseconds = guest.unpack("ll", out)
    assert seconds == 3
    assert 250_000 <= microseconds < 260_000  # rounded up to the host's ticks
    assert guest.call("getsockopt", pair[0], level, number(3), out, length) == 0
    assert guest.unpack("i", out)[0] == guest.arch.constants.encode("socket_type", 2)
    length = guest.put(guest.pack("i", 12))
    assert guest.call("getsockopt", pair[0], level, number(17), out, length) == 0
    assert guest.unpack("iII", out) == (os.getpid(), os.geteuid(), os.getegid())
    linger = guest.put(guest.pack("ii", 1, 7))
    assert guest.call("setsockopt", pair[0], level, number(13), linger, 8) == 0
    probe = socket.socket(fileno=os.dup(pair[0]))
    assert struct.unpack("ii", probe.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 7)
    probe.close()


def test_filter_is_converted(guest, pair):
    code = guest.pack("HBBI", 6, 0, 0, 0)  # BPF_RET | BPF_K 0: drop
    program = guest.put(
        guest.pack("H", 1).ljust(guest.arch.model.long, b"\0") + guest.pack("L", guest.put(code))
    )
    level = guest.arch.constants.encode("socket_level", 1)
    option = guest.arch.constants.encode("socket_option", 26)
    assert guest.call("setsockopt", pair[1], level, option, program, 2 * guest.arch.model.long) == 0
    assert guest.call("send", pair[0], guest.put(b"x"), 1, 0x40) == 1
    assert guest.call("recv", pair[1], guest.room(8), 8, 0x40) == -errno.EAGAIN


def test_sendmmsg_and_recvmmsg(guest, pair):
    model = guest.arch.model
    header = msghdr(model)
    size = -(-(header.size + 4) // model.long) * model.long
    rooms = [guest.room(8) for _ in range(3)]
    for call, fd, texts in (("sendmmsg", pair[0], [b"a", b"bb"]), ("recvmmsg", pair[1], None)):
        vectors = []
        for i in range(2 if texts else 3):
            where = guest.put(texts[i]) if texts else rooms[i]
            count = len(texts[i]) if texts else 8
            vectors.append(guest.put(guest.pack("LL", where, count)))
        array = guest.put(
            b"".join(header.pack(0, 0, v, 1, 0, 0, 0).ljust(size, b"\0") for v in vectors)
        )
        assert guest.call(call, fd, array, len(vectors), 0x40, 0) == 2
        assert [guest.unpack("I", array + i * size + header.size)[0] for i in range(2)] == [1, 2]
    assert [guest.get(r, 2) for r in rooms] == [b"a\0", b"bb", b"\0\0"]


def test_socketcall(guest):
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = guest.call("socketcall", 1, guest.put(guest.pack("LLL", socket.AF_UNIX, kind, 0)))
    assert fd >= 0
    os.close(fd)
    assert guest.call("socketcall", 99, 0) == -errno.EINVAL


def test_netlink_needs_the_hosts_byte_order(guest):
    kind = guest.arch.constants.encode("socket_type", socket.SOCK_RAW)
    fd = guest.call("socket", socket.AF_NETLINK, kind, 0)
    if guest.arch.model.big:
        assert fd == -errno.EAFNOSUPPORT
        assert len(guest.log) == 1
    else:
        os.close(fd)
