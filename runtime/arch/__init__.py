"""Facts about guest architectures, one literal file each. A leaf: imports nothing of the runtime but runtime.abi.

Asking which architecture a file is for imports none of them; `load` imports only the one asked for.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture

ARCHITECTURES: tuple[str, ...] = ("aarch64", "arm", "riscv64", "ppc64le", "mips", "x86_64")

# (class, data, e_machine) -> ((e_flags mask, value, name), ...), the first that fits. Equal to what the files say.
_ELF: dict[tuple[int, int, int], tuple[tuple[int, int, str], ...]] = {
    (64, 1, 183): ((0, 0, "aarch64"),),
    (32, 1, 40): ((0xFF000000, 0x05000000, "arm"),),  # EABI 5
    (64, 1, 243): ((0, 0, "riscv64"),),
    (64, 1, 21): (
        (3, 2, "ppc64le"),
        (3, 1, "ppc64le"),
        (3, 0, "ppc64le"),
    ),  # ELFv2 ABI; ELFv1; not said
    (32, 2, 8): ((0x0000F020, 0x1000, "mips"), (0x0000F020, 0, "mips")),  # o32, not n32
    (64, 1, 62): ((0, 0, "x86_64"),),
}

# Debian's, QEMU's, GNU's and uname's names -> ours.
_NAMES: dict[str, str] = {
    "arm64": "aarch64", "aarch64-linux-gnu": "aarch64",
    "armhf": "arm", "armv7l": "arm", "arm-linux-gnueabihf": "arm",
    "riscv64-linux-gnu": "riscv64",
    "ppc64el": "ppc64le", "powerpc64le-linux-gnu": "ppc64le",
    "mips-linux-gnu": "mips",
    "amd64": "x86_64", "x86-64": "x86_64", "x86_64-linux-gnu": "x86_64",
}  # fmt: skip

_loaded: "dict[str, Architecture]" = {}


def load(name: str) -> "Architecture":
    """The facts of an architecture by our name; KeyError for another name. All that are needed are loaded at start."""
    known = _loaded.get(name)
    if known is None:
        if name not in ARCHITECTURES:
            raise KeyError(name)
        __import__(f"runtime.arch.{name}")  # importlib costs 2 ms
        known = sys.modules[f"runtime.arch.{name}"].ARCHITECTURE
        known.syscalls()  # reads its table: a file too, out of reach once the root has changed
        _loaded[name] = known
    return known


def load_all() -> None:
    """Import every architecture, for a guest that may execute another one's programs after changing its root."""
    for name in ARCHITECTURES:
        load(name)


def load_processors() -> None:
    """Import the models besides the usual ones: before a program starts, where one of them is asked for."""
    __import__("runtime.arch.processors")


def with_processor(usual: "Architecture", word: str) -> "Architecture":
    """The architecture with a processor; "auto" is the usual one. ProcessorError (architecture.py)."""
    if word == "auto":
        return usual
    load_processors()
    fitted: Architecture = sys.modules["runtime.arch.processors"].fit(usual, word)
    return fitted


def identify(elf_class: int, elf_data: int, e_machine: int, e_flags: int) -> str | None:
    """Our name for an ELF header's fields (class 32 or 64, data 1 little or 2 big endian), or None."""
    for mask, value, name in _ELF.get((elf_class, elf_data, e_machine), ()):
        if e_flags & mask == value:
            return name
    return None


def find(name: str) -> str | None:
    """Our name for anybody's name: ours, Debian's, QEMU's, GNU's triple, uname -m."""
    return name if name in ARCHITECTURES else _NAMES.get(name.lower())


def known_names() -> list[str]:
    """Every name that find() takes, sorted."""
    return sorted({*ARCHITECTURES, *_NAMES})
