"""Octavo's runtime: from a foreign ELF file to its last system call. run.py is the table of contents."""
