"""binfmt_misc in memory, with the kernel's rules, and with kernels that know fewer flags."""

import errno
import os

from binfmt.formats import _rule
from binfmt.kernel import Entry, Registry, parse


class FakeRegistry(Registry):
    """Entries newest first. `flags`: those the kernel knows; `fail`: (operation number, errno) to answer with;
    `log`: what was written."""

    __slots__ = ("fail", "flags", "log", "on", "stored")

    def __init__(self, flags: str = "POCF", path: str = "/proc/sys/fs/binfmt_misc") -> None:
        super().__init__(path)
        self.flags = flags
        self.stored: list[Entry] = []
        self.log: list[str] = []
        self.fail: dict[int, int] = {}
        self.on = True

    def lock(self) -> None:
        self.log.append("lock")

    def unlock(self) -> None:
        self.log.append("unlock")

    def enabled(self) -> bool:
        return self.on

    def entries(self) -> list[Entry]:
        return list(self.stored)

    def read(self, name: str) -> Entry:
        entry = next((entry for entry in self.stored if entry.name == name), None)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "", name)
        return parse(name, show(entry))

    def _write(self, name: str, data: bytes) -> None:
        number = len(self.log)
        self.log.append(f"{name} {data[:40].decode(errors='replace')}")
        code = self.fail.get(number)
        if code is not None:
            raise OSError(code, os.strerror(code), name)
        if name == "register":
            self._add(data)
            return
        if not any(entry.name == name for entry in self.stored):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        assert data == b"-1"
        self.stored = [entry for entry in self.stored if entry.name != name]

    def _add(self, data: bytes) -> None:
        entry = _rule(data)
        assert entry is not None
        if any(flag not in self.flags for flag in entry.flags):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), "register")
        if any(other.name == entry.name for other in self.stored):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), "register")
        self.stored.insert(0, entry)


def show(entry: Entry) -> bytes:
    """As the kernel's bm_entry_read."""
    flags = "".join(flag for flag in "POCF" if flag in entry.flags)
    lines = [
        b"enabled" if entry.enabled else b"disabled",
        b"interpreter " + entry.interpreter,
        b"flags: " + flags.encode(),
    ]
    if entry.extension is not None:
        lines.append(b"extension ." + entry.extension)
    else:
        lines += [b"offset %d" % entry.offset, b"magic " + entry.magic.hex().encode()]
        if entry.mask:
            lines.append(b"mask " + entry.mask.hex().encode())
    return b"\n".join(lines) + b"\n"
