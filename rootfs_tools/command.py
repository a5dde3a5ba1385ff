"""`octavo rootfs create` and `octavo rootfs inspect`: their arguments."""

import argparse
import json
import os

from runtime.command_error import CommandError


def configure(parser: argparse.ArgumentParser) -> None:
    """The subcommands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="create|inspect")
    make = commands.add_parser("create", help="make a root", allow_abbrev=False)
    make.add_argument("source", metavar="debian:SUITE")
    make.add_argument("root", metavar="DIR")
    make.add_argument("--arch", required=True, help="the root's architecture, for example arm64")
    make.add_argument("--include", default="", metavar="PKGS", help="more packages, with commas")
    make.add_argument(
        "--mirror", metavar="URL", help="default: as apt here, else debootstrap's own"
    )
    make.add_argument("--dry-run", action="store_true", help="only say what would be done")
    look = commands.add_parser("inspect", help="describe a root", allow_abbrev=False)
    look.add_argument("root", metavar="DIR")
    look.add_argument("--json", action="store_true", help="for programs")


def execute(arguments: argparse.Namespace) -> int:
    """Exit status; CommandError for anything a line can say."""
    return _create(arguments) if arguments.what == "create" else _inspect(arguments)


def _create(arguments: argparse.Namespace) -> int:
    from rootfs_tools import create, mirror
    from rootfs_tools.debootstrap import Runner
    from rootfs_tools.progress import Progress

    suite = create.parse_source(arguments.source)
    arch = create.parse_arch(arguments.arch)
    request = create.Request(
        suite=suite,
        arch=arch,
        root=os.path.abspath(arguments.root),
        include=[name for name in arguments.include.split(",") if name],
        mirror=arguments.mirror or mirror.choose(mirror.read_sources()).mirror,
    )
    steps = create.operations(request, Runner(request.log_path))
    if arguments.dry_run:
        for step in steps:
            print(step.describe())
        return 0
    create.check_machine(suite)
    create.create(request, steps, Progress())
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from rootfs_tools import inspect

    if not os.path.isdir(arguments.root):
        raise CommandError(f"{arguments.root}: not a directory")
    report = inspect.inspect(arguments.root)
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2, sort_keys=True))
        return 0
    for name, value in report.lines():
        print(f"{name:14}{value}")
    return 0
