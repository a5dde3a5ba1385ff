"""Every family of system calls. Importing a family registers its handlers; this module imports them all, because
nothing may
be imported once a guest program runs (it may have changed the root)."""

from runtime.syscalls import (
    credentials,
    declined,
    descriptors,
    directories,
    fcntl,
    file_times,
    futex,
    inotify,
    io,
    ioctl,
    ipc,
    limits,
    machine,
    mapping,
    mounts,
    mqueue,
    paths,
    polling,
    prctl,
    processes,
    scheduling,
    signals,
    sockets,
    status,
    system,
    time,
    xattrs,
)

FAMILIES = (
    credentials,
    declined,
    descriptors,
    directories,
    fcntl,
    file_times,
    futex,
    inotify,
    io,
    ioctl,
    ipc,
    limits,
    machine,
    mapping,
    mounts,
    mqueue,
    paths,
    polling,
    prctl,
    processes,
    scheduling,
    signals,
    sockets,
    status,
    system,
    time,
    xattrs,
)


def register() -> None:
    """The import has done it; calling this says that it is needed."""
