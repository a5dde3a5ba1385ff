"""The rows, the measuring, the table.

Both sides of a row run alternately (A B A B ...), so that a slow moment of the machine hits both; a row shows medians.
Ratios are ours / theirs: below 1 Octavo is faster. Rows with an inner clock leave the start-up out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from tests.bench import machine

EXECS = 300
LOOP = f"i=0; while [ $i -lt {EXECS} ]; do /bin/true; i=$((i+1)); done"


class Row:
    """One line of the table. `inner`: the program prints its own nanoseconds and count; else the wall time counts."""

    def __init__(
        self,
        name: str,
        ours: list[str],
        theirs: list[str],
        *,
        inner: bool = False,
        in_root: bool = False,
        rounds: int = 1,
        says: bytes | None = None,
    ) -> None:
        self.name = name
        self.ours = ours
        self.theirs = theirs
        self.inner = inner
        self.in_root = in_root
        self.rounds = rounds  # the share of the default number of rounds is 1/rounds
        self.says = says  # what the program must print


def rows() -> list[Row]:
    """Everything that is measured."""
    octavo, qemu, var = [machine.OCTAVO, "run"], [machine.QEMU], machine.VAR
    launcher = [machine.LAUNCHER, "run"]
    static, dynamic = os.path.join(var, "hello-static"), os.path.join(var, "hello-dynamic")
    prefix = ["-L", machine.SYSROOT]
    hello = b"hello\n"
    table = [
        Row("start, python -I -S", machine.baseline(), machine.baseline()),
        Row("start, static hello", [*octavo, static], [*qemu, static], says=hello),
        Row("launcher, static hello", [*launcher, static], [*qemu, static], says=hello),
        Row(
            "launcher, dynamic hello",
            [*launcher, *prefix, dynamic],
            [*qemu, *prefix, dynamic],
            says=hello,
        ),
        Row(
            "start, dynamic hello",
            [*octavo, *prefix, dynamic],
            [*qemu, *prefix, dynamic],
            says=hello,
        ),
        Row(
            "start, /bin/true in the root",
            machine.octavo_in_root(["/bin/true"]),
            machine.qemu_in_root(["/bin/true"]),
            in_root=True,
        ),
        Row(
            f"{EXECS} x /bin/true from dash",
            machine.octavo_in_root(["/bin/dash", "-c", LOOP]),
            machine.qemu_in_root(["/bin/dash", "-c", LOOP]),
            in_root=True,
            rounds=3,
        ),
    ]
    kernels = os.path.join(var, "kernels")
    counts = {"getpid": 200000, "read": 100000, "stat": 20000, "integer": 4000000}
    counts |= {"float": 40, "memory": 5}
    for name, count in counts.items():
        words = [kernels, name, str(count)]
        table.append(Row(name, [*octavo, *words], [*qemu, *words], inner=True, rounds=2))
    return table


def once(row: Row, command: list[str]) -> tuple[float, bytes]:
    """(seconds for a start, or for one inner operation; the check). NotPossible when it does not run right."""
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - start
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        raise machine.NotPossible(
            f"status {result.returncode}: {said[-1] if said else 'no message'}"
        )
    if row.says is not None and result.stdout != row.says:
        raise machine.NotPossible(f"printed {result.stdout[:60]!r}")
    if not row.inner:
        return seconds, b""
    nanoseconds, count, check = result.stdout.split()
    return int(nanoseconds) / int(count) / 1e9, check


def measure(row: Row, rounds: int) -> dict[str, object]:
    """Medians and spread of both sides."""
    if row.in_root:
        machine.need_root()
    sides: tuple[list[float], list[float]] = ([], [])
    checks = set()
    for _ in range(max(3, rounds // row.rounds)):
        for samples, command in zip(sides, (row.ours, row.theirs), strict=True):
            seconds, check = once(row, command)
            samples.append(seconds)
            checks.add(check)
    if len(checks) != 1:
        raise machine.NotPossible(f"the two computed different results: {checks}")
    ours, theirs = (statistics.median(samples) for samples in sides)
    return {
        "octavo": ours,
        "qemu": theirs,
        "ratio": ours / theirs,
        "spread": max(_spread(samples) for samples in sides),
        "rounds": len(sides[0]),
    }


def _spread(samples: list[float]) -> float:
    """How far the middle half lies apart, as a share of the median."""
    quarters = statistics.quantiles(samples, n=4)
    return (quarters[2] - quarters[0]) / statistics.median(samples)


def shown(seconds: float) -> str:
    """1.23 ms"""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e9:.1f} ns"


def report(chosen: list[Row], rounds: int, say: Callable[[str], None]) -> dict[str, object]:
    """Measure and print row by row; everything as a dictionary."""
    found: dict[str, object] = {}
    say(f"{'':30}{'octavo':>12}{'qemu-user':>12}{'ratio':>8}{'spread':>8}")
    for row in chosen:
        try:
            result = measure(row, rounds)
        except machine.NotPossible as error:
            found[row.name] = {"error": error.args[0]}
            say(f"{row.name:30}  {error.args[0]}")
            continue
        found[row.name] = result
        numbers = [float(str(result[key])) for key in ("octavo", "qemu", "ratio", "spread")]
        say(
            f"{row.name:30}{shown(numbers[0]):>12}{shown(numbers[1]):>12}"
            f"{numbers[2]:>8.2f}{numbers[3]:>7.0%}"
        )
    return found


def main() -> int:
    """1 when a row could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=15, help="runs of each side of a quick row")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only rows with this in their name"
    )
    arguments = parser.parse_args()
    machine.build()
    chosen = [
        row for row in rows() if not arguments.names or any(n in row.name for n in arguments.names)
    ]
    load, processors = os.getloadavg()[0], os.cpu_count()
    note = f"{machine.qemu_version()}; {processors} processors, load {load:.1f} at the start"
    if arguments.json:
        found = report(chosen, arguments.rounds, lambda _: None)
        print(json.dumps({"note": note, "rows": found}, indent=2))
    else:
        print(note)
        found = report(chosen, arguments.rounds, print)
        print(machine.launcher_facts())
        print(
            "ratio: octavo / qemu-user. spread: middle half of the runs; beyond 20% the machine was busy."
        )
        base, hello = found.get("start, python -I -S"), found.get("start, static hello")
        if isinstance(base, dict) and isinstance(hello, dict) and "octavo" in hello:
            print(
                f"a static hello costs {hello['octavo'] / base['octavo']:.1f} starts of python -I -S"
            )
    failed = [
        name for name, result in found.items() if isinstance(result, dict) and "error" in result
    ]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
