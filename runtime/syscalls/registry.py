"""From a number in a register to a Python function, and back to a number: decode, call, one exit for errors.

Handlers are keyed by kernel entry point; an architecture's table says which number means which entry and in which
flavour (`Row.variant`). Binding a row to its handler happens at the first call and is kept, over fork and exec too; so
does, out of the bundle, the import of the handler's module.
"""

import _thread
import os

from runtime import bundle
from runtime._core import ERESTART, MemoryFault
from runtime.abi.errors import EFAULT, ENOSYS, GuestError
from runtime.abi.linux import MAX_ERRNO
from runtime.syscalls.kinds import Argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from runtime.arch.architecture import Architecture
    from runtime.arch.table import Row
    from runtime.task.task import Task

    Handler = Callable[..., int | None]
    F = TypeVar("F", bound=Handler)

FAST_WIDE = frozenset(
    {"lseek", "pread64", "pwrite64"}
)  # an argument or result of 64 bits in one register
# Native twins that store words in the host's order, or move data that may be words of the kernel's (event_data.py).
FAST_HOST_ORDER = frozenset({"clock_gettime64", "read", "write"})


class Definition:
    """One kernel entry point that Octavo implements. `fast` names its twin in the native core, where it has one."""

    __slots__ = ("entry", "fast", "handler", "kinds", "names")

    def __init__(self, entry: str, handler: "Handler", fast: str) -> None:
        self.entry = entry
        self.handler = handler
        self.fast = fast
        notes = dict(handler.__annotations__)
        notes.pop("return", None)
        notes.pop("task")
        self.names = tuple(notes)
        self.kinds: tuple[type[Argument], ...] = tuple(notes.values())


DEFINITIONS: dict[str, Definition] = {}  # filled at import by @syscall, constant afterwards
DECLINED: dict[str, str] = {}  # entry -> why it answers ENOSYS on purpose (declined.py)

# A child of fork must not inherit a module that another thread has half imported.
_importing = _thread.allocate_lock()
os.register_at_fork(
    before=_importing.acquire,
    after_in_parent=_importing.release,
    after_in_child=_importing.release,
)


def _import(module: str) -> None:
    with _importing:
        __import__(module)


def definition(entry: str) -> Definition | None:
    """What implements a kernel entry point, if anything does."""
    found = DEFINITIONS.get(entry)
    if found is None and bundle.current is not None:
        place = bundle.current.header.families.get(entry)
        if place is not None:
            _import(place[0])
            found = DEFINITIONS[entry]
    return found


def fast_twin(entry: str) -> str:
    """The name of the native call that answers an entry point, or "". Imports nothing."""
    if bundle.current is not None:
        place = bundle.current.header.families.get(entry)
        return place[1] if place is not None else ""
    found = DEFINITIONS.get(entry)
    return found.fast if found is not None else ""


if TYPE_CHECKING:

    @overload
    def syscall(handler: F) -> F: ...
    @overload
    def syscall(*, entry: str = "", fast: str = "") -> Callable[[F], F]: ...


def syscall(handler: "Any" = None, *, entry: str = "", fast: str = "") -> "Any":
    """Define the handler of a kernel entry point, named by the function unless `entry` says otherwise.

    The handler gets the Task and decoded arguments and returns the result: >= 0, -errno in the generic numbering,
    -ERESTART from an interrupted host call, or None when the registers are already what they have to be (sigreturn,
    execve). GuestError, OSError and MemoryFault become errnos.
    """

    def define(function: "Handler") -> "Handler":
        name = entry or function.__name__
        if name in DEFINITIONS:
            raise ValueError(f"two handlers for {name}")
        DEFINITIONS[name] = Definition(name, function, fast)
        return function

    return define if handler is None else define(handler)


class Call:
    """A table row bound to its definition for one architecture: ready to be called with a register list."""

    __slots__ = ("definition", "handler", "plan", "row", "width")

    def __init__(self, arch: "Architecture", row: "Row", definition: Definition) -> None:
        self.row = row
        self.definition = definition
        self.handler = definition.handler
        self.plan = tuple(_plan(arch, row, definition))
        # Registers that are looked at, with the number's.
        self.width = 1 + max((max(low, high or 0) for low, high, _ in self.plan), default=0)

    def __call__(self, task: "Task", registers: "tuple[int, ...]") -> "int | None":
        """registers: (number, a0, a1, ...) as the core gives them."""
        arguments = []
        for low, high, decode in self.plan:
            raw = registers[low] if high is None else registers[low] | registers[high] << 32
            arguments.append(raw if decode is None else decode(task, raw))
        return self.handler(task, *arguments)

    def show(self, task: "Task", registers: "tuple[int, ...]", result: int) -> str:
        """The call as --strace prints it, without the result."""
        raws = [
            registers[low] if high is None else registers[low] | registers[high] << 32
            for low, high, _ in self.plan
        ]
        task.trace_variant = self.row.variant
        shown = [
            kind.show(task, raw, raws[i + 1] if i + 1 < len(raws) else 0, result)
            for i, (kind, raw) in enumerate(zip(self.definition.kinds, raws, strict=True))
        ]
        return f"{self.row.name}({', '.join(shown)})"


def _plan(
    arch: "Architecture", row: "Row", definition: Definition
) -> "list[tuple[int, int | None, Any]]":
    """(index of the register, index of the high half or None, decoder) per argument; index 0 is the call's number."""
    plan: list[tuple[int, int | None, Any]] = []
    index = 1
    for kind in definition.kinds:
        decode = kind.bind(arch, row)
        if not kind.pair or arch.elf_class == 64:
            plan.append((index, None, decode))
            index += 1
            continue
        if arch.pair_alignment and index % 2 == 0:
            index += 1  # the pair starts at an even argument: a0, a2, a4
        low, high = (index + 1, index) if arch.elf_data == 2 else (index, index + 1)
        plan.append((low, high, decode))
        index += 2
    return plan


class SyscallTable:
    """All rows of one architecture, bound to handlers as they are first called."""

    def __init__(self, arch: "Architecture") -> None:
        self.arch = arch
        self.rows = arch.syscalls()
        self.calls: dict[int, Call | None] = {}
        self.reported: set[int] = set()

    def find(self, number: int) -> "Call | None":
        """None: not implemented, or not a system call at all."""
        try:
            return self.calls[number]
        except KeyError:
            row = self.rows.get(number)
            found = definition(row.entry) if row else None
            call = Call(self.arch, row, found) if row and found else None
            self.calls[number] = call
            return call

    def fast(self) -> dict[int, str]:
        """Number -> native fast call, for Engine.fast_calls."""
        return {
            number: twin
            for number, row in self.rows.items()
            if (twin := fast_twin(row.entry))
            and not row.variant
            and not (self.arch.model.big and twin in FAST_HOST_ORDER)
            and not (self.arch.elf_class == 32 and twin in FAST_WIDE)
        }

    def unknown(self, task: "Task", number: int) -> int:
        """ENOSYS, with one log line per number and process."""
        if number not in self.reported:
            self.reported.add(number)
            row = self.rows.get(number)
            _import("runtime.syscalls.declined")
            if row is None:
                task.log(f"system call {number} does not exist on {self.arch.name}: ENOSYS")
            elif row.entry not in DECLINED:
                task.log(f"system call {row.name} is not implemented: ENOSYS")
        return -ENOSYS

    def _on_stack(self, task: "Task", count: int) -> tuple[int, ...]:
        """Arguments beyond the registers (mips o32). MemoryFault, which the kernel too makes EFAULT."""
        arch = self.arch
        size = arch.model.long
        at = task.cpu.get(arch.engine.sp) + arch.stack_arguments
        data = task.memory.access.read(at, size * count)
        return tuple(
            int.from_bytes(data[i : i + size], "big" if arch.model.big else "little")
            for i in range(0, size * count, size)
        )

    def number(self, entry: str) -> int:
        """The number of the first row with this kernel entry. KeyError."""
        for number, row in self.rows.items():
            if row.entry == entry:
                return number
        raise KeyError(entry)

    def dispatch(self, task: "Task", registers: "tuple[int, ...] | None" = None) -> "int | None":
        """Carry out the call in `registers`, or task.cpu.call. The result in the generic errno numbering, or None."""
        if registers is None:
            registers = task.cpu.call
        call = self.find(registers[0])
        if call is None:
            result: int | None = self.unknown(task, registers[0])
        else:
            try:
                if call.width > len(registers):
                    registers += self._on_stack(task, call.width - len(registers))
                result = call(task, registers)
            except GuestError as error:
                result = -error.errno
            except MemoryFault:
                result = -EFAULT
            except OSError as error:
                result = -refuse_unknown(error)
        if task.process.trace is not None and result != -ERESTART:
            missing = call.width - len(registers) if call else 0  # the stack could not be read
            task.process.trace.call(task, call, registers + (0,) * missing, result)
        return result


def refuse_unknown(error: OSError) -> int:
    """The errno of a host error; one without an errno is a defect of ours, not a guest's error."""
    if error.errno is None or not 0 < error.errno <= MAX_ERRNO:
        raise error
    return error.errno
