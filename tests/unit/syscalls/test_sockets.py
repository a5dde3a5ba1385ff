"""Addresses, options, control messages and the calls that carry them."""

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime._core import open_fds
from runtime.rootfs import View
from runtime.syscalls import sockets  # noqa: F401 (registers)
from runtime.syscalls.messages import DATA, convert_data, data_code, msghdr
from runtime.syscalls.socket_addresses import MACHINE_ORDER, swap_members
from tests.unit.syscalls.bare_guest import BareGuest

ABIS = [("<", 64), ("<", 32), (">", 32), (">", 64)]


@pytest.fixture
def pair(bare):
    at = bare.room(8)
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    assert bare.call("socketpair", socket.AF_UNIX, kind, 0, at) == 0
    ends = bare.unpack("ii", at)
    yield ends
    for fd in ends:
        os.close(fd)


def message(bare, *, name=(0, 0), segments=(), control=(0, 0)):
    """A guest msghdr; segments: (address, length)."""
    vector = bare.put(b"".join(bare.pack("LL", *pair) for pair in segments) or b"\0")
    values = (*name, vector, len(segments), *control, 0)
    return bare.put(msghdr(bare.arch.model).pack(*values))


def test_datagram_round_trip(bare, pair):
    text, room = bare.put(b"hello"), bare.room(16)
    assert bare.call("sendto", pair[0], text, 5, 0, 0, 0) == 5
    assert bare.call("recvfrom", pair[1], room, 16, 0, 0, 0) == 5
    assert bare.get(room, 6) == b"hello\0"


def test_nothing_is_sent_from_a_buffer_that_ends_too_early(bare, pair):
    end = 0x100000 + (1 << 20)
    assert bare.call("send", pair[0], end - 4, 100, 0) == -errno.EFAULT
    assert bare.call("recv", pair[1], bare.room(8), 8, 0x40) == -errno.EAGAIN


def test_descriptors_pass(bare, pair):
    read_end, write_end = os.pipe()
    long = bare.arch.model.long
    header = bare.pack("Lii", long + 8 + 4, bare.arch.constants.encode("socket_level", 1), 1)
    control = header + bare.pack("i", write_end)
    text = bare.put(b"x")
    sent = message(bare, segments=[(text, 1)], control=(bare.put(control), len(control)))
    assert bare.call("sendmsg", pair[0], sent, 0) == 1
    room, control_room = bare.room(8), bare.room(64)
    into = message(bare, segments=[(room, 8)], control=(control_room, 64))
    assert bare.call("recvmsg", pair[1], into, 0) == 1
    fields = msghdr(bare.arch.model).unpack(bare.get(into, msghdr(bare.arch.model).size))
    assert fields[5] >= len(control)
    assert fields[6] & 8 == 0  # MSG_CTRUNC
    assert bare.get(control_room, long + 8) == header
    (received,) = bare.unpack("i", control_room + long + 8)
    os.write(received, b"through")
    assert os.read(read_end, 10) == b"through"
    for fd in (received, read_end, write_end):
        os.close(fd)


def test_descriptors_without_room_are_closed(bare, pair):
    ends = os.pipe()
    long = bare.arch.model.long
    level = bare.arch.constants.encode("socket_level", 1)
    control = bare.pack("Lii", long + 8 + 8, level, 1) + bare.pack("ii", *ends)
    sent = message(bare, segments=[(bare.put(b"x"), 1)], control=(bare.put(control), len(control)))
    assert bare.call("sendmsg", pair[0], sent, 0) == 1
    before = set(open_fds())
    room = long + 8 + 4
    at = bare.room(64)
    into = message(bare, segments=[(bare.room(8), 8)], control=(at, room))
    assert bare.call("recvmsg", pair[1], into, 0) == 1
    fields = msghdr(bare.arch.model).unpack(bare.get(into, msghdr(bare.arch.model).size))
    assert fields[6] & 8
    new = set(open_fds()) - before
    (received,) = bare.unpack("i", at + long + 8)
    assert new == {received}
    assert bare.unpack("L", at)[0] == long + 8 + 4
    for fd in (received, *ends):
        os.close(fd)


def test_control_shorter_than_a_header_is_refused():
    bare = BareGuest("mips")
    at = bare.room(8)
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    assert bare.call("socketpair", socket.AF_UNIX, kind, 0, at) == 0
    ends = bare.unpack("ii", at)
    control = bare.pack("Lii", 4, 0xFFFF, 1)
    sent = message(bare, segments=[(bare.put(b"x"), 1)], control=(bare.put(control), len(control)))
    assert bare.call("sendmsg", ends[0], sent, 0) == -errno.EINVAL
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
    there = convert_data(key[0], key[1], data, abi, ("=", 64))
    assert convert_data(key[0], key[1], there, ("=", 64), abi) == data


@given(st.sampled_from(sorted(MACHINE_ORDER)), st.binary(min_size=2, max_size=28))
def test_address_members_swap_back(family, data):
    assert swap_members(swap_members(data, family), family) == data


def test_inet_address_has_its_family_in_guest_order(bare):
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = bare.call("socket", socket.AF_INET, kind, 0)
    address = bare.pack("H", socket.AF_INET) + struct.pack(">H4s8x", 0, b"\x7f\0\0\1")
    assert bare.call("bind", fd, bare.put(address), 16) == 0
    assert bare.call("listen", fd, 5) == 0
    at, length = bare.room(128), bare.put(bare.pack("i", 8))
    assert bare.call("getsockname", fd, at, length) == 0
    assert bare.unpack("i", length) == (16,)
    with socket.socket(fileno=os.dup(fd)) as probe:
        port = probe.getsockname()[1]
    assert bare.get(at, 8) == bare.pack("H", socket.AF_INET) + struct.pack(
        ">H4s", port, b"\x7f\0\0\1"
    )
    assert bare.get(at + 8, 8) == bytes(8)  # no more than there was room for
    client = socket.create_connection(("127.0.0.1", port))
    accepted = bare.call("accept4", fd, 0, 0, bare.arch.constants.encode("open", 0o4000))
    assert not os.get_blocking(accepted)
    client.close()
    for each in (fd, accepted):
        os.close(each)


def test_unix_path_goes_through_the_view(bare, tmp_path):
    class Moved(View):
        def resolve(self, dirfd, path, follow):
            return dirfd, bytes(tmp_path) + path

        def guest_path(self, host_path):
            return host_path.removeprefix(bytes(tmp_path))

    bare.task.view = Moved()
    (tmp_path / "d").mkdir()
    address = bare.pack("H", socket.AF_UNIX) + b"/d/name\0"
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = bare.call("socket", socket.AF_UNIX, kind, 0)
    assert bare.call("bind", fd, bare.put(address), len(address)) == 0
    assert (tmp_path / "d" / "name").is_socket()
    at, length = bare.room(128), bare.put(bare.pack("i", 128))
    assert bare.call("getsockname", fd, at, length) == 0
    if len(bytes(tmp_path)) < 90:
        assert bare.get(at, bare.unpack("i", length)[0]) == address
    os.close(fd)


def test_long_unix_path(bare, tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)

    class Moved(View):
        def resolve(self, dirfd, path, follow):
            return dirfd, bytes(deep) + path

    bare.task.view = Moved()
    address = bare.pack("H", socket.AF_UNIX) + b"/s\0"
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_DGRAM)
    fd = bare.call("socket", socket.AF_UNIX, kind, 0)
    before = len(open_fds())
    assert bare.call("bind", fd, bare.put(address), len(address)) == 0
    assert (deep / "s").is_socket()
    assert bare.call("connect", fd, bare.put(address), len(address)) == 0
    assert len(open_fds()) == before
    os.close(fd)


def test_options(bare, pair):
    level = bare.arch.constants.encode("socket_level", 1)

    def number(generic):
        return bare.arch.constants.encode("socket_option", generic)

    timeout = bare.put(bare.pack("ll", 3, 250_000))
    size = 2 * bare.arch.model.long
    assert bare.call("setsockopt", pair[0], level, number(20), timeout, size) == 0
    out, length = bare.room(64), bare.put(bare.pack("i", 64))
    assert bare.call("getsockopt", pair[0], level, number(20), out, length) == 0
    assert bare.unpack("i", length) == (size,)
    seconds, microseconds = bare.unpack("ll", out)
    assert seconds == 3
    assert 250_000 <= microseconds < 260_000  # rounded up to the host's ticks
    assert bare.call("getsockopt", pair[0], level, number(3), out, length) == 0
    assert bare.unpack("i", out)[0] == bare.arch.constants.encode("socket_type", 2)
    length = bare.put(bare.pack("i", 12))
    assert bare.call("getsockopt", pair[0], level, number(17), out, length) == 0
    assert bare.unpack("iII", out) == (os.getpid(), os.geteuid(), os.getegid())
    linger = bare.put(bare.pack("ii", 1, 7))
    assert bare.call("setsockopt", pair[0], level, number(13), linger, 8) == 0
    probe = socket.socket(fileno=os.dup(pair[0]))
    assert struct.unpack("ii", probe.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 7)
    probe.close()


def test_filter_is_converted(bare, pair):
    code = bare.pack("HBBI", 6, 0, 0, 0)  # BPF_RET | BPF_K 0: drop
    program = bare.put(
        bare.pack("H", 1).ljust(bare.arch.model.long, b"\0") + bare.pack("L", bare.put(code))
    )
    level = bare.arch.constants.encode("socket_level", 1)
    option = bare.arch.constants.encode("socket_option", 26)
    assert bare.call("setsockopt", pair[1], level, option, program, 2 * bare.arch.model.long) == 0
    assert bare.call("send", pair[0], bare.put(b"x"), 1, 0x40) == 1
    assert bare.call("recv", pair[1], bare.room(8), 8, 0x40) == -errno.EAGAIN


def test_sendmmsg_and_recvmmsg(bare, pair):
    model = bare.arch.model
    header = msghdr(model)
    size = -(-(header.size + 4) // model.long) * model.long
    rooms = [bare.room(8) for _ in range(3)]
    for call, fd, texts in (("sendmmsg", pair[0], [b"a", b"bb"]), ("recvmmsg", pair[1], None)):
        vectors = []
        for i in range(2 if texts else 3):
            where = bare.put(texts[i]) if texts else rooms[i]
            count = len(texts[i]) if texts else 8
            vectors.append(bare.put(bare.pack("LL", where, count)))
        array = bare.put(
            b"".join(header.pack(0, 0, v, 1, 0, 0, 0).ljust(size, b"\0") for v in vectors)
        )
        assert bare.call(call, fd, array, len(vectors), 0x40, 0) == 2
        assert [bare.unpack("I", array + i * size + header.size)[0] for i in range(2)] == [1, 2]
    assert [bare.get(r, 2) for r in rooms] == [b"a\0", b"bb", b"\0\0"]


def test_socketcall(bare):
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_STREAM)
    fd = bare.call("socketcall", 1, bare.put(bare.pack("LLL", socket.AF_UNIX, kind, 0)))
    assert fd >= 0
    os.close(fd)
    assert bare.call("socketcall", 99, 0) == -errno.EINVAL


def test_netlink_needs_the_hosts_byte_order(bare):
    kind = bare.arch.constants.encode("socket_type", socket.SOCK_RAW)
    fd = bare.call("socket", socket.AF_NETLINK, kind, 0)
    if bare.arch.model.big:
        assert fd == -errno.EAFNOSUPPORT
        assert len(bare.log) == 1
    else:
        os.close(fd)
