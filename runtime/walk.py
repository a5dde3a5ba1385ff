"""Follow a path inside a directory that plays the root, name by name, as the kernel would after chroot(2).

For views without the kernel's help, and for looking into a root from outside. Another process that renames directories
at the wrong moment can lead a step outside: this is no security boundary.
"""

import errno
import os

from runtime.abi.linux import S_IFLNK, S_IFMT

LINKS = 40  # the kernel's limit of symbolic links in one path (MAXSYMLINKS)


def walk(root: bytes, path: bytes, follow: bool, missing: bool = False) -> bytes | None:
    """The host path of `path` inside `root`, every link but (without `follow`) the last resolved inside `root`.

    None when it does not exist. `missing`: a last name that does not exist is allowed (it is about to be created).
    OSError(ELOOP) after 40 links. Costs one lstat for each name.
    """
    names = path.split(b"/")
    names.reverse()
    directory_wanted = path.endswith((b"/", b"/."))
    done: list[bytes] = []
    links = 0
    while names:
        name = names.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            if done:
                done.pop()
            continue
        host = b"/".join((root, *done, name))
        try:
            mode = os.lstat(host).st_mode
        except OSError:
            return host if missing and not any(names) else None
        if mode & S_IFMT == S_IFLNK and (follow or directory_wanted or any(names)):
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), host)
            target = os.readlink(host)
            if target[:1] == b"/":
                done.clear()
            names += reversed(target.split(b"/"))
            continue
        done.append(name)
    return b"/".join((root, *done)) + (b"/" if directory_wanted and done else b"")
