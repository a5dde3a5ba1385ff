// See signals.h. System calls are made raw, because glibc keeps signals 32 and 33 to itself and
// would not let a guest use them. The odd thing: SIGSEGV and SIGBUS are never blocked on the host,
// since our own copies of guest memory can raise them at any time and a blocked synchronous signal
// kills; when one is *sent* while the guest has it blocked, it waits in the slot instead of in the
// kernel.
#include "signals.h"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "host_syscall.h"

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))

namespace octavo {

namespace {

constexpr unsigned long RESTORER = 0x04000000;  // SA_RESTORER

struct KernelAction {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
};

// The copy that is going on in this thread; the handler jumps out of it.
struct Guard {
    sigjmp_buf out;
    uint64_t address;
};

thread_local Slot* t_slot INITIAL_EXEC = nullptr;
thread_local Guard* volatile t_guard INITIAL_EXEC = nullptr;
std::atomic<int> g_some_tid{
    0};  // a thread that runs a Cpu: signals taken by others are sent on to it
struct Forwarded {
    std::atomic<bool> full{false};
    alignas(8) uint8_t info[128];
} g_forwarded[65];
Slot g_early;  // signals from before there was one
struct {
    uint64_t base = 0;
    std::atomic<uint64_t> size{0};
} g_arenas[64];  // a process has one; tests have some

constexpr uint64_t bit(int signo) {
    return uint64_t(1) << (signo - 1);
}
constexpr uint64_t NEVER_BLOCKED =
    bit(KICK_SIGNAL) | bit(SIGSEGV) | bit(SIGBUS) | bit(SIGKILL) | bit(SIGSTOP);
constexpr uint64_t FAULTS = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) | bit(SIGTRAP);

auto& context_pc(ucontext_t* context) {
#if defined(__x86_64__)
    return context->uc_mcontext.gregs[REG_RIP];
#else
    return context->uc_mcontext.pc;
#endif
}

uint64_t context_counter([[maybe_unused]] ucontext_t* context) {
#if defined(__x86_64__)
    return context->uc_mcontext.gregs[REG_RCX];
#else
    return 0;
#endif
}

uint64_t context_stack(ucontext_t* context) {
#if defined(__x86_64__)
    return context->uc_mcontext.gregs[REG_RSP];
#else
    return context->uc_mcontext.sp;
#endif
}

uint64_t context_link(ucontext_t* context) {
#if defined(__x86_64__)
    (void)context;
    return 0;
#else
    return context->uc_mcontext.regs[30];
#endif
}

bool context_store(ucontext_t* context) {
#if defined(__x86_64__)
    return context->uc_mcontext.gregs[REG_ERR] & 2;  // page fault error code, bit 1: write
#else
    auto* at = reinterpret_cast<uint8_t*>(&context->uc_mcontext.__reserved);
    for (;;) {  // a list of records that ends with magic 0
                // (arch/arm64/include/uapi/asm/sigcontext.h)
        uint32_t magic, size;
        memcpy(&magic, at, 4), memcpy(&size, at + 4, 4);
        if (magic == 0)
            return false;
        if (magic == 0x45535201) {  // ESR_MAGIC
            uint64_t esr;
            memcpy(&esr, at + 8, 8);
            return esr & 0x40;  // WnR
        }
        at += size;
    }
#endif
}

// The kernel restores this mask when the handler returns. glibc's sigset_t begins with the kernel's
// 8 bytes.
uint64_t context_mask(ucontext_t* context) {
    uint64_t mask;
    memcpy(&mask, &context->uc_sigmask, sizeof mask);
    return mask;
}

void block_all(ucontext_t* context) {
    uint64_t mask = ~NEVER_BLOCKED;
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
}

int set_action(int signo, void* handler, unsigned long flags);

void set_mask(uint64_t mask) {
    mask &= ~NEVER_BLOCKED;
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, long(&mask), 0, 8);
}

[[noreturn]] void die_of(int signo, siginfo_t* info, ucontext_t* context) {
    char line[160];
    const char* name = signo == SIGBUS ? "SIGBUS" : signo == SIGSEGV ? "SIGSEGV" : "signal";
    int n = snprintf(line, sizeof line, "octavo: internal error: %s (%d) at %p pc %#llx\n", name,
                     signo, info->si_addr, static_cast<unsigned long long>(context_pc(context)));
    raw_syscall(SYS_write, 2, long(line), n);
    set_action(signo, nullptr, 0);
    uint64_t none = 0;
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, long(&none), 0, 8);
    raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), raw_syscall(SYS_gettid), signo);
    for (;;) raw_syscall(SYS_exit_group, 128 + signo);
}

void record(Slot* slot, int signo, const siginfo_t* info) {
    memcpy(slot->info, info, sizeof slot->info);
    slot->signo.store(signo, std::memory_order_release);
    slot->attention.fetch_or(SIGNAL, std::memory_order_seq_cst);
    g_leave.store(1, std::memory_order_seq_cst);
}

// This is not a thread of the guest: give the signal to one that is. rt_tgsigqueueinfo would carry
// the siginfo, but only the first thread of a process may pass the kernel's own codes with it; so
// it goes beside.
void forward(int signo, const siginfo_t* info) {
    int tid = g_some_tid.load();
    Forwarded& sent = g_forwarded[signo];
    if (!sent.full.load()) {
        memcpy(sent.info, info, sizeof sent.info);
        sent.full.store(true);
    }
    if (!tid || raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), tid, signo) < 0) {
        sent.full.store(false);
        if (!g_early.signo.load())
            record(&g_early, signo, info);
    }
}

void on_sent(int signo, siginfo_t* info, ucontext_t* context) {
    Slot* slot = t_slot;
    if (!slot) {
        block_all(context);
        forward(signo, info);
        return;
    }
    if (Forwarded& sent = g_forwarded[signo]; sent.full.load() && info->si_code == SI_TKILL) {
        memcpy(info, sent.info, sizeof sent.info);
        sent.full.store(false);
    }
    bool held = slot->signo.load() || (slot->blocked.load() & bit(signo));
    if (held && (signo == SIGSEGV || signo == SIGBUS)) {
        if (!(slot->deferred.fetch_or(bit(signo)) & bit(signo)))
            memcpy(slot->deferred_info[signo == SIGBUS], info, 128);
        return;
    }
    record(slot, signo, info);
    block_all(context);
    if (uint64_t out = host_syscall_abort(context_pc(context))) {
        slot->entered.store(host_syscall_entered(context_pc(context), context_counter(context)));
        context_pc(context) = long(out);
    }
}

void on_signal(int signo, siginfo_t* info, void* raw) {
    auto* context = static_cast<ucontext_t*>(raw);
    int saved = errno;
    on_sent(signo, info, context);
    errno = saved;
}

void on_kick(int, siginfo_t*, void* raw) {
    auto* context = static_cast<ucontext_t*>(raw);
    if (uint64_t out = host_syscall_abort(context_pc(context)))
        context_pc(context) = long(out);
}

void on_fault(int signo, siginfo_t* info, void* raw) {
    auto* context = static_cast<ucontext_t*>(raw);
    if (info->si_code <= 0)  // sent, not raised by an instruction
        return on_signal(signo, info, raw);
    uint64_t address = uint64_t(info->si_addr);
    bool ours = (signo == SIGBUS || signo == SIGSEGV) && in_arena(address);
    if (ours && (t_guard || guest_fault)) {
        uint64_t mask = context_mask(context);  // leaving by longjmp does not restore it
        raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, long(&mask), 0, 8);
        if (Guard* guard = t_guard) {
            guard->address = address;
            siglongjmp(guard->out, 1);
        }
        if (signo == SIGBUS)
            guest_fault(address, context_pc(context), context_link(context), context_stack(context),
                        context_store(context));
    }
    die_of(signo, info, context);
}

#if defined(__x86_64__)
extern "C" void octavo_sigreturn();
asm(R"(
        .pushsection .text
        .hidden octavo_sigreturn
        .globl octavo_sigreturn
        .type octavo_sigreturn, @function
octavo_sigreturn:
        movl    $15, %eax
        syscall
        .popsection
)");
#endif

int set_action(int signo, void* handler, unsigned long flags) {
    KernelAction action{handler, flags, nullptr, ~uint64_t(0)};
#if defined(__x86_64__)
    action.flags |= RESTORER;
    action.restorer = reinterpret_cast<void*>(&octavo_sigreturn);
#endif
    return int(raw_syscall(SYS_rt_sigaction, signo, long(&action), 0, 8));
}

}  // namespace

GuestFault guest_fault = nullptr;

Slot* slot_of_thread() {
    return t_slot;
}

void slot_bind(Slot* slot) {
    if (Slot* old = t_slot; old && old != slot)
        old->tid.store(0);
    int tid = int(raw_syscall(SYS_gettid));
    slot->blocked.store(signal_mask_get());
    slot->tid.store(tid);
    t_slot = slot;
    g_some_tid.store(tid);
    if (int signo = g_early.signo.exchange(0))
        record(slot, signo, reinterpret_cast<siginfo_t*>(g_early.info));
}

void slot_unbind(Slot* slot) {
    if (t_slot == slot)
        t_slot = nullptr;
    int tid = slot->tid.exchange(0);
    g_some_tid.compare_exchange_strong(tid, 0);
}

void slot_kick(Slot* slot) {
    slot->attention.fetch_or(KICK, std::memory_order_seq_cst);
    g_leave.store(1, std::memory_order_seq_cst);
    int tid = slot->tid.load();
    if (tid && slot->in_syscall.load(std::memory_order_seq_cst))
        raw_syscall(SYS_tgkill, raw_syscall(SYS_getpid), tid, KICK_SIGNAL);
}

bool slot_unkick(Slot* slot) {
    return slot->attention.fetch_and(~KICK) & KICK;
}

bool slot_take(Slot* slot, int& signo, uint8_t* info) {
    signo = slot->signo.load(std::memory_order_acquire);
    if (!signo)
        return false;
    memcpy(info, slot->info, sizeof slot->info);
    slot->entered.store(0);
    slot->attention.fetch_and(~SIGNAL);
    slot->signo.store(0);  // last: from here on a sent SIGSEGV or SIGBUS may be recorded again
    return true;
}

void signals_start() {
    constexpr unsigned long flags = SA_SIGINFO | SA_RESTART;
    set_action(KICK_SIGNAL, reinterpret_cast<void*>(&on_kick), flags);
    for (int signo : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP})
        set_action(signo, reinterpret_cast<void*>(&on_fault), flags | SA_NODEFER);
    KernelAction old{};
    raw_syscall(SYS_rt_sigaction, SIGINT, 0, long(&old), 8);
    if (old.handler != reinterpret_cast<void*>(SIG_IGN))
        set_action(SIGINT, nullptr, 0);
    // The interpreter ignores these two, and what was there before is not known: nearly always the
    // default.
    set_action(SIGPIPE, nullptr, 0);
    set_action(SIGXFSZ, nullptr, 0);
    set_mask(signal_mask_get());
}

int signal_action(int signo, int kind, int flags) {
    if (signo < 1 || signo > 64)
        return -EINVAL;
    if (signo == KICK_SIGNAL)
        return 0;  // it is ours on the host
    flags &= SA_NOCLDSTOP | SA_NOCLDWAIT;
    if (bit(signo) & FAULTS && kind != 3) {
        // Our handler stays, for faults of our own, unless the guest wants it ignored or the
        // default for one that is sent.
        void* handler = reinterpret_cast<void*>(&on_fault);
        return set_action(signo, handler, SA_SIGINFO | SA_RESTART | SA_NODEFER);
    }
    if (kind == 2)
        return set_action(signo, reinterpret_cast<void*>(&on_signal),
                          SA_SIGINFO | SA_RESTART | flags);
    return set_action(signo, reinterpret_cast<void*>(kind == 1 ? SIG_IGN : SIG_DFL), flags);
}

void signal_mask(uint64_t mask) {
    if (Slot* slot = t_slot) {
        set_mask(~uint64_t(0));  // what has not been recorded by now is in the kernel's queue
        slot->blocked.store(mask);
        uint64_t due = slot->deferred.load() & ~mask;
        if (due && !slot->signo.load()) {
            int signo = due & bit(SIGSEGV) ? SIGSEGV : SIGBUS;
            slot->deferred.fetch_and(~bit(signo));
            record(slot, signo, reinterpret_cast<siginfo_t*>(slot->deferred_info[signo == SIGBUS]));
        }
        if (slot->signo.load())
            return;  // whoever takes it sets the mask again
    }
    set_mask(mask);
}

uint64_t signal_mask_get() {
    uint64_t mask = 0;
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, long(&mask), 8);
    if (Slot* slot = t_slot)  // the two that the host never blocks
        mask |= slot->blocked.load() & (bit(SIGSEGV) | bit(SIGBUS));
    return mask;
}

void signals_after_fork() {
    if (Slot* slot = t_slot) {
        int tid = int(raw_syscall(SYS_gettid));
        slot->tid.store(tid);
        g_some_tid.store(tid);
    }
}

void signals_register_arena(uint64_t base, uint64_t size) {
    for (auto& arena : g_arenas) {
        if (arena.size.load() == 0) {
            arena.base = base;
            arena.size.store(size);
            return;
        }
    }
}

void signals_forget_arena(uint64_t base) {
    for (auto& arena : g_arenas)
        if (arena.base == base)
            arena.size.store(0);
}

bool in_arena(uint64_t host) {
    for (auto& arena : g_arenas)
        if (host - arena.base < arena.size.load())
            return true;
    return false;
}

uint64_t guarded_copy(void* to, const void* from, uint64_t length) {
    Guard guard;
    Guard* outer = t_guard;
    if (sigsetjmp(guard.out, 0) == 0) {
        t_guard = &guard;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        memcpy(to, from, length);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        t_guard = outer;
        return length;
    }
    t_guard = outer;
    // memcpy does not go in order. What lies before the bad host page is surely good: copy that, in
    // order.
    uint64_t start = in_arena(uint64_t(from)) && guard.address - uint64_t(from) < length
                         ? uint64_t(from)
                         : uint64_t(to);
    uint64_t host_page = uint64_t(sysconf(_SC_PAGESIZE));
    uint64_t bad = guard.address & ~(host_page - 1);
    if (bad <= start)
        return 0;
    return guarded_copy(to, from, bad - start);
}

bool guarded_compare_exchange(uint32_t* at, uint32_t& expected, uint32_t value) {
    Guard guard;
    Guard* outer = t_guard;
    bool done = false;
    if (sigsetjmp(guard.out, 0) == 0) {
        t_guard = &guard;
        __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        done = true;
    }
    t_guard = outer;
    return done;
}

}  // namespace octavo
