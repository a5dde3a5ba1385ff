"""Numbers asked of the cross compilers: they know the kernel's headers, we only compare."""

import re
import shutil
import subprocess
from collections.abc import Iterable

import pytest

COMPILERS = {
    "aarch64": "aarch64-linux-gnu-gcc",
    "arm": "arm-linux-gnueabihf-gcc",
    "riscv64": "riscv64-linux-gnu-gcc",
    "ppc64le": "powerpc64le-linux-gnu-gcc",
    "mips": "mips-linux-gnu-gcc",
    "x86_64": "x86_64-linux-gnu-gcc",
}


def ask(
    arch: str, headers: Iterable[str], expressions: Iterable[str], before: str = ""
) -> list[int]:
    """The values of C constant expressions, by compiling them into a table that is read back from the assembly.

    Skips the test when the compiler is not installed.
    """
    compiler = COMPILERS[arch]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed (package gcc-{compiler.removesuffix('-gcc')})")
    lines = [f"#include <{header}>" for header in headers]
    lines += [before, "void table(void) {"]
    lines += [f'asm volatile("\\n->%0" :: "i" ((long long)({text})));' for text in expressions]
    lines.append("}")
    done = subprocess.run(
        [compiler, "-S", "-O1", "-o", "-", "-x", "c", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(match[1], 0) for match in re.finditer(r"->[#$]?(-?\w+)", done.stdout)]


def defined(arch: str, headers: Iterable[str], names: Iterable[str]) -> dict[str, int]:
    """Name -> value of the macros that these headers define."""
    guarded = list(names)
    compiler = COMPILERS[arch]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed (package gcc-{compiler.removesuffix('-gcc')})")
    text = subprocess.run(
        [compiler, "-E", "-dM", "-x", "c", "-"],
        input="".join(f"#include <{header}>\n" for header in headers),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    known = set(re.findall(r"^#define (\w+)", text, re.MULTILINE))
    present = [name for name in guarded if name in known]
    return dict(zip(present, ask(arch, headers, present), strict=True))
