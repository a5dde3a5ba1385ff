// System calls that are answered without going to Python. Each is declared on its Python twin,
// which stays the reference.
#pragma once

#include <string>

namespace octavo {

class Cpu;

enum class FastCall : unsigned char {
    getpid,
    gettid,
    getppid,
    getuid,
    geteuid,
    getgid,
    getegid,
    sched_yield,
    clock_gettime64,
    read,
    write,
    pread64,
    pwrite64,
    lseek,
};

extern const char* const FAST_CALL_NAMES[];
extern const int FAST_CALL_COUNT;

FastCall fast_call_named(const std::string& name);  // throws std::invalid_argument

// With the baton held; may give it up. True: the result is in the registers. False: nothing
// happened, let Python do it.
bool fast_call(Cpu& cpu, FastCall which);

}  // namespace octavo
