"""All modules of the launch path in one file, read at once: a third of the time that a hundred imports take goes into
finding and opening a hundred files.

The file is read whole and kept, so a module can still be imported when a guest has changed the root: the families of
system calls are (registry.py), each at the first call of one of its own. An extension module of Python is a file of
its own that may be out of reach by then; those that the bundle's modules need are imported by `use`.

`make build` writes the bundle (packaging/tools/make_bundle.py). It is a cache and nothing else: when any of its sources
has changed since, or another Python runs, it is left alone, and the modules come from their files, all at the start.

Layout: the size of the header (8 bytes, little endian), the header, then the modules' code and other data, each piece
found by its place. All of it but the size is in Python's marshal format.
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
    Sources = list[tuple[str, int, int]]
    # module name -> (file name, is a package, offset after the header, size in bytes)
    Places = dict[str, tuple[str, bool, int, int]]
    # name of something that is no code -> (offset, size)
    Data = dict[str, tuple[int, int]]
    # kernel entry point -> (module that implements it, its native fast call or "")
    Families = dict[str, tuple[str, str]]

ModuleSpec = type(sys.__spec__)


class Header:
    """What a bundle holds. Constant once written."""

    __slots__ = ("data", "extensions", "families", "places", "sources", "version")

    def __init__(
        self,
        *,
        version: str,
        sources: "Sources",
        places: "Places",
        extensions: "list[str]",
        families: "Families",
        data: "Data",
    ) -> None:
        self.version = version  # sys.version of the Python whose code it is
        self.sources = sources
        self.places = places
        self.extensions = extensions  # names of Python's own extension modules that are needed
        self.families = families
        self.data = data

    def astuple(self) -> "tuple[Any, ...]":
        return tuple(getattr(self, name) for name in sorted(self.__slots__))


class Bundle:
    """An importer over the bundle's modules (importlib's MetaPathFinder and Loader protocols)."""

    def __init__(self, header: Header, code: "memoryview") -> None:
        self.header = header
        self.code = code

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "Any":
        found = self.header.places.get(name)
        if found is None:
            return None
        loader: Any = self  # a Loader by its methods; importlib.abc is heavy
        spec = ModuleSpec(name, loader, origin=found[0], is_package=found[1])
        spec.has_location = True
        spec.cached = found[0]  # given, or importlib works out where a .pyc file would be
        if found[1]:
            spec.submodule_search_locations = [found[0].rpartition("/")[0]]
        return spec

    def create_module(self, spec: "Any") -> None:
        """The default kind of module."""

    def get_code(self, name: str) -> "CodeType":
        _, _, offset, size = self.header.places[name]
        code: CodeType = marshal.loads(self.code[offset : offset + size])
        return code

    def exec_module(self, module: "ModuleType") -> None:
        exec(self.get_code(module.__name__), module.__dict__)

    def read(self, name: str) -> "Any":
        """Data of the bundle, unmarshalled. KeyError."""
        offset, size = self.header.data[name]
        return marshal.loads(self.code[offset : offset + size])


current: Bundle | None = None  # the one in use; set once, at start


def dump(header: Header, code: bytes) -> bytes:
    """A bundle as the bytes of its file."""
    head = marshal.dumps(header.astuple())
    return len(head).to_bytes(8, "little") + head + code


def load(data: "bytes | memoryview") -> Bundle:
    """The bundle that `data` holds; it is referred to, not copied. ValueError, EOFError, TypeError: it is none."""
    view = memoryview(data)
    start = 8 + int.from_bytes(view[:8], "little")
    names = sorted(Header.__slots__)
    fields = dict(zip(names, marshal.loads(view[8:start]), strict=True))
    return Bundle(Header(**fields), view[start:])


def fresh(header: Header) -> bool:
    """Whether this Python and the sources are still those the bundle was made of."""
    if header.version != sys.version:
        return False
    try:
        for name, mtime, size in header.sources:
            now = stat(name)
            if now.st_mtime_ns != mtime or now.st_size != size:
                return False
    except OSError:
        return False
    return True


def install(found: Bundle) -> None:
    """Import from it from now on."""
    global current
    current = found
    sys.meta_path.insert(0, found)
    for name in found.header.extensions:
        __import__(name)


def use(path: str) -> bool:
    """Import from the bundle file from now on. False: there is none, or it is not what the sources are."""
    try:
        with open(path, "rb", buffering=0) as file:
            found = load(file.readall() or b"")
    except (OSError, ValueError, TypeError, EOFError):
        return False
    if not fresh(found.header):
        return False
    install(found)
    return True
