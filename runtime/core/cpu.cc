// See cpu.h.
#include "cpu.h"

#include <stdexcept>

#include "fast_calls.h"

namespace octavo {

Cpu::Cpu(std::shared_ptr<Engine> e, Cpu* copy) : engine(std::move(e)) {
    Hold hold(*engine);
    if (uc_context_alloc(engine->uc, &context_) != UC_ERR_OK)
        throw std::bad_alloc();
    if (copy) {
        copy->make_resident();
        uc_context_save(engine->uc, context_);
        return;
    }
    // What the engine holds before anybody ran is the state after reset: keep it for every fresh
    // task.
    std::lock_guard lock(engine->resident_lock);
    if (!engine->pristine) {
        uc_context_alloc(engine->uc, &engine->pristine);
        uc_context_save(engine->uc, engine->pristine);
    }
    if (engine->resident)
        engine->resident->leave_engine();
    fresh_registers();
    engine->resident = this;
}

Cpu::~Cpu() {
    slot_unbind(&slot);
    Hold hold(*engine);
    std::lock_guard lock(engine->resident_lock);
    if (engine->resident == this)
        engine->resident = nullptr;
    uc_context_free(context_);
}

// An aarch64 system register is the engine's "coprocessor register" id with the encoding of the
// MRS instruction (op0 op1 crn crm op2: 2+3+4+4+3 bits) above it; see EngineFacts.setup.
static void write_setup(Engine& engine, int reg, uint64_t value) {
    constexpr int shift = 12;
    if (reg >> shift == 0) {
        uc_reg_write(engine.uc, reg, &value);
        return;
    }
    unsigned code = unsigned(reg) >> shift;
    uc_arm64_cp_reg system = {};
    system.op0 = code >> 14 & 3;
    system.op1 = code >> 11 & 7;
    system.crn = code >> 7 & 15;
    system.crm = code >> 3 & 15;
    system.op2 = code & 7;
    system.val = value;
    uc_reg_write(engine.uc, reg & ((1 << shift) - 1), &system);
}

void Cpu::fresh_registers() {
    uc_context_restore(engine->uc, engine->pristine);
    for (auto [reg, value] : engine->facts.setup) write_setup(*engine, reg, value);
}

void Cpu::reset() {
    Hold hold(*engine);
    make_resident();
    fresh_registers();
}

void Cpu::leave_engine() {
    uc_context_save(engine->uc, context_);
    engine->resident = nullptr;
}

void Cpu::make_resident() {
    if (engine->resident == this)
        return;
    std::lock_guard lock(engine->resident_lock);
    if (engine->resident)
        engine->resident->leave_engine();
    uc_context_restore(engine->uc, context_);
    for (auto& [reg, value] : pending_) uc_reg_write(engine->uc, reg, value.data());
    pending_.clear();
    engine->resident = this;
    engine->counters.switches++;
}

uint64_t Cpu::get(int reg) {
    uint64_t value = 0;
    get_bytes(reg, &value, sizeof value);
    return value;
}

void Cpu::set(int reg, uint64_t value) {
    // Writing arm's pc also chooses the instruction set, by bit 0; CPSR's T is to stay as it is.
    if (engine->facts.arch == UC_ARCH_ARM && reg == engine->facts.pc)
        value |= get(UC_ARM_REG_CPSR) >> 5 & 1;
    set_bytes(reg, &value, sizeof value);
}

// Registers wider than the caller's buffer go through one that is wide enough for any.
void Cpu::get_bytes(int reg, void* into, size_t size) {
    WideRegister wide{};
    std::unique_lock lock(engine->resident_lock);
    if (engine->resident != this && !pending_.empty()) {
        for (auto it = pending_.rbegin(); it != pending_.rend(); ++it) {
            if (it->first == reg) {
                memcpy(into, it->second.data(), std::min(size, wide.size()));
                return;
            }
        }
        lock.unlock();  // it may be a part of one that was written: let the engine say
        Hold hold(*engine);
        make_resident();
        return get_bytes(reg, into, size);
    }
    uc_err err = engine->resident == this ? uc_reg_read(engine->uc, reg, wide.data())
                                          : uc_context_reg_read(context_, reg, wide.data());
    if (err != UC_ERR_OK)
        throw std::invalid_argument("no such register");
    memcpy(into, wide.data(), std::min(size, wide.size()));
}

// A saved context cannot be written to: some registers' writers use parts of the processor that it
// does not have. What is written meanwhile waits for the registers' return into the engine.
void Cpu::set_bytes(int reg, const void* from, size_t size) {
    WideRegister wide{};
    memcpy(wide.data(), from, std::min(size, wide.size()));
    std::lock_guard lock(engine->resident_lock);
    if (engine->resident != this)
        pending_.emplace_back(reg, wide);
    else if (uc_reg_write(engine->uc, reg, wide.data()) != UC_ERR_OK)
        throw std::invalid_argument("no such register");
}

void Cpu::set_result(int64_t value) {
    const Facts& facts = engine->facts;
    bool failed = value < 0 && value >= -4095;
    if (facts.error_style != style::NEGATIVE) {
        uint64_t flag = 1, old = 0;
        if (facts.error_style == style::CR0_SO) {
            flag = 0x10000000;  // the summary-overflow bit of the first condition field
            old = get(facts.error) & ~flag;
        }
        set(facts.error, failed ? old | flag : old);
        if (failed)
            value = -value;
    }
    set(facts.result, uint64_t(value));
}

void Cpu::note_call() {
    const Facts& facts = engine->facts;
    call.fill(0);
    uc_reg_read(engine->uc, facts.number, &call[0]);
    for (size_t i = 0; i < facts.arguments.size() && i < 6; i++)
        uc_reg_read(engine->uc, facts.arguments[i], &call[i + 1]);
}

int Cpu::run(bool single) {
    for (;;) {
        if (int wanted = slot.attention.load(); wanted & (KICK | SIGNAL)) {
            slot_unkick(&slot);
            return stop::KICKED;  // SIGNAL stays until the signal is taken
        }
        if (engine->table->resized())
            return stop::RESIZED;
        engine->take(false);
        make_resident();
        engine->recheck();
        if (single)
            engine->begin_step();
        int why = attempt();
        if (single)
            engine->end_step();
        if (why == stop::SYSCALL) {
            note_call();
            auto found = engine->fast.find(int64_t(call[0]));
            if (found != engine->fast.end() && fast_call(*this, found->second)) {
                engine->counters.fast_calls++;
                why = single ? stop::STEPPED : stop::NONE;
            }
        }
        if (engine->held())
            engine->release();
        if (why != stop::NONE)
            return why;
    }
}

// Run until something stops it. NONE: somebody wants the baton, or there is a kick, which the
// caller looks for.
int Cpu::attempt() {
    Engine& e = *engine;
    e.attention = &slot.attention;
    g_leave.store(0, std::memory_order_seq_cst);
    if (e.wants_out() || e.blocks_left != ANY)
        g_leave.store(1, std::memory_order_seq_cst);
    e.execute();
    // A block may run on into the next page. When that cannot be fetched, what lies before it is
    // still to be done: go there instruction by instruction.
    if (e.why == stop::FAULT && e.fault_access == X && e.translating &&
        (e.start_address() ^ e.fault_address) >> e.table->page_shift) {
        bool single = e.stepping;
        e.stepping = true;
        e.execute();
        e.stepping = single;
    }
    if (e.why == stop::FAULT && e.suspect != NO_PAGE) {
        // The same bytes are at several guest addresses: the instruction's own fill tells which.
        e.flush();
        e.execute();
        e.suspect = NO_PAGE;
    }
    e.settle();
    // The step is done, and the next instruction cannot be fetched: that is the next run's business.
    if (e.blocks_left == 0) {
        uint64_t pc = 0;
        uc_reg_read(e.uc, e.facts.pc, &pc);
        bool fetch = e.why == stop::FAULT && e.fault_access == X && e.fault_address == pc;
        if (fetch || e.why == stop::BREAKPOINT)
            e.why = stop::STEPPED;
    }
    fault_address = e.fault_address;
    fault_access = e.fault_access;
    fault_mapped = e.fault_mapped;
    trap = e.trap;
    return e.why;
}

}  // namespace octavo
