"""`octavo rootfs create`: a Debian root for another processor, from its first package to a clean audit.

debootstrap downloads and unpacks (it runs nothing of the new root with --foreign); its second stage, which is all
maintainer scripts, runs under Octavo. Each step is an operation that describes itself and then does it. A state file
beside the root says which steps are finished, so the same command goes on where it stopped.
"""

import json
import os
import shutil
from collections.abc import Sequence
from typing import Protocol

from rootfs_tools import mirror as mirrors
from rootfs_tools.debootstrap import Runner, StepFailed, octavo_run
from rootfs_tools.progress import Progress
from runtime import arch as architectures
from runtime.command_error import CommandError

SCRIPTS = "/usr/share/debootstrap/scripts"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Request:
    """What is to be made. Equal requests may continue each other's work."""

    def __init__(
        self, *, suite: str, arch: str, root: str, include: Sequence[str], mirror: str | None
    ) -> None:
        self.suite = suite
        self.arch = arch  # Debian's name
        self.root = root  # absolute, no slash at its end
        self.include = tuple(include)
        self.mirror = mirror  # None: debootstrap's own default

    @property
    def state_path(self) -> str:
        return self.root + ".state"

    @property
    def log_path(self) -> str:
        return self.root + ".log"

    def facts(self) -> dict[str, object]:
        """What must be the same for a continuation."""
        return {"suite": self.suite, "arch": self.arch, "include": list(self.include)}


class Operation(Protocol):
    """A step. `name` is what the state file remembers."""

    name: str

    def describe(self) -> str:
        """One line: what execute() will do."""

    def execute(self, progress: Progress) -> None:
        """Do it. StepFailed with one line when it did not work."""


class Unpack:
    """debootstrap's first stage. Run again it keeps the packages that it has."""

    name = "unpack"

    def __init__(self, request: Request, runner: Runner) -> None:
        self.request = request
        self.runner = runner

    def command(self) -> list[str]:
        request = self.request
        command = ["debootstrap", "--foreign", "--variant=minbase", f"--arch={request.arch}"]
        if os.path.exists(KEYRING):
            command.append(f"--keyring={KEYRING}")
        if request.include:
            command.append("--include=" + ",".join(request.include))
        command += [request.suite, request.root]
        return [*command, request.mirror] if request.mirror else command

    def describe(self) -> str:
        return "download and unpack: " + " ".join(self.command())

    def execute(self, progress: Progress) -> None:
        os.makedirs(self.request.root, exist_ok=True)
        environment = dict(os.environ)
        proxy = mirrors.apt_proxy()
        if proxy:
            environment.setdefault("http_proxy", proxy)
        self.runner.run(self.command(), progress, environment)
        self._own_proc()

    def _own_proc(self) -> None:
        """In a docker container debootstrap links /proc to /proc (setup_proc_symlink): a loop in a root of its own."""
        path = os.path.join(self.request.root, "proc")
        if os.path.islink(path):
            os.unlink(path)
            os.mkdir(path, 0o555)


class Configure:
    """debootstrap's second stage, under Octavo."""

    name = "configure"

    def __init__(self, request: Request, runner: Runner) -> None:
        self.request = request
        self.runner = runner

    def command(self) -> list[str]:
        return octavo_run(self.request.root, ["/debootstrap/debootstrap", "--second-stage"])

    def describe(self) -> str:
        return f"second stage: octavo run --root {self.request.root} /debootstrap/debootstrap --second-stage"

    def execute(self, progress: Progress) -> None:
        root = self.request.root
        progress.expect(_count_packages(root))
        if not os.path.exists(os.path.join(root, "debootstrap", "debootstrap")):
            raise StepFailed(
                "the first stage left no second stage in the root; remove it and start again"
            )
        # nothing of the caller's session belongs into maintainer scripts
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "TERM": os.environ.get("TERM", "dumb"),
        }
        self.runner.run(self.command(), progress, environment)


class WriteSources:
    """/etc/apt/sources.list with the mirror that was used."""

    name = "sources"

    def __init__(self, request: Request) -> None:
        self.request = request

    @property
    def path(self) -> str:
        return os.path.join(self.request.root, "etc", "apt", "sources.list")

    def describe(self) -> str:
        return f"write {self.path}"

    def execute(self, progress: Progress) -> None:
        mirror = self.request.mirror or self._written_by_debootstrap()
        if mirror is None:
            raise StepFailed(f"{self.path} names no mirror")
        host = mirrors.choose(mirrors.read_sources())
        lines = mirrors.source_lines(self.request.suite, mirror, host)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def _written_by_debootstrap(self) -> str | None:
        try:
            with open(self.path, encoding="utf-8") as file:
                return next((source.uri for source in mirrors.parse_one_line(file.read())), None)
        except OSError:
            return None


class Audit:
    """dpkg of the new root finds nothing to say, and every package is installed."""

    name = "audit"

    def __init__(self, request: Request, runner: Runner) -> None:
        self.request = request
        self.runner = runner

    def describe(self) -> str:
        return "check: dpkg --audit, and every package ii"

    def execute(self, progress: Progress) -> None:
        root = self.request.root
        complaint = self.runner.output(octavo_run(root, ["/usr/bin/dpkg", "--audit"])).strip()
        if complaint:
            raise StepFailed("dpkg --audit: " + complaint.splitlines()[0])
        form = "${db:Status-Abbrev} ${Package}\n"
        query = octavo_run(root, ["/usr/bin/dpkg-query", "-W", "-f", form])
        lines = self.runner.output(query).splitlines()
        bad = [line for line in lines if not line.startswith("ii ")]
        if bad or not lines:
            raise StepFailed("not installed: " + ", ".join(bad or ["any package"]))
        progress.note(f"{len(lines)} packages installed, dpkg --audit silent")


def _count_packages(root: str) -> int | None:
    """How many packages the first stage chose: it leaves two lists for the second."""
    names: set[str] = set()
    for name in ("required", "base"):
        try:
            with open(os.path.join(root, "debootstrap", name), encoding="utf-8") as file:
                names.update(file.read().split())
        except OSError:
            return None
    return len(names)


def operations(request: Request, runner: Runner) -> list[Operation]:
    """The whole work, in order."""
    steps: list[Operation] = [Unpack(request, runner), Configure(request, runner)]
    return [*steps, WriteSources(request), Audit(request, runner)]


def parse_source(text: str) -> str:
    """debian:SUITE -> SUITE. CommandError for what cannot be made."""
    kind, colon, suite = text.partition(":")
    if kind != "debian" or not colon or not suite:
        raise CommandError(f"{text!r}: give debian:SUITE, for example debian:bookworm")
    if "/" in suite or not suite.replace("-", "").isalnum():
        raise CommandError(f"{suite!r} is not the name of a suite")
    return suite


def parse_arch(text: str) -> str:
    """Debian's name of an architecture, from any of its names. CommandError for one that Octavo does not run."""
    name = architectures.find(text)
    if name is None:
        known = ", ".join(architectures.load(n).debian for n in architectures.ARCHITECTURES)
        raise CommandError(f"unknown architecture {text!r}; there are {known}")
    return architectures.load(name).debian


def check_machine(suite: str) -> None:
    """CommandError when this machine cannot do it, with what to do about it."""
    if os.geteuid() != 0:
        raise CommandError("making a root needs root (owners, device files): run it with sudo")
    if shutil.which("debootstrap") is None:
        raise CommandError("debootstrap is not installed: apt-get install debootstrap")
    if not os.path.exists(os.path.join(SCRIPTS, suite)):
        raise CommandError(f"unknown suite {suite!r}: debootstrap has no script for it")


def finished_steps(request: Request) -> list[str]:
    """What an earlier, unfinished run of the same request did. CommandError when the directory is something else's."""
    try:
        with open(request.state_path, encoding="utf-8") as file:
            state = json.load(file)
        facts, done = state["request"], [str(name) for name in state["done"]]
    except FileNotFoundError:
        if os.path.isdir(request.root) and os.listdir(request.root):
            raise CommandError(f"{request.root}: directory is not empty") from None
        if os.path.exists(request.root) and not os.path.isdir(request.root):
            raise CommandError(f"{request.root}: not a directory") from None
        return []
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{request.state_path}: not a state file of ours; remove it") from None
    if facts != request.facts():
        raise CommandError(
            f"{request.root}: an unfinished {facts.get('suite')} {facts.get('arch')} root is there; "
            f"remove it and {request.state_path} first"
        )
    return done


def write_state(request: Request, done: list[str]) -> None:
    """Replace the state file."""
    os.makedirs(os.path.dirname(request.state_path), exist_ok=True)
    temporary = request.state_path + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump({"request": request.facts(), "done": done}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, request.state_path)


def create(request: Request, steps: Sequence[Operation], progress: Progress) -> None:
    """Run the steps that are not finished. CommandError says which failed, why, and where the log is."""
    done = finished_steps(request)
    write_state(request, done)
    for number, step in enumerate(steps, 1):
        if step.name in done:
            progress.skip(number, len(steps), step.describe())
            continue
        progress.start(number, len(steps), step.describe())
        try:
            step.execute(progress)
        except StepFailed as error:
            progress.stop(failed=True)
            raise CommandError(
                f"{step.name}: {error}; log: {request.log_path}; the same command goes on from here"
            ) from None
        progress.stop(failed=False)
        done.append(step.name)
        write_state(request, done)
    os.unlink(request.state_path)
    if os.path.exists(request.log_path):
        os.unlink(request.log_path)
