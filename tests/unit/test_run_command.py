"""`octavo run`'s command line: what it accepts, what it says about what it does not."""

import os
import subprocess
import sys

import pytest

from runtime import run_command
from runtime.run_command import Options, ProcessorsWanted, UsageError, parse, parse_page_size

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def options(*words: str, env: tuple[bytes, ...] = ()) -> Options:
    return parse([word.encode() for word in words], list(env))


def test_program_and_its_arguments() -> None:
    found = options("--root", "/srv/r", "/bin/ls", "-l", "--root", "--", "x")
    assert found.root == b"/srv/r"
    assert found.program == b"/bin/ls"
    assert found.arguments == (b"-l", b"--root", b"--", b"x")
    assert found.argv == [b"/bin/ls", b"-l", b"--root", b"--", b"x"]


def test_two_dashes_end_the_options() -> None:
    found = options("-L", "/a:/b:", "--", "-odd-name", "arg")
    assert found.prefixes == (b"/a", b"/b")
    assert found.program == b"-odd-name"


@pytest.mark.parametrize("dashes", ["-", "--"])
@pytest.mark.parametrize("form", ["{d}page-size=16k", "{d}page-size 16k"])
def test_long_names_with_one_or_two_dashes(dashes: str, form: str) -> None:
    assert options(*form.format(d=dashes).split(), "/bin/true").page_size == 16384


def test_the_processor() -> None:
    assert options("/bin/true").cpu is None
    assert options("--cpu", "cortex-a53", "/bin/true").cpu == ("cortex-a53", "--cpu")
    for word in ("help", "?"):
        with pytest.raises(ProcessorsWanted):
            options("--cpu", word)


def test_argv0_may_be_empty_and_arguments_may_be_any_bytes() -> None:
    found = parse([b"-0", b"", b"/bin/\xff", b"", b"\x80="], [])
    assert found.argv == [b"", b"", b"\x80="]
    assert found.program == b"/bin/\xff"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [(["--strace"], (True, None)), (["-strace=out"], (True, b"out")), ([], (False, None))],
)
def test_strace_takes_a_file_only_after_an_equals_sign(
    words: list[str], wanted: tuple[bool, bytes | None]
) -> None:
    found = options(*words, "/bin/true")
    assert (found.strace, found.strace_file) == wanted
    assert found.program == b"/bin/true"


@pytest.mark.parametrize(
    "words", [["-g", "1234"], ["--gdb", "1234"], ["-gdb=1234"], ["--gdb=1234"]]
)
def test_a_debugger_s_port(words: list[str]) -> None:
    assert options(*words, "program").gdb == b"1234"


def test_fast_calls_can_be_switched_off() -> None:
    assert options("/bin/true").fast_calls is True
    assert options("--no-fast-calls", "/bin/true").fast_calls is False


def test_environment_keeps_order_and_odd_words() -> None:
    before = (b"A=1", b"no-equals", b"B=2", b"A=3", b"C=x=y")
    found = options("-E", "A=new", "-U", "B", "-E", "D=a,b=c", "/p", env=before)
    assert found.environment == (b"A=new", b"no-equals", b"C=x=y", b"D=a,b=c")


def test_qemu_variables_are_read_first() -> None:
    env = (
        b"QEMU_LD_PREFIX=/one:/two",
        b"QEMU_SET_ENV=A=1,B=2",
        b"QEMU_UNSET_ENV=OLD",
        b"QEMU_ARGV0=name",
        b"QEMU_STRACE=",
        b"OLD=x",
    )
    found = options("-E", "B=3", "/p", env=env)
    assert found.prefixes == (b"/one", b"/two")
    assert found.environment[-2:] == (b"A=1", b"B=3")
    assert b"OLD=x" not in found.environment
    assert found.argv == [b"name"]
    assert found.strace
    assert options("-L", "/three", "/p", env=env).prefixes == (b"/three",)
    assert options("--root", "/r", "/p", env=env).prefixes == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("4k", 4096), ("16K", 16384), ("64KiB", 65536), ("1m", 1 << 20)],
)
def test_page_sizes(text: str, size: int) -> None:
    assert parse_page_size(text) == size


@pytest.mark.parametrize("word", ["auto", "host", "AUTO"])
def test_page_size_words(word: str) -> None:
    assert parse_page_size(word) == word.lower()


BAD_SIZES = ["", "0", "k", "-4k", "3k", "4096.0", "12288", "1g", "٤k", "9" * 40]


@pytest.mark.parametrize("text", BAD_SIZES)
def test_page_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="power of two"):
        parse_page_size(text)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no program given"),
        (["--"], "no program given"),
        ([""], "name is empty"),
        (["--frob", "x"], "unknown option '--frob'"),
        (["---root", "/", "x"], "unknown option '---root'"),
        (["-L=/x", "x"], "unknown option '-L=/x'"),
        (["--root"], "'--root' needs a value"),
        (["--cpu"], "'--cpu' needs a value"),
        (["--root=", "x"], "--root needs a directory"),
        (["--root", "/a", "-L", "/b", "x"], "exclude each other"),
        (["-E", "novalue", "x"], "-E needs NAME=VALUE"),
        (["-E", "=v", "x"], "-E needs NAME=VALUE"),
        (["-U", "A=1", "x"], "-U needs the name"),
        (["--strace=", "x"], "needs a file name"),
        (["--no-fast-calls=1", "x"], "takes no value"),
        (["--page-size", "5k", "x"], "page size '5k'"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(*words)
    assert says in caught.value.args[0]
    assert "\n" not in caught.value.args[0]


def test_initial_environment_is_the_kernels() -> None:
    """Neither LC_CTYPE of PEP 538 nor a lost duplicate."""
    code = "from runtime.run_command import initial_environment as e; print(e())"
    program = [sys.executable, "-IS", "-c", f"import sys; sys.path.append({TOP!r}); {code}"]
    out = subprocess.run(program, env={"B": "2", "A": "1"}, capture_output=True, check=True)
    assert out.stdout == b"[b'B=2', b'A=1']\n"
    empty = subprocess.run(program, env={}, capture_output=True, check=True)
    assert empty.stdout == b"[]\n"


def test_main_reports_and_exits_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command.main(["--frob"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("octavo run: unknown option '--frob'")
    assert captured.err.count("\n") == 1


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in run_command._NAMES:
        dashes = "-" if len(name) == 1 else "--"
        assert dashes + name.decode() in text
