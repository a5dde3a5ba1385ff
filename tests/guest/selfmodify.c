/* Code that a program writes itself: generated, rewritten in place, shared between two mappings,
 * unmapped and mapped anew, and pages that may not be executed. */
#include "case.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "code.h"
#include "fault.h"

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static unsigned char *pages(size_t count, int prot) {
  void *at = mmap(NULL, count * page(), prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) must_fail("mmap", __LINE__);
  return at;
}

CASE(generate) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("first", call(at));
  plant(at, twelve);
  number("rewritten", call(at));
  int sum = 0;
  for (int i = 0; i < 20; i++) {
    plant(at, i % 2 ? eleven : thirteen);
    sum += call(at);
  }
  number("alternating", sum);
}

CASE(write_then_protect) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE);
  plant(at, eleven);
  outcome("to executable", mprotect(at, page(), PROT_READ | PROT_EXEC));
  number("first", call(at));
  outcome("to writable", mprotect(at, page(), PROT_READ | PROT_WRITE));
  plant(at, twelve);
  outcome("to executable again", mprotect(at, page(), PROT_READ | PROT_EXEC));
  number("second", call(at));
  show("not writable", "%s", try_write(at + CODE));
}

CASE(remap) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("first", call(at));
  MUST(munmap(at, page()));
  MUST(mmap(at, page(), PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  plant(at, thirteen);
  number("other code at the address", call(at));
}

CASE(two_views) {
  int fd = MUST(memfd_create("code", 0));
  MUST(ftruncate(fd, (off_t)page()));
  unsigned char *writer = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *runner = mmap(NULL, page(), PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  plant(writer, eleven);
  code_changed(runner);
  number("first", call(runner));
  plant(writer, twelve);
  code_changed(runner);
  number("rewritten through the other", call(runner));
}

CASE(read_into_code) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("first", call(at));
  int ends[2];
  MUST(pipe(ends));
  MUST(write(ends[1], bytes_of(twelve), CODE));
  number("read", read(ends[0], at, CODE));
  code_changed(at);
  number("second", call(at));
}

CASE(file_of_code) {
  int fd = MUST(open("code", O_RDWR | O_CREAT | O_TRUNC, 0700));
  MUST(ftruncate(fd, (off_t)page()));
  MUST(pwrite(fd, bytes_of(eleven), CODE, 0));
  unsigned char *at = mmap(NULL, page(), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  number("mapped", call(at));
  MUST(pwrite(fd, bytes_of(thirteen), CODE, 0));
  code_changed(at);
  number("after the file changed", call(at));
}

CASE(made_executable_later) {
  int fd = MUST(memfd_create("code", 0));
  MUST(ftruncate(fd, (off_t)page()));
  unsigned char *writer = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *runner = mmap(NULL, page(), PROT_READ, MAP_SHARED, fd, 0);
  plant(writer, eleven);
  outcome("to executable", mprotect(runner, page(), PROT_READ | PROT_EXEC));
  number("first", call(runner));
  for (int i = 0; i < 6; i++) {
    plant(writer, i % 2 ? twelve : thirteen);
    code_changed(runner);
    number("rewritten", call(runner));
  }
  pid_t pid = start();
  if (pid == 0) {
    plant(writer, eleven);
    _exit(0);
  }
  status("child", finish(pid));
  code_changed(runner);
  number("rewritten by the child", call(runner));
}

CASE(code_at_two_offsets) {
  int fd = MUST(memfd_create("code", 0));
  MUST(ftruncate(fd, (off_t)(3 * page())));
  unsigned char *runner = mmap(NULL, page(), PROT_READ | PROT_EXEC, MAP_SHARED, fd, (off_t)page());
  unsigned char *all = mmap(NULL, 3 * page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  unsigned char *private = mmap(NULL, page(), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)page());
  for (int i = 0; i < 4; i++) {
    plant(all + page(), i % 2 ? twelve : eleven);
    code_changed(runner);
    number("seen by the small one", call(runner));
    MUST(getppid()); /* a system call: by then the private one has it too */
    code_changed(private);
    number("by the private one", call(private));
  }
}

CASE(fork_and_rewrite) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("parent first", call(at));
  pid_t pid = start();
  if (pid == 0) {
    plant(at, twelve);
    _exit(call(at));
  }
  status("child", finish(pid));
  number("parent unchanged", call(at));
}

CASE(unmapped_code) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("first", call(at));
  MUST(munmap(at, page()));
  fault_install();
  if (sigsetjmp(fault_jump, 1) == 0) show("ran", "%d", call(at));
  show("fault", "%s", fault_text(at));
}

CASE(data_is_dropped) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, eleven);
  number("first", call(at));
  outcome("dontneed", madvise(at, page(), MADV_DONTNEED));
  plant(at + CODE, thirteen);
  number("bytes gone", at[0] + at[1] + at[2] + at[3]);
  number("new code beside", call(at + CODE));
}

CASE(copy_with_move) {
  unsigned char *at = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);
  plant(at, thirteen);
  number("first", call(at));
  unsigned char *moved = mremap(at, page(), 4 * page(), MREMAP_MAYMOVE);
  number("moved", call(moved));
  plant(moved, eleven);
  number("moved and rewritten", call(moved));
}
