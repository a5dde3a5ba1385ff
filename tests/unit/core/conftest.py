"""A machine for each architecture."""

import pytest

from tests.unit.core.machine import FACTS, Machine


@pytest.fixture(params=list(FACTS))
def machine(request):
    return Machine(request.param)


@pytest.fixture
def arm64():
    return Machine("aarch64")
