"""Build the launcher: packaging/launcher/CMakeLists.txt, against the Python archive of Debian's libpython3-dev.

That Python is the distribution's own, /usr/bin/python3, whichever one runs this: only its package has the static
archive, and its library has the sources of the standard modules that go with it.
"""

import argparse
import importlib.util
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(TOP, "packaging", "launcher")
BUILD = os.path.join(TOP, "build", "launcher")
DEBIAN_PYTHON = "/usr/bin/python3"
PYTHON_VERSION = "3.11"  # thread.c and modules.cc know its inside

ASK = """\
import os, sys, sysconfig
get = sysconfig.get_config_var
print("%d.%d" % sys.version_info[:2])
print(os.path.join(get("LIBPL"), get("LIBRARY")))
print(sysconfig.get_path("stdlib"))
"""


def tool(name: str) -> str:
    """The environment's own program."""
    return os.path.join(os.path.dirname(sys.executable), name)


def definitions() -> dict[str, str]:
    """What CMake is told."""
    asked = [DEBIAN_PYTHON, "-IS", "-c", ASK]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    version, archive, library = said.splitlines()
    if version != PYTHON_VERSION or not os.path.exists(archive):
        raise SystemExit(
            f"build_launcher: {DEBIAN_PYTHON} is Python {version}, with {archive}; the launcher is made of "
            f"Python {PYTHON_VERSION} and its static library (Debian 12, libpython3-dev)"
        )
    nanobind = [sys.executable, "-m", "nanobind", "--cmake_dir"]
    unicorn = importlib.util.find_spec("unicorn")
    if unicorn is None or unicorn.origin is None:
        raise SystemExit("build_launcher: no unicorn package in this environment")
    return {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": tool("ninja"),
        "Python_EXECUTABLE": DEBIAN_PYTHON,
        "PYTHON_VERSION": version,
        "PYTHON_ARCHIVE": archive,
        "PYTHON_LIBRARY": library,
        "UNICORN_DIR": os.path.dirname(unicorn.origin),
        "nanobind_DIR": subprocess.run(
            nanobind, check=True, capture_output=True, text=True
        ).stdout.strip(),
    }


def main() -> int:
    """Exit status of the first command that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    cmake = tool("cmake")
    given = [f"-D{name}={value}" for name, value in definitions().items()]
    for command in (
        [cmake, "-S", SOURCE, "-B", BUILD, "-G", "Ninja", *given],
        [cmake, "--build", BUILD, "--parallel", str(arguments.jobs)],
    ):
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
