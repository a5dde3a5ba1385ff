"""Processes: creation, execution, end, waiting, groups and sessions."""

from runtime._core import SYS, quick_syscall
from runtime._core import syscall as wait
from runtime.abi.errors import EINVAL, EPERM, GuestError
from runtime.abi.linux import AT_FDCWD, SIGCHLD
from runtime.abi.structs import clone_args, rusage
from runtime.syscalls.kinds import Address, Fd, Int, Out, Path, Size, ULong
from runtime.syscalls.registry import syscall
from runtime.task.clone import (
    CLONE_VFORK,
    CLONE_VM,
    CSIGNAL,
    CloneArguments,
)
from runtime.task.clone import clone as new_task
from runtime.task.execve import execute
from runtime.task.leader import end
from runtime.task.loop import TaskEnd
from runtime.task.siginfo import put_host_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.task import Task

SYS_wait4, SYS_waitid = SYS["wait4"], SYS["waitid"]
# what kernel/fork.c knows, without CLONE_INTO_CGROUP and newer
CLONE3_FLAGS = (1 << 33) - 1 & ~CSIGNAL


@syscall
def fork(task: "Task") -> int:
    return new_task(task, CloneArguments(0, exit_signal=SIGCHLD))


@syscall
def vfork(task: "Task") -> int:
    return new_task(task, CloneArguments(CLONE_VM | CLONE_VFORK, exit_signal=SIGCHLD))


@syscall
def clone(
    task: "Task", flags: ULong, stack: Address, parent_tid: Address, a3: Address, a4: Address
) -> int:
    """clone(2). The last two arguments' order is the architecture's (CONFIG_CLONE_BACKWARDS)."""
    tls, child_tid = (a3, a4) if task.arch.clone_tls_first else (a4, a3)
    signo = task.arch.constants.decode("signal", flags & CSIGNAL)
    return new_task(
        task,
        CloneArguments(
            flags & ~CSIGNAL & 0xFFFFFFFF,
            exit_signal=signo,
            stack=stack,
            parent_tid=parent_tid,
            child_tid=child_tid,
            tls=tls,
        ),
    )


@syscall
def clone3(task: "Task", args: Address, size: Size) -> int:
    """clone3(2): struct clone_args of 64 bytes or more. set_tid and cgroup are not supported: EPERM, EINVAL."""
    struct = clone_args.of(task.arch.model)
    if size < 64:
        raise GuestError(EINVAL)
    data = task.memory.access.read(args, min(size, struct.size))
    if size > struct.size and any(task.memory.access.read(args + struct.size, size - struct.size)):
        raise GuestError(7)  # E2BIG: fields of a newer kernel
    flags, pidfd, child_tid, parent_tid, signo, stack, stack_size, tls, _, set_tid_size, _ = (
        struct.unpack(data.ljust(struct.size, b"\0"))
    )
    if set_tid_size:
        raise GuestError(EPERM)
    if flags & ~CLONE3_FLAGS or signo & ~CSIGNAL or bool(stack) != bool(stack_size):
        raise GuestError(EINVAL)
    return new_task(
        task,
        CloneArguments(
            flags,
            exit_signal=task.arch.constants.decode("signal", signo),
            stack=stack + stack_size,
            parent_tid=parent_tid,
            child_tid=child_tid,
            tls=tls,
            pidfd=pidfd,
        ),
    )


@syscall
def execve(task: "Task", path: Path, argv: Address, envp: Address) -> None:
    _execute(task, AT_FDCWD, path, argv, envp, 0)


@syscall
def execveat(task: "Task", dirfd: Fd, path: Path, argv: Address, envp: Address, flags: Int) -> None:
    _execute(task, dirfd, path, argv, envp, flags)


def _execute(task: "Task", dirfd: int, path: bytes, argv: int, envp: int, flags: int) -> None:
    strings = task.memory.access.string_vector
    execute(task, dirfd, path, strings(argv) if argv else [], strings(envp) if envp else [], flags)


@syscall
def exit_group(task: "Task", status: Int) -> None:
    end(task.process, task, status)


@syscall
def exit(task: "Task", status: Int) -> None:
    """exit(2): this task only (leader.py knows what that means for the leader)."""
    task.exit_status = status
    raise TaskEnd


@syscall
def wait4(task: "Task", pid: Int, status: Address, options: Int, usage: Out[rusage]) -> int:
    host_status, host_usage = bytearray(4), bytearray(144)
    result = wait(SYS_wait4, pid, host_status, options, host_usage)
    if result > 0:
        if status:
            task.memory.access.put_u32(status, guest_status(task, host_status))
        if usage:
            usage.put(*host_rusage(host_usage))
    return result


@syscall
def waitpid(task: "Task", pid: Int, status: Address, options: Int) -> int:
    host_status = bytearray(4)
    result = wait(SYS_wait4, pid, host_status, options, 0)
    if result > 0 and status:
        task.memory.access.put_u32(status, guest_status(task, host_status))
    return result


@syscall
def waitid(
    task: "Task", kind: Int, pid: Int, info: Address, options: Int, usage: Out[rusage]
) -> int:
    host_info, host_usage = bytearray(128), bytearray(144)
    result = wait(SYS_waitid, kind, pid, host_info, options, host_usage)
    if result >= 0:
        if info:
            put_host_info(task, info, bytes(host_info))
        if usage:
            usage.put(*host_rusage(host_usage))
    return result


def guest_status(task: "Task", host: bytearray) -> int:
    """A wait status with the guest's numbering of the signal in it (mips)."""
    status = int.from_bytes(host, "little")
    encode = task.arch.constants.encode
    if status & 0xFF == 0x7F:  # stopped
        return status & ~0xFF00 | encode("signal", status >> 8 & 0xFF) << 8
    if status != 0xFFFF and status & 0x7F:
        return status & ~0x7F | encode("signal", status & 0x7F)
    return status


def host_rusage(data: bytearray) -> list[int]:
    """The 18 longs of the host's struct rusage: user and system time (seconds, microseconds), then the counters."""
    return [int.from_bytes(data[i : i + 8], "little", signed=True) for i in range(0, 144, 8)]


@syscall
def set_tid_address(task: "Task", address: Address) -> int:
    task.clear_child_tid = address
    return task.tid


@syscall
def getpgid(task: "Task", pid: Int) -> int:
    return quick_syscall(SYS["getpgid"], pid)


@syscall
def getpgrp(task: "Task") -> int:
    return quick_syscall(SYS["getpgid"], 0)


@syscall
def setpgid(task: "Task", pid: Int, group: Int) -> int:
    return quick_syscall(SYS["setpgid"], pid, group)


@syscall
def getsid(task: "Task", pid: Int) -> int:
    return quick_syscall(SYS["getsid"], pid)


@syscall
def setsid(task: "Task") -> int:
    return quick_syscall(SYS["setsid"])


@syscall
def pidfd_open(task: "Task", pid: Int, flags: Int) -> int:
    return quick_syscall(SYS["pidfd_open"], pid, flags)


@syscall
def pidfd_getfd(task: "Task", pidfd: Fd, target: Fd, flags: Int) -> int:
    return quick_syscall(SYS["pidfd_getfd"], pidfd, target, flags)
