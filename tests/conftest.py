"""For all tests: the property tests' profile, loaded before any of them is defined, and the guest tests' report.

The latter is here because parallel runs read only the first conftest before they start their workers.
"""

from tests import effort  # noqa: F401
from tests.guest.report import pytest_addoption, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_terminal_summary"]
