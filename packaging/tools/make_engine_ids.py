#!/usr/bin/env python3
"""Make runtime/arch/engine_ids/NAME.py from the unicorn package's *_const.py.

    packaging/tools/make_engine_ids.py [--check]

The runtime never imports the unicorn package (25-50 ms); it needs only these numbers.
"""

import importlib
import pathlib
import sys

IDS = pathlib.Path(__file__).resolve().parents[2] / "runtime" / "arch" / "engine_ids"
# our file -> unicorn module, prefix of its names, what to call registers named by a bare number
SOURCES = {
    "aarch64": ("arm64_const", "UC_ARM64_REG_", "UC_CPU_ARM64_", ""),
    "arm": ("arm_const", "UC_ARM_REG_", "UC_CPU_ARM_", ""),
    "mips": ("mips_const", "UC_MIPS_REG_", "UC_CPU_MIPS32_", "r"),
    "ppc": ("ppc_const", "UC_PPC_REG_", "", "r"),
    "riscv": ("riscv_const", "UC_RISCV_REG_", "UC_CPU_RISCV64_", ""),
    "x86": ("x86_const", "UC_X86_REG_", "UC_CPU_X86_", ""),
}


def names(module: str, prefix: str, number_prefix: str = "") -> dict[str, int]:
    """Names with the prefix, in lower case, without it, without the end marks."""
    found = {}
    for name, value in vars(importlib.import_module(f"unicorn.{module}")).items():
        if prefix and name.startswith(prefix):
            short = name[len(prefix) :].lower()
            if short not in ("invalid", "ending"):
                found[number_prefix + short if short.isdigit() else short] = value
    return found


def literal(title: str, values: dict[str, int]) -> str:
    """`title = {...}`, several entries a line."""
    lines = [f"{title} = {{"]
    line = "   "
    for name, value in values.items():
        item = f' "{name}": {value},'
        if len(line) + len(item) > 100:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line, "}"]) + "\n"


def text(source: str) -> str:
    module, registers, models, number_prefix = SOURCES[source]
    parts = [
        '"""Unicorn\'s numbers; made by packaging/tools/make_engine_ids.py, not by hand."""\n\n# fmt: off\n',
        literal("REGISTERS", names(module, registers, number_prefix)),
    ]
    if models:
        parts.append(literal("MODELS", names(module, models)))
    if source == "x86":
        parts.append(
            f"INSN_SYSCALL = {importlib.import_module('unicorn.x86_const').UC_X86_INS_SYSCALL}\n"
        )
    return "".join(parts)


def main(arguments: list[str]) -> int:
    const = importlib.import_module("unicorn.unicorn_const")
    files = {f"{source}.py": text(source) for source in SOURCES}
    wanted = {
        name: value
        for name, value in vars(const).items()
        if name.startswith(("UC_ARCH_", "UC_MODE_"))
    }
    files["__init__.py"] = (
        '"""Numbers of the Unicorn engine, generated; see packaging/tools/make_engine_ids.py."""\n\n'
        + "".join(f"{name[3:]} = {value}\n" for name, value in wanted.items())
    )
    stale = 0
    IDS.mkdir(exist_ok=True)
    for name, content in files.items():
        path = IDS / name
        if "--check" not in arguments:
            path.write_text(content)
        elif path.read_text() != content:
            print(
                f"{name} is not what the unicorn package says; run {sys.argv[0]}", file=sys.stderr
            )
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
