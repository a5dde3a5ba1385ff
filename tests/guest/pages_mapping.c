/* page-sizes.md 5.4: the size itself, mmap's checks, holes, and the ends of the address space. */
#include "pages.h"

#include <sys/auxv.h>

ROW(01) {
  equal("AT_PAGESZ", (long)getauxval(AT_PAGESZ), (long)P);
  equal("getpagesize", getpagesize(), (long)P);
  unsigned long entry[2], found = 0;
  int fd = MUST(open("/proc/self/auxv", O_RDONLY));
  while (read(fd, entry, sizeof entry) == (ssize_t)sizeof entry)
    if (entry[0] == AT_PAGESZ) found = entry[1];
  equal("/proc/self/auxv", (long)found, (long)P);
}

ROW(02) {
  int fd = file_of("row02", 3 * P);
  const size_t lengths[] = {1, P / 2 + 1, P, P + 1, 3 * P, 5 * P + 17};
  for (size_t i = 0; i < COUNT(lengths); i++) {
    unsigned char *at = map_at(NULL, lengths[i], RW, ANONYMOUS, -1, 0);
    equal("anonymous, modulo the page", (long)((uintptr_t)at % P), 0);
    size_t last = (lengths[i] + P - 1) / P * P - 1;
    touched("the page's last byte", try_write(at + last), "ok");
    at = map_at(NULL, 1, PROT_READ, MAP_PRIVATE, fd, (off_t)(i % 3 * P));
    equal("file, modulo the page", (long)((uintptr_t)at % P), 0);
    at = map_at(at + P + 4096 / 2, 1, PROT_READ, MAP_SHARED, fd, (off_t)(i % 3 * P));
    equal("odd hint, modulo the page", (long)((uintptr_t)at % P), 0);
    equal("the file's page", at[0], (long)(i % 3 + 1));
  }
}

ROW(03) {
  unsigned char *at = anonymous(4, RW);
  for (size_t odd = 1; odd < P; odd *= 2) {
    came_to("fixed, odd address", mapped(at + odd, P, RW, ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
    came_to("noreplace, odd address",
            mapped(at + odd, P, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EINVAL);
  }
  came_to("fixed, even address", mapped(at + P, P, RW, ANONYMOUS | MAP_FIXED, -1, 0), 0);
}

ROW(04) {
  int fd = file_of("row04", 4 * P);
  for (size_t odd = 1; odd < P; odd *= 2) {
    came_to("odd offset", mapped(NULL, P, PROT_READ, MAP_PRIVATE, fd, (off_t)odd), EINVAL);
    came_to("odd offset, shared", mapped(NULL, P, RW, MAP_SHARED, fd, (off_t)(P + odd)), EINVAL);
  }
  came_to("even offset", mapped(NULL, P, RW, MAP_SHARED, fd, (off_t)(3 * P)), 0);
}

ROW(05) {
  volatile size_t zero = 0;
  unsigned char *at = anonymous(1, RW);
  came_to("length 0", mapped(NULL, zero, RW, ANONYMOUS, -1, 0), EINVAL);
  came_to("length 0, fixed", mapped(at, zero, RW, ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
  came_to("all bits set", mapped(NULL, zero - 1, RW, ANONYMOUS, -1, 0), ENOMEM);
  came_to("less than a page from the end", mapped(NULL, zero - P + 1, RW, ANONYMOUS, -1, 0), ENOMEM);
  came_to("a page from the end", mapped(NULL, zero - P, RW, ANONYMOUS, -1, 0), ENOMEM);
  came_to("all bits set, fixed", mapped(at, zero - 1, RW, ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
  touched("what was there", try_write(at), "ok");
}

ROW(06) {
  int fd = file_of("row06", P);
  came_to("anonymous, no type", mapped(NULL, P, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
  came_to("anonymous, type 15", mapped(NULL, P, RW, MAP_ANONYMOUS | 15, -1, 0), EINVAL);
  came_to("anonymous, validated", mapped(NULL, P, RW, MAP_ANONYMOUS | 3, -1, 0), EINVAL);
  came_to("file, no type", mapped(NULL, P, RW, 0, fd, 0), EINVAL);
  came_to("file, type 15", mapped(NULL, P, RW, 15, fd, 0), EINVAL);
}

ROW(07) {
#ifdef __powerpc__
  int error = EINVAL; /* arch/powerpc/kernel/syscalls.c checks it */
#else
  int error = 0;
#endif
  came_to("unknown bit", mapped(NULL, P, RW | 0x40000000, ANONYMOUS, -1, 0), error);
}

ROW(08) {
  unsigned char *at = anonymous(2, RW);
  came_to("unknown bit", mprotect(at, P, PROT_READ | 0x40000000), EINVAL);
  came_to("length 0, unknown bit", mprotect(at, 0, 0x40000000), 0);
  came_to("odd address", mprotect(at + P / 2, P, PROT_READ), EINVAL);
  came_to("odd address, length 0", mprotect(at + 1, 0, PROT_READ), EINVAL);
  touched("still writable", try_write(at), "ok");
  came_to("length 1", mprotect(at, 1, PROT_READ), 0);
  touched("the page's last byte", try_write(at + P - 1), ACCERR);
  touched("the next page", try_write(at + P), "ok");
}

ROW(24) {
  volatile size_t zero = 0;
  unsigned char *at = anonymous(5, RW);
  memset(at, 1, 5 * P);
  came_to("one page", munmap(at + 2 * P, 1), 0);
  came_to("the hole", munmap(at + 2 * P, P), 0);
  came_to("length 0", munmap(at, zero), EINVAL);
  came_to("odd address", munmap(at + P / 2, P), EINVAL);
  came_to("beyond the end", munmap(at, zero - P), EINVAL);
  equal("before the hole", at[2 * P - 1], 1);
  equal("after the hole", at[3 * P], 1);
  touched("the hole's last byte", try_read(at + 3 * P - 1), MAPERR);
  came_to("across the hole", munmap(at + P, 3 * P), 0);
  touched("before", try_read(at + P), MAPERR);
  touched("after", try_read(at + 3 * P), MAPERR);
  equal("first page", at[P - 1], 1);
  equal("last page", at[4 * P], 1);
}

ROW(25) {
  int flags = ANONYMOUS | MAP_FIXED_NOREPLACE;
  unsigned char *at = anonymous(6, RW);
  memset(at, 1, 6 * P);
  came_to("onto a page", mapped(at + P, P, RW, flags, -1, 0), EEXIST);
  MUST(munmap(at + 2 * P, 2 * P));
  came_to("last page taken", mapped(at + 2 * P, 3 * P, RW, flags, -1, 0), EEXIST);
  came_to("first page taken", mapped(at + P, 2 * P, RW, flags, -1, 0), EEXIST);
  truth("into the hole", mmap(at + 2 * P, P, RW, flags, -1, 0) == at + 2 * P);
  came_to("again", mapped(at + 2 * P, P, RW, flags, -1, 0), EEXIST);
  came_to("the page beside it", mapped(at + 3 * P, P, PROT_NONE, flags, -1, 0), 0);
  at[2 * P] = 9;
  came_to("onto both", mapped(at + 2 * P, 2 * P, RW, flags, -1, 0), EEXIST);
  equal("what was there", at[P] + at[2 * P - 1] + at[4 * P], 3);
  equal("what came there", at[2 * P], 9);
}

ROW(27) {
#ifdef __mips__
  int error = EINVAL; /* arch/mips/mm/mmap.c: arch_get_unmapped_area_common */
#else
  int error = ENOMEM;
#endif
  volatile uintptr_t end = 0;
  int flags = ANONYMOUS | MAP_FIXED;
  came_to("the last page", mapped(pointer(end - P), P, RW, flags, -1, 0), error);
  came_to("the last but one", mapped(pointer(end - 2 * P), P, RW, flags, -1, 0), error);
  came_to("no memory there", msync(pointer(end - 2 * P), P, MS_ASYNC), ENOMEM);
}

/* Whether this process may map below vm.mmap_min_addr: CAP_SYS_RAWIO in the first user namespace. */
static int may_map_low(void) {
  char line[256];
  unsigned long long capabilities = 0, first = 0, parent = 0, count = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, "CapEff:", 7) == 0) capabilities = strtoull(line + 7, NULL, 16);
  if (file != NULL) fclose(file);
  file = fopen("/proc/self/uid_map", "r");
  if (file == NULL || fscanf(file, "%llu %llu %llu", &first, &parent, &count) != 3) count = 0;
  if (file != NULL) fclose(file);
  return capabilities >> 17 & 1 && count == 0xffffffff;
}

ROW(32) {
  unsigned long least = 0;
  FILE *file = fopen("/proc/sys/vm/mmap_min_addr", "r");
  if (file == NULL || fscanf(file, "%lu", &least) != 1) least = 4096;
  int error = least == 0 || may_map_low() ? 0 : EPERM;
  void *at = mmap(pointer(0), P, RW, ANONYMOUS | MAP_FIXED, -1, 0);
  int found = at == MAP_FAILED ? errno : 0;
#ifdef __arm__
  if (found == EINVAL) error = EINVAL; /* a 32-bit kernel, FIRST_USER_ADDRESS; an arm64 kernel does as the others */
#endif
  equal("error", found, error);
  if (found == 0) {
    truth("at 0", at == pointer(0));
    touched("store", try_write(pointer(0)), "ok");
    touched("last byte", try_write(pointer(P - 1)), "ok");
    MUST(munmap(pointer(0), P));
  }
  touched("load without it", try_read(pointer(0)), MAPERR);
  touched("load of its end", try_read(pointer(P - 1)), MAPERR);
}
