"""Several tasks on one engine, forks of it, code that changes, journals, and the host's bus errors."""

import os
import threading
import time

import pytest

from runtime import _core
from runtime._core import R, Stop, W, X
from tests.unit.core.snippets import CODE

AT = 0x10000
DATA = 0x40000


def test_two_cpus_keep_their_registers(machine):
    machine.map(AT, CODE[machine.name]["one"], R | X)
    machine.map(AT + 0x1000, CODE[machine.name]["two"], R | X)
    one, result = machine.cpu, machine.facts["arguments"][0]
    machine.pc = AT
    two = _core.Cpu(machine.engine, one)
    two.set(machine.facts["pc"], AT + 0x1000)
    assert one.run() == Stop.SYSCALL
    assert two.run() == Stop.SYSCALL
    assert (one.get(result), two.get(result)) == (1, 2)
    one.set(result, 77)
    assert one.get(result) == 77
    three = _core.Cpu(machine.engine, one)
    assert three.get(result) == 77
    three.reset()
    assert three.get(result) == 0
    assert one.get(result) == 77
    fresh = _core.Cpu(machine.engine)
    assert fresh.get(result) == 0


def test_wide_registers(arm64):
    from unicorn import arm64_const

    value = bytes(range(16))
    arm64.cpu.set_bytes(arm64_const.UC_ARM64_REG_Q3, value)
    assert arm64.cpu.get_bytes(arm64_const.UC_ARM64_REG_Q3, 16) == value
    other = _core.Cpu(arm64.engine)
    arm64.map(AT, CODE["aarch64"]["one"], R | X)
    other.set(arm64.facts["pc"], AT)
    assert other.run() == Stop.SYSCALL
    assert arm64.cpu.get_bytes(arm64_const.UC_ARM64_REG_Q3, 16) == value
    assert arm64.cpu.get_many([arm64_const.UC_ARM64_REG_X0] * 2) == [0, 0]
    arm64.cpu.set_many([arm64_const.UC_ARM64_REG_X0, arm64_const.UC_ARM64_REG_X1], [5, -1])
    assert arm64.cpu.get(arm64_const.UC_ARM64_REG_X1) == 2**64 - 1


def test_two_threads_share(arm64):
    """Both count under a spin lock, and neither starves; the sum is exact because no atomic is torn."""
    machine = arm64
    machine.map(AT, CODE["aarch64"]["lock"], R | X)
    machine.map(DATA, 4096, R | W)
    from unicorn.arm64_const import UC_ARM64_REG_X1, UC_ARM64_REG_X2, UC_ARM64_REG_X5

    machine.cpu.set(UC_ARM64_REG_X1, DATA)
    machine.cpu.set(UC_ARM64_REG_X2, 1)
    machine.pc = AT
    cpus = [machine.cpu, _core.Cpu(machine.engine, machine.cpu)]
    stops = []

    def work(cpu):
        cpu.bind()
        stops.append(cpu.run())

    threads = [threading.Thread(target=work, args=(cpu,)) for cpu in cpus]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10  # a busy machine may start the second one late
    time.sleep(0.3)
    while machine.engine.counters["switches"] <= 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    # The page table changes under them, at once.
    start = time.monotonic()
    for n in range(200):
        machine.map(DATA + 0x10000 + n * 4096, 4096, R)
        machine.table.remove(DATA + 0x10000 + n * 4096, 4096)
    assert time.monotonic() - start < 5
    for cpu in cpus:
        cpu.kick()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert stops == [Stop.KICKED] * 2
    counts = [cpu.get(UC_ARM64_REG_X5) for cpu in cpus]
    assert min(counts) > 1000
    assert machine.engine.counters["switches"] > 10
    machine.cpu.bind()


def test_revoked_while_running(machine):
    """A permission that another thread takes away is gone when protect returns."""
    machine.map(AT, CODE[machine.name]["count"], R | X)
    machine.map(DATA, 4096, R | W)
    machine.cpu.set(machine.facts["arguments"][1], DATA)
    machine.pc = AT
    result = []

    def work():
        machine.cpu.bind()
        result.append(machine.cpu.run())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    machine.table.protect(DATA, 4096, R)
    before = machine.table.read(DATA, 8)
    thread.join(10)
    assert result == [Stop.FAULT]
    assert machine.cpu.fault == (DATA, W, 1)
    assert machine.table.read(DATA, 8) == before


def test_fork_keeps_the_engine_warm(machine):
    machine.map(AT, CODE[machine.name]["one"], R | X)
    assert machine.run_at(AT) == Stop.SYSCALL
    other = threading.Thread(target=lambda: _core.Cpu(machine.engine))
    other.start()
    other.join()

    def child(depth):
        machine.engine.after_fork_child(machine.cpu)
        translated = machine.engine.counters["translations"]
        assert machine.run_at(AT) == Stop.SYSCALL
        assert machine.engine.counters["translations"] == translated
        machine.table.poke(AT, CODE[machine.name]["two"])
        assert machine.run_at(AT) == Stop.SYSCALL
        assert machine.cpu.get(machine.facts["arguments"][0]) == 2
        if depth:
            fork(depth - 1)

    def fork(depth):
        machine.engine.before_fork()
        pid = _core.fork(17)
        if pid == 0:
            code = 1
            try:
                child(depth)
                code = 0
            finally:
                os._exit(code)
        machine.engine.after_fork_parent()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    fork(2)
    assert machine.run_at(AT) == Stop.SYSCALL
    assert machine.cpu.get(machine.facts["arguments"][0]) == 1


def test_fork_while_another_thread_runs(arm64):
    machine = arm64
    machine.map(AT, CODE["aarch64"]["spin"], R | X)
    machine.map(AT + 0x1000, CODE["aarch64"]["two"], R | X)
    machine.pc = AT
    runner = _core.Cpu(machine.engine, machine.cpu)

    def work():
        runner.bind()
        runner.run()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.02)
    for _ in range(5):
        machine.engine.before_fork()
        pid = _core.fork(17)
        if pid == 0:
            machine.engine.after_fork_child(machine.cpu)
            os._exit(0 if machine.run_at(AT + 0x1000) == Stop.SYSCALL else 1)
        machine.engine.after_fork_parent()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    runner.kick()
    thread.join(10)
    assert not thread.is_alive()


def test_code_changes(machine):
    """write, poke, spans and a store by the guest itself all drop what was translated; invalidate does for others."""
    one, two = CODE[machine.name]["one"], CODE[machine.name]["two"]
    result = machine.facts["arguments"][0]

    def now():
        assert machine.run_at(AT) == Stop.SYSCALL
        return machine.cpu.get(result)

    machine.map(AT, one, R | W | X)
    assert now() == 1
    machine.table.write(AT, two)
    assert now() == 2
    machine.table.poke(AT, one)
    assert now() == 1
    ((host, size),) = machine.table.spans(AT, len(two), W)
    assert size == len(two)
    read_end, write_end = os.pipe()
    os.write(write_end, two)
    assert _core.syscall(_core.SYS["read"], read_end, host, size) == size
    assert now() == 2
    path = os.memfd_create("code")
    os.write(path, one.ljust(4096, b"\0"))
    machine.host_map(AT, 4096, path, 0x12)
    assert now() == 2  # we did not say so
    machine.engine.invalidate(AT, 4096)
    assert now() == 1
    os.close(path)
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize("perms", [R | W, R | W | X])
def test_guest_writes_code(machine, alias, perms):
    """A guest stores into code it has run: in place, or through another mapping of the same memory."""
    one, two = CODE[machine.name]["one"], CODE[machine.name]["two"]
    store = CODE[machine.name]["store"]
    machine.map(AT, store, R | X)
    end = len(store) if machine.name != "mips" else 4
    machine.table.poke(AT + end, CODE[machine.name]["call"])
    machine.map(DATA, 4096, R | W | X)
    where = DATA
    if alias:
        where = DATA + 0x10000
        machine.table.install(where, 4096, DATA, perms)
    elif perms == R | W:
        pytest.skip("in place it has to be executable")
    width = 4 if machine.name in ("arm", "mips") else 8
    machine.table.write(DATA, one)
    for n in range(6):
        code = (two, one)[n % 2]
        word = int.from_bytes(
            code[:width].ljust(width, b"\0"), "big" if machine.name == "mips" else "little"
        )
        assert machine.run_at(DATA) == Stop.SYSCALL
        assert machine.cpu.get(machine.facts["arguments"][0]) == (1, 2)[n % 2]
        machine.cpu.set(machine.facts["arguments"][1], where)
        machine.cpu.set(machine.facts["arguments"][2], word)
        assert machine.run_at(AT) == Stop.SYSCALL
        assert machine.table.read(DATA, width) == code[:width].ljust(width, b"\0")
        if len(code) > width:
            machine.table.poke(DATA + width, code[width:])


def test_ordinary_writes_invalidate_nothing(arm64):
    arm64.map(DATA, 4096, R | W)
    arm64.map(AT, CODE["aarch64"]["one"], R | X)
    arm64.run_at(AT)
    before = arm64.engine.counters["invalidations"]
    arm64.table.write(DATA, b"x" * 4096)
    arm64.table.spans(DATA, 4096, W)
    assert arm64.engine.counters["invalidations"] == before


def test_journal(machine):
    machine.map(AT, CODE[machine.name]["second"] + CODE[machine.name]["call"], R | X)
    machine.map(DATA, 5 * 4096, R | W)
    machine.cpu.set(machine.facts["arguments"][2], 0x41414141)
    machine.cpu.set(machine.facts["arguments"][1], DATA + 8)
    assert machine.run_at(AT) == Stop.SYSCALL  # warm: the page is in the TLB, writable
    machine.host_map(0x80000, 4096)
    machine.table.install(0x80000, 4096, 0x80000, R | W | _core.SHARED)
    assert machine.table.lookup(0x80000) == (0x80000, R | W)
    machine.table.journal_begin()
    machine.cpu.set(machine.facts["arguments"][2], 0x42424242)
    for at in (DATA + 8, DATA + 4096 + 16, 0x80010):
        machine.cpu.set(machine.facts["arguments"][1], at)
        assert machine.run_at(AT) == Stop.SYSCALL
    machine.table.write(DATA + 3 * 4096 - 2, b"abcd")
    machine.table.write(DATA + 4 * 4096, bytes(4) + b"x" + bytes(4))
    assert machine.table.journal_take() == [  # the bytes that have changed, and no others
        (DATA + 8, b"BBBB"),
        (DATA + 4096 + 16, b"BBBB"),
        (DATA + 3 * 4096 - 2, b"ab"),
        (DATA + 3 * 4096, b"cd"),
        (DATA + 4 * 4096 + 4, b"x"),
    ]
    assert machine.table.journal_take() == []


@pytest.mark.parametrize("kind", ["load", "load1", "store"])
@pytest.mark.parametrize("warm", [False, True])
def test_guest_meets_a_cut_file(machine, kind, warm, tmp_path):
    """The host's SIGBUS becomes the guest's fault, at the exact instruction and address."""
    _core.signals_start()
    page = _core.HOST_PAGE
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * page))
    fd = os.open(path, os.O_RDWR)
    machine.host_map(0x100000, 3 * page, fd, 0x11)
    machine.table.install(0x200000, 3 * page, 0x100000, R | W)
    width = {"riscv64": 2, "x86_64": 1}.get(machine.name, 4)
    end = {"riscv64": 8, "x86_64": 7}.get(machine.name, 8)
    nop = CODE[machine.name]["call"][end : end + width]
    code = CODE[machine.name][kind]
    body = code[:4] if machine.name in ("mips", "riscv64", "ppc64le") else code
    machine.map(AT, nop * 3 + body + CODE[machine.name]["call"], R | X)
    machine.cpu.set(machine.facts["arguments"][1], 0x200000 + 2 * page + 8)
    if warm:
        assert machine.run_at(AT) == Stop.SYSCALL
        machine.cpu.set(machine.facts["arguments"][1], 0x200000 + 2 * page + 16)
    os.ftruncate(fd, page)
    for _ in range(3):
        assert machine.run_at(AT) == Stop.FAULT
        where = 0x200000 + 2 * page + (16 if warm else 8)
        assert machine.cpu.fault == (where, W if kind == "store" else R, 3)
        assert machine.pc == AT + 3 * width
    os.ftruncate(fd, 3 * page)
    assert machine.run_at(AT) == Stop.SYSCALL
    os.close(fd)


def test_guest_code_in_a_cut_file(machine, tmp_path):
    _core.signals_start()
    page = _core.HOST_PAGE
    path = tmp_path / "file"
    path.write_bytes(bytes(page) + CODE[machine.name]["one"].ljust(page, b"\0"))
    fd = os.open(path, os.O_RDWR)
    machine.host_map(0x100000, 2 * page, fd, 0x11)
    machine.table.install(0x200000, 2 * page, 0x100000, R | X)
    os.ftruncate(fd, page)
    assert machine.run_at(0x200000 + page) == Stop.FAULT
    assert machine.cpu.fault == (0x200000 + page, X, 3)
    assert machine.pc == 0x200000 + page
    os.ftruncate(fd, 2 * page)
    os.pwrite(fd, CODE[machine.name]["one"], page)
    assert machine.run_at(0x200000 + page) == Stop.SYSCALL
    os.close(fd)
