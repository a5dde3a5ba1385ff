"""The processor that a program sees: as the command line, the configuration and QEMU's option say; kept over fork and
execve."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.guest import harness

pytestmark = pytest.mark.guest
OCTAVO = harness.ROOT / ".venv/bin/octavo"

A53 = "fb 0 0xd03: illegal"
A57 = "fb 0 0xd07: illegal"
ARM64 = "2cbff7fb 10181 0x051: there"  # the usual one
A8 = "8b8d6 0 0xc08: illegal"
A15 = "1fb8d6 0 0xc0f: there"
ARM_MAX = "31fb8d6 3f 0xc0f: there"
ROME = "78bfbfd 2 AMD EPYC-Rome Processor: there"
CONROE = "78bfbfd 0 Intel Celeron_4x0 (Conroe/Merom Class Core 2): illegal"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with the program, static, for aarch64, arm and x86_64, by these names."""
    top = tmp_path_factory.mktemp("processors")
    for name in ("aarch64", "arm", "x86_64"):
        compiler = harness.TOOLCHAINS[name].compiler
        source = str(harness.HERE / "single/processor.c")
        subprocess.run([compiler, "-O1", "-static", source, "-o", str(top / name)], check=True)
    (top / "qemu-aarch64").symlink_to(OCTAVO)
    return top


def run(place: Path, *words: str, configuration: str = "", **more: str):
    variables = {"HOME": str(place), **more}
    done = harness.answer(words, place, configuration=configuration, variables=variables)
    return done.returncode, done.stdout.splitlines(), done.stderr


def octavo(place: Path, *words: str, **more: str):
    return run(place, str(OCTAVO), "run", *words, **more)


@pytest.mark.parametrize(
    ("model", "program", "line"),
    [
        ("cortex-a53", "aarch64", A53),
        ("Cortex-A57", "aarch64", A57),
        ("max", "aarch64", ARM64),
        ("cortex-a8", "arm", A8),
        ("cortex-a15", "arm", A15),
        ("max", "arm", ARM_MAX),
        ("Conroe", "x86_64", CONROE),
        ("max", "x86_64", ROME),
    ],
)
def test_the_command_line_chooses(place, model, program, line):
    assert octavo(place, "--cpu", model, program) == (0, [line], "")
    assert octavo(place, f"--cpu={model}", program, "fork") == (0, [line], "")


def test_the_usual_ones(place):
    for program, line in (("aarch64", ARM64), ("arm", A15), ("x86_64", ROME)):
        assert octavo(place, program)[1] == [line]


def test_execve_keeps_it_and_other_architectures_have_their_own(place):
    found = octavo(place, "--cpu", "cortex-a53", "aarch64", "./aarch64", "./arm", "./aarch64")
    assert found == (0, [A53, A53, A15, A53], "")


def test_the_configuration_chooses_and_rules_are_for_programs(place):
    configuration = "targets: {arm64: {cpu: cortex-a53}, armhf: {cpu: max}}\n"
    chain = ("aarch64", "./aarch64", "./arm", "./aarch64", "fork")
    found = octavo(place, *chain, configuration=configuration)
    assert found == (0, [A53, A53, ARM_MAX, A53], "")
    (place / "copy").unlink(missing_ok=True)
    (place / "copy").hardlink_to(place / "aarch64")
    configuration += "rules: [{match: '*/copy', target: arm64, cpu: cortex-a57}]\n"
    found = octavo(place, "./aarch64", "./copy", "./aarch64", configuration=configuration)
    assert found == (0, [A53, A57, A53], "")
    found = octavo(place, "--cpu", "max", "./aarch64", "./copy", configuration=configuration)
    assert found == (0, [ARM64, ARM64], "")  # the command line is stronger


def test_qemus_option_and_variable(place):
    front = str(place / "qemu-aarch64")
    assert run(place, front, "-cpu", "cortex-a53", "aarch64") == (0, [A53], "")
    assert run(place, front, "aarch64", QEMU_CPU="cortex-a57") == (0, [A57], "")
    assert run(place, front, "-cpu", "any", "aarch64") == (0, [ARM64], "")
    ignored = "qemu-aarch64: no meaning here, ignored: -cpu sve=off, -cpu aarch64=on\n"
    found = run(place, front, "-cpu", "cortex-a53,sve=off,aarch64=on", "aarch64")
    assert found == (0, [A53], ignored)


def test_a_processor_that_is_not_there(place):
    line = "aarch64 has no processor 'cortex-a76'; nearest: cortex-a72, cortex-a53, cortex-a57 (-cpu help lists all)\n"
    found = octavo(place, "--cpu", "cortex-a76", "aarch64")
    assert found == (126, [], f"octavo: --cpu: {line}")
    found = run(place, str(place / "qemu-aarch64"), "-cpu", "cortex-a76", "aarch64")
    assert found == (126, [], f"octavo: -cpu (QEMU_CPU): {line}")
    configuration = "targets:\n  aarch64:\n    cpu: cortex-a76\n"
    found = octavo(place, "aarch64", configuration=configuration)
    assert found == (126, [], f"octavo: {place}/octavo.yaml:3: targets.aarch64.cpu: {line}")


def test_it_is_known_inside_a_container_too(place):
    """Nothing is imported once the root has changed."""
    configuration = "targets: {arm64: {cpu: cortex-a53}}\n"
    (place / "proc").mkdir(exist_ok=True)
    words: tuple[str, ...] = ("--root", str(place), "/aarch64", "/arm", "/aarch64")
    assert octavo(place, *words, configuration=configuration)[1] == [A53, A15, A53]
    words = ("--root", str(place), "--cpu", "cortex-a8", "/arm", "/aarch64")
    assert octavo(place, *words, configuration=configuration)[1] == [A8, A53]
