"""Process, user and group ids, capabilities. Host system calls are made raw, for the calling thread only, as the
kernel has it: the guest's C library spreads a set*id over its threads itself.

The 16-bit calls (variant uid16) exist on arm: -1 is 0xffff there, and ids that do not fit are shown as the
overflow id.
"""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EFAULT, EINVAL
from runtime.abi.linux import OVERFLOW_ID
from runtime.syscalls.kinds import Address, Argument, Int
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.syscalls.kinds import Decoder
    from runtime.task.task import Task

NGROUPS_MAX = 65536
CAPABILITY_VERSION_1 = 0x19980330


class Id(Int):
    """uid_t or gid_t: -1 means "leave it". In a 16-bit row 0xffff is that -1 (kernel low2highuid)."""

    @classmethod
    def bind(cls, arch: "Architecture", row: "Row") -> "Decoder | None":
        if row.variant == "uid16":
            return lambda task, raw: -1 if raw & 0xFFFF == 0xFFFF else raw & 0xFFFF
        return super().bind(arch, row)


class IdResult:
    """Where ids are written: as 32 or 16 bits."""

    __slots__ = ("address", "narrow")

    def __init__(self, address: int, narrow: bool) -> None:
        self.address = address
        self.narrow = narrow

    def code(self) -> str:
        return "H" if self.narrow else "I"


if TYPE_CHECKING:

    class IdsAddress(IdResult): ...

    class NarrowResult(int): ...

else:

    class IdsAddress(Address):
        """Pointer to ids; the handler gets an IdResult, which knows their width."""

        @classmethod
        def bind(cls, arch, row):
            narrow = row.variant == "uid16"
            return lambda task, raw: IdResult(raw, narrow)

    class NarrowResult(Argument):
        """No argument at all: tells the handler whether the row's result has 16 bits."""

        @classmethod
        def bind(cls, arch, row):
            narrow = row.variant == "uid16"
            return lambda task, raw: narrow

        @classmethod
        def show(cls, task, raw, following, result):
            return ""


def _narrowed(result: int, narrow: int) -> int:
    return OVERFLOW_ID if narrow and result > 0xFFFF else result


def _put_ids(task: "Task", where: IdResult, ids: "list[int] | tuple[int, ...]") -> None:
    if where.narrow:
        ids = [i if i <= 0xFFFF else OVERFLOW_ID for i in ids]
    data = struct.pack(f"{task.arch.model.prefix}{len(ids)}{where.code()}", *ids)
    task.memory.access.write(where.address, data)


@syscall(fast="getpid")
def getpid(task: "Task") -> int:
    """getpid(2): the host process is the guest's."""
    return quick(SYS["getpid"])


@syscall(fast="gettid")
def gettid(task: "Task") -> int:
    """gettid(2): the host thread is the guest's."""
    return quick(SYS["gettid"])


@syscall(fast="getppid")
def getppid(task: "Task") -> int:
    """getppid(2)."""
    return quick(SYS["getppid"])


# The four that take no argument have native twins, in their 32-bit rows; a 16-bit result is cut to the overflow id
# here.
@syscall(fast="getuid")
def getuid(task: "Task", narrow: NarrowResult) -> int:
    """getuid(2)."""
    return _narrowed(quick(SYS["getuid"]), narrow)


@syscall(fast="geteuid")
def geteuid(task: "Task", narrow: NarrowResult) -> int:
    """geteuid(2)."""
    return _narrowed(quick(SYS["geteuid"]), narrow)


@syscall(fast="getgid")
def getgid(task: "Task", narrow: NarrowResult) -> int:
    """getgid(2)."""
    return _narrowed(quick(SYS["getgid"]), narrow)


@syscall(fast="getegid")
def getegid(task: "Task", narrow: NarrowResult) -> int:
    """getegid(2)."""
    return _narrowed(quick(SYS["getegid"]), narrow)


@syscall
def setuid(task: "Task", uid: Id) -> int:
    """setuid(2)."""
    return quick(SYS["setuid"], uid)


@syscall
def setgid(task: "Task", gid: Id) -> int:
    """setgid(2)."""
    return quick(SYS["setgid"], gid)


@syscall
def setreuid(task: "Task", ruid: Id, euid: Id) -> int:
    """setreuid(2)."""
    return quick(SYS["setreuid"], ruid, euid)


@syscall
def setregid(task: "Task", rgid: Id, egid: Id) -> int:
    """setregid(2)."""
    return quick(SYS["setregid"], rgid, egid)


@syscall
def setresuid(task: "Task", ruid: Id, euid: Id, suid: Id) -> int:
    """setresuid(2)."""
    return quick(SYS["setresuid"], ruid, euid, suid)


@syscall
def setresgid(task: "Task", rgid: Id, egid: Id, sgid: Id) -> int:
    """setresgid(2)."""
    return quick(SYS["setresgid"], rgid, egid, sgid)


def _three(task: "Task", name: str, outs: tuple[IdResult, ...]) -> int:
    hosts = [bytearray(4) for _ in range(3)]
    result = quick(SYS[name], *hosts)
    if result == 0:
        for where, host in zip(outs, hosts, strict=True):
            _put_ids(task, where, struct.unpack("=I", host))
    return result


@syscall
def getresuid(task: "Task", ruid: IdsAddress, euid: IdsAddress, suid: IdsAddress) -> int:
    """getresuid(2)."""
    return _three(task, "getresuid", (ruid, euid, suid))


@syscall
def getresgid(task: "Task", rgid: IdsAddress, egid: IdsAddress, sgid: IdsAddress) -> int:
    """getresgid(2)."""
    return _three(task, "getresgid", (rgid, egid, sgid))


@syscall
def setfsuid(task: "Task", uid: Id) -> int:
    """setfsuid(2): the answer is the id before, never an error."""
    return quick(SYS["setfsuid"], uid)


@syscall
def setfsgid(task: "Task", gid: Id) -> int:
    """setfsgid(2)."""
    return quick(SYS["setfsgid"], gid)


@syscall
def getgroups(task: "Task", size: Int, groups: IdsAddress) -> int:
    """getgroups(2)."""
    if size < 0:
        return -EINVAL
    host = bytearray(4 * min(size, NGROUPS_MAX))
    count = quick(SYS["getgroups"], min(size, NGROUPS_MAX), host)
    if size and count > 0:
        _put_ids(task, groups, struct.unpack_from(f"={count}I", host))
    return count


@syscall
def setgroups(task: "Task", size: Int, groups: IdsAddress) -> int:
    """setgroups(2)."""
    if not 0 <= size <= NGROUPS_MAX:
        return quick(SYS["setgroups"], size, 0)  # EPERM before EINVAL
    code = f"{task.arch.model.prefix}{size}{groups.code()}"
    ids = struct.unpack(code, task.memory.access.read(groups.address, struct.calcsize(code)))
    return quick(SYS["setgroups"], size, struct.pack(f"={size}I", *ids))


# Capabilities: a header of (version, pid) and one or two triples of 32-bit words, the same on every ABI but for
# order.
def _words(version: int) -> int:
    return 3 if version == CAPABILITY_VERSION_1 else 6


@syscall
def capget(task: "Task", header: Address, data: Address) -> int:
    """capget(2). An unknown version is answered with the preferred one in the header and EINVAL, as the kernel
    does."""
    access, prefix = task.memory.access, task.arch.model.prefix
    host_header = bytearray(
        struct.pack("=Ii", *struct.unpack(prefix + "Ii", access.read(header, 8)))
    )
    version = struct.unpack_from("=I", host_header)[0]
    host_data = bytearray(24)
    result = quick(SYS["capget"], host_header, host_data if data else 0)
    if struct.unpack_from("=I", host_header)[0] != version:
        access.write(header, struct.pack(prefix + "I", *struct.unpack_from("=I", host_header)))
    elif result == 0 and data:
        words = _words(version)
        access.write(
            data, struct.pack(f"{prefix}{words}I", *struct.unpack_from(f"={words}I", host_data))
        )
    return result


@syscall
def capset(task: "Task", header: Address, data: Address) -> int:
    """capset(2)."""
    access, prefix = task.memory.access, task.arch.model.prefix
    version, pid = struct.unpack(prefix + "Ii", access.read(header, 8))
    host_header = bytearray(struct.pack("=Ii", version, pid))
    if not data:
        return -EFAULT
    words = _words(version)
    values = struct.unpack(f"{prefix}{words}I", access.read(data, 4 * words))
    result = quick(SYS["capset"], host_header, struct.pack(f"={words}I", *values))
    preferred = struct.unpack_from("=I", host_header)[0]
    if preferred != version:
        access.write(header, struct.pack(prefix + "I", preferred))
    return result
