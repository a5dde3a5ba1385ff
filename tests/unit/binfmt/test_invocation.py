"""How the program was called, from what the kernel passes."""

import os
import subprocess
import sys

import pytest

from binfmt.invocation import COMMAND, KERNEL, QEMU, Invocation, InvocationError, judge
from tests.unit.source_files import TOP

PATH = b"/bin/program"


def test_flags_p_and_o() -> None:
    called = judge([b"/h", PATH, b"zero", b"--help"], flags=1, execfd=7, execfn=b"/script")
    assert (called.how, called.program) == (KERNEL, PATH)
    assert called.argv == (b"zero", b"--help")
    assert (called.preserved, called.execfd, called.execfn) == (True, 7, b"/script")
    assert not called.secure


def test_flag_o_alone_gives_the_path_as_argv0() -> None:
    called = judge([b"/h", PATH, b"one"], execfd=0)
    assert (called.how, called.argv, called.execfd) == (KERNEL, (PATH, b"one"), 0)
    assert not called.preserved


@pytest.mark.parametrize("flags", [1, 3])
def test_flag_p_alone(flags) -> None:
    called = judge([b"/h", PATH, b"", b"-L"], flags=flags)
    assert (called.how, called.argv, called.execfd) == (KERNEL, (b"", b"-L"), None)


def test_flag_t_leaves_the_words_alone() -> None:
    """Not even a name of qemu-user's is ours then."""
    called = judge([b"qemu-arm", b"-L"], flags=2, execfd=0, execfn=PATH, secure=True)
    assert (called.how, called.arch, called.program) == (KERNEL, b"", PATH)
    assert (called.argv, called.execfd, called.secure) == ((b"qemu-arm", b"-L"), 0, True)


def test_other_bits_say_nothing() -> None:
    assert judge([b"/usr/bin/octavo", b"run"], flags=4).how == COMMAND
    assert judge([b"/usr/bin/octavo", b"run"], flags=2).how == COMMAND  # without a program


def test_before_5_12_the_name_says_p() -> None:
    called = judge([b"/x/aarch64-binfmt-P", PATH, b"zero"])
    assert (called.how, called.argv, called.preserved) == (KERNEL, (b"zero",), True)
    assert judge([b"/x/qemu-arm-binfmt-P", PATH, b"zero"]).arch == b"arm"


def test_an_empty_argv_of_an_old_kernel() -> None:
    assert judge([b"/h", PATH], flags=1, execfd=3).argv == (b"",)


def test_no_program_is_an_error() -> None:
    with pytest.raises(InvocationError, match="with 1 arguments, which no kernel does"):
        judge([b"/h"], flags=1)
    with pytest.raises(InvocationError):
        judge([], execfd=3)


@pytest.mark.parametrize(
    ("name", "arch"),
    [
        (b"qemu-aarch64", b"aarch64"),
        (b"/usr/bin/qemu-ppc64le-static", b"ppc64le"),
        (b"./qemu-armhf", b"armhf"),
    ],
)
def test_the_name_of_a_qemu_program(name, arch) -> None:
    called = judge([name, b"-L", b"/x"])
    assert (called.how, called.arch, called.argv) == (QEMU, arch, (b"-L", b"/x"))


def test_as_a_command() -> None:
    called = judge([b"/usr/bin/octavo", b"run", b"x"])
    assert (called.how, called.argv, called.arch) == (COMMAND, (b"run", b"x"), b"")
    assert judge([]).how == COMMAND


def test_it_never_changes() -> None:
    with pytest.raises(AttributeError, match="never changed"):
        Invocation(how=QEMU).how = KERNEL


def test_the_auxiliary_vector_of_this_process() -> None:
    """Missing entries and entries that are 0 are told apart; strings are read."""
    from runtime._core import HOST_PAGE, auxv, auxv_string

    assert auxv(6) == HOST_PAGE  # AT_PAGESZ
    assert auxv(2) is None  # AT_EXECFD
    assert auxv(23) == 0  # AT_SECURE
    assert auxv_string(99) is None
    code = "from runtime._core import auxv_string; print(auxv_string(31))"
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    assert out == f"{os.fsencode(sys.executable)!r}\n"
