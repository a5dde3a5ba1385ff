/* Signals that come at any moment of what a program does: before, in and after the calls that make
 * tasks, and those that change the mask. None is lost, none comes twice, and each call does what it
 * does without them. */
#include "case.h"

#include <pthread.h>
#include <sys/time.h>
#include <time.h>

#define ROUNDS 120
#define EACH 200

static volatile sig_atomic_t caught, counts[2];

static void count(int signal) {
  (void)signal;
  caught = caught + 1;
}

static void count_queued(int signal) {
  counts[signal == SIGRTMIN + 1] = counts[signal == SIGRTMIN + 1] + 1;
}

/* One SIGALRM, a little later in each round; never two on the way, whatever the machine's speed. */
static void soon(int round) {
  struct itimerval timer = {.it_value = {0, 1 + round * 37 % 600}};
  MUST(setitimer(ITIMER_REAL, &timer, NULL));
}

static void with_handler(void) {
  struct sigaction action = {.sa_handler = count};
  MUST(sigaction(SIGALRM, &action, NULL));
}

CASE(vforks) {
  volatile int good = 0;
  with_handler();
  for (volatile int i = 0; i < ROUNDS; i++) {
    soon(i);
    pid_t pid = vfork();
    if (pid == 0) _exit(i % 100);
    good += pid > 0 && WEXITSTATUS(finish(pid)) == i % 100;
  }
  number("exit statuses", good);
  yes("signals came", caught > 0 && caught <= ROUNDS);
}

/* What waits for the parent is not the child's. */
CASE(forks) {
  int good = 0;
  with_handler();
  for (int i = 0; i < ROUNDS; i++) {
    soon(i);
    pid_t pid = fork();
    if (pid == 0) {
      int before = caught;
      for (int call = 0; call < 20; call++) getppid();
      _exit(caught == before ? 7 : 8);
    }
    good += pid > 0 && WEXITSTATUS(finish(pid)) == 7;
  }
  number("exit statuses", good);
  yes("signals came", caught > 0 && caught <= ROUNDS);
}

static void *add(void *argument) {
  __atomic_add_fetch((int *)argument, 1, __ATOMIC_RELAXED);
  return NULL;
}

CASE(thread_starts) {
  int sum = 0, errors = 0;
  with_handler();
  for (int i = 0; i < ROUNDS; i++) {
    pthread_t thread;
    soon(i);
    errors += pthread_create(&thread, NULL, add, &sum) != 0 || pthread_join(thread, NULL) != 0;
  }
  number("threads", sum);
  number("errors", errors);
  yes("signals came", caught > 0 && caught <= ROUNDS);
}

static void send_all(pid_t to, unsigned pause) {
  for (int i = 0; i < 2 * EACH; i++) {
    while (sigqueue(to, SIGRTMIN + i % 2, (union sigval){.sival_int = i}) == -1)
      if (errno != EAGAIN) _exit(1);
    if (pause != 0) usleep(pause);
  }
  _exit(0);
}

/* Two signals by turns, so that there is always another one that is let in. */
static void receive(void (*meanwhile)(void)) {
  struct sigaction action = {.sa_handler = count_queued};
  MUST(sigaction(SIGRTMIN, &action, NULL));
  MUST(sigaction(SIGRTMIN + 1, &action, NULL));
  pid_t parent = getpid(), pid = start();
  if (pid == 0) send_all(parent, 0);
  int result = 0;
  while (waitpid(pid, &result, WNOHANG) != pid) meanwhile();
  status("sender", result);
  show("caught", "%d %d", counts[0], counts[1]);
}

/* Masks with these two signals, and with another one alone. */
static void change_mask(void) {
  sigset_t all, other, old;
  sigfillset(&all);
  sigemptyset(&other);
  sigaddset(&other, SIGUSR1);
  for (int i = 0; i < 50; i++) {
    sigprocmask(SIG_BLOCK, i % 10 == 0 ? &all : &other, &old);
    sigprocmask(SIG_SETMASK, &old, NULL);
  }
}

CASE(masks) {
  receive(change_mask);
}

static void fork_one(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  finish(pid);
}

CASE(queued_while_forking) {
  receive(fork_one);
}

static void start_one(void) {
  int sum = 0;
  pthread_t thread;
  if (pthread_create(&thread, NULL, add, &sum) == 0) pthread_join(thread, NULL);
}

CASE(queued_while_starting_threads) {
  receive(start_one);
}

/* Lets the two signals in for a moment, and ends with them blocked. */
static void *open_for_a_moment(void *argument) {
  sigset_t *set = argument;
  pthread_sigmask(SIG_UNBLOCK, set, NULL);
  getppid();
  pthread_sigmask(SIG_BLOCK, set, NULL);
  return NULL;
}

/* What a thread has not handled before it blocked them is still the process's, for the others. */
CASE(queued_for_all_threads) {
  struct timespec no_time = {0, 0};
  struct sigaction action = {.sa_handler = count_queued};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigaddset(&set, SIGRTMIN + 1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  MUST(sigaction(SIGRTMIN, &action, NULL));
  MUST(sigaction(SIGRTMIN + 1, &action, NULL));
  pid_t parent = getpid(), pid = start();
  if (pid == 0) send_all(parent, 50); /* time for each thread to come to its end */
  int result = 0, taken = 0;
  while (waitpid(pid, &result, WNOHANG) != pid) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, open_for_a_moment, &set) == 0) pthread_join(thread, NULL);
    if (sigtimedwait(&set, NULL, &no_time) > 0) taken++;
  }
  status("sender", result);
  while (sigtimedwait(&set, NULL, &no_time) > 0) taken++;
  number("handled or taken", counts[0] + counts[1] + taken);
}

/* As a shell or make waits: SIGCHLD is let in by sigsuspend alone. */
CASE(children_by_sigchld) {
  sigset_t block, old;
  struct sigaction action = {.sa_handler = count};
  MUST(sigaction(SIGCHLD, &action, NULL));
  sigemptyset(&block);
  sigaddset(&block, SIGCHLD);
  sigprocmask(SIG_BLOCK, &block, &old);
  int reaped = 0, started = 0, result;
  while (reaped < ROUNDS) {
    while (started < ROUNDS && started - reaped < 8) {
      if (start() == 0) {
        usleep((unsigned)(started * 37 % 900));
        _exit(started % 100);
      }
      started++;
    }
    sigsuspend(&old);
    while (waitpid(-1, &result, WNOHANG) > 0) reaped++;
  }
  number("reaped", reaped);
  yes("signals came", caught > 0 && caught <= ROUNDS);
}

/* Each write is as large as the pipe's space or larger, so it waits in the middle. */
CASE(pipe_data) {
  enum { SIZE = 100000 };
  static unsigned char data[SIZE], byte;
  int ends[2];
  MUST(pipe(ends));
  with_handler();
  pid_t pid = start();
  if (pid == 0) {
    unsigned sum = 0;
    long length, total = 0;
    close(ends[1]);
    while ((length = read(ends[0], data, 1000)) > 0) {
      for (long i = 0; i < length; i++) sum = sum * 31 + data[i];
      total += length;
    }
    show("read", "%ld %u", total, sum);
    _exit(0);
  }
  close(ends[0]);
  unsigned sum = 0;
  long total = 0;
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < SIZE; i++) sum = sum * 31 + (data[i] = byte++);
    for (long done = 0; done < SIZE;) {
      soon(round);
      long length = write(ends[1], data + done, (size_t)(SIZE - done));
      if (length > 0)
        done += length, total += length;
      else if (errno != EINTR)
        must_fail("write", __LINE__);
    }
  }
  close(ends[1]);
  status("reader", finish(pid));
  show("written", "%ld %u", total, sum);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn;

static void *pass_back(void *argument) {
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < ROUNDS; i++) {
    while (turn % 2 == 0) pthread_cond_wait(&changed, &mutex);
    turn++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&mutex);
  return argument;
}

CASE(conditions) {
  pthread_t thread;
  with_handler();
  MUST(-(pthread_create(&thread, NULL, pass_back, NULL) != 0));
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < ROUNDS; i++) {
    soon(i);
    while (turn % 2 == 1) pthread_cond_wait(&changed, &mutex);
    turn++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&mutex);
  returned("join", pthread_join(thread, NULL));
  number("turns", turn);
}

/* Before execve the handler has it; after, SIGURG is ignored, and the timer is gone. */
CASE(execs) {
  int good = 0;
  struct sigaction action = {.sa_handler = count};
  MUST(sigaction(SIGURG, &action, NULL));
  for (int i = 0; i < ROUNDS / 2; i++) {
    pid_t pid = start();
    if (pid == 0) {
      struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG};
      struct itimerspec when = {.it_value = {0, 1000 + i * 37 % 3000 * 1000}};
      timer_t timer;
      MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
      MUST(timer_settime(timer, 0, &when, NULL));
      execl(case_self, "--seven", "--seven", NULL);
      _exit(1);
    }
    good += WEXITSTATUS(finish(pid)) == 7;
  }
  number("exit statuses", good);
}

int helper(int argc, char **argv) {
  (void)argc, (void)argv;
  return 7;
}
