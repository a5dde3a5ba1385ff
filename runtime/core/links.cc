// The seams between the translator and us: functions that the linker's --wrap puts in place of
// Unicorn's own, for every target in libunicorn.a. CMakeLists.txt lists the same names and targets.
#include "engine.h"
#include "signals.h"

#define FOR_EACH_TARGET(DO)                                                               \
    DO(aarch64)                                                                           \
    DO(arm)                                                                               \
    DO(m68k)                                                                              \
    DO(mips) DO(mips64) DO(mips64el) DO(mipsel) DO(ppc) DO(ppc64) DO(riscv32) DO(riscv64) \
        DO(s390x) DO(sparc) DO(sparc64) DO(x86_64)

#define ONE_TARGET(T)                                                                              \
    extern "C" {                                                                                   \
    void tlb_set_page_##T(void*, uint64_t, uint64_t, int, int, uint64_t);                          \
    void tlb_flush_##T(void*);                                                                     \
    void tlb_flush_page_##T(void*, uint64_t);                                                      \
    void tb_invalidate_phys_range_##T(uc_engine*, uint64_t, uint64_t);                             \
    void cpu_loop_exit_##T(void*);                                                                 \
    bool cpu_restore_state_##T(void*, uintptr_t, bool);                                            \
    bool __real_unicorn_fill_tlb_##T(void*, uint64_t, int, int, int, bool, uintptr_t);             \
    void __real_helper_check_exit_request_##T(uc_engine*, uint32_t);                               \
    void __real_tcg_gen_callN_##T(void*, void*, void*, int, void**);                               \
    void __real_gen_intermediate_code_##T(void*, void*, int);                                      \
    void* __real_tb_gen_code_##T(void*, uint64_t, uint64_t, uint32_t, int);                        \
    }                                                                                              \
    static const octavo::Target target_##T =                                                       \
        {                                                                                          \
            tlb_set_page_##T,   tlb_flush_##T,                                                     \
            tlb_flush_page_##T, tb_invalidate_phys_range_##T,                                      \
            cpu_loop_exit_##T,  cpu_restore_state_##T,                                             \
    };                                                                                             \
    extern "C" bool __wrap_unicorn_fill_tlb_##T(void* cs, uint64_t address, int size, int access,  \
                                                int mmu, bool probe, uintptr_t retaddr) {          \
        octavo::Engine* engine = octavo::Engine::of_thread();                                      \
        if (engine && engine->fill(target_##T, cs, address, access, mmu, probe))                   \
            return true;                                                                           \
        return probe                                                                               \
                   ? false                                                                         \
                   : __real_unicorn_fill_tlb_##T(cs, address, size, access, mmu, probe, retaddr);  \
    }                                                                                              \
    /* The real one looks at its own return address, so it has to be jumped to. */                 \
    extern "C" __attribute__((optimize("O2"))) void __wrap_helper_check_exit_request_##T(          \
        uc_engine* uc, uint32_t slot) {                                                            \
        octavo::Engine* engine = octavo::Engine::of_thread();                                      \
        if (__builtin_expect(engine->wants_out(), 0) && !slot)                                     \
            uc_emu_stop(uc);                                                                       \
        __real_helper_check_exit_request_##T(uc, slot);                                            \
    }                                                                                              \
    /* Only the first check of a block stays: later ones would leave in the middle of an           \
     * instruction. */                                                                             \
    extern "C" void __wrap_tcg_gen_callN_##T(void* s, void* func, void* ret, int n, void** args) { \
        if (func == reinterpret_cast<void*>(&__wrap_helper_check_exit_request_##T) &&              \
            octavo::Engine::of_thread()->checks++)                                                 \
            return;                                                                                \
        __real_tcg_gen_callN_##T(s, func, ret, n, args);                                           \
    }                                                                                              \
    extern "C" void __wrap_gen_intermediate_code_##T(void* cs, void* tb, int max) {                \
        octavo::Engine::of_thread()->checks = 0;                                                   \
        __real_gen_intermediate_code_##T(cs, tb, max);                                             \
    }                                                                                              \
    extern "C" void* __wrap_tb_gen_code_##T(void* cs, uint64_t pc, uint64_t base, uint32_t flags,  \
                                            int how) {                                             \
        octavo::Engine* engine = octavo::Engine::of_thread();                                      \
        engine->translating = true; /* stays set when it leaves by a jump; the run ends then */    \
        engine->counters.translations++;                                                           \
        void* tb = __real_tb_gen_code_##T(cs, pc, base, flags, how);                               \
        engine->translating = false;                                                               \
        return tb;                                                                                 \
    }

FOR_EACH_TARGET(ONE_TARGET)
