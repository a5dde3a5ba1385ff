"""C structures, declared once and compiled for a data model.

    class timespec(Layout):
        tv_sec: TimeT
        tv_nsec: Long

    timespec.of(model)  ->  CStruct: .size .align .offsets .pack(values) .unpack(data)

A field is a scalar class, another Layout, or an Array (given as a value: `sysname: Array = array(Char, 65)`).
Fields keep C's order, alignment and padding; padding is packed as zeros, so nothing of the host leaks into the guest.

An ABI whose structure differs declares a variant, and its DataModel names it:

    class stat64_mips(Layout, of=stat64, variant="mips"): ...
    DataModel("mips", ..., variants={"stat64": "mips"})

so that callers write `stat64.of(model)` for every architecture. (`of` in the class line, because a variant is not a
kind of its base: it shares no field.) The second argument of `of` is a system call table's variant ("time32"): where
the layout has one of that name it is taken, otherwise it means nothing to this structure.

The one odd thing: annotations are read at class creation, so this file and structs.py must not use
`from __future__ import annotations`.
"""

import struct
from _collections_abc import Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Literal


class DataModel:
    """Sizes, byte order and structure variants of one ABI's C compiler."""

    __slots__ = (
        "_compiled",
        "big",
        "bits",
        "endian",
        "long",
        "name",
        "pointer",
        "prefix",
        "variants",
    )

    def __init__(
        self,
        name: str,
        *,
        bits: int,  # of long and pointer: 32 or 64
        big: bool = False,  # big endian
        variants: Mapping[str, str] | None = None,  # Layout name -> variant name
    ) -> None:
        self.name = name
        self.bits = bits
        self.big = big
        self.long = bits // 8  # bytes
        self.pointer = bits // 8
        self.endian: Literal["big", "little"] = "big" if big else "little"  # for int.from_bytes
        self.prefix = ">" if big else "<"  # for struct
        self.variants: Mapping[str, str] = variants or {}
        self._compiled: dict[tuple[str, str], CStruct] = {}

    def __repr__(self) -> str:
        return f"DataModel({self.name!r}, bits={self.bits}, big={self.big})"


# Scalars -----------------------------------------------------------------------------------------------------------
class Scalar:
    """A C scalar. Subclasses say their code of module struct; where a model decides, one for 32 and one for 64 bits."""

    code32: "ClassVar[str]"
    code64: "ClassVar[str]"


class Char(Scalar):
    """A byte of text or padding; arrays of it are bytes."""

    code32 = code64 = "c"


class I8(Scalar):
    code32 = code64 = "b"


class U8(Scalar):
    """Arrays of it are bytes."""

    code32 = code64 = "B"


class I16(Scalar):
    code32 = code64 = "h"


class U16(Scalar):
    code32 = code64 = "H"


class I32(Scalar):
    code32 = code64 = "i"


class U32(Scalar):
    code32 = code64 = "I"


class I64(Scalar):
    """Aligned to 8 in all our ABIs (i386 would need a model that says 4)."""

    code32 = code64 = "q"


class U64(Scalar):
    code32 = code64 = "Q"


class Short(I16):
    pass


class UShort(U16):
    pass


class Int(I32):
    pass


class UInt(U32):
    pass


class Long(Scalar):
    code32, code64 = "i", "q"


class ULong(Scalar):
    code32, code64 = "I", "Q"


class Pointer(ULong):
    pass


class Size(ULong):
    """size_t."""


class SSize(Long):
    """ssize_t."""


class TimeT(Long):
    """__kernel_old_time_t: 32 bits on a 32-bit ABI. Where time has 64 bits everywhere, the structure says I64."""


class Off(Long):
    """off_t (loff_t is I64)."""


class Array:
    """`count` elements; arrays of Char or U8 unpack to bytes, of scalars to tuples, of layouts to tuples of tuples."""

    __slots__ = ("count", "element")

    def __init__(self, element: "type[Scalar] | type[Layout] | Array", count: int) -> None:
        self.element = element
        self.count = count


def array(element: "type[Scalar] | type[Layout] | Array", count: int) -> Array:
    """The type of `element name[count]`."""
    return Array(element, count)


class PerBits:
    """An array whose length depends on the model's bits: per_bits(Char, 8, 0) is char[8] on 32, nothing on 64."""

    __slots__ = ("element", "on32", "on64")

    def __init__(self, element: type[Scalar], on32: int, on64: int) -> None:
        self.element = element
        self.on32 = on32
        self.on64 = on64


def per_bits(element: type[Scalar], on32: int, on64: int) -> PerBits:
    """The type of `element name[on32]` on 32-bit ABIs and `element name[on64]` on others."""
    return PerBits(element, on32, on64)


class Opaque:
    """`size` bytes aligned to `align`: a union, or a field with a byte order of its own (network order in sockaddr_in).

    `words` of it count model words on top: opaque(0, words=1) is a union holding a pointer or an int.
    """

    __slots__ = ("align", "align_word", "size", "words")

    def __init__(self, size: int, align: int, words: int, align_word: bool) -> None:
        self.size = size
        self.align = align
        self.words = words
        self.align_word = align_word


def opaque(size: int, align: int = 1, *, words: int = 0) -> Opaque:
    """A union of `size` bytes plus `words` longs; with words, aligned as a long."""
    return Opaque(size, align, words, words > 0)


# Compiled structures -----------------------------------------------------------------------------------------------
_SIZES = {"c": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8}


class CStruct:
    """A structure for one data model.

    Values go in and out as a tuple in field order: ints, bytes for char arrays and unions, tuples for nested structures
    and arrays. `pack` also takes a mapping with field names, missing ones are zero.
    """

    __slots__ = ("_fields", "_flat", "_struct", "align", "name", "names", "offsets", "size")

    def __init__(
        self, name: str, fields: "Sequence[tuple[str, _Type]]", prefix: str, packed: int
    ) -> None:
        self.name = name
        self.names = tuple(field for field, _ in fields)
        self.offsets: dict[str, int] = {}  # field -> bytes from the start
        self._fields: list[tuple[str, int, _Type]] = []
        codes = []
        at = 0
        self.align = 1
        for field, type_ in fields:
            align = min(type_.align, packed) if packed else type_.align
            if padding := -at % align:
                codes.append(f"{padding}x")
                at += padding
            self.offsets[field] = at
            self._fields.append((field, at, type_))
            codes.append(type_.code)
            at += type_.size
            self.align = max(self.align, align)
        if padding := -at % self.align:
            codes.append(f"{padding}x")
            at += padding
        self.size = at
        self._struct = struct.Struct(prefix + "".join(codes))
        self._flat = all(type_.flat for _, type_ in fields)
        assert self._struct.size == self.size

    def unpack(self, data: "bytes | bytearray | memoryview") -> "tuple[Any, ...]":
        """Values of the first `size` bytes; struct.error when there are fewer."""
        return self.unpack_from(data, 0)

    def unpack_from(self, data: "bytes | bytearray | memoryview", offset: int) -> "tuple[Any, ...]":
        leaves = self._struct.unpack_from(data, offset)
        if self._flat:
            return leaves
        rest = iter(leaves)
        return tuple(type_.take(rest) for _, _, type_ in self._fields)

    def mapping(self, data: "bytes | bytearray | memoryview") -> "dict[str, Any]":
        """As unpack, by field name."""
        return dict(zip(self.names, self.unpack(data), strict=True))

    def pack(self, values: "Sequence[Any] | Mapping[str, Any]") -> bytes:
        """The bytes. An int may be given signed or unsigned; OverflowError when it fits the field neither way."""
        if isinstance(values, Mapping):
            unknown = values.keys() - self.offsets.keys()
            if unknown:
                raise TypeError(f"{self.name} has no field {', '.join(sorted(unknown))}")
            values = [
                values[field] if field in values else type_.zero()
                for field, _, type_ in self._fields
            ]
        elif len(values) != len(self._fields):
            raise TypeError(f"{self.name} has {len(self._fields)} fields, not {len(values)}")
        if self._flat:
            try:
                return self._struct.pack(*values)
            except struct.error:
                pass  # perhaps an unsigned value for a signed field: the slow way below knows
        leaves: list[Any] = []
        for (field, _, type_), value in zip(self._fields, values, strict=True):
            try:
                type_.give(value, leaves)
            except OverflowError:
                raise OverflowError(f"{self.name}.{field}: {value!r} does not fit") from None
        return self._struct.pack(*leaves)

    def get(self, data: "bytes | bytearray | memoryview", field: str, offset: int = 0) -> "Any":
        """One field of a structure that starts at `offset` of `data`."""
        return self.unpack_from(data, offset)[self.names.index(field)]

    def __repr__(self) -> str:
        return f"<struct {self.name}: {self.size} bytes>"


class _Type:
    """A field's type for one model: how it lies in memory, and how values become the leaves of struct.pack."""

    __slots__ = ("align", "code", "flat", "size")
    align: int
    size: int
    code: str  # of struct
    flat: bool  # one value is one leaf

    def take(self, leaves: "Any") -> "Any":
        return next(leaves)

    def give(self, value: "Any", leaves: "list[Any]") -> None:
        leaves.append(value)

    def zero(self) -> "Any":
        return 0


class _Integer(_Type):
    __slots__ = ()

    def __init__(self, code: str) -> None:
        self.code = code
        self.size = self.align = _SIZES[code]
        self.flat = True

    def give(self, value: int, leaves: "list[Any]") -> None:
        limit = 1 << 8 * self.size
        if not -(limit >> 1) <= value < limit:
            raise OverflowError
        value &= limit - 1
        if self.code in "bhiq" and value >= limit >> 1:
            value -= limit
        leaves.append(value)


class _Bytes(_Type):
    __slots__ = ()

    def __init__(self, size: int, align: int) -> None:
        self.code = f"{size}s"
        self.size = size
        self.align = align
        self.flat = True

    def give(self, value: bytes, leaves: "list[Any]") -> None:
        if len(value) > self.size:
            raise OverflowError
        leaves.append(value)  # struct pads with zeros

    def zero(self) -> bytes:
        return b""


class _Array(_Type):
    __slots__ = ("count", "element")

    def __init__(self, element: _Type, count: int) -> None:
        self.element = element
        self.count = count
        self.code = element.code * count
        self.size = element.size * count
        self.align = element.align
        self.flat = False

    def take(self, leaves: "Any") -> "tuple[Any, ...]":
        return tuple(self.element.take(leaves) for _ in range(self.count))

    def give(self, value: "Sequence[Any]", leaves: "list[Any]") -> None:
        if len(value) > self.count:
            raise OverflowError
        for item in value:
            self.element.give(item, leaves)
        for _ in range(self.count - len(value)):
            self.element.give(self.element.zero(), leaves)

    def zero(self) -> "tuple[Any, ...]":
        return ()


class _Nested(_Type):
    __slots__ = ("compiled",)

    def __init__(self, compiled: CStruct) -> None:
        self.compiled = compiled
        self.code = compiled._struct.format[1:]
        self.size = compiled.size
        self.align = compiled.align
        self.flat = False

    def take(self, leaves: "Any") -> "tuple[Any, ...]":
        return tuple(type_.take(leaves) for _, _, type_ in self.compiled._fields)

    def give(self, value: "Sequence[Any] | Mapping[str, Any]", leaves: "list[Any]") -> None:
        fields = self.compiled._fields
        if isinstance(value, Mapping):
            value = [value[field] if field in value else type_.zero() for field, _, type_ in fields]
        elif not value:
            value = [type_.zero() for _, _, type_ in fields]
        for (_, _, type_), item in zip(fields, value, strict=True):
            type_.give(item, leaves)

    def zero(self) -> "tuple[Any, ...]":
        return ()


def _compile(type_: "object", model: DataModel) -> _Type:
    """The declared type for a model."""
    match type_:
        case Opaque():
            size = type_.size + type_.words * model.long
            return _Bytes(size, model.long if type_.align_word else type_.align)
        case PerBits():
            return _compile(
                Array(type_.element, type_.on64 if model.bits == 64 else type_.on32), model
            )
        case Array():
            if type_.element in (Char, U8):
                return _Bytes(type_.count, 1)
            return _Array(_compile(type_.element, model), type_.count)
    if isinstance(type_, type):
        if issubclass(type_, Layout):
            return _Nested(type_.of(model))
        if issubclass(type_, Scalar):
            code = type_.code64 if model.bits == 64 else type_.code32
            return _Bytes(1, 1) if code == "c" else _Integer(code)
    raise TypeError(f"not a C type: {type_!r}")


class Layout:
    """A C structure; see the top of the file. `packed=N` is C's #pragma pack(N)."""

    _types: "ClassVar[tuple[tuple[str, object], ...]]" = ()
    _packed: "ClassVar[int]" = 0
    _variants: "ClassVar[dict[str, type[Layout]]]" = {}

    def __init_subclass__(
        cls, *, of: "type[Layout] | None" = None, variant: str = "", packed: int = 0
    ) -> None:
        own = cls.__dict__
        cls._types = tuple(
            (field, own.get(field, declared))
            for field, declared in own.get("__annotations__", {}).items()
        )
        cls._packed = packed
        cls._variants = {}
        if of is not None:
            assert variant and variant not in of._variants, cls.__name__
            of._variants[variant] = cls

    @classmethod
    def of(cls, model: DataModel, variant: str = "") -> CStruct:
        """The structure as this ABI has it. KeyError when the model names a variant that does not exist."""
        key = cls.__name__, variant
        compiled = model._compiled.get(key)
        if compiled is None:
            source = cls._variants.get(variant, cls)
            of_model = model.variants.get(source.__name__)
            if of_model:
                source = source._variants[of_model]
            fields = [(field, _compile(type_, model)) for field, type_ in source._types]
            compiled = CStruct(cls.__name__, fields, model.prefix, source._packed)
            model._compiled[key] = compiled
        return compiled

    @classmethod
    def variants(cls) -> "dict[str, type[Layout]]":
        """Variant name -> its declaration."""
        return dict(cls._variants)
