"""The version. A constant, because asking an installed package's metadata costs more than a start; a test holds it
equal to pyproject.toml."""

VERSION = "0.1.0"
