// See engine.h. What a TLB entry may allow is decided in `grant`; the comment there is the one to
// read.
#include "engine.h"

#include <unistd.h>

#include <stdexcept>

#include "cpu.h"
#include "fast_calls.h"
#include "signals.h"

namespace octavo {

namespace {

thread_local Engine* t_engine __attribute__((tls_model("initial-exec"))) = nullptr;
thread_local Engine* t_held __attribute__((tls_model("initial-exec"))) = nullptr;

constexpr int LOAD = 0, STORE = 1, FETCH = 2;  // MMUAccessType
constexpr int NEED[] = {R, W, X};
constexpr uint64_t FEW_PAGES = 16;  // flushing more of them one by one is slower than flushing all
constexpr uint64_t GROW_MAX = 32768;
constexpr size_t RECHECK_MOST = 128;  // pages after one system call

uint64_t host_page() {
    static const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
    return page;
}

void must(uc_err err, const char* what) {
    if (err != UC_ERR_OK)
        throw std::runtime_error(std::string(what) + ": " + uc_strerror(err));
}

// As uc_emu_stop, for translated code that looks at g_leave first.
void stop_here(uc_engine* uc) {
    g_leave.store(1, std::memory_order_seq_cst);
    uc_emu_stop(uc);
}

void on_interrupt(uc_engine* uc, uint32_t number, void* user) {
    auto* engine = static_cast<Engine*>(user);
    engine->why = stop::TRAP;
    engine->trap = number;
    for (uint32_t trap : engine->facts.syscall_traps)
        if (trap == number)
            engine->why = stop::SYSCALL;
    stop_here(uc);
}

void on_syscall_instruction(uc_engine* uc, void* user) {
    static_cast<Engine*>(user)->why = stop::SYSCALL;
    stop_here(uc);
}

// Reached only when `Engine::fill` found a fault: say so, and Unicorn leaves with the exact program
// counter.
bool on_fill(uc_engine*, uint64_t, uc_mem_type, uc_tlb_entry*, void*) {
    return false;
}

void on_bus_error(uint64_t host, uint64_t pc, uint64_t link, uint64_t stack, bool store) {
    if (Engine* engine = t_engine; engine && engine->running)
        engine->guest_bus_error(host, pc, link, stack, store);
}

}  // namespace

Engine* Engine::of_thread() {
    return t_engine;
}

Engine::Engine(std::shared_ptr<PageTable> t, Facts f) : table(std::move(t)), facts(std::move(f)) {
    Engine* outer = t_engine;
    t_engine = this;
    try {
        open();
    } catch (...) {
        t_engine = outer;
        if (uc)
            uc_close(uc);
        throw;
    }
    t_engine = outer;
    guest_fault = on_bus_error;
    table->attach(this);
}

void Engine::open() {
    must(uc_open(uc_arch(facts.arch), uc_mode(facts.mode), &uc), "uc_open");
    if (facts.model >= 0)
        must(uc_ctl_set_cpu_model(uc, facts.model), "cpu model");
    if (facts.page_settable)
        must(uc_ctl_set_page_size(uc, uint32_t(table->page)), "page size");
    must(uc_ctl_tlb_mode(uc, UC_TLB_VIRTUAL), "tlb mode");
    must(uc_ctl_exits_enable(uc), "exits");  // and none are set: no `until`
    must(uc_mem_map_ptr(uc, 0, table->arena->size, UC_PROT_ALL,
                        reinterpret_cast<void*>(table->arena->base)),
         "arena");
    uc_hook hook;
    auto any = [](auto* f) { return reinterpret_cast<void*>(f); };
    must(uc_hook_add(uc, &hook, UC_HOOK_TLB_FILL, any(&on_fill), this, 1, 0), "fill hook");
    must(uc_hook_add(uc, &hook, UC_HOOK_INTR, any(&on_interrupt), this, 1, 0), "interrupt hook");
    if (facts.syscall_insn >= 0)
        must(uc_hook_add(uc, &hook, UC_HOOK_INSN, any(&on_syscall_instruction), this, 1, 0,
                         facts.syscall_insn),
             "syscall hook");
}

Engine::~Engine() {
    table->detach(this);
    Engine* outer = t_engine;
    t_engine = this;
    if (pristine)
        uc_context_free(pristine);
    uc_close(uc);
    t_engine = outer == this ? nullptr : outer;
    if (t_held == this)
        t_held = nullptr;
}

void Engine::take(bool urgent) {
    baton.take(urgent);
    t_held = this;
}

void Engine::release() {
    t_held = nullptr;
    baton.release();
}

bool Engine::held() const {
    return t_held == this;
}

bool Engine::fault(uint64_t address, int access, int kind, bool probe) {
    if (!probe) {
        why = stop::FAULT;
        fault_address = address;
        fault_access = NEED[access];
        fault_mapped = kind;
    }
    return false;
}

bool Engine::fill(const Target& target, void* cs, uint64_t address, int access, int mmu,
                  bool probe) {
    target_ = &target;
    cs_ = cs;
    counters.fills++;
    uint64_t guest_page = address & ~(table->page - 1), size = table->page;
    if (access == FETCH && !breakpoints_.empty() && breakpoint_pages_.count(guest_page)) {
        if (breakpoints_.count(address)) {
            if (!probe)
                why = stop::BREAKPOINT;
            return false;
        }
        size = 1;  // ask again at every instruction of this page
    }
    Mapping m;
    if (!table->lookup(address, m))
        return fault(address, access, mapped::NOTHING, probe);
    if (!(m.perms & NEED[access]))
        return fault(address, access, mapped::PERMISSION, probe);
    if (m.perms & BEYOND)
        return fault(address, access, mapped::BEYOND, probe);
    if (suspect != NO_PAGE && !probe) {
        uint64_t at = m.offset + (address - m.start);
        if ((at & ~(host_page() - 1)) == suspect)
            return fault(address, access, mapped::HOST, probe);
    }
    if (++fills_since_flush_ >= grow_at_)
        grow(target, cs);
    uint64_t offset = m.offset + (guest_page - m.start);
    if (table->counting)
        table->touch(offset, 1);
    int prot = grant(target, cs, m, offset >> table->page_shift, guest_page, access);
    target.tlb_set_page(cs, guest_page, offset, prot, mmu, size);
    return true;
}

// What the entry may allow. More than was asked for saves a second fill; less is needed where we
// must notice something:
// - a store into a page that may hold translated code. Unicorn notices it only while the entry also
// allows
//   execution, so such a page gets all three, and stores to it are slow. Where it is no longer
//   executable, its translations are dropped and it becomes an ordinary page.
// - execution of a page that some entry lets the guest store to directly: that entry has to go
// first.
// - any store, while a journal is kept.
int Engine::grant(const Target& target, void* cs, const Mapping& m, uint64_t page,
                  uint64_t guest_page, int access) {
    int perms = m.perms & RWX;
    bool journal = table->journaling();
    if (access == FETCH || (access == LOAD && (perms & (W | X)) == X)) {
        if (table->written.test(page)) {
            target.tlb_flush(cs);
            counters.flushes++;
            table->written.reset(page);
        }
        table->code.set(page);
        if (!changing_.empty())
            remember(target, page);
        return journal ? perms & ~W : perms;
    }
    if (journal && access == STORE)
        table->journal_add(guest_page);
    bool code = table->code.test(page);
    if (access == LOAD && (!(perms & W) || journal || (code && !(perms & X))))
        return perms & R;
    if (code && (perms & X))
        return perms;
    if (code) {
        uint64_t offset = page << table->page_shift;
        target.tb_invalidate(uc, offset, offset + table->page);
        target.tlb_flush(cs);
        counters.invalidations++, counters.flushes++;
        table->code.reset(page);
    }
    table->written.set(page);
    return perms & ~X;
}

// The TLB starts small and is only resized at a flush: after many fills, flush so that it can.
void Engine::grow(const Target& target, void* cs) {
    target.tlb_flush(cs);
    counters.flushes++;
    fills_since_flush_ = 0;
    if (grow_at_ < GROW_MAX)
        grow_at_ *= 2;
}

void Engine::watch_code(std::vector<std::pair<uint64_t, uint64_t>> parts) {
    Hold hold(*this);
    changing_ = std::move(parts);
    if (changing_.empty())
        seen_.clear();
}

// Before the page is translated, or translated code in it is entered again.
void Engine::remember(const Target& target, uint64_t page) {
    const uint64_t offset = page << table->page_shift;
    bool ours = false;
    for (auto [start, length] : changing_) ours |= offset - start < length;
    if (!ours)
        return;
    std::vector<uint8_t>& bytes = seen_[page];
    std::vector<uint8_t> now(table->page);
    now.resize(guarded_copy(now.data(), table->arena->at(offset), now.size()));
    if (!bytes.empty() && bytes != now) {
        target.tb_invalidate(uc, offset, offset + table->page);
        counters.invalidations++;
    }
    bytes = std::move(now);
}

// Code that another process wrote, or that a system call put into the file. No processor of a guest
// tells us of the one, nor the host of the other; so it is looked for after system calls, which the
// processes need to agree on when. Of very many pages a part at a time.
void Engine::recheck() {
    if (__builtin_expect(changing_.empty() || !target_ || seen_.empty(), 1))
        return;
    Engine* outer = t_engine;
    t_engine = this;
    std::vector<uint8_t> now(table->page);
    auto it = seen_.size() > RECHECK_MOST ? seen_.lower_bound(next_seen_) : seen_.begin();
    for (size_t left = std::min(seen_.size(), RECHECK_MOST); left--; ++it) {
        if (it == seen_.end())
            it = seen_.begin();
        auto& [page, bytes] = *it;
        const uint64_t offset = page << table->page_shift;
        now.resize(table->page);
        now.resize(guarded_copy(now.data(), table->arena->at(offset), now.size()));
        if (now != bytes) {
            target_->tb_invalidate(uc, offset, offset + table->page);
            counters.invalidations++;
            bytes = now;
        }
    }
    next_seen_ = it == seen_.end() ? 0 : it->first;
    t_engine = outer;
}

void Engine::invalidate(uint64_t offset, uint64_t length) {
    if (!target_ || length == 0)
        return;
    const uint64_t end = offset + length;
    const uint64_t stop = ((end - 1) >> table->page_shift) + 1;
    Hold hold(*this);
    Engine* outer = t_engine;
    t_engine = this;
    for (uint64_t p = table->code.next(offset >> table->page_shift, stop); p < stop;
         p = table->code.next(p + 1, stop)) {
        uint64_t from = std::max(offset, p << table->page_shift);
        uint64_t to = std::min(end, (p + 1) << table->page_shift);
        target_->tb_invalidate(uc, from, to);
        counters.invalidations++;
    }
    std::erase_if(alone_, [=](uint64_t at) { return at >= offset && at < end; });
    t_engine = outer;
}

void Engine::do_alone() {
    note_pc();
    Mapping m;
    if (!table->lookup(exact_pc, m))
        return;
    uint64_t offset = m.offset + (exact_pc - m.start);
    if (alone_.insert(offset).second)
        target_->tb_invalidate(uc, offset, offset + 1);
    if (blocks_left == 0)
        blocks_left = 1;  // the step is still to be done
}

bool Engine::alone(uint64_t pc) const {
    Mapping m;
    return !alone_.empty() && table->lookup(pc, m) && alone_.count(m.offset + (pc - m.start));
}

void Engine::drop_code(uint64_t guest) {
    constexpr uint64_t BLOCK = 128;  // no processor of ours has a larger one
    Mapping m;
    if (!target_ || !table->lookup(guest, m))
        return;
    uint64_t offset = (m.offset + (guest - m.start)) & ~(BLOCK - 1);
    if (!table->code.test(offset >> table->page_shift))
        return;
    target_->tb_invalidate(uc, offset, offset + BLOCK);
    counters.invalidations++;
}

// What was translated from here on before is longer than one instruction; what is translated now is
// short, and would slow down who comes along here again.
void Engine::begin_step() {
    stepping = true;
    blocks_left = 1;
    stepped_ = start_address();
    drop_stepped();
}

void Engine::end_step() {
    stepping = false;
    blocks_left = ANY;
    drop_stepped();
}

void Engine::drop_stepped() {
    constexpr uint64_t WITH_SLOT = 8;
    t_engine = this;
    drop_code(stepped_);
    drop_code(stepped_ + WITH_SLOT - 1);
    t_engine = nullptr;
}

void Engine::flush_held() {
    if (!target_ || fills_since_flush_ == 0)
        return;
    target_->tlb_flush(cs_);
    counters.flushes++;
    fills_since_flush_ = 0;
}

void Engine::flush() {
    Hold hold(*this);
    flush_held();
}

void Engine::flush_range(uint64_t guest, uint64_t last) {
    Hold hold(*this);
    if (!target_ || fills_since_flush_ == 0)
        return;
    if ((last - guest) / table->page >= FEW_PAGES)
        return flush_held();
    for (uint64_t pages = (last - guest) / table->page + 1; pages--; guest += table->page) {
        target_->tlb_flush_page(cs_, guest);
        counters.page_flushes++;
    }
}

void Engine::breakpoints(const std::vector<uint64_t>& addresses) {
    Hold hold(*this);
    breakpoints_.clear();
    breakpoint_pages_.clear();
    for (uint64_t address : addresses) {
        breakpoints_.insert(address);
        breakpoint_pages_.insert(address & ~(table->page - 1));
    }
    flush_held();
    // A block that was translated from such a page could still be chained to.
    for (uint64_t guest_page : breakpoint_pages_) {
        Mapping m;
        if (table->lookup(guest_page, m))
            invalidate(m.offset + (guest_page - m.start), table->page);
    }
}

void Engine::fast_calls(const std::vector<std::pair<int64_t, std::string>>& names,
                        const std::vector<std::pair<int, int>>& errors) {
    std::unordered_map<int64_t, FastCall> table_of_calls;
    for (auto& [number, name] : names) table_of_calls.emplace(number, fast_call_named(name));
    Hold hold(*this);
    fast = std::move(table_of_calls);
    fast_errors = {errors.begin(), errors.end()};
}

uint64_t Engine::start_address() {
    uint64_t pc = 0;
    uc_reg_read(uc, facts.pc, &pc);
    if (facts.arch ==
        UC_ARCH_ARM) {  // bit 0 chooses the instruction set, and reading does not give it
        uint32_t cpsr = 0;
        uc_reg_read(uc, UC_ARM_REG_CPSR, &cpsr);
        pc |= cpsr >> 5 & 1;
    }
    return pc;
}

void Engine::execute() {
    why = stop::NONE;
    translating = false;
    raised = 0;
    t_engine = this;
    running = true;
    uc_err err = uc_emu_start(uc, start_address(), 0, 0, 0);
    running = false;
    t_engine = nullptr;
    counters.stops++;
    if (why != stop::NONE || err == UC_ERR_OK)
        return;
    constexpr uint32_t RISCV_EBREAK = 3;
    if (err == UC_ERR_INSN_INVALID && raised != RISCV_EBREAK) {
        why = stop::ILLEGAL;
    } else {
        why = stop::TRAP;
        trap = raised ? raised : 0x10000 + uint32_t(err);
        note_pc();
    }
}

// mips, ppc and riscv exceptions come with a program counter that was moved on (see links.cc): by 4
// for ppc and riscv, which is right after a system call only, and to an old value for mips.
void Engine::settle() {
    bool moves =
        facts.arch == UC_ARCH_MIPS || facts.arch == UC_ARCH_PPC || facts.arch == UC_ARCH_RISCV;
    if (!moves || (why != stop::TRAP && why != stop::SYSCALL))
        return;
    uint64_t pc = exact_pc + (why == stop::SYSCALL ? 4 : 0);
    uc_reg_write(uc, facts.pc, &pc);
}

void Engine::before_fork() {
    if (!held())
        take(true);
}

void Engine::after_fork_parent() {
    release();
}

void Engine::after_fork_child() {
    t_held = nullptr;
    new (&baton) Baton();  // nobody else is left: what the others waited with is gone
    new (&resident_lock) std::mutex();
}

// A host SIGBUS while guest code ran: the file behind a mapping was cut. Called from the signal
// handler; leaves by a jump into the engine's loop, as QEMU's user mode does. The guest program
// counter comes from the host one when translated code faulted, from the return address into
// translated code (the first on the stack) when one of its helpers did, and is exact already when
// the translator read the code itself.
void Engine::guest_bus_error(uint64_t host, uint64_t pc, uint64_t link, uint64_t stack,
                             bool store) {
    constexpr int GETPC_ADJ = 2;  // tcg: return addresses are looked up minus this
    constexpr int WORDS = 512;
    uint64_t guest;
    if (!target_ || !table->reverse(host - table->arena->base, guest))
        return;
    int access = translating ? FETCH : store ? STORE : LOAD;
    if (!translating && !target_->restore_state(cs_, pc + GETPC_ADJ, true) &&
        !(link && target_->restore_state(cs_, link, true))) {
        auto* word = reinterpret_cast<const uint64_t*>(stack);
        int i = 0;
        while (i < WORDS && !target_->restore_state(cs_, word[i], true)) i++;
        if (i == WORDS)
            return;
    }
    fault(guest, access, mapped::HOST, false);
    if (suspect == NO_PAGE && !translating && table->ambiguous(host - table->arena->base))
        suspect = (host - table->arena->base) & ~(host_page() - 1);
    stop_here(uc);
    target_->loop_exit(cs_);
}

}  // namespace octavo
