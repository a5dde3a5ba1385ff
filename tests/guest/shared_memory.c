/* Memory and synchronisation shared between processes: POSIX shared memory, named semaphores, shared
 * mutexes and conditions, atomics on a shared page, message queues. */
#include "case.h"

#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

static char name[64];
static const char *own_name(void) {
  snprintf(name, sizeof name, "/octavo-guest-%d-%s", getpid(), case_name);
  return name;
}

struct block {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  sem_t semaphore;
  pthread_barrier_t barrier;
  long counter;
  _Atomic long atomic;
  int turn;
};

static struct block *shared_block(void) {
  struct block *block = mmap(NULL, sizeof *block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) must_fail("mmap", __LINE__);
  pthread_mutexattr_t mutex;
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&block->mutex, &mutex);
  pthread_condattr_t condition;
  pthread_condattr_init(&condition);
  pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
  pthread_cond_init(&block->condition, &condition);
  MUST(sem_init(&block->semaphore, 1, 0));
  return block;
}

CASE(posix_object) {
  int fd = shm_open(own_name(), O_RDWR | O_CREAT | O_EXCL, 0600);
  outcome("create", fd);
  outcome("again", shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
  MUST(ftruncate(fd, 10000));
  char *at = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  strcpy(at, "from the parent");
  pid_t pid = start();
  if (pid == 0) {
    int again = MUST(shm_open(name, O_RDWR, 0));
    char *twin = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
    show("child reads", "%s", twin);
    strcpy(twin + 9000, "from the child");
    _exit(0);
  }
  finish(pid);
  show("parent reads", "%s", at + 9000);
  outcome("unlink", shm_unlink(name));
  outcome("unlink again", shm_unlink(name));
  show("still there", "%s", at);
}

CASE(counting) {
  struct block *block = shared_block();
  pid_t pids[3];
  for (int i = 0; i < 3; i++)
    if ((pids[i] = start()) == 0) {
      for (int j = 0; j < 500; j++) {
        pthread_mutex_lock(&block->mutex);
        block->counter++;
        pthread_mutex_unlock(&block->mutex);
        block->atomic++;
      }
      _exit(0);
    }
  for (int i = 0; i < 3; i++) finish(pids[i]);
  number("under the mutex", block->counter);
  number("atomic", block->atomic);
}

CASE(condition) {
  struct block *block = shared_block();
  pid_t pid = start();
  if (pid == 0) {
    for (int i = 0; i < 20; i++) {
      pthread_mutex_lock(&block->mutex);
      while (block->turn != 1) pthread_cond_wait(&block->condition, &block->mutex);
      block->turn = 0;
      block->counter++;
      pthread_cond_signal(&block->condition);
      pthread_mutex_unlock(&block->mutex);
    }
    _exit(0);
  }
  for (int i = 0; i < 20; i++) {
    pthread_mutex_lock(&block->mutex);
    while (block->turn != 0) pthread_cond_wait(&block->condition, &block->mutex);
    block->turn = 1;
    pthread_cond_signal(&block->condition);
    pthread_mutex_unlock(&block->mutex);
  }
  status("child", finish(pid));
  number("turns", block->counter);
}

CASE(semaphore) {
  struct block *block = shared_block();
  pid_t pid = start();
  if (pid == 0) {
    for (int i = 0; i < 10; i++) MUST(sem_wait(&block->semaphore));
    _exit(8);
  }
  for (int i = 0; i < 10; i++) MUST(sem_post(&block->semaphore));
  status("child", finish(pid));
}

CASE(named_semaphore) {
  sem_t *semaphore = sem_open(own_name(), O_CREAT | O_EXCL, 0600, 1);
  yes("create", semaphore != SEM_FAILED);
  if (semaphore == SEM_FAILED) return;
  outcome("wait", sem_wait(semaphore));
  pid_t pid = start();
  if (pid == 0) {
    sem_t *again = sem_open(name, 0);
    outcome("empty in child", sem_trywait(again));
    MUST(sem_post(again));
    _exit(0);
  }
  finish(pid);
  outcome("posted", sem_trywait(semaphore));
  outcome("unlink", sem_unlink(name));
  yes("gone", sem_open(name, 0) == SEM_FAILED && errno == ENOENT);
}

CASE(message_queue) {
  struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 64}, now;
  mqd_t queue = mq_open(own_name(), O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
  outcome("open", queue);
  if (queue == (mqd_t)-1) return;
  number("send", mq_send(queue, "low", 3, 1));
  number("send high", mq_send(queue, "high", 4, 9));
  outcome("getattr", mq_getattr(queue, &now));
  show("attributes", "%ld %ld %ld", now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
  char text[64] = "";
  unsigned priority = 0;
  number("receive", mq_receive(queue, text, sizeof text, &priority));
  show("first", "%.4s %u", text, priority);
  outcome("small buffer", mq_receive(queue, text, 10, NULL));
  outcome("too long", mq_send(queue, text, 65, 0));
  number("receive second", mq_receive(queue, text, sizeof text, &priority));
  outcome("empty", mq_receive(queue, text, sizeof text, NULL));
  struct timespec time = {1, 0};
  attributes.mq_flags = 0;
  outcome("blocking", mq_setattr(queue, &attributes, NULL));
  outcome("timed", mq_timedreceive(queue, text, sizeof text, NULL, &time));
  outcome("unlink", mq_unlink(name));
  outcome("missing", mq_open(name, O_RDWR));
}

CASE(locked_out) {
  struct block *block = shared_block();
  pthread_mutex_lock(&block->mutex);
  pid_t pid = start();
  if (pid == 0) {
    returned("trylock", pthread_mutex_trylock(&block->mutex));
    struct timespec past = {1, 0};
    returned("timedlock", pthread_mutex_timedlock(&block->mutex, &past));
    _exit(0);
  }
  finish(pid);
}
