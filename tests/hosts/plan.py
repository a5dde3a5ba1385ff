"""What runs in the virtual machine: the guest programs on their targets, and the page size matrix in its columns.

A guest program is compared with the arm64 build of the same source on the machine's own kernel. A row of the matrix
(tests/guest/pages.py) says of itself whether it is ideal; its columns are Octavo, qemu-user 10, and the kernel itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guest import harness, pages
from tests.hosts.archive import Archive

OCTAVO = "/octavo/bin/octavo run --page-size {size}"
QEMU = "/qemu/qemu-{qemu}"
KERNEL = "kernel"  # the machine's own
COLUMNS = {"octavo": OCTAVO, "qemu-user 10": QEMU, KERNEL: ""}
# the guest programs' targets: every relation of page sizes, and 32 bits
TARGETS = (
    *(("aarch64", size) for size in (4096, 16384, 65536)),
    *((architecture, 4096) for architecture in ("x86_64", "arm", "riscv64")),
)
# of those, for programs that ask nothing about memory: 64 and 32 bits, pages smaller than and as large as can be
FEW = (("aarch64", 65536), ("x86_64", 4096), ("arm", 4096))
PAGELESS = {
    *("directories", "environment", "eventfds", "files_large", "files_small", "float", "ids"),
    *("longdouble", "pipes", "polling", "signals_old", "signals_queue", "sockets", "stdlib"),
    *("time", "time64", "ttys", "xattr"),
}
NATIVE = "aarch64"


@dataclass(frozen=True)
class Job:
    """One run of one program. `column` is empty for a guest program; `size` is None where it cannot be chosen."""

    program: str
    column: str
    architecture: str
    size: int | None
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in what the machine says; unique."""
        size = "" if self.size is None else pages.size_text(self.size)
        return " ".join((self.program, self.column or "-", self.architecture, size)).strip()


def _guest(architecture: str, program: str) -> str:
    return f"/guest/{architecture}/{program}"


def guest_jobs(wanted: re.Pattern[str]) -> Iterator[Job]:
    """The native run of each program, and one for each target."""
    for program in harness.programs():
        jobs = []
        for architecture, size in FEW if program in PAGELESS else TARGETS:
            words = pages.command_for(OCTAVO, architecture, size)
            command = (*words, _guest(architecture, program))
            jobs.append(Job(program, "", architecture, size, command))
        jobs = [job for job in jobs if wanted.search(job.name)]
        if jobs:
            yield Job(program, "", NATIVE, None, (_guest(NATIVE, program),))
            yield from jobs


def matrix_jobs(wanted: re.Pattern[str]) -> Iterator[Job]:
    """Every program of the matrix, for all columns and their targets."""
    chosen = {name: sizes for name, (_, sizes) in pages.ARCHITECTURES.items()}
    for column, template in COLUMNS.items():
        targets = pages.targets(template, chosen) if template else [(NATIVE, None)]
        for architecture, size in targets:
            words = pages.command_for(template, architecture, size or 0)
            for program in pages.PROGRAMS:
                command = (*words, _guest(architecture, program))
                job = Job(program, column, architecture, size, command)
                if wanted.search(job.name):
                    yield job


def add_programs(archive: Archive, jobs: list[Job]) -> None:
    """Build the programs of the jobs and put them where their commands look for them."""
    for architecture, program in sorted({(job.architecture, job.program) for job in jobs}):
        extra = pages.LINKER.get(architecture, ()) if program in pages.PROGRAMS else ()
        toolchain = harness.TOOLCHAINS[architecture]
        built: Path = harness.compile_program(program, toolchain, "static", extra)
        archive.file(_guest(architecture, program).lstrip("/"), str(built))


def add_qemu(archive: Archive, jobs: list[Job], programs: str) -> None:
    """The qemu-user programs that the jobs start, from a directory of them."""
    names = {job.command[0] for job in jobs if job.command[0].startswith("/qemu/")}
    for name in sorted(names):
        archive.file(name.lstrip("/"), str(Path(programs) / Path(name).name))
