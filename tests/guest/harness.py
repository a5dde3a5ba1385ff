"""Build the guest programs, run them, and compare what they print case by case.

The native build of a program is its own specification: the lines the host's compiler's build prints are
what every other architecture's build has to print under Octavo. This module knows nothing of pytest.

Environment:
  OCTAVO_RUNNER_<architecture>, OCTAVO_RUNNER   another emulator's command line, split like a shell's;
      ``{L}`` becomes ``-L PREFIX`` for a dynamic program and nothing for a static one.
  OCTAVO_GUEST_TIMEOUT                          seconds a program may take (default 60).
  GUEST_TEST_PATIENCE                           how many times longer a case may take, on a slow machine (default 1).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.guest import pages

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / "build" / "guest"
FLAGS = ("-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-ffp-contract=off")
LIBRARIES = ("-lm",)
LINKAGES = ("static", "dynamic")
LIMIT = 3.0  # per cent of an architecture's cases that may fail, known or not
TIMEOUT = float(os.environ.get("OCTAVO_GUEST_TIMEOUT", "60"))


@dataclass(frozen=True)
class Toolchain:
    """How to build for one architecture, where its libraries are, and the Debian package with both."""

    name: str
    compiler: str
    prefix: str
    package: str


# On x86-64 itself the cross compiler is the native one, and its libraries are the host's.
_X86_64_PREFIX = "/usr/x86_64-linux-gnu" if Path("/usr/x86_64-linux-gnu").is_dir() else "/"

TOOLCHAINS = {
    each.name: each
    for each in (
        Toolchain("aarch64", "aarch64-linux-gnu-gcc", "/usr/aarch64-linux-gnu", "arm64"),
        Toolchain("arm", "arm-linux-gnueabihf-gcc", "/usr/arm-linux-gnueabihf", "armhf"),
        Toolchain("riscv64", "riscv64-linux-gnu-gcc", "/usr/riscv64-linux-gnu", "riscv64"),
        Toolchain("ppc64le", "powerpc64le-linux-gnu-gcc", "/usr/powerpc64le-linux-gnu", "ppc64el"),
        Toolchain("mips", "mips-linux-gnu-gcc", "/usr/mips-linux-gnu", "mips"),
        Toolchain("x86_64", "x86_64-linux-gnu-gcc", _X86_64_PREFIX, "amd64"),
    )
}
ARCHITECTURES = tuple(TOOLCHAINS)
NATIVE = Toolchain("native", "gcc", "/", "the host")


class BuildError(Exception):
    """A program could not be built; the message says what to install or what the compiler said."""


@dataclass(frozen=True)
class Run:
    """What one run of a program printed, and how it ended (``exit 0`` when all went well)."""

    output: str
    errors: str
    end: str


@dataclass(frozen=True)
class Known:
    """One line of known_failures/ARCHITECTURE.txt."""

    program: str
    linkage: str
    case: str
    reason: str


def programs() -> list[str]:
    """Names of the guest programs, one per C file; pages.py has the programs of the page size matrix."""
    return sorted(path.stem for path in HERE.glob("*.c") if not path.name.startswith(pages.PREFIX))


def _content_hash(
    program: str, toolchain: Toolchain, linkage: str, extra: tuple[str, ...] = ()
) -> str:
    """Hash of everything that decides the bytes of an executable; ``#include "x.c"`` files too."""
    digest = hashlib.sha256(repr((FLAGS, LIBRARIES, toolchain, linkage, *extra)).encode())
    pending, seen = [f"{program}.c"], set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        text = (HERE / name).read_bytes()
        digest.update(text)
        pending += [
            line.split(b'"')[1].decode()
            for line in text.splitlines()
            if line.startswith(b'#include "')
        ]
    return digest.hexdigest()[:16]


def compile_program(
    program: str, toolchain: Toolchain, linkage: str, extra: tuple[str, ...] = ()
) -> Path:
    """The executable of a program, from build/guest when its content has been built before; extra: more flags.

    :raises BuildError: no compiler, or the compiler complained.
    """
    content = _content_hash(program, toolchain, linkage, extra)
    target = CACHE / toolchain.name / linkage / f"{program}-{content}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f"{program}-????????????????"):
        stale.unlink(missing_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    command = [
        toolchain.compiler,
        *FLAGS,
        *extra,
        str(HERE / f"{program}.c"),
        "-o",
        str(partial),
        *LIBRARIES,
    ]
    if linkage == "static":
        command.insert(1, "-static")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        package = "gcc libc6-dev"
        if toolchain is not NATIVE:
            triple = toolchain.compiler.removesuffix("-gcc").replace("_", "-")
            package = f"gcc-{triple} libc6-dev-{toolchain.package}-cross"
        raise BuildError(f"{toolchain.compiler} is missing: apt-get install {package}") from None
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{done.stderr}")
    partial.rename(target)
    return target


def runner(toolchain: Toolchain, linkage: str, override: str | None = None) -> list[str]:
    """The command that goes before a program's path; empty for a native run."""
    if toolchain is NATIVE:
        return []
    prefix = f"-L {shlex.quote(toolchain.prefix)}" if linkage == "dynamic" else ""
    template = (
        override
        or os.environ.get(f"OCTAVO_RUNNER_{toolchain.name}")
        or os.environ.get("OCTAVO_RUNNER")
        or f"{shlex.quote(str(ROOT / '.venv' / 'bin' / 'octavo'))} run {{L}}"
    )
    return shlex.split(template.replace("{L}", prefix).replace("{arch}", toolchain.name))


def execute(command: list[str]) -> Run:
    """Run a command in an empty directory, a session of its own and a fixed environment."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C",
        "GUEST_TEST": "value",
    }
    for name in ("HOME", "OCTAVO_CONFIG", "QEMU_LD_PREFIX", "GUEST_TEST_PATIENCE"):
        if name in os.environ:
            environment[name] = os.environ[name]
    with tempfile.TemporaryDirectory(prefix="octavo-guest-") as directory:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=pages.as_from_a_shell,
        )
        try:
            output, errors = process.communicate(timeout=TIMEOUT)
            end = _end(process.returncode)
        except subprocess.TimeoutExpired:
            output, errors, end = _stop(process)
    return Run(output.decode(errors="replace"), errors.decode(errors="replace"), end)


def answer(
    command: Sequence[str],
    place: Path | None = None,
    *,
    configuration: str = "",
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in `place` with the configuration of this text (a file octavo.yaml there) and no environment but
    PATH and these variables; it is the caller's to judge how it ended."""
    environment = {"PATH": os.environ["PATH"], **(variables or {})}
    if configuration:
        assert place is not None
        (place / "octavo.yaml").write_text(configuration)
        environment["OCTAVO_CONFIG"] = str(place / "octavo.yaml")
    return subprocess.run(
        command,
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def _stop(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes, str]:
    """End the group of a program that took too long (it is still unreaped, so the id is its own)."""
    os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        output, errors = process.communicate(timeout=5)
        return output, errors, f"no end after {TIMEOUT:g} s"
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return b"", b"", f"no end after {TIMEOUT:g} s, and a child keeps its output open"


def _end(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def cases(output: str) -> dict[str, str]:
    """``case label: value`` lines as a mapping; a repeated key gets a number."""
    result: dict[str, str] = {}
    for line in output.splitlines():
        key, separator, value = line.partition(": ")
        if not separator:
            key, value = f"stray line {line[:60]!r}", line
        unique, number = key, 2
        while unique in result:
            unique, number = f"{key} ({number})", number + 1
        result[unique] = value
    return result


def differences(expected: dict[str, str], found: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Keys whose values differ, with (expected, found); ``(no line)`` for what is missing."""
    return {
        key: (expected.get(key, "(no line)"), found.get(key, "(no line)"))
        for key in [*expected, *(key for key in found if key not in expected)]
        if expected.get(key) != found.get(key)
    }


def known_failures(architecture: str) -> list[Known]:
    """The lines ``program:linkage:case  reason`` of an architecture's file.

    :raises ValueError: a line of another shape, with file and line number.
    """
    path = HERE / "known_failures" / f"{architecture}.txt"
    result: list[Known] = []
    if not path.exists():
        return result
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, reason = line.partition("  ")
        program, _, rest = name.partition(":")
        linkage, _, case = rest.partition(":")
        if not separator or not reason.strip() or not case:
            raise ValueError(f"{path}:{number}: expected 'program:linkage:case  reason'")
        result.append(Known(program, linkage, case, reason.strip()))
    return result
