"""Where an architecture's address space ends, and the process's own resource limits."""

import struct

from runtime._core import SYS, quick_syscall
from runtime.abi.errors import ENOMEM

WRAP = 1 << 64  # where unsigned long wraps; 32-bit programs are served as by a 64-bit kernel


class Limits:
    """Where an architecture's address space ends and how its mmap differs. Addresses in bytes, page the guest's."""

    __slots__ = (
        "address_top",
        "bottom",
        "extra_prot",
        "fixed_top_errno",
        "hardware",
        "low_range",
        "min_address",
        "min_fixed",
        "mmap_top",
        "page",
        "place_high",
        "place_low",
        "shmlba",
        "shmlba_forced",
        "strict_prot",
    )

    def __init__(
        self,
        *,
        page: int,
        address_top: int,  # TASK_SIZE, exclusive
        mmap_top: int,  # top-down search starts below this
        min_address: int,  # mmap_min_addr as the guest sees it, a multiple of page
        bottom: int = 0,  # TASK_UNMAPPED_BASE of the bottom-up search; 0: a third of address_top
        min_fixed: int = 0,  # MAP_FIXED below this is EINVAL (arm: 8192)
        low_range: tuple[int, int] = (0, 0),  # MAP_32BIT maps here; (0, 0): the flag means nothing
        fixed_top_errno: int = ENOMEM,  # MAP_FIXED beyond address_top (mips: EINVAL)
        shmlba: int = 0,  # what SHM_RND rounds to and shmat(NULL) aligns to; 0: page
        shmlba_forced: bool = False,  # shmat wants it of every address
        extra_prot: int = 0,  # bits mprotect takes besides READ, WRITE, EXEC, SEM (PROT_SAO, ...)
        strict_prot: bool = False,  # mmap refuses unknown prot bits too (powerpc)
        # What the hardware grants for each of the eight PROT_* combinations.
        hardware: tuple[int, ...] = (0, 1, 3, 3, 5, 5, 7, 7),
        place_low: int = 0,  # zone for file-dependent addresses; 0, 0: none (32-bit)
        place_high: int = 0,
    ) -> None:
        self.page = page
        self.address_top = address_top
        self.mmap_top = mmap_top
        self.min_address = min_address
        self.bottom = bottom
        self.min_fixed = min_fixed
        self.low_range = low_range
        self.fixed_top_errno = fixed_top_errno
        self.shmlba = shmlba or page
        self.shmlba_forced = shmlba_forced
        self.extra_prot = extra_prot
        self.strict_prot = strict_prot
        self.hardware = hardware
        self.place_low = place_low
        self.place_high = place_high


def soft_limit(resource: int) -> int:
    """Soft limit of a resource of this process; RLIM_INFINITY when there is none."""
    limit = bytearray(16)  # struct rlimit64: rlim_cur, rlim_max
    quick_syscall(SYS["prlimit64"], 0, resource, 0, limit)
    soft: int = struct.unpack_from("=Q", limit)[0]
    return soft
