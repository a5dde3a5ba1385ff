"""identify(): every file is an Image or one clear line."""

import errno
import os
import struct
import sys

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from runtime import image
from runtime._core import HOST_MACHINE
from runtime.image import Image, ImageError
from tests.effort import tries
from tests.elf_files import ET_DYN, KINDS, PT_GNU_STACK, PT_INTERP, PT_PHDR, elf, segment, write

TEXT = segment(offset=0, vaddr=0x400000, filesz=0x300, flags=5)
DATA = segment(offset=0x300, vaddr=0x410300, filesz=0x80, memsz=0x200, flags=6)


def look(tmp_path, content: bytes, mode=0o755) -> Image:
    path = write(tmp_path / "file", content, mode)
    fd = image.open_program(-100, path, b"file")
    try:
        return image.identify(fd, b"file")
    finally:
        os.close(fd)


def refused(tmp_path, content: bytes, number: int, *words: str) -> None:
    with pytest.raises(ImageError) as caught:
        look(tmp_path, content)
    line = str(caught.value)
    assert caught.value.errno == number, line
    assert line.startswith("file: ")
    assert "\n" not in line
    for word in words:
        assert word in line, line


@pytest.mark.parametrize("arch", KINDS)
def test_a_program_of_each_architecture(tmp_path, arch):
    bits, _, _ = KINDS[arch]
    interp = b"/lib/ld.so\0"
    found = look(
        tmp_path,
        elf(
            arch,
            [
                segment(PT_INTERP, offset=0x200, filesz=len(interp)),
                TEXT,
                DATA,
                segment(PT_GNU_STACK, flags=7),
            ],
            entry=0x400123,
        ).ljust(0x200, b"\0")
        + interp.ljust(0x200, b"\1"),
    )
    assert (found.kind, found.arch, found.elf_class) == ("elf", arch, bits)
    assert found.native == (arch == HOST_MACHINE)
    assert found.interpreter == b"/lib/ld.so"
    assert found.entry == 0x400123
    assert found.phdr == 0x400000 + (52 if bits == 32 else 64)
    assert (found.phnum, found.phentsize) == (4, 32 if bits == 32 else 56)
    assert (found.low, found.high, found.min_align) == (0x400000, 0x410500, 0x10000)
    assert found.stack_flags == 7
    text, data = found.segments
    assert (text.offset, text.filesz, text.flags) == (0, 0x300, 5)
    assert (data.offset, data.memsz, data.flags) == (0x300, 0x200, 6)


def test_the_running_python_is_native(tmp_path):
    fd = os.open(sys.executable, os.O_RDONLY)
    try:
        found = image.identify(fd, b"python")
    finally:
        os.close(fd)
    assert found.native
    assert found.arch in (HOST_MACHINE, "")


def test_program_headers_outside_the_segments_use_pt_phdr(tmp_path):
    low = segment(offset=0x200, vaddr=0x400200, filesz=0x100)
    found = look(tmp_path, elf("aarch64", [low, segment(PT_PHDR, vaddr=0x7000)], size=0x300))
    assert found.phdr == 0x7000


def test_empty_file(tmp_path):
    refused(tmp_path, b"", errno.ENOEXEC, "empty")


def test_text_without_interpreter_line(tmp_path):
    refused(tmp_path, b"echo hello\n", errno.ENOEXEC, "#!", "sh FILE")


def test_binary_nonsense(tmp_path):
    refused(tmp_path, b"\0\1\2" * 50, errno.ENOEXEC, "not an ELF program")


@pytest.mark.parametrize("length", [1, 3, 4, 5, 16, 51, 63])
def test_truncated_header(tmp_path, length):
    refused(tmp_path, elf("aarch64", [TEXT], size=0x300)[:length], errno.ENOEXEC, "cut off")


def test_truncated_program_headers(tmp_path):
    refused(
        tmp_path, elf("aarch64", [TEXT, DATA])[:100], errno.ENOEXEC, "program headers", "incomplete"
    )


def test_program_headers_far_beyond_the_file(tmp_path):
    content = elf("aarch64", [TEXT], phoff=0xFFFF_FFFF_FFFF_FF00, size=0x300)
    refused(tmp_path, content, errno.ENOEXEC, "program headers")


def test_wrong_header_size(tmp_path):
    refused(tmp_path, elf("arm", [TEXT], phentsize=56, size=0x300), errno.ENOEXEC, "56 bytes")


def test_no_program_headers(tmp_path):
    refused(tmp_path, elf("arm", [], size=0x300), errno.ENOEXEC, "no program headers")


def test_too_many_program_headers(tmp_path):
    refused(tmp_path, elf("arm", [TEXT], phnum=0xFFFF, size=0x300), errno.ENOEXEC, "65535")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": 22, "data": 2}, ("s390x", "64-bit", "big-endian", "octavo does not run")),
        ({"machine": 258}, ("loongarch",)),
        ({"machine": 0xBEEF}, ("machine 48879",)),
        ({"data": 2}, ("aarch64", "big-endian")),
        ({"bits": 32}, ("aarch64", "32-bit")),
    ],
)
def test_other_machines_are_named(tmp_path, changes, words):
    refused(tmp_path, elf("aarch64", [TEXT], size=0x300, **changes), errno.ENOEXEC, *words)


def test_unknown_class_and_order(tmp_path):
    content = bytearray(elf("aarch64", [TEXT], size=0x300))
    content[4] = 7
    refused(tmp_path, bytes(content), errno.ENOEXEC, "class 7")
    content[4:6] = b"\2\3"
    refused(tmp_path, bytes(content), errno.ENOEXEC, "byte order 3")


@pytest.mark.parametrize(
    ("elf_type", "word"), [(1, "ET_REL"), (4, "ET_CORE"), (0, "type"), (9, "type 9")]
)
def test_types_that_are_no_programs(tmp_path, elf_type, word):
    refused(tmp_path, elf("aarch64", [TEXT], elf_type=elf_type, size=0x300), errno.ENOEXEC, word)


def test_overlapping_segments(tmp_path):
    other = segment(offset=0, vaddr=0x4002FF, filesz=0x10)
    refused(
        tmp_path,
        elf("aarch64", [TEXT, other], size=0x300),
        errno.EINVAL,
        "0x400000",
        "0x4002ff",
        "overlap",
    )


def test_segment_outside_the_address_space(tmp_path):
    high = segment(offset=0, vaddr=0xFFFF_F000, filesz=0x300, memsz=0x2000)
    refused(tmp_path, elf("arm", [high], size=0x300), errno.EINVAL, "outside the address space")
    high = segment(offset=0, vaddr=0xFFFF_FFFF_FFFF_F000, filesz=0x300, memsz=0x2000)
    refused(tmp_path, elf("aarch64", [high], size=0x300), errno.EINVAL, "outside the address space")


def test_huge_memsz(tmp_path):
    huge = segment(offset=0, vaddr=0x400000, filesz=0x300, memsz=0xFFFF_FFFF_0000_0000)
    refused(
        tmp_path,
        elf("aarch64", [huge], size=0x300),
        errno.EINVAL,
        "0xffffffff00000000",
        "more than a program",
    )


def test_filesz_above_memsz(tmp_path):
    refused(
        tmp_path,
        elf("arm", [segment(filesz=0x200, memsz=0x100)], size=0x300),
        errno.EINVAL,
        "0x200",
        "0x100",
    )


def test_file_offset_beyond_any_file(tmp_path):
    refused(
        tmp_path,
        elf("aarch64", [segment(offset=1 << 63, filesz=1)], size=0x300),
        errno.EINVAL,
        "byte 0x8000",
    )


@pytest.mark.parametrize("align", [3, 0x1001, 0x18000])
def test_alignment_that_is_no_power_of_two(tmp_path, align):
    bad = segment(filesz=0x100, align=align)
    refused(tmp_path, elf("riscv64", [bad], size=0x300), errno.EINVAL, hex(align), "power of two")


@pytest.mark.parametrize("align", [0, 1])
def test_no_alignment_is_one(tmp_path, align):
    assert (
        look(tmp_path, elf("riscv64", [segment(filesz=0x100, align=align)], size=0x300)).min_align
        == 1
    )


def test_nothing_to_load(tmp_path):
    refused(tmp_path, elf("mips", [segment(PT_GNU_STACK)], size=0x300), errno.EINVAL, "PT_LOAD")


@pytest.mark.parametrize(
    ("offset", "length", "number"),
    [
        (0x100, 1, errno.ENOEXEC),
        (0x100, 5000, errno.ENOEXEC),
        (0x2FF, 40, errno.EIO),
        (0x100, 8, errno.ENOEXEC),
    ],
)
def test_damaged_interpreter_path(tmp_path, offset, length, number):
    content = elf("aarch64", [TEXT, segment(PT_INTERP, offset=offset, filesz=length)], size=0x300)
    refused(tmp_path, content, number, "PT_INTERP")


def test_script(tmp_path):
    assert look(tmp_path, b"#!/bin/sh\n").kind == "script"


def test_what_cannot_be_opened(tmp_path):
    plain = write(tmp_path / "plain", b"x", 0o644)
    os.mkfifo(tmp_path / "fifo", 0o755)
    os.symlink("loop", tmp_path / "loop")
    for name, number, word in (
        (b"absent", errno.ENOENT, "no such file"),
        (b".", errno.EACCES, "directory"),
        (b"plain", errno.EACCES, "chmod +x"),
        (b"fifo", errno.EACCES, "regular"),
        (b"plain/x", errno.ENOTDIR, "directory"),
        (b"loop", errno.ELOOP, "symbolic"),
        (b"/dev/null", errno.EACCES, "regular"),
    ):
        with pytest.raises(ImageError) as caught:
            image.open_program(-100, os.path.join(os.path.dirname(plain), name), name)
        assert caught.value.errno == number
        assert word in str(caught.value)


def _look_quietly(path, content: bytes) -> None:
    try:
        found = look(path, content)
    except ImageError as error:
        assert error.errno in (errno.ENOEXEC, errno.EINVAL, errno.EIO)
        assert "\n" not in str(error)
        return
    if found.kind == "elf":
        top = 1 << found.elf_class
        assert found.segments
        assert all(
            s.memsz > 0 and s.filesz <= s.memsz and s.vaddr + s.memsz <= top for s in found.segments
        )
        assert found.min_align & (found.min_align - 1) == 0


SAME_DIRECTORY = tries(300, HealthCheck.function_scoped_fixture)


@SAME_DIRECTORY
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x7fELF", b"\x7fELF\2\1\1", b"\x7fELF\1\2\1", b"#!"]),
)
def test_any_bytes(tmp_path, tail, head):
    _look_quietly(tmp_path, head + tail)


@SAME_DIRECTORY
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(
        st.tuples(
            st.integers(0, 64 + 56 * 3 - 9),
            st.one_of(
                st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 3, 2**63, 2**64 - 1, 2**32 - 1])
            ),
            st.sampled_from(["<B", "<H", "<I", ">I", "<Q", ">Q"]),
        ),
        max_size=6,
    ),
    st.integers(0, 0x400),
)
def test_any_damage_to_a_good_file(tmp_path, arch, damages, length):
    interp = segment(PT_INTERP, offset=0x300, filesz=8)
    content = bytearray(
        elf(arch, [interp, TEXT, DATA], elf_type=ET_DYN, size=0x300) + b"/lib/ld\0" + bytes(0x100)
    )
    for place, value, form in damages:
        struct.pack_into(form, content, place, value & ((1 << 8 * struct.calcsize(form)) - 1))
    _look_quietly(tmp_path, bytes(content[: max(length, 1)]))
    _look_quietly(tmp_path, bytes(content))
