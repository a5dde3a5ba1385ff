"""Numbers that differ between the hosts we run on, and the way from the runtime's generic numbering to them.

The runtime's generic open(2) flags are asm-generic's, which are x86-64's; arm64 moves four of them
(arch/arm64/include/uapi/asm/fcntl.h).
"""

from runtime._core import HOST_MACHINE

_GENERIC = (0o40000, 0o100000, 0o200000, 0o400000)  # O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW
_HOSTS = {"aarch64": (0o200000, 0o400000, 0o40000, 0o100000)}
_MOVED = 0o740000

_to = dict(zip(_GENERIC, _HOSTS.get(HOST_MACHINE, _GENERIC), strict=True))
_same = all(generic == host for generic, host in _to.items())


def host_open_flags(generic: int) -> int:
    """Generic open flags as the host numbers them."""
    if _same:
        return generic
    moved = generic & ~_MOVED
    for bit, host in _to.items():
        if generic & bit:
            moved |= host
    return moved


def generic_open_flags(host: int) -> int:
    """The host's open flags (F_GETFL) in generic numbering."""
    if _same:
        return host
    moved = host & ~_MOVED
    for generic, bit in _to.items():
        if host & bit:
            moved |= generic
    return moved
