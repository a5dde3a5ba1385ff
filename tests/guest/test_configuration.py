"""What configuration files say reaches the programs: rules, sizes, variables, roots, and messages about wrong ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.guest import harness

pytestmark = pytest.mark.guest
ARM64 = harness.TOOLCHAINS["aarch64"]
K = 1 << 10


def build(target: Path, *options: str, toolchain: harness.Toolchain = ARM64) -> Path:
    source = harness.HERE / "single/page_size.c"
    subprocess.run([toolchain.compiler, *options, str(source), "-o", str(target)], check=True)
    return target


@pytest.fixture
def place(tmp_path):
    """A directory with the dynamic programs one and two, and libraries: tight is aligned to 4k, wide to 64k."""
    build(tmp_path / "one")
    shutil.copy(tmp_path / "one", tmp_path / "two")
    (tmp_path / "empty.c").write_text("int value;\n")
    for name, size in (("tight", 4 * K), ("wide", 64 * K)):
        subprocess.run(
            [
                ARM64.compiler,
                "-shared",
                f"-Wl,-z,max-page-size={size}",
                str(tmp_path / "empty.c"),
                "-o",
                str(tmp_path / f"lib{name}.so"),
            ],
            check=True,
        )
    return tmp_path


class Result:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.errors = done.returncode, done.stderr
        self.lines = done.stdout.splitlines()


def octavo(
    place: Path, *words: str, configuration: str = "", prefix: bool = True, **more
) -> Result:
    runner = harness.runner(ARM64, "dynamic" if prefix else "static")
    done = harness.answer([*runner, *words], place, configuration=configuration, variables=more)
    return Result(done)


def test_rules_hold_for_the_program_that_runs(place):
    """Its own page size, variables, stack and release; what it executes has the target's again."""
    configuration = (
        "targets: {aarch64: {page_size: 16k, stack: 4m, uname_release: 5.0.1, env: {VARIABLE: a}}}\n"
        f"rules: [{{match: {place}/two, page_size: 64k, stack: 1m, uname_release: 5.0.2, env: {{VARIABLE: b}}}}]\n"
    )
    one, two = str(place / "one"), str(place / "two")
    of_one = f"page {16 * K} stack {4 << 20} release 5.0.1 variable a"
    of_two = f"page {64 * K} stack {1 << 20} release 5.0.2 variable b"
    assert octavo(place, one, configuration=configuration).lines == [of_one]
    assert octavo(place, two, configuration=configuration).lines == [of_two]
    assert octavo(place, "./two", configuration=configuration).lines == [of_two]
    assert octavo(place, one, two, configuration=configuration).lines == [of_two]
    back = f"page {16 * K} stack {1 << 20} release 5.0.1 variable b"  # limits and variables are inherited
    assert octavo(place, two, one, configuration=configuration).lines == [back]


def test_the_command_line_is_stronger(place):
    configuration = "targets: {default: {page_size: 16k, env: {VARIABLE: a}}}\n"
    one = str(place / "one")
    found = octavo(
        place, "--page-size", "64k", "-E", "VARIABLE=x", one, configuration=configuration
    )
    assert found.lines[0].startswith(f"page {64 * K} ")
    assert found.lines[0].endswith(" variable x")
    found = octavo(place, "-U", "VARIABLE", one, configuration=configuration, OCTAVO_PAGE_SIZE="4k")
    assert found.lines[0].startswith(f"page {4 * K} ")
    assert found.lines[0].endswith(" variable none")


def test_throughput_asks_the_libraries(place):
    configuration = "targets: {aarch64: {page_size: throughput}}\n"
    one = str(place / "one")
    assert octavo(place, one, configuration=configuration).lines[0].startswith(f"page {64 * K} ")
    tight = f"LD_PRELOAD={place}/libtight.so"  # the host's own loader is not to see it
    found = octavo(place, "-E", tight, one, configuration=configuration)
    assert found.lines[0].startswith(f"page {4 * K} ")
    assert found.errors == ""


@pytest.mark.parametrize(("size", "told"), [("4k", False), ("16k", True), ("64k", True)])
def test_a_library_that_is_opened_later(place, size, told):
    """ld.so refuses it; the log says why, once."""
    found = octavo(place, "--page-size", size, str(place / "one"), "./libtight.so")
    line = (
        f"octavo: {place}/libtight.so: its segments are aligned to 4k, too little for the program's pages of "
        f"{size}; page sizes that work: 4k\n"
    )
    assert found.errors == (line if told else "")
    assert (found.lines[0] == "not loaded") == told
    found = octavo(place, "--page-size", size, str(place / "one"), "./libwide.so")
    assert (found.errors, len(found.lines)) == ("", 1)


def test_reading_a_library_is_not_loading_it(place):
    """Only the dynamic loader is listened to."""
    source = place / "read.c"
    source.write_text(
        "#include <fcntl.h>\n#include <unistd.h>\n"
        'int main(void) { char b[99]; int f = open("libtight.so", O_RDONLY | O_CLOEXEC); return read(f, b, 99) != 99; }'
    )
    subprocess.run([ARM64.compiler, str(source), "-o", str(place / "read")], check=True)
    found = octavo(place, "--page-size", "64k", str(place / "read"))
    assert (found.status, found.errors) == (0, "")


def test_sizes_that_cannot_be_had(place):
    """Each message names the key with its file and line, the program, and what would work."""
    file = place / "octavo.yaml"
    found = octavo(place, "one", configuration="targets:\n  aarch64:\n    page_size: 3k\n")
    wrong = "page size '3k': give auto, host, throughput or a power of two like 4k; possible: 4k, 16k, 64k"
    line = f"octavo: {file}:3: targets.aarch64.page_size: {wrong}\n"
    assert (found.status, found.errors) == (126, line)
    found = octavo(place, "one", configuration="targets:\n  arm:\n    page_size: 64k\n")
    assert found.errors == (
        f"octavo: {file}:3: targets.arm.page_size: arm has no pages of 64k; possible: 4k\n"
    )
    build(place / "small", "-Wl,-z,max-page-size=4096")
    found = octavo(place, "./small", configuration="rules:\n- match: '*/small'\n  page_size: 64k\n")
    assert found.status == 126
    assert found.errors == (
        f"octavo: {file}:3: rules[1].page_size: the segments of ./small allow pages of at most 4k, not 64k; "
        "possible: 4k\n"
    )
    found = octavo(place, "--page-size", "64k", str(place / "one"), str(place / "small"))
    assert found.errors == (
        f"octavo: --page-size: the segments of {place}/small allow pages of at most 4k, not 64k; possible: 4k\n"
        "execl: Invalid argument\n"
    )


@pytest.mark.parametrize("option", ["-p", "QEMU_PAGESIZE"])
def test_qemus_page_size_option_has_no_effect(place, option):
    """page-sizes P26: one notice unless it is the host's size."""
    one = str(place / "one")

    def run(value):
        if option == "-p":
            return octavo(place, "-p", value, one)
        return octavo(place, one, QEMU_PAGESIZE=value)

    host = os.sysconf("SC_PAGESIZE")
    plain = octavo(place, one).lines
    for value in (str(host * 4), "x", ""):
        found = run(value)
        assert found.lines == plain
        assert found.errors.count("\n") == 1
        assert f"cannot change the host's page size ({host})" in found.errors
    found = run(str(host))
    assert (found.lines, found.errors) == (plain, "")
    both = octavo(place, "-p", str(host * 2), one, QEMU_PAGESIZE=str(host * 4))
    assert both.errors.count("\n") == 1


def test_a_configured_root_is_a_sysroot_or_a_container(place):
    one = str(place / "one")
    assert octavo(place, one, prefix=False).status == 127  # no dynamic loader
    configuration = f"targets: {{aarch64: {{root: {ARM64.prefix}}}}}\n"
    found = octavo(place, one, configuration=configuration, prefix=False)
    assert found.lines[0].startswith(f"page {os.sysconf('SC_PAGESIZE')} ")
    missing = f"targets:\n  aarch64:\n    root: {place}/nowhere\n"
    found = octavo(place, one, configuration=missing, prefix=False)
    assert found.errors == (
        f"octavo: {place}/octavo.yaml:3: targets.aarch64.root: root {place}/nowhere: no such directory\n"
    )
    root = place / "root"
    (root / "bin").mkdir(parents=True)
    inside = build(root / "bin/inside", "-static")
    container = f"targets:\n  aarch64:\n    root: {root}\n    view: container\n"
    found = octavo(place, str(inside), "/bin/inside", configuration=container, prefix=False)
    assert (found.errors, len(found.lines)) == ("", 1)  # it finds itself by its path in there
    found = octavo(place, one, configuration=container, prefix=False)
    assert found.errors == (
        f"octavo: {place}/octavo.yaml:4: targets.aarch64.view: {one} is not in {root}\n"
    )
