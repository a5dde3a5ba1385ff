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
    defaults: dict[str, object] = {**config.DEFAULTS, "env": {}}
    assert yaml.safe_load(shipped.read_text()) == {"targets": {"default": defaults}, "rules": []}
    assert set(defaults) == set(config.KEYS)


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
        (
            "targets:\n  arm:\n    page_size: 3k\n",
            3,
            ("targets.arm.page_size: page size '3k'", "or a power of two like 4k; possible: 4k"),
        ),
        (
            "targets:\n  arm64:\n    page_size: 3k\n",
            3,
            ("targets.aarch64.page_size", "possible: 4k, 16k, 64k"),
        ),
        (
            "targets:\n  arm:\n    page_size: 64k\n",
            3,
            ("targets.arm.page_size: arm has no pages of 64k; possible: 4k",),
        ),
        (
            "targets:\n  default:\n    page_size: 8k\n",
            3,
            ("no target has pages of 8k; possible: 4k, 16k, 64k",),
        ),
        ("targets:\n  arm:\n    page_size: big\n", 3, ("targets.arm.page_size", "possible: 4k")),
        ("targets:\n  arm:\n    mmap_min_addr: low\n", 3, ("targets.arm.mmap_min_addr", "64k")),
        ("targets:\n  arm:\n    view: chroot\n", 3, ("sysroot or container",)),
        ("targets:\n  ? [arm]\n  : {}\n", 2, ("a key must be a word",)),
        ("targets:\n  arm:\n    env: [A]\n", 3, ("env is not a table",)),
        ("targets:\n  arm:\n    env:\n      A=B: c\n", 4, ("'A=B'", "variable")),
        ("targets:\n  arm:\n    env: {A: [b]}\n", 3, ("variable A", "one value")),
        ("rules: {match: /x}\n", 1, ("rules is not a list",)),
        ("rules:\n- page_size: 4k\n", 2, ("rules[1] has no match",)),
        ("rules:\n- match: x\n", 2, ("rules[1].match", "'x'", "absolute")),
        ("rules:\n- match: /x\n  target: default\n", 3, ("unknown target 'default'",)),
        ("rules:\n- match: /x\n  root: /srv\n", 3, ("rules[1].root", "belongs to a target")),
        ("rules:\n- match: /x\n  pagesize: 4k\n", 3, ("'pagesize'", "did you mean 'page_size'?")),
        (
            "rules:\n- match: /x\n  target: arm\n  page_size: 16k\n",
            4,
            ("rules[1].page_size: arm has no pages of 16k; possible: 4k",),
        ),
        ("targets:\n  arm:\n    page_size: [4k]\n", 3, ("one value",)),
        (
            "targets:\n  arm:\n    credentials: yes\n",
            3,
            ("targets.arm.credentials: 'yes' is not true or false",),
        ),
        (
            "targets:\n  arm:\n    engine: tcg\n",
            3,
            ("targets.arm.engine: 'tcg' is not auto or unicorn",),
        ),
        (
            "targets:\n  arm:\n    cpu: cortex-a53\n",
            3,
            ("targets.arm.cpu: arm has no processor 'cortex-a53'; nearest: cortex-a", "-cpu help"),
        ),
        (
            "targets:\n  mips:\n    cpu: 74Kf\n",
            3,
            ("targets.mips.cpu: mips has no processor '74Kf'; possible: 24Kf, max",),
        ),
        (
            "targets:\n  default:\n    cpu: cortex-a53\n",
            3,
            ("targets.default.cpu: 'cortex-a53'", "to a target; possible here: auto, max"),
        ),
        (
            "rules:\n- match: /x\n  cpu: cortex-a53\n",
            3,
            ("rules[1].cpu: 'cortex-a53'", "to a rule that names its target"),
        ),
        (
            "rules:\n- match: /x\n  credentials: true\n",
            3,
            ("rules[1].credentials: belongs to a target",),
        ),
        ("rules:\n- match: /x\n  engine: auto\n", 3, ("rules[1].engine: belongs to a target",)),
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


def test_rules_are_for_programs(places):
    environment, system, user, _ = places
    system.write_text(
        "targets: {default: {page_size: 16k, env: {A: 1, B: 2}}}\n"
        "rules:\n"
        "- match: /usr/bin/java\n"
        "  page_size: 4k\n"
        "  env: {A: null, C: x y}\n"
        "- {match: '*/jvm/*', target: arm, stack: 1m}\n"
    )
    user.write_text("rules:\n- {match: /usr/bin/java, page_size: 64k, target: aarch64}\n")
    loaded = config.load(environment)
    plain = loaded.target("aarch64", [b"/usr/bin/true"])
    assert (plain.page_size, plain.env, plain.ruled) == (16384, {"A": "1", "B": "2"}, frozenset())
    java = loaded.target("aarch64", [b"/usr/bin/java"])
    assert java.page_size == 65536  # the later file's rule
    assert java.env == {"A": None, "B": "2", "C": "x y"}
    assert java.ruled_env == {"A", "C"}
    assert java.origin("page_size") == f"{user}:2: rules[1].page_size"
    other = loaded.target("riscv64", [b"./java", b"/usr/bin/java"])
    assert other.origin("page_size") == f"{system}:4: rules[1].page_size"
    assert loaded.target("arm", [b"/opt/jvm/bin/x"]).stack == 1 << 20
    assert loaded.target("aarch64", [b"/opt/jvm/bin/x"]).stack is None
    again = config.load(environment).target("arm", [b"/opt/jvm/bin/x"])  # out of the cache
    assert again.origin("stack") == f"{system}:6: rules[2].stack"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/a", b"/a", True),
        ("/a", b"/a/b", False),
        ("/a*", b"/a/b", True),
        ("*", b"/x", True),
        ("*/x", b"/usr/x", True),
        ("*/x", b"/usr/xy", False),
        ("/a*b*c", b"/a-b-c", True),
        ("/a*b*c", b"/a-c-b", False),
        ("/ab*ba", b"/aba", False),
        ("/a**b", b"/ab", True),
    ],
)
def test_patterns(pattern, path, fits):
    assert config.matches(pattern, path) == fits


def test_what_the_configuration_mentions(places):
    environment, system, _, _ = places
    system.write_text("rules: [{match: /x, page_size: throughput}]\n")
    loaded = config.load(environment)
    assert loaded.mentions("page_size", "throughput")
    assert not loaded.mentions("page_size", 4096)  # not a page: a value
    assert not loaded.has("root")
    assert loaded.says("page_size")
    assert not loaded.says("cpu")


def test_processors_are_called_as_they_are(places):
    environment, system, user, _ = places
    system.write_text(
        "targets: {default: {cpu: MAX}, arm64: {cpu: Cortex-A53}, mips: {cpu: 24kf}}\n"
    )
    user.write_text("rules: [{match: /x, target: aarch64, cpu: auto}, {match: /y, cpu: max}]\n")
    loaded = config.load(environment)
    names = {name: loaded.target(name).cpu for name in ("aarch64", "arm", "mips", "riscv64")}
    assert names == {"aarch64": "cortex-a53", "arm": "max", "mips": "24Kf", "riscv64": "max"}
    assert loaded.target("aarch64", [b"/x"]).cpu == "auto"
    assert loaded.target("aarch64", [b"/y"]).cpu == "max"
    assert loaded.says("cpu")


def test_privileged_programs_believe_only_roots_own_file(places, monkeypatch):
    environment, system, user, _ = places
    system.write_text("targets: {arm: {stack: 1m}}\n")
    user.write_text("targets: {arm: {stack: 2m}}\n")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    real = os.stat

    def owned(uid, mode):
        def stat(path, **more):
            if path != str(system):
                return real(path, **more)
            status = list(real(path))
            status[0], status[4] = 0o100000 | mode, uid
            return os.stat_result(status, {"st_mtime_ns": 0})

        return stat

    for uid, mode, stack in ((0, 0o644, 1 << 20), (1000, 0o644, None), (0, 0o664, None)):
        monkeypatch.setattr(os, "stat", owned(uid, mode))
        assert config.load(environment).target("arm").stack == stack


def test_the_schema_accepts_what_the_reader_accepts():
    jsonschema = pytest.importorskip("jsonschema")
    from runtime.config import keys

    schema = keys.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    good = (
        "targets: {default: {page_size: 16k, stack: auto, env: {A: null}, root: null, log: none}}",
        "rules: [{match: /x, target: arm64, page_size: throughput, mmap_min_addr: 0}]",
        "targets: {armhf: {page_size: 4096, credentials: true, engine: unicorn}}",
        "rules: [{match: /x, target: arm64, cpu: cortex-a53}]",
        "targets:\nrules:",
    )
    bad = (
        "targets: {arm: {pagesize: 4k}}",
        "targets: {nope: {}}",
        "rules: [{page_size: 4k}]",
        "rules: [{match: /x, root: /srv}]",
        "targets: {arm: {view: chroot}}",
        "targets: {arm: {credentials: 1}}",
        "targets: {arm: {engine: tcg}}",
        "targets: {arm: {cpu: 8086}}",
        "rules: [{match: /x, credentials: true}]",
    )
    for text in good:
        check.validate(yaml.safe_load(text))
    for text in bad:
        assert not check.is_valid(yaml.safe_load(text)), text
