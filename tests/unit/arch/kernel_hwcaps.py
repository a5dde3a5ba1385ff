"""What the kernel makes of a processor's identification registers: AT_HWCAP, AT_HWCAP2, the words in /proc/cpuinfo.

Tables after arch/arm64/kernel/cpufeature.c (arm64_elf_hwcaps), cpuinfo.c (hwcap_str), arch/arm/kernel/setup.c
(cpuid_init_hwcaps, elf_hwcap_fixup, hwcap_str), arch/arm/vfp/vfpmodule.c (vfp_init), arch/arm/mm/proc-v7.S, and
arch/x86/include/asm/cpufeatures.h; bit numbers are those of asm/hwcap.h.
"""

# AT_HWCAP bit (AT_HWCAP2's from 64 on): word, register, lowest bit of its 4-bit field, least value; a field of
# ID_AA64PFR0 is signed: 15 is "no".
ARM64 = {
    0: ("fp", "pfr0", 16, 0),
    1: ("asimd", "pfr0", 20, 0),
    3: ("aes", "isar0", 4, 1),
    4: ("pmull", "isar0", 4, 2),
    5: ("sha1", "isar0", 8, 1),
    6: ("sha2", "isar0", 12, 1),
    7: ("crc32", "isar0", 16, 1),
    8: ("atomics", "isar0", 20, 2),
    9: ("fphp", "pfr0", 16, 1),
    10: ("asimdhp", "pfr0", 20, 1),
    12: ("asimdrdm", "isar0", 28, 1),
    13: ("jscvt", "isar1", 12, 1),
    14: ("fcma", "isar1", 16, 1),
    15: ("lrcpc", "isar1", 20, 1),
    16: ("dcpop", "isar1", 0, 1),
    17: ("sha3", "isar0", 32, 1),
    18: ("sm3", "isar0", 36, 1),
    19: ("sm4", "isar0", 40, 1),
    20: ("asimddp", "isar0", 44, 1),
    21: ("sha512", "isar0", 12, 2),
    22: ("sve", "pfr0", 32, 1),
    23: ("asimdfhm", "isar0", 48, 1),
    24: ("dit", "pfr0", 48, 1),
    25: ("uscat", "mmfr2", 32, 1),
    26: ("ilrcpc", "isar1", 20, 2),
    27: ("flagm", "isar0", 52, 1),
    28: ("ssbs", "pfr1", 4, 2),
    29: ("sb", "isar1", 36, 1),
    64 + 0: ("dcpodp", "isar1", 0, 2),
    64 + 7: ("flagm2", "isar0", 52, 2),
    64 + 8: ("frint", "isar1", 32, 1),
    64 + 13: ("i8mm", "isar1", 52, 1),
    64 + 14: ("bf16", "isar1", 44, 1),
    64 + 15: ("dgh", "isar1", 48, 1),
    64 + 16: ("rng", "isar0", 60, 1),
    64 + 17: ("bti", "pfr1", 0, 1),
    64 + 18: ("mte", "pfr1", 8, 2),
}


def arm64(registers: dict[str, int]) -> dict[int, str]:
    """Bits and words of a processor. FP and AdvSIMD: 15 is "none"."""
    found = {}
    for bit, (word, register, shift, least) in ARM64.items():
        value = registers[register] >> shift & 15
        if register == "pfr0" and shift in (16, 20) and value == 15:
            continue
        if value >= least:
            found[bit] = word
    return found


def arm(registers: dict[str, int]) -> dict[int, str]:
    """Bits and words of a processor with the CPUID scheme that proc-v7.S knows."""
    field = lambda name, shift: registers[name] >> shift & 15  # noqa: E731
    rows = [
        (0, "swp", field("isar3", 12) < 1),
        (1, "half", True),
        (2, "thumb", True),
        (4, "fastmult", True),
        (6, "vfp", True),
        (7, "edsp", True),
        (11, "thumbee", field("pfr0", 12) == 1),
        (12, "neon", registers["mvfr1"] & 0x000FFF00 == 0x00011100),
        (13, "vfpv3", 2 in (field("mvfr0", 8), field("mvfr0", 4))),
        (14, "vfpv3d16", field("mvfr0", 0) == 1),
        (15, "tls", True),
        (16, "vfpv4", field("mvfr1", 28) == 1),
        (17, "idiva", field("isar0", 24) >= 2),
        (18, "idivt", field("isar0", 24) >= 1),
        (19, "vfpd32", field("mvfr0", 0) != 1),
        (20, "lpae", field("mmfr0", 0) >= 5),
        (22, "fphp", field("mvfr1", 24) == 3),
        (23, "asimdhp", field("mvfr1", 20) == 2),
        (24, "asimddp", field("isar6", 4) == 1),
        (25, "asimdfhm", field("isar6", 8) == 1),
        (26, "asimdbf16", field("isar6", 20) == 1),
        (27, "i8mm", field("isar6", 24) == 1),
        (64, "aes", field("isar5", 4) >= 1),
        (65, "pmull", field("isar5", 4) >= 2),
        (66, "sha1", field("isar5", 8) >= 1),
        (67, "sha2", field("isar5", 12) >= 1),
        (68, "crc32", field("isar5", 16) >= 1),
        (69, "sb", field("isar6", 12) >= 1),
        (70, "ssbs", field("pfr2", 4) >= 1),
    ]
    return {bit: word for bit, word, there in rows if there}


def value(bits: dict[int, str]) -> tuple[int, int]:
    """(AT_HWCAP, AT_HWCAP2)."""
    both = sum(1 << bit for bit in bits)
    return both & (1 << 64) - 1, both >> 64


_NONE = "-"
# (leaf, register of CPUID): names of its bits, the lowest first, in the order in which the kernel prints them. What is
# the operating system's alone has no name here: monitor, svm, smep, smap, pdpe1gb, osxsave; nor what 64-bit code cannot
# have, and bits that AMD repeats.
X86 = {
    (
        1,
        "edx",
    ): "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx "
    "fxsr sse sse2 ss ht tm ia64 pbe",
    (
        0x80000001,
        "edx",
    ): "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt - rdtscp - lm "
    "3dnowext 3dnow",
    (
        1,
        "ecx",
    ): "pni pclmulqdq dtes64 - ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 "
    "sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    (
        0x80000001,
        "ecx",
    ): "lahf_lm cmp_legacy - extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
    "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -",
    (
        7,
        "ebx",
    ): "fsgsbase tsc_adjust sgx bmi1 hle avx2 - - bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq "
    "rdseed adx - avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
}


def x86_flags(leaves: dict[int, dict[str, int]]) -> list[str]:
    """The words of the line "flags". `leaves`: CPUID's leaves by register; one that the processor has not is absent."""
    return [
        name
        for (leaf, register), names in X86.items()
        for bit, name in enumerate(names.split())
        if name != _NONE and leaves.get(leaf, {}).get(register, 0) >> bit & 1
    ]
