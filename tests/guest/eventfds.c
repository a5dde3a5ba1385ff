/* Descriptors made of events: eventfd, signalfd, inotify, and /dev files that behave like them. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

CASE(event_counter) {
  int fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t value = 0;
  outcome("create", fd);
  number("read", read(fd, &value, sizeof value));
  show("value", "%llu", (unsigned long long)value);
  outcome("empty", read(fd, &value, sizeof value));
  value = UINT64_C(0x1234567890);
  number("write", write(fd, &value, sizeof value));
  value = 1;
  number("write more", write(fd, &value, sizeof value));
  MUST(read(fd, &value, sizeof value));
  show("sum", "%llx", (unsigned long long)value);
  value = UINT64_MAX;
  outcome("too big", write(fd, &value, sizeof value));
  value = UINT64_MAX - 1;
  number("largest", write(fd, &value, sizeof value));
  value = 1;
  outcome("full", write(fd, &value, sizeof value));
  outcome("short", read(fd, &value, 4));
  outcome("bad flags", eventfd(0, 0x10000));
  eventfd_t typed = 0;
  outcome("eventfd_read", eventfd_read(fd, &typed));
  show("typed", "%llx", (unsigned long long)typed);
}

CASE(event_semaphore) {
  int fd = MUST(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
  uint64_t value = 0;
  MUST(read(fd, &value, 8));
  show("first", "%llu", (unsigned long long)value);
  MUST(read(fd, &value, 8));
  outcome("third", read(fd, &value, 8));
}

CASE(signals_as_data) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  struct signalfd_siginfo info[2];
  outcome("create", fd);
  outcome("nothing", read(fd, info, sizeof info));
  union sigval value = {.sival_int = 1234};
  MUST(sigqueue(getpid(), SIGUSR1, value));
  yes("one read", read(fd, info, sizeof info) == (ssize_t)sizeof info[0]);
  show("fields", "%s %d %d", signal_name((int)info[0].ssi_signo), info[0].ssi_int, info[0].ssi_pid == (uint32_t)getpid());
  pid_t pid = start();
  if (pid == 0) _exit(6);
  finish(pid);
  struct pollfd wanted = {fd, POLLIN, 0};
  number("poll", poll(&wanted, 1, 1000));
  yes("child", read(fd, info, sizeof info) == (ssize_t)sizeof info[0]);
  show("child fields", "%s %d %d", signal_name((int)info[0].ssi_signo), info[0].ssi_status, info[0].ssi_pid == (uint32_t)pid);
  sigdelset(&set, SIGUSR1);
  outcome("change", signalfd(fd, &set, 0) == fd ? 0 : -1);
  raise(SIGUSR1);
  outcome("no longer", read(fd, info, sizeof info));
  outcome("not one", signalfd(0, &set, 0));
}

CASE(file_notices) {
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  outcome("init", fd);
  MUST(mkdir("watched", 0755));
  int watch = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE | IN_CLOSE_WRITE);
  yes("watch", watch > 0);
  write_file("watched/file", "x");
  MUST(unlink("watched/file"));
  union {
    char bytes[4096];
    struct inotify_event event;
  } block;
  ssize_t size = read(fd, &block, sizeof block);
  uint32_t seen[3] = {0};
  int count = 0;
  for (char *at = block.bytes; at < block.bytes + size && count < 3;) {
    struct inotify_event *event = (struct inotify_event *)at;
    seen[count++] = event->mask;
    if (count == 1) show("name", "%s %d", event->name, event->wd == watch);
    at += sizeof *event + event->len;
  }
  show("masks", "%d %d %d %d", count, seen[0] == IN_CREATE, seen[1] == IN_CLOSE_WRITE, seen[2] == IN_DELETE);
  outcome("nothing more", read(fd, &block, sizeof block));
  outcome("remove", inotify_rm_watch(fd, watch));
  outcome("remove again", inotify_rm_watch(fd, watch));
  outcome("missing", inotify_add_watch(fd, "absent", IN_CREATE));
}

CASE(null_and_zero) {
  char block[64];
  memset(block, 1, sizeof block);
  int null = MUST(open("/dev/null", O_RDWR)), zero = MUST(open("/dev/zero", O_RDWR));
  number("null write", write(null, block, sizeof block));
  number("null read", read(null, block, sizeof block));
  number("zero read", read(zero, block, sizeof block));
  number("is zero", block[0] + block[63]);
  outcome("full", write(MUST(open("/dev/full", O_RDWR)), block, 1));
  number("urandom", read(MUST(open("/dev/urandom", O_RDONLY)), block, sizeof block));
}
