"""siginfo_t: from the host's 128 bytes to the guest's and back, by what its code says it holds."""

from runtime.abi.linux import SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGPOLL, SIGSEGV, SIGTRAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.task.task import Task

SIZE = 128  # bytes, on every ABI

SI_TIMER, SI_SIGIO = -2, -5
NSIGPOLL = 6  # codes of SIGPOLL, asm-generic/siginfo.h
_FAULTS = frozenset((SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV))


class SigInfo:
    """A signal's information in generic numbering. kind tells which fields mean something:
    "fault" address, trap; "child" pid, uid, status, utime, stime; "timer" timer, overrun, value; "poll" band, fd;
    "queue" pid, uid, value (also plain kill: value 0). value: the sigval as an integer of a pointer's width."""

    __slots__ = (
        "address",
        "code",
        "error",
        "first",
        "kind",
        "second",
        "signo",
        "status",
        "stime",
        "trap",
        "utime",
        "value",
    )

    def __init__(
        self,
        signo: int,
        code: int,
        kind: str,
        *,
        error: int = 0,
        address: int = 0,
        trap: int = 0,
        first: int = 0,  # pid, timer id, fd
        second: int = 0,  # uid, overrun, band
        value: int = 0,
        status: int = 0,
        utime: int = 0,
        stime: int = 0,
    ) -> None:
        self.signo = signo
        self.code = code
        self.kind = kind
        self.error = error
        self.address = address
        self.trap = trap
        self.first = first
        self.second = second
        self.value = value
        self.status = status
        self.utime = utime
        self.stime = stime


def fault_info(signo: int, code: int, address: int, trap: int = 0) -> SigInfo:
    """Of a synchronous signal; kernel force_sig_fault."""
    kind = "queue" if code == 0x80 else "fault"  # SI_KERNEL carries no address
    return SigInfo(signo, code, kind, address=address, trap=trap)


def _kind(signo: int, code: int) -> str:
    if code == SI_TIMER:
        return "timer"
    if code > 0:
        if signo in _FAULTS:
            return "fault"
        if signo == SIGCHLD:
            return "child"
        if signo == SIGPOLL or code <= NSIGPOLL:  # of another signal: chosen with F_SETSIG
            return "poll"
    return "poll" if code == SI_SIGIO else "queue"


def _field(data: bytes, offset: int, size: int, signed: bool = True) -> int:
    return int.from_bytes(data[offset : offset + size], "little", signed=signed)


def host_info(task: "Task", data: bytes) -> SigInfo:
    """From the host's siginfo_t: 64-bit, little-endian, union at byte 16."""
    signo, error, code = _field(data, 0, 4), _field(data, 4, 4), _field(data, 8, 4)
    kind = _kind(signo, code)
    info = SigInfo(signo, code, kind, error=error)
    if kind == "fault":
        info.address = _field(data, 16, 8, signed=False)
    elif kind == "poll":
        info.second, info.first = _field(data, 16, 8), _field(data, 24, 4)
    else:
        info.first, info.second = _field(data, 16, 4), _field(data, 20, 4)
        if kind == "child":
            info.status = _field(data, 24, 4)
            info.utime, info.stime = _field(data, 32, 8), _field(data, 40, 8)
        else:
            info.value = _field(data, 24, 8, signed=False)
    return info


def guest_info(arch: "Architecture", info: SigInfo) -> bytes:
    """The guest's 128 bytes. The union is at 12 on 32-bit ABIs, at 16 on others; mips has si_code before si_errno."""
    order, long = arch.model.endian, arch.model.long
    union = 16 if long == 8 else 12
    data = bytearray(SIZE)

    def put(offset: int, size: int, value: int) -> None:
        data[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, order)

    encode = arch.constants.encode
    error_at, code_at = (8, 4) if arch.siginfo_code_first else (4, 8)
    put(0, 4, encode("signal", info.signo))
    put(error_at, 4, info.error)
    put(code_at, 4, encode("si_code", info.code))
    if info.kind == "fault":
        put(union, long, info.address)
    elif info.kind == "poll":
        put(union, long, info.second)
        put(union + long, 4, info.first)
    else:
        put(union, 4, info.first)
        put(union + 4, 4, info.second)
        if info.kind == "child":
            status = info.status
            put(union + 8, 4, encode("signal", status) if info.code != 1 else status)  # CLD_EXITED
            times = union + 16 if long == 8 else union + 12
            put(times, long, info.utime)
            put(times + long, long, info.stime)
        else:
            # A sigval came from a guest of the same word size (or is 32-bit and zero-extended): its low bytes on
            # the host are the guest's int or pointer.
            put(union + 8, long, info.value)
    return bytes(data)


def put_host_info(task: "Task", address: int, data: bytes) -> None:
    """Store a siginfo_t the host gave (waitid, sigtimedwait) in the guest's layout."""
    task.memory.access.write(address, guest_info(task.arch, host_info(task, data)))


def to_host_info(task: "Task", address: int, signo: int) -> bytes:
    """The host's siginfo_t from the guest's, for rt_sigqueueinfo(2). EFAULT."""
    arch = task.arch
    data = task.memory.access.read(address, SIZE)
    order, long = arch.model.endian, arch.model.long
    union = 16 if long == 8 else 12
    code_at = 4 if arch.siginfo_code_first else 8

    def take(offset: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(data[offset : offset + size], order, signed=signed)

    host = bytearray(SIZE)
    for at, size, value in (
        (0, 4, signo),
        (8, 4, arch.constants.decode("si_code", take(code_at, 4, True)) & 0xFFFFFFFF),
        (16, 4, take(union, 4)),
        (20, 4, take(union + 4, 4)),
        (24, 8, take(union + 8, long)),
    ):
        host[at : at + size] = value.to_bytes(size, "little")
    return bytes(host)
