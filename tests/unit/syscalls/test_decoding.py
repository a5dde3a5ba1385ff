"""Registers to arguments, on every data model: sign extension, widths, pairs with their order and alignment."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.arch import ARCHITECTURES, load
from runtime.arch.table import Row
from runtime.syscalls.kinds import Address, Fd, Int, Loff, Long, Mode, Size, UInt, ULong
from runtime.syscalls.registry import Call, Definition

NARROW = {Int: True, Fd: True, UInt: False, Mode: False}  # kind of 32 bits -> signed
WORDS = {Long: True, ULong: False, Size: False, Address: False}  # of the ABI's long
KINDS = [*NARROW, *WORDS, Loff]
WORD = st.integers(0, (1 << 64) - 1)
ROW = Row((1, "call", "call", ""))
HOLE = 0xDEAD_BEEF  # in a register that alignment skips, and above the call's arguments


def call(arch, kinds, registers):
    """What a handler with these arguments receives."""
    received: list[int] = []

    def handler(task, *arguments):
        received.extend(arguments)
        return 0

    handler.__annotations__ = {"task": "Task"} | {f"a{i}": kind for i, kind in enumerate(kinds)}
    bound = Call(arch, ROW, Definition("call", handler, ""))
    task: Any = SimpleNamespace(arch=arch)
    assert bound(task, tuple(registers)) == 0
    return received


def signed(value, bits):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def lay(arch, kinds, words):
    """Registers as the ABI's compiler fills them, and the values that the callee must see. This is the specification:
    AAPCS and o32 start a 64-bit argument at an even register (a0, a2, a4)."""
    bits = arch.model.bits
    registers, expected = [ROW.number], []
    for kind, word in zip(kinds, words, strict=True):
        if kind is Loff:
            expected.append(signed(word, 64))
            if bits == 64:
                registers.append(word)
                continue
            if arch.pair_alignment and (len(registers) - 1) % 2:
                registers.append(HOLE)
            low, high = word & 0xFFFFFFFF, word >> 32
            registers += [high, low] if arch.model.big else [low, high]
            continue
        register = word & (1 << bits) - 1  # a 64-bit ABI may leave rubbish above a narrow argument
        registers.append(register)
        width = 32 if kind in NARROW else bits
        sign = NARROW[kind] if kind in NARROW else WORDS[kind]
        expected.append(signed(register, width) if sign else register & (1 << width) - 1)
    return registers + [HOLE] * (10 - len(registers)), expected


@pytest.mark.parametrize("name", ARCHITECTURES)
@given(arguments=st.lists(st.tuples(st.sampled_from(KINDS), WORD), max_size=4))
def test_arguments_arrive(name, arguments):
    arch = load(name)
    kinds = [kind for kind, _ in arguments]
    registers, expected = lay(arch, kinds, [word for _, word in arguments])
    assert call(arch, kinds, registers) == expected


def test_the_pairs_of_arm_and_mips_by_hand():
    """pread64(fd, buf, count, pos): r4:r5 on arm, the stack's second pair on mips, high word first."""
    kinds = [Fd, Address, Size, Loff]
    arm = (180, 3, 0x1000, 16, HOLE, 0x89ABCDEF, 0x01234567)
    # a3 is index 4, the fourth argument: an odd one, so it is skipped.
    assert call(load("arm"), kinds, arm)[3] == 0x0123456789ABCDEF
    mips = (4200, 3, 0x1000, 16, HOLE, 0x01234567, 0x89ABCDEF)
    assert call(load("mips"), kinds, mips)[3] == 0x0123456789ABCDEF
    wide = (67, 3, 0x1000, 16, 0x0123456789ABCDEF, HOLE, HOLE)
    assert call(load("aarch64"), kinds, wide)[3] == 0x0123456789ABCDEF


def test_a_negative_int_ignores_the_upper_half():
    registers = (1, 0xFFFFFFFF, 0xABCD_0000_FFFF_FF9C, 0, 0, 0, 0)
    assert call(load("riscv64"), [Int, Fd], registers) == [-1, -100]
