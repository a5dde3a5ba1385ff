"""make test-hosts: the guest programs and the page size matrix on a host with 16 KiB pages, which it boots.

    python -m tests.hosts                          # everything; the exit status says whether all is as it should be
    python -m tests.hosts --only 'memory.*arm'     # the jobs whose names match: PROGRAM COLUMN ARCHITECTURE SIZE
    python -m tests.hosts --command 'octavo run --strace /guest/arm/memory map_fixed'   # instead of the jobs
    python -m tests.hosts --readme                 # and put the matrix into README.md

The host is Debian's arm64 kernel with 16 KiB pages under qemu-system-aarch64. Everything is fetched into var/hosts and
built in build/; the console's log stays in var/hosts/console.txt.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import shlex
import sys
import time

from tests.guest import pages
from tests.hosts import machine, parts, plan, report, root
from tests.hosts.archive import Archive

EVERY = re.compile("")
TOTAL_SECONDS = 3600.0  # far more than it takes on two processors of its own


def kernel(name: str) -> str:
    """The kernel of a host: "16k" is Debian's, and there is no other."""
    root = parts.unpack("trixie", f"kernel-{name}", f"linux-image-arm64-{name}+")
    (found,) = glob.glob(os.path.join(root, "boot", "vmlinuz-*"))
    return found


def make_initramfs(
    path: str, jobs: list[plan.Job], system: str | None, arguments: argparse.Namespace
) -> None:
    """Everything the machine needs, in one file. system: the Debian root that goes along."""
    todo: list[dict[str, object]] = [{"name": job.name, "command": job.command} for job in jobs]
    if system is not None:
        todo += root.jobs(re.compile(arguments.only))
    if arguments.command:
        todo = [{"name": arguments.command, "command": shlex.split(arguments.command)}]
    with open(path, "wb") as file:
        archive = Archive(file)
        machine.base(archive, parts.python(), parts.core(arguments.jobs))
        plan.add_programs(archive, jobs)
        plan.add_qemu(archive, jobs, parts.qemu())
        if system is not None:
            root.add(archive, system)
        first = [["python3", "/octavo/packaging/tools/install_command.py", "/octavo/bin/octavo"]]
        whole = {"first": first, "jobs": todo, "workers": arguments.workers}
        archive.data("jobs.json", json.dumps(whole).encode())
        archive.close()


def run(host: str, initramfs: str, quiet: bool) -> tuple[str, dict[str, report.Result]]:
    """Boot, and collect: (what the host is, results by job name). What it says is shown as it goes along."""
    results: dict[str, report.Result] = {}
    what = "nothing was said"
    start = time.monotonic()
    with open(os.path.join(parts.VAR, "console.txt"), "w", encoding="utf-8") as log:
        for said in machine.boot(kernel(host), initramfs, TOTAL_SECONDS):
            print(json.dumps(said), file=log, flush=True)
            if "page" in said:
                size = pages.size_text(int(str(said["page"])))
                what = f"aarch64, Linux {said['kernel']}, pages of {size}"
            elif "job" in said:
                results[str(said["job"])] = report.result(said)
                if not quiet:
                    elapsed = time.monotonic() - start
                    print(
                        f"{elapsed:6.0f} s  {len(results):4}  {said['job']}: {said['end']}",
                        file=sys.stderr,
                    )
            elif said.get("status") or "stray" in said:
                print(said, file=sys.stderr)
    return what, results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.hosts", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--host", default="16k", help="the page size of the host's kernel")
    add("--only", default="", metavar="REGEX", help="of the jobs' names")
    add(
        "--command",
        metavar="COMMAND",
        help="run this in the machine, with the jobs' programs there",
    )
    add(
        "--earlier",
        metavar="FILE",
        help="a console.txt with the results of jobs that do not run now",
    )
    add("--readme", action="store_true", help="put the matrix into README.md")
    add("--without-root", action="store_true", help="no programs of a Debian armhf root")
    add("--workers", type=int, default=2, help="jobs at a time in the machine")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="of the build")
    add("--quiet", action="store_true", help="no line for each job")
    return parser


def main() -> int:
    """0: everything as natively there, and every row ideal for Octavo. 1: not. 2: it cannot be done here."""
    arguments = _parser().parse_args()
    wanted = re.compile(arguments.only)
    guests, matrix = list(plan.guest_jobs(wanted)), list(plan.matrix_jobs(wanted))
    initramfs = os.path.join(parts.VAR, "initramfs.cpio")
    os.makedirs(parts.VAR, exist_ok=True)
    try:
        wants_root = root.jobs(wanted) and not arguments.without_root and not arguments.command
        system = root.directory() if wants_root else None
        make_initramfs(initramfs, guests + matrix, system, arguments)
        what, results = run(arguments.host, initramfs, arguments.quiet)
    except parts.NotPossible as error:
        print(f"test-hosts: {error}", file=sys.stderr)
        return 2
    if arguments.command:
        for result in results.values():
            print(result.output + result.errors + result.end)
        return 0
    if arguments.earlier:
        guests, matrix = list(plan.guest_jobs(EVERY)), list(plan.matrix_jobs(EVERY))
        results = report.load(arguments.earlier) | results
        guests = [job for job in guests if job.name in results]
        matrix = [job for job in matrix if job.name in results]
    failed = show(what, guests, matrix, results, arguments.readme)
    if system is not None:
        text, differs = root.table(system, wanted, results)
        print(f"\n{text}")
        failed |= differs
    return failed


def show(
    what: str,
    guests: list[plan.Job],
    matrix: list[plan.Job],
    results: dict[str, report.Result],
    readme: bool,
) -> int:
    """Print the tables; 1 when something is not as it should be."""
    text, failed = report.guests(guests, results)
    print(f"Host: {what}\n\n{text}\n")
    columns = report.columns(matrix, results)
    if columns:
        print(pages.table(columns, what))
    if readme and columns:
        report.write_readme(os.path.join(parts.TOP, "README.md"), report.summary(columns, what))
    for target in columns.get("octavo", {}).values():
        failed |= any(row != "ideal" for row in target["rows"].values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
