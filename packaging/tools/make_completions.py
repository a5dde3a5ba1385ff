"""Write the completions of bash, zsh and fish from the tables that the command line itself uses.

usage: make_completions.py [DIR]; default packaging/completions. A test compares what is there with what this writes.
"""

import argparse
import os
import re
import sys
from importlib import import_module

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = "Completion of octavo. Written by packaging/tools/make_completions.py; do not edit."
FILES = {"bash": "octavo", "zsh": "_octavo", "fish": "octavo.fish"}

DIRECTORY, FILE, PROGRAM, NOTHING = "directory", "file", "program", "nothing"
KINDS = {
    "DIR": DIRECTORY,
    "PREFIX": DIRECTORY,
    "root": DIRECTORY,
    "prefix": DIRECTORY,
    "directory": DIRECTORY,
    "PATH": FILE,
    "PORT|PATH": FILE,
    "FILE": FILE,
    "file": FILE,
}


class Option:
    """One option: its names, what follows it (a kind, a tuple of words, or None: nothing), and its help."""

    def __init__(self, names: list[str], value: str | tuple[str, ...] | None, text: str) -> None:
        self.names = names
        self.value = value
        self.text = text


class Command:
    """A command: its options, what its words are, and its subcommands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.options: list[Option] = []
        self.words: str | tuple[str, ...] = NOTHING
        self.children: list[Command] = []


def tree() -> Command:
    """`octavo` as it is now."""
    from runtime import cli

    top = Command("octavo", "run programs built for another processor")
    top.options = [
        Option(["-h", "--help"], None, "list the commands"),
        Option(["-V", "--version"], None, "print the version"),
    ]
    for name, module, text in cli.available():
        command = Command(name, text)
        if name == "run":
            _from_usage(command, import_module(module).USAGE)
        else:
            parser = argparse.ArgumentParser(prog=f"octavo {name}", allow_abbrev=False)
            import_module(module).configure(parser)
            _from_parser(command, parser)
        top.children.append(command)
    return top


def _from_usage(command: Command, usage: str) -> None:
    """The options of `run`, which argparse never sees: the lines of its help are their table."""
    command.words = PROGRAM
    for line in usage.splitlines():
        found = re.fullmatch(r"  (-\S+(?:, -\S+)*)(?: ([A-Z0-9=|]+))? {2,}(.*)", line)
        if found is None:
            continue
        names, metavar, text = found.groups()
        words = []
        value: str | tuple[str, ...] | None = None if metavar is None else _kind(metavar)
        if isinstance(value, tuple):
            value = (*value, "help")
        for name in names.split(", "):
            bare, bracket, _ = name.partition("[=")
            words.append(bare)
            if bracket:
                words.append(bare + "=")
        command.options.append(Option(words, value, text))


def _from_parser(command: Command, parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {item.dest: item.help or "" for item in action._choices_actions}
            for name, child in action.choices.items():
                below = Command(name, texts.get(name, ""))
                _from_parser(below, child)
                command.children.append(below)
        elif action.option_strings:
            value = None if action.nargs == 0 else _value(action)
            command.options.append(Option(list(action.option_strings), value, action.help or ""))
        else:
            value = _value(action)
            if command.words not in (DIRECTORY, FILE):  # a name of a file is more work to type
                command.words = value


def _value(action: argparse.Action) -> str | tuple[str, ...]:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    if action.metavar == "TARGET":
        from runtime.arch import ARCHITECTURES

        return (*ARCHITECTURES, "all")
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    kind = _kind(metavar)
    return KINDS.get(action.dest, NOTHING) if kind == NOTHING else kind


def _kind(metavar: str) -> str | tuple[str, ...]:
    if metavar == "MODEL":
        from runtime.arch import processors

        found = (processors.names(name) for name in processors.USUAL)
        return tuple(sorted({name for names in found for name in names}, key=str.lower))
    return KINDS.get(metavar, NOTHING)


def _leaves(command: Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Command]]:
    """(words after `octavo`, command), for every command and subcommand, the top first."""
    result = [(path, command)]
    for child in command.children:
        result += _leaves(child, (*path, child.name))
    return result


# bash ----------------------------------------------------------------------------------------------------------------


def bash(top: Command) -> str:
    lines = [f"# {HEAD}", "", "_octavo()", "{"]
    lines += [
        '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} path="" i word',
        "    COMPREPLY=()",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        word=${COMP_WORDS[i]}",
        '        case "$path $word" in',
    ]
    names = ['"' + "".join(f" {word}" for word in path) + '"' for path, _ in _leaves(top) if path]
    lines += [f'            {" | ".join(names)}) path+=" $word" ;;', "        esac", "    done"]
    lines.append('    case "$path $prev" in')
    for path, command in _leaves(top):
        for option in command.options:
            if option.value is None:
                continue
            where = "".join(f" {word}" for word in path)
            for name in option.names:
                if not name.endswith("="):
                    lines.append(
                        f'        "{where} {name}") {_bash_reply(option.value)}; return ;;'
                    )
    lines += ["    esac", '    case "$path" in']
    for path, command in _leaves(top):
        where = "".join(f" {word}" for word in path)
        words = [child.name for child in command.children]
        if isinstance(command.words, tuple):
            words += command.words
        lines.append(f'        "{where}")')
        lines.append(f"            if [[ $cur == -* ]]; then {_bash_reply(_names(command))}")
        rest = _bash_reply(tuple(words)) if words else _bash_reply(command.words)
        lines += [f"            else {rest}; fi", "            ;;"]
    lines += ["    esac", "}", "complete -o filenames -o bashdefault -F _octavo octavo", ""]
    return "\n".join(lines)


def _names(command: Command) -> tuple[str, ...]:
    return tuple(name for option in command.options for name in option.names)


def _bash_reply(value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"COMPREPLY=($(compgen -W '{' '.join(value)}' -- \"$cur\"))"
    letter = {DIRECTORY: "-d", FILE: "-f", PROGRAM: "-c -f"}.get(value)
    return f'COMPREPLY=($(compgen {letter} -- "$cur"))' if letter else ":"


# zsh -----------------------------------------------------------------------------------------------------------------


def zsh(top: Command) -> str:
    lines = ["#compdef octavo", f"# {HEAD}", ""]
    for path, command in reversed(_leaves(top)):
        lines += [f"_octavo{''.join('_' + word for word in path)}() {{"]
        lines += _zsh_body(path, command)
        lines += ["}", ""]
    lines += ['_octavo "$@"', ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Without what would end a quoted word."""
    return text.replace("'", "")


def _zsh_body(path: tuple[str, ...], command: Command) -> list[str]:
    specifications = []
    for option in command.options:
        for name in option.names:
            text = _plain(option.text).replace("[", "(").replace("]", ")")
            value = "" if option.value is None else ":value:" + _zsh_action(option.value)
            specifications.append(f"'{name}[{text}]{value}'")
    if command.children:
        here = f"_octavo{''.join('_' + word for word in path)}"
        lines = ["    local line state", "    local -a commands"]
        items = " ".join(f"'{child.name}:{_plain(child.text)}'" for child in command.children)
        lines.append(f"    commands=({items})")
        joined = " ".join([*specifications, "'1:command:->command'", "'*::words:->words'"])
        lines += [f"    _arguments -C {joined}", "    case $state in"]
        lines += ["        command) _describe command commands ;;", "        words)"]
        lines.append("            case $line[1] in")
        lines += [f"                {c.name}) {here}_{c.name} ;;" for c in command.children]
        return [*lines, "            esac ;;", "    esac"]
    if command.words == PROGRAM:
        specifications += ["'1:program:_files'", "'*:argument:_files'"]
    elif command.words != NOTHING:
        specifications.append(f"'*:word:{_zsh_action(command.words)}'")
    return [f"    _arguments {' '.join(specifications)}"]


def _zsh_action(value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"({' '.join(value)})"
    return {DIRECTORY: "_files -/", FILE: "_files"}.get(value, "")


# fish ----------------------------------------------------------------------------------------------------------------


def fish(top: Command) -> str:
    lines = [f"# {HEAD}", "complete -c octavo -f"]
    for path, command in _leaves(top):
        if path:
            condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in path)
        else:
            condition = "__fish_use_subcommand"
        if command.children and path:
            others = " ".join(child.name for child in command.children)
            condition += f"; and not __fish_seen_subcommand_from {others}"
        head = f"complete -c octavo -n '{condition}'"
        for child in command.children:
            lines.append(f"{head} -a {child.name} -d {_quoted(child.text)}")
        for option in command.options:
            lines.append(f"{head}{_fish_names(option)} -d {_quoted(option.text)}")
        if isinstance(command.words, tuple):
            lines.append(f"{head} -a {_quoted(' '.join(command.words))}")
        elif command.words != NOTHING and not command.children:
            lines.append(f"{head} -F")
    return "\n".join([*lines, ""])


def _fish_names(option: Option) -> str:
    text = ""
    for name in dict.fromkeys(name.rstrip("=") for name in option.names):
        if name.startswith("--"):
            text += f" -l {name[2:]}"
        else:
            text += f" -{'s' if len(name) == 2 else 'o'} {name[1:]}"
    if isinstance(option.value, tuple):
        return f"{text} -x -a {_quoted(' '.join(option.value))}"
    if option.value is not None:
        files = {DIRECTORY: " -x -a '(__fish_complete_directories)'", FILE: " -r -F"}
        text += files.get(option.value, " -x")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def contents() -> dict[str, str]:
    """Path below the directory -> text."""
    top = tree()
    made = {"bash": bash(top), "zsh": zsh(top), "fish": fish(top)}
    return {os.path.join(shell, FILES[shell]): text for shell, text in made.items()}


def main(directory: str) -> None:
    for name, text in contents().items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.path.insert(0, TOP)
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "packaging", "completions"))
