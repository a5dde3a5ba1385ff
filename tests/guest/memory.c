/* mmap, munmap, mprotect, madvise, mincore, brk of anonymous memory: page-sizes.md 5.4 and its
 * corrections, as they hold on any kernel whose page is sysconf(_SC_PAGESIZE). */
#include "case.h"

#include <sys/mman.h>

#include "fault.h"

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static unsigned char *pages(size_t count) {
  void *at = mmap(NULL, count * page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) must_fail("mmap", __LINE__);
  return at;
}

static void mapped(const char *label, void *at) { outcome(label, at == MAP_FAILED ? -1 : 0); }

CASE(page_size) {
  yes("power of two", (page() & (page() - 1)) == 0);
  yes("getpagesize", getpagesize() == sysconf(_SC_PAGESIZE));
}

CASE(map_anonymous) {
  unsigned char *at = pages(3);
  yes("aligned", ((uintptr_t)at & (page() - 1)) == 0);
  int zero = 1;
  for (size_t i = 0; i < 3 * page(); i += 64) zero &= at[i] == 0;
  yes("zero", zero);
  memset(at, 7, 3 * page());
  number("holds", at[3 * page() - 1]);
  outcome("munmap", munmap(at, 3 * page()));
  show("after munmap", "%s", try_read(at + page() + 5));
}

CASE(map_length) {
  mapped("zero", mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mapped("wraps", mmap(NULL, (size_t)0 - page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mapped("wraps to zero", mmap(NULL, SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  unsigned char *at = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  show("one byte is a page", "%s", try_write(at + page() - 1));
}

CASE(map_flags) {
  mapped("neither shared nor private", mmap(NULL, page(), PROT_READ, MAP_ANONYMOUS, -1, 0));
  mapped("no descriptor", mmap(NULL, page(), PROT_READ, MAP_PRIVATE, -1, 0));
  mapped("anonymous ignores it", mmap(NULL, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, 77, 0));
  mapped("validate", mmap(NULL, page(), PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
  mapped("stack noreserve",
         mmap(NULL, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0));
  mapped("populate", mmap(NULL, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
}

CASE(map_fixed) {
  unsigned char *at = pages(4);
  memset(at, 1, 4 * page());
  mapped("unaligned", mmap(at + 1, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  void *again = mmap(at + page(), page(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  yes("placed", again == at + page());
  show("bytes", "%d %d %d %d", at[0], at[page()], at[2 * page()], at[3 * page()]);
}

CASE(map_hint) {
  unsigned char *at = pages(4);
  munmap(at + page(), page());
  void *hinted = mmap(at + page(), page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  yes("free hint taken", hinted == at + page());
  void *taken = mmap(at, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  yes("used hint avoided", taken != MAP_FAILED && taken != at);
  munmap(at + 2 * page(), page());
  void *odd = mmap(at + 2 * page() + 1, page(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  yes("odd hint gives an aligned page", odd != MAP_FAILED && ((uintptr_t)odd & (page() - 1)) == 0);
}

CASE(map_noreplace) {
  unsigned char *at = pages(3);
  at[page()] = 9;
  mapped("over a mapping", mmap(at + page(), page(), PROT_READ,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  number("kept", at[page()]);
  munmap(at + page(), page());
  mapped("partly over", mmap(at + page(), 2 * page(), PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  void *hole = mmap(at + page(), page(), PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  yes("into a hole", hole == at + page());
}

CASE(unmap) {
  unsigned char *at = pages(5);
  outcome("unaligned", munmap(at + 1, page()));
  outcome("zero", munmap(at, 0));
  outcome("middle", munmap(at + 2 * page(), page()));
  outcome("hole", munmap(at + 2 * page(), page()));
  show("first", "%s", try_write(at + 2 * page() - 1));
  show("hole touched", "%s", try_write(at + 2 * page()));
  show("after", "%s", try_write(at + 3 * page()));
  outcome("odd length rounds up", munmap(at + 3 * page(), page() + 1));
  show("rounded", "%s", try_read(at + 5 * page() - 1));
  outcome("wraps", munmap((void *)((uintptr_t)0 - page()), 2 * page()));
}

CASE(protect) {
  unsigned char *at = pages(3);
  memset(at, 3, 3 * page());
  outcome("read only", mprotect(at + page(), page(), PROT_READ));
  show("read", "%s", try_read(at + page() + 3));
  show("write", "%s", try_write(at + page() + 3));
  show("before", "%s", try_write(at + page() - 1));
  show("after", "%s", try_write(at + 2 * page()));
  outcome("none", mprotect(at + page(), page(), PROT_NONE));
  show("none read", "%s", try_read(at + 2 * page() - 1));
  show("none write", "%s", try_write(at + page()));
  outcome("back", mprotect(at + page(), page(), PROT_READ | PROT_WRITE));
  number("content kept", at[page()]);
}

CASE(protect_errors) {
  unsigned char *at = pages(4);
  outcome("unaligned", mprotect(at + 1, page(), PROT_READ));
  outcome("unknown bit", mprotect(at, page(), 0x8000000));
  outcome("zero length", mprotect(at, 0, PROT_READ));
  munmap(at + page(), page());
  outcome("over a hole", mprotect(at, 3 * page(), PROT_READ));
  show("before the hole changed", "%s", try_write(at));
  show("after the hole not", "%s", try_write(at + 2 * page()));
  outcome("only a hole", mprotect(at + page(), page(), PROT_READ));
}

CASE(guard) {
  unsigned char *at = pages(3);
  MUST(mprotect(at + 2 * page(), page(), PROT_NONE));
  show("last byte", "%s", try_write(at + 2 * page() - 1));
  show("guard first byte", "%s", try_write(at + 2 * page()));
  uint64_t value = 0;
  fault_install();
  if (sigsetjmp(fault_jump, 1) == 0)
    memcpy(&value, at + 2 * page() - 4, 8);
  yes("straddling read reports", fault_signal == SIGSEGV);
}

CASE(null_pointer) {
  show("read", "%s", try_read(pointer(0)));
  show("write", "%s", try_write(pointer(8)));
  show("low page", "%s", try_read(pointer(page() - 1)));
}

CASE(many_pages) {
  size_t count = 64;
  unsigned char *at = pages(count);
  for (size_t i = 0; i < count; i += 2) MUST(mprotect(at + i * page(), page(), PROT_READ));
  int right = 0;
  for (size_t i = 0; i < count; i++)
    right += (strcmp(try_write(at + i * page() + i), "ok") == 0) == (i % 2 == 1);
  number("right", right);
  outcome("all writable", mprotect(at, count * page(), PROT_READ | PROT_WRITE));
  right = 0;
  for (size_t i = 0; i < count; i++) right += strcmp(try_write(at + i * page()), "ok") == 0;
  number("right after", right);
  for (size_t i = 0; i < count; i += 2) MUST(munmap(at + i * page(), page()));
  outcome("unmap the rest", munmap(at, count * page()));
}

CASE(advise) {
  unsigned char *at = pages(4);
  memset(at, 5, 4 * page());
  outcome("dontneed", madvise(at + page(), page(), MADV_DONTNEED));
  show("bytes", "%d %d %d", at[0], at[page()], at[2 * page()]);
  outcome("unaligned", madvise(at + 1, page(), MADV_DONTNEED));
  outcome("zero length", madvise(at, 0, MADV_DONTNEED));
  outcome("unknown", madvise(at, page(), 12345));
  outcome("unknown zero length", madvise(at, 0, 12345));
  /* EBADF: a kernel without CONFIG_SWAP knows nothing that such memory could need (mm/madvise.c) */
  yes("willneed", madvise(at, page(), MADV_WILLNEED) == 0 || errno == EBADF);
  outcome("sequential", madvise(at, page(), MADV_SEQUENTIAL));
  munmap(at + 2 * page(), page());
  outcome("over a hole", madvise(at, 4 * page(), MADV_DONTNEED));
  show("both sides dropped", "%d %d", at[0], at[3 * page()]);
  outcome("only a hole", madvise(at + 2 * page(), page(), MADV_DONTNEED));
}

CASE(advise_fork) {
  unsigned char *at = pages(3);
  memset(at, 6, 3 * page());
  outcome("wipe", madvise(at, page(), MADV_WIPEONFORK));
  outcome("dontfork", madvise(at + page(), page(), MADV_DONTFORK));
  pid_t pid = start();
  if (pid == 0) {
    show("child wiped", "%d", at[0]);
    show("child has not", "%s", try_read(at + page()));
    show("child third", "%d", at[2 * page()]);
    _exit(0);
  }
  finish(pid);
  show("parent", "%d %d", at[0], at[page()]);
}

CASE(in_core) {
  unsigned char *at = pages(4), vector[8];
  memset(vector, 0xee, sizeof vector);
  memset(at, 1, 4 * page());
  outcome("mincore", mincore(at, 4 * page(), vector));
  show("resident", "%d %d %d %d", vector[0] & 1, vector[1] & 1, vector[2] & 1, vector[3] & 1);
  show("not beyond", "%x", vector[4]);
  outcome("odd length", mincore(at, page() + 1, vector));
  outcome("unaligned", mincore(at + 1, page(), vector));
  munmap(at + page(), page());
  outcome("hole", mincore(at, 2 * page(), vector));
  outcome("bad vector", mincore(at, page(), pointer(1)));
}

CASE(break_) {
  unsigned char *first = sbrk(0);
  yes("known", first != (void *)-1);
  yes("grow", sbrk((intptr_t)(3 * page())) == first);
  memset(first, 4, 3 * page());
  yes("moved", sbrk(0) == first + 3 * page());
  outcome("shrink", brk(first + page()));
  show("kept", "%d", first[0]);
  outcome("grow again", brk(first + 3 * page()));
  unsigned char *third = (unsigned char *)(((uintptr_t)first + 2 * page() + page() - 1) & ~(page() - 1));
  show("zero again", "%d", third[0]);
  outcome("absurd", brk((void *)((uintptr_t)0 - page())));
  yes("unchanged", sbrk(0) == first + 3 * page());
}

CASE(lock) {
  unsigned char *at = pages(3);
  outcome("mlock", mlock(at, 2 * page()));
  outcome("odd address", mlock(at + 5, 10));
  outcome("munlock", munlock(at, 2 * page()));
  munmap(at + page(), page());
  outcome("hole", mlock(at, 3 * page()));
}

CASE(system_call_faults) {
  unsigned char *at = pages(3);
  int ends[2];
  MUST(pipe(ends));
  MUST(mprotect(at + 2 * page(), page(), PROT_NONE));
  outcome("write from none", write(ends[1], at + 2 * page(), 1));
  outcome("write from nowhere", write(ends[1], pointer(8), 1));
  number("write up to the edge", write(ends[1], at + 2 * page() - 4, 4));
  outcome("read into none", read(ends[0], at + 2 * page(), 4));
  MUST(mprotect(at, page(), PROT_READ));
  outcome("read into read only", read(ends[0], at, 4));
  number("still there", read(ends[0], at + page(), 4));
  outcome("path", access((void *)(at + 2 * page()), R_OK));
}

CASE(fork_copies) {
  unsigned char *private_page = pages(1);
  unsigned char *shared = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  private_page[0] = shared[0] = 1;
  pid_t pid = start();
  if (pid == 0) {
    private_page[0] = shared[0] = 2;
    _exit(0);
  }
  finish(pid);
  show("private shared", "%d %d", private_page[0], shared[0]);
}

CASE(heap) {
  size_t total = 0;
  void *blocks[200];
  for (size_t i = 0; i < COUNT(blocks); i++) {
    blocks[i] = malloc(i * 97 + 1);
    memset(blocks[i], (int)i, i * 97 + 1);
  }
  for (size_t i = 0; i < COUNT(blocks); i += 3) blocks[i] = realloc(blocks[i], i * 197 + 1);
  for (size_t i = 0; i < COUNT(blocks); i++) total += *(unsigned char *)blocks[i];
  number("sum", (long)total);
  for (size_t i = 0; i < COUNT(blocks); i++) free(blocks[i]);
  char *large = calloc(1, 3 << 20);
  yes("large zero", large != NULL && large[0] == 0 && large[(3 << 20) - 1] == 0);
  free(large);
  void *aligned = NULL;
  returned("posix_memalign", posix_memalign(&aligned, 1 << 16, 100));
  yes("is aligned", ((uintptr_t)aligned & 0xffff) == 0);
  volatile size_t beyond = (size_t)PTRDIFF_MAX + 1;
  yes("too much", malloc(beyond) == NULL);
}

CASE(unaligned_access) {
  unsigned char *at = pages(2);
  for (size_t i = 0; i < 2 * page(); i++) at[i] = (unsigned char)(i * 7);
  uint32_t sum = 0, word;
  for (size_t i = page() - 8; i < page() + 8; i++) {
    memcpy(&word, at + i, 4);
    sum += (word & 0xff) + (word >> 24);
  }
  show("sum over a page edge", "%u", sum);
}
