"""What is registered, who wins for each target, and what is wrong with it: `octavo binfmt status`."""

import os

from binfmt import carried, credentials, formats, handler, kernel, magic, registry
from binfmt.kernel import Entry, Registry
from runtime import arch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Report = dict[str, Any]

OURS = "octavo"


def owner(entry: Entry) -> str:
    """Whose an entry is, for people."""
    path = os.fsdecode(entry.interpreter)
    base = os.path.basename(path)
    if entry.ours:
        return OURS
    if entry.name.startswith("WSLInterop") or path == "/init":
        return "WSL, for Windows programs"
    if "rosetta" in (base, entry.name):
        return "Rosetta, of a virtual machine on macOS"
    if base.startswith("buildkit-qemu-"):
        return "BuildKit's qemu-user"
    if base.startswith("qemu-") or "/qemu-binfmt/" in path:
        return "qemu-user"
    if base.startswith("FEX"):
        return "FEX"
    if base.startswith("box"):
        return base.partition(".")[0]
    return "another program"


def collect(found: Registry, directories: "Sequence[str]" = formats.DIRECTORIES) -> "Report":
    """Everything, as JSON has it."""
    place = kernel.mount(found.path)
    report: Report = {
        "mount": {"path": found.path, "state": place.state, "text": place.text},
        "enabled": None,
        "entries": [],
        "targets": [],
        "problems": [],
    }
    entries: list[Entry] = []
    if place.state != kernel.READY:
        _problem(report, place.text, place.remedy)
    if place.usable or place.state == kernel.READ_ONLY:
        report["enabled"] = found.enabled()
        entries = found.entries()
        if not report["enabled"]:
            _problem(
                report, "binfmt_misc is switched off as a whole", f"echo 1 > {found.path}/status"
            )
    report["entries"] = [_entry_row(entry) for entry in entries]
    for target in magic.targets():
        _target(report, target, entries)
    if kernel.in_initial_namespace():  # elsewhere nothing is registered at boot
        _boot(report, directories)
    return report


def _problem(report: "Report", text: str, remedy: str, target: str = "") -> None:
    """The same one for several targets is one."""
    for row in report["problems"]:
        if (row["text"], row["remedy"]) == (text, remedy):
            row["targets"].append(target)
            return
    row = {"targets": [target] if target else [], "text": text, "remedy": remedy}
    report["problems"].append(row)


def _entry_row(entry: Entry) -> "Report":
    return {
        "name": entry.name,
        "owner": owner(entry),
        "ours": entry.ours,
        "enabled": entry.enabled,
        "interpreter": os.fsdecode(entry.interpreter),
        "flags": entry.flags,
        "targets": registry.targets_of(entry),
    }


def _target(report: "Report", target: str, entries: "list[Entry]") -> None:
    head = magic.header(arch.load(target))
    fitting = kernel.winners(entries, head) if report["enabled"] else []
    first = fitting[0] if fitting else None
    row: Report = {
        "target": target,
        "handler": None if first is None else first.name,
        "owner": None if first is None else owner(first),
        "ours": first is not None and first.ours,
        "flags": "" if first is None else first.flags,
        "interpreter": None if first is None else os.fsdecode(first.interpreter),
        "others": [entry.name for entry in fitting[1:]],
        "file": None,
        "credentials": None,
    }
    report["targets"].append(row)
    for entry in registry.ours(entries):
        if entry.name.endswith(registry.TEMPORARY) and target in registry.targets_of(entry):
            text = f"{entry.name} is left from a registration that was interrupted; it works"
            _problem(report, text, f"octavo binfmt register {target}", target)
    if first is not None:
        _shadowed(report, target, fitting)
        row["file"] = _file(report, target, first)
        why = credentials.reason(target, first)
        if why is not None:
            row["credentials"] = {"flag": why.flag, "from": why.origin, "text": why.text}


def _shadowed(report: "Report", target: str, fitting: "list[Entry]") -> None:
    """Ours is there and another one is newer."""
    first = fitting[0]
    behind = next((entry for entry in fitting if entry.ours), None)
    if behind is None or first.ours:
        return
    path = os.fsdecode(first.interpreter)
    _problem(
        report,
        f"{first.name} ({owner(first)}, {path}) was registered after {behind.name}, and the newest wins",
        f"octavo binfmt register {target}, or remove the other (echo -1 > {kernel.PATH}/{first.name})",
        target,
    )


def _file(report: "Report", target: str, first: Entry) -> str:
    """The handler's file, in a few words: the one the kernel holds, and the one on disk."""
    path = os.fsdecode(first.interpreter)
    again = "octavo binfmt register" if first.ours else "register it again"
    now = handler.on_disk(first.interpreter)
    if "F" not in first.flags:
        if now is None:
            text = f"the handler {path} does not exist, and programs fail with ENOENT"
            _problem(report, text, again, target)
            return "missing"
        if first.ours:
            text = f"without flag F the handler {path} has to be in every chroot as well"
            _problem(report, text, "register a static handler (make launcher)", target)
        return "by path"
    held = handler.pinned(target)
    if held is None:
        return "pinned, not known which"
    if held.identity == now:
        if first.ours and carried.stale(path):
            text = f"the configuration has changed since {path} was registered, which carries it"
            _problem(report, text, again, target)
        return "pinned, the one on disk"
    if now is None:
        text = f"the handler {path} was deleted; the kernel holds on to it until the next boot"
        if not first.ours:
            text = f"the handler {path} is not here: registered from a container or another root"
        _problem(report, text, again, target)
        return "pinned, gone from disk"
    text = f"the kernel still starts the file that {path} was before it was replaced"
    _problem(report, text, again, target)
    return "pinned, differs from the one on disk"


def _boot(report: "Report", directories: "Sequence[str]") -> None:
    """Files of binfmt.d that are not ours: they are applied at the next boot and whenever their package changes."""
    for row in report["targets"]:
        coming = formats.at_boot(row["target"], directories) if row["ours"] else []
        if not coming or coming[-1][1].ours:
            continue
        path, entry = coming[-1]
        remedy = "octavo binfmt export --format binfmt.d /etc/binfmt.d"
        if os.path.dirname(path) == "/etc/binfmt.d":
            remedy = f"rm {path}; {remedy}"
        elif os.path.basename(path) != row["handler"] + ".conf":
            remedy = f"ln -s /dev/null /etc/binfmt.d/{os.path.basename(path)}; {remedy}"
        text = f"at the next boot files of {os.path.dirname(path)} register {owner(entry)} in our place"
        _problem(report, text, remedy, row["target"])


def lines(report: "Report") -> list[str]:
    """The report for people."""
    rows = [("TARGET", "HANDLER", "BY", "FLAGS", "FILE", "INTERPRETER")]
    for row in report["targets"]:
        rows.append(
            (
                row["target"],
                row["handler"] or "none",
                row["owner"] or "-",
                row["flags"] or "-",
                row["file"] or "-",
                row["interpreter"] or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    result = [
        "  ".join([*(row[column].ljust(widths[column]) for column in range(5)), row[5]])
        for row in rows
    ]
    reasons: dict[str, list[str]] = {}
    for row in report["targets"]:
        if row["credentials"] is not None:
            reasons.setdefault(row["credentials"]["text"], []).append(row["target"])
    if reasons:
        result += ["", *(f"{', '.join(names)}: {text}" for text, names in reasons.items())]
    others = [row for row in report["entries"] if not row["targets"]]
    if others:
        result += ["", "other entries, left alone:"]
        result += [f"  {row['name']} ({row['owner']}): {row['interpreter']}" for row in others]
    for problem in report["problems"]:
        which = ", ".join(problem["targets"])
        text = f"{which}: {problem['text']}" if which else problem["text"]
        result += ["", f"problem: {text}", f"remedy:  {problem['remedy']}"]
    return result
