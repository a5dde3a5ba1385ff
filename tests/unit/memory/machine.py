"""An address space over a simulated host, for the tests of every page-size pair."""

from typing import Any

from runtime.abi.layout import DataModel
from runtime.memory.flags import (
    CAP_SYS_RAWIO,
    RLIM_INFINITY,
)
from runtime.memory.space import AddressSpace, Limits
from tests.unit.memory.fakes import FakeTable, SimulatedHost

K = 1024
PAIRS = [(g * K, h * K) for g in (4, 16, 64) for h in (4, 16, 64)]  # (guest page, host page)
MODEL = DataModel("test", bits=64)


class Machine:
    """`space` with guest pages of `guest` bytes on a host with pages of `host`; knobs in the other attributes."""

    def __init__(self, guest: int, host: int, **facts: Any) -> None:
        self.page = guest
        self.unit = max(guest, host)
        size = 1 << 32
        self.host = SimulatedHost(host, size)
        self.table = FakeTable(self.host, min(guest, 4 * K))
        self.limits: dict[int, int] = {}
        self.caps: set[int] = {CAP_SYS_RAWIO}
        self.invalidated: list[tuple[int, int]] = []
        facts = {
            "page": guest,
            "address_top": 1 << 31,
            "mmap_top": 1 << 30,
            "min_address": max(guest, 64 * K),
            **facts,
        }
        self.space = AddressSpace(
            self.table,  # type: ignore[arg-type]
            self.host,
            Limits(**facts),
            MODEL,
            invalidate=lambda offset, length: self.invalidated.append((offset, length)),
            capable=lambda cap: cap in self.caps,
            rlimit=lambda resource: self.limits.get(resource, RLIM_INFINITY),
        )
