"""Host windows over files: one for each inode, so that every mapping of a byte of a file is the same byte of the arena.

A write through one mapping is then seen through all others by the engine too, which keeps its translations by arena
offset. Shared mappings of regular files always lie here. Where the page sizes differ, private ones do as well: the
window shows the page cache, and a guest page that is written to gets a copy of its own (paging.py).

A window never moves while it is used: a host call or a futex of another task may hold addresses in it. It is therefore
given room to grow; a file that outgrows it gets a second window for its further mappings.
"""

from runtime.abi.errors import ENODEV, ENOMEM, GuestError
from runtime.memory.flags import (
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.memory.areas import File
    from runtime.memory.backing import Backing

ROOM_SHARE = 12  # a window's least room is the arena's size shifted by this, but no more than
ROOM_LEAST = 1 << 30
MASK64 = (1 << 64) - 1


class Store:
    """The file behind some areas, as far as they are concerned: its window and its length.

    The byte at file offset `n` lies at arena offset `place + n - start`; host memory is there up to `end`, which can be
    written up to `writable`, and room up to `limit` (file offsets)."""

    __slots__ = (
        "changing",
        "end",
        "followed",
        "handle",
        "key",
        "limit",
        "place",
        "size",
        "start",
        "tail",
        "tail_writable",
        "users",
        "writable",
    )

    def __init__(self, key: tuple[int, int], place: int, start: int, limit: int) -> None:
        self.key = key
        self.place = place
        self.start = self.end = self.writable = start
        self.limit = limit
        self.users = 0  # bytes of areas
        self.followed = False  # its length matters to the page table: the page sizes differ
        self.handle = -1  # of the host, to ask for the length
        self.size = 0  # bytes of the file when last asked
        self.changing = False  # somebody may well change its length: look after every system call
        self.tail = -1  # arena offset of the composed guest page with the file's end
        self.tail_writable = False

    @property
    def watched(self) -> bool:
        """Whether another length shows by no fault."""
        return self.followed and (self.changing or self.tail >= 0)

    def home(self, offset: int) -> int:
        """Arena offset of the file's byte at the offset."""
        return self.place + offset - self.start


class Windows:
    """The stores of an address space."""

    __slots__ = ("_backing", "_stores", "all", "own_fds")

    def __init__(self, backing: "Backing") -> None:
        self._backing = backing
        self._stores: dict[tuple[int, int], Store] = {}  # the one that new mappings of a file use
        self.all: list[Store] = []
        self.own_fds: set[int] = set()  # our descriptors, kept from the guest

    def __iter__(self) -> "Iterator[Store]":
        return iter(self.all)

    def open(
        self, fd: int, file: "File", start: int, length: int, shared: bool, writable: bool
    ) -> tuple[Store, bool]:
        """The store for a mapping of `length` bytes from file offset `start`, which it then counts; and whether its
        window is new. `shared`: MAP_SHARED; `writable`: through it."""
        key = (file.dev, file.ino)
        end = self._backing.round_host(start + length)
        store = self._stores.get(key)
        fresh = store is None or start < store.start or end > store.limit
        if store is None or fresh:
            store = self._create(key, file, start, end)
        try:
            self._extend(store, fd, end, shared, writable)
            if fresh and self._backing.page != self._backing.host.page:
                self._follow(store, fd)
        except GuestError:
            if fresh:
                self._release(store)
            raise
        if fresh:
            self._stores[key] = store
            self.all.append(store)
        store.users += length
        return store, fresh

    def _create(self, key: tuple[int, int], file: "File", start: int, end: int) -> Store:
        """A store with room for the whole file and some growth, or, when it is too large for the arena, from
        `start` on."""
        backing = self._backing
        whole = backing.round_host(max(end, file.size))
        least = min(ROOM_LEAST, backing.host.size >> ROOM_SHARE)
        seed = key[0] * 0x9E3779B97F4A7C15 + key[1] & MASK64
        first = start & -max(backing.page, backing.host.page)
        for origin, room in ((0, max(2 * whole, least)), (0, whole), (first, end - first)):
            try:
                place = backing.window(room, seed)
            except GuestError:
                continue
            return Store(key, place, origin, origin + backing.round_window(room))
        raise GuestError(ENOMEM)

    def _extend(self, store: Store, fd: int, end: int, shared: bool, writable: bool) -> None:
        """Host memory up to file offset `end`, writable if it has to be. Replacing a part of the window by the same
        file changes nothing for those who use it."""
        end = max(end, store.end)
        access = PROT_READ | (PROT_WRITE if writable else 0)
        first = store.writable if writable else store.end
        if first == end:
            return
        host = self._backing.host
        place = store.home(first)
        try:
            host.map(place, end - first, access, MAP_SHARED, fd, first)
        except GuestError as error:
            # Some file systems have only private mappings. They show the page cache too, until it is evicted.
            if shared or error.errno != ENODEV:
                raise
            host.map(place, end - first, access, MAP_PRIVATE | MAP_NORESERVE, fd, first)
        if writable:
            store.writable = end
        store.end = end

    def lengthen(self, store: Store, end: int) -> bool:
        """More of the file without its descriptor (mremap), if there is room."""
        backing = self._backing
        end = backing.round_host(end)
        if end <= store.end:
            return True
        if end > store.limit:
            return False
        unit, more = backing.host.page, end - store.end
        # The host can only continue a mapping: continue it elsewhere, and bring the new part here.
        scratch = backing.window(unit + more)
        try:
            backing.host.move(store.home(store.end - unit), 0, scratch, unit + more, True)
            backing.host.move(scratch + unit, more, store.home(store.end), more, False)
        except GuestError:
            return False
        finally:
            backing.give_back(scratch, unit + more)
        if store.writable == store.end:
            store.writable = end
        store.end = end
        return True

    def outgrow(self, store: Store, end: int) -> Store | None:
        """A second, larger window of the same file for a mapping that grew beyond the first one's room. Nobody uses it
        yet. None: the host has no more."""
        backing, length = self._backing, self._backing.round_host(end - store.start)
        try:
            place = backing.window(2 * length)
        except GuestError:
            return None
        larger = Store(
            store.key, place, store.start, store.start + backing.round_window(2 * length)
        )
        try:
            backing.host.move(store.place, 0, place, length, True)
            larger.end = store.start + length
            if store.followed:
                self._follow(larger, store.handle)
        except GuestError:
            self._release(larger)
            return None
        larger.changing = store.changing
        if store.writable > store.start:  # the host copies its first mapping, to the whole length
            larger.writable = larger.end
        self._stores[store.key] = larger
        self.all.append(larger)
        return larger

    def _follow(self, store: Store, fd: int) -> None:
        store.handle = self._backing.host.track(fd)
        self.own_fds.add(store.handle)
        store.size = self._backing.host.length(store.handle)
        store.followed = True

    def drop(self, store: Store, length: int) -> bool:
        """An area of so many bytes is gone. True: it was the last, and the window is gone too."""
        store.users -= length
        if store.users:
            return False
        self._release(store)
        self.all.remove(store)
        if self._stores.get(store.key) is store:
            del self._stores[store.key]
        return True

    def _release(self, store: Store) -> None:
        self.drop_tail(store)
        if store.end > store.start:
            self._backing.host.release(store.place, store.end - store.start)
        self._backing.give_back(store.place, store.limit - store.start, False)
        self._untrack(store)

    def _untrack(self, store: Store) -> None:
        if store.handle >= 0:
            self.own_fds.discard(store.handle)
            self._backing.host.untrack(store.handle)
            store.handle = -1

    def reset(self) -> None:
        """The arena was emptied."""
        for store in self.all:
            self._untrack(store)
        self.all.clear()
        self._stores.clear()

    # -- the guest page with the file's end, where it is larger than the host's ---------------------------------------

    def split_page(self, store: Store) -> int:
        """File offset of the guest page in which the host lets the file end too early; -1 when there is none."""
        backing = self._backing
        page = backing.page
        last = (store.size + page - 1) & -page
        return last - page if backing.round_host(store.size) < last else -1

    def compose_tail(self, store: Store) -> None:
        """That page as the guest has to see it: the file's host pages, then zeroes."""
        backing = self._backing
        page = self.split_page(store)
        held = backing.round_host(store.size) - page
        place = backing.window(backing.page)
        try:
            kind = MAP_PRIVATE | MAP_ANONYMOUS
            backing.host.map(place, backing.page, PROT_READ | PROT_WRITE, kind, -1, 0)
            if held:
                try:
                    backing.host.move(store.home(page), 0, place, held, True)
                except GuestError:  # a private mapping of the host has no second one
                    backing.host.copy(store.home(page), place, held)
        except GuestError:
            backing.give_back(place, backing.page)
            raise
        store.tail = place
        store.tail_writable = page < store.writable

    def tail_is_behind(self, store: Store) -> bool:
        """Whether the composed page cannot be written while the window now can."""
        return (
            store.tail >= 0 and not store.tail_writable and self.split_page(store) < store.writable
        )

    def drop_tail(self, store: Store) -> None:
        if store.tail >= 0:
            self._backing.give_back(store.tail, self._backing.page)
            store.tail = -1
