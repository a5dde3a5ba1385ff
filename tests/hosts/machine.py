"""The virtual machine: a kernel, an initramfs, a console. What comes out is what inside.py says on the console."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator

from tests.hosts.archive import Archive, walk
from tests.hosts.inside import MARK
from tests.hosts.parts import HERE, TOP

# What Octavo and qemu-user may use of a processor. Signed pointers and SVE, which they do not use, are the half of the
# time again: the kernel signs its own, and saves registers that it would not have.
PROCESSOR = "max,pauth=off,sve=off,sme=off"
PARAMETERS = "console=ttyAMA0 quiet panic=-1"
# MiB, of which the initramfs takes a third, and where a file has at least 64 KiB more than half
MEMORY = 5120
PYTHON_LEFT_OUT = (
    *("test", "idlelib", "ensurepip", "lib2to3", "pydoc_data", "distutils", "tkinter"),
    *("turtledemo", "config-3.11-aarch64-linux-gnu", "asyncio", "unittest", "wsgiref", "sqlite3"),
)


def wanted_of_python(path: str) -> bool:
    """What the initramfs takes of the unpacked packages."""
    parts = path.split("/")
    if parts[:2] == ["usr", "lib"] and len(parts) > 3 and parts[2] == "python3.11":
        return parts[3] not in PYTHON_LEFT_OUT
    return parts[0] in ("bin", "lib", "usr") and "share" not in parts and "gconv" not in parts


def wanted_of_octavo(path: str) -> bool:
    """What the initramfs takes of runtime/: modules, compiled too, and the files they read; not this host's core."""
    return path.endswith((".py", ".pyc", ".tbl", ".yaml")) and not path.startswith("core/")


def base(archive: Archive, python: str, core: str) -> None:
    """The system: Python, Octavo, and the first process."""
    for name in ("dev", "proc", "sys", "tmp", "octavo/bin"):
        archive.directory(name)
    archive.data("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    archive.data("etc/group", b"root:x:0:\n")
    with open(os.path.join(HERE, "init.sh"), "rb") as file:
        archive.data("init", file.read(), executable=True)
    archive.tree("", python, wanted_of_python)
    archive.link("usr/bin/python3", "python3.11")
    for package in ("runtime", "binfmt", "rootfs_tools"):
        if os.path.isdir(folder := os.path.join(TOP, package)):
            archive.tree(f"octavo/{package}", folder, wanted_of_octavo)
    archive.file(f"octavo/runtime/{os.path.basename(core)}", core)
    tools = os.path.join(TOP, "packaging", "tools")
    archive.tree("octavo/packaging/tools", tools, lambda path: path.endswith(".py"))
    for folder in ("tests/guest", "tests/hosts"):
        top = os.path.join(TOP, folder)
        for path in walk(top):
            if path.endswith(".py"):
                archive.file(f"octavo/{folder}/{path}", os.path.join(top, path))


def boot(
    kernel: str, initramfs: str, processors: int, seconds: float
) -> Iterator[dict[str, object]]:
    """Run the machine, and give each line that inside.py says as soon as it is said. It is ended after `seconds`.

    What else the kernel or a program prints comes as {"stray": text}.
    """
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", PROCESSOR]
    command += ["-smp", str(processors)]
    command += ["-m", str(MEMORY), "-kernel", kernel, "-initrd", initramfs, "-nodefaults"]
    command += ["-append", PARAMETERS, "-display", "none", "-no-reboot"]
    process = subprocess.Popen(
        [*command, "-serial", "stdio"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            if text.startswith(MARK):
                said = json.loads(text.removeprefix(MARK))
                assert isinstance(said, dict)
                yield said
            elif text:
                yield {"stray": text}
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
