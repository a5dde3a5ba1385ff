"""What the launcher's Python code can't know by itself: a built-in module of start.cc."""

argv: list[bytes]
environ: list[bytes]
"""Exactly as the kernel passed it."""
bundle: memoryview
"""A bundle (runtime/bundle.py), in the executable's read-only segment."""
settings: memoryview
"""What was written into this copy of the executable (binfmt/settings.py); empty in one as it was built."""
