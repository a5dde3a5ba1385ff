"""Six small machines for the tests of the native core: how each is opened, and a loader and loop for static programs.

Kept apart from runtime.arch on purpose: the core's tests must not depend on the facts that depend on the core.
"""

import os
import struct
import traceback
from collections.abc import Iterator
from typing import Any

from unicorn import arm64_const as a64
from unicorn import arm_const as arm
from unicorn import mips_const as mips
from unicorn import ppc_const as ppc
from unicorn import riscv_const as rv
from unicorn import unicorn_const as uc
from unicorn import x86_const as x86

from runtime import _core

PROT_READ_WRITE = 3
MAP_PRIVATE_FIXED_ANONYMOUS = 0x32


def _range(module, prefix: str, numbers: range) -> tuple[int, ...]:
    return tuple(getattr(module, f"{prefix}{n}") for n in numbers)


FACTS: dict[str, dict[str, Any]] = {
    "aarch64": {
        "arch": uc.UC_ARCH_ARM64,
        "mode": 0,
        "model": -1,
        "setup": ((a64.UC_ARM64_REG_CPACR_EL1, 3 << 20), (a64.UC_ARM64_REG_PSTATE, 0)),  # EL0t
        "page_settable": True,
        "syscall_traps": (2,),
        "syscall_insn": -1,
        "number": a64.UC_ARM64_REG_X8,
        "arguments": _range(a64, "UC_ARM64_REG_X", range(6)),
        "result": a64.UC_ARM64_REG_X0,
        "error": -1,
        "error_style": 0,
        "pc": a64.UC_ARM64_REG_PC,
        "sp": a64.UC_ARM64_REG_SP,
    },
    "arm": {
        "arch": uc.UC_ARCH_ARM,
        "mode": 0,
        "model": arm.UC_CPU_ARM_MAX,
        "setup": (
            (arm.UC_ARM_REG_C1_C0_2, 0xF << 20),
            (arm.UC_ARM_REG_FPEXC, 1 << 30),
            (arm.UC_ARM_REG_CPSR, 0x10),  # usr
        ),
        "page_settable": True,
        "syscall_traps": (2,),
        "syscall_insn": -1,
        "number": arm.UC_ARM_REG_R7,
        "arguments": _range(arm, "UC_ARM_REG_R", range(6)),
        "result": arm.UC_ARM_REG_R0,
        "error": -1,
        "error_style": 0,
        "pc": arm.UC_ARM_REG_PC,
        "sp": arm.UC_ARM_REG_SP,
    },
    "riscv64": {
        "arch": uc.UC_ARCH_RISCV,
        "mode": uc.UC_MODE_RISCV64,
        "model": -1,
        "setup": ((rv.UC_RISCV_REG_MSTATUS, 0x6000), (rv.UC_RISCV_REG_PRIV, 0)),
        "page_settable": False,
        "syscall_traps": (8,),
        "syscall_insn": -1,
        "number": rv.UC_RISCV_REG_A7,
        "arguments": _range(rv, "UC_RISCV_REG_A", range(6)),
        "result": rv.UC_RISCV_REG_A0,
        "error": -1,
        "error_style": 0,
        "pc": rv.UC_RISCV_REG_PC,
        "sp": rv.UC_RISCV_REG_SP,
    },
    "ppc64le": {
        "arch": uc.UC_ARCH_PPC,
        "mode": uc.UC_MODE_PPC64 | uc.UC_MODE_BIG_ENDIAN,
        "model": -1,
        # SF VEC VSX PR FP LE
        "setup": ((ppc.UC_PPC_REG_MSR, 1 << 63 | 1 << 25 | 1 << 23 | 1 << 14 | 1 << 13 | 1),),
        "page_settable": False,
        "syscall_traps": (8,),
        "syscall_insn": -1,
        "number": ppc.UC_PPC_REG_0,
        "arguments": _range(ppc, "UC_PPC_REG_", range(3, 9)),
        "result": ppc.UC_PPC_REG_3,
        "error": ppc.UC_PPC_REG_CR,
        "error_style": 2,
        "pc": ppc.UC_PPC_REG_PC,
        "sp": ppc.UC_PPC_REG_1,
    },
    "mips": {
        "arch": uc.UC_ARCH_MIPS,
        "mode": uc.UC_MODE_MIPS32 | uc.UC_MODE_BIG_ENDIAN,
        "model": mips.UC_CPU_MIPS32_74KF,
        # CU1, and ERL: in user mode `ll` would go through the CPU's own TLB, and `rdhwr` would trap
        "setup": ((mips.UC_MIPS_REG_CP0_STATUS, 1 << 29 | 1 << 2),),
        "page_settable": False,
        "syscall_traps": (17,),
        "syscall_insn": -1,
        "number": mips.UC_MIPS_REG_V0,
        "arguments": _range(mips, "UC_MIPS_REG_A", range(4)),
        "result": mips.UC_MIPS_REG_V0,
        "error": mips.UC_MIPS_REG_A3,
        "error_style": 1,
        "pc": mips.UC_MIPS_REG_PC,
        "sp": mips.UC_MIPS_REG_SP,
    },
    "x86_64": {
        "arch": uc.UC_ARCH_X86,
        "mode": uc.UC_MODE_64,
        "model": -1,
        "setup": (),
        "page_settable": False,
        "syscall_traps": (),
        "syscall_insn": x86.UC_X86_INS_SYSCALL,
        "number": x86.UC_X86_REG_RAX,
        "arguments": (
            x86.UC_X86_REG_RDI,
            x86.UC_X86_REG_RSI,
            x86.UC_X86_REG_RDX,
            x86.UC_X86_REG_R10,
            x86.UC_X86_REG_R8,
            x86.UC_X86_REG_R9,
        ),
        "result": x86.UC_X86_REG_RAX,
        "error": -1,
        "error_style": 0,
        "pc": x86.UC_X86_REG_RIP,
        "sp": x86.UC_X86_REG_RSP,
    },
}


class Machine:
    """An arena, a table, an engine and one Cpu, with guest address == arena offset unless told otherwise."""

    def __init__(self, name: str, page: int = 4096, size: int = 1 << 36) -> None:
        self.name = name
        self.facts = FACTS[name]
        self.arena = _core.Arena(size, 1 << 28)
        self.table = _core.PageTable(self.arena, page)
        self.engine = _core.Engine(self.table, **self.facts)
        self.cpu = _core.Cpu(self.engine)
        self.cpu.bind()

    def host_map(self, offset: int, length: int, fd: int = -1, flags: int | None = None) -> None:
        """Host memory behind a piece of the arena: anonymous, or a file's from its start."""
        if flags is None:
            flags = MAP_PRIVATE_FIXED_ANONYMOUS
        at = self.arena.base + offset
        host = max(_core.HOST_PAGE, self.table.page)
        length = -(-length // host) * host
        got = _core.quick_syscall(_core.SYS["mmap"], at, length, PROT_READ_WRITE, flags, fd, 0)
        assert got == at, got

    def map(self, guest: int, data: bytes | int, perms: int = _core.R | _core.X) -> None:
        """Fresh memory at a guest address: `data` bytes of zeroes, or these bytes."""
        length = data if isinstance(data, int) else len(data)
        page = self.table.page
        start = guest & -page
        length = -(-(guest + length - start) // page) * page
        self.host_map(start, length)
        self.table.install(start, length, start, perms)
        if not isinstance(data, int):
            self.table.poke(guest, data)

    @property
    def pc(self) -> int:
        return self.cpu.get(self.facts["pc"])

    @pc.setter
    def pc(self, value: int) -> None:
        self.cpu.set(self.facts["pc"], value)

    def run_at(self, address: int) -> int:
        self.pc = address
        return self.cpu.run()


def _headers(elf: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(type, offset, address, bytes in the file, bytes in memory, flags) of every program header."""
    order = "<" if elf[5] == 1 else ">"
    if elf[4] == 2:
        start, size, count = (
            *struct.unpack_from(order + "Q", elf, 32),
            *struct.unpack_from(order + "HH", elf, 54),
        )
        for i in range(count):
            kind, flags, offset, address, _, inside, total, _ = struct.unpack_from(
                order + "IIQQQQQQ", elf, start + i * size
            )
            yield kind, offset, address, inside, total, flags
    else:
        start, size, count = (
            *struct.unpack_from(order + "I", elf, 28),
            *struct.unpack_from(order + "HH", elf, 42),
        )
        for i in range(count):
            kind, offset, address, _, inside, total, flags, _ = struct.unpack_from(
                order + "IIIIIIII", elf, start + i * size
            )
            yield kind, offset, address, inside, total, flags


class Program:
    """A static program in a Machine, with the few system calls that a hello world makes."""

    STACK = 0x7000_0000
    STACK_SIZE = 1 << 20

    def __init__(self, machine: Machine, elf: bytes, arguments: list[bytes]) -> None:
        self.machine = machine
        self.output = b""
        self.wide = elf[4] == 2
        self.order = "<" if elf[5] == 1 else ">"
        word = "Q" if self.wide else "I"
        end = phdr = 0
        phoff = struct.unpack_from(self.order + word, elf, 32 if self.wide else 28)[0]
        for kind, offset, address, inside, total, flags in _headers(elf):
            if kind != 1:
                continue
            if offset <= phoff < offset + inside:
                phdr = address + phoff - offset
            perms = (flags >> 2 & 1) | (flags & 2) | (flags & 1) << 2
            machine.map(address, total, perms)
            machine.table.poke(address, elf[offset : offset + inside])
            end = max(end, address + total)
        self.brk = self.first_brk = -(-end // 65536) * 65536
        self.next_map = 0x4000_0000
        machine.map(self.STACK, self.STACK_SIZE, _core.R | _core.W)
        entry = struct.unpack_from(self.order + word, elf, 24)[0]
        sp = self._stack(elf, arguments, phdr, entry, word)
        machine.cpu.set(machine.facts["sp"], sp)
        machine.pc = entry

    def _stack(self, elf: bytes, arguments: list[bytes], phdr: int, entry: int, word: str) -> int:
        top = self.STACK + self.STACK_SIZE - 4096
        pointers = []
        for text in arguments:
            self.machine.table.write(top, text + b"\0")
            pointers.append(top)
            top += len(text) + 1
        random = self.STACK + self.STACK_SIZE - 64
        phent, phnum = struct.unpack_from(self.order + "HH", elf, 54 if self.wide else 42)
        auxv = {
            3: phdr,
            4: phent,
            5: phnum,
            6: self.machine.table.page,
            9: entry,
            23: 0,
            25: random,
        }
        auxv |= {16: 0, 11: 0, 12: 0, 13: 0, 14: 0}
        words = [len(arguments), *pointers, 0, 0]
        for key, value in auxv.items():
            words += [key, value]
        words += [0, 0]
        sp = self.STACK + self.STACK_SIZE - 8192
        self.machine.table.write(sp, struct.pack(f"{self.order}{len(words)}{word}", *words))
        return sp

    def run(self, calls: dict[int, str], limit: int = 10000) -> int:
        """Exit status. calls: number -> name, for those that are more than ENOSYS."""
        cpu = self.machine.cpu
        for _ in range(limit):
            why = cpu.run()
            if why != _core.Stop.SYSCALL:
                raise AssertionError((why, cpu.fault, cpu.trap, hex(self.machine.pc)))
            name = calls.get(cpu.call[0], "")
            if name.startswith("exit"):
                return cpu.call[1]
            cpu.set_result(getattr(self, "do_" + name)(*cpu.call[1:]) if name else -38)
        raise AssertionError("too many calls")

    def do_write(self, fd: int, buf: int, length: int, *_: int) -> int:
        self.output += self.machine.table.read(buf, length)
        return length

    def do_writev(self, fd: int, vector: int, count: int, *_: int) -> int:
        word = "Q" if self.wide else "I"
        done = 0
        for i in range(count):
            size = struct.calcsize("<2" + word)
            raw = self.machine.table.read(vector + i * size, size)
            done += self.do_write(fd, *struct.unpack(f"{self.order}2{word}", raw))
        return done

    def do_brk(self, wanted: int, *_: int) -> int:
        if wanted > self.brk:
            new = -(-wanted // 65536) * 65536
            self.machine.map(self.brk, new - self.brk, _core.R | _core.W)
            self.brk = new
            return wanted
        return self.brk if wanted < self.first_brk else wanted

    def do_mmap(self, address: int, length: int, *_: int) -> int:
        length = -(-length // 65536) * 65536
        at = self.next_map
        self.next_map += length
        self.machine.map(at, length, _core.R | _core.W)
        return at

    def do_zero(self, *_: int) -> int:
        return 0

    def do_tls(self, value: int, *_: int) -> int:
        facts = FACTS[self.machine.name]
        register = {
            uc.UC_ARCH_ARM: arm.UC_ARM_REG_C13_C0_3,
            uc.UC_ARCH_MIPS: mips.UC_MIPS_REG_CP0_USERLOCAL,
        }[facts["arch"]]
        self.machine.cpu.set(register, value)
        return 0

    def do_arch_prctl(self, code: int, value: int, *_: int) -> int:
        if code != 0x1002:  # ARCH_SET_FS
            return -22
        self.machine.cpu.set(x86.UC_X86_REG_FS_BASE, value)
        return 0


_GENERIC = {64: "write", 66: "writev", 93: "exit", 94: "exit_group", 214: "brk", 222: "mmap"}
_GENERIC |= {226: "zero", 96: "zero", 99: "zero"}
CALLS: dict[str, dict[int, str]] = {
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "arm": {4: "write", 146: "writev", 1: "exit", 248: "exit_group", 45: "brk", 192: "mmap"}
    | {125: "zero", 0xF0005: "tls"},
    "ppc64le": {4: "write", 146: "writev", 1: "exit", 234: "exit_group", 45: "brk", 90: "mmap"}
    | {125: "zero"},
    "mips": {4004: "write", 4146: "writev", 4001: "exit", 4246: "exit_group", 4045: "brk"}
    | {4210: "mmap", 4090: "mmap", 4125: "zero", 4283: "tls"},
    "x86_64": {1: "write", 20: "writev", 60: "exit", 231: "exit_group", 12: "brk", 9: "mmap"}
    | {10: "zero", 158: "arch_prctl"},
}


def in_child(work):
    """Run it in a forked child, where dispositions of signals and the like may be changed; its status, 0 for success.
    An exception's text goes to stderr."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - it must not go on as a second test run
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
