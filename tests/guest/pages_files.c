/* page-sizes.md 5.4, rows 9 to 16 and 21, and section 11's E2 and E3: files in memory, their ends, and what
 * happens when the file becomes longer or shorter under the mapping. */
#include "pages.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

static const int both[] = {MAP_SHARED, MAP_PRIVATE};

ROW(09) {
  int fd = file_of("row09", P + 100);
  for (size_t i = 0; i < 2; i++) {
    unsigned char *at = map_at(NULL, 2 * P, RW, both[i], fd, 0);
    equal("last byte", at[P + 99], 2);
    for (size_t offset = P + 100; offset < 2 * P; offset += 61)
      if (at[offset] != 0) {
        wrong("byte %zu past the end: %d", offset - P - 100, at[offset]);
        break;
      }
    equal("the page's last byte", at[2 * P - 1], 0);
    if (both[i] == MAP_SHARED) continue; /* a store would be seen by the next mapping */
    at[2 * P - 1] = 7;
    equal("a store there", at[2 * P - 1], 7);
  }
  struct stat now;
  MUST(fstat(fd, &now));
  equal("size", (long)now.st_size, (long)P + 100);
}

ROW(10) {
  int fd = file_of("row10", 100);
  for (size_t i = 0; i < 2; i++) {
    unsigned char *at = map_at(NULL, 4 * P, RW, both[i], fd, 0);
    touched("the first page's last byte", try_write(at + P - 1), "ok");
    for (size_t offset = P; offset < 4 * P; offset += P / 2 + 1) {
      touched("load", try_read(at + offset), ADRERR);
      touched("store", try_write(at + offset), ADRERR);
    }
    touched("the last byte", try_read(at + 4 * P - 1), ADRERR);
  }
  fd = file_of("row10b", 2 * P); /* the end on a page's border */
  unsigned char *at = map_at(NULL, 3 * P, RW, MAP_SHARED, fd, 0);
  touched("before a border", try_read(at + 2 * P - 1), "ok");
  touched("behind a border", try_read(at + 2 * P), ADRERR);
  at = map_at(NULL, P, PROT_READ, MAP_SHARED, fd, (off_t)(5 * P));
  touched("offset past the end", try_read(at + 11), ADRERR);
}

ROW(11) {
  int fd = file_of("row11", 100), ends[2];
  MUST(pipe(ends));
  for (size_t i = 0; i < 2; i++) {
    unsigned char *at = map_at(NULL, 3 * P, RW, both[i], fd, 0);
    came_to("write from there", write(ends[1], at + P, 1), EFAULT);
    MUST(write(ends[1], "x", 1));
    came_to("read to there", read(ends[0], at + P, 1), EFAULT);
    came_to("write from the last byte", write(ends[1], at + 3 * P - 1, 1), EFAULT);
    MUST(write(ends[1], "y", 1));
    came_to("read to the tail", read(ends[0], at + P - 1, 1), 0);
    (void)!read(ends[0], at, 1);
  }
}

ROW(12) {
  int fd = file_of("row12", 100);
  unsigned char *shared = map_at(NULL, 4 * P, RW, MAP_SHARED, fd, 0);
  unsigned char *private = map_at(NULL, 4 * P, RW, MAP_PRIVATE, fd, 0);
  touched("before", try_read(shared + 2 * P), ADRERR);
  touched("before, private", try_read(private + 2 * P), ADRERR);
  MUST(ftruncate(fd, (off_t)(2 * P + 10)));
  put(fd, P, 21);
  put(fd, 2 * P + 9, 22);
  touched("after", try_read(shared + P), "ok");
  equal("data", shared[P], 21);
  equal("data in the last page", shared[2 * P + 9], 22);
  equal("private data", private[P], 21);
  equal("private data in the last page", private[2 * P + 9], 22);
  equal("the last page's end", shared[3 * P - 1], 0);
  touched("still past the end", try_read(shared + 3 * P), ADRERR);
  MUST(lseek(fd, (off_t)(3 * P), SEEK_SET)); /* write(2) makes a file longer too */
  MUST(write(fd, "A", 1));
  touched("after a write", try_read(shared + 3 * P), "ok");
  equal("what was written", shared[3 * P], 'A');
  MUST(ftruncate(fd, 10));
  touched("shorter", try_read(shared + P), ADRERR);
  touched("shorter, private", try_read(private + P), ADRERR);
  equal("the tail", shared[11], 0);
}

ROW(13) {
  int fd = file_of("row13", 100);
  unsigned char *at = map_at(NULL, 3 * P, RW, MAP_SHARED, fd, 0);
  at[50] = 31;
  touched("before", try_write(at + P), ADRERR);
  MUST(ftruncate(fd, (off_t)(3 * P)));
  at[101] = 30;
  at[P - 1] = 32;
  at[P] = 33;
  at[3 * P - 1] = 34;
  equal("old part", byte_of(fd, 50), 31);
  equal("behind the old end", byte_of(fd, 101), 30);
  equal("end of the old page", byte_of(fd, P - 1), 32);
  equal("new page", byte_of(fd, P), 33);
  equal("last byte", byte_of(fd, 3 * P - 1), 34);

  fd = file_of("row13r", 100); /* a reader of its own, a writer that no mapping knows of */
  int reader = MUST(open("row13r", O_RDONLY));
  const volatile unsigned char *shown = map_at(NULL, 2 * P, PROT_READ, MAP_PRIVATE, reader, 0);
  MUST(close(reader));
  equal("not yet written", shown[P - 1], 0);
  put(fd, P - 1, 35);
  equal("written behind the end", shown[P - 1], 35);
  put(fd, P, 36);
  equal("written to a new page", shown[P], 36);
  ELSEWHERE(put(fd, P + 1, 37));
  equal("written by another process", shown[P + 1], 37);
}

ROW(14) {
  int fd = file_of("row14", 20 * P);
  const size_t lengths[] = {1, P, P + 1, 3 * P, 5 * P, 16 * P, 17 * P};
  for (size_t i = 0; i < COUNT(lengths); i++) {
    size_t last = (lengths[i] - 1) & ~(P - 1);
    unsigned char *at = mmap(NULL, lengths[i], RW, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
      wrong("%zu bytes: %s", lengths[i], error_name(errno));
      continue;
    }
    at[last] = (unsigned char)(100 + i);
    equal("in the file", byte_of(fd, last), (long)(100 + i));
    unsigned char *area = anonymous(20, PROT_NONE);
    at = mmap(area, lengths[i], RW, MAP_SHARED | MAP_FIXED, fd, 0);
    if (at == MAP_FAILED) {
      wrong("%zu bytes, fixed: %s", lengths[i], error_name(errno));
      continue;
    }
    at[last + 1] = (unsigned char)(200 + i);
    equal("fixed, in the file", byte_of(fd, last + 1), (long)(200 + i));
    touched("the next page", try_read(at + last + P), ACCERR);
  }
}

/* Pages of a file at addresses that no larger page could have: page i of the area is page 15-i of the file.
 * Some mips kernels have cache colours (256 KiB at most) and refuse shared mappings of another colour: for them
 * the distances are whole colours. In pages. */
static size_t distance = 1;

static void find_distance(void) {
#ifdef __mips__
  int fd = file_of("colour", 2 * P);
  unsigned char *at = map_at(NULL, 2 * P, RW, MAP_SHARED, fd, 0);
  if (mapped(at, P, RW, MAP_SHARED | MAP_FIXED, fd, (off_t)P) == -1 && errno == EINVAL) distance = 0x40000 / P;
#endif
}

static unsigned char *crossed_page(unsigned char *area, size_t i) {
  unsigned char *at = area + i * distance * P;
  return at + ((15 - i) * distance * P - (uintptr_t)at) % (distance * P);
}

static unsigned char *crossed(int fd, int kind) {
  unsigned char *area = anonymous(17 * distance, PROT_NONE);
  for (size_t i = 0; i < 16; i++) {
    unsigned char *at = crossed_page(area, i);
    off_t offset = (off_t)((15 - i) * distance * P);
    if (mmap(at, P, RW, kind | MAP_FIXED, fd, offset) != at) wrong("page %zu: %s", i, error_name(errno));
  }
  return area;
}

static int sparse(const char *name) {
  find_distance();
  int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
  MUST(ftruncate(fd, (off_t)(16 * distance * P)));
  for (size_t i = 0; i < 16; i++) put(fd, i * distance * P, (unsigned char)(i + 1));
  return fd;
}

ROW(15) {
  int fd = sparse("row15");
  unsigned char *area = crossed(fd, MAP_SHARED);
  unsigned char *straight = map_at(NULL, 16 * distance * P, RW, MAP_SHARED, fd, 0);
  for (size_t i = 0; i < 16; i++) {
    unsigned char *at = crossed_page(area, i);
    size_t offset = (15 - i) * distance * P;
    if (strcmp(try_read(at), "ok") != 0) continue;
    equal("content", *at, (long)(16 - i));
    at[1] = (unsigned char)(i + 60);
    equal("a store, in the file", byte_of(fd, offset + 1), (long)(i + 60));
    equal("a store, in another mapping", straight[offset + 1], (long)(i + 60));
    straight[offset + P - 1] = (unsigned char)(i + 80);
    equal("another mapping's store", at[P - 1], (long)(i + 80));
  }
}

ROW(16) {
  int fd = sparse("row16");
  unsigned char *area = crossed(fd, MAP_PRIVATE);
  for (size_t i = 0; i < 16; i++) {
    unsigned char *at = crossed_page(area, i);
    size_t offset = (15 - i) * distance * P;
    if (strcmp(try_read(at), "ok") != 0) continue;
    equal("content", *at, (long)(16 - i));
    put(fd, offset + 2, (unsigned char)(i + 60));
    equal("the file's change", at[2], (long)(i + 60));
    at[3] = 5;
    put(fd, offset + 4, 99);
    equal("the file's change after a store", at[4], 0);
    equal("the file without the store", byte_of(fd, offset + 3), 0);
  }
}

ROW(21) {
  int fd = file_of("row21", 3 * P + 100);
  unsigned char *at = map_at(NULL, 4 * P, RW, MAP_PRIVATE, fd, 0);
  for (size_t i = 0; i < 4; i++) at[i * P + 5] = 77;
  put(fd, P + 6, 88);
  came_to("second page", madvise(at + P, P, MADV_DONTNEED), 0);
  equal("the page before", at[5], 77);
  equal("file data", at[P + 5], 2);
  equal("new file data", at[P + 6], 88);
  equal("the page behind", at[2 * P + 5], 77);
  came_to("the tail", madvise(at + 3 * P, P, MADV_DONTNEED), 0);
  equal("the tail's data", at[3 * P + 5], 4);
  equal("past the end", at[3 * P + 100], 0);
  at = map_at(NULL, 4 * P, RW, MAP_SHARED, fd, 0);
  at[2 * P] = 66;
  came_to("shared", madvise(at, 4 * P, MADV_DONTNEED), 0);
  equal("shared store", at[2 * P], 66);
  equal("in the file", byte_of(fd, 2 * P), 66);
}

ROW(E2) {
  int fd = file_of("rowE2", 3 * P);
  unsigned char *shared = map_at(NULL, 6 * P, RW, MAP_SHARED, fd, 0);
  unsigned char *private = map_at(NULL, 6 * P, RW, MAP_PRIVATE, fd, 0);
  equal("before", shared[2 * P] + private[P], 5);
  private[2 * P] = 50;
  touched("past the end", try_read(shared + 3 * P + 1), ADRERR);
  ELSEWHERE(MUST(truncate("rowE2", (off_t)P + 100)));
  touched("shorter, shared", try_read(shared + 2 * P + 3), ADRERR);
  touched("shorter, private", try_read(private + 2 * P + 3), ADRERR); /* the copy goes too */
  touched("shorter, store", try_write(shared + 2 * P - 1), "ok");
  equal("the tail", shared[P + 100], 0);
  ELSEWHERE(MUST(truncate("rowE2", (off_t)(5 * P))); put(fd, 4 * P + 7, 44));
  touched("longer", try_read(shared + 2 * P), "ok");
  equal("longer: zero", shared[2 * P] + private[2 * P], 0);
  equal("longer: data", shared[4 * P + 7], 44);
  equal("longer: private data", private[4 * P + 7], 44);
  touched("longer: past the end", try_read(shared + 5 * P), ADRERR);
  shared[3 * P + 1] = 45;
  equal("longer: store", byte_of(fd, 3 * P + 1), 45);
  ELSEWHERE(equal("the other sees it", shared[3 * P + 1], 45); shared[3 * P + 2] = 46);
  equal("seen from the other", shared[3 * P + 2], 46);
  ELSEWHERE(MUST(truncate("rowE2", 0)));
  touched("empty", try_read(shared), ADRERR);
  touched("empty, private", try_write(private + P - 1), ADRERR);
}

ROW(E3) {
  int fd = file_of("rowE3", 100), pair[2], file = MUST(open("rowE3b", O_RDWR | O_CREAT, 0644));
  MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
  unsigned char *at = map_at(NULL, 3 * P, RW, MAP_SHARED, fd, 0);
  void *past = at + P;
  came_to("uname", syscall(SYS_uname, past), EFAULT);
  came_to("getrusage", syscall(SYS_getrusage, 0, past), EFAULT);
  came_to("clock_gettime", syscall(SYS_clock_gettime, CLOCK_REALTIME, past), EFAULT);
  came_to("path", access(past, F_OK), EFAULT);
  came_to("vector", writev(file, past, 1), EFAULT);
  struct iovec vector[2] = {{at, 100}, {past, 100}};
  equal("vector, second part", writev(file, vector, 2), 100);
  came_to("poll", poll(past, 1, 0), EFAULT);
  came_to("send", send(pair[0], past, 10, 0), EFAULT);
  MUST(send(pair[0], "text", 4, 0));
  came_to("receive", recv(pair[1], past, 4, 0), EFAULT);
  came_to("pipe2", syscall(SYS_pipe2, past, 0), EFAULT);
  came_to("getcwd", getcwd(past, 100) == NULL ? -1 : 0, EFAULT);
  long count = write(file, at + P - 50, 100); /* half of it is there */
  if (count < 1 || count > 50) wrong("write across the end: %ld", count);
  count = pread(file, at + P - 50, 100, 0);
  if (count < 1 || count > 50) wrong("read across the end: %ld", count);
  came_to("bytes there", write(file, at + P - 1, 1), 0);
  MUST(ftruncate(fd, (off_t)(2 * P)));
  came_to("uname after growth", syscall(SYS_uname, past), 0);
  truth("it wrote Linux", strcmp(past, "Linux") == 0);
  came_to("still past the end", syscall(SYS_uname, at + 2 * P - 10), EFAULT);
}
