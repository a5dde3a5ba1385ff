// Guest atomics between processes. Unicorn 2.1.4 took the host's atomic operations out of some of
// QEMU's helpers: exchange, minimum and maximum, and addition in the other byte order, are a load
// and a store (accel/tcg/atomic_template.h). Compare-and-exchange is still the host's, so those
// helpers are made from it here. The linker's --wrap puts them in place; CMakeLists.txt lists the
// same names.
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
