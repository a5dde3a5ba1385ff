"""The command line of qemu-user: what is understood, and every message."""

import os
import subprocess
import sys

import pytest

from binfmt import qemu
from runtime.run_command import Options, UsageError
from runtime.version import VERSION
from tests.unit.source_files import TOP

NOTHING = "/nowhere/program"
MISSING = f"octavo: {NOTHING}: no such file\n"


def front(*words: str, name: str = "qemu-aarch64", **variables: str):
    """Started under a name, as by a symbolic link: (status, stdout, stderr)."""
    code = (
        f"import os, sys; sys.path.insert(0, {TOP!r}); from binfmt.front import main; "
        "sys.exit(main([os.fsencode(word) for word in sys.argv[1:]]))"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables}
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code, name, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def parsed(*words: str, **variables: str) -> tuple[Options, list[bytes], qemu.Front, list[bytes]]:
    environment = [f"{name}={value}".encode() for name, value in variables.items()]
    guest = list(environment)
    result = qemu.Front(Options(), guest, b"aarch64")
    qemu._read_environment(result, environment)
    rest = qemu._read_words(result, tuple(os.fsencode(word) for word in words))
    return result.options, guest, result, list(rest)


def test_options_that_mean_the_same() -> None:
    options, guest, result, rest = parsed(
        "-L", "/a:/b", "-E", "A=1,B=2", "--U", "C", "-0", "zero", "-r", "5.4", "-s", "1M",
        "-strace", "-D", "/tmp/log", "-p", "16384", "-g", "1234", "--", "-program", "-L",
        C="x",
    )  # fmt: skip
    assert options.prefixes == (b"/a", b"/b")
    assert guest == [b"A=1", b"B=2"]
    assert (options.argv0, options.uname_release, options.stack) == (b"zero", b"5.4", 1 << 20)
    assert (options.strace, options.strace_file) == (True, b"/tmp/log")
    assert options.gdb == b"1234"
    assert rest == [b"-program", b"-L"]
    assert result.ignored == []


def test_the_first_word_that_is_no_option_ends_them() -> None:
    options, _, _, rest = parsed("program", "-strace", "--help")
    assert (options.strace, rest) == (False, [b"program", b"-strace", b"--help"])


def test_variables_come_first() -> None:
    options, guest, result, _ = parsed(
        "-L", "/b", "x",
        QEMU_LD_PREFIX="/a", QEMU_SET_ENV="A=1,B=2", QEMU_UNSET_ENV="GONE", QEMU_STRACE="",
        QEMU_UNAME="6.0", QEMU_STACK_SIZE="0x10000", QEMU_GUEST_BASE="0", QEMU_GDB="/s", GONE="1",
    )  # fmt: skip
    assert options.prefixes == (b"/b",)
    assert (options.strace, options.uname_release, options.stack) == (True, b"6.0", 65536)
    assert options.gdb == b"/s"
    assert b"A=1" in guest and b"B=2" in guest and b"GONE=1" not in guest
    assert result.ignored == ["-B"]


def test_what_has_no_meaning_is_remembered() -> None:
    _, _, result, rest = parsed(
        "-B", "0x1", "-R", "1G", "-t", "1 2 3", "-tb-size", "64", "-one-insn-per-tb", "-d",
        "strace,in_asm,trace:x", "-dfilter", "0..1", "-cpu", "cortex-a53,sve=off", "-trace", "x",
        "-plugin", "x.so", "-perfmap", "-jitdump", "program",
    )  # fmt: skip
    assert result.options.strace
    assert rest == [b"program"]
    assert result.ignored == [
        "-B", "-R", "-t", "-tb-size", "-one-insn-per-tb", "-d in_asm", "-d trace:x", "-dfilter",
        "-cpu sve=off", "-trace", "-plugin", "-perfmap", "-jitdump",
    ]  # fmt: skip


def test_the_page_size_of_the_host_cannot_be_changed() -> None:
    """As QEMU since 9.0."""
    page = os.sysconf("SC_PAGESIZE")
    status, out, err = front("-p", str(4 * page), NOTHING)
    assert (status, out) == (127, "")
    assert err == (
        f"qemu-aarch64: -p (QEMU_PAGESIZE) cannot change the host's page size ({page}) and is ignored; "
        f"--page-size and the configuration choose the program's\n{MISSING}"
    )
    assert front("-p", str(page), NOTHING) == (127, "", MISSING)


def test_the_page_size_of_the_program() -> None:
    assert parsed("x", OCTAVO_PAGE_SIZE="16k")[0].page_size == 16384
    status, out, err = front(NOTHING, OCTAVO_PAGE_SIZE="5k")
    assert (status, out) == (1, "")
    assert err.startswith("qemu-aarch64: page size '5k': give auto, host")


def test_the_processor() -> None:
    """The command line after the variable; what every model may be called means nothing."""
    assert parsed("x")[0].cpu is None
    assert parsed("x", QEMU_CPU="cortex-a53")[0].cpu == ("cortex-a53", "-cpu (QEMU_CPU)")
    found = parsed("-cpu", "max", "x", QEMU_CPU="cortex-a53")
    assert (found[0].cpu, found[2].ignored) == (("max", "-cpu (QEMU_CPU)"), [])
    for word in ("any", ""):
        assert parsed("-cpu", word, "x")[0].cpu is None


def test_a_seed_gives_the_same_bytes() -> None:
    first, second, other = (parsed("-seed", seed)[0].random for seed in ("7", "0x7", "8"))
    assert first == second != other
    assert first is not None and len(first) == 16


def test_the_log_file_has_the_process() -> None:
    assert parsed("-D", "/tmp/log.%d")[0].strace_file == b"/tmp/log.%d" % os.getpid()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-frob", "x"), "unknown option 'frob'"),
        (("--frob",), "unknown option 'frob'"),
        (("-L",), "missing argument for option 'L'"),
        (("-s", "1x", "x"), "-s 1x: not a number of bytes such as 8388608, 8192k or 8M"),
        (("-s", "0", "x"), "-s 0: not a number of bytes such as 8388608, 8192k or 8M"),
        (("-seed", "x", "x"), "-seed x: not a number"),
        (("-E", "A", "x"), "-E needs NAME=VALUE, not 'A'"),
        (("-U", "A=B", "x"), "-U needs the name of a variable, not 'A=B'"),
    ],
)
def test_wrong_command_lines(words, line) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert caught.value.args == (line,)


def test_a_wrong_command_line_is_one_line_and_status_1() -> None:
    for words, line in (
        (("-frob",), "unknown option 'frob'"),
        ((), "no user program specified"),
        (("-strace",), "no user program specified"),
        (("",), "no user program specified"),
    ):
        status, out, err = front(*words)
        assert (status, out) == (1, "")
        assert err == f"qemu-aarch64: {line}; qemu-aarch64 -help lists the options\n"


def test_what_is_ignored_is_said_once() -> None:
    status, out, err = front("-B", "1", "-R", "2", "-B", "3", NOTHING)
    assert (status, out) == (127, "")
    assert err == "qemu-aarch64: no meaning here, ignored: -B, -R\n" + MISSING


def test_an_architecture_that_is_not_there() -> None:
    status, out, err = front("-help", name="/usr/bin/qemu-s390x-static")
    assert (status, out) == (1, "")
    assert err == (
        "qemu-s390x-static: no such architecture here; "
        "there are aarch64, arm, riscv64, ppc64le, mips, x86_64\n"
    )


def test_debians_names_are_known() -> None:
    assert front(NOTHING, name="qemu-armhf") == (127, "", MISSING)


@pytest.mark.parametrize(("words", "variables"), [(("-version",), {}), ((), {"QEMU_VERSION": ""})])
def test_version(words, variables) -> None:
    assert front(*words, **variables) == (0, f"qemu-aarch64: octavo version {VERSION}\n", "")


def test_help_has_every_option() -> None:
    status, out, err = front("--help")
    assert (status, err) == (0, "")
    for option in qemu.OPTIONS:
        assert f"\n-{option.name}" in out
        assert option.env in out


def test_lists() -> None:
    models = "Available CPUs:\n  max\n  cortex-a53\n  cortex-a57\n  cortex-a72\n"
    assert front("-cpu", "help") == (1, models, "")  # QEMU fails too
    assert front("-cpu", "?", name="qemu-mips") == (1, "Available CPUs:\n  24Kf\n  max\n", "")
    listing = "Log items (comma separated):\nstrace          log every system call\n"
    assert front("-d", "help") == (1, listing, "")


def test_a_program_for_another_architecture() -> None:
    status, out, err = front("-E", "A=B", "/bin/sh", name="qemu-arm")
    assert (status, out) == (126, "")
    assert err.startswith("octavo: /bin/sh: a program for ")
    assert err.endswith(", not for arm\n")


@pytest.mark.parametrize("option", qemu.OPTIONS, ids=lambda option: option.name)
def test_help_says_what_each_option_does(option) -> None:
    """One that does nothing says so, and the other way round."""
    assert (option.do is None) == (option.text == "no meaning here")
