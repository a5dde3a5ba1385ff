"""An engine with a few bytes of code in it, of any architecture and model: for asking a processor what it can do."""

from runtime import _core
from runtime.arch.architecture import Architecture
from runtime.memory.host import ArenaHost
from runtime.task import machine

CODE, DATA = 0x10000, 0x20000
LENGTH = 0x10000  # of each
SIGILL = 4


class OneEngine:
    """`privileged`: as the processor comes out of reset, where identification registers can be read."""

    def __init__(self, isa: Architecture, *, privileged: bool = False) -> None:
        facts = isa.engine
        self.facts = facts
        self.arena = _core.Arena(1 << 32, 1 << 28)
        self.table = _core.PageTable(self.arena, facts.page_sizes[0])
        self.engine = machine.engine(self.table, facts, privileged)
        self.cpu = _core.Cpu(self.engine)
        self.cpu.bind()
        host = ArenaHost(self.arena)
        for place, permissions in ((CODE, _core.R | _core.X), (DATA, _core.R | _core.W)):
            host.map(place, LENGTH, 3, 0x32, -1, 0)  # read, write; private, fixed, anonymous
            self.table.install(place, LENGTH, place, permissions)

    def run(self, code: bytes, **registers: int) -> bool:
        """Whether code that ends with a system call gets there; False: SIGILL. What else happens is a mistake."""
        for name, value in registers.items():
            self.cpu.set(self.facts.registers[name], value)
        self.table.poke(CODE, code)
        self.cpu.set(self.facts.sp, DATA + LENGTH // 2)
        self.cpu.set(self.facts.pc, CODE)
        why = self.cpu.run()
        if why == _core.Stop.SYSCALL:
            return True
        if why == _core.Stop.ILLEGAL:
            return False
        assert why == _core.Stop.TRAP, (why, self.cpu.fault)
        assert self.facts.traps[self.cpu.trap][0] == SIGILL, self.cpu.trap
        return False

    def get(self, register: str) -> int:
        return int(self.cpu.get(self.facts.registers[register]))
