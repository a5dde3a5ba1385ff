"""What each key of a configuration file may hold: how it is read, its JSON Schema, and a line about it. Off the launch
path.

A value is read from the YAML scalar's own text, so that 6.10 stays the release 6.10 and is no number.
"""

from runtime import arch as arches
from runtime.arch import processors
from runtime.arch.architecture import ProcessorError
from runtime.config import DEFAULT, ENGINES, KEYS, RULE_KEYS
from runtime.policy import WORDS, PageSizeError, parse_size, size_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from runtime.config import Value

_SHIFTS = {"k": 10, "m": 20, "g": 30}
_SIZE = r"^[0-9]+[kKmMgG]?$"
RELEASE_MAX = 64  # bytes of utsname.release


def page_sizes(target: str) -> list[int]:
    """The page sizes that a target's programs may have; of "default" and "" all that any target has."""
    names = arches.ARCHITECTURES if target in (DEFAULT, "") else (target,)
    return sorted({size for name in names for size in arches.load(name).page_sizes})


def _page_size(text: str, target: str) -> "Value":
    possible = page_sizes(target)
    try:
        size = parse_size(text)
    except PageSizeError as error:
        raise ValueError(f"{error}; possible: {size_list(possible)}") from None
    if isinstance(size, int) and size not in possible:
        none = "no target has" if target in (DEFAULT, "") else f"{target} has no"
        raise ValueError(f"{none} pages of {text}; possible: {size_list(possible)}")
    return size


def _bytes(text: str, example: str) -> "Value":
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    shift = _SHIFTS.get(word[-1:], 0)
    digits = word[:-1] if shift else word
    if not (digits.isascii() and digits.isdecimal()) or int(digits) << shift >= 1 << 63:
        raise ValueError(f"{text!r} is not auto or a size like {example}")
    return int(digits) << shift


def _one_of(text: str, words: "Sequence[str]") -> str:
    if text not in words:
        raise ValueError(f"{text!r} is not {' or '.join(words)}")
    return text


def _switch(text: str, target: str) -> "Value":
    return _one_of(text.lower(), ("true", "false")) == "true"


def _root(text: str, target: str) -> "Value":
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    return text


def _log(text: str, target: str) -> "Value":
    if text not in ("stderr", "none") and not text.startswith("/"):
        raise ValueError(f"{text!r} is not stderr, none or an absolute path")
    return text


def _release(text: str, target: str) -> "Value":
    if not 0 < len(text.encode()) <= RELEASE_MAX:
        raise ValueError(f"must have 1 to {RELEASE_MAX} bytes")
    return text


def _processor(text: str, target: str) -> "Value":
    if text.lower() == "auto":
        return "auto"
    if target in (DEFAULT, ""):
        # what every target has
        if text.lower() == processors.MAX:
            return processors.MAX
        where = "a target" if target else "a rule that names its target"
        raise ValueError(
            f"{text!r}: a processor belongs to one architecture, so to {where}; possible here: auto, {processors.MAX}"
        )
    try:
        return processors.find(target, text)
    except ProcessorError as error:
        raise ValueError(str(error)) from None


class Key:
    """One key. `read(text, target)`: the value, ValueError for what it cannot be; `schema`: JSON Schema of the YAML
    value; `null`: what null means (a value, or KeyError when null is not allowed)."""

    __slots__ = ("null", "read", "schema", "text")

    def __init__(
        self,
        text: str,
        read: "Callable[[str, str], Value]",
        schema: "dict[str, Any]",
        null: "tuple[Value, ...]" = (),
    ) -> None:
        self.text = text
        self.read = read
        self.schema = schema
        self.null = null  # (value,) that null stands for; () when null is wrong


_SIZE_OR_AUTO = {"type": ["string", "integer"], "pattern": rf"^auto$|{_SIZE}", "minimum": 0}


def _processors() -> list[str]:
    """Every architecture's."""
    found = (processors.names(name) for name in arches.ARCHITECTURES)
    return sorted({name for names in found for name in names}, key=str.lower)


_ENGINE_WORDS = ("auto", *ENGINES)
ENV_SCHEMA = {
    "type": "object",
    "description": "variables to set in a program's environment; null takes one away",
    "propertyNames": {"pattern": "^[^=]+$"},
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}

TABLE = {
    "page_size": Key(
        "page size of the programs: auto (the host's if the program allows it), host, "
        "throughput (the largest that the program and its libraries allow), or a size",
        _page_size,
        {"type": ["string", "integer"], "pattern": rf"^({'|'.join(WORDS)})$|{_SIZE}"},
    ),
    "mmap_min_addr": Key(
        "lowest address that mmap gives without CAP_SYS_RAWIO, rounded up to pages; auto: vm.mmap_min_addr",
        lambda text, target: _bytes(text, "64k"),
        _SIZE_OR_AUTO,
    ),
    "root": Key(
        "guest root directory for programs of this target; null: the host's paths",
        _root,
        {"type": ["string", "null"], "pattern": "^/"},
        (None,),
    ),
    "view": Key(
        "what root is: sysroot (looked into first, then the host's paths) or container (the root directory)",
        lambda text, target: _one_of(text, ("sysroot", "container")),
        {"enum": ["sysroot", "container"]},
    ),
    "uname_release": Key(
        "what uname -r says; null: the host's release",
        _release,
        {"type": ["string", "number", "null"], "minLength": 1, "maxLength": RELEASE_MAX},
        (None,),
    ),
    "stack": Key(
        "RLIMIT_STACK as the program sees it; auto: the host's limit",
        lambda text, target: _bytes(text, "8m"),
        _SIZE_OR_AUTO,
    ),
    "log": Key(
        "where one-line messages go: stderr, none, or a file",
        _log,
        {"type": ["string", "null"], "pattern": "^(stderr|none|/.*)$"},
        ("none",),
    ),
    "credentials": Key(
        "flag C: set-id programs get their owner's rights; holds from octavo binfmt register on",
        _switch,
        {"type": "boolean"},
    ),
    "engine": Key(
        "what executes the programs: auto or unicorn, which is the only one",
        lambda text, target: _one_of(text, _ENGINE_WORDS),
        {"enum": list(_ENGINE_WORDS)},
    ),
    "cpu": Key(
        "processor that the programs see: auto (the architecture's usual one), max, or a name of qemu -cpu help",
        _processor,
        {"enum": ["auto", *_processors()]},
    ),
}


def schema() -> "dict[str, Any]":
    """The JSON Schema of a configuration file (draft 2020-12), for editors and validators."""

    def table(keys: "Sequence[str]") -> "dict[str, Any]":
        rows = {
            key: {**TABLE[key].schema, "description": TABLE[key].text}
            for key in keys
            if key in TABLE
        }
        return {**rows, "env": ENV_SCHEMA} if "env" in keys else rows

    names = arches.known_names()
    target = {"type": ["object", "null"], "additionalProperties": False, "properties": table(KEYS)}
    rule = {
        "type": "object",
        "additionalProperties": False,
        "required": ["match"],
        "properties": {
            "match": {
                "type": "string",
                "pattern": r"^[/*]",
                "description": "guest path of the program; * stands for anything",
            },
            "target": {"enum": names, "description": "only programs of this target"},
            **table(RULE_KEYS),
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Octavo configuration (targets.yaml)",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "targets": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {name: {"$ref": "#/$defs/target"} for name in (DEFAULT, *names)},
            },
            "rules": {"type": ["array", "null"], "items": {"$ref": "#/$defs/rule"}},
        },
        "$defs": {"target": target, "rule": rule},
    }
