"""x86-64: Debian amd64.

The one odd thing: guest code runs at privilege level 0 of the engine. Level 3 needs segment descriptors that cannot be
given in 64-bit mode without a descriptor table in guest memory; so cli, hlt or a port access do not raise #GP as they
should. CS, SS read 0; frames show Linux's 0x33 and 0x2b.

The processor is an EPYC (Rome) less AVX: x86-64-v2 with AES, BMI, FSGSBASE, RDRAND.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.x86 import INSN_SYSCALL, MODELS, REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
# The ucontext begins after the return address; the FXSAVE image is 64-byte aligned as the kernel's.
_UC, _FX = 8, 456

ARCHITECTURE = Architecture(
    name="x86_64",
    debian="amd64",
    qemu="x86_64",
    triple="x86_64-linux-gnu",
    uname=b"x86_64",
    elf_machine=62,
    elf_class=64,
    elf_data=1,
    cpuinfo="""\
processor\t: {cpu}
vendor_id\t: AuthenticAMD
cpu family\t: 23
model\t\t: 49
model name\t: AMD EPYC-Rome Processor
stepping\t: 0
cpu MHz\t\t: 2000.000
cache size\t: 512 KB
fpu\t\t: yes
fpu_exception\t: yes
cpuid level\t: 13
wp\t\t: yes
flags\t\t: fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx \
mmxext rdtscp lm pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 movbe popcnt aes xsave rdrand hypervisor lahf_lm cr8_legacy \
abm sse4a fsgsbase bmi1 bmi2 adx clflushopt clwb
bogomips\t: 4000.00
clflush size\t: 64
cache_alignment\t: 64
address sizes\t: 40 bits physical, 48 bits virtual

""",
    model=DataModel(
        "x86_64",
        bits=64,
        variants={"stat": "x86_64", "epoll_event": "packed", "semid64_ds": "x86_64"},
    ),
    page_sizes=(4096,),
    default_page=4096,
    address_top=0x7FFF_FFFF_F000,
    mmap_top=0x1FFF_F000_0000,  # below 2^45, as in aarch64.py
    et_dyn_base=0x1555_5555_5000,
    stack_top=0x1FFF_FFFF_F000,
    low_range=(0x4000_0000, 0x8000_0000),  # find_start_end()
    commpages=(
        # Execute-only; the code is never run: the entries are breakpoints.
        (
            0xFFFF_FFFF_FF60_0000,
            b"\xcc" * 0xC00,
            4,
            b"[vsyscall]",
            (
                (0xFFFF_FFFF_FF60_0000, "gettimeofday"),
                (0xFFFF_FFFF_FF60_0400, "time"),
                (0xFFFF_FFFF_FF60_0800, "getcpu"),
            ),
        ),
    ),
    engine=EngineFacts(
        arch=engine_ids.ARCH_X86,
        mode=engine_ids.MODE_64,
        model=MODELS["epyc_rome"],
        setup=(
            (_R["mxcsr"], 0x1F80),
            (_R["fpcw"], 0x37F),
            (_R["fptag"], 0xFFFF),
            (_R["eflags"], 0x202),
        ),
        registers=REGISTERS,
        pc=_R["rip"],
        sp=_R["rsp"],
        tls_register=_R["fs_base"],
        number_register=_R["rax"],
        argument_registers=tuple(_R[name] for name in ("rdi", "rsi", "rdx", "r10", "r8", "r9")),
        result_register=_R["rax"],
        syscall_insn=INSN_SYSCALL,
        syscall_length={"": 2},
        traps={
            0: (8, 1),  # #DE: SIGFPE FPE_INTDIV
            1: (5, 2),  # #DB: SIGTRAP TRAP_TRACE
            3: (5, 0x80),  # int3: SIGTRAP SI_KERNEL
            4: (11, 0x80),  # into
            5: (11, 0x80),  # bound
            6: (4, 2),  # #UD: SIGILL ILL_ILLOPN
            7: (11, 0x80),
            10: (11, 0x80),
            11: (7, 0x80),
            12: (7, 0x80),
            13: (11, 0x80),  # #GP: SIGSEGV SI_KERNEL
            16: (8, 3),  # x87: SIGFPE FPE_FLTDIV, the commonest
            17: (7, 1),  # #AC: SIGBUS BUS_ADRALN
            19: (8, 3),  # SSE
            128: (11, 0x80),  # int 0x80: there is no 32-bit entry for a 64-bit program here
        },
    ),
    constants=Constants(),
    clone_tls_first=False,
    frames=FrameFacts(
        size=_FX + 512,
        align=64,
        red_zone=128,
        info=_UC + 304,
        ucontext=_UC,
        stack=_UC + 16,
        mask=_UC + 296,
        registers=(
            *((f"r{n}", _UC + 40 + 8 * (n - 8), 8) for n in range(8, 16)),
            *(
                (name, _UC + 104 + 8 * n, 8)
                for n, name in enumerate(
                    ("rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip", "eflags")
                )
            ),
            ("fpcw", _FX, 2),
            ("fpsw", _FX + 2, 2),
            (
                "fptag",
                _FX + 4,
                2,
            ),  # the full tag word; FXSAVE has the abridged one in the first byte
            ("mxcsr", _FX + 24, 4),
            *((f"fp{n}", _FX + 32 + 16 * n, 10) for n in range(8)),
            *((f"xmm{n}", _FX + 160 + 16 * n, 16) for n in range(16)),
        ),
        writable={"eflags": 0x50DD5},
        words=(
            (_UC, 8, 6),  # uc_flags: UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
            (_UC + 184, 2, 0x33),  # cs
            (_UC + 190, 2, 0x2B),  # ss
            (_FX + 28, 4, 0xFFFF),  # mxcsr_mask
        ),
        links=((_UC + 224, 8, _FX),),  # fpstate
        trap_offset=_UC + 200,
        fault_offset=_UC + 216,  # cr2
        return_offset=0,
        argument_registers=("rdi", "rsi", "rdx"),
        entry_registers=(("rax", "zero"),),
    ),
    restorer=True,
    auxv=AuxvFacts(
        hwcap=0x078BFBFD,  # cpuid(1).edx of the model
        hwcap2=2,  # FSGSBASE
        platform=b"x86_64",
        minsigstksz=1376,  # frame with FXSAVE, as of a kernel without XSAVE
    ),
)
