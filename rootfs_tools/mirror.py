"""Which mirror: what apt on this machine is configured with, in both of apt's formats (sources.list(5)).

Not a parser of everything apt accepts: enough to find the Debian archive, its updates and its security archive. The
odd thing is that nothing in a source says "this is Debian's main archive"; it is taken for that when it has the
component main and its address ends in the directory that every mirror of Debian has.
"""

import glob
import os
import subprocess
from collections.abc import Iterator
from typing import NamedTuple


class Source(NamedTuple):
    """One archive line: `deb uri suite components`."""

    uri: str
    suite: str
    components: tuple[str, ...]


class HostSources(NamedTuple):
    """What a new root can take over from this machine; None where it has none."""

    mirror: str | None
    updates: str | None
    security: str | None


def parse_one_line(text: str) -> Iterator[Source]:
    """Sources of a *.list file. Lines apt would refuse are left out."""
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        words = words[1:]
        if words and words[0].startswith("["):
            end = next((i for i, word in enumerate(words) if word.endswith("]")), len(words))
            words = words[end + 1 :]
        if len(words) >= 3:
            yield Source(words[0].rstrip("/"), words[1], tuple(words[2:]))


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of a *.sources file: each combination of its URIs and Suites."""
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                fields[name] = fields.get(name, "") + " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite, tuple(fields.get("components", "").split()))


def read_sources(folder: str = "/etc/apt") -> list[Source]:
    """Every source of an apt configuration directory, in apt's order; [] where there is none."""
    found: list[Source] = []
    names = [os.path.join(folder, "sources.list")]
    names += sorted(glob.glob(os.path.join(folder, "sources.list.d", "*")))
    for name in names:
        parse = parse_deb822 if name.endswith(".sources") else parse_one_line
        if not name.endswith((".list", ".sources")):
            continue
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                found += parse(file.read())
        except OSError:
            continue
    return found


def choose(sources: list[Source]) -> HostSources:
    """The main archive, and what stands beside it."""
    mirror = updates = security = None
    for source in sources:
        if "main" not in source.components or not source.uri.startswith(
            ("http:", "https:", "file:")
        ):
            continue
        if source.suite.endswith("-security"):
            security = security or source.uri
        elif source.uri.rpartition("/")[2] == "debian":
            if source.suite.endswith("-updates"):
                updates = updates or source.uri
            elif "-" not in source.suite:
                mirror = mirror or source.uri
    return HostSources(mirror, updates, security)


def apt_proxy() -> str | None:
    """The proxy apt is told to use; debootstrap's downloader knows only the environment."""
    try:
        command = ["apt-config", "shell", "P", "Acquire::http::Proxy"]
        out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    value = out.strip().removeprefix("P=").strip("'")
    return value if value not in ("", "DIRECT", "false") else None


def source_lines(suite: str, mirror: str, host: HostSources) -> list[str]:
    """The new root's /etc/apt/sources.list: the mirror used, with updates and security as this machine has them."""
    lines = [f"deb {mirror} {suite} main"]
    if suite in ("sid", "unstable", "experimental"):
        return lines
    if host.updates:
        lines.append(f"deb {mirror} {suite}-updates main")
    if host.security:
        lines.append(f"deb {host.security} {suite}-security main")
    return lines
