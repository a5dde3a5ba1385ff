"""CONFIGURE: what the configuration files say about a target.

Files, later ones win key by key: /etc/octavo/targets.yaml, $XDG_CONFIG_HOME/octavo/targets.yaml, $OCTAVO_CONFIG. The
result is kept in the user's cache directory, with the files' identities, so that a launch costs a few stat(2) calls:
parsing YAML takes longer than the rest of the start. A program that runs with raised privileges reads only /etc.

The defaults stand here; targets.yaml beside this file shows them to people, and a test holds the two together.
"""

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    # target name -> key -> (value, "file:line")
    Settings = dict[str, dict[str, tuple[int | str | None, str]]]

SYSTEM_FILE = "/etc/octavo/targets.yaml"
DEFAULT = "default"  # the target whose keys hold for all
DEFAULTS: dict[str, int | str | None] = {
    "page_size": "auto",
    "root": None,
    "uname_release": None,
    "stack": "auto",
    "log": "stderr",
}
KEYS = tuple(DEFAULTS)

_FORMAT = 1  # of the cache, and of what a launcher carries
_MARSHAL = 4  # the format of marshal, whichever Python writes


class ConfigError(Exception):
    """A configuration file is wrong. str(): one line that starts with file:line."""


class Target:
    """What holds for one target. `origins`: key -> "file:line" for keys that a file sets."""

    __slots__ = ("log", "name", "origins", "page_size", "root", "stack", "uname_release")

    def __init__(
        self,
        name: str,
        values: "Mapping[str, int | str | None]",
        origins: "Mapping[str, str] | None" = None,
    ) -> None:
        self.name = name
        self.page_size = values["page_size"]  # "auto", "host" or bytes
        self.root = _path(values["root"])  # absolute host path, or None
        release = values["uname_release"]
        self.uname_release = None if release is None else str(release).encode()
        stack = values["stack"]
        self.stack = stack if isinstance(stack, int) else None  # bytes; None: the host's limit
        self.log = str(values["log"])  # "stderr", "none", or an absolute path
        self.origins = origins or {}

    def origin(self, key: str) -> str:
        """Where a value comes from, for messages: "FILE:LINE: targets.arm.page_size", or "default"."""
        place = self.origins.get(key)
        return f"{place}: targets.{self.name}.{key}" if place else "default"


def _path(value: int | str | None) -> bytes | None:
    return None if value is None else os.fsencode(str(value))


class Configuration:
    """All targets, as the files together say."""

    __slots__ = ("_settings", "files")

    def __init__(self, settings: "Settings", files: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self.files = files  # that were read, in order

    def dump(self) -> bytes:
        """All of it, for a launcher to carry (binfmt/settings.py)."""
        return marshal.dumps((_FORMAT, self._settings, self.files), _MARSHAL)

    def target(self, name: str) -> Target:
        """The settings of an architecture (a name of runtime.arch.ARCHITECTURES)."""
        values, origins = dict(DEFAULTS), {}
        for layer in (DEFAULT, name):
            for key, (value, origin) in self._settings.get(layer, {}).items():
                values[key] = value
                origins[key] = origin
        return Target(name, values, origins)


# set at start by the launcher, for which no file is to be read
compiled_in: Configuration | None = None


def restore(data: "bytes | memoryview") -> Configuration:
    """What dump() gave. ConfigError: another version's."""
    try:
        version, settings, names = marshal.loads(data)
    except (ValueError, EOFError, TypeError):
        version = None
    if version != _FORMAT:
        raise ConfigError("the settings in this launcher are another version's: register it again")
    return Configuration(settings, names)


def files(environment: "Mapping[str, str]", secure: bool = False) -> list[str]:
    """The places where configuration files may lie, in the order in which they are read."""
    places = [SYSTEM_FILE]
    if not secure:
        home = _directory(environment, "XDG_CONFIG_HOME", ".config")
        if home:
            places.append(f"{home}/octavo/targets.yaml")
        named = environment.get("OCTAVO_CONFIG")
        if named:
            places.append(os.path.abspath(named))
    return places


def load(environment: "Mapping[str, str] | None" = None) -> Configuration:
    """Read the configuration. ConfigError for a wrong file, or for an OCTAVO_CONFIG that cannot be read."""
    if compiled_in is not None:
        return compiled_in
    if environment is None:
        environment = os.environ
    secure = os.getuid() != os.geteuid() or os.getgid() != os.getegid()
    places = files(environment, secure)
    found = [(path, state) for path in places if (state := _state(path)) is not None]
    missing = "" if secure else environment.get("OCTAVO_CONFIG", "")
    if missing and not any(path == os.path.abspath(missing) for path, _ in found):
        raise ConfigError(f"{missing}: no such file (named by OCTAVO_CONFIG)")
    if not found:
        return Configuration({})
    names = tuple(path for path, _ in found)
    cache = "" if secure else _directory(environment, "XDG_CACHE_HOME", ".cache")
    settings = _from_cache(cache, found) if cache else None
    if settings is None:
        # The launch path meets this once for each change of a file, and before the program starts.
        from runtime.config.file import parse  # noqa: PLC0415

        settings = parse(names)
        if cache:
            _to_cache(cache, found, settings)
    return Configuration(settings, names)


def _directory(environment: "Mapping[str, str]", variable: str, below_home: str) -> str:
    """An XDG base directory; "" when there is no home."""
    value = environment.get(variable, "")
    if value.startswith("/"):
        return value
    home = environment.get("HOME", "")
    return f"{home}/{below_home}" if home.startswith("/") else ""


def _state(path: str) -> tuple[int, int, int, int] | None:
    """(device, inode, size, mtime in ns), None for a file that is not there or may not be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _from_cache(
    directory: str, found: "list[tuple[str, tuple[int, int, int, int]]]"
) -> "Settings | None":
    """What was kept for exactly these files. Only a file of this user's own that others cannot write is believed."""
    try:
        fd = os.open(f"{directory}/octavo/targets", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return None
        data = os.read(fd, status.st_size)
    except OSError:
        return None
    finally:
        os.close(fd)
    try:
        version, key, settings = marshal.loads(data)
    except (ValueError, EOFError, TypeError):
        return None
    if version != _FORMAT or key != found:
        return None
    kept: Settings = settings
    return kept


def _to_cache(
    directory: str, found: "list[tuple[str, tuple[int, int, int, int]]]", settings: "Settings"
) -> None:
    """Keep it, atomically; a cache that cannot be written is no error."""
    data = marshal.dumps((_FORMAT, found, settings))
    temporary = f"{directory}/octavo/targets.{os.getpid()}"
    try:
        os.makedirs(f"{directory}/octavo", 0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, f"{directory}/octavo/targets")
    except OSError:
        return
