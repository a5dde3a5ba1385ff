"""octavo explain: what it says of programs, scripts, sysroots and damage."""

import argparse
import json

import pytest

from runtime import config, explain
from tests.elf_files import PT_INTERP, elf, segment, write


@pytest.fixture(autouse=True)
def no_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCTAVO_CONFIG", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def dynamic(arch: str) -> bytes:
    interp = segment(PT_INTERP, offset=0x200, filesz=8)
    content = elf(arch, [interp, segment(vaddr=0x400000, filesz=0x200)]).ljust(0x200, b"\0")
    return content + b"/ld.so.\0"


def run(capsys, *words) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    explain.configure(parser)
    status = explain.execute(parser.parse_args([str(word) for word in words]))
    return status, capsys.readouterr().out


def test_static_program(tmp_path, capsys):
    write(tmp_path / "prog", elf("ppc64le", [segment(vaddr=0x10000000, filesz=0x100)], size=0x100))
    status, text = run(capsys, tmp_path / "prog")
    assert status == 0
    assert "for ppc64 (64-bit, little-endian)" in text
    assert "static, fixed at 0x10000000" in text
    assert "page size" in text
    assert "  engine        unicorn (default)\n" in text
    assert "  processor     power9 (default)\n" in text
    assert "  processor     power9 (--cpu)\n" in run(capsys, "--cpu", "max", tmp_path / "prog")[1]
    status, text = run(capsys, "--cpu", "power8", tmp_path / "prog")
    assert status == 1
    assert "--cpu: ppc64le has no processor 'power8'; possible: power9, max\n" in text


def test_missing_and_found_interpreter(tmp_path, capsys):
    write(tmp_path / "prog", dynamic("arm"))
    status, text = run(capsys, tmp_path / "prog")
    assert status == 1
    assert "problem       /ld.so.: no such file (on the host)" in text
    root = tmp_path / "root"
    root.mkdir()
    write(root / "ld.so.", elf("arm", [segment(filesz=0x50, align=0x1000)], elf_type=3, size=0x100))
    status, text = run(capsys, "-L", root, tmp_path / "prog")
    assert status == 0
    assert f"interpreter   /ld.so. (found: {root}/ld.so.)" in text
    write(root / "ld.so.", elf("mips", [segment(filesz=0x50)], elf_type=3, size=0x100))
    status, text = run(capsys, "-L", root, tmp_path / "prog")
    assert status == 1
    assert "/ld.so.: is mips (32-bit, big-endian), the program is for arm" in text


def test_json(tmp_path, capsys):
    write(
        tmp_path / "prog",
        elf("aarch64", [segment(vaddr=0x400000, filesz=0x100, align=0x1000)], size=0x100),
    )
    status, text = run(capsys, "--json", tmp_path / "prog")
    report = json.loads(text)
    assert status == 0
    assert report["architecture"] == "aarch64"
    assert report["page_size"]["guest"] == 4096
    assert report["segments"][0]["alignment"] == 4096
    assert report["problems"] == []


def test_script(tmp_path, capsys):
    write(tmp_path / "prog", elf("riscv64", [segment(vaddr=0x10000, filesz=0x100)], size=0x100))
    write(tmp_path / "script", f"#!{tmp_path}/prog -x y\n".encode())
    status, text = run(capsys, tmp_path / "script")
    assert status == 0
    assert f"is run by {tmp_path}/prog with the argument '-x y'" in text
    write(tmp_path / "script", b"#!/absent\n")
    status, text = run(capsys, tmp_path / "script")
    assert status == 1
    assert "/absent: interpreter of" in text


def test_scripts_without_end(tmp_path, capsys):
    write(tmp_path / "script", f"#!{tmp_path}/script\n".encode())
    status, text = run(capsys, tmp_path / "script")
    assert status == 1
    assert f"{tmp_path}/script: more than 5 #! interpreters in a row" in text


def test_refusals(tmp_path, capsys):
    write(
        tmp_path / "prog",
        elf("arm", [segment(vaddr=0x10000, filesz=0x100, align=0x1000)], size=0x100),
    )
    status, text = run(capsys, "--page-size", "64k", tmp_path / "prog")
    assert status == 1
    assert "--page-size: arm has no pages of 64k; possible: 4k" in text
    write(tmp_path / "empty", b"")
    assert "the file is empty" in run(capsys, tmp_path / "empty")[1]
    assert "no such file" in run(capsys, tmp_path / "absent")[1]
    configuration = tmp_path / ".config" / "octavo" / "targets.yaml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("targets: {arm: {page_size: 64k}}\n")
    text = run(capsys, tmp_path / "prog")[1]
    assert f"{configuration}:1: targets.arm.page_size: arm has no pages of 64k" in text


def test_rules_libraries_and_what_they_allow(tmp_path, capsys):
    from tests.unit.test_libraries import library

    root = tmp_path / "root"
    for name in ("bin", "lib"):
        (root / name).mkdir(parents=True)
    write(root / "bin/x", library("aarch64", [b"liba.so"]))
    write(root / "bin/y", dynamic("aarch64"))
    write(root / "lib/liba.so", library("aarch64", align=0x4000))
    report = explain.explain("/bin/y", root=str(root))
    assert report["interpreter"]["found"] is None
    configuration = tmp_path / ".config" / "octavo" / "targets.yaml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        "rules:\n- {match: /bin/x, page_size: 64k, mmap_min_addr: 70000, env: {A: b}}\n"
        "targets: {arm64: {engine: unicorn, cpu: cortex-a72}}\n"
    )
    status, text = run(capsys, "--root", root, "/bin/x")
    assert status == 0
    assert f"{configuration}:2: rules[1].page_size asks for 64k" in text
    assert f"  engine        unicorn ({configuration}:3: targets.aarch64.engine)\n" in text
    assert f"  processor     cortex-a72 ({configuration}:3: targets.aarch64.cpu)\n" in text
    assert f"variable      A: b ({configuration}:2: rules[1].env.A)" in text
    report = explain.explain("/bin/x", root=str(root))
    assert report["mmap_min_addr"]["value"] == 128 << 10
    assert report["page_size"]["guest"] == 64 << 10


def test_a_library_that_is_missing_or_laid_out_for_small_pages(tmp_path, capsys):
    from tests.unit.test_libraries import library

    root = tmp_path / "root"
    for name in ("bin", "lib"):
        (root / name).mkdir(parents=True)
    write(root / "bin/x", library("aarch64", [b"liba.so", b"libb.so"], interpreter=b"/lib/ld.so"))
    write(root / "lib/ld.so", library("aarch64"))
    write(root / "lib/liba.so", library("aarch64", align=0x1000))
    status, text = run(capsys, "--root", root, "--page-size", "64k", "/bin/x")
    assert status == 1
    assert f"problem       libb.so: library needed by /bin/x, not found under {root}" in text
    assert "library       libb.so (missing), needed by /bin/x" in text
    assert "too little for the program's pages of 64k; page sizes that work: 4k" in text


def test_what_the_kernel_would_do(tmp_path, monkeypatch, capsys):
    """The newest entry that fits wins; without one execve fails, and the way out is named."""
    from binfmt.kernel import Registry

    directory = tmp_path / "binfmt_misc"
    directory.mkdir()
    for name, text in (("register", ""), ("status", "enabled\n")):
        (directory / name).write_text(text)
    monkeypatch.setattr(explain, "Registry", lambda: Registry(str(directory)))
    content = elf("arm", [segment(vaddr=0x10000, filesz=0x100, align=0x1000)], size=0x100)
    write(tmp_path / "prog", content)
    status, text = run(capsys, tmp_path / "prog")
    assert status == 0  # octavo run takes it
    assert "kernel        no handler: execve fails with ENOEXEC" in text
    assert "remedy: octavo binfmt register arm" in text
    entry = (
        "enabled\ninterpreter /usr/bin/qemu-arm-static\nflags: PF\noffset 0\nmagic {}\nmask {}\n"
    )
    (directory / "qemu-arm").write_text(entry.format(content[:20].hex(), "ff" * 20))
    (directory / "other").write_text(entry.format("00" * 20, "ff" * 20))
    row = explain.explain(str(tmp_path / "prog"))["kernel"]
    assert row["handler"] == {
        "name": "qemu-arm",
        "owner": "qemu-user",
        "interpreter": "/usr/bin/qemu-arm-static",
        "flags": "PF",
    }
    assert (row["others"], row["remedy"]) == ([], "")
    (directory / "status").write_text("disabled\n")
    assert explain.explain(str(tmp_path / "prog"))["kernel"]["handler"] is None


def test_the_root_of_the_configuration(tmp_path, capsys):
    root = tmp_path / "root"
    root.mkdir()
    write(tmp_path / "prog", dynamic("arm"))
    write(root / "prog", dynamic("arm"))
    write(root / "ld.so.", elf("arm", [segment(filesz=0x50, align=0x1000)], elf_type=3, size=0x100))
    configuration = tmp_path / ".config" / "octavo" / "targets.yaml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f"targets: {{arm: {{root: {root}}}}}\n")
    status, text = run(capsys, tmp_path / "prog")
    assert status == 0
    assert f"interpreter   /ld.so. (found: {root}/ld.so.)" in text
    assert f"view          sysroot: {root}" in text
    configuration.write_text(f"targets: {{arm: {{root: {root}, view: container}}}}\n")
    status, text = run(capsys, root / "prog")
    assert status == 0
    assert "program       /prog, for arm" in text
    assert f"view          inlayer: {root}" in text
    status, text = run(capsys, tmp_path / "prog")
    assert status == 1
    assert f"targets.arm.view: {tmp_path}/prog is not in {root}" in text
