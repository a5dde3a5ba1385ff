"""`#!` scripts: one step from a script to its interpreter, as fs/binfmt_script.c (load_script) does it.

The kernel looks at the first 256 bytes only, pads them with NULs, and treats them as C strings. A line that is longer
counts when the interpreter's path is seen to end inside; the rest of the argument is then cut off silently. The loop
over scripts that name scripts, and its limit, is in loader/__init__.py.
"""

import errno

from runtime.image import ImageError

BUFFER = 256  # BINPRM_BUF_SIZE
REWRITES = 5  # exec_binprm: more than this many interpreters in a row are ELOOP

_BLANK = b" \t"
_END = b" \t\0"


def parse(head: bytes, path: bytes) -> tuple[bytes, bytes | None]:
    """(interpreter, its one argument or None) of a file that starts with #!. ImageError(ENOEXEC, EACCES).

    `head`: at least the first 256 bytes of the file, or all of it.
    """
    buffer = head[:BUFFER].ljust(BUFFER, b"\0")
    last = BUFFER - 1  # index of the last byte looked at when there is no newline
    end = buffer.find(b"\n")
    if end < 0:
        start = _skip_blanks(buffer, 2, last)
        if start is None:
            raise ImageError(errno.ENOEXEC, path, "the #! line names no interpreter")
        if _find_end(buffer, start, last) is None:
            raise ImageError(
                errno.ENOEXEC,
                path,
                f"the interpreter's path in the #! line is longer than {BUFFER} bytes",
            )
        end = last
    while buffer[end - 1] in _BLANK:
        end -= 1
    start = _skip_blanks(buffer, 2, end)
    if start is None or start == end:
        raise ImageError(errno.ENOEXEC, path, "the #! line names no interpreter")
    if not buffer[start]:  # open_exec("") finds the working directory
        raise ImageError(errno.EACCES, path, "the #! line names no interpreter")
    separator = _find_end(buffer, start, end)
    argument = None
    if separator is not None and buffer[separator] and separator < end:
        begin = _skip_blanks(buffer, separator, end)
        if begin is not None:
            argument = _string(buffer, begin, end)
    if separator is not None:
        end = min(end, separator)
    return _string(buffer, start, end), argument


def rewrite(
    argv: list[bytes], interpreter: bytes, argument: bytes | None, name: bytes
) -> list[bytes]:
    """The interpreter's argv: itself, its argument, the script's name, and what followed argv[0]."""
    return [interpreter, *([] if argument is None else [argument]), name, *argv[1:]]


def _skip_blanks(buffer: bytes, first: int, last: int) -> int | None:
    """Index of the first byte in [first, last] that is neither space nor tab."""
    for index in range(first, last + 1):
        if buffer[index] not in _BLANK:
            return index
    return None


def _find_end(buffer: bytes, first: int, last: int) -> int | None:
    """Index of the first space, tab or NUL in [first, last]."""
    for index in range(first, last + 1):
        if buffer[index] in _END:
            return index
    return None


def _string(buffer: bytes, start: int, end: int) -> bytes:
    """The C string at `start`, ended by `end` (where the kernel stores a NUL)."""
    return buffer[start:end].partition(b"\0")[0]
