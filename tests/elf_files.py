"""Make small ELF files of any class, byte order and nonsense."""

import os
import struct
from pathlib import Path

MACHINES = {"x86_64": 62, "aarch64": 183, "arm": 40, "riscv64": 243, "ppc64le": 21, "mips": 8}
# (class, data, e_flags) as the compilers for these names set them
KINDS = {
    "x86_64": (64, 1, 0),
    "aarch64": (64, 1, 0),
    "arm": (32, 1, 0x05000400),
    "riscv64": (64, 1, 5),
    "ppc64le": (64, 1, 2),
    "mips": (32, 2, 0x70001007),
}
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_INTERP, PT_PHDR, PT_GNU_STACK = 1, 3, 6, 0x6474E551


def header_size(bits: int) -> tuple[int, int]:
    """(ELF header, program header) in bytes."""
    return (52, 32) if bits == 32 else (64, 56)


def segment(kind=PT_LOAD, offset=0, vaddr=0, filesz=0, memsz=None, flags=5, align=0x10000):
    return (kind, offset, vaddr, filesz, filesz if memsz is None else memsz, flags, align)


def elf(
    arch="aarch64",
    segments=(),
    *,
    elf_type=ET_EXEC,
    entry=0x400000,
    phoff=None,
    phnum=None,
    phentsize=None,
    machine=None,
    bits=None,
    data=None,
    body=b"",
    size=None,
) -> bytes:
    """The file's bytes: header, program headers, `body`, padded with a pattern to `size`."""
    own_bits, own_data, flags = KINDS[arch]
    bits = bits or own_bits
    data = data or own_data
    prefix = "<" if data == 1 else ">"
    ehsize, own_phentsize = header_size(bits)
    form = "HHIIIIIHHHHHH" if bits == 32 else "HHIQQQIHHHHHH"
    ident = b"\x7fELF" + bytes((1 if bits == 32 else 2, data, 1, 0)) + bytes(8)
    result: bytes = ident + struct.pack(
        prefix + form,
        elf_type,
        MACHINES[arch] if machine is None else machine,
        1,
        entry,
        ehsize if phoff is None else phoff,
        0,
        flags,
        ehsize,
        own_phentsize if phentsize is None else phentsize,
        len(segments) if phnum is None else phnum,
        0,
        0,
        0,
    )
    for kind, offset, vaddr, filesz, memsz, pflags, align in segments:
        if bits == 32:
            result += struct.pack(
                prefix + "8I", kind, offset, vaddr, vaddr, filesz, memsz, pflags, align
            )
        else:
            result += struct.pack(
                prefix + "2I6Q", kind, pflags, offset, vaddr, vaddr, filesz, memsz, align
            )
    result += body
    if size is not None:
        result += bytes(index * 7 % 251 + 1 for index in range(len(result), size))
    return result


def write(path: Path, content: bytes, mode: int = 0o755) -> bytes:
    """Store the file; its path as bytes."""
    path.write_bytes(content)
    path.chmod(mode)
    return os.fsencode(path)
