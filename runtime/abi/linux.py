"""Linux's numbers in their generic form, for what the runtime itself says to the host or compares with.

Only numbers that are the same on every host that Octavo runs on, so O_DIRECT and its like, which arm64 moves, are
translated on the way (syscalls/hostflags.py). What a guest calls them is the business of constants.py and of the
architectures; the flags of mappings are in memory/flags.py.
"""

# include/uapi/linux/limits.h, linux/uio.h, linux/err.h, linux/sched.h
PATH_MAX = 4096  # bytes with the NUL
UIO_MAXIOV = 1024  # segments of one call
MAX_ERRNO = 4095
OVERFLOW_ID = 65534  # what an id becomes that does not fit 16 bits

# include/uapi/asm-generic/fcntl.h
O_ACCMODE = 0o3
O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
O_CREAT, O_EXCL, O_TRUNC = 0o100, 0o200, 0o1000
O_NONBLOCK = 0o4000
O_DIRECTORY, O_NOFOLLOW = 0o200000, 0o400000  # arm64 moves these two
O_CLOEXEC, O_PATH = 0o2000000, 0o10000000
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW = range(8)
F_DUPFD_CLOEXEC = 1030
FD_CLOEXEC = 1
SEEK_SET, SEEK_CUR = 0, 1

# include/uapi/linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW = 0x100, 0x200, 0x400
AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_RECURSIVE = 0x800, 0x1000, 0x8000

# include/uapi/linux/stat.h
S_IFMT, S_IFLNK, S_IFREG, S_IFDIR = 0o170000, 0o120000, 0o100000, 0o040000
S_ISUID, S_ISGID, S_IXGRP = 0o4000, 0o2000, 0o010

# arch/x86/include/uapi/asm/signal.h, include/uapi/asm-generic/siginfo.h
SIGINT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV = 2, 4, 5, 6, 7, 8, 9, 11
SIGTSTP, SIGTTIN, SIGTTOU = 20, 21, 22
SIGPIPE, SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH, SIGPOLL, SIGSYS = (
    13, 17, 18, 19, 23, 28, 29, 31,
)  # fmt: skip
SIG_DFL, SIG_IGN = 0, 1
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_SIGINFO, SA_RESTORER = 0x1, 0x2, 0x4, 0x04000000
SA_ONSTACK, SA_RESTART, SA_NODEFER, SA_RESETHAND = 0x08000000, 0x10000000, 0x40000000, 0x80000000
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31
TRAP_BRKPT = 1

# include/uapi/linux/sched.h, linux/mount.h
CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_BIND, MS_MOVE = 0x1000, 0x2000

# include/linux/socket.h
SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_ICMPV6, SOL_RAW = 0, 1, 6, 17, 41, 58, 255
