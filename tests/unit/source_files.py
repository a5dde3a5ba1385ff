"""The project's own source files, parsed once: what the source tests look at."""

import ast
import functools
import os
from collections.abc import Iterator

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ("runtime", "binfmt", "rootfs_tools")


def files(*endings: str, under: tuple[str, ...] = PACKAGES) -> list[str]:
    """Paths relative to the top, sorted."""
    found = []
    for package in under:
        for folder, folders, names in os.walk(os.path.join(TOP, package)):
            folders[:] = [name for name in folders if name not in ("__pycache__", "var", "build")]
            found += [os.path.join(folder, name) for name in names if name.endswith(endings)]
    return sorted(os.path.relpath(name, TOP) for name in found)


@functools.cache
def text(path: str) -> str:
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


@functools.cache
def tree(path: str) -> ast.Module:
    return ast.parse(text(path), path)


def module_name(path: str) -> str:
    """runtime/task/loop.py -> runtime.task.loop"""
    parts = os.path.splitext(path)[0].split(os.sep)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
    return name == "TYPE_CHECKING"


def _statements(node: ast.AST, everywhere: bool) -> Iterator[ast.stmt]:
    """Statements that run; with `everywhere` also those that only run when a function is called."""
    for child in ast.iter_child_nodes(node):
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if function and not everywhere:
            continue
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from _statements(other, everywhere)
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from _statements(child, everywhere)


def imports(path: str, *, everywhere: bool = True) -> list[tuple[str, int]]:
    """(module, line) of each import that happens at run time; `from a import b` counts as a.b when that is a module."""
    found: list[tuple[str, int]] = []
    package = module_name(path)
    if not path.endswith("__init__.py"):
        package = package.rpartition(".")[0]
    for node in _statements(tree(path), everywhere):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append((full if is_module(full) else base, node.lineno))
    return found


def is_module(name: str) -> bool:
    """Whether a dotted name is one of our files (or the native core)."""
    path = os.path.join(TOP, *name.split("."))
    return any(os.path.exists(path + end) for end in (".py", ".pyi", os.sep + "__init__.py"))
