"""Register, replace and unregister: what is to be done as a list of steps, and the doing.

A registration is replaced without a moment in which the target has no handler: the new one comes first under a
temporary name and wins, since the kernel takes the newest; then the old one goes, the new one gets its name, and the
temporary one goes. Whoever is stopped in between leaves entries behind that are complete and work, and the next
`register` puts them in order. What others have registered is never touched: see magic.py on how ours are known.

Flags: P, O and F. Linux 6.18 has no other but C. Kernels after 7.0 also have T, which leaves argv alone and shows the
program as /proc/PID/exe, and L, for loaders of the machine's own programs. T is not asked for: status tells the pinned
handler by that link (packaging/decisions/flags-the-kernel-takes.md).
"""

import errno

from binfmt import handler, kernel, magic
from binfmt.kernel import BinfmtError, Entry, Registry
from runtime import arch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

PREFIX = "qemu-"  # tools look for these names
TEMPORARY = ".octavo-new"

CREDENTIALS_WARNING = (
    "with flag C a set-id foreign program runs with its owner's rights, in an emulator that was not written for it: "
    "whoever may execute such a program may misuse a fault of the emulator"
)
SCRIPT_WARNING = (
    "{path} is a #! script: it works where this file system is seen and not in a chroot or container; "
    "make launcher builds a handler that works everywhere"
)
DYNAMIC_WARNING = (
    "{path} is dynamically linked: in a chroot or container the kernel will answer "
    '"No such file or directory" unless its libraries are there; a handler should be static'
)
FLAG_LOST = {
    "F": "this kernel does not know flag F (Linux 4.8): in a chroot the handler has to be there too",
    "P": "this kernel does not know flag P: programs do not see the name they were called by",
    "O": "this kernel does not know flag O: programs that cannot be read cannot be run",
}


class Step:
    """One change of the registry."""

    __slots__ = ("registry",)

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def describe(self) -> str:
        raise NotImplementedError

    def execute(self) -> None:
        raise NotImplementedError


class Add(Step):
    """Register an entry, and believe only what the kernel then shows."""

    __slots__ = ("entry",)

    def __init__(self, registry: Registry, entry: Entry) -> None:
        super().__init__(registry)
        self.entry = entry

    def describe(self) -> str:
        return f"register {self.entry.name}"

    def execute(self) -> None:
        self.registry.add(self.entry)
        shown = self.registry.read(self.entry.name)
        if not self.entry.same(shown):
            self.registry.remove(self.entry.name)
            raise BinfmtError(
                f"{self.entry.name}: the kernel shows another entry than was written, so it was taken back "
                f"(wanted {self.entry.magic.hex()}/{self.entry.mask.hex()} {self.entry.flags}, "
                f"found {shown.magic.hex()}/{shown.mask.hex()} {shown.flags})"
            )


class Remove(Step):
    """Take an entry of ours away. Gone already is as good."""

    __slots__ = ("name",)

    def __init__(self, registry: Registry, name: str) -> None:
        super().__init__(registry)
        self.name = name

    def describe(self) -> str:
        return f"unregister {self.name}"

    def execute(self) -> None:
        try:
            self.registry.remove(self.name)
        except FileNotFoundError:
            pass


def wanted(target: str, interpreter: str, flags: str, prefix: str = PREFIX) -> Entry:
    """The entry for a target."""
    facts = arch.load(target)
    asked = magic.of(facts)
    name = prefix + facts.qemu
    path = interpreter.encode(errors="surrogateescape")
    return Entry(name, path, flags, magic=asked.magic, mask=asked.mask)


def choose_flags(interpreter: str, credentials: bool) -> tuple[str, list[str]]:
    """The flags for a handler, and warnings. BinfmtError: it cannot be one."""
    what = handler.kind(interpreter)
    warnings = []
    if what == handler.SCRIPT:
        if credentials:
            raise BinfmtError(
                f"{interpreter}: a #! script cannot be a handler with flag C (--credentials, or the configuration)"
            )
        return "P", [SCRIPT_WARNING.format(path=interpreter)]
    if what == handler.DYNAMIC:
        warnings.append(DYNAMIC_WARNING.format(path=interpreter))
    if credentials:
        warnings.append(CREDENTIALS_WARNING)
    return ("POCF" if credentials else "POF"), warnings


def entries_for(
    interpreter: str, targets: "Iterable[str]", credentials: "Container[str]", prefix: str
) -> tuple[list[tuple[str, Entry]], list[str]]:
    """(target, its entry) for each, and warnings. BinfmtError: the handler cannot be one."""
    rows = []
    warnings: dict[str, None] = {}  # each once
    for target in targets:
        flags, lines = choose_flags(interpreter, target in credentials)
        warnings.update(dict.fromkeys(lines))
        rows.append((target, wanted(target, interpreter, flags, prefix)))
    return rows, list(warnings)


def plan(registry: Registry, entry: Entry) -> "list[Step]":
    """The steps that put `entry` in force under its name. BinfmtError: the name is somebody else's."""
    existing = {found.name: found for found in registry.entries()}
    old = existing.get(entry.name)
    temporary = Entry(
        entry.name + TEMPORARY,
        entry.interpreter,
        entry.flags,
        magic=entry.magic,
        mask=entry.mask,
    )
    left = existing.get(temporary.name)
    if old is not None and not old.ours:
        raise BinfmtError(foreign(old))
    if left is not None and not left.ours:
        raise BinfmtError(foreign(left))
    if old is None:
        steps: list[Step] = [Add(registry, entry)]
        return steps if left is None else [*steps, Remove(registry, temporary.name)]
    return [
        *([] if left is None else [Remove(registry, temporary.name)]),
        Add(registry, temporary),
        Remove(registry, entry.name),
        Add(registry, entry),
        Remove(registry, temporary.name),
    ]


def foreign(entry: Entry) -> str:
    """Why an entry is not replaced, and what can be done."""
    path = entry.interpreter.decode(errors="backslashreplace")
    return (
        f"{entry.name} is registered already, not by octavo (handler {path}), and is left alone; "
        f"remove it (echo -1 > {kernel.PATH}/{entry.name}), or give ours another name "
        "(--name-prefix octavo-): the newest registration wins"
    )


def register(
    registry: Registry,
    targets: "Iterable[str]",
    interpreter: str,
    *,
    prefix: str = PREFIX,
    credentials: "Container[str]" = (),
    warn: "Callable[[str], None]",
    done: "Callable[[Entry], None]" = lambda entry: None,
) -> None:
    """Put the handler in force for the targets. `credentials`: those with flag C. BinfmtError, OSError: those before
    the one that failed stay."""
    rows, warnings = entries_for(interpreter, targets, credentials, prefix)
    entries = [entry for _, entry in rows]
    for entry in entries:
        entry.record()  # whatever cannot be written is said before anything is
    for line in warnings:
        warn(line)
    registry.lock()
    try:
        for entry in entries:
            _register_one(registry, entry, warn)
            done(entry)
    finally:
        registry.unlock()


def _register_one(registry: Registry, entry: Entry, warn: "Callable[[str], None]") -> None:
    """With the flags that the kernel takes."""
    lost = ""
    while True:
        try:
            for step in plan(registry, entry):
                _run(step)
            break
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            less = next((flag for flag in "FOP" if flag in entry.flags), "")
            if not less or "C" in entry.flags:
                raise BinfmtError(f"{entry.name}: the kernel refuses the entry") from None
            entry.flags = entry.flags.replace(less, "")
            lost += less
    for flag in lost:
        warn(FLAG_LOST[flag])


def _run(step: Step) -> None:
    try:
        step.execute()
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise
        hint = ""
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = "; it takes root, or a registry of one's own: octavo binfmt register --user-namespace -- COMMAND"
        elif error.errno == errno.EEXIST:
            hint = "; somebody else has just registered this name"
        raise BinfmtError(f"cannot {step.describe()}: {error.strerror}{hint}") from None


def ours(entries: "Sequence[Entry]") -> list[Entry]:
    return [entry for entry in entries if entry.ours]


def targets_of(entry: Entry) -> list[str]:
    """The targets whose programs an entry matches, whoever made it."""
    heads = ((name, magic.header(arch.load(name))) for name in magic.targets())
    enabled = Entry(
        entry.name,
        entry.interpreter,
        entry.flags,
        magic=entry.magic,
        mask=entry.mask,
        offset=entry.offset,
        extension=entry.extension,
    )
    return [name for name, head in heads if enabled.matches(head)]


def unregister(
    registry: Registry,
    targets: "Iterable[str]",
    *,
    done: "Callable[[str], None]" = lambda name: None,
) -> int:
    """Take away what Octavo has registered for the targets, whatever its name. How many there were."""
    names = set(targets)
    count = 0
    registry.lock()
    try:
        for entry in ours(registry.entries()):
            if names.intersection(targets_of(entry)):
                _run(Remove(registry, entry.name))
                count += 1
                done(entry.name)
    finally:
        registry.unlock()
    return count
