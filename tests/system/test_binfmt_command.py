"""`octavo binfmt` against the real kernel: what it says, and what is left when something goes wrong.

In a private user namespace: see namespace.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from binfmt import credentials, kernel, magic, registry
from binfmt.kernel import Registry
from runtime import arch
from tests import elf_files
from tests.system.namespace import (
    MISC,
    MS_BIND,
    USERS,
    become_nobody,
    child,
    enter,
    inside,
    mount,
    unshare,
    with_all_ids,
)

pytestmark = pytest.mark.guest

TOP = Path(__file__).parents[2]
TARGET = magic.targets()[0]
USER = USERS[0]
MS_RDONLY, MS_REMOUNT = 1, 32
CLONE_NEWUSER = 0x10000000


@pytest.fixture(scope="module")
def compiled():
    """A static handler that exits with 42, and another one with 43."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    top = Path(tempfile.mkdtemp(prefix="octavo-binfmt-"))
    top.chmod(0o755)
    for number in (42, 43):
        text = f"int main(void) {{ return {number}; }}"
        command = ["gcc", "-static", "-o", str(top / str(number)), "-x", "c", "-"]
        subprocess.run(command, input=text, text=True, check=True)
    yield top
    shutil.rmtree(top)


@pytest.fixture
def place(compiled):
    """A directory with a handler, called octavo, and a foreign program."""
    top = Path(tempfile.mkdtemp(dir=compiled))
    top.chmod(0o755)
    shutil.copy(compiled / "42", top / "octavo")
    (top / "program").write_bytes(magic.header(arch.load(TARGET)))
    (top / "program").chmod(0o755)
    return top


def octavo(*words: str, before: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """(status, stdout, stderr) of the command."""
    command = [*before, sys.executable, "-m", "runtime.cli", "binfmt", *words]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def names() -> list[str]:
    return sorted(entry.name for entry in Registry().entries())


def run_program(place: Path) -> int:
    """Its status; -errno when the kernel does not start it."""
    try:
        return subprocess.run([place / "program"], check=False).returncode
    except OSError as error:
        return -(error.errno or 0)


def test_register_status_unregister(place) -> None:
    path = str(place / "octavo")

    def run():
        return (
            octavo("register", "--interpreter", path),
            run_program(place),
            octavo("status"),
            octavo("unregister", TARGET),
            run_program(place),
            octavo("unregister"),
            octavo("unregister"),
        )

    added, ran, status, one, refused, rest, nothing = inside(USER, run)
    lines = [f"registered qemu-{name}: {path}, flags POF" for name in magic.targets()]
    assert added == (0, "\n".join(lines) + "\n", "")
    assert ran == 42
    assert status[0] == 0, status
    assert status[1].splitlines()[0].split() == [
        "TARGET", "HANDLER", "BY", "FLAGS", "FILE", "INTERPRETER",
    ]  # fmt: skip
    row = status[1].splitlines()[1]
    assert row.split() == [
        TARGET, f"qemu-{TARGET}", "octavo", "POF", "pinned,", "the", "one", "on", "disk", path,
    ]  # fmt: skip
    assert one == (0, f"unregistered qemu-{TARGET}\n", "")
    assert refused == -8  # ENOEXEC
    assert rest[0] == 0 and len(rest[1].splitlines()) == len(magic.targets()) - 1
    assert nothing == (0, "nothing of octavo's is registered\n", "")


def test_status_for_programs(place) -> None:
    def run():
        octavo("register", TARGET, "--interpreter", str(place / "octavo"))
        return octavo("status", "--json")

    status, out, err = inside(USER, run)
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["mount"]["state"] == "ready"
    assert report["enabled"] is True
    assert report["problems"] == []
    assert report["targets"][0] == {
        "target": TARGET,
        "handler": f"qemu-{TARGET}",
        "owner": "octavo",
        "ours": True,
        "flags": "POF",
        "interpreter": str(place / "octavo"),
        "others": [],
        "file": "pinned, the one on disk",
        "credentials": None,
    }
    assert [entry["targets"] for entry in report["entries"]] == [[TARGET]]


def test_names_and_credentials(place) -> None:
    def run():
        words = ("--interpreter", str(place / "octavo"), "--name-prefix", "o-", "--credentials")
        return octavo("register", "arm64" if TARGET == "aarch64" else TARGET, *words), names()

    (status, out, err), found = inside(USER, run)
    assert status == 0
    assert out == f"registered o-{TARGET}: {place}/octavo, flags POCF\n"
    assert err == f"octavo binfmt: warning: {registry.CREDENTIALS_WARNING}\n"
    assert found == [f"o-{TARGET}"]


def test_the_configuration_asks_for_credentials(place) -> None:
    """In the system's file, which root of this namespace owns; anew without it, the flag is gone."""
    file = Path("/etc/octavo/targets.yaml")
    words = ("register", TARGET, "--interpreter", str(place / "octavo"))
    elf_files.write(
        place / "whole",
        elf_files.elf(TARGET, [elf_files.segment(vaddr=0x400000, filesz=0x100)], size=0x100),
    )

    def explain():
        command = [sys.executable, "-m", "runtime.cli", "explain", str(place / "whole")]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
        return done.stdout

    def run():
        mount(b"none", "/etc", b"tmpfs")
        file.parent.mkdir()
        file.write_text(f"targets:\n  {TARGET}:\n    credentials: true\n")
        results = [octavo(*words), octavo("status"), explain(), octavo(*words, "--no-credentials")]
        results += [octavo("status"), octavo(*words), octavo("unregister"), octavo(*words)]
        file.chmod(0o666)
        results += [octavo(*words)]
        file.unlink()
        return [*results, octavo(*words), octavo("status", "--json")]

    asked = f"{file}:3: targets.{TARGET}.credentials"
    warning = f"octavo binfmt: warning: {registry.CREDENTIALS_WARNING}\n"
    with_c, without = (
        f"registered qemu-{TARGET}: {place}/octavo, flags {flags}\n" for flags in ("POCF", "POF")
    )
    done, status, explained, off, status_off, again, gone, anew, refused, plain, data = inside(
        USER, run
    )
    assert done == (0, with_c, warning)
    assert f"{TARGET}: flag C ({asked})" in status[1].splitlines()
    assert f"                - flag C ({asked})" in explained.splitlines()
    assert f"  credentials   true ({asked})" in explained.splitlines()
    assert off == (0, without, "")
    assert (
        f"{TARGET}: no flag C, although {asked} asks for it: registered before it did, or with --no-credentials"
        in status_off[1].splitlines()
    )
    assert again == anew == (0, with_c, warning)
    assert gone[0] == 0
    not_done = credentials.NOT_BELIEVED.format(origin=asked, file=file)
    assert refused == (0, without, f"octavo binfmt: warning: {not_done}\n")
    assert plain == (0, without, "")
    assert json.loads(data[1])["targets"][0]["credentials"] is None


def test_a_new_handler_replaces_the_old_one(place, compiled) -> None:
    """And the pinned file is told from the one on disk: replaced, and deleted."""
    path = place / "octavo"

    def run():
        results = [octavo("register", TARGET, "--interpreter", str(path)), run_program(place)]
        shutil.copy(compiled / "43", place / "new")
        os.rename(place / "new", path)
        results += [octavo("status"), run_program(place)]
        results += [octavo("register", TARGET, "--interpreter", str(path)), run_program(place)]
        results += [octavo("status"), names()]
        os.unlink(path)
        results += [octavo("status"), run_program(place)]
        results += [octavo("register", TARGET, "--interpreter", str(path)), names()]
        return results

    added, before, old, still, again, after, good, found, gone, runs, refused, kept = inside(
        USER, run
    )
    assert (added[0], before, still, again[0], after, runs) == (0, 42, 42, 0, 43, 43)
    assert old[0] == 1
    assert old[1].splitlines()[-2:] == [
        f"problem: {TARGET}: the kernel still starts the file that {path} was before it was replaced",
        "remedy:  octavo binfmt register",
    ]
    assert (good[0], found) == (0, [f"qemu-{TARGET}"])
    assert gone[0] == 1
    assert gone[1].splitlines()[-2:] == [
        f"problem: {TARGET}: the handler {path} was deleted; the kernel holds on to it until the next boot",
        "remedy:  octavo binfmt register",
    ]
    assert refused == (
        1,
        "",
        f"octavo binfmt: {path}: the handler cannot be read: No such file or directory\n",
    )
    assert kept == [f"qemu-{TARGET}"]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("before", ["nothing", "registered"])
def test_killed_at_every_step(place, before) -> None:
    """Nothing is half registered: what is there is complete and works, and the next register puts it in order."""
    path = str(place / "octavo")
    head = magic.header(arch.load(TARGET))

    def run():
        results = []
        for number in range(1, 30):
            if before == "nothing":
                octavo("unregister")
            else:
                octavo("register", TARGET, "--interpreter", path)
            kill = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e",
                    f"inject=write:signal=KILL:when={number}")  # fmt: skip
            status = octavo("register", TARGET, "--interpreter", path, before=kill)[0]
            found = Registry().entries()
            whole = all(entry.ours and entry.matches(head) for entry in found)
            ran = run_program(place)
            report = octavo("status")
            repaired = octavo("register", TARGET, "--interpreter", path)
            names_ = [entry.name for entry in found]
            results.append((status, names_, whole, ran, report, repaired[0], names()))
            if status == 0:
                break
        return results

    results = inside(USER, run)
    own = f"qemu-{TARGET}"
    assert results[-1][0] == 0
    killed = [result for result in results if result[0]]
    assert len(killed) >= (2 if before == "nothing" else 5)
    seen = []
    for status, found, whole, ran, report, repaired, after in killed:
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert whole
        seen.append(tuple(found))
        assert ran == (42 if found else -8)
        if before == "registered":
            assert found
        if own + registry.TEMPORARY in found:
            assert "is left from a registration that was interrupted; it works" in report[1]
        assert (repaired, after) == (0, [own])
    if before == "registered":
        temporary = own + registry.TEMPORARY
        for state in ((own,), (temporary, own), (temporary,), (own, temporary)):
            assert state in seen


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_registrations_that_race(place) -> None:
    """Three of them, slowed down at every write so that they meet."""
    path = str(place / "octavo")
    command = [
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e",
        "inject=write:delay_enter=50000", sys.executable, "-m", "runtime.cli", "binfmt", "register",
        TARGET, "--interpreter", path,
    ]  # fmt: skip

    def run():
        bad = []
        for _ in range(2):
            racing = [
                subprocess.Popen(command, cwd=TOP, stdout=subprocess.DEVNULL, stderr=-1, text=True)
                for _ in range(3)
            ]
            for process in racing:
                err = process.communicate()[1]
                if process.returncode:
                    bad.append(err)
        return bad, names(), run_program(place)

    bad, found, ran = inside(USER, run)
    assert bad == []
    assert (found, ran) == ([f"qemu-{TARGET}"], 42)


def test_a_full_tmp_is_no_matter(place, compiled) -> None:
    outside = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="octavo-binfmt-"))
    outside.chmod(0o755)
    for name in ("octavo", "program"):
        shutil.copy(place / name, outside / name)

    def run():
        tree = os.open(TOP, os.O_PATH)
        mount(b"none", "/tmp", b"tmpfs", 0, b"size=4k")
        if not TOP.exists():  # it lies below /tmp; directories take no space
            TOP.mkdir(parents=True)
            mount(b"/proc/self/fd/%d" % tree, str(TOP), b"", MS_BIND)
        try:
            with open("/tmp/filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))
        except OSError:
            pass
        return (
            octavo("register", "--interpreter", str(outside / "octavo")),
            run_program(outside),
            octavo("status")[0],
        )

    try:
        added, ran, status = inside(USER, run)
    finally:
        shutil.rmtree(outside)
    assert (added[0], added[2], ran, status) == (0, "", 42, 0)


def test_read_only(place) -> None:
    def run():
        octavo("register", TARGET, "--interpreter", str(place / "octavo"))
        mount(b"none", MISC, b"", MS_REMOUNT | MS_BIND | MS_RDONLY)
        return octavo("register", "--interpreter", str(place / "octavo")), octavo("status")

    (status, out, err), report = inside(USER, run)
    assert (status, out) == (1, "")
    assert err == (
        f"octavo binfmt: binfmt_misc is mounted read-only on {MISC}; remedy: "
        f"mount -o remount,rw {MISC}, outside of the container if this is one\n"
    )
    assert report[0] == 1
    assert f"problem: binfmt_misc is mounted read-only on {MISC}\n" in report[1]
    assert f"qemu-{TARGET}" in report[1]


def test_no_mount_and_no_registry(place) -> None:
    def run():
        enter(USER, with_mount=False)
        mount(b"none", MISC, b"tmpfs")  # whatever this machine has there is covered
        return octavo("status"), octavo("register", "--interpreter", str(place / "octavo"))

    status, register = child(run)
    assert status[0] == 1
    assert f"problem: binfmt_misc is not mounted on {MISC}\nremedy:  mount -t binfmt" in status[1]
    assert register[0] == 1
    assert register[2].startswith(f"octavo binfmt: binfmt_misc is not mounted on {MISC}; remedy: ")


def test_an_empty_registry_that_hides_its_parents(place) -> None:
    """Registered in the parent, a program runs in a namespace below; with an empty mount of its own it does not."""

    def run():
        octavo("register", TARGET, "--interpreter", str(place / "octavo"))

        def below():
            enter_again()
            parents = run_program(place), octavo("status")
            mount(b"none", MISC, b"binfmt_misc")
            hidden = run_program(place), octavo("status")
            octavo("register", TARGET, "--interpreter", str(place / "octavo"))
            return parents, hidden, (run_program(place), octavo("status"))

        return child(below)

    parents, hidden, own = inside(USER, run)
    assert (parents[0], parents[1][0]) == (42, 0)
    assert hidden[0] == -8
    assert hidden[1][0] == 1
    said = (
        f"problem: this user namespace has a registry of its own on {MISC}, which is empty and hides "
        "its parent's: no foreign program runs"
    )
    assert hidden[1][1].splitlines()[-2:] == [
        said,
        "remedy:  register in here too (octavo binfmt register all)",
    ]
    assert (own[0], own[1][0]) == (42, 0)


def enter_again() -> None:
    unshare(CLONE_NEWUSER | 0x20000)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


@pytest.mark.skipif(USER != "root", reason="two users take root")
def test_who_may_not_register_is_told_what_to_do(place) -> None:
    def run():
        become_nobody()
        lines: list[str] = []
        try:
            registry.register(Registry(), [TARGET], str(place / "octavo"), warn=lines.append)
        except kernel.BinfmtError as error:
            lines.append(str(error))
        return lines, kernel.mount().state

    (line,), state = with_all_ids(run)
    assert state == kernel.HIDDEN
    assert line == (
        f"cannot register qemu-{TARGET}: Permission denied; it takes root, or a registry of "
        "one's own: octavo binfmt register --user-namespace -- COMMAND"
    )


def test_limits(place) -> None:
    """A path over 127 bytes, and an entry over 1,920; nothing is registered."""
    deep = place / ("x" * 127)
    deep.mkdir()
    shutil.copy(place / "octavo", deep / "octavo")
    path = str(deep / "octavo")

    def run():
        return (
            octavo("register", "--interpreter", path),
            octavo(
                "register", TARGET, "--interpreter", str(place / "octavo"),
                "--name-prefix", "n" * 1900,
            ),
            names(),
        )  # fmt: skip

    long_path, long_name, found = inside(USER, run)
    said = (
        f"octavo binfmt: {path}: {len(path)} bytes, and binfmt_misc takes paths of up to 127; put the "
        "handler, or a link to it, in a shorter place\n"
    )
    assert long_path == (1, "", said)
    assert long_name[0] == 1
    assert long_name[2].endswith("bytes, and binfmt_misc takes up to 1920\n")
    assert found == []


def test_somebody_elses_entry(place) -> None:
    own = magic.of(arch.load(TARGET))
    plain = own.magic[:9] + bytes(7) + own.magic[16:]
    theirs = kernel.Entry(f"qemu-{TARGET}", b"/bin/true", "F", magic=plain, mask=own.mask)

    def run():
        Registry().add(theirs)
        return (
            octavo("register", TARGET, "--interpreter", str(place / "octavo")),
            octavo("unregister"),
            names(),
            run_program(place),
            octavo("register", TARGET, "--name-prefix", "o-", "--interpreter", f"{place}/octavo"),
            run_program(place),
            octavo("status"),
        )

    refused, nothing, left, theirs_ran, added, ours_ran, status = inside(USER, run)
    assert refused == (1, "", f"octavo binfmt: {registry.foreign(theirs)}\n")
    assert nothing == (0, "nothing of octavo's is registered\n", "")
    assert (left, theirs_ran) == ([f"qemu-{TARGET}"], 0)
    assert (added[0], ours_ran, status[0]) == (0, 42, 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("register", "s390x"), "s390x: no such target; there are "),
        (("unregister", "vax"), "vax: no such target; there are "),
        (("register", os.uname().machine), "this machine runs these programs itself"),
        (
            ("register", "--map-root"),
            "a command goes with a namespace: --user-namespace -- COMMAND",
        ),
        (("register", "--", "true"), "a command goes with a namespace"),
        (("register", "--user-namespace"), "a command goes with a namespace"),
    ],
)
def test_wrong_command_lines(words, message) -> None:
    status, out, err = octavo(*words)
    assert (status, out) == (1, "")
    assert err.startswith("octavo binfmt: ") and message in err
    assert err.count("\n") == 1


def test_a_namespace_of_ones_own(place) -> None:
    """The command sees itself as whoever it was, or as root; foreign programs run; its status comes back."""

    def run():
        head = ("register", TARGET, "--interpreter", str(place / "octavo"))
        shell = ("--user-namespace", "--", "/bin/sh", "-c")
        script = f"id -u; ls {MISC}; {place}/program; echo $?; exit 9"
        return (
            octavo(*head, *shell, script),
            octavo(*head, "--map-root", *shell, "id -u"),
            octavo(*head, "--user-namespace", "--", "/no/such/command"),
            octavo("register", "--interpreter", "/none", "--user-namespace", "--", "true"),
            os.getuid(),
        )

    own, root, missing, wrong, uid = child(run)
    if "no registry of their own" in own[2] or "no user namespace" in own[2]:
        pytest.skip(own[2])
    assert own == (9, f"{uid}\nqemu-{TARGET}\nregister\nstatus\n42\n", "")
    assert root == (0, "0\n", "")
    assert missing == (1, "", "octavo binfmt: /no/such/command: No such file or directory\n")
    assert wrong == (
        1,
        "",
        "octavo binfmt: /none: the handler cannot be read: No such file or directory\n",
    )


def test_a_namespace_for_an_ordinary_user(place) -> None:
    """Its ids are its own again in the second namespace."""
    from binfmt import namespace

    path, program = str(place / "octavo"), str(place / "program")
    out = place / "out"
    out.write_text("")
    out.chmod(0o666)

    def run():
        if os.geteuid() == 0:
            become_nobody()
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(out, os.O_WRONLY), 1)

            def register() -> None:
                registry.register(Registry(), [TARGET], path, warn=print)

            try:
                namespace.run(
                    ["/bin/sh", "-c", f"id -u; id -g; {program}; echo $?"], register, False
                )
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.getuid(), os.getgid()

    status, uid, gid = child(run)
    assert status == 0
    assert out.read_text() == f"{uid}\n{gid}\n42\n"


def test_export(tmp_path, place) -> None:
    path = str(place / "octavo")
    words = ("export", "--format", "binfmt.d", str(tmp_path), "arm", "--interpreter", path)
    status, out, err = octavo(*words)
    assert (status, out, err) == (0, f"{tmp_path}/qemu-arm.conf\n", "")
    rule = (tmp_path / "qemu-arm.conf").read_text().splitlines()[1]

    def run():
        Path(MISC, "register").write_text(rule)  # as systemd-binfmt does
        return Registry().entries()[0].ours, names()

    assert inside(USER, run) == (True, ["qemu-arm"])
    done = octavo("export", "--format", "tar", str(tmp_path))
    assert done[0] == 2 and "invalid choice: 'tar'" in done[2]
