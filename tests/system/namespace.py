"""Python code in a user namespace with a registry of its own (Linux 6.7), as root or as an ordinary user.

The machine's registrations are neither used nor changed. A test gives a function; it runs in a child, and what it
returns or raises comes back.
"""

import ctypes
import encodings.ascii  # noqa: F401  what an ordinary user needs of Python has to be there before
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

import pytest

from binfmt import namespace
from runtime import arch

MISC = "/proc/sys/fs/binfmt_misc"
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
NOBODY = 65534

Result = TypeVar("Result")
arch.load_all()
_libc = ctypes.CDLL(None, use_errno=True)

USERS = ["root", "nobody"] if os.geteuid() == 0 else ["nobody"]


class NoRegistry(Exception):
    """This kernel, or this container, gives none."""


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise NoRegistry(f"{what}: {os.strerror(code)}")


def mount(
    source: bytes, target: str, kind: bytes, flags: int = 0, data: bytes | None = None
) -> None:
    """mount(2). NoRegistry."""
    arguments = (source, target.encode(), kind, ctypes.c_ulong(flags), data)
    _check(_libc.mount(*arguments), f"mount {target}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def become_nobody() -> None:
    """For good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    _libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: its files in /proc are its own again


def with_all_ids(function: Callable[[], Result]) -> Result:
    """inside(), where every id is what it was. Takes root."""

    def run() -> Result:
        namespace._enter_as_root()
        namespace._mount()
        return function()

    return child(run)


def enter(user: str, with_mount: bool = True) -> None:
    """This process moves into a user and a mount namespace, as its root."""
    if user == "nobody" and os.geteuid() == 0:
        become_nobody()
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (
        ("setgroups", b"deny"),
        ("uid_map", b"0 %d 1" % uid),
        ("gid_map", b"0 %d 1" % gid),
    ):
        with open(
            f"/proc/self/{name}", "wb"
        ) as file:  # no codec: Python's files may be out of reach
            file.write(text)
    mount(b"none", "/", b"", MS_REC | MS_PRIVATE)
    if with_mount:
        mount(b"none", MISC, b"binfmt_misc")


def child(function: Callable[[], Result], timeout: int = 60) -> Result:
    """What the function returns, or raises, in a child process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _libc.alarm(timeout)
        answer: tuple[str, object]
        try:
            answer = ("result", function())
        except NoRegistry as error:
            answer = ("skip", str(error))
        except BaseException:  # noqa: BLE001  it comes up again in the parent
            answer = ("failed", traceback.format_exc())
        with open(write, "wb") as file:
            pickle.dump(answer, file)
        sys.stdout.flush()
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    assert data, "the child was killed"
    how, value = pickle.loads(data)
    if how == "skip":
        pytest.skip(f"no registry in a user namespace: {value}")
    assert how == "result", value
    result: Result = value
    return result


def inside(user: str, function: Callable[[], Result]) -> Result:
    """child(), after enter()."""

    def run() -> Result:
        enter(user)
        return function()

    return child(run)
