"""`octavo ps`: the processes that Octavo runs, by what they are inside.

A process of ours is known by its status page (runtime/task/status_page.py). Those of other users cannot be looked into
and are not shown, but to root.
"""

import json
import os
import sys
import time

import psutil

from runtime.policy import size_text
from runtime.task import status_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    Report = dict[str, Any]

_MARK = b"/memfd:" + status_page.NAME


def configure(parser: "argparse.ArgumentParser") -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.add_argument(
        "--interval",
        type=float,
        default=0.2,
        metavar="SECONDS",
        help="how long CPU use is measured (0.2; 0: since the process began)",
    )


def execute(arguments: "argparse.Namespace") -> int:
    """Print the table."""
    rows = collect(arguments.interval)
    if arguments.json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(rows)))
    return 0


def collect(interval: float) -> "list[Report]":
    """One row for each process, by pid: pid, parent, user, target, page_size, view, cpu (per cent of one processor),
    memory (bytes that it has to itself, as far as that can be known), threads, seconds, command."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        inside = look_inside(process.pid)
        if inside is not None:
            found.append((process, inside))
    before = {process.pid: _cpu_seconds(process) for process, _ in found}
    if interval > 0:
        time.sleep(interval)
    rows = []
    for process, inside in found:
        try:
            rows.append(_row(process, inside, before[process.pid], interval))
        except psutil.NoSuchProcess:  # it has ended
            continue
    return sorted(rows, key=lambda row: int(row["pid"]))


def look_inside(pid: int) -> "tuple[str, int, str, list[str]] | None":
    """What a process's status page says; None for a process that is not ours, or that may not be looked into."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            line = next((line for line in file if _MARK in line), None)
        if line is None:
            return None
        start, end = (int(word, 16) for word in line.split(b" ", 1)[0].split(b"-"))
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(start)
            return status_page.read(memory.read(end - start))
    except (OSError, ValueError, OverflowError):
        return None


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _row(
    process: psutil.Process,
    inside: "tuple[str, int, str, list[str]]",
    before: float,
    interval: float,
) -> "Report":
    target, page, view, command = inside
    with process.oneshot():
        age = max(time.time() - process.create_time(), 0.001)
        try:
            memory = process.memory_full_info().uss
        except psutil.AccessDenied:
            memory = process.memory_info().rss
        used, over = _cpu_seconds(process), age
        if interval > 0:
            used, over = used - before, interval
        return {
            "pid": process.pid,
            "parent": process.ppid(),
            "user": process.username(),
            "target": target,
            "page_size": page,
            "view": view,
            "cpu": round(100 * max(used, 0) / over, 1),
            "memory": memory,
            "threads": process.num_threads(),
            "seconds": round(age, 1),
            "command": command,
        }


def lines(rows: "list[Report]") -> list[str]:
    """The table for people."""
    head = (
        "PID",
        "PARENT",
        "USER",
        "TARGET",
        "PAGE",
        "VIEW",
        "CPU%",
        "MEMORY",
        "THREADS",
        "COMMAND",
    )
    table = [head]
    for row in rows:
        table.append(
            (
                str(row["pid"]),
                str(row["parent"]),
                row["user"],
                row["target"],
                size_text(row["page_size"]),
                row["view"],
                f"{row['cpu']:.1f}",
                f"{row['memory'] / (1 << 20):.1f}M",
                str(row["threads"]),
                " ".join(_printable(word) for word in row["command"]),
            )
        )
    widths = [max(len(line[at]) for line in table) for at in range(len(head) - 1)]
    return [
        "  ".join([*(line[at].ljust(width) for at, width in enumerate(widths)), line[-1]])
        for line in table
    ]


def _printable(word: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in word)
