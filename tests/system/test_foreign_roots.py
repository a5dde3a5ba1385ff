"""Foreign roots with Octavo as the only handler and nothing of Octavo in them: arch-test, chroot, debootstrap,
mmdebstrap, sbuild. The registry is a user namespace's own (Linux 6.7), where root is root over all ids but makes no
devices.
"""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

TOP = Path(__file__).parents[2]
OCTAVO = TOP / ".venv/bin/octavo"
LAUNCHER = TOP / "build/launcher/octavo"
MIRROR = "http://deb.debian.org/debian"
MINUTE = 60.0  # seconds
FOREIGN = ["arm64", "armhf", "riscv64", "ppc64el", "mips"]


def need(*programs: str) -> None:
    if not LAUNCHER.exists():
        pytest.skip("no launcher: make launcher")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def under_octavo(
    *command: str, minutes: float = 2, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A command with every target registered, in process and mount namespaces of its own."""
    words = [OCTAVO, "binfmt", "register", "all", "--interpreter", LAUNCHER, "--user-namespace"]
    words += ["--", "unshare", "--mount", "--pid", "--fork", "--mount-proc", *command]
    done = subprocess.run(
        list(map(str, words)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=minutes * MINUTE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **(environment or {})},
        check=False,
    )
    if "no user namespace" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


@pytest.mark.parametrize("arch", FOREIGN)
def test_arch_test(arch, tmp_path):
    """It runs; it runs in an empty root; and without emulation it would not, of which QEMU_VERSION is the test."""
    need("arch-test")
    for words in ([arch], ["-c", str(tmp_path), arch]):
        done = under_octavo("arch-test", *words)
        assert (done.stdout, done.stderr) == (f"{arch}: ok\n", "")
        assert done.returncode == 0
    native = under_octavo("arch-test", "-n", arch)
    assert native.stdout == f"{arch}: not supported on this machine/kernel\n"
    assert native.returncode == 1
    assert os.listdir(tmp_path) == []


def test_arch_test_names_what_runs():
    need("arch-test")
    words = under_octavo("arch-test").stdout.split()
    assert {*FOREIGN} <= {*words}
    assert "s390x" not in words


@pytest.fixture
def arm64_root():
    path = Path(os.environ.get("OCTAVO_TEST_ROOT", TOP / "var/roots/arm64"))
    if not (path / "usr/bin/dpkg").exists():
        pytest.skip(f"there is no guest root at {path}: `make run` creates it")
    return path


SESSION = """\
set -e
uname -m
echo "$0"
dpkg --print-architecture
echo pipe | tr a-z A-Z
cd /tmp && d=$(mktemp -d) && cd $d
printf '#!/bin/sh\\necho script $1\\n' > s && chmod +x s && ./s argument
perl -e 'print "perl $ARGV[0]\\n"' x
rm -r $d
"""


@pytest.mark.parametrize("proc", [False, True])
def test_a_shell_in_a_plain_root(proc, arm64_root):
    need()
    before = "mount -t proc proc $0/proc && " if proc else ""
    script = before + 'exec chroot "$0" /bin/sh -c "$1" my-shell'
    session = SESSION + ("readlink /proc/self/exe\ncat /proc/self/comm\n" if proc else "")
    done = under_octavo("/bin/sh", "-c", script, str(arm64_root), session)
    assert done.stderr == ""
    lines = ["aarch64", "my-shell", "arm64", "PIPE", "script argument", "perl x"]
    lines += ["/usr/bin/readlink", "cat"] if proc else []
    assert done.stdout.splitlines() == lines
    assert done.returncode == 0


CHECK = "dpkg --audit; dpkg -l | grep -c '^ii'; uname -m"


@pytest.mark.slow
def test_debootstrap_foreign_and_its_second_stage_in_a_chroot(tmp_path):
    """`container=lxc`: debootstrap's own word for a root that makes no devices. The first stage needs no emulation."""
    need("debootstrap", "arch-test")
    root = tmp_path / "root"
    first = ["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", "bookworm"]
    subprocess.run([*first, str(root), MIRROR], check=True, capture_output=True)
    second = ["chroot", str(root), "/debootstrap/debootstrap", "--second-stage"]
    done = under_octavo(*second, minutes=60, environment={"container": "lxc"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "I: Base system installed successfully." in done.stdout
    checked = under_octavo("chroot", str(root), "/bin/sh", "-c", CHECK)
    count, machine = checked.stdout.splitlines()
    assert int(count) > 80 and machine == "aarch64"
    shutil.rmtree(root)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["root", "unshare"])
def test_mmdebstrap(mode, tmp_path):
    need("mmdebstrap", "arch-test")
    target = tmp_path / "root.tar"
    words = ["--arch=arm64", "--variant=minbase", f"--mode={mode}", "bookworm", str(target), MIRROR]
    tmp_path.chmod(0o777)
    done = under_octavo("mmdebstrap", *words, minutes=60, environment={"TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stderr[-3000:]
    with tarfile.open(target) as tar:
        status = tar.extractfile("./var/lib/dpkg/status")
        assert status is not None
        text = status.read().decode()
    assert text.count("Status: install ok installed\n") > 80
    assert text.count("\nStatus: ") == text.count("Status: install ok installed\n")


# sbuild gives its namespaces the ids that /etc/subuid allots; the superuser has none there. $1 becomes both files.
WITH_IDS = 'for file in /etc/subuid /etc/subgid; do mount --bind "$1" $file || exit 1; done; shift; exec "$@"'
COMPONENTS = [f"deb {MIRROR} bookworm main", f"deb-src {MIRROR} bookworm main"]


@pytest.mark.slow
def test_sbuild_builds_hello(tmp_path):
    """Debian's builder in its unshare mode, from a base that has never been on other hardware: it fetches the source,
    installs the build dependencies, configures, compiles, runs the package's own tests and makes the .deb.
    """
    need("sbuild", "mmdebstrap", "arch-test", "newuidmap", "dpkg-deb")
    tmp_path.chmod(0o777)
    environment = {"TMPDIR": "/tmp", "HOME": str(tmp_path)}
    base, out, ids = tmp_path / "base.tar", tmp_path / "out", tmp_path / "ids"
    words = ["--arch=arm64", "--variant=buildd", "bookworm", str(base), *COMPONENTS]
    done = under_octavo("mmdebstrap", *words, minutes=60, environment=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    out.mkdir()
    ids.write_text("root:100000:65536\n")
    words = ["--batch", "--nolog", "--chroot-mode=unshare", "--arch=arm64", "--dist=bookworm"]
    words += [f"--chroot={base}", f"--build-dir={out}", "--no-run-lintian", "hello"]
    script = f'cd "$0" || exit 1; {WITH_IDS}'
    words = ["/bin/sh", "-c", script, str(out), str(ids), "sbuild", *words]
    done = under_octavo(*words, minutes=60, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "\nStatus: successful\n" in done.stdout
    assert "\n# FAIL:  0\n" in done.stdout
    (package,) = out.glob("hello_*_arm64.deb")
    fields = subprocess.run(
        ["dpkg-deb", "--field", package, "Package", "Architecture"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert fields.stdout == "Package: hello\nArchitecture: arm64\n"
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "hello"], check=True)
    subprocess.run(["tar", "-C", tmp_path / "hello", "-xf", base, "./lib", "./usr/lib"], check=True)
    said = under_octavo("chroot", str(tmp_path / "hello"), "/usr/bin/hello")
    assert (said.stdout, said.returncode) == ("Hello, world!\n", 0)
    shutil.rmtree(tmp_path / "hello")
    base.unlink()
