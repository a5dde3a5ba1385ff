"""#! lines, compared with the kernel that runs the tests."""

import errno
import os
import subprocess

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from runtime.image import ImageError
from runtime.loader import script
from tests.effort import tries

ECHO = b"/bin/echo"

LINES = [
    b"#!/bin/echo",
    b"#!/bin/echo\n",
    b"#! /bin/echo\n",
    b"#!\t /bin/echo \t\n",
    b"#!/bin/echo one two\n",
    b"#!/bin/echo  one two \t \nmore\n",
    b"#!/bin/echo\tone\n",
    b"#!/bin/echo one\r\n",
    b"#!/bin/echo \n",
    b"#!/bin/echo one\0two\n",
    b"#!/bin/echo\0one\n",
    b"#!/bin/echo " + b"x" * 243 + b"\n",
    b"#!/bin/echo " + b"x" * 244 + b"\n",
    b"#!/bin/echo " + b"x" * 300 + b"\n",
    b"#!/bin/echo " + b"x" * 100 + b" " * 300 + b"y\n",
    b"#!/bin/echo" + b" " * 300 + b"\n",
    b"#!/bin/" + b"./" * 118 + b"echo\n",
    b"#!/bin/" + b"./" * 120 + b"echo one\n",
    b"#!/bin/" + b"./" * 121 + b"echo\n",
    b"#!/bin/" + b"./" * 122 + b"echo\n",
    b"#!/bin/" + b"./" * 130 + b"echo\n",
    b"#!",
    b"#!\n",
    b"#!   \n",
    b"#! \t",
    b"#!" + b" " * 254,
    b"#!" + b" " * 300 + b"/bin/echo\n",
    b"#!/absent\n",
    b"#!\0\n",
]


def by_the_kernel(path) -> tuple[int, bytes]:
    """(errno, output) of executing the file."""
    try:
        done = subprocess.run([path, "A", "B"], stdout=subprocess.PIPE, check=True)
    except OSError as error:
        return error.errno or 0, b""
    return 0, done.stdout


def by_us(content: bytes, name: bytes) -> tuple[int, bytes]:
    try:
        command, argument = script.parse(content[:1024], name)
    except ImageError as error:
        return error.errno, b""
    if not os.path.exists(command):
        return errno.ENOENT, b""
    assert os.path.samefile(command, ECHO)
    return 0, b" ".join(script.rewrite([b"zero", b"A", b"B"], command, argument, name)[1:]) + b"\n"


def compare(tmp_path, content: bytes) -> None:
    path = tmp_path / "script"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    assert by_us(content, os.fsencode(path)) == by_the_kernel(path)


@pytest.mark.parametrize("content", LINES, ids=lambda content: repr(content[:30]))
def test_as_the_kernel(tmp_path, content):
    compare(tmp_path, content)


@tries(100, HealthCheck.function_scoped_fixture)
@given(
    st.lists(
        st.sampled_from([b"/bin/echo", b" ", b"\t", b"\n", b"\0", b"x", b" " * 120, b"y" * 110])
    )
)
def test_any_line_as_the_kernel(tmp_path, parts):
    content = b"#!" + b"".join(parts)
    interpreter = (
        content[2:].strip(b" \t").split(b"\n")[0].split(b"\0")[0].split(b" ")[0].split(b"\t")[0]
    )
    if interpreter in (b"", ECHO):  # others: names that may exist in the directory of the test
        compare(tmp_path, content)


def test_rewrite():
    assert script.rewrite([b"old", b"x"], b"/i", None, b"./s") == [b"/i", b"./s", b"x"]
    assert script.rewrite([b""], b"/i", b"-a", b"./s") == [b"/i", b"-a", b"./s"]
