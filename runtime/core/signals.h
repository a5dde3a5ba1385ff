// Host signals: what is recorded for the guest, the kick, and faults of our own.
//
// A `Slot` is where a thread's signals and kicks arrive. One signal is held at a time: taking it
// blocks all others (in the interrupted context) until the loop has dealt with it and sets the mask
// again, so the kernel does the queueing.
#pragma once

#include <atomic>
#include <cstdint>

namespace octavo {

constexpr int KICK_SIGNAL = 64;
constexpr int NOT_DONE = 512;  // what Python calls ERESTART, which errno.h has as a macro

enum Attention : int { KICK = 1, SIGNAL = 2 };

// Somebody may want the running task out of guest code: a kick, a recorded signal, a waiter for the
// baton, or a stop that was asked for inside. One word for the whole process, because every block of
// translated code looks at it; who is meant is found out afterwards. Raised after the precise word
// it announces, lowered only by Cpu::attempt before it looks at those.
inline std::atomic<int> g_leave{0};

struct Slot {
    std::atomic<int> attention{0};  // level-triggered; host_syscall.cc's assembly tests it
    std::atomic<int> in_syscall{
        0};  // the thread is in, or about to enter, a host system call that may block
    std::atomic<int> tid{0};      // host thread, 0: not bound
    std::atomic<int> signo{0};    // recorded signal, 0: none
    std::atomic<int> entered{0};  // it cut short a host call that had begun
    alignas(8) uint8_t info[128];
    std::atomic<uint64_t> blocked{0};  // what the guest wants blocked, bit n-1
    std::atomic<uint64_t> deferred{
        0};  // sent SIGSEGV/SIGBUS that could not be held by the kernel (see signals.cc)
    alignas(8) uint8_t deferred_info[2][128];
};

Slot* slot_of_thread();        // nullptr: this thread runs no Cpu
void slot_bind(Slot* slot);    // the calling thread
void slot_unbind(Slot* slot);  // it goes away
void slot_kick(Slot* slot);
bool slot_unkick(Slot* slot);  // whether there was a kick that nobody had seen
bool slot_take(Slot* slot, int& signo, uint8_t* info);

void signals_start();
int signal_action(int signo, int kind, int flags);
// What the guest wants blocked. As long as a recorded signal has not been taken, all others stay so.
void signal_mask(uint64_t mask);
uint64_t signal_mask_get();
void signals_after_fork();

// SIGBUS and SIGSEGV with an address in here may be the guest's doing: a file that was truncated
// under its mapping.
void signals_register_arena(uint64_t base, uint64_t size);
void signals_forget_arena(uint64_t base);
bool in_arena(uint64_t host);
// Copies and says how many bytes were done before the host refused (all of them, unless a page has
// no backing).
uint64_t guarded_copy(void* to, const void* from, uint64_t length);
bool guarded_compare_exchange(uint32_t* at, uint32_t& expected, uint32_t value);

// What a host fault at a host pc, while guest code runs in this thread, is turned into. Does not
// return if it is handled. stack: the interrupted stack pointer. Set by the engine.
using GuestFault = void (*)(uint64_t host_address, uint64_t host_pc, uint64_t link, uint64_t stack,
                            bool store);
extern GuestFault guest_fault;

}  // namespace octavo
