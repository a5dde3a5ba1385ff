"""All modules of the launch path in one file, read at once: a third of the time that a hundred imports take goes into
finding and opening a hundred files.

`make build` writes the bundle (packaging/tools/make_bundle.py). It is a cache and nothing else: when any of its sources
has changed since, or another Python runs, it is left alone and the modules come from their files.
"""

import marshal
import sys
from posix import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

    # file name, mtime in ns, size in bytes
    Source = tuple[str, int, int]
    # module name -> (file name, is a package, marshalled code)
    Modules = dict[str, tuple[str, bool, bytes]]

ModuleSpec = type(sys.__spec__)


class BundleFinder:
    """An importer over the bundle's modules (importlib's MetaPathFinder and Loader protocols)."""

    def __init__(self, modules: "Modules") -> None:
        self.modules = modules

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "Any":
        found = self.modules.get(name)
        if found is None:
            return None
        loader: Any = self  # a Loader by its methods; importlib.abc is heavy
        spec = ModuleSpec(name, loader, origin=found[0], is_package=found[1])
        spec.has_location = True
        if found[1]:
            spec.submodule_search_locations = [found[0].rpartition("/")[0]]
        return spec

    def create_module(self, spec: "Any") -> None:
        """The default kind of module."""

    def get_code(self, name: str) -> "CodeType":
        code: CodeType = marshal.loads(self.modules[name][2])
        return code

    def exec_module(self, module: "ModuleType") -> None:
        exec(self.get_code(module.__name__), module.__dict__)


def write(path: str, sources: "list[Source]", modules: "Modules") -> None:
    with open(path, "wb") as file:
        marshal.dump((sys.version, sources, modules), file)


def use(path: str) -> bool:
    """Import from the bundle from now on. False: there is none, or it is not what the sources are."""
    try:
        with open(path, "rb", buffering=0) as file:
            version, sources, modules = marshal.loads(file.readall() or b"")
        if version != sys.version:
            return False
        for name, mtime, size in sources:
            now = stat(name)
            if now.st_mtime_ns != mtime or now.st_size != size:
                return False
    except (OSError, ValueError, TypeError, EOFError):
        return False
    sys.meta_path.insert(0, BundleFinder(modules))
    return True
