"""Fixtures of the tests of a debugger's port."""

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.system.debugger.sessions import OCTAVO, SOURCE, Client, Started
from tests.unit.compilers import COMPILERS


@pytest.fixture(scope="session")
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


@pytest.fixture
def client(program, start) -> Iterator[Callable[..., tuple[Client, Started]]]:
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
