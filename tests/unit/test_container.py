"""The container view's steps where a real kernel of the right kind is seldom at hand."""

import errno
import os

import pytest

from runtime import container
from runtime.abi.linux import MS_MOVE


@pytest.fixture
def calls(monkeypatch):
    """The system calls that a step makes; pivot_root fails with calls.error, if that is set."""

    class Calls(list[tuple[object, ...]]):
        error = 0

    made = Calls()

    def call(name: str, *arguments: object) -> int:
        made.append((name, *arguments))
        if name == "pivot_root" and made.error:
            raise OSError(made.error, os.strerror(made.error))
        return 0

    monkeypatch.setattr(container, "call", call)
    monkeypatch.setattr(os, "chdir", lambda path: made.append(("chdir", path)))
    return made


def test_pivot(calls) -> None:
    container.Pivot(b"/root").execute()
    assert [call[0] for call in calls] == ["chdir", "pivot_root", "umount2", "chdir"]
    assert calls[-1] == ("chdir", b"/")


def test_out_of_an_initramfs_the_root_is_moved_over_it(calls) -> None:
    calls.error = errno.EINVAL
    container.Pivot(b"/root").execute()
    assert calls[2:] == [
        ("mount", b".", b"/", b"", MS_MOVE, b""),
        ("chroot", b"."),
        ("chdir", b"/"),
    ]


def test_another_error_stays_one(calls) -> None:
    calls.error = errno.EPERM
    with pytest.raises(PermissionError):
        container.Pivot(b"/root").execute()
