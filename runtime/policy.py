"""PAGE SIZE: how large the guest's, the engine's and the host's pages are for one program, and why.

The guest page is what the program is told (AT_PAGESZ) and what all its mappings are measured in. It is chosen once,
before the program is loaded, and never changes. The host page is a fact. The engine page divides the guest page.

`auto`: the host's size if the ABI has it and every segment of program and interpreter allows it, else the largest
size of the ABI that they allow and that is not above the host's, else the ABI's smallest.
`host`: the host's size or none. `throughput`: the largest size that program, interpreter and libraries allow.
A size is allowed by a segment if p_align is a multiple of it and address and file offset agree modulo it.

mmap_min_addr, the lowest address that a program may ask for, is measured in guest pages too and so stands here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.arch.architecture import Architecture
    from runtime.image import Image

AUTO, HOST, THROUGHPUT = WORDS = ("auto", "host", "throughput")
MAX_DIGITS = 9  # of a size, far above any page


class PageSizeError(Exception):
    """A page size was asked for that cannot be had. str(): one line with the sizes that would work."""


class PageSizes:
    """The three page sizes, in bytes, and how they came about: one line per reason."""

    __slots__ = ("engine", "guest", "host", "reasons")

    def __init__(
        self, *, guest: int, host: int, engine: int, reasons: tuple[str, ...] = ()
    ) -> None:
        self.guest = guest
        self.host = host
        self.engine = engine
        self.reasons = reasons


def size_text(size: int) -> str:
    """4096 -> "4k"."""
    return f"{size >> 10}k" if size >= 1024 and not size & 1023 else str(size)


def parse_size(word: str | int) -> int | str:
    """One of WORDS, "4k", "64K", "4KiB", "1m", "16384", 4096 -> the word or bytes. PageSizeError for anything else."""
    text = str(word).strip().lower()
    if text in WORDS:
        return text
    digits, shift = text, 0
    for suffix, bits in (("kib", 10), ("k", 10), ("mib", 20), ("m", 20)):
        if text.endswith(suffix):
            digits, shift = text[: -len(suffix)], bits
            break
    if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS:
        size = int(digits) << shift
        if size & (size - 1) == 0 < size:
            return size
    raise PageSizeError(f"page size {word!r}: give {', '.join(WORDS)} or a power of two like 4k")


def size_list(sizes: "Sequence[int]") -> str:
    """(4096, 16384) -> "4k, 16k"."""
    return ", ".join(size_text(size) for size in sizes)


def allowed_by(image: "Image") -> int:
    """The largest page size with which the program's segments can be mapped."""
    limit = image.min_align
    for segment in image.segments:
        if segment.filesz:
            while (segment.vaddr ^ segment.offset) & (limit - 1):
                limit >>= 1
    return limit


def decide(
    arch: "Architecture",
    host_page: int,
    images: "Sequence[Image]",
    wanted: int | str | None = None,
    origin: str = "--page-size",
    libraries: "Callable[[], Sequence[Image]] | None" = None,
) -> PageSizes:
    """Choose. `images`: the program and its interpreter; `wanted`: bytes, a word of WORDS or None (auto); `origin`:
    where `wanted` was said, for messages; `libraries`: asked for "throughput" alone, since finding them takes time.
    PageSizeError when it cannot be had."""
    sizes = sorted(arch.page_sizes)
    reasons = [
        f"{arch.name} programs may have pages of {size_list(sizes)}",
        f"the host's pages are {size_text(host_page)}",
    ]
    if wanted == THROUGHPUT and libraries is not None:
        images = (*images, *libraries())
    limit = sizes[-1]
    for image in images:
        most = allowed_by(image)
        if most < limit:
            limit = max(most, sizes[0])
            reasons.append(f"the segments of {_name(image)} allow at most {size_text(most)}")
    works = [size for size in sizes if size <= limit]
    if wanted is None or wanted == AUTO:
        guest = _automatic(works, host_page, reasons)
    elif wanted == THROUGHPUT:
        guest = works[-1]
        reasons.append(
            f"{origin} asks for throughput: {size_text(guest)}, the largest that all files allow"
        )
    else:
        size = host_page if wanted == HOST else int(wanted)
        _check_forced(arch, works, size, origin, images)
        reasons.append(f"{origin} asks for {size_text(size)}")
        guest = size
    return PageSizes(
        guest=guest, host=host_page, engine=_engine(arch, guest, reasons), reasons=tuple(reasons)
    )


def _automatic(works: list[int], host_page: int, reasons: list[str]) -> int:
    if host_page in works:
        reasons.append(f"auto: the host's size, {size_text(host_page)}")
        return host_page
    smaller = [size for size in works if size <= host_page]
    guest = smaller[-1] if smaller else works[0]
    why = "the largest that fits the host's" if smaller else "the smallest of the ABI"
    reasons.append(f"auto: {size_text(guest)}, {why}")
    return guest


def _check_forced(
    arch: "Architecture", works: list[int], size: int, origin: str, images: "Sequence[Image]"
) -> None:
    if size not in arch.page_sizes:
        raise PageSizeError(
            f"{origin}: {arch.name} has no pages of {size_text(size)}; possible: {size_list(works)}"
        )
    if size not in works:
        tight = min(images, key=allowed_by)
        raise PageSizeError(
            f"{origin}: the segments of {_name(tight)} allow pages of at most {size_text(allowed_by(tight))}, "
            f"not {size_text(size)}; possible: {size_list(works)}"
        )


def too_tight(arch: "Architecture", image: "Image", page: int) -> str | None:
    """What to say of a library whose segments do not allow the page size that its program has; None if they do."""
    most = allowed_by(image)
    if most >= page:
        return None
    works = [size for size in sorted(arch.page_sizes) if size <= most]
    sizes = f"page sizes that work: {size_list(works)}" if works else "no page size works"
    return (
        f"{_name(image)}: its segments are aligned to {size_text(most)}, "
        f"too little for the program's pages of {size_text(page)}; {sizes}"
    )


def _engine(arch: "Architecture", guest: int, reasons: list[str]) -> int:
    """The largest engine page that divides the guest page."""
    fitting = [size for size in arch.engine.page_sizes if size <= guest and guest % size == 0]
    engine = max(fitting)
    if engine != guest:
        reasons.append(f"the engine translates in pages of {size_text(engine)}")
    return engine


def _name(image: "Image") -> str:
    return image.path.decode(errors="surrogateescape")


def mmap_min_addr(page: int, read: "Callable[[], bytes]", configured: int | None = None) -> int:
    """The lowest address that mmap gives a program without CAP_SYS_RAWIO, as a kernel with pages of `page` bytes has
    it: vm.mmap_min_addr rounded up to its pages, at least one page, whatever `read` returns of the sysctl (nothing at
    all where there is no /proc). `configured`: bytes that hold instead; 0 there gives everybody page 0."""
    if configured is not None:
        return configured + page - 1 & -page
    digits = read().strip()
    return max(int(digits) if digits.isdigit() else 0, 1) + page - 1 & -page
