"""The hosts' kernels. Debian has one for arm64 with pages of 16 KiB; the one with 64 KiB is built here.

It is Debian's source (trixie's linux-source, of the version of the 16 KiB kernel) with what the tests need and no more:
64k.config beside this file. A build takes some minutes of two processors and is done once for each source and
configuration; the tree and the objects stay in build/linux, the kernel in var/hosts/kernel-64k.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from typing import BinaryIO

from tests.hosts.parts import HERE, TOP, VAR, NotPossible, unpack

SUITE = "trixie"
SOURCE = "linux-source-6.12"
BUILD = os.path.join(TOP, "build", "linux")
# The kernel has these in /proc/version: the same everywhere
FIXED = (
    "KBUILD_BUILD_USER=octavo",
    "KBUILD_BUILD_HOST=octavo",
    "KBUILD_BUILD_TIMESTAMP=2025-01-01",
)
ENVIRONMENT = ("PATH", "HOME", "TMPDIR")  # nothing else: another make's flags are not for this one


def _packaged(name: str, jobs: int) -> str:
    """Debian's kernel."""
    del jobs
    root = unpack(SUITE, f"kernel-{name}", f"linux-image-arm64-{name}+")
    (found,) = glob.glob(os.path.join(root, "boot", "vmlinuz-*"))
    return found


def _built(name: str, jobs: int) -> str:
    """The kernel of NAME.config, from var/hosts when it has been built before."""
    root = unpack(SUITE, "linux-source", SOURCE)
    (source,) = glob.glob(os.path.join(root, "usr", "src", "linux-source-*.tar.xz"))
    config = os.path.join(HERE, f"{name}.config")
    folder = os.path.join(VAR, f"kernel-{name}")
    image = os.path.join(folder, f"Image-{_digest(source, config)}")
    if os.path.exists(image):
        return image
    tree = _unpacked(source)
    objects = os.path.join(BUILD, name)
    os.makedirs(objects, exist_ok=True)
    log = os.path.join(objects, "build.log")
    print(f"test-hosts: building the kernel of {name}, some minutes; see {log}", file=sys.stderr)
    with open(log, "wb") as output:
        _make(tree, objects, output, "allnoconfig", f"KCONFIG_ALLCONFIG={config}")
        _check(config, os.path.join(objects, ".config"))
        _make(tree, objects, output, "Image", f"-j{jobs}")
    os.makedirs(folder, exist_ok=True)
    for stale in glob.glob(os.path.join(folder, "Image-*")):
        os.unlink(stale)
    made = os.path.join(objects, "arch", "arm64", "boot", "Image")
    shutil.copy(made, f"{image}.partial")
    os.rename(f"{image}.partial", image)
    return image


def _digest(*paths: str) -> str:
    """Of the contents of all of them, and of the settings above."""
    digest = hashlib.sha256(repr(FIXED).encode())
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _unpacked(source: str) -> str:
    """The tree of this archive; an older one is replaced."""
    tree = os.path.join(BUILD, f"source-{_digest(source)}")
    if os.path.isdir(tree):
        return tree
    shutil.rmtree(BUILD, ignore_errors=True)
    os.makedirs(f"{tree}.partial")
    command = ["tar", "-C", f"{tree}.partial", "--strip-components=1", "-xf", source]
    if subprocess.run(command, check=False).returncode != 0:
        raise NotPossible(f"{source} cannot be unpacked")
    os.rename(f"{tree}.partial", tree)
    return tree


def _make(tree: str, objects: str, output: BinaryIO, *arguments: str) -> None:
    """Kbuild, in a folder of its own; what it says goes to the log, whose end is the error's text."""
    command = ["nice", "-n", "10", "make", "-C", tree, f"O={objects}", "ARCH=arm64"]
    command += ["CROSS_COMPILE=aarch64-linux-gnu-", *FIXED, *arguments]
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise NotPossible(f"the kernel cannot be built: see {output.name}")


def _check(wanted: str, found: str) -> None:
    """Kconfig drops what depends on something that is not set, and says nothing."""
    with open(found, encoding="utf-8") as file:
        lines = set(file.read().splitlines())
    with open(wanted, encoding="utf-8") as file:
        settings = [line for line in file.read().splitlines() if line.startswith("CONFIG_")]
    if missing := [line for line in settings if line not in lines]:
        raise NotPossible(f"{wanted}: not in the kernel's configuration: {', '.join(missing)}")


KERNELS = {"16k": _packaged, "64k": _built}


def kernel(name: str, jobs: int) -> str:
    """The path of a host's kernel; `jobs` compilers at a time where it has to be built."""
    return KERNELS[name](name, jobs)
