"""Who gets flag C: the command line first, else a key of a file that may be believed; and what status says of it."""

import os

import pytest

from binfmt import credentials, kernel
from binfmt.kernel import BinfmtError
from binfmt.registry import wanted
from runtime import config

ALL = ("aarch64", "arm", "mips")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """(system's file, owned by root as far as anybody can see; the user's file)"""
    system = tmp_path / "targets.yaml"
    user = tmp_path / "home/.config/octavo/targets.yaml"
    user.parent.mkdir(parents=True)
    monkeypatch.setattr(config, "SYSTEM_FILE", str(system))
    for name in ("OCTAVO_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kernel, "in_initial_namespace", lambda: True)
    own(monkeypatch, system, 0)
    return system, user


def own(monkeypatch, file, uid: int, mode: int = 0o644) -> None:
    real = os.stat

    def stat(path, **more):
        status = list(real(path, **more))
        if path == str(file):
            status[0], status[4] = 0o100000 | mode, uid
        return os.stat_result(status, {"st_mtime_ns": status[8] * 10**9})

    monkeypatch.setattr(os, "stat", stat)


def chosen(given=None, user=False):
    lines: list[str] = []
    return set(credentials.chosen(ALL, given, user, lines.append)), lines


def test_nobody_asks(places) -> None:
    assert chosen() == (set(), [])


def test_a_key_asks_for_its_target(places) -> None:
    places[0].write_text("targets: {arm: {credentials: true}, mips: {credentials: false}}\n")
    assert chosen() == ({"arm"}, [])
    places[0].write_text("targets: {default: {credentials: true}, mips: {credentials: false}}\n")
    assert chosen() == ({"aarch64", "arm"}, [])


def test_the_command_line_wins(places) -> None:
    places[0].write_text("targets: {arm: {credentials: true}, mips: {credentials: false}}\n")
    assert chosen(True) == (set(ALL), [])
    assert chosen(False) == (set(), [])


@pytest.mark.parametrize(("uid", "mode"), [(1000, 0o644), (0, 0o664), (0, 0o646)])
def test_only_roots_own_file_is_believed(places, monkeypatch, uid, mode) -> None:
    system = places[0]
    system.write_text("targets:\n  arm:\n    credentials: true\n")
    own(monkeypatch, system, uid, mode)
    found, lines = chosen()
    assert found == set()
    origin = f"{system}:3: targets.arm.credentials"
    assert lines == [credentials.NOT_BELIEVED.format(origin=origin, file=system)]


def test_the_users_file_counts_only_in_a_registry_of_the_users(places) -> None:
    system, user = places
    user.write_text("targets: {arm: {credentials: true}}\n")
    origin = f"{user}:1: targets.arm.credentials"
    assert chosen() == (set(), [credentials.NOT_BELIEVED.format(origin=origin, file=system)])
    assert chosen(user=True) == ({"arm"}, [])
    user.write_text("targets: {arm: {nonsense: true}}\n")
    assert chosen() == (set(), [])  # it is not asked for anything


def test_a_wrong_file_registers_nothing(places) -> None:
    places[0].write_text("targets: {arm: {credentials: maybe}}\n")
    with pytest.raises(
        BinfmtError, match=r"nothing was registered: .*'maybe' is not true or false"
    ):
        chosen()


def reason(flags: str, target: str = "arm") -> tuple[bool, str, str] | None:
    found = credentials.reason(target, wanted(target, "/octavo", flags))
    return None if found is None else (found.flag, found.origin, found.text)


def test_where_the_flag_came_from(places) -> None:
    asked = f"{places[0]}:1: targets.arm.credentials"
    assert reason("POF") is None
    assert reason("POCF") == (
        True, "--credentials", "flag C (--credentials; no configuration file asks for it)",
    )  # fmt: skip
    places[0].write_text("targets: {arm: {credentials: true}}\n")
    assert reason("POCF") == (True, asked, f"flag C ({asked})")
    assert reason("POF") == (
        False,
        "--no-credentials",
        f"no flag C, although {asked} asks for it: registered before it did, or with --no-credentials",
    )
    assert reason("POF", "mips") is None


def test_somebody_elses_flag_is_not_explained(places) -> None:
    entry = wanted("arm", "/octavo", "POCF")
    entry.magic = entry.magic[:9] + bytes(6) + entry.magic[15:]  # without our name
    assert not entry.ours
    assert credentials.reason("arm", entry) is None


def test_a_wrong_file_hides_the_reason_only(places) -> None:
    places[0].write_text("targets: {arm: {credentials: maybe}}\n")
    assert reason("POF") is None
    found = reason("POCF")
    assert found is not None
    assert found[2].startswith(f"flag C; {places[0]}:1: ")


def test_the_users_own_registry_has_the_users_files(places, monkeypatch) -> None:
    places[1].write_text("targets: {arm: {credentials: true}}\n")
    assert reason("POF") is None
    monkeypatch.setattr(kernel, "in_initial_namespace", lambda: False)
    assert reason("POCF") == (
        True, f"{places[1]}:1: targets.arm.credentials",
        f"flag C ({places[1]}:1: targets.arm.credentials)",
    )  # fmt: skip
