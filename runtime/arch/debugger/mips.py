"""GDB's 32-bit mips. It insists on coprocessor 0's three and the FPU's two status registers, which the engine cannot
tell, or which belong to the kernel."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register, missing, series

FACTS = DebuggerFacts(
    architecture="mips",
    breakpoints={4: bytes.fromhex("0005000d")},  # break 5
    features=(
        Feature(
            "org.gnu.gdb.mips.cpu",
            *series("r", range(32), 32),
            Register("lo", 32),
            Register("hi", 32),
            Register("pc", 32),
        ),
        Feature(
            "org.gnu.gdb.mips.cp0",
            missing("status", 32),
            missing("badvaddr", 32),
            missing("cause", 32),
        ),
        Feature(
            "org.gnu.gdb.mips.fpu",
            *series("f", range(32), 32, "ieee_single"),
            missing("fcsr", 32),
            missing("fir", 32),
        ),
    ),
)
