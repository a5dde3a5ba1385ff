"""The command line of qemu-user, side by side with qemu-user: the same words, the same program, the same answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

TOP = Path(__file__).parents[2]
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
FRONT = (
    f"import os, sys; sys.path.insert(0, {str(TOP)!r}); from binfmt.front import main; "
    "sys.exit(main([os.fsencode(word) for word in sys.argv[1:]]))"
)
SOURCE = """
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
extern char **environ;
int main(int argc, char **argv) {
    struct utsname name;
    uname(&name);
    printf("%s %s\\n", name.machine, argc > 1 && !strcmp(argv[1], "release") ? name.release : "");
    for (int i = 0; i < argc; i++) printf("[%s]", argv[i]);
    for (char **e = environ; *e; e++)
        if (!strncmp(*e, "T_", 2)) printf("{%s}", *e);
    printf("\\n");
    return argc;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    if QEMU is None:
        pytest.skip("qemu-user is not installed")
    if shutil.which(COMPILERS["aarch64"]) is None:
        pytest.skip(f"{COMPILERS['aarch64']} is not installed")
    top = tmp_path_factory.mktemp("front")
    (top / "show.c").write_text(SOURCE)
    path = str(top / "show")
    subprocess.run([COMPILERS["aarch64"], "-static", "-o", path, str(top / "show.c")], check=True)
    return path


def run(command: list[str], words: list[str], variables: dict[str, str]) -> tuple[int, list[str]]:
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, check=False
    )
    words = done.stdout.replace("{", "\n{").split("\n")
    return done.returncode, sorted(words)  # the order of the environment is nobody's promise


CASES: list[tuple[list[str], dict[str, str]]] = [
    (["PROGRAM"], {}),
    (["PROGRAM", "-strace", "--", "-L"], {}),
    (["--", "PROGRAM", "a"], {}),
    (["-E", "T_A=1,T_B=2", "PROGRAM"], {}),
    (["--E", "T_A=1", "-E", "T_A=2", "PROGRAM"], {}),
    (["-E", "T_A=", "PROGRAM"], {"T_A": "old"}),
    (["-U", "T_A,T_B", "PROGRAM"], {"T_A": "1", "T_B": "2", "T_C": "3"}),
    (["-U", "T_A", "-E", "T_A=1", "PROGRAM"], {"T_A": "0"}),
    (["-0", "zero", "PROGRAM", "x"], {}),
    (["-r", "5.4.321", "PROGRAM", "release"], {}),
    (["-s", "1048576", "PROGRAM"], {}),
    (["-s", "1M", "PROGRAM"], {}),
    (["-L", "/nonexistent", "PROGRAM"], {}),
    (["-seed", "1", "PROGRAM"], {}),
    (["-B", "0x1000000", "PROGRAM"], {}),
    (["-R", "0x40000000", "PROGRAM"], {}),
    (["-cpu", "max", "PROGRAM"], {}),
    (["PROGRAM"], {"QEMU_SET_ENV": "T_A=1,T_B=2", "QEMU_UNSET_ENV": "T_C", "T_C": "3"}),
    (["PROGRAM"], {"QEMU_ARGV0": "zero"}),
    (["PROGRAM", "release"], {"QEMU_UNAME": "5.4.321"}),
    (["-r", "6.6.6", "PROGRAM", "release"], {"QEMU_UNAME": "5.4.321"}),
    (["PROGRAM"], {"QEMU_LD_PREFIX": "/nonexistent"}),
    (["PROGRAM"], {"QEMU_STACK_SIZE": "1048576"}),
]


@pytest.mark.parametrize(("words", "variables"), CASES, ids=lambda value: repr(value)[:60])
def test_the_same_answer(program, words, variables) -> None:
    words = [program if word == "PROGRAM" else word for word in words]
    theirs = run([str(QEMU)], words, variables)
    ours = run([sys.executable, "-IS", "-c", FRONT, "qemu-aarch64"], words, variables)
    assert ours == theirs


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["-frob", "PROGRAM"], {}),
        ([], {}),
        (["-L"], {}),
        (["-E", "T_A", "PROGRAM"], {}),
        (["-U", "T_A=1", "PROGRAM"], {}),
        (["-s", "0", "PROGRAM"], {}),
        (["-seed", "x", "PROGRAM"], {}),
        (["-d", "help", "PROGRAM"], {}),
        (["-cpu", "help"], {}),
        (["-version"], {}),
        (["-help"], {}),
        (["PROGRAM"], {"QEMU_VERSION": "1"}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_the_same_status_where_nothing_runs(program, words, variables) -> None:
    words = [program if word == "PROGRAM" else word for word in words]
    theirs, _ = run([str(QEMU)], words, variables)
    ours, _ = run([sys.executable, "-IS", "-c", FRONT, "qemu-aarch64"], words, variables)
    assert ours == theirs
