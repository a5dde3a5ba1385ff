"""The form that one architecture fills in.

To add an architecture:
1. copy the file of the nearest one, name it for the ABI (`riscv64.py`) and fill in every fact; where a fact equals the
   generic value, leave it out: tests/unit/arch fails on an override that equals the generic value;
2. run packaging/tools/make_syscall_table.py for its tables/NAME.tbl, unless the ABI is asm-generic;
3. add the name to ARCHITECTURES in runtime/arch/__init__.py.
Nothing outside runtime/arch may ask which architecture it has.

No dataclass: importing `dataclasses` costs 8 ms of every program start.
"""

from collections.abc import Mapping


class EngineFacts:
    """How Unicorn is opened for this architecture, and how its registers and exceptions read. Register values are Unicorn's ids."""

    __slots__ = (
        "arch",
        "argument_registers",
        "error_register",
        "error_style",
        "mode",
        "model",
        "number_register",
        "page_settable",
        "page_sizes",
        "pc",
        "registers",
        "result_register",
        "setup",
        "sp",
        "syscall_insn",
        "syscall_length",
        "syscall_traps",
        "tls_register",
        "traps",
    )

    def __init__(
        self,
        *,
        arch: int,  # UC_ARCH_*
        mode: int,  # UC_MODE_*
        model: int = -1,  # UC_CPU_*, -1: the engine's default
        setup: tuple[tuple[int, int], ...] = (),  # (register, value) for a fresh task in user mode
        page_settable: bool = False,
        page_sizes: tuple[int, ...] = (4096,),  # engine pages it can have
        registers: Mapping[str, int],  # the general, special and vector registers by their assembler names
        pc: int,
        sp: int,
        tls_register: int,  # what CLONE_SETTLS writes; -1: by a system call only (mips set_thread_area)
        number_register: int,
        argument_registers: tuple[int, ...],  # six; those beyond the registers are on the stack (see Architecture.stack_arguments)
        result_register: int,
        error_register: int = -1,
        error_style: int = 0,  # runtime._core.ErrorStyle
        syscall_traps: tuple[int, ...] = (),
        syscall_insn: int = -1,
        syscall_length: Mapping[str, int],  # bytes of the system call instruction, by instruction set: {"": 4}, arm: {"": 4, "thumb": 2}
        traps: Mapping[int, tuple[int, int]],  # exception number -> (generic signal number, si_code)
    ) -> None:
        self.arch = arch
        self.mode = mode
        self.model = model
        self.setup = setup
        self.page_settable = page_settable
        self.page_sizes = page_sizes
        self.registers = registers
        self.pc = pc
        self.sp = sp
        self.tls_register = tls_register
        self.number_register = number_register
        self.argument_registers = argument_registers
        self.result_register = result_register
        self.error_register = error_register
        self.error_style = error_style
        self.syscall_traps = syscall_traps
        self.syscall_insn = syscall_insn
        self.syscall_length = syscall_length
        self.traps = traps
