"""prctl(2): options about the host thread go to the host, options about the processor or the address space are
answered as a kernel without the feature does. Numbers: linux/prctl.h, the same on every ABI."""

import struct

from runtime._core import SYS
from runtime._core import quick_syscall as quick
from runtime.abi.errors import EINVAL, EPERM
from runtime.syscalls.kinds import Int, ULong
from runtime.syscalls.registry import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

SET_PDEATHSIG, GET_PDEATHSIG, SET_NAME, GET_NAME = 1, 2, 15, 16
GET_SECCOMP, SET_SECCOMP = 21, 22
SET_MM, GET_CHILD_SUBREAPER, GET_TID_ADDRESS = 35, 37, 40
SET_PTRACER, PTRACER_ANY = 0x59616D61, -1
NAME_LENGTH = 16  # TASK_COMM_LEN with the NUL

# Plain numbers in, a plain number out.
PASSED = frozenset(
    {
        3,  # PR_GET_DUMPABLE
        4,  # PR_SET_DUMPABLE
        7,  # PR_GET_KEEPCAPS
        8,  # PR_SET_KEEPCAPS
        13,  # PR_GET_TIMING
        14,  # PR_SET_TIMING
        23,  # PR_CAPBSET_READ
        24,  # PR_CAPBSET_DROP
        27,  # PR_GET_SECUREBITS
        28,  # PR_SET_SECUREBITS
        29,  # PR_SET_TIMERSLACK
        30,  # PR_GET_TIMERSLACK
        33,  # PR_MCE_KILL
        34,  # PR_MCE_KILL_GET
        36,  # PR_SET_CHILD_SUBREAPER
        38,  # PR_SET_NO_NEW_PRIVS
        39,  # PR_GET_NO_NEW_PRIVS
        41,  # PR_SET_THP_DISABLE
        42,  # PR_GET_THP_DISABLE
        47,  # PR_CAP_AMBIENT
        52,  # PR_GET_SPECULATION_CTRL
        53,  # PR_SET_SPECULATION_CTRL
        57,  # PR_SET_IO_FLUSHER
        58,  # PR_GET_IO_FLUSHER
    }
)
# What a kernel without it answers with EINVAL; worth a log line, as it changes what a program may rely on.
REPORTED = {
    SET_SECCOMP: "seccomp filters look at host calls, which are not the guest's",
    59: "system call user dispatch is not supported",  # PR_SET_SYSCALL_USER_DISPATCH
}


@syscall
def prctl(task: "Task", option: Int, a: ULong, b: ULong, c: ULong, d: ULong) -> int:
    """prctl(2). Unknown options: EINVAL, as an older kernel."""
    if option in PASSED:
        return quick(SYS["prctl"], option, a, b, c, d)
    special = _SPECIAL.get(option)
    if special is not None:
        return special(task, a)
    if option in REPORTED:
        task.log(f"prctl {option}: {REPORTED[option]}: EINVAL")
    return -EINVAL


def _set_name(task: "Task", address: int) -> int:
    """PR_SET_NAME: up to 15 bytes, from a string that may be longer."""
    access = task.memory.access
    name = bytearray()
    while len(name) < NAME_LENGTH - 1:
        byte = access.read(address + len(name), 1)
        if byte == b"\0":
            break
        name += byte
    return quick(SYS["prctl"], SET_NAME, bytes(name) + b"\0", 0, 0, 0)


def _get_name(task: "Task", address: int) -> int:
    name = bytearray(NAME_LENGTH)
    quick(SYS["prctl"], GET_NAME, name, 0, 0, 0)
    task.memory.access.write(address, name)
    return 0


def _set_pdeathsig(task: "Task", signo: int) -> int:
    return quick(SYS["prctl"], SET_PDEATHSIG, task.arch.constants.decode("signal", signo), 0, 0, 0)


def _put_int(task: "Task", address: int, value: int) -> int:
    task.memory.access.write(address, struct.pack(task.arch.model.prefix + "i", value))
    return 0


def _ask_int(option: int) -> int:
    host = bytearray(4)
    quick(SYS["prctl"], option, host, 0, 0, 0)
    return int(struct.unpack("=i", host)[0])


def _get_pdeathsig(task: "Task", address: int) -> int:
    signo = _ask_int(GET_PDEATHSIG)
    return _put_int(task, address, task.arch.constants.encode("signal", signo) if signo else 0)


def _get_subreaper(task: "Task", address: int) -> int:
    return _put_int(task, address, _ask_int(GET_CHILD_SUBREAPER))


def _get_tid_address(task: "Task", address: int) -> int:
    model = task.arch.model
    data = task.clear_child_tid.to_bytes(model.pointer, model.endian)
    task.memory.access.write(address, data)
    return 0


def _set_mm(task: "Task", what: int) -> int:
    """PR_SET_MM needs CAP_SYS_RESOURCE; refused to everyone, as our record of the program is not the kernel's."""
    return -EPERM


def _set_ptracer(task: "Task", pid: int) -> int:
    """PR_SET_PTRACER (Yama): about the host process; any is -1 in the guest's long."""
    if pid == (1 << task.arch.model.bits) - 1:
        pid = PTRACER_ANY
    return quick(SYS["prctl"], SET_PTRACER, pid, 0, 0, 0)


_SPECIAL = {
    SET_NAME: _set_name,
    GET_NAME: _get_name,
    SET_PDEATHSIG: _set_pdeathsig,
    GET_PDEATHSIG: _get_pdeathsig,
    GET_CHILD_SUBREAPER: _get_subreaper,
    GET_TID_ADDRESS: _get_tid_address,
    SET_MM: _set_mm,
    SET_PTRACER: _set_ptracer,
}
