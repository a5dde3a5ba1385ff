"""Write what the launcher carries: the bundle, and the marshalled code of what is frozen before it.

usage: octavo-bare LIBRARY make_modules.py DIR. Run by the very interpreter that will run the modules, so that the
bundle holds all that it imports and nothing that it has built in.
"""

import marshal
import os
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
TOP = os.path.dirname(os.path.dirname(HERE))

# file of the output -> source
FROZEN = {
    "runtime": "runtime/__init__.py",
    "finder": "runtime/bundle.py",
    "main": "packaging/launcher/main.py",
}


def label(path: str) -> str:
    """A source file's name in tracebacks: the same wherever it was built, and no file of any root."""
    for folder in (TOP, *sys.path):
        if folder and path.startswith(folder + "/"):
            return f"<octavo>{path[len(folder) :]}"
    return path


def main(target: str) -> None:
    sys.path.append(TOP)
    from packaging.tools import make_bundle

    header, body = make_bundle.collect(label=label)
    header.sources = []  # nothing to compare with at a start
    for name in list(header.places):
        if name.startswith("encodings."):  # codecs in Python: for reading source files as text
            del header.places[name]
    from runtime import bundle

    os.makedirs(target, exist_ok=True)
    files = {"bundle": bundle.dump(header, body)}
    for name, source in FROZEN.items():
        path = os.path.join(TOP, source)
        files[name] = marshal.dumps(make_bundle.code(path, label(path)))
    for name, data in files.items():
        with open(os.path.join(target, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
