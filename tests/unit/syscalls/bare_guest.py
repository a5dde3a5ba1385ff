"""A guest task without a program: real page table and arena, real host calls, no engine.
Calls go through the definitions' own decoding, as if the guest had made them."""

import struct
from types import SimpleNamespace
from typing import Any

from runtime import arch as architectures
from runtime._core import SYS, Arena, MemoryFault, PageTable, R, W, quick_syscall
from runtime.abi.errors import EFAULT, GuestError
from runtime.rootfs import View
from runtime.syscalls.multiplexer import multiplex

BASE = 0x100000  # guest address of the memory
SIZE = 1 << 20
PAGE = 4096
READ_WRITE, SHARED_FIXED_ANONYMOUS = 3, 0x32


class Access:
    """The part of runtime.memory.access that handlers use."""

    def __init__(self, table: PageTable) -> None:
        self.table = table
        self.read = table.read
        self.write = table.write
        self.spans = table.spans
        self.string = table.cstring
        self.host = table.host
        self.compare_exchange_u32 = table.compare_exchange_u32

    def word(self, address: int, access: int) -> int:
        return self.table.host(address, 4, access)


class BareGuest:
    """`memory` grows upwards with `put`; `call` gives the result or -errno."""

    def __init__(self, name: str) -> None:
        self.arch = architectures.load(name)
        arena = Arena(1 << 30, 1 << 24)
        result = quick_syscall(
            SYS["mmap"], arena.base, SIZE, READ_WRITE, SHARED_FIXED_ANONYMOUS, -1, 0
        )
        assert result == arena.base or result < 0
        table = PageTable(arena, PAGE)
        table.install(BASE, SIZE, 0, R | W)
        self.table = table
        self.next = BASE
        self.log: list[str] = []
        access = Access(table)
        self.view = View()
        self.pid = quick_syscall(SYS["getpid"])
        process: Any = SimpleNamespace(
            arch=self.arch,
            table=table,
            arena=arena,
            leader=self.pid,
            limits={},
            memory_files={},
            timers=set(),
            personality=0,
            watched_libraries=None,
            settings=SimpleNamespace(uname_release=None),
            tasks={},
            trace=None,
        )
        self.task: Any = SimpleNamespace(
            arch=self.arch,
            process=process,
            memory=SimpleNamespace(access=access, poke=table.poke),
            view=self.view,
            tid=quick_syscall(SYS["gettid"]),
            robust_list=0,
            clear_child_tid=0,
            restore_mask=None,
            blocked=0,
            trace_variant="",
            log=self.log.append,
            suspend_mask=self._suspend_mask,
        )
        process.tasks[self.task.tid] = self.task
        self.suspended: int | None = None

    def _suspend_mask(self, mask: int) -> None:
        self.suspended = mask

    def put(self, data: bytes) -> int:
        """Guest address of a copy of the bytes."""
        at = self.next
        self.next += -(-len(data) // 16) * 16 + 16
        self.table.write(at, data)
        return at

    def room(self, size: int) -> int:
        return self.put(bytes(size))

    def get(self, at: int, size: int) -> bytes:
        return self.table.read(at, size)

    def pack(self, code: str, *values: Any) -> bytes:
        """struct.pack in the guest's order; l and L are its longs."""
        return struct.pack(self._code(code), *values)

    def unpack(self, code: str, at: int) -> tuple[Any, ...]:
        code = self._code(code)
        return struct.unpack(code, self.get(at, struct.calcsize(code)))

    def _code(self, code: str) -> str:
        if self.arch.model.bits == 64:
            code = code.replace("l", "q").replace("L", "Q")
        else:
            code = code.replace("l", "i").replace("L", "I")
        return self.arch.model.prefix + code

    def call(self, entry: str, *arguments: int, variant: str = "") -> int:
        mask = (1 << self.arch.model.bits) - 1
        try:
            return multiplex(self.task, entry, variant, [a & mask for a in arguments])
        except GuestError as error:
            return -error.errno
        except MemoryFault:
            return -EFAULT
