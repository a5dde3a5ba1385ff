"""Magic and mask against the facts, against the kernel's and our own idea of a program, and against Debian's files."""

import glob
import itertools
import os
import struct

import pytest

from binfmt import formats, magic
from runtime import arch
from runtime._core import HOST_MACHINE

NAMES = arch.ARCHITECTURES
# (mask, value) of e_flags that an entry takes although nothing is identified so: one mask cannot leave it out.
# ppc64le: the ABI reserves 3.
RESERVED = {"ppc64le": (3, 3)}
IDENT = slice(7, 16)  # OS ABI, ABI version, padding


def fields(head: bytes) -> tuple[int, int, int, int, int]:
    """(class, data, type, machine, flags)."""
    order = "<" if head[5] == 1 else ">"
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    at = 36 if head[4] == 1 else 48
    return head[4] * 32, head[5], kind, machine, struct.unpack_from(order + "I", head, at)[0]


def header(name: str, kind: int, flags: int) -> bytes:
    facts = arch.load(name)
    data = bytearray(magic.header(facts, kind))
    order = "<" if facts.elf_data == 1 else ">"
    struct.pack_into(order + "I", data, 36 if facts.elf_class == 32 else 48, flags)
    return bytes(data)


def reserved(name: str, flags: int) -> bool:
    mask, value = RESERVED.get(name, (0, 1))
    return flags & mask == value


def interesting_flags() -> list[int]:
    """All combinations of the bits that any architecture looks at."""
    bits = {1 << n for n in range(32) for mask, _ in _pairs() if mask >> n & 1}
    chosen = sorted(bits)[-6:] + sorted(bits)[:8]
    return [sum(some) for size in range(4) for some in itertools.combinations(chosen, size)]


def _pairs() -> list[tuple[int, int]]:
    return [pair for name in NAMES for pair in arch.load(name).e_flags]


@pytest.mark.parametrize("name", NAMES)
def test_it_matches_what_we_identify_and_nothing_else(name) -> None:
    """Over every architecture's headers, types and flags, the magic says what runtime.arch.identify says."""
    own = magic.of(arch.load(name))
    flags = {*interesting_flags(), *(value for _, value in _pairs())}
    for other, kind in itertools.product(NAMES, (0, 1, 2, 3, 4)):
        for value in flags:
            head = header(other, kind, value)
            elf_class, data, _, machine, found = fields(head)
            expected = arch.identify(elf_class, data, machine, found) == name and kind in (2, 3)
            if other == name and kind in (2, 3) and reserved(name, value):
                expected = True
            assert own.matches(head) == expected, (other, kind, hex(value))


@pytest.mark.parametrize("name", NAMES)
def test_identification_bytes_that_the_kernel_ignores_are_ignored(name) -> None:
    head = bytearray(magic.header(arch.load(name)))
    head[IDENT] = b"\x03\x01AI\x02\xff\xff\xff\xff"  # GNU, ABI version 1, an AppImage
    assert magic.of(arch.load(name)).matches(bytes(head))
    head[6] = 0  # EI_VERSION
    assert not magic.of(arch.load(name)).matches(bytes(head))


@pytest.mark.parametrize("name", NAMES)
def test_a_short_or_other_file_does_not_match(name) -> None:
    own = magic.of(arch.load(name))
    head = magic.header(arch.load(name))
    for other in (b"", b"#!/bin/sh\n", head[:18], head.lower()):
        assert not own.matches(other)


@pytest.mark.parametrize("name", NAMES)
def test_it_carries_our_name_where_the_mask_hides_it(name) -> None:
    own = magic.of(arch.load(name))
    assert own.ours
    assert len(own.magic) == len(own.mask) <= magic.LOOKED_AT
    assert not magic.Magic(magic.header(arch.load(name)), own.mask).ours
    assert not magic.Magic(own.magic, b"\xff" * len(own.magic)).ours  # it would be looked at


@pytest.mark.parametrize("name", NAMES)
def test_it_is_long_enough_for_the_flags_only_where_there_are_some(name) -> None:
    facts = arch.load(name)
    own = magic.of(facts)
    looked_at = magic._flags(facts.e_flags)[0] != 0
    assert (len(own.mask) > 20) == looked_at
    assert own.mask[-1]


def debians() -> dict[str, list[tuple[str, bytes, bytes]]]:
    """Target -> (file, magic, mask) of every file of qemu-user's packages on this machine."""
    found: dict[str, list[tuple[str, bytes, bytes]]] = {}
    places = ("/usr/lib/binfmt.d", "/usr/share/binfmts", "/usr/share/qemu/binfmt.d")
    for path in itertools.chain.from_iterable(glob.glob(f"{place}/qemu-*") for place in places):
        name = arch.find(os.path.basename(path).removeprefix("qemu-").removesuffix(".conf"))
        if name is not None:
            for entry in formats._entries_of(path):
                found.setdefault(name, []).append((path, entry.magic, entry.mask))
    return found


DEBIANS = debians()


@pytest.mark.skipif(not DEBIANS, reason="qemu-user's packages are not installed")
@pytest.mark.parametrize("name", [name for name in NAMES if name in DEBIANS])
def test_it_agrees_with_debians(name) -> None:
    """Bit by bit: what both look at has the same value; they differ only in the identification, and in e_flags."""
    facts = arch.load(name)
    own = magic.of(facts)
    flags = slice(36, 40) if facts.elf_class == 32 else slice(48, 52)
    for path, theirs, mask in DEBIANS[name]:
        length = max(len(own.magic), len(theirs))
        a, b, m, n = (data.ljust(length, b"\0") for data in (own.magic, theirs, own.mask, mask))
        both = bytes((x ^ y) & p & q for x, y, p, q in zip(a, b, m, n, strict=True))
        assert not any(both), path
        for at in range(length):
            if at in range(*IDENT.indices(length)) or at in range(*flags.indices(length)):
                continue
            if name == "ppc64le" and at == 19:  # Debian leaves out the machine's upper byte
                continue
            assert m[at] == n[at], (path, at)
        # a program as compilers make it is one for both
        for kind in (2, 3):
            assert magic.Magic(theirs, mask).matches(header(name, kind, facts.e_flags[0][1]))


def test_this_machines_own_programs_are_no_target() -> None:
    assert HOST_MACHINE not in magic.targets()
    assert set(magic.targets()) == set(NAMES) - {HOST_MACHINE}


def test_flags_that_are_not_one_mask_would_be_noticed() -> None:
    """The union of the facts' pairs is exactly the combined pair: counted over the bits that are looked at."""
    for name in NAMES:
        pairs = arch.load(name).e_flags
        mask, value = magic._flags(pairs)
        bits = [1 << n for n in range(32) if any(pair >> n & 1 for pair, _ in pairs)]
        for chosen in itertools.product((0, 1), repeat=len(bits)):
            flags = sum(bit for bit, on in zip(bits, chosen, strict=True) if on)
            known = any(flags & m == v for m, v in pairs) or reserved(name, flags)
            assert (flags & mask == value) == known, name
