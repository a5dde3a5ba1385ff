"""Every test that asks for `guest` runs on every architecture."""

import os

import pytest

from runtime.arch import ARCHITECTURES
from tests.unit.syscalls.bare_guest import BareGuest
from tests.unit.syscalls.guest import Guest


@pytest.fixture(params=ARCHITECTURES)
def guest(request, tmp_path):
    """A guest whose working directory is a fresh one."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield Guest(request.param)
    os.chdir(before)


@pytest.fixture(params=ARCHITECTURES)
def bare(request):
    """A guest with nothing but memory: for calls that are not about files."""
    return BareGuest(request.param)
