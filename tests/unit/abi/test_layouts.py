"""Every structure's size and offsets are what the cross compiler makes of the kernel's own declaration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import arch
from runtime.abi import ipc_structs, structs
from runtime.abi.layout import (
    I16,
    I64,
    U8,
    U32,
    Array,
    CStruct,
    DataModel,
    Int,
    Layout,
    Long,
    array,
)
from tests.unit.compilers import ask

KERNEL = ("asm/posix_types.h", "linux/types.h")

# C's name, headers, ABIs (None: all), {our field: C's field or "" to leave out}
MODULES = (structs, ipc_structs)
ALL = tuple(arch.ARCHITECTURES)
BITS32 = ("arm", "mips")
IPC = ("asm/ipcbuf.h", "asm/sembuf.h", "asm/shmbuf.h", "asm/msgbuf.h")
DECLARATIONS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str]] = {
    "timespec": ("struct __kernel_timespec", ("linux/time_types.h",), ALL, ""),
    "timeval": ("struct __kernel_old_timeval", ("linux/time_types.h",), ALL, ""),
    "itimerval": ("struct __kernel_old_itimerval", ("linux/time_types.h",), ALL, ""),
    "tms": ("struct tms", ("linux/times.h",), ALL, ""),
    "stat": ("struct stat", ("asm/stat.h",), ALL, ""),
    "stat64": ("struct stat64", ("asm/stat.h",), BITS32, ""),
    "statfs": ("struct statfs", ("asm/statfs.h",), ALL, ""),
    "statfs64": ("struct statfs64", ("asm/statfs.h",), ALL, ""),
    "flock": ("struct flock", ("asm/fcntl.h",), ALL, ""),
    "flock64": ("struct flock64", ("asm/fcntl.h",), BITS32, ""),
    "epoll_event": ("struct epoll_event", ("linux/eventpoll.h",), ALL, ""),
    "iovec": ("struct iovec", ("linux/uio.h",), ALL, ""),
    "msghdr": ("struct msghdr", ("sys/socket.h",), ALL, "size"),
    "pollfd": ("struct pollfd", ("asm/poll.h",), ALL, ""),
    "winsize": ("struct winsize", ("asm/termios.h",), ALL, ""),
    "clone_args": ("struct clone_args", ("linux/sched.h",), ALL, ""),
    "stack_t": ("stack_t", ("linux/signal.h",), ALL, ""),
    "rlimit": ("struct rlimit", ("linux/resource.h",), ALL, ""),
    "rlimit64": ("struct rlimit64", ("linux/resource.h",), ALL, ""),
    "utsname": ("struct new_utsname", ("linux/utsname.h",), ALL, ""),
    "sysinfo": ("struct sysinfo", ("linux/sysinfo.h",), ALL, "size"),
    "robust_list_head": ("struct robust_list_head", ("linux/futex.h",), ALL, ""),
    "semid64_ds": ("struct semid64_ds", IPC, ALL, "size"),
    "shmid64_ds": ("struct shmid64_ds", IPC, ALL, "size"),
    "msqid64_ds": ("struct msqid64_ds", IPC, ALL, "size"),
    "ipc_perm": ("struct ipc64_perm", IPC, ALL, "size"),
    "rusage": ("struct rusage", ("linux/resource.h",), ALL, "size"),
}
# Linux 5.18 moved mips's l_sysid behind l_pid by accident; programs (glibc's <bits/fcntl.h>) have it before.
NOT_COMPARED = {("flock", "mips"): ("l_sysid", "l_pid")}


def find(name: str) -> type[Layout]:
    found: type[Layout] = next(vars(m)[name] for m in MODULES if name in vars(m))
    return found


CASES = [(name, isa) for name, (_, _, isas, _) in DECLARATIONS.items() for isa in isas]


@pytest.mark.guest
@pytest.mark.parametrize(("name", "isa"), CASES)
def test_layout_is_the_compilers(name: str, isa: str):
    declaration, headers, _, what = DECLARATIONS[name]
    compiled: CStruct = find(name).of(arch.load(isa).model)
    fields = (
        []
        if what == "size"
        else [f for f in compiled.names if "pad" not in f and "unused" not in f]
    )
    fields = [
        f for f in fields if f not in NOT_COMPARED.get((name, isa), ("f_spare", "_stat64__st_ino"))
    ]
    expressions = [
        f"sizeof({declaration})",
        *(f"__builtin_offsetof({declaration}, {f})" for f in fields),
    ]
    size, *offsets = ask(isa, (*KERNEL, *headers), expressions)
    assert (compiled.size, {f: compiled.offsets[f] for f in fields}) == (
        size,
        dict(zip(fields, offsets, strict=True)),
    )


@pytest.mark.guest
@pytest.mark.parametrize("isa", ALL)
def test_old_time_is_two_longs_of_32_bits(isa: str):
    model = arch.load(isa).model
    size, offset = ask(
        isa,
        ("linux/types.h",),
        ("sizeof(struct old)", "__builtin_offsetof(struct old, tv_nsec)"),
        "struct old { int tv_sec; int tv_nsec; };",
    )
    old = structs.timespec.of(model, "time32")
    assert (old.size, old.offsets["tv_nsec"]) == (size, offset)


def test_every_structure_compiles_for_every_model():
    declared = [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Layout) and value is not Layout
    ]
    for isa in ALL:
        for layout in declared:
            compiled = layout.of(arch.load(isa).model)
            assert compiled.size == len(compiled.pack({})) > 0


def test_models_name_variants_that_exist_and_differ():
    for isa in ALL:
        model = arch.load(isa).model
        plain = DataModel("plain", bits=model.bits, big=model.big)
        for name, variant in model.variants.items():
            base = find(name)
            assert variant in base.variants()
            ours, generic = base.of(model), base.of(plain)
            assert (ours.size, ours.offsets) != (generic.size, generic.offsets), (
                f"{isa}: {name} is the generic one"
            )


class Mixed(Layout):
    a: U8
    b: Long
    c: Array = array(I16, 3)
    d: Int
    e: I64
    f: Array = array(U8, 5)


class Outer(Layout):
    head: U8
    inner: Mixed
    many: Array = array(Mixed, 2)


MODELS = [
    DataModel(f"{bits}{'be' if big else 'le'}", bits=bits, big=big)
    for bits in (32, 64)
    for big in (False, True)
]


def signed(bits: int):
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


@st.composite
def mixed(draw, bits: int):
    return (
        draw(st.integers(0, 255)),
        draw(signed(bits)),
        tuple(draw(st.lists(signed(16), min_size=3, max_size=3))),
        draw(signed(32)),
        draw(signed(64)),
        draw(st.binary(min_size=5, max_size=5)),
    )


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@given(data=st.data())
def test_what_is_packed_comes_back(model: DataModel, data: st.DataObject):
    value = (
        data.draw(st.integers(0, 255)),
        data.draw(mixed(model.bits)),
        (data.draw(mixed(model.bits)), data.draw(mixed(model.bits))),
    )
    compiled = Outer.of(model)
    packed = compiled.pack(value)
    assert len(packed) == compiled.size
    assert compiled.unpack(packed) == value
    assert compiled.pack(compiled.mapping(packed)) == packed


@given(st.integers())
def test_a_value_that_fits_neither_way_is_refused(value: int):
    compiled = type("One", (Layout,), {"__annotations__": {"x": U32}}).of(MODELS[0])  # type: ignore[attr-defined]
    if -(1 << 31) <= value < 1 << 32:
        assert compiled.unpack(compiled.pack((value,))) == (value & 0xFFFFFFFF,)
        MODELS[0]._compiled.clear()
    else:
        with pytest.raises(OverflowError, match=r"One\.x"):
            compiled.pack((value,))


def test_padding_is_zero_and_wrong_fields_are_named():
    compiled = Mixed.of(MODELS[3])
    packed = compiled.pack((255, -1, (-1, -1, -1), -1, -1, b"\xff" * 5))
    covered = set()
    for name, size in (("a", 1), ("b", 8), ("c", 6), ("d", 4), ("e", 8), ("f", 5)):
        covered |= set(range(compiled.offsets[name], compiled.offsets[name] + size))
    assert all((byte == 0xFF) == (at in covered) for at, byte in enumerate(packed))
    with pytest.raises(TypeError, match="no field nonsense"):
        compiled.pack({"nonsense": 1})
