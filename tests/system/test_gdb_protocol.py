"""-g: the debugger's protocol by hand, where GDB has no way to ask for a thing, or hides what comes."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.system.debugger.sessions import PATIENCE, Client, address, pc_of
from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

each = pytest.mark.parametrize("arch", list(COMPILERS))


@each
def test_single_steps(client, arch) -> None:
    """Where steps lead, a breakpoint leads too."""
    stepping, _ = client(arch)
    seen = []
    for _ in range(40):
        assert stepping.ask(b"vCont;s").startswith(b"T05")
        seen.append(pc_of(stepping, arch))
    assert len(set(seen)) > 10
    target = next(pc for pc in reversed(seen) if seen.count(pc) == 1)
    stepping.socket.close()
    running, _ = client(arch)
    kind = {"arm": 2 if target & 2 else 4, "x86_64": 1, "riscv64": 2}.get(arch, 4)
    if arch == "arm" and int(running.ask(b"p10"), 16) & 0x20:
        kind = 2
    before = running.ask(b"m%x,4" % target)
    assert running.ask(b"Z0,%x,%x" % (target, kind)) == b"OK"
    assert running.ask(b"m%x,4" % target) == before, "the breakpoint is not shown"
    assert running.ask(b"c").startswith(b"T05")
    assert pc_of(running, arch) == target + (arch == "x86_64")


@pytest.mark.parametrize("arch", ["aarch64", "x86_64", "mips"])
def test_three_threads_and_one_breakpoint(client, program, arch) -> None:
    """As GDB does it: stopped there, take the breakpoint out, step this thread alone, put it in again, go on. No thread
    gets past it, and none is there twice."""
    rounds = 50
    connected, started = client(arch, "threads", str(rounds))
    bump = address(program(arch), "bump")
    breakpoint = b"0,%x,%x" % (bump, 1 if arch == "x86_64" else 4)
    assert connected.ask(b"Z" + breakpoint) == b"OK"
    hits: dict[bytes, int] = {}
    while (stop := connected.ask(b"vCont;c")) != b"W03":
        assert stop.startswith(b"T05thread:"), stop
        tid = stop[10:-1]
        hits[tid] = hits.get(tid, 0) + 1
        at = pc_of(connected, arch)
        assert at == bump + (arch == "x86_64")
        if arch == "x86_64":
            assert connected.ask(b"P10=" + (at - 1).to_bytes(8, "little").hex().encode()) == b"OK"
        assert connected.ask(b"z" + breakpoint) == b"OK"
        assert connected.ask(b"vCont;s:" + tid) == stop
        assert connected.ask(b"Z" + breakpoint) == b"OK"
    assert list(hits.values()) == [rounds] * 3
    assert started.end() == (3, f"joined {3 * rounds + 1} before\n", "")


def test_a_thread_that_is_held_does_not_run(client) -> None:
    connected: Client = client("aarch64", "threads", str(10**9))[0]

    def go(action: bytes) -> None:
        connected.send(action)
        time.sleep(0.3)
        connected.socket.sendall(b"\x03")
        assert connected.receive().startswith(b"T02")

    def registers(name: bytes) -> bytes:
        assert connected.ask(b"Hg" + name) == b"OK"
        return connected.ask(b"g")

    changed: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    while not changed:  # as long as the thread waits for the others in the barrier
        assert time.monotonic() < deadline
        go(b"vCont;c")
        names = connected.ask(b"qfThreadInfo")[1:].split(b",")
        if len(names) == 4:
            before = {name: registers(name) for name in names}
            go(b"vCont;c:" + names[1])
            changed = [name for name in names if before[name] != registers(name)]
    assert changed == [names[1]]
    connected.send(b"k")


def test_a_watchpoint_by_hand(client, program) -> None:
    """What the debugger stores itself is no reason to stop, and each change is one."""
    connected, started = client("aarch64")
    counter = b"%x" % address(program("aarch64"), "counter")
    assert connected.ask(b"Z2," + counter + b",4") == b"OK"
    for value in (b"02", b"06", b"0f"):
        assert connected.ask(b"vCont;c").startswith(b"T05watch:" + counter + b";thread:")
        assert connected.ask(b"m" + counter + b",4") == value + b"000000"
    assert connected.ask(b"M" + counter + b",4:64000000") == b"OK"
    assert connected.ask(b"vCont;c") == b"W0e"
    assert started.end() == (14, "sums 100 before\n", "")


def test_packets_that_are_not_known(client) -> None:
    connected, _ = client("aarch64")
    for packet in (b"vMustReplyEmpty", b"nonsense", b"qXfer:libraries:read::0,10", b"Z3,1000,4"):
        assert connected.ask(packet) == b"", packet
    for packet in (
        b"m0,4",
        b"m,",
        b"Z0,0,4",
        b"pffff",
        b"H",
        b"Hg7fffffff",
        b"vCont;x",
        b"T7fffffff",
    ):
        assert connected.ask(packet)[:1] in (b"E", b""), packet
    assert connected.ask(b"?").startswith(b"T05thread:")
    assert connected.ask(b"qAttached") == b"0"


def test_acknowledgements(program, start) -> None:
    """On until they are switched off; a packet that arrived broken is asked for again."""
    started = start(program("aarch64"))
    with Client(started.socket) as connected:
        connected.socket.sendall(b"$?#00")
        assert connected.socket.recv(1) == b"-"
        assert connected.ask(b"?").startswith(b"T05")
        connected.socket.sendall(b"-")
        assert connected.receive().startswith(b"T05")


def test_memory_without_permission(client) -> None:
    """Code can be written and is run, though it stays read-only for the program."""
    connected, started = client("aarch64")
    entry = pc_of(connected, "aarch64")
    # mov x0, #42; mov x8, #94 (exit_group); svc #0; in bytes that have to be escaped on the way
    code = bytes.fromhex("400580d2c80b80d2010000d4")
    escaped = b"".join(b"}" + bytes([b ^ 32]) if b in b"#$}*" else bytes([b]) for b in code)
    assert connected.ask(b"X%x,%x:%b" % (entry, len(code), escaped)) == b"OK"
    assert connected.ask(b"m%x,%x" % (entry, len(code))) == code.hex().encode()
    assert connected.ask(b"c") == b"W2a"
    assert started.end() == (42, "", "")


def test_registers_are_written(client) -> None:
    connected, started = client("aarch64")
    sp, pc = (b"p1f", b"p20")
    before = connected.ask(b"g")
    assert connected.ask(b"P0=0700000000000000") == b"OK"
    assert connected.ask(b"P8=5e00000000000000") == b"OK"  # exit_group
    changed = connected.ask(b"g")
    assert changed[:16] == b"0700000000000000" and changed[16:128] == before[16:128]
    assert connected.ask(b"G" + changed) == b"OK"
    assert connected.ask(b"g") == changed
    cpsr = connected.ask(b"p21")
    assert connected.ask(b"P21=ffffffff") == b"OK"
    assert int(connected.ask(b"p21")[:2], 16) == int(cpsr[:2], 16), "the mode is not the debugger's"
    entry = int.from_bytes(bytes.fromhex(connected.ask(pc).decode()), "little")
    assert connected.ask(b"M%x,4:010000d4" % entry) == b"OK"  # svc #0
    assert len(connected.ask(sp)) == 16
    assert connected.ask(b"c") == b"W07"
    assert started.end() == (7, "", "")


def test_threads_by_hand(client) -> None:
    connected, _ = client("aarch64", "loops")
    assert b"multiprocess+" in connected.ask(b"qSupported:multiprocess+;swbreak+")
    first = connected.ask(b"qfThreadInfo")
    assert first.startswith(b"mp") and connected.ask(b"qsThreadInfo") == b"l"
    name = first[1:]
    assert connected.ask(b"T" + name) == b"OK"
    assert connected.ask(b"Hg" + name) == b"OK"
    assert connected.ask(b"qC") == b"QC" + name
    assert connected.ask(b"qThreadExtraInfo," + name) == b"aarch64".hex().encode()
    connected.send(b"vCont;c")
    time.sleep(0.2)
    connected.socket.sendall(b"\x03")
    assert connected.receive() == b"T02thread:" + name + b";"


def test_quiet_signals_do_not_stop(client) -> None:
    connected, started = client("aarch64", "signals")
    assert connected.ask(b"QPassSignals:1e;b") == b"OK"  # SIGUSR1 and SIGSEGV in GDB's numbers
    assert connected.ask(b"c") == b"X0b"
    assert started.end()[:2] == (-signal.SIGSEGV, "caught 2\n")


def state_of(process: subprocess.Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_signal_that_stops_by_default(client) -> None:
    """The debugger sees it first; then it stops the process, as job control has it, until SIGCONT."""
    connected, started = client("aarch64", "stops")
    assert connected.ask(b"vCont;c").startswith(b"T12")  # SIGTSTP
    connected.send(b"vCont;C12")
    deadline = time.monotonic() + PATIENCE
    while state_of(started.process) != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started.process.send_signal(signal.SIGCONT)
    assert connected.receive() == b"W08"
    assert started.end() == (8, "continued 1 before\n", "")


def test_a_signal_that_somebody_sends(client) -> None:
    """While the program runs, and while it stands; blocked ones and those that end it by default too."""
    connected, started = client("aarch64", "loops")
    connected.send(b"vCont;c")
    time.sleep(0.2)
    started.process.send_signal(signal.SIGTERM)
    assert connected.receive().startswith(b"T0f")
    started.process.send_signal(signal.SIGHUP)
    assert connected.ask(b"vCont;c").startswith(b"T01"), "SIGTERM was dropped, SIGHUP has waited"
    assert connected.ask(b"vCont;C0f") == b"X0f", "another one instead"
    assert started.end() == (-signal.SIGTERM, "", "")


def test_a_signal_in_a_system_call(client) -> None:
    """Dropped, the call goes on; passed on, it fails with EINTR after the handler."""
    connected, started = client("aarch64", "waits")
    connected.send(b"vCont;c")
    assert started.process.stdout.readline() == "waiting 1 before\n"
    for _ in range(2):
        time.sleep(0.3)
        started.process.send_signal(signal.SIGUSR1)
        assert connected.receive().startswith(b"T1e")
        connected.send(b"vCont;c")
    time.sleep(0.3)
    started.process.send_signal(signal.SIGUSR1)
    assert connected.receive().startswith(b"T1e")
    assert connected.ask(b"vCont;C1e") == b"W0b"
    assert started.end() == (11, "interrupted 1 before\n", "")


def test_breakpoints_go_with_the_debugger(client, program) -> None:
    connected, started = client("aarch64")
    with open(program("aarch64"), "rb") as file:
        entry = ELFFile(file).header["e_entry"]
    assert pc_of(connected, "aarch64") == entry
    for offset in (4, 8, 12):
        assert connected.ask(b"Z0,%x,4" % (entry + offset)) == b"OK"
    connected.socket.close()
    assert started.end()[:2] == (14, "sums 15 before\n")


def test_files(client) -> None:
    connected, started = client("aarch64")
    name = started.program.encode().hex().encode()
    assert connected.ask(b"vFile:setfs:0") == b"F0"
    opened = connected.ask(b"vFile:open:" + name + b",0,0")
    assert opened[:1] == b"F" and opened != b"F-1"
    fd = opened[1:]
    assert connected.ask(b"vFile:pread:" + fd + b",4,0") == b"F4;\x7fELF"
    status = connected.ask(b"vFile:fstat:" + fd)
    assert status.startswith(b"F40;")
    assert connected.ask(b"vFile:close:" + fd) == b"F0"
    assert connected.ask(b"vFile:close:" + fd) == b"F-1,9"
    assert connected.ask(b"vFile:open:" + b"/none".hex().encode() + b",0,0") == b"F-1,2"
    assert connected.ask(b"vFile:open:" + name + b",1,0") == b"F-1,1e"
    assert connected.ask(b"qXfer:exec-file:read::0,1000") == b"l" + started.program.encode()


def test_nonsense_is_answered(client) -> None:
    """No packet, however wrong, ends the session."""
    connected, started = client("aarch64")
    starts = b"? g G p P m M X Z0, z0, Z2, z2, H T vCont; vFile: vFile:open: vFile:pread: qXfer: Q q s; c;".split()
    words = [
        b"",
        b"-1",
        b"0",
        b"ffffffffffffffff",
        b"1" + b"0" * 16,
        b"zz",
        b",",
        b":",
        b"}",
        b"4",
        b";x",
        b"=",
        b"read",
    ]
    seen = random.Random(1)
    for _ in range(2000):
        packet = seen.choice(starts) + b"".join(
            seen.choice([*words, b","]) for _ in range(seen.randrange(6))
        )
        if packet[:6] in (b"vCont;", b"vCont"):
            packet += b";x"  # nothing runs by accident
        if packet[:1] in b"sc":
            continue
        reply = connected.ask(packet)
        assert (
            reply[:1] in (b"", b"E", b"O", b"F", b"T", b"l", b"m", b"Q") or packet[:1] in b"gpm"
        ), packet
    assert connected.ask(b"?").startswith(b"T05")
    connected.send(b"k")
    assert started.end()[2] == ""
