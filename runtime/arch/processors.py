"""Processor models that a program can be given instead of its architecture's usual one, under QEMU's names.

The usual ones are in the architectures' own files. Nothing here is imported unless a model is asked for, before the
program starts. A model is here only if everything about it is known: what the engine's model of that name says in its
identification registers, what the kernel makes of them (AT_HWCAP, AT_HWCAP2, /proc/cpuinfo), and that the engine
executes every instruction that this promises, and none of the others. tests/unit/arch/test_processors.py asks the
engine all of it.

To add one: its number in engine_ids, the words that the test prints for it, and its row below.

Architectures without a row have only their usual one:
- riscv64: what else the engine has is the same to a program (sifive-u54, but with a smaller address space), or nothing
  that Linux runs on (sifive-e51 has no MMU);
- ppc64le: the engine takes the numbers of 64-bit models for those of 32-bit ones (0 to 18 give a 401 up to a 405);
- mips: the models before the 24Kf have no FPU, whose emulation would be the kernel's; 34Kf and 74Kf have DSP registers,
  which the engine does not show, so that a signal frame could not hold them; those after it are no MIPS32R2.
The same goes for models that are missing: arm's before v7, for which the helpers of the commpage are written otherwise,
and x86 ones with AVX, which the engine does not have.
"""

from runtime.arch.architecture import Architecture, ProcessorError
from runtime.arch.engine_ids.aarch64 import MODELS as ARM64_MODELS
from runtime.arch.engine_ids.arm import MODELS as ARM_MODELS
from runtime.arch.engine_ids.x86 import MODELS as X86_MODELS
from runtime.arch.engine_ids.x86 import REGISTERS as X86_REGISTERS

MAX = "max"  # every architecture has it: all that the engine can
# architecture -> name of the model in its own file
USUAL = {
    "aarch64": MAX,
    "arm": "cortex-a15",
    "riscv64": "rv64",
    "ppc64le": "power9",
    "mips": "24Kf",
    "x86_64": "EPYC-Rome",
}


class Processor:
    """What differs from the usual model. AT_PLATFORM does not: it names the architecture's version, of which there is
    one of each here."""

    __slots__ = ("cpuinfo", "hwcap", "hwcap2", "model", "name", "setup")

    def __init__(
        self,
        name: str,
        *,
        model: int,  # UC_CPU_*
        hwcap: int,
        hwcap2: int,
        cpuinfo: str,  # as Architecture.cpuinfo
        setup: tuple[tuple[int, int], ...] = (),  # after EngineFacts.setup
    ) -> None:
        self.name = name
        self.model = model
        self.hwcap = hwcap
        self.hwcap2 = hwcap2
        self.cpuinfo = cpuinfo
        self.setup = setup


def _arm64(name: str, model: str, *, variant: int, part: int, revision: int) -> Processor:
    """Armv8.0 with the cryptography extension: ID_AA64ISAR0 0x11120, ID_AA64PFR0 0x2222, no ISAR1."""
    return Processor(
        name,
        model=ARM64_MODELS[model],
        hwcap=0xFB,  # FP ASIMD AES PMULL SHA1 SHA2 CRC32 (bits 0 1 3-7)
        hwcap2=0,
        cpuinfo=f"""\
processor\t: {{cpu}}
BogoMIPS\t: 100.00
Features\t: fp asimd aes pmull sha1 sha2 crc32
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant:#x}
CPU part\t: {part:#05x}
CPU revision\t: {revision}

""",
    )


# HALF THUMB FAST_MULT VFP EDSP THUMBEE NEON VFPv3 TLS VFPD32
_V7 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 19
_V7_WORDS = "half thumb fastmult vfp edsp thumbee neon vfpv3 tls vfpd32"
_V7VE = _V7 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 20  # VFPv4 IDIVA IDIVT LPAE
_V7VE_WORDS = "half thumb fastmult vfp edsp thumbee neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae"


def _armv7(
    name: str,
    model: str,
    features: tuple[int, int, str],  # AT_HWCAP, AT_HWCAP2, the words in cpuinfo
    *,
    part: int,
    variant: int = 0,
    revision: int = 0,
) -> Processor:
    """A processor that arch/arm/mm/proc-v7.S knows."""
    hwcap, hwcap2, words = features
    return Processor(
        name,
        model=ARM_MODELS[model],
        hwcap=hwcap,
        hwcap2=hwcap2,
        cpuinfo=f"""\
processor\t: {{cpu}}
model name\t: ARMv7 Processor rev {revision} (v7l)
BogoMIPS\t: 100.00
Features\t: {words}
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: {variant:#x}
CPU part\t: {part:#05x}
CPU revision\t: {revision}

""",
    )


# The engine switches SSE on by itself only where the model has XSAVE: CR4.OSFXSR, OSXMMEXCPT.
_SSE = ((X86_REGISTERS["cr4"], 1 << 9 | 1 << 10),)
_HEAD = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx"


def _x86(
    name: str,
    model: str,
    *,
    vendor: str,
    signature: tuple[int, int, int],  # family, model, stepping
    called: str,
    level: int,  # highest standard leaf of CPUID
    cache: int,  # KiB of the last level
    flags: str,
) -> Processor:
    family, number, stepping = signature
    return Processor(
        name,
        model=X86_MODELS[model],
        hwcap=0x078BFBFD,  # cpuid(1).edx
        hwcap2=0,
        setup=_SSE,
        cpuinfo=f"""\
processor\t: {{cpu}}
vendor_id\t: {vendor}
cpu family\t: {family}
model\t\t: {number}
model name\t: {called}
stepping\t: {stepping}
cpu MHz\t\t: 2000.000
cache size\t: {cache} KB
fpu\t\t: yes
fpu_exception\t: yes
cpuid level\t: {level}
wp\t\t: yes
flags\t\t: {_HEAD} {flags}
bogomips\t: 4000.00
clflush size\t: 64
cache_alignment\t: 64
address sizes\t: 40 bits physical, 48 bits virtual

""",
    )


TABLE: dict[str, tuple[Processor, ...]] = {
    "aarch64": (
        _arm64("cortex-a53", "a53", variant=0, part=0xD03, revision=4),
        _arm64("cortex-a57", "a57", variant=1, part=0xD07, revision=0),
        _arm64("cortex-a72", "a72", variant=0, part=0xD08, revision=3),
    ),
    "arm": (
        _armv7("cortex-a7", "cortex_a7", (_V7VE, 0, _V7VE_WORDS), part=0xC07, revision=5),
        _armv7("cortex-a8", "cortex_a8", (_V7, 0, _V7_WORDS), part=0xC08),
        _armv7("cortex-a9", "cortex_a9", (_V7, 0, _V7_WORDS), part=0xC09),
        # A Cortex-A15 by its number, with instructions of Armv8: ISAR5 0x11011120, ISAR6 0x11111
        _armv7(
            MAX,
            "max",
            (
                _V7VE | 1 << 24 | 1 << 25,  # ASIMDDP ASIMDFHM
                0x3F,  # AES PMULL SHA1 SHA2 CRC32 SB
                _V7VE_WORDS + " asimddp asimdfhm aes pmull sha1 sha2 crc32 sb",
            ),
            variant=2,
            part=0xC0F,
            revision=1,
        ),
    ),
}
_INTEL, _AMD = "GenuineIntel", "AuthenticAMD"
TABLE["x86_64"] = (
    _x86(
        "qemu64",
        "qemu64",
        vendor=_AMD,
        signature=(6, 6, 3),
        called="QEMU Virtual CPU version 2.5+",
        level=13,
        cache=512,
        flags="lm pni cx16 hypervisor lahf_lm",
    ),
    _x86(
        "Conroe",
        "conroe",
        vendor=_INTEL,
        signature=(6, 15, 3),
        called="Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
        level=10,
        cache=4096,
        flags="lm pni ssse3 hypervisor lahf_lm",
    ),
    _x86(
        "Penryn",
        "penryn",
        vendor=_INTEL,
        signature=(6, 23, 3),
        called="Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
        level=10,
        cache=4096,
        flags="lm pni ssse3 cx16 sse4_1 hypervisor lahf_lm",
    ),
    _x86(
        "Nehalem",
        "nehalem",
        vendor=_INTEL,
        signature=(6, 26, 3),
        called="Intel Core i7 9xx (Nehalem Class Core i7)",
        level=11,
        cache=4096,
        flags="lm pni ssse3 cx16 sse4_1 sse4_2 popcnt hypervisor lahf_lm",
    ),
    _x86(
        "Westmere",
        "westmere",
        vendor=_INTEL,
        signature=(6, 44, 1),
        called="Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        level=11,
        cache=4096,
        flags="lm pni pclmulqdq ssse3 cx16 sse4_1 sse4_2 popcnt aes hypervisor lahf_lm",
    ),
    _x86(
        "Opteron_G2",
        "opteron_g2",
        vendor=_AMD,
        signature=(15, 6, 1),
        called="AMD Opteron 22xx (Gen 2 Class Opteron)",
        level=5,
        cache=512,
        flags="lm pni cx16 hypervisor lahf_lm",
    ),
    _x86(
        "Opteron_G3",
        "opteron_g3",
        vendor=_AMD,
        signature=(16, 2, 3),
        called="AMD Opteron 23xx (Gen 3 Class Opteron)",
        level=5,
        cache=512,
        flags="rdtscp lm pni cx16 popcnt hypervisor lahf_lm abm sse4a",
    ),
)


def names(architecture: str) -> list[str]:
    """What an architecture's programs can be given, the usual one first."""
    listed = [USUAL[architecture], *(row.name for row in TABLE.get(architecture, ()))]
    return listed if MAX in listed else [*listed, MAX]


def listing() -> str:
    """All of them, for people."""
    return "".join(f"{name}: {', '.join(names(name))}\n" for name in USUAL)


def find(architecture: str, word: str) -> str:
    """The name as it stands here, whatever the case of the word. ProcessorError."""
    known = names(architecture)
    for name in known:
        if name.lower() == word.lower():
            return USUAL[architecture] if name == MAX and not _row(architecture, MAX) else name
    near = sorted(known, key=lambda name: -_likeness(name, word))[:NEAREST]
    if len(known) > NEAREST and _likeness(near[0], word):
        raise ProcessorError(
            f"{architecture} has no processor {word!r}; nearest: {', '.join(near)} (-cpu help lists all)"
        )
    raise ProcessorError(f"{architecture} has no processor {word!r}; possible: {', '.join(known)}")


NEAREST = 3


def _likeness(name: str, word: str) -> float:
    """How much of two words is the same: the share of pairs of letters. difflib costs too much at a start."""
    one, other = (
        [text[at : at + 2] for at in range(len(text) - 1)] for text in (name.lower(), word.lower())
    )
    return 2 * sum(pair in other for pair in one) / ((len(one) + len(other)) or 1)


def _row(architecture: str, name: str) -> Processor | None:
    return next((row for row in TABLE.get(architecture, ()) if row.name == name), None)


_fitted: dict[tuple[str, str], Architecture] = {}


def fit(usual: Architecture, word: str) -> Architecture:
    """The architecture with that processor. ProcessorError."""
    name = find(usual.name, word)
    row = _row(usual.name, name)
    if row is None:
        return usual
    known = _fitted.get((usual.name, name))
    if known is None:
        known = usual.with_processor(row.name, row.model, row.setup, (row.hwcap, row.hwcap2))
        known.cpuinfo = row.cpuinfo
        _fitted[usual.name, name] = known
    return known
