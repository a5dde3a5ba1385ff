"""Imports run one way, and the launch path stays light.

The order is design.md's: binfmt -> run -> {rootfs, config, policy} -> loader -> task -> memory -> core, with arch and
abi as leaves and syscalls handed to the loop as a table. Two refinements: image.py only parses bytes, so the loader
may know it; and task/execve.py, which replaces a process's program, stands above the loader that it calls.
Imports under TYPE_CHECKING are for the reader of types and may point anywhere.
"""

import ast
import os
import subprocess
import sys

import pytest

from tests.unit.source_files import TOP, files, imports, module_name, tree

# A module may import what has a lower rank, and its neighbours inside the same entry. The longest prefix counts.
RANK = {
    "runtime._core": 0,
    "runtime.version": 0,
    "runtime.bundle": 0,
    "runtime.command_error": 0,
    "runtime.abi": 0,
    "runtime.arch": 1,
    "runtime.image": 2,
    "runtime.memory": 3,
    "runtime.task": 4,
    "runtime.loader": 5,
    "runtime.task.execve": 6,
    "runtime.task.leader": 7,
    "runtime.syscalls": 8,
    "runtime.syscalls.kinds": 2,  # how a call is declared and decoded: knows no family
    "runtime.syscalls.registry": 3,
    "runtime.syscalls.trace": 3,
    "runtime.walk": 1,
    "runtime.container": 2,
    "runtime.rootfs": 3,  # paths only: loader and system calls ask it too
    "runtime.policy": 2,  # arithmetic only
    "runtime.libraries": 4,
    "runtime.config": 9,
    "runtime.places": 9,
    "runtime.gdb": 9,
    "runtime.run": 10,
    "runtime.run_command": 11,
    "runtime.explain": 13,  # what the kernel would do is binfmt's to know
    "runtime.doctor": 13,
    "runtime.config_command": 11,
    "runtime.ps": 11,
    "runtime.syscalls.support": 11,
    "binfmt": 12,
    "binfmt.invocation": 12,
    "binfmt.qemu": 12,
    "rootfs_tools": 12,
    "runtime.cli": 13,
    "binfmt.front": 14,  # the entry: hands on to one of the above
}

# modules that only other commands than `octavo run` import
# "binfmt" is what registers; its modules on the launch path have their own entries
OFF_THE_LAUNCH_PATH = (
    "runtime.cli",
    "runtime.config_command",
    "runtime.doctor",
    "runtime.explain",
    "runtime.ps",
    "runtime.syscalls.support",
    "binfmt",
)
# imported when a configuration file has changed, before the program starts
SELDOM = ("runtime.config.file", "runtime.config.keys")

# `collections.abc` is a millisecond, for the package it lies in; `_collections_abc` is in every Python already.
HEAVY_NAMES = """
argparse asyncio collections concurrent contextlib copy dataclasses enum functools inspect
json logging multiprocessing pathlib pickle platform pprint random re selectors shutil
signal socket subprocess tempfile textwrap threading tokenize tomllib traceback typing uuid
warnings elftools msgspec psutil rich unicorn yaml
"""
HEAVY = frozenset(HEAVY_NAMES.split())


def entry(module: str) -> str | None:
    """The key of RANK that a module of ours belongs to."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in RANK:
            return ".".join(parts[:end])
    return None


SOURCES = files(".py")


@pytest.mark.parametrize("path", SOURCES)
def test_imports_run_one_way(path: str) -> None:
    module = module_name(path)
    own = entry(module)
    if module == "runtime":
        assert imports(path) == []
        return
    assert own is not None, f"{module}: say in RANK where it belongs"
    for other, line in imports(path):
        if other.partition(".")[0] not in ("runtime", "binfmt", "rootfs_tools"):
            continue
        if other == "runtime":
            continue
        theirs = entry(other)
        assert theirs is not None, f"{path}:{line}: {other} has no place in RANK"
        lower = RANK[theirs] < RANK[own]
        assert lower or theirs == own, f"{path}:{line}: {own} may not import {theirs}"


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in SOURCES
        if entry(module_name(p)) not in (*OFF_THE_LAUNCH_PATH, "rootfs_tools")
        and module_name(p) not in SELDOM
    ],
)
def test_the_launch_path_imports_nothing_heavy(path: str) -> None:
    for other, line in imports(path):
        top = other.partition(".")[0]
        assert top not in HEAVY, f"{path}:{line}: {top} costs launch time"


def test_the_command_line_is_light_until_it_knows_the_command() -> None:
    path = os.path.join("runtime", "cli.py")
    assert [name for name, _ in imports(path, everywhere=False)] == ["sys"]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.startswith("runtime")])
def test_type_checking_is_a_constant(path: str) -> None:
    """`from typing import TYPE_CHECKING` would import typing at run time."""
    uses = [node for node in ast.walk(tree(path)) if isinstance(node, ast.If)]
    guarded = any(getattr(node.test, "id", "") == "TYPE_CHECKING" for node in uses)
    if not guarded:
        return
    assigned = [
        node
        for node in tree(path).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TYPE_CHECKING"
    ]
    assert assigned, f"{path}: write TYPE_CHECKING = False"


@pytest.mark.skipif("runtime/run.py" not in SOURCES, reason="there is no run.py yet")
def test_a_start_loads_nothing_heavy() -> None:
    """What the standard library imports by itself counts too."""
    code = (
        f"import sys; sys.path.append({TOP!r}); import runtime.run_command, runtime.run; "
        "print(*{name.partition('.')[0] for name in sys.modules}, 'runtime.gdb' in sys.modules)"
    )
    command = [sys.executable, "-IS", "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert sorted(HEAVY.intersection(out.split())) == []
    assert out.split()[-1] == "False", "the debugger's port is imported by who asks for it"
