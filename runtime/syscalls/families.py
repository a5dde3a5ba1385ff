"""Every family of system calls. Importing a family registers its handlers.

A program started out of the bundle imports a family at the first call of one of its handlers (registry.definition);
one started from the source files imports them all first, because files may be out of reach once the guest has changed
its root.
"""

FAMILIES = (
    "credentials",
    "declined",
    "descriptors",
    "directories",
    "fcntl",
    "file_times",
    "futex",
    "inotify",
    "io",
    "ioctl",
    "ipc",
    "limits",
    "machine",
    "mapping",
    "mounts",
    "mqueue",
    "old_signals",
    "paths",
    "polling",
    "prctl",
    "processes",
    "scheduling",
    "signals",
    "sockets",
    "status",
    "system",
    "time",
    "xattrs",
)


def register() -> None:
    """Import them all."""
    for name in FAMILIES:
        __import__(f"runtime.syscalls.{name}")
