"""uname, sysinfo, limits, ids, scheduling, prctl, calls of one processor; the support table."""

import errno
import os
import resource

import pytest

from runtime.arch import ARCHITECTURES
from runtime.syscalls import credentials, limits, machine, prctl, scheduling, system  # noqa: F401
from runtime.task.limits import INFINITY, get_limits


def test_uname(bare):
    at = bare.room(390)
    assert bare.call("newuname", at) == 0
    fields = [f.split(b"\0")[0] for f in (bare.get(at + 65 * i, 65) for i in range(6))]
    assert fields[0] == b"Linux"
    assert fields[2] == os.uname().release.encode()
    assert fields[4] == bare.arch.uname
    assert bare.call("newuname", 8) == -errno.EFAULT


def test_sysinfo(bare):
    wide = bare.arch.model.bits == 64
    at = bare.room(112 if wide else 64)
    assert bare.call("sysinfo", at) == 0
    total = bare.unpack("L", at + 4 * bare.arch.model.long)[0]
    unit = bare.unpack("I", at + (104 if wide else 52))[0]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(total * unit - pages) < 1 << 20


def test_memory_limits_stay_off_the_host(bare):
    host = resource.getrlimit(resource.RLIMIT_AS)
    number = bare.arch.constants.encode("resource", resource.RLIMIT_AS)
    limit = bare.put(bare.pack("LL", 1 << 20, 1 << 30))
    assert bare.call("setrlimit", number, limit) == 0
    assert resource.getrlimit(resource.RLIMIT_AS) == host
    out = bare.room(16)
    assert bare.call("prlimit64", 0, number, 0, out) == 0
    assert bare.unpack("QQ", out) == (1 << 20, 1 << 30)
    wrong = bare.put(bare.pack("LL", 2, 1))
    assert bare.call("setrlimit", number, wrong) == -errno.EINVAL
    assert bare.call("getrlimit", 99, out) == -errno.EINVAL


def test_infinity_is_the_abis_own(bare):
    number = bare.arch.constants.encode("resource", resource.RLIMIT_AS)
    infinity = bare.arch.rlim_infinity
    assert bare.call("setrlimit", number, bare.put(bare.pack("LL", infinity, infinity))) == 0
    assert get_limits(bare.task.process, resource.RLIMIT_AS) == (INFINITY, INFINITY)
    out = bare.room(16)
    assert bare.call("getrlimit", number, out) == 0
    assert bare.unpack("LL", out) == (infinity, infinity)


def test_ids(bare):
    assert bare.call("getuid") == os.getuid()
    outs = [bare.room(4) for _ in range(3)]
    assert bare.call("getresuid", *outs) == 0
    assert tuple(bare.unpack("I", at)[0] for at in outs) == os.getresuid()
    count = bare.call("getgroups", 0, 0)
    groups = bare.room(4 * count + 4)
    assert bare.call("getgroups", count, groups) == count
    assert list(bare.unpack(f"{count}I", groups)) == os.getgroups()
    assert bare.call("setresuid", -1, -1, -1) == 0
    assert bare.call("setresuid", 0xFFFF, 0xFFFF, 0xFFFF, variant="uid16") == 0


def test_capget_version(bare):
    header = bare.put(bare.pack("Ii", 1, 0))
    assert bare.call("capget", header, bare.room(24)) == -errno.EINVAL
    (version,) = bare.unpack("I", header)
    assert version == 0x20080522
    data = bare.room(24)
    assert bare.call("capget", header, data) == 0
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    low, high = bare.unpack("IxxxxxxxxI", data)
    assert low | high << 32 == effective


def test_affinity(bare):
    long = bare.arch.model.long
    mask = bare.room(1024)
    size = bare.call("sched_getaffinity", 0, 1024, mask)
    assert size > 0
    assert size % long == 0
    value = sum(w << 8 * long * i for i, w in enumerate(bare.unpack(f"{size // long}L", mask)))
    cpus = {i for i in range(8 * size) if value >> i & 1}
    assert cpus == os.sched_getaffinity(0)
    assert bare.call("sched_setaffinity", 0, size, mask) == 0
    assert bare.call("sched_getaffinity", 0, long + 1, mask) == -errno.EINVAL


def test_priorities(bare):
    assert bare.call("getpriority", 0, 0) == 20 - os.getpriority(os.PRIO_PROCESS, 0)
    policy_at = bare.put(bare.pack("i", 0))
    assert bare.call("sched_setscheduler", 0, 0, policy_at) == 0
    attributes = bare.room(56)
    assert bare.call("sched_getattr", 0, attributes, 56, 0) == 0
    assert bare.unpack("II", attributes)[1] == 0
    assert bare.call("sched_setattr", 0, attributes, 0) == 0
    assert bare.call("sched_getattr", 0, attributes, 8, 0) == -errno.EINVAL


def test_prctl(bare):
    with open("/proc/self/comm") as file:
        before = file.read().strip()
    try:
        assert bare.call("prctl", 15, bare.put(b"a-name-longer-than-15\0"), 0, 0, 0) == 0
        out = bare.room(16)
        assert bare.call("prctl", 16, out, 0, 0, 0) == 0
        assert bare.get(out, 16) == b"a-name-longer-t\0"
    finally:
        bare.call("prctl", 15, bare.put(before.encode() + b"\0"), 0, 0, 0)
    assert bare.call("prctl", 22, 2, 0, 0, 0) == -errno.EINVAL
    assert len(bare.log) == 1
    assert bare.call("prctl", 999, 0, 0, 0, 0) == -errno.EINVAL


def test_getrandom(bare):
    at = bare.room(64)
    assert bare.call("getrandom", at, 64, 0) == 64
    assert bare.get(at, 64) != bytes(64)
    assert bare.call("getrandom", 8, 64, 0) == -errno.EFAULT


def test_process_vm_readv_of_itself(bare):
    source, target = bare.put(b"abcdef"), bare.room(8)
    local = bare.put(bare.pack("LLLL", target, 2, target + 2, 6))
    remote = bare.put(bare.pack("LL", source, 6))
    assert bare.call("process_vm_readv", bare.pid, local, 2, remote, 1, 0) == 6
    assert bare.get(target, 8) == b"abcdef\0\0"
    assert bare.call("process_vm_readv", 0x7FFFFFF0, local, 2, remote, 1, 0) == -errno.ESRCH
    assert bare.call("process_vm_readv", 1, local, 2, remote, 1, 0) == -errno.EPERM


def test_sysmips_exchange(bare):
    at = bare.put(bare.pack("I", 0x11223344))
    assert bare.call("sysmips", 2001, at, 0x55667788) == 0x11223344
    assert bare.unpack("I", at) == (0x55667788,)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_support_table_accounts_for_every_row(name):
    from runtime.syscalls.support import entries, render, totals

    found = entries(name)
    assert sum(totals(found).values()) == len(found)
    assert totals(found)["implemented"] > 200
    assert all(e.reason for e in found if e.status == "declined")
    assert f"system calls of {name}" in render(name)
