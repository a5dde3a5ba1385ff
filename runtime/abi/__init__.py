"""What the C side of a Linux ABI looks like: numbers, structures, flag words. A leaf: imports nothing of the runtime.

errors     GuestError and errno numbers (generic Linux numbering, as on x86 and arm64)
layout     DataModel (sizes, endianness) and Layout (a C structure, declared once, compiled per DataModel)
structs    the structures that system calls pass
constants  numbers that differ between ABIs, as generic values plus exceptions
ioctls     requests whose argument needs translation
"""

from runtime.abi.errors import GuestError
from runtime.abi.layout import DataModel, Layout

__all__ = ["DataModel", "GuestError", "Layout"]
