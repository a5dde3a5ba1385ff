"""What configuration and command line say about one program: its page size, environment, limits; and its personality.

Each program that is executed is asked about anew, since rules are about single programs. Keys of a target's own that a
child inherits anyway (environment, stack) are for the first program alone; a rule's hold whenever its program starts.
"""

import os

from runtime._core import HOST_PAGE, SYS, quick_syscall
from runtime.arch import with_processor
from runtime.arch.architecture import ProcessorError
from runtime.policy import THROUGHPUT, decide
from runtime.task.limits import RLIMIT_STACK, get_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.arch.architecture import Architecture
    from runtime.config import Target
    from runtime.image import Image
    from runtime.loader import Plan
    from runtime.policy import PageSizes
    from runtime.task.process import Process

# include/uapi/linux/personality.h
ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT = 0x0040000, 0x0100000, 0x0200000
READ_IMPLIES_EXEC = 0x0400000
PERSONALITY_QUERY = 0xFFFFFFFF
PER_CLEAR_ON_SETID = READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | MMAP_PAGE_ZERO

S_ISUID, S_ISGID, S_IXGRP = 0o4000, 0o2000, 0o010
ST_NOSUID = 2
PR_GET_NO_NEW_PRIVS = 39
SEALING_SINCE = (6, 12)  # Linux; 64-bit kernels only


def first(process: "Process") -> bool:
    """Whether the process has run no program yet."""
    return not process.emulates


def target_of(process: "Process", found: "Plan", arch: str) -> "Target":
    """The settings for a program, under every name it has: as it was called, as it was opened, as it is."""
    names = (found.execfn, found.image.path, process.view.guest_path(found.executable))
    return process.settings.configuration.target(arch, names)


def choose_pages(
    process: "Process", arch: "Architecture", found: "Plan", target: "Target"
) -> "PageSizes":
    """The page sizes of a program. PageSizeError."""
    settings = process.settings
    wanted, origin = settings.page_size, "--page-size"
    if wanted is None:
        wanted, origin = target.page_size, target.origin("page_size")
    find = settings.find_libraries
    libraries = None
    if wanted == THROUGHPUT and find is not None:

        def libraries() -> "Sequence[Image]":
            needed = find(process.view, found.image, found.envp)
            return [library.image for library in needed if library.image is not None]

    return decide(arch, HOST_PAGE, found.images, wanted, origin, libraries)


def choose_processor(process: "Process", arch: "Architecture", target: "Target") -> "Architecture":
    """The architecture with the processor that a program is to see. ProcessorError."""
    settings = process.settings
    if settings.cpu is not None and settings.cpu_for in ("", arch.name):
        word, origin = settings.cpu
    else:
        word, origin = target.cpu, target.origin("cpu")
    try:
        return with_processor(arch, word)
    except ProcessorError as error:
        raise ProcessorError(f"{origin}: {error}") from None


def stack_of(process: "Process", target: "Target") -> int | None:
    """The stack limit that the configuration gives a program, None when it has none to give."""
    if target.stack is None:
        return None
    if "stack" in target.ruled:
        return target.stack
    return target.stack if first(process) and RLIMIT_STACK not in process.limits else None


def environment_of(
    process: "Process", target: "Target", envp: "Sequence[bytes]"
) -> "Sequence[bytes]":
    """The environment with the configuration's variables in it."""
    begins = first(process)
    changed = {}
    for name, value in target.env.items():
        own = os.fsencode(name)
        mine = own not in process.settings.chosen_variables if begins else name in target.ruled_env
        if mine:
            changed[own] = value
    if not changed:
        return envp
    words = [word for word in envp if word.partition(b"=")[0] not in changed]
    words += [
        name + b"=" + os.fsencode(value) for name, value in changed.items() if value is not None
    ]
    return words


def adopt(process: "Process", target: "Target", image: "Image") -> None:
    """The program is about to be loaded: what its configuration says holds from now on."""
    stack = stack_of(process, target)
    if stack is not None:
        hard = get_limits(process, RLIMIT_STACK)[1]
        process.limits[RLIMIT_STACK] = (min(stack, hard), hard)
    process.target = target
    settings = process.settings
    settings.uname_release = settings.asked_release or target.uname_release
    process.personality = after_exec(process.personality, image)


def after_exec(personality: int, image: "Image") -> int:
    """What execve leaves of a personality: SET_PERSONALITY (the kernel's asm/elf.h) takes READ_IMPLIES_EXEC, a set-id
    program takes all that makes an address space predictable (bprm_fill_uid)."""
    personality &= ~READ_IMPLIES_EXEC
    if personality & PER_CLEAR_ON_SETID and _is_set_id(image.fd):
        personality &= ~PER_CLEAR_ON_SETID
    return personality


def _is_set_id(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    if not mode & S_ISUID and mode & (S_ISGID | S_IXGRP) != S_ISGID | S_IXGRP:
        return False
    if os.fstatvfs(fd).f_flag & ST_NOSUID:
        return False
    return quick_syscall(SYS["prctl"], PR_GET_NO_NEW_PRIVS, 0, 0, 0) != 1


def host_personality() -> int:
    """The personality that we were started with."""
    return quick_syscall(SYS["personality"], PERSONALITY_QUERY)


def seals_page_zero(process: "Process", arch: "Architecture") -> bool:
    """Whether the kernel that the program sees keeps the page at address 0 from being changed: by its release."""
    release = process.settings.uname_release or os.fsencode(os.uname().release)
    numbers = []
    for part in release.split(b".")[:2]:
        digits = part[: len(part) - len(part.lstrip(b"0123456789"))]
        numbers.append(int(digits) if digits else 0)
    return arch.elf_class == 64 and tuple(numbers) >= SEALING_SINCE
