"""`octavo binfmt register|unregister|status|export`: their arguments."""

import argparse
import json
import os
import sys

from runtime.command_error import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from binfmt.kernel import Entry, Registry


class Parser(argparse.ArgumentParser):
    """A subcommand that may be followed by `-- COMMAND`: argparse would take its words for targets."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        words = list(args or ())
        place = words.index("--") if "--" in words else len(words)
        found, rest = super().parse_known_args(words[:place], namespace)
        found.command = words[place + 1 :]
        return found, rest


def configure(parser: argparse.ArgumentParser) -> None:
    """The subcommands."""
    commands = parser.add_subparsers(
        dest="what",
        required=True,
        metavar="register|unregister|status|export",
        parser_class=Parser,
    )
    add = commands.add_parser(
        "register",
        help="make the kernel run foreign programs with octavo",
        allow_abbrev=False,
        usage="octavo binfmt register [TARGET ...] [OPTIONS] [--user-namespace -- COMMAND ...]",
    )
    _targets(add)
    _handler(add)
    add.add_argument(
        "--map-root", action="store_true", help="with --user-namespace: the command is root in it"
    )
    add.add_argument(
        "--user-namespace",
        action="store_true",
        help="run the command after -- with a registry of its own (Linux 6.7; no root needed)",
    )
    remove = commands.add_parser(
        "unregister", help="take back what octavo has registered", allow_abbrev=False
    )
    _targets(remove)
    look = commands.add_parser(
        "status", help="what is registered, and what is wrong with it", allow_abbrev=False
    )
    look.add_argument("--json", action="store_true", help="for programs")
    write = commands.add_parser(
        "export", help="write files that register at boot", allow_abbrev=False
    )
    write.add_argument(
        "--format", required=True, choices=("binfmt.d", "update-binfmts"), help="which files"
    )
    write.add_argument("directory", metavar="DIR")
    _targets(write)
    _handler(write)


def _targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="aarch64, arm, riscv64, ...; Debian's names work too; default: all but this machine's own",
    )


def _handler(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interpreter", metavar="PATH", help="the handler; default: the launcher")
    parser.add_argument(
        "--name-prefix",
        default="qemu-",
        metavar="P",
        help="the entries' names are P and QEMU's name of the architecture; default: qemu-",
    )
    parser.add_argument(
        "--credentials",
        action=argparse.BooleanOptionalAction,
        help="flag C: set-id foreign programs get their owner's rights; default: as configured",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Exit status; CommandError for anything a line can say."""
    does = {
        "register": _register,
        "unregister": _unregister,
        "status": _status,
        "export": _export,
    }
    return does[arguments.what](arguments)


def chosen(words: list[str]) -> list[str]:
    """The targets that are named, in our order; all when none is. CommandError."""
    from binfmt import magic
    from runtime import arch

    possible = magic.targets()
    if not words or words == ["all"]:
        return list(possible)
    found = set()
    for word in words:
        name = arch.find(word)
        if word == "all" or name is None:
            raise CommandError(f"{word}: no such target; there are {', '.join(possible)}, all")
        if name not in possible:
            raise CommandError(f"{word}: this machine runs these programs itself")
        found.add(name)
    return [name for name in possible if name in found]


def _warn(line: str) -> None:
    print(f"octavo binfmt: warning: {line}", file=sys.stderr)


def _interpreter(arguments: argparse.Namespace) -> str:
    from binfmt import handler

    path: str = arguments.interpreter or handler.default()
    return os.path.abspath(path)


def _usable(found: "Registry") -> None:
    """CommandError unless entries can be written."""
    from binfmt import kernel

    place = kernel.mount(found.path)
    if not place.usable:
        raise CommandError(f"{place.text}; remedy: {place.remedy}")


def _register(arguments: argparse.Namespace) -> int:
    from binfmt import carried, credentials, kernel, namespace, registry

    targets = chosen(arguments.targets)
    private = arguments.user_namespace and bool(arguments.command)
    if not private and (arguments.user_namespace or arguments.map_root or arguments.command):
        raise CommandError("a command goes with a namespace: --user-namespace -- COMMAND")
    named = _interpreter(arguments)
    with_c = credentials.chosen(targets, arguments.credentials, private, _warn)
    registry.choose_flags(named, bool(with_c))  # a wrong one ends here
    found = kernel.Registry()
    if not private:
        _usable(found)
    interpreter = carried.prepare(named, private)

    def register(done: "Callable[[Entry], None]" = lambda entry: None) -> None:
        registry.register(
            found,
            targets,
            interpreter,
            prefix=arguments.name_prefix,
            credentials=with_c,
            warn=_warn,
            done=done,
        )

    if private:
        namespace.run(arguments.command, register, arguments.map_root)
    register(lambda entry: print(f"registered {entry.name}: {interpreter}, flags {entry.flags}"))
    return 0


def _unregister(arguments: argparse.Namespace) -> int:
    from binfmt import kernel, registry

    targets = chosen(arguments.targets)
    found = kernel.Registry()
    _usable(found)
    count = registry.unregister(found, targets, done=lambda name: print(f"unregistered {name}"))
    if not count:
        print("nothing of octavo's is registered")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from binfmt import kernel, report

    found = report.collect(kernel.Registry())
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(report.lines(found)))
    return 1 if found["problems"] else 0


def _export(arguments: argparse.Namespace) -> int:
    from binfmt import credentials, formats, registry

    targets = chosen(arguments.targets)
    with_c = credentials.chosen(targets, arguments.credentials, False, _warn)
    entries, warnings = registry.entries_for(
        _interpreter(arguments), targets, with_c, arguments.name_prefix
    )
    for line in warnings:
        _warn(line)
    formats.export(entries, arguments.format, arguments.directory, print)
    return 0
