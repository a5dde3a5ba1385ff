"""Running the programs that make a root: their output into the log, their progress lines to the display.

debootstrap speaks in lines "I: Verb package ...", "W: ..." and "E: ...". Its last E: line is the reason of a failure.
"""

import os
import subprocess
import sys

from rootfs_tools.progress import Progress

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# "I: Retrieving libc6 2.36-9" and the like; the second word of others is no package
PACKAGE_VERBS = ("Retrieving", "Validating", "Extracting", "Unpacking", "Configuring")

TAIL = 400  # bytes of a last line that is shown as the reason


class StepFailed(Exception):
    """A step did not work. args == (line,)."""


def octavo_run(root: str, command: list[str]) -> list[str]:
    """`octavo run --root ROOT -- COMMAND` with this Python and these sources, wherever the command is installed."""
    start = f"import sys; sys.path.append({TOP!r}); from runtime.cli import main; sys.exit(main())"
    return [sys.executable, "-IS", "-c", start, "run", "--root", root, "--", *command]


def parse_line(line: str) -> tuple[str, str] | None:
    """("Configuring", "libc6") of a line that reports on a package, else None."""
    words = line.split()
    if len(words) >= 3 and words[0] == "I:" and words[1] in PACKAGE_VERBS:
        package = words[2].rstrip(".").partition(":")[0]
        named = package != "the" and (package[:1].islower() or package[:1].isdigit())
        return (words[1], package) if named else None  # "Unpacking the base system" counts nothing
    return None


def reason(lines: list[str], status: int) -> str:
    """One line for a command that failed: debootstrap's error, or the last thing it said, or its status."""
    errors = [line[3:].strip() for line in lines if line.startswith("E: ")]
    if errors:
        return errors[-1]
    said = [line.strip() for line in lines if line.strip()]
    how = f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
    return f"{how}: {said[-1][-TAIL:]}" if said else how


class Runner:
    """Starts commands, with everything they say kept in one log file."""

    def __init__(self, log_path: str) -> None:
        self.log_path = log_path

    def run(self, command: list[str], progress: Progress, environment: dict[str, str]) -> None:
        """StepFailed when it cannot be started or fails."""
        tail: list[str] = []
        with open(self.log_path, "a", encoding="utf-8", errors="replace") as log:
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            process = self._start(command, environment)
            assert process.stdout is not None
            try:
                for raw in process.stdout:
                    line = raw.decode(errors="replace").rstrip("\n")
                    log.write(line + "\n")
                    tail = [*tail[-40:], line]
                    self._show(line, progress)
                status = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            finally:
                process.stdout.close()
        if status:
            raise StepFailed(reason(tail, status))

    def output(self, command: list[str]) -> str:
        """Its standard output; StepFailed when it fails."""
        result = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        errors = result.stderr.decode(errors="replace")
        if result.returncode:
            with open(self.log_path, "a", encoding="utf-8", errors="replace") as log:
                log.write("$ " + " ".join(command) + "\n" + errors)
            raise StepFailed(reason(errors.splitlines(), result.returncode))
        return result.stdout.decode(errors="replace")

    @staticmethod
    def _start(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        except OSError as error:
            raise StepFailed(f"{command[0]}: {error.strerror}") from None

    @staticmethod
    def _show(line: str, progress: Progress) -> None:
        found = parse_line(line)
        if found:
            progress.package(*found)
        elif line.startswith("W: "):
            progress.note(line)
        elif line.startswith("I: "):
            progress.detail(line[3:])
