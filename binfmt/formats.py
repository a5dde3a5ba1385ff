"""Registrations as files: binfmt.d(5) of systemd, and update-binfmts(8) of Debian's binfmt-support.

update-binfmts writes O only together with C, so what it registers has P and F; the handler then opens the program
by its path. Also here: which files of binfmt.d are in force, because one of somebody else's wins at the next boot.
"""

import os

from binfmt import kernel, magic
from binfmt.kernel import BinfmtError, Entry
from binfmt.replace import replace
from runtime import arch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BINFMT_D, UPDATE_BINFMTS = "binfmt.d", "update-binfmts"
FORMATS = (BINFMT_D, UPDATE_BINFMTS)
DIRECTORIES = ("/etc/binfmt.d", "/run/binfmt.d", "/usr/local/lib/binfmt.d", "/usr/lib/binfmt.d")


def binfmt_d(entry: Entry, title: str) -> str:
    """A file for one of the directories, as NAME.conf."""
    return f"# {title}\n{entry.record().decode(errors='surrogateescape')}\n"


def update_binfmts(entry: Entry, package: str) -> str:
    """A file for /usr/share/binfmts, called NAME."""
    yes = {True: "yes", False: "no"}
    rows = (
        ("package", package),
        ("interpreter", entry.interpreter.decode(errors="surrogateescape")),
        ("magic", kernel.escape(entry.magic).decode()),
        ("offset", str(entry.offset)),
        ("mask", kernel.escape(entry.mask).decode()),
        ("credentials", yes["C" in entry.flags]),
        ("fix_binary", yes["F" in entry.flags]),
        ("preserve", yes["P" in entry.flags]),
    )
    return "".join(f"{key} {value}\n" for key, value in rows)


def export(
    entries: "Iterable[tuple[str, Entry]]",
    form: str,
    directory: str,
    done: "Callable[[str], None]" = lambda path: None,
) -> None:
    """Write one file for each (target, entry). A file that Octavo did not write is left alone: BinfmtError."""
    os.makedirs(directory, exist_ok=True)
    for target, entry in entries:
        if form == BINFMT_D:
            path = os.path.join(directory, entry.name + ".conf")
            text = binfmt_d(entry, f"octavo runs programs for {target}")
        else:
            path = os.path.join(directory, entry.name)
            text = update_binfmts(entry, "octavo")
        if os.path.lexists(path) and not any(found.ours for found in _entries_of(path)):
            raise BinfmtError(f"{path}: exists, not written by octavo, and is left alone")
        replace(path, text.encode(errors="surrogateescape"), 0o644)
        done(path)


def _entries_of(path: str) -> list[Entry]:
    """The entries of a file of either format; what is not understood is left out."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return []
    rows = dict(line.partition(b" ")[::2] for line in lines)
    if b"magic" in rows:
        values = (unescape(rows[b"magic"]), unescape(rows.get(b"mask", b"")))
        return [Entry("", rows.get(b"interpreter", b""), "", magic=values[0], mask=values[1])]
    return [entry for line in lines if (entry := _rule(line)) is not None]


def _rule(line: bytes) -> Entry | None:
    """A line of binfmt.d as an entry."""
    line = line.strip()
    if not line or line[:1] in (b"#", b";"):
        return None
    fields = line[1:].split(line[:1])
    if len(fields) != 7 or fields[1] != b"M" or not (fields[2] or b"0").isdigit():
        return None
    return Entry(
        fields[0].decode(errors="replace"),
        fields[5],
        fields[6].decode(errors="replace"),
        magic=unescape(fields[3]),
        mask=unescape(fields[4]),
        offset=int(fields[2] or b"0"),
    )


def unescape(text: bytes) -> bytes:
    """\\xHH as bytes; what is no such escape stays."""
    result = bytearray()
    index = 0
    while index < len(text):
        pair = text[index + 2 : index + 4]
        if text[index : index + 2] == b"\\x" and len(pair) == 2:
            try:
                result.append(int(pair, 16))
            except ValueError:
                result += text[index : index + 4]
            index += 4
        else:
            result.append(text[index])
            index += 1
    return bytes(result)


def files(directories: "Iterable[str]" = DIRECTORIES) -> list[str]:
    """The files of binfmt.d that are in force, in the order of their application: the first directory has the say about
    a name, and a file that is empty or leads to /dev/null switches it off."""
    chosen: dict[str, str] = {}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.endswith(".conf"):
                chosen.setdefault(name, os.path.join(directory, name))
    return [
        path
        for _, path in sorted(chosen.items())
        if os.path.realpath(path) != "/dev/null" and os.path.exists(path) and os.path.getsize(path)
    ]


def at_boot(target: str, directories: "Iterable[str]" = DIRECTORIES) -> "list[tuple[str, Entry]]":
    """(file, entry) of binfmt.d for a target's programs, in the order of application: the last one will win."""
    head = magic.header(arch.load(target))
    return [
        (path, entry)
        for path in files(directories)
        for entry in _entries_of(path)
        if entry.matches(head)
    ]
