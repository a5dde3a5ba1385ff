"""aarch64, little-endian: Debian arm64.

The one odd thing: user mode is PSTATE 0, but the engine only looks at it again when a system register is written, so
SCTLR_EL1 comes after PSTATE. Its bits let EL0 do what Linux lets it do: read CTR_EL0, DC ZVA, cache maintenance.

HWCAPs are what the engine's "max" processor really has (ID_AA64ISAR0 0x1021111110212120, ISAR1 0x11101211012) less what
the kernel would have to help with: no CPUID (reads of ID registers are undefined at EL0), no PACA/PACG (no keys are
enabled, the hint forms do nothing), no SVE, BTI, MTE. CNTVCT_EL0 is undefined; no vDSO uses it.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import SYSTEM_REGISTER_SHIFT, Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.aarch64 import MODELS, REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
_UCI, _SPAN, _NTWE, _NTWI, _UCT, _DZE = 1 << 26, 1 << 23, 1 << 18, 1 << 16, 1 << 15, 1 << 14
_SCTLR_EL1 = _R["cp_reg"] | 0b11_000_0001_0000_000 << SYSTEM_REGISTER_SHIFT
_RESERVED = 464 + 128  # sigcontext.__reserved in the frame
_FPSIMD, _VREGS = _RESERVED, _RESERVED + 16

ARCHITECTURE = Architecture(
    name="aarch64",
    debian="arm64",
    qemu="aarch64",
    triple="aarch64-linux-gnu",
    uname=b"aarch64",
    elf_machine=183,
    elf_class=64,
    elf_data=1,
    cpuinfo="""\
processor\t: {cpu}
BogoMIPS\t: 100.00
Features\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 \
asimddp sha512 asimdfhm ilrcpc flagm sb dcpodp flagm2 frint rng
CPU implementer\t: 0x00
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0x051
CPU revision\t: 0

""",
    model=DataModel("aarch64", bits=64),
    page_sizes=(4096, 16384, 65536),
    default_page=4096,
    address_top=1 << 48,
    # The kernel's 48-bit layout begins its mappings below 2^48; ours begin below 2^45, half the size of the arena, so
    # that guest memory can be linear in it (the other half is for what cannot be).
    mmap_top=0x1FFF_F000_0000,
    et_dyn_base=0x1555_5555_0000,
    stack_top=0x1FFF_FFFF_0000,
    engine=EngineFacts(
        arch=engine_ids.ARCH_ARM64,
        mode=engine_ids.MODE_ARM,
        model=MODELS["max"],
        setup=(
            (_R["pstate"], 0),
            (_SCTLR_EL1, 0x00C50838 | _UCI | _SPAN | _NTWE | _NTWI | _UCT | _DZE),
            (_R["cpacr_el1"], 3 << 20),
        ),
        page_settable=True,
        page_sizes=(4096, 16384, 65536),
        registers=REGISTERS,
        pc=_R["pc"],
        sp=_R["sp"],
        tls_register=_R["tpidr_el0"],
        number_register=_R["x8"],
        argument_registers=tuple(_R[f"x{n}"] for n in range(6)),
        result_register=_R["x0"],
        syscall_traps=(2,),
        syscall_length={"": 4},
        traps={
            1: (4, 1),  # undefined: SIGILL ILL_ILLOPC
            3: (7, 1),  # misaligned pc: SIGBUS BUS_ADRALN
            4: (7, 1),  # misaligned exclusive: SIGBUS BUS_ADRALN
            7: (5, 1),  # brk: SIGTRAP TRAP_BRKPT
        },
    ),
    constants=Constants(
        open={
            "O_DIRECTORY": 0x4000,
            "O_NOFOLLOW": 0x8000,
            "O_DIRECT": 0x10000,
            "O_LARGEFILE": 0x20000,
        },
    ),
    frames=FrameFacts(
        size=128 + 4560 + 16,  # siginfo, ucontext, the frame record that the kernel puts above
        align=16,
        info=0,
        ucontext=128,
        stack=128 + 16,
        mask=128 + 40,
        registers=(
            *((f"x{n}", 128 + 184 + 8 * n, 8) for n in range(31)),
            ("sp", 128 + 432, 8),
            ("pc", 128 + 440, 8),
            ("pstate", 128 + 448, 8),
            ("fpsr", _FPSIMD + 8, 4),
            ("fpcr", _FPSIMD + 12, 4),
            *((f"v{n}", _VREGS + 16 * n, 16) for n in range(32)),
        ),
        writable={"pstate": 0xF0000000},
        words=(
            (_FPSIMD, 4, 0x46508001),
            (_FPSIMD + 4, 4, 0x210),
        ),  # FPSIMD_MAGIC and size; zeros after it end the list
        fault_offset=128 + 176,
        argument_registers=("x0", "x1", "x2"),
        entry_registers=(("x30", "return"),),
    ),
    restorer=True,
    trampoline=bytes.fromhex(
        "681180d2 010000d4".replace(" ", "")
    ),  # mov x8, #139 (rt_sigreturn); svc #0
    min_signal_stack=5120,
    auxv=AuxvFacts(
        # FP ASIMD AES PMULL SHA1 SHA2 CRC32 ATOMICS FPHP ASIMDHP ASIMDRDM JSCVT FCMA LRCPC DCPOP SHA3 SM3 SM4 ASIMDDP
        # SHA512 ASIMDFHM ILRCPC FLAGM SB (bits 0 1 3-10 12-21 23 26 27 29)
        hwcap=0x2CBFF7FB,
        hwcap2=1 << 0 | 1 << 7 | 1 << 8 | 1 << 16,  # DCPODP FLAGM2 FRINT RNG
        platform=b"aarch64",
        minsigstksz=4720,
    ),
)
