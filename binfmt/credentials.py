"""Who asks for flag C of a registration: the command line, or the configuration's key `credentials`.

With C a set-id foreign program runs with its owner's rights, so for the registry of the machine only a file that root
owns and nobody else can write may ask for it, as for a program that has gained privileges (config.load). In a user
namespace of the user's own nobody gains more than the user has there, and the user's files count too.

Nothing is remembered: what the kernel shows is compared with what the configuration says now.
"""

from binfmt import kernel
from binfmt.kernel import BinfmtError, Entry
from runtime import config
from runtime.config import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.config import Configuration

KEY = "credentials"
NOT_BELIEVED = (
    "{origin}: not done: for the machine's registry only {file} may ask for flag C, "
    "and only if root owns it and nobody else can write it"
)


def _trusted(user: bool) -> "Configuration":
    """What may ask for the flag. ConfigError."""
    return config.load() if user else config.load({}, secure=True)


def _caller() -> "Configuration":
    """What the files say that the caller's programs have. ConfigError: the system's file is wrong; the user's are not
    what is registered, and may be."""
    try:
        return config.load()
    except ConfigError:
        return config.load({})


def chosen(
    targets: "Iterable[str]", given: bool | None, user: bool, warn: "Callable[[str], None]"
) -> frozenset[str]:
    """The targets to be registered with flag C. `given`: what the command line says of all of them, None for nothing;
    `user`: in a registry of the user's own. BinfmtError: a configuration file is wrong."""
    if given is not None:
        return frozenset(targets if given else ())
    try:
        trusted = _trusted(user)
        every = trusted if user else _caller()
    except ConfigError as error:
        raise BinfmtError(f"the configuration is wrong, nothing was registered: {error}") from None
    found = set()
    refused: dict[str, None] = {}  # in order
    for name in targets:
        if trusted.target(name).credentials:
            found.add(name)
        elif every.target(name).credentials:
            refused[every.target(name).origin(KEY)] = None
    for origin in refused:
        warn(NOT_BELIEVED.format(origin=origin, file=config.SYSTEM_FILE))
    return frozenset(found)


class Reason:
    """Why an entry of ours has flag C or not. `origin`: a key of a configuration file, or an option."""

    __slots__ = ("flag", "origin", "text")

    def __init__(self, flag: bool, origin: str, text: str) -> None:
        self.flag = flag
        self.origin = origin
        self.text = text  # for people


def reason(target: str, entry: Entry) -> Reason | None:
    """None where there is nothing to say: no flag C and nobody asks for it, or not our entry."""
    if not entry.ours:
        return None
    flag = "C" in entry.flags
    try:
        asked = _asked(target)
    except ConfigError as error:
        return Reason(True, "", f"flag C; {error}") if flag else None
    if asked and flag:
        return Reason(True, asked, f"flag C ({asked})")
    if flag:
        text = "flag C (--credentials; no configuration file asks for it)"
        return Reason(True, "--credentials", text)
    if asked:
        text = f"no flag C, although {asked} asks for it: registered before it did, or with --no-credentials"
        return Reason(False, "--no-credentials", text)
    return None


def _asked(target: str) -> str:
    """The key that asks for the flag, as FILE:LINE: KEY; empty for none. ConfigError."""
    for user in (False,) if kernel.in_initial_namespace() else (False, True):
        found = _trusted(user).target(target)
        if found.credentials:
            return found.origin(KEY)
    return ""
