"""Host signals: recorded once, in time, and never lost against a blocking call. In a child: dispositions are global."""

import os
import signal
import struct
import threading
import time

import pytest

from runtime import _core
from runtime._core import SYS, R, Stop, X
from tests.unit.core.machine import Machine, in_child
from tests.unit.core.snippets import CODE

AT = 0x10000
EVERYTHING = (1 << 64) - 1


def started():
    machine = Machine("aarch64")
    _core.signals_start()
    machine.map(AT, CODE["aarch64"]["spin"], R | X)
    machine.pc = AT
    return machine


def test_recorded_with_its_siginfo():
    def work():
        machine = started()
        assert machine.cpu.take_signal() is None
        for signo in (signal.SIGUSR1, 32, 33, 63, signal.SIGSEGV, signal.SIGBUS, signal.SIGINT):
            assert _core.signal_action(signo, 2) == 0
            _core.signal_mask(0)
            os.kill(os.getpid(), signo)
            assert machine.cpu.run() == Stop.KICKED
            got, info = machine.cpu.take_signal()
            assert got == signo
            number, _, code, pid = struct.unpack_from("<iiixxxxi", info)
            assert (number, code, pid) == (signo, 0, os.getpid())
            assert len(info) == 128

    assert in_child(work) == 0


def test_others_wait_until_the_mask_is_set():
    def work():
        machine = started()
        for signo in (signal.SIGUSR1, signal.SIGUSR2):
            _core.signal_action(signo, 2)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        got = []
        for _ in range(2):
            assert machine.cpu.run() == Stop.KICKED
            got.append(machine.cpu.take_signal()[0])
            assert machine.cpu.take_signal() is None
            _core.signal_mask(0)
        assert sorted(got) == [signal.SIGUSR1, signal.SIGUSR2]

    assert in_child(work) == 0


def test_a_recorded_signal_keeps_others_out_whatever_mask_is_set():
    """Or the second one would take the first one's place."""

    def work():
        machine = started()
        got = []
        for signo in (signal.SIGUSR1, signal.SIGUSR2):
            _core.signal_action(signo, 2)
            assert machine.cpu.signalled == 0
        for signo in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), signo)
            assert machine.cpu.signalled == signal.SIGUSR1
            _core.signal_mask(0)
        while machine.cpu.signalled:
            assert machine.cpu.run() == Stop.KICKED
            got.append(machine.cpu.take_signal()[0])
            _core.signal_mask(0)
        assert got == [signal.SIGUSR1, signal.SIGUSR2]

    assert in_child(work) == 0


def test_mask_reads_back():
    def work():
        started()
        mask = 1 << signal.SIGUSR1 - 1 | 1 << signal.SIGSEGV - 1 | 1 << 32 - 1
        _core.signal_mask(mask)
        assert _core.signal_mask_get() == mask

    assert in_child(work) == 0


def test_blocked_fault_signal_waits():
    def work():
        machine = started()
        _core.signal_action(signal.SIGSEGV, 2)
        _core.signal_mask(1 << signal.SIGSEGV - 1)
        os.kill(os.getpid(), signal.SIGSEGV)
        assert machine.cpu.take_signal() is None
        _core.signal_mask(0)
        assert machine.cpu.take_signal()[0] == signal.SIGSEGV

    assert in_child(work) == 0


@pytest.mark.parametrize("kind, status", [(0, -signal.SIGUSR1), (1, 0)])
def test_default_and_ignore(kind, status):
    def work():
        started()
        assert _core.signal_action(signal.SIGUSR1, 2) == 0
        assert _core.signal_action(signal.SIGUSR1, kind) == 0
        os.kill(os.getpid(), signal.SIGUSR1)

    assert in_child(work) == status


def test_restartable_or_interrupted():
    """read: nothing was done. nanosleep: the kernel never restarts it after a handler."""

    def work():
        machine = started()
        _core.signal_action(signal.SIGALRM, 2)
        read_end, _ = os.pipe()
        for number, first, want in (
            (SYS["read"], read_end, -_core.ERESTART),
            (SYS["nanosleep"], struct.pack("qq", 100, 0), -4),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert _core.syscall(number, first, bytearray(16), 8) == want
            assert machine.cpu.take_signal()[0] == signal.SIGALRM
            _core.signal_mask(0)

    assert in_child(work) == 0


def test_storm_against_blocking_reads():
    """Each signal ends the read that it meets: none slips between the look at the flag and the system call."""

    def work():
        machine = started()
        _core.signal_action(signal.SIGUSR1, 2)
        read_end, _ = os.pipe()
        rounds = 3000
        tid = threading.get_native_id()
        answered = threading.Semaphore(0)
        failed: list[tuple[int, int]] = []

        def storm():
            for n in range(rounds):
                time.sleep(n % 5 * 1e-6)
                signal.pthread_kill(main, signal.SIGUSR1)
                if not answered.acquire(timeout=10):
                    failed.append((n, tid))
                    os._exit(7)

        main = threading.get_ident()
        thread = threading.Thread(target=storm)
        thread.start()
        buffer = bytearray(8)
        for _ in range(rounds):
            assert _core.syscall(SYS["read"], read_end, buffer, 8) == -_core.ERESTART
            assert machine.cpu.take_signal()[0] == signal.SIGUSR1
            _core.signal_mask(0)
            answered.release()
        thread.join()
        assert not failed

    assert in_child(work) == 0


def test_sent_to_another_thread():
    """A thread that runs no Cpu hands a process's signal on to one that does."""

    def work():
        machine = started()
        _core.signal_action(signal.SIGUSR2, 2)
        ready = threading.Event()

        def other():
            ready.wait()
            _core.signal_mask(0)
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)

        thread = threading.Thread(target=other)
        thread.start()
        ready.set()
        assert machine.cpu.run() == Stop.KICKED
        assert machine.cpu.take_signal()[0] == signal.SIGUSR2
        thread.join()

    assert in_child(work) == 0


def test_our_own_fault_is_reported(capfd):
    import ctypes

    def work():
        started()
        ctypes.memset(8, 0, 1)

    assert in_child(work) == -signal.SIGSEGV
    line = capfd.readouterr().err
    assert line.startswith("octavo: internal error: SIGSEGV")
    assert "0x8 pc" in line
    assert line.count("\n") == 1


def test_open_descriptors():
    a, b = os.pipe()
    fds = _core.open_fds()
    assert a in fds
    assert b in fds
    os.close(a)
    os.close(b)
    assert a not in _core.open_fds()
    assert fds == sorted(fds)


def test_syscall_arguments():
    read_end, write_end = os.pipe()
    assert _core.quick_syscall(SYS["write"], write_end, b"hello", 5) == 5
    buffer = bytearray(5)
    assert _core.quick_syscall(SYS["read"], read_end, memoryview(buffer), 5) == 5
    assert buffer == b"hello"
    assert _core.quick_syscall(SYS["close"], -1) == -9
    assert _core.address(buffer) != 0
    with pytest.raises(TypeError):
        _core.syscall()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        _core.syscall(SYS["close"], "a")  # type: ignore[arg-type]
    os.close(read_end)
    os.close(write_end)


def test_fork_with_flags():
    pidfd = bytearray(4)
    for flags in (signal.SIGCHLD, signal.SIGCHLD | 0x1000):  # CLONE_PIDFD
        pid = _core.fork(flags, pidfd)
        if pid == 0:
            os._exit(5 if threading.get_native_id() == os.getpid() else 6)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(int.from_bytes(pidfd, "little"))
    assert _core.fork(0x100 | signal.SIGCHLD) == -22  # CLONE_VM
