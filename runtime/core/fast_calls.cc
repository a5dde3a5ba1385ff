// See fast_calls.h. They take the easy case only. Whatever is unusual (a buffer that faults, an
// error that not every ABI numbers alike, a kick) is left untouched for Python, which must be able
// to start the call from the beginning.
#include "fast_calls.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <cerrno>
#include <stdexcept>

#include "cpu.h"
#include "host_syscall.h"

namespace octavo {

const char* const FAST_CALL_NAMES[] = {
    "getpid",      "gettid",          "getppid", "getuid", "geteuid", "getgid",   "getegid",
    "sched_yield", "clock_gettime64", "read",    "write",  "pread64", "pwrite64", "lseek",
};
const int FAST_CALL_COUNT = sizeof FAST_CALL_NAMES / sizeof *FAST_CALL_NAMES;

FastCall fast_call_named(const std::string& name) {
    for (int i = 0; i < FAST_CALL_COUNT; i++)
        if (name == FAST_CALL_NAMES[i])
            return FastCall(i);
    throw std::invalid_argument("no fast call " + name);
}

namespace {

constexpr size_t MAX_SPANS = 8;
constexpr long SHARED_ERRNO =
    35;  // errno numbers below it are the same in every ABI (asm-generic/errno-base.h)

bool answer(Cpu& cpu, long result) {
    if (result < 0 && result > -4096 && -result >= SHARED_ERRNO) {
        const auto& errors = cpu.engine->fast_errors;
        auto found = errors.find(int(-result));
        if (found == errors.end())
            return false;
        result = -found->second;
    }
    cpu.set_result(result);
    return true;
}

bool clock_gettime64(Cpu& cpu) {
    timespec now;
    if (clock_gettime(clockid_t(int(cpu.call[1])), &now) != 0)
        return false;
    try {
        cpu.engine->table->write(cpu.call[2], &now, sizeof now, false);
    } catch (const Fault&) {
        return false;
    }
    return answer(cpu, 0);
}

// read, write, pread64, pwrite64. The whole buffer must be there.
bool transfer(Cpu& cpu, long number, int access) {
    uint64_t length = cpu.call[3];
    if (length == 0 || length > 0x7ffff000)  // MAX_RW_COUNT: Python cuts it
        return false;
    iovec parts[MAX_SPANS];
    size_t count = 0;
    try {
        auto spans = cpu.engine->table->spans(cpu.call[2], length, access);
        if (spans.size() > MAX_SPANS)
            return false;
        uint64_t have = 0;
        for (const Span& s : spans) {
            parts[count++] = {s.host, s.length};
            have += s.length;
        }
        if (have < length)
            return false;
    } catch (const Fault&) {
        return false;
    }
    bool single = count == 1;
    const long position = long(cpu.call[4]);
    const bool positioned = number == SYS_pread64 || number == SYS_pwrite64;
    if (!single) {
        switch (number) {
            case SYS_read:
                number = SYS_readv;
                break;
            case SYS_write:
                number = SYS_writev;
                break;
            case SYS_pread64:
                number = SYS_preadv;
                break;
            default:
                number = SYS_pwritev;
                break;
        }
    }
    const long arguments[6] = {int(cpu.call[1]),
                               single ? long(parts[0].iov_base) : long(parts),
                               single ? long(length) : long(count),
                               positioned ? position : 0,
                               0,
                               0};
    cpu.engine->release();  // it may block
    long result = host_syscall(number, arguments);
    cpu.engine->take(false);
    cpu.make_resident();
    // Nothing was done: Python decides whether it starts again, and what a bad buffer means.
    if (result == -NOT_DONE || result == -EFAULT)
        return false;
    return answer(cpu, result);
}

}  // namespace

bool fast_call(Cpu& cpu, FastCall which) {
    const auto& a = cpu.call;
    switch (which) {
        case FastCall::getpid:
            return answer(cpu, raw_syscall(SYS_getpid));
        case FastCall::gettid:
            return answer(cpu, raw_syscall(SYS_gettid));
        case FastCall::getppid:
            return answer(cpu, raw_syscall(SYS_getppid));
        case FastCall::getuid:
            return answer(cpu, raw_syscall(SYS_getuid));
        case FastCall::geteuid:
            return answer(cpu, raw_syscall(SYS_geteuid));
        case FastCall::getgid:
            return answer(cpu, raw_syscall(SYS_getgid));
        case FastCall::getegid:
            return answer(cpu, raw_syscall(SYS_getegid));
        case FastCall::sched_yield:
            return answer(cpu, raw_syscall(SYS_sched_yield));
        case FastCall::clock_gettime64:
            return clock_gettime64(cpu);
        case FastCall::read:
            return transfer(cpu, SYS_read, W);
        case FastCall::write:
            return transfer(cpu, SYS_write, R);
        case FastCall::pread64:
            return transfer(cpu, SYS_pread64, W);
        case FastCall::pwrite64:
            return transfer(cpu, SYS_pwrite64, R);
        case FastCall::lseek:
            return answer(cpu, raw_syscall(SYS_lseek, int(a[1]), long(a[2]), long(int(a[3]))));
    }
    return false;
}

}  // namespace octavo
