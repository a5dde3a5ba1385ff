/* System V shared memory, semaphores and message queues. */
#include "case.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>

#include "fault.h"

union semun {
  int val;
  struct semid_ds *buf;
  unsigned short *array;
};

CASE(shared_memory) {
  int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
  outcome("get", id);
  char *at = shmat(id, NULL, 0);
  yes("attach", at != (void *)-1);
  yes("aligned", ((uintptr_t)at & ((uintptr_t)sysconf(_SC_PAGESIZE) - 1)) == 0);
  number("zero", at[0] + at[9999]);
  pid_t pid = start();
  if (pid == 0) {
    strcpy(at + 5000, "inherited");
    _exit(0);
  }
  finish(pid);
  show("written", "%s", at + 5000);
  char *twin = shmat(id, NULL, SHM_RDONLY);
  show("second attach", "%s", twin + 5000);
  show("read only", "%s", try_write(twin));
  struct shmid_ds info;
  outcome("stat", shmctl(id, IPC_STAT, &info));
  show("info", "%lu %lu %o", (unsigned long)info.shm_segsz, (unsigned long)info.shm_nattch, info.shm_perm.mode & 0777u);
  yes("creator", info.shm_cpid == getpid() && info.shm_lpid == getpid() && info.shm_perm.uid == geteuid());
  outcome("remove", shmctl(id, IPC_RMID, NULL));
  outcome("detach", shmdt(twin));
  outcome("detach again", shmdt(twin));
  show("still there", "%s", at + 5000);
  outcome("detach last", shmdt(at));
  show("gone", "%s", try_read(at));
  outcome("bad id", shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
}

CASE(shared_memory_places) {
  int id = MUST(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));
  uintptr_t unit = SHMLBA > sysconf(_SC_PAGESIZE) ? (uintptr_t)SHMLBA : (uintptr_t)sysconf(_SC_PAGESIZE);
  char *room = mmap(NULL, unit * 4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *place = (char *)(((uintptr_t)room + unit * 2) & ~(unit - 1));
  MUST(munmap(room, unit * 4));
  yes("at the address", shmat(id, place, 0) == place);
  outcome("over it", shmat(id, place, 0) == (void *)-1 ? -1 : 0);
  yes("remap", shmat(id, place, SHM_REMAP) == place);
  outcome("odd", shmat(id, place + 1, 0) == (void *)-1 ? -1 : 0);
  outcome("remap nowhere", shmat(id, NULL, SHM_REMAP) == (void *)-1 ? -1 : 0);
  MUST(shmdt(place));
  yes("rounded", shmat(id, place + 5, SHM_RND) == place);
  MUST(shmctl(id, IPC_RMID, NULL));
  outcome("no key", shmget(0x7ea51de5, 4096, 0600));
  outcome("zero size", shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
}

CASE(semaphores) {
  int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
  outcome("get", id);
  union semun value = {.val = 5};
  outcome("setval", semctl(id, 1, SETVAL, value));
  number("getval", semctl(id, 1, GETVAL));
  unsigned short all[3] = {7, 8, 9}, read_back[3];
  value.array = all;
  outcome("setall", semctl(id, 0, SETALL, value));
  value.array = read_back;
  outcome("getall", semctl(id, 0, GETALL, value));
  show("all", "%d %d %d", read_back[0], read_back[1], read_back[2]);
  struct sembuf steps[2] = {{0, -7, IPC_NOWAIT}, {2, 1, 0}};
  outcome("operate", semop(id, steps, 2));
  number("third", semctl(id, 2, GETVAL));
  outcome("would wait", semop(id, steps, 2));
  number("all or nothing", semctl(id, 2, GETVAL));
  struct timespec little = {0, 10000000};
  steps[0].sem_flg = 0;
  outcome("timed", semtimedop(id, steps, 1, &little));
  number("pid", semctl(id, 2, GETPID) == getpid());
  pid_t pid = start();
  if (pid == 0) {
    struct sembuf undo = {1, -3, SEM_UNDO};
    _exit(semop(id, &undo, 1) != 0);
  }
  status("child", finish(pid));
  number("undone", semctl(id, 1, GETVAL));
  struct semid_ds info;
  value.buf = &info;
  outcome("stat", semctl(id, 0, IPC_STAT, value));
  show("info", "%lu %o", (unsigned long)info.sem_nsems, info.sem_perm.mode & 0777u);
  outcome("bad number", semctl(id, 9, GETVAL));
  outcome("remove", semctl(id, 0, IPC_RMID));
  outcome("removed", semop(id, steps, 1));
}

CASE(semaphore_waits) {
  int id = MUST(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
  pid_t pid = start();
  struct sembuf step = {0, -1, 0};
  if (pid == 0) _exit(semop(id, &step, 1) == 0 ? 5 : 6);
  while (semctl(id, 0, GETNCNT) != 1) usleep(1000);
  step.sem_op = 1;
  outcome("post", semop(id, &step, 1));
  status("child", finish(pid));
  pid = start();
  step.sem_op = -1;
  if (pid == 0) _exit(semop(id, &step, 1) == -1 && errno == EIDRM ? 7 : 8);
  while (semctl(id, 0, GETNCNT) != 1) usleep(1000);
  MUST(semctl(id, 0, IPC_RMID));
  status("removed under it", finish(pid));
}

CASE(messages) {
  int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  outcome("get", id);
  struct {
    long type;
    char text[32];
  } message = {3, "third"};
  outcome("send", msgsnd(id, &message, 6, 0));
  message.type = 1;
  strcpy(message.text, "first");
  outcome("send second", msgsnd(id, &message, 6, 0));
  number("by type", msgrcv(id, &message, 32, 1, 0));
  show("text", "%ld %s", message.type, message.text);
  outcome("none of type", msgrcv(id, &message, 32, 2, IPC_NOWAIT));
  outcome("too small", msgrcv(id, &message, 2, 0, 0));
  number("cut", msgrcv(id, &message, 2, 0, MSG_NOERROR));
  show("cut text", "%ld %.2s", message.type, message.text);
  message.type = 0;
  outcome("bad type", msgsnd(id, &message, 6, 0));
  struct msqid_ds info;
  outcome("stat", msgctl(id, IPC_STAT, &info));
  show("info", "%lu %d", (unsigned long)info.msg_qnum, info.msg_lspid == getpid());
  outcome("remove", msgctl(id, IPC_RMID, NULL));
  outcome("removed", msgsnd(id, &message, 1, 0));
}

CASE(keys) {
  write_file("keyfile", "");
  key_t key = ftok("keyfile", 'k');
  yes("ftok", key != -1 && key == ftok("keyfile", 'k') && key != ftok("keyfile", 'l'));
  int id = MUST(semget(key, 1, IPC_CREAT | IPC_EXCL | 0600));
  outcome("exclusive", semget(key, 1, IPC_CREAT | IPC_EXCL | 0600));
  yes("same", semget(key, 1, 0600) == id);
  outcome("more", semget(key, 5, 0600));
  MUST(semctl(id, 0, IPC_RMID));
}
