"""GDB's 64-bit PowerPC. Vector registers are left out: the engine cannot read them (runtime/arch/ppc64le.py)."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register, series

FACTS = DebuggerFacts(
    architecture="powerpc:common64",
    breakpoints={4: bytes.fromhex("0800e07f")},  # trap
    features=(
        Feature(
            "org.gnu.gdb.power.core",
            *series("r", range(32), 64, "uint64"),
            Register("pc", 64, "code_ptr"),
            Register("msr", 64, "uint64"),
            Register("cr", 32, "uint32"),
            Register("lr", 64, "code_ptr"),
            Register("ctr", 64, "uint64"),
            Register("xer", 32, "uint32"),
        ),
        Feature(
            "org.gnu.gdb.power.fpu",
            *series("f", range(32), 64, "ieee_double", "fpr"),
            Register("fpscr", 64),
        ),
    ),
)
