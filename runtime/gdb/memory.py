"""The program's memory for a debugger: read and written as ptrace does it, whatever its pages allow the program, and
without changing that; breakpoints in it, and watchpoints on it.

A breakpoint is an instruction in memory, so it costs nothing until it is reached, and what a debugger writes itself is
as good as a Z0. Ours are not seen by the debugger's reads. A watchpoint is a copy of what was there: while there are
any, tasks go instruction by instruction, and look after each. That finds every store that changes something, a system
call's too, and no load.
"""

from runtime._core import MemoryFault
from runtime.abi.errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.space import AddressSpace
    from runtime.task.process import Process


class Memory:
    """Memory of the process's program. All methods are for when its tasks stand."""

    __slots__ = ("_process", "breakpoints", "watched")

    def __init__(self, process: "Process") -> None:
        self._process = process
        # address -> (the instruction that is there now, the bytes that belong there)
        self.breakpoints: dict[int, tuple[bytes, bytes]] = {}
        # (address, bytes) -> what was there when it was looked at last
        self.watched: dict[tuple[int, int], bytes] = {}

    @property
    def _space(self) -> "AddressSpace":
        return self._process.memory

    def read(self, address: int, length: int) -> bytes:
        """Up to the first byte that nothing is mapped at. MemoryFault: that is the first one."""
        data = bytearray(self._as_it_is(address, length))
        for at, (_, original) in self.breakpoints.items():
            for offset, byte in enumerate(original, at - address):
                if 0 <= offset < len(data):
                    data[offset] = byte
        return bytes(data)

    def _as_it_is(self, address: int, length: int) -> bytes:
        """As read(), with the breakpoints."""
        data = b""
        page = self._space.table.page
        while len(data) < length:
            at = address + len(data)
            piece = self._piece(at, min(length - len(data), page - at % page))
            if not piece:
                break
            data += piece
        if not data and length:
            raise MemoryFault(address)
        return data

    def _piece(self, address: int, length: int) -> bytes:
        """Bytes of one page, whatever it allows the program; none where there are none."""
        found = self._space.table.lookup(address) if address < 1 << 64 else None
        if found is None:
            return b""
        try:
            return self._space.table.read(address, length)
        except MemoryFault:
            pass
        try:
            return self._space.host.read(found[0], length)
        except (GuestError, OSError):
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Breakpoints stay where they are. MemoryFault where nothing is mapped, or a file that cannot be written."""
        covered = {}
        for at, (instruction, original) in self.breakpoints.items():
            if at < address + len(data) and address < at + len(instruction):
                covered[at] = len(instruction)
                self._store(at, original)
        self._store(address, data)
        for at, size in covered.items():
            instruction, _ = self.breakpoints[at]
            self.breakpoints[at] = (instruction, self._as_it_is(at, size))
            self._store(at, instruction)

    def _store(self, address: int, data: bytes) -> None:
        if address + len(data) > 1 << 64:
            raise MemoryFault(address)
        self._space.poke(address, data)
        self._space.poked(address, len(data))

    def set_breakpoint(self, address: int, instruction: bytes) -> None:
        """MemoryFault."""
        if address in self.breakpoints:
            return
        original = self.read(address, len(instruction))
        if len(original) < len(instruction):
            raise MemoryFault(address + len(original))
        self._store(address, instruction)
        self.breakpoints[address] = (instruction, original)

    def clear_breakpoint(self, address: int) -> None:
        """Put back what belongs there, unless the program has put something else there meanwhile."""
        instruction, original = self.breakpoints.pop(address, (b"", b""))
        if not instruction:
            return
        try:
            if self._as_it_is(address, len(instruction)) == instruction:
                self._store(address, original)
        except MemoryFault:
            return

    def clear_breakpoints(self) -> None:
        """All of them: the debugger leaves, or this is the copy of a process that it stays with."""
        for address in list(self.breakpoints):
            self.clear_breakpoint(address)

    def forget(self) -> None:
        """The memory that breakpoints and watchpoints were for is gone (execve)."""
        self.breakpoints.clear()
        self.watched.clear()

    def watch(self, address: int, length: int) -> None:
        """MemoryFault."""
        self.watched[address, length] = self._as_it_is(address, length)

    def look(self) -> int | None:
        """The address of something watched that is no longer what it was; it is remembered as it is now."""
        for place, before in list(self.watched.items()):
            try:
                now = self._as_it_is(*place)
            except MemoryFault:
                continue
            if now != before:
                self.watched[place] = now
                return place[0]
        return None

    def look_away(self) -> None:
        """What has changed up to now has been seen."""
        while self.look() is not None:
            pass
