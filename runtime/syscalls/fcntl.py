"""fcntl and fcntl64: commands, status flags and struct flock in the guest's numbering and layout."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime._core import syscall as wait
from runtime.abi import structs
from runtime.abi.errors import EBADF, EINVAL, EOVERFLOW, GuestError
from runtime.abi.linux import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETFL,
    F_GETLK,
    F_SETFD,
    F_SETFL,
    F_SETLK,
    F_SETLKW,
)
from runtime.syscalls.hostflags import generic_open_flags, host_open_flags
from runtime.syscalls.kinds import FcntlCommand, Fd, ULong
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.abi.layout import CStruct
    from runtime.task.task import Task

F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_GETLK64, F_SETLK64, F_SETLKW64 = range(8, 15)
F_SETOWN_EX, F_GETOWN_EX, F_GETOWNER_UIDS = 15, 16, 17
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
F_SETLEASE, F_GETLEASE, F_NOTIFY = 1024, 1025, 1026
F_DUPFD_QUERY, F_CREATED_QUERY, F_CANCELLK = 1027, 1028, 1029
F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = 1031, 1032, 1033, 1034
F_GET_RW_HINT, F_SET_RW_HINT, F_GET_FILE_RW_HINT, F_SET_FILE_RW_HINT = 1035, 1036, 1037, 1038

FLOCK = struct.Struct(
    "=hh4xqqi4x"
)  # the hosts' struct flock: l_type, l_whence, l_start, l_len, l_pid
MAX_OFF32 = (1 << 31) - 1
# Commands whose argument is a plain number, the same everywhere.
PLAIN = frozenset(
    (
        F_DUPFD, F_GETFD, F_SETFD, F_SETOWN, F_GETOWN, F_SETLEASE, F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY, F_CREATED_QUERY,
        F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,
    )
)  # fmt: skip


@syscall
def fcntl(task: "Task", fd: Fd, command: FcntlCommand, argument: ULong) -> int:
    """fcntl(2), fcntl64(2). EINVAL for a command that Linux does not have."""
    if fd in task.process.reserved_fds:
        raise GuestError(EBADF)
    if command in PLAIN:
        # The kernel takes these as unsigned int or int: the upper half of the guest's register is not looked at.
        return quick(SYS["fcntl"], fd, command, argument & 0xFFFFFFFF)
    work = COMMANDS.get(command)
    if work is None:
        raise GuestError(EINVAL if quick(SYS["fcntl"], fd, F_GETFD) >= 0 else EBADF)
    return work(task, fd, command, argument)


def _get_flags(task: "Task", fd: int, command: int, argument: int) -> int:
    flags = quick(SYS["fcntl"], fd, F_GETFL)
    return flags if flags < 0 else task.arch.constants.encode("open", generic_open_flags(flags))


def _set_flags(task: "Task", fd: int, command: int, argument: int) -> int:
    flags = task.arch.constants.decode("open", argument & 0xFFFFFFFF)
    return quick(SYS["fcntl"], fd, F_SETFL, host_open_flags(flags))


def _get_signal(task: "Task", fd: int, command: int, argument: int) -> int:
    signo = quick(SYS["fcntl"], fd, F_GETSIG)
    return signo if signo <= 0 else task.arch.constants.encode("signal", signo)


def _set_signal(task: "Task", fd: int, command: int, argument: int) -> int:
    return quick(
        SYS["fcntl"], fd, F_SETSIG, task.arch.constants.decode("signal", argument & 0xFFFFFFFF)
    )


# Locks -------------------------------------------------------------------------------------------------------------
def _lock(task: "Task", fd: int, command: int, argument: int) -> int:
    """F_GETLK, F_SETLK and F_SETLKW with the guest's off_t."""
    return _locked(
        task, fd, command, argument, structs.flock.of(task.arch.model), task.arch.model.bits
    )


def _lock64(task: "Task", fd: int, command: int, argument: int) -> int:
    """The commands whose struct has a loff_t: F_*LK64 of 32-bit ABIs, and locks of open file descriptions."""
    model = task.arch.model
    host = command - F_GETLK64 + F_GETLK if F_GETLK64 <= command <= F_SETLKW64 else command
    layout = structs.flock64 if model.bits == 32 else structs.flock
    return _locked(task, fd, host, argument, layout.of(model), 64)


def _locked(task: "Task", fd: int, command: int, address: int, layout: "CStruct", bits: int) -> int:
    """bits: of the offsets in the guest's structure. EOVERFLOW when a lock found begins beyond them (fs/compat.c,
    fixup_compat_flock)."""
    access = task.memory.access
    raw = access.read(address, layout.size)
    lock = layout.mapping(raw)
    host = bytearray(
        FLOCK.pack(lock["l_type"], lock["l_whence"], lock["l_start"], lock["l_len"], lock["l_pid"])
    )
    result = wait(SYS["fcntl"], fd, command, host)
    if result < 0 or command not in (F_GETLK, F_OFD_GETLK):
        return result
    kind, whence, start, length, pid = FLOCK.unpack(host)
    if bits == 32:
        if start > MAX_OFF32:
            raise GuestError(EOVERFLOW)
        length = min(length, MAX_OFF32)
    lock.update(l_type=kind, l_whence=whence, l_start=start, l_len=length, l_pid=pid)
    access.write(address, layout.pack(lock))
    return 0


# Owners and hints --------------------------------------------------------------------------------------------------
def _set_owner(task: "Task", fd: int, command: int, argument: int) -> int:
    prefix = task.arch.model.prefix
    owner = struct.unpack(
        f"{prefix}2i", task.memory.access.read(argument, 8)
    )  # struct f_owner_ex: type, pid
    return quick(SYS["fcntl"], fd, command, struct.pack("=2i", *owner))


def _get_words(code: str) -> "Callable[[Task, int, int, int], int]":
    """A command that fills an array; `code` is its struct code, the same in every ABI but for byte order."""

    def work(task: "Task", fd: int, command: int, argument: int) -> int:
        host = bytearray(struct.calcsize("=" + code))
        result = quick(SYS["fcntl"], fd, command, host)
        if result >= 0:
            data = struct.pack(task.arch.model.prefix + code, *struct.unpack("=" + code, host))
            task.memory.access.write(argument, data)
        return result

    return work


def _set_hint(task: "Task", fd: int, command: int, argument: int) -> int:
    hint = int.from_bytes(task.memory.access.read(argument, 8), task.arch.model.endian)
    return quick(SYS["fcntl"], fd, command, struct.pack("=Q", hint))


COMMANDS: "dict[int, Callable[[Task, int, int, int], int]]" = {
    F_GETFL: _get_flags,
    F_SETFL: _set_flags,
    F_GETSIG: _get_signal,
    F_SETSIG: _set_signal,
    F_GETLK: _lock,
    F_SETLK: _lock,
    F_SETLKW: _lock,
    F_GETLK64: _lock64,
    F_SETLK64: _lock64,
    F_SETLKW64: _lock64,
    F_OFD_GETLK: _lock64,
    F_OFD_SETLK: _lock64,
    F_OFD_SETLKW: _lock64,
    F_SETOWN_EX: _set_owner,
    F_GETOWN_EX: _get_words("2i"),
    F_GETOWNER_UIDS: _get_words("2I"),
    F_GET_RW_HINT: _get_words("Q"),
    F_GET_FILE_RW_HINT: _get_words("Q"),
    F_SET_RW_HINT: _set_hint,
    F_SET_FILE_RW_HINT: _set_hint,
}
