"""EXEC: what the kernel starts, and how it is told to."""
