"""The shared libraries that a program needs, found in its view as ld.so(8) would: DT_NEEDED and what that needs.

For `page_size: throughput`, which wants to know what every library allows before the program starts, and for `octavo
explain`. What it is not: the dynamic loader. Nothing is mapped; a damaged file ends its own branch of the search and is
left for ld.so to complain about. ld.so.cache is not read, the directories that it was made from are.
"""

import os
import struct

from runtime import arch as arches
from runtime import image as images
from runtime._core import HOST_MACHINE
from runtime.abi.linux import AT_FDCWD, PATH_MAX
from runtime.image import Image, ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.rootfs import View

DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29  # elf.h
DYNAMIC_MAX = 1 << 16  # bytes of a dynamic section; real ones have a few hundred
LIBRARIES_MAX = 1024
DISTANCE_MAX = 1 << 62  # what may still be added to a file offset

CONFIGURATION = b"/etc/ld.so.conf"
# where ld.so looks when nothing else helps; TRIPLE is Debian's multiarch name
_DIRECTORIES = (
    b"/lib/TRIPLE",
    b"/usr/lib/TRIPLE",
    b"/lib64",
    b"/usr/lib64",
    b"/lib",
    b"/usr/lib",
    b"/usr/local/lib/TRIPLE",
    b"/usr/local/lib",
)


class Library:
    """One that is needed. `path`: as the guest names it, None when it was not found. `image`: its file, closed already,
    so that only its numbers mean anything."""

    __slots__ = ("image", "name", "needed_by", "path")

    def __init__(self, name: bytes, needed_by: bytes) -> None:
        self.name = name
        self.needed_by = needed_by
        self.path: bytes | None = None
        self.image: Image | None = None


class Needs:
    """What the dynamic section says: names, and the directories to look into ($ORIGIN replaced)."""

    __slots__ = ("names", "rpath", "runpath")

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.rpath: list[bytes] = []
        self.runpath: list[bytes] = []


def closure(view: "View", program: Image, environment: "Sequence[bytes]" = ()) -> list[Library]:
    """Every library that the program (an open Image) needs, directly or not, in the order in which ld.so loads them."""
    preloaded = _variable(environment, b"LD_PRELOAD").replace(b":", b" ").split()
    named = [part for part in _variable(environment, b"LD_LIBRARY_PATH").split(b":") if part]
    triple = arches.load(program.arch).triple if program.arch else f"{HOST_MACHINE}-linux-gnu"
    fixed = [*_configured(view), *(d.replace(b"TRIPLE", triple.encode()) for d in _DIRECTORIES)]
    own = needs(program)
    waiting = [(Library(name, program.path), own) for name in (*preloaded, *own.names)]
    known: set[bytes] = set()
    result: list[Library] = []
    while waiting and len(result) < LIBRARIES_MAX:
        library, asker = waiting.pop(0)
        if library.name in known:
            continue
        known.add(library.name)
        result.append(library)
        rpath = [] if asker.runpath else [*asker.rpath, *([] if own.runpath else own.rpath)]
        for path in _candidates(library.name, [*rpath, *named, *asker.runpath, *fixed]):
            found = _open(view, path, program)
            if found is None:
                continue
            library.path, library.image = path, found
            try:
                more = needs(found)
            finally:
                os.close(found.fd)
            waiting += [(Library(name, library.name), more) for name in more.names]
            break
    return result


def needs(image: Image) -> Needs:
    """The dynamic section of an open ELF file; empty when there is none or it is damaged."""
    result = Needs()
    if image.dynamic is None:
        return result
    offset, size = image.dynamic
    form = ("<" if image.little else ">") + ("qQ" if image.elf_class == 64 else "iI")
    step = struct.calcsize(form)
    data = os.pread(image.fd, min(size, DYNAMIC_MAX) // step * step, offset)
    rows = list(struct.iter_unpack(form, data[: len(data) // step * step]))
    strings = next((value for tag, value in rows if tag == DT_STRTAB), None)
    if strings is None:
        return result
    start = _file_offset(image, strings)
    origin = os.path.dirname(image.path) or b"."
    for tag, value in rows:
        if tag == 0:
            break
        if tag not in (DT_NEEDED, DT_RPATH, DT_RUNPATH) or start is None or value >= DISTANCE_MAX:
            continue
        text = os.pread(image.fd, PATH_MAX, start + value).partition(b"\0")[0]
        if tag == DT_NEEDED:
            result.names.append(text)
            continue
        text = text.replace(b"${ORIGIN}", origin).replace(b"$ORIGIN", origin)
        words = [part for part in text.split(b":") if part]
        if tag == DT_RPATH:
            result.rpath = words
        else:
            result.runpath = words
    return result


def _file_offset(image: Image, address: int) -> int | None:
    """Where in the file the byte at an address lies."""
    for segment in image.segments:
        if segment.vaddr <= address < segment.vaddr + segment.filesz:
            return address - segment.vaddr + segment.offset
    return None


def _variable(environment: "Sequence[bytes]", name: bytes) -> bytes:
    start = name + b"="
    return next((word[len(start) :] for word in environment if word.startswith(start)), b"")


def _candidates(name: bytes, directories: list[bytes]) -> "Iterator[bytes]":
    if b"/" in name:
        yield name
        return
    for directory in directories:
        yield directory + b"/" + name


def _open(view: "View", path: bytes, program: Image) -> Image | None:
    """The library if it is one for this program's machine; its descriptor is the caller's."""
    try:
        dirfd, host = view.resolve(AT_FDCWD, path, True)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        fd = os.open(host, flags, dir_fd=None if dirfd == AT_FDCWD else dirfd)
    except OSError:
        return None
    try:
        found = images.identify(fd, path)
        if found.kind == "elf" and found.machine == program.machine:
            return found
    except ImageError:
        pass
    os.close(fd)
    return None


def _configured(view: "View") -> list[bytes]:
    """The directories of /etc/ld.so.conf and of the files that it includes (one pattern NAME/*.conf each)."""
    result: list[bytes] = []
    waiting = [CONFIGURATION]
    seen = set(waiting)
    while waiting:
        for line in _read(view, waiting.pop(0)).splitlines():
            word = line.partition(b"#")[0].strip()
            if word.startswith(b"include"):
                for path in _included(view, word[len(b"include") :].strip()):
                    if path not in seen:
                        seen.add(path)
                        waiting.append(path)
            elif word.startswith(b"/"):
                result.append(word)
    return result


def _included(view: "View", pattern: bytes) -> list[bytes]:
    if not pattern.startswith(b"/"):
        pattern = os.path.dirname(CONFIGURATION) + b"/" + pattern
    directory, _, last = pattern.rpartition(b"/")
    if b"*" not in last:
        return [pattern]
    first, _, end = last.partition(b"*")
    try:
        names = sorted(os.listdir(view.resolve(AT_FDCWD, directory, True)[1]))
    except OSError:
        return []
    return [directory + b"/" + n for n in names if n.startswith(first) and n.endswith(end)]


def _read(view: "View", path: bytes) -> bytes:
    try:
        _, host = view.resolve(AT_FDCWD, path, True)
        fd = os.open(host, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, 1 << 20)
    except OSError:  # a directory, a device
        return b""
    finally:
        os.close(fd)
