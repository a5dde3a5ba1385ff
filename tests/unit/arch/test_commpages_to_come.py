"""The commpages of ABIs without an engine: whole, in order, and the instructions are what their comments say."""

import pytest

from runtime.arch.commpages_to_come import NIOS2, TO_COME

PAGE = 4096


@pytest.mark.parametrize("name", TO_COME)
def test_well_formed(name):
    page = TO_COME[name]
    assert page.address % PAGE == 0
    assert page.perms & 4 and not page.perms & 2
    content = page.content(PAGE)
    assert len(content) == PAGE
    offsets = [offset for offset, _ in page.words]
    assert offsets == sorted(set(offsets)) and all(at % 4 == 0 and at < PAGE for at in offsets)
    for offset, word in page.words:
        assert int.from_bytes(content[offset : offset + 4], "big" if page.big else "little") == word
    traps = [trap.offset for trap in page.traps]
    assert traps == sorted(set(traps)) and all(at % 4 == 0 and at < PAGE for at in traps)
    assert page.traps or page.words
    for trap in page.traps:
        assert bool(trap.signal) != bool(trap.registers), trap.meaning


# Nios II Processor Reference Guide, "Instruction Set Reference": I-type A B IMM16 OP, R-type A B C OPX IMM5 OP.
LOAD, STORE, BRANCH, ADD_IMMEDIATE, REGISTER = 0x17, 0x15, 0x1E, 0x04, 0x3A
SUBTRACT, RETURN, TRAP = 0x39, 0x05, 0x2D


def immediate(word):
    return word & 63, word >> 27, word >> 22 & 31, word >> 6 & 0xFFFF  # op, a, b, imm16


def register(word):
    assert word & 63 == REGISTER
    return word >> 11 & 63, word >> 27, word >> 22 & 31, word >> 17 & 31  # opx, a, b, c


def test_the_nios2_helpers_are_the_instructions_they_say():
    words = dict(NIOS2.words)
    assert immediate(words[0x04]) == (LOAD, 4, 2, 0)
    assert register(words[0x08]) == (SUBTRACT, 2, 5, 2)
    op, a, b, distance = immediate(words[0x0C])
    assert (op, a, b) == (BRANCH, 2, 0)
    assert register(words[0x0C + 4 + distance])[:2] == (RETURN, 31)
    assert immediate(words[0x10]) == (STORE, 4, 6, 0)
    assert immediate(words[0x44]) == (ADD_IMMEDIATE, 0, 2, 139)
    assert register(words[0x48])[0] == TRAP
    assert words[0] == (0x4C + 63) // 64  # the version counts pieces of 64 bytes
