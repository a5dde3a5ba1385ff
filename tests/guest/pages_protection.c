/* page-sizes.md 5.4: permissions, what a fault says (section 11's S1), advice, residence, moving, and code. */
#include "pages.h"

#include "code.h"

LEAF static void copy_words(volatile uint32_t *to, const volatile uint32_t *from, int count) {
  for (int i = 0; i < count; i++) to[i] = from[i];
}

static const char *try_call(void *at) {
  static char text[40];
  fault_install();
  if (sigsetjmp(fault_jump, 1) != 0) return fault_text(at);
  snprintf(text, sizeof text, "%d", call(at));
  return text;
}

ROW(17) {
  unsigned char *at = anonymous(9, RW);
  memset(at, 3, 9 * P);
  for (size_t i = 1; i < 9; i += 4) MUST(mprotect(at + i * P, P, PROT_NONE));
  for (size_t i = 3; i < 9; i += 4) MUST(mprotect(at + i * P, P, PROT_READ));
  for (size_t i = 0; i < 9; i++) {
    unsigned char *page = at + i * P;
    const char *load = i % 4 == 1 ? ACCERR : "ok", *store = i % 2 == 1 ? ACCERR : "ok";
    touched("load, first byte", try_read(page), load);
    touched("load, last byte", try_read(page + P - 1), load);
    touched("store, first byte", try_write(page), store);
    touched("store, last byte", try_write(page + P - 1), store);
    touched("store, in the middle", try_write(page + P / 2 + 3), store);
  }
  int ends[2];
  MUST(pipe(ends));
  came_to("write(2) from PROT_NONE", write(ends[1], at + P, 1), EFAULT);
  MUST(write(ends[1], "x", 1));
  came_to("read(2) into PROT_READ", read(ends[0], at + 3 * P, 1), EFAULT);
  MUST(mprotect(at + P, P, PROT_READ));
  equal("its content", at[P + 1], 3);
}

ROW(18) {
#ifdef __mips__
  /* Without RIXI, which no mips32r2 processor has to have, whatever can be read can be executed. */
#define NOT_EXECUTABLE(found) (strcmp(found, "11") == 0 || strcmp(found, ACCERR) == 0)
#else
#define NOT_EXECUTABLE(found) (strcmp(found, ACCERR) == 0)
#endif
  unsigned char *at = anonymous(4, RW);
  for (size_t i = 0; i < 4; i++) plant(at + i * P, eleven);
  MUST(mprotect(at + P, P, PROT_READ | PROT_EXEC));
  MUST(mprotect(at + 3 * P, P, PROT_NONE));
  touched("executable", try_call(at + P), "11");
  const char *found = try_call(at);
  if (!NOT_EXECUTABLE(found)) wrong("writable: %s", found);
  found = try_call(at + 2 * P);
  if (!NOT_EXECUTABLE(found)) wrong("the page behind: %s", found);
  touched("no access", try_call(at + 3 * P), ACCERR);
  MUST(mprotect(at + P, P, PROT_READ));
  found = try_call(at + P);
  if (!NOT_EXECUTABLE(found)) wrong("no longer executable: %s", found);
  MUST(munmap(at + P, P));
  touched("unmapped", try_call(at + P), MAPERR);
}

ROW(19) {
  unsigned char *at = anonymous(8, RW);
  memset(at, 4, 8 * P);
  for (size_t i = 1; i < 8; i += 2) MUST(munmap(at + i * P, P));
  for (size_t i = 0; i < 8; i++) {
    const char *expected = i % 2 ? MAPERR : "ok";
    touched("first byte", try_read(at + i * P), expected);
    touched("last byte", try_write(at + i * P + P - 1), expected);
    if (i % 2 == 0) equal("content", at[i * P + 1], 4);
  }
  int ends[2];
  MUST(pipe(ends));
  came_to("write(2) from there", write(ends[1], at + P, 1), EFAULT);
  truth("mapped again", map_at(at + P, P, RW, ANONYMOUS | MAP_FIXED, -1, 0) == at + P);
  equal("it is empty", at[P + 1], 0);
}

ROW(20) {
  unsigned char *at = anonymous(6, RW);
  memset(at, 5, 6 * P);
  came_to("one page", madvise(at + P, P, MADV_DONTNEED), 0);
  came_to("length 1", madvise(at + 4 * P, 1, MADV_DONTNEED), 0);
  for (size_t i = 0; i < 6; i++) {
    int expected = i == 1 || i == 4 ? 0 : 5;
    equal("first byte", at[i * P], expected);
    equal("last byte", at[i * P + P - 1], expected);
  }
  at[P] = 6;
  MUST(mprotect(at + P, P, PROT_READ));
  came_to("read-only page", madvise(at + P, P, MADV_DONTNEED), 0);
  equal("is zero too", at[P], 0);
}

ROW(22) {
  unsigned char *at = anonymous(5, RW);
  memset(at, 6, 5 * P);
  came_to("unknown advice", madvise(at, P, 9999), EINVAL);
  came_to("unknown advice, length 0", madvise(at, 0, 9999), EINVAL);
  came_to("length 0", madvise(at, 0, MADV_DONTNEED), 0);
  came_to("odd address", madvise(at + P / 2, P, MADV_DONTNEED), EINVAL);
  equal("nothing done", at[0] + at[P], 12);
  MUST(munmap(at + 2 * P, P));
  came_to("across a hole", madvise(at + P, 3 * P, MADV_DONTNEED), ENOMEM);
  equal("before it", at[P], 0);
  equal("behind it", at[3 * P], 0);
  equal("beside them", at[P - 1] + at[4 * P], 12);
  came_to("the hole", madvise(at + 2 * P, P, MADV_WILLNEED), ENOMEM);
}

ROW(23) {
  unsigned char *at = anonymous(5, RW);
  MUST(munmap(at + 2 * P, P));
  came_to("across a hole", mprotect(at + P, 3 * P, PROT_READ), ENOMEM);
  touched("before it", try_write(at + P), ACCERR);
  touched("behind it", try_write(at + 3 * P), "ok");
  touched("beside it", try_write(at), "ok");
  came_to("the hole", mprotect(at + 2 * P, P, RW), ENOMEM);
  touched("it stays one", try_read(at + 2 * P), MAPERR);
  came_to("hole first", mprotect(at + 2 * P, 2 * P, PROT_READ), ENOMEM);
  touched("behind it", try_write(at + 3 * P), "ok");
}

ROW(26) {
  unsigned char *at = anonymous(9, RW), vector[16];
  at[P] = at[3 * P] = 1;
  memset(vector, 0xee, sizeof vector);
  came_to("eight pages", mincore(at + P, 8 * P, vector), 0);
  equal("first page", vector[0] & 1, 1);
  equal("second page", vector[1] & 1, 0);
  equal("third page", vector[2] & 1, 1);
  for (int i = 0; i < 16; i++)
    if ((vector[i] == 0xee) != (i >= 8)) wrong("vector[%d] is %#x", i, vector[i]);
  memset(vector, 0xee, sizeof vector);
  came_to("length 1", mincore(at + P, 1, vector), 0);
  truth("one byte", vector[0] != 0xee && vector[1] == 0xee);
  came_to("odd address", mincore(at + P / 2, P, vector), EINVAL);
  MUST(munmap(at + 4 * P, P));
  came_to("hole", mincore(at, 9 * P, vector), ENOMEM);
  came_to("bad vector", mincore(at, P, pointer(1)), EFAULT);
}

static void remap_more(void) {
  unsigned char *at = anonymous(4, RW);
  memset(at, 8, 4 * P);
  came_to("size 0", mremap(at, P, 0, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EINVAL);
  for (size_t odd = P / 2; odd >= 1024; odd /= 2)
    came_to("odd address", mremap(at + odd, P, P, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, EINVAL);
  came_to("no room", mremap(at, P, 2 * P, 0) == MAP_FAILED ? -1 : 0, ENOMEM);
  unsigned char *target = anonymous(4, PROT_NONE);
  truth("to a given place",
        mremap(at + P, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, target + P) == (void *)(target + P));
  equal("content there", target[P + 5], 8);
  touched("the old place", try_read(at + P), MAPERR);
  touched("beside the new place", try_read(target), ACCERR);
  equal("beside the old place", at[P - 1] + at[2 * P], 16);
  int fd = file_of("row28", 5 * P);
  at = map_at(NULL, P, RW, MAP_SHARED, fd, (off_t)P);
  at = mremap(at, P, 3 * P, MREMAP_MAYMOVE);
  if (at == MAP_FAILED) must_fail("mremap of a file", __LINE__);
  at[2 * P] = 99;
  equal("a file's later page", byte_of(fd, 3 * P), 99);
  equal("a file's first page", at[0], 2);
}

ROW(28) {
  unsigned char *area = hole(8);
  unsigned char *at = map_at(area, P, RW, ANONYMOUS | MAP_FIXED, -1, 0);
  at[0] = 1, at[P - 1] = 2;
  truth("in place", mremap(at, P, 3 * P, 0) == at);
  equal("content", at[0] + at[P - 1], 3);
  equal("new part", at[3 * P - 1], 0);
  at[2 * P] = 3;
  truth("smaller", mremap(at, 3 * P, 2 * P, 0) == at);
  touched("what is cut off", try_read(at + 2 * P), MAPERR);
  MUST(mapped(at + 2 * P, P, RW, ANONYMOUS | MAP_FIXED, -1, 0));
  for (size_t pages = 2; pages <= 34; pages += 8) {
    unsigned char *new = mremap(at, pages * P, (pages + 8) * P, MREMAP_MAYMOVE);
    if (new == MAP_FAILED) {
      wrong("%zu pages more: %s", (size_t)8, error_name(errno));
      return;
    }
    equal("moved content", new[0] + new[P - 1], 3);
    equal("moved, new part", new[(pages + 8) * P - 1], 0);
    at = new;
  }
  remap_more();
}

ROW(31) {
  unsigned char *at = anonymous(2, RW | PROT_EXEC);
  plant(at, eleven);
  equal("first", call(at), 11);
  plant(at, twelve);
  equal("rewritten", call(at), 12);
  /* Code that rewrites code in its own page. */
  void (*copy)(volatile uint32_t *, const volatile uint32_t *, int) =
      (void (*)(volatile uint32_t *, const volatile uint32_t *, int))callable(at + P / 2);
  plant(at + P / 2, copy_words);
  for (int i = 0; i < 6; i++) {
    copy((uint32_t *)at, bytes_of(i % 2 ? (void *)twelve : (void *)eleven), 8);
    code_changed(at);
    equal("written from the page", call(at), 11 + i % 2);
  }
  copy((uint32_t *)(at + P), bytes_of(eleven), 8); /* the page beside it */
  code_changed(at + P);
  equal("the page beside it", call(at + P), 11);
  int ends[2]; /* by a system call */
  MUST(pipe(ends));
  MUST(write(ends[1], bytes_of(eleven), 32));
  MUST(read(ends[0], at, 32));
  code_changed(at);
  equal("read into", call(at), 11);
}

ROW(J1) {
  int fd = MUST(memfd_create("code", 0));
  MUST(ftruncate(fd, (off_t)(2 * P)));
  unsigned char *writer = map_at(NULL, P, RW, MAP_SHARED, fd, 0);
  unsigned char *runner = map_at(NULL, P, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  for (int i = 0; i < 4; i++) {
    plant(writer, i % 2 ? (void *)twelve : (void *)eleven);
    code_changed(runner);
    equal("through another mapping", call(runner), 11 + i % 2);
  }
  unsigned char *crossed = anonymous(2, PROT_NONE); /* the file's pages the other way round */
  map_at(crossed, P, RW, MAP_SHARED | MAP_FIXED, fd, (off_t)P);
  map_at(crossed + P, P, RW, MAP_SHARED | MAP_FIXED, fd, 0);
  plant(crossed + P, eleven);
  code_changed(runner);
  equal("through a mapping of other alignment", call(runner), 11);
}

/* With a mapping of its own that can write, and with none. */
ROW(J2) {
  for (int own = 0; own < 2; own++) {
    int fd = MUST(open("code", O_RDWR | O_CREAT | O_TRUNC, 0700));
    MUST(ftruncate(fd, (off_t)P));
    unsigned char bytes[CODE];
    memcpy(bytes, bytes_of(twelve), CODE);
    MUST(pwrite(fd, bytes, CODE, 0));
    unsigned char *writer = own ? map_at(NULL, P, RW, MAP_SHARED, fd, 0) : NULL;
    unsigned char *runner = map_at(NULL, P, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    code_changed(runner);
    equal("at first", call(runner), 12);
    ELSEWHERE(plant(own ? writer : map_at(NULL, P, RW, MAP_SHARED, fd, 0), eleven));
    code_changed(runner);
    equal("by another process", call(runner), 11);
    MUST(pwrite(fd, bytes, CODE, 0));
    code_changed(runner);
    equal("by pwrite to the file", call(runner), 12);
  }
}

ROW(S1) {
  int fd = file_of("rowS1", P + 1);
  unsigned char *area = anonymous(10, PROT_NONE);
  unsigned char *gap = area + P, *closed = area + 3 * P, *constant = area + 5 * P;
  MUST(munmap(gap, P));
  map_at(constant, P, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0);
  unsigned char *file = map_at(area + 6 * P, 3 * P, RW, MAP_SHARED | MAP_FIXED, fd, 0);
  for (size_t odd = 0; odd < P; odd = odd * 2 + 1) {
    touched("load, unmapped", try_read(gap + odd), MAPERR);
    touched("store, unmapped", try_write(gap + odd), MAPERR);
    touched("load, PROT_NONE", try_read(closed + odd), ACCERR);
    touched("store, PROT_NONE", try_write(closed + odd), ACCERR);
    touched("load, PROT_READ", try_read(constant + odd), "ok");
    touched("store, PROT_READ", try_write(constant + odd), ACCERR);
    touched("load, tail", try_read(file + P + odd), "ok");
    touched("load, past the end", try_read(file + 2 * P + odd), ADRERR);
    touched("store, past the end", try_write(file + 2 * P + odd), ADRERR);
    touched("load, no mapping at all", try_read(pointer(odd)), MAPERR);
  }
  touched("call, unmapped", try_call(gap), MAPERR);
  touched("call, PROT_NONE", try_call(closed), ACCERR);
  touched("call, past the end", try_call(map_at(NULL, 3 * P, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) + 2 * P),
          ADRERR);
}
