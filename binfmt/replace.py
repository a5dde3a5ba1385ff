"""A file that is there whole, or as it was before."""

import os


def replace(path: str, data: bytes, mode: int) -> None:
    """Write the file with these permissions, whatever the umask. OSError: then nothing is changed or left over.

    It is a new inode: the old one may be pinned, and running.
    """
    temporary = f"{path}.{os.getpid()}"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except OSError:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
