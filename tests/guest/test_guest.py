"""Every guest program prints under Octavo what its native build prints, case by case."""

from __future__ import annotations

import functools

import pytest

from tests.guest import harness

pytestmark = pytest.mark.guest
PROGRAMS = harness.programs()
LONGEST = 40  # differences shown of one program


@functools.cache
def expected(program: str, linkage: str) -> dict[str, str]:
    """What the native build prints; a native build that fails is an error of the test itself."""
    run = harness.execute([str(harness.compile_program(program, harness.NATIVE, linkage))])
    found = harness.cases(run.output)
    assert run.end == "exit 0", f"native {program}: {run.end}\n{run.errors}"
    assert found, f"native {program} prints no case"
    ends = {key: value for key, value in found.items() if key.endswith((" (end)", " (setup)"))}
    assert not ends, f"native {program}: {ends}"
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_native(program: str) -> None:
    """A program's lines depend on neither chance nor linkage: two native builds print the same."""
    assert harness.differences(expected(program, "static"), expected(program, "dynamic")) == {}


@pytest.mark.parametrize("architecture", harness.ARCHITECTURES)
@pytest.mark.parametrize("linkage", harness.LINKAGES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_guest(
    request: pytest.FixtureRequest, program: str, linkage: str, architecture: str
) -> None:
    """The same lines on a foreign architecture, but for its known failures, which must fail."""
    toolchain = harness.TOOLCHAINS[architecture]
    override = request.config.getoption("--runner", default=None)
    executable = harness.compile_program(program, toolchain, linkage)
    want = expected(program, linkage)
    run = harness.execute([*harness.runner(toolchain, linkage, override), str(executable)])
    wrong = harness.differences(want, harness.cases(run.output))
    known = {
        each.case
        for each in harness.known_failures(architecture)
        if (each.program, each.linkage) == (program, linkage)
    }
    failed = [key for key in wrong if key not in known and key in want]
    count = len([key for key in wrong if key in known])
    request.node.user_properties.append(
        ("guest-cases", (architecture, len(want), len(failed), count))
    )

    complaints = [
        f"{program}:{linkage}:{key}  expected {right!r}, found {left!r}"
        for key, (right, left) in wrong.items()
        if key not in known
    ]
    complaints += [
        f"{program}:{linkage}:{key}  is a known failure that passes: remove it"
        for key in sorted(known)
        if key in want and key not in wrong
    ]
    if run.end != "exit 0":
        complaints.append(f"{program}:{linkage} ended with {run.end}")
    if complaints:
        shown = complaints[:LONGEST] + ["..."] * (len(complaints) > LONGEST)
        pytest.fail("\n".join([*shown, "standard error:", run.errors[-2000:]]), pytrace=False)


@pytest.mark.parametrize("architecture", harness.ARCHITECTURES)
def test_known_failures_exist(architecture: str) -> None:
    """A known failure names a program, linkage and case that exist; none is listed twice."""
    listed = harness.known_failures(architecture)
    names = [(each.program, each.linkage, each.case) for each in listed]
    assert len(names) == len(set(names)), "a line is there twice"
    for each in listed:
        assert each.program in PROGRAMS and each.linkage in harness.LINKAGES, each
        extra = each.case.endswith((" (end)", " (setup)"))  # lines that only a failure prints
        assert extra or each.case in expected(each.program, each.linkage), each


@pytest.mark.parametrize("architecture", harness.ARCHITECTURES)
def test_known_failures_are_few(architecture: str) -> None:
    """At most LIMIT per cent of an architecture's cases are known failures."""
    total = sum(
        len(expected(program, linkage)) for program in PROGRAMS for linkage in harness.LINKAGES
    )
    assert len(harness.known_failures(architecture)) <= total * harness.LIMIT / 100
