"""Loads the property tests' profile before any of them is defined."""

from tests import effort  # noqa: F401
