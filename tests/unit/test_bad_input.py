"""Whatever is given to `octavo run`, it starts or there is one clear line and an exit status."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.elf_files import PT_INTERP, elf, segment, write

TOP = Path(__file__).parents[2]
CODE = """
import os, sys
sys.path.append({top!r})
from encodings import ascii
from runtime import arch, run
arch.load_all()
from runtime.run_command import main
if {user}:
    os.setgroups([])
    os.setgid({user})
    os.setuid({user})
sys.exit(main(sys.argv[1:]))
"""
NOT_EXECUTABLE, NOT_FOUND, USAGE = 126, 127, 1

TEXT = segment(offset=0, vaddr=0x400000, filesz=0x300, flags=5)


def octavo(*words: str, user: int = 0, **environment: str) -> tuple[int, str]:
    """Exit status and the one line."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", CODE.format(top=str(TOP), user=user), *words],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    assert done.stderr.startswith("octavo"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def text(**changes) -> bytes:
    return elf("aarch64", [TEXT], size=0x300, **changes)


def one(**changes) -> bytes:
    given = {"offset": 0, "vaddr": 0x400000, "filesz": 0x300, **changes}
    return elf("aarch64", [segment(**given)], size=0x300)


BAD = {
    "empty": (b"", "the file is empty"),
    "text": (b"echo hello\n", "without a #! line"),
    "noise": (b"\0\1\2\3" * 99, "not an ELF program"),
    "header cut off": (text()[:40], "ELF header is cut off after 40 bytes"),
    "program headers cut off": (text()[:80], "program headers end at byte 120 of a file of 80"),
    "class": (text(bits=32), "32-bit"),
    "byte order": (text(data=2), "big-endian"),
    "machine": (text(machine=22, data=2), "s390x (64-bit, big-endian), which octavo does not run"),
    "unknown machine": (text(machine=4711), "machine 4711"),
    "object": (text(elf_type=1), "an object file (ET_REL)"),
    "core dump": (text(elf_type=4), "a core dump (ET_CORE)"),
    "overlap": (elf("aarch64", [TEXT, TEXT], size=0x300), "overlap"),
    "outside": (one(vaddr=0xFFFF_FFFF_FFFF_F000, memsz=0x2000), "outside the address space"),
    "outside the architecture's": (
        one(vaddr=0x7FFF_FFFF_0000_0000),
        "aarch64 programs end at 0x1000000000000",
    ),
    "memory": (one(memsz=0xFFFF_FFFF_0000_0000), "0xffffffff00000000"),
    "alignment": (one(align=0x1001), "not a power of two"),
}


@pytest.mark.parametrize("kind", BAD)
def test_files(tmp_path, kind):
    content, words = BAD[kind]
    path = write(tmp_path / "program", content)
    status, line = octavo(os.fsdecode(path))
    assert status == NOT_EXECUTABLE
    assert line.startswith(f"octavo: {tmp_path}/program: ")
    assert words in line


def test_places(tmp_path):
    write(tmp_path / "plain", text(), 0o644)
    for name, status, words in (
        (".", NOT_EXECUTABLE, "is a directory"),
        ("plain", NOT_EXECUTABLE, "no execute permission (chmod +x)"),
        ("absent", NOT_FOUND, "no such file"),
        ("plain/x", NOT_EXECUTABLE, "not a directory"),
    ):
        found, line = octavo(str(tmp_path / name))
        assert (found, words in line) == (status, True), line


def test_missing_interpreter_is_named_with_where_it_was_looked_for(tmp_path):
    interp = b"/lib/ld-of-nobody.so\0"
    head = elf("aarch64", [segment(PT_INTERP, offset=0x200, filesz=len(interp)), TEXT], size=0x200)
    path = os.fsdecode(write(tmp_path / "program", head + interp.ljust(0x200, b"\0")))
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    for words, where in (
        ([], "on the host"),
        (["-L", str(prefix)], f"under {prefix} and on the host"),
    ):
        status, line = octavo(*words, path)
        assert status == NOT_FOUND
        assert f"octavo: /lib/ld-of-nobody.so: interpreter (dynamic loader) of {path}: " in line
        assert f"no such file {where}" in line


def test_command_line_and_configuration(tmp_path):
    program = os.fsdecode(write(tmp_path / "program", text()))
    status, line = octavo("--frob", program)
    assert (status, "unknown option '--frob'" in line) == (USAGE, True)
    targets = tmp_path / "targets.yaml"
    targets.write_text("targets:\n  aarch64:\n    pagesize: 4k\n")
    status, line = octavo(program, OCTAVO_CONFIG=str(targets))
    assert status == NOT_EXECUTABLE
    assert line.startswith(f"octavo: {targets}:3: ")
    assert "'pagesize'" in line


@pytest.fixture
def place():
    """A directory that an ordinary user can get to."""
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="octavo-root-")))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)


def test_roots(place):
    (place / "bin").mkdir()
    status, line = octavo("--root", str(place), "/bin/sh")
    assert status == NOT_FOUND
    assert "/bin/sh: no such file" in line
    assert f"root {place} has no program of the usual ones" in line
    write(place / "bin/sh", text(machine=22, data=2))
    for program, expected in (("/bin/sh", NOT_EXECUTABLE), ("ls", NOT_FOUND)):
        status, line = octavo("--root", str(place), program)
        assert status == expected
        assert f"root {place} is a system for s390x (64-bit, big-endian), which octavo" in line
    interp = b"/lib/ld-linux.so\0"
    head = elf("aarch64", [segment(PT_INTERP, offset=0x200, filesz=len(interp)), TEXT], size=0x200)
    write(place / "bin/other", head + interp.ljust(0x200, b"\0"))
    write(place / "bin/sh", elf("riscv64", [TEXT], size=0x300))
    status, line = octavo("--root", str(place), "/bin/other")
    assert status == NOT_FOUND
    assert "/lib/ld-linux.so" in line
    assert "programs there are for riscv (64-bit, little-endian), this one is for aarch64" in line
    status, line = octavo("--root", str(place), "/bin/absent")
    assert (status, "root" in line.replace(str(place), "")) == (NOT_FOUND, False), line


def test_roots_that_are_none(place):
    write(place / "file", b"x")
    for name, status, words in (
        ("absent", NOT_FOUND, "no such directory"),
        ("file", NOT_EXECUTABLE, "is not a directory"),
    ):
        found, line = octavo("--root", str(place / name), "/bin/sh")
        assert (found, f"root {place}/{name}: {words}" in line) == (status, True), line


@pytest.mark.root
def test_unreadable_root(place):
    (place / "closed").mkdir(mode=0o700)
    status, line = octavo("--root", str(place / "closed"), "/bin/sh", user=65534)
    assert status == NOT_EXECUTABLE
    assert f"root {place}/closed: permission denied" in line
