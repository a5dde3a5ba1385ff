"""The manual pages: groff takes them without a warning, and nothing of the command line or configuration is missing."""

import os
import re
import shutil
import subprocess

import pytest

from runtime import config
from runtime.arch import processors
from runtime.version import VERSION
from tests.unit.source_files import TOP
from tests.unit.test_completions import make_completions

FOLDER = os.path.join(TOP, "packaging", "man")
PAGES = ("octavo.1", "octavo.yaml.5", "octavo-binfmt.8")


def text(page: str) -> str:
    with open(os.path.join(FOLDER, page), encoding="utf-8") as file:
        return file.read()


def plain(page: str) -> str:
    """Without the marks of roff."""
    return re.sub(r"\\f[A-Z]", "", text(page)).replace("\\-", "-")


@pytest.mark.parametrize("page", PAGES)
def test_groff_has_nothing_to_say(page) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-Tutf8", "-rF0", "-z", os.path.join(FOLDER, page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_the_version_is_the_projects(page) -> None:
    assert f'"Octavo {VERSION}"' in text(page).splitlines()[0]


def test_every_command_and_option_is_there() -> None:
    for path, command in make_completions._leaves(make_completions.tree()):
        page = plain("octavo-binfmt.8" if path[:1] == ("binfmt",) else "octavo.1")
        for word in path:
            assert re.search(rf"\b{word}\b", page), path
        for option in command.options:
            names = {name.rstrip("=") for name in option.names} - {"-h", "--help", "-V"}
            for name in names - ({"--version"} if not path else set()):
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page), (path, name)


def test_every_key_of_the_configuration_is_there() -> None:
    page = plain("octavo.yaml.5")
    for key in config.KEYS:
        assert f"\n.B {key}\n" in page, key
    for word in ("targets", "rules", "match", "target"):
        assert f"\n.B {word}\n" in page, word


def test_every_processor_is_there() -> None:
    page = plain("octavo.yaml.5")
    for name in processors.USUAL:
        for model in processors.names(name):
            assert re.search(rf"(?<![\w-]){re.escape(model)}(?![\w-])", page), (name, model)
