"""`octavo rootfs inspect`: what a root is, from its files alone; nothing in it is run.

Links in a root are followed as the root's own programs would: an absolute one starts at the root, not at ours.
"""

import os
import stat

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from runtime import arch as architectures

LINKS = 40  # as the kernel: MAXSYMLINKS of include/linux/namei.h

# where a root's idea of itself is, best first
PROGRAMS = ("bin/sh", "usr/bin/dpkg", "sbin/init", "bin/busybox", "usr/bin/env")


class Report:
    """What was found; None and empty where a root does not say."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.system: str | None = None  # PRETTY_NAME of os-release
        self.architecture: str | None = None  # Debian's name where dpkg says, else ours
        self.size = 0  # bytes on disk
        self.packages = 0
        self.unfinished: list[str] = []  # "package: status" of those not "install ok installed"
        self.elf_files = 0
        self.smallest_align: int | None = None  # bytes
        self.smallest_align_file: str | None = None
        self.page_sizes: list[int] = []  # the architecture's that every ELF file allows

    def as_dict(self) -> dict[str, object]:
        return dict(vars(self))

    def lines(self) -> list[tuple[str, str]]:
        """(name, text) for people."""
        pages = ", ".join(f"{size >> 10}k" for size in self.page_sizes) or "unknown"
        if self.smallest_align_file and self.smallest_align:
            pages += (
                f" (smallest alignment {self.smallest_align >> 10}k: {self.smallest_align_file})"
            )
        status = "all installed" if self.packages else "no dpkg status"
        if self.unfinished:
            more = ", ..." if len(self.unfinished) > 5 else ""
            status = f"{len(self.unfinished)} unfinished: " + ", ".join(self.unfinished[:5]) + more
        return [
            ("root", self.root),
            ("system", self.system or "unknown"),
            ("architecture", self.architecture or "unknown"),
            ("size", f"{self.size / (1 << 20):.0f} MiB"),
            ("packages", f"{self.packages}, {status}"),
            ("ELF files", str(self.elf_files)),
            ("page sizes", pages),
        ]


def resolve(root: str, path: str) -> str | None:
    """The host's path of a guest's, links followed inside the root; None for a loop or when something is missing."""
    todo = [part for part in path.split("/") if part][::-1]
    done: list[str] = []
    followed = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = os.path.join(root, *done, part)
        try:
            mode = os.lstat(here).st_mode
        except OSError:
            return None
        if not stat.S_ISLNK(mode):
            done.append(part)
            continue
        followed += 1
        if followed > LINKS:
            return None
        target = os.readlink(here)
        if target.startswith("/"):
            done = []
        todo += [word for word in target.split("/") if word][::-1]
    return os.path.join(root, *done)


def read_text(root: str, path: str) -> str:
    """A file of the root, or ""."""
    name = resolve(root, path)
    if name is None or not os.path.isfile(name):
        return ""
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read()


def os_release(text: str) -> str | None:
    """PRETTY_NAME (os-release(5))."""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return None


def parse_status(text: str) -> dict[str, tuple[str, str]]:
    """dpkg's status file: package -> (status, architecture)."""
    found: dict[str, tuple[str, str]] = {}
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and name in ("Package", "Status", "Architecture"):
                fields[name] = value.strip()
        if "Package" in fields:
            found[fields["Package"]] = (fields.get("Status", ""), fields.get("Architecture", ""))
    return found


def elf_architecture(path: str) -> str | None:
    """Debian's name of an ELF file's architecture, or the machine as the ELF standard calls it."""
    try:
        with open(path, "rb") as file:
            elf = ELFFile(file)
            head = elf.header
            data = 1 if elf.little_endian else 2
            file.seek(18)  # e_machine as a number: pyelftools gives its name
            machine = int.from_bytes(file.read(2), "little" if elf.little_endian else "big")
            name = architectures.identify(elf.elfclass, data, machine, int(head["e_flags"]))
            return architectures.load(name).debian if name else str(head["e_machine"])
    except (OSError, ELFError):
        return None


def smallest_alignment(path: str) -> int | None:
    """The smallest p_align of the segments that are mapped; None when it is no ELF program or library."""
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return None
            elf = ELFFile(file)
            aligns = [int(s["p_align"]) for s in elf.iter_segments("PT_LOAD")]
    except (OSError, ELFError, UnicodeDecodeError):
        return None
    return min(aligns) if aligns else None


def inspect(root: str) -> Report:
    """Look at everything once. OSError only when the root itself cannot be read."""
    report = Report(os.path.abspath(root))
    os.listdir(root)
    release = read_text(root, "etc/os-release") or read_text(root, "usr/lib/os-release")
    report.system = os_release(release)
    status = parse_status(read_text(root, "var/lib/dpkg/status"))
    report.packages = sum(1 for state, _ in status.values() if state.endswith(" installed"))
    report.unfinished = [
        f"{name}: {state}"
        for name, (state, _) in sorted(status.items())
        if state != "install ok installed"
        and not state.endswith((" not-installed", " config-files"))
    ]
    report.architecture = status.get("dpkg", ("", ""))[1] or _architecture_of_programs(root)
    _walk(report)
    return report


def _architecture_of_programs(root: str) -> str | None:
    for name in PROGRAMS:
        path = resolve(root, name)
        found = elf_architecture(path) if path and os.path.isfile(path) else None
        if found:
            return found
    return None


def _walk(report: Report) -> None:
    """Sizes and alignments; other file systems mounted below the root are not the root's."""
    device = os.lstat(report.root).st_dev
    seen: set[int] = set()
    for folder, folders, names in os.walk(report.root):
        folders[:] = [f for f in folders if os.lstat(os.path.join(folder, f)).st_dev == device]
        for name in names:
            path = os.path.join(folder, name)
            try:
                info = os.lstat(path)
            except OSError:
                continue
            if info.st_ino in seen:
                continue
            seen.add(info.st_ino)
            report.size += info.st_blocks * 512
            if stat.S_ISREG(info.st_mode) and info.st_size >= 52:  # the smallest ELF header
                _align(report, path)
    known = architectures.find(report.architecture) if report.architecture else None
    if known and report.smallest_align:
        sizes = architectures.load(known).page_sizes
        report.page_sizes = [size for size in sizes if size <= report.smallest_align]


def _align(report: Report, path: str) -> None:
    align = smallest_alignment(path)
    if align is None:
        return
    report.elf_files += 1
    if report.smallest_align is None or align < report.smallest_align:
        report.smallest_align = align
        report.smallest_align_file = "/" + os.path.relpath(path, report.root)
