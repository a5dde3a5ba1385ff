"""The `octavo` command: which word on the command line goes to which module.

`octavo run` is the launch path and is asked for first: it never sees argparse. Every other command is a module with
two functions, `configure(parser)` and `execute(arguments) -> exit status`, and is imported only when it is named, so
the table below is all that a new command needs. A command whose module is not part of this build is not listed.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Protocol

    class Command(Protocol):
        """What a module in COMMANDS offers."""

        def configure(self, parser: argparse.ArgumentParser) -> None:
            """Add the command's own arguments."""

        def execute(self, arguments: argparse.Namespace) -> int:
            """Do it; the exit status. OSError and CommandError become one line on stderr."""


COMMANDS = (
    ("run", "runtime.run_command", "run a program of another architecture"),
    ("explain", "runtime.explain", "say how a file would be run, and why"),
    ("rootfs", "rootfs_tools.command", "create and inspect guest root file systems"),
    ("syscalls", "runtime.syscalls.support", "print which system calls are supported"),
    ("binfmt", "binfmt.command", "register with the kernel's binfmt_misc"),
    ("config", "runtime.config_command", "show the configuration"),
    ("doctor", "runtime.doctor", "check this machine"),
    ("ps", "runtime.ps", "list running guest processes"),
)

USAGE_ERROR = 2


def main() -> int:
    """Entry point of the console script; the exit status."""
    words = sys.argv[1:]
    if words and words[0] == "run":
        from runtime import run_command

        return run_command.main(words[1:])
    return _other(words)


def available() -> list[tuple[str, str, str]]:
    """The rows of COMMANDS whose module exists."""
    from importlib.util import find_spec

    rows = []
    for row in COMMANDS:
        package = row[1].rpartition(".")[0]
        if find_spec(package.partition(".")[0]) and find_spec(package) and find_spec(row[1]):
            rows.append(row)
    return rows


def _usage() -> str:
    lines = [
        "usage: octavo COMMAND ...",
        "",
        "Runs Linux programs built for another processor.",
        "",
    ]
    lines += [f"  {name:10}{text}" for name, _, text in available()]
    lines += ["", "octavo COMMAND --help says more about one of them."]
    return "\n".join(lines)


def _version() -> str:
    from runtime.version import VERSION

    return f"octavo {VERSION}"


def _other(words: list[str]) -> int:
    """Every command but `run`."""
    if not words:
        print(_usage(), file=sys.stderr)
        return USAGE_ERROR
    name = words[0]
    if name in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if name in ("-V", "--version", "version"):
        print(_version())
        return 0
    module = next((row[1] for row in available() if row[0] == name), None)
    if module is None:
        print(f"octavo: unknown command {name!r}; octavo --help lists them", file=sys.stderr)
        return USAGE_ERROR
    return _execute(name, module, words[1:])


def _execute(name: str, module: str, words: list[str]) -> int:
    import argparse
    from importlib import import_module

    from runtime.command_error import CommandError

    command: Command = import_module(module)
    parser = argparse.ArgumentParser(prog=f"octavo {name}", allow_abbrev=False)
    command.configure(parser)
    arguments = parser.parse_args(words)
    try:
        return command.execute(arguments)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 1
    except (CommandError, OSError) as error:
        print(f"octavo {name}: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"octavo {name}: interrupted", file=sys.stderr)
        return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{os_path(error.filename)}: " if error.filename is not None else ""
        return where + error.strerror
    return " ".join(str(error).split())


def os_path(name: object) -> str:
    """A file name of an OSError as text."""
    return name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name)


if __name__ == "__main__":
    sys.exit(main())
