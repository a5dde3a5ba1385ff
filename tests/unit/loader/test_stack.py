"""The initial stack: read back word by word, and compared with what the kernel built for this very process."""

import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.abi.errors import E2BIG, GuestError
from runtime.loader import stack

TEXT = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b""))


class Reader:
    """Read a StackImage as the program's start-up code does."""

    def __init__(self, image, bits, order):
        self.image = image
        self.form = struct.Struct(order + ("I" if bits == 32 else "Q"))
        self.at = image.sp

    def word(self):
        value = self.form.unpack_from(self.image.data, self.at - self.image.sp)[0]
        self.at += self.form.size
        return value

    def string(self, address):
        start = address - self.image.sp
        return self.image.data[start : self.image.data.index(b"\0", start)]

    def strings(self):
        result: list[bytes] = []
        while address := self.word():
            result.append(self.string(address))
        return result

    def pairs(self):
        result: list[tuple[int, int]] = []
        while True:
            pair = (self.word(), self.word())
            if not pair[0]:
                return result
            result.append(pair)


@given(
    st.sampled_from(
        [
            (32, "<", 0xBEFF_F000),
            (32, ">", 0x7FFF_F000),
            (64, "<", 0x7FFF_FFFF_F000),
            (64, ">", 1 << 46),
        ]
    ),
    st.lists(TEXT, min_size=1, max_size=20),
    st.lists(TEXT, max_size=20),
    TEXT,
    TEXT.filter(bool),
)
def test_everything_is_found_again(kind, argv, envp, name, platform):
    bits, order, top = kind
    entries = [(6, 4096), (25, "random"), (31, "execfn"), (15, platform), (24, b"base")]
    image = stack.build(
        top,
        bits=bits,
        order=order,
        argv=argv,
        envp=envp,
        name=name,
        entries=entries,
        random=bytes(range(16)),
    )
    assert image.sp % 16 == 0
    assert image.sp + len(image.data) == top
    reader = Reader(image, bits, order)
    assert reader.word() == len(argv)
    assert reader.strings() == argv
    assert reader.strings() == envp
    start = reader.at
    found = reader.pairs()
    assert image.data[start - image.sp : reader.at - image.sp] == image.auxv
    assert [kind for kind, _ in found] == [kind for kind, _ in entries]
    values = dict(found)
    assert values[6] == 4096
    place = values[25] - image.sp
    assert image.data[place : place + 16] == bytes(range(16))
    assert reader.string(values[31]) == name
    assert reader.string(values[15]) == platform
    assert reader.string(values[24]) == b"base"
    assert values[31] + len(name) + 1 + bits // 8 == top
    length = image.argv_end - image.argv_start
    assert image.data[image.argv_start - image.sp :][:length] == b"".join(
        text + b"\0" for text in argv
    )
    length = image.env_end - image.env_start
    assert image.data[image.env_start - image.sp :][:length] == b"".join(
        text + b"\0" for text in envp
    )


def test_the_kernel_lays_it_the_same_way(tmp_path):
    """A native program's stack from /proc/self/stat's startstack to its end, rebuilt from its argv, envp and auxv."""
    program = (
        "import re\n"
        "stat = open('/proc/self/stat').read().rsplit(')', 1)[1].split()\n"
        "start = int(stat[28 - 3])\n"
        "end = int(re.search(r'-([0-9a-f]+) .*\\[stack\\]', open('/proc/self/maps').read())[1], 16)\n"
        "memory = open('/proc/self/mem', 'rb', 0)\n"
        "memory.seek(start)\n"
        "print(start, end, memory.read(end - start).hex(), open('/proc/self/auxv', 'rb').read().hex())\n"
    )
    argv = [b"name of mine", b"-I", b"-S", b"-c", program.encode()]
    envp = {b"A": b"1", b"EMPTY": b"", b"LC_ALL": b"C.UTF-8"}
    executable = os.path.realpath(sys.executable)
    output = subprocess.run(
        argv, executable=executable, env=envp, stdout=subprocess.PIPE, check=True
    ).stdout.split()
    sp, top = int(output[0]), int(output[1])
    data, auxv = bytes.fromhex(output[2].decode()), bytes.fromhex(output[3].decode())
    word = 8  # bytes; Octavo's hosts are 64-bit
    pairs = [struct.unpack_from("=2Q", auxv, at) for at in range(0, len(auxv), 2 * word)]
    entries = []
    for kind, value in pairs:
        if kind == 0:
            break
        if kind in (stack.AT_PLATFORM, stack.AT_BASE_PLATFORM):
            text = data[value - sp :]
            entries.append((kind, text[: text.index(b"\0")]))
        else:
            entries.append(
                (kind, {stack.AT_RANDOM: "random", stack.AT_EXECFN: "execfn"}.get(kind, value))
            )
    random = data[dict(pairs)[stack.AT_RANDOM] - sp :][:16]
    # The kernel moves the strings' end and the table apart by random amounts: build at the same residues.
    built = stack.build(
        top,
        bits=8 * word,
        order="<" if sys.byteorder == "little" else ">",
        argv=argv,
        envp=[key + b"=" + value for key, value in envp.items()],
        name=os.fsencode(executable),
        entries=entries,
        random=random,
    )
    strings = top - built.argv_start
    assert built.data[-strings:] == data[-strings:]  # arguments, environment, file name, null word
    count = 1 + len(argv) + 1 + len(envp) + 1
    ours = struct.unpack_from(f"={count}Q", built.data)
    kernels = struct.unpack_from(f"={count}Q", data)
    assert ours == kernels  # every pointer, since the strings lie at the same addresses
    vector = count * word
    own = built.data[vector : vector + len(built.auxv)]
    theirs = data[vector : vector + len(built.auxv)]
    for at in range(0, len(own), 2 * word):
        kind, value = struct.unpack_from("=2Q", own, at)
        kernel_kind, kernel_value = struct.unpack_from("=2Q", theirs, at)
        assert kind == kernel_kind
        if kind not in (stack.AT_RANDOM, stack.AT_PLATFORM, stack.AT_BASE_PLATFORM):
            assert value == kernel_value
    kernel_random = dict(pairs)[stack.AT_RANDOM]
    own_random = struct.unpack_from(
        "=Q", own, own.index(struct.pack("=Q", stack.AT_RANDOM)) + word
    )[0]
    platform = dict(pairs).get(stack.AT_PLATFORM)
    if platform:
        own_platform = struct.unpack_from(
            "=Q", own, own.index(struct.pack("=Q", stack.AT_PLATFORM)) + word
        )[0]
        assert platform - kernel_random == own_platform - own_random


SIZES = {"page": 4096, "word": 8, "limit": 8 << 20}


def too_big(argv, envp, name=b"x", **changes):
    try:
        stack.check_size(argv, envp, name, **{**SIZES, **changes})
    except GuestError as error:
        assert error.errno == E2BIG
        return True
    return False


def by_the_kernel(argv):
    pid = os.posix_spawn("/bin/true", argv, {}) if argv else 0
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_one_long_string_is_refused_as_by_the_kernel():
    longest = b"x" * (32 * os.sysconf("SC_PAGESIZE") - 1)
    assert not too_big([b"true", longest], [], page=os.sysconf("SC_PAGESIZE"))
    assert by_the_kernel([b"true", longest]) == 0
    assert too_big([b"true", longest + b"x"], [], page=os.sysconf("SC_PAGESIZE"))
    with pytest.raises(OSError, match="too long"):
        by_the_kernel([b"true", longest + b"x"])


def test_the_sum_is_refused_at_the_kernels_byte():
    """Find the longest argument list that native execve takes, under a small stack limit; ours must agree."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, limits[1]))
    try:
        name = b"/bin/true"

        def argv(length):
            parts, rest = divmod(length, 60000)
            return [b"true", *[b"x" * 60000] * parts, b"y" * rest]

        low, high = 1000, 1 << 20
        while low + 1 < high:
            middle = (low + high) // 2
            if too_big(argv(middle), [], name, limit=1 << 20):
                high = middle
            else:
                low = middle
        assert by_the_kernel(argv(low)) == 0
        with pytest.raises(OSError, match="too long"):
            by_the_kernel(argv(high))
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, limits)


def test_a_tiny_stack_limit_still_takes_128k():
    assert not too_big([b"x" * 100_000], [], limit=65536)
    assert too_big([b"x" * 100_000, b"y" * 40_000], [], limit=65536)


def test_many_pointers_count():
    assert too_big([b""] * 300_000, [], word=8)
    assert not too_big([b""] * 300_000, [], word=4)
