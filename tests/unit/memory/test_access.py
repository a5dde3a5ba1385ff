"""Copies, strings, vectors and numbers in guest memory."""

import pytest

from runtime._core import R, W
from runtime.abi.errors import E2BIG, EFAULT, EINVAL, ENAMETOOLONG, GuestError
from runtime.abi.layout import DataModel
from runtime.abi.linux import UIO_MAXIOV
from runtime.memory.access import Access
from runtime.memory.flags import MAP_ANONYMOUS, MAP_PRIVATE
from tests.unit.memory.fakes import FakeTable, SimulatedHost

UNIT = 4096  # not a page of anything real: the fake's
BASE = 16 * UNIT
MODELS = [
    DataModel("le64", bits=64),
    DataModel("be32", bits=32, big=True),
    DataModel("le32", bits=32),
    DataModel("be64", bits=64, big=True),
]


@pytest.fixture(params=MODELS, ids=lambda model: model.name)
def access(request: pytest.FixtureRequest) -> Access:
    """Two readable and writable pages at BASE, one read-only page after them, nothing around."""
    host = SimulatedHost(UNIT, 64 * UNIT)
    host.map(BASE, 3 * UNIT, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    table = FakeTable(host, UNIT)
    table.install(BASE, 2 * UNIT, BASE, R | W)
    table.install(BASE + 2 * UNIT, UNIT, BASE + 2 * UNIT, R)
    return Access(table, request.param)  # type: ignore[arg-type]


def fails(errno: int, function, *args) -> None:
    with pytest.raises(GuestError) as caught:
        function(*args)
    assert caught.value.errno == errno


def test_numbers_in_the_guests_order(access: Access) -> None:
    model = access.model
    access.put_u32(BASE, -2)
    assert access.read(BASE, 4) == (0xFFFFFFFE).to_bytes(4, model.endian)
    assert (access.u32(BASE), access.s32(BASE)) == (0xFFFFFFFE, -2)
    access.put_u64(BASE + 8, 0x0102030405060708)
    assert access.read(BASE + 8, 8) == (0x0102030405060708).to_bytes(8, model.endian)
    assert access.u64(BASE + 8) == 0x0102030405060708
    access.put_long(BASE, -1)
    assert access.long(BASE) == (1 << model.bits) - 1
    access.put_longs(BASE, [1, 2, 3])
    assert access.longs(BASE, 3) == [1, 2, 3]
    assert access.long(BASE + model.long) == 2
    access.put_u16(BASE, 0x0102)
    assert access.u16(BASE) == 0x0102


def test_faults_are_efault(access: Access) -> None:
    fails(EFAULT, access.read, 0, 1)
    fails(EFAULT, access.read, BASE + 3 * UNIT - 1, 2)
    fails(EFAULT, access.write, BASE + 2 * UNIT, b"x")
    fails(EFAULT, access.write, BASE + 2 * UNIT - 1, b"xy")
    assert access.read(BASE + 2 * UNIT - 1, 1) == b"x"  # as copy_to_user
    fails(EFAULT, access.spans, BASE + 2 * UNIT, 1, W)
    assert access.spans(BASE + UNIT, 2 * UNIT, W) == [(BASE + UNIT, UNIT)]


def test_strings(access: Access) -> None:
    access.write(BASE, b"hello\0")
    assert access.string(BASE) == b"hello"
    fails(ENAMETOOLONG, access.string, BASE, 5)
    assert access.string(BASE, 6) == b"hello"
    fails(EFAULT, access.string, 0)
    access.write(BASE, b"x" * UNIT)
    fails(ENAMETOOLONG, access.string, BASE)


def test_string_vectors(access: Access) -> None:
    size = access.model.pointer
    access.write(BASE, b"one\0two\0\0")
    at = BASE + 2 * UNIT - 4 * size  # its NULL ends the writable pages
    access.put_longs(at, [BASE, BASE + 4, BASE + 8, 0])
    assert access.string_vector(at) == [b"one", b"two", b""]
    assert access.string_vector(0) == []
    fails(E2BIG, access.string_vector, at, 2)
    access.put_longs(at, [BASE, 8, 0, 0])
    fails(EFAULT, access.string_vector, at)


def test_a_long_vector_across_pages(access: Access) -> None:
    size = access.model.pointer
    count = UNIT // size + 20
    at = BASE + 4  # not aligned to a pointer: one lies across the pages
    access.write(BASE + 2 * UNIT - 8, b"s\0")
    access.put_longs(at, [BASE + 2 * UNIT - 8] * count + [0])
    assert access.pointers(at) == [BASE + 2 * UNIT - 8] * count


def test_iovec(access: Access) -> None:
    access.put_longs(BASE, [BASE, 10, 0, 0, BASE + UNIT, 5])
    assert access.iovec(BASE, 3) == [(BASE, 10), (0, 0), (BASE + UNIT, 5)]
    assert access.iovec(0, 0) == []
    fails(EINVAL, access.iovec, BASE, -1)
    fails(EINVAL, access.iovec, BASE, UIO_MAXIOV + 1)
    fails(EFAULT, access.iovec, 0, 1)
    access.put_longs(BASE, [BASE, 1 << (access.model.bits - 1)])
    fails(EINVAL, access.iovec, BASE, 1)
    if access.model.bits == 64:
        access.put_longs(BASE, [0, 0x7FFFF000, 0, 0x7FFFF000])
        assert [length for _, length in access.iovec(BASE, 2)] == [0x7FFFF000, 0]


def test_gather_stops_at_the_first_bad_byte(access: Access) -> None:
    good, edge = (BASE, 8), (BASE + 2 * UNIT - 4, 8)
    assert access.gather([good, (0, 0), edge], W) == [(BASE, 8), (BASE + 2 * UNIT - 4, 4)]
    assert access.gather([good, (0, 5), good], R) == [(BASE, 8)]
    fails(EFAULT, access.gather, [(0, 5), good], R)
