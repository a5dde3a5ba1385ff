"""GDB's aarch64. The types are those of its aarch64-core.xml and aarch64-fpu.xml."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register, series

_CPSR = """\
<flags id="cpsr_flags" size="4">
<field name="V" start="28" end="28"/><field name="C" start="29" end="29"/>
<field name="Z" start="30" end="30"/><field name="N" start="31" end="31"/>
</flags>
"""
_VECTOR = """\
<vector id="v2d" type="ieee_double" count="2"/><vector id="v2u" type="uint64" count="2"/>
<vector id="v2i" type="int64" count="2"/><vector id="v4f" type="ieee_single" count="4"/>
<vector id="v4u" type="uint32" count="4"/><vector id="v4i" type="int32" count="4"/>
<vector id="v8u" type="uint16" count="8"/><vector id="v8i" type="int16" count="8"/>
<vector id="v16u" type="uint8" count="16"/><vector id="v16i" type="int8" count="16"/>
<vector id="v1u" type="uint128" count="1"/><vector id="v1i" type="int128" count="1"/>
<union id="vnd"><field name="f" type="v2d"/><field name="u" type="v2u"/><field name="s" type="v2i"/></union>
<union id="vns"><field name="f" type="v4f"/><field name="u" type="v4u"/><field name="s" type="v4i"/></union>
<union id="vnh"><field name="u" type="v8u"/><field name="s" type="v8i"/></union>
<union id="vnb"><field name="u" type="v16u"/><field name="s" type="v16i"/></union>
<union id="vnq"><field name="u" type="v1u"/><field name="s" type="v1i"/></union>
<union id="aarch64v">
<field name="d" type="vnd"/><field name="s" type="vns"/><field name="h" type="vnh"/>
<field name="b" type="vnb"/><field name="q" type="vnq"/>
</union>
"""

FACTS = DebuggerFacts(
    architecture="aarch64",
    breakpoints={4: bytes.fromhex("000020d4")},  # brk #0
    features=(
        Feature(
            "org.gnu.gdb.aarch64.core",
            *series("x", range(31), 64),
            Register("sp", 64, "data_ptr"),
            Register("pc", 64, "code_ptr"),
            Register("cpsr", 32, "cpsr_flags", "pstate"),
            types=_CPSR,
        ),
        Feature(
            "org.gnu.gdb.aarch64.fpu",
            *series("v", range(32), 128, "aarch64v"),
            Register("fpsr", 32),
            Register("fpcr", 32),
            types=_VECTOR,
        ),
        Feature("org.gnu.gdb.aarch64.tls", Register("tpidr", 64, "data_ptr", "tpidr_el0")),
    ),
)
