"""arm, EABI with hard float, little-endian: Debian armhf.

The one odd thing: the kernel's helper functions at the top of the address space (arch/arm/kernel/entry-armv.S). Real
code stands there and the engine runs it: ldrex/strex loops, so that a helper that is interrupted between the two is
restarted by its own strex. The kernel's [sigpage] holds four return sequences, by instruction set and flavour.

A real 32-bit kernel refuses fixed mappings below 8 KiB with EINVAL, even for root: FIRST_USER_ADDRESS.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.arm import MODELS, REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
_INFO = (
    128  # bytes of siginfo before the ucontext; a frame without SA_SIGINFO begins with the ucontext
)

_UNDEFINED = 0xE7FDDEF1


def _helpers() -> bytes:
    """0xffff0000..0xffff1000: an undefined instruction everywhere (early_trap_init) but for the helpers, assembled."""
    page = bytearray(_UNDEFINED.to_bytes(4, "little") * 1024)

    def place(offset: int, *words: int) -> None:
        page[offset : offset + 4 * len(words)] = b"".join(
            word.to_bytes(4, "little") for word in words
        )

    place(  # __kuser_cmpxchg64(const int64_t *old, const int64_t *new, volatile int64_t *ptr)
        0xF60,
        0xE92D40F0,  # push   {r4, r5, r6, r7, lr}
        0xE1C040D0,  # ldrd   r4, r5, [r0]
        0xE1C160D0,  # ldrd   r6, r7, [r1]
        0xF57FF05B,  # dmb    ish
        0xE1B20F9F,  # 1: ldrexd r0, r1, [r2]
        0xE0303004,  # eors   r3, r0, r4
        0x00313005,  # eorseq r3, r1, r5
        0x01A23F96,  # strexdeq r3, r6, r7, [r2]
        0x03330001,  # teqeq  r3, #1
        0x0AFFFFF9,  # beq    1b
        0xF57FF05B,  # dmb    ish
        0xE2730000,  # rsbs   r0, r3, #0
        0xE8BD40F0,  # pop    {r4, r5, r6, r7, lr}
        0xE12FFF1E,  # bx     lr
    )
    place(0xFA0, 0xF57FF05B, 0xE12FFF1E)  # __kuser_memory_barrier: dmb ish; bx lr
    place(  # __kuser_cmpxchg(int old, int new, volatile int *ptr)
        0xFC0,
        0xF57FF05B,  # dmb   ish
        0xE1923F9F,  # 1: ldrex r3, [r2]
        0xE0533000,  # subs  r3, r3, r0
        0x01823F91,  # strexeq r3, r1, [r2]
        0x03330001,  # teqeq r3, #1
        0x0AFFFFFA,  # beq   1b
        0xE2730000,  # rsbs  r0, r3, #0
        0xEAFFFFEF,  # b     __kuser_memory_barrier
    )
    place(0xFE0, 0xEE1D0F70, 0xE12FFF1E)  # __kuser_get_tls: mrc p15, 0, r0, c13, c0, 3; bx lr
    place(0xFFC, 5)  # __kuser_helper_version
    return bytes(page)


def _frame(info: int, size: int) -> FrameFacts:
    """The frame with its ucontext at `size of info`; struct sigframe is {ucontext, retcode[4]}."""
    vfp = info + 232  # uc_regspace: struct vfp_sigframe
    return FrameFacts(
        size=size,
        align=8,
        info=0,
        ucontext=info,
        stack=info + 8,
        mask=info + 104,
        registers=(
            *((f"r{n}", info + 32 + 4 * n, 4) for n in range(13)),
            ("sp", info + 84, 4),
            ("lr", info + 88, 4),
            ("pc", info + 92, 4),
            ("cpsr", info + 96, 4),
            *((f"d{n}", vfp + 8 + 8 * n, 8) for n in range(32)),
            ("fpscr", vfp + 264, 4),
        ),
        writable={"cpsr": 0xFE0FFE20},
        # VFP_MAGIC, its size, FPEXC with the enable bit; a zero ends the list
        words=((vfp, 4, 0x56465001), (vfp + 4, 4, 288), (vfp + 272, 4, 0x40000000)),
        trap_offset=info + 20,
        fault_offset=info + 100,
        argument_registers=("r0", "r1", "r2"),
        entry_registers=(("lr", "return"),),
    )


ARCHITECTURE = Architecture(
    name="arm",
    debian="armhf",
    qemu="arm",
    triple="arm-linux-gnueabihf",
    uname=b"armv7l",
    elf_machine=40,
    elf_class=32,
    elf_data=1,
    e_flags=((0xFF000000, 0x05000000),),
    cpuinfo="""\
processor\t: {cpu}
model name\t: ARMv7 Processor rev 1 (v7l)
BogoMIPS\t: 100.00
Features\t: half thumb fastmult vfp edsp thumbee neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x2
CPU part\t: 0xc0f
CPU revision\t: 1

""",
    model=DataModel("arm", bits=32, variants={"stat": "arm", "statfs64": "arm"}),
    page_sizes=(4096,),
    default_page=4096,
    address_top=0xBF000000,  # TASK_SIZE with 3 GiB for the program: PAGE_OFFSET less 16 MiB for modules
    mmap_top=0xB6FFF000,
    et_dyn_base=0x00400000,
    stack_top=0xBEFFF000,
    shmlba=4 * 4096,
    shmlba_forced=True,
    min_fixed=2 * 4096,
    executable_stack=False,  # elf_read_implies_exec: only without PT_GNU_STACK on processors before v6
    commpages=((0xFFFF0000, _helpers(), 5, b"[vectors]", ()),),
    engine=EngineFacts(
        arch=engine_ids.ARCH_ARM,
        mode=engine_ids.MODE_ARM,
        model=MODELS["cortex_a15"],
        setup=(
            (_R["c1_c0_2"], 0xF << 20),  # CPACR: VFP and NEON for everybody
            (_R["fpexc"], 1 << 30),
            (_R["cpsr"], 0x10),  # user mode
        ),
        page_settable=True,
        registers=REGISTERS,
        pc=_R["pc"],
        sp=_R["sp"],
        tls_register=_R["c13_c0_3"],
        number_register=_R["r7"],
        argument_registers=tuple(_R[f"r{n}"] for n in range(6)),
        result_register=_R["r0"],
        syscall_traps=(2,),
        syscall_length={"": 4, "thumb": 2},
        traps={
            1: (4, 1),  # undefined: SIGILL ILL_ILLOPC
            3: (7, 1),  # prefetch abort: SIGBUS BUS_ADRALN
            4: (7, 1),  # data abort that is not a missing page: misaligned ldrex
            7: (5, 1),  # bkpt: SIGTRAP TRAP_BRKPT
        },
    ),
    thumb_register="cpsr",
    thumb_bit=0x20,
    thumb_clear=0x0600FC00 | 0x200,  # IT state; big-endian data
    breakpoint_words=(
        ("", 4, 0x0FFFFFFF, 0x07F001F0),  # arch/arm/kernel/ptrace.c: arm_break_hook
        ("thumb", 2, 0xFFFF, 0xDE01),  # thumb_break_hook
        ("thumb", 4, 0xFFFFFFFF, 0xA000F7F0),  # thumb2_break_hook, halfwords as they lie
    ),
    exclusive_words=(
        ("", 4, 0x0F8000F0, 0x01800090, 16),  # ldrex, strex and their kin
        ("thumb", 4, 0xFFF0, 0xE850, 0),  # ldrex, halfwords as they lie
        ("thumb", 4, 0xFFF0, 0xE840, 0),  # strex
        ("thumb", 4, 0xFFF0, 0xE8D0, 0),  # ldrexh, ldrexd
        ("thumb", 4, 0xFFF0, 0xE8C0, 0),  # strexh, strexd
    ),
    constants=Constants(
        open={"O_DIRECTORY": 0x4000, "O_NOFOLLOW": 0x8000, "O_DIRECT": 0x10000, "O_LARGEFILE": 0x20000},
    ),
    pair_alignment=True,
    frames=_frame(_INFO, _INFO + 760),
    plain_frame=_frame(0, 760),
    restorer=True,
    # mov r7, #119; svc 0 and mov r7, #173; svc 0, each in ARM and in Thumb code: sigreturn, then rt_sigreturn
    trampoline=bytes.fromhex("7770a0e3 000000ef" "7727 00df" "ad70a0e3 000000ef" "ad27 00df"),
    trampoline_label=b"[sigpage]",
    trampoline_offsets=(0, 8, 12, 20),
    auxv=AuxvFacts(
        # HALF THUMB FAST_MULT VFP EDSP THUMBEE NEON VFPv3 TLS VFPv4 IDIVA IDIVT VFPD32 LPAE
        hwcap=1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 13 | 0xF8000 | 1 << 20,
        hwcap2=0,
        platform=b"v7l",
    ),
)  # fmt: skip
