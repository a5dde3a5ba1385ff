"""Register, replace, unregister, against a kernel in memory that can be stopped or can refuse at every step."""

import errno
import os

import pytest

from binfmt import handler, magic, registry
from binfmt.kernel import BinfmtError, Entry
from binfmt.registry import TEMPORARY, register, unregister, wanted
from runtime import arch
from runtime._core import HOST_MACHINE
from tests.unit.binfmt.fake import FakeRegistry

QEMU = b"/usr/libexec/qemu-binfmt/aarch64-binfmt-P"


@pytest.fixture
def program(tmp_path):
    """A static ELF program of this machine, by its header."""
    path = tmp_path / "octavo"
    path.write_bytes(magic.header(arch.load(HOST_MACHINE)))
    path.chmod(0o755)
    return str(path)


def foreign(name: str = "qemu-aarch64") -> Entry:
    """As Debian registers it."""
    own = magic.of(arch.load("aarch64"))
    plain = bytearray(own.magic)
    plain[9:15] = bytes(6)
    return Entry(name, QEMU, "POF", magic=bytes(plain), mask=own.mask)


def put(registered: FakeRegistry, program: str, *targets: str, **more) -> list[str]:
    lines: list[str] = []
    register(registered, targets or ("aarch64",), program, warn=lines.append, **more)
    return lines


def test_flags_p_o_f_by_default(program) -> None:
    fake = FakeRegistry()
    assert put(fake, program, "aarch64", "mips") == []
    assert [(entry.name, entry.flags) for entry in fake.stored] == [
        ("qemu-mips", "POF"), ("qemu-aarch64", "POF"),
    ]  # fmt: skip
    assert all(entry.ours for entry in fake.stored)
    assert fake.log[0] == "lock" and fake.log[-1] == "unlock"


def test_names(program) -> None:
    fake = FakeRegistry()
    put(fake, program, "ppc64le", prefix="octavo-")
    assert fake.stored[0].name == "octavo-ppc64le"


def test_credentials_only_when_asked_for_and_with_a_warning(program) -> None:
    fake = FakeRegistry()
    both = ("aarch64", "mips")
    assert put(fake, program, *both, credentials=both) == [registry.CREDENTIALS_WARNING]
    assert [entry.flags for entry in fake.stored] == ["POCF", "POCF"]
    assert put(fake, program, *both, credentials={"mips"}) == [registry.CREDENTIALS_WARNING]
    assert {entry.name: entry.flags for entry in fake.stored} == {
        "qemu-mips": "POCF", "qemu-aarch64": "POF",
    }  # fmt: skip
    assert put(fake, program, *both) == []  # anew without it takes it away
    assert [entry.flags for entry in fake.stored] == ["POF", "POF"]


def test_a_script_has_no_f_and_no_o(program) -> None:
    with open(program, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n")
    fake = FakeRegistry()
    assert put(fake, program) == [registry.SCRIPT_WARNING.format(path=program)]
    assert fake.stored[0].flags == "P"
    with pytest.raises(BinfmtError, match="a #! script cannot be a handler with flag C"):
        put(fake, program, credentials={"aarch64"})


def test_a_dynamic_program_is_warned_about() -> None:
    fake = FakeRegistry()
    assert put(fake, "/bin/sh") == [registry.DYNAMIC_WARNING.format(path="/bin/sh")]


@pytest.mark.parametrize(
    ("known", "flags", "warnings"),
    [
        ("POC", "PO", [registry.FLAG_LOST["F"]]),
        ("PC", "P", [registry.FLAG_LOST["F"], registry.FLAG_LOST["O"]]),
        ("", "", [registry.FLAG_LOST[flag] for flag in "FOP"]),
    ],
)
def test_flags_that_the_kernel_does_not_know(program, known, flags, warnings) -> None:
    fake = FakeRegistry(known)
    assert put(fake, program) == warnings
    assert [entry.flags for entry in fake.stored] == [flags]


def test_a_kernel_that_refuses_for_another_reason(program) -> None:
    fake = FakeRegistry()
    fake.fail = dict.fromkeys(range(20), errno.EINVAL)
    with pytest.raises(BinfmtError, match="qemu-aarch64: the kernel refuses the entry"):
        put(fake, program)
    assert fake.stored == []


def test_somebody_elses_entry_is_left_alone(program) -> None:
    fake = FakeRegistry()
    fake.stored = [foreign()]
    with pytest.raises(BinfmtError) as caught:
        put(fake, program)
    assert str(caught.value) == (
        f"qemu-aarch64 is registered already, not by octavo (handler {QEMU.decode()}), and is left alone; "
        "remove it (echo -1 > /proc/sys/fs/binfmt_misc/qemu-aarch64), or give ours another name "
        "(--name-prefix octavo-): the newest registration wins"
    )
    assert fake.log == ["lock", "unlock"]
    put(fake, program, prefix="octavo-")
    assert [entry.name for entry in fake.stored] == ["octavo-aarch64", "qemu-aarch64"]
    assert unregister(fake, ["aarch64"]) == 1
    assert [entry.name for entry in fake.stored] == ["qemu-aarch64"]


def test_a_temporary_name_that_is_somebody_elses(program) -> None:
    fake = FakeRegistry()
    put(fake, program)
    fake.stored.insert(0, foreign("qemu-aarch64" + TEMPORARY))
    with pytest.raises(BinfmtError, match="left alone"):
        put(fake, program)


def winner(fake: FakeRegistry) -> Entry | None:
    head = magic.header(arch.load("aarch64"))
    return next((entry for entry in fake.stored if entry.matches(head)), None)


class Stopped(Exception):
    """The process is killed here."""


@pytest.mark.parametrize("before", ["nothing", "ours", "ours and a temporary", "a temporary"])
@pytest.mark.parametrize("step", range(6))
def test_stopped_at_every_step_there_is_always_a_handler(program, before, step) -> None:
    """And the next registration puts all in order."""
    fake = FakeRegistry()
    old = wanted("aarch64", "/old/octavo", "POF")
    left = wanted("aarch64", "/old/octavo", "POF")
    left.name += TEMPORARY
    if before in ("ours", "ours and a temporary"):
        fake.stored.append(old)
    if "temporary" in before:
        fake.stored.insert(0, left)
    real, count = fake._write, 0
    missing: list[int] = []

    class Dying(FakeRegistry):
        __slots__ = ()

        def _write(self, name, data):
            nonlocal count
            if count == step:
                raise Stopped
            count += 1
            real(name, data)
            self.stored = fake.stored
            if before != "nothing" and winner(fake) is None:
                missing.append(count)

    dying = Dying()
    dying.stored = fake.stored
    try:
        put(dying, program)
    except Stopped:
        pass
    assert missing == []
    assert winner(fake) is not None or (before, step) == ("nothing", 0)
    put(fake, program)
    assert [entry.name for entry in fake.stored] == ["qemu-aarch64"]
    assert fake.stored[0].interpreter == program.encode()


def test_a_read_back_that_differs_is_taken_back(program) -> None:
    """As a kernel would that ends the magic at its first NUL."""

    class Cutting(FakeRegistry):
        __slots__ = ()

        def _add(self, data):
            super()._add(data)
            self.stored[0].magic = self.stored[0].magic.partition(b"\0")[0]

    fake = Cutting()
    with pytest.raises(BinfmtError) as caught:
        put(fake, program)
    assert "the kernel shows another entry than was written, so it was taken back" in str(
        caught.value
    )
    assert fake.stored == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.EACCES, "; it takes root, or a registry of one's own: octavo binfmt register"),
        (errno.EPERM, "; it takes root, or a registry of one's own: octavo binfmt register"),
        (errno.EEXIST, "; somebody else has just registered this name"),
        (errno.ENOSPC, ""),
    ],
)
def test_what_the_kernel_refuses(program, code, hint) -> None:
    fake = FakeRegistry()
    fake.fail = {1: code}
    with pytest.raises(BinfmtError) as caught:
        put(fake, program)
    text = str(caught.value)
    assert text.startswith(f"cannot register qemu-aarch64: {os.strerror(code)}{hint}")
    assert fake.log[-1] == "unlock"


def test_a_target_that_fails_leaves_those_before_it(program) -> None:
    fake = FakeRegistry()
    fake.stored = [foreign()]
    with pytest.raises(BinfmtError):
        put(fake, program, "arm", "aarch64", "mips")
    assert [entry.name for entry in fake.stored] == ["qemu-arm", "qemu-aarch64"]


def test_a_path_that_is_too_long_is_said_before_anything_is_written(program, tmp_path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    path = str(deep / "octavo")
    os.rename(program, path)
    fake = FakeRegistry()
    with pytest.raises(BinfmtError, match="takes paths of up to 127"):
        put(fake, path)
    assert fake.log == []


def test_unregister_takes_only_ours_and_only_what_is_named(program) -> None:
    fake = FakeRegistry()
    put(fake, program, "arm", "mips", "aarch64")
    fake.stored.append(foreign("debian-aarch64"))
    names: list[str] = []
    assert unregister(fake, ["arm"], done=names.append) == 1
    assert names == ["qemu-arm"]
    assert unregister(fake, magic.targets()) == 2
    assert [entry.name for entry in fake.stored] == ["debian-aarch64"]
    assert unregister(fake, magic.targets()) == 0


def test_unregister_finds_ours_that_are_switched_off_and_half_done(program) -> None:
    fake = FakeRegistry()
    put(fake, program, prefix="other-")
    left = wanted("aarch64", program, "POF")
    left.name += TEMPORARY
    fake.stored.append(left)
    fake.stored[0].enabled = False
    assert unregister(fake, ["aarch64"]) == 2


def test_an_entry_that_goes_away_meanwhile_is_no_error(program) -> None:
    fake = FakeRegistry()
    registry.Remove(fake, "qemu-arm").execute()


def test_steps_say_what_they_do(program) -> None:
    fake = FakeRegistry()
    put(fake, program)
    steps = registry.plan(fake, wanted("aarch64", program, "POF"))
    assert [step.describe() for step in steps] == [
        "register qemu-aarch64.octavo-new",
        "unregister qemu-aarch64",
        "register qemu-aarch64",
        "unregister qemu-aarch64.octavo-new",
    ]


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"\x7fEL", 0o755, "the handler is neither an ELF program nor a #! script"),
        (b"text", 0o755, "the handler is neither an ELF program nor a #! script"),
        (b"#!/bin/sh\n", 0o644, "the handler is not executable (chmod +x; is it mounted noexec?)"),
        (None, 0, "the handler cannot be read: No such file or directory"),
        (magic.header(arch.load("mips")), 0o755, "the handler is a program for mips, and this is"),
    ],
)
def test_what_cannot_be_a_handler(tmp_path, content, mode, message) -> None:
    path = tmp_path / "handler"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(BinfmtError) as caught:
        handler.kind(str(path))
    assert str(caught.value).startswith(f"{path}: {message}")
