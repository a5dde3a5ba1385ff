"""Which code translations of the engine are still true, so that they survive munmap and execve.

The engine keeps translations by arena offset. It sees every store by the guest and by `PageTable.write`, but not that
the host's mmap put other bytes there. So this file records, for each arena range that was ever executable, from which
bytes the translations were made, and asks for their removal exactly when other bytes become executable there.

A record of a range is one of
  identity          translations were made from these bytes of this file, and the bytes are still there;
  identity, stale   the same, but the host has replaced the bytes since (they may come back: then nothing is lost);
  no identity       translations were made from bytes that cannot be named (anonymous, written to): coherent as long as
                    only the guest stores there, worthless once the host replaced them.
"""

from _collections_abc import Callable
from bisect import bisect_left, bisect_right

# (device, inode, size, mtime ns, ctime ns, file offset minus arena offset)
Identity = tuple[int, int, int, int, int, int]


class Translations:
    """`invalidate(offset, length)` drops the engine's translations made from these bytes of the arena."""

    __slots__ = ("_identities", "_ends", "_stale", "_starts", "invalidate")

    def __init__(self, invalidate: Callable[[int, int], None]) -> None:
        self.invalidate = invalidate
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._identities: list[Identity | None] = []
        self._stale: list[bool] = []

    def __len__(self) -> int:
        return len(self._starts)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        low = bisect_right(self._starts, start) - 1
        if low < 0 or self._ends[low] <= start:
            low += 1
        return low, bisect_left(self._starts, end, low)

    def _cut(self, start: int, end: int) -> list[tuple[int, int, Identity | None, bool]]:
        """Take the records of [start, end) out; returns them cut to it."""
        low, high = self._span(start, end)
        if low == high:
            return []
        taken = []
        keep = []
        for index in range(low, high):
            first, last = self._starts[index], self._ends[index]
            identity, stale = self._identities[index], self._stale[index]
            if first < start:
                keep.append((first, start, identity, stale))
            if last > end:
                keep.append((end, last, identity, stale))
            taken.append((max(first, start), min(last, end), identity, stale))
        self._splice(low, high, keep)
        return taken

    def _splice(
        self, low: int, high: int, records: list[tuple[int, int, Identity | None, bool]]
    ) -> None:
        self._starts[low:high] = [record[0] for record in records]
        self._ends[low:high] = [record[1] for record in records]
        self._identities[low:high] = [record[2] for record in records]
        self._stale[low:high] = [record[3] for record in records]

    def _put(self, start: int, end: int, identity: Identity | None, stale: bool) -> None:
        """Add a record where none is, merged with equal neighbours."""
        low = bisect_left(self._starts, start)
        high = low
        if (
            low
            and self._ends[low - 1] == start
            and self._identities[low - 1] == identity
            and self._stale[low - 1] == stale
        ):
            low -= 1
            start = self._starts[low]
        if (
            high < len(self._starts)
            and self._starts[high] == end
            and self._identities[high] == identity
            and self._stale[high] == stale
        ):
            end = self._ends[high]
            high += 1
        self._splice(low, high, [(start, end, identity, stale)])

    def replaced(self, offset: int, length: int) -> None:
        """The host put other bytes there (mmap, munmap, MADV_DONTNEED, mremap)."""
        for start, end, identity, _stale in self._cut(offset, offset + length):
            self._put(start, end, identity, True)

    def replaced_all(self) -> None:
        """execve: nothing is where it was."""
        self._stale = [True] * len(self._stale)

    def written(self, offset: int, length: int) -> None:
        """The guest may store there from now on (or ptrace did): translations made later are of unnamed bytes.

        A stale record stays: nothing was translated since, and its bytes may still come back from the file."""
        for start, end, identity, stale in self._cut(offset, offset + length):
            self._put(start, end, identity if stale else None, stale)

    def executable(self, offset: int, length: int, identity: Identity | None) -> None:
        """The guest may execute there from now on; what is there now has this identity (None: cannot be named)."""
        end = offset + length
        for first, last, known, stale in self._cut(offset, end):
            if stale and (known is None or known != identity):
                self.invalidate(first, last - first)
            elif not stale and known != identity:
                # Same bytes as before, but no longer (or not yet) known by name.
                self._put(first, last, None, False)
        self._fill(offset, end, identity)

    def _fill(self, start: int, end: int, identity: Identity | None) -> None:
        """Record `identity` for the parts of [start, end) that have no record."""
        low, high = self._span(start, end)
        kept = [(self._starts[index], self._ends[index]) for index in range(low, high)]
        for first, last in kept:
            if start < first:
                self._put(start, first, identity, False)
            start = max(start, last)
        if start < end:
            self._put(start, end, identity, False)
