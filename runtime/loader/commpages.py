"""Pages that a kernel gives every program without being asked: the arm helpers, the vsyscall page, sigreturn code.

Which page holds what is the architecture's fact (Architecture.commpages, Architecture.trampoline); this file maps them.
The sigreturn page stands for the vDSO where signal frames need one; it is no ELF image, so AT_SYSINFO_EHDR is absent.
"""

from runtime.abi.errors import ENOMEM, GuestError
from runtime.memory.areas import SPECIAL
from runtime.memory.flags import PROT_EXEC, PROT_READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.memory.space import AddressSpace


def map_all(space: "AddressSpace", arch: "Architecture") -> int:
    """Map them; the address of the sigreturn code, or 0. GuestError when a place is taken."""
    for address, content, perms, label, _ in arch.commpages:
        start = address & -space.page
        _map(space, start, bytes(address - start) + content, perms, label)
    if not arch.trampoline:
        return 0
    start = space.find(0, space.round(len(arch.trampoline)))
    _map(space, start, arch.trampoline, PROT_READ | PROT_EXEC, arch.trampoline_label)
    return start


def _map(space: "AddressSpace", start: int, content: bytes, perms: int, label: bytes) -> None:
    length = space.round(len(content))
    if not space.areas.free(start, start + length):
        raise GuestError(ENOMEM)
    space.map_anonymous(start, length, perms, flags=SPECIAL, name=label)
    space.table.poke(start, content)
    space.table.protect(
        start, length, perms
    )  # to the letter: what may only be executed cannot be read
