"""Processor models: their facts are what the engine's model says of itself, by the kernel's rules, and executes."""

import os
import struct
import subprocess
import sys

import pytest

from runtime import arch
from runtime.arch import engine_ids, processors
from runtime.arch.architecture import Architecture, ProcessorError
from tests.unit.arch import kernel_hwcaps
from tests.unit.arch.one_engine import DATA, OneEngine
from tests.unit.source_files import TOP

ALL = [(name, model) for name in arch.ARCHITECTURES for model in processors.names(name)]
ARM64 = [model for name, model in ALL if name == "aarch64"]
ARM = [model for name, model in ALL if name == "arm"]
X86 = [model for name, model in ALL if name == "x86_64"]


def fit(name: str, model: str) -> Architecture:
    return arch.with_processor(arch.load(name), model)


def line(isa: Architecture, key: str) -> str:
    """A line of /proc/cpuinfo."""
    for each in isa.cpuinfo.splitlines():
        name, _, text = each.partition(":")
        if name.strip() == key:
            return text.strip()
    raise AssertionError(key)


def check_maker(isa: Architecture, midr: int) -> None:
    """The lines that say what the main ID register does."""
    assert line(isa, "CPU implementer") == f"{midr >> 24:#04x}"
    assert line(isa, "CPU variant") == f"{midr >> 20 & 15:#x}"
    assert line(isa, "CPU part") == f"{midr >> 4 & 0xFFF:#05x}"
    assert line(isa, "CPU revision") == str(midr & 15)


# aarch64 -------------------------------------------------------------------------------------------------------------

SVC = bytes.fromhex("010000d4")
# mrs x0, ... at EL1
ARM64_REGISTERS = {
    "midr": 0xD5380000, "pfr0": 0xD5380400, "pfr1": 0xD5380420, "isar0": 0xD5380600, "isar1": 0xD5380620,
    "mmfr2": 0xD5380740,
}  # fmt: skip
# One instruction for each word; x1 and sp are addresses of data.
ARM64_CODE = {
    "fp": 0x1E602800,  # fadd d0, d0, d0
    "asimd": 0x4E208400,  # add v0.16b, v0.16b, v0.16b
    "aes": 0x4E284800,  # aese v0.16b, v0.16b
    "pmull": 0x0EE0E000,  # pmull v0.1q, v0.1d, v0.1d
    "sha1": 0x5E280800,  # sha1h s0, s0
    "sha2": 0x5E282800,  # sha256su0 v0.4s, v0.4s
    "crc32": 0x1AC04000,  # crc32b w0, w0, w0
    "atomics": 0xB82003E0,  # ldadd w0, w0, [sp]
    "fphp": 0x1EE02800,  # fadd h0, h0, h0
    "asimdhp": 0x4E401400,  # fadd v0.8h, v0.8h, v0.8h
    "asimdrdm": 0x6E408400,  # sqrdmlah v0.8h, v0.8h, v0.8h
    "jscvt": 0x1E7E0000,  # fjcvtzs w0, d0
    "fcma": 0x6E80E400,  # fcadd v0.4s, v0.4s, v0.4s, #90
    "lrcpc": 0xB8BFC3E0,  # ldapr w0, [sp]
    "dcpop": 0xD50B7C21,  # dc cvap, x1
    "sha3": 0xCE000000,  # eor3 v0.16b, v0.16b, v0.16b, v0.16b
    "sm3": 0xCE60C000,  # sm3partw1 v0.4s, v0.4s, v0.4s
    "sm4": 0xCEC08400,  # sm4e v0.4s, v0.4s
    "asimddp": 0x6E809400,  # udot v0.4s, v0.16b, v0.16b
    "sha512": 0xCEC08000,  # sha512su0 v0.2d, v0.2d
    "sve": 0x04200000,  # add z0.b, z0.b, z0.b
    "asimdfhm": 0x4E20EC00,  # fmlal v0.4s, v0.4h, v0.4h
    "ilrcpc": 0x994003E0,  # ldapur w0, [sp]
    "flagm": 0xD500401F,  # cfinv
    "ssbs": 0xD53B42C0,  # mrs x0, ssbs
    "sb": 0xD50330FF,  # sb
    "dcpodp": 0xD50B7D21,  # dc cvadp, x1
    "flagm2": 0xD500405F,  # axflag
    "frint": 0x1E284000,  # frint32z s0, s0
    "i8mm": 0x4E809C00,  # usdot v0.4s, v0.16b, v0.16b
    "bf16": 0x6E40FC00,  # bfdot v0.4s, v0.8h, v0.8h
    "rng": 0xD53B2400,  # mrs x0, rndr
}
# Not reported although the registers say so: Linux would have to switch them on. BTI is a hint, and executes anywhere.
ARM64_OFF = {"sve", "bti"}


def arm64_registers(isa: Architecture) -> dict[str, int]:
    machine = OneEngine(isa, privileged=True)
    found = {}
    for name, code in ARM64_REGISTERS.items():
        assert machine.run(code.to_bytes(4, "little") + SVC)
        found[name] = machine.get("x0")
    return found


@pytest.mark.parametrize("model", ARM64)
def test_arm64_says_what_its_registers_say(model) -> None:
    isa = fit("aarch64", model)
    registers = arm64_registers(isa)
    bits = {b: w for b, w in kernel_hwcaps.arm64(registers).items() if w not in ARM64_OFF}
    assert kernel_hwcaps.value(bits) == (isa.auxv.hwcap, isa.auxv.hwcap2)
    assert line(isa, "Features").split() == list(bits.values())
    if model == "max":
        return  # its cpuinfo names no maker
    check_maker(isa, registers["midr"])


@pytest.mark.parametrize("model", ARM64)
def test_arm64_executes_what_it_says_and_no_more(model) -> None:
    isa = fit("aarch64", model)
    machine = OneEngine(isa)
    words = line(isa, "Features").split()
    assert set(words) <= ARM64_CODE.keys()
    ran = {
        w
        for w, code in ARM64_CODE.items()
        if machine.run(code.to_bytes(4, "little") + SVC, x1=DATA)
    }
    assert ran == set(words)


# arm -----------------------------------------------------------------------------------------------------------------

ARM_SVC = bytes.fromhex("000000ef")
ARM_REGISTERS = {
    "midr": 0xEE100F10, "pfr0": 0xEE100F11, "mmfr0": 0xEE100F91, "isar0": 0xEE100F12, "isar3": 0xEE100F72,
    "isar4": 0xEE100F92, "isar5": 0xEE100FB2, "isar6": 0xEE100FF2, "pfr2": 0xEE100F93,
    "mvfr0": 0xEEF70A10, "mvfr1": 0xEEF60A10,
}  # fmt: skip
ARM_CODE = {
    "half": "b000dde1",  # ldrh r0, [sp]
    "thumb": "01408fe2 14ff2fe1 00df",  # add r4, pc, #1; bx r4; svc 0 in Thumb
    "fastmult": "920381e0",  # umull r0, r1, r2, r3
    "vfp": "000b30ee",  # vadd.f64 d0, d0, d0
    "edsp": "810260e1",  # smulbb r0, r1, r2
    "thumbee": "100ed1ee",  # mrc p14, 6, r0, c1, c0, 0: TEEHBR
    "neon": "400820f2",  # vadd.i32 q0, q0, q0
    "vfpv3": "000bb7ee",  # vmov.f64 d0, #1.0
    "tls": "700f1dee",  # mrc p15, 0, r0, c13, c0, 3
    "vfpv4": "000ba0ee",  # vfma.f64 d0, d0, d0
    "idiva": "10f110e7",  # sdiv r0, r0, r1
    "idivt": "01408fe2 14ff2fe1 90fbf1f0 00df",  # sdiv r0, r0, r1; svc 0 in Thumb
    "vfpd32": "a00b70ee",  # vadd.f64 d16, d16, d16
    "fphp": "000930ee",  # vadd.f16 s0, s0, s0
    "asimdhp": "400d10f2",  # vadd.f16 q0, q0, q0
    "asimddp": "500d20fc",  # vudot.u8 q0, q0, q0
    "asimdfhm": "500820fc",  # vfmal.f16 q0, d0, d0
    "asimdbf16": "400d00fc",  # vdot.bf16 q0, q0, q0
    "i8mm": "400da0fc",  # vusdot.s8 q0, q0, q0
    "aes": "0003b0f3",  # aese.8 q0, q0
    "pmull": "000ea0f2",  # vmull.p64 q0, d0, d0
    "sha1": "c002b9f3",  # sha1h.32 q0, q0
    "sha2": "c003baf3",  # sha256su0.32 q0, q0
    "crc32": "400000e1",  # crc32b r0, r0, r0
    "sb": "70f07ff5",  # sb
}
ARM_UNTOLD = {"lpae"}  # that ldrd and strd are atomic: nothing to execute


def arm_registers(isa: Architecture) -> dict[str, int]:
    machine = OneEngine(isa, privileged=True)
    enable = {"c1_c0_2": 0xF << 20, "fpexc": 1 << 30}  # VFP, as the kernel has it
    found = {}
    for name, code in ARM_REGISTERS.items():
        ran = machine.run(code.to_bytes(4, "little") + ARM_SVC, **enable)
        assert ran or name == "pfr2"  # which v7 does not have, and the engine's max does not either
        found[name] = machine.get("r0") if ran else 0
    return found


@pytest.mark.parametrize("model", ARM)
def test_arm_says_what_its_registers_say(model) -> None:
    isa = fit("arm", model)
    registers = arm_registers(isa)
    bits = kernel_hwcaps.arm(registers)
    assert kernel_hwcaps.value(bits) == (isa.auxv.hwcap, isa.auxv.hwcap2)
    assert line(isa, "Features").split() == list(bits.values())
    midr = registers["midr"]
    assert midr >> 16 & 15 == 15, "the CPUID scheme: proc-v7.S"
    assert line(isa, "model name") == f"ARMv7 Processor rev {midr & 15} (v7l)"
    check_maker(isa, midr)


@pytest.mark.parametrize("model", ARM)
def test_arm_executes_what_it_says_and_no_more(model) -> None:
    isa = fit("arm", model)
    words = set(line(isa, "Features").split()) - ARM_UNTOLD
    assert words <= ARM_CODE.keys()
    ran = set()
    for word, code in ARM_CODE.items():
        machine = OneEngine(isa)  # in ARM state
        if machine.run(bytes.fromhex(code) + ARM_SVC, r1=DATA):
            ran.add(word)
    assert ran == words


# x86_64 --------------------------------------------------------------------------------------------------------------

SYSCALL = bytes.fromhex("0f05")
CPUID = bytes.fromhex(
    "0fa2 4189c2 4189c9"
)  # cpuid; mov r10d, eax; mov r9d, ecx: a system call takes them
X86_CODE = {
    "cmov": "0f44c0",  # cmove eax, eax
    "cx8": "0fc70b",  # cmpxchg8b [rbx]
    "mmx": "0ffcc0",  # paddb mm0, mm0
    "sse": "0f58c0",  # addps xmm0, xmm0
    "sse2": "660f58c0",  # addpd xmm0, xmm0
    "pni": "f20f7cc0",  # haddps xmm0, xmm0
    "ssse3": "660f381cc0",  # pabsb xmm0, xmm0
    "sse4_1": "660f3840c0",  # pmulld xmm0, xmm0
    "sse4_2": "660f3837c0",  # pcmpgtq xmm0, xmm0
    "popcnt": "f30fb8c0",  # popcnt eax, eax
    "aes": "660f38dcc0",  # aesenc xmm0, xmm0
    "pclmulqdq": "660f3a44c000",  # pclmulqdq xmm0, xmm0, 0
    "movbe": "0f38f003",  # movbe eax, [rbx]
    "cx16": "480fc70b",  # cmpxchg16b [rbx]
    "rdrand": "0fc7f0",  # rdrand eax
    "lahf_lm": "9f",  # lahf
    "rdtscp": "0f01f9",  # rdtscp
    "fsgsbase": "f30faec0",  # rdfsbase eax
    "bmi1": "c4e278f2c0",  # andn eax, eax, eax
    "bmi2": "c4e37bf0c001",  # rorx eax, eax, 1
    "adx": "660f38f6c0",  # adcx eax, eax
    "clflushopt": "660fae3b",  # clflushopt [rbx]
    "clwb": "660fae33",  # clwb [rbx]
    "sha_ni": "0f38c8c0",  # sha1nexte xmm0, xmm0
    "3dnow": "0f0fc09e",  # pfadd mm0, mm0
}


def cpuid(machine: OneEngine, leaf: int, subleaf: int = 0) -> dict[str, int]:
    assert machine.run(CPUID + SYSCALL, rax=leaf, rcx=subleaf)
    places = {"eax": "r10", "ebx": "rbx", "ecx": "r9", "edx": "rdx"}
    return {name: machine.get(place) & 0xFFFFFFFF for name, place in places.items()}


def cache_size(machine: OneEngine, vendor: str) -> int:
    """KiB of the last level, as the kernel finds it: leaf 4, for AMD the L2 of leaf 0x80000006."""
    if vendor != "GenuineIntel":
        return cpuid(machine, 0x80000006)["ecx"] >> 16
    size = 0
    for index in range(8):
        row = cpuid(machine, 4, index)
        if not row["eax"] & 31:
            break
        ways, parts, length = row["ebx"] >> 22, row["ebx"] >> 12 & 0x3FF, row["ebx"] & 0xFFF
        if row["eax"] & 31 == 3:  # unified
            size = (ways + 1) * (parts + 1) * (length + 1) * (row["ecx"] + 1)
    return size >> 10


@pytest.mark.parametrize("model", X86)
def test_x86_says_what_cpuid_says(model) -> None:
    isa = fit("x86_64", model)
    machine = OneEngine(isa)
    first, one = cpuid(machine, 0), cpuid(machine, 1)
    leaves = {leaf: cpuid(machine, leaf) for leaf in (1, 7, 0x80000001)}
    if first["eax"] < 7:
        del leaves[7]
    vendor = struct.pack("<3I", first["ebx"], first["edx"], first["ecx"]).decode()
    signature = one["eax"]
    family, number = signature >> 8 & 15, signature >> 4 & 15
    number |= (signature >> 16 & 15) << 4 if family in (6, 15) else 0
    family += signature >> 20 & 255 if family == 15 else 0
    brand = b"".join(
        struct.pack("<4I", *cpuid(machine, leaf).values()) for leaf in range(0x80000002, 0x80000005)
    )
    assert isa.auxv.hwcap == one["edx"]
    assert isa.auxv.hwcap2 == (leaves.get(7, {"ebx": 0})["ebx"] & 1) << 1  # HWCAP2_FSGSBASE
    sizes = cpuid(machine, 0x80000008)["eax"]
    assert {key: line(isa, key) for key in (
        "vendor_id", "cpu family", "model", "model name", "stepping", "cpuid level", "cache size",
        "clflush size", "address sizes",
    )} == {
        "vendor_id": vendor,
        "cpu family": str(family),
        "model": str(number),
        "model name": brand.rstrip(b"\0 ").decode(),
        "stepping": str(signature & 15),
        "cpuid level": str(first["eax"]),
        "cache size": f"{cache_size(machine, vendor)} KB",
        "clflush size": str((one["ebx"] >> 8 & 255) * 8),
        "address sizes": f"{sizes & 255} bits physical, {sizes >> 8 & 255} bits virtual",
    }  # fmt: skip
    assert line(isa, "flags").split() == kernel_hwcaps.x86_flags(leaves)


@pytest.mark.parametrize("model", X86)
def test_x86_executes_what_it_says_and_no_more(model) -> None:
    isa = fit("x86_64", model)
    flags = set(line(isa, "flags").split())
    assert not any(flag.startswith("avx") for flag in flags)
    ran = {
        flag
        for flag, code in X86_CODE.items()
        if OneEngine(isa).run(bytes.fromhex(code) + SYSCALL, rbx=DATA)
    }
    assert ran == flags & X86_CODE.keys()


# The architectures that have one -------------------------------------------------------------------------------------

# architecture: system call, what it has, what it has not; r4, a1 and the like hold addresses of data
USUAL_CODE = {
    "riscv64": (
        "73000000",
        {
            "M": "3305a502",  # mul a0, a0, a0
            "A": "2fa5a500",  # amoadd.w a0, a0, (a1)
            "F": "5375a500",  # fadd.s fa0, fa0, fa0
            "D": "5375a502",  # fadd.d fa0, fa0, fa0
            "C": "0100",  # c.nop
        },
        {"Zba": "3325a520"},  # sh1add a0, a0, a0
    ),
    "ppc64le": (
        "02000044",
        {
            "ALTIVEC": "80000010",  # vadduwm v0, v0, v0
            "FPU": "2a0000fc",  # fadd f0, f0, f0
            "VSX": "000300f0",  # xvadddp vs0, vs0, vs0
            "DFP": "040000ec",  # dadd f0, f0, f0
            "ISEL": "1e00007c",  # isellt r0, 0, r0
            "VEC_CRYPTO": "08050010",  # vcipher v0, v0, v0
            "ARCH_3_00": "1226637c",  # modsd r3, r3, r4
            "DARN": "e605617c",  # darn r3, 1
        },
        {
            "DSCR": "a602037c",  # mfdscr r0, as a program may say it
            "TAR": "a6ca0f7c",  # mftar r0
            "HTM": "1d05007c",  # tbegin.
            "SCV": "01000044",  # scv 0
            "ARCH_3_1": "7601637c",  # brd r3, r3
        },
    ),
    "mips": (
        "0000000c",
        {
            "FPU": "46200000",  # add.d $f0, $f0, $f0
            "release 2": "7d080000",  # ext $t0, $t0, 0, 1
        },
        {
            "DSP": "7d094290",  # addq.ph $t0, $t0, $t1
            "release 6": "01094035",  # seleqz $t0, $t0, $t1
        },
    ),
}


# asm/cputable.h: (AT_HWCAP or AT_HWCAP2, bit)
PPC_BITS = {
    "ALTIVEC": (0, 28), "FPU": (0, 27), "DFP": (0, 10), "VSX": (0, 7), "HTM": (1, 30), "DSCR": (1, 29),
    "ISEL": (1, 27), "TAR": (1, 26), "VEC_CRYPTO": (1, 25), "ARCH_3_00": (1, 23), "DARN": (1, 21), "SCV": (1, 20),
    "ARCH_3_1": (1, 18),
}  # fmt: skip


def test_ppc64le_reports_what_it_executes() -> None:
    facts = arch.load("ppc64le").auxv
    words = (facts.hwcap, facts.hwcap2 or 0)
    reported = {name for name, (word, bit) in PPC_BITS.items() if words[word] >> bit & 1}
    assert reported == USUAL_CODE["ppc64le"][1].keys()
    assert PPC_BITS.keys() == USUAL_CODE["ppc64le"][1].keys() | USUAL_CODE["ppc64le"][2].keys()


@pytest.mark.parametrize("name", USUAL_CODE)
def test_the_only_one_executes_what_it_says_and_no_more(name) -> None:
    isa = arch.load(name)
    call, there, missing = USUAL_CODE[name]
    ran = set()
    for word, code in (there | missing).items():
        machine = OneEngine(isa)
        if name == "riscv64":
            machine.cpu.set(isa.engine.registers["a1"], DATA)
        if machine.run(bytes.fromhex(code + call)):
            ran.add(word)
    assert ran == there.keys()


# all -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "model"), ALL)
def test_another_processor_changes_nothing_else(name, model) -> None:
    usual = arch.load(name)
    before = (usual.engine.model, usual.auxv.hwcap, usual.cpuinfo, usual.engine.setup)
    isa = fit(name, model)
    if model == processors.USUAL[name]:
        assert isa is usual
    changed = {"processor", "engine", "auxv", "cpuinfo"} if isa is not usual else set()
    for slot in Architecture.__slots__:
        same = getattr(isa, slot) is getattr(usual, slot)
        assert same == (slot not in changed) or slot == "_signals", slot
    assert (usual.engine.model, usual.auxv.hwcap, usual.cpuinfo, usual.engine.setup) == before
    assert usual.processor == ""
    assert fit(name, model) is isa  # made once


def test_the_usual_ones_are_what_they_are_called() -> None:
    """The engine's model of the usual processor has the name that is shown for it."""
    numbers = {name: arch.load(name).engine.model for name in arch.ARCHITECTURES}
    assert numbers["aarch64"] == engine_ids_of("aarch64")["max"]
    assert numbers["arm"] == engine_ids_of("arm")["cortex_a15"]
    assert numbers["mips"] == engine_ids_of("mips")["24kf"]
    assert numbers["x86_64"] == engine_ids_of("x86")["epyc_rome"]


def engine_ids_of(name: str) -> dict[str, int]:
    module = __import__(f"runtime.arch.engine_ids.{name}", fromlist=["MODELS"])
    models: dict[str, int] = module.MODELS
    return models


def test_names() -> None:
    assert processors.names("aarch64") == ["max", "cortex-a53", "cortex-a57", "cortex-a72"]
    assert processors.find("aarch64", "Cortex-A53") == "cortex-a53"
    assert processors.find("mips", "max") == processors.find("mips", "24kf") == "24Kf"
    assert processors.find("arm", "max") == "max"
    assert arch.with_processor(arch.load("mips"), "auto") is arch.load("mips")


@pytest.mark.parametrize(
    ("name", "word", "text"),
    [
        (
            "arm",
            "cortex-a99",
            "arm has no processor 'cortex-a99'; nearest: cortex-a9, cortex-a7, cortex-a8 (-cpu help lists all)",
        ),
        ("mips", "74Kf", "mips has no processor '74Kf'; possible: 24Kf, max"),
        (
            "x86_64",
            "nehalm",
            "x86_64 has no processor 'nehalm'; nearest: Nehalem, ",
        ),
        (
            "aarch64",
            "",
            "aarch64 has no processor ''; possible: max, cortex-a53, cortex-a57, cortex-a72",
        ),
    ],
)
def test_a_name_that_is_none(name, word, text) -> None:
    with pytest.raises(ProcessorError) as caught:
        processors.find(name, word)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_a_start_without_a_processor_does_not_import_them() -> None:
    script = (
        "import sys; import binfmt.front, binfmt.qemu, runtime.cli, runtime.run, runtime.run_command; "
        "from runtime import arch; arch.load_all(); arch.with_processor(arch.load('arm'), 'auto'); "
        "sys.exit('runtime.arch.processors' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": TOP}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == 0


# What is not offered, and why: see processors.py ----------------------------------------------------------------------


def test_the_engine_miscounts_64_bit_powerpc() -> None:
    """Its number for POWER8 gives another processor: PVR 0x10100000 and the like, never 0x004d...."""
    usual = arch.load("ppc64le")
    found = set()
    for number in range(19):  # UC_CPU_PPC64_ENDING
        isa = usual.with_processor("?", number, (), (0, 0))
        machine = OneEngine(isa, privileged=True)
        machine.run(bytes.fromhex("7c7f42a6 44000002"))  # mfpvr r3; sc
        found.add(machine.get("r3") >> 16)
    assert not found & {0x004B, 0x004C, 0x004D, 0x004E, 0x0080}  # POWER8E, 8NVL, 8, 9, 10
    assert engine_ids.MODE_PPC64


def test_riscv_models_are_the_same_to_a_program() -> None:
    """misa of the usual one and of sifive-u54; sifive-e51 has no supervisor mode, and Linux no use for it."""
    usual = arch.load("riscv64")
    letters = {}
    for model, number in engine_ids_of("riscv").items():
        machine = OneEngine(usual.with_processor("?", number, (), (0, 0)), privileged=True)
        assert machine.run(bytes.fromhex("73251030 73000000"))  # csrr a0, misa; ecall
        value = machine.get("a0")
        letters[model] = {chr(ord("A") + bit) for bit in range(26) if value >> bit & 1}
    user = set("IMAFDC")
    assert letters["any"] & user == letters["sifive_u54"] & user == user
    assert "S" not in letters["sifive_e51"]
    assert usual.auxv.hwcap == sum(1 << ord(letter) - ord("A") for letter in user)
