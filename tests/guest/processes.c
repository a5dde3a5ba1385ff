/* Processes: fork, exit, wait in all its forms, status words, orphans and subreapers, groups and
 * sessions, resource use of children. */
#include "case.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static pid_t exits(int code) {
  pid_t pid = start();
  if (pid == 0) _exit(code);
  return pid;
}

static void sleep_milliseconds(long milliseconds) { usleep((useconds_t)milliseconds * 1000); }

CASE(exit_status) {
  static const int codes[] = {0, 1, 42, 255, 256, -1};
  for (size_t i = 0; i < COUNT(codes); i++) {
    char label[32];
    snprintf(label, sizeof label, "of %d", codes[i]);
    status(label, finish(exits(codes[i])));
  }
}

CASE(death_by_signal) {
  static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,
                                SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,   SIGXCPU,
                                SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGPWR,  SIGSYS};
  for (size_t i = 0; i < COUNT(signals); i++) {
    pid_t pid = start();
    if (pid == 0) {
      signal(signals[i], SIG_DFL);
      raise(signals[i]);
      _exit(7);
    }
    status(signal_name(signals[i]), finish(pid));
  }
}

CASE(default_ignored) {
  static const int signals[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
  for (size_t i = 0; i < COUNT(signals); i++) {
    pid_t pid = start();
    if (pid == 0) {
      raise(signals[i]);
      _exit(7);
    }
    status(signal_name(signals[i]), finish(pid));
  }
}

CASE(crash) {
  pid_t pid = start();
  if (pid == 0) *(volatile char *)pointer(16) = 1;
  status("store to nowhere", finish(pid));
  pid = start();
  if (pid == 0) ((void (*)(void))pointer(64))();
  status("jump to nowhere", finish(pid));
  pid = start();
  if (pid == 0) abort();
  status("abort", finish(pid));
  pid = start();
  if (pid == 0) __builtin_trap();
  int trapped = finish(pid);
  yes("trap kills", WIFSIGNALED(trapped) && (WTERMSIG(trapped) == SIGILL || WTERMSIG(trapped) == SIGTRAP ||
                                             WTERMSIG(trapped) == SIGABRT));
}

CASE(waiting) {
  int result = 0;
  outcome("no children", wait(&result));
  outcome("not ours", waitpid(1, &result, 0));
  pid_t pid = start();
  if (pid == 0) {
    sleep_milliseconds(50);
    _exit(3);
  }
  number("not yet", waitpid(pid, &result, WNOHANG));
  yes("any", waitpid(-1, &result, 0) == pid);
  status("status", result);
  outcome("only once", waitpid(pid, &result, 0));
  outcome("bad option", waitpid(-1, &result, 0x400));
  pid = exits(9);
  yes("own group", waitpid(0, &result, 0) == pid);
  pid = exits(9);
  yes("null status", waitpid(pid, NULL, 0) == pid);
  pid = exits(1);
  outcome("bad pointer", waitpid(pid, pointer(8), 0));
}

CASE(wait_information) {
  siginfo_t info;
  pid_t pid = exits(5);
  outcome("leave it", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  show("exit", "%s %d %d %d", signal_name(info.si_signo), info.si_code == CLD_EXITED, info.si_status,
       info.si_pid == pid && info.si_uid == getuid());
  outcome("again", waitid(P_ALL, 0, &info, WEXITED));
  outcome("gone", waitid(P_PID, (id_t)pid, &info, WEXITED));
  pid = start();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  memset(&info, 0, sizeof info);
  outcome("none yet", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG));
  number("pid then", info.si_pid);
  MUST(kill(pid, SIGSTOP));
  outcome("stopped", waitid(P_PID, (id_t)pid, &info, WSTOPPED));
  show("stop", "%d %s", info.si_code == CLD_STOPPED, signal_name(info.si_status));
  MUST(kill(pid, SIGCONT));
  outcome("continued", waitid(P_PID, (id_t)pid, &info, WCONTINUED));
  show("continue", "%d %s", info.si_code == CLD_CONTINUED, signal_name(info.si_status));
  MUST(kill(pid, SIGKILL));
  outcome("killed", waitid(P_PID, (id_t)pid, &info, WEXITED));
  show("kill", "%d %s", info.si_code == CLD_KILLED, signal_name(info.si_status));
  outcome("no options", waitid(P_ALL, 0, &info, 0));
}

CASE(stop_and_continue) {
  pid_t pid = start();
  int result;
  if (pid == 0) {
    raise(SIGSTOP);
    pause();
    _exit(8);
  }
  MUST(waitpid(pid, &result, WUNTRACED));
  status("first", result);
  MUST(kill(pid, SIGCONT));
  MUST(waitpid(pid, &result, WCONTINUED));
  status("second", result);
  MUST(kill(pid, SIGTERM));
  status("last", finish(pid));
}

CASE(usage_of_children) {
  struct rusage usage;
  int result;
  memset(&usage, 0xff, sizeof usage);
  pid_t pid = exits(4);
  yes("wait4", wait4(pid, &result, 0, &usage) == pid);
  status("status", result);
  yes("times", usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_sec < 100 && usage.ru_stime.tv_usec < 1000000);
  outcome("getrusage", getrusage(RUSAGE_CHILDREN, &usage));
  outcome("bad who", getrusage(99, &usage));
}

CASE(many_children) {
  enum { MANY = 20 };
  pid_t pids[MANY];
  int sum = 0, result;
  for (int i = 0; i < MANY; i++) pids[i] = exits(i);
  for (int i = 0; i < MANY; i++) {
    pid_t pid = MUST(wait(&result));
    for (int j = 0; j < MANY; j++)
      if (pids[j] == pid) sum += WEXITSTATUS(result) == j;
  }
  number("answered", sum);
}

CASE(zombie) {
  pid_t pid = exits(0);
  siginfo_t info;
  MUST(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  outcome("signal to a zombie", kill(pid, SIGTERM));
  finish(pid);
  outcome("after", kill(pid, 0));
}

CASE(ignored_children) {
  signal(SIGCHLD, SIG_IGN);
  pid_t pid = exits(0);
  outcome("wait", waitpid(pid, NULL, 0));
}

CASE(orphan) {
  int ends[2], result;
  MUST(pipe(ends));
  outcome("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
  pid_t reaper = getpid(), middle = start();
  if (middle == 0) {
    pid_t middle_pid = getpid();
    if (start() == 0) {
      while (getppid() == middle_pid) sleep_milliseconds(1);
      char adopted = getppid() == reaper;
      MUST(write(ends[1], &adopted, 1));
      _exit(33);
    }
    _exit(0);
  }
  status("middle", finish(middle));
  char adopted = 9;
  MUST(read(ends[0], &adopted, 1));
  number("adopted", adopted);
  MUST(wait(&result));
  status("grandchild", result);
}

CASE(parent_death) {
  int ends[2];
  MUST(pipe(ends));
  pid_t middle = start();
  if (middle == 0) {
    int ready[2];
    MUST(pipe(ready));
    if (start() == 0) {
      close(ends[0]);
      MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
      MUST(write(ready[1], "r", 1));
      pause();
      _exit(0);
    }
    char byte;
    MUST(read(ready[0], &byte, 1));
    _exit(0);
  }
  finish(middle);
  close(ends[1]);
  char byte;
  number("pipe closes", read(ends[0], &byte, 1));
}

CASE(groups_and_sessions) {
  pid_t pid = start();
  if (pid == 0) {
    outcome("setpgid", setpgid(0, 0));
    yes("leader", getpgrp() == getpid() && getpgid(0) == getpid());
    outcome("setsid of a leader", setsid());
    pid_t child = start();
    if (child == 0) {
      yes("inherited group", getpgrp() == getppid());
      yes("setsid", setsid() == getpid());
      yes("session", getsid(0) == getpid() && getpgrp() == getpid());
      outcome("setpgid of a session leader", setpgid(0, 0));
      _exit(0);
    }
    finish(child);
    outcome("no such group", setpgid(0, 1 << 21));
    outcome("no such process", setpgid(1 << 21, 0));
    outcome("getsid missing", getsid(1 << 21));
    _exit(0);
  }
  status("end", finish(pid));
}

CASE(group_signal) {
  pid_t pid = start();
  if (pid == 0) {
    setpgid(0, 0);
    signal(SIGUSR1, SIG_IGN);
    pid_t first = start();
    if (first == 0) {
      signal(SIGUSR1, SIG_DFL);
      kill(0, SIGUSR1);
      _exit(0);
    }
    status("sender", finish(first));
    outcome("killpg", killpg(getpgrp(), 0));
    outcome("nobody", killpg(1 << 21, 0));
    _exit(6);
  }
  status("ignoring leader", finish(pid));
}

static void at_exit_first(void) { show("handler", "first"); }
static void at_exit_second(void) { show("handler", "second"); }

CASE(exit_handlers) {
  pid_t pid = start();
  if (pid == 0) {
    atexit(at_exit_first);
    atexit(at_exit_second);
    exit(17);
  }
  status("exit", finish(pid));
  pid = start();
  if (pid == 0) {
    atexit(at_exit_first);
    _exit(18);
  }
  status("_exit", finish(pid));
}

CASE(buffers_and_fork) {
  FILE *file = fopen("buffered", "w");
  fputs("once ", file);
  fflush(file);
  pid_t pid = start();
  if (pid == 0) {
    fputs("child ", file);
    exit(0);
  }
  finish(pid);
  fputs("parent", file);
  fclose(file);
  char text[64] = "";
  read(MUST(open("buffered", O_RDONLY)), text, sizeof text - 1);
  show("file", "%s", text);
}

CASE(identity) {
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    yes("parent", getppid() == parent);
    yes("new", getpid() != parent);
    yes("task is process", syscall(SYS_gettid) == getpid());
    _exit(0);
  }
  yes("positive", pid > 0);
  finish(pid);
}

CASE(clone_flags) {
  signal(SIGUSR1, SIG_IGN);
  pid_t pid = MUST((pid_t)syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0));
  if (pid == 0) _exit(21);
  int result;
  outcome("plain wait does not see it", waitpid(pid, &result, 0));
  yes("__WALL does", waitpid(pid, &result, __WALL) == pid);
  status("status", result);
}

CASE(file_descriptor_of_process) {
  pid_t pid = start();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  outcome("pidfd_open", fd);
  outcome("signal", syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
  siginfo_t info;
  outcome("wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
  show("status", "%s", signal_name(info.si_status));
}

CASE(scheduling) {
  number("policy", sched_getscheduler(0));
  struct sched_param parameter = {0};
  outcome("getparam", sched_getparam(0, &parameter));
  number("priority", parameter.sched_priority);
  outcome("yield", sched_yield());
  show("range", "%d %d", sched_get_priority_min(SCHED_FIFO), sched_get_priority_max(SCHED_FIFO));
  cpu_set_t set;
  outcome("affinity", sched_getaffinity(0, sizeof set, &set));
  yes("processors", CPU_COUNT(&set) == sysconf(_SC_NPROCESSORS_ONLN));
  outcome("set affinity", sched_setaffinity(0, sizeof set, &set));
  errno = 0;
  number("nice", getpriority(PRIO_PROCESS, 0));
  outcome("setpriority", setpriority(PRIO_PROCESS, 0, 5));
  number("nicer", getpriority(PRIO_PROCESS, 0));
  number("nice()", nice(2));
  outcome("missing", getpriority(PRIO_PROCESS, 1 << 21));
}
