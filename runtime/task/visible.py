"""What other processes see of a guest process under /proc: the guest's arguments, environment and code, not Octavo's.

The host's kernel shows the memory between addresses that it keeps of each process (struct mm_struct: arg_start and its
kin). They are set to where the guest's strings lie in the arena, so /proc/PID/cmdline and environ, and ps(1) with them,
read the guest's own memory, inside the root and outside; a guest that writes over its arguments is seen to. A fork has
them from its parent. `start_code` goes to the guest's program: procfs.py finds by it what another guest process runs,
since /proc/PID/exe can't be set while Octavo's own file is mapped.

Where the kernel refuses (no CONFIG_CHECKPOINT_RESTORE, no /proc), Octavo's own words stay visible.
"""

import struct

from runtime._core import SYS, MemoryFault, R, quick_syscall
from runtime.abi.linux import AT_FDCWD, O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.task.process import Process

PR_SET_MM, PR_SET_MM_MAP = 35, 14
NO_FILE = 0xFFFFFFFF
# fields of /proc/PID/stat, counted from 1 as in proc(5)
START_STACK, START_DATA, END_DATA, START_BRK = 28, 45, 46, 47
FIRST_AFTER_NAME = 3

_kept: tuple[int, ...] | None = None  # (start_data, end_data, start_brk, start_stack): never change


def publish(process: "Process") -> None:
    """Show the program that has just been loaded. Nothing else may run in this process meanwhile (it sets brk)."""
    global _kept
    if _kept is None:
        _kept = _own_layout()
    if not _kept:
        return
    initial, image, table = process.image.initial, process.image.image, process.table
    try:
        arguments = table.host(initial.argv_start, initial.argv_end - initial.argv_start, R)
        variables = table.host(initial.env_start, max(initial.env_end - initial.env_start, 1), R)
    except MemoryFault:
        return  # in pieces
    code = table.lookup(image.text_start)
    if code is None:
        return
    start = process.arena.base + code[0]
    start_data, end_data, start_brk, start_stack = _kept
    new = struct.pack(
        "=12QII",
        start,
        start + max(image.text_end - image.text_start, 1),
        start_data,
        end_data,
        start_brk,
        quick_syscall(SYS["brk"], 0),
        start_stack,
        arguments,
        arguments + initial.argv_end - initial.argv_start,
        variables,
        variables + initial.env_end - initial.env_start,
        0,  # the auxiliary vector stays
        0,
        NO_FILE,
    )
    quick_syscall(SYS["prctl"], PR_SET_MM, PR_SET_MM_MAP, new, len(new), 0)


def _own_layout() -> tuple[int, ...]:
    """Of Octavo's own memory, which the kernel wants to be told again. Empty without /proc."""
    fd = quick_syscall(SYS["openat"], AT_FDCWD, b"/proc/self/stat\0", O_CLOEXEC)
    if fd < 0:
        return ()
    text = bytearray(2048)
    count = quick_syscall(SYS["read"], fd, text, len(text))
    quick_syscall(SYS["close"], fd)
    fields = bytes(text[: max(count, 0)]).rpartition(b") ")[2].split()
    if len(fields) <= START_BRK - FIRST_AFTER_NAME:
        return ()
    wanted = (START_DATA, END_DATA, START_BRK, START_STACK)
    return tuple(int(fields[number - FIRST_AFTER_NAME]) for number in wanted)
