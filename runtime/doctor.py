"""`octavo doctor`: what on this machine helps or hinders foreign programs, with a remedy for every finding.

Each check is a function that yields findings; it looks, and changes nothing. What it looks at comes from a Machine, so
that a test can put another one in its place. A finding is "good", "note" (slower, or less than could be), or "bad"
(something does not work).
"""

import errno
import json
import os
import platform
import resource
import struct
import sys
import time

from binfmt import report as binfmt_report
from binfmt.kernel import Registry
from runtime import arch, config
from runtime._core import HOST_PAGE, SYS, Arena, quick_syscall
from runtime.config import ConfigError
from runtime.policy import size_list, size_text
from runtime.task.machine import ARENA, ARENA_LEAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

GOOD, NOTE, BAD = "good", "note", "bad"
_OLDEST_KERNEL = (5, 10)
_MAPS, _FILES, _SHM = 65530, 1024, 64 << 20  # what programs expect to have
_GIB = 1 << 30
_CLONE_NEWUSER = 0x10000000
_BUILT_AFTER = 1_704_067_200  # 2024: a clock before that is not set
_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
_CALLS = ("personality", "memfd_create", "execveat", "statx", "faccessat2", "process_vm_writev")


class Finding:
    """What one check says."""

    __slots__ = ("check", "remedy", "state", "text")

    def __init__(self, check: str, state: str, text: str, remedy: str = "") -> None:
        self.check = check
        self.state = state
        self.text = text
        self.remedy = remedy  # empty when there is nothing to do

    def row(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("check", "state", "text", "remedy")}


class Machine:
    """This machine, as the checks ask for it."""

    def text(self, path: str) -> str | None:
        """A file's text without blanks around it, None when it cannot be read."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        text = self.text(path)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def limit(self, what: int) -> int | None:
        """A soft limit of this process; None for no limit."""
        value = resource.getrlimit(what)[0]
        return None if value == resource.RLIM_INFINITY else value

    def free(self, path: str) -> int | None:
        """Bytes that are free on a file system; None when it is not there or not to be written."""
        try:
            status = os.statvfs(path)
        except OSError:
            return None
        writable = os.access(path, os.W_OK) and not status.f_flag & os.ST_RDONLY
        return status.f_bavail * status.f_frsize if writable else None

    def new_user_namespace(self) -> int:
        """0, or the errno of unshare(CLONE_NEWUSER), tried in a child."""
        pid = os.fork()
        if pid == 0:
            os._exit(-quick_syscall(SYS["unshare"], _CLONE_NEWUSER) & 0xFF)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def refused(self, call: str) -> bool:
        """Whether a system call is kept from us: a harmless one of it gives ENOSYS or EPERM."""
        if call == "personality":
            result = quick_syscall(SYS[call], 0xFFFFFFFF)
        elif call == "process_vm_writev":
            result = quick_syscall(SYS[call], os.getpid(), 0, 0, 0, 0, 0)
        else:
            result = quick_syscall(SYS[call], -1, 0, 0, 0, -1, 0)
        return result in (-errno.ENOSYS, -errno.EPERM)

    def arena(self, bits: int) -> str | None:
        """None when a guest's memory can be reserved, else why not."""
        try:
            Arena(ARENA[bits], ARENA_LEAST[bits])
        except (OSError, MemoryError, RuntimeError) as error:
            return str(error)
        return None


def host(machine: Machine) -> "Iterator[Finding]":
    """Kernel and page size."""
    names = os.uname()
    numbers = tuple(
        int(part) for part in names.release.split("-")[0].split(".")[:2] if part.isdigit()
    )
    page = size_text(HOST_PAGE)
    text = f"Linux {names.release}, {names.machine}, pages of {page}, Python {platform.python_version()}"
    if numbers < _OLDEST_KERNEL:
        yield Finding("host", NOTE, text, "Linux 5.10 or later has every call that is passed on")
    else:
        yield Finding("host", GOOD, text)
    sizes = {name: arch.load(name).page_sizes for name in arch.ARCHITECTURES}
    for name, possible in sizes.items():
        if HOST_PAGE not in possible:
            yield Finding(
                "host",
                NOTE,
                f"{name} programs have pages of {size_list(possible)}, not of the host's {size_text(HOST_PAGE)}: "
                "their small mappings cost more",
            )


def mounts(machine: Machine) -> "Iterator[Finding]":
    """/proc, /dev/shm, /tmp."""
    if machine.text("/proc/self/stat") is None:
        yield Finding("mounts", BAD, "/proc is not mounted", "mount -t proc proc /proc")
    for path, why in (("/dev/shm", "shm_open and semaphores"), ("/tmp", "temporary files")):
        free = machine.free(path)
        if free is None:
            remedy = "mount -t tmpfs tmpfs /dev/shm" if path == "/dev/shm" else f"chmod 1777 {path}"
            yield Finding("mounts", BAD, f"{path} is missing or cannot be written: {why}", remedy)
        elif free < _SHM:
            text = (
                f"{path} has {free >> 20} MiB free; browsers, databases and compilers may want more"
            )
            larger = f"make it larger (docker run --shm-size=1g, mount -o remount,size=1g {path})"
            yield Finding("mounts", NOTE, text, larger)
        else:
            yield Finding("mounts", GOOD, f"{path} can be written, {free >> 20} MiB free")


def registrations(machine: Machine) -> "Iterator[Finding]":
    """binfmt_misc: the mount, the handlers, and the files that the kernel holds."""
    report = binfmt_report.collect(Registry())
    for row in report["problems"]:
        which = ", ".join(row["targets"])
        text = f"{which}: {row['text']}" if which else row["text"]
        yield Finding("binfmt", BAD, text, row["remedy"])
    missing = []
    for row in report["targets"]:
        if row["handler"] is None:
            missing.append(row["target"])
            continue
        flags = row["flags"] or "none"
        text = f"{row['target']}: {row['handler']} ({row['owner']}, flags {flags}, {row['file']})"
        yield Finding("binfmt", GOOD, text)
        if "F" not in row["flags"]:
            yield Finding(
                "binfmt",
                NOTE,
                f"{row['target']}: without flag F {row['interpreter']} must be in every chroot and container",
                f"octavo binfmt register {row['target']}",
            )
        if "C" in row["flags"]:
            yield Finding(
                "binfmt",
                NOTE,
                f"{row['target']}: flag C runs the handler with the privileges of set-id programs",
                "register without it unless sudo or su must work in foreign roots",
            )
    if missing:
        text = f"no handler for {', '.join(missing)}: such programs run with octavo run only"
        yield Finding("binfmt", NOTE, text, f"octavo binfmt register {' '.join(missing)}")


def namespaces(machine: Machine) -> "Iterator[Finding]":
    """User namespaces, which --root uses when not root."""
    error = machine.new_user_namespace()
    if error == 0:
        yield Finding("namespaces", GOOD, "user namespaces can be made")
        return
    remedy = "the container or kernel has to allow them"
    for path, value, setting in (
        ("/proc/sys/user/max_user_namespaces", 0, "user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        if machine.number(path) == value:
            remedy = f"sysctl -w {setting}"
    text = f"no user namespace can be made ({os.strerror(error).lower()}): --root of ordinary users is slower"
    yield Finding("namespaces", NOTE, text, remedy)


def sysctls(machine: Machine) -> "Iterator[Finding]":
    """Memory settings of the kernel."""
    if machine.number("/proc/sys/vm/overcommit_memory") == 2:
        yield Finding(
            "sysctls",
            BAD,
            "vm.overcommit_memory is 2: large reservations count as memory, and guests make them",
            "sysctl -w vm.overcommit_memory=0",
        )
    count = machine.number("/proc/sys/vm/max_map_count")
    if count is not None and count < _MAPS:
        text = f"vm.max_map_count is {count}: programs with many mappings fail with ENOMEM"
        yield Finding("sysctls", NOTE, text, f"sysctl -w vm.max_map_count={_MAPS}")
    low = machine.number("/proc/sys/vm/mmap_min_addr")
    yield Finding(
        "sysctls",
        GOOD,
        "vm.mmap_min_addr cannot be read: one page is assumed"
        if low is None
        else f"vm.mmap_min_addr is {low}; programs linked lower run all the same",
    )


def confinement(machine: Machine) -> "Iterator[Finding]":
    """seccomp, containers, cgroups."""
    status = machine.text("/proc/self/status") or ""
    mode = next(
        (line.split()[1] for line in status.splitlines() if line.startswith("Seccomp:")), "0"
    )
    refused = [call for call in _CALLS if machine.refused(call)]
    if refused:
        why = "a seccomp filter" if mode == "2" else "the kernel"
        text = f"{why} refuses {', '.join(refused)}"
        remedy = "docker run --security-opt seccomp=unconfined" if mode == "2" else "a newer kernel"
        yield Finding("confinement", NOTE, text, remedy)
    elif mode == "2":
        yield Finding(
            "confinement", GOOD, "a seccomp filter is active; what Octavo needs passes it"
        )
    if machine.text("/.dockerenv") is not None or machine.text("/run/.containerenv") is not None:
        text = "this is a container: binfmt_misc belongs to the host outside"
        yield Finding("confinement", NOTE, text, "register on the host, with flag F")
    for name, least, unit in (("memory.max", _GIB >> 1, "bytes"), ("pids.max", 200, "processes")):
        limit = machine.number(f"/sys/fs/cgroup/{name}")
        if limit is not None and limit < least:
            text = f"the control group's {name} is {limit} {unit}"
            yield Finding("confinement", NOTE, text, f"raise {name} for builds")


def limits(machine: Machine) -> "Iterator[Finding]":
    """Resource limits of this process, and whether a guest's memory can be reserved."""
    for bits in (32, 64):
        why = machine.arena(bits)
        if why is not None:
            text = f"no address space for {bits}-bit guests can be reserved: {why}"
            yield Finding("limits", BAD, text, "ulimit -v unlimited")
            continue
        space = machine.limit(resource.RLIMIT_AS)
        if space is not None and space < ARENA[bits]:
            text = f"ulimit -v of {space >> 20} MiB: {bits}-bit guests have less address space than they could"
            yield Finding("limits", NOTE, text, "ulimit -v unlimited")
        else:
            yield Finding("limits", GOOD, f"memory for {bits}-bit guests can be reserved")
    files = machine.limit(resource.RLIMIT_NOFILE)
    if files is not None and files < _FILES:
        yield Finding("limits", NOTE, f"ulimit -n is {files}", f"ulimit -n {_FILES}")


def clocks(machine: Machine) -> "Iterator[Finding]":
    """The time, and how long it takes to ask for it."""
    if time.time() < _BUILT_AFTER:
        text = f"the clock says {time.strftime('%Y-%m-%d')}: certificates and package lists look invalid"
        yield Finding("clocks", BAD, text, "set it (timedatectl set-ntp true)")
    source = machine.text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source in _SLOW_CLOCKS:
        text = f"the clock source is {source}: each question for the time is a slow one"
        yield Finding("clocks", NOTE, text, "boot with tsc=reliable, if the processor's counter is")
    else:
        yield Finding("clocks", GOOD, f"the clock source is {source or 'not known'}")


def configuration(machine: Machine) -> "Iterator[Finding]":
    """The files, and what they refer to."""
    try:
        loaded = config.load()
    except ConfigError as error:
        yield Finding(
            "configuration", BAD, str(error), "octavo config check names every wrong file"
        )
        return
    yield Finding("configuration", GOOD, ", ".join(loaded.files) or "no files: the defaults hold")
    for name in arch.ARCHITECTURES:
        target = loaded.target(name)
        if target.root is not None and not os.path.isdir(target.root):
            text = f"{target.origin('root')}: {os.fsdecode(target.root)} is no directory"
            yield Finding("configuration", BAD, text, "correct the key, or octavo rootfs create")


CHECKS: "tuple[Callable[[Machine], Iterator[Finding]], ...]" = (
    host,
    mounts,
    registrations,
    namespaces,
    sysctls,
    confinement,
    limits,
    clocks,
    configuration,
)


def configure(parser: "argparse.ArgumentParser") -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def examine(machine: Machine) -> list[Finding]:
    """All findings. A check that fails is a finding too."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(machine)
        except (OSError, struct.error) as error:
            text = f"could not be checked: {error}"
            found.append(Finding(check.__name__, NOTE, text))
    return found


def execute(arguments: "argparse.Namespace") -> int:
    """Print the findings; 1 when something does not work."""
    found = examine(Machine())
    if arguments.json:
        rows = [finding.row() for finding in found]
        json.dump({"findings": rows, "works": _works(found)}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(found)))
    return 0 if _works(found) else 1


def _works(found: list[Finding]) -> bool:
    return all(finding.state != BAD for finding in found)


def lines(found: list[Finding]) -> list[str]:
    """For people: what is bad comes with what to do."""
    result = []
    for finding in found:
        result.append(f"{finding.state:6}{finding.check:15}{finding.text}")
        if finding.remedy:
            result.append(f"{'':21}remedy: {finding.remedy}")
    counts = [sum(finding.state == state for finding in found) for state in (BAD, NOTE)]
    result.append(f"{counts[0]} that are bad, {counts[1]} notes")
    return result
