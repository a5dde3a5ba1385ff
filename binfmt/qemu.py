"""The command line of qemu-user, for scripts and tools that call `qemu-ARCH` by its name.

Options and variables are those of QEMU 10 (linux-user/main.c, arg_table). A variable is an option that is given before
the command line. One dash or two, a value is the next word, `--` ends the options, and so does the first word that is
none. Three kinds of them:

- what means the same here (-L -E -U -0 -g -strace -D -r -s -seed -version -help);
- -p, which QEMU itself takes without effect and with a warning;
- what is about QEMU's way of doing it (-B -R -t -tb-size ...): accepted, and one line on stderr says so; none when the
  kernel started us, or every program of a build would print it.

One differs: the port that -g opens is one of localhost, where QEMU's is open to every interface.
"""

import os
import sys

from runtime import arch
from runtime.run_command import (
    PROCESSOR_HELP,
    Options,
    UsageError,
    initial_environment,
    parse_page_size,
    set_variable,
    unset_variable,
)
from runtime.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from binfmt.invocation import Invocation

FAILED = 1

# items of -d that QEMU 10 knows
LOG_ITEMS = """
out_asm in_asm op op_opt op_ind op_plugin int exec cpu fpu mmu pcall cpu_reset unimp guest_errors page nochain plugin
strace tid vpu invalid_mem
"""


class Front:
    """A command line while it is read."""

    __slots__ = ("arch", "cpu_help", "guest", "help", "ignored", "log_help", "options", "version")

    def __init__(self, options: Options, environment: "list[bytes]", arch: bytes) -> None:
        self.options = options
        self.arch = arch.decode(errors="replace")
        self.guest = environment
        self.ignored: list[str] = []  # what has no meaning here, as it was given
        self.help = self.version = self.cpu_help = self.log_help = False

    @property
    def only_text(self) -> bool:
        """Whether all that was asked for is something to read."""
        return self.help or self.version or self.cpu_help or self.log_help


def _prefix(front: Front, value: bytes) -> None:
    front.options.prefixes = tuple(part for part in value.split(b":") if part)


def _set(front: Front, value: bytes) -> None:
    for assignment in value.split(b","):
        front.options.choose(assignment)
        set_variable(front.guest, assignment)


def _unset(front: Front, value: bytes) -> None:
    for name in value.split(b","):
        front.options.choose(name)
        unset_variable(front.guest, name)


def _argv0(front: Front, value: bytes) -> None:
    front.options.argv0 = value


def _uname(front: Front, value: bytes) -> None:
    front.options.uname_release = value


def _stack(front: Front, value: bytes) -> None:
    text = os.fsdecode(value)
    shift = {"k": 10, "m": 20}.get(text[-1:].lower(), 0)
    try:
        size = int(text[:-1] if shift else text, 0) << shift
    except ValueError:
        size = 0
    if not 0 < size < 1 << 63:
        raise UsageError(f"-s {text}: not a number of bytes such as 8388608, 8192k or 8M")
    front.options.stack = size


def _page_size(front: Front, value: bytes) -> None:
    front.options.qemu_page_size(value)


def _strace(front: Front, value: bytes) -> None:
    front.options.strace = True


def _log(front: Front, value: bytes) -> None:
    for item in os.fsdecode(value).split(","):
        if item == "strace":
            front.options.strace = True
        elif item in LOG_ITEMS.split() or item.startswith("trace:") or item in ("", "all", "none"):
            front.ignored.append(f"-d {item}")
        else:
            front.log_help = True


def _log_file(front: Front, value: bytes) -> None:
    front.options.strace_file = value.replace(b"%d", b"%d" % os.getpid())


def _cpu(front: Front, value: bytes) -> None:
    """A model, and properties of it, which have no meaning here."""
    model, *properties = value.split(b",")
    if model in PROCESSOR_HELP:
        front.cpu_help = True
    elif model not in (b"any", b""):
        front.options.cpu = (os.fsdecode(model), "-cpu (QEMU_CPU)")
    front.ignored += [f"-cpu {os.fsdecode(word)}" for word in properties]


def _seed(front: Front, value: bytes) -> None:
    """The 16 bytes at AT_RANDOM, by splitmix64."""
    try:
        state = int(value, 0)
    except ValueError:
        raise UsageError(f"-seed {os.fsdecode(value)}: not a number") from None
    words = b""
    while len(words) < 16:
        state = state + 0x9E3779B97F4A7C15 & (1 << 64) - 1
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        words += (mixed ^ mixed >> 31).to_bytes(8, "little")
    front.options.random = words


def _gdb(front: Front, value: bytes) -> None:
    front.options.gdb = value


def _version(front: Front, value: bytes) -> None:
    front.version = True


def _help(front: Front, value: bytes) -> None:
    front.help = True


class Option:
    """A row of OPTIONS. do None: it is accepted and has no meaning here."""

    __slots__ = ("do", "env", "name", "text", "value")

    def __init__(
        self,
        name: str,
        value: str,
        env: str,
        do: "Callable[[Front, bytes], None] | None",
        text: str,
    ) -> None:
        self.name = name
        self.value = value  # what the help calls it; "": takes none
        self.env = env
        self.do = do
        self.text = text


OPTIONS = (
    Option("h", "", "", _help, "print this help"),
    Option("help", "", "", _help, ""),
    Option("g", "port", "QEMU_GDB", _gdb, "wait for a debugger on this port or Unix socket"),
    Option("L", "path", "QEMU_LD_PREFIX", _prefix, "look for absolute paths under 'path' first"),
    Option("s", "size", "QEMU_STACK_SIZE", _stack, "set the stack's limit to 'size' bytes"),
    Option(
        "cpu", "model", "QEMU_CPU", _cpu, "the processor that the program sees (help: list them)"
    ),
    Option("E", "var=value", "QEMU_SET_ENV", _set, "set variables in the program's environment"),
    Option("U", "var", "QEMU_UNSET_ENV", _unset, "remove variables from it"),
    Option("0", "argv0", "QEMU_ARGV0", _argv0, "give the program this argv[0]"),
    Option("r", "uname", "QEMU_UNAME", _uname, "what uname -r says"),
    Option("B", "address", "QEMU_GUEST_BASE", None, "no meaning here"),
    Option("R", "size", "QEMU_RESERVED_VA", None, "no meaning here"),
    Option("t", "map", "QEMU_RTSIG_MAP", None, "no meaning here"),
    Option("d", "item[,...]", "QEMU_LOG", _log, "strace as -strace; other items: no meaning here"),
    Option("dfilter", "range[,...]", "QEMU_DFILTER", None, "no meaning here"),
    Option("D", "logfile", "QEMU_LOG_FILENAME", _log_file, "where -strace writes (stderr)"),
    Option("p", "pagesize", "QEMU_PAGESIZE", _page_size, "no meaning here since QEMU 9.0"),
    Option("one-insn-per-tb", "", "QEMU_ONE_INSN_PER_TB", None, "no meaning here"),
    Option("singlestep", "", "QEMU_SINGLESTEP", None, "no meaning here"),
    Option("tb-size", "size", "QEMU_TB_SIZE", None, "no meaning here"),
    Option("strace", "", "QEMU_STRACE", _strace, "print the system calls"),
    Option("seed", "number", "QEMU_RAND_SEED", _seed, "make the bytes at AT_RANDOM repeatable"),
    Option("trace", "pattern", "QEMU_TRACE", None, "no meaning here"),
    Option("plugin", "file", "QEMU_PLUGIN", None, "no meaning here"),
    Option("perfmap", "", "QEMU_PERFMAP", None, "no meaning here"),
    Option("jitdump", "", "QEMU_JITDUMP", None, "no meaning here"),
    Option("version", "", "QEMU_VERSION", _version, "print the version"),
)
_BY_NAME = {option.name: option for option in OPTIONS}
_BY_ENV = {option.env.encode(): option for option in OPTIONS if option.env}


def _apply(front: Front, option: Option, value: bytes) -> None:
    if option.do is None:
        front.ignored.append(f"-{option.name}")
    else:
        option.do(front, value)


def _read_environment(front: Front, environment: "list[bytes]") -> None:
    """In the order of the table, as QEMU does."""
    given: dict[bytes, bytes] = {}
    for word in environment:
        name, equals, value = word.partition(b"=")
        if name == b"OCTAVO_PAGE_SIZE" and value:
            front.options.page_size = parse_page_size(os.fsdecode(value))
        elif equals and name in _BY_ENV:
            given.setdefault(name, value)  # as getenv(3): the first one counts
    for name, option in _BY_ENV.items():
        if name in given:
            _apply(front, option, given[name])


def _read_words(front: Front, words: "tuple[bytes, ...]") -> "tuple[bytes, ...]":
    """The options; what is left is the program and its arguments. UsageError."""
    index = 0
    while index < len(words):
        word = words[index]
        if word[:1] != b"-":
            break
        index += 1
        if word == b"--":
            break
        name = os.fsdecode(word[2:] if word[:2] == b"--" else word[1:])
        option = _BY_NAME.get(name)
        if option is None:
            raise UsageError(f"unknown option '{name}'")
        value = b""
        if option.value:
            if index == len(words):
                raise UsageError(f"missing argument for option '{name}'")
            value = words[index]
            index += 1
        _apply(front, option, value)
        if front.only_text:
            return ()
    return words[index:]


def from_environment(options: Options, environment: "list[bytes]", arch: bytes) -> bool:
    """What QEMU_* say, for a program that the kernel handed over. True: QEMU_VERSION asked for the version, which was
    printed (arch-test -n tells an emulated architecture by it). UsageError."""
    guest = list(environment)
    front = Front(options, guest, arch)
    _read_environment(front, environment)
    options.environment = tuple(guest)
    front.log_help = False  # a wrong QEMU_LOG stops nothing
    if front.only_text:
        _print_text(front)
    return front.only_text


def main(name: bytes, called: "Invocation") -> int:
    """`qemu-ARCH ...`. The exit status; a program that started does not come back."""
    shown = os.fsdecode(name.rpartition(b"/")[2])
    own = arch.find(os.fsdecode(called.arch))
    if own is None:
        possible = ", ".join(arch.ARCHITECTURES)
        sys.stderr.write(f"{shown}: no such architecture here; there are {possible}\n")
        return FAILED
    environment = initial_environment()
    guest = list(environment)
    options = Options(architecture=own)
    front = Front(options, guest, called.arch)
    try:
        if not called.secure:
            _read_environment(front, environment)
        rest = () if front.only_text else _read_words(front, called.argv)
        if front.only_text:
            _print_text(front)
            return FAILED if front.log_help or front.cpu_help else 0  # as QEMU
        if not rest or not rest[0]:
            raise UsageError("no user program specified")
    except UsageError as error:
        sys.stderr.write(f"{shown}: {error.args[0]}; {shown} -help lists the options\n")
        return FAILED
    for notice in options.notices:
        sys.stderr.write(f"{shown}: {notice}\n")
    if front.ignored:
        what = ", ".join(dict.fromkeys(front.ignored))
        sys.stderr.write(f"{shown}: no meaning here, ignored: {what}\n")
    options.program = rest[0]
    options.arguments = tuple(rest[1:])
    options.environment = tuple(guest)
    from runtime import run  # noqa: PLC0415  a wrong command line needs none of it

    return run.main(options)


def _print_text(front: Front) -> None:
    if front.help:
        sys.stdout.write(usage(front.arch))
    elif front.version:
        name = f"qemu-{front.arch}: " if front.arch else ""
        sys.stdout.write(f"{name}octavo version {VERSION}\n")
    elif front.cpu_help:
        from runtime.arch import processors  # noqa: PLC0415

        own = arch.find(front.arch)
        known = arch.ARCHITECTURES if own is None else (own,)
        lines = [f"  {model}\n" for name in known for model in processors.names(name)]
        sys.stdout.write(f"Available CPUs:\n{''.join(lines)}")
    else:
        sys.stdout.write("Log items (comma separated):\nstrace          log every system call\n")


def usage(arch: str) -> str:
    """The text of -help."""
    lines = [
        f"usage: qemu-{arch} [options] program [arguments...]",
        f"Octavo {VERSION}, with the command line of qemu-user",
        "",
        f"{'Argument':<21}{'Variable':<22}Description",
    ]
    for option in OPTIONS:
        words = f"-{option.name} {option.value}".rstrip()
        lines.append(f"{words:<21}{option.env:<22}{option.text}".rstrip())
    lines += [
        "",
        "-E and -U take several variables, separated by commas, and can be given several times.",
        "OCTAVO_PAGE_SIZE sets the program's page size: auto, host, 4k, 16k, 64k.",
        "octavo run --help lists what else there is.",
        "",
    ]
    return "\n".join(lines)
