"""Parse configuration files: YAML to checked values, each with its file and line. Off the launch path."""

import difflib

import yaml

from runtime import arch
from runtime.config import DEFAULT, ENV, KEYS, RULE_KEYS, TARGET_KEYS, ConfigError
from runtime.config.keys import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runtime.config import Settings, Value, Values

_SECTIONS = ("targets", "rules")


def parse(files: "Iterable[str]") -> "Settings":
    """The files together, later ones win. ConfigError."""
    targets: dict[str, Values] = {}
    rules: list[tuple[str, str, Values]] = []
    for path in files:
        own, more = _parse_file(path)
        for target, values in own.items():
            targets.setdefault(target, {}).update(values)
        rules += more
    return targets, rules


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
    targets: dict[str, Values] = {}
    rules: list[tuple[str, str, Values]] = []
    if node is None or _is_null(node):
        return targets, rules
    for name, value, _ in _pairs(node, path, "the file"):
        if name.value not in _SECTIONS:
            raise ConfigError(_unknown(path, name, _SECTIONS, "key"))
        if _is_null(value):
            continue
        if name.value == "rules":
            rules = _rules(path, value)
            continue
        for target, settings, _ in _pairs(value, path, "targets"):
            own = _target_name(path, target)
            if not _is_null(settings):
                values = _settings(path, f"targets.{own}", own, settings, KEYS)
                targets.setdefault(own, {}).update(values)
    return targets, rules


def _rules(path: str, node: yaml.Node) -> "list[tuple[str, str, Values]]":
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(f"{path}:{_line(node)}: rules is not a list (- match: ...)")
    result = []
    for number, rule in enumerate(node.value, 1):
        where = f"rules[{number}]"
        own = {key.value: value for key, value, _ in _pairs(rule, path, where)}
        match = own.get("match")
        if not isinstance(match, yaml.ScalarNode):
            raise ConfigError(f"{path}:{_line(rule)}: {where} has no match: the program's path")
        pattern = str(match.value)
        if not pattern.startswith(("/", "*")):
            raise ConfigError(
                f"{path}:{_line(match)}: {where}.match: {pattern!r} is not an absolute path or a pattern with *"
            )
        target = ""
        if "target" in own:
            target = _target_name(path, own["target"], other=())
        keys = ("match", "target", *RULE_KEYS)
        values = _settings(path, where, target, rule, keys)
        result.append((pattern, target, values))
    return result


def _settings(
    path: str, where: str, target: str, node: yaml.Node, keys: "Sequence[str]"
) -> "Values":
    """The checked keys of a target or rule; `where` names it in messages."""
    result: Values = {}
    for key, value, line in _pairs(node, path, where):
        name = str(key.value)
        place = f"{path}:{line}: {where}.{name}"
        if name not in keys:
            if name in TARGET_KEYS:
                raise ConfigError(f"{place}: belongs to a target, it cannot be a program's own")
            raise ConfigError(_unknown(path, key, keys, "key"))
        if name == "env":
            result.update(_variables(path, place, value))
        elif name in TABLE:
            result[name] = (_value(path, where, name, target, value), place)
    return result


def _value(path: str, where: str, key: str, target: str, node: yaml.Node) -> "Value":
    place = f"{path}:{_line(node)}: {where}.{key}"
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{place} takes one value, not a list or a table")
    row = TABLE[key]
    if _is_null(node) and row.null:
        return row.null[0]
    try:
        return row.read(str(node.value), target)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None


def _variables(path: str, place: str, node: yaml.Node) -> "Values":
    """env: a table of variables; null takes one away."""
    if _is_null(node):
        return {}
    result: Values = {}
    for key, value, line in _pairs(node, path, "env"):
        name = str(key.value)
        if not name or "=" in name or "\0" in name:
            raise ConfigError(f"{path}:{line}: {name!r} cannot be the name of a variable")
        if not isinstance(value, yaml.ScalarNode) or "\0" in value.value:
            raise ConfigError(f"{path}:{_line(value)}: the variable {name} takes one value")
        text = None if _is_null(value) else str(value.value)
        result[ENV + name] = (text, f"{path}:{line}: {place.partition(': ')[2]}.{name}")
    return result


def _target_name(path: str, node: yaml.Node, other: "Sequence[str]" = (DEFAULT,)) -> str:
    """Our name of a target; `other`: what else may stand here."""
    name = str(node.value)
    own = name if name in other else arch.find(name)
    if own is None:
        raise ConfigError(_unknown(path, node, (*arch.ARCHITECTURES, *other), "target"))
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
