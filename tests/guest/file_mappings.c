/* Files in memory: shared and private mappings, the tail page, past end of file, truncation and
 * growth under a mapping, descriptors' modes, msync. page-sizes.md 5.4 rows 9 to 16 and 21. */
#include "case.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "fault.h"

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

/* A file of `size` bytes whose byte i is (i / page + 1). */
static int make(const char *name, size_t size) {
  int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
  for (size_t at = 0; at < size; at += page()) {
    char *block = malloc(page());
    size_t part = size - at < page() ? size - at : page();
    memset(block, (int)(at / page() + 1), page());
    MUST(write(fd, block, part));
    free(block);
  }
  return fd;
}

static unsigned char *map(int fd, size_t count, int prot, int flags) {
  void *at = mmap(NULL, count * page(), prot, flags, fd, 0);
  if (at == MAP_FAILED) must_fail("mmap", __LINE__);
  return at;
}

static int byte_at(int fd, size_t offset) {
  unsigned char value = 0;
  return pread(fd, &value, 1, (off_t)offset) == 1 ? value : -1;
}

CASE(private_mapping) {
  int fd = make("private", 3 * page());
  unsigned char *at = map(fd, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  show("content", "%d %d %d", at[0], at[page()], at[3 * page() - 1]);
  at[0] = 99;
  number("file untouched", byte_at(fd, 0));
  MUST(pwrite(fd, "\x50", 1, (off_t)page()));
  number("unwritten page follows", at[page()]);
  MUST(pwrite(fd, "\x51", 1, 1));
  number("written page does not", at[1]);
  outcome("dontneed", madvise(at, page(), MADV_DONTNEED));
  show("file again", "%d %d", at[0], at[1]);
}

CASE(shared_mapping) {
  int fd = make("shared", 2 * page());
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
  at[5] = 66;
  number("store seen by pread", byte_at(fd, 5));
  MUST(pwrite(fd, "C", 1, (off_t)page() + 1));
  number("write seen by load", at[page() + 1]);
  unsigned char *twin = map(fd, 2, PROT_READ, MAP_SHARED);
  at[9] = 44;
  number("second mapping", twin[9]);
  outcome("msync", msync(at, 2 * page(), MS_SYNC));
  MUST(close(fd));
  at[6] = 67;
  number("after close", twin[6]);
}

/* A part that only a reader has mapped is mapped by a writer later. */
CASE(readers_and_writers) {
  int fd = make("both", 4 * page());
  int reader = MUST(open("both", O_RDONLY));
  map(fd, 1, PROT_READ | PROT_WRITE, MAP_SHARED)[0] = 1;
  unsigned char *shown = map(reader, 4, PROT_READ, MAP_SHARED);
  unsigned char *at = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED);
  for (size_t i = 0; i < 4; i++) at[i * page() + 5] = (unsigned char)(70 + i);
  for (size_t i = 0; i < 4; i++) number("reader sees", shown[i * page() + 5]);
  number("file has", byte_at(fd, 3 * page() + 5));
  MUST(close(reader));
}

CASE(shared_fork) {
  int fd = make("forked", page());
  unsigned char *at = map(fd, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
  pid_t pid = start();
  if (pid == 0) {
    at[0] = 123;
    _exit(0);
  }
  finish(pid);
  number("parent sees", at[0]);
  number("file has", byte_at(fd, 0));
}

CASE(tail_page) {
  int fd = make("tail", page() + 100);
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
  number("last byte", at[page() + 99]);
  number("beyond it", at[page() + 100]);
  number("page end", at[2 * page() - 1]);
  at[page() + 200] = 1;
  number("size the same", (long)(lseek(fd, 0, SEEK_END) - (off_t)page()));
  show("in file", "%d", byte_at(fd, page() + 200));
}

CASE(past_end) {
  int fd = make("past", 100);
  unsigned char *at = map(fd, 3, PROT_READ | PROT_WRITE, MAP_SHARED);
  show("first page", "%s", try_read(at + page() - 1));
  show("second read", "%s", try_read(at + page()));
  show("third write", "%s", try_write(at + 2 * page() + 17));
  int ends[2];
  MUST(pipe(ends));
  outcome("write from there", write(ends[1], at + page(), 1));
  MUST(write(ends[1], "x", 1));
  outcome("read into there", read(ends[0], at + page(), 1));
  outcome("path there", access((char *)at + 2 * page(), F_OK));
}

CASE(private_past_end) {
  int fd = make("private_past", 100);
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  number("tail", at[500]);
  show("second", "%s", try_write(at + page()));
}

CASE(grow_under) {
  int fd = make("grow", 100);
  unsigned char *at = map(fd, 3, PROT_READ | PROT_WRITE, MAP_SHARED);
  show("before", "%s", try_read(at + page() + 7));
  MUST(ftruncate(fd, (off_t)(3 * page())));
  show("after", "%s", try_read(at + page() + 7));
  at[page() + 7] = 55;
  number("store reaches the file", byte_at(fd, page() + 7));
  MUST(pwrite(fd, "D", 1, (off_t)(2 * page())));
  number("write is seen", at[2 * page()]);
}

CASE(shrink_under) {
  int fd = make("shrink", 3 * page());
  unsigned char *shared = map(fd, 3, PROT_READ | PROT_WRITE, MAP_SHARED);
  unsigned char *copied = map(fd, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  copied[2 * page()] = 1;
  number("before", shared[2 * page()]);
  MUST(ftruncate(fd, (off_t)page() + 10));
  show("shared gone", "%s", try_read(shared + 2 * page()));
  show("copied gone too", "%s", try_read(copied + 2 * page()));
  show("partial page", "%d %d", shared[page() + 9], shared[page() + 10]);
  MUST(ftruncate(fd, (off_t)(3 * page())));
  number("zero when back", shared[2 * page()]);
}

CASE(shrink_by_other) {
  int fd = make("other", 2 * page());
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
  number("before", at[page()]);
  pid_t pid = start();
  if (pid == 0) _exit(truncate("other", 10) != 0);
  finish(pid);
  show("gone", "%s", try_read(at + page()));
  pid = start();
  if (pid == 0) _exit(truncate("other", (off_t)(2 * page())) != 0);
  finish(pid);
  show("back", "%s", try_read(at + page()));
}

CASE(offsets) {
  int fd = make("offsets", 5 * page());
  unsigned char *at = mmap(NULL, page(), PROT_READ, MAP_PRIVATE, fd, (off_t)(3 * page()));
  number("fourth page", at[0]);
  void *odd = mmap(NULL, page(), PROT_READ, MAP_PRIVATE, fd, 1);
  outcome("unaligned", odd == MAP_FAILED ? -1 : 0);
  odd = mmap(NULL, page(), PROT_READ, MAP_PRIVATE, fd, (off_t)page() / 2);
  outcome("half a page", odd == MAP_FAILED ? -1 : 0);
  unsigned char *area = mmap(NULL, 5 * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < 5; i++)
    MUST(mmap(area + i * page(), page(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
              (off_t)((4 - i) * page())));
  show("reversed", "%d %d %d %d %d", area[0], area[page()], area[2 * page()], area[3 * page()],
       area[4 * page()]);
  area[0] = 42;
  number("store through", byte_at(fd, 4 * page()));
}

CASE(modes) {
  MUST(close(make("modes", page())));
  int reader = MUST(open("modes", O_RDONLY)), writer = MUST(open("modes", O_WRONLY));
#define TRY(label, prot, flags, fd) \
  outcome(label, mmap(NULL, page(), prot, flags, fd, 0) == MAP_FAILED ? -1 : 0)
  TRY("shared write of read-only", PROT_READ | PROT_WRITE, MAP_SHARED, reader);
  TRY("private write of read-only", PROT_READ | PROT_WRITE, MAP_PRIVATE, reader);
  TRY("write-only", PROT_WRITE, MAP_SHARED, writer);
  TRY("closed", PROT_READ, MAP_SHARED, 500);
  int directory = MUST(open(".", O_RDONLY | O_DIRECTORY)), ends[2];
  TRY("directory", PROT_READ, MAP_PRIVATE, directory);
  MUST(pipe(ends));
  TRY("pipe", PROT_READ, MAP_PRIVATE, ends[0]);
  unsigned char *at = map(reader, 1, PROT_READ, MAP_SHARED);
  outcome("no upgrade", mprotect(at, page(), PROT_READ | PROT_WRITE));
}

CASE(dev_zero) {
  int fd = MUST(open("/dev/zero", O_RDWR));
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  at[1] = 3;
  show("private", "%d %d", at[0], at[1]);
  unsigned char *shared = map(fd, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
  pid_t pid = start();
  if (pid == 0) {
    shared[0] = 4;
    _exit(0);
  }
  finish(pid);
  number("shared with a child", shared[0]);
}

CASE(sync_errors) {
  int fd = make("sync", 2 * page());
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
  outcome("unaligned", msync(at + 1, page(), MS_SYNC));
  outcome("both", msync(at, page(), MS_SYNC | MS_ASYNC));
  outcome("unknown", msync(at, page(), 64));
  outcome("async", msync(at, page(), MS_ASYNC));
  outcome("invalidate", msync(at, page(), MS_SYNC | MS_INVALIDATE));
  MUST(munmap(at + page(), page()));
  outcome("hole", msync(at, 2 * page(), MS_SYNC));
}

CASE(rename_under) {
  int fd = make("before", page());
  unsigned char *at = map(fd, 1, PROT_READ, MAP_SHARED);
  MUST(unlink("before"));
  number("unlinked", at[7]);
  MUST(close(fd));
  number("closed", at[8]);
}

CASE(memfd) {
  int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  outcome("create", fd);
  MUST(ftruncate(fd, (off_t)(2 * page())));
  unsigned char *at = map(fd, 2, PROT_READ | PROT_WRITE, MAP_SHARED);
  at[page()] = 12;
  number("shared", byte_at(fd, page()));
  outcome("seal write while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  MUST(munmap(at, 2 * page()));
  outcome("seal write", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
  yes("seals", fcntl(fd, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK));
  outcome("write", write(fd, "x", 1));
  outcome("shrink", ftruncate(fd, 1));
  void *denied = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  outcome("map writable", denied == MAP_FAILED ? -1 : 0);
}
