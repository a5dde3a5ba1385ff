"""Pages that a kernel gives a program without being asked: the arm helpers, the vsyscall page, sigreturn code, page 0.

Which page holds what is the architecture's fact (Architecture.commpages, Architecture.trampoline); this file maps them.
The sigreturn page stands for the vDSO where signal frames need one; it is no ELF image, so AT_SYSINFO_EHDR is absent.
"""

from runtime.abi.errors import ENOMEM, GuestError
from runtime.memory.areas import SPECIAL
from runtime.memory.flags import CAP_SYS_RAWIO, PROT_EXEC, PROT_READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.memory.space import AddressSpace


MMAP_PAGE_ZERO = 0x0100000  # personality(2)
SVR4_INTERPRETERS = (b"/usr/lib/libc.so.1", b"/usr/lib/ld.so.1")


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


def map_null_page(
    space: "AddressSpace", interpreter: bytes | None, personality: int, *, sealed: bool
) -> None:
    """The page of zeros at address 0 that programs of SVr4 may read: for those that name its dynamic loader, and for
    everybody whose personality(2) has MMAP_PAGE_ZERO. As load_elf_binary (fs/binfmt_elf.c): after everything else, it
    is no error when it cannot be had, and the personality is subject to mmap_min_addr. `sealed`: the kernel that we are
    keeps it from being changed (Linux 6.12)."""
    if interpreter not in SVR4_INTERPRETERS:
        limits = space.limits
        if not personality & MMAP_PAGE_ZERO or limits.min_fixed:
            return
        if limits.min_address and not space.capable(CAP_SYS_RAWIO):
            return
    if not space.areas.free(0, space.page):  # a program that is linked at 0 is not destroyed
        return
    space.map_anonymous(0, space.page, PROT_READ | PROT_EXEC)
    if sealed:
        space.sealed_end = space.page


def _map(space: "AddressSpace", start: int, content: bytes, perms: int, label: bytes) -> None:
    length = space.round(len(content))
    if not space.areas.free(start, start + length):
        raise GuestError(ENOMEM)
    space.map_anonymous(start, length, perms, flags=SPECIAL, name=label)
    space.table.poke(start, content)
    space.table.protect(
        start, length, perms
    )  # to the letter: what may only be executed cannot be read
