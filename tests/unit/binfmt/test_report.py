"""What `octavo binfmt status` says: who wins, and every problem."""

import pytest

from binfmt import carried, handler, kernel, magic, report
from binfmt.kernel import Entry, Mount
from binfmt.registry import TEMPORARY, wanted
from runtime import arch
from tests.unit.binfmt.fake import FakeRegistry

AFTER = "was registered after qemu-aarch64, and the newest wins"
REMOVE_ROSETTA = "octavo binfmt register aarch64, or remove the other (echo -1 > /proc/sys/fs/binfmt_misc/rosetta)"
TARGETS = magic.targets()


class Status:
    """collect(), the handler that is on disk, the directory of binfmt.d."""

    def __init__(self, run, program, directory) -> None:
        self.run = run
        self.program = program
        self.directory = directory

    def __call__(self, *entries, **more):
        return self.run(*entries, **more)


@pytest.fixture
def status(monkeypatch, tmp_path):
    """collect() with entries, a mount, what is pinned, and files of binfmt.d."""
    program = tmp_path / "octavo"
    program.write_bytes(b"x")

    def run(*entries, mount=None, pinned="same", on=True, initial=True):
        fake = FakeRegistry(path=str(tmp_path / "misc"))
        fake.stored = list(entries)
        fake.on = on
        place = mount or Mount(kernel.READY, "binfmt_misc is mounted")
        now = handler.on_disk(str(program).encode())
        held = {
            "same": handler.Pinned(b"", False, now or (0, 0)),
            "other": handler.Pinned(b"", True, (1, 1)),
            "unknown": None,
        }[pinned]
        monkeypatch.setattr(kernel, "mount", lambda path: place)
        monkeypatch.setattr(kernel, "in_initial_namespace", lambda: initial)
        monkeypatch.setattr(handler, "pinned", lambda target: held)
        return report.collect(fake, [str(tmp_path / "binfmt.d")])

    directory = tmp_path / "binfmt.d"
    directory.mkdir()
    return Status(run, str(program), directory)


def row(found, target="aarch64"):
    return next(row for row in found["targets"] if row["target"] == target)


def problems(found):
    return [(",".join(p["targets"]), p["text"], p["remedy"]) for p in found["problems"]]


def test_nothing_is_registered(status) -> None:
    found = status()
    assert problems(found) == []
    assert [row["target"] for row in found["targets"]] == list(TARGETS)
    assert row(found)["handler"] is None
    assert report.lines(found)[1].split() == ["aarch64", "none", "-", "-", "-", "-"]


def test_ours(status) -> None:
    found = status(wanted("aarch64", status.program, "POF"))
    assert problems(found) == []
    ours = row(found)
    assert (ours["handler"], ours["owner"], ours["flags"]) == ("qemu-aarch64", "octavo", "POF")
    assert ours["file"] == "pinned, the one on disk"
    assert row(found, "arm")["handler"] is None


def test_the_pinned_file_is_an_old_one(status) -> None:
    found = status(wanted("aarch64", status.program, "POF"), pinned="other")
    assert row(found)["file"] == "pinned, differs from the one on disk"
    assert problems(found) == [
        (
            "aarch64",
            f"the kernel still starts the file that {status.program} was before it was replaced",
            "octavo binfmt register",
        )
    ]


def test_the_configuration_has_changed(status, monkeypatch) -> None:
    monkeypatch.setattr(carried, "stale", lambda path: True)
    assert problems(status(wanted("aarch64", status.program, "POF"))) == [
        (
            "aarch64",
            f"the configuration has changed since {status.program} was registered, which carries it",
            "octavo binfmt register",
        )
    ]


def test_the_pinned_file_is_gone(status) -> None:
    found = status(wanted("aarch64", "/gone", "POF"), wanted("arm", "/gone", "POF"), pinned="other")
    assert row(found)["file"] == "pinned, gone from disk"
    assert problems(found) == [
        (
            "aarch64,arm",
            "the handler /gone was deleted; the kernel holds on to it until the next boot",
            "octavo binfmt register",
        )
    ]
    text = "\n".join(report.lines(found))
    assert "problem: aarch64, arm: the handler /gone was deleted" in text
    assert "remedy:  octavo binfmt register" in text


def test_it_is_not_known_which_file_is_pinned(status) -> None:
    found = status(wanted("aarch64", status.program, "POF"), pinned="unknown")
    assert row(found)["file"] == "pinned, not known which"
    assert problems(found) == []


def test_without_f(status) -> None:
    found = status(wanted("aarch64", status.program, "P"), wanted("arm", "/gone", "P"))
    assert row(found)["file"] == "by path"
    assert row(found, "arm")["file"] == "missing"
    assert problems(found) == [
        (
            "aarch64",
            f"without flag F the handler {status.program} has to be in every chroot as well",
            "register a static handler (make launcher)",
        ),
        (
            "arm",
            "the handler /gone does not exist, and programs fail with ENOENT",
            "octavo binfmt register",
        ),
    ]


def foreign(name: str, path: str, flags: str = "F") -> Entry:
    own = magic.of(arch.load("aarch64"))
    return Entry(
        name, path.encode(), flags, magic=own.magic[:9] + bytes(7) + own.magic[16:], mask=own.mask
    )


def test_another_one_is_newer(status) -> None:
    found = status(
        foreign("rosetta", status.program), wanted("aarch64", status.program, "POF"),
    )  # fmt: skip
    assert (row(found)["owner"], row(found)["others"]) == (
        "Rosetta, of a virtual machine on macOS", ["qemu-aarch64"],
    )  # fmt: skip
    assert problems(found) == [
        (
            "aarch64",
            f"rosetta (Rosetta, of a virtual machine on macOS, {status.program}) {AFTER}",
            REMOVE_ROSETTA,
        )
    ]


def test_one_that_is_switched_off_does_not_win(status) -> None:
    other = foreign("rosetta", status.program)
    other.enabled = False
    found = status(other, wanted("aarch64", status.program, "POF"))
    assert row(found)["handler"] == "qemu-aarch64"
    assert problems(found) == []


def test_from_a_container(status) -> None:
    found = status(foreign("qemu-aarch64", "/usr/bin/qemu-aarch64"), pinned="other")
    assert row(found)["owner"] == "qemu-user"
    assert problems(found) == [
        (
            "aarch64",
            "the handler /usr/bin/qemu-aarch64 is not here: registered from a container or another root",
            "register it again",
        )
    ]


def test_what_an_interrupted_registration_left(status) -> None:
    left = wanted("arm", status.program, "POF")
    left.name += TEMPORARY
    assert problems(status(left)) == [
        (
            "arm",
            "qemu-arm.octavo-new is left from a registration that was interrupted; it works",
            "octavo binfmt register arm",
        )
    ]


def test_switched_off(status) -> None:
    found = status(wanted("arm", status.program, "POF"), on=False)
    assert row(found, "arm")["handler"] is None
    assert problems(found)[0][1] == "binfmt_misc is switched off as a whole"
    assert problems(found)[0][2].startswith("echo 1 > ")


@pytest.mark.parametrize("state", [kernel.NOT_MOUNTED, kernel.HIDDEN, kernel.READ_ONLY])
def test_the_mounts_state_is_a_problem(status, state) -> None:
    found = status(mount=Mount(state, "what is wrong", "what to do"))
    assert problems(found) == [("", "what is wrong", "what to do")]
    assert found["mount"]["state"] == state
    assert report.lines(found)[-2:] == ["problem: what is wrong", "remedy:  what to do"]


def test_the_distributions_files_win_at_the_next_boot(status) -> None:
    ours = wanted("aarch64", status.program, "POF")
    theirs = status.directory / "qemu-aarch64.conf"
    theirs.write_bytes(foreign("qemu-aarch64", "/usr/libexec/qemu-binfmt/x").record() + b"\n")
    assert problems(status(ours)) == [
        (
            "aarch64",
            f"at the next boot files of {status.directory} register qemu-user in our place",
            "octavo binfmt export --format binfmt.d /etc/binfmt.d",
        )
    ]
    assert problems(status(ours, initial=False)) == []
    theirs.rename(status.directory / "zz.conf")
    assert problems(status(ours))[0][2] == (
        "ln -s /dev/null /etc/binfmt.d/zz.conf; octavo binfmt export --format binfmt.d /etc/binfmt.d"
    )
    assert problems(status()) == []


@pytest.mark.parametrize(
    ("name", "path", "who"),
    [
        ("WSLInterop-late", "/init", "WSL, for Windows programs"),
        ("rosetta", "/mnt/lima-rosetta/rosetta", "Rosetta, of a virtual machine on macOS"),
        ("qemu-x", "/usr/bin/buildkit-qemu-aarch64", "BuildKit's qemu-user"),
        ("qemu-aarch64", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "qemu-user"),
        ("FEX-x86_64", "/usr/bin/FEXInterpreter", "FEX"),
        ("box64", "/usr/bin/box64", "box64"),
        ("python3.11", "/usr/bin/python3.11", "another program"),
    ],
)
def test_whose_an_entry_is(name, path, who) -> None:
    assert report.owner(foreign(name, path)) == who


def test_other_entries_are_listed(status) -> None:
    jar = Entry("jar", b"/usr/bin/jexec", "", magic=b"PK\x03\x04")
    found = status(jar)
    assert "  jar (another program): /usr/bin/jexec" in report.lines(found)
    assert found["entries"][0]["targets"] == []
