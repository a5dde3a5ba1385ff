"""GDB's x86-64. The segment registers are what Linux has in 64-bit code; orig_rax is -1: no system call is ever left to
be restarted when the program stands."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register, missing, series

_FLAGS = (
    ("CF", 0), ("", 1), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11),
    ("NT", 14), ("RF", 16), ("VM", 17), ("AC", 18), ("VIF", 19), ("VIP", 20), ("ID", 21),
)  # fmt: skip
_EFLAGS = (
    '<flags id="i386_eflags" size="4">'
    + "".join(f'<field name="{name}" start="{at}" end="{at}"/>' for name, at in _FLAGS)
    + "</flags>\n"
)
_VECTOR = """\
<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>
"""


def _fixed(name: str, bits: int, value: int, type: str = "") -> Register:
    return Register(name, bits, type, None, value)


FACTS = DebuggerFacts(
    architecture="i386:x86-64",
    breakpoints={1: b"\xcc"},  # int3
    pc_after_break=1,
    features=(
        Feature(
            "org.gnu.gdb.i386.core",
            *(Register(name, 64, "int64") for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi")),
            Register("rbp", 64, "data_ptr"),
            Register("rsp", 64, "data_ptr"),
            *series("r", range(8, 16), 64, "int64"),
            Register("rip", 64, "code_ptr"),
            Register("eflags", 32, "i386_eflags"),
            _fixed("cs", 32, 0x33, "int32"),
            _fixed("ss", 32, 0x2B, "int32"),
            *(_fixed(name, 32, 0, "int32") for name in ("ds", "es", "fs", "gs")),
            *series("st", range(8), 80, "i387_ext"),
            Register("fctrl", 32, "int", "fpcw"),
            Register("fstat", 32, "int", "fpsw"),
            Register("ftag", 32, "int", "fptag"),
            *(missing(name, 32, "int") for name in ("fiseg", "fioff", "foseg", "fooff", "fop")),
            types=_EFLAGS,
        ),
        Feature(
            "org.gnu.gdb.i386.sse",
            *series("xmm", range(16), 128, "vec128"),
            Register("mxcsr", 32),
            types=_VECTOR,
        ),
        Feature("org.gnu.gdb.i386.linux", _fixed("orig_rax", 64, (1 << 64) - 1, "int")),
        Feature(
            "org.gnu.gdb.i386.segments",
            Register("fs_base", 64, "data_ptr"),
            Register("gs_base", 64, "data_ptr"),
        ),
    ),
)
