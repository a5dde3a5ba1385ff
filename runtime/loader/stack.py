"""The initial stack of a program: argument strings, environment, auxiliary vector, as bytes and as a mapping.

From the top down, as fs/exec.c and create_elf_tables (fs/binfmt_elf.c) build it: one null pointer, the file name, the
environment strings, the argument strings, the platform names, 16 random bytes, then after alignment to 16 and upwards
from the stack pointer argc, argv, NULL, envp, NULL, the auxiliary vector. Word size and byte order come from the
data model; nothing here knows an architecture. build() is pure: numbers and bytes in, bytes out.
"""

import struct

from runtime.abi.errors import E2BIG, GuestError
from runtime.memory.areas import GROWSDOWN
from runtime.memory.flags import PROT_EXEC, PROT_READ, PROT_WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.arch.architecture import Architecture
    from runtime.loader.elf import LoadedImage
    from runtime.memory.space import AddressSpace

# include/uapi/linux/auxvec.h
AT_NULL, AT_EXECFD, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = (
    0,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
)
AT_UID, AT_EUID, AT_GID, AT_EGID, AT_PLATFORM, AT_HWCAP, AT_CLKTCK = 11, 12, 13, 14, 15, 16, 17
AT_SECURE, AT_BASE_PLATFORM, AT_RANDOM, AT_HWCAP2, AT_EXECFN = 23, 24, 25, 26, 31
AT_SYSINFO_EHDR, AT_MINSIGSTKSZ = 33, 51

CLOCK_TICKS = 100  # USER_HZ of every architecture we have

MAX_ARG_PAGES = 32  # MAX_ARG_STRLEN is so many pages, the NUL included
STACK_LIMIT = 8 << 20  # _STK_LIM
ARGUMENTS_ALWAYS = 128 << 10  # ARG_MAX: so much is taken even with a tiny stack limit
EXPANSION = 128 << 10  # setup_arg_pages: room below the strings that is mapped from the start


class Credentials:
    """What the auxiliary vector says about the user: ids, and whether the program gained privilege."""

    __slots__ = ("egid", "euid", "gid", "secure", "uid")

    def __init__(self, *, uid: int, euid: int, gid: int, egid: int, secure: bool) -> None:
        self.uid = uid
        self.euid = euid
        self.gid = gid
        self.egid = egid
        self.secure = secure


class StackImage:
    """The bytes from `sp` to the top of the stack, and where things are in them (guest addresses, ends exclusive)."""

    __slots__ = ("argv_end", "argv_start", "auxv", "data", "env_end", "env_start", "sp")

    def __init__(
        self,
        *,
        sp: int,
        data: bytes,
        auxv: bytes,
        argv: tuple[int, int],
        environment: tuple[int, int],
    ) -> None:
        self.sp = sp
        self.data = data
        self.auxv = auxv  # the vector with its AT_NULL entry: /proc/self/auxv
        self.argv_start, self.argv_end = argv  # the strings, for /proc/self/cmdline
        self.env_start, self.env_end = environment


def check_size(
    argv: "Sequence[bytes]",
    envp: "Sequence[bytes]",
    name: bytes,
    *,
    page: int,
    word: int,
    limit: int,
) -> None:
    """GuestError(E2BIG) as bprm_stack_limits and copy_strings say it, before anything is lost.

    `limit`: RLIMIT_STACK in bytes; `word`: bytes of a pointer; `name`: the file name, which lies there too.
    """
    longest = MAX_ARG_PAGES * page
    room = max(min(STACK_LIMIT // 4 * 3, limit // 4), ARGUMENTS_ALWAYS)
    room -= (max(len(argv), 1) + len(envp)) * word
    for text in (*argv, *envp):
        if len(text) >= longest:
            raise GuestError(E2BIG)
        room -= len(text) + 1
    if room < len(name) + 1:
        raise GuestError(E2BIG)


def auxiliary_vector(
    arch: "Architecture",
    loaded: "LoadedImage",
    *,
    page: int,
    who: Credentials,
    vdso: int = 0,
    flags: int = 0,
) -> list[tuple[int, int | bytes | str]]:
    """The entries without AT_NULL, in the kernel's order: ARCH_DLINFO first. A value that is bytes is stored on the
    stack and becomes its address; so do the words "random" and "execfn"."""
    entries: list[tuple[int, int | bytes | str]] = []
    if vdso:
        entries.append((AT_SYSINFO_EHDR, vdso))
    entries += arch.auxv.extra
    if arch.auxv.minsigstksz:
        entries.append((AT_MINSIGSTKSZ, arch.auxv.minsigstksz))
    entries += [
        (AT_HWCAP, arch.auxv.hwcap),
        (AT_PAGESZ, page),
        (AT_CLKTCK, CLOCK_TICKS),
        (AT_PHDR, loaded.phdr),
        (AT_PHENT, loaded.phent),
        (AT_PHNUM, loaded.phnum),
        (AT_BASE, loaded.interpreter_base),
        (AT_FLAGS, flags),
        (AT_ENTRY, loaded.program_entry),
        (AT_UID, who.uid),
        (AT_EUID, who.euid),
        (AT_GID, who.gid),
        (AT_EGID, who.egid),
        (AT_SECURE, int(who.secure)),
        (AT_RANDOM, "random"),
    ]
    if arch.auxv.hwcap2 is not None:
        entries.append((AT_HWCAP2, arch.auxv.hwcap2))
    entries.append((AT_EXECFN, "execfn"))
    if arch.auxv.platform:
        entries.append((AT_PLATFORM, arch.auxv.platform))
    if arch.auxv.base_platform:
        entries.append((AT_BASE_PLATFORM, arch.auxv.base_platform))
    return entries


def build(
    top: int,
    *,
    bits: int,
    order: str,
    argv: "Sequence[bytes]",
    envp: "Sequence[bytes]",
    name: bytes,
    entries: "Sequence[tuple[int, int | bytes | str]]",
    random: bytes,
) -> StackImage:
    """Lay it out below `top`. `order`: "<" or ">"; `random`: 16 bytes; `name`: the path execve was called with."""
    word = bits // 8
    form = "I" if bits == 32 else "Q"
    name_at = top - word - len(name) - 1
    env_at = name_at - sum(map(len, envp)) - len(envp)
    argv_at = env_at - sum(map(len, argv)) - len(argv)
    # From the lowest string up; the stack is put together at the end.
    strings = b"".join(text + b"\0" for text in (*argv, *envp, name))
    low, vector = _below(argv_at, entries, random, name_at)
    pointers = [len(argv), *_addresses(argv_at, argv), 0, *_addresses(env_at, envp), 0]
    words = pointers + vector
    cursor = argv_at - len(low)
    # STACK_ROUND aligns below the vector's place, and the vector follows the pointers: the padding is above it.
    sp = (cursor - len(vector) * word - len(pointers) * word) & -16
    table = struct.pack(f"{order}{len(words)}{form}", *words)
    padding = bytes(cursor - sp - len(table))
    return StackImage(
        sp=sp,
        data=b"".join((table, padding, low, strings, bytes(word))),
        auxv=struct.pack(f"{order}{len(vector)}{form}", *vector),
        argv=(argv_at, env_at),
        environment=(env_at, name_at),
    )


def _below(
    end: int, entries: "Sequence[tuple[int, int | bytes | str]]", random: bytes, name_at: int
) -> tuple[bytes, list[int]]:
    """What lies between the pointers and `end`, where the strings start: the entries' own bytes and the random ones;
    and the auxiliary vector that points to them."""
    cursor = end & -16  # arch_align_stack
    pieces = [bytes(end - cursor)]  # from the top down
    vector: list[int] = []
    late: list[tuple[int, str]] = []  # places in the vector whose address comes last
    for kind, value in entries:
        if isinstance(value, bytes):
            pieces.append(value + b"\0")
            cursor -= len(value) + 1
            value = cursor
        elif isinstance(value, str):
            late.append((len(vector) + 1, value))
            value = 0
        vector += (kind, value)
    pieces.append(random)
    cursor -= len(random)
    named = {"random": cursor, "execfn": name_at}
    for place, what in late:
        vector[place] = named[what]
    vector += (AT_NULL, 0)
    return b"".join(reversed(pieces)), vector


def _addresses(start: int, texts: "Sequence[bytes]") -> list[int]:
    addresses = []
    for text in texts:
        addresses.append(start)
        start += len(text) + 1
    return addresses


def map_stack(
    space: "AddressSpace", image: StackImage, *, top: int, limit: int, executable: bool
) -> None:
    """Map the stack area below `top` and store the bytes: what they need and 128 KiB more (less if the limit is less);
    AddressSpace.grow() extends it down to RLIMIT_STACK, `limit` in bytes."""
    needed = top - image.sp
    size = space.round(max(min(needed + EXPANSION, limit), needed))
    prot = PROT_READ | PROT_WRITE | (PROT_EXEC if executable else 0)
    space.map_anonymous(top - size, size, prot, flags=GROWSDOWN)
    space.start_stack = image.sp  # the area that holds it is [stack]
    space.table.write(image.sp, image.data)
