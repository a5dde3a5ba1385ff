// See process.h. The odd thing is in clone_process: libc keeps the thread id in its thread
// descriptor, and only its own fork() renews it there; the kernel knows the place, because libc
// gave it as the clear-on-exit address.
#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "host_syscall.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

namespace octavo {

long clone_process(uint64_t flags, int* pidfd) {
    if (flags & (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND))
        return -EINVAL;
    if (flags == SIGCHLD) {  // libc's does everything, the allocator's locks included
        pid_t pid = ::fork();
        return pid < 0 ? -errno : pid;
    }
    uint64_t tid_at = 0;
    if (raw_syscall(SYS_prctl, PR_GET_TID_ADDRESS, long(&tid_at)) == 0 && tid_at)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#if defined(__x86_64__)
    return raw_syscall(SYS_clone, long(flags), 0, long(pidfd), long(tid_at), 0);
#else
    return raw_syscall(SYS_clone, long(flags), 0, long(pidfd), 0, long(tid_at));
#endif
}

static bool list_proc(std::vector<int>& out) {
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return false;
    alignas(8) char buffer[8192];
    long n;
    while ((n = raw_syscall(SYS_getdents64, directory, long(buffer), sizeof buffer)) > 0) {
        for (long at = 0;
             at < n;) {  // struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name
            auto* entry = buffer + at;
            const char* name = entry + 19;
            if (*name >= '0' && *name <= '9') {
                int fd = atoi(name);
                if (fd != directory)
                    out.push_back(fd);
            }
            at += *reinterpret_cast<unsigned short*>(entry + 16);
        }
    }
    close(directory);
    return n == 0;
}

// poll() says POLLNVAL for what is not open, and asks about many at once.
static void list_poll(std::vector<int>& out) {
    constexpr int CHUNK = 1024;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    int top = int(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
    pollfd set[CHUNK];
    for (int base = 0; base < top; base += CHUNK) {
        int n = std::min(CHUNK, top - base);
        for (int i = 0; i < n; i++) set[i] = {base + i, 0, 0};
        if (poll(set, nfds_t(n), 0) < 0) {  // more than the limit: one by one
            for (int i = 0; i < n; i++)
                set[i].revents = fcntl(base + i, F_GETFD) < 0 ? POLLNVAL : 0;
        }
        for (int i = 0; i < n; i++)
            if (!(set[i].revents & POLLNVAL))
                out.push_back(base + i);
    }
}

std::vector<int> open_descriptors() {
    std::vector<int> out;
    if (!list_proc(out)) {
        out.clear();
        list_poll(out);
    }
    std::sort(out.begin(), out.end());
    return out;
}

const std::vector<std::pair<const char*, int>>& host_syscall_numbers() {
    static const std::vector<std::pair<const char*, int>> numbers = {
#include "host_syscall_numbers.inc"
    };
    return numbers;
}

}  // namespace octavo
