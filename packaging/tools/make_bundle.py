"""Write the bundle of the launch path's modules: see runtime/bundle.py. usage: make_bundle.py TARGET"""

import importlib
import marshal
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main(target: str) -> None:
    """Import what `octavo run` imports, and keep the code of every module that came from a Python file."""
    sys.path.append(TOP)
    before = set(sys.modules)
    from runtime import bundle

    for name in ("runtime.cli", "runtime.run_command", "runtime.run"):
        importlib.import_module(name)
    importlib.import_module("runtime.arch").load_all()
    sources: list[bundle.Source] = []
    modules: bundle.Modules = {}
    for name in sorted(set(sys.modules) - before):
        spec = sys.modules[name].__spec__
        if spec is None or not spec.has_location or not str(spec.origin).endswith(".py"):
            continue
        path = str(spec.origin)
        status = os.stat(path)
        sources.append((path, status.st_mtime_ns, status.st_size))
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True, optimize=2)
        is_package = spec.submodule_search_locations is not None
        modules[name] = (path, is_package, marshal.dumps(code))
    temporary = target + ".new"
    bundle.write(temporary, sources, modules)
    os.replace(temporary, target)


if __name__ == "__main__":
    main(sys.argv[1])
