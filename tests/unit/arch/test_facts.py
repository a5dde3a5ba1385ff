"""The architecture files agree with the engine, the kernel's headers and each other."""

import pytest

from runtime import arch
from runtime.arch.architecture import SYSTEM_REGISTER_SHIFT
from tests.unit.compilers import ask

ALL = [arch.load(name) for name in arch.ARCHITECTURES]
each = pytest.mark.parametrize("isa", ALL, ids=lambda isa: isa.name)


@each
def test_identity(isa):
    for mask, value in isa.e_flags:
        assert arch.identify(isa.elf_class, isa.elf_data, isa.elf_machine, value & mask) == isa.name
    for name in (isa.name, isa.debian, isa.triple, isa.uname.decode(), isa.qemu):
        assert arch.find(name) == isa.name
    assert (isa.model.bits, isa.model.big) == (isa.elf_class, isa.elf_data == 2)


def test_what_is_not_ours_is_not_identified():
    assert arch.identify(64, 2, 183, 0) is None  # aarch64_be
    assert arch.identify(32, 2, 8, 0x20) is None  # mips n32
    assert arch.identify(32, 1, 40, 0x04000000) is None  # arm, an old ABI
    assert arch.identify(64, 2, 21, 1) is None  # ppc64
    with pytest.raises(KeyError):
        arch.load("vax")


@each
def test_every_register_name_is_the_engines(isa):
    registers = isa.engine.registers
    frames = [isa.frames] + ([isa.plain_frame] if isa.plain_frame else [])
    for frame in frames:
        names = {name for name, _, _ in frame.registers} | {
            name for name, _ in frame.entry_registers
        }
        names |= set(frame.argument_registers) | set(frame.writable) | (frame.restored or set())
        assert names <= registers.keys()
    assert {name for name, _ in isa.entry_registers} <= registers.keys()
    for optional in (isa.thumb_register, isa.second_result):
        assert not optional or optional in registers
    ids = set(registers.values())
    for register, _ in isa.engine.setup:
        assert register & ((1 << SYSTEM_REGISTER_SHIFT) - 1) in ids


@each
def test_the_address_space_is_in_order(isa):
    assert isa.et_dyn_base < isa.mmap_top < isa.stack_top <= isa.address_top
    assert isa.stack_top <= 1 << 46, "the arena"
    assert isa.default_page in isa.page_sizes
    for address in (isa.et_dyn_base, isa.mmap_top, isa.stack_top):
        assert address % isa.default_page == 0
        assert isa.elf_class == 32 or address % max(isa.page_sizes) == 0
    assert max(isa.engine.page_sizes) <= max(isa.page_sizes)


@each
def test_frames_have_no_overlap(isa):
    for frame in [isa.frames] + ([isa.plain_frame] if isa.plain_frame else []):
        long = isa.model.long
        pieces = [(offset, size) for _, offset, size in frame.registers]
        pieces += [(offset, size) for offset, size, _ in (*frame.words, *frame.links)]
        pieces += [
            (at, long)
            for at in (frame.fault_offset, frame.trap_offset, frame.return_offset)
            if at >= 0
        ]
        pieces += [(frame.stack, 3 * long), (frame.mask, isa.sigset_size)]
        if frame.info != frame.ucontext:
            pieces.append((frame.info, 128))
        last = 0
        for offset, size in sorted(pieces):
            assert offset >= last, (offset, size)
            last = offset + size
        assert last <= frame.size
        assert frame.align % 8 == 0


C_UCONTEXT = {
    "aarch64": {
        "x0": "uc_mcontext.regs[0]",
        "x30": "uc_mcontext.regs[30]",
        "sp": "uc_mcontext.sp",
        "pc": "uc_mcontext.pc",
        "pstate": "uc_mcontext.pstate",
        "fpsr": "uc_mcontext.__reserved[8]",
        "v0": "uc_mcontext.__reserved[16]",
    },
    "arm": {
        "r0": "uc_mcontext.arm_r0",
        "r10": "uc_mcontext.arm_r10",
        "r11": "uc_mcontext.arm_fp",
        "r12": "uc_mcontext.arm_ip",
        "sp": "uc_mcontext.arm_sp",
        "lr": "uc_mcontext.arm_lr",
        "pc": "uc_mcontext.arm_pc",
        "cpsr": "uc_mcontext.arm_cpsr",
        "d0": "uc_regspace[2]",
    },
    "riscv64": {
        "pc": "uc_mcontext.__gregs[0]",
        "x1": "uc_mcontext.__gregs[1]",
        "x31": "uc_mcontext.__gregs[31]",
        "f0": "uc_mcontext.__fpregs.__d.__f[0]",
        "f31": "uc_mcontext.__fpregs.__d.__f[31]",
        "fcsr": "uc_mcontext.__fpregs.__d.__fcsr",
    },
    "ppc64le": {
        "r0": "uc_mcontext.gp_regs[0]",
        "r31": "uc_mcontext.gp_regs[31]",
        "pc": "uc_mcontext.gp_regs[32]",
        "msr": "uc_mcontext.gp_regs[33]",
        "ctr": "uc_mcontext.gp_regs[35]",
        "lr": "uc_mcontext.gp_regs[36]",
        "xer": "uc_mcontext.gp_regs[37]",
        "cr": "uc_mcontext.gp_regs[38]",
        "fpr0": "uc_mcontext.fp_regs[0]",
        "fpscr": "uc_mcontext.fp_regs[32]",
    },
    "mips": {
        "pc": "uc_mcontext.pc",
        "r1": "uc_mcontext.gregs[1]",
        "r31": "uc_mcontext.gregs[31]",
        "hi": "uc_mcontext.mdhi",
        "lo": "uc_mcontext.mdlo",
        "f1": "uc_mcontext.fpregs",
    },
    "x86_64": {
        "r8": "uc_mcontext.gregs[0]",
        "rdi": "uc_mcontext.gregs[8]",
        "rsp": "uc_mcontext.gregs[15]",
        "rip": "uc_mcontext.gregs[16]",
        "eflags": "uc_mcontext.gregs[17]",
    },
}


@pytest.mark.guest
@each
def test_frames_are_the_c_librarys_ucontext(isa):
    """Offsets from the ucontext, by the C library's <ucontext.h>: the kernel's, as far as it writes it."""
    fields = C_UCONTEXT[isa.name]
    expressions = [f"__builtin_offsetof(ucontext_t, {field})" for field in fields.values()]
    theirs = ask(
        isa.name, ("ucontext.h",), [*expressions, "__builtin_offsetof(ucontext_t, uc_stack)"], ""
    )
    *offsets, stack = theirs
    ours = {name: offset - isa.frames.ucontext for name, offset, _ in isa.frames.registers}
    assert {name: ours[name] for name in fields} == dict(zip(fields, offsets, strict=True))
    assert isa.frames.stack - isa.frames.ucontext == stack


@pytest.mark.guest
@each
def test_masks_and_pages_are_the_headers(isa):
    (mask,) = ask(isa.name, ("ucontext.h",), ["__builtin_offsetof(ucontext_t, uc_sigmask)"])
    assert isa.frames.mask - isa.frames.ucontext == mask
    size, stack = ask(
        isa.name, ("linux/types.h", "linux/signal.h"), ["sizeof(sigset_t)", "MINSIGSTKSZ"]
    )
    if isa.name == "arm":
        assert size == 4  # the header still shows the old sigset_t, of the calls without rt_
    else:
        assert isa.sigset_size == size
    assert isa.min_signal_stack == stack


@each
def test_signal_sets_go_both_ways(isa):
    full = (1 << 64) - 1
    for mask in (0, 1, 1 << 16, 1 << 31, 1 << 32, 1 << 63, full, 0x123456789ABCDEF0):
        data = isa.sigset_encode(mask)
        assert len(data) == isa.sigset_size
        assert isa.sigset_decode(data) == mask


def test_signal_set_of_mips_is_big_endian_words_in_its_own_numbers():
    mips = arch.load("mips")
    sigchld, sigusr1 = 17, 10
    assert mips.sigset_encode(1 << sigchld - 1) == (1 << 18 - 1).to_bytes(4, "big") + bytes(12)
    assert mips.sigset_encode(1 << sigusr1 - 1) == (1 << 16 - 1).to_bytes(4, "big") + bytes(12)
    assert mips.sigset_encode(1 << 33 - 1)[4:8] == (1).to_bytes(4, "big")


@each
def test_trap_signals_and_codes_make_sense(isa):
    assert isa.engine.traps
    for number, (signo, code) in isa.engine.traps.items():
        assert number not in isa.engine.syscall_traps
        assert signo in (4, 5, 7, 8, 11)
        assert 0 < code <= 0x80


class Registers:
    """A Cpu as far as jump and enter look."""

    def __init__(self):
        self.values = {}

    def get(self, register):
        return self.values.get(register, 0)

    def set(self, register, value):
        self.values[register] = value


@each
def test_enter_sets_pc_and_sp(isa):
    cpu = Registers()
    isa.enter(cpu, 0x10000, 0x20000, 0x30000)
    assert (cpu.get(isa.engine.pc), cpu.get(isa.engine.sp)) == (0x10000, 0x20000)
    for name, what in isa.entry_registers:
        assert (
            cpu.get(isa.engine.registers[name])
            == {"entry": 0x10000, "sp": 0x20000, "toc": 0x30000, "zero": 0}[what]
        )


def test_arm_jumps_to_thumb_code_by_bit_0():
    arm, cpu = arch.load("arm"), Registers()
    cpsr = arm.engine.registers["cpsr"]
    cpu.set(cpsr, 0x0600FC10)
    arm.jump(cpu, 0x1003)
    assert (cpu.get(arm.engine.pc), cpu.get(cpsr), arm.instruction_set(cpu)) == (
        0x1002,
        0x30,
        "thumb",
    )
    arm.jump(cpu, 0x2000)
    assert (cpu.get(cpsr), arm.instruction_set(cpu)) == (0x10, "")


class Actor:
    flags = 0
    handler = 0x1000
    restorer = 0


@pytest.mark.parametrize(
    ("flags", "handler", "code"),
    [
        (0, 0x1000, "7770a0e3"),
        (0, 0x1001, "772700df"),
        (4, 0x1000, "ad70a0e3"),
        (4, 0x1001, "ad2700df"),
    ],
)
def test_arm_return_code_follows_handler_and_flavour(flags, handler, code):
    arm, action = arch.load("arm"), Actor()
    action.flags, action.handler = flags, handler
    task = type("Task", (), {"process": type("Process", (), {"trampoline": 0x5000})})
    address = arm.signal_return_address(task, action)
    assert address & 1 == handler & 1
    assert arm.trampoline[(address & ~1) - 0x5000 :].hex().startswith(code)
    action.flags, action.restorer = flags | 0x04000000, 0x7777
    assert arm.signal_return_address(task, action) == 0x7777


def test_breakpoint_words():
    arm, ppc = arch.load("arm"), arch.load("ppc64le")
    assert arm.is_breakpoint(bytes.fromhex("f001f0e7"), "")
    assert arm.is_breakpoint(bytes.fromhex("01de"), "thumb")
    assert arm.is_breakpoint(bytes.fromhex("f0f700a0"), "thumb")
    assert not arm.is_breakpoint(bytes.fromhex("01de0000"), "")
    assert ppc.is_breakpoint(bytes.fromhex("0800e07f"), "")  # trap
    assert not ppc.is_breakpoint(bytes(4), "")
