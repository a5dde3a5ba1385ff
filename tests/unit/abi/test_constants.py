"""The numbers are what each ABI's headers say, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import arch
from runtime.abi import errors
from runtime.abi.constant_names import FLAG_DOMAINS, GENERIC, MIXED_DOMAINS
from runtime.abi.constants import UNKNOWN
from tests.unit.compilers import defined

HEADERS = {
    "errno": ("asm/errno.h",),
    "open": ("linux/fcntl.h",),
    "fcntl": ("linux/fcntl.h",),
    "mmap": ("linux/mman.h",),
    "mlockall": ("asm/mman.h",),
    "signal": ("linux/types.h", "linux/signal.h"),
    "sighow": ("linux/types.h", "linux/signal.h"),
    "sa_flags": ("linux/types.h", "linux/signal.h"),
    "resource": ("asm/resource.h",),
    "poll": ("asm/poll.h",),
    "socket_option": ("linux/types.h", "asm/socket.h"),
    "socket_level": ("linux/types.h", "asm/socket.h"),
}
# What a header cannot show: 64-bit userland has no F_*LK64; SIGSTKFLT takes SIGEMT's place on mips; the kernel ignores
# SA_RESTORER where an ABI has none; the deadlock alias of ppc's C library is never what its kernel returns.
NOT_COMPARED = {"F_GETLK64", "F_SETLK64", "F_SETLKW64", "SIGSTKFLT", "SA_RESTORER", "EDEADLOCK"}
CASES = [(isa, domain) for isa in arch.ARCHITECTURES for domain in HEADERS]


def generic(domain: str) -> dict[str, int]:
    if domain == "errno":
        return {name: number for number, name in errors.NAMES.items()}
    return GENERIC[domain]


@pytest.mark.guest
@pytest.mark.parametrize(("isa", "domain"), CASES)
def test_numbers_are_the_headers(isa: str, domain: str):
    constants = arch.load(isa).constants
    theirs = defined(isa, HEADERS[domain], generic(domain))
    assert theirs
    own = {**generic(domain), **constants.overrides.get(domain, {})}
    compared = {
        name: value & 0xFFFFFFFF for name, value in theirs.items() if name not in NOT_COMPARED
    }
    assert {name: own[name] for name in compared} == compared


@pytest.mark.parametrize("isa", arch.ARCHITECTURES)
def test_no_override_says_what_is_generic(isa: str):
    for domain, exceptions in arch.load(isa).constants.overrides.items():
        for name, value in exceptions.items():
            assert generic(domain).get(name) != value, (
                f"{isa}: {domain} {name} is the generic value"
            )


@pytest.mark.parametrize("isa", arch.ARCHITECTURES)
@pytest.mark.parametrize("domain", [*GENERIC, "errno"])
def test_every_name_goes_both_ways(isa: str, domain: str):
    constants = arch.load(isa).constants
    own = {**generic(domain), **constants.overrides.get(domain, {})}
    for name, value in own.items():
        if name not in generic(domain) or list(own.values()).count(value) > 1:
            continue
        assert constants.decode(domain, value) == generic(domain)[name], name
        assert constants.encode(domain, generic(domain)[name]) == value, name


@given(st.sampled_from(arch.ARCHITECTURES), st.sampled_from(sorted(FLAG_DOMAINS)), st.data())
def test_sets_of_flags_go_both_ways(isa: str, domain: str, data: st.DataObject):
    constants = arch.load(isa).constants
    own = {**GENERIC[domain], **constants.overrides.get(domain, {})}
    low = MIXED_DOMAINS.get(domain, 0)
    bits = {
        v
        for v in own.values()
        if v & (v - 1) == 0 and not v & low and list(own.values()).count(v) == 1
    }
    value = sum(data.draw(st.sets(st.sampled_from(sorted(bits)))))
    assert constants.encode(domain, constants.decode(domain, value)) == value


def test_unknown_bits_do_not_become_other_flags():
    mips = arch.load("mips").constants
    assert mips.decode("open", 0x40) not in (0x40, 0)  # generic O_CREAT; nothing on mips
    assert mips.decode("resource", 99) == 99
    assert mips.decode("errno", 35) == errors.ENOMSG
    assert mips.decode("signal", 7) == 16 != UNKNOWN


def test_identity_costs_nothing():
    assert arch.load("x86_64").constants.decoder("open") is None
    decode = arch.load("mips").constants.decoder("open")
    assert decode is not None
    assert decode(0x100) == 0o100


def test_flags_are_shown_by_the_guests_names():
    assert arch.load("mips").constants.show("open", 0x101) == "O_CREAT|O_WRONLY"
    assert arch.load("aarch64").constants.show("open", 0x4000) == "O_DIRECTORY"
    assert arch.load("mips").constants.show("signal", 10) == "SIGBUS"
    assert arch.load("arm").constants.show("open", 0) == "0"
