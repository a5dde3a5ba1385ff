"""System V IPC: semaphores, shared memory, message queues; and `ipc`, the call that carries them on some ABIs.

Objects are the host's, so that foreign and native programs meet. Only the "64" forms of the control structures exist
here (IPC_64 in the command); without it a 32-bit ABI would mean structures that no C library has used since Linux
2.2.
"""

import struct

from runtime._core import HOST_MACHINE, HOST_PAGE, SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi.errors import E2BIG, EINVAL, ENOENT, ENOSYS
from runtime.abi.ipc_structs import msqid64_ds, semid64_ds, shmid64_ds
from runtime.abi.layout import DataModel, Layout
from runtime.abi.linux import MAX_ERRNO
from runtime.syscalls.kinds import Address, Int, Long, Size, UInt, ULong
from runtime.syscalls.multiplexer import multiplex
from runtime.syscalls.registry import syscall
from runtime.syscalls.timespecs import HOST_TIMESPEC, Codec, TimesOut, TimespecInOut, long_codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.task.task import Task

HOST_MODEL = DataModel(
    "host", bits=64, variants={"semid64_ds": "x86_64"} if HOST_MACHINE == "x86_64" else {}
)
IPC_64 = 0x100
IPC_PRIVATE = 0
IPC_CREAT, IPC_EXCL = 0o1000, 0o2000
IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO = 0, 1, 2, 3
GETPID, GETVAL, GETALL, GETNCNT, GETZCNT, SETVAL, SETALL = 11, 12, 13, 14, 15, 16, 17
SEM_STAT, SEM_INFO, SEM_STAT_ANY = 18, 19, 20
MSG_STAT, MSG_INFO, MSG_STAT_ANY = 11, 12, 13
SHM_LOCK, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY = 11, 12, 13, 14, 15
SEMOPM_MOST = 500  # /proc/sys/kernel/sem's default; the host refuses more by its own
MESSAGE_MOST = 1 << 24  # bytes; msgmax is far below


# Structures ----------------------------------------------------------------------------------------------------------
def times_whole(fields: "dict[str, Any]") -> "dict[str, Any]":
    """Fields of a *64_ds with each time in one number."""
    out = dict(fields)
    for name in fields:
        if name.endswith("_high"):
            high = out.pop(name)
            if isinstance(high, tuple):
                high = high[0] if high else 0
            out[name.removesuffix("_high")] |= high << 32
    return out


def convert(
    layout: "type[Layout]", data: "bytes | bytearray", source: DataModel, target: DataModel
) -> bytes:
    """One of the control structures from one ABI to another; sizes too large for a long are cut."""
    whole = times_whole(layout.of(source).mapping(data))
    compiled = layout.of(target)
    shape = compiled.mapping(bytes(compiled.size))  # what each field's value looks like
    mask = (1 << target.bits) - 1
    fields: dict[str, Any] = {}
    for name, like in shape.items():
        base = name.removesuffix("_high")
        if base != name:
            high = whole.get(base, 0) >> 32
            fields[name] = ((high,) if like else ()) if isinstance(like, tuple) else high & 0xFFFF
        elif isinstance(whole.get(name), int) and whole[name] > mask:
            fields[name] = whole[name] & mask
        elif name in whole:
            fields[name] = whole[name]
    return compiled.pack(fields)


def _control(
    task: "Task", call: str, layout: "type[Layout]", ident: int, command: int, at: int, *middle: int
) -> int:
    """The commands that are about the structure: STAT and its kin, SET, RMID. middle: semctl's semnum."""
    model = task.arch.model
    guest, host = layout.of(model), bytearray(layout.of(HOST_MODEL).size)
    if command == IPC_SET:
        data = task.memory.access.read(at, guest.size)
        return quick(SYS[call], ident, *middle, command, convert(layout, data, model, HOST_MODEL))
    result = quick(SYS[call], ident, *middle, command, host)
    if result >= 0 and command != IPC_RMID:
        if layout is shmid64_ds:
            host = _with_asked_size(host, result if command != IPC_STAT else ident)
        task.memory.access.write(at, convert(layout, host, HOST_MODEL, model))
    return result


def _information(
    task: "Task",
    call: str,
    ident: int,
    command: int,
    at: int,
    codes: tuple[str, str],
    pages: tuple[int, ...] = (),
) -> int:
    """IPC_INFO and the like. codes: the structure's words on the host and on the guest; numbers too large are cut.
    pages: which of the words count pages."""
    host = bytearray(struct.calcsize(codes[0]) + 64)
    middle = (0,) if call == "semctl" else ()
    result = quick(SYS[call], ident, *middle, command, host)
    if result >= 0:
        values = list(struct.unpack_from(codes[0], host))
        for index in pages:
            values[index] = values[index] * HOST_PAGE // task.memory.page
        limit = 0xFFFFFFFF if task.arch.model.bits == 32 else (1 << 64) - 1
        task.memory.access.write(at, struct.pack(codes[1], *(min(v, limit) for v in values)))
    return result


# Semaphores ----------------------------------------------------------------------------------------------------------
@syscall
def semget(task: "Task", key: Int, count: Int, flags: Int) -> int:
    """semget(2)."""
    return quick(SYS["semget"], key, count, flags)


def _operate(task: "Task", ident: int, at: int, count: int, timeout: "TimesOut | None") -> int:
    if count == 0:
        return -EINVAL
    if count > SEMOPM_MOST:
        return -E2BIG
    data = task.memory.access.read(at, 6 * count)
    if task.arch.model.big:
        data = struct.pack(f"={3 * count}H", *struct.unpack(f">{3 * count}H", data))
    limit: bytes | int = 0
    if timeout:
        limit = HOST_TIMESPEC.pack(*timeout.codec.read(task, timeout.address))
    return wait(SYS["semtimedop"], ident, data, count, limit)


@syscall
def semop(task: "Task", ident: Int, operations: Address, count: UInt) -> int:
    """semop(2)."""
    return _operate(task, ident, operations, count, None)


@syscall
def semtimedop(
    task: "Task", ident: Int, operations: Address, count: UInt, timeout: TimespecInOut
) -> int:
    """semtimedop(2)."""
    return _operate(task, ident, operations, count, timeout)


def _sem_count(ident: int) -> int:
    """Semaphores in a set, or -errno."""
    layout = semid64_ds.of(HOST_MODEL)
    host = bytearray(layout.size)
    result = quick(SYS["semctl"], ident, 0, IPC_STAT, host)
    return result if result < 0 else int(layout.get(host, "nsems"))


def _all_values(task: "Task", ident: int, command: int, at: int) -> int:
    count = _sem_count(ident)
    if count < 0:
        return count
    prefix = task.arch.model.prefix
    if command == SETALL:
        values = struct.unpack(f"{prefix}{count}H", task.memory.access.read(at, 2 * count))
        return quick(SYS["semctl"], ident, 0, SETALL, struct.pack(f"={count}H", *values))
    host = bytearray(2 * count)
    result = quick(SYS["semctl"], ident, 0, GETALL, host)
    if result >= 0:
        values = struct.unpack(f"={count}H", host)
        task.memory.access.write(at, struct.pack(f"{prefix}{count}H", *values))
    return result


@syscall
def semctl(task: "Task", ident: Int, number: Int, operation: Int, argument: ULong) -> int:
    """semctl(2): the last argument is an int, a structure or an array, by the command."""
    command = operation & ~IPC_64
    if command in (IPC_STAT, IPC_SET, SEM_STAT, SEM_STAT_ANY, IPC_RMID):
        return _control(task, "semctl", semid64_ds, ident, command, argument, number)
    if command in (GETALL, SETALL):
        return _all_values(task, ident, command, argument)
    if command in (IPC_INFO, SEM_INFO):
        words = "10i"
        codes = ("=" + words, task.arch.model.prefix + words)
        return _information(task, "semctl", ident, command, argument, codes)
    if command == SETVAL:
        value = ((argument & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
        return quick(SYS["semctl"], ident, number, SETVAL, value)
    return quick(SYS["semctl"], ident, number, command, 0)


# Shared memory -------------------------------------------------------------------------------------------------------
# Segments end with a whole page of the guest's, which all that attach them share. Where the host's pages are smaller,
# the host's segment is made so much longer. identifier -> the size in bytes that the program asked for.
_asked: dict[int, int] = {}


@syscall
def shmget(task: "Task", key: Int, size: Size, flags: Int) -> int:
    """shmget(2)."""
    whole = task.memory.round(size)
    if not flags & IPC_CREAT or whole - size < HOST_PAGE:
        return quick(SYS["shmget"], key, size, flags)
    if key != IPC_PRIVATE and not flags & IPC_EXCL:
        # One that is there already may be as small as asked for, but smaller than `whole`.
        result = quick(SYS["shmget"], key, size, flags & ~IPC_CREAT)
        if result != -ENOENT:
            return result
    result = quick(SYS["shmget"], key, whole, flags)
    if result >= 0:
        _asked[result] = size
    return result


def _with_asked_size(host: bytearray, ident: int) -> bytearray:
    """The host's shmid64_ds with the size that the program gave shmget, where that is known."""
    size = _asked.get(ident)
    if size is None:
        return host
    layout = shmid64_ds.of(HOST_MODEL)
    fields = layout.mapping(host)
    if fields["segsz"] < size:  # another segment: identifiers come again after a long time
        return host
    return bytearray(layout.pack({**fields, "segsz": size}))


@syscall
def shmat(task: "Task", ident: Int, address: Address, flags: Int) -> int:
    """shmat(2): the segment becomes part of the guest's memory."""
    layout = shmid64_ds.of(HOST_MODEL)
    host = bytearray(layout.size)
    result = quick(SYS["shmctl"], ident, IPC_STAT, host)
    if result < 0:
        return result
    size, key = int(layout.get(host, "segsz")), int(layout.get(host, "perm")[0])
    attached: int = task.memory.shmat(ident, address, flags, size, key)
    return attached


@syscall
def shmdt(task: "Task", address: Address) -> int:
    """shmdt(2)."""
    detached: int = task.memory.shmdt(address)
    return detached


@syscall
def shmctl(task: "Task", ident: Int, operation: Int, at: Address) -> int:
    """shmctl(2)."""
    command = operation & ~IPC_64
    if command in (IPC_STAT, IPC_SET, SHM_STAT, SHM_STAT_ANY, IPC_RMID):
        if command == IPC_RMID:
            _asked.pop(ident, None)
        return _control(task, "shmctl", shmid64_ds, ident, command, at)
    model = task.arch.model
    word = "Q" if model.bits == 64 else "I"
    if command == IPC_INFO:
        return _information(
            task,
            "shmctl",
            ident,
            command,
            at,
            ("=5Q32x", f"{model.prefix}5{word}{4 * model.long}x"),
            (4,),
        )
    if command == SHM_INFO:
        guest = model.prefix + ("i4x5Q" if model.bits == 64 else "i5I")
        return _information(task, "shmctl", ident, command, at, ("=i4x5Q", guest), (1, 2, 3))
    return quick(SYS["shmctl"], ident, command, 0)


# Message queues ------------------------------------------------------------------------------------------------------
@syscall
def msgget(task: "Task", key: Int, flags: Int) -> int:
    """msgget(2)."""
    return quick(SYS["msgget"], key, flags)


def _type_codec(task: "Task") -> Codec:
    """The long that a message starts with."""
    return long_codec(task.arch, 1)


@syscall
def msgsnd(task: "Task", ident: Int, message: Address, size: Size, flags: Int) -> int:
    """msgsnd(2)."""
    if size > MESSAGE_MOST:
        return -EINVAL
    codec = _type_codec(task)
    kind = codec.read(task, message)
    text = task.memory.access.read(message + codec.size, size)
    return wait(SYS["msgsnd"], ident, struct.pack("=q", *kind) + text, size, flags)


@syscall
def msgrcv(task: "Task", ident: Int, message: Address, size: Size, kind: Long, flags: Int) -> int:
    """msgrcv(2)."""
    if size >> task.arch.model.bits - 1:
        return -EINVAL
    room = min(size, MESSAGE_MOST)
    host = bytearray(8 + room)
    result = wait(SYS["msgrcv"], ident, host, room, kind, flags)
    if result >= 0:
        codec = _type_codec(task)
        codec.write(task, message, struct.unpack_from("=q", host))
        task.memory.access.write(message + codec.size, host[8 : 8 + result])
    return result


@syscall
def msgctl(task: "Task", ident: Int, operation: Int, at: Address) -> int:
    """msgctl(2)."""
    command = operation & ~IPC_64
    if command in (IPC_STAT, IPC_SET, MSG_STAT, MSG_STAT_ANY, IPC_RMID):
        return _control(task, "msgctl", msqid64_ds, ident, command, at)
    if command in (IPC_INFO, MSG_INFO):
        codes = ("=7iH2x", task.arch.model.prefix + "7iH2x")
        return _information(task, "msgctl", ident, command, at, codes)
    return -EINVAL


# The multiplexer -----------------------------------------------------------------------------------------------------
SEMOP, SEMGET, SEMCTL, SEMTIMEDOP = 1, 2, 3, 4
MSGSND, MSGRCV, MSGGET, MSGCTL, SHMAT, SHMDT, SHMGET, SHMCTL = 11, 12, 13, 14, 21, 22, 23, 24


@syscall
def ipc(
    task: "Task", which: UInt, first: ULong, second: ULong, third: ULong, at: ULong, fifth: ULong
) -> int:
    """ipc(2): the low half of the first argument chooses, its upper half is a version (kernel ipc/syscall.c)."""
    version, call = which >> 16, which & 0xFFFF
    model = task.arch.model
    access = task.memory.access

    def word(address: int) -> int:
        return int.from_bytes(access.read(address, model.pointer), model.endian)

    if call == SHMAT:
        if version == 1:
            return -EINVAL
        address = multiplex(task, "shmat", "", (first, at, second))
        if address >= 0 or address < -MAX_ERRNO:
            access.write(third, address.to_bytes(model.pointer, model.endian))
            return 0
        return address
    if call == SEMCTL:
        return (
            multiplex(task, "semctl", "old_ipc", (first, second, third, word(at)))
            if at
            else -EINVAL
        )
    if call == MSGRCV and version == 0:
        if not at:
            return -EINVAL
        message, kind = word(at), word(at + model.pointer)
        return multiplex(task, "msgrcv", "", (first, message, second, kind, third))
    time = "time32" if model.bits == 32 else ""
    plain = {
        SEMOP: ("semop", "", (first, at, second)),
        SEMTIMEDOP: ("semtimedop", time, (first, at, second, fifth)),
        SEMGET: ("semget", "", (first, second, third)),
        MSGSND: ("msgsnd", "", (first, at, second, third)),
        MSGRCV: ("msgrcv", "", (first, at, second, fifth, third)),
        MSGGET: ("msgget", "", (first, second)),
        MSGCTL: ("msgctl", "old_ipc", (first, second, at)),
        SHMDT: ("shmdt", "", (at,)),
        SHMGET: ("shmget", "", (first, second, third)),
        SHMCTL: ("shmctl", "old_ipc", (first, second, at)),
    }
    chosen = plain.get(call)
    return multiplex(task, *chosen) if chosen else -ENOSYS
