"""Kept translations against a model engine that knows from which bytes each translation was made."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.memory.translations import Identity, Translations
from tests.effort import tries

UNITS = 16
LIB, OTHER = (1, 2, 3, 4, 5, 0), (1, 9, 3, 4, 5, 0)
spans = st.tuples(st.integers(0, UNITS - 1), st.integers(1, 8)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], UNITS))
)
steps = st.lists(
    st.tuples(st.sampled_from(["lib", "other", "zero", "write", "run", "grant"]), spans),
    max_size=40,
)


class Machine:
    """Each unit holds a value (its bytes), whether a guest may write or execute it, and whose translation is kept."""

    def __init__(self) -> None:
        self.value = [0] * UNITS
        self.identity: list[Identity | None] = [None] * UNITS
        self.writable = [False] * UNITS
        self.executable = [False] * UNITS
        self.translated: dict[int, int] = {}
        self.serial = 1000
        self.dropped = 0
        self.kept = Translations(self.invalidate)

    def invalidate(self, offset: int, length: int) -> None:
        for unit in range(offset, offset + length):
            self.dropped += unit in self.translated
            self.translated.pop(unit, None)

    def put(self, start: int, end: int, identity: Identity | None) -> None:
        """mmap of a file (executable) or of zero memory (writable)."""
        self.kept.replaced(start, end - start)
        for unit in range(start, end):
            self.serial += 1
            self.value[unit] = unit + 100 * identity[1] if identity else self.serial
            self.identity[unit] = identity
            self.writable[unit] = identity is None
            self.executable[unit] = identity is not None
        if identity:
            self.kept.executable(start, end - start, identity)
        else:
            self.kept.written(start, end - start)

    def write(self, start: int, end: int) -> None:
        """mprotect to writable and a store; the engine sees the store."""
        self.kept.written(start, end - start)
        for unit in range(start, end):
            self.serial += 1
            self.value[unit], self.identity[unit] = self.serial, None
            self.writable[unit] = True
            self.translated.pop(unit, None)

    def grant(self, start: int, end: int) -> None:
        """mprotect to executable; identity only where nothing was writable."""
        for unit in range(start, end):
            identity = None if self.writable[unit] else self.identity[unit]
            self.kept.executable(unit, 1, identity)
            self.executable[unit] = True

    def run(self, start: int, end: int) -> None:
        for unit in range(start, end):
            if self.executable[unit]:
                found = self.translated.setdefault(unit, self.value[unit])
                assert found == self.value[unit], f"stale translation at {unit}"


@given(steps)
@tries(500)
def test_nothing_stale_is_ever_run(history: list[Any]) -> None:
    machine = Machine()
    for what, (start, end) in history:
        if what in ("lib", "other", "zero"):
            machine.put(start, end, {"lib": LIB, "other": OTHER, "zero": None}[what])
        else:
            getattr(machine, what)(start, end)
    machine.run(0, UNITS)


def test_what_comes_back_is_kept() -> None:
    machine = Machine()
    machine.put(0, 8, LIB)
    machine.run(0, 8)
    machine.kept.replaced_all()
    machine.put(0, 8, None)
    machine.put(0, 8, LIB)
    machine.run(0, 8)
    assert machine.dropped == 0


def test_exactly_what_differs_goes() -> None:
    machine = Machine()
    machine.put(0, 8, LIB)
    machine.run(0, 8)
    machine.put(2, 5, OTHER)
    assert machine.dropped == 3
    machine.put(2, 5, LIB)
    machine.run(0, 8)
    assert machine.dropped == 3  # nothing had been translated there in between


def test_a_written_library_is_not_the_file() -> None:
    machine = Machine()
    machine.put(0, 4, LIB)
    machine.run(0, 4)
    machine.write(1, 2)
    machine.run(0, 4)
    machine.put(0, 4, LIB)
    machine.run(0, 4)
    assert machine.dropped == 1
