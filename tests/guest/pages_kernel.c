/* What belongs to a page size beside page-sizes.md 5.4: heap, stack, locks, validated flags, devices, and the pages
 * that the kernel puts into every program. */
#include "pages.h"

#include <grp.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "maps.h"

static unsigned char *heap_end(void *wanted) { return pointer((uintptr_t)syscall(SYS_brk, wanted)); }

ROW(B1) {
  unsigned char *end = heap_end(NULL);
  end = (void *)(((uintptr_t)end + P - 1) & -P); /* the C library left it within a page */
  truth("to a border", heap_end(end) == end);
  touched("behind it", try_read(end), MAPERR);
  truth("one byte", heap_end(end + 1) == end + 1);
  touched("its page's last byte", try_write(end + P - 1), "ok");
  touched("behind its page", try_read(end + P), MAPERR);
  for (size_t more = 2; more < 4 * P; more += P / 4 + 1) {
    truth("some bytes more", heap_end(end + more) == end + more);
    touched("their last byte", try_write(end + more - 1), "ok");
    touched("behind their page", try_read((void *)(((uintptr_t)end + more + P - 1) & -P)), MAPERR);
  }
  equal("new page", end[P + 1], 0);
  truth("back to one byte", heap_end(end + 1) == end + 1);
  touched("what is left", try_read(end + P - 1), "ok");
  touched("what went", try_read(end + P), MAPERR);
  truth("again", heap_end(end + 2 * P) == end + 2 * P);
  equal("is empty", end[P], 0);
  unsigned char *block = map_at(end + 6 * P, P, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  truth("up to a page below a mapping", heap_end(end + 5 * P) == end + 5 * P);
  truth("closer", heap_end(end + 5 * P + 1) == end + 5 * P);
  truth("over it", heap_end(end + 9 * P) == end + 5 * P);
  touched("it is still there", try_write(block), "ok");
  truth("below the heap's start", heap_end((void *)P) == end + 5 * P);
  maps_load();
  struct maps_line *line = maps_at(end + 4 * P);
  if (line == NULL || strcmp(line->name, "[heap]") != 0 || strcmp(line->access, "rw-p") != 0)
    wrong("no [heap] line");
  else
    equal("end of [heap]", (long long)line->end, (long long)(uintptr_t)(end + 5 * P));
}

__attribute__((noinline)) static int deep(int levels) {
  volatile unsigned char frame[65536];
  for (size_t i = sizeof frame; i > 0; i -= 1024) frame[i - 1] = (unsigned char)levels;
  return levels > 0 ? deep(levels - 1) + frame[100] : 0;
}

ROW(B2) {
  enum { GAP = 256 }; /* pages: stack_guard_gap */
  unsigned char *low = hole(GAP + 20), *top = low + (GAP + 20) * P;
  map_at(low, P, RW, ANONYMOUS | MAP_FIXED, -1, 0);
  unsigned char *at = map_at(top - 2 * P, 2 * P, RW, ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
  at[0] = 1;
  touched("the page below", try_write(at - 1), "ok");
  touched("some pages below", try_write(at - 5 * P + 3), "ok");
  touched("what lies between", try_read(at - 3 * P), "ok");
  equal("content", at[0], 1);
  maps_load();
  struct maps_line *line = maps_at(at - 5 * P);
  if (line == NULL) wrong("maps does not show the growth");
  else equal("begin in maps", (long long)line->start, (long long)(uintptr_t)(at - 5 * P));
  touched("as far as the gap", try_write(low + (GAP + 1) * P), "ok");
  touched("within the gap", try_write(low + (GAP + 1) * P - 1), MAPERR);
  touched("the mapping below", try_write(low), "ok");
  came_to("shared", mapped(NULL, P, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL);
  came_to("mprotect to the begin", mprotect(at, P, PROT_READ | PROT_GROWSDOWN), 0);
  touched("read-only from the begin", try_write(low + (GAP + 1) * P), ACCERR);
  truth("the stack grows", deep(40) >= 0);
  maps_load();
  line = maps_named("[stack]");
  unsigned long here = (unsigned long)__builtin_frame_address(0);
  truth("[stack] is here", line != NULL && line->start <= here && here < line->end);
}

ROW(V1) {
  int fd = file_of("rowV1", 2 * P), unknown = 0x800000, validated = 3;
  unsigned char *at = mmap(NULL, 2 * P, RW, validated, fd, 0);
  came_to("validated", at == MAP_FAILED ? -1 : 0, 0);
  if (at == MAP_FAILED) return;
  at[P] = 9;
  equal("is shared", byte_of(fd, P), 9);
  came_to("unknown flag, validated", mapped(NULL, P, RW, validated | unknown, fd, 0), EOPNOTSUPP);
  came_to("unknown flag, shared", mapped(NULL, P, RW, MAP_SHARED | unknown, fd, 0), 0);
  came_to("unknown flag, private", mapped(NULL, P, RW, MAP_PRIVATE | unknown, fd, 0), 0);
  came_to("fixed", mapped(at, P, RW, validated | MAP_FIXED, fd, (off_t)P), 0);
  equal("its content", at[0], 9);
}

static long locked(void) { return proc_number("/proc/self/status", NULL, "VmLck"); }

ROW(L1) {
  long unit = (long)(P / 1024);
  struct rlimit limit = {2 * P, 2 * P};
  if (getuid() == 0) { /* the limit is not for the privileged */
    MUST(setgroups(0, NULL));
    MUST(setresgid(65534, 65534, 65534));
    MUST(setresuid(65534, 65534, 65534));
  }
  came_to("limit", setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  unsigned char *at = anonymous(6, RW);
  came_to("three pages", mlock(at, 3 * P), ENOMEM);
  came_to("a byte in the middle", mlock(at + P + 5, 1), 0);
  equal("locked", locked(), unit);
  came_to("two bytes on a border", mlock(at + 2 * P - 1, 2), 0);
  equal("locked with it", locked(), 2 * unit);
  came_to("one page more", mlock(at + 4 * P, 1), ENOMEM);
  came_to("again the same", mlock(at + P, 2 * P), 0);
  came_to("MAP_LOCKED", mapped(NULL, P, RW, ANONYMOUS | MAP_LOCKED, -1, 0), EAGAIN);
  came_to("locked memory thrown away", madvise(at + P, P, MADV_DONTNEED), EINVAL);
  came_to("munlock", munlock(at + P, 1), 0);
  equal("locked after it", locked(), unit);
  MUST(munmap(at + 2 * P, P));
  equal("locked after munmap", locked(), 0);
  came_to("across a hole", mlock(at + P, 2 * P), ENOMEM);
  came_to("on fault", (long)syscall(SYS_mlock2, at, P, 1), 0);
  came_to("all", munlockall(), 0);
  equal("locked at the end", locked(), 0);
}

ROW(D1) {
  int zero = MUST(open("/dev/zero", O_RDWR));
  unsigned char *at = map_at(NULL, 3 * P, RW, MAP_PRIVATE, zero, (off_t)(5 * P));
  equal("zero", at[0] + at[3 * P - 1], 0);
  at[P] = 1;
  came_to("dontneed", madvise(at + P, P, MADV_DONTNEED), 0);
  equal("zero again", at[P], 0);
  unsigned char *first = map_at(NULL, 2 * P, RW, MAP_SHARED, zero, 0);
  unsigned char *second = map_at(NULL, 2 * P, RW, MAP_SHARED, zero, 0);
  ELSEWHERE(first[P] = 4);
  equal("shared with a child", first[P], 4);
  equal("but not with another mapping", second[P], 0);
  int null = MUST(open("/dev/null", O_RDWR));
  came_to("/dev/null", mapped(NULL, P, RW, MAP_SHARED, null, 0), ENODEV);
  int fd = MUST(memfd_create("rowD1", MFD_ALLOW_SEALING));
  MUST(ftruncate(fd, (off_t)P + 1));
  at = map_at(NULL, 3 * P, RW, MAP_SHARED, fd, 0);
  at[P] = 5;
  touched("memfd, past the end", try_read(at + 2 * P), ADRERR);
  came_to("seal while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  came_to("seal against growth", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
  came_to("growth", ftruncate(fd, (off_t)(3 * P)), EPERM);
  touched("memfd, still past the end", try_read(at + 2 * P), ADRERR);
  equal("memfd", byte_of(fd, P), 5);
  char name[60];
  snprintf(name, sizeof name, "/dev/shm/octavo-row-D1-%d", (int)getpid());
  fd = file_of(name, P / 2);
  MUST(unlink(name));
  at = map_at(NULL, 2 * P, RW, MAP_SHARED, fd, 0);
  at[P - 1] = 3;
  touched("/dev/shm, past the end", try_read(at + P), ADRERR);
  MUST(ftruncate(fd, (off_t)(2 * P)));
  at[2 * P - 1] = 6;
  equal("/dev/shm, grown", byte_of(fd, 2 * P - 1), 6);
}

ROW(X1) {
#if defined __x86_64__
  for (int i = 0; i < 4; i++) {
    unsigned char *at = map_at(NULL, 16 * P, RW, ANONYMOUS | MAP_32BIT, -1, 0);
    truth("below 2 GiB", (uintptr_t)at + 16 * P <= 0x80000000u);
  }
  unsigned char *at = map_at(pointer((uintptr_t)1 << 40), P, RW, ANONYMOUS | MAP_32BIT, -1, 0);
  truth("a hint above is not followed", (uintptr_t)at < 0x80000000u);
  truth("a fixed address above is", mapped(pointer((uintptr_t)1 << 40), P, RW, ANONYMOUS | MAP_32BIT | MAP_FIXED, -1, 0) == 0);
#endif
}

#ifdef __arm__
typedef int swap_function(int, int, volatile int *);
typedef int swap64_function(const int64_t *, const int64_t *, volatile int64_t *);
#define HELPER_VERSION (*(volatile int32_t *)0xffff0ffc)
#define GET_TLS ((void *(*)(void))0xffff0fe0)
#define SWAP ((swap_function *)0xffff0fc0)
#define BARRIER ((void (*)(void))0xffff0fa0)
#define SWAP64 ((swap64_function *)0xffff0f60)

static volatile unsigned long helper_pc;

static void helper_handler(int signal, siginfo_t *info, void *context) {
  helper_pc = ((ucontext_t *)context)->uc_mcontext.arm_pc;
  fault_handler(signal, info, context);
}

/* What a call of a helper came to; the fault, if any, must be in the helper's own code. */
static const char *helper_fault(void (*call)(void *), void *at, unsigned long entry, unsigned long end) {
  struct sigaction action = {.sa_sigaction = helper_handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  if (sigsetjmp(fault_jump, 1) == 0) {
    call(at);
    return "ok";
  }
  if (helper_pc < entry || helper_pc >= end) wrong("pc %#lx, not in the helper at %#lx", helper_pc, entry);
  return fault_signal == SIGILL ? "SIGILL" : fault_text(at);
}

static void swap_at(void *at) { SWAP(0, 1, at); }
static void swap64_at(void *at) {
  const int64_t zero = 0;
  SWAP64(&zero, &zero, at);
}
static void swap64_from(void *at) {
  volatile int64_t value = 0;
  SWAP64(at, at, &value);
}
static void jump_to(void *at) { ((void (*)(void))at)(); }

ROW(C1) {
  const char *found;
  equal("version", HELPER_VERSION, 5);
  void *tls;
  __asm__("mrc p15, 0, %0, c13, c0, 3" : "=r"(tls));
  truth("get_tls", GET_TLS() == tls);
  volatile int word = 7;
  BARRIER();
  equal("swap", SWAP(7, 8, &word), 0);
  truth("swap refused", SWAP(7, 9, &word) != 0);
  equal("swapped", word, 8);
  volatile int64_t pair = 0x700000001;
  const int64_t old = 0x700000001, new = 0x900000002;
  equal("swap64", SWAP64(&old, &new, &pair), 0);
  truth("swap64 refused", SWAP64(&old, &new, &pair) != 0);
  equal("swapped64", pair, new);
  unsigned char *at = anonymous(3, PROT_NONE);
  MUST(mprotect(at + P, P, PROT_READ));
  memset((void *)&word, 0, sizeof word);
  touched("swap, no access", helper_fault(swap_at, at + 4, 0xffff0fc0, 0xffff0fe0), ACCERR);
  touched("swap, read-only", helper_fault(swap_at, at + P + 8, 0xffff0fc0, 0xffff0fe0), ACCERR);
  touched("swap64, no access", helper_fault(swap64_at, at + 16, 0xffff0f60, 0xffff0fa0), ACCERR);
  touched("swap64, old value", helper_fault(swap64_from, at + 16, 0xffff0f60, 0xffff0fa0), ACCERR);
  MUST(munmap(at, P));
  touched("swap, unmapped", helper_fault(swap_at, at + 4, 0xffff0fc0, 0xffff0fe0), MAPERR);
  touched("swap64, unmapped", helper_fault(swap64_at, at + 8, 0xffff0f60, 0xffff0fa0), MAPERR);
  MUST(mprotect(at + P, P, RW));
  touched("swap, odd address", helper_fault(swap_at, at + P + 2, 0xffff0fc0, 0xffff0fe0),
          "SIGBUS ADRALN at the address");
  touched("swap64, odd address", helper_fault(swap64_at, at + P + 4, 0xffff0f60, 0xffff0fa0),
          "SIGBUS ADRALN at the address");
  touched("another entry", helper_fault(jump_to, pointer(0xffff0f40), 0xffff0f40, 0xffff0f60), "SIGILL");
  found = try_write(pointer(0xffff0ffc)); /* a 32-bit kernel has no area there, an arm64 kernel has */
  if (strcmp(found, MAPERR) != 0) touched("a store into the page", found, ACCERR);
  maps_load();
  struct maps_line *line = maps_named("[vectors]");
  truth("[sigpage] or [vdso]", maps_named("[sigpage]") != NULL || maps_named("[vdso]") != NULL);
  truth("[vectors]", line != NULL && line->start == 0xffff0000 && line->end == 0xffff1000 &&
                         strcmp(line->access, "r-xp") == 0);
}
#else
ROW(C1) {
  maps_load();
  struct maps_line *line = maps_named("[vdso]");
  if (getauxval(AT_SYSINFO_EHDR) != 0)
    truth("[vdso] is where AT_SYSINFO_EHDR says", line != NULL && line->start == getauxval(AT_SYSINFO_EHDR));
  if (line != NULL) truth("[vdso] is r-xp", strcmp(line->access, "r-xp") == 0);
#ifdef __x86_64__
  line = maps_named("[vsyscall]"); /* a kernel may have been told to do without */
  if (line != NULL) {
    truth("[vsyscall]", line->start == 0xffffffffff600000 && line->end == 0xffffffffff601000);
    truth("[vsyscall] can only be executed", strcmp(line->access, "--xp") == 0 || strcmp(line->access, "r-xp") == 0);
    if (strcmp(line->access, "--xp") == 0) {
      fault_install();
      equal("time", ((long (*)(void *))0xffffffffff600400)(NULL) / 10, (long)time(NULL) / 10);
      touched("a load", try_read(pointer(0xffffffffff600000)), MAPERR);
    }
  }
#endif
}
#endif
