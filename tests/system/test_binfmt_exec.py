"""Programs started by the kernel through the launcher, against what the kernel does with its own.

Every set of flags, in the host's root and in others with and without /proc; static and dynamic programs, scripts, and
programs that execute others of this and of other architectures. In a private user namespace: see namespace.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from binfmt import registry
from binfmt.kernel import Registry
from tests.system.namespace import MS_BIND, MS_REC, USERS, inside, mount, with_all_ids
from tests.system.test_binfmt import facts, start
from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent
LAUNCHER = TOP / "build" / "launcher" / "octavo"
USER = USERS[0]
LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
KERNEL_CALLS = ["P", "O", "PO", "PF", "OF", "POF", "POCF"]  # those that say who called


def compile_guest(target: Path, compiler: str, *options: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = str(HERE / "handler/guest.c")
    subprocess.run([compiler, "-O1", *options, "-o", str(target), source], check=True)


@pytest.fixture(scope="session")
def top():
    """Two roots, with and without /proc, that hold guest programs and nothing of ours; the launcher beside them."""
    if not LAUNCHER.exists():
        pytest.skip("no launcher: make launcher")
    top = Path(tempfile.mkdtemp(prefix="octavo-exec-"))
    top.chmod(0o755)
    shutil.copy(LAUNCHER, top / "octavo")
    bare = top / "bare"
    (bare / "lib").mkdir(parents=True)
    compile_guest(bare / "static", COMPILERS["aarch64"], "-static")
    compile_guest(bare / "dynamic", COMPILERS["aarch64"])
    compile_guest(bare / "arm", COMPILERS["arm"], "-static")
    compile_guest(bare / "native", "gcc", "-static")
    for name in ("ld-linux-aarch64.so.1", "libc.so.6"):
        shutil.copy(LIBRARIES / name, bare / "lib" / name)
    (bare / "script").write_text("#!/static -x\n")
    (bare / "nested").write_text("#!/script -y\n")
    for path in (bare, bare / "lib", *bare.iterdir()):
        path.chmod(0o755)
    shutil.copytree(bare, top / "proc")
    (top / "proc/proc").mkdir()
    yield top
    shutil.rmtree(top)


def register(top: Path, flags: str) -> None:
    for target in ("aarch64", "arm"):
        Registry().add(registry.wanted(target, str(top / "octavo"), flags))


def unregister() -> None:
    for entry in Registry().entries():
        Registry().remove(entry.name)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", ["bare", "proc"])
def test_every_set_of_flags(top, user, kind) -> None:
    root = top / kind
    words = ["zero", "--help", "-L", ""]

    def run():
        if kind == "proc":
            mount(b"/proc", f"{root}/proc", b"", MS_BIND | MS_REC)
        results = {}
        for flags in KERNEL_CALLS:
            register(top, flags)
            for name in ("static", "dynamic", "script", "nested"):
                try:
                    done = start(f"/{name}", words, str(root))
                    results[flags, name] = (done.returncode, facts(done), done.stderr)
                except OSError as error:
                    results[flags, name] = (-(error.errno or 0), {}, b"")
            unregister()
        return results

    rest = words[1:]
    scripts = {
        "script": ["/static", "-x", "/script", *rest],
        "nested": ["/static", "-x", "/script", "-y", "/nested", *rest],
    }
    for (flags, name), (status, found, err) in inside(user, run).items():
        case = (flags, name)
        if "F" not in flags:
            assert status == -2, case
            continue
        assert (status, err) == (42, b""), case
        own = [words[0] if "P" in flags else f"/{name}", *rest]
        assert found["argv"] == scripts.get(name, own), case
        assert found["machine"] == ["aarch64"], case
        assert found["execfn"] == [f"/{name}"], case
        assert found["comm"] == [name], case
        assert (found["secure"], found["flags"]) == (["0"], ["0"]), case
        assert found["open"] == ["0", "1", "2"], case
        if kind == "proc":
            executable = name if name in ("static", "dynamic") else "static"
            assert found["exe"] == [f"/{executable}"], case


def test_without_a_root_of_its_own(top) -> None:
    """The launcher is found by its path, so F is not needed; the same facts as for a native program."""
    program, native = str(top / "bare/static"), str(top / "bare/native")

    def run():
        results = {}
        for flags in ("PO", "POF"):
            register(top, flags)
            results[flags] = facts(start(program, ["zero", "a"]))
            unregister()
        return results, facts(start(native, ["zero", "a"]))

    found, expected = inside(USER, run)
    for flags, has in found.items():
        for name in ("argv", "secure", "flags", "open", "euid", "uid"):
            assert has[name] == expected[name], (flags, name)
        assert has["execfn"] == [program] and expected["execfn"] == [native]
        assert has["comm"] == ["static"] and expected["comm"] == ["native"]
        assert has["exe"] == [program] and expected["exe"] == [native]


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1, 2)])
def test_a_closed_standard_stream_stays_closed(top, closed) -> None:
    """The kernel puts the open program there; the guest does not see it."""
    program = str(top / "bare/static")
    out = top / "out"

    def run():
        register(top, "POF")
        pid = os.fork()
        if pid == 0:
            spare = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            for fd in closed:
                os.close(fd)
            if 1 not in closed:
                os.dup2(spare, 1)
            os.closerange(3, 1024)  # the test runner's, and `spare`
            os.execv(program, ["x"])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert inside(USER, run) == 42
    if 1 not in closed:
        lines = out.read_text().splitlines()
        assert [line for line in lines if line.startswith("open ")] == ["open 1", "open 2"]


@pytest.mark.parametrize(
    ("chain", "machine"),
    [
        (["static", "static"], "aarch64"),
        (["static", "native"], os.uname().machine),
        (["static", "native", "dynamic"], "aarch64"),
        (["static", "arm"], "armv7l"),
        (["arm", "static", "native", "arm"], "armv7l"),
        (["native", "script"], "aarch64"),
        (["static", "nested"], "aarch64"),
    ],
)
def test_programs_that_execute_others(top, chain, machine) -> None:
    """Foreign ones, native ones and those of a third architecture, in turn, in a root without /proc."""
    words: list[str] = []
    for name in chain:
        words += [f"/{name}", "exec"]
    words = [*words[:-1], "last"]

    def run():
        register(top, "POF")
        done = start(words[0], words, str(top / "bare"))
        return done.returncode, facts(done), done.stderr

    status, found, err = inside(USER, run)
    assert (status, err) == (42, b"")
    assert found["machine"] == [machine]
    assert found["execfn"] == [f"/{chain[-1]}"]
    assert found["argv"][-1] == "last"
    assert found["comm"] == [chain[-1]]
    assert found["open"] == ["0", "1", "2"]


def test_a_machine_of_another_kind_after_execve(tmp_path) -> None:
    """Without the kernel's help: another architecture, and other page sizes, in the running process."""
    for name, arch in (("one", "aarch64"), ("two", "arm")):
        compile_guest(tmp_path / name, COMPILERS[arch], "-static")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    command = [sys.executable, "-m", "runtime.cli", "run", one, "exec", two, "exec", one, "a"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (42, b"")
    assert facts(done)["machine"] == ["aarch64"]
    assert facts(done)["argv"] == [one, "a"]


def test_an_execute_only_program(top) -> None:
    """The kernel opens what the user may not read, and hands it over (O)."""
    program = top / "secret"
    shutil.copy(top / "bare/static", program)
    program.chmod(0o111)

    def run():
        register(top, "POF")
        done = start(str(program), ["x"])
        return done.returncode, done.stderr

    assert inside("nobody", run) == (42, b"")


def test_what_is_missing_is_named(top) -> None:
    """A dynamic program in a root without its loader: what execve would answer, and one line that says why."""
    root = top / "empty"
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    shutil.copy(top / "bare/dynamic", root / "dynamic")

    def run():
        register(top, "POF")
        done = start("/dynamic", ["x"], str(root))
        return done.returncode, done.stdout, done.stderr

    status, out, err = inside(USER, run)
    assert (status, out) == (127, b"")
    assert err.startswith(b"octavo: /lib/ld-linux-aarch64.so.1: interpreter (dynamic loader) of /")
    assert err.count(b"\n") == 1


@pytest.mark.skipif(USER != "root", reason="a set-id file of another user takes root")
@pytest.mark.parametrize("flags", ["POF", "POCF"])
def test_set_id_programs(top, flags) -> None:
    """Started by the kernel, or by a guest: with C the owner's rights and AT_SECURE; without, nothing.

    Who gained rights takes no advice from the environment."""
    program = top / "set-id"
    shutil.copy(top / "bare/static", program)
    os.chown(program, 1, 1)
    program.chmod(0o4755)
    plain = str(top / "bare/static")
    trace = top / "trace"
    trace.mkdir(exist_ok=True)
    trace.chmod(0o777)

    def run():
        register(top, flags)

        def drop() -> None:
            os.setresuid(2, 2, 2)

        def started(words: list[str], **variables: str):
            done = subprocess.run(
                words, preexec_fn=drop, capture_output=True, check=False, env=variables
            )
            return facts(done), done.stderr

        file = str(trace / flags)
        return (
            started([str(program), "a"]),
            started([plain, "exec", str(program), "a"]),
            started([str(program)], QEMU_STRACE="1", QEMU_LOG_FILENAME=file, QEMU_ARGV0="other"),
        )

    direct, by_guest, advised = with_all_ids(run)
    gained = "C" in flags
    for found, err in (direct, by_guest, advised):
        assert found["euid"] == (["1"] if gained else ["2"])
        assert found["uid"] == ["2"]
        assert found["secure"] == (["1"] if gained else ["0"])
        assert found["argv"][0] == (str(program) if gained or found is not advised[0] else "other")
        assert err == b""
    assert (trace / flags).exists() != gained


def test_the_configuration_goes_along_into_a_root_that_hides_it(top, tmp_path) -> None:
    """Through the command: a registry of the user's own, a launcher that carries the user's file, a chroot."""
    (tmp_path / "targets.yaml").write_text("targets:\n  aarch64:\n    log: /the-log\n")
    root = top / "configured"
    shutil.copytree(top / "bare", root)
    environment = {
        **os.environ,
        "OCTAVO_CONFIG": str(tmp_path / "targets.yaml"),
        "XDG_CACHE_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "runtime.cli", "binfmt", "register", "aarch64"]
    command += ["--interpreter", str(top / "octavo"), "--map-root", "--user-namespace", "--"]
    command += ["chroot", str(root), "/static", "a"]
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, check=False)
    if b"no registry of their own" in done.stderr or b"no user namespace" in done.stderr:
        pytest.skip(done.stderr.decode())
    assert (done.returncode, done.stderr) == (42, b"")
    assert facts(done)["argv"] == ["/static", "a"]
    assert (root / "the-log").exists()  # opened when the program started
    assert (tmp_path / "octavo/launcher").exists()


def test_variables_of_qemu_user_hold_when_the_kernel_calls(top) -> None:
    program = str(top / "bare/static")

    def run():
        register(top, "POF")
        done = start(
            program, ["x"], env={"QEMU_STRACE": "1", "QEMU_UNAME": "5.5", "QEMU_GUEST_BASE": "1"}
        )
        version = start(program, ["x"], env={"QEMU_VERSION": "meow"})
        return done.returncode, done.stderr, version.returncode, version.stdout

    status, err, version, text = inside(USER, run)
    assert status == 42
    assert b"uname(" in err and b"no meaning" not in err
    assert version == 0 and text.startswith(b"octavo version ")
