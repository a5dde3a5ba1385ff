"""What is said when there is no namespace to be had, or no registry in it. The rest is in tests/system."""

import errno
import os

import pytest

from binfmt import namespace
from binfmt.kernel import BinfmtError
from runtime import container

NO_REGISTRY = "this kernel gives user namespaces no registry of their own (Linux 6.7 does)"
SYSCTLS = "; see sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone"


def refuse(monkeypatch, name: str, code: int) -> None:
    """The system call answers so; others do nothing."""

    def call(called: str, *arguments: int | bytes) -> int:
        if called == name and (name != "mount" or b"binfmt_misc" in arguments):
            raise OSError(code, os.strerror(code))
        return 0

    monkeypatch.setattr(namespace, "call", call)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (
            errno.EPERM,
            f"{NO_REGISTRY}: Operation not permitted",
        ),
        (
            errno.EINVAL,
            f"{NO_REGISTRY}: Invalid argument",
        ),
        (errno.ENODEV, "the kernel has no binfmt_misc (modprobe binfmt_misc)"),
        (errno.ENOENT, "/proc/sys/fs/binfmt_misc: no such directory; is /proc mounted?"),
        (errno.ENOSPC, "cannot mount binfmt_misc: No space left on device"),
    ],
)
def test_no_registry(monkeypatch, code, line) -> None:
    refuse(monkeypatch, "mount", code)
    with pytest.raises(BinfmtError) as caught:
        namespace._mount()
    assert str(caught.value) == line


def test_no_namespace_for_an_ordinary_user(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    class Refused:
        def __init__(self, user: bool) -> None:
            assert user

        def execute(self) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(container, "Namespaces", Refused)
    with pytest.raises(BinfmtError) as caught:
        namespace.run(["true"], lambda: None, False)
    assert str(caught.value) == "no user namespace: Operation not permitted" + SYSCTLS


def test_no_namespace_for_root(monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refuse(monkeypatch, "unshare", errno.ENOSPC)
    with pytest.raises(BinfmtError) as caught:
        namespace.run(["true"], lambda: None, False)
    assert str(caught.value) == "no user namespace: No space left on device" + SYSCTLS
