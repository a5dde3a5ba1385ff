"""System call tables: tables/NAME.tbl, generated from the kernel's headers by packaging/tools/make_syscall_table.py."""

from runtime import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_FOLDER: "Final" = __file__.rpartition("/")[0] + "/tables/"


class Row(tuple[int, str, str, str]):
    """(number, name, entry, variant): the ABI's number and name, the kernel's entry point, the ABI's flavour of it."""

    __slots__ = ()

    @property
    def number(self) -> int:
        return self[0]

    @property
    def name(self) -> str:
        return self[1]

    @property
    def entry(self) -> str:
        """The kernel function without sys_; "ni_syscall" where the kernel itself answers ENOSYS."""
        return self[2]

    @property
    def variant(self) -> str:
        """ "" or a word that make_syscall_table.py explains: time32, stat64, pgoff4096, fcntl64, uid16, ..."""
        return self[3]


def load_table(name: str) -> dict[int, Row]:
    """Number -> Row, read once by Architecture.syscalls()."""
    if bundle.current is not None:
        return {row[0]: Row(row) for row in bundle.current.read(f"table {name}")}
    with open(f"{_FOLDER}{name}.tbl", encoding="ascii") as file:
        lines = file.read().splitlines()
    rows = {}
    for line in lines:
        if line[0] == "#":
            continue
        words = line.split(" ")
        number = int(words[0])
        rows[number] = Row((number, words[1], words[2], words[3] if len(words) > 3 else ""))
    return rows
