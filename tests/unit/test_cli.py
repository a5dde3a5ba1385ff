"""The `octavo` command itself, started as users start it."""

import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def octavo(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.cli", *words]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)


def test_help_lists_what_exists() -> None:
    result = octavo("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "\n  run " in result.stdout


def test_no_command_is_a_usage_error() -> None:
    result = octavo()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: octavo COMMAND")


def test_unknown_command_is_one_line() -> None:
    result = octavo("frobnicate", "--help")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "octavo: unknown command 'frobnicate'; octavo --help lists them\n"


def test_every_listed_command_has_help() -> None:
    listing = octavo("--help").stdout.splitlines()
    names = [line.split()[0] for line in listing if line.startswith("  ")]
    assert names
    for name in names:
        result = octavo(name, "--help")
        assert result.returncode == 0, name
        assert result.stdout.startswith(f"usage: octavo {name} "), name


def test_version_is_the_projects() -> None:
    import tomllib

    with open(os.path.join(TOP, "pyproject.toml"), "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert octavo("--version").stdout == f"octavo {version}\n"
