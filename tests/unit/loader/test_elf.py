"""Programs in memory: every byte where the kernel would have it, on the real address space."""

import errno
import os
import struct
import traceback

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from runtime import arch as arches
from runtime import loader
from runtime._core import HOST_PAGE, Arena, MemoryFault, PageTable, signals_start
from runtime.abi.errors import GuestError
from runtime.image import ImageError
from runtime.loader import elf, stack
from runtime.loader.stack import Credentials
from runtime.memory.areas import GROWSDOWN
from runtime.memory.host import ArenaHost
from runtime.memory.limits import Limits
from runtime.memory.space import AddressSpace
from runtime.policy import PageSizes, decide
from runtime.rootfs import View, sysroot
from tests import elf_files
from tests.effort import tries
from tests.elf_files import ET_DYN, KINDS, PT_GNU_STACK, PT_INTERP, PT_PHDR, segment, write

R, W, X = 1, 2, 4
WHO = Credentials(uid=1, euid=2, gid=3, egid=4, secure=True)
STACK = 8 << 20


def space_for(name: str, page: int) -> AddressSpace:
    facts = arches.load(name)
    arena = Arena(
        1 << (33 if facts.elf_class == 32 else 38), 1 << 33
    )  # arenas are never given back
    engine = max(size for size in facts.engine.page_sizes if size <= page)
    limits = Limits(
        page=page, address_top=facts.address_top, mmap_top=facts.mmap_top, min_address=page
    )
    return AddressSpace(PageTable(arena, engine), ArenaHost(arena), limits, facts.model)


def start(
    path: bytes, name: str, page=4096, view=None, argv=(b"prog",), envp=(b"A=b",), limit=STACK
):
    facts = arches.load(name)
    space = space_for(name, page)
    plan = loader.plan(view or View(), path, argv, envp)
    try:
        pages = decide(facts, HOST_PAGE, plan.images, page)
        loader.check(plan, facts, pages, limit)
        return loader.load(plan, space, facts, pages, WHO, stack_limit=limit), space, plan
    finally:
        plan.close()


NOTHING = -1


def perms(space, address) -> int:
    """Permission bits, or NOTHING."""
    found = space.table.lookup(address)
    return NOTHING if found is None else found[1] & (R | W | X)


def peek(space: AddressSpace, address: int, length: int) -> bytes:
    return space.table.read(address, length)


BODY = bytes(index % 251 + 1 for index in range(0x30000))
TEXT = segment(offset=0, vaddr=0x1000000, filesz=0x1234, flags=5)
DATA = segment(offset=0x11300, vaddr=0x1021300, filesz=0x123, memsz=0x3000, flags=6)


def program(name, segments, **options) -> bytes:
    """The file's content: headers, then BODY's bytes at their offsets."""
    head = elf_files.elf(name, segments, **options)
    return head + BODY[len(head) :]


@pytest.mark.parametrize("name", KINDS)
def test_segments_bss_and_holes(tmp_path, name):
    content = program(name, [TEXT, DATA], entry=0x1000100)
    loaded, space, _ = start(write(tmp_path / "p", content), name)
    assert loaded.entry == loaded.image.program_entry == 0x1000100
    assert loaded.image.base == loaded.image.interpreter_base == 0
    assert (
        peek(space, 0x1000000, 0x2000) == content[:0x2000]
    )  # the whole file page, also past the segment
    assert not perms(space, 0x1000000) & W
    assert perms(space, 0x1002000) == NOTHING
    assert perms(space, 0x1020FFF) == NOTHING
    assert peek(space, 0x1021000, 0x300) == content[0x11000:0x11300]
    assert peek(space, 0x1021300, 0x123) == content[0x11300:0x11423]
    assert not any(peek(space, 0x1021423, 0x1024300 - 0x1021423))
    assert perms(space, 0x1021300) & (R | W) == R | W
    assert perms(space, 0x1024300) & (R | W) == R | W
    assert loaded.image.brk == space.start_brk == 0x1025000
    assert loaded.image.phdr == 0x1000000 + (52 if KINDS[name][0] == 32 else 64)


@pytest.mark.parametrize("flags", [0, 1])
def test_a_function_descriptor_at_the_entry_point(tmp_path, flags):
    """powerpc's older ABI, also where the file says none: start_thread in arch/powerpc/kernel/process.c."""
    content = bytearray(program("ppc64le", [TEXT, DATA], entry=0x1021300))
    content[48:52] = flags.to_bytes(4, "little")  # e_flags
    content[0x11300:0x11310] = struct.pack("<QQ", 0x1000200, 0x1028000)
    loaded, _, _ = start(write(tmp_path / "p", bytes(content)), "ppc64le")
    assert (loaded.entry, loaded.toc, loaded.image.program_entry) == (
        0x1000200,
        0x1028000,
        0x1021300,
    )


def test_a_function_descriptor_in_no_memory(tmp_path):
    content = bytearray(program("ppc64le", [TEXT, DATA], entry=0x5000000))
    content[48:52] = bytes(4)
    with pytest.raises(GuestError) as caught:
        start(write(tmp_path / "p", bytes(content)), "ppc64le")
    assert caught.value.errno == errno.EFAULT


def test_a_read_only_segment_keeps_the_file_behind_its_end(tmp_path):
    """padzero() of a page that is not writable fails, and the kernel passes over it."""
    only = segment(offset=0, vaddr=0x1000000, filesz=0x123, memsz=0x2000, flags=5)
    content = program("aarch64", [only])
    _, space, _ = start(write(tmp_path / "p", content), "aarch64")
    assert peek(space, 0x1000000, 0x1000) == content[:0x1000]
    assert peek(space, 0x1001000, 0x1000) == bytes(0x1000)
    assert perms(space, 0x1001000) & W  # vm_brk_flags() does not ask


def test_bss_only_segment(tmp_path):
    content = program(
        "arm", [TEXT, segment(offset=5, vaddr=0x1010010, filesz=0, memsz=0x10, flags=6)]
    )
    loaded, space, _ = start(write(tmp_path / "p", content), "arm")
    assert peek(space, 0x1010000, 0x1000) == bytes(0x1000)
    assert loaded.image.brk == 0x1011000


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_page_sizes(tmp_path, page):
    content = program("aarch64", [TEXT, DATA])
    _, space, _ = start(write(tmp_path / "p", content), "aarch64", page)
    assert peek(space, 0x1000000, page) == content[:page]
    data = 0x1021300 & -page
    assert peek(space, data, 0x1021423 - data) == content[data - 0x1010000 : 0x11423]
    assert not any(peek(space, 0x1021423, 0x1024300 - 0x1021423))
    assert perms(space, elf.round_up(0x1001234, page)) == NOTHING


def test_segments_that_a_larger_page_cannot_hold_are_refused(tmp_path):
    odd = segment(offset=0x2300, vaddr=0x1021300, filesz=0x10, flags=6, align=0x1000)
    path = write(tmp_path / "p", program("aarch64", [TEXT, odd]))
    plan = loader.plan(View(), path, [b"p"], [])
    with pytest.raises(
        ImageError, match=r"0x1021300.*cannot be mapped in pages of 65536"
    ) as caught:
        loader.check(
            plan, arches.load("aarch64"), PageSizes(guest=65536, host=4096, engine=4096), STACK
        )
    assert caught.value.errno == errno.EINVAL
    plan.close()


@pytest.mark.parametrize("name", KINDS)
def test_outside_the_architectures_address_space(tmp_path, name):
    top = arches.load(name).address_top
    path = write(
        tmp_path / "p", program(name, [segment(vaddr=top - 0x1000, filesz=0x100, memsz=0x1800)])
    )
    if top == 1 << KINDS[name][0]:
        pytest.skip("its address space has no end before the numbers do")
    plan = loader.plan(View(), path, [b"p"], [])
    with pytest.raises(ImageError, match=f"end at {top:#x}") as caught:
        loader.check(plan, arches.load(name), PageSizes(guest=4096, host=4096, engine=4096), STACK)
    assert caught.value.errno == errno.EINVAL
    plan.close()


def pie(align=0x10000, low=0):
    text = segment(offset=0, vaddr=low, filesz=0x1234, flags=5, align=align)
    data = segment(
        offset=0x11300, vaddr=low + 0x21300, filesz=0x123, memsz=0x3000, flags=6, align=align
    )
    return [text, data]


@pytest.mark.parametrize("name", KINDS)
def test_position_independent_programs_have_their_own_fixed_place(tmp_path, name):
    bases = set()
    for number in range(4):
        content = program(name, pie(), elf_type=ET_DYN, entry=0x100)
        path = write(tmp_path / f"p{number}", content)
        loaded, space, _ = start(path, name)
        base = loaded.image.base
        assert base % 0x10000 == 0
        assert loaded.entry == base + 0x100
        assert peek(space, base, 0x1234) == content[:0x1234]
        assert start(path, name)[0].image.base == base  # the same file, the same place
        assert base + (1 << 26) < space.mmap_top
        bases.add(base)
    assert len(bases) > 1


@pytest.mark.parametrize("align", [1, 0x1000, 0x40000, 0x200000])
def test_alignment_is_honoured(tmp_path, align):
    segments = pie(align, low=0x3000)
    loaded, space, _ = start(
        write(tmp_path / "p", program("riscv64", segments, elf_type=ET_DYN)), "riscv64"
    )
    assert loaded.image.base % max(align, 0x1000) == 0
    assert perms(space, loaded.image.base + 0x3000) != NOTHING


@pytest.mark.parametrize("name", KINDS)
def test_interpreter(tmp_path, name):
    (tmp_path / "root").mkdir()
    content = program(name, pie(), elf_type=ET_DYN, entry=0x300)
    write(tmp_path / "root" / "ld.so", content)
    interp = b"/ld.so\0"
    head = program(
        name, [segment(PT_INTERP, offset=0x400, filesz=7), segment(PT_PHDR), TEXT], entry=0x1000100
    )
    path = write(tmp_path / "p", head[:0x400] + interp + head[0x407:])
    view = sysroot([os.fsencode(tmp_path / "root")])
    loaded, space, plan = start(path, name, view=view)
    base = loaded.image.interpreter_base
    assert base
    assert loaded.entry == base + 0x300
    assert loaded.image.program_entry == 0x1000100
    assert peek(space, base, 0x1234) == content[:0x1234]
    assert plan.executable == path
    with pytest.raises(ImageError) as caught:
        start(path, name)
    assert caught.value.errno == errno.ENOENT
    line = str(caught.value)
    assert "/ld.so" in line
    assert os.fsdecode(path) in line
    assert "no such file on the host" in line


@pytest.mark.parametrize(
    ("content", "number", "words"),
    [
        (b"#!/bin/sh\n", errno.ELIBBAD, "is a script"),
        (b"", errno.EIO, "empty"),
        (b"\x7fELF".ljust(99), errno.ELIBBAD, "class"),
        (elf_files.elf("mips", [segment(filesz=0x10)], size=0x100), errno.ELIBBAD, "is for mips"),
        (
            elf_files.elf("aarch64", [segment(filesz=0x10)], elf_type=1, size=0x100),
            errno.ELIBBAD,
            "ET_REL",
        ),
    ],
)
def test_bad_interpreters(tmp_path, content, number, words):
    write(tmp_path / "ld", content)
    name = os.fsencode(tmp_path / "ld") + b"\0"
    head = program("aarch64", [segment(PT_INTERP, offset=0x400, filesz=len(name)), TEXT])
    path = write(tmp_path / "p", head[:0x400] + name + head[0x400 + len(name) :])
    with pytest.raises(ImageError, match=words) as caught:
        loader.plan(View(), path, [b"p"], [])
    assert caught.value.errno == number
    assert os.fsdecode(path) in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("flags", [None, 6, 7])
def test_stack(tmp_path, name, flags):
    segments = [TEXT, DATA] + (
        [] if flags is None else [segment(PT_GNU_STACK, flags=flags, align=16)]
    )
    argv = [b"/bin/prog", b"one", b""]
    path = write(tmp_path / "p", program(name, segments, entry=0x1000100))
    loaded, space, _ = start(path, name, argv=argv)
    facts = arches.load(name)
    executable = facts.executable_stack if flags is None else flags == 7
    area = space.areas.find(loaded.sp)
    assert area.flags & GROWSDOWN
    assert area.end == facts.stack_top
    assert bool(area.prot & X) == executable
    assert area.length < STACK
    assert space.start_stack == loaded.sp
    data = peek(space, loaded.sp, facts.stack_top - loaded.sp)
    assert data == loaded.initial.data
    order = "<" if KINDS[name][1] == 1 else ">"
    word = KINDS[name][0] // 8
    letter = "I" if word == 4 else "Q"
    assert struct.unpack_from(order + letter, data)[0] == 3
    auxv = dict(struct.iter_unpack(f"{order}2{letter}", loaded.auxv))
    assert auxv[stack.AT_PAGESZ] == 4096
    assert auxv[stack.AT_ENTRY] == 0x1000100
    assert auxv[stack.AT_PHDR] == loaded.image.phdr
    assert (auxv[stack.AT_PHENT], auxv[stack.AT_PHNUM]) == (56 if word == 8 else 32, len(segments))
    assert auxv[stack.AT_BASE] == 0
    assert [auxv[kind] for kind in (11, 12, 13, 14, 23)] == [1, 2, 3, 4, 1]
    assert auxv[stack.AT_HWCAP] == facts.auxv.hwcap
    assert peek(space, auxv[stack.AT_EXECFN], len(path) + 1) == path + b"\0"
    assert any(peek(space, auxv[stack.AT_RANDOM], 16))
    assert list(auxv)[-1] == 0


def test_long_arguments_are_mapped_under_a_small_limit(tmp_path):
    path = write(tmp_path / "p", program("aarch64", [TEXT]))
    loaded, space, _ = start(path, "aarch64", argv=[b"x" * 100_000], limit=65536)
    assert space.areas.find(loaded.sp).start <= loaded.sp
    with pytest.raises(ImageError, match="too long") as caught:
        start(path, "aarch64", argv=[b"x" * 100_000, b"y" * 100_000], limit=65536)
    assert caught.value.errno == errno.E2BIG


@pytest.mark.parametrize("name", KINDS)
def test_commpages_and_trampoline(tmp_path, name):
    facts = arches.load(name)
    loaded, space, _ = start(write(tmp_path / "p", program(name, [TEXT])), name)
    for address, content, prot, label, _ in facts.commpages:
        area = space.areas.find(address)
        assert (area.name, area.prot) == (label, prot)
        offset, _ = space.table.lookup(address)
        assert space.host.read(offset, len(content)) == content
    if facts.trampoline:
        assert space.areas.find(loaded.trampoline).name == facts.trampoline_label
        assert peek(space, loaded.trampoline, len(facts.trampoline)) == facts.trampoline
        with pytest.raises(MemoryFault):
            space.table.write(loaded.trampoline, b"x")
    else:
        assert loaded.trampoline == 0


def test_scripts(tmp_path):
    prog = write(tmp_path / "prog", program("aarch64", [TEXT]))
    first = write(tmp_path / "first", b"#!" + prog + b" -x y\n")
    second = write(tmp_path / "second", b"#! " + first + b"\n")
    plan = loader.plan(View(), second, [b"zero", b"A"], [])
    assert plan.argv == [prog, b"-x y", first, second, b"A"]
    assert plan.execfn == second
    assert plan.executable == prog
    plan.close()
    plan = loader.plan(View(), prog, [], [])
    assert plan.argv == [b""]
    plan.close()


def test_scripts_in_a_row(tmp_path):
    """Five interpreters are the kernel's limit; counted against the kernel itself with a native program at the end."""
    import subprocess

    last = b"/bin/true"
    for depth in range(1, 8):
        last = write(tmp_path / f"s{depth}", b"#!" + last + b"\n")
        try:
            loader.plan(View(), last, [b"s"], []).close()
            ours = 0
        except ImageError as error:
            ours = error.errno
        try:
            subprocess.run([last], check=True)
            kernels = 0
        except OSError as error:
            kernels = error.errno or 0
        assert ours == kernels, depth


def test_open_descriptors_stay_as_they_were(tmp_path):
    """No path through plan() leaks a descriptor."""
    good = write(tmp_path / "good", program("aarch64", [TEXT]))
    script = write(tmp_path / "script", b"#!/absent\n")
    name = os.fsencode(tmp_path / "script") + b"\0"
    head = program("aarch64", [segment(PT_INTERP, offset=0x400, filesz=len(name)), TEXT])
    bad = write(tmp_path / "bad", head[:0x400] + name + head[0x400 + len(name) :])
    empty = write(tmp_path / "empty", b"")
    before = len(os.listdir("/proc/self/fd"))
    loader.plan(View(), good, [b"x"], []).close()
    for path in (script, bad, empty, b"/absent", os.fsencode(tmp_path)):
        with pytest.raises(ImageError):
            loader.plan(View(), path, [b"x"], [])
    fd = os.open(good, os.O_RDONLY)
    loader.plan(View(), b"/dev/fd/%d" % fd, [b"x"], [], fd=fd).close()
    os.close(fd)
    fd = os.open(script, os.O_RDONLY)
    with pytest.raises(ImageError, match="close-on-exec") as caught:
        loader.plan(View(), b"/dev/fd/%d" % fd, [b"x"], [], fd=fd, inaccessible=True)
    assert caught.value.errno == errno.ENOENT
    os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def in_a_child(body, *arguments) -> None:
    """Run it in a process of its own where the core handles its faults, as it does in a real start."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signals_start()
            body(*arguments)
            status = 0
        except BaseException:  # noqa: BLE001  pytest must not go on in the child
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_file_that_ends_inside_its_segment(tmp_path):
    in_a_child(short_file, tmp_path)


def short_file(tmp_path):
    """What the file has can be read, pages wholly behind its end fault, and clearing such a tail ends the load."""
    text = segment(offset=0, vaddr=0x1000000, filesz=0x3000, flags=5)
    path = write(tmp_path / "p", program("aarch64", [text])[:0x800])
    _, space, _ = start(path, "aarch64")
    assert peek(space, 0x1000000, 0x1000) == path_bytes(path) + bytes(0x800)
    with pytest.raises(MemoryFault) as caught:
        peek(space, 0x1001000, 1)
    assert caught.value.args[0] == 0x1001000
    data = segment(offset=0, vaddr=0x1000000, filesz=0x2800, memsz=0x5000, flags=6)
    path = write(tmp_path / "p", program("aarch64", [data])[:0x800])
    with pytest.raises(GuestError) as failed:
        start(path, "aarch64")
    assert failed.value.errno == errno.EFAULT


def path_bytes(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


_arena: list[Arena] = []


def test_whatever_is_identified_is_loaded_or_refused(tmp_path):
    in_a_child(damaged_programs, tmp_path)


@tries(400, HealthCheck.function_scoped_fixture)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(
        st.tuples(
            st.integers(24, 64 + 56 * 3 - 9),
            st.one_of(
                st.integers(0, 2**64 - 1),
                st.sampled_from(
                    [0, 1, 2, 3, 0x1000, 0x10000, 2**31, 2**32 - 4096, 2**47 - 4096, 2**48, 2**63]
                ),
            ),
            st.sampled_from(["<B", "<H", "<I", ">I", "<Q", ">Q"]),
        ),
        max_size=4,
    ),
    st.integers(0x400, 0x2000),
)
def damaged_programs(tmp_path, name, damages, length):
    content = bytearray(
        program(name, [segment(PT_GNU_STACK, flags=6), *pie()], elf_type=ET_DYN)[:0x2000]
    )
    for place, value, form in damages:
        struct.pack_into(form, content, place, value & ((1 << 8 * struct.calcsize(form)) - 1))
    path = write(tmp_path / "p", bytes(content[:length]))
    try:
        plan = loader.plan(View(), path, [b"p"], [])
    except ImageError:
        return
    if not plan.image.arch:
        plan.close()
        return
    facts = arches.load(plan.image.arch)
    if not _arena:
        _arena.append(Arena(1 << 40, 1 << 33))
    try:
        pages = decide(facts, HOST_PAGE, plan.images)
        loader.check(plan, facts, pages, STACK)
        limits = Limits(
            page=pages.guest,
            address_top=facts.address_top,
            mmap_top=facts.mmap_top,
            min_address=pages.guest,
        )
        space = AddressSpace(
            PageTable(_arena[0], pages.engine), ArenaHost(_arena[0]), limits, facts.model
        )
        loaded = loader.load(plan, space, facts, pages, WHO, stack_limit=STACK)
    except (ImageError, GuestError):
        return
    finally:
        plan.close()
    assert loaded.image.base + plan.image.high <= facts.address_top
    assert loaded.image.brk % pages.guest == 0
    space.reset()


def test_the_file_decides_the_place():
    assert elf.file_offset((1, 2, 3, 4), 1000) == elf.file_offset((1, 2, 3, 4), 1000)
    places = [elf.file_offset((1, inode, 3, 4), 1 << 20) for inode in range(1000)]
    assert all(0 <= place < 1 << 20 for place in places)
    assert len(set(places)) > 990
