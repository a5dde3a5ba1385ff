"""Packets: framing, escapes, checksums, what comes in pieces."""

import os
import signal
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gdb.connection import INTERRUPT, Connection, escape, unescape


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    connection = Connection(os.dup(ours.fileno()))
    ours.close()
    yield connection, theirs
    theirs.close()
    os.close(connection.fd)


@given(st.binary())
def test_escaping_is_undone(data) -> None:
    packet = escape(data)
    assert not set(b"$#*") & set(packet)
    assert unescape(packet) == data


def test_packets_in_pieces_and_in_a_heap(pair) -> None:
    connection, theirs = pair
    connection.acknowledges = False
    theirs.sendall(b"$g")
    theirs.sendall(b"#6")
    theirs.sendall(b"7+$?#3f\x03$a}\x03b#00")
    assert connection.receive() == b"g"
    assert connection.receive() == b"?"
    assert connection.receive() == INTERRUPT
    assert unescape(connection.receive() or b"") == b"a#b"


def test_acknowledgements(pair) -> None:
    connection, theirs = pair
    theirs.sendall(b"$g#00$g#67")
    assert connection.receive() == b"g"
    assert theirs.recv(10) == b"-+"
    connection.send(b"OK")
    assert theirs.recv(10) == b"$OK#9a"
    theirs.sendall(b"-+$?#3f")
    assert connection.receive() == b"?"
    assert theirs.recv(20) in (b"$OK#9a+", b"$OK#9a")


def test_the_end(pair) -> None:
    """Nobody hears what is sent then, and SIGPIPE, which would be the program's, is not sent either."""
    connection, theirs = pair
    theirs.close()
    assert connection.receive() is None
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        connection.send(b"OK")
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_a_debugger_that_reads_slowly(pair) -> None:
    connection, theirs = pair
    connection.acknowledges = False
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    contents = bytes(range(48, 58)) * 100_000
    sender = threading.Thread(target=connection.send, args=(contents,))
    sender.start()
    heard = b""
    while len(heard) < len(contents) + 4:
        heard += theirs.recv(1 << 16)
    sender.join()
    assert heard == b"$%b#%02x" % (contents, sum(contents) & 0xFF)
