"""GDB's riscv64: registers go by their ABI names."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register

_POINTERS = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr"}
_CPU = """
zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6
"""
_FPU = """
ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11
ft8 ft9 ft10 ft11
"""
_DOUBLE = """\
<union id="riscv_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>
"""

FACTS = DebuggerFacts(
    architecture="riscv:rv64",
    breakpoints={2: bytes.fromhex("0290"), 4: bytes.fromhex("73001000")},  # c.ebreak, ebreak
    features=(
        Feature(
            "org.gnu.gdb.riscv.cpu",
            *(Register(name, 64, _POINTERS.get(name, "")) for name in _CPU.split()),
            Register("pc", 64, "code_ptr"),
        ),
        Feature(
            "org.gnu.gdb.riscv.fpu",
            *(Register(name, 64, "riscv_double") for name in _FPU.split()),
            Register("fflags", 32),
            Register("frm", 32),
            Register("fcsr", 32),
            types=_DOUBLE,
        ),
    ),
)
