#!/usr/bin/env python3
"""Make runtime/arch/tables/NAME.tbl from the kernel's own headers.

    packaging/tools/make_syscall_table.py [--check] [NAME ...]

Numbers and names come from <asm/unistd.h>, asked of the (cross) compiler's preprocessor, so that every conditional in
it is resolved as a guest program sees it (linux-libc-dev-ARCH-cross, and linux-libc-dev for x86_64).
The kernel's entry point is not in those headers, except in asm-generic; the rules below say which entry a name means.
They follow the kernel's arch/*/{kernel,tools,entry}/syscalls/*.tbl. What a rule does not mention has its own name as
its entry. `entry` has no sys_ or compat_; `ni_syscall` is what the kernel itself answers with ENOSYS.

Variants, the third thing a handler is told (structures of runtime/abi/structs.py):
  time32      32-bit time: timespec, itimerspec, timex instead of the 64-bit ones. Only on 32-bit ABIs; no variant
              means timespec64 and so on, which on a 64-bit ABI are the same bytes as the native ones.
  stat64      struct stat64 instead of the ABI's struct stat
  pgoff4096   mmap2: the last argument counts 4096-byte units, whatever the page size
  fcntl64     F_GETLK64, F_SETLK64 and F_SETLKW64 are understood too
  uid16       16-bit user and group ids
  old_ipc     semctl, msgctl, shmctl, ipc: IPC_64 (0x100) in the command chooses the 64 structures, else the old ones
  two_results pipe: the second descriptor is the second result register
"""

import ast
import pathlib
import re
import subprocess
import sys

TABLES = pathlib.Path(__file__).resolve().parents[2] / "runtime" / "arch" / "tables"
COMPILERS = {
    "aarch64": "aarch64-linux-gnu-gcc",
    "arm": "arm-linux-gnueabihf-gcc",
    "mips": "mips-linux-gnu-gcc",
    "ppc64le": "powerpc64le-linux-gnu-gcc",
    "riscv64": "riscv64-linux-gnu-gcc",
    "x86_64": "x86_64-linux-gnu-gcc",
}
BITS32 = frozenset({"arm", "mips"})

# name -> (entry, variant), for every architecture.
COMMON = {
    "_llseek": ("llseek", ""),
    "_newselect": ("select", ""),
    "_sysctl": ("ni_syscall", ""),  # removed in Linux 5.5
    "ipc": ("ipc", "old_ipc"),
    "arm_sync_file_range": ("sync_file_range2", ""),
    "fcntl64": ("fcntl", "fcntl64"),
    "fstat": ("newfstat", ""),
    "fstat64": ("newfstat", "stat64"),
    "fstatat64": ("newfstatat", "stat64"),
    "lstat": ("newlstat", ""),
    "lstat64": ("newlstat", "stat64"),
    "mmap2": ("mmap", "pgoff4096"),
    "readdir": ("old_readdir", ""),
    "stat": ("newstat", ""),
    "stat64": ("newstat", "stat64"),
    "ugetrlimit": ("getrlimit", ""),
    "umount": ("oldumount", ""),
    "umount2": ("umount", ""),
    "uname": ("newuname", ""),
}
# Numbers that the kernel keeps but answers with ENOSYS, on every architecture that has the name.
GONE = frozenset(
    [
        "afs_syscall",
        "break",
        "create_module",
        "ftime",
        "get_kernel_syms",
        "getpmsg",
        "gtty",
        "idle",
        "lock",
        "mpx",
        "multiplexer",
        "nfsservctl",
        "prof",
        "profil",
        "putpmsg",
        "query_module",
        "security",
        "stty",
        "timerfd",
        "tuxcall",
        "ulimit",
        "vserver",
    ]
)
# 32-bit ABIs: the plain name has 32-bit time, the kernel's function is NAME_time32 or NAME32.
TIME32 = frozenset(
    [
        "adjtimex",
        "clock_adjtime",
        "clock_getres",
        "clock_gettime",
        "clock_nanosleep",
        "clock_settime",
        "futex",
        "futimesat",
        "io_getevents",
        "io_pgetevents",
        "mq_timedreceive",
        "mq_timedsend",
        "nanosleep",
        "ppoll",
        "pselect6",
        "recvmmsg",
        "rt_sigtimedwait",
        "sched_rr_get_interval",
        "semtimedop",
        "stime",
        "time",
        "timer_gettime",
        "timer_settime",
        "timerfd_gettime",
        "timerfd_settime",
        "utime",
        "utimensat",
        "utimes",
    ]
)
# 32-bit ABIs: the names with 64-bit time.
TIME64 = re.compile(
    r"(clock_gettime|clock_settime|clock_adjtime|timer_gettime|timer_settime|timerfd_gettime|timerfd_settime)64$|(\w+)_time64$"
)

# name -> (entry, variant) where one architecture differs from the above.
SPECIAL: dict[str, dict[str, tuple[str, str]]] = {
    "aarch64": {"fadvise64": ("fadvise64_64", ""), "sendfile": ("sendfile64", "")},
    "riscv64": {"fadvise64": ("fadvise64_64", ""), "sendfile": ("sendfile64", "")},
    "x86_64": {
        "sendfile": ("sendfile64", ""),
        "get_thread_area": ("ni_syscall", ""),  # 32-bit programs only
        "set_thread_area": ("ni_syscall", ""),
        "epoll_ctl_old": ("ni_syscall", ""),
        "epoll_wait_old": ("ni_syscall", ""),
    },
    "ppc64le": {
        "sendfile": ("sendfile64", ""),
        # Linux leaves these to 32-bit programs: arch/powerpc/kernel/syscalls/syscall.tbl, column abi.
        **dict.fromkeys(
            [
                "oldstat",
                "oldfstat",
                "oldlstat",
                "umount",
                "sigaction",
                "sigsuspend",
                "sigpending",
                "sigprocmask",
                "sigreturn",
                "getrlimit",
                "select",
                "readdir",
                "oldolduname",
                "olduname",
                "sys_debug_setcontext",
                "iopl",
                "ioperm",
                "vm86",
                "modify_ldt",
            ],
            ("ni_syscall", ""),
        ),
    },
    "arm": {
        # arch/arm/tools/syscall.tbl: the plain names are the 16-bit ones, NAME32 the real ones.
        **{
            name: (name, "uid16")
            for name in [
                "chown",
                "fchown",
                "lchown",
                "getegid",
                "geteuid",
                "getgid",
                "getgroups",
                "getresgid",
                "getresuid",
                "getuid",
                "setfsgid",
                "setfsuid",
                "setgid",
                "setgroups",
                "setregid",
                "setresgid",
                "setresuid",
                "setreuid",
                "setuid",
            ]
        },
        "semctl": ("semctl", "old_ipc"),
        "msgctl": ("msgctl", "old_ipc"),
        "shmctl": ("shmctl", "old_ipc"),
        # A 32-bit kernel keeps sys_utimes and sys_futimesat, whose timeval has a long: the same bytes as time32.
    },
    "mips": {
        "fadvise64": ("fadvise64_64", ""),
        "pipe": ("pipe", "two_results"),
        "signal": ("ni_syscall", ""),
        "sigsuspend": ("mips_sigsuspend", ""),  # a function of its own, arch/mips/kernel/signal.c
        "ioperm": ("ni_syscall", ""),
        "iopl": ("ni_syscall", ""),
        "vm86": ("ni_syscall", ""),
        "modify_ldt": ("ni_syscall", ""),
    },
}


def preprocess(compiler: str) -> dict[str, str]:
    """Every macro of <asm/unistd.h> as the compiler sees it: name -> text."""
    text = subprocess.run(
        [compiler, "-E", "-dM", "-x", "c", "-"],
        input="#include <asm/unistd.h>\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    macros = {}
    for line in text.splitlines():
        parts = line.split(None, 2)
        if len(parts) == 3 and "(" not in parts[1]:
            macros[parts[1]] = parts[2]
    return macros


def value(expression: str, macros: dict[str, str]) -> int:
    """The number of a macro: literals, other macros, + and parentheses."""

    def fold(node: ast.AST) -> int:
        match node:
            case ast.Expression(body=body):
                return fold(body)
            case ast.Constant(value=int(number)):
                return number
            case ast.Name(id=name):
                return value(macros[name], macros)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return fold(left) + fold(right)
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return fold(left) & fold(right)
        raise ValueError(f"not a number: {expression}")

    return fold(ast.parse(expression.strip(), mode="eval"))


def numbers(macros: dict[str, str]) -> dict[int, str]:
    """System call number -> name. ARM's private calls get the prefix arm_."""
    found: dict[int, str] = {}
    for macro, text in macros.items():
        if macro.startswith("__NR_"):
            name = macro[len("__NR_") :]
        elif macro.startswith("__ARM_NR_"):
            name = "arm_" + macro[len("__ARM_NR_") :]
        else:
            continue
        if name in (
            "Linux",
            "arch_specific_syscall",
            "arm_BASE",
            "SYSCALL_BASE",
            "SYSCALL_MASK",
            "OABI_SYSCALL_BASE",
        ):
            continue
        if (
            re.match(r"(syscalls$|Linux_|O32_Linux|64_Linux|N32_Linux|unused|reserved)", name)
            or "linux_syscalls" in name.lower()
        ):
            continue
        number = value(text, macros)
        if name == "sync_file_range2" and found.get(number) == "arm_sync_file_range":
            continue
        if name == "arm_sync_file_range":
            name = "sync_file_range2"
        found[number] = name
    return found


def entry(arch: str, name: str) -> tuple[str, str]:
    """(kernel entry, variant) of a system call's name."""
    special = SPECIAL[arch]
    if name in special:
        return special[name]
    if name in GONE:
        return "ni_syscall", ""
    if arch in BITS32:
        if name in TIME32:
            return name, "time32"
        match = TIME64.match(name)
        if match:
            return match[1] or match[2], ""
        if arch == "arm" and name.endswith("32") and name[:-2] in special:
            return name[:-2], ""
    return COMMON.get(name, (name, ""))


def table(arch: str) -> str:
    """The text of one table."""
    macros = preprocess(COMPILERS[arch])
    version = subprocess.run(
        [COMPILERS[arch], "-E", "-dM", "-x", "c", "-"],
        input="#include <linux/version.h>\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    match = re.search(r"LINUX_VERSION_CODE (\d+)", version)
    assert match
    code = int(match[1])
    lines = [
        (
            f"# {arch}: number name entry [variant]; from <asm/unistd.h> of "
            f"Linux {code >> 16}.{code >> 8 & 255} by make_syscall_table.py"
        )
    ]
    for number, name in sorted(numbers(macros).items()):
        kernel, variant = entry(arch, name)
        lines.append(f"{number} {name} {kernel} {variant}".rstrip())
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    names = [word for word in arguments if not word.startswith("-")] or sorted(COMPILERS)
    stale = 0
    for name in names:
        path = TABLES / f"{name}.tbl"
        text = table(name)
        if not check:
            path.write_text(text)
        elif path.read_text() != text:
            print(
                f"{path.name} is not what the headers give; run {sys.argv[0]} {name}",
                file=sys.stderr,
            )
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
