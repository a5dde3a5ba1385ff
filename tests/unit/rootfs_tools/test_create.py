"""Steps of `rootfs create`: order, continuation, errors. The commands themselves are a shell's here."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from rootfs_tools import create
from rootfs_tools.debootstrap import Runner, StepFailed, octavo_run, parse_line, reason
from rootfs_tools.progress import Progress
from runtime.command_error import CommandError


class Step:
    def __init__(self, name: str, log: list[str], *, fails: bool = False) -> None:
        self.name = name
        self.log = log
        self.fails = fails

    def describe(self) -> str:
        return f"do {self.name}"

    def execute(self, progress: Progress) -> None:
        self.log.append(self.name)
        if self.fails:
            raise StepFailed("no network")


def request_for(root: Path, **more: object) -> create.Request:
    facts = {"suite": "bookworm", "arch": "arm64", "include": [], "mirror": None} | more
    return create.Request(root=str(root), **facts)  # type: ignore[arg-type]


def quiet() -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(Console(file=text, width=200)), text


def test_a_failed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    request = request_for(tmp_path / "r")
    log: list[str] = []
    steps = [Step("one", log), Step("two", log, fails=True), Step("three", log)]
    with pytest.raises(CommandError, match=r"two: no network; log: .*r\.log; the same command"):
        create.create(request, steps, quiet()[0])
    assert log == ["one", "two"]
    steps[1].fails = False
    progress, text = quiet()
    create.create(request, steps, progress)
    assert log == ["one", "two", "two", "three"]
    assert "[1/3] do one: done before" in text.getvalue()
    assert not os.path.exists(request.state_path)


def test_another_request_does_not_continue_it(tmp_path: Path) -> None:
    create.write_state(request_for(tmp_path / "r"), ["unpack"])
    assert create.finished_steps(request_for(tmp_path / "r")) == ["unpack"]
    assert create.finished_steps(request_for(tmp_path / "r", mirror="http://m.example")) == [
        "unpack"
    ]
    with pytest.raises(CommandError, match="an unfinished bookworm arm64 root"):
        create.finished_steps(request_for(tmp_path / "r", arch="armhf"))


@pytest.mark.parametrize("state", ["", "{}", "[1]", '{"request": {}}'])
def test_a_strange_state_file_is_said(tmp_path: Path, state: str) -> None:
    request = request_for(tmp_path / "r")
    Path(request.state_path).write_text(state)
    with pytest.raises(CommandError, match="not a state file of ours"):
        create.finished_steps(request)


def test_directories_that_are_in_use(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="not empty"):
        create.finished_steps(request_for(tmp_path / "full"))
    with pytest.raises(CommandError, match="not a directory"):
        create.finished_steps(request_for(tmp_path / "full" / "x"))
    assert create.finished_steps(request_for(tmp_path / "empty")) == []


@pytest.mark.parametrize("text", ["bookworm", "debian:", "ubuntu:noble", "debian:../x", ":"])
def test_sources_that_are_none(text: str) -> None:
    with pytest.raises(CommandError):
        create.parse_source(text)


def test_architectures_go_by_any_name() -> None:
    assert create.parse_arch("arm64") == create.parse_arch("aarch64") == "arm64"
    with pytest.raises(CommandError, match="unknown architecture 'vax'; there are arm64"):
        create.parse_arch("vax")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("I: Retrieving libc6 2.36-9", ("Retrieving", "libc6")),
        ("I: Extracting zlib1g...", ("Extracting", "zlib1g")),
        ("I: Unpacking libc6:arm64...", ("Unpacking", "libc6")),
        ("I: Unpacking the base system...", None),
        ("I: Retrieving InRelease ", None),
        ("I: Base system installed successfully.", None),
        ("Setting up libc6", None),
    ],
)
def test_lines_of_debootstrap(line: str, wanted: tuple[str, str] | None) -> None:
    assert parse_line(line) == wanted


def test_the_reason_is_debootstraps_own() -> None:
    assert (
        reason(["I: x", "E: Couldn't download packages: a", "gone"], 1)
        == "Couldn't download packages: a"
    )
    assert reason(["oops", ""], 3) == "ended with status 3: oops"
    assert reason([], -9) == "was killed by signal 9"


def test_runner_logs_everything_and_fails_with_a_reason(tmp_path: Path) -> None:
    runner = Runner(str(tmp_path / "log"))
    progress, text = quiet()
    script = "echo 'I: Retrieving a 1'; echo 'W: careful' >&2; echo 'E: bad'; exit 1"
    with pytest.raises(StepFailed, match=r"^bad$"):
        runner.run(["/bin/sh", "-c", script], progress, {})
    log = (tmp_path / "log").read_text()
    assert "I: Retrieving a 1\n" in log
    assert "E: bad\n" in log
    assert "W: careful" in text.getvalue()
    with pytest.raises(StepFailed, match=r"/nowhere/x: No such file"):
        runner.run(["/nowhere/x"], progress, {})


def test_proc_is_a_directory_of_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """debootstrap links it to the host's in a docker container."""
    root = tmp_path / "r"

    class Fake(Runner):
        def run(self, command: list[str], progress: Progress, environment: dict[str, str]) -> None:
            os.symlink("/proc", root / "proc")

    create.Unpack(request_for(root), Fake("")).execute(quiet()[0])
    assert (root / "proc").is_dir()
    assert not (root / "proc").is_symlink()


def test_octavo_is_found_without_a_command_in_the_path() -> None:
    import subprocess

    command = octavo_run("/r", ["x"])
    assert command[-5:] == ["run", "--root", "/r", "--", "x"]
    result = subprocess.run([*command[:5], "--help"], capture_output=True, text=True, check=False)
    assert result.stdout.startswith("usage: octavo run"), result.stderr
