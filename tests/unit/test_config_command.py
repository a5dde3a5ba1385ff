"""octavo config: what it shows, checks, and offers to editors."""

import argparse
import json

import pytest
import yaml

from runtime import config, config_command
from runtime.command_error import CommandError


@pytest.fixture
def user_file(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OCTAVO_CONFIG", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / ".config" / "octavo" / "targets.yaml"
    path.parent.mkdir(parents=True)
    return path


def run(capsys, *words) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    config_command.configure(parser)
    status = config_command.execute(parser.parse_args([str(word) for word in words]))
    return status, capsys.readouterr().out


TEXT = """\
targets:
  default: {stack: 1m, env: {A: 'x: "y"'}}
  arm64: {page_size: 64k, uname_release: 6.10}
rules:
- {match: /usr/bin/x, page_size: 16k, env: {A: null}}
"""


def test_show_prints_a_file_that_says_the_same(user_file, capsys, tmp_path):
    user_file.write_text(TEXT)
    status, text = run(capsys, "show")
    assert status == 0
    assert f"page_size: 64k  # {user_file}:3: targets.aarch64.page_size" in text
    assert f'uname_release: "6.10"  # {user_file}:3' in text
    shown = config_command.collect(config.load(), None, None)["targets"]
    user_file.write_text(text)
    again = config_command.collect(config.load(), None, None)["targets"]
    for name, rows in shown.items():
        for key in config.DEFAULTS:
            assert again[name][key]["value"] == rows[key]["value"], (name, key)
        values = {key: row["value"] for key, row in rows["env"].items()}
        assert values == {key: row["value"] for key, row in again[name]["env"].items()}
    assert set(yaml.safe_load(text)["targets"]) == set(shown)


def test_show_for_one_program(user_file, capsys):
    user_file.write_text(TEXT)
    status, text = run(capsys, "show", "arm64", "--program", "/usr/bin/x", "--json")
    report = json.loads(text)
    assert status == 0
    assert list(report["targets"]) == ["aarch64"]
    rows = report["targets"]["aarch64"]
    assert rows["page_size"] == {"value": 16384, "from": f"{user_file}:5: rules[1].page_size"}
    assert rows["env"]["A"]["value"] is None
    assert rows["log"] == {"value": "stderr", "from": "default"}
    with pytest.raises(CommandError, match="vax: no such target"):
        run(capsys, "show", "vax")


def test_show_of_a_wrong_file_is_one_line(user_file, capsys):
    user_file.write_text("targets: {arm: {pagesize: 4k}}\n")
    with pytest.raises(CommandError, match=r"targets.yaml:1: unknown key 'pagesize'"):
        run(capsys, "show")


def test_check_reads_every_file(user_file, capsys, tmp_path, monkeypatch):
    user_file.write_text("targets: {arm: {page_size: 64k}}\n")
    status, text = run(capsys, "check")
    assert status == 1
    assert text == (
        f"{tmp_path}/absent: not there\n"
        f"{user_file}:1: targets.arm.page_size: arm has no pages of 64k; possible: 4k\n"
    )
    good = tmp_path / "good.yaml"
    good.write_text(TEXT)
    status, text = run(capsys, "check", user_file, good, tmp_path / "none")
    assert status == 1
    assert text.splitlines()[1:] == [
        f"{good}: good",
        f"{tmp_path}/none: No such file or directory",
    ]
    assert run(capsys, "check", good) == (0, f"{good}: good\n")
    user_file.unlink()
    monkeypatch.setenv("OCTAVO_CONFIG", str(tmp_path / "none"))
    assert run(capsys, "check")[0] == 1  # a file that is named has to be there


def test_schema_is_json(user_file, capsys):
    status, text = run(capsys, "schema")
    schema = json.loads(text)
    assert status == 0
    assert set(schema["$defs"]["target"]["properties"]) == set(config.KEYS)
    assert set(schema["$defs"]["rule"]["properties"]) == {"match", "target", *config.RULE_KEYS}
    assert all("description" in row for row in schema["$defs"]["target"]["properties"].values())
