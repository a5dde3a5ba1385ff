"""Which file becomes the handler, and which one the kernel holds."""

import os
import sys

import pytest

from binfmt import handler, magic
from binfmt.kernel import BinfmtError


def program(path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """No launcher anywhere: where it is installed, where it is built, and no octavo command."""
    installed = tmp_path / "libexec/octavo"
    monkeypatch.setattr(handler, "PLACES", (str(installed),))
    monkeypatch.setattr(handler, "BUILT", str(tmp_path / "build/octavo"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin/octavo")])
    return tmp_path


def test_the_launcher_that_is_installed_comes_first(places) -> None:
    built = program(places / "build/octavo")
    assert handler.default() == built
    installed = program(places / "libexec/octavo")
    assert handler.default() == installed


def test_without_a_launcher_the_command_itself(places) -> None:
    script = program(places / "bin/octavo")
    assert handler.default() == script


def test_without_any(places) -> None:
    with pytest.raises(BinfmtError) as caught:
        handler.default()
    assert str(caught.value) == (
        f"no launcher found ({places}/libexec/octavo, {places}/build/octavo): make launcher builds it, "
        "--interpreter names another"
    )


def test_on_disk(tmp_path) -> None:
    path = tmp_path / "x"
    assert handler.on_disk(os.fsencode(path)) is None
    path.write_text("")
    state = path.stat()
    assert handler.on_disk(os.fsencode(path)) == (state.st_dev, state.st_ino)
    assert handler.on_disk(os.fsencode(path / "below")) is None


def test_what_no_handler_takes_is_not_pinned(monkeypatch) -> None:
    """The probe of a target that the kernel starts nothing for, and of a machine that lets nobody look."""
    monkeypatch.setattr(magic, "header", lambda facts: b"\0not a program")
    assert handler.pinned("aarch64") is None

    def refused(name: str, flags: int) -> int:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refused)
    assert handler.pinned("aarch64") is None
