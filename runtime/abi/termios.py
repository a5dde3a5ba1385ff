"""struct termios of each ABI to and from the hosts' struct termios2 (asm-generic/termbits.h).

Flag words and control characters keep their meaning and change their bits and places. Sources: arch/mips and
arch/powerpc include/uapi/asm/termbits.h. The hosts' numbering is the generic one.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = struct.Struct("=4IB19s2I")  # iflag, oflag, cflag, lflag, line, cc, ispeed, ospeed
NCCS = 19
_GENERIC_CC = {
    "VINTR": 0, "VQUIT": 1, "VERASE": 2, "VKILL": 3, "VEOF": 4, "VTIME": 5, "VMIN": 6, "VSWTC": 7, "VSTART": 8,
    "VSTOP": 9, "VSUSP": 10, "VEOL": 11, "VREPRINT": 12, "VDISCARD": 13, "VWERASE": 14, "VLNEXT": 15, "VEOL2": 16,
}  # fmt: skip
CBAUD, CBAUDEX, BOTHER = 0x100F, 0x1000, 0x1000
POWERPC_CBAUD, POWERPC_BOTHER = 0xFF, 0x1F


class Form:
    """One ABI's struct termios. `bits`: per flag word (iflag, oflag, cflag, lflag) generic bit -> own bit, where
    they differ."""

    __slots__ = ("_from", "_to", "cc", "count", "line_last", "powerpc", "speeds")

    def __init__(
        self,
        *,
        bits: "tuple[Mapping[int, int], ...]" = ({}, {}, {}, {}),
        cc: "Mapping[str, int] | None" = None,  # own places, where they differ
        count: int = NCCS,  # of control characters
        powerpc: bool = False,  # c_line after c_cc, speeds in the plain structure, CBAUD of eight bits
    ) -> None:
        self._to = [dict(word) for word in bits]
        self._from = [{own: generic for generic, own in word.items()} for word in bits]
        places = {**_GENERIC_CC, **(cc or {})}
        self.cc = [(_GENERIC_CC[name], places[name]) for name in _GENERIC_CC]
        self.count = count
        self.powerpc = powerpc

    def code(self, speeds: bool) -> str:
        if self.powerpc:
            return f"4I{self.count}sB2I"
        return f"4IB{self.count}s" + ("2I" if speeds else "")

    def size(self, speeds: bool) -> int:
        """Bytes; the C structure is padded to a word."""
        return (struct.calcsize("=" + self._padded(speeds)) + 3) & ~3

    def _padded(self, speeds: bool) -> str:
        code = self.code(speeds)
        return code + f"{-struct.calcsize('=' + code) % 4}x"

    def to_guest(self, host: "bytes | bytearray", prefix: str, speeds: bool) -> bytes:
        """host: struct termios2 of the host."""
        *words, line, host_cc, ispeed, ospeed = HOST.unpack(host)
        flags = [_move(word, table) for word, table in zip(words, self._to, strict=True)]
        if self.powerpc:
            flags[2] = flags[2] & ~POWERPC_CBAUD | _powerpc_speed(words[2] & CBAUD)
        cc = bytearray(self.count)
        for generic, own in self.cc:
            cc[own] = host_cc[generic]
        tail = (
            (bytes(cc), line, ispeed, ospeed)
            if self.powerpc
            else (line, bytes(cc), *((ispeed, ospeed) if speeds else ()))
        )
        return struct.pack(prefix + self._padded(speeds), *flags, *tail)

    def to_host(
        self, guest: bytes, prefix: str, speeds: bool, before: "bytes | bytearray"
    ) -> bytes:
        """before: the terminal's present struct termios2, for what the guest's structure does not say."""
        *_, old_cc, ispeed, ospeed = HOST.unpack(before)
        values = struct.unpack(prefix + self._padded(speeds), guest)
        words = values[:4]
        if self.powerpc:
            cc, line, ispeed, ospeed = values[4:]
        elif speeds:
            line, cc, ispeed, ospeed = values[4:]
        else:
            line, cc = values[4:]
        flags = [_move(word, table) for word, table in zip(words, self._from, strict=True)]
        if self.powerpc:
            flags[2] = flags[2] & ~CBAUD | _generic_speed(words[2] & POWERPC_CBAUD)
        host_cc = bytearray(old_cc)
        for generic, own in self.cc:
            host_cc[generic] = cc[own]
        return HOST.pack(*flags, line, bytes(host_cc), ispeed, ospeed)


def _move(word: int, table: "Mapping[int, int]") -> int:
    """Bits through a table; bits it has neither as source nor as target stay."""
    if not table:
        return word
    result = 0
    for source, target in table.items():
        if word & source:
            result |= target
    known = 0
    for source in (*table, *table.values()):
        known |= source
    return result | word & ~known


def _powerpc_speed(speed: int) -> int:
    if speed == BOTHER:
        return POWERPC_BOTHER
    return 15 + (speed & 15) if speed & CBAUDEX else speed


def _generic_speed(speed: int) -> int:
    if speed == POWERPC_BOTHER:
        return BOTHER
    return CBAUDEX | speed - 15 if speed > 15 else speed


GENERIC = Form()
FORMS: dict[str, Form] = {
    "mips": Form(
        bits=({}, {}, {}, {0x100: 0x8000, 0x1000: 0x2000, 0x8000: 0x100}),  # TOSTOP, FLUSHO, IEXTEN
        cc={"VMIN": 4, "VEOL2": 6, "VEOF": 16, "VEOL": 17},
        count=23,
    ),
    "ppc64le": Form(
        bits=(
            {0x200: 0x1000, 0x400: 0x200, 0x1000: 0x400},  # IUCLC, IXON, IXOFF
            {
                0x2: 0x4, 0x4: 0x2,  # OLCUC, ONLCR
                0x200: 0x1000, 0x400: 0x2000, 0x800: 0x400, 0x1000: 0x800,  # CR1, CR2, TAB1, TAB2
                0x2000: 0x8000, 0x4000: 0x10000, 0x8000: 0x4000,  # BS1, VT1, FF1
            },
            # CS6, CS7, CSTOPB, CREAD, PARENB, PARODD, HUPCL, CLOCAL
            {bit: bit << 4 for bit in (0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800)},
            {
                0x1: 0x80, 0x2: 0x100, 0x4: 0x4000,  # ISIG, ICANON, XCASE
                0x10: 0x2, 0x20: 0x4, 0x40: 0x10,  # ECHOE, ECHOK, ECHONL
                0x80: 0x80000000, 0x100: 0x400000,  # NOFLSH, TOSTOP
                0x200: 0x40, 0x400: 0x20, 0x800: 0x1,  # ECHOCTL, ECHOPRT, ECHOKE
                0x1000: 0x800000, 0x4000: 0x20000000,  # FLUSHO, PENDIN
                0x8000: 0x400, 0x10000: 0x10000000,  # IEXTEN, EXTPROC
            },
        ),
        cc={
            "VMIN": 5, "VEOL": 6, "VTIME": 7, "VEOL2": 8, "VSWTC": 9, "VWERASE": 10, "VREPRINT": 11, "VSUSP": 12,
            "VSTART": 13, "VSTOP": 14, "VLNEXT": 15, "VDISCARD": 16,
        },
        powerpc=True,
    ),
}  # fmt: skip


def form(model_name: str) -> Form:
    """The form of an ABI, by its data model's name."""
    return FORMS.get(model_name, GENERIC)
