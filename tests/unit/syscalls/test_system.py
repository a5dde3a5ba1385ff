"""uname, sysinfo, limits, ids, scheduling, prctl, calls of one processor; the support table."""

import errno
import os
import resource

import pytest

from runtime.arch import ARCHITECTURES
from runtime.syscalls import credentials, limits, machine, prctl, scheduling, system  # noqa: F401
from runtime.task.limits import INFINITY, get_limits


def test_uname(guest):
    at = guest.room(390)
    assert guest.call("newuname", at) == 0
    fields = [f.split(b"\0")[0] for f in (guest.get(at + 65 * i, 65) for i in range(6))]
    assert fields[0] == b"Linux"
    assert fields[2] == os.uname().release.encode()
    assert fields[4] == guest.arch.uname
    assert guest.call("newuname", 8) == -errno.EFAULT


def test_sysinfo(guest):
    wide = guest.arch.model.bits == 64
    at = guest.room(112 if wide else 64)
    assert guest.call("sysinfo", at) == 0
    total = guest.unpack("L", at + 4 * guest.arch.model.long)[0]
    unit = guest.unpack("I", at + (104 if wide else 52))[0]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(total * unit - pages) < 1 << 20


def test_memory_limits_stay_off_the_host(guest):
    host = resource.getrlimit(resource.RLIMIT_AS)
    number = guest.arch.constants.encode("resource", resource.RLIMIT_AS)
    limit = guest.put(guest.pack("LL", 1 << 20, 1 << 30))
    assert guest.call("setrlimit", number, limit) == 0
    assert resource.getrlimit(resource.RLIMIT_AS) == host
    out = guest.room(16)
    assert guest.call("prlimit64", 0, number, 0, out) == 0
    assert guest.unpack("QQ", out) == (1 << 20, 1 << 30)
    wrong = guest.put(guest.pack("LL", 2, 1))
    assert guest.call("setrlimit", number, wrong) == -errno.EINVAL
    assert guest.call("getrlimit", 99, out) == -errno.EINVAL


def test_infinity_is_the_abis_own(guest):
    number = guest.arch.constants.encode("resource", resource.RLIMIT_AS)
    infinity = guest.arch.rlim_infinity
    assert guest.call("setrlimit", number, guest.put(guest.pack("LL", infinity, infinity))) == 0
    assert get_limits(guest.task.process, resource.RLIMIT_AS) == (INFINITY, INFINITY)
    out = guest.room(16)
    assert guest.call("getrlimit", number, out) == 0
    assert guest.unpack("LL", out) == (infinity, infinity)


def test_ids(guest):
    assert guest.call("getuid") == os.getuid()
    outs = [guest.room(4) for _ in range(3)]
    assert guest.call("getresuid", *outs) == 0
    assert tuple(guest.unpack("I", at)[0] for at in outs) == os.getresuid()
    count = guest.call("getgroups", 0, 0)
    groups = guest.room(4 * count + 4)
    assert guest.call("getgroups", count, groups) == count
    assert list(guest.unpack(f"{count}I", groups)) == os.getgroups()
    assert guest.call("setresuid", -1, -1, -1) == 0
    assert guest.call("setresuid", 0xFFFF, 0xFFFF, 0xFFFF, variant="uid16") == 0


def test_capget_version(guest):
    header = guest.put(guest.pack("Ii", 1, 0))
    assert guest.call("capget", header, guest.room(24)) == -errno.EINVAL
    (version,) = guest.unpack("I", header)
    assert version == 0x20080522
    data = guest.room(24)
    assert guest.call("capget", header, data) == 0
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    low, high = guest.unpack("IxxxxxxxxI", data)
    assert low | high << 32 == effective


def test_affinity(guest):
    long = guest.arch.model.long
    mask = guest.room(1024)
    size = guest.call("sched_getaffinity", 0, 1024, mask)
    assert size > 0
    assert size % long == 0
    value = sum(w << 8 * long * i for i, w in enumerate(guest.unpack(f"{size // long}L", mask)))
    cpus = {i for i in range(8 * size) if value >> i & 1}
    assert cpus == os.sched_getaffinity(0)
    assert guest.call("sched_setaffinity", 0, size, mask) == 0
    assert guest.call("sched_getaffinity", 0, long + 1, mask) == -errno.EINVAL


def test_priorities(guest):
    assert guest.call("getpriority", 0, 0) == 20 - os.getpriority(os.PRIO_PROCESS, 0)
    policy_at = guest.put(guest.pack("i", 0))
    assert guest.call("sched_setscheduler", 0, 0, policy_at) == 0
    attributes = guest.room(56)
    assert guest.call("sched_getattr", 0, attributes, 56, 0) == 0
    assert guest.unpack("II", attributes)[1] == 0
    assert guest.call("sched_setattr", 0, attributes, 0) == 0
    assert guest.call("sched_getattr", 0, attributes, 8, 0) == -errno.EINVAL


def test_prctl(guest):
    with open("/proc/self/comm") as file:
        before = file.read().strip()
    try:
        assert guest.call("prctl", 15, guest.put(b"a-name-longer-than-15\0"), 0, 0, 0) == 0
        out = guest.room(16)
        assert guest.call("prctl", 16, out, 0, 0, 0) == 0
        assert guest.get(out, 16) == b"a-name-longer-t\0"
    finally:
        guest.call("prctl", 15, guest.put(before.encode() + b"\0"), 0, 0, 0)
    assert guest.call("prctl", 22, 2, 0, 0, 0) == -errno.EINVAL
    assert len(guest.log) == 1
    assert guest.call("prctl", 999, 0, 0, 0, 0) == -errno.EINVAL


def test_getrandom(guest):
    at = guest.room(64)
    assert guest.call("getrandom", at, 64, 0) == 64
    assert guest.get(at, 64) != bytes(64)
    assert guest.call("getrandom", 8, 64, 0) == -errno.EFAULT


def test_process_vm_readv_of_itself(guest):
    source, target = guest.put(b"abcdef"), guest.room(8)
    local = guest.put(guest.pack("LLLL", target, 2, target + 2, 6))
    remote = guest.put(guest.pack("LL", source, 6))
    assert guest.call("process_vm_readv", guest.pid, local, 2, remote, 1, 0) == 6
    assert guest.get(target, 8) == b"abcdef\0\0"
    assert guest.call("process_vm_readv", 0x7FFFFFF0, local, 2, remote, 1, 0) == -errno.ESRCH
    assert guest.call("process_vm_readv", 1, local, 2, remote, 1, 0) == -errno.EPERM


def test_sysmips_exchange(any_order):
    at = any_order.put(any_order.pack("I", 0x11223344))
    assert any_order.call("sysmips", 2001, at, 0x55667788) == 0x11223344
    assert any_order.unpack("I", at) == (0x55667788,)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_support_table_accounts_for_every_row(name):
    from runtime.syscalls.support import entries, render, totals

    found = entries(name)
    assert sum(totals(found).values()) == len(found)
    assert totals(found)["implemented"] > 200
    assert all(e.reason for e in found if e.status == "declined")
    assert f"system calls of {name}" in render(name)
