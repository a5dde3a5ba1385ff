"""Packets on a socket: `$`, the contents, `#` and two digits of checksum; `+` and `-` until they are switched off.

GDB's manual, "Overview" of the remote protocol. What arrives may be escaped; run-length encoding is the stub's choice,
and not made here.
"""

import _thread
import os
import time

from runtime._core import SYS, quick_syscall
from runtime.abi.errors import EAGAIN, EINTR

INTERRUPT = b"\x03"  # Ctrl-C: a byte of its own, no packet
START, END, ESCAPE, RUN = b"$#}*"
FLIPPED = 0x20  # an escaped byte is sent so
BLOCK = 1 << 14
SHUT_WR = 1
MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
BUSY = 0.001  # seconds until a socket that is full is tried again
LINGER = 1.0  # seconds at most that the debugger gets to read the last packet


def escape(data: bytes) -> bytes:
    """Bytes as the contents of a packet."""
    out = bytearray()
    for byte in data:
        if byte in (START, END, ESCAPE, RUN):
            out += bytes((ESCAPE, byte ^ FLIPPED))
        else:
            out.append(byte)
    return bytes(out)


def unescape(data: bytes) -> bytes:
    """The reverse."""
    if ESCAPE not in data:
        return data
    out = bytearray()
    flipped = 0
    for byte in data:
        if byte == ESCAPE and not flipped:
            flipped = FLIPPED
        else:
            out.append(byte ^ flipped)
            flipped = 0
    return bytes(out)


def numbers(words: bytes) -> list[int]:
    """Hexadecimal numbers with commas between them. ValueError, also for what no 64 bits hold."""
    found = [int(word, 16) for word in words.split(b",")]
    if not all(0 <= number < 1 << 64 for number in found):
        raise ValueError
    return found


class Connection:
    """The socket to the debugger. One thread receives; others send, one at a time."""

    __slots__ = ("_buffer", "_ended", "_last", "_sending", "acknowledges", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.acknowledges = True
        self._buffer = b""
        self._last = b""  # packet sent, to be sent again if it arrived broken
        self._sending = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()  # held until nothing more can be received
        self._ended.acquire()

    def receive(self) -> bytes | None:
        """The contents of the next packet, still escaped; INTERRUPT; None when the debugger is gone."""
        while True:
            buffer = self._buffer
            if buffer[:1] == INTERRUPT:
                self._buffer = buffer[1:]
                return INTERRUPT
            if buffer[:1] == b"-" and self._last:
                self._write(self._last)
            if buffer and buffer[0] != START:
                self._buffer = buffer[1:]
                continue
            end = buffer.find(END)
            if buffer and 0 < end <= len(buffer) - 3:
                self._buffer = buffer[end + 3 :]
                if self._accept(buffer[1:end], buffer[end + 1 : end + 3]):
                    return buffer[1:end]
                continue
            try:
                more = os.read(self.fd, BLOCK)
            except OSError:
                more = b""
            if not more:
                return None
            self._buffer += more

    def _accept(self, contents: bytes, digits: bytes) -> bool:
        if not self.acknowledges:
            return True
        good = b"%02x" % (sum(contents) & 0xFF) == digits.lower()
        self._write(b"+" if good else b"-")
        return good

    def send(self, contents: bytes) -> None:
        """A packet; the contents are escaped where they have to be. What nobody receives any more is lost."""
        packet = b"$%b#%02x" % (contents, sum(contents) & 0xFF)
        self._last = packet if self.acknowledges else b""
        self._write(packet)

    def _write(self, data: bytes) -> None:
        """write(2) would be SIGPIPE, the program's own, when the debugger is gone."""
        flags = MSG_NOSIGNAL | MSG_DONTWAIT
        with self._sending:
            while data:
                sent = quick_syscall(SYS["sendto"], self.fd, data, len(data), flags, 0, 0)
                if sent == -EAGAIN:
                    time.sleep(BUSY)
                elif sent >= 0:
                    data = data[sent:]
                elif sent != -EINTR:
                    return

    def finish(self) -> None:
        """The process is about to end: see to it that what was sent last is read, which a socket that is closed with
        something unread in it does not."""
        quick_syscall(SYS["shutdown"], self.fd, SHUT_WR)
        self._ended.acquire(timeout=LINGER)

    def close(self) -> None:
        """By the thread that receives, at its end."""
        quick_syscall(SYS["close"], self.fd)
        self._ended.release()
