"""Signals that come while a call that changes the mask is on its way."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import _core
from runtime.task.signals import bit, change_mask
from runtime.task.task import Task
from tests.unit.core.machine import Machine, in_child


def started() -> Any:
    process: Any = SimpleNamespace(arch=None, memory=None, view=None)
    task = Task(process, Machine("aarch64").cpu, os.getpid())
    _core.signals_start()
    _core.signal_action(signal.SIGUSR1, 2)
    task.block(0)
    return task


@pytest.mark.parametrize("wanted", [bit(signal.SIGUSR1), bit(signal.SIGUSR2)])
def test_what_came_before_goes_first_if_it_would_be_blocked(wanted):
    def work():
        task = started()
        os.kill(os.getpid(), signal.SIGUSR1)
        if wanted == bit(signal.SIGUSR1):
            assert (change_mask(task, wanted), task.blocked) == (-_core.ERESTART, 0)
        else:
            assert (change_mask(task, wanted), task.blocked) == (0, wanted)
        assert task.cpu.take_signal()[0] == signal.SIGUSR1
        assert (change_mask(task, wanted), task.blocked) == (0, wanted)

    assert in_child(work) == 0


def test_what_comes_afterwards_waits():
    def work():
        task = started()
        assert change_mask(task, bit(signal.SIGUSR1)) == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        assert task.cpu.signalled == 0
        assert change_mask(task, 0) == 0
        assert task.cpu.take_signal()[0] == signal.SIGUSR1

    assert in_child(work) == 0
