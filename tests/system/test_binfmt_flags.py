"""The flags of binfmt_misc that this kernel has, asked one by one in a private user namespace: see namespace.py."""

import pytest

from binfmt import kernel, magic
from binfmt.kernel import Registry
from runtime import arch
from tests.system.namespace import MISC, USERS, inside

pytestmark = pytest.mark.guest

TARGET = magic.targets()[0]
USER = USERS[0]


def test_the_flags_that_the_kernel_takes_are_known() -> None:
    """packaging/decisions/flags-the-kernel-takes.md: one that is not in it is worth a thought."""
    head = kernel.escape(magic.header(arch.load(TARGET))[:20])

    def taken(flag: str) -> str | None:
        """What the kernel shows for an entry with this flag alone; None: it refuses it."""
        try:
            with open(f"{MISC}/register", "wb", buffering=0) as file:
                file.write(b":probe:M::%b::/bin/sh:%b" % (head, flag.encode()))
        except OSError:
            return None
        shown = Registry().read("probe").flags
        Registry().remove("probe")
        return shown

    def run():
        printable = [chr(code) for code in range(33, 127) if chr(code) != ":"]
        return {flag: shown for flag in printable if (shown := taken(flag)) is not None}

    found = inside(USER, run)
    known = {"P": "P", "O": "O", "C": "OC", "F": "F"}
    assert found.items() >= known.items()
    assert found.keys() - known.keys() <= {"T", "L"}
