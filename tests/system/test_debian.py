"""A real Debian arm64 root under `octavo run`: the acceptance of the main job, one test per item.

The quick tests use the root that `make run` creates (var/roots/arm64, or OCTAVO_TEST_ROOT) and write below its /tmp
only. The slow ones install packages from the network into a copy of it. OCTAVO_TEST_INSTALLED names a root that has the
packages already, which saves the copying and most of the installing on a second run.
"""

import os
import pty
import select
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

TOP = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "debian"
OCTAVO = TOP / ".venv/bin/octavo"
PACKAGES = ["gcc", "libc6-dev", "make", "perl", "python3", "git"]
MINUTES = 60.0  # seconds
MARK = "OCTAVO_TEST_RUN"  # in the environment of every process a test starts, so that what is left can be found


class Root:
    """A guest root, with a working directory in its /tmp, and runs of programs in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = uuid.uuid4().hex
        self.work = f"/tmp/octavo-{self.mark}"  # as the guest sees it
        shutil.copytree(SCRIPTS, self.inside)

    @property
    def inside(self) -> Path:
        """The working directory, from outside."""
        return self.path / self.work[1:]

    def command(self, *words: str) -> list[str]:
        settings = ["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "HOME=/root"]
        options = [word for setting in settings for word in ("-E", setting)]
        return [str(OCTAVO), "run", "--root", str(self.path), *options, "--", *words]

    def run(self, *words: str, minutes: float = 2) -> str:
        """Standard output of a program that has to succeed, without a line of Octavo's own."""
        environment = {**os.environ, MARK: self.mark}
        done = subprocess.run(
            self.command(*words),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=minutes * MINUTES,
            check=False,
        )
        assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        assert "octavo:" not in done.stderr, done.stderr
        self.errors = done.stderr
        return done.stdout

    def shell(self, script: str, minutes: float = 2) -> str:
        """As `run`, a shell script in the working directory."""
        return self.run("/bin/sh", "-c", f"set -e; cd {self.work}\n{script}", minutes=minutes)

    def left(self) -> list[str]:
        """Processes that are still there, by their command lines."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:  # it has ended meanwhile
                continue
        return found


def using(path: Path):
    """A fixture's life around a root: what it wrote is removed, and nothing may be left running."""
    root = Root(path)
    yield root
    shutil.rmtree(root.inside)
    assert root.left() == []


@pytest.fixture
def root():
    path = Path(os.environ.get("OCTAVO_TEST_ROOT", TOP / "var/roots/arm64"))
    if not (path / "usr/bin/dpkg").exists():
        pytest.skip(f"there is no guest root at {path}: `make run` creates it")
    yield from using(path)


@pytest.fixture(scope="module")
def installed_path(tmp_path_factory):
    """A root with PACKAGES. Installing them is an acceptance item itself, so its output is looked at here."""
    ready = os.environ.get("OCTAVO_TEST_INSTALLED")
    if ready is not None:
        yield Path(ready)
        return
    origin = Path(os.environ.get("OCTAVO_TEST_ROOT", TOP / "var/roots/arm64"))
    if not (origin / "usr/bin/dpkg").exists():
        pytest.skip(f"there is no guest root at {origin}: `make run` creates it")
    path = tmp_path_factory.mktemp("debian") / "root"
    subprocess.run(["cp", "-a", origin, path], check=True)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def full(installed_path):
    """A root in which the packages have been installed, by this run or an earlier one."""
    for root in using(installed_path):
        if not (installed_path / "usr/bin/git").exists():
            install(root)
        yield root


def install(root: Root) -> str:
    """apt-get update and install. The output of both."""
    said = root.run("/usr/bin/apt-get", "update", minutes=10)
    assert "W:" not in root.errors and "E:" not in root.errors, root.errors
    words = ["install", "-y", "--no-install-recommends", *PACKAGES]
    said += root.run("/usr/bin/apt-get", *words, minutes=30)
    # The one warning of a native run in such a root: apt-utils is not there yet.
    lines = [line for line in root.errors.splitlines() if "apt-utils" not in line]
    assert lines == [], root.errors
    return said


# --- quick: the minimal root -----------------------------------------------------------------------------------------


def test_shell_pipeline(root):
    assert root.shell(
        "uname -m; seq 1 1000 | grep 7 | wc -l; cat /etc/debian_version | cut -c1-2"
    ) == ("aarch64\n271\n12\n")


def test_every_package_is_installed(root):
    assert root.run("/usr/bin/dpkg", "--audit") == ""
    states = root.run("/usr/bin/dpkg-query", "-f", "${db:Status-Abbrev}\n", "-W").split()
    assert set(states) == {"ii"} and len(states) > 50


def test_tools(root):
    said = root.shell("mkdir tools; cd tools; sh ../tools.sh", minutes=5).splitlines()
    assert said == [
        "mode 600",
        "sorted 20000",
        "found 11",
        "edited 10",
        "sum 1225",
        "dpkg-deb: building package 'p' in 'p.deb'.",
        "package 1 hi",
    ]


def test_perl_processes(root):
    assert root.shell("perl processes.pl", minutes=5).splitlines() == [
        "sockets 15",
        "pipe 300000",
        "reaped 10",
        "shell out",
        "status 2",
        "alarm",
    ]


def test_two_hundred_processes(root):
    """All answer, and none is left over, the fixture says."""
    loop = "i=0; while [ $i -lt 200 ]; do (sleep 1; echo $$ $i) & i=$((i+1)); done; wait"
    lines = root.shell(loop, minutes=5).splitlines()
    assert sorted(int(line.split()[1]) for line in lines) == list(range(200))
    assert len({line.split()[0] for line in lines}) == 1
    assert root.left() == []


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, words: list[str], mark: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for signo in (signal.SIGINT, signal.SIGQUIT):  # ignored in what a shell started with &
                signal.signal(signo, signal.SIG_DFL)
            os.execve(words[0], words, {**os.environ, MARK: mark, "TERM": "dumb"})
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, text: str, seconds: float = 60) -> None:
        """Read until the text has come; what follows it is kept for the next time."""
        wanted, limit = text.encode(), time.monotonic() + seconds
        while wanted not in self.seen:
            ready = select.select([self.fd], [], [], max(0, limit - time.monotonic()))[0]
            assert ready, (text, self.seen[-1000:])
            self.seen += os.read(self.fd, 4096)
        self.seen = self.seen.partition(wanted)[2]

    def end(self) -> int:
        """Read to the end. The exit status."""
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:  # EIO: nobody has the other side open any more
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def command(self, text: str, *answers: str) -> None:
        """Type a line; its answers come, then the prompt."""
        self.type(text + "\n")
        for answer in answers:
            self.expect(answer)
        self.expect("P> ")


def test_job_control(root):
    """An interactive bash: stop, background, foreground, interrupt, end of file."""
    terminal = Terminal(root.command("/bin/bash", "--norc", "--noediting", "-i"), root.mark)
    terminal.command("PS1='P''> '")
    terminal.command("tty", "/dev/console")
    # cat: what comes back tells that it runs in the foreground, before a key is pressed.
    terminal.type("cat\none\n")
    terminal.expect("one\r\none\r\n")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.expect("P> ")
    terminal.command("jobs", "Stopped", "cat")
    terminal.type("fg\n")
    terminal.expect("cat\r\n")
    terminal.type("two\n")
    terminal.expect("two\r\ntwo\r\n")
    terminal.type("\x03")
    terminal.expect("P> ")
    terminal.command("echo st=$?", "st=130")
    terminal.type("cat\nthree\n")
    terminal.expect("three\r\nthree\r\n")
    terminal.type("\x04")
    terminal.expect("P> ")
    terminal.command("sleep 50 & kill %1; wait %1; echo st=$?", "st=143")
    terminal.command("sh -c 'kill -STOP $$; echo going on'", "Stopped")
    terminal.command("bg; wait", "going on\r\n")
    terminal.type("exit 7\n")
    assert terminal.end() == 7


# --- slow: with a compiler, from the network -------------------------------------------------------------------------


@pytest.mark.slow
def test_install(full):
    """The fixture has installed, or an earlier run has: then all is there already, and again says so."""
    assert "0 newly installed" in install(full)
    assert full.run("/usr/bin/dpkg", "--audit") == ""


@pytest.mark.slow
def test_compiler(full):
    program = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
    (full.inside / "hello.c").write_text(program)
    assert full.shell("gcc -O2 hello.c && ./a.out") == "hello\n"


@pytest.mark.slow
def test_python(full):
    full.shell("python3 -c 'import ssl, sqlite3, ctypes, threading, multiprocessing'")
    assert full.shell("python3 libraries.py", minutes=5).splitlines() == [
        "pool 2646700",
        "spawn [1, 4, 9]",
        "manager {'a': 1, 'b': 2}",
        "event 0",
        "shared 7",
        "command abc 3",
        "absent 2",
        "terminated -15",
        "threads 16000",
        "executor 328350",
        "started 66",
        "journal wal",
        "sums 499500 499500",
        "callback [1, 2, 3, 5, 7, 9]",
        "ssl True",
        "alarm 14",
        "socket 10 True",
    ]
    assert full.errors == ""


@pytest.mark.slow
def test_threads_that_fork(full):
    """Ten times, since what goes wrong here goes wrong now and then."""
    for _ in range(10):
        assert full.shell("python3 threads.py").splitlines() == [
            "forked 135 started 30 signals True",
            "executed 4",
            "end True",
        ]


@pytest.mark.slow
def test_git(full):
    """Twenty times, since git's index-pack and gc have threads that come and go."""
    said = full.shell("mkdir git; cd git; sh ../git.sh 20", minutes=20)
    assert said.splitlines() == ["commits 8 changed 0"] * 20


def fetch_source(root: Root, package: str) -> str:
    """Download and unpack a Debian source package with the guest's own tools (its patches left out). The directory."""
    sources = root.path / "etc/apt/sources.list.d/octavo-test.sources"
    origin = (root.path / "etc/apt/sources.list").read_text()
    mirror = next(line.split()[1] for line in origin.splitlines() if line.startswith("deb "))
    sources.write_text(
        f"Types: deb-src\nURIs: {mirror}\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    try:
        root.shell("apt-get update", minutes=10)
        root.shell(f"apt-get source --download-only {package}", minutes=5)
    finally:
        sources.unlink()
    root.shell(
        f"mkdir {package}; python3 -m tarfile -e $(ls {package}_*.orig.tar.* | grep -v asc$) {package}",
        minutes=5,
    )
    (directory,) = (root.inside / package).iterdir()
    return f"{root.work}/{package}/{directory.name}"


@pytest.mark.slow
def test_build_hello(full):
    directory = fetch_source(full, "hello")
    said = full.shell(f"cd {directory}; ./configure; make; make check; ./hello", minutes=30)
    assert "# FAIL:  0" in said and "# ERROR: 0" in said
    assert said.endswith("Hello, world!\n")


@pytest.mark.slow
def test_build_zlib(full):
    directory = fetch_source(full, "zlib")
    said = full.shell(f"cd {directory}; sh ./configure; make test", minutes=30)
    assert "*** zlib test OK ***" in said
    assert "*** zlib shared test OK ***" in said
