"""ppc64le, ELFv2: Debian ppc64el.

The one odd thing: the engine opens 64-bit PowerPC big-endian only, and a register write to MSR makes it little-endian.
The engine's processor is POWER10 v1.0 as QEMU 5.0 had it, which is POWER9's instruction set: no model may be given,
because the engine counts models wrongly. What is reported is POWER9 (ISA 3.00) less transactional memory and scv.

Vector registers cannot be read through the engine, so frames leave v_regs NULL and MSR.VEC clear in the saved MSR:
a handler that changes vector registers changes the interrupted code's. The non-volatile ones are kept by the ABI.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.ppc import REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
_SF, _VEC, _VSX, _EE, _PR, _FP, _FE0, _FE1, _LE = (
    1 << 63,
    1 << 25,
    1 << 23,
    1 << 15,
    1 << 14,
    1 << 13,
    1 << 11,
    1 << 8,
    1,
)
_MC = 168  # uc_mcontext
_GP = _MC + 64
_FPR = _GP + 48 * 8
_UC = _MC + 1528
_INFO = _UC + 16 + 32 + 16  # after _unused[2], tramp[7] and padding, pinfo, puc

ARCHITECTURE = Architecture(
    name="ppc64le",
    debian="ppc64el",
    qemu="ppc64le",
    triple="powerpc64le-linux-gnu",
    uname=b"ppc64le",
    elf_machine=21,
    elf_class=64,
    elf_data=1,
    e_flags=((3, 2), (3, 1), (3, 0)),
    cpuinfo="""\
processor\t: {cpu}
cpu\t\t: POWER9, altivec supported
clock\t\t: 1000.000000MHz
revision\t: 2.0 (pvr 004e 1200)

\0timebase\t: 512000000
platform\t: pSeries
model\t\t: Octavo
machine\t\t: Octavo
MMU\t\t: Radix
""",
    model=DataModel("ppc64le", bits=64, variants={"stat": "ppc64", "shmid64_ds": "ppc64"}),
    page_sizes=(4096, 65536),
    default_page=65536,
    address_top=1 << 47,
    mmap_top=0x1FFF_F000_0000,  # below 2^45, as in aarch64.py
    et_dyn_base=0x1555_5555_0000,
    stack_top=0x1FFF_FFFF_0000,
    prot_checked=True,  # arch/powerpc/kernel/syscalls.c: do_mmap2
    executable_stack=False,  # only 32-bit programs
    engine=EngineFacts(
        arch=engine_ids.ARCH_PPC,
        mode=engine_ids.MODE_PPC64 | engine_ids.MODE_BIG_ENDIAN,
        setup=((_R["msr"], _SF | _VEC | _VSX | _EE | _PR | _FP | _FE0 | _FE1 | _LE),),
        registers=REGISTERS,
        pc=_R["pc"],
        sp=_R["r1"],
        tls_register=_R["r13"],
        number_register=_R["r0"],
        argument_registers=tuple(_R[f"r{n}"] for n in range(3, 9)),
        result_register=_R["r3"],
        error_register=_R["cr"],
        error_style=2,  # CR0_SO
        syscall_traps=(8,),
        syscall_length={"": 4},
        traps={
            5: (7, 1),  # alignment: SIGBUS BUS_ADRALN
            6: (4, 5),  # program, and no trap word: SIGILL ILL_PRVOPC
            95: (4, 1),  # facility unavailable
            96: (4, 1),  # illegal: SIGILL ILL_ILLOPC
        },
    ),
    entry_registers=(("r12", "entry"), ("r2", "toc")),
    descriptor_unless=(3, 2),  # ELFv2; arch/powerpc/kernel/process.c, start_thread
    breakpoint_words=(  # the exception does not say why: tw, td, twi, tdi
        ("", 4, 0xFC0007FE, 0x7C000008),
        ("", 4, 0xFC0007FE, 0x7C000088),
        ("", 4, 0xFC000000, 0x0C000000),
        ("", 4, 0xFC000000, 0x08000000),
    ),
    constants=Constants(
        open={"O_DIRECTORY": 0x4000, "O_NOFOLLOW": 0x8000, "O_LARGEFILE": 0x10000, "O_DIRECT": 0x20000},
        mmap={"MAP_LOCKED": 0x80, "MAP_NORESERVE": 0x40},
        mlockall={"MCL_CURRENT": 0x2000, "MCL_FUTURE": 0x4000, "MCL_ONFAULT": 0x8000},
        socket_option={
            "SO_RCVLOWAT": 16, "SO_SNDLOWAT": 17, "SO_RCVTIMEO_OLD": 18, "SO_SNDTIMEO_OLD": 19, "SO_PASSCRED": 20,
            "SO_PEERCRED": 21,
        },
        ioctl_direction={"NONE": 1, "WRITE": 4},
    ),
    frames=FrameFacts(
        size=_INFO + 128 + 512,  # siginfo, abigap
        align=16,
        below=128,  # __SIGNAL_FRAMESIZE; the trampoline takes it off the stack
        info=_INFO,
        ucontext=0,
        stack=16,
        mask=40,
        registers=(
            *((f"r{n}", _GP + 8 * n, 8) for n in range(32)),
            ("pc", _GP + 8 * 32, 8),
            ("msr", _GP + 8 * 33, 8),
            ("ctr", _GP + 8 * 35, 8),
            ("lr", _GP + 8 * 36, 8),
            ("xer", _GP + 8 * 37, 8),
            ("cr", _GP + 8 * 38, 8),
            *((f"fpr{n}", _FPR + 8 * n, 8) for n in range(32)),
            ("fpscr", _FPR + 8 * 32, 8),
        ),
        restored=frozenset(
            [f"r{n}" for n in range(32)]
            + ["pc", "ctr", "lr", "xer", "cr", "fpscr"]
            + [f"fpr{n}" for n in range(32)]
        ),
        links=((_MC + 56, 8, _GP), (_UC + 48, 8, _INFO), (_UC + 56, 8, 0)),  # regs, pinfo, puc
        trap_offset=_GP + 8 * 40,
        fault_offset=_GP + 8 * 41,
        argument_registers=("r3", "r4", "r5"),
        entry_registers=(("lr", "return"), ("r12", "handler")),
    ),
    # li r0, 172 (rt_sigreturn); addi r1, r1, 128; sc. Not in the order of the kernel of old: libgcc knows that one by
    # its words, tries to unwind through it without a vDSO's tables, and aborts (gcc_assert of the return column).
    trampoline=bytes.fromhex("ac000038 80002138 02000044"),
    min_signal_stack=8192,
    auxv=AuxvFacts(
        # PPC32 PPC64 ALTIVEC FPU MMU SMT ICACHE_SNOOP ARCH_2_05 DFP ARCH_2_06 VSX TRUE_LE PPC_LE is not set on 64 bits
        hwcap=0xDC007582,
        # ARCH_2_07 ISEL VEC_CRYPTO ARCH_3_00 DARN. DSCR, TAR and HTM are not for programs here: FSCR, which would allow
        # them, cannot be set through the engine. Of IEEE128 the engine has one instruction wrong (xscvqpdp leaves the
        # quad as it is), so libraries do without.
        hwcap2=0x8AA00000,
        platform=b"power9",
        base_platform=b"power9",
        extra=(
            (22, 22),  # AT_IGNOREPPC, twice: old C libraries took the wrong entries for the cache sizes
            (22, 22),
            (19, 128),  # AT_DCACHEBSIZE
            (20, 128),  # AT_ICACHEBSIZE
            (21, 0),  # AT_UCACHEBSIZE
            (40, 32768),  # AT_L1I_CACHESIZE
            (41, 128 | 8 << 16),  # AT_L1I_CACHEGEOMETRY: line, associativity << 16
            (42, 32768),  # AT_L1D_CACHESIZE
            (43, 128 | 8 << 16),
            (44, 524288),  # AT_L2_CACHESIZE
            (45, 128 | 8 << 16),
            (46, 10485760),  # AT_L3_CACHESIZE
            (47, 128 | 20 << 16),
        ),
        minsigstksz=_INFO + 128 + 512 + 128,
    ),
)  # fmt: skip
