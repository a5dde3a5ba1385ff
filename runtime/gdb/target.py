"""Registers as GDB reads and writes them, and the target description that says how they lie.

Values are in the guest's byte order; the engine gives registers wider than 8 bytes as little-endian bytes, and no
big-endian architecture of ours has any.
"""

from runtime.arch.debugger import load_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime._core import Cpu
    from runtime.arch.architecture import Architecture
    from runtime.arch.debugger import DebuggerFacts, Register

LONGEST_WORD = 8  # bytes
FACTS = load_all()


class Layout:
    """The registers of an architecture, in GDB's order."""

    __slots__ = ("arch", "facts", "registers")

    def __init__(self, arch: "Architecture") -> None:
        self.arch = arch
        self.facts: DebuggerFacts = FACTS[arch.name]
        self.registers: list[Register] = [
            register for feature in self.facts.features for register in feature.registers
        ]

    def description(self) -> bytes:
        """target.xml."""
        lines = [
            '<?xml version="1.0"?>',
            '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
            '<target version="1.0">',
            f"<architecture>{self.facts.architecture}</architecture>",
            "<osabi>GNU/Linux</osabi>",
        ]
        for feature in self.facts.features:
            lines.append(f'<feature name="{feature.name}">')
            lines.append(feature.types)
            for register in feature.registers:
                kind = f' type="{register.type}"' if register.type else ""
                lines.append(f'<reg name="{register.name}" bitsize="{register.bits}"{kind}/>')
            lines.append("</feature>")
        lines.append("</target>\n")
        return "\n".join(line for line in lines if line).encode()

    def read(self, cpu: "Cpu", number: int) -> bytes:
        """A register's value in hexadecimal; x for what nobody knows. IndexError."""
        register = self.registers[number]
        size = register.bits // 8
        if register.source is None:
            if register.value is None:
                return b"xx" * size
            return register.value.to_bytes(size, self.arch.model.endian).hex().encode()
        place = self.arch.engine.registers[register.source]
        if size > LONGEST_WORD:
            return cpu.get_bytes(place, size).hex().encode()
        value = cpu.get(place) & (1 << register.bits) - 1
        return value.to_bytes(size, self.arch.model.endian).hex().encode()

    def read_all(self, cpu: "Cpu") -> bytes:
        """The `g` packet's answer."""
        return b"".join(self.read(cpu, number) for number in range(len(self.registers)))

    def write(self, cpu: "Cpu", number: int, data: bytes) -> None:
        """Store a value; one that never changes stays. IndexError."""
        register = self.registers[number]
        if register.source is None:
            return
        place = self.arch.engine.registers[register.source]
        if len(data) > LONGEST_WORD:
            cpu.set_bytes(place, data)
            return
        value = int.from_bytes(data, self.arch.model.endian)
        # Mode and privilege bits are no more the debugger's than a signal frame's.
        frames = self.arch.frames
        if (writable := frames.writable.get(register.source)) is not None:
            value = value & writable | cpu.get(place) & ~writable
        saved = {name for name, _, _ in frames.registers}
        if frames.restored is not None and register.source in saved - frames.restored:
            return
        cpu.set(place, value)

    def write_all(self, cpu: "Cpu", digits: bytes) -> None:
        """The `G` packet's values; what is unavailable or left out stays. ValueError."""
        at = 0
        for number, register in enumerate(self.registers):
            end = at + register.bits // 4
            piece = digits[at:end]
            at = end
            if len(piece) == register.bits // 4 and b"x" not in piece:
                self.write(cpu, number, bytes.fromhex(piece.decode()))
