/* Pipes and fifos: capacity, atomic writes, ends that close, blocking and not, packets. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

CASE(basics) {
  int ends[2];
  char text[16] = "";
  outcome("pipe", pipe(ends));
  number("write", write(ends[1], "through", 7));
  int waiting = -1;
  outcome("FIONREAD", ioctl(ends[0], FIONREAD, &waiting));
  number("waiting", waiting);
  number("read", read(ends[0], text, sizeof text));
  show("text", "%s", text);
  outcome("seek", lseek(ends[0], 0, SEEK_CUR));
  outcome("read of writer", read(ends[1], text, 1));
  outcome("write of reader", write(ends[0], text, 1));
  close(ends[1]);
  number("end", read(ends[0], text, 1));
  outcome("bad pointer", pipe(pointer(8)));
}

CASE(flags) {
  int ends[2];
  char byte;
  outcome("pipe2", pipe2(ends, O_NONBLOCK | O_CLOEXEC));
  show("bits", "%d %d", !!(fcntl(ends[0], F_GETFL) & O_NONBLOCK), fcntl(ends[1], F_GETFD));
  outcome("empty", read(ends[0], &byte, 1));
  outcome("bad", pipe2(ends, 1 << 28));
}

CASE(capacity) {
  int ends[2];
  MUST(pipe2(ends, O_NONBLOCK));
  char block[4096];
  memset(block, 'b', sizeof block);
  long total = 0;
  ssize_t size;
  while ((size = write(ends[1], block, sizeof block)) > 0) total += size;
  outcome("full", size);
  yes("total is the size", total == fcntl(ends[1], F_GETPIPE_SZ));
  outcome("too small", fcntl(ends[1], F_SETPIPE_SZ, 4096));
  long drained = 0;
  while ((size = read(ends[0], block, sizeof block)) > 0) drained += size;
  yes("drained", drained == total);
  yes("resize", fcntl(ends[1], F_SETPIPE_SZ, 1 << 17) == 1 << 17);
}

CASE(large_transfer) {
  int ends[2];
  MUST(pipe(ends));
  enum { SIZE = 300000 };
  pid_t pid = start();
  if (pid == 0) {
    char *block = malloc(SIZE);
    for (int i = 0; i < SIZE; i++) block[i] = (char)(i * 31);
    _exit(write(ends[1], block, SIZE) != SIZE);
  }
  close(ends[1]);
  char block[5000];
  long total = 0, wrong = 0;
  ssize_t size;
  while ((size = read(ends[0], block, sizeof block)) > 0) {
    for (ssize_t i = 0; i < size; i++) wrong += block[i] != (char)((total + i) * 31);
    total += size;
  }
  show("received", "%ld, wrong %ld", total, wrong);
  status("writer", finish(pid));
}

CASE(many_writers) {
  int ends[2];
  MUST(pipe(ends));
  for (int i = 0; i < 4; i++)
    if (start() == 0) {
      char line[32];
      for (int j = 0; j < 20; j++) {
        snprintf(line, sizeof line, "writer %d line %02d........\n", i, j);
        MUST(write(ends[1], line, 26));
      }
      _exit(0);
    }
  close(ends[1]);
  FILE *file = fdopen(ends[0], "r");
  char line[64];
  int lines = 0, whole = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    lines++;
    whole += strlen(line) == 26 && strncmp(line, "writer ", 7) == 0;
  }
  show("lines", "%d, whole %d", lines, whole);
  while (wait(NULL) > 0) continue;
}

CASE(packets) {
  int ends[2];
  char text[16] = "";
  outcome("pipe2", pipe2(ends, O_DIRECT));
  MUST(write(ends[1], "abc", 3));
  MUST(write(ends[1], "de", 2));
  number("first", read(ends[0], text, sizeof text));
  number("second", read(ends[0], text, sizeof text));
}

CASE(fifos) {
  outcome("mkfifo", mkfifo("fifo", 0600));
  outcome("again", mkfifo("fifo", 0600));
  outcome("writer alone", open("fifo", O_WRONLY | O_NONBLOCK));
  int reader = open("fifo", O_RDONLY | O_NONBLOCK);
  outcome("reader alone", reader);
  char byte = 0;
  number("no writer", read(reader, &byte, 1));
  close(reader);
  pid_t pid = start();
  if (pid == 0) {
    int fd = MUST(open("fifo", O_WRONLY));
    _exit(write(fd, "F", 1) != 1);
  }
  reader = open("fifo", O_RDONLY);
  outcome("meet", reader);
  number("read", read(reader, &byte, 1));
  show("byte", "%c", byte);
  status("writer", finish(pid));
  number("end", read(reader, &byte, 1));
}

CASE(blocked_reader) {
  int ends[2];
  char byte;
  MUST(pipe(ends));
  pid_t pid = start();
  if (pid == 0) {
    close(ends[1]);
    _exit((int)read(ends[0], &byte, 1) + 40);
  }
  close(ends[0]);
  usleep(10000);
  close(ends[1]);
  status("sees the end", finish(pid));
}
