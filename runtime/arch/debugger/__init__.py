"""What GDB is told of an architecture: its registers by GDB's names, and the instructions it breaks with.

The form, and in one file each the facts. The names of the features, and of the registers that belong to them, are GDB's
(its manual, "Standard Target Features"; the descriptions under gdb/features of its source). The order of the registers
is that of the `g` packet. Only -g imports any of this, all of it at once: the program may execute one of another
architecture when nothing can be imported any more.
"""

import sys

from runtime.arch import ARCHITECTURES


class Register:
    """One register: GDB's name, its size in bits, GDB's type for it ("": by size), and where its value comes from: a
    name in EngineFacts.registers ("": the same name), or a value that never changes. Neither `source` nor value: GDB
    wants to have it, and is told that it is unavailable."""

    __slots__ = ("bits", "name", "source", "type", "value")

    def __init__(
        self,
        name: str,
        bits: int,
        type: str = "",
        source: str | None = "",
        value: int | None = None,
    ) -> None:
        self.name = name
        self.bits = bits
        self.type = type
        self.source = name if source == "" else source
        self.value = value


class Feature:
    """A group of registers that GDB knows by its name, and the XML of the types that it defines."""

    __slots__ = ("name", "registers", "types")

    def __init__(self, name: str, *registers: Register, types: str = "") -> None:
        self.name = name
        self.registers = registers
        self.types = types


class DebuggerFacts:
    """An architecture as GDB has it."""

    __slots__ = ("architecture", "breakpoints", "features", "pc_after_break")

    def __init__(
        self,
        *,
        architecture: str,  # a name of BFD's, as `set architecture` takes it
        breakpoints: dict[int, bytes],  # by the "kind" of a Z0 packet: the instruction, as it lies
        features: tuple[Feature, ...],
        pc_after_break: int = 0,  # bytes by which pc is past a breakpoint that was executed
    ) -> None:
        self.architecture = architecture
        self.breakpoints = breakpoints
        self.features = features
        self.pc_after_break = pc_after_break


def series(
    name: str, numbers: range, bits: int, type: str = "", source: str = ""
) -> tuple[Register, ...]:
    """Registers with a number at the end, `source` being the engine's name without it."""
    return tuple(Register(f"{name}{n}", bits, type, f"{source or name}{n}") for n in numbers)


def missing(name: str, bits: int, type: str = "") -> Register:
    """A register that the engine cannot tell."""
    return Register(name, bits, type, None)


def load_all() -> dict[str, DebuggerFacts]:
    """The facts of every architecture, by our name for it."""
    for name in ARCHITECTURES:
        __import__(f"{__name__}.{name}")  # importlib costs 2 ms
    return {name: sys.modules[f"{__name__}.{name}"].FACTS for name in ARCHITECTURES}
