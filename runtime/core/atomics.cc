// Guest atomics between processes. Unicorn 2.1.4 took the host's atomic operations out of some of
// QEMU's helpers: exchange, minimum and maximum, and addition in the other byte order, are a load
// and a store (accel/tcg/atomic_template.h). Compare-and-exchange is still the host's, so those
// helpers are made from it here. The linker's --wrap puts them in place; CMakeLists.txt lists the
// same names.
#include <cstddef>
#include <cstdint>

namespace {

// A helper's first try is a guess at what memory holds. A free lock is 0.
template <class Value, auto compare_exchange, class Change>
__attribute__((always_inline)) inline Value swap(void* env, auto address, uint32_t access,
                                                 uintptr_t host_pc, Change change, Value& now) {
    Value before = 0;
    for (;;) {
        now = Value(change(before));
        // The narrow ones may come back with anything above their own bits.
        Value seen = Value(compare_exchange(env, address, before, now, access, host_pc));
        if (seen == before)
            return before;
        before = seen;
    }
}

template <class Value>
struct Abi {
    using type = uint32_t;
};
template <>
struct Abi<uint64_t> {
    using type = uint64_t;
};

template <class Value>
Value least(Value a, Value b) {
    return a < b ? a : b;
}

template <class Value>
Value most(Value a, Value b) {
    return a < b ? b : a;
}

}  // namespace

// clang-format off
// Results are not sign-extended: translated code does that itself where an instruction wants it.
#define HELPER(T, Word, size, Value, name, change, result)                                         \
    extern "C" Abi<Value>::type __wrap_helper_atomic_##name##size##_##T(                           \
        void* env, Word address, Abi<Value>::type value, uint32_t access) {                        \
        auto host_pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));                   \
        [[maybe_unused]] const Value v = Value(value);                                             \
        [[maybe_unused]] Value now, before = swap<Value, helper_atomic_cmpxchg##size##_mmu_##T>(   \
            env, address, access, host_pc, [v](Value old) { return change; }, now);                \
        return result;                                                                             \
    }

#define BOTH(T, Word, size, Value, name, change)                                                   \
    HELPER(T, Word, size, Value, fetch_##name, change, before)                                     \
    HELPER(T, Word, size, Value, name##_fetch, change, now)

#define ONE_SIZE(T, Word, size, Value, Signed)                                                     \
    extern "C" Abi<Value>::type helper_atomic_cmpxchg##size##_mmu_##T(                             \
        void*, Word, Abi<Value>::type, Abi<Value>::type, uint32_t, uintptr_t);                     \
    HELPER(T, Word, size, Value, xchg, (static_cast<void>(old), v), before) \
    BOTH(T, Word, size, Value, umin, least(old, v))                                                \
    BOTH(T, Word, size, Value, umax, most(old, v))                                                 \
    BOTH(T, Word, size, Value, smin, least(Signed(old), Signed(v)))                                \
    BOTH(T, Word, size, Value, smax, most(Signed(old), Signed(v)))

// In the host's byte order addition is the host's own.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SWAPPED(size) size##_be
#else
#define SWAPPED(size) size##_le
#endif
#define ADDITION(T, Word, size, Value) BOTH(T, Word, size, Value, add, old + v)

#define ONE_TARGET(T, Word)                                                                        \
    ONE_SIZE(T, Word, b, uint8_t, int8_t)                                                          \
    ONE_SIZE(T, Word, w_le, uint16_t, int16_t)                                                     \
    ONE_SIZE(T, Word, w_be, uint16_t, int16_t)                                                     \
    ONE_SIZE(T, Word, l_le, uint32_t, int32_t)                                                     \
    ONE_SIZE(T, Word, l_be, uint32_t, int32_t)                                                     \
    ONE_SIZE(T, Word, q_le, uint64_t, int64_t)                                                     \
    ONE_SIZE(T, Word, q_be, uint64_t, int64_t)                                                     \
    ADDITION(T, Word, SWAPPED(w), uint16_t)                                                        \
    ADDITION(T, Word, SWAPPED(l), uint32_t)                                                        \
    ADDITION(T, Word, SWAPPED(q), uint64_t)
// clang-format on

ONE_TARGET(aarch64, uint64_t)
ONE_TARGET(arm, uint32_t)
ONE_TARGET(m68k, uint32_t)
ONE_TARGET(mips, uint32_t)
ONE_TARGET(mips64, uint64_t)
ONE_TARGET(mips64el, uint64_t)
ONE_TARGET(mipsel, uint32_t)
ONE_TARGET(ppc, uint32_t)
ONE_TARGET(ppc64, uint64_t)
ONE_TARGET(riscv32, uint32_t)
ONE_TARGET(riscv64, uint64_t)
ONE_TARGET(s390x, uint64_t)
ONE_TARGET(sparc, uint32_t)
ONE_TARGET(sparc64, uint64_t)
ONE_TARGET(x86_64, uint64_t)

// ppc64le, `lqarx` and `stqcx.`: where atomics are the host's, the first does not note its address as
// reserved, and the second sets the wrong bit of cr0, so a program would try forever.
namespace {

__extension__ typedef unsigned __int128 Quad;
thread_local uint64_t t_loaded __attribute__((tls_model("initial-exec"))) = uint64_t(-1);

// Of CPUPPCState, 64-bit, in words.
constexpr std::size_t SUMMARY_OVERFLOW = 0x240 / 8, RESERVED = 0x268 / 8, HIGH = 0x270 / 8,
                      LOW = 0x278 / 8;
constexpr uint32_t CR_EQUAL = 2;

}  // namespace

extern "C" {
uint64_t __real_helper_lq_le_parallel(void*, uint64_t, uint32_t);
Quad helper_atomic_cmpxchgo_le_mmu_ppc64(void*, uint64_t, Quad, Quad, uint32_t, uintptr_t);

// The real one looks at its own return address, so it has to be jumped to.
__attribute__((optimize("O2"))) uint64_t __wrap_helper_lq_le_parallel(void* env, uint64_t address,
                                                                      uint32_t access) {
    t_loaded = address;
    return __real_helper_lq_le_parallel(env, address, access);
}

uint32_t __wrap_helper_stqcx_le_parallel_ppc64(void* env, uint64_t address, uint64_t low,
                                               uint64_t high, uint32_t access) {
    auto host_pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
    auto* state = static_cast<uint64_t*>(env);
    bool stored = false;
    if (t_loaded == address) {
        const Quad before = Quad(state[HIGH]) << 64 | state[LOW];
        stored = helper_atomic_cmpxchgo_le_mmu_ppc64(env, address, before, Quad(high) << 64 | low,
                                                     access, host_pc) == before;
    }
    t_loaded = state[RESERVED] = uint64_t(-1);
    return uint32_t(state[SUMMARY_OVERFLOW]) | (stored ? CR_EQUAL : 0);
}
}
