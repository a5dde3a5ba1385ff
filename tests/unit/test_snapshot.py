"""The launcher's modules are imported on the machine that builds it (packaging/launcher/snapshot.cc): while a module is
imported it may look at nothing that belongs to a process or to a machine."""

import ast
from collections.abc import Iterator

import pytest

from tests.unit.source_files import files, tree

OF_A_PROCESS = frozenset(
    [
        "environ",
        "environb",
        "getcwd",
        "getcwdb",
        "getpid",
        "getppid",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getgroups",
        "getlogin",
        "getpgid",
        "getpgrp",
        "getsid",
        "umask",
        "uname",
        "sysconf",
        "cpu_count",
        "getloadavg",
        "get_terminal_size",
        "isatty",
        "urandom",
        "getrandom",
        "getrlimit",
        "auxv",
        "auxv_string",
        "signal_mask_get",
        "open_fds",
        "quick_syscall",
        "wait",
        "open",
        "stat",
        "lstat",
        "readlink",
        "listdir",
        "time_ns",
        "monotonic",
    ]
)

SOURCES = files(".py", under=("runtime", "binfmt"))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            parts: list[ast.AST] = [*child.decorator_list, child.args]
        elif isinstance(child, ast.Lambda):
            continue
        else:
            parts = [child]
        for part in parts:
            yield part
            yield from at_import(part)


def looked_at(module: ast.Module) -> list[tuple[str, int]]:
    """(name, line) of what is called, or is the environment."""
    found = []
    for node in at_import(module):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", ""))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb"):
            name = node.attr
        if name in OF_A_PROCESS:
            found.append((name, getattr(node, "lineno", 0)))
    return found


@pytest.mark.parametrize("path", SOURCES)
def test_importing_looks_at_nothing_of_a_process(path: str) -> None:
    assert looked_at(tree(path)) == []


def test_what_would_be_found() -> None:
    text = "import os\nA = os.getpid()\nclass B:\n    c = os.environ.get('x')\ndef d(e=uname()):\n    os.getuid()\n"
    assert looked_at(ast.parse(text)) == [("getpid", 2), ("environ", 4), ("uname", 5)]
