// What the loop needs to know of and do with the host process that libc does not offer.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace octavo {

// clone(2) without a new stack. Returns as fork does; pidfd is filled in with CLONE_PIDFD.
long clone_process(uint64_t flags, int* pidfd);

std::vector<int> open_descriptors();

const std::vector<std::pair<const char*, int>>& host_syscall_numbers();

}  // namespace octavo
