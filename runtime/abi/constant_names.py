"""The generic numbers by name (asm-generic, as on x86-64), for constants.py; tests/unit/abi asks the compilers."""

GENERIC: dict[str, dict[str, int]] = {
    "open": {
        "O_WRONLY": 0x1, "O_RDWR": 0x2, "O_CREAT": 0x40, "O_EXCL": 0x80, "O_NOCTTY": 0x100,
        "O_TRUNC": 0x200, "O_APPEND": 0x400, "O_NONBLOCK": 0x800, "O_DSYNC": 0x1000,
        "FASYNC": 0x2000, "O_DIRECT": 0x4000, "O_LARGEFILE": 0x8000, "O_DIRECTORY": 0x10000,
        "O_NOFOLLOW": 0x20000, "O_NOATIME": 0x40000, "O_CLOEXEC": 0x80000, "__O_SYNC": 0x100000,
        "O_PATH": 0x200000, "__O_TMPFILE": 0x400000,
    },
    "mmap": {
        "MAP_SHARED": 0x1, "MAP_PRIVATE": 0x2, "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20,
        "MAP_GROWSDOWN": 0x100, "MAP_DENYWRITE": 0x800, "MAP_EXECUTABLE": 0x1000,
        "MAP_LOCKED": 0x2000, "MAP_NORESERVE": 0x4000, "MAP_POPULATE": 0x8000,
        "MAP_NONBLOCK": 0x10000, "MAP_STACK": 0x20000, "MAP_HUGETLB": 0x40000,
        "MAP_SYNC": 0x80000, "MAP_FIXED_NOREPLACE": 0x100000,
    },
    "mlockall": {
        "MCL_CURRENT": 0x1, "MCL_FUTURE": 0x2, "MCL_ONFAULT": 0x4,
    },
    "signal": {
        "SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGTRAP": 5, "SIGABRT": 6,
        "SIGBUS": 7, "SIGFPE": 8, "SIGKILL": 9, "SIGUSR1": 10, "SIGSEGV": 11, "SIGUSR2": 12,
        "SIGPIPE": 13, "SIGALRM": 14, "SIGTERM": 15, "SIGSTKFLT": 16, "SIGCHLD": 17,
        "SIGCONT": 18, "SIGSTOP": 19, "SIGTSTP": 20, "SIGTTIN": 21, "SIGTTOU": 22, "SIGURG": 23,
        "SIGXCPU": 24, "SIGXFSZ": 25, "SIGVTALRM": 26, "SIGPROF": 27, "SIGWINCH": 28, "SIGIO": 29,
        "SIGPWR": 30, "SIGSYS": 31,
    },
    "sighow": {
        "SIG_BLOCK": 0, "SIG_UNBLOCK": 1, "SIG_SETMASK": 2,
    },
    "sa_flags": {
        "SA_NOCLDSTOP": 0x1, "SA_NOCLDWAIT": 0x2, "SA_SIGINFO": 0x4, "SA_ONSTACK": 0x8000000,
        "SA_RESTART": 0x10000000, "SA_NODEFER": 0x40000000, "SA_RESETHAND": 0x80000000,
        "SA_RESTORER": 0x4000000,
    },
    "si_code": {  # those that are no cause of one signal
        "SI_USER": 0, "SI_QUEUE": -1, "SI_TIMER": -2, "SI_MESGQ": -3, "SI_ASYNCIO": -4, "SI_SIGIO": -5,
        "SI_TKILL": -6,
    },
    "resource": {
        "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4,
        "RLIMIT_RSS": 5, "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8,
        "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10, "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12,
        "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
    },
    "poll": {
        "POLLIN": 0x1, "POLLPRI": 0x2, "POLLOUT": 0x4, "POLLERR": 0x8, "POLLHUP": 0x10,
        "POLLNVAL": 0x20, "POLLRDNORM": 0x40, "POLLRDBAND": 0x80, "POLLWRNORM": 0x100,
        "POLLWRBAND": 0x200, "POLLMSG": 0x400, "POLLREMOVE": 0x1000, "POLLRDHUP": 0x2000,
    },
    "fcntl": {
        "F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_GETLK": 5,
        "F_SETLK": 6, "F_SETLKW": 7, "F_SETOWN": 8, "F_GETOWN": 9, "F_SETSIG": 10, "F_GETSIG": 11,
        "F_SETOWN_EX": 15, "F_GETOWN_EX": 16, "F_GETOWNER_UIDS": 17, "F_OFD_GETLK": 36,
        "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38, "F_GETLK64": 12, "F_SETLK64": 13, "F_SETLKW64": 14,
    },
    "socket_option": {
        "SO_DEBUG": 1, "SO_REUSEADDR": 2, "SO_TYPE": 3, "SO_ERROR": 4, "SO_DONTROUTE": 5,
        "SO_BROADCAST": 6, "SO_SNDBUF": 7, "SO_RCVBUF": 8, "SO_SNDBUFFORCE": 32,
        "SO_RCVBUFFORCE": 33, "SO_KEEPALIVE": 9, "SO_OOBINLINE": 10, "SO_NO_CHECK": 11,
        "SO_PRIORITY": 12, "SO_LINGER": 13, "SO_BSDCOMPAT": 14, "SO_REUSEPORT": 15,
        "SO_PASSCRED": 16, "SO_PEERCRED": 17, "SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19,
        "SO_RCVTIMEO_OLD": 20, "SO_SNDTIMEO_OLD": 21, "SO_SECURITY_AUTHENTICATION": 22,
        "SO_SECURITY_ENCRYPTION_TRANSPORT": 23, "SO_SECURITY_ENCRYPTION_NETWORK": 24,
        "SO_BINDTODEVICE": 25, "SO_ATTACH_FILTER": 26, "SO_DETACH_FILTER": 27, "SO_PEERNAME": 28,
        "SO_ACCEPTCONN": 30, "SO_PEERSEC": 31, "SO_PASSSEC": 34, "SO_MARK": 36, "SO_PROTOCOL": 38,
        "SO_DOMAIN": 39, "SO_RXQ_OVFL": 40, "SO_WIFI_STATUS": 41, "SO_PEEK_OFF": 42,
        "SO_NOFCS": 43, "SO_LOCK_FILTER": 44, "SO_SELECT_ERR_QUEUE": 45, "SO_BUSY_POLL": 46,
        "SO_MAX_PACING_RATE": 47, "SO_BPF_EXTENSIONS": 48, "SO_INCOMING_CPU": 49,
        "SO_ATTACH_BPF": 50, "SO_ATTACH_REUSEPORT_CBPF": 51, "SO_ATTACH_REUSEPORT_EBPF": 52,
        "SO_CNX_ADVICE": 53, "SCM_TIMESTAMPING_OPT_STATS": 54, "SO_MEMINFO": 55,
        "SO_INCOMING_NAPI_ID": 56, "SO_COOKIE": 57, "SCM_TIMESTAMPING_PKTINFO": 58,
        "SO_PEERGROUPS": 59, "SO_ZEROCOPY": 60, "SO_TXTIME": 61, "SO_BINDTOIFINDEX": 62,
        "SO_TIMESTAMP_OLD": 29, "SO_TIMESTAMPNS_OLD": 35, "SO_TIMESTAMPING_OLD": 37,
        "SO_TIMESTAMP_NEW": 63, "SO_TIMESTAMPNS_NEW": 64, "SO_TIMESTAMPING_NEW": 65,
        "SO_RCVTIMEO_NEW": 66, "SO_SNDTIMEO_NEW": 67, "SO_DETACH_REUSEPORT_BPF": 68,
        "SO_PREFER_BUSY_POLL": 69, "SO_BUSY_POLL_BUDGET": 70, "SO_NETNS_COOKIE": 71,
        "SO_BUF_LOCK": 72, "SO_RESERVE_MEM": 73, "SO_TXREHASH": 74, "SO_RCVMARK": 75,
    },
    # _IOC direction fields of <asm/ioctl.h>, not shifted; see ioctls.py
    "ioctl_direction": {"NONE": 0, "WRITE": 1, "READ": 2},
    "socket_level": {
        "SOL_SOCKET": 1,
    },
    "socket_type": {
        "SOCK_STREAM": 0x1, "SOCK_DGRAM": 0x2, "SOCK_RAW": 0x3, "SOCK_RDM": 0x4,
        "SOCK_SEQPACKET": 0x5, "SOCK_DCCP": 0x6, "SOCK_PACKET": 0xa, "SOCK_NONBLOCK": 0x800,
        "SOCK_CLOEXEC": 0x80000,
    },
}  # fmt: skip

# Domains whose values are sets of bits.
FLAG_DOMAINS = frozenset({"open", "mmap", "mlockall", "sa_flags", "poll", "socket_type"})

# The bit that an unknown flag becomes, one that no kernel gives a meaning.
UNKNOWN_BITS = {
    "open": 1 << 30,
    "mmap": 1 << 25,
    "mlockall": 1 << 30,
    "sa_flags": 1 << 22,
    "poll": 0,
    "socket_type": 1 << 30,
}

# Flag domains with an enumeration in their low bits: domain -> mask.
MIXED_DOMAINS = {"socket_type": 0xF}
