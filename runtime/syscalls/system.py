"""The system and its name: uname, sysinfo, random numbers, personality, namespaces, and calls of the
administrator, which
are the host's to allow or refuse. prctl(2) is in prctl.py, limits in limits.py, calls of one architecture in
machine.py."""

import struct

from runtime._core import SYS, MemoryFault, W
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import EINTR, EINVAL, EPERM, ESRCH, GuestError
from runtime.abi.linux import AT_FDCWD, PATH_MAX, UIO_MAXIOV
from runtime.syscalls.buffers import buffer_spans, read_iovec
from runtime.syscalls.kinds import Address, Fd, InBuffer, Int, OutBuffer, Path, Size, UInt, ULong
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

NAME_LENGTH = 65  # bytes of each of the six fields of struct new_utsname
HOST_NAME_MAX = 64
PERSONALITY_QUERY = 0xFFFFFFFF
UNAME26, READ_IMPLIES_EXEC = 0x0020000, 0x0400000  # personality(2)


# Names ---------------------------------------------------------------------------------------------------------------
def kernel_names(task: "Task") -> list[bytes]:
    """sysname, nodename, release, version, machine, domainname as the guest sees them."""
    host = bytearray(6 * NAME_LENGTH)
    quick(SYS["uname"], host)
    fields = [
        bytes(host[i : i + NAME_LENGTH]).split(b"\0", 1)[0]
        for i in range(0, len(host), NAME_LENGTH)
    ]
    if task.process.settings.uname_release is not None:
        fields[2] = task.process.settings.uname_release
    fields[4] = task.arch.uname
    return fields


@syscall
def newuname(task: "Task", buf: Address) -> int:
    """uname(2)."""
    data = b"".join(field[:HOST_NAME_MAX].ljust(NAME_LENGTH, b"\0") for field in kernel_names(task))
    task.memory.access.write(buf, data)
    return 0


def _set_name(task: "Task", call: str, name: int, length: int) -> int:
    if not 0 <= length <= HOST_NAME_MAX:
        return quick(SYS[call], 0, length)  # EPERM before EINVAL
    return quick(SYS[call], task.memory.access.read(name, length), length)


@syscall
def sethostname(task: "Task", name: InBuffer, length: Int) -> int:
    """sethostname(2)."""
    return _set_name(task, "sethostname", name, length)


@syscall
def setdomainname(task: "Task", name: InBuffer, length: Int) -> int:
    """setdomainname(2)."""
    return _set_name(task, "setdomainname", name, length)


@syscall
def personality(task: "Task", persona: UInt) -> int:
    """personality(2): kept for the guest; its bits are about the guest's address space, not ours. Those about a new
    address space wait for the next execve; READ_IMPLIES_EXEC concerns the next mmap."""
    before = task.process.personality
    if persona != PERSONALITY_QUERY:
        task.process.personality = persona
        task.memory.read_implies_exec = bool(persona & READ_IMPLIES_EXEC)
    return before


@syscall
def restart_syscall(task: "Task") -> int:
    """restart_syscall(2): calls are started again from their beginning here, so nothing is ever waiting for this."""
    return -EINTR


# The machine ---------------------------------------------------------------------------------------------------------
_HOST_SYSINFO = struct.Struct("=q9QHH4xQQI4x")
# The kernel stops at its page (kernel/sys.c); any power of two is a right answer.
LARGEST_UNIT = 4096


@syscall
def sysinfo(task: "Task", info: Address) -> int:
    """sysinfo(2). On a 32-bit guest the unit grows until the sizes fit a long (kernel compat_sysinfo)."""
    host = bytearray(_HOST_SYSINFO.size)
    result = quick(SYS["sysinfo"], host)
    if result < 0:
        return result
    uptime, *rest = _HOST_SYSINFO.unpack(host)
    loads, sizes, (processes, _), (high, free_high, unit) = (
        rest[:3],
        rest[3:9],
        rest[9:11],
        rest[11:],
    )
    model = task.arch.model
    if model.bits == 64:
        data = struct.pack(
            model.prefix + "q9QHH4xQQI4x",
            uptime,
            *loads,
            *sizes,
            processes,
            0,
            high,
            free_high,
            unit,
        )
    else:
        while unit < LARGEST_UNIT and max(*sizes, high) >> 32:
            unit <<= 1
            sizes = [size >> 1 for size in sizes]
            high, free_high = high >> 1, free_high >> 1
        words = [value & 0xFFFFFFFF for value in (*loads, *sizes)]
        data = struct.pack(
            model.prefix + "i9IHHIII8x", uptime, *words, processes, 0, high, free_high, unit
        )
    task.memory.access.write(info, data)
    return 0


@syscall
def getrandom(task: "Task", buf: OutBuffer, count: Size, flags: UInt) -> int:
    """getrandom(2)."""
    total = 0
    for address, length in buffer_spans(task, buf, count, W):
        result = wait(SYS["getrandom"], address, length, flags)
        if result < 0:
            return total or result
        total += result
        if result < length:
            break
    return total


# Namespaces, other processes
# -----------------------------------------------------------------------------------------
@syscall
def unshare(task: "Task", flags: ULong) -> int:
    """unshare(2): the host's, for this host thread."""
    return quick(SYS["unshare"], flags)


@syscall
def setns(task: "Task", fd: Fd, kind: Int) -> int:
    """setns(2)."""
    return quick(SYS["setns"], fd, kind)


@syscall
def kcmp(task: "Task", pid1: Int, pid2: Int, kind: Int, index1: ULong, index2: ULong) -> int:
    """kcmp(2); KCMP_EPOLL_TFD (7) has a structure of three 32-bit words behind its second index."""
    if kind != 7:
        return quick(SYS["kcmp"], pid1, pid2, kind, index1, index2)
    words = struct.unpack(task.arch.model.prefix + "III", task.memory.access.read(index2, 12))
    return quick(SYS["kcmp"], pid1, pid2, kind, index1, struct.pack("=III", *words))


def _own_process(task: "Task", call: str, pid: int) -> None:
    """Guest addresses mean something in our own process only."""
    if pid == task.process.leader or pid in task.process.tasks:
        return
    if quick(SYS["kill"], pid, 0) == -ESRCH:
        raise GuestError(ESRCH)
    task.log(f"{call}: the memory of process {pid} can't be reached from another process: EPERM")
    raise GuestError(EPERM)


def _move(
    task: "Task",
    sources: "list[tuple[int, int]]",
    targets: "list[tuple[int, int]]",
) -> int:
    """Copy between two scattered buffers; the bytes moved before the first fault, or EFAULT when there are none."""
    access = task.memory.access
    moved = 0
    targets = [pair for pair in targets if pair[1]]
    sources = [pair for pair in sources if pair[1]]
    while sources and targets:
        (source, left), (target, room) = sources[0], targets[0]
        length = min(left, room, 1 << 20)
        try:
            access.write(target, access.read(source, length))
        except (MemoryFault, GuestError):
            if moved:
                break
            raise
        moved += length
        sources[0], targets[0] = (source + length, left - length), (target + length, room - length)
        if left == length:
            sources.pop(0)
        if room == length:
            targets.pop(0)
    return moved


@syscall
def process_vm_readv(
    task: "Task",
    pid: Int,
    local: Address,
    local_count: ULong,
    remote: Address,
    remote_count: ULong,
    flags: ULong,
) -> int:
    """process_vm_readv(2), of our own process."""
    if flags or local_count > UIO_MAXIOV or remote_count > UIO_MAXIOV:
        return -EINVAL
    _own_process(task, "process_vm_readv", pid)
    return _move(task, read_iovec(task, remote, remote_count), read_iovec(task, local, local_count))


@syscall
def process_vm_writev(
    task: "Task",
    pid: Int,
    local: Address,
    local_count: ULong,
    remote: Address,
    remote_count: ULong,
    flags: ULong,
) -> int:
    """process_vm_writev(2), of our own process."""
    if flags or local_count > UIO_MAXIOV or remote_count > UIO_MAXIOV:
        return -EINVAL
    _own_process(task, "process_vm_writev", pid)
    return _move(task, read_iovec(task, local, local_count), read_iovec(task, remote, remote_count))


@syscall
def ptrace(task: "Task", request: ULong, pid: ULong, address: ULong, data: ULong) -> int:
    """ptrace(2): refused as a kernel does whose policy forbids tracing (Yama), which debuggers report well; use
    --strace."""
    task.log("ptrace is not supported: EPERM (octavo run --strace shows system calls)")
    return -EPERM


# The administrator's -------------------------------------------------------------------------------------------------
@syscall
def syslog(task: "Task", action: Int, buf: Address, length: Int) -> int:
    """syslog(2): actions 2 to 4 fill the buffer."""
    if action not in (2, 3, 4) or not buf or length <= 0:
        return wait(SYS["syslog"], action, 0, length)
    host = bytearray(min(length, 1 << 20))
    result = wait(SYS["syslog"], action, host, len(host))
    if result > 0:
        task.memory.access.write(buf, host[:result])
    return result


@syscall
def reboot(task: "Task", magic1: UInt, magic2: UInt, command: UInt, argument: Address) -> int:
    """reboot(2): passed on without its restart string; the host decides by CAP_SYS_BOOT."""
    if command == 0xA1B2C3D4:  # LINUX_REBOOT_CMD_RESTART2, the one with a string
        return -EINVAL
    return quick(SYS["reboot"], magic1, magic2, command, 0)


@syscall
def vhangup(task: "Task") -> int:
    """vhangup(2)."""
    return quick(SYS["vhangup"])


def _with_path(task: "Task", call: str, path: bytes, *rest: int) -> int:
    """A call that has no *at form: the resolved name is given relative to its directory through /proc."""
    directory, name = task.view.resolve(AT_FDCWD, path, True)
    if directory != AT_FDCWD and not name.startswith(b"/"):
        name = b"/proc/self/fd/%d/%s" % (directory, name)
    return quick(SYS[call], name + b"\0", *rest)


@syscall
def acct(task: "Task", name: Address) -> int:
    """acct(2): NULL switches accounting off."""
    if not name:
        return quick(SYS["acct"], 0)
    return _with_path(task, "acct", task.memory.access.string(name, PATH_MAX))


@syscall
def swapon(task: "Task", path: Path, flags: Int) -> int:
    """swapon(2)."""
    return _with_path(task, "swapon", path, flags)


@syscall
def swapoff(task: "Task", path: Path) -> int:
    """swapoff(2)."""
    return _with_path(task, "swapoff", path)


@syscall
def init_module(task: "Task", image: Address, length: Size, arguments: Address) -> int:
    """init_module(2): a guest's module is for another processor."""
    return -EPERM


@syscall
def finit_module(task: "Task", fd: Fd, arguments: Address, flags: Int) -> int:
    """finit_module(2): as init_module."""
    return -EPERM


@syscall
def delete_module(task: "Task", name: Address, flags: UInt) -> int:
    """delete_module(2): as init_module."""
    return -EPERM


@syscall
def quotactl(task: "Task", command: UInt, special: Address, identity: Int, address: Address) -> int:
    """quotactl(2): Q_SYNC only; the rest is refused as to a user without CAP_SYS_ADMIN, its structures are not
    converted."""
    if command >> 8 == 0x800001 and not special:
        return quick(SYS["quotactl"], command, 0, identity, 0)
    return -EPERM
