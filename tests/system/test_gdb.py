"""-g: programs of every architecture under the real GDB, and the protocol's corners by hand."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

TOP = Path(__file__).parents[2]
OCTAVO = TOP / ".venv" / "bin" / "octavo"
LAUNCHER = TOP / "build" / "launcher" / "octavo"
SOURCE = Path(__file__).parent / "debugger" / "program.c"
GDB = shutil.which("gdb-multiarch")
PATIENCE = 60
MARK = "@@@ next @@@"
each = pytest.mark.parametrize("arch", list(COMPILERS))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Callable[..., str]:
    """program(arch): the program, compiled once; dynamic=True: with its libraries apart."""
    top = tmp_path_factory.mktemp("programs")

    def compiled(arch: str, dynamic: bool = False) -> str:
        compiler = COMPILERS[arch]
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        path = top / f"{arch}{'-dynamic' * dynamic}"
        if not path.exists():
            linking = [] if dynamic else ["-static"]
            words = [compiler, "-g", "-O0", "-pthread", *linking, "-o", str(path), str(SOURCE)]
            subprocess.run(words, check=True)
        return str(path)

    return compiled


class Started:
    """A program that waits for a debugger on a socket."""

    def __init__(self, path: Path, words: list[str], program: str, *arguments: str) -> None:
        self.socket = str(path / "port")
        self.program = program
        command = [*words, self.socket, program, *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not os.path.exists(self.socket):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> tuple[int, str, str]:
        """Status, output, errors of the program, which is at its end."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Started]]:
    """start(program, arguments...): under octavo run --gdb."""
    started = []

    def begin(program: str, *arguments: str, words: list[str] | None = None) -> Started:
        own = words or [str(OCTAVO), "run", "--gdb"]
        started.append(Started(tmp_path, own, program, *arguments))
        return started[-1]

    yield begin
    for each_started in started:
        process = each_started.process
        process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


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
    assert "if (!strcmp(part" in said[2]
    assert "return sums()" in said[3] or "if (!strcmp" in said[3]
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
    interrupt = "shell (sleep 1; kill -INT $PPID) &"
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
        "shell (sleep 1; kill -INT $PPID) &", "continue", "print square(7)", "print counter",
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


# By hand -------------------------------------------------------------------------------------------------------------
class Client:
    """A debugger that says what it is told to."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.rest = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, contents: bytes) -> None:
        self.socket.sendall(b"$%b#%02x" % (contents, sum(contents) & 0xFF))

    def receive(self) -> bytes:
        while self.rest.count(b"#") < 1 or len(self.rest) < self.rest.index(b"#") + 3:
            more = self.socket.recv(4096)
            assert more, self.rest
            self.rest += more
        start, end = self.rest.index(b"$"), self.rest.index(b"#")
        contents, self.rest = self.rest[start + 1 : end], self.rest[end + 3 :]
        return contents

    def ask(self, contents: bytes) -> bytes:
        self.send(contents)
        return self.receive()


@pytest.fixture
def client(program, start) -> Iterator[Callable[..., tuple["Client", Started]]]:
    """client(arch, arguments...): connected, without acknowledgements."""
    open_ones = []

    def connect(arch: str, *arguments: str) -> tuple[Client, Started]:
        started = start(program(arch), *arguments)
        connected = Client(started.socket)
        open_ones.append(connected)
        assert connected.ask(b"QStartNoAckMode") == b"OK"
        return connected, started

    yield connect
    for connected in open_ones:
        connected.socket.close()


def pc_of(client: Client, arch: str) -> int:
    number = {"aarch64": 32, "arm": 15, "riscv64": 32, "ppc64le": 32, "mips": 34, "x86_64": 16}
    data = bytes.fromhex(client.ask(b"p%x" % number[arch]).decode())
    return int.from_bytes(data, "big" if arch == "mips" else "little")


@each
def test_single_steps(client, arch) -> None:
    """Where steps lead, a breakpoint leads too."""
    stepping, _ = client(arch)
    seen = []
    for _ in range(40):
        assert stepping.ask(b"vCont;s").startswith(b"T05")
        seen.append(pc_of(stepping, arch))
    assert len(set(seen)) > 10
    target = next(pc for pc in reversed(seen) if seen.count(pc) == 1)
    stepping.socket.close()
    running, _ = client(arch)
    kind = {"arm": 2 if target & 2 else 4, "x86_64": 1, "riscv64": 2}.get(arch, 4)
    if arch == "arm" and int(running.ask(b"p10"), 16) & 0x20:
        kind = 2
    before = running.ask(b"m%x,4" % target)
    assert running.ask(b"Z0,%x,%x" % (target, kind)) == b"OK"
    assert running.ask(b"m%x,4" % target) == before, "the breakpoint is not shown"
    assert running.ask(b"c").startswith(b"T05")
    assert pc_of(running, arch) == target + (arch == "x86_64")


def address(path: str, name: str) -> int:
    """Of a function or variable of a program."""
    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        found: int = table.get_symbol_by_name(name)[0]["st_value"]  # type: ignore[union-attr]
        return found


@pytest.mark.parametrize("arch", ["aarch64", "x86_64", "mips"])
def test_three_threads_and_one_breakpoint(client, program, arch) -> None:
    """As GDB does it: stopped there, take the breakpoint out, step this thread alone, put it in again, go on. No thread
    gets past it, and none is there twice."""
    rounds = 50
    connected, started = client(arch, "threads", str(rounds))
    bump = address(program(arch), "bump")
    breakpoint = b"0,%x,%x" % (bump, 1 if arch == "x86_64" else 4)
    assert connected.ask(b"Z" + breakpoint) == b"OK"
    hits: dict[bytes, int] = {}
    while (stop := connected.ask(b"vCont;c")) != b"W03":
        assert stop.startswith(b"T05thread:"), stop
        tid = stop[10:-1]
        hits[tid] = hits.get(tid, 0) + 1
        at = pc_of(connected, arch)
        assert at == bump + (arch == "x86_64")
        if arch == "x86_64":
            assert connected.ask(b"P10=" + (at - 1).to_bytes(8, "little").hex().encode()) == b"OK"
        assert connected.ask(b"z" + breakpoint) == b"OK"
        assert connected.ask(b"vCont;s:" + tid) == stop
        assert connected.ask(b"Z" + breakpoint) == b"OK"
    assert list(hits.values()) == [rounds] * 3
    assert started.end() == (3, f"joined {3 * rounds + 1} before\n", "")


def test_a_thread_that_is_held_does_not_run(client) -> None:
    connected: Client = client("aarch64", "threads", str(10**9))[0]
    connected.send(b"vCont;c")
    time.sleep(0.5)
    connected.socket.sendall(b"\x03")
    assert connected.receive().startswith(b"T02")
    names = connected.ask(b"qfThreadInfo")[1:].split(b",")
    assert len(names) == 4

    def registers(name: bytes) -> bytes:
        assert connected.ask(b"Hg" + name) == b"OK"
        return connected.ask(b"g")

    before = {name: registers(name) for name in names}
    connected.send(b"vCont;c:" + names[1])
    time.sleep(0.3)
    connected.socket.sendall(b"\x03")
    assert connected.receive().startswith(b"T02")
    after = {name: registers(name) for name in names}
    assert [name for name in names if before[name] != after[name]] == [names[1]]
    connected.send(b"k")


def test_a_watchpoint_by_hand(client, program) -> None:
    """What the debugger stores itself is no reason to stop, and each change is one."""
    connected, started = client("aarch64")
    counter = b"%x" % address(program("aarch64"), "counter")
    assert connected.ask(b"Z2," + counter + b",4") == b"OK"
    for value in (b"02", b"06", b"0f"):
        assert connected.ask(b"vCont;c").startswith(b"T05watch:" + counter + b";thread:")
        assert connected.ask(b"m" + counter + b",4") == value + b"000000"
    assert connected.ask(b"M" + counter + b",4:64000000") == b"OK"
    assert connected.ask(b"vCont;c") == b"W0e"
    assert started.end() == (14, "sums 100 before\n", "")


def test_packets_that_are_not_known(client) -> None:
    connected, _ = client("aarch64")
    for packet in (b"vMustReplyEmpty", b"nonsense", b"qXfer:libraries:read::0,10", b"Z3,1000,4"):
        assert connected.ask(packet) == b"", packet
    for packet in (
        b"m0,4",
        b"m,",
        b"Z0,0,4",
        b"pffff",
        b"H",
        b"Hg7fffffff",
        b"vCont;x",
        b"T7fffffff",
    ):
        assert connected.ask(packet)[:1] in (b"E", b""), packet
    assert connected.ask(b"?").startswith(b"T05thread:")
    assert connected.ask(b"qAttached") == b"0"


def test_acknowledgements(program, start) -> None:
    """On until they are switched off; a packet that arrived broken is asked for again."""
    started = start(program("aarch64"))
    with Client(started.socket) as connected:
        connected.socket.sendall(b"$?#00")
        assert connected.socket.recv(1) == b"-"
        assert connected.ask(b"?").startswith(b"T05")
        connected.socket.sendall(b"-")
        assert connected.receive().startswith(b"T05")


def test_memory_without_permission(client) -> None:
    """Code can be written and is run, though it stays read-only for the program."""
    connected, started = client("aarch64")
    entry = pc_of(connected, "aarch64")
    # mov x0, #42; mov x8, #94 (exit_group); svc #0; in bytes that have to be escaped on the way
    code = bytes.fromhex("400580d2c80b80d2010000d4")
    escaped = b"".join(b"}" + bytes([b ^ 32]) if b in b"#$}*" else bytes([b]) for b in code)
    assert connected.ask(b"X%x,%x:%b" % (entry, len(code), escaped)) == b"OK"
    assert connected.ask(b"m%x,%x" % (entry, len(code))) == code.hex().encode()
    assert connected.ask(b"c") == b"W2a"
    assert started.end() == (42, "", "")


def test_registers_are_written(client) -> None:
    connected, started = client("aarch64")
    sp, pc = (b"p1f", b"p20")
    before = connected.ask(b"g")
    assert connected.ask(b"P0=0700000000000000") == b"OK"
    assert connected.ask(b"P8=5e00000000000000") == b"OK"  # exit_group
    changed = connected.ask(b"g")
    assert changed[:16] == b"0700000000000000" and changed[16:128] == before[16:128]
    assert connected.ask(b"G" + changed) == b"OK"
    assert connected.ask(b"g") == changed
    cpsr = connected.ask(b"p21")
    assert connected.ask(b"P21=ffffffff") == b"OK"
    assert int(connected.ask(b"p21")[:2], 16) == int(cpsr[:2], 16), "the mode is not the debugger's"
    entry = int.from_bytes(bytes.fromhex(connected.ask(pc).decode()), "little")
    assert connected.ask(b"M%x,4:010000d4" % entry) == b"OK"  # svc #0
    assert len(connected.ask(sp)) == 16
    assert connected.ask(b"c") == b"W07"
    assert started.end() == (7, "", "")


def test_threads_by_hand(client) -> None:
    connected, _ = client("aarch64", "loops")
    assert b"multiprocess+" in connected.ask(b"qSupported:multiprocess+;swbreak+")
    first = connected.ask(b"qfThreadInfo")
    assert first.startswith(b"mp") and connected.ask(b"qsThreadInfo") == b"l"
    name = first[1:]
    assert connected.ask(b"T" + name) == b"OK"
    assert connected.ask(b"Hg" + name) == b"OK"
    assert connected.ask(b"qC") == b"QC" + name
    assert connected.ask(b"qThreadExtraInfo," + name) == b"aarch64".hex().encode()
    connected.send(b"vCont;c")
    time.sleep(0.2)
    connected.socket.sendall(b"\x03")
    assert connected.receive() == b"T02thread:" + name + b";"


def test_quiet_signals_do_not_stop(client) -> None:
    connected, started = client("aarch64", "signals")
    assert connected.ask(b"QPassSignals:1e;b") == b"OK"  # SIGUSR1 and SIGSEGV in GDB's numbers
    assert connected.ask(b"c") == b"X0b"
    assert started.end()[:2] == (-signal.SIGSEGV, "caught 2\n")


def state_of(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_signal_that_stops_by_default(client) -> None:
    """The debugger sees it first; then it stops the process, as job control has it, until SIGCONT."""
    connected, started = client("aarch64", "stops")
    assert connected.ask(b"vCont;c").startswith(b"T12")  # SIGTSTP
    connected.send(b"vCont;C12")
    deadline = time.monotonic() + PATIENCE
    while state_of(started.process) != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started.process.send_signal(signal.SIGCONT)
    assert connected.receive() == b"W08"
    assert started.end() == (8, "continued 1 before\n", "")


def test_a_signal_that_somebody_sends(client) -> None:
    """While the program runs, and while it stands; blocked ones and those that end it by default too."""
    connected, started = client("aarch64", "loops")
    connected.send(b"vCont;c")
    time.sleep(0.2)
    started.process.send_signal(signal.SIGTERM)
    assert connected.receive().startswith(b"T0f")
    started.process.send_signal(signal.SIGHUP)
    assert connected.ask(b"vCont;c").startswith(b"T01"), "SIGTERM was dropped, SIGHUP has waited"
    assert connected.ask(b"vCont;C0f") == b"X0f", "another one instead"
    assert started.end() == (-signal.SIGTERM, "", "")


def test_a_signal_in_a_system_call(client) -> None:
    """Dropped, the call goes on; passed on, it fails with EINTR after the handler."""
    connected, started = client("aarch64", "waits")
    connected.send(b"vCont;c")
    for _ in range(2):
        time.sleep(0.3)
        started.process.send_signal(signal.SIGUSR1)
        assert connected.receive().startswith(b"T1e")
        connected.send(b"vCont;c")
    time.sleep(0.3)
    started.process.send_signal(signal.SIGUSR1)
    assert connected.receive().startswith(b"T1e")
    assert connected.ask(b"vCont;C1e") == b"W0b"
    assert started.end() == (11, "interrupted 1 before\n", "")


def test_breakpoints_go_with_the_debugger(client, program) -> None:
    connected, started = client("aarch64")
    with open(program("aarch64"), "rb") as file:
        entry = ELFFile(file).header["e_entry"]
    assert pc_of(connected, "aarch64") == entry
    for offset in (4, 8, 12):
        assert connected.ask(b"Z0,%x,4" % (entry + offset)) == b"OK"
    connected.socket.close()
    assert started.end()[:2] == (14, "sums 15 before\n")


def test_files(client) -> None:
    connected, started = client("aarch64")
    name = started.program.encode().hex().encode()
    assert connected.ask(b"vFile:setfs:0") == b"F0"
    opened = connected.ask(b"vFile:open:" + name + b",0,0")
    assert opened[:1] == b"F" and opened != b"F-1"
    fd = opened[1:]
    assert connected.ask(b"vFile:pread:" + fd + b",4,0") == b"F4;\x7fELF"
    status = connected.ask(b"vFile:fstat:" + fd)
    assert status.startswith(b"F40;")
    assert connected.ask(b"vFile:close:" + fd) == b"F0"
    assert connected.ask(b"vFile:close:" + fd) == b"F-1,9"
    assert connected.ask(b"vFile:open:" + b"/none".hex().encode() + b",0,0") == b"F-1,2"
    assert connected.ask(b"vFile:open:" + name + b",1,0") == b"F-1,1e"
    assert connected.ask(b"qXfer:exec-file:read::0,1000") == b"l" + started.program.encode()
