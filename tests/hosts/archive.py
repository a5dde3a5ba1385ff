"""An initramfs: the newc form of cpio, written file by file (kernel: Documentation/driver-api/early-userspace).

Everything in it belongs to root, whoever owns the files here. The odd thing: names are relative, and a directory has to
come before what is in it.
"""

import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO

END = "TRAILER!!!"


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)


class Archive:
    """Entries go to `file` as they are added; the same name twice is an error. close() writes the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()

    def _entry(self, name: str, mode: int, data: bytes, mtime: int) -> None:
        if name in self._names:
            raise ValueError(f"{name} is there twice")
        self._names.add(name)
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (
            len(self._names),
            mode,
            0,
            0,
            links,
            mtime,
            len(data),
            0,
            0,
            0,
            0,
            len(encoded),
            0,
        )
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._file.write(head + _padding(len(head)) + data + _padding(len(data)))

    def directory(self, name: str) -> None:
        """The directory and those above it, where they are not there yet."""
        above = os.path.dirname(name)
        if above:
            self.directory(above)
        if name and name not in self._names:
            self._entry(name, stat.S_IFDIR | 0o755, b"", 0)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode(), 0)

    def data(self, name: str, data: bytes, executable: bool = False, mtime: int = 0) -> None:
        """A regular file with these bytes."""
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data, mtime)

    def file(self, name: str, path: str) -> None:
        """A file or symbolic link of this machine, with its time: Python's compiled modules know their source by it."""
        if os.path.islink(path):
            self.link(name, os.readlink(path))
            return
        status = os.stat(path)
        with open(path, "rb") as file:
            self.data(name, file.read(), bool(status.st_mode & 0o100), int(status.st_mtime))

    def tree(self, name: str, top: str, wanted: Callable[[str], bool] = lambda path: True) -> None:
        """All files under a directory; `wanted` is asked with each path relative to it."""
        for path in walk(top):
            if wanted(path):
                self.file(os.path.join(name, path), os.path.join(top, path))

    def close(self) -> None:
        self._entry(END, 0, b"", 0)


def walk(top: str) -> Iterator[str]:
    """Paths, relative to `top`, of what is not a directory; links to directories are links. Sorted."""
    for folder, folders, files in os.walk(top):
        folders.sort()
        links = [each for each in folders if os.path.islink(os.path.join(folder, each))]
        for each in sorted(files + links):
            yield os.path.relpath(os.path.join(folder, each), top)
