"""mips, 32-bit big-endian, o32: Debian mips.

The one odd thing: nearly every number is the ABI's own (errno, signals, socket options, flags), from IRIX; and a
system call's fifth and later arguments lie on the stack. Guest code runs in the engine's kernel mode, with Status.ERL:
rdhwr $29 (the thread pointer) is only allowed there, as the engine cannot be told HWREna, and only with ERL does ll not
look for its address in the processor's own TLB. So mfc0, eret or cache do not raise SIGILL.

The processor is a 24Kf: MIPS32 release 2 with FPU, no DSP (its registers could not be saved). FR=0, as o32's FPXX code
starts. FCSR cannot be read through the engine, so frames do not hold it.
"""

from runtime.abi.constants import Constants
from runtime.abi.layout import DataModel
from runtime.arch import engine_ids
from runtime.arch.architecture import Architecture, AuxvFacts, EngineFacts
from runtime.arch.engine_ids.mips import MODELS, REGISTERS
from runtime.arch.frame_facts import FrameFacts

_R = REGISTERS
_CU1, _CU0, _ERL = 1 << 29, 1 << 28, 1 << 2
_UC = 152
_SC = _UC + 24  # struct sigcontext

ARCHITECTURE = Architecture(
    name="mips",
    debian="mips",
    qemu="mips",
    triple="mips-linux-gnu",
    uname=b"mips",
    elf_machine=8,
    elf_class=32,
    elf_data=2,
    e_flags=((0xF020, 0x1000), (0xF020, 0)),
    cpuinfo="""\
processor\t\t: {cpu}
cpu model\t\t: MIPS 24Kc V0.0  FPU V0.0
BogoMIPS\t\t: 100.00
wait instruction\t: yes
microsecond timers\t: yes
tlb_entries\t\t: 16
extra interrupt vector\t: yes
hardware watchpoint\t: no
isa\t\t\t: mips1 mips2 mips32r1 mips32r2
ASEs implemented\t: mips16
shadow register sets\t: 1
core\t\t\t: {cpu}

\0system type\t\t: Octavo
machine\t\t\t: Octavo
""",
    model=DataModel(
        "mips",
        bits=32,
        big=True,
        variants={
            "stat": "mips", "stat64": "mips", "statfs": "mips", "statfs64": "mips", "flock": "mips",
            "old_sigaction": "mips", "sigaction": "mips", "stack_t": "mips", "semid64_ds": "mips", "shmid64_ds": "mips",
            "msqid64_ds": "mips",
        },
    ),
    page_sizes=(4096, 16384, 65536),
    default_page=4096,
    address_top=0x7FFF8000,  # TASK_SIZE
    mmap_top=0x77FF0000,
    et_dyn_base=0x55550000,
    stack_top=0x7FFF7000,
    shmlba=0x40000,
    shmlba_forced=True,
    fixed_range_error=22,  # arch/mips/mm/mmap.c answers EINVAL
    executable_stack=True,
    readable_executes=True,  # the 24Kf has no RIXI
    engine=EngineFacts(
        arch=engine_ids.ARCH_MIPS,
        mode=engine_ids.MODE_MIPS32 | engine_ids.MODE_BIG_ENDIAN,
        model=MODELS["24kf"],
        setup=((_R["cp0_status"], _CU1 | _CU0 | _ERL),),
        registers=REGISTERS,
        pc=_R["pc"],
        sp=_R["sp"],
        tls_register=_R["cp0_userlocal"],
        number_register=_R["v0"],
        argument_registers=tuple(_R[f"a{n}"] for n in range(4)),
        result_register=_R["v0"],
        error_register=_R["a3"],
        error_style=1,  # FLAG_REGISTER
        syscall_traps=(17,),
        syscall_length={"": 4},
        traps={
            12: (7, 1),  # address error, load: SIGBUS BUS_ADRALN
            13: (7, 1),  # address error, store
            18: (5, 1),  # break: SIGTRAP TRAP_BRKPT; codes 6 and 7 are SIGFPE
            19: (4, 1),  # coprocessor unusable: SIGILL
            20: (4, 1),  # reserved instruction: SIGILL ILL_ILLOPC
            21: (8, 2),  # overflow: SIGFPE FPE_INTOVF
            22: (5, 1),  # trap instruction: SIGTRAP; code 7, division by zero, is SIGFPE
            23: (8, 3),  # floating point: SIGFPE
            33: (4, 1),  # DSP unusable
        },
    ),
    entry_registers=(("t9", "entry"),),
    second_result="v1",
    constants=Constants(
        errno={
            "ENOMSG": 35, "EIDRM": 36, "ECHRNG": 37, "EL2NSYNC": 38, "EL3HLT": 39, "EL3RST": 40,
            "ELNRNG": 41, "EUNATCH": 42, "ENOCSI": 43, "EL2HLT": 44, "EDEADLK": 45, "ENOLCK": 46,
            "EBADE": 50, "EBADR": 51, "EXFULL": 52, "ENOANO": 53, "EBADRQC": 54, "EBADSLT": 55,
            "EDEADLOCK": 56, "EMULTIHOP": 74, "EBADMSG": 77, "ENAMETOOLONG": 78, "EOVERFLOW": 79,
            "ENOTUNIQ": 80, "EBADFD": 81, "EREMCHG": 82, "ELIBACC": 83, "ELIBBAD": 84, "ELIBSCN": 85,
            "ELIBMAX": 86, "ELIBEXEC": 87, "EILSEQ": 88, "ENOSYS": 89, "ELOOP": 90, "ERESTART": 91,
            "ESTRPIPE": 92, "ENOTEMPTY": 93, "EUSERS": 94, "ENOTSOCK": 95, "EDESTADDRREQ": 96,
            "EMSGSIZE": 97, "EPROTOTYPE": 98, "ENOPROTOOPT": 99, "EPROTONOSUPPORT": 120,
            "ESOCKTNOSUPPORT": 121, "EOPNOTSUPP": 122, "EPFNOSUPPORT": 123, "EAFNOSUPPORT": 124,
            "EADDRINUSE": 125, "EADDRNOTAVAIL": 126, "ENETDOWN": 127, "ENETUNREACH": 128,
            "ENETRESET": 129, "ECONNABORTED": 130, "ECONNRESET": 131, "ENOBUFS": 132, "EISCONN": 133,
            "ENOTCONN": 134, "EUCLEAN": 135, "ENOTNAM": 137, "ENAVAIL": 138, "EISNAM": 139,
            "EREMOTEIO": 140, "ESHUTDOWN": 143, "ETOOMANYREFS": 144, "ETIMEDOUT": 145,
            "ECONNREFUSED": 146, "EHOSTDOWN": 147, "EHOSTUNREACH": 148, "EALREADY": 149,
            "EINPROGRESS": 150, "ESTALE": 151, "ECANCELED": 158, "ENOMEDIUM": 159, "EMEDIUMTYPE": 160,
            "ENOKEY": 161, "EKEYEXPIRED": 162, "EKEYREVOKED": 163, "EKEYREJECTED": 164,
            "EOWNERDEAD": 165, "ENOTRECOVERABLE": 166, "ERFKILL": 167, "EHWPOISON": 168,
            "EDQUOT": 1133,
        },
        open={
            "O_APPEND": 0x8, "O_DSYNC": 0x10, "O_NONBLOCK": 0x80, "O_CREAT": 0x100, "O_EXCL": 0x400, "O_NOCTTY": 0x800,
            "FASYNC": 0x1000, "O_LARGEFILE": 0x2000, "__O_SYNC": 0x4000, "O_DIRECT": 0x8000,
        },
        mmap={
            "MAP_NORESERVE": 0x400, "MAP_ANONYMOUS": 0x800, "MAP_GROWSDOWN": 0x1000, "MAP_DENYWRITE": 0x2000,
            "MAP_EXECUTABLE": 0x4000, "MAP_LOCKED": 0x8000, "MAP_POPULATE": 0x10000, "MAP_NONBLOCK": 0x20000,
            "MAP_STACK": 0x40000, "MAP_HUGETLB": 0x80000,
        },
        signal={
            "SIGSTKFLT": 7,  # the place of SIGEMT; Linux sends neither
            "SIGBUS": 10, "SIGSYS": 12, "SIGUSR1": 16, "SIGUSR2": 17, "SIGCHLD": 18, "SIGPWR": 19, "SIGWINCH": 20,
            "SIGURG": 21, "SIGIO": 22, "SIGSTOP": 23, "SIGTSTP": 24, "SIGCONT": 25, "SIGTTIN": 26, "SIGTTOU": 27,
            "SIGVTALRM": 28, "SIGPROF": 29, "SIGXCPU": 30, "SIGXFSZ": 31,
        },
        si_code={"SI_ASYNCIO": -2, "SI_TIMER": -3, "SI_MESGQ": -4},
        sighow={"SIG_BLOCK": 1, "SIG_UNBLOCK": 2, "SIG_SETMASK": 3},
        sa_flags={"SA_SIGINFO": 8, "SA_NOCLDWAIT": 0x10000},
        resource={"RLIMIT_NOFILE": 5, "RLIMIT_AS": 6, "RLIMIT_RSS": 7, "RLIMIT_NPROC": 8, "RLIMIT_MEMLOCK": 9},
        poll={"POLLWRNORM": 4, "POLLWRBAND": 0x100},
        fcntl={
            "F_GETLK": 14, "F_GETOWN": 23, "F_SETOWN": 24, "F_GETLK64": 33, "F_SETLK64": 34, "F_SETLKW64": 35,
        },
        socket_level={"SOL_SOCKET": 0xFFFF},
        socket_option={
            "SO_REUSEADDR": 4, "SO_KEEPALIVE": 8, "SO_DONTROUTE": 16, "SO_PASSCRED": 17, "SO_PEERCRED": 18,
            "SO_PEERSEC": 30, "SO_SNDBUFFORCE": 31, "SO_BROADCAST": 32, "SO_LINGER": 128, "SO_OOBINLINE": 256,
            "SO_REUSEPORT": 512, "SO_SNDBUF": 0x1001, "SO_RCVBUF": 0x1002, "SO_SNDLOWAT": 0x1003,
            "SO_RCVLOWAT": 0x1004, "SO_SNDTIMEO_OLD": 0x1005, "SO_RCVTIMEO_OLD": 0x1006, "SO_ERROR": 0x1007,
            "SO_TYPE": 0x1008, "SO_ACCEPTCONN": 0x1009, "SO_PROTOCOL": 0x1028, "SO_DOMAIN": 0x1029,
        },
        socket_type={"SOCK_DGRAM": 1, "SOCK_STREAM": 2, "SOCK_NONBLOCK": 0x80},
        ioctl_direction={"NONE": 1, "WRITE": 4},
    ),
    stack_arguments=16,
    rlim_infinity=0x7FFFFFFF,  # asm/resource.h
    argument_slots=8,
    pair_alignment=True,
    frames=FrameFacts(
        size=_UC + 632,
        align=16,
        red_zone=32,  # the kernel leaves it free for its own emulation of branch delay slots
        info=24,
        ucontext=_UC,
        stack=_UC + 8,
        mask=_SC + 592,
        registers=(
            ("pc", _SC + 8, 8),
            *((f"r{n}", _SC + 16 + 8 * n, 8) for n in range(1, 32)),
            # FR=0: a pair of registers is one double in the even one's place
            *((f"f{n + 1}", _SC + 272 + 8 * n, 4) for n in range(0, 32, 2)),
            *((f"f{n}", _SC + 272 + 8 * n + 4, 4) for n in range(0, 32, 2)),
            ("hi", _SC + 552, 8),
            ("lo", _SC + 560, 8),
        ),
        words=((_SC + 536, 4, 1),),  # sc_used_math
        argument_registers=("a0", "a1", "a2"),
        entry_registers=(("ra", "return"), ("t9", "handler")),
    ),
    trampoline=bytes.fromhex("24021061 0000000c"),  # li v0, 4193 (rt_sigreturn); syscall
    sigset_size=16,
    signal_count=127,
    siginfo_code_first=True,
    auxv=AuxvFacts(hwcap=1 << 3, base_platform=b"mips32r2"),  # HWCAP_MIPS_MIPS16
)  # fmt: skip
