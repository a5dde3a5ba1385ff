"""What GDB is told of the architectures: well-formed, and of registers that the engine has."""

import xml.etree.ElementTree

import pytest

from runtime import arch
from runtime.arch.debugger import load_all
from runtime.gdb.numbers import UNKNOWN, from_gdb, to_gdb
from runtime.gdb.target import Layout

FACTS = load_all()
each = pytest.mark.parametrize(
    "isa", [arch.load(n) for n in arch.ARCHITECTURES], ids=lambda i: i.name
)


@each
def test_every_register_is_the_engine_s(isa) -> None:
    for register in Layout(isa).registers:
        assert register.source is None or register.source in isa.engine.registers, register.name
        assert register.bits % 8 == 0
        assert register.value is None or register.value < 1 << register.bits


@each
def test_names_are_given_once(isa) -> None:
    names = [register.name for register in Layout(isa).registers]
    assert len(set(names)) == len(names)
    assert {"pc", "rip"} & set(names) and {"sp", "rsp", "r1", "r29"} & set(names)


@each
def test_the_description_is_xml_and_knows_its_types(isa) -> None:
    top = xml.etree.ElementTree.fromstring(Layout(isa).description())
    built_in = {"code_ptr", "data_ptr", "ieee_single", "ieee_double", "i387_ext", "int"}
    built_in |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64, 128)}
    for feature in top.iter("feature"):
        known = {element.get("id") for element in feature.iter()} | built_in
        assert {element.get("type") for element in feature.iter() if element.get("type")} <= known
    sizes = [int(register.get("bitsize", "0")) for register in top.iter("reg")]
    assert sizes == [register.bits for register in Layout(isa).registers]


@each
def test_breakpoints_are_what_their_kind_says(isa) -> None:
    for kind, instruction in FACTS[isa.name].breakpoints.items():
        assert len(instruction) == (4 if isa.name == "arm" and kind == 3 else kind)


def test_signals_there_and_back() -> None:
    for signo in range(1, 65):
        number = to_gdb(signo)
        assert from_gdb(number) == (0 if number == UNKNOWN else signo)
    assert [to_gdb(signo) for signo in (2, 7, 10, 11, 17, 33, 63)] == [2, 10, 30, 11, 20, 45, 75]
