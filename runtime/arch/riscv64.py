"""riscv64, rv64gc: Debian riscv64.

The one odd thing: user mode is written last (register `priv`), because status registers cannot be reached from it. The
cycle and instret counters are readable, `time` is not: rdtime is SIGILL, as in a kernel without the extension.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.riscv import MODELS, REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
_UC = 128
_FP = _UC + 432  # union __riscv_fp_state, the D state

ARCHITECTURE = Architecture(
    name="riscv64",
    debian="riscv64",
    qemu="riscv64",
    triple="riscv64-linux-gnu",
    uname=b"riscv64",
    elf_machine=243,
    elf_class=64,
    elf_data=1,
    cpuinfo="processor\t: {cpu}\nhart\t\t: {cpu}\nisa\t\t: rv64imafdc\nmmu\t\t: sv48\n\n",
    model=DataModel("riscv64", bits=64, variants={"sigaction": "plain"}),
    page_sizes=(4096,),
    default_page=4096,
    address_top=1 << 47,  # sv48
    mmap_top=0x1FFF_F000_0000,  # below 2^45, as in aarch64.py
    et_dyn_base=0x1555_5555_5000,
    stack_top=0x1FFF_FFFF_F000,
    engine=EngineFacts(
        arch=engine_ids.ARCH_RISCV,
        mode=engine_ids.MODE_RISCV64,
        model=MODELS["any"],
        setup=(
            (_R["mcounteren"], 7),
            (_R["scounteren"], 7),
            (_R["mstatus"], 3 << 13),  # FS: floating point is on, "dirty"
            (_R["priv"], 0),
        ),
        registers=REGISTERS,
        pc=_R["pc"],
        sp=_R["sp"],
        tls_register=_R["tp"],
        number_register=_R["a7"],
        argument_registers=tuple(_R[f"a{n}"] for n in range(6)),
        result_register=_R["a0"],
        syscall_traps=(8,),
        syscall_length={"": 4},
        traps={
            0: (7, 1),  # misaligned pc: SIGBUS BUS_ADRALN
            2: (4, 1),  # illegal: SIGILL ILL_ILLOPC
            3: (5, 1),  # ebreak: SIGTRAP TRAP_BRKPT
            4: (7, 1),  # misaligned lr: SIGBUS BUS_ADRALN
            6: (7, 1),  # misaligned sc or amo
        },
    ),
    constants=Constants(),
    frames=FrameFacts(
        size=_UC + 960,
        align=16,
        info=0,
        ucontext=_UC,
        stack=_UC + 16,
        mask=_UC + 40,
        registers=(
            ("pc", _UC + 176, 8),
            *((f"x{n}", _UC + 176 + 8 * n, 8) for n in range(1, 32)),
            *((f"f{n}", _FP + 8 * n, 8) for n in range(32)),
            ("fcsr", _FP + 256, 4),
        ),
        argument_registers=("a0", "a1", "a2"),
        entry_registers=(("ra", "return"),),
    ),
    trampoline=bytes.fromhex("9308b008 73000000"),  # li a7, 139 (rt_sigreturn); ecall
    auxv=AuxvFacts(hwcap=sum(1 << ord(letter) - ord("A") for letter in "IMAFDC"), minsigstksz=1088),
)
