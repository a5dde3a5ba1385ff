"""pagemap and what is counted from it, at every pair of page sizes, from a host's pagemap that is made up."""

import os
import struct

import pytest

from runtime.memory import report
from runtime.memory.flags import MAP_ANONYMOUS, MAP_PRIVATE
from tests.unit.memory.machine import PAIRS, Machine

BASE = 1 << 24  # where the arena is said to lie


@pytest.mark.parametrize(("guest", "host"), PAIRS)
def test_pages_of_the_guest_from_pages_of_the_host(guest, host, tmp_path):
    machine = Machine(guest, host)
    space = machine.space
    at = space.mmap(0, 8 * guest, 3, MAP_PRIVATE | MAP_ANONYMOUS)
    touched = (0, 3, 7)
    table = tmp_path / "pagemap"
    with open(table, "wb") as file:
        for number in touched:
            area = space.areas.find(at)
            assert area is not None
            place = BASE + area.place + number * guest
            file.seek(place // host * 8)
            file.write(struct.pack("=Q", report.PRESENT | 0x1234))
        file.truncate(1 << 24)
    with report.Residence(space, 0) as seen:
        seen._base, seen._file = BASE, os.open(table, os.O_RDONLY)
        area = space.areas.find(at)
        assert area is not None
        entries = [
            entry for piece in space.areas.pieces(at, area.end) for entry in seen.entries(piece)
        ]
        per = max(host // guest, 1)  # guest pages that share a host page are there together
        group = {(area.place + number * guest) // host for number in touched}
        expected = [
            number
            for number in range(8)
            if (number in touched if per == 1 else (area.place + number * guest) // host in group)
        ]
        assert [
            number for number, entry in enumerate(entries) if entry & report.PRESENT
        ] == expected
        frames = {entry & report.FRAME for entry in entries if entry}
        assert frames == ({0x1234} if guest == host else {0})
        assert seen.of(area) == (len(expected) * guest, 0)
        out: dict[int, bytes] = {}
        size = report.pagemap(space, seen, lambda data, offset: out.update({offset: data}), True)
        assert size == space.limits.address_top // guest * 8
        data = b"".join(out[offset] for offset in sorted(out))
        assert min(out) == at // guest * 8
        assert [entry >> 63 for entry in struct.unpack(f">{len(data) // 8}Q", data)][:8] == [
            number in expected for number in range(8)
        ]


def test_without_proc_the_page_cache_counts(tmp_path):
    space = Machine(4096, 4096).space
    at = space.mmap(0, 4 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS)
    with report.Residence(space, 0) as seen:
        area = space.areas.find(at)
        assert area is not None
        assert seen.of(area)[0] % 4096 == 0
    assert space.figures().total >= 4 * 4096
