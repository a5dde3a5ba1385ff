// The seams between the translator and us: functions that the linker's --wrap puts in place of
// Unicorn's own, for every target in libunicorn.a. CMakeLists.txt lists the same names and targets.
//
// The translator's buffer gets no huge pages where they are larger than 2 MiB: on a kernel with 64 KiB pages the first
// block that is translated would take, and clear, 512 MiB (qemu_madvise).
//
// They also mend six things of Unicorn 2.1.4 that cannot be mended from outside:
// - exceptions of mips, ppc and riscv reach the interrupt hook with the program counter already moved
//   on, by a guess: it is noted here before that (loop_exit_restore);
// - a mips fault in a delay slot leaves "in a delay slot" set, which would make the next instruction
//   that runs, in a signal handler say, the end of that branch: such state is restored to the branch
//   itself, as the processor's EPC is;
// - a mips block of hundreds of instructions overflows the translator's temporaries;
// - a mips translation that is left in the middle (its next page cannot be fetched) leaves a pointer
//   to a temporary that the next one would use;
// - an illegal instruction first in a riscv block gives a block of size 0, whose "last byte" is on
//   the page before;
// - an atomic instruction that has to be done alone (EXCP_ATOMIC) is tried again for ever.
#include <sys/mman.h>
#include <unistd.h>

#include "engine.h"

namespace {

using octavo::Engine;

// TranslationBlock (qemu/include/exec/exec-all.h) as far as we look.
template <class Word>
struct Block {
    Word pc, cs_base;
    uint32_t flags;
    uint16_t size, icount;
    uint32_t cflags;
};

// In cflags: "other processors run at the same time". Other processes do, on shared memory, so guest
// atomics have to be the host's. Set while a block is translated and not after, because the look-up
// of blocks compares it with a value that Unicorn never sets it in.
constexpr uint32_t CF_PARALLEL = 0x80000;

constexpr int MIPS_BLOCK = 64;  // instructions; each may leave a few of the 512 temporaries behind
constexpr uint64_t MIPS_IN_SLOT = 0x83f800, MIPS_BRANCH_16 = 0x4000;  // MIPS_HFLAG_BMASK, _B16

// Where TCGContext::delay_slot_flag is, for the host that Unicorn was compiled for.
#if defined(__x86_64__)
constexpr size_t DELAY_SLOT_FLAG = 0x100;
#else
constexpr size_t DELAY_SLOT_FLAG = 0x108;
#endif

template <class Word>
void leave_delay_slot(Word* state) {
    if (!(state[1] & MIPS_IN_SLOT))
        return;
    state[0] -= state[1] & MIPS_BRANCH_16 ? 2 : 4;
    state[1] &= Word(~MIPS_IN_SLOT);
}

}  // namespace

extern "C" {
int __real_qemu_madvise(void*, size_t, int);
int __wrap_qemu_madvise(void* start, size_t length, int advice) {
    static const bool huge_is_small = sysconf(_SC_PAGESIZE) <= 4096;
    if (advice == MADV_HUGEPAGE && !huge_is_small)
        advice = MADV_NOHUGEPAGE;  // also where the kernel gives them unasked
    return __real_qemu_madvise(start, length, advice);
}
}

// clang-format off
#define ONE_TARGET(T, Word, is_mips)                                                                \
    extern "C" {                                                                                   \
    void tlb_set_page_##T(void*, uint64_t, uint64_t, int, int, uint64_t);                          \
    void tlb_flush_##T(void*);                                                                     \
    void tlb_flush_page_##T(void*, uint64_t);                                                      \
    void tb_invalidate_phys_range_##T(uc_engine*, uint64_t, uint64_t);                             \
    void cpu_loop_exit_##T(void*);                                                                 \
    void __real_cpu_loop_exit_atomic_##T(void*, uintptr_t);                                        \
    bool cpu_restore_state_##T(void*, uintptr_t, bool);                                            \
    bool __real_unicorn_fill_tlb_##T(void*, uint64_t, int, int, int, bool, uintptr_t);             \
    void __real_helper_check_exit_request_##T(uc_engine*, uint32_t);                               \
    void __real_tcg_gen_callN_##T(void*, void*, void*, int, void**);                               \
    void __real_gen_intermediate_code_##T(void*, void*, int);                                      \
    void* __real_tb_gen_code_##T(void*, uint64_t, uint64_t, uint32_t, int);                        \
    void __real_tlb_reset_dirty_by_vaddr_##T(void*, Word, Word);                                   \
    void __real_restore_state_to_opc_##T(void*, void*, Word*);                                     \
    }                                                                                              \
    static const octavo::Target target_##T = {                                                     \
        tlb_set_page_##T,             tlb_flush_##T,     tlb_flush_page_##T,                       \
        tb_invalidate_phys_range_##T, cpu_loop_exit_##T, cpu_restore_state_##T,                    \
    };                                                                                             \
    extern "C" bool __wrap_unicorn_fill_tlb_##T(void* cs, uint64_t address, int size, int access,  \
                                                int mmu, bool probe, uintptr_t retaddr) {          \
        Engine* engine = Engine::of_thread();                                                      \
        if (engine && engine->fill(target_##T, cs, address, access, mmu, probe))                   \
            return true;                                                                           \
        return probe ? false                                                                       \
                     : __real_unicorn_fill_tlb_##T(cs, address, size, access, mmu, probe, retaddr); \
    }                                                                                              \
    /* The real one looks at its own return address, so it has to be jumped to. */                 \
    extern "C" __attribute__((optimize("O2"))) void __wrap_helper_check_exit_request_##T(          \
        uc_engine* uc, uint32_t in_slot) {                                                         \
        if (__builtin_expect(!octavo::g_leave.load(std::memory_order_relaxed), 1))                 \
            return;                                                                                \
        if (!in_slot && Engine::of_thread()->leaves())                                             \
            uc_emu_stop(uc);                                                                       \
        __real_helper_check_exit_request_##T(uc, in_slot);                                         \
    }                                                                                              \
    /* Only the first check of a block stays: others would leave an instruction half done. */      \
    extern "C" void __wrap_tcg_gen_callN_##T(void* s, void* f, void* ret, int n, void** args) {    \
        if (f == reinterpret_cast<void*>(&__wrap_helper_check_exit_request_##T) &&                 \
            Engine::of_thread()->checks++)                                                         \
            return;                                                                                \
        __real_tcg_gen_callN_##T(s, f, ret, n, args);                                              \
    }                                                                                              \
    extern "C" void __wrap_gen_intermediate_code_##T(void* cs, Block<Word>* block, int most) {     \
        Engine::of_thread()->checks = 0;                                                           \
        if (Engine::of_thread()->stepping || !(block->cflags & CF_PARALLEL))                       \
            most = 1;                                                                              \
        else if (is_mips && most > MIPS_BLOCK)                                                     \
            most = MIPS_BLOCK;                                                                     \
        if (is_mips && (block->flags & MIPS_IN_SLOT) && Engine::of_thread()->blocks_left == 0)     \
            Engine::of_thread()->blocks_left = 1; /* a step does the slot too */                   \
        __real_gen_intermediate_code_##T(cs, block, most);                                         \
        block->cflags &= ~CF_PARALLEL;                                                             \
        if (block->size == 0)                                                                      \
            block->size = 1;                                                                       \
    }                                                                                              \
    extern "C" void* __wrap_tb_gen_code_##T(void* cs, uint64_t pc, uint64_t base, uint32_t flags,  \
                                            int how) {                                             \
        Engine* engine = Engine::of_thread();                                                      \
        engine->translating = true; /* stays set when it leaves by a jump; the run ends then */    \
        engine->counters.translations++;                                                           \
        how |= engine->alone(pc) ? 0 : int(CF_PARALLEL);                                           \
        void* tb = __real_tb_gen_code_##T(cs, pc, base, flags, how);                               \
        engine->translating = false;                                                               \
        return tb;                                                                                 \
    }                                                                                              \
    /* Unicorn looks through the whole TLB for entries through which this code could be written,   \
     * after each block. No page that cannot be written has one. */                                \
    extern "C" void __wrap_tlb_reset_dirty_by_vaddr_##T(void* cs, Word start, Word length) {       \
        if (Engine::of_thread()->table->writable(start, length))                                   \
            __real_tlb_reset_dirty_by_vaddr_##T(cs, start, length);                                \
    }                                                                                              \
    extern "C" void __wrap_cpu_loop_exit_restore_##T(void* cs, uintptr_t host_pc) {                \
        if (host_pc)                                                                               \
            cpu_restore_state_##T(cs, host_pc, true);                                              \
        Engine::of_thread()->note_pc();                                                            \
        cpu_loop_exit_##T(cs);                                                                     \
    }                                                                                              \
    /* Nobody answers Unicorn's request to do this instruction alone: it would be tried forever. */ \
    extern "C" void __wrap_cpu_loop_exit_atomic_##T(void* cs, uintptr_t host_pc) {                 \
        if (host_pc)                                                                               \
            cpu_restore_state_##T(cs, host_pc, true);                                              \
        Engine::of_thread()->do_alone();                                                           \
        __real_cpu_loop_exit_atomic_##T(cs, 0);                                                    \
    }                                                                                              \
    extern "C" void __wrap_restore_state_to_opc_##T(void* env, void* tb, Word* state) {            \
        if (is_mips)                                                                               \
            leave_delay_slot(state);                                                               \
        __real_restore_state_to_opc_##T(env, tb, state);                                           \
    }

// `ebreak` and an illegal instruction of riscv come out as the same error: this tells them apart.
#define ONE_RISCV(T)                                                                               \
    extern "C" void __real_helper_raise_exception_##T(void*, uint32_t);                            \
    extern "C" void __wrap_helper_raise_exception_##T(void* env, uint32_t exception) {             \
        Engine::of_thread()->raised = exception;                                                   \
        __real_helper_raise_exception_##T(env, exception);                                         \
    }

#define ONE_MIPS(T)                                                                                \
    extern "C" void __real_tcg_func_start_##T(char*);                                              \
    extern "C" void __wrap_tcg_func_start_##T(char* context) {                                     \
        *reinterpret_cast<void**>(context + DELAY_SLOT_FLAG) = nullptr;                            \
        __real_tcg_func_start_##T(context);                                                        \
    }
// `icbi`: the program says that code has changed, perhaps through another mapping, which the engine cannot see.
#define ONE_PPC(T)                                                                                 \
    extern "C" void __real_helper_icbi_##T(void*, uint64_t);                                       \
    extern "C" void __wrap_helper_icbi_##T(void* env, uint64_t address) {                          \
        __real_helper_icbi_##T(env, address);                                                      \
        Engine::of_thread()->drop_code(address);                                                   \
    }
// clang-format on

ONE_TARGET(aarch64, uint64_t, false)
ONE_TARGET(arm, uint32_t, false)
ONE_TARGET(m68k, uint32_t, false)
ONE_TARGET(mips, uint32_t, true)
ONE_TARGET(mips64, uint64_t, true)
ONE_TARGET(mips64el, uint64_t, true)
ONE_TARGET(mipsel, uint32_t, true)
ONE_TARGET(ppc, uint32_t, false)
ONE_TARGET(ppc64, uint64_t, false)
ONE_TARGET(riscv32, uint32_t, false)
ONE_TARGET(riscv64, uint64_t, false)
ONE_TARGET(s390x, uint64_t, false)
ONE_TARGET(sparc, uint32_t, false)
ONE_TARGET(sparc64, uint64_t, false)
ONE_TARGET(x86_64, uint64_t, false)
ONE_RISCV(riscv32)
ONE_RISCV(riscv64)
ONE_PPC(ppc64)
ONE_MIPS(mips)
ONE_MIPS(mips64)
ONE_MIPS(mips64el)
ONE_MIPS(mipsel)
