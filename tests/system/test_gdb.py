"""-g: programs of every architecture under the real GDB."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from tests.system.debugger.sessions import OCTAVO, PATIENCE, SOURCE, TOP, Started
from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

LAUNCHER = TOP / "build" / "launcher" / "octavo"
GDB = shutil.which("gdb-multiarch")
MARK = "@@@ next @@@"
each = pytest.mark.parametrize("arch", list(COMPILERS))


def gdb_command(where: str, program: str | None, commands: list[str]) -> list[str]:
    assert GDB is not None
    words = [GDB, "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set confirm off"]
    words += ["-ex", "set pagination off", "-ex", "set width 0"]
    first = [f"file {program}"] if program else []
    for command in (*first, f"target remote {where}", *commands):
        words += ["-ex", f"echo {MARK}\\n", "-ex", command]
    return words


def gdb(where: str, program: str | None, *commands: str) -> list[str]:
    """What GDB says to each command. None for the program: it is to find it itself."""
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    done = subprocess.run(
        gdb_command(where, program, list(commands)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    answers = done.stdout.split(MARK + "\n")[1:]
    return answers[2 if program else 1 :]


def line_of(comment: str) -> int:
    lines = SOURCE.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"// {comment}"))


# GDB on every architecture -------------------------------------------------------------------------------------------
@each
def test_a_session(program, start, arch) -> None:
    """Breakpoints, steps, variables, the stack, and the exit status."""
    started = start(program(arch))
    said = gdb(
        started.socket, started.program,
        "break main", "continue", "next", "step", "info registers", "print $pc == $sp",
        "break square if n == 2", "continue", "backtrace", "print counter", 'printf "%s\\n", text', "print real",
        "set variable counter = 100", 'set variable text = "after"', "set variable real = 0.5",
        "finish", "print real", "stepi", "nexti", "delete", "continue", "print $_exitcode",
    )  # fmt: skip
    assert f"program.c:{line_of('first line of main')}" in said[1]
    assert "words = argv;" in said[2]
    assert "if (argc > 2)" in said[3]
    names = {"mips": ("R0 ", "pc"), "x86_64": ("rip", "rsp")}.get(arch, ("pc ", ""))
    assert all(name in said[4] for name in names)
    assert "= 0" in said[5]
    assert "square (n=2)" in said[7]
    frames = [line.split(" (")[0].split()[-1] for line in said[8].splitlines()]
    assert frames == ["square", "sums", "main"]
    assert [said[9], said[10], said[11]] == ["$2 = 2\n", "before\n", "$3 = 2.5\n"]
    assert "Value returned is" in said[15] and "= 4" in said[15]
    assert "0.5" in said[16]
    assert "exited with code 016" in said[20]  # 14, in octal
    assert said[21].endswith("= 14\n")
    assert started.end() == (14, "sums 113 after\n", "")


@each
def test_signals(program, start, arch) -> None:
    """They stop the program first, and reach it if the debugger wants; the last one ends it."""
    started = start(program(arch), "signals")
    said = gdb(
        started.socket, started.program,
        "continue", "print $_siginfo.si_signo", "continue", "signal 0",
        "print $_siginfo._sifields._sigfault.si_addr", "backtrace 1", "continue", "print $_exitsignal",
    )  # fmt: skip
    own = 16 if arch == "mips" else 10
    assert "received signal SIGUSR1" in said[0]
    assert f"= {own}\n" in said[1]
    assert "received signal SIGUSR1" in said[2]
    assert "received signal SIGSEGV" in said[3]
    assert "0x8" in said[4]
    assert f"program.c:{line_of('crash')}" in said[5]
    assert "terminated with signal SIGSEGV" in said[6]
    assert "= 11\n" in said[7]
    status, out, err = started.end()
    assert (status, out, err) == (-signal.SIGSEGV, "caught 1\n", "")


@each
def test_threads(program, start, arch) -> None:
    """All are there, each with its own stack; one can be run alone."""
    started = start(program(arch), "threads")
    said = gdb(
        started.socket, started.program,
        f"break {line_of('in worker')}", "continue", "continue", "continue", "info threads",
        "thread apply all backtrace", "delete", "set scheduler-locking on", "stepi", "info threads",
        "set scheduler-locking off", "break say", "continue", "print counter", "continue",
    )  # fmt: skip
    assert [("hit Breakpoint" in answer) for answer in said[1:4]] == [True] * 3
    assert sum("Thread " in line for line in said[4].splitlines()) == 4
    assert said[5].count(" worker (argument=") == 3
    assert [f"argument=0x{n:x})" in said[5] for n in range(3)] == [True] * 3
    before, after = (
        [line.split("Thread ")[1] for line in said[n].splitlines() if "Thread " in line]
        for n in (4, 9)
    )
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
    assert "say (what=" in said[12]
    assert "= 3001\n" in said[13]
    assert "exited with code 03" in said[14]
    assert started.end() == (3, "joined 3001 before\n", "")


@each
def test_a_watchpoint(program, start, arch) -> None:
    started = start(program(arch))
    said = gdb(
        started.socket, started.program,
        "break sums", "continue", "watch counter", "continue", "continue", "backtrace", "delete", "continue",
    )  # fmt: skip
    for answer, old, new in ((said[3], 1, 2), (said[4], 2, 6)):
        assert f"Old value = {old}\nNew value = {new}\n" in answer
    assert "square (n=2)" in said[5]
    assert started.end() == (14, "sums 15 before\n", "")


# What is the same on every architecture ------------------------------------------------------------------------------
def test_the_debugger_stays_with_the_parent(program, start) -> None:
    started = start(program("aarch64"), "forks")
    said = gdb(started.socket, started.program, "break say", "continue", "print what", "continue")
    assert '"parent"' in said[2]
    assert "exited with code 04" in said[3]
    assert started.end() == (4, "child 1 before\nparent 9 before\n", "")


def test_a_watchpoint_on_what_a_system_call_stores(program, start) -> None:
    started = start(program("aarch64"), "reads")
    said = gdb(
        started.socket, started.program,
        "break reads", "continue", "watch text", "continue", "backtrace", "delete", "continue",
    )  # fmt: skip
    assert 'New value = "after' in said[3]
    assert "reads ()" in said[4]
    assert started.end() == (7, "read 1 after\n", "")


def test_execve_is_seen_and_breakpoints_are_set_again(program, start) -> None:
    started = start(program("aarch64"), "again")
    said = gdb(
        started.socket, started.program,
        "catch exec", "continue", "print argc", "break square", "continue", "backtrace", "delete", "continue",
    )  # fmt: skip
    assert "Catchpoint 1" in said[1] and "is executing new program" in said[1]
    assert "square (n=1)" in said[4]
    assert "in main (argc=2" in said[5]
    assert "exited with code 016" in said[7]
    assert started.end() == (14, "sums 15 before\n", "")


def test_a_thread_replaces_the_program_while_another_is_held(program, start) -> None:
    started = start(program("aarch64"), "elsewhere")
    said = gdb(
        started.socket, started.program,
        f"break {line_of('in replace')}", "continue", "set scheduler-locking on", "continue",
        "set scheduler-locking off", "continue",
    )  # fmt: skip
    assert "replace (unused=0x0)" in said[1]
    assert "exited with code 016" in said[3] + said[5]
    assert started.end() == (14, "sums 15 before\n", "")


def test_detach_and_the_program_runs_on(program, start) -> None:
    started = start(program("aarch64"))
    said = gdb(started.socket, started.program, "break square", "continue", "detach")
    assert "detached" in said[2]
    assert started.end() == (14, "sums 15 before\n", "")


def test_detach_passes_the_signal_on(program, start) -> None:
    started = start(program("aarch64"), "signals")
    assert "SIGUSR1" in gdb(started.socket, started.program, "continue", "detach")[0]
    status, out, err = started.end()
    assert (status, out) == (-signal.SIGSEGV, "caught 2\n")
    assert err == ""


def test_kill(program, start) -> None:
    started = start(program("aarch64"))
    assert "killed" in gdb(started.socket, started.program, "kill")[0]
    assert started.end() == (-signal.SIGKILL, "", "")


@pytest.mark.parametrize("part", ["loops", "sleeps"])
def test_ctrl_c(program, start, part) -> None:
    """In guest code, and in a system call, which is begun again."""
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    started = start(program("aarch64"), part)
    interrupt = "shell (sleep 1.5; kill -INT $PPID) &"
    said = gdb(
        started.socket, started.program,
        interrupt, "continue", "backtrace", interrupt, "continue", "set variable go_on = 1", "continue",
    )  # fmt: skip
    assert "received signal SIGINT" in said[1]
    assert f"{part} ()" in said[2] and "main (argc=2" in said[2]
    assert "received signal SIGINT" in said[4]
    assert "exited with code" in said[6]
    assert started.end() == ({"loops": 5, "sleeps": 6}[part], "", "")


@pytest.mark.parametrize("arch", ["aarch64", "x86_64", "arm"])
def test_breakpoints_that_the_debugger_writes(program, start, arch) -> None:
    started = start(program(arch))
    said = gdb(
        started.socket, started.program,
        "set remote software-breakpoint-packet off", "set remote binary-download-packet off",
        "break square", "continue", "continue", "backtrace", "delete", "continue",
    )  # fmt: skip
    assert "square (n=2)" in said[4]
    assert said[5].count("#") == 3
    assert "exited with code 016" in said[7]
    assert started.end() == (14, "sums 15 before\n", "")


def test_a_function_of_the_program_is_called(program, start) -> None:
    """Also from inside a system call that was cut short, which goes on afterwards."""
    started = start(program("x86_64"), "sleeps")
    said = gdb(
        started.socket, started.program,
        "shell (sleep 1.5; kill -INT $PPID) &", "continue", "print square(7)", "print counter",
        "set variable go_on = 1", "continue",
    )  # fmt: skip
    assert said[2] == "$1 = 49\n"
    assert said[3] == "$2 = 50\n"
    assert "exited with code 06" in said[5]
    assert started.end() == (6, "", "")


def test_the_debugger_finds_program_and_libraries(program, start) -> None:
    """By target: paths, which are paths in the program's view; positions come from the auxiliary vector."""
    prefix = "/usr/aarch64-linux-gnu"
    words = [str(OCTAVO), "run", "-L", prefix, "--gdb"]
    started = start(program("aarch64", dynamic=True), "threads", words=words)
    said = gdb(
        started.socket, None,
        "break worker", "continue", "info sharedlibrary", "info auxv", "info proc mappings", "delete", "continue",
    )  # fmt: skip
    assert "worker (argument=0x" in said[1]
    assert "target:/lib/libc.so.6" in said[2] and "target:/lib/ld-linux-aarch64.so.1" in said[2]
    assert "AT_ENTRY" in said[3] and started.program in said[3]
    assert "libc.so.6" in said[4] and "[stack]" in said[4]
    assert "exited with code 03" in said[6]
    assert started.end() == (3, "joined 3001 before\n", "")


def test_a_debugger_that_goes_away(program, start) -> None:
    """It is said in one line, breakpoints are taken back, and the program goes on."""
    if GDB is None:
        pytest.skip("gdb-multiarch is not installed")
    started = start(program("aarch64"))
    commands = ["break square", "continue", "shell kill -KILL $PPID"]
    done = subprocess.run(
        gdb_command(started.socket, started.program, commands),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == -signal.SIGKILL
    line = "octavo: the debugger has gone, the program runs on\n"
    assert started.end() == (14, "sums 15 before\n", line)


def test_the_launcher_has_it_too(program, start) -> None:
    if not LAUNCHER.exists():
        pytest.skip("no launcher: make launcher")
    started = start(program("aarch64"), words=[str(LAUNCHER), "run", "--gdb"])
    said = gdb(started.socket, started.program, "break square", "continue", "delete", "continue")
    assert "square (n=1)" in said[1]
    assert started.end() == (14, "sums 15 before\n", "")


def test_in_a_root_of_its_own(program, tmp_path) -> None:
    """The socket is outside, the files are inside."""
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        (tmp_path / "root" / name).mkdir(parents=True)
    shutil.copy(program("aarch64"), tmp_path / "root" / "bin" / "program")
    words = [str(OCTAVO), "run", "--root", str(tmp_path / "root"), "--gdb"]
    started = Started(tmp_path, words, "/bin/program")
    said = gdb(started.socket, None, "break square", "continue", "delete", "continue")
    assert "square (n=1)" in said[1]
    assert started.end() == (14, "sums 15 before\n", "")
    assert not os.path.exists(started.socket)


# qemu-user's front, and ports ----------------------------------------------------------------------------------------
FRONT = (
    f"import os, sys; sys.path.insert(0, {str(TOP)!r}); from binfmt.front import main; "
    "sys.exit(main([os.fsencode(word) for word in sys.argv[1:]]))"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("variable", [False, True])
def test_qemu_s_option_and_variable_with_a_tcp_port(program, variable) -> None:
    port = free_port()
    path = program("aarch64")
    words = [sys.executable, "-IS", "-c", FRONT, "qemu-aarch64"]
    environment = dict(os.environ, QEMU_GDB=str(port)) if variable else dict(os.environ)
    process = subprocess.Popen(
        [*words, *([] if variable else ["-g", str(port)]), path],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = gdb(f":{port}", path, "break square", "continue", "kill")
    process.communicate(timeout=PATIENCE)
    assert "square (n=1)" in said[1]
    assert process.returncode == -signal.SIGKILL


def refusal(program: str, where: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(OCTAVO), "run", "--gdb", where, program],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stderr


def test_ports_that_cannot_be_had(program, tmp_path) -> None:
    path = program("aarch64")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert refusal(path, port) == (1, f"octavo: -g {port}: Address already in use\n")
    for number in ("0", "65536", "99999"):
        line = f"octavo: -g {number}: not a TCP port (1 to 65535)\n"
        assert refusal(path, number) == (1, line)
    assert refusal(path, f"{tmp_path}/none/port") == (
        1, f"octavo: -g {tmp_path}/none/port: No such file or directory\n",
    )  # fmt: skip
    (tmp_path / "file").write_text("kept")
    line = f"octavo: -g {tmp_path}/file: Address already in use\n"
    assert refusal(path, f"{tmp_path}/file") == (1, line)
    assert (tmp_path / "file").read_text() == "kept"
    long = "x" * 200
    line = f"octavo: -g {long}: not a TCP port, and not the path of a Unix socket\n"
    assert refusal(path, long) == (1, line)
