"""ioctl requests whose argument is understood: number in each ABI, and what the argument is.

A row says how the argument lies in memory as a struct code in which `l` and `L` are the ABI's long; the direction
says who reads it:

    value   no pointer: an int, or nothing          in      the kernel reads it
    out     the kernel writes it                    inout   both

Two families of numbers. *Plain* ones are what they are; for terminals mips and powerpc have numbers of their own (TTY).
*Encoded* ones are made of direction, size, type and number by _IOC (asm/ioctl.h), which on mips and powerpc has three
direction bits and the other order of read and write. Sources: asm-generic/ioctls.h,
arch/{mips,powerpc}/include/uapi/asm/ ioctls.h, linux/{fs,sockios,loop,nsfs,kd,vt,rtc,random}.h.
tests/unit/abi/test_ioctls.py asks the compilers.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.abi.layout import DataModel

# name, generic number (hex), direction, code.
PLAIN = """
TCSBRK 5409 value
TCXONC 540a value
TCFLSH 540b value
TCSBRKP 5425 value
TIOCEXCL 540c value
TIOCNXCL 540d value
TIOCSCTTY 540e value
TIOCGPGRP 540f out i
TIOCSPGRP 5410 in i
TIOCOUTQ 5411 out i
TIOCSTI 5412 in b
TIOCGWINSZ 5413 out 4H
TIOCSWINSZ 5414 in 4H
TIOCMGET 5415 out i
TIOCMBIS 5416 in i
TIOCMBIC 5417 in i
TIOCMSET 5418 in i
TIOCGSOFTCAR 5419 out i
TIOCSSOFTCAR 541a in i
FIONREAD 541b out i
TIOCCONS 541d value
TIOCPKT 5420 in i
FIONBIO 5421 in i
TIOCNOTTY 5422 value
TIOCSETD 5423 in i
TIOCGETD 5424 out i
TIOCSBRK 5427 value
TIOCCBRK 5428 value
TIOCGSID 5429 out i
TIOCVHANGUP 5437 value
TIOCMIWAIT 545c value
FIONCLEX 5450 value
FIOCLEX 5451 value
FIOASYNC 5452 in i
FIOSETOWN 8901 in i
SIOCSPGRP 8902 in i
FIOGETOWN 8903 out i
SIOCGPGRP 8904 out i
SIOCATMARK 8905 out i
LOOP_SET_FD 4c00 value
LOOP_CLR_FD 4c01 value
LOOP_SET_STATUS64 4c04 in 5Q4I64s64s32s2Q
LOOP_GET_STATUS64 4c05 out 5Q4I64s64s32s2Q
LOOP_CHANGE_FD 4c06 value
LOOP_SET_CAPACITY 4c07 value
LOOP_SET_DIRECT_IO 4c08 value
LOOP_SET_BLOCK_SIZE 4c09 value
LOOP_CONFIGURE 4c0a in 2I5Q4I64s64s32s2Q8Q
LOOP_CTL_ADD 4c80 value
LOOP_CTL_REMOVE 4c81 value
LOOP_CTL_GET_FREE 4c82 value
KDGKBTYPE 4b33 out b
KDSETMODE 4b3a value
KDGETMODE 4b3b out i
KDGKBMODE 4b44 out i
KDSKBMODE 4b45 value
VT_OPENQRY 5600 out i
VT_GETSTATE 5603 out 3H
VT_ACTIVATE 5606 value
VT_WAITACTIVE 5607 value
"""
# name, direction in the number (- none, r, w, rw), type and number (hex), code of the size in the number, direction
# and code of the argument: history made them differ (BLKBSZGET says size_t and means int).
ENCODED = """
TIOCGPTN r 54 30 I out I
TIOCSPTLCK w 54 31 i in i
TIOCGPKT r 54 38 i out i
TIOCGPTLCK r 54 39 i out i
TIOCGEXCL r 54 40 i out i
BLKROSET - 12 5d - in i
BLKROGET - 12 5e - out i
BLKRRPART - 12 5f - value
BLKGETSIZE - 12 60 - out L
BLKFLSBUF - 12 61 - value
BLKRASET - 12 62 - value
BLKRAGET - 12 63 - out l
BLKSSZGET - 12 68 - out i
BLKBSZGET r 12 70 L out i
BLKBSZSET w 12 71 L in i
BLKGETSIZE64 r 12 72 L out Q
BLKDISCARD - 12 77 - in 2Q
BLKIOMIN - 12 78 - out I
BLKIOOPT - 12 79 - out I
BLKALIGNOFF - 12 7a - out i
BLKPBSZGET - 12 7b - out I
BLKROTATIONAL - 12 7e - out H
BLKZEROOUT - 12 7f - in 2Q
FIBMAP - 00 01 - inout i
FIGETBSZ - 00 02 - out i
FIFREEZE rw 58 77 i value
FITHAW rw 58 78 i value
FITRIM rw 58 79 3Q inout 3Q
FICLONE w 94 09 i value
FICLONERANGE w 94 0d q3Q in q3Q
FS_IOC_GETFLAGS r 66 01 l out i
FS_IOC_SETFLAGS w 66 02 l in i
FS_IOC_GETVERSION r 76 01 l out i
FS_IOC_SETVERSION w 76 02 l in i
FS_IOC_FSGETXATTR r 58 1f 5I8s out 5I8s
FS_IOC_FSSETXATTR w 58 20 5I8s in 5I8s
FS_IOC_GETFSLABEL r 94 31 256s out 256s
FS_IOC_SETFSLABEL w 94 32 256s in 256s
NS_GET_USERNS - b7 01 - value
NS_GET_PARENT - b7 02 - value
NS_GET_NSTYPE - b7 03 - value
NS_GET_OWNER_UID - b7 04 - out I
RTC_RD_TIME r 70 09 9i out 9i
RNDGETENTCNT r 52 00 i out i
RNDADDTOENTCNT w 52 01 i in i
RNDRESEEDCRNG - 52 07 - value
"""
# Requests with struct ifreq (linux/if.h): a name of 16 bytes, then a union, here the member's code. `a` is a
# sockaddr: its family in the ABI's byte order, 14 bytes as they are.
IFREQ = """
SIOCGIFNAME 8910 i
SIOCGIFFLAGS 8913 h
SIOCSIFFLAGS 8914 h
SIOCGIFADDR 8915 a
SIOCSIFADDR 8916 a
SIOCGIFDSTADDR 8917 a
SIOCSIFDSTADDR 8918 a
SIOCGIFBRDADDR 8919 a
SIOCSIFBRDADDR 891a a
SIOCGIFNETMASK 891b a
SIOCSIFNETMASK 891c a
SIOCGIFMETRIC 891d i
SIOCSIFMETRIC 891e i
SIOCGIFMTU 8921 i
SIOCSIFMTU 8922 i
SIOCSIFNAME 8923 16s
SIOCSIFHWADDR 8924 a
SIOCGIFHWADDR 8927 a
SIOCGIFINDEX 8933 i
SIOCGIFTXQLEN 8942 i
SIOCSIFTXQLEN 8943 i
"""
# Those that ioctl.py treats one by one: name, generic number or (direction, type, number, size code).
SPECIAL: dict[str, tuple[int, str]] = {
    "TCGETS": (0x5401, ""),
    "TCSETS": (0x5402, ""),
    "TCSETSW": (0x5403, ""),
    "TCSETSF": (0x5404, ""),
    "TCGETS2": (0x802C542A, "r 54 2a 44s"),
    "TCSETS2": (0x402C542B, "w 54 2b 44s"),
    "TCSETSW2": (0x402C542C, "w 54 2c 44s"),
    "TCSETSF2": (0x402C542D, "w 54 2d 44s"),
    "TIOCGPTPEER": (0x5441, "- 54 41 -"),
    "SIOCGIFCONF": (0x8912, ""),
    "FS_IOC_FIEMAP": (0xC020660B, "rw 66 0b 2Q4I"),
}
# Numbers of their own.
TTY: dict[str, dict[str, int]] = {
    "mips": {
        "TCGETS": 0x540D, "TCSETS": 0x540E, "TCSETSW": 0x540F, "TCSETSF": 0x5410, "TCSBRK": 0x5405,
        "TCXONC": 0x5406, "TCFLSH": 0x5407, "TCSBRKP": 0x5486, "TIOCEXCL": 0x740D, "TIOCNXCL": 0x740E,
        "TIOCSCTTY": 0x5480, "TIOCGPGRP": 0x40047477, "TIOCSPGRP": 0x80047476, "TIOCOUTQ": 0x7472,
        "TIOCSTI": 0x5472, "TIOCGWINSZ": 0x40087468, "TIOCSWINSZ": 0x80087467, "TIOCMGET": 0x741D,
        "TIOCMBIS": 0x741B, "TIOCMBIC": 0x741C, "TIOCMSET": 0x741A, "TIOCGSOFTCAR": 0x5481,
        "TIOCSSOFTCAR": 0x5482, "FIONREAD": 0x467F, "TIOCCONS": 0x80047478, "TIOCPKT": 0x5470,
        "FIONBIO": 0x667E, "TIOCNOTTY": 0x5471, "TIOCSETD": 0x7401, "TIOCGETD": 0x7400,
        "TIOCGSID": 0x7416, "TIOCMIWAIT": 0x5491, "FIONCLEX": 0x6602, "FIOCLEX": 0x6601,
        "FIOASYNC": 0x667D, "SIOCSPGRP": 0x80047308, "SIOCGPGRP": 0x40047309, "SIOCATMARK": 0x40047307,
        "FIOSETOWN": 0x8004667C, "FIOGETOWN": 0x4004667B,
        "TCGETS2": 0x4030542A, "TCSETS2": 0x8030542B, "TCSETSW2": 0x8030542C, "TCSETSF2": 0x8030542D,
    },
    "powerpc": {
        "TCGETS": 0x402C7413, "TCSETS": 0x802C7414, "TCSETSW": 0x802C7415, "TCSETSF": 0x802C7416,
        "TCSBRK": 0x2000741D, "TCXONC": 0x2000741E, "TCFLSH": 0x2000741F, "TIOCGPGRP": 0x40047477,
        "TIOCSPGRP": 0x80047476, "TIOCOUTQ": 0x40047473, "TIOCGWINSZ": 0x40087468,
        "TIOCSWINSZ": 0x80087467, "FIONREAD": 0x4004667F, "FIONBIO": 0x8004667E, "FIONCLEX": 0x20006602,
        "FIOCLEX": 0x20006601, "FIOASYNC": 0x8004667D,
    },
}  # fmt: skip
STYLES = {
    "mips": "mips",
    "ppc64le": "powerpc",
}  # model -> key of TTY; these have the other _IOC too


class Ioctl:
    """One request. `host` is the host's number; `way` "value", "in", "out", "inout", "ifreq", or the name of a
    special one."""

    __slots__ = ("code", "host", "name", "way")

    def __init__(self, name: str, host: int, way: str, code: str = "") -> None:
        self.name = name
        self.host = host
        self.way = way
        self.code = code


def size_of(code: str, bits: int) -> int:
    """Bytes of a struct code on an ABI of 32 or 64 bits. All our ABIs align as the sum of their fields does."""
    return 0 if code == "-" else struct.calcsize("=" + widths(code, bits))


def widths(code: str, bits: int) -> str:
    """A code with the ABI's longs in it."""
    return code if bits == 32 else code.replace("l", "q").replace("L", "Q")


def encode(direction: str, type_: int, number: int, size: int, style: str) -> int:
    """_IOC(direction, type, number, size)."""
    if style:  # mips and powerpc: none 1, read 2, write 4 in the top three bits
        bits = ("r" in direction) << 1 | ("w" in direction) << 2 or 1
        return bits << 29 | size << 16 | type_ << 8 | number
    bits = ("w" in direction) | ("r" in direction) << 1
    return bits << 30 | size << 16 | type_ << 8 | number


_tables: dict[str, dict[int, Ioctl]] = {}


def table(model: "DataModel") -> dict[int, Ioctl]:
    """The requests of an ABI by the guest's number."""
    found = _tables.get(model.name)
    if found is None:
        found = _tables[model.name] = _build(model)
    return found


def _build(model: "DataModel") -> dict[int, Ioctl]:
    style = STYLES.get(model.name, "")
    own = TTY.get(style, {})
    requests: dict[int, Ioctl] = {}
    for line in PLAIN.split("\n"):
        if words := line.split():
            name, number, way = words[0], int(words[1], 16), words[2]
            requests[own.get(name, number)] = Ioctl(name, number, way, "".join(words[3:]))
    for line in IFREQ.split("\n"):
        if words := line.split():
            number = int(words[1], 16)
            requests[number] = Ioctl(words[0], number, "ifreq", words[2])
    for line in ENCODED.split("\n"):
        if words := line.split():
            name, direction, type_, nr, size, way = words[:6]
            numbers = (int(type_, 16), int(nr, 16))
            host = encode(direction, *numbers, size_of(size, 64), "")
            guest = encode(direction, *numbers, size_of(size, model.bits), style)
            requests[own.get(name, guest)] = Ioctl(name, host, way, "".join(words[6:]))
    for name, (host, encoding) in SPECIAL.items():
        guest = host
        if encoding and style:
            direction, type_, nr, size = encoding.split()
            guest = encode(direction, int(type_, 16), int(nr, 16), size_of(size, 64), style)
        if style == "powerpc" and name.endswith("2"):
            continue  # its plain requests carry the speeds already
        requests[own.get(name, guest)] = Ioctl(name, host, name)
    return requests
