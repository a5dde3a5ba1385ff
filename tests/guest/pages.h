/* The frame of the page size matrix: rows, each in a process of its own, that print one line.
 *
 *   row NN ideal               what a Linux kernel with pages of this size does
 *   row NN: what happened      what it was instead, several things with "; " between them
 *
 * The first line is `page N`, the page size in bytes. It comes from sysconf and from nowhere else.
 * Where real kernels of an ABI differ from the others, the row knows it. `PROGRAM NN...` runs only
 * those rows. */
#ifndef OCTAVO_TESTS_GUEST_PAGES_H
#define OCTAVO_TESTS_GUEST_PAGES_H

#define CASE_ROWS
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "fault.h"

#define ROW(id) CASE(id)
#define MAPERR "SIGSEGV MAPERR at the address"
#define ACCERR "SIGSEGV ACCERR at the address"
#define ADRERR "SIGBUS ADRERR at the address"
#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int complaints[2]; /* a pipe: what a row and its children find wrong */
static size_t P;          /* the page size */

/* Something is not as it should be. The row goes on. */
UNUSED __attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  int used = vsnprintf(text, sizeof text - 1, format, arguments);
  va_end(arguments);
  if (used > (int)sizeof text - 2) used = (int)sizeof text - 2;
  text[used++] = '\n';
  (void)!write(complaints[1], text, (size_t)used);
}

static void must_fail(const char *expression, int line) {
  int error = errno;
  wrong("line %d, %.150s: %s", line, expression, error_name(error));
  _exit(0);
}

UNUSED static void truth(const char *label, int condition) {
  if (!condition) wrong("not so: %s", label);
}

UNUSED static void equal(const char *label, long long found, long long expected) {
  if (found != expected) wrong("%s: %lld, not %lld", label, found, expected);
}

/* What a call that returns -1 came to; `error` 0 stands for success. */
UNUSED static void came_to(const char *label, long result, int error) {
  int found = result == -1 ? errno : 0;
  if (found == error) return;
  char name[40];
  snprintf(name, sizeof name, "%s", error_name(found));
  wrong("%s: %s, not %s", label, name, error_name(error));
}

/* What a touch of memory came to. */
UNUSED static void touched(const char *label, const char *found, const char *expected) {
  if (strcmp(found, expected) != 0) wrong("%s: %s, not %s", label, found, expected);
}

/* mmap as a call for came_to: a mapping that should not be there is left there. */
UNUSED static long mapped(void *at, size_t length, int prot, int flags, int fd, off_t offset) {
  return mmap(at, length, prot, flags, fd, offset) == MAP_FAILED ? -1 : 0;
}

UNUSED static unsigned char *map_at(void *at, size_t length, int prot, int flags, int fd, off_t offset) {
  void *result = mmap(at, length, prot, flags, fd, offset);
  if (result == MAP_FAILED) must_fail("mmap", __LINE__);
  return result;
}

UNUSED static unsigned char *anonymous(size_t pages, int prot) {
  return map_at(NULL, pages * P, prot, ANONYMOUS, -1, 0);
}

/* `pages` pages that are nobody's, with room on both sides that nobody gets by chance. */
UNUSED static unsigned char *hole(size_t pages) {
  unsigned char *at = anonymous(pages + 2, PROT_NONE);
  MUST(munmap(at + P, pages * P));
  return at + P;
}

/* A file of `size` bytes in which byte i is i / P + 1. */
UNUSED static int file_of(const char *name, size_t size) {
  int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
  unsigned char *block = malloc(P);
  for (size_t at = 0; at < size; at += P) {
    memset(block, (int)(at / P + 1), P);
    MUST(write(fd, block, size - at < P ? size - at : P));
  }
  free(block);
  return fd;
}

UNUSED static int byte_of(int fd, size_t offset) {
  unsigned char value = 0;
  return pread(fd, &value, 1, (off_t)offset) == 1 ? value : -1;
}

UNUSED static void put(int fd, size_t offset, unsigned char value) {
  MUST(pwrite(fd, &value, 1, (off_t)offset));
}

/* Do something in a process of its own. */
#define ELSEWHERE(...)             \
  do {                             \
    pid_t child_ = start();        \
    if (child_ == 0) {             \
      __VA_ARGS__;                 \
      _exit(0);                    \
    }                              \
    int end_ = finish(child_);     \
    if (end_ != 0) wrong("line %d: the child ended with %#x", __LINE__, end_); \
  } while (0)

static void row_report(const char *name, int result) {
  char text[900], line[2048];
  struct pollfd ready = {.fd = complaints[0], .events = POLLIN};
  ssize_t size = poll(&ready, 1, 0) == 1 ? read(complaints[0], text, sizeof text) : 0;
  size_t used = (size_t)snprintf(line, sizeof line, "row %s%s", name, size > 0 || result ? ": " : " ideal");
  for (ssize_t i = 0; i < size; i++) {
    if (text[i] != '\n') {
      line[used++] = text[i];
    } else if (i + 1 < size || result != 0) {
      line[used++] = ';';
      line[used++] = ' ';
    }
  }
  line[used] = 0;
  if (WIFSIGNALED(result))
    snprintf(line + used, sizeof line - used, "killed by %s", signal_name(WTERMSIG(result)));
  else if (result != 0)
    snprintf(line + used, sizeof line - used, "exit %d", WEXITSTATUS(result));
  strcat(line, "\n");
  (void)!write(STDOUT_FILENO, line, strlen(line));
}

static void row_run(const struct case_entry *entry) {
  case_name = entry->name;
  MUST(pipe(complaints));
  pid_t pid = fork();
  if (pid == 0) {
    alarm(CASE_SECONDS);
    entry->run();
    _exit(0);
  }
  row_report(entry->name, pid == -1 ? 0xff00 : case_wait(pid));
  close(complaints[0]);
  close(complaints[1]);
}

int main(int argc, char **argv) {
  char line[40];
  case_self = argv[0];
  P = (size_t)sysconf(_SC_PAGESIZE);
  complaints[1] = STDERR_FILENO;
  if (argc > 1 && strncmp(argv[1], "--", 2) == 0)
    return helper != NULL ? helper(argc, argv) : 97;
  snprintf(line, sizeof line, "page %zu\n", P);
  (void)!write(STDOUT_FILENO, line, strlen(line));
  for (struct case_entry *entry = case_list; entry != NULL; entry = entry->next) {
    int wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= strcmp(argv[i], entry->name) == 0;
    if (wanted) row_run(entry);
  }
  return 0;
}

#endif
