"""futex(2) on the guest's word, in its byte order; the robust list."""

import errno
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.abi.errors import GuestError
from runtime.syscalls.futex import wake_op_result
from runtime.task.futex import FUTEX_OWNER_DIED, FUTEX_WAITERS, exit_robust_list, wake

WAIT, WAKE, CMP_REQUEUE, WAKE_OP = 0, 1, 4, 5


def test_wait_compares_in_guest_order(guest):
    word = guest.put(guest.pack("I", 7))
    soon = guest.put(guest.pack("qq", 0, 1_000_000))
    assert guest.call("futex", word, WAIT, 8, 0, 0, 0) == -errno.EAGAIN
    assert guest.call("futex", word, WAIT, 7, soon, 0, 0) == -errno.ETIMEDOUT
    assert guest.call("futex", word, CMP_REQUEUE, 0, 0, word + 4, 8) == -errno.EAGAIN
    assert guest.call("futex", word, CMP_REQUEUE, 0, 0, word + 4, 7) == 0


def test_errors(guest):
    assert guest.call("futex", 16, WAIT, 0, 0, 0, 0) == -errno.EFAULT
    assert guest.call("futex", guest.put(bytes(4)) + 1, WAIT, 0, 0, 0, 0) == -errno.EINVAL
    assert guest.call("futex", guest.put(bytes(4)), 99, 0, 0, 0, 0) == -errno.ENOSYS


@pytest.mark.parametrize("woken", [True, False])
def test_wake_reaches_a_waiter(guest, woken):
    word = guest.put(guest.pack("I", 1))
    limit = guest.put(guest.pack("qq", 20 if woken else 0, 50_000_000))
    results = []
    waiter = threading.Thread(
        target=lambda: results.append(guest.call("futex", word, WAIT, 1, limit, 0, 0))
    )
    waiter.start()
    while woken and wake(guest.task, word, 1) == 0:
        time.sleep(0.001)
    waiter.join()
    assert results == [0 if woken else -errno.ETIMEDOUT]


def test_wake_op_on_the_guests_word(guest):
    word = guest.put(guest.pack("II", 0, 10))
    add_five_if_ten = 1 << 28 | 0 << 24 | 5 << 12 | 10
    assert guest.call("futex", word, WAKE_OP, 1, 1, word + 4, add_five_if_ten) == 0
    assert guest.unpack("I", word + 4) == (15,)


@given(st.integers(0, 4), st.integers(-2048, 2047), st.integers(0, 2**32 - 1))
def test_wake_op_arithmetic(operation, operand, old):
    expected = [operand, old + operand, old | operand, old & ~operand, old ^ operand][operation]
    code = operation << 28 | (operand & 0xFFF) << 12
    value, also = wake_op_result(code, old)
    assert value == expected & 0xFFFFFFFF
    assert also == (old == 0)


def test_wake_op_shift_and_unknown():
    assert wake_op_result(8 << 28 | 5 << 12, 0)[0] == 32
    with pytest.raises(GuestError):
        wake_op_result(5 << 28, 0)


def test_robust_list_marks_what_the_task_held(guest):
    long = guest.arch.model.long
    tid = guest.task.tid
    head = guest.room(3 * long)
    held, foreign = guest.room(long + 4), guest.room(long + 4)
    for entry, owner in ((held, tid | FUTEX_WAITERS), (foreign, tid + 1)):
        guest.table.write(entry + long, guest.pack("I", owner))
    guest.table.write(head, guest.pack("LLL", held, long, 0))
    guest.table.write(held, guest.pack("L", foreign))
    guest.table.write(foreign, guest.pack("L", head))
    assert guest.call("set_robust_list", head, 3 * long) == 0
    assert guest.call("set_robust_list", head, 3 * long + 1) == -errno.EINVAL
    out = guest.room(2 * long)
    assert guest.call("get_robust_list", 0, out, out + long) == 0
    assert guest.unpack("LL", out) == (head, 3 * long)
    exit_robust_list(guest.task)
    assert guest.unpack("I", held + long) == (FUTEX_OWNER_DIED | FUTEX_WAITERS,)
    assert guest.unpack("I", foreign + long) == (tid + 1,)
    assert guest.task.robust_list == 0


def test_robust_list_that_loops_or_is_gone_ends(guest):
    long = guest.arch.model.long
    head, entry = guest.room(3 * long), guest.room(long + 4)
    guest.table.write(head, guest.pack("LLL", entry, long, 0))
    guest.table.write(entry, guest.pack("L", entry))  # never comes back to the head
    guest.task.robust_list = head
    exit_robust_list(guest.task)
    guest.task.robust_list = 8
    exit_robust_list(guest.task)
    assert guest.task.robust_list == 0
