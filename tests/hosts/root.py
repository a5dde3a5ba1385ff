"""Real programs on the machine: a Debian armhf root, 32-bit programs of 4 KiB pages, out of the initramfs.

Each job is a script of the root's shell; the same script in the same root on this host says what it has to print. The
scripts are short: a program that is translated on a machine that is translated itself is slow the first time it comes
to any of its code (packaging/decisions/foreign-hosts-are-booted.md).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping

from tests.hosts import parts
from tests.hosts.archive import Archive
from tests.hosts.report import MISSING, Result

ARCHITECTURE = "armhf"
PACKAGES = ("python3", "sqlite3")
PLACE = "/roots/armhf"
OCTAVO = os.path.join(parts.TOP, ".venv", "bin", "octavo")
ENVIRONMENT = ("-E", "LC_ALL=C.UTF-8", "-E", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
# of no use there, and a third of the root
LEFT_OUT = re.compile(
    r"(proc|sys|dev|boot|run)/|usr/share/(doc|locale|man|info|zoneinfo)/|var/(cache|lib/apt)/"
)

SQLITE = """
cd /tmp && rm -f wal.db*
sqlite3 wal.db 'pragma journal_mode=wal; create table t(n integer, s text)'
for i in 1 2 3; do
    (for n in 1 2 3 4 5; do
        sqlite3 -cmd '.timeout 60000' wal.db "insert into t values($i, hex(zeroblob(5000)))"
    done) &
done
wait
sqlite3 wal.db 'select n, count(*), sum(length(s)) from t group by n; pragma integrity_check'
"""
PYTHON = """
import json, mmap, os, sys, zlib
with open("/tmp/mapped", "wb+") as file:
    file.truncate(5 * mmap.PAGESIZE + 100)
    with mmap.mmap(file.fileno(), 0) as memory:
        memory[4 * mmap.PAGESIZE :][:4]
        memory[4 * mmap.PAGESIZE : 4 * mmap.PAGESIZE + 4] = b"word"
        memory.flush()
    file.seek(4 * mmap.PAGESIZE)
    print(mmap.PAGESIZE, file.read(4))
if os.fork() == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]), sys.maxsize == 2**31 - 1)
text = json.dumps(list(range(999))).encode()
print(zlib.crc32(zlib.compress(text)), json.loads(text) == list(range(999)))
"""
PERL = 'my %h; $h{$_ % 97} .= $_ for 1..20000; print join(",", map { length $h{$_} } sort keys %h), "\\n"'
# name -> (program, arguments)
PROGRAMS: dict[str, tuple[str, ...]] = {
    "bash": (
        "/bin/bash",
        "-c",
        "getconf PAGESIZE; for i in {1..6}; do echo $i | sed s/^/x/; done | sort | md5sum",
    ),
    "dpkg": (
        "/bin/sh",
        "-c",
        "dpkg --audit; dpkg --print-architecture; dpkg -l | grep -c ^ii; dpkg -S /bin/bash",
    ),
    "perl": ("/usr/bin/perl", "-e", PERL),
    "python3": ("/usr/bin/python3", "-IS", "-c", PYTHON),
    "sqlite3 with WAL": ("/bin/sh", "-c", SQLITE),
}


def directory() -> str:
    """The root, made the first time it is asked for. NotPossible without being root."""
    path = os.path.join(parts.TOP, "var", "roots", ARCHITECTURE)
    if os.path.exists(os.path.join(path, "usr", "bin", "sqlite3")):
        return path
    if os.getuid() != 0:
        raise parts.NotPossible(
            f"no {path}: making it needs root (or leave it out: --without-root)"
        )
    if not os.path.exists(os.path.join(path, "etc", "os-release")):
        create = [OCTAVO, "rootfs", "create", "debian:bookworm", "--arch", ARCHITECTURE, path]
        if subprocess.run(create, check=False, stdout=sys.stderr).returncode != 0:
            raise parts.NotPossible(f"{path} cannot be made")
    # An index that a mirror is in the middle of changing is no matter: apt keeps to those it has.
    install = "apt-get update; apt-get install -y --no-install-recommends " + " ".join(PACKAGES)
    environment = (*ENVIRONMENT, "-E", "DEBIAN_FRONTEND=noninteractive")
    command = [OCTAVO, "run", "--root", path, *environment, "--", "/bin/sh", "-c", install]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
        raise parts.NotPossible(f"{path}: its packages cannot be installed")
    return path


def _words(octavo: str, place: str, words: Iterable[str]) -> list[str]:
    return [octavo, "run", "--root", place, *ENVIRONMENT, "--", *words]


def _name(program: str) -> str:
    return f"{ARCHITECTURE} root: {program}"


def jobs(wanted: re.Pattern[str]) -> list[dict[str, object]]:
    """What inside.py runs."""
    return [
        {"name": _name(program), "command": _words("/octavo/bin/octavo", PLACE, words)}
        for program, words in PROGRAMS.items()
        if wanted.search(_name(program))
    ]


def add(archive: Archive, path: str) -> None:
    """Put the root into the initramfs."""
    for name in ("proc", "sys", "dev", "run", "tmp", "boot", "var/cache/apt"):
        archive.directory(PLACE.lstrip("/") + "/" + name)
    archive.tree(PLACE.lstrip("/"), path, lambda name: not LEFT_OUT.match(name))


def table(path: str, wanted: re.Pattern[str], results: Mapping[str, Result]) -> tuple[str, bool]:
    """The programs, compared with what they print on this host; and whether any differs."""
    lines = [f"| program in a Debian {ARCHITECTURE} root | as on this host |", "|---|---|"]
    failed = False
    for program, words in PROGRAMS.items():
        if not wanted.search(_name(program)):
            continue
        here = subprocess.run(
            _words(OCTAVO, path, words), capture_output=True, text=True, check=False
        )
        there = results.get(_name(program), MISSING)
        same = here.returncode == 0 and there.end == "exit 0" and there.output == here.stdout
        failed |= not same
        lines.append(f"| {program} | {'yes' if same else 'NO'} |")
        if not same:
            lines += [
                f"    here: exit {here.returncode} {here.stdout[-300:]!r} {here.stderr[-300:]!r}",
                f"    there: {there.end} {there.output[-300:]!r} {there.errors[-300:]!r}",
            ]
    return "\n".join(lines), failed
