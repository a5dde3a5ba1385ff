"""Parse configuration files: YAML to checked values, each with its file and line. Off the launch path."""

import difflib

import yaml

from runtime import arch
from runtime.config import DEFAULT, KEYS, ConfigError
from runtime.policy import PageSizeError, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.config import Settings

_SIZES = {"k": 10, "m": 20, "g": 30}


def parse(files: "Iterable[str]") -> "Settings":
    """The files together, later ones win. ConfigError."""
    result: Settings = {}
    for path in files:
        for target, values in _parse_file(path).items():
            result.setdefault(target, {}).update(values)
    return result


def _parse_file(path: str) -> "Settings":
    try:
        with open(path, "rb") as file:
            node = yaml.compose(file, yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}:1: not YAML: {' '.join(str(error).split())}") from None
    if node is None or _is_null(node):
        return {}
    result: Settings = {}
    for name, value, _ in _pairs(node, path, "the file"):
        if name.value != "targets":
            raise ConfigError(_unknown(path, name, ("targets",), "key"))
        if _is_null(value):
            continue
        for target, settings, _ in _pairs(value, path, "targets"):
            own = _target_name(path, target)
            result.setdefault(own, {}).update(_settings(path, own, settings))
    return result


def _settings(path: str, target: str, node: yaml.Node) -> "dict[str, tuple[int | str | None, str]]":
    if _is_null(node):
        return {}
    result = {}
    for key, value, line in _pairs(node, path, f"targets.{target}"):
        if key.value not in KEYS:
            raise ConfigError(_unknown(path, key, KEYS, "key"))
        if not isinstance(value, yaml.ScalarNode):
            raise ConfigError(
                f"{path}:{_line(value)}: targets.{target}.{key.value} takes one value, not a list or a table"
            )
        try:
            result[key.value] = (_value(key.value, value), f"{path}:{line}")
        except (ValueError, PageSizeError) as error:
            raise ConfigError(
                f"{path}:{_line(value)}: targets.{target}.{key.value}: {error}"
            ) from None
    return result


def _value(key: str, node: yaml.ScalarNode) -> int | str | None:
    """A key's value. ValueError, PageSizeError."""
    text = str(node.value)
    if key == "page_size":
        return parse_size(text)
    if key == "stack":
        return _stack(text)
    if _is_null(node):
        if key == "log":
            return "none"
        return None
    if key == "root" and not text.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    if key == "log" and text not in ("stderr", "none") and not text.startswith("/"):
        raise ValueError(f"{text!r} is not stderr, none or an absolute path")
    if key == "uname_release" and not 0 < len(text.encode()) < 65:
        raise ValueError("must have 1 to 64 bytes")
    return text


def _stack(text: str) -> int | str:
    word = text.strip().lower()
    if word == "auto":
        return "auto"
    shift = _SIZES.get(word[-1:], 0)
    digits = word[:-1] if shift else word
    if not (digits.isascii() and digits.isdecimal()) or int(digits) << shift >= 1 << 63:
        raise ValueError(f"{text!r} is not auto or a size like 8m")
    return int(digits) << shift


def _target_name(path: str, node: yaml.Node) -> str:
    name = str(node.value)
    own = name if name == DEFAULT else arch.find(name)
    if own is None:
        raise ConfigError(_unknown(path, node, (*arch.ARCHITECTURES, DEFAULT), "target"))
    return own


def _pairs(node: yaml.Node, path: str, what: str) -> "list[tuple[yaml.Node, yaml.Node, int]]":
    """The (key, value, line) of a table; a key may stand only once."""
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:{_line(node)}: {what} is not a table (name: value)")
    seen: dict[str, int] = {}
    result: list[tuple[yaml.Node, yaml.Node, int]] = []
    for key, value in node.value:
        line = _line(key)
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{path}:{line}: a key must be a word")
        if key.value in seen:
            raise ConfigError(
                f"{path}:{line}: {key.value!r} stands in line {seen[key.value]} already"
            )
        seen[key.value] = line
        result.append((key, value, line))
    return result


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _unknown(path: str, node: yaml.Node, valid: "Iterable[str]", what: str) -> str:
    names = list(valid)
    near = difflib.get_close_matches(str(node.value), names, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"possible: {', '.join(names)}"
    return f"{path}:{_line(node)}: unknown {what} {node.value!r}; {hint}"
