"""Views: what a guest path becomes, and that nothing leads out of a prefix."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import rootfs
from runtime.abi.linux import AT_FDCWD
from runtime.rootfs import InLayer, RootError, View
from runtime.walk import walk


@pytest.fixture
def prefix(tmp_path):
    """A small root: files, links that are relative, absolute, upward, circular and dangling."""
    root = tmp_path / "prefix"
    for name in ("bin", "lib/arch", "etc", "proc", "dev"):
        (root / name).mkdir(parents=True)
    (root / "bin/prog").write_text("x")
    (root / "bin/prog").chmod(0o755)
    (root / "bin/data").write_text("x")
    (root / "lib/arch/libc-1.so").write_text("x")
    (root / "lib/ld.so").symlink_to("/lib/arch/ld.so")
    (root / "lib/arch/ld.so").symlink_to("libc-1.so")
    (root / "usr").symlink_to(".")
    (root / "out").symlink_to("../../../../../../bin/prog")
    (root / "loop").symlink_to("loop")
    (root / "gone").symlink_to("/nowhere")
    (root / "etc/alias").symlink_to("/bin")
    return os.fsencode(root)


def test_the_host_view_changes_nothing():
    view = View()
    path = b"relative/../x"
    assert view.resolve(7, path, True) == (7, path)
    assert view.resolve(7, path, True)[1] is path
    assert view.guest_path(path) is path


@pytest.mark.parametrize(
    ("path", "follow", "expected"),
    [
        (b"/bin/prog", True, b"/bin/prog"),
        (b"//bin/.//prog", True, b"/bin/prog"),
        (b"/bin/../bin/prog", True, b"/bin/prog"),
        (b"/../../bin/prog", True, b"/bin/prog"),
        (b"/usr/bin/prog", True, b"/bin/prog"),
        (b"/lib/ld.so", True, b"/lib/arch/libc-1.so"),
        (b"/lib/ld.so", False, b"/lib/ld.so"),
        (b"/out", True, b"/bin/prog"),
        (b"/out", False, b"/out"),
        (b"/etc/alias/prog", False, b"/bin/prog"),
        (b"/etc/alias/", False, b"/bin/"),
        (b"/", True, b""),
        (b"/absent", True, None),
        (b"/gone", True, None),
        (b"/gone", False, b"/gone"),
    ],
)
def test_walk(prefix, path, follow, expected):
    found = walk(prefix, path, follow)
    assert found == (None if expected is None else prefix + expected)


def test_a_circle_is_eloop(prefix):
    with pytest.raises(OSError, match="symbolic") as caught:
        walk(prefix, b"/loop", True)
    assert caught.value.errno == errno.ELOOP
    assert walk(prefix, b"/loop", False) == prefix + b"/loop"


def test_missing_last_names(prefix):
    assert walk(prefix, b"/etc/new", True, missing=True) == prefix + b"/etc/new"
    assert walk(prefix, b"/absent/new", True, missing=True) is None
    assert walk(prefix, b"/gone", True, missing=True) == prefix + b"/nowhere"


@given(
    st.lists(
        st.sampled_from(
            ["..", ".", "", "bin", "prog", "usr", "out", "lib", "ld.so", "etc", "alias", "gone"]
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_nothing_leads_out(tmp_path_factory, names, follow):
    root = _shared(tmp_path_factory)
    found = walk(root, b"/" + "/".join(names).encode(), follow, missing=True)
    if found is not None:
        parent, _, last = found.rstrip(b"/").rpartition(b"/")
        assert found.startswith(root)
        assert last != b".."
        assert found.rstrip(b"/") == root or os.path.realpath(parent).startswith(root)


_made: list[bytes] = []


def _shared(factory) -> bytes:
    if not _made:
        root = factory.mktemp("walk").resolve()
        (root / "bin").mkdir()
        (root / "bin/prog").write_text("x")
        (root / "lib").mkdir()
        (root / "lib/ld.so").symlink_to("/../bin/../../lib")
        (root / "usr").symlink_to("..")
        (root / "out").symlink_to("../../../../..")
        (root / "etc").mkdir()
        (root / "etc/alias").symlink_to("/../../bin")
        (root / "gone").symlink_to("/../absent")
        _made.append(os.fsencode(root))
    return _made[0]


def test_sysroot(prefix, tmp_path):
    second = tmp_path / "second"
    (second / "bin").mkdir(parents=True)
    (second / "bin/prog").write_text("2")
    (second / "bin/other").write_text("2")
    view = rootfs.sysroot([prefix, b"", b"/absent", os.fsencode(second)])
    assert view.kind == "sysroot"
    assert view.resolve(AT_FDCWD, b"/bin/prog", True) == (AT_FDCWD, prefix + b"/bin/prog")
    assert view.resolve(5, b"/bin/other", True) == (AT_FDCWD, os.fsencode(second) + b"/bin/other")
    assert view.resolve(5, b"/absent/x", True) == (5, b"/absent/x")
    assert view.resolve(5, b"bin/prog", True) == (5, b"bin/prog")
    assert view.resolve(AT_FDCWD, b"/proc/self/exe", True) == (AT_FDCWD, b"/proc/self/exe")
    assert view.resolve(AT_FDCWD, b"/./dev", True) == (AT_FDCWD, b"/./dev")
    assert view.guest_path(prefix + b"/bin/prog") == b"/bin/prog"
    assert view.guest_path(prefix) == b"/"
    assert view.guest_path(prefix + b"more/x") == prefix + b"more/x"
    assert view.guest_path(b"/home/x") == b"/home/x"


def test_a_sysroot_of_nothing_is_the_host():
    assert rootfs.sysroot([b"/absent", b"", b"/"]).kind == "host"


def test_in_layer(prefix, monkeypatch):
    view = InLayer(prefix)
    assert view.resolve(AT_FDCWD, b"/bin/prog", True)[1] == prefix + b"/bin/prog"
    assert view.resolve(AT_FDCWD, b"/etc/passwd", True)[1] == prefix + b"/etc/passwd"
    assert view.resolve(AT_FDCWD, b"/proc/self", True)[1] == b"/proc/self"
    monkeypatch.chdir(os.fsdecode(prefix) + "/etc")
    assert view.resolve(AT_FDCWD, b"../../../etc/alias/prog", True)[1] == prefix + b"/bin/prog"
    fd = os.open(prefix + b"/lib", os.O_RDONLY)
    try:
        assert view.resolve(fd, b"../../bin/prog", True)[1] == prefix + b"/bin/prog"
        assert view.resolve(fd, b"", True) == (fd, b"")
    finally:
        os.close(fd)


def test_programs_are_searched_in_the_guests_path(prefix, monkeypatch):
    view = InLayer(prefix)
    environment = [b"A=b", b"PATH=/absent:/etc:/usr/bin:/bin"]
    assert rootfs.find_program(view, b"prog", environment) == b"/usr/bin/prog"
    assert rootfs.find_program(view, b"./prog", environment) == b"./prog"
    assert rootfs.find_program(view, b"prog", []) == b"/usr/bin/prog"
    with pytest.raises(RootError, match="data: not found in PATH") as caught:  # no x bit
        rootfs.find_program(view, b"data", environment)
    assert caught.value.errno == errno.ENOENT
    monkeypatch.chdir(os.fsdecode(prefix) + "/bin")
    assert rootfs.find_program(View(), b"prog", [b"PATH=/bin"]) == b"prog"


def test_bad_roots(tmp_path):
    (tmp_path / "file").write_text("x")
    for name, number, word in (
        ("absent", errno.ENOENT, "no such"),
        ("file", errno.ENOTDIR, "not a directory"),
    ):
        with pytest.raises(RootError, match=word) as caught:
            rootfs.open_view(os.fsencode(tmp_path / name), ())
        assert caught.value.errno == number
        assert str(tmp_path / name) in str(caught.value)
