// One Unicorn instance over a page table, shared by all tasks of a process.
//
// The odd thing: we are linked into it. The linker's --wrap sends a few of the translator's own
// calls through us (links.cc): the TLB fill, which then knows the exact address and the exact
// cause; the exit check of each block, which then tests our flags, so that a kick cannot be lost;
// and the emission of that check, so that there is one per block and an instruction is never left
// half done.
#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "baton.h"
#include "page_table.h"

namespace octavo {

class Cpu;

namespace stop {
constexpr int NONE = 0, SYSCALL = 1, FAULT = 2, ILLEGAL = 3, TRAP = 4, BREAKPOINT = 5, KICKED = 6,
              RESIZED = 7, STEPPED = 8;
}
namespace style {
constexpr int NEGATIVE = 0, FLAG_REGISTER = 1, CR0_SO = 2;
}
namespace mapped {
constexpr int NOTHING = 0, PERMISSION = 1, BEYOND = 2, HOST = 3;
}
constexpr uint64_t NO_PAGE = ~uint64_t(0);
constexpr int ANY = -1;

// Functions of the translator, one set for each target that Unicorn was built with.
struct Target {
    void (*tlb_set_page)(void* cs, uint64_t address, uint64_t offset, int prot, int mmu,
                         uint64_t size);
    void (*tlb_flush)(void* cs);
    void (*tlb_flush_page)(void* cs, uint64_t address);
    void (*tb_invalidate)(uc_engine* uc, uint64_t start, uint64_t end);
    void (*loop_exit)(void* cs);
    bool (*restore_state)(void* cs, uintptr_t host_pc, bool will_exit);
};

struct Facts {
    int arch = 0, mode = 0, model = -1;
    std::vector<std::pair<int, uint64_t>> setup;
    bool page_settable = false;
    std::vector<uint32_t> syscall_traps;
    int syscall_insn = -1;
    int number = 0;
    std::vector<int> arguments;
    int result = 0, error = -1, error_style = 0, pc = 0, sp = 0;
};

struct Counters {
    uint64_t fills = 0, flushes = 0, page_flushes = 0, stops = 0, fast_calls = 0, switches = 0,
             translations = 0, invalidations = 0, contexts = 0;
};

enum class FastCall : uint8_t;

class Engine {
  public:
    Engine(std::shared_ptr<PageTable> table, Facts facts);  // throws std::runtime_error
    ~Engine();

    const std::shared_ptr<PageTable> table;
    const Facts facts;
    uc_engine* uc = nullptr;
    Baton baton;
    Counters counters;

    // Safe from any thread; they take the baton unless this thread has it.
    void invalidate(uint64_t offset, uint64_t length);
    // The same for the cache block of a guest address, on the guest's own word, inside run().
    void drop_code(uint64_t guest);
    // Parts of the arena (offset, length) whose code others may change: `recheck` compares the bytes
    // of the pages translated there with what they were.
    void watch_code(std::vector<std::pair<uint64_t, uint64_t>> parts);
    void recheck();
    void flush();
    void flush_range(uint64_t guest, uint64_t last);
    void breakpoints(const std::vector<uint64_t>& addresses);
    void fast_calls(
        const std::vector<std::pair<int64_t, std::string>>& names,  // throws std::invalid_argument
        const std::vector<std::pair<int, int>>& errors);

    void before_fork();
    void after_fork_parent();
    void after_fork_child();

    void take(bool urgent);
    void release();
    bool held() const;  // by this thread

    // From here on: for Cpu and links.cc, with the baton held.
    Cpu* resident = nullptr;   // whose registers are in the engine
    std::mutex resident_lock;  // for readers of registers that do not hold the baton
    std::unordered_map<int64_t, FastCall> fast;
    std::unordered_map<int, int> fast_errors;  // host errno -> the guest's

    // The run that is going on.
    std::atomic<int>* attention = nullptr;
    bool running = false, translating = false;
    int checks = 0;  // exit checks emitted in the block that is being translated
    int why = stop::NONE;
    uint64_t fault_address = 0;
    int fault_access = 0, fault_mapped = 0;
    uint32_t trap = 0;
    uint32_t raised = 0;         // riscv: the exception that translated code raised
    bool stepping = false;       // translate single instructions
    int blocks_left = ANY;       // that may begin before run() stops (one, while it steps)
    uint64_t suspect = NO_PAGE;  // host page (arena offset) whose next fill is the fault looked for
    uint64_t exact_pc = 0;       // where the engine last left translated code

    // An instruction that cannot be done atomically on this host, a locked one across a boundary say,
    // becomes a block of its own, which is not atomic against other processes.
    void do_alone();
    bool alone(uint64_t pc) const;

    void note_pc() {
        exact_pc = 0;
        uc_reg_read(uc, facts.pc, &exact_pc);
    }

    // True: filled. False: there was a fault; `why` and the fault are set unless it was a probe.
    bool fill(const Target& target, void* cs, uint64_t address, int access, int mmu, bool probe);
    bool wants_out() const {
        return baton.give_way.load(std::memory_order_seq_cst) ||
               attention->load(std::memory_order_seq_cst);
    }
    // At the beginning of a block: whether to stop before it.
    bool leaves() {
        if (blocks_left == 0)
            why = stop::STEPPED;
        else if (!wants_out()) {
            blocks_left -= blocks_left != ANY;
            return false;
        }
        return true;
    }
    // The next execute() does one instruction, and the branch's delay slot with it, until end_step().
    void begin_step();
    void end_step();
    void guest_bus_error(uint64_t host, uint64_t pc, uint64_t link, uint64_t stack, bool store);
    uc_context* pristine = nullptr;  // registers after reset
    void execute();                  // run until something stops it; `why` says what
    uint64_t start_address();        // where to start: the program counter as Unicorn wants it
    void settle();                   // make the program counter after a stop what the contract says
    static Engine* of_thread();

  private:
    void open();
    bool fault(uint64_t address, int access, int kind, bool probe);
    int grant(const Target& target, void* cs, const Mapping& m, uint64_t page, uint64_t guest_page,
              int access);
    void grow(const Target& target, void* cs);
    void remember(const Target& target, uint64_t page);
    void flush_held();
    void drop_stepped();

    const Target* target_ =
        nullptr;  // known from the first fill on; before, there is nothing to flush
    void* cs_ = nullptr;
    uint64_t fills_since_flush_ = 0, grow_at_ = 512;
    uint64_t stepped_ = 0;                // guest address of the instruction that is stepped
    std::unordered_set<uint64_t> alone_;  // offsets in the arena
    std::vector<std::pair<uint64_t, uint64_t>> changing_;
    std::map<uint64_t, std::vector<uint8_t>> seen_;  // arena page -> its bytes when translated
    uint64_t next_seen_ = 0;                         // where the next recheck of many goes on
    std::unordered_set<uint64_t> breakpoints_;
    std::unordered_set<uint64_t> breakpoint_pages_;
};

struct Hold {
    explicit Hold(Engine& e, bool urgent = true) : engine(e), mine(!e.held()) {
        if (mine)
            engine.take(urgent);
    }
    ~Hold() {
        if (mine)
            engine.release();
    }
    Engine& engine;
    const bool mine;
};

}  // namespace octavo
