"""Write the bundle of the launch path's modules: see runtime/bundle.py. usage: make_bundle.py TARGET"""

import importlib
import marshal
import os
import sys
from typing import Any

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LAUNCH_PATH = (
    "binfmt.front",
    "binfmt.qemu",
    "runtime.cli",
    "runtime.run_command",
    "runtime.run",
)


class Body:
    """The pieces that follow the header, as they are collected."""

    def __init__(self) -> None:
        self.data = bytearray()

    def add(self, piece: Any) -> tuple[int, int]:
        """(offset, size)."""
        text = marshal.dumps(piece)
        self.data += text
        return len(self.data) - len(text), len(text)


def main(target: str) -> None:
    """Import what `octavo run` may import, and keep the code of every module that came from a Python file."""
    sys.path.append(TOP)
    before = set(sys.modules)
    for name in LAUNCH_PATH:
        importlib.import_module(name)
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
            with open(path, "rb") as file:
                code = compile(file.read(), path, "exec", dont_inherit=True, optimize=2)
            places[name] = (path, spec.submodule_search_locations is not None, *body.add(code))
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
    temporary = target + ".new"
    with open(temporary, "wb") as file:
        file.write(bundle.dump(header, bytes(body.data)))
    os.replace(temporary, target)


def source(path: str) -> tuple[str, int, int]:
    """A file and how one sees that it has changed: (path, mtime in ns, size in bytes)."""
    status = os.stat(path)
    return path, status.st_mtime_ns, status.st_size


if __name__ == "__main__":
    main(sys.argv[1])
