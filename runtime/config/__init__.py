"""CONFIGURE: what the configuration files say about a target, and about single programs of it.

Files, later ones win key by key: /etc/octavo/targets.yaml, $XDG_CONFIG_HOME/octavo/targets.yaml, $OCTAVO_CONFIG. The
result is kept in the user's cache directory, with the files' identities, so that a launch costs a few stat(2) calls:
parsing YAML takes longer than the rest of the start. A program that runs with raised privileges reads only /etc.

Order for one program: the target `default`, its own target, then every rule that matches it, in the order of the files;
the command line is stronger than all of them. What a key may hold is in keys.py; which keys exist, and their defaults,
stand here; targets.yaml beside this file shows them to people, and a test holds the two together.
"""

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Value = int | str | None
    # key -> (value, "file:line: targets.arm.page_size"); a variable of `env` is the key "env.NAME"
    Values = dict[str, tuple[Value, str]]
    # target name -> its values; (pattern, target name or "" for all, values) for each rule
    Settings = tuple[dict[str, Values], list[tuple[str, str, Values]]]

SYSTEM_FILE = "/etc/octavo/targets.yaml"
DEFAULT = "default"  # the target whose keys hold for all
ENV = "env."
DEFAULTS: "dict[str, Value]" = {
    "page_size": "auto",
    "mmap_min_addr": "auto",
    "root": None,
    "view": "sysroot",
    "uname_release": None,
    "stack": "auto",
    "log": "stderr",
    "credentials": False,
    "engine": "auto",
    "cpu": "auto",
}
KEYS = (*DEFAULTS, "env")
ENGINES = ("unicorn",)  # what can execute a program; "auto" is the first
# Decided once for a process and its children, before a rule could match; or when a target is registered.
TARGET_KEYS = ("root", "view", "log", "credentials", "engine")
RULE_KEYS = tuple(key for key in KEYS if key not in TARGET_KEYS)

_FORMAT = 3  # of the cache, and of what a launcher carries
_MARSHAL = 4  # the format of marshal, whichever Python writes


class ConfigError(Exception):
    """A configuration file is wrong. str(): one line that starts with file:line."""


class Target:
    """What holds for one target, or for one program of it. `origins`: key -> "file:line: targets.arm.KEY" for keys that
    a file sets; `ruled`: the keys that a rule for this program has set."""

    __slots__ = (
        "cpu",
        "credentials",
        "engine",
        "env",
        "log",
        "mmap_min_addr",
        "name",
        "origins",
        "page_size",
        "root",
        "ruled",
        "stack",
        "uname_release",
        "view",
    )

    def __init__(
        self,
        name: str,
        values: "Mapping[str, Value]",
        origins: "Mapping[str, str] | None" = None,
        ruled: "Iterable[str]" = (),
    ) -> None:
        self.name = name
        self.page_size = values["page_size"]  # "auto", "host", "throughput" or bytes
        self.mmap_min_addr = _number(values["mmap_min_addr"])  # bytes; None: the host's sysctl
        self.root = _path(values["root"])  # absolute host path, or None
        self.view = str(values["view"])  # "sysroot" or "container": what root is taken for
        release = values["uname_release"]
        self.uname_release = None if release is None else str(release).encode()
        self.stack = _number(values["stack"])  # bytes; None: the host's limit
        self.log = str(values["log"])  # "stderr", "none", or an absolute path
        # of the registration, not of any program: flag C (binfmt/credentials.py)
        self.credentials = bool(values["credentials"])
        self.engine = str(values["engine"])  # "auto", or one of ENGINES
        self.cpu = str(values["cpu"])  # "auto", or a name of runtime.arch.processors
        # name -> value, None: is not to be there
        self.env = {
            key[len(ENV) :]: None if value is None else str(value)
            for key, value in values.items()
            if key.startswith(ENV)
        }
        self.origins = origins or {}
        self.ruled = frozenset(ruled)

    @property
    def ruled_env(self) -> "set[str]":
        """The variables that a rule for this program has set."""
        return {key[len(ENV) :] for key in self.ruled if key.startswith(ENV)}

    def origin(self, key: str) -> str:
        """Where a value comes from, for messages: "FILE:LINE: targets.arm.page_size", or "default"."""
        return self.origins.get(key, "default")


def _path(value: "Value") -> bytes | None:
    return None if value is None else os.fsencode(str(value))


def _number(value: "Value") -> int | None:
    return value if isinstance(value, int) else None


def matches(pattern: str, path: bytes) -> bool:
    """Whether a rule's pattern names this path; a "*" stands for any bytes, slashes too."""
    first, *rest = os.fsencode(pattern).split(b"*")
    if not rest:
        return path == first
    if not path.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return path.endswith(rest[-1]) and len(path) - len(rest[-1]) >= at


class Configuration:
    """All targets and rules, as the files together say."""

    __slots__ = ("_rules", "_targets", "files")

    def __init__(self, settings: "Settings | tuple[()]" = (), files: tuple[str, ...] = ()) -> None:
        self._targets, self._rules = settings or ({}, [])
        self.files = files  # that were read, in order

    def dump(self) -> bytes:
        """All of it, for a launcher to carry (binfmt/settings.py)."""
        return marshal.dumps((_FORMAT, (self._targets, self._rules), self.files), _MARSHAL)

    def mentions(self, key: str, value: "Value") -> bool:
        """Whether some target or rule gives the key this value."""
        layers = [*self._targets.values(), *(settings for _, _, settings in self._rules)]
        return any(layer.get(key, (None,))[0] == value for layer in layers)

    def says(self, key: str) -> bool:
        """Whether some target or rule has the key."""
        layers = [*self._targets.values(), *(settings for _, _, settings in self._rules)]
        return any(key in layer for layer in layers)

    def has(self, key: str) -> bool:
        """Whether some target's settings have the key."""
        return any(key in values for values in self._targets.values())

    def target(self, name: str, programs: "Iterable[bytes]" = ()) -> Target:
        """The settings of an architecture (a name of runtime.arch.ARCHITECTURES). `programs`: the names of the program
        that is started, as guest paths; rules that match one of them are applied."""
        values: dict[str, Value] = dict(DEFAULTS)
        origins: dict[str, str] = {}
        for layer in (DEFAULT, name):
            for key, (value, origin) in self._targets.get(layer, {}).items():
                values[key] = value
                origins[key] = origin
        ruled: set[str] = set()
        if self._rules:
            names = set(programs)
            for pattern, target, settings in self._rules:
                if target in ("", name) and any(matches(pattern, path) for path in names):
                    for key, (value, origin) in settings.items():
                        values[key] = value
                        origins[key] = origin
                    ruled.update(settings)
        return Target(name, values, origins, ruled)


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


def load(environment: "Mapping[str, str] | None" = None, secure: bool = False) -> Configuration:
    """Read the configuration. `secure`: privileges were gained, although the ids do not show it. ConfigError for a
    wrong file, or for an OCTAVO_CONFIG that cannot be read."""
    if compiled_in is not None:
        return compiled_in
    if environment is None:
        environment = os.environ
    secure = secure or os.getuid() != os.geteuid() or os.getgid() != os.getegid()
    places = files(environment, secure)
    found = [(path, state) for path in places if (state := _state(path, secure)) is not None]
    missing = "" if secure else environment.get("OCTAVO_CONFIG", "")
    if missing and not any(path == os.path.abspath(missing) for path, _ in found):
        raise ConfigError(f"{missing}: no such file (named by OCTAVO_CONFIG)")
    if not found:
        return Configuration()
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


def _state(path: str, secure: bool) -> tuple[int, int, int, int] | None:
    """(device, inode, size, mtime in ns), None for a file that is not there or may not be looked at; `secure`: or that
    others than root can write."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if secure and (status.st_uid or status.st_mode & 0o022):
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
