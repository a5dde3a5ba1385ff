"""The bundle of the launch path: holds what the files say, is left alone when they have changed."""

import os
import subprocess
import sys

import pytest

from runtime import arch, bundle
from runtime.syscalls import families, registry
from tests.unit.source_files import TOP

LAUNCH = """\
import sys
sys.path.append(sys.argv[1])
from runtime import bundle
assert bundle.use(sys.argv[2])
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle of the tree as it is."""
    target = str(tmp_path_factory.mktemp("bundle") / "octavo.bundle")
    maker = os.path.join(TOP, "packaging", "tools", "make_bundle.py")
    subprocess.run([sys.executable, "-IS", maker, target], check=True)
    return target


def run(path: str, text: str) -> str:
    """What a Python that imports from the bundle prints."""
    command = [sys.executable, "-IS", "-c", LAUNCH + text, TOP, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read(path: str) -> bundle.Bundle:
    with open(path, "rb") as file:
        return bundle.load(file.read())


def test_families_are_those_of_the_files(path: str) -> None:
    families.register()
    assert read(path).header.families == {
        entry: (found.handler.__module__, found.fast)
        for entry, found in registry.DEFINITIONS.items()
    }


@pytest.mark.parametrize("name", arch.ARCHITECTURES)
def test_tables_are_those_of_the_files(path: str, name: str) -> None:
    assert read(path).read(f"table {name}") == list(arch.load(name).syscalls().values())


def test_a_family_is_imported_at_its_first_call(path: str) -> None:
    text = """
from runtime.syscalls import registry
print("runtime.syscalls.sockets" in sys.modules, registry.definition("socket").entry)
print("runtime.syscalls.sockets" in sys.modules, registry.definition("no_such_call"))
"""
    assert run(path, text) == "False socket\nTrue None\n"


def test_native_twins_are_known_without_importing(path: str) -> None:
    text = """
from runtime.arch import load
from runtime.syscalls.registry import DEFINITIONS, SyscallTable
print(SyscallTable(load("aarch64")).fast(), len(DEFINITIONS))
"""
    families.register()
    table = registry.SyscallTable(arch.load("aarch64"))
    assert run(path, text) == f"{table.fast()} 0\n"


def test_nothing_is_imported_from_files(path: str) -> None:
    """Once the bundle is in use, everything of ours and of Python's library that a guest may need comes out of it."""
    text = """
from runtime import run, run_command
from runtime.arch import load_all
from runtime.syscalls import families
sys.path[:] = []
sys.path_importer_cache.clear()
load_all()
families.register()
print(len(families.FAMILIES))
"""
    assert run(path, text) == f"{len(families.FAMILIES)}\n"


@pytest.mark.parametrize("damage", [b"", b"\0" * 7, b"\xff" * 64, None])
def test_what_is_no_bundle_is_left_alone(
    path: str, tmp_path: "os.PathLike[str]", damage: bytes | None
) -> None:
    bad = os.path.join(tmp_path, "bad")
    if damage is not None:
        with open(bad, "wb") as file:
            file.write(damage)
    before = list(sys.meta_path)
    assert not bundle.use(bad)
    assert sys.meta_path == before


def test_a_changed_source_makes_it_stale(path: str) -> None:
    header = read(path).header
    assert bundle.fresh(header)
    name, mtime, size = header.sources[0]
    header.sources[0] = (name, mtime + 1, size)
    assert not bundle.fresh(header)
    header.sources[0] = (name + ".gone", mtime, size)
    assert not bundle.fresh(header)
    header.sources[0] = (name, mtime, size)
    header.version = "another Python"
    assert not bundle.fresh(header)
