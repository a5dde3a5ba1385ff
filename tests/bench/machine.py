"""What the bench needs on disk, and how each side starts a program.

qemu-user needs a binfmt_misc entry for the programs that a guest shell starts. It gets one in a user namespace's own
registry (kernel 6.7 and later), so that the machine's registration is neither used nor changed.
"""

import os
import struct
import subprocess
import sys

from runtime import bundle

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VAR = os.path.join(TOP, "var", "bench")
QEMU = os.path.join(VAR, "qemu10", "usr", "bin", "qemu-aarch64")
LAUNCHER = os.path.join(TOP, "build", "launcher", "octavo")
OCTAVO = os.path.join(TOP, ".venv", "bin", "octavo")
ROOT = os.path.join(TOP, "var", "roots", "arm64")
SYSROOT = "/usr/aarch64-linux-gnu"  # of Debian's cross C library
COMPILER = "aarch64-linux-gnu-gcc"

ELF64, LITTLE, CURRENT, EXECUTABLE, AARCH64 = 2, 1, 1, 2, 183

IN_NAMESPACE = """\
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 97
printf '%s' "$1" > /proc/sys/fs/binfmt_misc/register || exit 98
root=$2; shift 2
exec chroot "$root" "$@"
"""


class NotPossible(Exception):
    """A row cannot be measured on this machine. args == (why,)."""


def build() -> None:
    """Compile the programs that are older than their source."""
    os.makedirs(VAR, exist_ok=True)
    here = os.path.dirname(os.path.abspath(__file__))
    for source, target, flags in (
        ("hello.c", "hello-static", ["-static"]),
        ("hello.c", "hello-dynamic", []),
        ("kernels.c", "kernels", ["-static"]),
    ):
        name, program = os.path.join(here, source), os.path.join(VAR, target)
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(name):
            command = [COMPILER, "-O2", "-Wall", "-Werror", *flags, "-o", program, name]
            subprocess.run(command, check=True)
    if not os.path.exists(QEMU):
        script = os.path.join(TOP, "packaging", "tools", "get-qemu.sh")
        subprocess.run([script, os.path.join(VAR, "qemu10")], check=True)


def qemu_version() -> str:
    out = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    return out.splitlines()[0]


def launcher_facts() -> str:
    """The launcher's size, and which modules a start finds imported; it imports none itself (packaging/launcher)."""
    with open(os.path.join(os.path.dirname(LAUNCHER), "modules", "bundle"), "rb") as file:
        names = sorted(bundle.load(file.read()).header.places)
    foreign = [name for name in names if name.partition(".")[0] not in ("runtime", "binfmt")]
    return (
        f"launcher: {os.path.getsize(LAUNCHER) / 1e6:.1f} MB; imported at a start: nothing; in its snapshot:"
        f" {len(names) - len(foreign)} modules of ours and {', '.join(foreign)} of Python's library"
    )


def registration() -> str:
    """The binfmt_misc line for aarch64 programs and our qemu: every byte of the header that says what a file is."""
    ident = b"\x7fELF" + bytes((ELF64, LITTLE, CURRENT)) + bytes(9)
    magic = ident + struct.pack("<HH", EXECUTABLE, AARCH64)
    # any OS ABI byte; ET_EXEC and ET_DYN differ in the lowest bit of e_type
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"
    text = ["".join(f"\\x{byte:02x}" for byte in part) for part in (magic, mask)]
    return f":octavo-bench:M::{text[0]}:{text[1]}:{QEMU}:F"


def qemu_in_root(command: list[str]) -> list[str]:
    """A command in the arm64 root under qemu-user, with execs."""
    shell = ["/bin/sh", "-c", IN_NAMESPACE, "sh", registration(), ROOT]
    return ["unshare", "--user", "--map-root-user", "--mount", *shell, *command]


def octavo_in_root(command: list[str]) -> list[str]:
    return [OCTAVO, "run", "--root", ROOT, *command]


def need_root() -> None:
    """NotPossible where there is no arm64 root to start programs in."""
    if not os.path.exists(os.path.join(ROOT, "bin", "dash")):
        raise NotPossible("no arm64 root: make run creates it")


def baseline() -> list[str]:
    """What a start of Python alone costs."""
    return [sys.executable, "-I", "-S", "-c", "pass"]
