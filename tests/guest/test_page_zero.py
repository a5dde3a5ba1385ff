"""Page 0: who gets the page of zeros that SVr4 programs may read, and programs that are linked to lie there.

Expected values are those of kernels: mapped for MMAP_PAGE_ZERO (personality(2)) unless mmap_min_addr forbids it, r-x,
and from Linux 6.12 on sealed by 64-bit kernels. 32-bit arm kernels refuse fixed mappings below 8 KiB to everybody. A
program that names SVr4's dynamic loader has the page whoever runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runtime import arch as arches
from tests.guest import harness

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.getuid() != 0, reason="runs programs with and without CAP_SYS_RAWIO"),
]
# as any user's programs are, without asking who may read this directory
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
SINGLE = harness.HERE / "single"
NONE = {
    "read": "SIGSEGV MAPERR at the address",
    "write": "SIGSEGV MAPERR at the address",
    "maps": "none",
    "as a system call's buffer": "EFAULT",
    "mprotect": "ENOMEM",
    "read then": "SIGSEGV MAPERR at the address",
}
PAGE = {
    "read": "ok",
    "write": "SIGSEGV ACCERR at the address",
    "maps": "1 page r-xp []",
    "as a system call's buffer": "4",
}
SEALED = {"mprotect": "EPERM", "mmap over it": "EPERM", "munmap": "EPERM", "read then": "ok"}
OPEN = {
    "mprotect": "ok",
    "mmap over it": "ok",
    "munmap": "ok",
    "read then": "SIGSEGV MAPERR at the address",
}


def build(source: Path, target: Path, toolchain: harness.Toolchain, *options: str) -> Path:
    command = [toolchain.compiler, *harness.FLAGS, *options, str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Architecture -> a static page_zero, in a directory that everybody may read."""
    directory = tmp_path_factory.mktemp("page-zero")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            toolchain = {**harness.TOOLCHAINS, "native": harness.NATIVE}[name]
            made[name] = build(
                SINGLE / "page_zero.c", directory / f"page_zero-{name}", toolchain, "-static"
            )
        return made[name]

    return get


def run(command, place=None, *, privileged=True, persona="", configuration="") -> dict[str, str]:
    """The labels and values that a program prints. `persona`: options of setarch(8)."""
    before = [] if privileged else list(UNPRIVILEGED)
    if persona:
        before += ["setarch", *persona.split()]
    done = harness.answer([*before, *command], place, configuration=configuration)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return {
        key.removeprefix("zero ").removeprefix("helper "): value
        for key, value in harness.cases(done.stdout).items()
    }


def octavo(name: str, *options: str) -> list[str]:
    return [*harness.runner(harness.TOOLCHAINS[name], "static"), *options]


@pytest.mark.parametrize("release", ["6.1.0", "6.11.9-arm64", "6.12.0", "7.0-rc1"])
@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_personality_of_the_caller(name, release, programs, tmp_path):
    """setarch -Z octavo run ..., as root."""
    facts = arches.load(name)
    found = run(
        [*octavo(name), str(programs(name)), "--probe"],
        tmp_path,
        persona="-Z",
        configuration=f"targets: {{default: {{uname_release: '{release}'}}}}\n",
    )
    assert found["asked for"] == "yes"
    if facts.min_fixed:
        expected = {**NONE, "mmap over it": "EINVAL"}
    elif facts.elf_class == 64 and release in ("6.12.0", "7.0-rc1"):
        expected = {**PAGE, **SEALED}
    else:
        expected = {**PAGE, **OPEN}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_without_the_personality_there_is_none(name, programs):
    found = run([*octavo(name), str(programs(name)), "--probe"])
    assert {key: found[key] for key in NONE} == {**NONE, "mprotect": found["mprotect"]}
    assert found["asked for"] == "no"


@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_without_privilege_there_is_none(name, programs):
    """mmap_min_addr stands before the personality, as it does for any fixed mapping."""
    found = run([*octavo(name), str(programs(name)), "--probe"], privileged=False, persona="-Z")
    refused = "EINVAL" if arches.load(name).min_fixed else "EPERM"
    expected = {**NONE, "mmap over it": refused}
    assert {key: found[key] for key in expected} == expected
    assert found["asked for"] == "yes"


@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_without_privilege_there_is_one_where_the_configuration_says_so(name, programs, tmp_path):
    found = run(
        [*octavo(name), str(programs(name)), "--probe"],
        tmp_path,
        privileged=False,
        persona="-Z",
        configuration="targets: {default: {mmap_min_addr: 0, uname_release: 6.1.0}}\n",
    )
    refused = arches.load(name).min_fixed
    expected = {**NONE, "mmap over it": "EINVAL"} if refused else {**PAGE, **OPEN}
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("how", ["exec", "child", "again"])
@pytest.mark.parametrize("name", [*harness.ARCHITECTURES, "native"])
def test_personality_of_the_program_itself(name, how, programs):
    """personality(2) is for the next execve; a fork's child and the program after the next have it too."""
    command = [] if name == "native" else octavo(name)
    found = run([*command, str(programs(name)), f"--{how}"])
    assert found["before exec"] == NONE["read"]
    has = name == "native" or not arches.load(name).min_fixed
    expected = PAGE if has else {**NONE, "mmap over it": "EINVAL"}
    assert (
        {key: found[key] for key in expected} == {**expected, "mprotect": found["mprotect"]}
        if (not has)
        else {key: found[key] for key in expected} == expected
    )
    assert found["asked for"] == "yes"


@pytest.mark.parametrize("name", [*harness.ARCHITECTURES, "native"])
def test_a_set_id_program_loses_it(name, programs, tmp_path):
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip(f"{tmp_path} is mounted nosuid")
    shutil.copy(programs(name), tmp_path / "set-id")
    (tmp_path / "set-id").chmod(0o4755)
    command = [] if name == "native" else octavo(name)
    found = run([*command, str(programs(name)), "--set-id"], tmp_path)
    assert (found["asked for"], found["maps"]) == ("no", "none")


@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_a_program_of_the_host_gets_what_was_asked_for(name, programs, tmp_path):
    """personality(2) of a guest reaches a native program that it executes."""
    shutil.copy(programs("native"), tmp_path / "set-id")  # without the bit
    (tmp_path / "set-id").chmod(0o755)
    found = run([*octavo(name), str(programs(name)), "--set-id"], tmp_path)
    assert found["asked for"] == "yes"
    assert {key: found[key] for key in PAGE} == PAGE


@pytest.mark.parametrize("privileged", [True, False])
@pytest.mark.parametrize("loader", ["/usr/lib/libc.so.1", "/usr/lib/ld.so.1", "/usr/lib/ld.so.2"])
@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_svr4_interpreter(name, loader, privileged, tmp_path):
    toolchain = harness.TOOLCHAINS[name]
    program = build(
        SINGLE / "page_zero.c",
        tmp_path / "program",
        toolchain,
        f"-Wl,--dynamic-linker={loader}",
    )
    real = subprocess.run(
        [toolchain.compiler, "-print-file-name=libc.so.6"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (tmp_path / "usr/lib").mkdir(parents=True)
    shutil.copy(next(Path(real).resolve().parent.glob("ld*.so.[0-9]")), tmp_path / loader[1:])
    command = [*harness.runner(toolchain, "static"), "-L", f"{tmp_path}:{toolchain.prefix}"]
    found = run([*command, str(program), "--probe"], privileged=privileged)
    expected = NONE["read"] if loader.endswith("2") else PAGE["read"]
    assert found["read"] == expected
    assert found["maps"] == ("none" if loader.endswith("2") else PAGE["maps"])
    assert found["asked for"] == "no"


LOW = """
#include <stdio.h>
static int variable = 7;
int main(void) { return printf("%d\\n", variable * 6) != 3; }
"""


@pytest.mark.parametrize("base", [0, 0x1000, 0x8000])
@pytest.mark.parametrize("name", harness.ARCHITECTURES)
def test_program_linked_low(name, base, tmp_path):
    """Without privilege nobody may ask for such addresses with mmap, but a program that is linked there runs."""
    (tmp_path / "low.c").write_text(LOW)
    program = build(
        tmp_path / "low.c",
        tmp_path / "low",
        harness.TOOLCHAINS[name],
        "-static",
        "-no-pie",
        f"-Wl,-Ttext-segment={base:#x},-z,max-page-size=0x1000,-z,common-page-size=0x1000",
    )
    done = harness.answer([*UNPRIVILEGED, *octavo(name), str(program)])
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
