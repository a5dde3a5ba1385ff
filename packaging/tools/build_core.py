"""Compile runtime/core in place: cmake configures in build/core, and its install step puts _core*.so into runtime/.

The same CMakeLists.txt is what scikit-build-core runs for a wheel; there the install prefix is the wheel. So its
contract is `install(TARGETS _core LIBRARY DESTINATION runtime)` and nothing else that knows about either way.
For another host than this one, --define brings a compiler, Python's headers and the engine (tests/hosts does that),
--build and --prefix keep it apart.
"""

import argparse
import glob
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(TOP, "runtime", "core")
BUILD = os.path.join(TOP, "build", "core")


def tool(name: str) -> str:
    """The environment's own program."""
    return os.path.join(os.path.dirname(sys.executable), name)


def steps(arguments: argparse.Namespace) -> list[list[str]]:
    """The commands, in order."""
    cmake, build = tool("cmake"), arguments.build
    configure = [
        cmake,
        *("-S", SOURCE, "-B", build, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        f"-DCMAKE_BUILD_TYPE={arguments.build_type}",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
        *(f"-D{definition}" for definition in arguments.define),
    ]
    return [
        configure,
        [cmake, "--build", build, "--parallel", str(arguments.jobs)],
        [cmake, "--install", build, "--prefix", arguments.prefix],
    ]


def main() -> int:
    """Exit status of the first command that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--build-type", default="Release")
    parser.add_argument("--build", default=BUILD, help="where to compile")
    parser.add_argument("--prefix", default=TOP, help="the module goes to PREFIX/runtime")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    for command in steps(arguments):
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    if not glob.glob(os.path.join(arguments.prefix, "runtime", "_core*.so")):
        print("build_core: the install step left no runtime/_core*.so", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
