/* Signals: dispositions, masks, pending, siginfo of every origin, restarting, nesting, and the
 * flags of sigaction. Frames are in signals_frames.c, queues and timers in signals_queue.c. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "fault.h"

static volatile sig_atomic_t caught, last_signal;
static siginfo_t last_info;

static void count(int signal) {
  caught++;
  last_signal = signal;
}

static void inform(int signal, siginfo_t *info, void *context) {
  (void)context;
  caught++;
  last_signal = signal;
  last_info = *info;
}

static void catch(int signal, int flags) {
  struct sigaction action = {.sa_handler = count, .sa_flags = flags};
  if (flags & SA_SIGINFO) action.sa_sigaction = inform;
  MUST(sigaction(signal, &action, NULL));
}

/* The signal about a child's stop may come a moment after wait has told of it. */
static void expect(int count_wanted) {
  for (int i = 0; i < 500 && caught < count_wanted; i++) usleep(1000);
}

static pid_t when_asleep(int signal) {
  pid_t target = getpid(), pid = start();
  if (pid == 0) {
    until_asleep(target);
    kill(target, signal);
    _exit(0);
  }
  return pid;
}

CASE(handler) {
  catch(SIGUSR1, 0);
  number("raise", raise(SIGUSR1));
  show("caught", "%d %s", caught, signal_name(last_signal));
  number("kill", kill(getpid(), SIGUSR1));
  number("caught two", caught);
  struct sigaction old;
  outcome("read", sigaction(SIGUSR1, NULL, &old));
  yes("same handler", old.sa_handler == count);
  outcome("KILL", sigaction(SIGKILL, &old, NULL));
  outcome("STOP", sigaction(SIGSTOP, &old, NULL));
  outcome("number 0", sigaction(0, NULL, &old));
  outcome("too high", sigaction(1000, NULL, &old));
  outcome("read KILL", sigaction(SIGKILL, NULL, &old));
  yes("signal() returns old", signal(SIGUSR1, SIG_IGN) == count);
}

CASE(many_times) {
  catch(SIGUSR1, 0);
  for (int i = 0; i < 300; i++) raise(SIGUSR1);
  number("caught", caught);
}

CASE(information) {
  catch(SIGUSR1, SA_SIGINFO);
  kill(getpid(), SIGUSR1);
  show("kill", "%d %d", last_info.si_code == SI_USER, last_info.si_pid == getpid() && last_info.si_uid == getuid());
  raise(SIGUSR1);
  show("raise", "%d %d", last_info.si_code == SI_TKILL, last_info.si_pid == getpid());
  catch(SIGCHLD, SA_SIGINFO);
  pid_t pid = start();
  if (pid == 0) _exit(9);
  finish(pid);
  show("child", "%d %d %d", last_info.si_code == CLD_EXITED, last_info.si_status, last_info.si_pid == pid);
  pid = start();
  if (pid == 0) raise(SIGTERM);
  finish(pid);
  show("killed child", "%d %s", last_info.si_code == CLD_KILLED, signal_name(last_info.si_status));
  union sigval value = {.sival_int = 4711};
  number("sigqueue", sigqueue(getpid(), SIGUSR1, value));
  show("queued", "%d %d", last_info.si_code == SI_QUEUE, last_info.si_value.sival_int);
}

CASE(child_stops) {
  catch(SIGCHLD, SA_SIGINFO | SA_RESTART);
  pid_t pid = start();
  int result;
  if (pid == 0) {
    raise(SIGSTOP);
    pause();
    _exit(0);
  }
  MUST(waitpid(pid, &result, WUNTRACED));
  expect(1);
  show("stopped", "%d %s", last_info.si_code == CLD_STOPPED, signal_name(last_info.si_status));
  MUST(kill(pid, SIGCONT));
  MUST(waitpid(pid, &result, WCONTINUED));
  expect(2);
  show("continued", "%d %s", last_info.si_code == CLD_CONTINUED, signal_name(last_info.si_status));
  catch(SIGCHLD, SA_SIGINFO | SA_NOCLDSTOP | SA_RESTART);
  caught = 0;
  MUST(kill(pid, SIGSTOP));
  MUST(waitpid(pid, &result, WUNTRACED));
  number("with NOCLDSTOP", caught);
  MUST(kill(pid, SIGKILL));
  MUST(waitpid(pid, &result, 0));
  expect(1);
  number("its end", caught);
}

CASE(no_zombies) {
  catch(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
  pid_t pid = start();
  if (pid == 0) _exit(0);
  outcome("wait", waitpid(pid, NULL, 0));
}

CASE(blocking) {
  sigset_t set, old, pending;
  catch(SIGUSR1, 0);
  catch(SIGUSR2, 0);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  outcome("block", sigprocmask(SIG_BLOCK, &set, &old));
  number("was blocked", sigismember(&old, SIGUSR1));
  raise(SIGUSR1);
  raise(SIGUSR1);
  number("held back", caught);
  sigpending(&pending);
  show("pending", "%d %d", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
  outcome("unblock", sigprocmask(SIG_UNBLOCK, &set, NULL));
  number("once", caught);
  sigfillset(&set);
  outcome("all", sigprocmask(SIG_SETMASK, &set, NULL));
  sigprocmask(SIG_BLOCK, NULL, &old);
  show("kill and stop not", "%d %d %d", sigismember(&old, SIGKILL), sigismember(&old, SIGSTOP), sigismember(&old, SIGTERM));
  outcome("bad how", sigprocmask(77, &set, NULL));
}

CASE(ignored_while_blocked) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  signal(SIGUSR1, SIG_IGN);
  catch(SIGUSR1, 0);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  number("discarded", caught);
}

CASE(inherited) {
  sigset_t set, now;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  catch(SIGUSR1, 0);
  raise(SIGUSR2);
  pid_t pid = start();
  if (pid == 0) {
    raise(SIGUSR1);
    number("handler in child", caught);
    sigprocmask(SIG_BLOCK, NULL, &now);
    number("mask in child", sigismember(&now, SIGUSR2));
    sigpending(&now);
    number("pending in child", sigismember(&now, SIGUSR2));
    _exit(0);
  }
  finish(pid);
}

CASE(suspend) {
  sigset_t none, set, now;
  sigemptyset(&none);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  catch(SIGUSR1, 0);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  outcome("sigsuspend", sigsuspend(&none));
  number("caught", caught);
  sigprocmask(SIG_BLOCK, NULL, &now);
  number("mask back", sigismember(&now, SIGUSR1));
  pid_t pid = when_asleep(SIGUSR1);
  outcome("waits", sigsuspend(&none));
  number("caught again", caught);
  finish(pid);
}

CASE(pausing) {
  catch(SIGALRM, 0);
  struct sigaction action = {.sa_handler = count};
  sigaction(SIGUSR1, &action, NULL);
  pid_t pid = when_asleep(SIGUSR1);
  outcome("pause", pause());
  number("caught", caught);
  finish(pid);
}

CASE(interrupted_calls) {
  int ends[2];
  char byte;
  MUST(pipe(ends));
  catch(SIGUSR1, 0);
  pid_t pid = when_asleep(SIGUSR1);
  outcome("read", read(ends[0], &byte, 1));
  finish(pid);
  pid = when_asleep(SIGUSR1);
  struct timespec time = {5, 0}, left = {0, 0};
  outcome("nanosleep", nanosleep(&time, &left));
  yes("time left", left.tv_sec == 4);
  finish(pid);
  pid = when_asleep(SIGUSR1);
  struct pollfd wanted = {ends[0], POLLIN, 0};
  outcome("poll", poll(&wanted, 1, 5000));
  finish(pid);
  pid = when_asleep(SIGUSR1);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  outcome("select", select(ends[0] + 1, &set, NULL, NULL, NULL));
  finish(pid);
  number("caught", caught);
}

CASE(restarted_calls) {
  int ends[2];
  char byte = 0;
  MUST(pipe(ends));
  catch(SIGUSR1, SA_RESTART);
  pid_t target = getpid(), pid = start();
  if (pid == 0) {
    for (int i = 0; i < 3; i++) {
      /* signals of one number that are pending together are one */
      until_asleep(target);
      kill(target, SIGUSR1);
    }
    until_asleep(target);
    write(ends[1], "r", 1);
    _exit(0);
  }
  number("read", read(ends[0], &byte, 1));
  show("byte", "%c", byte);
  number("caught", caught);
  finish(pid);
  pid = when_asleep(SIGUSR1);
  struct pollfd wanted = {ends[0], POLLIN, 0};
  outcome("poll never restarts", poll(&wanted, 1, 5000));
  finish(pid);
  pid_t slow = start();
  if (slow == 0) {
    usleep(60000 * case_patience());
    _exit(3);
  }
  pid = when_asleep(SIGUSR1);
  int result;
  yes("waitpid restarts", waitpid(slow, &result, 0) == slow);
  finish(pid);
}

static volatile sig_atomic_t depth, deepest, entered, order_index;
static volatile int order[8];
static void nest(int signal) {
  entered++;
  if (++depth > deepest) deepest = depth;
  if (entered < 3) raise(signal);
  depth--;
}

CASE(reentry) {
  struct sigaction action = {.sa_handler = nest, .sa_flags = SA_NODEFER};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  show("with NODEFER", "entered %d, %d deep", entered, deepest);
  entered = deepest = 0;
  action.sa_flags = 0;
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  show("without", "entered %d, %d deep", entered, deepest);
}

CASE(reset_hand) {
  catch(SIGUSR1, SA_RESETHAND);
  raise(SIGUSR1);
  number("caught", caught);
  struct sigaction now;
  sigaction(SIGUSR1, NULL, &now);
  yes("default now", now.sa_handler == SIG_DFL);
  pid_t pid = start();
  if (pid == 0) {
    raise(SIGUSR1);
    _exit(0);
  }
  status("second", finish(pid));
}

static void outer(int signal) {
  (void)signal;
  order[order_index++] = 1;
  raise(SIGUSR2);
  order[order_index++] = 3;
}
static void inner(int signal) {
  (void)signal;
  order[order_index++] = 2;
}

CASE(nested) {
  struct sigaction action = {.sa_handler = outer};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = inner;
  sigaction(SIGUSR2, &action, NULL);
  raise(SIGUSR1);
  show("order", "%d %d %d", order[0], order[1], order[2]);
  order_index = 0;
  action.sa_handler = outer;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  show("order with mask", "%d %d %d", order[0], order[1], order[2]);
}

static sigjmp_buf jump;
static void jump_out(int signal) { siglongjmp(jump, signal == SIGUSR1 ? 5 : 6); }

CASE(long_jump) {
  struct sigaction action = {.sa_handler = jump_out};
  sigaction(SIGUSR1, &action, NULL);
  volatile int rounds = 0;
  int value = sigsetjmp(jump, 1);
  if (rounds++ < 5) raise(SIGUSR1);
  number("value", value);
  number("rounds", rounds);
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  number("mask restored", sigismember(&now, SIGUSR1));
}

CASE(fault_information) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *at = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  show("write to read only", "%s", try_write(at + 123));
  munmap(at + page, page);
  show("read of nothing", "%s", try_read(at + page + 77));
  show("write of nothing", "%s", try_write(at + 2 * page - 1));
  fault_install();
  void *nowhere = pointer((uintptr_t)at + page + 64);
  if (sigsetjmp(fault_jump, 1) == 0) ((void (*)(void))nowhere)();
  show("jump to nothing", "%s", fault_text(nowhere));
  nowhere = pointer((uintptr_t)at);
  if (sigsetjmp(fault_jump, 1) == 0) {
    MUST(mprotect(at, page, PROT_NONE));
    ((void (*)(void))nowhere)();
  }
  show("jump to none", "%s", fault_text(nowhere));
}

CASE(fault_while_blocked) {
  pid_t pid = start();
  if (pid == 0) {
    catch(SIGSEGV, 0);
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *(volatile char *)pointer(8) = 1;
    _exit(0);
  }
  status("blocked fault kills", finish(pid));
  pid = start();
  if (pid == 0) {
    signal(SIGSEGV, SIG_IGN);
    *(volatile char *)pointer(8) = 1;
    _exit(0);
  }
  status("ignored fault kills", finish(pid));
}

CASE(broken_pipe) {
  int ends[2];
  MUST(pipe(ends));
  close(ends[0]);
  catch(SIGPIPE, SA_SIGINFO);
  outcome("write", write(ends[1], "x", 1));
  show("caught", "%d %s", caught, signal_name(last_signal));
  signal(SIGPIPE, SIG_IGN);
  outcome("ignored", write(ends[1], "x", 1));
  pid_t pid = start();
  if (pid == 0) {
    signal(SIGPIPE, SIG_DFL);
    write(ends[1], "x", 1);
    _exit(0);
  }
  status("default", finish(pid));
}

CASE(kill_errors) {
  outcome("missing", kill(1 << 21, 0));
  outcome("bad signal", kill(getpid(), 1000));
  outcome("negative", kill(getpid(), -1));
  outcome("self", kill(getpid(), 0));
  outcome("tgkill bad", tgkill(getpid(), 1 << 21, 0));
  outcome("tgkill self", tgkill(getpid(), gettid(), 0));
}

CASE(input_ready) {
  int ends[2];
  MUST(pipe(ends));
  catch(SIGIO, SA_SIGINFO);
  outcome("owner", fcntl(ends[0], F_SETOWN, getpid()));
  yes("owner is", fcntl(ends[0], F_GETOWN) == getpid());
  outcome("async", fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
  write(ends[1], "x", 1);
  for (int i = 0; i < 100 && !caught; i++) usleep(1000);
  show("caught", "%d %s", caught, signal_name(last_signal));
  outcome("queued signal", fcntl(ends[0], F_SETSIG, SIGRTMIN + 1));
  catch(SIGRTMIN + 1, SA_SIGINFO);
  char byte;
  read(ends[0], &byte, 1);
  caught = 0;
  write(ends[1], "x", 1);
  for (int i = 0; i < 100 && !caught; i++) usleep(1000);
  show("info", "%d %d %d", caught > 0, last_info.si_fd == ends[0], last_info.si_code == POLL_IN);
}

CASE(names) {
  show("strsignal", "%s, %s, %s", strsignal(SIGSEGV), strsignal(SIGKILL), strsignal(SIGCHLD));
  yes("real time", SIGRTMIN > 31 && SIGRTMAX >= SIGRTMIN + 8);
}

/* A signal that arrives just before a call that does not block is handled, and then the call is made. */
CASE(never_interrupted) {
  catch(SIGALRM, 0);
  struct itimerval often = {{0, 300}, {0, 300}};
  MUST(setitimer(ITIMER_REAL, &often, NULL));
  int failed = 0;
  for (int i = 0; i < 60000 && caught < 300; i++) {
    int fd = open("/dev/null", O_RDONLY);
    failed += fd < 0 || close(fd) != 0;
  }
  setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
  show("open and close", "%d", failed);
}
