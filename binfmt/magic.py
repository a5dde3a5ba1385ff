"""How binfmt_misc recognises a program: magic and mask, computed from the facts of its architecture.

An entry matches a file whose first bytes, masked, are the magic, masked. We ask for what image.py and the kernel's own
ELF loader ask for, and for nothing else: class, byte order and version, the type (a program is ET_EXEC or ET_DYN, which
differ in one bit), the machine, and those bits of e_flags by which an ABI is told from others (n32 programs are not
for the mips target). OS ABI, ABI version and padding are not asked for: the kernel ignores them as well, some linkers
set the ABI version, and AppImages keep three letters there.

The odd thing: the padding, which the mask hides, carries our name. Whoever reads an entry back (register, unregister,
status, in any namespace, after any upgrade) knows it for ours by that and not by what it is called, so that an entry of
somebody else with the same name is left alone.
"""

import struct

from runtime import arch
from runtime._core import HOST_MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture

MARK = b"octavo"
_MARK_AT = 9  # EI_PAD: what follows the ABI version, up to byte 16
_ET_EXEC, _ET_DYN = 2, 3
_FLAGS_AT = {32: 36, 64: 48}  # e_flags
_SIZE = {32: 52, 64: 64}  # of the ELF header

# What the kernel looks at (BINPRM_BUF_SIZE): magic and offset have to lie within.
LOOKED_AT = 128


class Magic:
    """What to compare: (byte ^ magic) & mask == 0 for every byte."""

    __slots__ = ("magic", "mask")

    def __init__(self, magic: bytes, mask: bytes) -> None:
        self.magic = magic
        self.mask = mask

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins so is one of these."""
        padded = head.ljust(len(self.magic), b"\0")
        return not any(
            (found ^ wanted) & bits
            for found, wanted, bits in zip(padded, self.magic, self.mask, strict=False)
        )

    @property
    def ours(self) -> bool:
        """Whether it carries our name where nobody looks."""
        place = slice(_MARK_AT, _MARK_AT + len(MARK))
        return self.magic[place] == MARK and not any(self.mask[place])


def targets() -> tuple[str, ...]:
    """The architectures whose programs this machine does not run by itself."""
    return tuple(name for name in arch.ARCHITECTURES if name != HOST_MACHINE)


def of(facts: "Architecture") -> Magic:
    """The magic of an architecture's programs."""
    order = "<" if facts.elf_data == 1 else ">"
    magic = bytearray(header(facts))
    magic[_MARK_AT : _MARK_AT + len(MARK)] = MARK
    mask = bytearray(len(magic))
    mask[:7] = b"\xff" * 7  # \x7fELF, class, byte order, version
    differ = _ET_EXEC ^ _ET_DYN
    struct.pack_into(f"{order}HH", mask, 16, 0xFFFF ^ differ, 0xFFFF)
    bits, value = _flags(facts.e_flags)
    place = _FLAGS_AT[facts.elf_class]
    struct.pack_into(f"{order}I", magic, place, value)
    struct.pack_into(f"{order}I", mask, place, bits)
    end = len(mask.rstrip(b"\0"))
    return Magic(bytes(magic[:end]), bytes(mask[:end]))


def _flags(pairs: "tuple[tuple[int, int], ...]") -> tuple[int, int]:
    """One (mask, value) for several that differ in bits that all of them look at: those are not looked at.

    Which may take values that no pair has; a test lists them (ppc64le: one that the ABI reserves).
    """
    mask, value = pairs[0]
    for other_mask, other in pairs[1:]:
        mask &= other_mask & ~(value ^ other)
    return mask, value & mask


def header(facts: "Architecture", kind: int = _ET_EXEC) -> bytes:
    """The ELF header of an empty program of the architecture."""
    order = "<" if facts.elf_data == 1 else ">"
    data = bytearray(_SIZE[facts.elf_class])
    data[:7] = b"\x7fELF" + bytes((facts.elf_class // 32, facts.elf_data, 1))
    struct.pack_into(f"{order}HHI", data, 16, kind, facts.elf_machine, 1)
    struct.pack_into(f"{order}I", data, _FLAGS_AT[facts.elf_class], facts.e_flags[0][1])
    return bytes(data)
