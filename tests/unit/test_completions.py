"""The completions in packaging/completions: current, understood by their shells, and what bash answers."""

import importlib.util
import os
import shutil
import subprocess

import pytest

from runtime import cli
from tests.unit.source_files import TOP

_SOURCE = os.path.join(TOP, "packaging", "tools", "make_completions.py")
_SPEC = importlib.util.spec_from_file_location("make_completions", _SOURCE)
assert _SPEC is not None and _SPEC.loader is not None
make_completions = importlib.util.module_from_spec(_SPEC)  # another `packaging` comes with pip
_SPEC.loader.exec_module(make_completions)

FOLDER = os.path.join(TOP, "packaging", "completions")


@pytest.mark.parametrize("name", ["bash/octavo", "zsh/_octavo", "fish/octavo.fish"])
def test_they_are_current(name) -> None:
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        assert file.read() == make_completions.contents()[name], (
            "run packaging/tools/make_completions.py"
        )


@pytest.mark.parametrize(
    ("shell", "name"),
    [("bash", "bash/octavo"), ("zsh", "zsh/_octavo"), ("fish", "fish/octavo.fish")],
)
def test_their_shell_takes_them(shell, name) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = [shell, "-n", os.path.join(FOLDER, name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def complete(*words: str) -> list[str]:
    """What bash offers for the last word."""
    script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _octavo; printf "%s\\n" "${COMPREPLY[@]}"'
    command = ["bash", "-c", script, os.path.join(FOLDER, "bash/octavo"), "octavo", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_bash_completes() -> None:
    assert complete("") == [name for name, *_ in cli.available()]
    assert complete("bin") == ["binfmt"]
    assert complete("binfmt", "") == ["register", "unregister", "status", "export"]
    assert complete("binfmt", "register", "a") == ["aarch64", "arm", "all"]
    assert complete("binfmt", "register", "arm", "--name") == ["--name-prefix"]
    assert complete("binfmt", "register", "--name-prefix", "x") == []
    assert complete("binfmt", "export", "--format", "b") == ["binfmt.d"]
    assert complete("binfmt", "export", os.path.join(TOP, "pack")) == [
        os.path.join(TOP, "packaging")
    ]
    assert complete("run", "--ro") == ["--root"]
    assert complete("run", "--root", os.path.join(TOP, "pack")) == [os.path.join(TOP, "packaging")]
    assert complete("--v") == ["--version"]
    assert complete("nonsense", "") == [name for name, *_ in cli.available()]


def test_every_option_of_run_is_there() -> None:
    from runtime.run_command import _NAMES

    offered = {name.lstrip("-").rstrip("=") for name in complete("run", "-")}
    taken_and_ignored = {"p"}  # qemu-user's, not in the help
    assert {name.decode() for name in _NAMES} - taken_and_ignored <= offered
