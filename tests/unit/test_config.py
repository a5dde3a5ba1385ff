"""Configuration: layers, the cache, and errors that name file, line and the nearest valid key."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runtime import config
from runtime.config import ConfigError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """(environment, system file, user file, file named by OCTAVO_CONFIG)"""
    system = tmp_path / "etc" / "targets.yaml"
    user = tmp_path / "home" / ".config" / "octavo" / "targets.yaml"
    named = tmp_path / "named.yaml"
    system.parent.mkdir()
    user.parent.mkdir(parents=True)
    monkeypatch.setattr(config, "SYSTEM_FILE", str(system))
    return {"HOME": str(tmp_path / "home")}, system, user, named


def test_no_files(places):
    target = config.load(places[0]).target("aarch64")
    assert (target.page_size, target.root, target.stack, target.log) == (
        "auto",
        None,
        None,
        "stderr",
    )
    assert target.uname_release is None
    assert target.origin("page_size") == "default"


def test_the_shipped_file_says_the_defaults():
    shipped = Path(config.__file__).with_name("targets.yaml")
    assert yaml.safe_load(shipped.read_text()) == {"targets": {"default": config.DEFAULTS}}


def test_later_files_win_key_by_key(places):
    environment, system, user, named = places
    system.write_text(
        "targets:\n  aarch64:\n    page_size: 4k\n    root: /srv/a\n  default:\n    stack: 1m\n"
    )
    user.write_text("targets:\n  arm64: {page_size: 16k, uname_release: 6.1.0}\n")
    named.write_text("targets:\n  aarch64:\n\n    page_size: host\n    log: none\n")
    target = config.load({**environment, "OCTAVO_CONFIG": str(named)}).target("aarch64")
    assert target.page_size == "host"
    assert target.origin("page_size") == f"{named}:4: targets.aarch64.page_size"
    assert target.root == b"/srv/a"
    assert target.uname_release == b"6.1.0"
    assert target.stack == 1 << 20
    assert target.log == "none"
    assert config.load(environment).target("aarch64").page_size == 16384
    other = config.load(environment).target("arm")
    assert (other.page_size, other.stack) == ("auto", 1 << 20)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("targets:\n  arm:\n    pagesize: 4k\n", 3, ("'pagesize'", "did you mean 'page_size'?")),
        ("targets:\n  arm:\n    qqq: 4k\n", 3, ("'qqq'", "uname_release")),
        ("targets:\n  aarhc64: {}\n", 2, ("'aarhc64'", "did you mean 'aarch64'?")),
        ("target:\n  arm: {}\n", 1, ("'target'", "'targets'")),
        ("targets:\n  arm:\n    page_size: 3k\n", 3, ("targets.arm.page_size", "power of two")),
        ("targets:\n  arm:\n    page_size: big\n", 3, ("targets.arm.page_size", "4k, 16k, 64k")),
        ("targets:\n  arm:\n    page_size: [4k]\n", 3, ("one value",)),
        ("targets:\n  arm:\n    stack: much\n", 3, ("targets.arm.stack", "8m")),
        ("targets:\n  arm:\n    root: srv\n", 3, ("targets.arm.root", "absolute")),
        ("targets:\n  arm:\n    log: here\n", 3, ("targets.arm.log", "absolute")),
        ("targets:\n  arm:\n    uname_release: ''\n", 3, ("1 to 64",)),
        ("targets:\n  arm:\n    stack: 1m\n    stack: 2m\n", 4, ("'stack'", "line 3")),
        ("targets: 5\n", 1, ("not a table",)),
        ("- targets\n", 1, ("not a table",)),
        ("targets:\n  arm: [\n", 3, ("not YAML",)),
        ("a: \x07\n", 1, ("not YAML",)),
    ],
)
def test_errors(places, text, line, words):
    environment, system, _, _ = places
    system.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(environment)
    message = str(caught.value)
    assert message.startswith(f"{system}:{line}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_named_file_must_exist(places):
    with pytest.raises(ConfigError, match="OCTAVO_CONFIG"):
        config.load({**places[0], "OCTAVO_CONFIG": "/absent/file"})


@pytest.mark.parametrize("text", ["", "# nothing\n", "targets:\n", "targets:\n  arm:\n"])
def test_empty_files(places, text):
    places[1].write_text(text)
    assert config.load(places[0]).target("arm").page_size == "auto"


def test_the_cache_is_used_and_follows_the_file(places, monkeypatch):
    from runtime.config import file as config_file

    environment, system, _, _ = places
    calls = []
    real = config_file.parse

    def parse(names):
        calls.append(names)
        return real(names)

    monkeypatch.setattr(config_file, "parse", parse)
    system.write_text("targets: {arm: {stack: 1m}}\n")
    assert config.load(environment).target("arm").stack == 1 << 20
    again = config.load(environment).target("arm")
    assert again.stack == 1 << 20
    assert again.origin("stack") == f"{system}:1: targets.arm.stack"
    assert len(calls) == 1
    system.write_text("targets: {arm: {stack: 16m}}\n")
    assert config.load(environment).target("arm").stack == 1 << 24
    assert len(calls) == 2


@pytest.mark.parametrize("damage", [b"", b"x", b"\xe9\xff\xff\xff\x7f", None])
def test_a_damaged_or_foreign_cache_is_not_believed(places, damage):
    environment, system, _, _ = places
    system.write_text("targets: {arm: {stack: 1m}}\n")
    config.load(environment)
    cache = Path(environment["HOME"], ".cache", "octavo", "targets")
    assert cache.stat().st_mode & 0o777 == 0o600
    if damage is None:
        cache.chmod(0o666)
    else:
        cache.write_bytes(damage)
    assert config.load(environment).target("arm").stack == 1 << 20


def test_a_cache_that_cannot_be_written_is_no_error(places):
    environment, system, _, _ = places
    system.write_text("targets: {arm: {stack: 1m}}\n")
    environment = {**environment, "XDG_CACHE_HOME": "/proc"}
    assert config.load(environment).target("arm").stack == 1 << 20


def test_a_cached_start_imports_no_yaml(places):
    environment, _, _, named = places
    named.write_text("targets: {arm: {stack: 1m}}\n")
    environment = {**environment, "OCTAVO_CONFIG": str(named)}
    config.load(environment)
    script = (
        "import sys; from runtime import config; assert config.load().target('arm').stack == 1 << 20; "
        "sys.exit('yaml' in sys.modules)"
    )
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": here, "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0
