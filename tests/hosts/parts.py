"""What the virtual machine is made of: Debian's packages, unpacked under var/hosts and installed nowhere, and what is
compiled for it here. Nothing is fetched or compiled twice.

Debian's arm64 Python 3.11 (bookworm) and the cross compiler's C library are of one release, so what is compiled here
runs there. The engine is the aarch64 wheel of the version that pyproject.toml names; it carries libunicorn.a.
"""

import compileall
import glob
import os
import subprocess
import sys
import zipfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(TOP, "packaging", "tools")
VAR = os.path.join(TOP, "var", "hosts")
HERE = os.path.dirname(os.path.abspath(__file__))

PYTHON_VERSION = (3, 11)  # of Debian bookworm
PYTHON_PACKAGES = (
    *("libc6", "libgcc-s1", "zlib1g", "libexpat1", "busybox-static"),
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
)
WHEEL_PLATFORM = "manylinux2014_aarch64"


class NotPossible(Exception):
    """A part cannot be had. args == (why,)."""


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        raise NotPossible(f"{' '.join(command)}: exit status {done.returncode}")


def unpack(suite: str, name: str, *packages: str) -> str:
    """The directory var/hosts/NAME with these arm64 packages of a Debian suite."""
    folder = os.path.join(VAR, name)
    _run(os.path.join(TOOLS, "unpack-debian.sh"), suite, "arm64", folder, *packages)
    return folder


def python() -> str:
    """The root of Debian's Python. Its modules are compiled, if this Python writes the form it reads."""
    root = unpack("bookworm", "python", *PYTHON_PACKAGES)
    if sys.version_info[:2] == PYTHON_VERSION:
        compileall.compile_dir(os.path.join(root, "usr/lib/python3.11"), quiet=2)
    return root


def qemu() -> str:
    """The directory of qemu-user 10's programs, static."""
    folder = os.path.join(VAR, "qemu")
    _run(os.path.join(TOOLS, "get-qemu.sh"), folder, "arm64")
    return os.path.join(folder, "usr", "bin")


def _pinned(name: str) -> str:
    """The requirement NAME==VERSION of pyproject.toml."""
    script = os.path.join(TOOLS, "requirements.py")
    command = [sys.executable, script, os.path.join(TOP, "pyproject.toml")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next(line for line in lines if line.startswith(name + "=="))


def unicorn() -> str:
    """The unpacked wheel's package directory."""
    requirement = _pinned("unicorn")
    folder = os.path.join(VAR, requirement)
    package = os.path.join(folder, "unicorn")
    if os.path.exists(os.path.join(package, "lib", "libunicorn.a")):
        return package
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    only = ["--only-binary=:all:", "--no-deps", "--platform", WHEEL_PLATFORM]
    _run(*pip, *only, "--dest", folder, requirement)
    for wheel in glob.glob(os.path.join(folder, "*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        os.unlink(wheel)
    if not os.path.exists(os.path.join(package, "lib", "libunicorn.a")):
        raise NotPossible(f"{requirement} for {WHEEL_PLATFORM} has no libunicorn.a")
    return package


def core(jobs: int) -> str:
    """The native core for an arm64 host: the path of the module."""
    headers = os.path.join(unpack("bookworm", "headers", "libpython3.11-dev"), "usr", "include")
    definitions = (
        f"CMAKE_TOOLCHAIN_FILE={os.path.join(HERE, 'arm64.cmake')}",
        f"CMAKE_CXX_FLAGS=-idirafter {headers}",  # pyconfig.h includes the architecture's by its path
        f"Python_INCLUDE_DIR={os.path.join(headers, 'python3.11')}",
        f"UNICORN_DIR={unicorn()}",
    )
    prefix = os.path.join(TOP, "build", "hosts")
    command = [sys.executable, os.path.join(TOOLS, "build_core.py"), "--jobs", str(jobs)]
    command += ["--build", os.path.join(TOP, "build", "core-arm64"), "--prefix", prefix]
    for definition in definitions:
        command += ["--define", definition]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = glob.glob(os.path.join(prefix, "runtime", "_core.*.so"))
    if done.returncode != 0 or len(found) != 1:
        raise NotPossible(f"the core for arm64: {done.stdout}{done.stderr}")
    return found[0]
