"""GDB's arm. A breakpoint's kind says which instruction it takes the place of: 2 and 3 one of Thumb, of 2 and 4 bytes,
4 one of ARM."""

from runtime.arch.debugger import DebuggerFacts, Feature, Register, series

FACTS = DebuggerFacts(
    architecture="arm",
    # those that the kernel takes for breakpoints (arch/arm/kernel/ptrace.c), and GDB writes itself
    breakpoints={
        2: bytes.fromhex("01de"),
        3: bytes.fromhex("f0f700a0"),
        4: bytes.fromhex("f001f0e7"),
    },
    features=(
        Feature(
            "org.gnu.gdb.arm.core",
            *series("r", range(13), 32, "uint32"),
            Register("sp", 32, "data_ptr"),
            Register("lr", 32),
            Register("pc", 32, "code_ptr"),
            Register("cpsr", 32),
        ),
        Feature(
            "org.gnu.gdb.arm.vfp", *series("d", range(32), 64, "ieee_double"), Register("fpscr", 32)
        ),
    ),
)
