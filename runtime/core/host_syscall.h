// Host system calls on the guest's behalf.
//
// `host_syscall` may block, and cannot lose a kick or signal between the last look at the flag and
// the system call instruction: the look and the instruction are one window of assembly, and a
// signal that lands inside moves the program counter to the way out (as QEMU's safe_syscall and
// gVisor do).
#pragma once

#include <atomic>
#include <cstdint>

namespace octavo {

// Result >= 0, -errno, or -ERESTART (nothing was done).
long host_syscall(long number, const long (&arguments)[6]);

// Not in that window: neither kicks nor signals change its result. Result >= 0 or -errno.
long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                 long f = 0);

// For a signal handler: if `pc` is inside the window, the way out; else 0.
uint64_t host_syscall_abort(uint64_t pc);
// Whether a call interrupted at this counter had begun in the kernel, which wants it restarted.
bool host_syscall_entered(uint64_t pc, uint64_t rcx);

}  // namespace octavo
