"""Looking at a root: links stay inside, and what dpkg and the ELF files say."""

import struct
from pathlib import Path

from rootfs_tools.inspect import inspect, parse_status, resolve

STATUS = """\
Package: dpkg
Status: install ok installed
Architecture: arm64
Description: words
 Status: not a field

Package: half
Status: install ok half-configured
Architecture: arm64

Package: gone
Status: deinstall ok config-files
Architecture: arm64
"""


def elf(machine: int, align: int) -> bytes:
    """A 64-bit little-endian header with one PT_LOAD."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return ident + head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 120, 120, align)


def make_root(root: Path) -> None:
    (root / "usr/bin").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "bin").symlink_to("usr/bin")
    (root / "etc/os-release").symlink_to("/usr/os-release")
    (root / "usr/os-release").write_text('ID=x\nPRETTY_NAME="A system"\n')
    (root / "usr/bin/sh").write_bytes(elf(183, 0x10000))
    (root / "usr/bin/old").write_bytes(elf(183, 0x4000))
    (root / "usr/bin/script").write_text("#!/bin/sh\n" + "#" * 100)


def test_links_stay_inside(tmp_path: Path) -> None:
    make_root(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to("../../../../etc/os-release")
    assert resolve(str(tmp_path), "bin/sh") == str(tmp_path / "usr/bin/sh")
    assert resolve(str(tmp_path), "/etc/os-release") == str(tmp_path / "usr/os-release")
    assert resolve(str(tmp_path), "up") == str(tmp_path / "usr/os-release")
    assert resolve(str(tmp_path), "loop") is None
    assert resolve(str(tmp_path), "etc/passwd") is None


def test_status_file() -> None:
    assert parse_status(STATUS)["dpkg"] == ("install ok installed", "arm64")
    assert parse_status("") == {}


def test_a_root_with_dpkg(tmp_path: Path) -> None:
    make_root(tmp_path)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    report = inspect(str(tmp_path))
    assert (report.system, report.architecture, report.packages) == ("A system", "arm64", 1)
    assert report.unfinished == ["half: install ok half-configured"]
    assert (report.elf_files, report.smallest_align) == (2, 0x4000)
    assert report.smallest_align_file == "/usr/bin/old"
    assert report.page_sizes == [4096, 16384]


def test_a_root_without_dpkg_is_known_by_its_shell(tmp_path: Path) -> None:
    make_root(tmp_path)
    assert inspect(str(tmp_path)).architecture == "arm64"


def test_an_empty_root(tmp_path: Path) -> None:
    report = inspect(str(tmp_path))
    assert (report.architecture, report.system, report.packages) == (None, None, 0)
    assert report.page_sizes == []
    assert all(text for _, text in report.lines())
