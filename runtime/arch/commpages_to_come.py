"""The commpages of two ABIs that the engine has no processor for, written down for the day it has one.

Nothing imports this file but its test. With an engine, a page becomes an entry of `Architecture.commpages`; `traps` are
then what `Engine.breakpoints` and a handler in runtime/task/loop.py need.

Sources: hppa: arch/parisc/kernel/syscall.S (linux_gateway_page). nios2: arch/nios2/kernel/entry.S
(__kuser_helper_start) and its KUSER_BASE in arch/nios2/include/asm/page.h.
"""

from runtime.abi.linux import SIGSEGV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

PROT_READ, PROT_EXEC = 1, 4


class Trap:
    """An address that is called like a function and answered by the kernel. `registers`: role -> register."""

    __slots__ = ("meaning", "offset", "registers", "signal")

    def __init__(
        self, offset: int, meaning: str, registers: dict[str, str] | None = None, signal: int = 0
    ) -> None:
        self.offset = offset  # bytes from the page's start
        self.meaning = meaning
        self.registers = registers or {}
        self.signal = signal  # what a call gets in place of an answer; 0: an answer


class Commpage:
    """One page. `perms`: PROT_ bits. `big`: byte order of `words`, (offset, 32-bit value); the rest of the page is
    `filler`."""

    __slots__ = ("address", "big", "filler", "label", "perms", "traps", "words")

    def __init__(
        self,
        *,
        address: int,
        perms: int,
        big: bool,
        label: bytes = b"",
        filler: int = 0,
        words: tuple[tuple[int, int], ...] = (),
        traps: tuple[Trap, ...] = (),
    ) -> None:
        self.address = address
        self.perms = perms
        self.big = big
        self.label = label
        self.filler = filler
        self.words = words
        self.traps = traps

    def content(self, page: int) -> bytes:
        """The page's bytes."""
        order: Literal["big", "little"] = "big" if self.big else "little"
        data = bytearray(self.filler.to_bytes(4, order) * (page // 4))
        for offset, word in self.words:
            data[offset : offset + 4] = word.to_bytes(4, order)
        return bytes(data)


# The gateway page: a call into it raises the privilege, so a program can execute it and neither read nor write it. Any
# other offset is SIGILL. That it lies at address 0 is why a null pointer called is a SIGSEGV by rule and not by chance.
HPPA = Commpage(
    address=0,
    perms=PROT_EXEC,
    big=True,
    filler=0,  # break 0,0: an illegal instruction
    traps=(
        Trap(0x000, "a null pointer called: SEGV_MAPERR", signal=SIGSEGV),
        Trap(
            0x0B0,
            "light-weight system call: compare and exchange a word (0, 1), or 1 << r23 bytes by pointers (2)",
            {
                "number": "r20", "memory": "r26", "old": "r25", "new": "r24", "size": "r23",
                "result": "r28", "error": "r21", "return": "r31",
            },
        ),
        Trap(0x0E0, "set the thread pointer", {"value": "r26", "to": "cr27", "return": "r31"}),
        Trap(0x100, "system call", {"number": "r20", "result": "r28", "return": "r31"}),
    ),
)  # fmt: skip

# Helpers that are real code. The kernel sets the pc of a task that it interrupts between the load and the store of
# __kuser_cmpxchg back to the load: with threads that run one at a time an engine has to do the same.
NIOS2 = Commpage(
    address=0x1000,
    perms=PROT_READ | PROT_EXEC,
    big=False,
    words=(
        (0x00, 2),  # __kuser_helper_version: pieces of 64 bytes
        (0x04, 0x20800017),  # __kuser_cmpxchg(r4 memory, r5 old, r6 new): ldw r2, 0(r4)
        (0x08, 0x1145C83A),  # sub r2, r2, r5
        (0x0C, 0x1000011E),  # bne r2, zero, to the ret
        (0x10, 0x21800015),  # stw r6, 0(r4)
        (0x14, 0xF800283A),  # ret: r2 is 0 when the new value was stored
        (0x44, 0x008022C4),  # __kuser_sigtramp: movi r2, 139 (rt_sigreturn)
        (0x48, 0x003B683A),  # trap 0
    ),
)

TO_COME = {"hppa": HPPA, "nios2": NIOS2}
