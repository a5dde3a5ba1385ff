/* Queued signals, waiting for them without a handler, POSIX timers, interval timers, alarms. */
#include "case.h"

#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t caught;
static volatile int values[16], codes[16], senders[16];

static void record(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (caught < 16) {
    values[caught] = info->si_value.sival_int;
    codes[caught] = info->si_code;
    senders[caught] = info->si_signo;
  }
  caught++;
}

static void catch(int signal) {
  struct sigaction action = {.sa_sigaction = record, .sa_flags = SA_SIGINFO};
  sigfillset(&action.sa_mask);
  MUST(sigaction(signal, &action, NULL));
}

static void block(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  MUST(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void wait_until(int wanted) {
  for (int i = 0; i < 500 && caught < wanted; i++) usleep(1000);
}

CASE(queue_order) {
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  catch(SIGRTMIN + 1);
  catch(SIGRTMIN + 2);
  catch(SIGUSR1);
  union sigval value;
  for (int i = 0; i < 3; i++) {
    value.sival_int = 20 + i;
    MUST(sigqueue(getpid(), SIGRTMIN + 2, value));
    value.sival_int = 10 + i;
    MUST(sigqueue(getpid(), SIGRTMIN + 1, value));
    value.sival_int = i;
    MUST(sigqueue(getpid(), SIGUSR1, value));
  }
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  number("delivered", caught);
  int one = 0, two = 0, usr = 0, sorted = 1, seen_one = 9, seen_two = 19;
  for (int i = 0; i < caught; i++) {
    usr += senders[i] == SIGUSR1;
    if (senders[i] == SIGRTMIN + 1) one++, sorted &= values[i] == ++seen_one;
    if (senders[i] == SIGRTMIN + 2) two++, sorted &= values[i] == ++seen_two;
  }
  show("counts", "%d %d %d", usr, one, two);
  yes("each in order", sorted);
}

CASE(wait_for_signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set, NULL);
  siginfo_t info;
  struct timespec none = {0, 0}, little = {0, 20000000};
  outcome("nothing", sigtimedwait(&set, &info, &none));
  outcome("timeout", sigtimedwait(&set, &info, &little));
  raise(SIGUSR1);
  yes("raised", sigwaitinfo(&set, &info) == SIGUSR1);
  yes("code", info.si_code == SI_TKILL && info.si_pid == getpid());
  union sigval value = {.sival_int = 99};
  sigqueue(getpid(), SIGRTMIN + 3, value);
  yes("queued", sigtimedwait(&set, &info, NULL) == SIGRTMIN + 3);
  show("value", "%d %d", info.si_value.sival_int, info.si_code == SI_QUEUE);
  kill(getpid(), SIGUSR1);
  int signal = 0;
  returned("sigwait", sigwait(&set, &signal));
  show("signal", "%s", signal_name(signal));
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    until_asleep(parent);
    kill(parent, SIGUSR1);
    _exit(0);
  }
  yes("from another", sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == pid && info.si_code == SI_USER);
  finish(pid);
  struct timespec bad = {0, 1000000000};
  outcome("bad time", sigtimedwait(&set, &info, &bad));
}

CASE(wait_interrupted) {
  catch(SIGUSR2);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  block(SIGUSR1);
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    until_asleep(parent);
    kill(parent, SIGUSR2);
    _exit(0);
  }
  struct timespec long_time = {5, 0};
  outcome("other signal", sigtimedwait(&set, NULL, &long_time));
  finish(pid);
}

CASE(child_signal_waited) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  pid_t pid = start();
  if (pid == 0) _exit(12);
  siginfo_t info;
  yes("SIGCHLD", sigwaitinfo(&set, &info) == SIGCHLD);
  show("info", "%d %d %d", info.si_pid == pid, info.si_code == CLD_EXITED, info.si_status);
  status("status", finish(pid));
}

CASE(alarm_clock) {
  catch(SIGALRM);
  number("before", (alarm(0), alarm(100)));
  number("replaced", alarm(0) > 90);
  struct itimerval timer = {{0, 0}, {0, 20000}}, old;
  outcome("setitimer", setitimer(ITIMER_REAL, &timer, NULL));
  wait_until(1);
  number("caught", caught);
  timer.it_interval.tv_usec = 5000;
  timer.it_value.tv_usec = 5000;
  setitimer(ITIMER_REAL, &timer, NULL);
  wait_until(4);
  yes("repeats", caught >= 4);
  outcome("getitimer", getitimer(ITIMER_REAL, &old));
  yes("interval", old.it_interval.tv_usec == 5000 && old.it_value.tv_usec <= 5000);
  memset(&timer, 0, sizeof timer);
  outcome("stop", setitimer(ITIMER_REAL, &timer, &old));
  yes("old", old.it_interval.tv_usec == 5000);
  timer.it_value.tv_usec = 1000000;
  outcome("bad", setitimer(ITIMER_REAL, &timer, NULL));
  outcome("bad which", setitimer((__itimer_which_t)9, &old, NULL));
}

CASE(alarm_and_fork) {
  alarm(50);
  pid_t pid = fork();
  if (pid == 0) _exit((int)alarm(0));
  status("not inherited", finish(pid));
}

CASE(processor_timer) {
  catch(SIGVTALRM);
  catch(SIGPROF);
  struct itimerval timer = {{0, 0}, {0, 10000}};
  outcome("virtual", setitimer(ITIMER_VIRTUAL, &timer, NULL));
  clock_t begin = clock();
  while (caught == 0 && clock() - begin < 2 * CLOCKS_PER_SEC) continue;
  show("signal", "%s", signal_name(senders[0]));
  caught = 0;
  outcome("prof", setitimer(ITIMER_PROF, &timer, NULL));
  begin = clock();
  while (caught == 0 && clock() - begin < 2 * CLOCKS_PER_SEC) continue;
  show("signal prof", "%s", signal_name(senders[0]));
}

CASE(posix_timer) {
  catch(SIGRTMIN + 4);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4, .sigev_value.sival_int = 321};
  outcome("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec spec = {{0, 0}, {0, 15000000}}, now;
  outcome("set", timer_settime(timer, 0, &spec, NULL));
  outcome("get", timer_gettime(timer, &now));
  yes("left", now.it_value.tv_sec == 0 && now.it_value.tv_nsec <= 15000000);
  wait_until(1);
  show("caught", "%d %d %d", caught, values[0], codes[0] == SI_TIMER);
  number("overrun", timer_getoverrun(timer));
  spec.it_interval.tv_nsec = spec.it_value.tv_nsec = 3000000;
  timer_settime(timer, 0, &spec, NULL);
  wait_until(4);
  yes("repeats", caught >= 4);
  outcome("delete", timer_delete(timer));
  outcome("bad clock", timer_create(1000, &event, &timer));
  event.sigev_signo = 1000;
  outcome("bad signal", timer_create(CLOCK_REALTIME, &event, &timer));
}

CASE(timer_overrun) {
  block(SIGRTMIN + 5);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 5};
  MUST(timer_create(CLOCK_REALTIME, &event, &timer));
  struct itimerspec spec = {{0, 1000000}, {0, 1000000}};
  MUST(timer_settime(timer, 0, &spec, NULL));
  usleep(30000);
  sigset_t set;
  siginfo_t info;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 5);
  yes("one signal", sigwaitinfo(&set, &info) == SIGRTMIN + 5);
  yes("counted", info.si_overrun > 5 && timer_getoverrun(timer) >= info.si_overrun - 1);
}

static volatile int notified;
static void on_thread(union sigval value) { notified = value.sival_int; }

CASE(timer_thread) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 8};
  outcome("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec spec = {{0, 0}, {0, 5000000}};
  MUST(timer_settime(timer, 0, &spec, NULL));
  for (int i = 0; i < 1000 && notified == 0; i++) usleep(1000);
  number("ran", notified);
}

CASE(timer_silent) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_NONE};
  outcome("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec spec = {{0, 0}, {0, 2000000}}, now;
  MUST(timer_settime(timer, 0, &spec, NULL));
  usleep(5000);
  MUST(timer_gettime(timer, &now));
  yes("over", now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
  MUST(clock_gettime(CLOCK_MONOTONIC, &spec.it_value));
  spec.it_value.tv_sec += 10;
  outcome("absolute", timer_settime(timer, TIMER_ABSTIME, &spec, NULL));
  MUST(timer_gettime(timer, &now));
  yes("about ten", now.it_value.tv_sec == 9 || now.it_value.tv_sec == 10);
}

CASE(queue_errors) {
  union sigval value = {.sival_int = 0};
  outcome("missing", sigqueue(1 << 21, SIGUSR1, value));
  outcome("bad", sigqueue(getpid(), 1000, value));
  outcome("zero", sigqueue(getpid(), 0, value));
}
