"""The numbers of runtime/abi/ioctls.py, asked of the cross compilers' own headers."""

import shutil
import subprocess

import pytest

from runtime.abi import ioctls
from runtime.arch import ARCHITECTURES, load

HEADERS = [
    "sys/types.h",
    "asm/termbits.h",
    "asm/termios.h",
    "asm/ioctls.h",
    "linux/fs.h",
    "linux/fiemap.h",
    "linux/sockios.h",
    "linux/nsfs.h",
    "linux/loop.h",
    "linux/kd.h",
    "linux/vt.h",
    "linux/rtc.h",
    "linux/random.h",
]


@pytest.mark.guest
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_numbers(name, tmp_path):
    """A file that compiles only if every number that a header defines is ours."""
    arch = load(name)
    compiler = f"{arch.triple}-gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    lines = [f"#include <{header}>" for header in HEADERS]
    for number, request in ioctls.table(arch.model).items():
        lines += [
            f"#ifdef {request.name}",
            f'_Static_assert((unsigned){request.name} == {number:#x}u, "{request.name}");',
            "#endif",
        ]
    source = tmp_path / "numbers.c"
    source.write_text("\n".join(lines) + "\n")
    made = subprocess.run(
        [compiler, "-fsyntax-only", "-w", source], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
