"""Libraries of a program: what the dynamic section says, and where they are found."""

import os
import struct

import pytest

from runtime import image, libraries, rootfs
from tests.elf_files import PT_INTERP, PT_LOAD, elf, header_size, segment, write

PT_DYNAMIC = 2
KINDS = {"aarch64": (64, "<"), "arm": (32, "<"), "mips": (32, ">")}


def library(
    arch, needed=(), runpath=None, rpath=None, align=0x10000, interpreter: bytes = b""
) -> bytes:
    """An ET_DYN file with a dynamic section and its strings, at the addresses that it has in the file; a program with
    an interpreter."""
    bits, order = KINDS[arch]
    strings = b"\0"
    rows = []
    for tag, text in [(1, n) for n in needed] + [(29, runpath), (15, rpath)]:
        if text is not None:
            rows.append((tag, len(strings)))
            strings += text + b"\0"
    form = order + ("qQ" if bits == 64 else "iI")
    start = header_size(bits)[0] + header_size(bits)[1] * (3 if interpreter else 2)
    size = struct.calcsize(form) * (len(rows) + 2)
    base = 0x10000  # strings are found by address, not by offset
    rows += [(5, base + start + size), (0, 0)]
    body = b"".join(struct.pack(form, *row) for row in rows) + strings
    if interpreter:
        named = segment(PT_INTERP, offset=start + len(body), filesz=len(interpreter) + 1)
        body += interpreter + b"\0"
    whole = start + len(body)
    segments = [
        segment(PT_LOAD, vaddr=base, filesz=whole, align=align),
        segment(PT_DYNAMIC, offset=start, vaddr=base + start, filesz=size),
    ]
    if interpreter:
        segments.insert(0, named)
    return elf(arch, segments, elf_type=3, body=body)


@pytest.fixture
def root(tmp_path):
    for name in ("bin", "lib", "usr/lib/aarch64-linux-gnu", "opt/x", "etc/ld.so.conf.d"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def found(root, path, environment=()):
    view = rootfs.InLayer(os.fsencode(root))
    fd = os.open(root / path[1:], os.O_RDONLY)
    try:
        program = image.identify(fd, path.encode())
        return {
            row.name: (row.needed_by, row.path)
            for row in libraries.closure(view, program, environment)
        }
    finally:
        os.close(fd)


@pytest.mark.parametrize("arch", KINDS)
def test_names_of_both_classes_and_orders(root, arch):
    write(root / "bin/x", library(arch, [b"liba.so", b"libb.so"], runpath=b"$ORIGIN/../l:/r"))
    fd = os.open(root / "bin/x", os.O_RDONLY)
    needs = libraries.needs(image.identify(fd, b"/bin/x"))
    os.close(fd)
    assert needs.names == [b"liba.so", b"libb.so"]
    assert needs.runpath == [b"/bin/../l", b"/r"]
    assert needs.rpath == []


def test_closure_in_the_order_of_the_loader(root):
    write(root / "bin/x", library("aarch64", [b"liba.so", b"libb.so", b"libmissing.so"]))
    write(root / "usr/lib/aarch64-linux-gnu/liba.so", library("aarch64", [b"libc.so", b"liba.so"]))
    write(root / "lib/libb.so", library("aarch64"))
    write(root / "lib/libc.so", library("arm"))  # another machine's is passed over
    write(root / "opt/x/libc.so", library("aarch64", [b"libb.so"]))
    (root / "etc/ld.so.conf").write_text("include ld.so.conf.d/*.conf\n# no\n")
    (root / "etc/ld.so.conf.d/x.conf").write_text("/opt/x  # comment\n")
    rows = found(root, "/bin/x")
    assert list(rows) == [b"liba.so", b"libb.so", b"libmissing.so", b"libc.so"]
    assert rows[b"liba.so"] == (b"/bin/x", b"/usr/lib/aarch64-linux-gnu/liba.so")
    assert rows[b"libc.so"] == (b"liba.so", b"/opt/x/libc.so")
    assert rows[b"libmissing.so"] == (b"/bin/x", None)


def test_search_paths(root):
    for name in ("r", "u", "e"):
        (root / name).mkdir()
        write(root / name / "liba.so", library("aarch64", align=0x1000))
    write(root / "lib/liba.so", library("aarch64"))
    write(root / "bin/rpath", library("aarch64", [b"liba.so"], rpath=b"/r"))
    write(root / "bin/runpath", library("aarch64", [b"liba.so"], runpath=b"/u", rpath=b"/r"))
    environment = [b"A=1", b"LD_LIBRARY_PATH=:/e:"]
    assert found(root, "/bin/rpath", environment)[b"liba.so"][1] == b"/r/liba.so"
    assert found(root, "/bin/runpath", environment)[b"liba.so"][1] == b"/e/liba.so"
    assert found(root, "/bin/runpath")[b"liba.so"][1] == b"/u/liba.so"
    preloaded = found(root, "/bin/runpath", [b"LD_PRELOAD=/e/liba.so"])
    assert preloaded[b"/e/liba.so"][1] == b"/e/liba.so"


@pytest.mark.parametrize("damage", range(64, 400, 7))
def test_damaged_files_are_no_libraries(root, damage):
    content = bytearray(library("aarch64", [b"liba.so"], runpath=b"/u"))
    content[damage % len(content)] ^= 0xFF
    write(root / "bin/x", bytes(content))
    try:
        found(root, "/bin/x")
    except image.ImageError:
        pass
