"""Programs that wait for a debugger, and a debugger that says what it is told to say."""

import errno
import os
import socket
import subprocess
import time
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.guest.pages import as_from_a_shell

TOP = Path(__file__).parents[3]
OCTAVO = TOP / ".venv" / "bin" / "octavo"
SOURCE = Path(__file__).parent / "program.c"
PATIENCE = 60


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
            process_group=0,  # not ours, which may be orphaned: SIGTSTP does not stop those
            preexec_fn=as_from_a_shell,
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


class Client:
    """A debugger that says what it is told to."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while (error := self.socket.connect_ex(path)) == errno.ECONNREFUSED:  # no listen(2) yet
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert error == 0
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


def pc_of(client: Client, arch: str) -> int:
    number = {"aarch64": 32, "arm": 15, "riscv64": 32, "ppc64le": 32, "mips": 34, "x86_64": 16}
    data = bytes.fromhex(client.ask(b"p%x" % number[arch]).decode())
    return int.from_bytes(data, "big" if arch == "mips" else "little")


def address(path: str, name: str) -> int:
    """Of a function or variable of a program."""
    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        found: int = table.get_symbol_by_name(name)[0]["st_value"]  # type: ignore[union-attr]
        return found
