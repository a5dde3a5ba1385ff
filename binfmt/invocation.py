"""How this process was started: by the kernel's binfmt_misc, under the name of a qemu-user program, or as `octavo`.

What the kernel passes (fs/binfmt_misc.c, load_misc_binary), by the flags of the entry that matched:

    none   [handler, path, argv[1], ...]
    P      [handler, path, argv[0], argv[1], ...]     and bit 0 of AT_FLAGS is set (Linux 5.12)
    O      the program, open, in AT_EXECFD
    C      as O, and with the credentials that the program has, so that AT_SECURE may be set
    F      nothing that can be seen: the handler was opened when it was registered
    T      [argv[0], argv[1], ...], as for a native program; the program in AT_EXECFD, and bit 1 of AT_FLAGS is set
           (kernels after 7.0). We do not register it, but whoever does finds it understood.

`handler` is the string that was registered. A kernel older than 5.12 can't say P; Debian's convention is then a handler
whose name ends in "-binfmt-P". Once the kernel is known to be the caller, nothing is an option any more: every word is
the guest's (a guest's `--help` is not ours).

The odd thing: AT_EXECFD may be 0, when the caller had closed its standard input, and getauxval(3) says 0 for an entry
that is missing too. The core's auxv() keeps the two apart, and works in a root without /proc.
"""

from runtime._core import auxv, auxv_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

KERNEL, QEMU, COMMAND = "kernel", "qemu", "command"

# include/uapi/linux/auxvec.h, binfmts.h
AT_EXECFD, AT_FLAGS, AT_SECURE, AT_EXECFN = 2, 8, 23, 31
AT_FLAGS_PRESERVE_ARGV0, AT_FLAGS_TRANSPARENT_INTERP = 1, 2

SUFFIX = b"-binfmt-P"
_QEMU, _STATIC = b"qemu-", b"-static"


class InvocationError(Exception):
    """The kernel's words are not what a handler gets. args == (line,)."""


class Invocation:
    """How we were called. Never changes once it is made. Strings are bytes, as the kernel passes them."""

    __slots__ = (
        "arch",
        "argv",
        "execfd",
        "execfn",
        "how",
        "preserved",
        "program",
        "secure",
    )

    how: str  # KERNEL, QEMU or COMMAND
    arch: bytes  # what the name says: b"aarch64" of qemu-aarch64-static; b"" for another name
    program: bytes  # KERNEL: the program's path as execve was given it
    # KERNEL: the guest's argv. Otherwise the words after our own name.
    argv: tuple[bytes, ...]
    preserved: bool  # argv[0] is the caller's (P); without it argv[0] is the path
    execfd: int | None  # the open program (O), not close-on-exec
    execfn: (
        bytes | None
    )  # AT_EXECFN: the path execve was called with, a script's when a script was started
    secure: bool  # AT_SECURE: privileges were gained (C), the environment is not to be trusted

    def __init__(
        self,
        *,
        how: str,
        arch: bytes = b"",
        program: bytes = b"",
        argv: tuple[bytes, ...] = (),
        preserved: bool = False,
        execfd: int | None = None,
        execfn: bytes | None = None,
        secure: bool = False,
    ) -> None:
        put = object.__setattr__
        put(self, "how", how)
        put(self, "arch", arch)
        put(self, "program", program)
        put(self, "argv", argv)
        put(self, "preserved", preserved)
        put(self, "execfd", execfd)
        put(self, "execfn", execfn)
        put(self, "secure", secure)

    def __setattr__(self, name: str, value: object) -> "Never":
        raise AttributeError(f"an Invocation is never changed ({name})")


def read(argv: "list[bytes]") -> Invocation:
    """The invocation of this process, whose argv is given. InvocationError."""
    return judge(
        argv,
        flags=auxv(AT_FLAGS) or 0,
        execfd=auxv(AT_EXECFD),
        execfn=auxv_string(AT_EXECFN),
        secure=bool(auxv(AT_SECURE)),
    )


def judge(
    argv: "list[bytes]",
    *,
    flags: int = 0,
    execfd: int | None = None,
    execfn: bytes | None = None,
    secure: bool = False,
) -> Invocation:
    """The same from the auxiliary vector's values. InvocationError: fewer words than a handler gets."""
    if flags & AT_FLAGS_TRANSPARENT_INTERP and execfd is not None:
        return Invocation(
            how=KERNEL,
            program=execfn or b"",
            argv=tuple(argv) or (b"",),
            preserved=True,
            execfd=execfd,
            execfn=execfn,
            secure=secure,
        )
    name = (argv[0] if argv else b"").rpartition(b"/")[2]
    preserved = bool(flags & AT_FLAGS_PRESERVE_ARGV0) or name.endswith(SUFFIX)
    arch = _arch(name)
    if not preserved and execfd is None:
        how = QEMU if arch else COMMAND
        return Invocation(how=how, arch=arch, argv=tuple(argv[1:]), secure=secure)
    if len(argv) < 2:
        raise InvocationError(
            f"started as a handler of binfmt_misc with {len(argv)} arguments, which no kernel does"
        )
    # With P and an empty argv, before Linux 5.18, nothing follows the path.
    words = (argv[2:] or [b""]) if preserved else argv[1:]
    return Invocation(
        how=KERNEL,
        arch=arch,
        program=argv[1],
        argv=tuple(words),
        preserved=preserved,
        execfd=execfd,
        execfn=execfn,
        secure=secure,
    )


def _arch(name: bytes) -> bytes:
    """b"aarch64" of b"qemu-aarch64-static" and b"qemu-aarch64-binfmt-P"; b"" where the name does not begin so."""
    if not name.startswith(_QEMU):
        return b""
    return name[len(_QEMU) :].removesuffix(SUFFIX).removesuffix(_STATIC)
