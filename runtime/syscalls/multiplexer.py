"""Calls that carry another call (socketcall, ipc): the inner one goes through its own definition, as if the guest had
made it with these registers."""

from runtime.abi.errors import ENOSYS
from runtime.arch.table import Row
from runtime.syscalls.registry import DEFINITIONS, Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.task.task import Task


_calls: dict[
    tuple[str, str, str], Call
] = {}  # (architecture, entry, variant): a cache of constants


def multiplex(task: "Task", entry: str, variant: str, arguments: "Sequence[int]") -> int:
    """The result of `entry` with these arguments, each a register of the guest."""
    key = (task.arch.name, entry, variant)
    call = _calls.get(key)
    if call is None:
        definition = DEFINITIONS.get(entry)
        if definition is None:
            return -ENOSYS
        call = _calls[key] = Call(task.arch, Row((-1, entry, entry, variant)), definition)
    result = call(task, (0, *arguments, 0, 0, 0, 0, 0, 0))
    return -ENOSYS if result is None else result
