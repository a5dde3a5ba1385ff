/* futex(2) itself: waiting, waking, bit sets, requeueing, timeouts, between processes, and the word a
 * thread leaves at its end. */
#include "case.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

/* The raw call takes a timespec of the kernel's old layout: two longs. */
struct kernel_time {
  long seconds, nanoseconds;
};

#ifndef SYS_futex
#define SYS_futex SYS_futex_time64
#endif

static long futex(void *word, int operation, uint32_t value, void *time, void *second, uint32_t third) {
  return syscall(SYS_futex, word, operation, value, time, second, third);
}

static uint32_t word, second_word;
static _Atomic int waiting, woken;

static void *waiter(void *bits) {
  waiting++;
  long result = futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)bits);
  if (result == 0) woken++;
  return (void *)(uintptr_t)(result == -1 ? errno : 0);
}

static void settle(int count) {
  while (waiting < count) usleep(1000);
  usleep(20000);
}

CASE(value) {
  word = 5;
  outcome("other value", futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0));
  struct kernel_time little = {0, 10000000};
  outcome("timeout", futex(&word, FUTEX_WAIT_PRIVATE, 5, &little, NULL, 0));
  number("nobody to wake", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
  outcome("unaligned", futex((char *)&word + 1, FUTEX_WAIT_PRIVATE, 5, &little, NULL, 0));
  outcome("nowhere", futex(pointer(8), FUTEX_WAIT_PRIVATE, 5, &little, NULL, 0));
  struct kernel_time bad = {0, 1000000000};
  outcome("bad time", futex(&word, FUTEX_WAIT_PRIVATE, 5, &bad, NULL, 0));
  outcome("unknown operation", futex(&word, 120, 0, NULL, NULL, 0));
  outcome("no bits", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, &little, NULL, 0));
}

CASE(absolute_time) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct kernel_time until = {(long)now.tv_sec, now.tv_nsec};
  outcome("monotonic", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, ~0u));
  clock_gettime(CLOCK_REALTIME, &now);
  until = (struct kernel_time){(long)now.tv_sec, now.tv_nsec};
  outcome("real time", futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &until, NULL, ~0u));
}

CASE(wake_some) {
  pthread_t threads[3];
  for (size_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, waiter, (void *)~(uintptr_t)0);
  settle(3);
  number("one", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  number("the rest", futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
  for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  number("woken", woken);
}

CASE(bit_sets) {
  pthread_t first, second;
  pthread_create(&first, NULL, waiter, (void *)1);
  pthread_create(&second, NULL, waiter, (void *)2);
  settle(2);
  number("no match", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4));
  number("second", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2));
  pthread_join(second, NULL);
  number("first", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 3));
  pthread_join(first, NULL);
}

CASE(requeue) {
  pthread_t threads[3];
  for (size_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, waiter, (void *)~(uintptr_t)0);
  settle(3);
  outcome("wrong value", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &second_word, 9));
  number("one woken, two moved", futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &second_word, 0));
  number("none left", futex(&word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
  number("moved ones", futex(&second_word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
  for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

CASE(wake_operation) {
  pthread_t thread;
  pthread_create(&thread, NULL, waiter, (void *)~(uintptr_t)0);
  settle(1);
  second_word = 7;
  /* add 3 to the second word; wake its waiters too if it was 7 */
  uint32_t operation = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7);
  number("woken", futex(&word, FUTEX_WAKE_OP_PRIVATE, 10, (void *)10, &second_word, operation));
  number("second word", (long)second_word);
  pthread_join(thread, NULL);
}

CASE(between_processes) {
  uint32_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = start();
  if (pid == 0) {
    while (futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0) == -1 && errno == EINTR) continue;
    _exit((int)__atomic_load_n(shared, __ATOMIC_SEQ_CST));
  }
  usleep(20000);
  __atomic_store_n(shared, 9, __ATOMIC_SEQ_CST);
  futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0);
  status("child", finish(pid));
}

static void *hold_and_die(void *mutex) {
  pthread_mutex_lock(mutex);
  return NULL;
}

CASE(robust_between_processes) {
  pthread_mutex_t *mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(mutex, &attributes);
  pid_t pid = start();
  if (pid == 0) {
    hold_and_die(mutex);
    _exit(0);
  }
  finish(pid);
  returned("after exit", pthread_mutex_lock(mutex));
  returned("consistent", pthread_mutex_consistent(mutex));
  returned("unlock", pthread_mutex_unlock(mutex));
}

static volatile sig_atomic_t caught;
static void count(int signal) {
  (void)signal;
  caught++;
}

CASE(interrupted) {
  struct sigaction action = {.sa_handler = count};
  sigaction(SIGUSR1, &action, NULL);
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    until_asleep(parent);
    kill(parent, SIGUSR1);
    _exit(0);
  }
  outcome("wait", futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
  number("caught", caught);
  finish(pid);
}

CASE(priority_inheritance) {
  word = 0;
  outcome("lock", futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  yes("owner", (word & FUTEX_TID_MASK) == (uint32_t)gettid() || word == 0);
  outcome("again", futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  outcome("unlock", futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  number("free", (long)word);
}
