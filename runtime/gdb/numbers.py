"""GDB's numbers of signals (include/gdb/signals.def of its source), which are no kernel's."""

_NAMED = {
    1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6,  # HUP INT QUIT ILL TRAP ABRT
    7: 10, 8: 8, 9: 9, 10: 30, 11: 11, 12: 31,  # BUS FPE KILL USR1 SEGV USR2
    13: 13, 14: 14, 15: 15, 17: 20, 18: 19, 19: 17,  # PIPE ALRM TERM CHLD CONT STOP
    20: 18, 21: 21, 22: 22, 23: 16, 24: 24, 25: 25,  # TSTP TTIN TTOU URG XCPU XFSZ
    26: 26, 27: 27, 28: 28, 29: 23, 30: 32, 31: 12,  # VTALRM PROF WINCH IO PWR SYS
    32: 77, 64: 78,  # the real-time signals, less the first and the last
    **{number: number + 12 for number in range(33, 64)},
}  # fmt: skip
_BACK = {theirs: ours for ours, theirs in _NAMED.items()}
UNKNOWN = 143  # SIGSTKFLT


def to_gdb(signo: int) -> int:
    """GDB's number for a generic one."""
    return _NAMED.get(signo, UNKNOWN)


def from_gdb(number: int) -> int:
    """The generic number for GDB's; 0, no signal, for 0 and what Linux does not have."""
    return _BACK.get(number, 0)
