"""The form that one architecture fills in.

To add an architecture:
1. copy the file of the nearest one, name it for the ABI (`riscv64.py`) and fill in every fact; where a fact equals the
   generic value, leave it out: tests/unit/arch fails on an override that equals the generic value;
2. run packaging/tools/make_syscall_table.py for its tables/NAME.tbl, unless the ABI is asm-generic;
3. add the name to ARCHITECTURES in runtime/arch/__init__.py.
Nothing outside runtime/arch may ask which architecture it has.

No dataclass: importing `dataclasses` costs 8 ms of every program start.
"""

from _collections_abc import Mapping

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch.frame_facts import FrameFacts
from runtime.arch.table import Row, load_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SA_SIGINFO, SA_RESTORER = 0x4, 0x04000000  # generic sa_flags

# A register id in EngineFacts.setup may name an aarch64 system register: the engine's one "coprocessor register" id in
# the low 12 bits, the register's encoding in the MRS instruction (op0 op1 crn crm op2: 2+3+4+4+3 bits) above.
SYSTEM_REGISTER_SHIFT = 12


class ProcessorError(Exception):
    """A processor was asked for that the architecture does not have. str(): one line with names that it has."""


class EngineFacts:
    """How Unicorn is opened, and how its registers and exceptions read. Register values are Unicorn's ids."""

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
        # (register, value) for a fresh task, in this order, ends in user mode; see SYSTEM_REGISTER_SHIFT
        setup: tuple[tuple[int, int], ...] = (),
        page_settable: bool = False,
        page_sizes: tuple[int, ...] = (4096,),  # engine pages it can have
        registers: Mapping[
            str, int
        ],  # the general, special and vector registers by their assembler names
        pc: int,
        sp: int,
        tls_register: int,  # what CLONE_SETTLS writes; -1: by a system call only (mips set_thread_area)
        number_register: int,
        argument_registers: tuple[
            int, ...
        ],  # six; those beyond the registers are on the stack (see Architecture.stack_arguments)
        result_register: int,
        error_register: int = -1,
        error_style: int = 0,  # runtime._core.ErrorStyle
        syscall_traps: tuple[int, ...] = (),
        syscall_insn: int = -1,
        syscall_length: Mapping[
            str, int
        ],  # bytes of the system call instruction, by instruction set: {"": 4}, arm: {"": 4, "thumb": 2}
        traps: Mapping[
            int, tuple[int, int]
        ],  # exception number -> (generic signal number, si_code)
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


class AuxvFacts:
    """The auxiliary vector entries that an architecture decides. Truthful to what the engine implements.

    AT_RSEQ_FEATURE_SIZE and AT_RSEQ_ALIGN are left out on purpose: rseq(2) answers ENOSYS, because guest code is
    not preempted where the kernel would abort a sequence, and without them glibc and tcmalloc do not ask.
    """

    __slots__ = ("base_platform", "extra", "hwcap", "hwcap2", "minsigstksz", "platform")

    def __init__(
        self,
        *,
        hwcap: int,
        hwcap2: int | None = None,  # None: no AT_HWCAP2
        platform: bytes | None = None,
        base_platform: bytes | None = None,
        extra: tuple[tuple[int, int], ...] = (),  # ARCH_DLINFO: put first, in this order
        minsigstksz: int = 0,  # 0: no AT_MINSIGSTKSZ
    ) -> None:
        self.hwcap = hwcap
        self.hwcap2 = hwcap2
        self.platform = platform
        self.base_platform = base_platform
        self.extra = extra
        self.minsigstksz = minsigstksz


class Architecture:
    """Everything Octavo knows about one guest ABI. Constant; one instance per process and name (runtime.arch.load)."""

    __slots__ = (
        "_rows", "_signals", "address_top", "argument_slots", "auxv", "breakpoint_words",
        "clone_tls_first", "commpages", "constants", "cpuinfo", "debian", "default_page",
        "descriptor_unless", "e_flags",
        "elf_class", "elf_data", "elf_machine", "engine", "entry_registers", "et_dyn_base", "exclusive_words",
        "executable_stack", "fixed_range_error", "frames", "low_range", "min_fixed", "min_signal_stack",
        "mmap_top", "model", "name", "page_sizes", "pair_alignment", "plain_frame", "processor", "prot_checked",
        "prot_extra",
        "qemu", "readable_executes",
        "restorer", "rlim_infinity", "second_result", "shmlba", "shmlba_forced", "siginfo_code_first",
        "signal_count", "sigset_size", "stack_arguments", "stack_top", "thumb_bit", "thumb_clear",
        "thumb_register", "tls_offset", "trampoline", "trampoline_label", "trampoline_offsets", "triple", "uname",
    )  # fmt: skip

    def __init__(
        self,
        *,
        # Identity
        name: str,
        debian: str,  # dpkg's name
        qemu: str,  # of qemu-user's executable
        triple: str,  # GNU
        uname: bytes,  # utsname.machine
        elf_machine: int,  # e_machine
        elf_class: int,  # 32 | 64
        elf_data: int,  # 1 little, 2 big endian
        e_flags: tuple[tuple[int, int], ...] = (
            (0, 0),
        ),  # (mask, value): e_flags & mask == value for one of them
        cpuinfo: str,  # /proc/cpuinfo of one processor, "{cpu}" is its number; the rest is appended once after "\0"
        # Memory
        model: DataModel,
        page_sizes: tuple[int, ...],  # guest pages the ABI allows
        default_page: int,  # what most kernels use
        address_top: int,  # TASK_SIZE, exclusive: fixed mappings below it are allowed
        mmap_top: int,  # mappings without address are placed downwards from here
        et_dyn_base: int,  # position-independent programs are loaded from here
        stack_top: int,  # the initial stack ends here
        shmlba: int = 0,  # shmat alignment; 0: the guest page
        shmlba_forced: bool = False,  # shmat at a multiple of the page alone is EINVAL (__ARCH_FORCE_SHMLBA)
        low_range: tuple[int, int] = (
            0,
            0,
        ),  # where MAP_32BIT maps; (0, 0): the ABI has no such flag
        min_fixed: int = 0,  # fixed mappings below are EINVAL even for root (FIRST_USER_ADDRESS)
        fixed_range_error: int = 12,  # generic errno of a fixed mapping beyond address_top
        prot_extra: int = 0,  # PROT_ bits that the ABI has besides READ, WRITE, EXEC and SEM
        prot_checked: bool = False,  # mmap refuses other bits too, not mprotect alone (arch_validate_prot)
        readable_executes: bool = False,  # the hardware cannot refuse to execute what can be read
        executable_stack: bool = False,  # when PT_GNU_STACK is absent
        commpages: tuple[tuple[int, bytes, int, bytes, tuple[tuple[int, str], ...]], ...] = (),
        # ^ (address, content, PROT_ bits, label in maps, ((address, kernel entry it stands for), ...))
        # Engine and registers
        engine: EngineFacts,
        entry_registers: tuple[
            tuple[str, str], ...
        ] = (),  # (register, "entry" | "sp" | "toc" | "zero") at a program's start
        descriptor_unless: tuple[int, int]
        | None = None,  # (mask, value): unless e_flags & mask == value, the entry
        # point is the address of a function descriptor: address of the code, table of contents
        tls_offset: int = 0,  # added to the value given to clone's CLONE_SETTLS
        thumb_register: str = "",  # register with the instruction set's bit; bit 0 of a code address goes there
        thumb_bit: int = 0,
        thumb_clear: int = 0,  # bits of it that a jump clears
        second_result: str = "",  # register of the second result (mips pipe)
        breakpoint_words: tuple[tuple[str, int, int, int], ...] = (),
        # ^ (instruction set, bytes, mask, value): where the engine says "illegal instruction" or a trap at such a word,
        #   the kernel reports SIGTRAP TRAP_BRKPT
        exclusive_words: tuple[tuple[str, int, int, int, int], ...] = (),
        # ^ (instruction set, bytes, mask, value, shift of the number of the address register): where the engine refuses
        #   such an instruction for its address, si_addr is the register's value
        # System calls
        constants: Constants,
        stack_arguments: int = 0,  # offset from sp of the first argument that is not in a register, or 0
        argument_slots: int = 6,  # arguments a system call can have
        rlim_infinity: int = 0,  # RLIM_INFINITY of struct rlimit; 0: all bits of a long
        pair_alignment: bool = False,  # 64-bit arguments start at an even register
        clone_tls_first: bool = True,  # clone(flags, sp, ptid, TLS, ctid): CLONE_BACKWARDS
        # Signals
        frames: FrameFacts,
        plain_frame: FrameFacts
        | None = None,  # for handlers without SA_SIGINFO, read back by sigreturn
        restorer: bool = False,  # the ABI has SA_RESTORER: return addresses come from the guest when it gives them
        trampoline: bytes = b"",  # code of the [vdso] page that signal handlers return to
        trampoline_label: bytes = b"[vdso]",  # of that page in maps
        trampoline_offsets: tuple[int, ...] = (
            0,
        ),  # of rt_sigreturn; arm: sigreturn arm, thumb, rt_sigreturn arm, thumb
        sigset_size: int = 8,  # bytes
        signal_count: int = 64,
        siginfo_code_first: bool = False,  # siginfo: si_code before si_errno
        min_signal_stack: int = 2048,  # MINSIGSTKSZ
        auxv: AuxvFacts,
    ) -> None:
        self.name = name
        self.debian = debian
        self.qemu = qemu
        self.triple = triple
        self.uname = uname
        self.elf_machine = elf_machine
        self.elf_class = elf_class
        self.elf_data = elf_data
        self.e_flags = e_flags
        self.cpuinfo = cpuinfo
        self.model = model
        self.page_sizes = page_sizes
        self.default_page = default_page
        self.address_top = address_top
        self.mmap_top = mmap_top
        self.et_dyn_base = et_dyn_base
        self.stack_top = stack_top
        self.shmlba = shmlba
        self.shmlba_forced = shmlba_forced
        self.low_range = low_range
        self.min_fixed = min_fixed
        self.fixed_range_error = fixed_range_error
        self.prot_extra = prot_extra
        self.prot_checked = prot_checked
        self.readable_executes = readable_executes
        self.executable_stack = executable_stack
        self.commpages = commpages
        self.engine = engine
        self.entry_registers = entry_registers
        self.descriptor_unless = descriptor_unless
        self.tls_offset = tls_offset
        self.thumb_register = thumb_register
        self.thumb_bit = thumb_bit
        self.thumb_clear = thumb_clear
        self.second_result = second_result
        self.breakpoint_words = breakpoint_words
        self.exclusive_words = exclusive_words
        self.constants = constants
        self.stack_arguments = stack_arguments
        self.argument_slots = argument_slots
        self.rlim_infinity = rlim_infinity or (1 << model.bits) - 1
        self.pair_alignment = pair_alignment
        self.clone_tls_first = clone_tls_first
        self.frames = frames
        self.plain_frame = plain_frame
        self.restorer = restorer
        self.trampoline = trampoline
        self.trampoline_label = trampoline_label
        self.trampoline_offsets = trampoline_offsets
        self.sigset_size = sigset_size
        self.signal_count = signal_count
        self.siginfo_code_first = siginfo_code_first
        self.min_signal_stack = min_signal_stack
        self.auxv = auxv
        self.processor = ""  # the usual one; else a name of runtime.arch.processors
        self._rows: dict[int, Row] | None = None
        self._signals: tuple[tuple[int, int], ...] | None = None

    def __repr__(self) -> str:
        return f"<architecture {self.name}>"

    def with_processor(
        self, name: str, model: int, setup: tuple[tuple[int, int], ...], hwcaps: tuple[int, int]
    ) -> "Architecture":
        """The same ABI on another processor of the engine's (processors.py)."""
        self.syscalls()
        other: Architecture = _copy(self)
        other.processor = name
        other.engine = _copy(self.engine)
        other.engine.model = model
        other.engine.setup = (*self.engine.setup, *setup)
        other.auxv = _copy(self.auxv)
        other.auxv.hwcap, other.auxv.hwcap2 = hwcaps
        return other

    def syscalls(self) -> dict[int, Row]:
        """Number -> Row(number, name, entry, variant)."""
        if self._rows is None:
            self._rows = load_table(self.name)
        return self._rows

    # Registers ---------------------------------------------------------------------------------------------------
    def instruction_set(self, cpu: "Any") -> str:
        """ "" or "thumb": what the processor executes at pc."""
        if (
            self.thumb_register
            and cpu.get(self.engine.registers[self.thumb_register]) & self.thumb_bit
        ):
            return "thumb"
        return ""

    def jump(self, cpu: "Any", address: int) -> None:
        """Continue at a code address as a branch-and-exchange would."""
        if self.thumb_register:
            register = self.engine.registers[self.thumb_register]
            flags = cpu.get(register) & ~(self.thumb_bit | self.thumb_clear)
            cpu.set(register, flags | (self.thumb_bit if address & 1 else 0))
            address &= ~1 if address & 1 else ~3
        cpu.set(self.engine.pc, address)

    def enter(self, cpu: "Any", entry: int, sp: int, toc: int = 0) -> None:
        """The registers at a program's first instruction (kernel start_thread, ELF_PLAT_INIT); the rest is zero."""
        values = {"entry": entry, "sp": sp, "toc": toc, "zero": 0}
        for name, what in self.entry_registers:
            cpu.set(self.engine.registers[name], values[what])
        cpu.set(self.engine.sp, sp)
        self.jump(cpu, entry)

    def after_sigreturn(self, cpu: "Any") -> None:
        """What sigreturn adds to the registers of the frame: nothing on our architectures."""

    def is_breakpoint(self, word: bytes, instruction_set: str) -> bool:
        """Whether the instruction at pc (4 bytes, or what there is) is one that the kernel reports as SIGTRAP."""
        return any(
            isa == instruction_set and len(word) >= size and self._code(word[:size]) & mask == value
            for isa, size, mask, value in self.breakpoint_words
        )

    def exclusive_address(self, cpu: "Any", word: bytes, instruction_set: str) -> int | None:
        """The address of the exclusive load or store at pc (4 bytes, or what there is); None if it is none."""
        for isa, size, mask, value, shift in self.exclusive_words:
            if isa == instruction_set and len(word) >= size:
                code = self._code(word[:size])
                if code & mask == value:
                    number = code >> shift & 15
                    return int(
                        cpu.get(self.engine.registers[f"r{number}" if number != 13 else "sp"])
                    )
        return None

    def _code(self, word: bytes) -> int:
        """An instruction's bytes as the number in the tables."""
        return int.from_bytes(word, "big" if self.model.endian == "big" else "little")

    # Signals -----------------------------------------------------------------------------------------------------
    def signal_return_address(self, task: "Any", action: "Any") -> int:
        """Where a handler returns to: its SA_RESTORER, or the code in the process's sigreturn page."""
        if self.restorer and action.flags & SA_RESTORER and action.restorer:
            return int(action.restorer)
        page: int = task.process.trampoline
        if not page:
            return 0
        offsets: tuple[int, ...] = self.trampoline_offsets
        if len(offsets) == 1:
            return page + offsets[0]
        thumb: int = action.handler & 1
        return page + offsets[thumb + (2 if action.flags & SA_SIGINFO else 0)] + thumb

    def sigset_decode(self, data: bytes) -> int:
        """A sigset_t as a mask of generic signal numbers, bit n-1 for signal n. It is an array of longs."""
        value = self._words(data)
        pairs = self._renumbered()
        if not pairs:
            return value
        return self._renumber(value, pairs)

    def sigset_encode(self, mask: int) -> bytes:
        """The reverse, `sigset_size` bytes."""
        pairs = self._renumbered()
        if pairs:
            mask = self._renumber(mask, tuple((generic, own) for own, generic in pairs))
        step, order = self.model.long, self.model.endian
        return b"".join(
            (mask >> 8 * at & (1 << 8 * step) - 1).to_bytes(
                step, "big" if order == "big" else "little"
            )
            for at in range(0, self.sigset_size, step)
        )

    def _words(self, data: bytes) -> int:
        step = self.model.long
        value = 0
        for at in range(0, len(data), step):
            value |= (
                int.from_bytes(data[at : at + step], "big" if self.model.big else "little")
                << 8 * at
            )
        return value

    def _renumbered(self) -> tuple[tuple[int, int], ...]:
        """(the ABI's number, generic number) of the signals that differ."""
        if self._signals is None:
            decode = self.constants.decode
            pairs = ((number, decode("signal", number)) for number in range(1, 65))
            self._signals = tuple(pair for pair in pairs if pair[0] != pair[1])
        return self._signals

    def _renumber(self, mask: int, pairs: tuple[tuple[int, int], ...]) -> int:
        result = mask
        for source, _ in pairs:
            result &= ~(1 << source - 1)
        for source, target in pairs:
            if mask >> source - 1 & 1:
                result |= 1 << target - 1
        return result


def _copy(facts: "Any") -> "Any":
    """Another object with the same values. Importing `copy` takes longer than all of these."""
    other = object.__new__(type(facts))
    for name in type(facts).__slots__:
        setattr(other, name, getattr(facts, name))
    return other
