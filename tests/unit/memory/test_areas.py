"""The area map against a dictionary of units."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.memory.areas import GROWSDOWN, Area, AreaMap, File
from tests.effort import tries

UNITS = 48
FILE = File(dev=1, ino=7, name=b"/lib")
Model = dict[int, tuple[object, ...]]

spans = st.tuples(st.integers(0, UNITS - 1), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], UNITS))
)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), spans, st.integers(0, 3), st.booleans()),
        st.tuples(st.just("remove"), spans, st.just(0), st.just(False)),
        st.tuples(st.just("change"), spans, st.integers(0, 3), st.just(False)),
    ),
    max_size=30,
)


def put(areas: AreaMap, start: int, end: int, prot: int, of_file: bool) -> None:
    areas.remove(start, end)
    area = Area(start, end, prot=prot, place=start)
    if of_file:
        area.file, area.offset = FILE, start + 100
    areas.insert(area)


def apply(areas: AreaMap, model: Model, steps: list[Any]) -> None:
    for kind, (start, end), prot, of_file in steps:
        if kind == "set":
            put(areas, start, end, prot, of_file)
            model.update((unit, (prot, of_file)) for unit in range(start, end))
        elif kind == "remove":
            areas.remove(start, end)
            for unit in range(start, end):
                model.pop(unit, None)
        else:

            def alter(area: Area, prot: int = prot) -> None:
                area.prot = prot

            areas.change(start, end, alter)
            for unit in range(start, end):
                if unit in model:
                    model[unit] = (prot, model[unit][1])


@given(operations)
@tries(300)
def test_every_unit_is_as_the_model_says(steps: list[Any]) -> None:
    areas, model = AreaMap(), Model()
    apply(areas, model, steps)
    found = {}
    previous = None
    for area in areas:
        assert area.start < area.end
        if previous is not None:
            assert previous.end <= area.start
            assert not previous.continues(area), "neighbours that differ in nothing are one"
        previous = area
        for unit in range(area.start, area.end):
            found[unit] = (area.prot, area.file is not None)
            assert area.place_of(unit) == unit
            if area.file is not None:
                assert area.offset + unit - area.start == unit + 100
    assert found == model
    assert areas.total == len(model)
    for unit in range(UNITS):
        here = areas.find(unit)
        assert (here is not None) == (unit in model)
        after = areas.following(unit)
        above = [other for other in model if other >= unit]
        assert (after is None) == (not above)
        if after is not None and here is None:
            assert after.start == min(above)


@given(operations, spans)
@tries(200)
def test_questions_about_a_range(steps: list[Any], span: tuple[int, int]) -> None:
    areas, model = AreaMap(), Model()
    apply(areas, model, steps)
    inside = [unit for unit in range(*span) if unit in model]
    assert areas.overlaps(*span) == bool(inside)
    assert areas.covered(*span) == (len(inside) == span[1] - span[0])
    assert areas.free(*span) == (not inside)
    assert sum(piece.length for piece in areas.pieces(*span)) == len(inside)
    before = len(areas)
    splits = areas.splits(*span)
    for piece in areas.remove(*span):
        piece.prot, piece.may = 9, 0
        areas.insert(piece)
    assert len(areas) - before <= splits


@given(operations, st.integers(1, 10), st.sampled_from([1, 2, 4]), st.integers(0, 3))
@tries(300)
def test_gaps(steps: list[Any], length: int, align: int, residue: int) -> None:
    """Also in the middle of a history: what the search remembers must not hide a gap."""
    areas, model = AreaMap(), Model()
    residue %= align
    for step in [*steps, None]:
        fits = [
            at
            for at in range(2, UNITS - length + 1)
            if at % align == residue and not any(u in model for u in range(at, at + length))
        ]
        assert areas.gap_below(length, 2, UNITS, align, residue) == max(fits, default=-1)
        assert areas.gap_above(length, 2, UNITS, align, residue) == min(fits, default=-1)
        if step is not None:
            apply(areas, model, [step])


def test_the_guard_below_a_stack_stays_free() -> None:
    areas = AreaMap(guard=16)
    areas.insert(Area(100, 110, prot=3, flags=GROWSDOWN))
    assert not areas.free(80, 90)
    assert areas.free(74, 84)
    assert areas.gap_below(10, 0, 200, 1) == 190
    assert areas.gap_below(10, 0, 110, 1) == 74
    assert areas.gap_above(10, 70, 200, 1) == 70
    assert areas.gap_above(10, 75, 200, 1) == 110


def test_ten_thousand_areas_are_no_burden() -> None:
    areas = AreaMap()
    for number in range(10_000):
        at = areas.gap_below(1, 1, 1 << 20, 1)
        areas.insert(Area(at, at + 1, prot=number & 1))
    assert len(areas) == 10_000
    # A search that starts at the top again each time looks at all of them: counted, not timed.
    looked = [0]

    class Counting(list[Area]):
        def __getitem__(self, index):
            looked[0] += 1
            return super().__getitem__(index)

    areas._areas = Counting(areas._areas)
    for _ in range(100):
        at = areas.gap_below(1, 1, 1 << 20, 1)
        areas.insert(Area(at, at + 1, prot=at & 1))
    assert looked[0] < 100 * 20
