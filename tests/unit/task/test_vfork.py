"""The wait of vfork's parent, against a kick that has nothing to do with it (a debugger's, say)."""

import os
import threading
from types import SimpleNamespace

import pytest

from runtime import _core
from runtime._core import Stop
from runtime.task import vfork
from tests.unit.core.machine import Machine, in_child


class Memory:
    """What the parent stores."""

    def __init__(self):
        self.stored = {}

    def poke(self, address, data):
        self.stored[address] = data


def parent():
    machine = Machine("aarch64")
    _core.signals_start()
    return SimpleNamespace(cpu=machine.cpu, memory=Memory(), ending=False, log=pytest.fail)


def record(address, data):
    return address.to_bytes(8, "little") + len(data).to_bytes(8, "little") + data


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_a_kick_does_not_end_the_wait_and_is_not_lost(seconds):
    """Before the wait and in the midst of it."""

    def work():
        task = parent()
        reader, writer = os.pipe()

        def child():
            os.write(writer, record(64, b"word"))
            os.close(writer)

        if seconds:
            threading.Timer(seconds, task.cpu.kick).start()
        else:
            task.cpu.kick()
        threading.Timer(0.2, child).start()
        vfork.await_release(task, reader)
        assert task.memory.stored == {64: b"word"}
        assert task.cpu.run() == Stop.KICKED

    assert in_child(work) == 0


def test_the_end_of_the_process_ends_the_wait():
    def work():
        task = parent()
        reader, _ = os.pipe()

        def end():
            task.ending = True
            task.cpu.kick()

        threading.Timer(0.05, end).start()
        vfork.await_release(task, reader)
        assert not task.memory.stored

    assert in_child(work) == 0
