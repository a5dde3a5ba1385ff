"""The root that the configuration names for programs of a target, where the command line names none.

Which target it is, only the program can tell; so it is looked at as the host has it, before there is any view. Scripts
and programs of the host's own kind have no root of their own.
"""

import os

from runtime.abi.linux import AT_FDCWD
from runtime.image import identify, open_program
from runtime.rootfs import RootError, View, check_root, find_program, without_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.config import Configuration

ENOENT = 2


class Places:
    """Where a program and its files are. `root`: the root directory, or None; `prefixes`: of a sysroot; `program`: the
    program's name in the view that these make."""

    __slots__ = ("prefixes", "program", "root")

    def __init__(
        self, program: bytes, root: bytes | None = None, prefixes: tuple[bytes, ...] = ()
    ) -> None:
        self.program = program
        self.root = root
        self.prefixes = prefixes


def configured(
    configuration: "Configuration",
    program: bytes,
    environment: "Sequence[bytes]",
    fd: int | None = None,
) -> Places:
    """The places of a program as a user names it; `fd`: it is open already. RootError, ImageError."""
    path = program
    opened = fd
    if opened is None:
        path = find_program(View(), program, environment)
        opened = open_program(AT_FDCWD, path, path)
    try:
        found = identify(opened, path)
    finally:
        if fd is None:
            os.close(opened)
    if not found.arch or found.native:
        return Places(program)
    target = configuration.target(found.arch)
    if target.root is None:
        return Places(program)
    try:
        real = check_root(target.root)
    except RootError as error:
        raise RootError(error.errno, f"{target.origin('root')}: {error}") from None
    if target.view == "sysroot":
        return Places(program, prefixes=(real,))
    whole = os.path.realpath(path)
    inside = without_prefix((real,), whole)
    if inside == whole and real != b"/":
        where = target.origin("view" if "view" in target.origins else "root")
        raise RootError(ENOENT, f"{where}: {os.fsdecode(path)} is not in {os.fsdecode(real)}")
    return Places(inside, root=real)
