<<<<<<< HEAD
"""Every test that asks for `guest` runs on every architecture."""

import os
=======
"""A guest of each architecture, without a program."""
>>>>>>> 9e3736f (Tests of the network, time, futex and IPC calls; IPC layouts and RLIM_INFINITY of mips and ppc64le)

import pytest

from runtime.arch import ARCHITECTURES
from tests.unit.syscalls.bare_guest import Guest


@pytest.fixture(params=ARCHITECTURES)
<<<<<<< HEAD
def guest(request, tmp_path):
    """A guest whose working directory is a fresh one."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield Guest(request.param)
    os.chdir(before)
=======
def guest(request):
    return Guest(request.param)


@pytest.fixture(params=["aarch64", "mips"])
def any_order(request):
    """One little-endian 64-bit guest, one big-endian 32-bit one."""
    return Guest(request.param)
>>>>>>> 9e3736f (Tests of the network, time, futex and IPC calls; IPC layouts and RLIM_INFINITY of mips and ppc64le)
