"""File pages where the guest's page is not the host's: what a fault may still turn into memory.

The host knows neither where the guest's last page of a file ends nor what a private copy of one guest page is. So the
page table gives less than the area does, and a fault asks here (`resolve`):

- a page past the end of the file is marked, and looked at again when touched: the file may have grown;
- with small host pages, the guest page that holds the end is composed of the file's host pages and zeroes;
- a private page is the page cache's until the first store, which gives it a copy of one guest page (COPIED).

That a file became shorter is no fault, nor that it grew in its composed page. Lengths are compared after each system
call of the guest (`Stop.RESIZED`), for files that are shared, were opened for writing, or have that page.
"""

from runtime._core import MemoryFault, R, W
from runtime.abi.errors import GuestError
from runtime.memory.areas import COPIED, MAYSHARE, WINDOWED, WRITTEN, Area

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.memory.areas import File
    from runtime.memory.space import AddressSpace
    from runtime.memory.windows import Store


def store_of(area: Area) -> "Store":
    """The store of a WINDOWED area."""
    file = area.file
    assert file is not None and file.store is not None
    return file.store


def granted(space: "AddressSpace", area: Area) -> int:
    """Page table permissions of an area: no stores into the page cache for a private mapping."""
    perms = space.perms(area.prot)
    if area.flags & (WINDOWED | MAYSHARE | COPIED) == WINDOWED and store_of(area).followed:
        return perms & ~W
    return perms


def mark(space: "AddressSpace", area: Area) -> None:
    """After a WINDOWED area was installed in the page table: what the end of its file means for it."""
    store = store_of(area)
    if not store.followed or area.flags & COPIED:
        return
    page = space.page
    skew = area.start - area.offset  # file offset + skew: guest address
    beyond = max(area.start, space.round(store.size) + skew)
    if beyond < area.end:
        space.table.limit(beyond, area.end - beyond)
    split = space.windows.split_page(store)
    if split >= 0 and area.start <= split + skew < area.end:
        if store.tail < 0:
            space.table.limit(split + skew, page)
        else:
            space.translations.executable(store.tail, page, None)
            space.table.install(split + skew, page, store.tail, granted(space, area))


def resolve(space: "AddressSpace", address: int, access: int, host_bus: bool) -> bool:
    """True if the fault need not be one: try again. `host_bus`: it was the host's own SIGBUS."""
    area = space.areas.find(address)
    if area is None:
        return space.grow(address)
    if not area.flags & WINDOWED or access & ~space.perms(area.prot):
        return False
    store = store_of(area)
    if not store.followed:
        return False
    changed = refresh(space, store)
    area = space.areas.find(address)
    assert area is not None
    page = address & -space.page
    if not area.flags & COPIED:
        offset = area.offset + page - area.start
        if offset >= space.round(store.size):
            return False
        composed = offset == space.windows.split_page(store) and store.tail < 0
        if composed:
            space.windows.compose_tail(store)
            show_all(space, store)
            changed = True
        if access & W and not area.flags & MAYSHARE:
            changed = copy(space, area, page) or changed
        if composed:
            _settle_tail(space, store, offset)
    return changed or (not host_bus and _accessible(space, address, access))


def _accessible(space: "AddressSpace", address: int, access: int) -> bool:
    """Whether another task has dealt with the same fault."""
    found = space.table.lookup(address)
    if found is None or access & ~found[1]:
        return False
    try:
        space.table.read(address, 1)
    except MemoryFault:
        return False
    return True


def refresh(space: "AddressSpace", store: "Store") -> bool:
    """Ask for the length of a file; True if it is another than before."""
    size = space.host.length(store.handle)
    if size == store.size:
        return False
    store.size = size
    _drop_tail(space, store)
    end = space.round(size)
    for area in areas_of(space, store):
        # What lies past the end goes, a private copy too.
        cut = max(area.start, area.start + end - area.offset)
        if cut < area.end:
            uncopy(space, cut, area.end)
    show_all(space, store)
    watch(space)
    return True


def _drop_tail(space: "AddressSpace", store: "Store") -> None:
    """The composed page is no longer right. Its areas have to be shown again."""
    if store.tail >= 0:
        space.translations.replaced(store.tail, space.page)
        space.windows.drop_tail(store)


def _settle_tail(space: "AddressSpace", store: "Store", offset: int) -> None:
    """After the page was composed: it stays as long as an area shows it, and its file is watched for that long."""
    for area in areas_of(space, store):
        if area.offset <= offset < area.offset + area.length and not area.flags & COPIED:
            watch(space)
            return
    _drop_tail(space, store)


def recheck(space: "AddressSpace", everything: bool) -> None:
    """Lengths of files may have changed: of those that others change, or of any."""
    for store in list(space.windows):
        if store.watched or (everything and store.followed):
            refresh(space, store)


def watch(space: "AddressSpace") -> None:
    """Tell the core which lengths to compare after each system call."""
    stores = [store for store in space.windows if store.watched]
    space.table.watch([(store.handle, store.size) for store in stores])


def areas_of(space: "AddressSpace", store: "Store") -> list[Area]:
    return [area for area in space.areas if area.file is not None and area.file.store is store]


def show_all(space: "AddressSpace", store: "Store") -> None:
    for area in areas_of(space, store):
        if not area.flags & COPIED:
            space.show(area)


def copy(space: "AddressSpace", area: Area, page: int) -> bool:
    """Give the guest page its own copy. False: it cannot be read any more."""
    found = space.table.lookup(page)
    assert found is not None
    try:
        place = space.backing.copy_place()
    except GuestError:
        return False
    if space.host.copy(found[0], place, space.page) < space.page:
        space.backing.drop_copy(place, space.page)
        return False

    def alter(piece: Area) -> None:
        piece.place = place
        piece.flags |= COPIED | WRITTEN

    space.translations.replaced(place, space.page)
    copied = area.part(page, page + space.page)
    alter(copied)
    space.areas.change(page, page + space.page, alter)
    space.show(copied)
    return True


def uncopy(space: "AddressSpace", start: int, end: int) -> None:
    """Private pages are the file's again (MADV_DONTNEED, truncation)."""
    pieces = [piece for piece in space.areas.pieces(start, end) if piece.flags & COPIED]

    def alter(area: Area) -> None:
        area.place = store_of(area).home(area.offset)
        area.flags &= ~COPIED

    for piece in pieces:
        old = piece.place
        space.areas.change(piece.start, piece.end, alter)
        alter(piece)
        space.show(piece)
        space.translations.replaced(old, piece.length)
        space.backing.drop_copy(old, piece.length)


def own_private(space: "AddressSpace", start: int, end: int) -> None:
    """Copy the private pages of [start, end) that are still the page cache's."""
    for piece in space.areas.pieces(start, end):
        if piece.flags & (WINDOWED | MAYSHARE | COPIED) == WINDOWED and store_of(piece).followed:
            for page in range(piece.start, piece.end, space.page):
                copy(space, piece, page)


def own_page(space: "AddressSpace", start: int, end: int, access: int) -> bool:
    """Make [start, end) ready for the access, as touching each page would (MADV_POPULATE). False: SIGBUS."""
    for address in range(start, end, space.page):
        found = space.table.lookup(address)
        ready = found is not None and not access & ~found[1]
        try:
            if ready:
                space.table.read(address, 1)
        except MemoryFault:
            ready = False
        if not ready and not resolve(space, address, access | R, False):
            return False
    return True


def establish(
    space: "AddressSpace",
    area: Area,
    fd: int,
    file: "File",
    shared: bool,
    writable: bool,
    changing: bool,
) -> None:
    """A window for a new area, whose addresses are free; records its place."""
    store, fresh = space.windows.open(fd, file, area.offset, area.length, shared, writable)
    file.store = store
    area.flags |= WINDOWED
    area.place = store.home(area.offset)
    if fresh:
        space.translations.replaced(store.place, store.end - store.start)
    if not store.followed:
        return
    if space.windows.tail_is_behind(store):
        _drop_tail(space, store)
        show_all(space, store)
    changing = changing or shared
    if fresh:
        store.changing = changing
    elif changing and not store.changing:
        store.changing = True
        fresh = True
    # The file may have changed since the window was opened.
    if not refresh(space, store) and fresh:
        watch(space)


def extend(space: "AddressSpace", tail: Area) -> bool:
    """Memory for more of a WINDOWED area (mremap), `tail`, whose file and offset are set. False: no room."""
    store = store_of(tail)
    if not space.windows.lengthen(store, tail.offset + tail.length):
        return False
    store.users += tail.length
    tail.flags &= ~COPIED
    tail.place = store.home(tail.offset)
    return True


def rehome(space: "AddressSpace", area: Area, tail: Area) -> bool:
    """`area` is to move and grow by `tail`, for which its window has no room: give both a larger one. False: there is
    no memory."""
    store = store_of(area)
    larger = space.windows.outgrow(store, tail.offset + tail.length)
    if larger is None or area.file is None:
        return False
    area.file = tail.file = area.file.twin(larger)
    space.translations.replaced(larger.place, larger.end - larger.start)
    for part in (area, tail):
        larger.users += part.length
    if not area.flags & COPIED:
        area.place = larger.home(area.offset)
    tail.flags &= ~COPIED
    tail.place = larger.home(tail.offset)
    watch(space)
    return True


def discard(space: "AddressSpace", piece: Area) -> None:
    """Give up the memory of a WINDOWED area that is already out of the map."""
    store = store_of(piece)
    if piece.flags & COPIED:
        space.translations.replaced(piece.place, piece.length)
        space.backing.drop_copy(piece.place, piece.length)
    place, length = store.place, store.end - store.start
    tail, watched = store.tail, store.watched
    if not space.windows.drop(store, piece.length):
        return
    space.translations.replaced(place, length)
    if tail >= 0:
        space.translations.replaced(tail, space.page)
    if watched:
        watch(space)
