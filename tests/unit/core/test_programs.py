"""Static glibc programs from the cross compilers, run to their exit on every architecture."""

import shutil
import subprocess

import pytest

from tests.unit.core.machine import CALLS, FACTS, Machine, Program

COMPILERS = {
    "aarch64": "aarch64-linux-gnu-gcc",
    "arm": "arm-linux-gnueabihf-gcc",
    "riscv64": "riscv64-linux-gnu-gcc",
    "ppc64le": "powerpc64le-linux-gnu-gcc",
    "mips": "mips-linux-gnu-gcc",
    "x86_64": "x86_64-linux-gnu-gcc",
}
HELLO = '#include <stdio.h>\nint main(int n, char **a) { printf("hello %d %s\\n", n, a[1]); return 7; }\n'


@pytest.fixture(scope="session")
def hello(tmp_path_factory):
    """architecture -> the bytes of a static hello world"""
    where = tmp_path_factory.mktemp("hello")
    (where / "hello.c").write_text(HELLO)

    def build(name):
        out = where / name
        if not out.exists():
            if not shutil.which(COMPILERS[name]):
                pytest.skip("no " + COMPILERS[name])
            command = [COMPILERS[name], "-O1", "-static", "-o", str(out), str(where / "hello.c")]
            subprocess.run(command, check=True)
        return out.read_bytes()

    return build


@pytest.mark.guest
@pytest.mark.parametrize("name", FACTS)
def test_hello(name, hello):
    program = Program(Machine(name), hello(name), [b"hello", b"there"])
    assert program.run(CALLS[name]) == 7
    assert program.output == b"hello 2 there\n"


@pytest.mark.guest
@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_engine_pages(page, hello):
    program = Program(Machine("aarch64", page), hello("aarch64"), [b"hello", b"there"])
    assert program.run(CALLS["aarch64"]) == 7
    assert program.output == b"hello 2 there\n"
