"""LOAD: map a checked Image, and its interpreter, into an address space.

Semantics are fs/binfmt_elf.c's (load_elf_binary, elf_load, load_elf_interp) with randomisation off, in guest pages;
gaps between segments stay holes.

The odd thing is where a position-independent program goes. The kernel puts every one at the same base (plus a random
number). Here execve keeps the translations of code that comes back at the same address, so each file gets an address
of its own, drawn from its identity: dash, true and ls then do not drive each other's translations out. Libraries and
the interpreter get theirs from AddressSpace.mmap the same way.
"""

import errno

from runtime.abi.errors import EEXIST, GuestError
from runtime.image import ET_DYN, PF_R, PF_W, PF_X, ImageError
from runtime.memory.flags import PROT_EXEC, PROT_READ, PROT_WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.arch.architecture import Architecture
    from runtime.image import Image, Segment
    from runtime.memory.space import AddressSpace

# How far programs are spread above et_dyn_base, and the grid they land on. The grid suits every page size and the
# p_align that Debian's linkers use; the spread leaves room for the heap above a program and mappings below mmap_top.
GRID = 0x1_0000
SPREAD = {32: 0x0400_0000, 64: 0x10_0000_0000}

_MASK = (1 << 64) - 1


class LoadedImage:
    """Where a program lies in guest memory. All numbers are guest addresses but phent and phnum."""

    __slots__ = (
        "base",
        "brk",
        "data_end",
        "data_start",
        "entry",
        "exec_stack",
        "image",
        "interpreter_base",
        "interpreter_end",
        "phdr",
        "phent",
        "phnum",
        "program_entry",
        "text_end",
        "text_start",
        "toc",
    )

    def __init__(self, image: "Image", base: int) -> None:
        self.image = image
        self.base = base  # load bias of the program: 0 for ET_EXEC
        self.interpreter_base = 0  # load bias of the interpreter (AT_BASE); 0 without one
        self.interpreter_end = 0
        self.program_entry = (base + image.entry) & ((1 << image.elf_class) - 1)  # AT_ENTRY
        self.entry = self.program_entry  # where to start: the interpreter's, if there is one
        self.toc = 0  # of the code at `entry`, where the architecture has function descriptors
        self.phdr = base + image.phdr if image.phdr else 0
        self.phent = image.phentsize
        self.phnum = image.phnum
        self.brk = 0  # start of the heap, a multiple of the guest page
        self.exec_stack: bool | None = (
            None  # None: PT_GNU_STACK is absent, the architecture's default holds
        )
        if image.stack_flags is not None:
            self.exec_stack = bool(image.stack_flags & PF_X)
        code = [segment for segment in image.segments if segment.flags & PF_X]
        data = [segment for segment in image.segments if segment.flags & PF_W]
        self.text_start = base + min(
            (s.vaddr for s in code), default=0
        )  # mm->start_code, for /proc/PID/stat
        self.text_end = base + max((s.vaddr + s.filesz for s in code), default=0)
        self.data_start = base + max((s.vaddr for s in data), default=0)
        self.data_end = base + max((s.vaddr + s.filesz for s in data), default=0)


def file_offset(identity: tuple[int, int, int, int], slots: int) -> int:
    """A number below `slots` that depends on the file alone: the same file, the same number, in every process."""
    state = 0x9E37_79B9_7F4A_7C15
    for number in identity:
        state = ((state ^ number & _MASK) * 0xBF58_476D_1CE4_E5B9) & _MASK
        state ^= state >> 29
    return (
        (state * 0x94D0_49BB_1331_11EB & _MASK) >> 32
        if slots > 1 << 31
        else ((state >> 24) % slots)
    )


def check(image: "Image", arch: "Architecture", page: int) -> None:
    """Refuse what could not be mapped with this page size, while the old program can still be told: ImageError(EINVAL).

    As load_elf_binary: addresses outside TASK_SIZE, file offset and address that differ modulo the page.
    """
    low = image.low & -page
    span = round_up(image.high, page) - low
    if span > arch.address_top or (image.elf_type != ET_DYN and image.high > arch.address_top):
        top = f"{arch.address_top:#x}"
        raise ImageError(
            errno.EINVAL,
            image.path,
            f"its segments reach to {image.high:#x}; {arch.name} programs end at {top}",
        )
    for segment in image.segments:
        if segment.filesz and (segment.vaddr ^ segment.offset) & (page - 1):
            where = f"the segment at {segment.vaddr:#x} (file offset {segment.offset:#x})"
            raise ImageError(
                errno.EINVAL, image.path, f"{where} cannot be mapped in pages of {page} bytes"
            )


def load(
    space: "AddressSpace", arch: "Architecture", image: "Image", interpreter: "Image | None"
) -> LoadedImage:
    """Map program and interpreter (both checked) into an empty address space. GuestError (ENOMEM, EEXIST, ...): the
    half-loaded space is of no use any more, this is past the point of no return."""
    base = _place(space, arch, image) if image.elf_type == ET_DYN else 0
    _map_all(space, image, base)
    loaded = LoadedImage(image, base)
    loaded.brk = space.round(base + image.high)
    if interpreter is not None:
        bias = _place_interpreter(space, interpreter) if interpreter.elf_type == ET_DYN else 0
        _map_all(space, interpreter, bias)
        loaded.interpreter_base = bias
        loaded.interpreter_end = bias + interpreter.high
        loaded.entry = bias + interpreter.entry
    _follow_descriptor(space, arch, loaded, interpreter)
    return loaded


def _follow_descriptor(
    space: "AddressSpace", arch: "Architecture", loaded: LoadedImage, interpreter: "Image | None"
) -> None:
    """Where the entry point is a function descriptor, its two addresses. GuestError: it is in no readable memory."""
    started = interpreter or loaded.image
    if arch.descriptor_unless is None:
        return
    mask, value = arch.descriptor_unless
    if started.e_flags & mask == value:
        return
    bias = loaded.interpreter_base if interpreter else loaded.base
    words = space.access.read(loaded.entry, 16)  # EFAULT
    loaded.entry = bias + int.from_bytes(words[:8], arch.model.endian)
    loaded.toc = bias + int.from_bytes(words[8:], arch.model.endian)


def round_up(value: int, page: int) -> int:
    return (value + page - 1) & -page


def _extent(space: "AddressSpace", image: "Image") -> tuple[int, int]:
    """(lowest address rounded down, length) of an image, in whole pages."""
    low = image.low & -space.page
    return low, space.round(image.high) - low


def _place(space: "AddressSpace", arch: "Architecture", image: "Image") -> int:
    """Load bias of a position-independent program: et_dyn_base plus its own offset, aligned to the largest p_align."""
    low, length = _extent(space, image)
    align = max(image.max_align, space.page)
    grid = max(align, GRID)
    skip = low & (align - 1)  # an image that does not start on its own alignment
    top = space.mmap_top
    spread = SPREAD[arch.elf_class]
    start = arch.et_dyn_base
    if start + 2 * spread > top:  # the engine's memory is linear only below mmap_top: stay in it
        start = top // 3
        spread = min(spread, top // 16)
    start = round_up(start, grid) + file_offset(image.identity, max(spread // grid, 1)) * grid
    if start + skip + length > top:  # a giant
        start = space.find(0, length + skip, align)
    return start + skip - low


def _place_interpreter(space: "AddressSpace", image: "Image") -> int:
    """Load bias of the interpreter: where the address space puts this file, as it does for libraries."""
    low, length = _extent(space, image)
    align = max(image.max_align, space.page)
    skip = low & (align - 1)
    start = space.place(space.host.describe(image.fd).file, length + skip, align)
    if not start:
        start = space.find(0, length + skip, align)
    return start + skip - low


def _prot(segment: "Segment") -> int:
    prot = PROT_READ if segment.flags & PF_R else 0
    if segment.flags & PF_W:
        prot |= PROT_WRITE
    if segment.flags & PF_X:
        prot |= PROT_EXEC
    return prot


def _map_all(space: "AddressSpace", image: "Image", bias: int) -> None:
    """Map every segment. GuestError(EEXIST) where another mapping is in the way. With pages larger than the linker
    thought two segments may share a page: the later one wins it, as in the kernel."""
    done = 0  # end of what this image has mapped so far
    for segment in sorted(image.segments, key=lambda segment: segment.vaddr):
        start = max((bias + segment.vaddr) & -space.page, done)
        done = space.round(bias + segment.vaddr + segment.memsz)
        if done > start and not space.areas.free(start, done):
            raise GuestError(EEXIST)
        _map_segment(space, image, segment, bias)


def _map_segment(space: "AddressSpace", image: "Image", segment: "Segment", bias: int) -> None:
    """One PT_LOAD: the file's pages, zeros in the last of them after the file's bytes, anonymous pages for the rest."""
    prot = _prot(segment)
    address = bias + segment.vaddr
    start = address & -space.page
    file_end = start
    if segment.filesz:
        skip = address - start
        space.map_file(start, segment.filesz + skip, prot, image.fd, segment.offset - skip)
        file_end = space.round(address + segment.filesz)
    if segment.memsz <= segment.filesz:
        return
    tail = address + segment.filesz
    if segment.filesz and prot & PROT_WRITE and file_end > tail:
        # padzero(): what follows the segment in the file must not be seen as variables. A read-only page keeps it.
        space.access.write(
            tail, bytes(file_end - tail)
        )  # EFAULT: the file ends before its segment does
    end = space.round(address + segment.memsz)
    if end > file_end:
        # vm_brk_flags(): always readable and writable, whatever the header says; executable if it asks (old ppc32)
        space.map_anonymous(file_end, end - file_end, PROT_READ | PROT_WRITE | (prot & PROT_EXEC))
