"""Files of binfmt.d and update-binfmts, written and read."""

import os
import shutil
import subprocess

import pytest

from binfmt import formats, magic
from binfmt.formats import BINFMT_D, UPDATE_BINFMTS
from binfmt.kernel import BinfmtError
from binfmt.registry import wanted
from runtime import arch

HANDLER = "/usr/libexec/octavo/octavo"


def entries(flags: str = "POF"):
    return [(name, wanted(name, HANDLER, flags)) for name in magic.targets()]


def test_binfmt_d(tmp_path) -> None:
    written: list[str] = []
    formats.export(entries(), BINFMT_D, str(tmp_path / "new"), written.append)
    assert written[0] == str(tmp_path / "new/qemu-aarch64.conf")
    with open(written[0], encoding="ascii") as file:
        comment, rule, rest = file.read().split("\n")
    assert (comment, rest) == ("# octavo runs programs for aarch64", "")
    assert rule.encode() == entries()[0][1].record()
    # binfmt.d(5): the rule is written to the kernel as it is
    assert rule.startswith(":qemu-aarch64:M:0:\\x7f\\x45\\x4c\\x46")
    assert rule.endswith(f":{HANDLER}:POF")


def test_update_binfmts(tmp_path) -> None:
    formats.export(entries("POCF"), UPDATE_BINFMTS, str(tmp_path))
    text = (tmp_path / "qemu-riscv64").read_text()
    rows = dict(line.split(" ", 1) for line in text.splitlines())
    assert list(rows) == [
        "package", "interpreter", "magic", "offset", "mask", "credentials", "fix_binary", "preserve",
    ]  # fmt: skip
    own = magic.of(arch.load("riscv64"))
    assert formats.unescape(rows["magic"].encode()) == own.magic
    assert formats.unescape(rows["mask"].encode()) == own.mask
    assert (rows["credentials"], rows["fix_binary"], rows["preserve"]) == ("yes", "yes", "yes")


@pytest.mark.parametrize("form", formats.FORMATS)
def test_ours_are_replaced_and_others_left_alone(tmp_path, form) -> None:
    formats.export(entries(), form, str(tmp_path))
    formats.export(entries("PF"), form, str(tmp_path))
    name = "qemu-arm.conf" if form == BINFMT_D else "qemu-arm"
    (tmp_path / name).write_text("somebody's\n")
    with pytest.raises(BinfmtError) as caught:
        formats.export(entries(), form, str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}/{name}: exists, not written by octavo, and is left alone"
    )
    assert (tmp_path / name).read_text() == "somebody's\n"
    assert not [path for path in os.listdir(tmp_path) if path.endswith(str(os.getpid()))]


@pytest.mark.skipif(not shutil.which("update-binfmts"), reason="binfmt-support is not installed")
def test_update_binfmts_takes_our_files(tmp_path) -> None:
    for name in ("import", "admin"):
        (tmp_path / name).mkdir()
    formats.export(
        [(name, wanted(name, "/bin/true", "POF")) for name in magic.targets()],
        UPDATE_BINFMTS,
        str(tmp_path / "import"),
    )
    command = [
        "update-binfmts", "--test", "--admindir", str(tmp_path / "admin"), "--importdir",
        str(tmp_path / "import"), "--import", "qemu-arm",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_which_files_are_in_force(tmp_path) -> None:
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    etc.mkdir()
    lib.mkdir()
    for name in ("a.conf", "b.conf", "c.conf", "d.txt"):
        (lib / name).write_text("# x\n")
    (etc / "a.conf").symlink_to("/dev/null")
    (etc / "b.conf").write_text("# ours\n")
    (etc / "e.conf").write_text("")
    assert formats.files([str(etc), str(lib), str(tmp_path / "none")]) == [
        str(etc / "b.conf"), str(lib / "c.conf"),
    ]  # fmt: skip


def test_who_wins_at_boot(tmp_path) -> None:
    formats.export(entries()[:1], BINFMT_D, str(tmp_path))
    facts = arch.load("aarch64")
    rule = wanted("aarch64", "/usr/bin/rosetta", "F", "zz-")
    (tmp_path / "zz-rosetta.conf").write_bytes(b"; x\n\n" + rule.record() + b"\n:bad\n")
    found = formats.at_boot("aarch64", [str(tmp_path)])
    assert [(os.path.basename(path), entry.interpreter) for path, entry in found] == [
        ("qemu-aarch64.conf", HANDLER.encode()), ("zz-rosetta.conf", b"/usr/bin/rosetta"),
    ]  # fmt: skip
    assert found[0][1].matches(magic.header(facts))
    assert formats.at_boot("arm", [str(tmp_path)]) == []


def test_unescape() -> None:
    assert formats.unescape(rb"\x7fELF\x00\xzz\x1") == b"\x7fELF\0\\xzz\\x1"
