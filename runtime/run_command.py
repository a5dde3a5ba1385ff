"""`octavo run`: from the words of the command line to Options. What happens with them is run.py's.

Not argparse: importing it costs as much as the rest of the start. One and two dashes are both accepted for the long
names, as users of qemu-user write them, and its environment variables work: QEMU_LD_PREFIX, QEMU_SET_ENV,
QEMU_UNSET_ENV, QEMU_ARGV0, QEMU_GDB, QEMU_PAGESIZE and QEMU_STRACE (and OCTAVO_PAGE_SIZE) are read first, then the
command line overrides. The first word that is no option is the program; what follows is the program's alone, dashes or
not.

The odd thing is the environment. Python sets LC_CTYPE in its own when it finds the C locale (PEP 538), and os.environ
cannot say so, nor keep order, duplicates or words without a "="; so the guest's is read from /proc/self/environ.
"""

import os
import sys

from runtime.policy import PageSizeError, parse_size

USAGE = """\
usage: octavo run [--root DIR | -L PREFIX] [OPTIONS] [--] PROGRAM [ARGS...]

  --root DIR            DIR becomes the program's root directory
  -L PREFIX             look for absolute paths under PREFIX first (a list with colons)
  --page-size SIZE      auto, host, throughput, or a number of bytes such as 4k, 16k, 64k
  --cpu MODEL           the processor that the program sees, such as cortex-a53; help lists them
  -E NAME=VALUE         set a variable in the program's environment
  -U NAME               remove one
  -0 ARGV0              give the program this name as its argv[0]
  --strace[=FILE]       print the system calls, to stderr or to FILE
  -g, --gdb PORT|PATH   wait for a debugger on this port of localhost, or socket
  --no-fast-calls       answer every system call in Python
  -h, --help            this text

The exit status is the program's. Errors of octavo itself: 1.
"""

# as qemu-user answers a wrong command line
FAILED = 1
PROCESSOR_HELP = (b"help", b"?")


class UsageError(Exception):
    """The command line is wrong. args == (line,)."""


class ProcessorsWanted(Exception):
    """`--cpu help`: the names are all that is asked for."""


class Options:
    """What `octavo run` was asked to do. Paths and strings are bytes, as the kernel passes them."""

    __slots__ = (
        "architecture",
        "argv0",
        "arguments",
        "by_kernel",
        "chosen_variables",
        "cpu",
        "environment",
        "execfn",
        "fast_calls",
        "gdb",
        "notices",
        "page_size",
        "prefixes",
        "program",
        "program_fd",
        "random",
        "root",
        "secure",
        "stack",
        "strace",
        "strace_file",
        "uname_release",
    )

    def __init__(
        self,
        *,
        program: bytes = b"",
        arguments: tuple[bytes, ...] = (),
        argv0: bytes | None = None,
        environment: tuple[bytes, ...] = (),
        root: bytes | None = None,
        prefixes: tuple[bytes, ...] = (),
        page_size: int | str | None = None,
        cpu: tuple[str, str] | None = None,
        strace: bool = False,
        strace_file: bytes | None = None,
        fast_calls: bool = True,
        gdb: bytes | None = None,
        program_fd: int | None = None,
        execfn: bytes | None = None,
        secure: bool = False,
        by_kernel: bool = False,
        architecture: str | None = None,
        uname_release: bytes | None = None,
        stack: int | None = None,
        random: bytes | None = None,
    ) -> None:
        self.program = program
        self.arguments = arguments  # argv[1:]
        self.argv0 = argv0  # None: the program's name
        self.environment = environment  # b"NAME=VALUE", in the order of execve's envp
        self.root = root
        self.prefixes = prefixes  # never together with root
        self.page_size = page_size  # bytes, a power of two; "auto", "host"; None: not asked for
        self.cpu = cpu  # (name of a processor, the option as it is called); None: not asked for
        self.strace = strace
        self.strace_file = strace_file  # None: stderr
        self.fast_calls = fast_calls
        self.gdb = gdb  # TCP port or path of the socket that waits for a debugger
        # what binfmt_misc passes: AT_EXECFD, closed when the program has started; AT_EXECFN; AT_SECURE
        self.program_fd = program_fd
        self.execfn = execfn
        self.secure = secure
        self.by_kernel = by_kernel  # started by binfmt_misc
        self.chosen_variables: set[bytes] = set()  # that the command line sets or removes
        self.notices: list[str] = []  # lines for stderr before the program starts
        # what only qemu-user's command line can say
        self.architecture = architecture  # the program has to be for this one; None: for any
        self.uname_release = uname_release
        self.stack = stack  # RLIMIT_STACK of the guest, bytes
        self.random = random  # the 16 bytes at AT_RANDOM

    def choose(self, assignment: bytes) -> None:
        """The command line sets (b"NAME=VALUE") or removes (b"NAME") a variable."""
        self.chosen_variables.add(assignment.partition(b"=")[0])

    def qemu_page_size(self, value: bytes) -> None:
        """qemu-user's -p and QEMU_PAGESIZE, which meant the host's page and have no effect since QEMU 9.0: one notice,
        none when it is the host's size."""
        host = os.sysconf("SC_PAGESIZE")
        if not value.isdigit() or int(value) != host:
            notice = (
                f"-p (QEMU_PAGESIZE) cannot change the host's page size ({host}) and is ignored; "
            )
            self.notices[:] = [notice + "--page-size and the configuration choose the program's"]

    @property
    def argv(self) -> list[bytes]:
        """argv as execve takes it."""
        return [self.program if self.argv0 is None else self.argv0, *self.arguments]


def parse_page_size(text: str) -> int | str:
    """As policy.parse_size; UsageError."""
    try:
        return parse_size(text)
    except PageSizeError as error:
        raise UsageError(str(error)) from None


# set at start by the launcher, whose own main() got it
exact_environment: list[bytes] | None = None


def initial_environment() -> list[bytes]:
    """The environment this process was started with, exactly; os.environb where there is no /proc."""
    if exact_environment is not None:
        return list(exact_environment)
    try:
        with open("/proc/self/environ", "rb", buffering=0) as file:
            block = file.readall()
    except OSError:
        block = None
    if block is None:
        return [name + b"=" + value for name, value in os.environb.items()]
    words = block.split(b"\0")
    return words[:-1] if words[-1] == b"" else words


def set_variable(environment: list[bytes], assignment: bytes) -> None:
    """Set b"NAME=VALUE", where the variable stood or at the end. UsageError without a name or a "="."""
    name, equals, _ = assignment.partition(b"=")
    if not name or not equals:
        raise UsageError(f"-E needs NAME=VALUE, not {_text(assignment)!r}")
    start = name + b"="
    places = [index for index, word in enumerate(environment) if word.startswith(start)]
    if places:
        environment[places[0]] = assignment
        for index in reversed(places[1:]):
            del environment[index]
    else:
        environment.append(assignment)


def unset_variable(environment: list[bytes], name: bytes) -> None:
    """Remove every b"NAME=..." of the name. UsageError for a name that cannot be one."""
    if not name or b"=" in name:
        raise UsageError(f"-U needs the name of a variable, not {_text(name)!r}")
    start = name + b"="
    environment[:] = [word for word in environment if not word.startswith(start)]


def parse(words: list[bytes], environment: list[bytes]) -> Options:
    """The Options of a command line (without "octavo run") and an environment. UsageError says what is wrong."""
    options = Options()
    guest = list(environment)
    _from_environment(options, environment, guest)
    rest = _options(options, words, guest)
    if not rest:
        raise UsageError("no program given")
    if not rest[0]:
        raise UsageError("the program's name is empty")
    options.program = rest[0]
    options.arguments = tuple(rest[1:])
    options.environment = tuple(guest)
    return options


def _from_environment(options: Options, environment: list[bytes], guest: list[bytes]) -> None:
    """qemu-user's variables: lists are separated by commas there, and nothing quotes one."""
    for word in environment:
        name, _, value = word.partition(b"=")
        if name == b"QEMU_LD_PREFIX":
            options.prefixes = _prefixes(value)
        elif name == b"QEMU_ARGV0":
            options.argv0 = value
        elif name == b"QEMU_GDB":
            options.gdb = value
        elif name == b"QEMU_STRACE":
            options.strace = True
        elif name == b"QEMU_SET_ENV":
            for assignment in value.split(b","):
                options.choose(assignment)
                set_variable(guest, assignment)
        elif name == b"QEMU_UNSET_ENV":
            for variable in value.split(b","):
                options.choose(variable)
                unset_variable(guest, variable)
        elif name == b"QEMU_PAGESIZE":
            options.qemu_page_size(value)
        elif name == b"OCTAVO_PAGE_SIZE" and value:
            options.page_size = parse_page_size(_text(value))


# name -> whether it takes a value; "?" takes one only after "="
_NAMES = {
    b"root": "=",
    b"L": "=",
    b"page-size": "=",
    b"cpu": "=",
    b"p": "=",
    b"E": "=",
    b"U": "=",
    b"0": "=",
    b"strace": "?",
    b"gdb": "=",
    b"g": "=",
    b"no-fast-calls": "",
}


def _options(options: Options, words: list[bytes], guest: list[bytes]) -> list[bytes]:
    """Read the options; what is left is the program and its arguments."""
    index = 0
    root = prefix = False
    while index < len(words):
        word = words[index]
        if not word.startswith(b"-") or word == b"-":
            break
        index += 1
        if word == b"--":
            break
        name, equals, value = word.lstrip(b"-").partition(b"=")
        kind = _NAMES.get(name) if len(word) - len(word.lstrip(b"-")) <= 2 else None
        if kind is None or (equals and len(name) == 1):
            raise UsageError(f"unknown option {_text(word)!r}")
        if kind == "=" and not equals:
            if index == len(words):
                raise UsageError(f"option {_text(word)!r} needs a value")
            value = words[index]
            index += 1
        elif kind == "" and equals:
            raise UsageError(f"option {_text(word)!r} takes no value")
        if name == b"strace" and equals and not value:
            raise UsageError("option '--strace=' needs a file name")
        _apply(options, name, value, guest)
        root |= name == b"root"
        prefix |= name == b"L"
    if root and prefix:
        raise UsageError("--root and -L exclude each other")
    if root:
        options.prefixes = ()  # the command line is stronger than QEMU_LD_PREFIX
    return words[index:]


def _apply(options: Options, name: bytes, value: bytes, guest: list[bytes]) -> None:
    if name == b"root":
        if not value:
            raise UsageError("--root needs a directory")
        options.root = value
    elif name == b"L":
        options.prefixes = _prefixes(value)
    elif name == b"page-size":
        options.page_size = parse_page_size(_text(value))
    elif name == b"cpu":
        if value in PROCESSOR_HELP:
            raise ProcessorsWanted
        options.cpu = (_text(value), "--cpu")
    elif name == b"p":
        options.qemu_page_size(value)
    elif name == b"E":
        options.choose(value)
        set_variable(guest, value)
    elif name == b"U":
        options.choose(value)
        unset_variable(guest, value)
    elif name == b"0":
        options.argv0 = value
    elif name in (b"gdb", b"g"):
        options.gdb = value
    elif name == b"strace":
        options.strace = True
        options.strace_file = value or None
    else:
        options.fast_calls = False


def _prefixes(value: bytes) -> tuple[bytes, ...]:
    """The directories of a list with colons, as mmdebstrap appends to QEMU_LD_PREFIX; empty ones mean nothing."""
    return tuple(part for part in value.split(b":") if part)


def _text(word: bytes) -> str:
    return word.decode(errors="surrogateescape")


def main(words: list[str]) -> int:
    """Run a program; returns only when it could not be started, or with its exit status."""
    if words and words[0] in ("-h", "--help", "-help"):
        sys.stdout.write(USAGE)
        return 0
    try:
        options = parse([os.fsencode(word) for word in words], initial_environment())
    except ProcessorsWanted:
        from runtime.arch import processors  # noqa: PLC0415

        sys.stdout.write(processors.listing())
        return 0
    except UsageError as error:
        sys.stderr.write(f"octavo run: {error.args[0]}; octavo run --help lists the options\n")
        return FAILED
    for notice in options.notices:
        sys.stderr.write(f"octavo run: {notice}\n")
    from runtime import run  # noqa: PLC0415  a wrong command line needs none of it

    return run.main(options)
