"""Copies between Python and guest memory. What the guest cannot access is `GuestError(EFAULT)`, never a host signal.

Addresses are guest addresses, sizes bytes; numbers are read and written in the guest's byte order.
"""

from _collections_abc import Sequence
from struct import iter_unpack, pack

from runtime._core import MemoryFault, R, W
from runtime.abi.errors import E2BIG, EFAULT, EINVAL, ENAMETOOLONG, GuestError
from runtime.abi.linux import PATH_MAX, UIO_MAXIOV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from runtime._core import PageTable
    from runtime.abi.layout import DataModel

    T = TypeVar("T")

MAX_ARG_PAGES = 32  # one argument with its NUL is at most so long
MAX_ARG_STRINGS = 0x7FFFFFFF  # include/uapi/linux/binfmts.h
VECTOR_STEP = 64  # pointers read at a time
READ = R
WRITE = W


class Access:
    """Typed access to one page table for one data model. `page`: the guest's page, 0 for the table's."""

    __slots__ = (
        "_arg_max",
        "_endian",
        "_pointer",
        "_prefix",
        "_resolve",
        "_rw_max",
        "model",
        "table",
    )

    def __init__(
        self,
        table: "PageTable",
        model: "DataModel",
        page: int = 0,
        resolve: "Callable[[int, int], bool]" = lambda address, access: False,
    ) -> None:
        """`resolve(address, access)`: AddressSpace.resolve, which may turn a fault into memory."""
        self.table = table
        self._resolve = resolve
        self.model = model
        self._endian = model.endian
        self._prefix = model.prefix
        self._pointer = model.pointer
        page = page or table.page
        # MAX_RW_COUNT: what one readv or writev moves at most (INT_MAX rounded down to a page).
        self._rw_max = 0x7FFFFFFF & -page
        self._arg_max = MAX_ARG_PAGES * page

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _again(self, fault: MemoryFault, access: int, last: int) -> int:
        """The faulting address, when the access may be tried again; EFAULT when not, or when it is `last` again."""
        address: int = fault.args[0]
        if address == last or not self._resolve(address, access):
            raise GuestError(EFAULT) from None
        return address

    def _retry(
        self, fault: MemoryFault, access: int, call: "Callable[..., T]", *words: "Any"
    ) -> "T":
        """The result of `call(*words)`, which has faulted, when its faults can be turned into memory; EFAULT."""
        last = -1
        while True:
            last = self._again(fault, access, last)
            try:
                return call(*words)
            except MemoryFault as next_fault:
                fault = next_fault

    def read(self, address: int, length: int) -> bytes:
        try:
            return self.table.read(address, length)
        except MemoryFault as fault:
            return self._retry(fault, R, self.table.read, address, length)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Bytes before the first inaccessible one are stored also when it fails, as copy_to_user does."""
        try:
            self.table.write(address, data)
        except MemoryFault as fault:
            self._retry(fault, W, self.table.write, address, data)

    def spans(self, address: int, length: int, access: int) -> list[tuple[int, int]]:
        """[(host address, bytes)] of a buffer for a host call; shorter than `length` when its end is
        inaccessible, EFAULT when its beginning is."""
        last = -1
        while True:
            try:
                found = self.table.spans(address, length, access)
            except MemoryFault as fault:
                last = self._again(fault, access, last)
                continue
            reached = address + sum([size for _, size in found])
            if reached >= address + length or reached == last:
                return found
            last = reached
            if not self._resolve(reached, access):
                return found

    def host(self, address: int, length: int, access: int) -> int:
        """Host address of a buffer that must be whole and contiguous; EFAULT if it is not."""
        try:
            return self.table.host(address, length, access)
        except MemoryFault as fault:
            return self._retry(fault, access, self.table.host, address, length, access)

    def word(self, address: int, access: int) -> int:
        """Host address of a futex word. A private page that could still be copied at its first store, to another
        host address, is copied before: waiter and waker have to agree. EFAULT."""
        found = self.table.lookup(address)
        if found is not None and not found[1] & W:
            self._resolve(address, W)
        return self.host(address, 4, access)

    def compare_exchange_u32(self, address: int, expected: int, value: int) -> int:
        """Atomic on the host, in its byte order; the value found. EFAULT."""
        exchange = self.table.compare_exchange_u32
        try:
            return exchange(address, expected, value)
        except MemoryFault as fault:
            return self._retry(fault, W, exchange, address, expected, value)

    # -- strings ------------------------------------------------------------------------------------------------------

    def string(self, address: int, limit: int = PATH_MAX, error: int = ENAMETOOLONG) -> bytes:
        """A C string without its NUL; `error` when there is no NUL in `limit` bytes."""
        try:
            try:
                return self.table.cstring(address, limit)
            except MemoryFault as fault:
                return self._retry(fault, R, self.table.cstring, address, limit)
        except ValueError:
            raise GuestError(error) from None

    def string_vector(self, address: int, limit: int = MAX_ARG_STRINGS) -> list[bytes]:
        """argv or envp: strings up to a NULL pointer; a NULL vector is empty. E2BIG beyond the kernel's limits."""
        return [self.string(item, self._arg_max, E2BIG) for item in self.pointers(address, limit)]

    def pointers(self, address: int, limit: int = MAX_ARG_STRINGS) -> list[int]:
        """The pointers up to a NULL one, which is not in the list; [] for address 0. E2BIG beyond `limit`."""
        found: list[int] = []
        if not address:
            return found
        size = self._pointer
        page = self.table.page
        while True:
            # No step leaves the page: what follows the vector's NULL may be inaccessible. Every step makes progress.
            room = max((page - address % page) // size, 1)
            count = min(room, VECTOR_STEP)
            for item in self.longs(address, count):
                if not item:
                    return found
                found.append(item)
                if len(found) > limit:
                    raise GuestError(E2BIG)
            address += count * size

    # -- numbers ------------------------------------------------------------------------------------------------------

    def longs(self, address: int, count: int) -> list[int]:
        """`count` unsigned longs (or pointers)."""
        code = "Q" if self._pointer == 8 else "I"
        return [
            item[0]
            for item in iter_unpack(self._prefix + code, self.read(address, count * self._pointer))
        ]

    def u16(self, address: int) -> int:
        return int.from_bytes(self.read(address, 2), self._endian)

    def u32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), self._endian)

    def s32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), self._endian, signed=True)

    def u64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), self._endian)

    def s64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), self._endian, signed=True)

    def long(self, address: int) -> int:
        """An unsigned long or a pointer."""
        return int.from_bytes(self.read(address, self._pointer), self._endian)

    def put_u16(self, address: int, value: int) -> None:
        self.write(address, (value & 0xFFFF).to_bytes(2, self._endian))

    def put_u32(self, address: int, value: int) -> None:
        """Signed values are stored as two's complement."""
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, self._endian))

    def put_u64(self, address: int, value: int) -> None:
        self.write(address, (value & (1 << 64) - 1).to_bytes(8, self._endian))

    def put_long(self, address: int, value: int) -> None:
        size = self._pointer
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, self._endian))

    def put_longs(self, address: int, values: Sequence[int]) -> None:
        code = "Q" if self._pointer == 8 else "I"
        self.write(address, pack(f"{self._prefix}{len(values)}{code}", *values))

    # -- vectors of buffers -------------------------------------------------------------------------------------------

    def iovec(self, address: int, count: int) -> list[tuple[int, int]]:
        """struct iovec[count] as [(base, length)], checked as lib/iov_iter.c import_iovec: EINVAL for too many or a
        length that is negative as ssize_t; the total is cut to MAX_RW_COUNT. EFAULT."""
        if not 0 <= count <= UIO_MAXIOV:
            raise GuestError(EINVAL)
        if not count:
            return []
        words = self.longs(address, 2 * count)
        sign = 1 << (8 * self._pointer - 1)
        room = self._rw_max
        buffers = []
        for base, length in zip(words[::2], words[1::2], strict=True):
            if length & sign:
                raise GuestError(EINVAL)
            length = min(length, room)
            room -= length
            buffers.append((base, length))
        return buffers

    def gather(self, buffers: Sequence[tuple[int, int]], access: int) -> list[tuple[int, int]]:
        """Host spans of a vector of guest buffers, in order. Ends at the first inaccessible byte; EFAULT when that is
        the first byte of all."""
        found: list[tuple[int, int]] = []
        for base, length in buffers:
            if not length:
                continue
            try:
                parts = self.spans(base, length, access)
            except GuestError:
                if found:
                    break
                raise
            found += parts
            if sum(size for _, size in parts) < length:
                break
        return found
