"""Numbers that differ between ABIs: a generic value for each name, and per ABI the exceptions.

Generic is asm-generic, which is what x86-64 uses. A domain ("open", "errno", ...) is a set of flags (each bit has a
name) or an enumeration. Constants(open={...}) holds one ABI's exceptions, and translates both ways:

    decode(domain, value)   guest -> generic
    encode(domain, value)   generic -> guest
    decoder(domain)         a function, or None when the ABI has nothing of its own there

Bits and numbers without a name stay as they are, unless generic numbering has something else in that place: then a flag
becomes the domain's `unknown` bit (which no kernel knows either, so that the host refuses or ignores it as the guest's
kernel would), a number of an enumeration becomes UNKNOWN. Sources: include/uapi/asm-generic, arch/*/include/uapi/asm.
"""

from _collections_abc import Mapping

from runtime.abi import errors
from runtime.abi.constant_names import FLAG_DOMAINS, GENERIC, MIXED_DOMAINS, UNKNOWN_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN = 0x7FFF  # of an enumeration: no kernel has it, the host answers as for any wrong number


class Constants:
    """One ABI's numbers. Constant."""

    __slots__ = ("_decode", "_encode", "_names", "errno_from_guest", "overrides")

    def __init__(self, **overrides: Mapping[str, int]) -> None:
        self.overrides = overrides
        self._decode: dict[str, dict[int, int]] = {}  # domain -> own bit or number -> generic
        self._encode: dict[str, dict[int, int]] = {}
        self._names: dict[str, dict[int, str]] = {}
        for domain, exceptions in overrides.items():
            self._decode[domain], self._encode[domain] = _tables(domain, exceptions)

    def decode(self, domain: str, value: int) -> int:
        """Guest's flag word or number -> generic."""
        table = self._decode.get(domain)
        return value if table is None else _translate(domain, table, value)

    def encode(self, domain: str, value: int) -> int:
        """Generic flag word or number -> guest's."""
        table = self._encode.get(domain)
        return value if table is None else _translate(domain, table, value)

    def decoder(self, domain: str) -> "Callable[[int], int] | None":
        """decode for one domain; None where the ABI's numbers are the generic ones."""
        if domain not in self._decode:
            return None
        return lambda value: self.decode(domain, value)

    def encoder(self, domain: str) -> "Callable[[int], int] | None":
        """encode for one domain; None where the ABI's numbers are the generic ones."""
        if domain not in self._encode:
            return None
        return lambda value: self.encode(domain, value)

    def errno_to_guest(self, errno: int) -> int:
        """Generic errno -> the guest's."""
        table = self._encode.get("errno")
        return errno if table is None else table.get(errno, errno)

    def value(self, domain: str, name: str) -> int:
        """The guest's number of a name."""
        exceptions = self.overrides.get(domain)
        if exceptions and name in exceptions:
            return exceptions[name]
        return GENERIC[domain][name]

    def show(self, domain: str, value: int) -> str:
        """The guest's value as names: "O_CREAT|O_EXCL|0x20", "SIGTERM", "7"."""
        names = self._names.get(domain)
        if names is None:
            known = {**GENERIC.get(domain, {}), **self.overrides.get(domain, {})}
            names = self._names[domain] = {number: name for name, number in reversed(known.items())}
        if domain not in FLAG_DOMAINS:
            return names.get(value, str(value))
        shown = []
        rest = value
        for number, name in sorted(names.items(), reverse=True):
            if number and rest & number == number:
                shown.append(name)
                rest &= ~number
        if rest or not shown:
            shown.append(hex(rest) if rest else "0")
        return "|".join(shown)


def _translate(domain: str, table: "dict[int, int]", value: int) -> int:
    """A number through the table, or every bit of a flag word; what is not in it stays."""
    if domain not in FLAG_DOMAINS:
        return table.get(value, value)
    result = 0
    rest = value & 0xFFFFFFFF
    if mask := MIXED_DOMAINS.get(domain):
        result = table.get(rest & mask, rest & mask)
        rest &= ~mask
    for source, target in table.items():
        if rest & source:
            rest &= ~source
            result |= target
    return result | rest


def _tables(domain: str, exceptions: Mapping[str, int]) -> tuple[dict[int, int], dict[int, int]]:
    """(own -> generic, generic -> own) of the values that differ or are in the way."""
    if domain == "errno":  # without the aliases, of which some ABIs make numbers of their own
        generic = {name: number for number, name in errors.NAMES.items()}
    else:
        generic = GENERIC[domain]
    own = {**generic, **exceptions}
    unknown = UNKNOWN_BITS.get(domain, UNKNOWN)
    decode: dict[int, int] = {}
    encode: dict[int, int] = {}
    for name, number in own.items():
        if name in generic and number != generic[name]:
            decode.setdefault(number, generic[name])
            encode.setdefault(generic[name], number)
    own_numbers, generic_numbers = set(own.values()), set(generic.values())
    for number in generic_numbers - own_numbers:
        decode.setdefault(number, unknown)  # means nothing to the guest, something to us
    for number in own_numbers - generic_numbers:
        if number not in encode.values():
            decode.setdefault(number, unknown)
        encode.setdefault(number, unknown)
    for number in own_numbers & generic_numbers:  # a name that did not move keeps its number
        kept = any(own.get(name) == number == value for name, value in generic.items())
        if kept:
            decode[number] = number
            encode[number] = number
    drop = [number for number in decode if decode[number] == number == encode.get(number, number)]
    for number in drop:
        del decode[number]
        encode.pop(number, None)
    return decode, encode
