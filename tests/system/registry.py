"""Programs started by the kernel's binfmt_misc, in a user namespace with a registry of its own (Linux 6.7 and later).

The machine's own registrations are neither used nor changed, and nothing is left behind: the registry ends with the
namespace.
"""

import os
import struct
import subprocess
import sys

# e_machine and (class, data) of the ELF header, from elf.h
MACHINES = {
    "aarch64": (183, b"\2\1"),
    "arm": (40, b"\1\1"),
    "riscv64": (243, b"\2\1"),
    "ppc64le": (21, b"\2\1"),
    "mips": (8, b"\1\2"),
}

NO_NAMESPACE = 97

# $1 the registration lines, $2 the rest: python, its program, what to start
INSIDE = """\
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 97
printf '%s\\n' "$1" | while read -r line; do
    printf '%s' "$line" > /proc/sys/fs/binfmt_misc/register || exit 98
done || exit 98
shift
exec "$@"
"""

# Enters the root and starts the program as told; in Python, because argv[0] and descriptors are the test's to choose.
START = """\
import os, sys
root, close, words, path, *argv = sys.argv[1:]
if root:
    os.chroot(root)
    os.chdir("/")
for fd in close.split():
    os.close(int(fd))
os.execve(path, argv, dict(bytes.fromhex(word).split(b"=", 1) for word in words.split()))
"""


def line(arch: str, handler: str, flags: str) -> str:
    """What is written to `register`."""
    machine, kind = MACHINES[arch]
    order = ">" if kind[1] == 2 else "<"
    magic = b"\x7fELF" + kind + b"\1" + bytes(9) + struct.pack(order + "HH", 2, machine)
    executable = b"\xff\xfe" if order == ">" else b"\xfe\xff"
    mask = b"\xff" * 7 + b"\0" + b"\xff" * 8 + executable + b"\xff\xff"
    texts = ["".join(f"\\x{byte:02x}" for byte in part) for part in (magic, mask)]
    return f":qemu-{arch}:M::{texts[0]}:{texts[1]}:{handler}:{flags}"


def start(
    lines: list[str],
    path: str,
    argv: list[str],
    *,
    root: str = "",
    environment: dict[str, str] | None = None,
    close: tuple[int, ...] = (),
    timeout: float = 60,
) -> "subprocess.CompletedProcess[bytes]":
    """Start a program there. Skips the test where the kernel gives no such registry."""
    import pytest

    words = ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", INSIDE, "sh"]
    words += ["\n".join(lines), sys.executable, "-IS", "-c", START]
    given = environment if environment is not None else {"PATH": os.environ["PATH"]}
    # in hexadecimal: the shell in between would put the variables into an order of its own
    texts = [os.fsencode(f"{name}={value}").hex() for name, value in given.items()]
    words += [root, " ".join(map(str, close)), " ".join(texts), path, *argv]
    done = subprocess.run(words, capture_output=True, timeout=timeout, check=False)
    if done.returncode == NO_NAMESPACE:
        pytest.skip("this kernel has no binfmt_misc for a user namespace (Linux 6.7)")
    assert done.returncode != NO_NAMESPACE + 1, f"not registered: {done.stderr!r}"
    return done
