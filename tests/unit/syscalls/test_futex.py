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


def test_wait_compares_in_guest_order(bare):
    word = bare.put(bare.pack("I", 7))
    soon = bare.put(bare.pack("qq", 0, 1_000_000))
    assert bare.call("futex", word, WAIT, 8, 0, 0, 0) == -errno.EAGAIN
    assert bare.call("futex", word, WAIT, 7, soon, 0, 0) == -errno.ETIMEDOUT
    assert bare.call("futex", word, CMP_REQUEUE, 0, 0, word + 4, 8) == -errno.EAGAIN
    assert bare.call("futex", word, CMP_REQUEUE, 0, 0, word + 4, 7) == 0


def test_errors(bare):
    assert bare.call("futex", 16, WAIT, 0, 0, 0, 0) == -errno.EFAULT
    assert bare.call("futex", bare.put(bytes(4)) + 1, WAIT, 0, 0, 0, 0) == -errno.EINVAL
    assert bare.call("futex", bare.put(bytes(4)), 99, 0, 0, 0, 0) == -errno.ENOSYS


@pytest.mark.parametrize("woken", [True, False])
def test_wake_reaches_a_waiter(bare, woken):
    word = bare.put(bare.pack("I", 1))
    limit = bare.put(bare.pack("qq", 20 if woken else 0, 50_000_000))
    results = []
    waiter = threading.Thread(
        target=lambda: results.append(bare.call("futex", word, WAIT, 1, limit, 0, 0))
    )
    waiter.start()
    while woken and wake(bare.task, word, 1) == 0:
        time.sleep(0.001)
    waiter.join()
    assert results == [0 if woken else -errno.ETIMEDOUT]


def test_wake_op_on_the_guests_word(bare):
    word = bare.put(bare.pack("II", 0, 10))
    add_five_if_ten = 1 << 28 | 0 << 24 | 5 << 12 | 10
    assert bare.call("futex", word, WAKE_OP, 1, 1, word + 4, add_five_if_ten) == 0
    assert bare.unpack("I", word + 4) == (15,)


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


def test_robust_list_marks_what_the_task_held(bare):
    long = bare.arch.model.long
    tid = bare.task.tid
    head = bare.room(3 * long)
    held, foreign = bare.room(long + 4), bare.room(long + 4)
    for entry, owner in ((held, tid | FUTEX_WAITERS), (foreign, tid + 1)):
        bare.table.write(entry + long, bare.pack("I", owner))
    bare.table.write(head, bare.pack("LLL", held, long, 0))
    bare.table.write(held, bare.pack("L", foreign))
    bare.table.write(foreign, bare.pack("L", head))
    assert bare.call("set_robust_list", head, 3 * long) == 0
    assert bare.call("set_robust_list", head, 3 * long + 1) == -errno.EINVAL
    out = bare.room(2 * long)
    assert bare.call("get_robust_list", 0, out, out + long) == 0
    assert bare.unpack("LL", out) == (head, 3 * long)
    exit_robust_list(bare.task)
    assert bare.unpack("I", held + long) == (FUTEX_OWNER_DIED | FUTEX_WAITERS,)
    assert bare.unpack("I", foreign + long) == (tid + 1,)
    assert bare.task.robust_list == 0


def test_robust_list_that_loops_or_is_gone_ends(bare):
    long = bare.arch.model.long
    head, entry = bare.room(3 * long), bare.room(long + 4)
    bare.table.write(head, bare.pack("LLL", entry, long, 0))
    bare.table.write(entry, bare.pack("L", entry))  # never comes back to the head
    bare.task.robust_list = head
    exit_robust_list(bare.task)
    bare.task.robust_list = 8
    exit_robust_list(bare.task)
    assert bare.task.robust_list == 0
