"""A guest without a CPU: real host files, a real page table, and system calls made by name through the registry.

    guest = Guest("arm")
    fd = guest.call("openat", -100, b"/etc/passwd", 0)     # a bytes argument is put in memory, its address passed
    guest.call("fstat64", fd, guest.room(200))

Arguments are laid into registers as the ABI's C library does: 64-bit ones (`pair(n)`) in two registers on 32-bit ABIs,
aligned where the ABI says so. Results are the generic numbers: >= 0 or -errno.
"""

import struct
from types import SimpleNamespace
from typing import Any

from runtime import arch as architectures
from runtime._core import SYS, Arena, MemoryFault, PageTable, R, W, quick_syscall
from runtime.abi.errors import EFAULT, GuestError
from runtime.abi.layout import DataModel
from runtime.memory.access import Access
from runtime.memory.report import Figures
from runtime.rootfs import View
from runtime.syscalls import (
    descriptors,
    fcntl,
    file_times,
    inotify,
    io,
    ioctl,
    mounts,
    paths,
    registry,
    status,
    xattrs,
)

# Imported for the handlers they register.
FAMILIES = (
    descriptors, fcntl, file_times, inotify, io, ioctl, mounts, paths, status, xattrs
)  # fmt: skip

PAGE = 4096  # of this test machine's engine
SIZE = 64 * PAGE
START = 0x10000  # first mapped guest address


class pair(int):
    """A 64-bit argument."""


class Guest:
    """One task of one process on the named architecture. SIZE bytes are mapped at START, in two pieces that lie the
    other way round in the arena, so that a buffer across the middle is two spans."""

    def __init__(self, name: str) -> None:
        self.arch = architectures.load(name)
        self.arena = Arena(1 << 24, 1 << 20)
        quick_syscall(SYS["mmap"], self.arena.base, SIZE, 3, 0x32, -1, 0)
        self.table = PageTable(self.arena, PAGE)
        half = SIZE // 2
        self.table.install(START, half, half, R | W)
        self.table.install(START + half, half, 0, R | W)
        self.middle = START + half
        self.end = START + SIZE  # first address that is not mapped
        self.next = START
        self.log: list[str] = []
        sizes = Figures()
        sizes.total, sizes.resident = SIZE, PAGE
        memory = SimpleNamespace(
            access=Access(self.table, self.arch.model),
            poke=self.table.poke,
            start_stack=1,
            start_brk=2,
            page=PAGE,
            follows_files=False,
            round=lambda value: value + PAGE - 1 & -PAGE,
            figures=lambda base: sizes,
        )
        image = SimpleNamespace(
            image=SimpleNamespace(text_start=0x1000, text_end=0x2000, data_start=3, data_end=4),
            initial=SimpleNamespace(argv_start=5, argv_end=6, env_start=7, env_end=8),
        )
        self.process: Any = SimpleNamespace(
            watched_libraries=None,
            actions={},
            arena=self.arena,
            auxv=b"auxv",
            command_line=b"program\0argument\0",
            environment=b"A=B\0",
            executable=b"/bin/true",
            image=image,
            leader=1,
            memory=memory,
            memory_files={},
            reserved_fds=set(),
            tasks={},
        )
        self.task: Any = SimpleNamespace(
            arch=self.arch,
            blocked=0,
            cpu=SimpleNamespace(set=lambda register, value: None),
            log=self.log.append,
            memory=memory,
            process=self.process,
            tid=1,
            view=View(),
        )
        self.process.tasks[1] = self.task
        self.rows = {row.name: row for row in self.arch.syscalls().values()}

    @property
    def model(self) -> DataModel:
        return self.arch.model

    def room(self, size: int, fill: int = 0xEE) -> int:
        """Address of fresh bytes, aligned to 16."""
        address = self.next
        self.next += (size + 15) & ~15
        assert self.next <= self.end, "the test uses more memory than the guest has"
        self.table.write(address, bytes([fill]) * size)
        return address

    def put(self, data: bytes) -> int:
        address = self.room(len(data))
        self.table.write(address, data)
        return address

    def words(self, code: str, *values: int) -> int:
        """A struct of the guest's byte order in memory; `l` and `L` are its longs."""
        return self.put(struct.pack(self.code(code), *values))

    def read(self, address: int, code: str) -> tuple[Any, ...]:
        code = self.code(code)
        return struct.unpack(code, self.table.read(address, struct.calcsize(code)))

    def code(self, code: str) -> str:
        if self.model.bits == 64:
            code = code.replace("l", "q").replace("L", "Q")
        return self.model.prefix + code

    def call(self, name: str, *arguments: "int | bytes") -> int:
        """Make the call of this name (in this architecture's table). KeyError when it has none of it."""
        row = self.rows[name]
        bound = registry.Call(self.arch, row, registry.DEFINITIONS[row.entry])
        mask = (1 << self.model.bits) - 1
        registers = [row.number]
        for value in arguments:
            if isinstance(value, bytes):
                value = self.put(value + b"\0")
            if isinstance(value, pair) and self.model.bits == 32:
                if self.arch.pair_alignment and len(registers) % 2 == 0:
                    registers.append(0xDEAD)
                halves = [value & mask, value >> 32 & mask]
                registers += reversed(halves) if self.model.big else halves
            else:
                registers.append(value & mask)
        registers += [0xDEADBEEF] * (9 - len(registers))
        try:
            result = bound(self.task, tuple(registers))
        except GuestError as error:
            return -error.errno
        except MemoryFault:
            return -EFAULT
        except OSError as error:
            return -registry.refuse_unknown(error)
        assert result is not None
        return result
