"""What a call does to the length of a file that is mapped, where the guest's page is not the host's.

The files are mapped as libraries are: private, through a descriptor that cannot write. Nobody looks after the lengths
of those, so each call has to tell the address space itself.
"""

import os
import struct

import pytest

from runtime._core import HOST_PAGE, Arena, PageTable
from runtime.abi.errors import GuestError
from runtime.memory.flags import MAP_PRIVATE
from runtime.memory.host import ArenaHost
from runtime.memory.space import AddressSpace, Limits
from tests.unit.memory.machine import MODEL
from tests.unit.syscalls.guest import pair

AT_FDCWD = -100
G = 4 * HOST_PAGE  # bytes of a guest page


@pytest.fixture
def space(guest):
    """An address space with pages of G bytes, which is told of what the calls of `guest` do."""
    arena = Arena(1 << 36, 1 << 30)
    limits = Limits(page=G, address_top=1 << 35, mmap_top=1 << 34, min_address=1 << 16)
    space = AddressSpace(PageTable(arena, HOST_PAGE), ArenaHost(arena), limits, MODEL)
    assert space.follows_files
    guest.task.memory.follows_files = True
    guest.task.memory.resized = space.resized
    yield space
    space.reset()


def mapped(space, content):
    """(address, descriptor to write with) of two guest pages over a file of these bytes."""
    with open("file", "wb") as file:
        file.write(content)
    reader = os.open("file", os.O_RDONLY)
    at = space.mmap(0, 2 * G, 3, MAP_PRIVATE, reader, 0)
    os.close(reader)
    return at, os.open("file", os.O_RDWR)


def open_to_cut(guest, name):
    flags = guest.arch.constants.encode("open", os.O_WRONLY | os.O_TRUNC)
    if name == "creat":
        return guest.call(name, b"file", 0o644)
    if name == "open":
        return guest.call(name, b"file", flags)
    if name == "openat":
        return guest.call(name, AT_FDCWD, b"file", flags)
    how = guest.put(struct.pack(guest.model.prefix + "QQQ", flags, 0, 0))
    return guest.call(name, AT_FDCWD, b"file", how, 24)


def length_name(guest, name):
    return name + "64" if guest.model.bits == 32 else name


@pytest.mark.parametrize("name", ["ftruncate", "truncate", "openat", "openat2", "open", "creat"])
def test_a_cut_file_takes_private_pages_with_it(guest, space, name):
    if name in ("open", "creat") and name not in guest.rows:
        pytest.skip("the architecture has no such call")
    at, writer = mapped(space, b"f" * 2 * G)
    space.access.write(at + G, b"mine")
    if name == "ftruncate":
        assert guest.call(length_name(guest, name), writer, pair(0)) == 0
    elif name == "truncate":
        assert guest.call(length_name(guest, name), b"file", pair(0)) == 0
    else:
        fd = open_to_cut(guest, name)
        assert fd >= 0
        os.close(fd)
    for page in (at + G, at):
        with pytest.raises(GuestError):
            space.access.read(page, 1)
    os.ftruncate(writer, 2 * G)
    assert space.access.read(at + G, 4) == bytes(4)
    os.close(writer)


@pytest.mark.parametrize("name", ["ftruncate", "truncate", "fallocate"])
def test_a_file_grows_in_its_last_page(guest, space, name):
    at, writer = mapped(space, b"f" * 100)
    assert space.access.read(at + G - 8, 4) == bytes(4)
    if name == "ftruncate":
        assert guest.call(length_name(guest, name), writer, pair(G)) == 0
    elif name == "truncate":
        assert guest.call(length_name(guest, name), b"file", pair(G)) == 0
    else:
        assert guest.call(name, writer, 0, pair(0), pair(G)) == 0
    os.pwrite(writer, b"more", G - 8)
    assert space.access.read(at + G - 8, 4) == b"more"
    os.close(writer)


def test_lengths_mean_nothing_where_the_pages_are_the_hosts():
    arena = Arena(1 << 36, 1 << 30)
    limits = Limits(page=HOST_PAGE, address_top=1 << 35, mmap_top=1 << 34, min_address=1 << 16)
    space = AddressSpace(PageTable(arena, HOST_PAGE), ArenaHost(arena), limits, MODEL)
    assert not space.follows_files
