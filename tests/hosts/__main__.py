"""make test-hosts: the guest programs and the page size matrix on hosts with 16 and 64 KiB pages, which it boots.

    python -m tests.hosts                          # everything; the exit status says whether all is as it should be
    python -m tests.hosts --host 64k               # on one of the hosts
    python -m tests.hosts --only 'memory.*arm'     # the jobs whose names match: PROGRAM COLUMN ARCHITECTURE SIZE
    python -m tests.hosts --only 'memory.*arm' --earlier    # and what the runs before said of the other jobs
    python -m tests.hosts --command 'octavo run --strace /guest/arm/memory map_fixed'   # instead of the jobs
    python -m tests.hosts --readme                 # and put the matrix into README.md

The hosts are arm64 Linux under qemu-system-aarch64, one after the other: see kernel.py. Everything is fetched into
var/hosts and built in build/; the consoles' logs stay in var/hosts/console-HOST.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
import time
from dataclasses import dataclass, field

from tests.guest import pages
from tests.hosts import kernel, machine, parts, plan, report, root
from tests.hosts.archive import Archive

EVERY = re.compile("")
TOTAL_SECONDS = 3 * 3600.0  # of one host, ten times what it takes on two processors of its own


@dataclass
class Host:
    """A machine that was booted: its kernel's name here, what it says of itself, and the results by job name."""

    name: str
    what: str = "nothing was said"
    results: dict[str, report.Result] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """What was said, a line each; --earlier adds to it."""
        return os.path.join(parts.VAR, f"console-{self.name}.txt")


def make_initramfs(
    path: str, jobs: list[plan.Job], system: str | None, arguments: argparse.Namespace
) -> None:
    """Everything the machine needs, in one file. system: the Debian root that goes along."""
    todo: list[dict[str, object]] = [{"name": job.name, "command": job.command} for job in jobs]
    if system is not None:
        todo = [*root.jobs(re.compile(arguments.only)), *todo]
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


def run(host: Host, image: str, initramfs: str, arguments: argparse.Namespace) -> None:
    """Boot, and collect the results. What the machine says is shown as it goes along."""
    count, start = 0, time.monotonic()
    with open(host.log, "a" if arguments.earlier else "w", encoding="utf-8") as log:
        for said in machine.boot(image, initramfs, arguments.processors, TOTAL_SECONDS):
            print(json.dumps(said), file=log, flush=True)
            if "page" in said:
                size = pages.size_text(int(str(said["page"])))
                host.what = f"aarch64, Linux {said['kernel']}, pages of {size}"
            elif "job" in said:
                count += 1
                host.results[str(said["job"])] = report.result(said)
                if not arguments.quiet:
                    line = f"{host.name} {time.monotonic() - start:6.0f} s  {count:4}"
                    print(f"{line}  {said['job']}: {said['end']}", file=sys.stderr)
            elif said.get("status") or "stray" in said:
                print(said, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.hosts", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--host", action="append", choices=kernel.KERNELS, help="its page size; default: all")
    add("--only", default="", metavar="REGEX", help="of the jobs' names")
    add(
        "--command",
        metavar="COMMAND",
        help="run this in the machine, with the jobs' programs there",
    )
    add("--earlier", action="store_true", help="other jobs' results are those of the runs before")
    add("--readme", action="store_true", help="put the matrix into README.md")
    add("--without-root", action="store_true", help="no programs of a Debian armhf root")
    add("--workers", type=int, default=2, help="jobs at a time in the machine")
    add("--processors", type=int, default=2, help="of the machine")
    add("--jobs", type=int, default=os.cpu_count() or 1, help="of the builds")
    add("--quiet", action="store_true", help="no line for each job")
    return parser


def main() -> int:
    """0: everything as natively there, and every row ideal for Octavo. 1: not. 2: it cannot be done here."""
    arguments = _parser().parse_args()
    wanted = re.compile(arguments.only)
    guests, matrix = list(plan.guest_jobs(wanted)), list(plan.matrix_jobs(wanted))
    initramfs = os.path.join(parts.VAR, "initramfs.cpio")
    os.makedirs(parts.VAR, exist_ok=True)
    hosts = [Host(name) for name in arguments.host or kernel.KERNELS]
    try:
        images = {host.name: kernel.kernel(host.name, arguments.jobs) for host in hosts}
        wants_root = root.jobs(wanted) and not arguments.without_root
        if arguments.command and not arguments.only:
            wants_root = False  # it is large; --only root takes it along
        system = root.directory() if wants_root else None
        make_initramfs(initramfs, matrix + guests, system, arguments)
    except parts.NotPossible as error:
        print(f"test-hosts: {error}", file=sys.stderr)
        return 2
    for host in hosts:
        if arguments.earlier and os.path.exists(host.log):
            host.results = report.load(host.log)
        run(host, images[host.name], initramfs, arguments)
    if arguments.command:
        for host in hosts:
            result = host.results.get(arguments.command, report.MISSING)
            print(f"{host.what}\n{result.output}{result.errors}{result.end}")
        return 0
    failed = False
    if arguments.earlier:
        guests, matrix = list(plan.guest_jobs(EVERY)), list(plan.matrix_jobs(EVERY))
    for host in hosts:
        failed |= show_programs(host, guests, system, wanted)
    failed |= show_matrix(hosts, matrix, arguments.readme)
    return 1 if failed else 0


def show_programs(
    host: Host, guests: list[plan.Job], system: str | None, wanted: re.Pattern[str]
) -> bool:
    """Print how the guest programs and those of the root went on a host; whether anything differs."""
    ran = [job for job in guests if job.name in host.results or wanted.search(job.name)]
    text, failed = report.guests(ran, host.results)
    print(f"Host: {host.what}\n\n{text}\n")
    if system is not None:
        text, differs = root.table(system, wanted, host.results)
        print(f"{text}\n")
        failed |= differs
    return failed


def show_matrix(hosts: list[Host], matrix: list[plan.Job], readme: bool) -> bool:
    """Print the matrix of all hosts, into README.md too; whether a row is not ideal for Octavo."""
    each = {host.name: report.columns(matrix, host.results) for host in hosts}
    columns = report.side_by_side(each)
    if not columns:
        return False
    what = "; ".join(host.what for host in hosts)
    print(pages.table(columns, what))
    if readme:
        report.write_readme(os.path.join(parts.TOP, "README.md"), report.summary(columns, what))
    targets = [target for found in each.values() for target in found.get("octavo", {}).values()]
    return any(row != "ideal" for target in targets for row in target["rows"].values())


if __name__ == "__main__":
    sys.exit(main())
