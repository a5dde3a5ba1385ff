"""The page size matrix (tests/guest/pages.py) on this host: every row of every architecture and page size is ideal."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.guest import harness, pages

pytestmark = pytest.mark.guest
TARGETS = [(arch, size) for arch, (_, sizes) in pages.ARCHITECTURES.items() for size in sizes]
OCTAVO = f"{harness.ROOT}/.venv/bin/octavo run --page-size {{size}}"


def run(program: str, arch: str, size: int | None, template: str) -> dict[str, str]:
    """What a program says of its rows."""
    toolchain = harness.TOOLCHAINS[arch] if template else harness.NATIVE
    path = harness.compile_program(program, toolchain, "static", pages.LINKER.get(arch, ()))
    command = pages.command_for(template, arch, size or 0)
    output, end = pages.execute([*command, str(path)])
    return pages.parse(output, program, size, end)[1]


def test_rows_are_listed() -> None:
    """pages.py, which has to do without the sources, knows exactly the rows that they have."""
    sources = {path.stem: path.read_text() for path in harness.HERE.glob(f"{pages.PREFIX}*.c")}
    found = {name: re.findall(r"^ROW\((\w+)\)", text, re.M) for name, text in sources.items()}
    assert found.pop("pages_partner") == []
    assert {name: sorted(set(rows)) for name, rows in found.items()} == {
        name: sorted(rows) for name, rows in pages.PROGRAMS.items()
    }
    assert {f"{number:02}" for number in range(1, 33)} <= set(pages.ROWS)


@pytest.mark.parametrize("program", pages.PROGRAMS)
def test_host_is_ideal(program: str) -> None:
    """The host's own kernel is what "ideal" means, so a row that it fails is wrong."""
    rows = run(program, "x86_64", None, "")
    assert {row: what for row, what in rows.items() if what != "ideal"} == {}


@pytest.mark.parametrize("program", pages.PROGRAMS)
@pytest.mark.parametrize(
    ("arch", "size"), TARGETS, ids=[f"{arch}-{size >> 10}k" for arch, size in TARGETS]
)
def test_all_rows_are_ideal(arch: str, size: int, program: str) -> None:
    rows = run(program, arch, size, OCTAVO)
    assert {row: what for row, what in rows.items() if what != "ideal"} == {}


PARTNERS = [("aarch64", 4096), ("aarch64", 65536), ("arm", 4096), ("mips", 16384), ("x86_64", None)]


def partner(arch: str, size: int | None, *words: str) -> list[str]:
    """The command of a process with this page size; None: a native one."""
    toolchain = harness.TOOLCHAINS[arch] if size else harness.NATIVE
    path = harness.compile_program("pages_partner", toolchain, "static")
    return [*pages.command_for(OCTAVO if size else "", arch, size or 0), str(path), *words]


@pytest.mark.parametrize("maker", [0, 1, 4], ids=["4k", "64k", "native"])
def test_processes_of_different_page_sizes_share_memory(tmp_path: Path, maker: int) -> None:
    """A System V segment, a POSIX object and a file: every store of every process is seen by the next one."""
    name = f"{os.getpid()}-{maker}"
    make = partner(*PARTNERS[maker], "--make", name)
    ident = subprocess.check_output(make, cwd=tmp_path, text=True, timeout=90).strip()
    count = str(len(PARTNERS))
    running = []
    try:
        for index, (arch, size) in enumerate(PARTNERS):
            command = partner(arch, size, "--take", name, ident, str(index), count)
            running.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    text=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        said = [process.communicate(timeout=90)[0] for process in running]
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        subprocess.check_call(partner("x86_64", None, "--end", name, ident), cwd=tmp_path)
    host = os.sysconf("SC_PAGESIZE")
    assert said == [f"page {size or host} done\n" for _, size in PARTNERS]
