/* What a program finds at address 0: a page of zeros or nothing, and what it may do to it. */
#ifndef OCTAVO_TESTS_GUEST_PAGE_ZERO_H
#define OCTAVO_TESTS_GUEST_PAGE_ZERO_H

#include <sys/mman.h>

#include "fault.h"

static void zero_line(void) {
  static char line[512];
  const char *found = "none";
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) must_fail("maps", __LINE__);
  unsigned long start, end;
  char perms[8] = "", rest[400] = "";
  if (fgets(line, sizeof line, maps) != NULL && strtoul(line, NULL, 16) == 0) {
    sscanf(line, "%lx-%lx %7s %*s %*s %*s %399[^\n]", &start, &end, perms, rest);
    found = line;
    snprintf(line, sizeof line, "%ld page %s [%s]", (long)(end / (unsigned long)getpagesize()), perms,
             rest);
  }
  fclose(maps);
  show("maps", "%s", found);
}

static void zero_probe(void) {
  volatile unsigned char *zero = pointer(0);
  size_t size = (size_t)getpagesize();
  show("read", "%s", try_read(zero));
  show("write", "%s", try_write(zero));
  zero_line();
  int ends[2];
  MUST(pipe(ends));
  number("as a system call's buffer", write(ends[1], (void *)zero, 4));
  outcome("mprotect", mprotect((void *)zero, size, PROT_READ | PROT_WRITE));
  void *result = mmap((void *)zero, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  outcome("mmap over it", result == MAP_FAILED ? -1 : 0);
  outcome("munmap", munmap((void *)zero, size));
  show("read then", "%s", try_read(zero));
}

#endif
