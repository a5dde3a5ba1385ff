"""Reading, writing, seeking and descriptors, on every data model."""

import os

import pytest

from tests.unit.syscalls.guest import START, Guest, pair

EBADF, EFAULT, EINVAL, EOVERFLOW = 9, 14, 22, 75


def test_read_and_write_across_two_pieces_of_memory(guest):
    text = bytes(range(200))
    source = guest.middle - 100
    guest.table.write(source, text)
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    assert guest.call("write", fd, source, 200) == 200
    assert os.pread(fd, 300, 0) == text
    target = guest.middle - 50
    assert guest.call("pread64", fd, target, 300, pair(0)) == 200
    assert guest.table.read(target, 200) == text


def test_64_bit_positions_are_one_or_two_registers(guest):
    far = (1 << 33) + 5
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    assert guest.call("pwrite64", fd, guest.put(b"xyz"), 3, pair(far)) == 3
    assert os.fstat(fd).st_size == far + 3
    room = guest.room(3)
    assert guest.call("pread64", fd, room, 3, pair(far)) == 3
    assert guest.table.read(room, 3) == b"xyz"
    assert guest.call("pread64", fd, room, 3, pair(-1)) == -EINVAL
    name = "ftruncate64" if guest.model.bits == 32 else "ftruncate"
    assert guest.call(name, fd, pair(far - 1)) == 0
    assert os.fstat(fd).st_size == far - 1


def test_positions_of_preadv_are_low_word_first_everywhere(guest):
    far = (1 << 32) + 7
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"abcdef", far)
    first, second = guest.room(2), guest.room(4)
    vector = guest.words("LLLL", first, 2, second, 4)
    halves = (far & 0xFFFFFFFF, far >> 32) if guest.model.bits == 32 else (far, 0)
    assert guest.call("preadv", fd, vector, 2, *halves) == 6
    assert guest.table.read(first, 2) + guest.table.read(second, 4) == b"abcdef"
    os.lseek(fd, far, 0)
    if guest.model.bits == 64:
        assert guest.call("preadv2", fd, vector, 2, -1, -1, 0) == 6


def test_partial_transfer_stops_at_the_first_bad_byte(guest):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(100))
    os.lseek(fd, 0, 0)
    assert guest.call("read", fd, guest.end - 10, 100) == 10
    assert guest.call("read", fd, guest.end, 100) == -EFAULT
    assert guest.call("write", fd, 8, 1) == -EFAULT
    assert guest.call("read", 999, 8, 1) == -EBADF  # the descriptor is looked at first
    os.lseek(fd, 0, 2)
    assert guest.call("read", fd, 8, 1) == 0  # as is the end of the file
    assert guest.call("read", fd, 0, 0) == 0
    assert guest.call("read", fd, guest.arch.address_top - 1, 2) == -EFAULT


def test_vectors(guest):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    good = guest.put(b"hello")
    assert guest.call("writev", fd, guest.words("LLLL", good, 5, guest.end, 5), 2) == 5
    assert guest.call("writev", fd, guest.words("LLLL", guest.end, 5, good, 5), 2) == -EFAULT
    assert guest.call("writev", fd, guest.words("LL", good, -1 & guest_mask(guest)), 1) == -EINVAL
    assert guest.call("writev", fd, good, 1025) == -EINVAL
    assert guest.call("writev", fd, 8, 1) == -EFAULT
    assert guest.call("writev", 999, good, 1025) == -EBADF
    assert guest.call("writev", fd, 8, 0) == 0


def guest_mask(guest):
    return (1 << guest.model.bits) - 1


def test_sendfile_and_copy_file_range_write_their_offsets_back(guest):
    source = os.open("source", os.O_RDWR | os.O_CREAT)
    target = os.open("target", os.O_RDWR | os.O_CREAT)
    os.write(source, b"0123456789")
    offset = guest.words("l", 2)
    assert guest.call("sendfile", target, source, offset, 3) == 3
    assert guest.read(offset, "l") == (5,)
    far = guest.words("q", 5)
    if "sendfile64" in guest.rows:
        assert guest.call("sendfile64", target, source, far, 2) == 2
        assert guest.read(far, "q") == (7,)
    assert os.pread(target, 9, 0)[:3] == b"234"
    first, second = guest.words("q", 1), guest.words("q", 20)
    assert guest.call("copy_file_range", source, first, target, second, 4, 0) == 4
    assert guest.read(first, "q") + guest.read(second, "q") == (5, 24)
    assert os.pread(target, 4, 20) == b"1234"


def test_seek(guest):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    assert guest.call("lseek", fd, 5, 0) == 5
    assert guest.call("lseek", fd, -2, 1) == 3
    assert guest.call("lseek", fd, -4, 1) == -EINVAL
    if guest.model.bits == 32:
        room = guest.room(8)
        assert guest.call("_llseek", fd, 1, 9, room, 0) == 0
        assert guest.read(room, "q") == ((1 << 32) + 9,)
        assert guest.call("lseek", fd, 0, 1) == -EOVERFLOW


def test_advice_and_ranges_decode_in_every_order(guest):
    fd = os.open("file", os.O_RDWR | os.O_CREAT)
    bad = 77
    if "arm_fadvise64_64" in guest.rows:
        assert guest.call("arm_fadvise64_64", fd, 0, pair(1 << 33), pair(1 << 33)) == 0
        assert guest.call("arm_fadvise64_64", fd, bad, pair(0), pair(0)) == -EINVAL
    else:
        assert guest.call("fadvise64", fd, pair(1 << 33), pair(1 << 33), 0) == 0
        assert guest.call("fadvise64", fd, pair(0), pair(0), bad) == -EINVAL
    if "sync_file_range2" in guest.rows:
        assert guest.call("sync_file_range2", fd, 2, pair(0), pair(0)) == 0
        assert guest.call("sync_file_range2", fd, 64, pair(0), pair(0)) == -EINVAL
    else:
        assert guest.call("sync_file_range", fd, pair(0), pair(0), 2) == 0
        assert guest.call("sync_file_range", fd, pair(0), pair(0), 64) == -EINVAL
    assert guest.call("fallocate", fd, 0, pair(0), pair(1 << 20)) == 0
    assert os.fstat(fd).st_size == 1 << 20


def test_descriptors(guest):
    room = guest.room(8)
    cloexec = guest.arch.constants.encode("open", os.O_CLOEXEC)
    assert guest.call("pipe2", room, cloexec) == 0
    reader, writer = guest.read(room, "ii")
    assert not os.get_inheritable(reader)
    os.write(writer, b"x")
    copy = guest.call("dup", reader)
    assert os.read(copy, 1) == b"x"
    assert guest.call("dup3", reader, copy, 0) == copy
    assert guest.call("dup3", reader, reader, 0) == -EINVAL
    if "dup2" in guest.rows:
        assert guest.call("dup2", copy, copy) == copy
        assert guest.call("dup2", 999, 999) == -EBADF
    for fd in (reader, writer, copy):
        assert guest.call("close", fd) == 0
    assert guest.call("close", reader) == -EBADF
    before = set(os.listdir("/proc/self/fd"))
    assert guest.call("pipe2", 8, 0) == -EFAULT
    assert set(os.listdir("/proc/self/fd")) == before


def test_the_runtimes_own_descriptors_are_not_the_guests(guest):
    first = os.open("file", os.O_RDWR | os.O_CREAT)
    fds = [os.dup2(first, number) for number in range(200, 210)]
    guest.process.reserved_fds.update((203, 207))
    assert guest.call("close", 203) == -EBADF
    assert guest.call("dup3", first, 207, 0) == -EBADF
    assert guest.call("close_range", 200, 209, 0) == 0
    still = [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")]
    assert still == [203, 207]
    assert guest.call("close_range", 5, 4, 0) == -EINVAL
    for fd in (*still, first):
        os.close(fd)


@pytest.mark.parametrize("count", [0x7FFFFFFF, 0xFFFFFFFF])
def test_a_huge_count_is_cut(guest, count):
    fd = os.open("/dev/null", os.O_WRONLY)
    if START + count <= guest.arch.address_top:
        assert guest.call("write", fd, START, count) == guest.end - START
    else:
        assert guest.call("write", fd, START, count) == -EFAULT


def test_mips_pipe_answers_in_two_registers(tmp_path):
    guest = Guest("mips")
    seen = []
    guest.task.cpu.set = lambda register, value: seen.append(value)
    reader = guest.call("pipe")
    os.write(seen[0], b"p")
    assert os.read(reader, 1) == b"p"
