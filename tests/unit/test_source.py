"""What the sources must not contain: tripwires of the house style, checked rather than remembered."""

import ast
import os
import re
import tokenize

import pytest

from tests.unit.source_files import TOP, files, text, tree

LINES = 600
OURS = ("runtime", "binfmt", "rootfs_tools", "tests", "packaging")
SOURCES = files(".py", ".pyi", ".cc", ".h", ".c", ".sh", under=OURS)
PYTHON = files(".py")

# A number of a page's size that is something else has a name (PATH_MAX = 4096), or its line says so: "not a page: why".
NOT_A_PAGE = "not a page"
PAGE_NUMBERS = frozenset((4095, 4096))
CONSTANT = re.compile(r"^_?(?!\w*PAGE)[A-Z][A-Z0-9_]*(: \S+)? = ")
PAGE_NAMES = re.compile(r"^_?PAGE_(SIZE|SHIFT|MASK)$|^_?PAGESIZE$")


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_is_no_longer_than_a_person_reads(path: str) -> None:
    assert text(path).count("\n") < LINES


@pytest.mark.parametrize("path", [p for p in PYTHON if text(p).strip()])
def test_a_module_says_what_it_is(path: str) -> None:
    assert ast.get_docstring(tree(path)), f"{path} has no docstring"


def _numbers(path: str) -> list[tuple[int, int]]:
    """(value, line) of the decimal integers of a file. Hexadecimal ones are flags; negative ones bound an errno."""
    found = []
    before = ""
    with open(os.path.join(TOP, path), "rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NUMBER and token.string.isdecimal() and before != "-":
                found.append((int(token.string), token.start[0]))
            before = token.string
    return found


# facts: there a page size is what the file is about
FACTS = (os.path.join("runtime", "arch", ""), os.path.join("runtime", "abi", ""))


@pytest.mark.parametrize("path", [p for p in PYTHON if not p.startswith(FACTS)])
def test_no_bare_page_size(path: str) -> None:
    """Three page sizes, each with its name; none of them is a number in the code."""
    lines = text(path).splitlines()
    for value, line in _numbers(path):
        said = lines[line - 1]
        if value in PAGE_NUMBERS and NOT_A_PAGE not in said and not CONSTANT.match(said):
            pytest.fail(f"{path}:{line}: {value}: whose page is that? ({NOT_A_PAGE!r} if none's)")
    for node in ast.walk(tree(path)):
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
        assert not PAGE_NAMES.match(name), f"{path}:{node.lineno}: {name}: guest, host or engine?"  # type: ignore[attr-defined]


def _asks_which(node: ast.Compare) -> bool:
    """Whether an architecture is compared with a name in the code: arch == "arm", arch.name in ("mips", ...)."""
    sides = [node.left, *node.comparators]
    literal = any(
        isinstance(part, ast.Constant) and isinstance(part.value, str)
        for s in sides
        for part in ast.walk(s)
    )
    named = re.compile(r"(^|\.)arch(itecture)?(\.(name|qemu|debian|uname))?$")
    return literal and any(named.search(ast.unparse(side)) for side in sides)


@pytest.mark.parametrize("path", [p for p in PYTHON if not p.startswith(FACTS[0])])
def test_code_never_asks_which_architecture(path: str) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare) and _asks_which(node):
            pytest.fail(f"{path}:{node.lineno}: {ast.unparse(node)}: a fact of the architecture")


@pytest.mark.parametrize(
    "path", files(".py", ".pyi", ".cc", ".h", under=("runtime", "binfmt", "rootfs_tools"))
)
def test_no_place_of_one_machine(path: str) -> None:
    assert not re.search(r"/(home|root|work)/[a-z]", text(path))
