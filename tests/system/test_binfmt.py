"""The kernel's side of the contract: what a handler is called with, for every set of flags, in every kind of root.

The handler is a small C program that prints what it got (handler/contract.c). The entries are made by binfmt.registry,
in a private user namespace, as root and as an ordinary user.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from binfmt import magic, registry
from binfmt.invocation import KERNEL, judge
from binfmt.kernel import Registry
from runtime import arch
from tests.system.namespace import MS_BIND, MS_REC, USERS, inside, mount, with_all_ids

pytestmark = pytest.mark.guest

HERE = Path(__file__).parent
TARGET = "riscv64" if os.uname().machine != "riscv64" else "aarch64"
ALL_FLAGS = ["".join(flags) for size in range(5) for flags in itertools.combinations("POCF", size)]


@pytest.fixture(scope="session")
def place():
    """A directory that every user can read, with the handler, a foreign program, and roots that hold it."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    top = Path(tempfile.mkdtemp(prefix="octavo-binfmt-"))
    top.chmod(0o755)
    source, program = str(HERE / "handler/contract.c"), str(top / "handler")
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    for name in ("", "bare", "proc"):
        root = top / name
        root.mkdir(exist_ok=True, mode=0o755)
        (root / "prog").write_bytes(magic.header(arch.load(TARGET)))
        (root / "script").write_text("#!/prog -x\n" if name else f"#!{top}/prog -x\n")
        for path in (root / "prog", root / "script"):
            path.chmod(0o755)
    (top / "proc/proc").mkdir()
    yield top
    shutil.rmtree(top)


def add(handler: str, flags: str, name: str = "t", target: str = TARGET) -> None:
    entry = registry.wanted(target, handler, flags, "")
    entry.name = name
    Registry().add(entry)


def facts(done) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode().splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def start(path: str, argv: list[str], root: str = "", **more):
    """Execute it in a root; its argv[0] is ours to choose."""

    def enter() -> None:
        if root:
            os.chroot(root)
            os.chdir("/")

    return subprocess.run(
        argv, executable=path, preexec_fn=enter, capture_output=True, check=False, **more
    )


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("kind", ["none", "bare", "proc"])
def test_what_a_handler_is_called_with(place, user, kind) -> None:
    """Every set of flags, a program and a script, with and without a root of their own."""
    handler = str(place / "handler")
    root = "" if kind == "none" else str(place / kind)
    prefix = str(place) if kind == "none" else ""

    def run():
        if kind == "proc":
            mount(b"/proc", f"{root}/proc", b"", MS_BIND | MS_REC)
        results = {}
        for flags in ALL_FLAGS:
            add(handler, flags)
            shown = Registry().read("t").flags
            for what in ("prog", "script"):
                try:
                    done = start(f"{prefix}/{what}", ["zero", "--help", ""], root)
                    results[flags, what] = (shown, done.returncode, facts(done))
                except OSError as error:
                    results[flags, what] = (shown, -(error.errno or 0), {})
            Registry().remove("t")
        return results

    for (flags, what), (shown, status, found) in inside(user, run).items():
        case = (flags, what)
        assert set(shown) == set(flags) | ({"O"} if "C" in flags else set()), case
        if root and "F" not in flags:
            assert status == -2, case  # ENOENT: the handler's path is not in that root
            continue
        assert status == 42, case
        program, script = f"{prefix}/prog", f"{prefix}/script"
        words = ["zero", "--help", ""] if what == "prog" else [program, "-x", script, "--help", ""]
        expected = [handler, program, *(words if "P" in flags else words[1:])]
        assert found["argv"] == expected, case
        assert found["flags"] == ["1" if "P" in flags else "0"], case
        assert found["execfn"] == [program if what == "prog" else script], case
        opened = "O" in flags or "C" in flags
        assert ("execfd" in found) == opened, case
        if opened:
            assert found["read"] == ["4 elf"], case
            assert found["cloexec"] == ["0"], case  # ours to close
        understood(flags, found, program, words, case)


def understood(flags, found, program, words, case) -> None:
    """What binfmt.invocation makes of it."""
    called = judge(
        [word.encode() for word in found["argv"]],
        flags=int(found["flags"][0]),
        execfd=int(found["execfd"][0]) if "execfd" in found else None,
        execfn=found["execfn"][0].encode(),
    )
    if not set(flags) & set("POC"):
        assert called.how != KERNEL, case  # nothing says who called
        return
    argv = words if "P" in flags else [program, *words[1:]]
    assert (called.how, called.program) == (KERNEL, program.encode()), case
    assert called.argv == tuple(word.encode() for word in argv), case


@pytest.mark.parametrize("close", [(0,), (0, 1, 2)])
def test_the_program_may_be_descriptor_0(place, close) -> None:
    handler = str(place / "handler")

    def run():
        add(handler, "POF")

        def shut() -> None:
            for fd in close:
                os.close(fd)

        # without its output, only that it was started can be seen
        out = None if 1 in close else subprocess.PIPE
        done = subprocess.run([place / "prog"], preexec_fn=shut, stdout=out, check=False)
        return done.returncode, facts(done) if out else {}

    status, found = inside(USERS[0], run)
    assert status == 42
    if found:
        assert found["execfd"] == ["0"]
        assert found["read"] == ["4 elf"]


def test_fexecve(place) -> None:
    """By descriptor: the path is the descriptor's name; close-on-exec cannot work, and the kernel says ENOENT."""
    handler = str(place / "handler")

    def run():
        add(handler, "POF")
        results = []
        for inherit in (True, False):
            fd = os.open(place / "prog", os.O_RDONLY)
            os.set_inheritable(fd, inherit)
            results.append(_execve(fd))
            os.close(fd)
        return results

    def _execve(fd: int):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(write, 1)
            try:
                os.execve(fd, ["zero", "a"], {})
            except OSError as error:
                os._exit(error.errno or 1)
        os.close(write)
        with open(read, "rb") as file:
            text = file.read().decode()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), fd, text

    (status, fd, text), (refused, _, nothing) = inside(USERS[0], run)
    assert status == 42
    assert f"argv /dev/fd/{fd}\nargv zero\nargv a\n" in text
    assert f"execfn /dev/fd/{fd}\n" in text
    assert (refused, nothing) == (2, "")


@pytest.mark.parametrize("user", USERS)
def test_the_newest_wins_and_the_directory_says_which(place, user) -> None:
    """What report.py relies on."""
    for name in ("one", "two", "three"):
        shutil.copy(place / "handler", place / name)

    def run():
        for name in ("two", "one", "three"):
            add(str(place / name), "POF", name)
        order = [entry.name for entry in Registry().entries()]
        won = []
        for _ in range(3):
            won.append(facts(start(str(place / "prog"), ["x"]))["argv"][0].rpartition("/")[2])
            Registry().remove(won[-1])
        return order, won

    assert inside(user, run) == (["three", "one", "two"], ["three", "one", "two"])


def test_one_target_does_not_take_anothers_programs(place) -> None:
    """All of them registered, every program goes to its own; the machine's own programs to nobody."""
    path = place / "of-a-target"
    path.write_bytes(b"")
    path.chmod(0o755)

    def run():
        found = {}
        for target in magic.targets():
            shutil.copy(place / "handler", place / target)
            add(str(place / target), "POF", target, target)
        for target in magic.targets():
            for kind in (2, 3):
                path.write_bytes(magic.header(arch.load(target), kind))
                handler = facts(start(str(path), ["x"]))["argv"][0]
                found[target, kind] = os.path.basename(handler)
        own = subprocess.run(["/bin/echo", "native"], capture_output=True, check=True).stdout
        return found, own

    found, own = inside(USERS[0], run)
    assert {target for (target, _), handler in found.items() if handler != target} == set()
    assert len(found) == 2 * len(magic.targets())
    assert own == b"native\n"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("target", magic.targets())
def test_the_kernel_shows_what_was_registered(place, user, target) -> None:
    handler = str(place / "handler")
    lines: list[str] = []

    def run():
        registry.register(Registry(), [target], handler, warn=lines.append)
        (entry,) = Registry().entries()
        return entry.name, entry.flags, entry.ours, entry.magic, entry.mask, lines

    facts_ = arch.load(target)
    own = magic.of(facts_)
    assert inside(user, run) == (f"qemu-{facts_.qemu}", "POF", True, own.magic, own.mask, [])


@pytest.mark.skipif("root" not in USERS, reason="a set-id file of another user takes root")
def test_set_id_programs(place) -> None:
    """Without C their owner is not looked at; with it the handler gets the rights, and AT_SECURE says so.

    Two ids are mapped, so that the file's owner is somebody in there."""
    handler, path = str(place / "handler"), place / "set-id"
    path.write_bytes((place / "prog").read_bytes())
    os.chown(path, 1, 1)
    path.chmod(0o4755)

    def run():
        results = {}
        for flags in ("POF", "POCF"):
            add(handler, flags)

            def drop() -> None:
                os.setresuid(2, 2, 2)

            done = subprocess.run([path], preexec_fn=drop, capture_output=True, check=False)
            results[flags] = facts(done)
            Registry().remove("t")
        return results

    found = with_all_ids(run)
    assert (found["POF"]["euid"], found["POF"]["secure"]) == (["2"], ["0"])
    assert (found["POCF"]["euid"], found["POCF"]["secure"]) == (["1"], ["1"])
