"""The form for an architecture's signal frame: struct rt_sigframe as the kernel lays it, as offsets.

All offsets count bytes from the frame's lowest address, sizes are bytes, numbers are stored in the guest's byte order;
registers wider than 8 bytes are stored as the engine gives them, little-endian (no big-endian ABI of ours has any).
runtime/task/frames.py is the one function that builds and reads frames from these facts.
"""

from _collections_abc import Mapping


class FrameFacts:
    """struct rt_sigframe of one architecture (arch/*/kernel/signal*.c, asm/sigcontext.h, asm/ucontext.h)."""

    __slots__ = (
        "align",
        "argument_registers",
        "below",
        "entry_registers",
        "fault_offset",
        "info",
        "links",
        "mask",
        "red_zone",
        "registers",
        "restored",
        "return_offset",
        "size",
        "stack",
        "trap_offset",
        "ucontext",
        "words",
        "writable",
    )

    def __init__(
        self,
        *,
        size: int,  # of the frame, with everything after the ucontext
        align: int,  # of the frame's address
        red_zone: int = 0,  # bytes below sp that the interrupted code may use
        # bytes between the handler's sp and the frame (a caller's save area); a back chain goes to its start on ppc
        below: int = 0,
        info: int,  # offset of siginfo
        ucontext: int,  # offset of struct ucontext
        stack: int,  # offset of uc_stack
        mask: int,  # offset of uc_sigmask
        registers: tuple[
            tuple[str, int, int], ...
        ],  # (register name, offset, size), saved and restored in this order
        restored: frozenset[str]
        | None = None,  # the registers that sigreturn takes back; None: all
        # Status registers: the bits that sigreturn may change, the others stay (valid_user_regs, FIX_EFLAGS). Anything
        # else in the frame would reach the engine's mode and privilege bits.
        writable: Mapping[str, int] | None = None,
        words: tuple[
            tuple[int, int, int], ...
        ] = (),  # (offset, size, constant): magic numbers, record sizes
        links: tuple[
            tuple[int, int, int], ...
        ] = (),  # (offset, size, delta): frame address + delta
        fault_offset: int = -1,  # word that holds the fault address (long), or -1
        trap_offset: int = -1,  # word that holds the trap number (long), or -1
        return_offset: int = -1,  # word that holds the return address (x86: the handler returns through it), or -1
        argument_registers: tuple[str, str, str],  # get signo, &siginfo, &ucontext
        entry_registers: tuple[
            tuple[str, str], ...
        ] = (),  # (register, "return" | "handler" | "zero"): set before the handler runs
    ) -> None:
        self.size = size
        self.align = align
        self.red_zone = red_zone
        self.below = below
        self.info = info
        self.ucontext = ucontext
        self.stack = stack
        self.mask = mask
        self.registers = registers
        self.restored = restored
        self.writable: Mapping[str, int] = writable or {}
        self.words = words
        self.links = links
        self.fault_offset = fault_offset
        self.trap_offset = trap_offset
        self.return_offset = return_offset
        self.argument_registers = argument_registers
        self.entry_registers = entry_registers
