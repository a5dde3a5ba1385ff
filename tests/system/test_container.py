"""The container view on this kernel: as root, as an ordinary user, and what is left behind."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

TOP = Path(__file__).parents[2]

# Run in the new root by the Python of outside: everything is imported before the root changes.
PROBE = """
import json, os, sys
sys.path.insert(0, "TOP")
from runtime import rootfs
view = rootfs.open_view(os.fsencode(sys.argv[1]), ())
master, terminal = os.openpty()
os.write(terminal, b"hello")
with open("/dev/null", "w") as null:
    null.write("x")
with open("/dev/shm/octavo-test", "w") as file:
    file.write("x")
os.unlink("/dev/shm/octavo-test")
os.mkdir("/made")
print(json.dumps({
    "kind": view.kind, "uid": os.getuid(), "cwd": os.getcwd(), "top": sorted(os.listdir("/")),
    "processes": "self" in os.listdir("/proc"), "pid": os.readlink("/proc/self"),
    "resolv": open("/etc/resolv.conf").read() if os.path.exists("/etc/resolv.conf") else None,
    "above": sorted(os.listdir("/..")), "mounts": open("/proc/self/mounts").read(),
}))
""".replace("TOP", str(TOP))


@pytest.fixture
def root():
    """A root that an ordinary user can enter: /etc with a resolv.conf that dangles, /work."""
    top = Path(os.path.realpath(tempfile.mkdtemp(prefix="octavo-root-")))
    top.chmod(0o777)
    for name in ("etc", "work"):
        (top / name).mkdir()
        (top / name).chmod(0o777)
    (top / "etc/resolv.conf").symlink_to("../run/absent/resolv.conf")
    yield top
    shutil.rmtree(top)


def probe(root: Path, user: bool, cwd="/"):
    import json

    if user and not shutil.which("setpriv"):
        pytest.skip("setpriv(1) is not installed")
    words = [sys.executable, "-c", PROBE, str(root)]
    if user:
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    if user and "Permission denied" in done.stderr and not done.stdout:
        pytest.skip("this checkout or its Python cannot be read by an ordinary user")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_inside(root, user):
    before = Path("/proc/self/mounts").read_text()
    found = probe(root, user)
    assert found["kind"] == "container"
    assert found["uid"] == 0
    assert found["cwd"] == "/"
    assert found["top"] == ["dev", "etc", "made", "proc", "sys", "work"]
    assert found["above"] == found["top"]
    assert found["processes"]
    rows = [row.split() for row in found["mounts"].splitlines()]
    assert [row[3].split(",")[0] for row in rows if row[1] == "/sys"] == ["ro"]
    if Path("/etc/resolv.conf").exists():
        assert found["resolv"] == Path("/etc/resolv.conf").read_text()
    assert str(root) not in found["mounts"]
    # Nothing of it is left outside, and the root has what it had and the mount points.
    assert Path("/proc/self/mounts").read_text() == before
    assert sorted(os.listdir(root)) == ["dev", "etc", "made", "proc", "sys", "work"]
    assert os.listdir(root / "dev") == []
    assert os.readlink(root / "etc/resolv.conf") == "../run/absent/resolv.conf"
    assert (root / "made").stat().st_uid == (65534 if user else 0)


def test_the_working_directory_is_kept_where_the_root_has_it(root, tmp_path):
    work = Path("/") / "octavo-test-directory"
    work.mkdir()
    (root / work.name).mkdir()
    try:
        assert probe(root, False, cwd=work)["cwd"] == str(work)
    finally:
        work.rmdir()


def test_without_namespaces_and_chroot_paths_are_resolved_in_the_layer(root):
    script = (
        "import os, sys; sys.path.insert(0, 'TOP'); from runtime import container, rootfs\n"
        "def refuse(*words): raise PermissionError(1, 'no')\n"
        "container.Namespaces.execute = refuse; os.chroot = refuse\n"
        "view = rootfs.open_view(os.fsencode(sys.argv[1]), ())\n"
        "print(view.kind, view.resolve(-100, b'/etc', True)[1].decode())"
    ).replace("TOP", str(TOP))
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["inlayer", f"{root}/etc"]
