"""The launcher that is registered carries the configuration, because in a chroot the host's files cannot be seen.

What is registered is therefore a copy of the launcher with the settings in it (settings.py), in a place of ours; where
no configuration file says anything, or the handler is no launcher, it is the file itself. A registration of the whole
machine takes the system's file only, one in a namespace of the user's own takes the user's too.
"""

import os

from binfmt import settings
from binfmt.kernel import BinfmtError
from binfmt.replace import replace
from runtime import config

SYSTEM = "/var/lib/octavo"
NAME = "launcher"


def wanted(user: bool) -> bytes:
    """What a launcher registered now has to carry; b"" for nothing. BinfmtError: a configuration file is wrong."""
    try:
        found = config.load(None if user else {})
    except config.ConfigError as error:
        raise BinfmtError(f"the configuration is wrong, nothing was registered: {error}") from None
    return found.dump() if found.files else b""


def prepare(interpreter: str, user: bool, directory: str = "") -> str:
    """The file to register for a handler: itself, or a copy that carries the settings. BinfmtError."""
    values = wanted(user)
    try:
        with open(interpreter, "rb") as file:
            data = file.read()
        if settings.read(data) == values:
            return interpreter
        data = settings.write(data, values)
    except OSError as error:
        raise BinfmtError(f"{interpreter}: the handler cannot be read: {error.strerror}") from None
    except settings.NotALauncher:
        return interpreter
    place = directory or (_users() if user else SYSTEM)
    path = os.path.join(place, NAME)
    try:
        os.makedirs(place, exist_ok=True)
        replace(path, data, 0o755)
    except OSError as error:
        raise BinfmtError(
            f"{path}: the launcher with the configuration cannot be written: {error.strerror}"
        ) from None
    return path


def stale(interpreter: str) -> bool:
    """Whether a launcher on disk carries something else than it would if it were registered now."""
    try:
        with open(interpreter, "rb") as file:
            held = settings.read(file.read())
        return all(held != wanted(user) for user in (False, True))
    except (OSError, settings.NotALauncher, BinfmtError):
        return False


def _users() -> str:
    """The user's cache directory: what lies there can be made again."""
    value = os.environ.get("XDG_CACHE_HOME", "")
    if not value.startswith("/"):
        value = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(value, "octavo")
