/* Threads: creation and joining, mutexes of every kind, conditions, barriers, keys, cancellation,
 * signals to one thread, and what fork and exit do among threads. */
#include "case.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile long counter;
static _Atomic long atomic_counter;
#if __GCC_ATOMIC_LLONG_LOCK_FREE == 2
static _Atomic uint64_t atomic_wide;
#else
static uint64_t atomic_wide;
#endif

static void deadline(struct timespec *at, long milliseconds) {
  clock_gettime(CLOCK_REALTIME, at);
  at->tv_nsec += milliseconds * 1000000;
  at->tv_sec += at->tv_nsec / 1000000000;
  at->tv_nsec %= 1000000000;
}

static void *twice(void *value) { return (void *)((uintptr_t)value * 2); }

CASE(create_and_join) {
  pthread_t threads[8];
  uintptr_t sum = 0;
  for (uintptr_t i = 0; i < COUNT(threads); i++)
    if (pthread_create(&threads[i], NULL, twice, (void *)i) != 0) must_fail("create", __LINE__);
  for (size_t i = 0; i < COUNT(threads); i++) {
    void *result;
    pthread_join(threads[i], &result);
    sum += (uintptr_t)result;
  }
  number("sum", (long)sum);
  returned("join self", pthread_join(pthread_self(), NULL));
}

CASE(many_in_turn) {
  long sum = 0;
  for (uintptr_t i = 0; i < 60; i++) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, twice, (void *)i) != 0) break;
    pthread_join(thread, &result);
    sum += (long)(uintptr_t)result;
  }
  number("sum", sum);
}

static void *add(void *rounds) {
  for (long i = 0; i < (long)(uintptr_t)rounds; i++) {
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
    atomic_counter++;
#if __GCC_ATOMIC_LLONG_LOCK_FREE == 2
    atomic_wide += UINT64_C(1) << 33;
#else /* 32-bit processors without it would need a library */
    pthread_mutex_lock(&mutex);
    atomic_wide += UINT64_C(1) << 33;
    pthread_mutex_unlock(&mutex);
#endif
  }
  return NULL;
}

CASE(counting) {
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, add, (void *)2000);
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  number("under the mutex", counter);
  number("atomic", atomic_counter);
  show("atomic wide", "%llx", (unsigned long long)atomic_wide);
}

CASE(mutex_kinds) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t checked, recursive;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&checked, &attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&recursive, &attributes);
  returned("unlock unlocked", pthread_mutex_unlock(&checked));
  returned("lock", pthread_mutex_lock(&checked));
  show("relock", "%s", pthread_mutex_lock(&checked) == EDEADLK ? "EDEADLK" : "other");
  returned("trylock", pthread_mutex_trylock(&checked));
  returned("recursive", pthread_mutex_lock(&recursive) | pthread_mutex_lock(&recursive));
  returned("destroy held", pthread_mutex_destroy(&checked));
  struct timespec at;
  deadline(&at, 20);
  pthread_mutex_lock(&mutex);
  returned("timed", pthread_mutex_timedlock(&mutex, &at));
  returned("clock", pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &(struct timespec){0, 0}));
}

static void *die_holding(void *robust) {
  pthread_mutex_lock(robust);
  return NULL;
}

CASE(robust_mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t robust;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attributes);
  pthread_t thread;
  pthread_create(&thread, NULL, die_holding, &robust);
  pthread_join(thread, NULL);
  returned("lock", pthread_mutex_lock(&robust));
  returned("consistent", pthread_mutex_consistent(&robust));
  returned("unlock", pthread_mutex_unlock(&robust));
  pthread_create(&thread, NULL, die_holding, &robust);
  pthread_join(thread, NULL);
  returned("lock again", pthread_mutex_lock(&robust));
  returned("unlock inconsistent", pthread_mutex_unlock(&robust));
  returned("for good", pthread_mutex_lock(&robust));
}

CASE(inheriting_mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutex_t inheriting;
  pthread_mutexattr_init(&attributes);
  returned("protocol", pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT));
  returned("init", pthread_mutex_init(&inheriting, &attributes));
  returned("lock", pthread_mutex_lock(&inheriting));
  returned("unlock", pthread_mutex_unlock(&inheriting));
}

static int turn;
static void *ping(void *unused) {
  (void)unused;
  for (int i = 0; i < 50; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != 1) pthread_cond_wait(&condition, &mutex);
    turn = 0;
    counter++;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

CASE(condition_variable) {
  pthread_t thread;
  pthread_create(&thread, NULL, ping, NULL);
  for (int i = 0; i < 50; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != 0) pthread_cond_wait(&condition, &mutex);
    turn = 1;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
  }
  pthread_join(thread, NULL);
  number("turns", counter);
  struct timespec at;
  deadline(&at, 20);
  pthread_mutex_lock(&mutex);
  returned("timed out", pthread_cond_timedwait(&condition, &mutex, &at));
}

static int awake;
static void *sleeper(void *unused) {
  (void)unused;
  pthread_mutex_lock(&mutex);
  awake++;
  while (turn == 0) pthread_cond_wait(&condition, &mutex);
  counter++;
  pthread_mutex_unlock(&mutex);
  return NULL;
}

CASE(broadcast) {
  pthread_t threads[5];
  for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, sleeper, NULL);
  for (int ready = 0; ready < 5; usleep(1000)) {
    pthread_mutex_lock(&mutex);
    ready = awake;
    pthread_mutex_unlock(&mutex);
  }
  pthread_mutex_lock(&mutex);
  turn = 1;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  for (size_t i = 0; i < COUNT(threads); i++) pthread_join(threads[i], NULL);
  number("woken", counter);
}

static pthread_barrier_t barrier;
static _Atomic int serial;
static void *meet(void *unused) {
  (void)unused;
  for (int i = 0; i < 5; i++)
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) serial++;
  return NULL;
}

CASE(barriers) {
  pthread_t threads[3];
  pthread_barrier_init(&barrier, NULL, 3);
  for (size_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, meet, NULL);
  for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  number("serial threads", serial);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static void *try_locks(void *unused) {
  (void)unused;
  returned("other reads", pthread_rwlock_tryrdlock(&rwlock));
  pthread_rwlock_unlock(&rwlock);
  returned("other writes", pthread_rwlock_trywrlock(&rwlock));
  return NULL;
}

CASE(read_write_lock) {
  pthread_t thread;
  returned("read", pthread_rwlock_rdlock(&rwlock));
  pthread_create(&thread, NULL, try_locks, NULL);
  pthread_join(thread, NULL);
  pthread_rwlock_unlock(&rwlock);
  returned("write", pthread_rwlock_wrlock(&rwlock));
  returned("read then", pthread_rwlock_tryrdlock(&rwlock));
}

static void *post(void *semaphore) {
  for (int i = 0; i < 20; i++) sem_post(semaphore);
  return NULL;
}

CASE(semaphores) {
  sem_t semaphore;
  MUST(sem_init(&semaphore, 0, 0));
  outcome("empty", sem_trywait(&semaphore));
  pthread_t thread;
  pthread_create(&thread, NULL, post, &semaphore);
  for (int i = 0; i < 20; i++) MUST(sem_wait(&semaphore));
  pthread_join(thread, NULL);
  int value = 7;
  sem_getvalue(&semaphore, &value);
  number("value", value);
  struct timespec at;
  deadline(&at, 10);
  outcome("timed", sem_timedwait(&semaphore, &at));
}

static __thread int local = 5;
static __thread char local_array[100];
static pthread_key_t key;
static _Atomic int destroyed;
static void destroy(void *value) { destroyed += (int)(uintptr_t)value; }
static void *use_local(void *unused) {
  (void)unused;
  int first = local;
  local += 10;
  local_array[99] = 3;
  pthread_setspecific(key, (void *)7);
  return (void *)(uintptr_t)(first * 100 + local);
}

CASE(thread_local) {
  pthread_key_create(&key, destroy);
  pthread_t thread;
  void *result;
  local = 6;
  pthread_create(&thread, NULL, use_local, NULL);
  pthread_join(thread, &result);
  show("values", "%d %d %d", (int)(uintptr_t)result, local, local_array[99]);
  yes("key is ours", pthread_getspecific(key) == NULL);
  number("destroyed", destroyed);
  pid_t pid = start();
  if (pid == 0) _exit(local);
  status("after fork", finish(pid));
}

static void cleanup(void *unused) {
  (void)unused;
  counter += 100;
}
static void *wait_forever(void *unused) {
  (void)unused;
  pthread_cleanup_push(cleanup, NULL);
  for (;;) pause();
  pthread_cleanup_pop(0);
  return NULL;
}
static void *wait_reading(void *fd) {
  char byte;
  pthread_cleanup_push(cleanup, NULL);
  while (read((int)(uintptr_t)fd, &byte, 1) != 0) continue;
  pthread_cleanup_pop(0);
  return NULL;
}
static void *spin(void *unused) {
  (void)unused;
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (;;) atomic_counter++;
  return NULL;
}
static void *refuse(void *unused) {
  (void)unused;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  atomic_counter = 1;
  usleep(200000); /* the first pthread_cancel loads a library */
  counter++;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  pthread_testcancel();
  counter += 50;
  return NULL;
}

static void cancel_one(const char *label, void *(*body)(void *), void *argument, int wait) {
  pthread_t thread;
  void *result = NULL;
  pthread_create(&thread, NULL, body, argument);
  if (wait) while (atomic_counter == 0) usleep(500);
  else usleep(5000);
  returned(label, pthread_cancel(thread));
  pthread_join(thread, &result);
  show("result", "%s, counter %ld", result == PTHREAD_CANCELED ? "cancelled" : "returned", counter);
}

CASE(cancel_pause) { cancel_one("pause", wait_forever, NULL, 0); }
CASE(cancel_read) {
  int ends[2];
  MUST(pipe(ends));
  cancel_one("read", wait_reading, (void *)(uintptr_t)ends[0], 0);
}
CASE(cancel_asynchronous) { cancel_one("loop", spin, NULL, 1); }
CASE(cancel_deferred) { cancel_one("disabled", refuse, NULL, 1); }

static _Atomic pid_t handled_by;
static void note(int signal) {
  (void)signal;
  handled_by = gettid();
}
static _Atomic pid_t thread_id;
static void *wait_signal(void *unused) {
  (void)unused;
  thread_id = gettid();
  while (handled_by == 0) usleep(500);
  return NULL;
}

CASE(signal_to_thread) {
  signal(SIGUSR1, note);
  pthread_t thread;
  pthread_create(&thread, NULL, wait_signal, NULL);
  while (thread_id == 0) usleep(500);
  yes("own id", thread_id != getpid());
  returned("pthread_kill", pthread_kill(thread, SIGUSR1));
  pthread_join(thread, NULL);
  yes("in that thread", handled_by == thread_id);
  handled_by = 0;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pid_t main_thread = gettid();
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  tgkill(getpid(), main_thread, SIGUSR1);
  yes("tgkill in main", handled_by == main_thread);
}

static void *unblock_and_wait(void *unused) {
  (void)unused;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  return wait_signal(NULL);
}

CASE(signal_to_process) {
  signal(SIGUSR1, note);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t thread;
  pthread_create(&thread, NULL, unblock_and_wait, NULL);
  while (thread_id == 0) usleep(500);
  kill(getpid(), SIGUSR1);
  pthread_join(thread, NULL);
  yes("goes to the one that takes it", handled_by == thread_id);
}

static void *exit_all(void *unused) {
  (void)unused;
  exit(44);
}
static void *crash(void *unused) {
  (void)unused;
  *(volatile char *)pointer(8) = 1;
  return NULL;
}
static void *sleep_and_exit(void *unused) {
  (void)unused;
  usleep(300000);
  _exit(55);
}

CASE(process_end) {
  pthread_t thread;
  pid_t pid = start();
  if (pid == 0) {
    pthread_create(&thread, NULL, exit_all, NULL);
    for (;;) pause();
  }
  status("exit in a thread", finish(pid));
  pid = start();
  if (pid == 0) {
    pthread_create(&thread, NULL, crash, NULL);
    for (;;) pause();
  }
  status("crash in a thread", finish(pid));
  pid = start();
  if (pid == 0) {
    pthread_create(&thread, NULL, sleep_and_exit, NULL);
    pthread_exit(NULL);
  }
  status("main thread gone first", finish(pid));
  pid = start();
  if (pid == 0) {
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, wait_forever, NULL);
    return;
  }
  status("return from main", finish(pid));
}

static void *fork_here(void *unused) {
  (void)unused;
  pid_t pid = start();
  if (pid == 0) {
    yes("child has one thread id", gettid() == getpid());
    void *block = malloc(1000);
    free(block);
    _exit(66);
  }
  status("forked in a thread", finish(pid));
  return NULL;
}

static void before(void) { counter = counter * 10 + 1; }
static void in_parent(void) { counter = counter * 10 + 2; }
static void in_child(void) { counter = counter * 10 + 3; }

CASE(fork_in_thread) {
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, wait_forever, NULL);
  pthread_create(&threads[1], NULL, fork_here, NULL);
  pthread_join(threads[1], NULL);
  pthread_atfork(before, in_parent, in_child);
  counter = 0;
  pid_t pid = start();
  if (pid == 0) _exit((int)counter);
  status("child handlers", finish(pid));
  number("parent handlers", counter);
  _exit(0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void run_once(void) { atomic_counter++; }
static void *call_once(void *unused) {
  (void)unused;
  pthread_once(&once, run_once);
  return NULL;
}

CASE(once_only) {
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, call_once, NULL);
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  number("times", atomic_counter);
}

CASE(attributes) {
  pthread_attr_t attributes;
  size_t size = 0, guard = 0;
  void *base = NULL;
  char here;
  returned("getattr", pthread_getattr_np(pthread_self(), &attributes));
  returned("stack", pthread_attr_getstack(&attributes, &base, &size));
  yes("holds us", &here >= (char *)base && &here < (char *)base + size);
  pthread_attr_init(&attributes);
  pthread_attr_getguardsize(&attributes, &guard);
  yes("guard is a page", guard == (size_t)sysconf(_SC_PAGESIZE));
  char name[16] = "";
  returned("name", pthread_setname_np(pthread_self(), "octavo-guest"));
  pthread_getname_np(pthread_self(), name, sizeof name);
  show("name is", "%s", name);
  returned("long name", pthread_setname_np(pthread_self(), "far too long a name"));
  clockid_t clock;
  returned("clock", pthread_getcpuclockid(pthread_self(), &clock));
  returned("detach", pthread_detach(pthread_self()));
}
