"""Write the octavo command of a virtual environment, so that it starts the source tree directly.

pip's own console script costs the `site` module on every start (4 of 16 ms here), and an editable install adds an
import hook. This one starts Python with -I and -S and names the two directories itself: the source tree, so that a
change is there at the next start, and the environment's packages, which `octavo run` never looks into.
"""

import os
import subprocess
import sys
import sysconfig

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Appended, not put first: a module of ours never stands before one of the standard library.
# Nothing that is imported is garbage: without the collector a start is a millisecond shorter. run.py turns it on.
BODY = """\
import gc
import os
import sys

gc.disable()
sys.path += [{top!r}, {packages!r}]

from runtime import bundle

bundle.use({bundle!r})
from binfmt.front import main

sys.exit(main(list(map(os.fsencode, sys.argv))))
"""

# The kernel reads 256 bytes of a script, and splits the line at its first blank (binfmt_script.c).
SHEBANG_LIMIT = 250


def command(python: str, top: str, packages: str, bundle: str) -> str:
    """The text of the script; `sh` starts Python where a #! line cannot."""
    head = f"#!{python} -IS\n"
    if len(head.encode()) > SHEBANG_LIMIT or " " in python:
        head = f"""#!/bin/sh\n'''exec' "{python}" -IS "$0" "$@"\n'''\n"""
    return head + BODY.format(top=top, packages=packages, bundle=bundle)


def main(target: str) -> None:
    """Replace `target`, and compile the modules, so that users who may not write here also start fast."""
    import compileall

    folder, name = os.path.split(os.path.abspath(target))
    bundle = os.path.join(os.path.dirname(folder), name + ".bundle")
    text = command(sys.executable, TOP, sysconfig.get_path("purelib"), bundle)
    temporary = target + ".new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o755)
    os.replace(temporary, target)
    for package in ("runtime", "binfmt", "rootfs_tools"):
        folder = os.path.join(TOP, package)
        if os.path.isdir(folder):
            compileall.compile_dir(folder, quiet=2)
    # In a Python started as the command starts it, so that it bundles what the command imports.
    maker = os.path.join(TOP, "packaging", "tools", "make_bundle.py")
    subprocess.run([sys.executable, "-IS", maker, bundle], check=True)


if __name__ == "__main__":
    main(sys.argv[1])
