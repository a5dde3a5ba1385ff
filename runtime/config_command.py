"""`octavo config show | check | schema`: what the files say, whether they are right, what they may say."""

import json
import os
import sys

from runtime import arch, config
from runtime.command_error import CommandError
from runtime.config import DEFAULT, ENV, ConfigError, Configuration
from runtime.policy import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    Report = dict[str, Any]

_SIZES = ("page_size", "mmap_min_addr", "stack")


def configure(parser: "argparse.ArgumentParser") -> None:
    """Arguments of the command."""
    what = parser.add_subparsers(dest="what", metavar="show|check|schema", required=True)
    show = what.add_parser("show", help="what holds, and which file and line says so")
    show.add_argument("target", nargs="?", help="only this target")
    show.add_argument(
        "--program", metavar="PATH", help="with the rules for this program (guest path)"
    )
    show.add_argument("--json", action="store_true", help="print a JSON object")
    check = what.add_parser("check", help="read configuration files and say what is wrong")
    check.add_argument("file", nargs="*", help="instead of those that are in use")
    what.add_parser("schema", help="print the JSON Schema of the files, for editors")


def execute(arguments: "argparse.Namespace") -> int:
    """Do it; 1 when a checked file is wrong."""
    if arguments.what == "schema":
        from runtime.config import keys  # noqa: PLC0415  loads every architecture

        _dump(keys.schema())
        return 0
    if arguments.what == "check":
        return check(arguments.file)
    try:
        loaded = config.load()
    except ConfigError as error:
        raise CommandError(str(error)) from None
    report = collect(loaded, arguments.target, arguments.program)
    if arguments.json:
        _dump(report)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(report)))
    return 0


def _dump(value: object) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def check(named: list[str]) -> int:
    """One line for each file; every file is read, whatever is wrong with the others."""
    from runtime.config import file  # noqa: PLC0415  YAML

    places = named or config.files(os.environ)
    wrong = 0
    for path in places:
        if not named and not os.path.exists(path) and path != _named():
            sys.stdout.write(f"{path}: not there\n")
            continue
        try:
            file.parse([path])
        except ConfigError as error:
            wrong += 1
            sys.stdout.write(f"{error}\n")
        else:
            sys.stdout.write(f"{path}: good\n")
    return 1 if wrong else 0


def _named() -> str:
    name = os.environ.get("OCTAVO_CONFIG", "")
    return os.path.abspath(name) if name else ""


def collect(loaded: Configuration, only: str | None, program: str | None) -> "Report":
    """files, targets -> key -> value and where it comes from; rules that exist. CommandError: no such target."""
    names = [*arch.ARCHITECTURES]
    if only is not None:
        own = arch.find(only)
        if own is None:
            known = ", ".join(arch.ARCHITECTURES)
            raise CommandError(f"{only}: no such target; there are {known}")
        names = [own]
    targets = {}
    for name in names:
        target = loaded.target(name, [] if program is None else [program.encode()])
        rows: Report = {}
        for key in config.DEFAULTS:
            value = getattr(target, key)
            rows[key] = {
                "value": value.decode(errors="surrogateescape")
                if isinstance(value, bytes)
                else value,
                "from": target.origin(key),
            }
        rows["env"] = {
            name: {"value": value, "from": target.origin(ENV + name)}
            for name, value in target.env.items()
        }
        targets[name] = rows
    return {"files": list(loaded.files), "program": program, "targets": targets}


def lines(report: "Report") -> list[str]:
    """As a configuration file that says the same, with the origins as comments."""
    result = [f"# {path}" for path in report["files"]] or ["# no configuration file: the defaults"]
    result.append("targets:")
    for name, rows in report["targets"].items():
        result.append(f"  {name}:")
        for key, row in rows.items():
            if key == "env":
                result.append("    env:" if row else "    env: {}")
                result += [_line(f"      {name}", each) for name, each in row.items()]
            else:
                result.append(_line(f"    {key}", row, sized=key in _SIZES))
    return result


def _line(key: str, row: "Report", sized: bool = False) -> str:
    value = row["value"]
    if value is None:
        text = "auto" if sized else "null"
    elif sized and isinstance(value, int):
        text = size_text(value)
    else:
        text = json.dumps(value)  # which is YAML too
    origin = "" if row["from"] == DEFAULT else f"  # {row['from']}"
    return f"{key}: {text}{origin}"
