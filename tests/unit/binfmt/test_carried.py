"""The launcher that carries the configuration: when a copy is made, where, and what can go wrong."""

import os
import stat
import struct

import pytest

from binfmt import carried, settings
from binfmt.kernel import BinfmtError
from runtime import config

ROOM = 1000


def launcher(text: bytes = b"") -> bytes:
    """The least that settings.py takes for a launcher: section headers, their names, the section."""
    names = b"\0" + settings.SECTION + b"\0"
    body = settings.MARK + struct.pack("<I", len(text)) + text.ljust(ROOM, b"\0")
    at = 64 + len(names)
    rows = [(0, 64, len(names)), (1, at, len(body))]
    table = b"".join(
        settings._HEADER.pack(name, 1, 0, 0, place, size, 0, 0, 1, 0) for name, place, size in rows
    )
    head = bytearray(64)
    head[:7] = b"\x7fELF\x02\x01\x01"
    struct.pack_into("=Q", head, settings.E_SHOFF, at + len(body))
    struct.pack_into("=HHH", head, settings.E_SHENTSIZE, 64, 2, 0)
    return bytes(head) + names + body + table


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A launcher, and a system's configuration file that does not exist yet."""
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path / "targets.yaml"))
    for name in ("OCTAVO_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "octavo").write_bytes(launcher())
    return tmp_path


def configure(place, release: str) -> None:
    (place / "targets.yaml").write_text(f"targets:\n  arm:\n    uname_release: {release}\n")


def test_without_a_configuration_it_is_the_file_itself(place) -> None:
    assert carried.prepare(str(place / "octavo"), False, str(place / "var")) == str(
        place / "octavo"
    )
    assert not (place / "var").exists()


def test_a_configuration_is_carried(place) -> None:
    configure(place, "6.66")
    path = carried.prepare(str(place / "octavo"), False, str(place / "var"))
    assert path == str(place / "var/launcher")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o755
    with open(path, "rb") as file:
        values = settings.read(file.read())
    assert config.restore(values).target("arm").uname_release == b"6.66"
    assert os.listdir(place / "var") == ["launcher"]
    assert not carried.stale(path)
    configure(place, "6.67-other")
    assert carried.stale(path)


def test_a_new_copy_is_a_new_inode(place) -> None:
    """The old one is pinned and may be running."""
    configure(place, "6.66")
    path = carried.prepare(str(place / "octavo"), False, str(place / "var"))
    with open(path, "rb") as held:
        again = carried.prepare(str(place / "octavo"), False, str(place / "var"))
        assert again == path
        assert os.fstat(held.fileno()).st_ino != os.stat(path).st_ino


def test_what_was_carried_is_dropped_with_the_configuration(place) -> None:
    configure(place, "6.66")
    path = carried.prepare(str(place / "octavo"), False, str(place / "var"))
    (place / "targets.yaml").unlink()
    assert carried.stale(path)
    assert carried.prepare(str(place / "octavo"), False, str(place / "var")) == str(
        place / "octavo"
    )


def test_the_users_file_counts_only_in_the_users_namespace(place) -> None:
    own = place / "home/.config/octavo"
    own.mkdir(parents=True)
    (own / "targets.yaml").write_text("targets:\n  arm:\n    uname_release: mine\n")
    assert carried.prepare(str(place / "octavo"), False) == str(place / "octavo")
    path = carried.prepare(str(place / "octavo"), True)
    assert path == str(place / "cache/octavo/launcher")
    assert not carried.stale(path)


def test_other_handlers_are_taken_as_they_are(place) -> None:
    configure(place, "6.66")
    script = place / "script"
    script.write_text("#!/bin/sh\n")
    assert carried.prepare(str(script), False, str(place / "var")) == str(script)
    assert not carried.stale(str(script))
    assert not carried.stale("/nowhere")


def test_a_wrong_configuration_registers_nothing(place) -> None:
    (place / "targets.yaml").write_text("targets:\n  arm:\n    nonsense: 1\n")
    with pytest.raises(BinfmtError) as caught:
        carried.prepare(str(place / "octavo"), False, str(place / "var"))
    assert str(caught.value).startswith(
        f"the configuration is wrong, nothing was registered: {place}/targets.yaml:3: unknown key"
    )


def test_no_place_for_the_copy(place) -> None:
    configure(place, "6.66")
    (place / "file").write_text("")
    with pytest.raises(BinfmtError) as caught:
        carried.prepare(str(place / "octavo"), False, str(place / "file"))
    assert str(caught.value) == (
        f"{place}/file/launcher: the launcher with the configuration cannot be written: File exists"
    )


def test_a_full_disk_leaves_the_old_copy(place, monkeypatch) -> None:
    configure(place, "6.66")
    path = carried.prepare(str(place / "octavo"), False, str(place / "var"))
    before = os.stat(path).st_ino
    configure(place, "6.67")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BinfmtError, match="cannot be written: No space left on device"):
        carried.prepare(str(place / "octavo"), False, str(place / "var"))
    assert os.listdir(place / "var") == ["launcher"]
    assert os.stat(path).st_ino == before


def test_no_launcher(place) -> None:
    with pytest.raises(BinfmtError, match="/none: the handler cannot be read: No such file"):
        carried.prepare("/none", False)
