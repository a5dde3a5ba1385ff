// See host_syscall.h. The odd thing: with SA_RESTART the kernel itself backs the program counter up
// to the system call instruction for calls that did nothing yet, which is inside our window; so
// `read` ends as -ERESTART while `nanosleep` and `poll`, which the kernel never restarts after a
// handler, end as -EINTR. Nothing else needs to know.
#include "host_syscall.h"

#include "signals.h"

// long octavo_interruptible_syscall(const int* attention, long number, const long* arguments)
#if defined(__x86_64__)
asm(R"(
        .pushsection .text
        .type octavo_interruptible_syscall, @function
        .hidden octavo_interruptible_syscall
        .globl octavo_interruptible_syscall
octavo_interruptible_syscall:
        .cfi_startproc
        movq    %rdi, %r11
        movq    %rsi, %rax
        movq    %rdx, %rcx
        movq    0(%rcx), %rdi
        movq    8(%rcx), %rsi
        movq    16(%rcx), %rdx
        movq    24(%rcx), %r10
        movq    32(%rcx), %r8
        movq    40(%rcx), %r9
        .hidden octavo_syscall_start
        .globl octavo_syscall_start
octavo_syscall_start:
        testl   $3, (%r11)
        jnz     octavo_syscall_abort
        .hidden octavo_syscall_insn
        .globl octavo_syscall_insn
octavo_syscall_insn:
        syscall
        ret
        .hidden octavo_syscall_abort
        .globl octavo_syscall_abort
octavo_syscall_abort:
        movq    $-512, %rax
        ret
        .cfi_endproc
        .size octavo_interruptible_syscall, . - octavo_interruptible_syscall
        .popsection
)");
#elif defined(__aarch64__)
asm(R"(
        .pushsection .text
        .type octavo_interruptible_syscall, @function
        .hidden octavo_interruptible_syscall
        .globl octavo_interruptible_syscall
octavo_interruptible_syscall:
        .cfi_startproc
        mov     x9, x0
        mov     x8, x1
        mov     x10, x2
        ldp     x0, x1, [x10]
        ldp     x2, x3, [x10, #16]
        ldp     x4, x5, [x10, #32]
        .hidden octavo_syscall_start
        .globl octavo_syscall_start
octavo_syscall_start:
        ldr     w11, [x9]
        tst     w11, #3
        b.ne    octavo_syscall_abort
        .hidden octavo_syscall_insn
        .globl octavo_syscall_insn
octavo_syscall_insn:
        svc     #0
        ret
        .hidden octavo_syscall_abort
        .globl octavo_syscall_abort
octavo_syscall_abort:
        mov     x0, #-512
        ret
        .cfi_endproc
        .size octavo_interruptible_syscall, . - octavo_interruptible_syscall
        .popsection
)");
#else
#error "host_syscall.cc knows the x86-64 and arm64 system call instructions"
#endif

extern "C" {
long octavo_interruptible_syscall(const void* attention, long number, const long* arguments);
extern const char octavo_syscall_start[], octavo_syscall_insn[], octavo_syscall_abort[];
}

namespace octavo {

// The kernel backs the counter up by the length of the instruction, and on x86-64 leaves what the
// instruction put into rcx: the address after it. On arm64 nothing tells the two cases apart.
bool host_syscall_entered(uint64_t pc, [[maybe_unused]] uint64_t rcx) {
    if (pc != uint64_t(octavo_syscall_insn))
        return false;
#if defined(__x86_64__)
    constexpr uint64_t SYSCALL_LENGTH = 2;
    return rcx == pc + SYSCALL_LENGTH;
#else
    return true;
#endif
}

uint64_t host_syscall_abort(uint64_t pc) {
    bool inside = pc >= uint64_t(octavo_syscall_start) && pc <= uint64_t(octavo_syscall_insn);
    return inside ? uint64_t(octavo_syscall_abort) : 0;
}

long host_syscall(long number, const long (&arguments)[6]) {
    static const int nothing = 0;
    Slot* slot = slot_of_thread();
    if (!slot)
        return octavo_interruptible_syscall(&nothing, number, arguments);
    // A kicker sets `attention` and then looks at `in_syscall`; we do it the other way round, so
    // one of us sees the other.
    slot->in_syscall.store(1, std::memory_order_seq_cst);
    long result = octavo_interruptible_syscall(&slot->attention, number, arguments);
    slot->in_syscall.store(0, std::memory_order_release);
    return result;
}

long raw_syscall(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
#else
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc #0"
                 : "+r"(x0)
                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                 : "memory");
    return x0;
#endif
}

}  // namespace octavo
