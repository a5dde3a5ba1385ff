/* mremap(2): growing, shrinking, moving, duplicating, and its errors. */
#include "case.h"

#include <sys/mman.h>

#include "fault.h"

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static unsigned char *pages(size_t count, int sharing) {
  void *at = mmap(NULL, count * page(), PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) must_fail("mmap", __LINE__);
  return at;
}

/* count pages in use with free address space after them */
static unsigned char *roomy(size_t count, size_t room) {
  unsigned char *at = pages(count + room, MAP_PRIVATE);
  if (room != 0) MUST(munmap(at + count * page(), room * page()));
  for (size_t i = 0; i < count; i++) at[i * page()] = (unsigned char)(i + 1);
  return at;
}

CASE(grow_in_place) {
  unsigned char *at = roomy(2, 4);
  unsigned char *grown = mremap(at, 2 * page(), 4 * page(), 0);
  yes("same place", grown == at);
  if (grown == at) show("bytes", "%d %d %d %d", at[0], at[page()], at[2 * page()], at[3 * page()]);
}

CASE(grow_blocked) {
  unsigned char *at = pages(4, MAP_PRIVATE);
  at[0] = 11;
  void *grown = mremap(at, page(), 2 * page(), 0);
  outcome("without maymove", grown == MAP_FAILED ? -1 : 0);
  unsigned char *moved = mremap(at, page(), 8 * page(), MREMAP_MAYMOVE);
  yes("moved", moved != MAP_FAILED && moved != at);
  number("content", moved[0]);
  number("new part", moved[7 * page()]);
  show("old place", "%s", try_read(at));
  show("neighbour", "%s", try_read(at + page()));
}

CASE(shrink) {
  unsigned char *at = roomy(4, 0);
  void *small = mremap(at, 4 * page(), 2 * page(), 0);
  yes("same place", small == at);
  show("kept", "%d %d", at[0], at[page()]);
  show("gone", "%s", try_read(at + 2 * page()));
}

CASE(fixed) {
  unsigned char *at = roomy(2, 0), *target = pages(4, MAP_PRIVATE);
  memset(target, 0x33, 4 * page());
  void *moved = mremap(at, 2 * page(), 2 * page(), MREMAP_MAYMOVE | MREMAP_FIXED, target + page());
  yes("placed", moved == target + page());
  show("bytes", "%x %d %d %x", target[0], target[page()], target[2 * page()], target[3 * page()]);
  show("old place", "%s", try_read(at));
}

CASE(dontunmap) {
  unsigned char *at = roomy(1, 0);
  unsigned char *moved = mremap(at, page(), page(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
  outcome("call", moved == MAP_FAILED ? -1 : 0);
  yes("moved", moved != MAP_FAILED && moved != at);
  if (moved != MAP_FAILED) show("bytes", "%d %d", at[0], moved[0]);
}

CASE(duplicate_shared) {
  unsigned char *at = pages(1, MAP_SHARED);
  unsigned char *twin = mremap(at, 0, page(), MREMAP_MAYMOVE);
  yes("made", twin != MAP_FAILED && twin != at);
  if (twin == MAP_FAILED) return;
  at[5] = 77;
  number("same memory", twin[5]);
  twin[6] = 78;
  number("both ways", at[6]);
}

CASE(errors) {
  unsigned char *at = pages(4, MAP_PRIVATE);
#define TRY(label, ...) outcome(label, mremap(__VA_ARGS__) == MAP_FAILED ? -1 : 0)
  TRY("unaligned", at + 1, page(), page(), 0);
  TRY("to nothing", at, page(), 0, 0);
  TRY("unknown flag", at, page(), page(), 64);
  TRY("fixed without maymove", at, page(), page(), MREMAP_FIXED, at);
  TRY("fixed unaligned", at, page(), page(), MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * page() + 1);
  TRY("overlap", at, 2 * page(), 2 * page(), MREMAP_MAYMOVE | MREMAP_FIXED, at + page());
  TRY("private from zero", at, 0, page(), MREMAP_MAYMOVE);
  MUST(munmap(at + page(), page()));
  TRY("a hole", at + page(), page(), 2 * page(), MREMAP_MAYMOVE);
  TRY("beyond the area", at, 2 * page(), 4 * page(), MREMAP_MAYMOVE);
}

CASE(keeps_protection) {
  unsigned char *at = roomy(1, 0);
  MUST(mprotect(at, page(), PROT_READ));
  unsigned char *moved = mremap(at, page(), 3 * page(), MREMAP_MAYMOVE);
  show("read", "%s", try_read(moved));
  show("write", "%s", try_write(moved + 2 * page()));
}

CASE(realloc_large) {
  unsigned char *block = malloc(1 << 20);
  memset(block, 0x42, 1 << 20);
  block = realloc(block, 4 << 20);
  show("kept", "%x %x", block[0], block[(1 << 20) - 1]);
  block[(4 << 20) - 1] = 1;
  block = realloc(block, 1 << 18);
  show("kept after shrinking", "%x", block[(1 << 18) - 1]);
}
