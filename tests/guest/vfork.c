/* vfork and posix_spawn: the parent waits, the child's stores are seen, a missing program is an error of
 * the call itself, attributes and file actions. */
#include "case.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern char **environ;

int helper(int argc, char **argv) {
  if (strcmp(argv[1], "--code") == 0) return argc + 10;
  if (strcmp(argv[1], "--group") == 0) return getpgrp() == getpid() ? 41 : 42;
  if (strcmp(argv[1], "--session") == 0) return getsid(0) == getpid() ? 43 : 44;
  if (strcmp(argv[1], "--mask") == 0) {
    sigset_t mask;
    struct sigaction action;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigaction(SIGUSR2, NULL, &action);
    return sigismember(&mask, SIGUSR1) * 2 + (action.sa_handler == SIG_DFL);
  }
  if (strcmp(argv[1], "--copy") == 0) {
    char text[64];
    ssize_t size = read(0, text, sizeof text);
    return size > 0 && write(1, text, (size_t)size) == size ? 0 : 1;
  }
  return 96;
}

static volatile int stored;

CASE(stores_are_seen) {
  pid_t pid = vfork();
  if (pid == 0) {
    stored = 17;
    _exit(4);
  }
  number("stored", stored);
  status("status", finish(pid));
}

CASE(parent_waits) {
  pid_t pid = vfork();
  if (pid == 0) {
    usleep(30000);
    stored = 18;
    _exit(0);
  }
  number("stored", stored);
  finish(pid);
}

CASE(exec_releases) {
  pid_t pid = vfork();
  if (pid == 0) {
    stored = 19;
    execl(case_self, case_self, "--code", NULL);
    _exit(1);
  }
  number("stored", stored);
  status("status", finish(pid));
}

CASE(exec_fails) {
  volatile int error = 0;
  pid_t pid = vfork();
  if (pid == 0) {
    execl("/missing/program", "x", NULL);
    error = errno;
    _exit(127);
  }
  returned("error reaches the parent", error);
  status("status", finish(pid));
}

CASE(killed_child) {
  pid_t pid = vfork();
  if (pid == 0) {
    stored = 20;
    kill(getpid(), SIGKILL);
    _exit(0);
  }
  number("stored", stored);
  status("status", finish(pid));
}

CASE(descriptors_are_copied) {
  int fd = MUST(open("/dev/null", O_RDONLY));
  pid_t pid = vfork();
  if (pid == 0) {
    close(fd);
    _exit(0);
  }
  finish(pid);
  number("still open", fcntl(fd, F_GETFD));
}

static void count_signal(int signal) {
  (void)signal;
  stored++;
}

/* An emulator may need descriptors for it and fail; signals come as before all the same. */
CASE(no_descriptors_left) {
  struct rlimit limit = {3, 3};
  signal(SIGUSR1, count_signal);
  MUST(setrlimit(RLIMIT_NOFILE, &limit));
  pid_t pid = vfork();
  if (pid == 0) _exit(0);
  if (pid > 0) finish(pid);
  raise(SIGUSR1);
  number("signals", stored);
}

CASE(several) {
  volatile int sum = 0;
  for (volatile int i = 0; i < 10; i++) {
    pid_t pid = vfork();
    if (pid == 0) {
      stored += i;
      _exit(i);
    }
    sum += WEXITSTATUS(finish(pid));
  }
  show("sums", "%d %d", stored, sum);
}

static int in_clone(void *argument) {
  stored = *(int *)argument;
  return 5;
}

CASE(clone_with_memory) {
  char *stack = malloc(65536);
  int value = 33;
  pid_t pid = clone(in_clone, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
  outcome("clone", pid);
  number("stored", stored);
  status("status", finish(pid));
  value = 34;
  pid = clone(in_clone, stack + 65536, SIGCHLD, &value);
  status("separate", finish(pid));
  number("not stored", stored);
}

CASE(clone_settid) {
  char *stack = malloc(65536);
  int value = 35;
  pid_t parent_id = 0;
  pid_t pid = clone(in_clone, stack + 65536, CLONE_PARENT_SETTID | SIGCHLD, &value, &parent_id);
  yes("parent tid", parent_id == pid);
  finish(pid);
}

static int spawn(pid_t *pid, const char *path, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                 const char *mode) {
  char *arguments[] = {(char *)(uintptr_t)case_self, (char *)(uintptr_t)mode, NULL};
  return posix_spawn(pid, path, actions, attributes, arguments, environ);
}

CASE(spawn_program) {
  pid_t pid = 0;
  returned("posix_spawn", spawn(&pid, case_self, NULL, NULL, "--code"));
  status("status", finish(pid));
  returned("missing", spawn(&pid, "./missing", NULL, NULL, "--code"));
  returned("directory", spawn(&pid, ".", NULL, NULL, "--code"));
  char *arguments[] = {"x", NULL};
  returned("missing in path", posix_spawnp(&pid, "octavo-no-such-program", NULL, NULL, arguments, environ));
  outcome("no zombie", waitpid(-1, NULL, WNOHANG));
}

CASE(spawn_actions) {
  posix_spawn_file_actions_t actions;
  int in[2], out[2];
  MUST(pipe(in));
  MUST(pipe(out));
  MUST(write(in[1], "through the child", 17));
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, in[1]);
  pid_t pid = 0;
  returned("spawn", spawn(&pid, case_self, &actions, NULL, "--copy"));
  status("status", finish(pid));
  char text[32] = "";
  number("read", read(out[0], text, sizeof text - 1));
  show("text", "%s", text);
  posix_spawn_file_actions_addopen(&actions, 0, "./missing", O_RDONLY, 0);
  returned("action fails", spawn(&pid, case_self, &actions, NULL, "--copy"));
}

CASE(spawn_attributes) {
  posix_spawnattr_t attributes;
  sigset_t mask;
  pid_t pid = 0;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  returned("group", spawn(&pid, case_self, NULL, &attributes, "--group"));
  status("group status", finish(pid));
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  returned("session", spawn(&pid, case_self, NULL, &attributes, "--session"));
  status("session status", finish(pid));
  signal(SIGUSR2, SIG_IGN);
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  posix_spawnattr_setsigmask(&attributes, &mask);
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR2);
  posix_spawnattr_setsigdefault(&attributes, &mask);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  returned("signals", spawn(&pid, case_self, NULL, &attributes, "--mask"));
  status("signals status", finish(pid));
}

CASE(raw_clone3) {
#ifdef SYS_clone3
  struct {
    _Alignas(8) uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } arguments = {.exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) _exit(14);
  outcome("clone3", pid);
  if (pid > 0) status("status", finish((pid_t)pid));
  outcome("too small", syscall(SYS_clone3, &arguments, 8));
  arguments.exit_signal = 1000;
  outcome("bad signal", syscall(SYS_clone3, &arguments, sizeof arguments));
#endif
}
