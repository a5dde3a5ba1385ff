"""Entries as they are written and shown, and what is said of the mount."""

import os

import pytest

from binfmt import kernel, magic
from binfmt.kernel import BinfmtError, Entry, Registry, parse
from runtime import arch
from tests.unit.binfmt.fake import show

SHOWN = b"""\
enabled
interpreter /usr/libexec/octavo/octavo
flags: POF
offset 0
magic 7f454c46
mask ff00ffff
"""


def entry(path: bytes = b"/bin/handler", name: str = "qemu-arm", **more) -> Entry:
    more.setdefault("magic", b"\x7fELF\0")
    more.setdefault("mask", b"\xff\xff\xff\xff\0")
    return Entry(name, path, "POF", **more)


def test_an_entry_is_read() -> None:
    found = parse("x", SHOWN)
    assert (found.name, found.enabled, found.interpreter, found.flags) == (
        "x", True, b"/usr/libexec/octavo/octavo", "POF",
    )  # fmt: skip
    assert (found.magic, found.mask, found.offset) == (b"\x7fELF", b"\xff\0\xff\xff", 0)
    assert not parse("x", SHOWN.replace(b"enabled", b"disabled")).enabled


def test_an_extension_is_read_and_matches_names() -> None:
    found = parse("x", b"enabled\ninterpreter /bin/j\nflags: \nextension .jar\n")
    assert found.matches(b"", b"/a/b.jar")
    assert not found.matches(b"", b"/a/jar")
    assert not found.matches(b"", b"/a/b.jar.gz")
    assert not found.ours


def test_what_is_shown_and_not_understood() -> None:
    for text in (b"", b"enabled\n", SHOWN.replace(b"ff00", b"zz")):
        with pytest.raises(
            BinfmtError, match="x: the kernel shows an entry that is not understood"
        ):
            parse("x", text)


def test_a_record_escapes_every_byte() -> None:
    assert entry().record() == (
        b":qemu-arm:M:0:\\x7f\\x45\\x4c\\x46\\x00:\\xff\\xff\\xff\\xff\\x00:/bin/handler:POF"
    )


def test_another_delimiter_when_the_path_has_a_colon() -> None:
    assert entry(b"/a:b").record().startswith(b"|qemu-arm|M|0|")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            entry(b"/" + b"x" * 127),
            "128 bytes, and binfmt_misc takes paths of up to 127; put the handler, or a link to it",
        ),
        (entry(b"/a\nb"), "binfmt_misc cannot have a path with these characters"),
        (entry(b"/:|,;!@%"), "binfmt_misc cannot have a path with these characters"),
        (entry(b"handler"), "handler: the handler's path must begin with /"),
        (entry(name="register"), "'register' cannot be the name of an entry of binfmt_misc"),
        (entry(name="a/b"), "'a/b' cannot be the name of an entry of binfmt_misc"),
        (entry(name=""), "'' cannot be the name of an entry"),
        (
            entry(name="n" * 1900),
            "bytes, and binfmt_misc takes up to 1920",
        ),
    ],
)
def test_what_cannot_be_registered(made, message) -> None:
    with pytest.raises(BinfmtError) as caught:
        made.record()
    assert message in str(caught.value)


def test_the_longest_path_that_can_be() -> None:
    assert entry(b"/" + b"x" * 126).record()


def test_same_knows_that_c_implies_o() -> None:
    one = Entry("x", b"/h", "PCF", magic=b"a", mask=b"b")
    assert one.same(Entry("x", b"/h", "POCF", magic=b"a", mask=b"b"))
    for other in (
        Entry("x", b"/h", "PF", magic=b"a", mask=b"b"),
        Entry("x", b"/H", "PCF", magic=b"a", mask=b"b"),
        Entry("x", b"/h", "PCF", magic=b"a", mask=b"c"),
        Entry("x", b"/h", "PCF", magic=b"a", mask=b"b", offset=1),
    ):
        assert not one.same(other)


def test_matching_looks_at_the_offset_and_at_128_bytes() -> None:
    late = Entry("x", b"/h", "", magic=b"AB", offset=126)
    assert late.matches(b"\0" * 126 + b"AB")
    assert not late.matches(b"\0" * 126 + b"AC")
    assert not Entry("x", b"/h", "", magic=b"AB", enabled=False).matches(b"AB")


def test_a_half_decoded_magic_is_seen_for_what_it_is() -> None:
    """The mistake that locks machines up: cut at its first NUL, the magic takes every ELF file of its class."""
    facts = arch.load("aarch64")
    own = magic.of(facts)
    cut = Entry("x", b"/h", "POF", magic=own.magic[:7], mask=own.mask[:7])
    full = Entry("x", b"/h", "POF", magic=own.magic, mask=own.mask)
    assert cut.matches(magic.header(arch.load("riscv64")))
    assert not full.same(parse("x", show(cut)))
    assert full.same(parse("x", show(full)))


def test_status_cannot_be_removed() -> None:
    """Writing -1 there would take everybody's entries away."""
    for name in ("status", "register", "a/b"):
        with pytest.raises(BinfmtError, match="is not the name of an entry"):
            Registry("/nowhere").remove(name)


@pytest.fixture
def proc(tmp_path):
    """A /proc of the initial user namespace, whose kernel has binfmt_misc."""
    top = tmp_path / "proc"
    (top / "self/ns").mkdir(parents=True)
    (top / "self/ns/user").symlink_to("user:[4026531837]")
    (top / "filesystems").write_text("nodev\tsysfs\nnodev\tbinfmt_misc\n")
    return top


@pytest.fixture
def misc(tmp_path):
    top = tmp_path / "binfmt_misc"
    top.mkdir()
    (top / "register").write_text("")
    (top / "status").write_text("enabled\n")
    return top


def other_namespace(proc) -> None:
    (proc / "self/ns/user").unlink()
    (proc / "self/ns/user").symlink_to("user:[4026532000]")


def test_a_mount_that_is_there(misc, proc) -> None:
    found = kernel.mount(str(misc), str(proc))
    assert (found.state, found.usable, found.remedy) == (kernel.READY, True, "")


def test_no_mount(tmp_path, proc) -> None:
    path = str(tmp_path / "none")
    found = kernel.mount(path, str(proc))
    assert (found.state, found.usable) == (kernel.NOT_MOUNTED, False)
    assert found.text == f"binfmt_misc is not mounted on {path}"
    assert found.remedy == "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
    other_namespace(proc)
    assert "makes a registry of this user namespace's own" in kernel.mount(path, str(proc)).remedy


def test_no_support(tmp_path, proc) -> None:
    (proc / "filesystems").write_text("nodev\tsysfs\n")
    found = kernel.mount(str(tmp_path / "none"), str(proc))
    assert (found.state, found.text) == (kernel.UNSUPPORTED, "the kernel has no binfmt_misc")
    assert found.remedy == "modprobe binfmt_misc, or a kernel with CONFIG_BINFMT_MISC"


def test_no_proc(tmp_path) -> None:
    found = kernel.mount(str(tmp_path / "none"), str(tmp_path / "proc"))
    assert (found.state, found.text) == (kernel.NO_PROC, f"{tmp_path}/proc is not mounted")
    assert found.remedy == f"mount -t proc proc {tmp_path}/proc"


def test_an_empty_registry_of_a_namespace_hides_its_parents(misc, proc) -> None:
    other_namespace(proc)
    found = kernel.mount(str(misc), str(proc))
    assert (found.state, found.usable) == (kernel.HIDDEN, True)
    assert "is empty and hides its parent's: no foreign program runs" in found.text
    assert found.remedy == "register in here too (octavo binfmt register all)"
    (misc / "qemu-arm").write_text("")
    assert kernel.mount(str(misc), str(proc)).state == kernel.READY


def test_entries_of_a_directory(misc) -> None:
    (misc / "x").write_bytes(SHOWN)
    (misc / "y").write_bytes(SHOWN)
    found = Registry(str(misc))
    assert sorted(item.name for item in found.entries()) == ["x", "y"]
    assert found.enabled()
    assert found.read("x").flags == "POF"
    (misc / "status").write_text("disabled\n")
    assert not found.enabled()


def test_a_write_is_one_write(misc, monkeypatch) -> None:
    written = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        written.append(data)
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    Registry(str(misc)).add(entry())
    assert written == [entry().record()]
