"""`octavo syscalls --arch A`: every call of an architecture's table and what becomes of it.

Not on the launch path: imports every family, so that the definitions are there to be looked at.
"""

import json
import sys

from runtime.arch import ARCHITECTURES, load
from runtime.syscalls import families
from runtime.syscalls.registry import DECLINED, DEFINITIONS, SyscallTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Container

    from runtime.arch.table import Row

STATUSES = ("implemented", "fast", "declined", "missing")


class Entry:
    """One line: number, name, kernel entry, status, and for declined ones the reason."""

    __slots__ = ("entry", "name", "number", "reason", "status")

    def __init__(self, number: int, name: str, entry: str, status: str, reason: str) -> None:
        self.number = number
        self.name = name
        self.entry = entry
        self.status = status
        self.reason = reason

    def as_dict(self) -> dict[str, int | str]:
        return {
            field: getattr(self, field) for field in ("number", "name", "entry", "status", "reason")
        }


def status_of(row: "Row", fast: "Container[int]") -> tuple[str, str]:
    """(status, reason)."""
    if row.entry in DEFINITIONS:
        return ("fast" if row.number in fast else "implemented"), ""
    if row.entry in DECLINED:
        return "declined", DECLINED[row.entry]
    return "missing", ""


def entries(name: str) -> list[Entry]:
    """Of an architecture, by number."""
    families.register()
    arch = load(name)
    table = arch.syscalls()
    fast = SyscallTable(arch).fast()
    return [
        Entry(number, row.name, row.entry, *status_of(row, fast))
        for number, row in sorted(table.items())
    ]


def totals(found: list[Entry]) -> dict[str, int]:
    """Status -> how many."""
    return {status: sum(e.status == status for e in found) for status in STATUSES}


def render(name: str, as_json: bool = False) -> str:
    """What the command prints."""
    found = entries(name)
    counts = totals(found)
    if as_json:
        return json.dumps(
            {"arch": name, "totals": counts, "calls": [e.as_dict() for e in found]}, indent=1
        )
    width = max(len(e.name) for e in found)
    lines = [
        f"{e.number:>8}  {e.name:<{width}}  {e.status}{': ' + e.reason if e.reason else ''}"
        for e in found
    ]
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines.append(f"{len(found)} system calls of {name}: {summary}")
    return "\n".join(lines)


# The command (runtime/cli.py) --------------------------------------------------------------------------------------
def configure(parser: "argparse.ArgumentParser") -> None:
    """Add the command's own arguments."""
    parser.add_argument("--arch", required=True, choices=ARCHITECTURES, help="whose table")
    parser.add_argument("--json", action="store_true", help="print it for programs")


def execute(arguments: "argparse.Namespace") -> int:
    """Print the table; the exit status."""
    sys.stdout.write(render(arguments.arch, arguments.json) + "\n")
    return 0
