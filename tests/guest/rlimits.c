/* Resource limits: reading and setting them in every form, and what happens at them. */
#include "case.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void limit(int resource, rlim_t soft) {
  struct rlimit now;
  MUST(getrlimit((__rlimit_resource_t)resource, &now));
  now.rlim_cur = soft;
  MUST(setrlimit((__rlimit_resource_t)resource, &now));
}

CASE(reading) {
  struct rlimit now;
  int good = 0;
  for (int i = 0; i < RLIM_NLIMITS; i++) good += getrlimit((__rlimit_resource_t)i, &now) == 0 && now.rlim_cur <= now.rlim_max;
  yes("all", good == RLIM_NLIMITS);
  outcome("unknown", getrlimit((__rlimit_resource_t)99, &now));
  outcome("bad pointer", getrlimit(RLIMIT_NOFILE, pointer(8)));
  MUST(getrlimit(RLIMIT_STACK, &now));
  yes("stack", now.rlim_cur >= 65536);
}

CASE(setting) {
  struct rlimit set = {50, 100}, found, old;
  outcome("set", setrlimit(RLIMIT_NOFILE, &set));
  MUST(getrlimit(RLIMIT_NOFILE, &found));
  show("is", "%d %d", (int)found.rlim_cur, (int)found.rlim_max);
  set.rlim_cur = 200;
  outcome("soft over hard", setrlimit(RLIMIT_NOFILE, &set));
  set = (struct rlimit){40, 90};
  outcome("prlimit", prlimit(0, RLIMIT_NOFILE, &set, &old));
  show("old", "%d %d", (int)old.rlim_cur, (int)old.rlim_max);
  set = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
  struct rlimit core = {0, RLIM_INFINITY};
  getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = 0;
  outcome("core", setrlimit(RLIMIT_CORE, &core));
  pid_t pid = start();
  if (pid == 0) {
    MUST(getrlimit(RLIMIT_NOFILE, &found));
    _exit((int)found.rlim_cur);
  }
  status("inherited", finish(pid));
  outcome("missing process", prlimit(1 << 21, RLIMIT_NOFILE, NULL, &old));
}

CASE(open_files) {
  limit(RLIMIT_NOFILE, 20);
  int last = -1, fd;
  while ((fd = open("/dev/null", O_RDONLY)) != -1) last = fd;
  outcome("open", fd);
  number("last", last);
  outcome("dup2", dup2(0, 20));
  outcome("pipe", pipe((int[2]){0}));
  number("sysconf", sysconf(_SC_OPEN_MAX));
}

CASE(file_size) {
  limit(RLIMIT_FSIZE, 1000);
  int fd = MUST(open("limited", O_CREAT | O_RDWR | O_TRUNC, 0600));
  char block[1500] = "";
  signal(SIGXFSZ, SIG_IGN);
  number("partial", write(fd, block, sizeof block));
  outcome("none", write(fd, block, 1));
  outcome("truncate", ftruncate(fd, 2000));
  pid_t pid = start();
  if (pid == 0) {
    signal(SIGXFSZ, SIG_DFL);
    write(fd, block, 1);
    _exit(0);
  }
  status("default", finish(pid));
}

CASE(large_values) {
  struct rlimit64 set = {UINT64_C(0x100000000) + 5, RLIM64_INFINITY}, found;
  getrlimit64(RLIMIT_FSIZE, &found);
  set.rlim_max = found.rlim_max;
  outcome("set", setrlimit64(RLIMIT_FSIZE, &set));
  MUST(getrlimit64(RLIMIT_FSIZE, &found));
  show("is", "%llx", (unsigned long long)found.rlim_cur);
}

CASE(processor_time) {
  pid_t pid = start();
  if (pid == 0) {
    struct rlimit time = {1, 1};
    MUST(setrlimit(RLIMIT_CPU, &time));
    MUST(getrlimit(RLIMIT_CPU, &time));
    _exit((int)time.rlim_cur * 10 + (int)time.rlim_max);
  }
  status("set", finish(pid));
}

CASE(locked_memory) {
  struct rlimit none = {0, 0};
  MUST(setrlimit(RLIMIT_MEMLOCK, &none));
  char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  outcome("mlock", mlock(at, 1));
}

CASE(stack_size) {
  struct rlimit now;
  limit(RLIMIT_STACK, 1 << 20);
  MUST(getrlimit(RLIMIT_STACK, &now));
  number("is", (long)now.rlim_cur);
}
