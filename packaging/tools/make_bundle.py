"""Write the bundle of the launch path's modules: see runtime/bundle.py. usage: make_bundle.py TARGET

Nothing is imported here that the launch path could need: what is there before it is taken for a part of Python's start,
and left out.
"""

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from runtime import bundle

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LAUNCH_PATH = (
    "binfmt.front",
    "binfmt.qemu",
    "runtime.arch.processors",
    "runtime.cli",
    "runtime.gdb",
    "runtime.libraries",
    "runtime.run_command",
    "runtime.run",
)


class Body:
    """The pieces that follow the header, as they are collected."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, piece: "Any") -> tuple[int, int]:
        """(offset, size)."""
        text = marshal.dumps(piece)
        self.data += text
        return len(self.data) - len(text), len(text)


def collect(
    names: "Sequence[str]" = LAUNCH_PATH, label: "Callable[[str], str]" = str
) -> "tuple[bundle.Header, bytes]":
    """Import `names`, all families and all architectures; the bundle's header, and its body with the code of every
    module that came from a Python file. `label`: what a file is called in tracebacks."""
    sys.path.append(TOP)
    before = set(sys.modules)
    for name in names:
        __import__(name)
    from runtime import arch, bundle
    from runtime.syscalls import families, registry

    families.register()
    arch.load_all()
    sources: bundle.Sources = []
    places: bundle.Places = {}
    extensions = []
    body = Body()
    for name in sorted(set(sys.modules) - before):
        spec = sys.modules[name].__spec__
        if spec is None or not spec.has_location:
            continue
        path = str(spec.origin)
        if path.endswith(".py"):
            sources.append(source(path))
            is_package = spec.submodule_search_locations is not None
            places[name] = (label(path), is_package, *body.add(code(path, label(path))))
        elif not name.startswith("runtime."):
            extensions.append(name)
    data = {}
    for name in arch.ARCHITECTURES:
        sources.append(source(os.path.join(TOP, "runtime", "arch", "tables", name + ".tbl")))
        data[f"table {name}"] = body.add(
            [tuple(row) for row in arch.load(name).syscalls().values()]
        )
    header = bundle.Header(
        version=sys.version,
        sources=sources,
        places=places,
        extensions=extensions,
        families={
            entry: (found.handler.__module__, found.fast)
            for entry, found in registry.DEFINITIONS.items()
        },
        data=data,
    )
    return header, bytes(body.data)


def code(path: str, label: str) -> "Any":
    """The code object of a source file."""
    with open(path, "rb") as file:
        return compile(file.read(), label, "exec", dont_inherit=True, optimize=2)


def main(target: str) -> None:
    """Write the bundle, atomically."""
    header, body = collect()
    from runtime import bundle

    temporary = target + ".new"
    with open(temporary, "wb") as file:
        file.write(bundle.dump(header, body))
    os.replace(temporary, target)


def source(path: str) -> tuple[str, int, int]:
    """A file and how one sees that it has changed: (path, mtime in ns, size in bytes)."""
    status = os.stat(path)
    return path, status.st_mtime_ns, status.st_size


if __name__ == "__main__":
    main(sys.argv[1])
