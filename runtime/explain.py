"""`octavo explain FILE`: what a file is, and what would happen if it were run, key by key.

Nothing is run and nothing is changed. With --root the root is looked into from outside, with -L as the sysroot view
does.
"""

import json
import os
import sys

from binfmt.credentials import reason
from binfmt.kernel import HIDDEN, READ_ONLY, READY, Registry, mount, winners
from binfmt.report import owner
from runtime import arch as arches
from runtime import config, image, libraries, policy, rootfs
from runtime._core import HOST_PAGE
from runtime.abi.linux import AT_FDCWD
from runtime.arch import processors
from runtime.arch.architecture import ProcessorError
from runtime.image import Image, ImageError
from runtime.loader import script
from runtime.places import configured
from runtime.task.machine import read_min_addr

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from binfmt.kernel import Entry
    from runtime.arch.architecture import Architecture
    from runtime.libraries import Library
    from runtime.rootfs import View

    Report = dict[str, Any]
    Asked = tuple[str | None, str | None]  # --page-size, --cpu

_SCRIPTS = 6


def configure(parser: "argparse.ArgumentParser") -> None:
    """Arguments of the command."""
    parser.add_argument("file", help="the file to look at; without a slash it is searched in PATH")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--root", help="look at the file as it would be run in this root directory")
    where.add_argument(
        "-L", dest="prefix", default="", help="sysroot prefixes, separated by colons"
    )
    parser.add_argument("--page-size", help="auto, host, or a size such as 16k")
    parser.add_argument("--cpu", metavar="MODEL", help="the processor that the program is to see")


def execute(arguments: "argparse.Namespace") -> int:
    """Print the report; 0 if the file could be run, 1 if not."""
    report = explain(
        arguments.file,
        root=arguments.root,
        prefix=arguments.prefix,
        page_size=arguments.page_size,
        cpu=arguments.cpu,
    )
    if arguments.json:
        json.dump(report, sys.stdout, indent=2, sort_keys=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(report)))
    return 0 if report["runs"] else 1


def explain(
    file: str,
    *,
    root: str | None = None,
    prefix: str = "",
    page_size: str | None = None,
    cpu: str | None = None,
) -> "Report":
    """The report as plain data. Keys: file, view, runs, problems, and by what the file is: kind, architecture,
    scripts, interpreter, libraries, page_size, engine, cpu, entry, segments."""
    report: Report = {"file": file, "runs": False, "problems": []}
    problems: list[str] = report["problems"]
    try:
        view, file = _view(root, prefix, file)
        report["view"] = {
            "kind": view.kind,
            "prefixes": [os.fsdecode(path) for path in view.prefixes],
        }
        name = rootfs.find_program(view, os.fsencode(file), _environment(view))
        found = _follow_scripts(report, view, name)
        try:
            _explain_kernel(report, found)
            _explain_elf(report, view, found, (page_size, cpu))
        finally:
            os.close(found.fd)
    except (
        ImageError,
        ProcessorError,
        rootfs.RootError,
        config.ConfigError,
        policy.PageSizeError,
    ) as error:
        problems.append(str(error))
    report["runs"] = not problems
    return report


def _view(root: str | None, prefix: str, file: str) -> "tuple[View, str]":
    """The view that is asked for or configured, and the file's name in it."""
    if root is not None:
        return rootfs.InLayer(rootfs.check_root(os.fsencode(root))), file
    if not prefix:
        settings = config.load()
        if settings.has("root"):
            found = configured(settings, os.fsencode(file), _environment(rootfs.View()))
            if found.root is not None:
                return rootfs.InLayer(found.root), os.fsdecode(found.program)
            return rootfs.sysroot(found.prefixes), file
    return rootfs.sysroot([os.fsencode(part) for part in prefix.split(":")]), file


def _open(view: "View", path: bytes) -> Image:
    dirfd, host = view.resolve(AT_FDCWD, path, True)
    fd = image.open_program(dirfd, host, path)
    try:
        return image.identify(fd, path)
    except ImageError:
        os.close(fd)
        raise


def _follow_scripts(report: "Report", view: "View", name: bytes) -> Image:
    """The ELF program behind any number of #! lines; what they say goes into the report."""
    found = _open(view, name)
    report["kind"] = found.kind
    if found.kind == "script":
        report["scripts"] = []
    while found.kind == "script":
        os.close(found.fd)
        command, argument = script.parse(found.head, found.path)
        row: Report = {"script": os.fsdecode(found.path), "interpreter": os.fsdecode(command)}
        row["argument"] = None if argument is None else os.fsdecode(argument)
        report["scripts"].append(row)
        if len(report["scripts"]) >= _SCRIPTS:
            raise ImageError(40, name, "more than 5 #! interpreters in a row")  # ELOOP
        try:
            found = _open(view, command)
        except ImageError as error:
            where = f"interpreter of {os.fsdecode(found.path)}"
            raise ImageError(
                error.errno, command, f"{where}: {error.reason} ({view.describe()})"
            ) from None
    return found


def _explain_elf(report: "Report", view: "View", found: Image, asked: "Asked") -> None:
    report["program"] = os.fsdecode(found.path)
    report["architecture"] = found.arch or None
    report["machine"] = found.machine
    report["native"] = found.native
    report["linking"] = (
        "dynamic" if found.interpreter else ("static-pie" if found.elf_type == 3 else "static")
    )
    report["position"] = (
        "independent" if found.elf_type == image.ET_DYN else f"fixed at {found.low:#x}"
    )
    report["entry"] = hex(found.entry)
    report["segments"] = [_segment_row(segment) for segment in found.segments]
    interpreter = _explain_interpreter(report, view, found) if found.interpreter else None
    needed: list[Library] = []
    try:
        if found.interpreter:
            needed = libraries.closure(view, found, _environment(view))
            report["libraries"] = _libraries(report, needed, view)
        if found.arch:
            _explain_settings(report, view, found, interpreter, needed, asked)
    finally:
        if interpreter is not None:
            os.close(interpreter.fd)


def _explain_kernel(report: "Report", found: Image) -> None:
    """What the host's kernel would do with the program: its own loader, or the first entry of binfmt_misc that fits."""
    registry = Registry()
    place = mount(registry.path)
    row: Report = {"binfmt_misc": place.state, "handler": None, "others": [], "remedy": ""}
    row["credentials"] = None
    report["kernel"] = row
    fitting: list[Entry] = []
    if place.state in (READY, READ_ONLY, HIDDEN) and registry.enabled():
        fitting = winners(registry.entries(), found.head, os.path.basename(found.path))
    if fitting:
        first = fitting[0]
        row["handler"] = {
            "name": first.name,
            "owner": owner(first),
            "interpreter": os.fsdecode(first.interpreter),
            "flags": first.flags,
        }
        why = reason(found.arch, first) if found.arch else None
        row["credentials"] = None if why is None else why.text
        row["others"] = [entry.name for entry in fitting[1:]]
        row["text"] = (
            f"{first.name} ({owner(first)}) starts {os.fsdecode(first.interpreter)}, flags {first.flags or 'none'}"
        )
    elif found.native:
        row["text"] = "the kernel's own loader runs it"
    else:
        row["text"] = f"no handler: execve fails with ENOEXEC ({place.text})"
        row["remedy"] = place.remedy or f"octavo binfmt register {found.arch}"


def _segment_row(segment: image.Segment) -> "Report":
    flags = "".join(
        letter if segment.flags & bit else "-"
        for letter, bit in (("r", image.PF_R), ("w", image.PF_W), ("x", image.PF_X))
    )
    return {
        "address": hex(segment.vaddr),
        "offset": hex(segment.offset),
        "file_bytes": segment.filesz,
        "memory_bytes": segment.memsz,
        "permissions": flags,
        "alignment": segment.align,
    }


def _explain_interpreter(report: "Report", view: "View", found: Image) -> Image | None:
    assert found.interpreter is not None
    path = found.interpreter
    row: Report = {"path": os.fsdecode(path), "found": None}
    report["interpreter"] = row
    try:
        interpreter = _open(view, path)
    except ImageError as error:
        report["problems"].append(f"{error} ({view.describe()})")
        return None
    row["found"] = os.fsdecode(_host_path(interpreter.fd))
    if interpreter.arch != found.arch or interpreter.kind != "elf":
        what = interpreter.machine or "a script"
        report["problems"].append(f"{row['path']}: is {what}, the program is for {found.machine}")
    return interpreter


def _host_path(fd: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % fd)


def _explain_settings(
    report: "Report",
    view: "View",
    found: Image,
    interpreter: Image | None,
    needed: "list[Library]",
    asked: "Asked",
) -> None:
    page_size, cpu = asked
    facts = arches.load(found.arch)
    settings = config.load()
    real = view.guest_path(_host_path(found.fd))
    called = [os.fsencode(row["script"]) for row in report.get("scripts", ())]
    target = settings.target(found.arch, [found.path, real, *called])
    report["configuration"] = {
        "files": list(settings.files),
        **{
            key: {"value": _shown(getattr(target, key)), "from": target.origin(key)}
            for key in config.KEYS
            if key != "env"
        },
        "env": {
            name: {"value": value, "from": target.origin(config.ENV + name)}
            for name, value in target.env.items()
        },
    }
    facts = _explain_machine(report, facts, target, cpu)
    wanted: int | str | None = target.page_size
    origin = target.origin("page_size")
    if page_size is not None:
        wanted, origin = policy.parse_size(page_size), "--page-size"
    images = [found] if interpreter is None else [found, interpreter]
    loaded = [library.image for library in needed if library.image is not None]
    pages = policy.decide(facts, HOST_PAGE, images, wanted, origin, lambda: loaded)
    report["page_size"] = {
        "guest": pages.guest,
        "host": pages.host,
        "engine": pages.engine,
        "reasons": list(pages.reasons),
    }
    for each in loaded:
        problem = policy.too_tight(facts, each, pages.guest)
        if problem is not None:
            report["problems"].append(problem)
    low = policy.mmap_min_addr(pages.guest, read_min_addr, target.mmap_min_addr)
    report["mmap_min_addr"] = {"value": low, "from": target.origin("mmap_min_addr")}


def _explain_machine(
    report: "Report", facts: "Architecture", target: config.Target, cpu: str | None
) -> "Architecture":
    """Engine and processor; the architecture with that processor. ProcessorError."""
    engine = config.ENGINES[0] if target.engine == "auto" else target.engine
    report["engine"] = {"value": engine, "from": target.origin("engine")}
    word, origin = (target.cpu, target.origin("cpu")) if cpu is None else (cpu, "--cpu")
    try:
        facts = arches.with_processor(facts, word)
    except ProcessorError as error:
        raise ProcessorError(f"{origin}: {error}") from None
    name = facts.processor or processors.USUAL[facts.name]
    report["cpu"] = {"value": name, "from": origin}
    return facts


def _environment(view: "View") -> list[bytes]:
    """The caller's environment as far as it says where files are found; a root has its own."""
    if view.kind == "inlayer":
        return []
    names = (b"PATH", b"LD_LIBRARY_PATH", b"LD_PRELOAD")
    return [name + b"=" + os.environb[name] for name in names if name in os.environb]


def _shown(value: object) -> object:
    return os.fsdecode(value) if isinstance(value, bytes) else value


# Libraries -----------------------------------------------------------------------------------------------------------


def _libraries(report: "Report", needed: "list[Library]", view: "View") -> "list[Report]":
    """Every library that is needed, directly or not, and where it is. Missing ones are problems."""
    rows: list[Report] = []
    for library in needed:
        name, by = os.fsdecode(library.name), os.fsdecode(library.needed_by)
        row: Report = {"name": name, "needed_by": by, "found": None}
        rows.append(row)
        if library.path is None or library.image is None:
            problem = f"{name}: library needed by {by}, not found {view.describe()}"
            report["problems"].append(problem)
            continue
        row["found"] = os.fsdecode(library.path)
        row["page_size_at_most"] = policy.allowed_by(library.image)
    return rows


# Text ----------------------------------------------------------------------------------------------------------------


def lines(report: "Report") -> list[str]:
    """The report for people."""
    result = [f"{report['file']}"]
    for row in report.get("scripts", ()):
        argument = "" if row["argument"] is None else f" with the argument {row['argument']!r}"
        result.append(f"  script        {row['script']} is run by {row['interpreter']}{argument}")
    if "machine" in report:
        native = ", the host's own kind: the host kernel runs it" if report["native"] else ""
        result.append(f"  program       {report['program']}, for {report['machine']}{native}")
        result.append(
            f"  linking       {report['linking']}, {report['position']}, entry {report['entry']}"
        )
    if "kernel" in report:
        row = report["kernel"]
        result.append(f"  kernel        {row['text']}")
        if row["credentials"]:
            result.append(f"                - {row['credentials']}")
        if row["others"]:
            result.append(
                f"                - registered before it, and not asked: {', '.join(row['others'])}"
            )
        if row["remedy"]:
            result.append(f"                - remedy: {row['remedy']}")
    if "interpreter" in report:
        row = report["interpreter"]
        where = "missing" if row["found"] is None else f"found: {row['found']}"
        result.append(f"  interpreter   {row['path']} ({where})")
    for row in report.get("libraries", ()):
        where = "missing" if row["found"] is None else row["found"]
        result.append(f"  library       {row['name']} ({where}), needed by {row['needed_by']}")
    if "page_size" in report:
        pages = report["page_size"]
        guest, engine = policy.size_text(pages["guest"]), policy.size_text(pages["engine"])
        result.append(f"  page size     {guest} for the program, {engine} in the engine")
        result += [f"                - {reason}" for reason in pages["reasons"]]
    if "engine" in report:
        row = report["engine"]
        result.append(f"  engine        {row['value']} ({row['from']})")
    if "cpu" in report:
        row = report["cpu"]
        result.append(f"  processor     {row['value']} ({row['from']})")
    for key, row in report.get("configuration", {}).items():
        if key not in ("files", "env", "engine", "cpu") and row["from"] != "default":
            value = str(row["value"]).lower() if isinstance(row["value"], bool) else row["value"]
            result.append(f"  {key:14}{value} ({row['from']})")
    for name, row in report.get("configuration", {}).get("env", {}).items():
        value = "not set" if row["value"] is None else row["value"]
        result.append(f"  variable      {name}: {value} ({row['from']})")
    view = report.get("view")
    if view and view["prefixes"]:
        result.append(f"  view          {view['kind']}: {', '.join(view['prefixes'])}")
    result += [f"  problem       {problem}" for problem in report["problems"]]
    result.append(
        "  result        it can be run" if report["runs"] else "  result        it cannot be run"
    )
    return result
