"""The page size matrix: every row of it, for every architecture and page size, under any emulator, side by side.

    python -m tests.guest.pages                                  # Octavo, all targets
    python -m tests.guest.pages --column 'octavo=.venv/bin/octavo run --page-size {size}' \\
                                --column 'qemu=qemu-{qemu}'      # two columns
    python -m tests.guest.pages --build DIR                      # make the programs: DIR/ARCHITECTURE/PROGRAM
    python3 pages.py --binaries DIR --json --column ...          # in another machine: this file and DIR are enough
    python3 pages.py --load FILE --load FILE                     # print what --json printed, on any machine

What is decided here:
- The rows are those of the guest programs pages_*.c; each prints one line per row, `row NN ideal` or
  `row NN: what happened`. "Ideal" is a Linux kernel whose page size is the program's, and where real kernels of an
  ABI differ from the others the program knows it: nothing is skipped, so a line that is missing is a failure.
- A column is a name and the command that goes before the program's path. In it, {arch} is our name of the
  architecture, {qemu} qemu-user's, {size} the page size as "16k" and {page} as bytes. A command without {size} and
  {page} cannot choose, so it runs once per architecture, with the page size that the program then reports. An empty
  command runs the program itself, on the machine's own architecture only.
- A program that is told another page size than the one asked for fails row 01.
- Programs are linked statically, with segments aligned to 64 KiB where the ABI has such pages.
- Each run has an empty directory of its own, no standard input, a session of its own and a time limit.
- The table has one line per row and one cell per column: "ideal", or the targets that are not. What they printed
  comes below it. The exit status is 0 when the first column is ideal throughout, 1 when not, 2 for bad usage.
- Python's standard library is enough, and nothing of Octavo is imported, but for --build (tests/guest/harness.py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PREFIX = "pages_"  # of the programs; the other guest programs are compared with a native run, these are not
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 120.0
LONGEST = 300  # characters of what a row printed, in the table; --json has it all

# architecture -> (qemu-user's name, page sizes in bytes)
ARCHITECTURES = {
    "aarch64": ("aarch64", (4096, 16384, 65536)),
    "ppc64le": ("ppc64le", (4096, 65536)),
    "mips": ("mips", (4096, 16384, 65536)),
    "arm": ("arm", (4096,)),
    "x86_64": ("x86_64", (4096,)),
    "riscv64": ("riscv64", (4096,)),
}
# where the ABI has pages of 64 KiB
LINKER = dict.fromkeys(("aarch64", "ppc64le", "mips"), ("-Wl,-z,max-page-size=65536",))

# program -> row -> what it is about (numbers: page-sizes.md 5.4, E2 to S3: its section 11; P is the page size)
PROGRAMS: dict[str, dict[str, str]] = {
    "pages_mapping": {
        "01": "sysconf, AT_PAGESZ, getpagesize: P",
        "02": "mmap(NULL): a multiple of P",
        "03": "mmap fixed, address not a multiple of P: EINVAL",
        "04": "file offset not a multiple of P: EINVAL",
        "05": "length 0: EINVAL; length that wraps: ENOMEM",
        "06": "neither MAP_PRIVATE nor MAP_SHARED: EINVAL",
        "07": "unknown prot bit in mmap: as the ABI's kernel",
        "08": "unknown prot bit in mprotect: EINVAL",
        "24": "munmap of a hole, length 0, odd address: 0, EINVAL, EINVAL",
        "25": "MAP_FIXED_NOREPLACE over a mapping: EEXIST",
        "27": "mmap(-P, P, MAP_FIXED): ENOMEM (mips EINVAL)",
        "32": "fixed mapping of page 0: as privilege allows",
    },
    "pages_files": {
        "09": "load in the file's last page, past the end: 0",
        "10": "touch of a page wholly past the end: SIGBUS BUS_ADRERR",
        "11": "read(2) and write(2) there: EFAULT",
        "12": "grow with ftruncate: data; shrink: SIGBUS, private copies too",
        "13": "store to MAP_SHARED after growth: in the file",
        "14": "MAP_SHARED rw, length not a multiple of the host's page",
        "15": "MAP_SHARED fixed, (address ^ offset) not a multiple of the host's page",
        "16": "MAP_PRIVATE the same: shares the page cache until written",
        "21": "MADV_DONTNEED of a private file: file data",
        "E2": "growth and truncation by another process",
        "E3": "other system calls into pages past the end: EFAULT",
    },
    "pages_protection": {
        "17": "PROT_NONE and PROT_READ pages beside rw pages: SIGSEGV SEGV_ACCERR",
        "18": "execute a page without PROT_EXEC: SIGSEGV (mips: as it is readable)",
        "19": "munmap one of several pages: SIGSEGV SEGV_MAPERR",
        "20": "MADV_DONTNEED of one page: it alone is zero",
        "22": "madvise: unknown advice EINVAL; hole applied and ENOMEM",
        "23": "mprotect across a hole: changed up to it, ENOMEM",
        "26": "mincore: n bytes for n pages",
        "28": "mremap: grow, shrink, move keep the data",
        "31": "store into a page that holds running code: the new code runs",
        "J1": "code written through another mapping of its file: the new code runs",
        "J2": "code written by another process, or into its file: the new code runs",
        "S1": "si_code and si_addr exact to the byte",
    },
    "pages_sharing": {
        "29": "shmat: a multiple of SHMLBA or P; tail shared",
        "S3": "memory shared between processes: anonymous, file, memfd, shm_open",
    },
    "pages_views": {
        "30": "smaps: KernelPageSize, Rss in pages of P",
        "M1": "/proc/self/maps shows what was mapped",
        "P1": "/proc/self/pagemap is indexed by pages of P",
        "P2": "statm, stat and status count pages of P",
    },
    "pages_kernel": {
        "B1": "brk: by the byte, memory by the page; [heap]",
        "B2": "MAP_GROWSDOWN and its guard gap; [stack]",
        "V1": "MAP_SHARED_VALIDATE: unknown flag EOPNOTSUPP",
        "L1": "mlock accounting in pages of P",
        "D1": "/dev/zero, /dev/null, memfd, /dev/shm",
        "X1": "MAP_32BIT (x86_64)",
        "C1": "commpages: [vdso], [vsyscall], arm [vectors] and its helpers",
    },
}
ROWS = {row: title for rows in PROGRAMS.values() for row, title in rows.items()}

Target = dict[str, Any]  # {"page": bytes, "rows": {row: what}}
Column = dict[str, Target]  # "aarch64 16k" -> target


class UsageError(Exception):
    """The command line asks for something that cannot be done."""


def order(row: str) -> tuple[bool, str]:
    """Numbers first."""
    return not row.isdigit(), row


def size_text(size: int) -> str:
    return f"{size // 1024}k"


# Running ---------------------------------------------------------------------------------------------------------
def parse(output: str, program: str, wanted: int | None, end: str) -> tuple[int, dict[str, str]]:
    """The page size that a program printed (0: none) and what it says of each of its rows.

    wanted: the page size it should have, in bytes; end: how it ended, for rows that it does not mention.
    """
    page, found = 0, dict[str, str]()
    for line in output.splitlines():
        if match := re.fullmatch(r"page (\d+)", line):
            page = int(match[1])
        elif match := re.fullmatch(r"row (\w+)(?: (ideal)|: (.*))", line):
            found[match[1]] = match[2] or match[3]
    rows = {row: found.get(row, f"no line, {end}") for row in PROGRAMS[program]}
    if wanted is not None and page != wanted and "01" in rows:
        rows["01"] = f"the page size is {page}, not {wanted}"
    return page, rows


def as_from_a_shell() -> None:
    """In the child: what nohup and background jobs have ignored is not ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def execute(command: list[str], limit: float = TIMEOUT) -> tuple[str, str]:
    """Standard output of a command, and how it ended with the end of its standard error."""
    with tempfile.TemporaryDirectory(prefix="octavo-pages-") as directory:
        try:
            process = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=as_from_a_shell,
            )
        except OSError as error:
            return "", f"{command[0]}: {error.strerror}"
        try:
            output, errors = process.communicate(timeout=limit)
            code = process.returncode
            end = f"exit {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            end = f"no end after {limit:g} s"
    said = errors.decode(errors="replace").strip().splitlines()
    return output.decode(errors="replace"), end + (f" ({said[-1][:160]})" if said else "")


def command_for(template: str, arch: str, size: int) -> list[str]:
    """The words of a column's command; a relative path with a slash is made absolute, runs have their own directory."""
    words = {"arch": arch, "qemu": ARCHITECTURES[arch][0], "size": size_text(size), "page": size}
    try:
        result = [word.format(**words) for word in shlex.split(template)]
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"column command {template!r}: {error}") from None
    if result and "/" in result[0]:
        result[0] = os.path.abspath(result[0])
    return result


def targets(template: str, chosen: dict[str, tuple[int, ...]]) -> list[tuple[str, int | None]]:
    """(architecture, page size or None for the one it happens to get) of a column."""
    if not template.strip():
        machine = {"armv7l": "arm", "armv8l": "arm"}.get(platform.machine(), platform.machine())
        return [(machine, None)] if machine in chosen else []
    if "{size}" in template or "{page}" in template:
        return [(arch, size) for arch, sizes in chosen.items() for size in sizes]
    return [(arch, None) for arch in chosen]


def run_target(
    template: str, arch: str, size: int | None, binaries: Path, limit: float = TIMEOUT
) -> Target:
    """Run all programs of an architecture: {"page": bytes, "rows": {row: what}}."""
    result: Target = {"page": size or 0, "rows": {}}
    for program in PROGRAMS:
        path = (binaries / arch / program).absolute()
        command = [*command_for(template, arch, size or 0), str(path)]
        output, end = execute(command, limit)
        page, rows = parse(output, program, size, end)
        result["page"] = page or result["page"]
        result["rows"].update(rows)
    return result


def run_column(
    template: str, chosen: dict[str, tuple[int, ...]], binaries: Path, limit: float
) -> Column:
    column: Column = {}
    for arch, size in targets(template, chosen):
        target = run_target(template, arch, size, binaries, limit)
        column[f"{arch} {size_text(target['page'])}"] = target
    return column


# Building --------------------------------------------------------------------------------------------------------
def build(directory: Path, chosen: dict[str, tuple[int, ...]]) -> None:
    """DIRECTORY/ARCHITECTURE/PROGRAM for all programs, with the cross compilers of the guest tests."""
    from tests.guest import harness

    for arch in chosen:
        (directory / arch).mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            made = harness.compile_program(
                program, harness.TOOLCHAINS[arch], "static", LINKER.get(arch, ())
            )
            target = directory / arch / program
            target.write_bytes(made.read_bytes())
            target.chmod(0o755)


# Printing --------------------------------------------------------------------------------------------------------
def cell(column: Column, row: str) -> str:
    """ "ideal", or which targets are not, or which alone are, whatever is shorter."""
    good = [name for name, target in column.items() if target["rows"].get(row) == "ideal"]
    bad = [name for name in column if name not in good]
    if not column:
        return "not run"
    if not bad:
        return "ideal"
    if not good and len(bad) > 1:
        return "none ideal"
    return "only " + ", ".join(good) if 0 < len(good) < len(bad) else "not " + ", ".join(bad)


def table(columns: dict[str, Column], machine: str) -> str:
    """The table in Markdown, and under it what the targets that are not ideal printed."""
    names = list(columns)
    lines = [f"Host: {machine}", ""]
    lines += [f"| row | operation | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for row in sorted(ROWS, key=order):
        cells = " | ".join(cell(columns[name], row) for name in names)
        lines.append(f"| {row} | {ROWS[row]} | {cells} |")
    counts = [
        f"{sum(what == 'ideal' for target in column.values() for what in target['rows'].values())}"
        f" of {sum(len(target['rows']) for target in column.values())}"
        for column in columns.values()
    ]
    lines.append(f"| | ideal, over all targets | {' | '.join(counts)} |")
    for name, column in columns.items():
        lines += ["", f"{name}: {', '.join(column)}"]
        for target, result in column.items():
            said: dict[str, list[str]] = {}
            for row in sorted(result["rows"], key=order):
                said.setdefault(result["rows"][row], []).append(row)
            lines += [
                f"  {target}, row {' '.join(rows)}: {what[:LONGEST]}"
                for what, rows in said.items()
                if what != "ideal"
            ]
    return "\n".join(lines)


def host() -> str:
    page = os.sysconf("SC_PAGESIZE")
    return f"{platform.machine()}, Linux {platform.release()}, pages of {size_text(page)}"


# Command line ----------------------------------------------------------------------------------------------------
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pages", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--column", action="append", metavar="NAME=COMMAND", help="{arch} {qemu} {size} {page}")
    add("--arch", action="append", metavar="NAME[:SIZE,...]", help="default: all")
    add("--binaries", type=Path, metavar="DIR", help="programs made by --build")
    add("--build", type=Path, metavar="DIR", help="make the programs and stop")
    add("--load", action="append", type=Path, metavar="FILE", help="print stored results")
    add("--json", action="store_true", help="print JSON in place of the table")
    add("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="of one program")
    return parser


def _chosen(words: list[str] | None) -> dict[str, tuple[int, ...]]:
    if not words:
        return {arch: sizes for arch, (_, sizes) in ARCHITECTURES.items()}
    result = {}
    for word in words:
        arch, _, sizes = word.partition(":")
        if arch not in ARCHITECTURES:
            raise UsageError(f"--arch {arch}: known are {', '.join(ARCHITECTURES)}")
        digits = [size.removesuffix("k") for size in sizes.split(",") if size]
        if not all(each.isdigit() for each in digits):
            raise UsageError(f"--arch {word}: sizes are like 4k,16k")
        result[arch] = tuple(int(each) * 1024 for each in digits) or ARCHITECTURES[arch][1]
    return result


def _results(options: argparse.Namespace) -> dict[str, Any]:
    """{"host": text, "columns": {name: column}}; of several loaded ones, a column keeps its name once."""
    if options.load:
        loaded = [json.loads(path.read_text()) for path in options.load]
        merged: dict[str, Column] = {}
        for each in loaded:
            for name, column in each["columns"].items():
                merged[f"{name} ({each['host']})" if name in merged else name] = column
        return {"host": "; ".join(dict.fromkeys(e["host"] for e in loaded)), "columns": merged}
    chosen = _chosen(options.arch)
    octavo = shlex.quote(str(ROOT / ".venv" / "bin" / "octavo"))
    columns = options.column or [f"octavo={octavo} run --page-size {{size}}"]
    if any("=" not in column for column in columns):
        raise UsageError("--column wants NAME=COMMAND")
    if options.binaries is None:
        options.binaries = ROOT / "build" / "guest" / "pages"
        build(options.binaries, chosen)
    return {
        "host": host(),
        "columns": {
            name: run_column(template, chosen, options.binaries, options.timeout)
            for name, _, template in (column.partition("=") for column in columns)
        },
    }


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.build:
            build(options.build, _chosen(options.arch))
            return 0
        results = _results(options)
    except UsageError as error:
        print(f"pages: {error}", file=sys.stderr)
        return 2
    columns: dict[str, Column] = results["columns"]
    print(json.dumps(results, indent=1) if options.json else table(columns, results["host"]))
    first = next(iter(columns.values()), {})
    return 0 if first and all(cell(first, row) == "ideal" for row in ROWS) else 1


if __name__ == "__main__":
    sys.exit(main())
