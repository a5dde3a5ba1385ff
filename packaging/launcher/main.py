"""The launcher's Python side: puts the bundle in place and gives the word to binfmt.front.

The interpreter has only its core here (start.cc): no sys.path, no standard streams, no codecs but those in C. What the
launch path expects of them is set up below. Nothing is read from any file.

Importing this module is what comes before the snapshot (snapshot.cc); main() is what a process does. So nothing that
belongs to a process may be looked at by any module while it is imported: os.environ is empty here.
"""

import _io
import builtins
import posix
import sys

from runtime import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.launcher import launcher
else:
    import launcher  # built in: start.cc


FAILED, USAGE_ERROR = 1, 2


class Output:
    """A standard stream that only takes text. Unbuffered, as its few users write whole lines."""

    encoding = "utf-8"
    errors = "surrogateescape"

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def write(self, text: str) -> int:
        data = memoryview(text.encode(self.encoding, self.errors))
        while data:
            data = data[posix.write(self.fd, data) :]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self.fd


def _prepare() -> None:
    """Before the snapshot: the modules of every way in, all system calls, every architecture."""
    sys.argv = ["octavo"]
    sys.stdout, sys.stderr = Output(1), Output(2)
    builtins.open = _io.open
    found = bundle.load(launcher.bundle)
    bundle.install(found)
    for name in found.header.places:
        __import__(name)
    sys.modules["runtime.arch"].load_all()
    sys.meta_path.remove(
        found
    )  # nothing is imported at a start: a module that were missing would show


def main() -> int:
    """In the program. The exit status; a guest program ends the process itself."""
    from binfmt import front
    from runtime import config, run_command

    run_command.exact_environment = launcher.environ
    try:
        config.compiled_in = (
            config.restore(launcher.settings) if launcher.settings else config.Configuration()
        )
    except config.ConfigError as error:
        sys.stderr.write(f"octavo: {error}\n")
        return FAILED
    try:
        return front.main(launcher.argv)
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"octavo: no module {error.name} in the launcher, which only runs programs: as `octavo run`, under the"
            " name of a qemu-user program, or as a handler of binfmt_misc\n"
        )
        return USAGE_ERROR


_prepare()
