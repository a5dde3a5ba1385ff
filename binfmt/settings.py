"""Settings inside the launcher: what the configuration files of the host said when a target was registered.

A program in a chroot is started by the launcher that the kernel pinned, and no file of the host can be read by then. So
a registration may write a copy of the launcher whose section `.octavo.settings` holds the settings; at exec the kernel
maps them with the rest of the file. A launcher without any has the defaults, and looks at no configuration file.

The section (packaging/launcher/embedded.S.in): a mark, the number of bytes (4, little endian), the bytes, room. The
bytes are Configuration.dump().
"""

import struct

SECTION = b".octavo.settings"
MARK = b"octavo settings\n"
_SIZE = struct.Struct("<I")

# ELF64 (elf(5)): offsets in the file header, and Elf64_Shdr
E_SHOFF, E_SHENTSIZE = 40, 58
_HEADER = struct.Struct("=IIQQQQIIQQ")


class NotALauncher(Exception):
    """A file has no room for settings. args == (why,)."""


def _room(launcher: bytes) -> tuple[int, int]:
    """(offset in the file of the bytes' number, how many bytes fit). NotALauncher."""
    if launcher[:5] != b"\x7fELF\x02":
        raise NotALauncher("not a 64-bit ELF file")
    try:
        (start,) = struct.unpack_from("=Q", launcher, E_SHOFF)
        size, count, names = struct.unpack_from("=HHH", launcher, E_SHENTSIZE)
        rows = [_HEADER.unpack_from(launcher, start + size * index) for index in range(count)]
        strings = rows[names][4]
    except (struct.error, IndexError):
        raise NotALauncher("its section headers cannot be read") from None
    for name, _, _, _, offset, length, *_ in rows:
        begin = strings + name
        if launcher[begin : begin + len(SECTION) + 1] == SECTION + b"\0":
            if launcher[offset : offset + len(MARK)] != MARK:
                break
            return offset + len(MARK), length - len(MARK) - _SIZE.size
    raise NotALauncher(f"no section {SECTION.decode()}: a launcher of another version")


def read(launcher: bytes) -> bytes:
    """The settings in a launcher; b"" when there are none. NotALauncher."""
    offset, _ = _room(launcher)
    (size,) = _SIZE.unpack_from(launcher, offset)
    start = offset + _SIZE.size
    return launcher[start : start + size]


def write(launcher: bytes, settings: bytes) -> bytes:
    """The launcher with these settings instead of its own. NotALauncher: also when they do not fit."""
    offset, room = _room(launcher)
    if len(settings) > room:
        raise NotALauncher(f"settings of {len(settings)} bytes; it has room for {room}")
    text = _SIZE.pack(len(settings)) + settings
    return launcher[:offset] + text + launcher[offset + len(text) :]
