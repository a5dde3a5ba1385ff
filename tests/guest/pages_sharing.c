/* page-sizes.md 5.4, row 29 and section 11's S3: memory that several processes share. */
#include "pages.h"

#include <sys/ipc.h>
#include <sys/shm.h>

ROW(29) {
  int id = MUST(shmget(IPC_PRIVATE, 2 * P + 100, IPC_CREAT | 0600));
  unsigned char *first = shmat(id, NULL, 0), *second = shmat(id, NULL, 0);
  unsigned char *reader = shmat(id, NULL, SHM_RDONLY);
  size_t colour = (size_t)SHMLBA;
  came_to("attach", first == (void *)-1 || second == (void *)-1 || reader == (void *)-1 ? -1 : 0, 0);
  equal("address, modulo the page", (long)(((uintptr_t)first | (uintptr_t)second) % P), 0);
  first[5] = 1;
  first[3 * P - 1] = 2; /* the segment's last page is a whole one */
  equal("in the other", second[5] + second[3 * P - 1], 3);
  touched("read-only", try_write(reader), ACCERR);
  equal("size", ({ struct shmid_ds now; MUST(shmctl(id, IPC_STAT, &now)); (long)now.shm_segsz; }), (long)(2 * P + 100));
  size_t room = (4 * P / colour + 2) * colour;
  unsigned char *area = map_at(NULL, 3 * room, PROT_NONE, ANONYMOUS, -1, 0);
  unsigned char *even = (void *)(((uintptr_t)area + room) / colour * colour);
  MUST(munmap(area, 3 * room));
  came_to("odd address", shmat(id, even + P / 2, 0) == (void *)-1 ? -1 : 0, EINVAL);
  truth("rounded down", shmat(id, even + colour - 1, SHM_RND) == (void *)even);
  equal("there", even[5], 1);
  came_to("taken", shmat(id, even, 0) == (void *)-1 ? -1 : 0, EINVAL);
  truth("replaced", shmat(id, even, SHM_REMAP) == (void *)even);
  came_to("replace nothing", shmat(id, NULL, SHM_REMAP) == (void *)-1 ? -1 : 0, EINVAL);
  if (colour > P) came_to("a page, but no colour", shmat(id, even - P, 0) == (void *)-1 ? -1 : 0, EINVAL);
  came_to("detach, odd address", shmdt(even + P), EINVAL);
  came_to("detach", shmdt(even), 0);
  touched("detached", try_read(even), MAPERR);
  touched("its end too", try_read(even + 3 * P - 1), MAPERR);
  ELSEWHERE(second[6] = 7; came_to("detach in the child", shmdt(first), 0));
  equal("from the child", first[6], 7);
  MUST(shmctl(id, IPC_RMID, NULL));
}

/* One file of shared memory, in two processes and at crossed addresses. */
static void shared_by_two(const char *label, int fd) {
  MUST(ftruncate(fd, (off_t)(4 * P)));
  unsigned char *at = map_at(NULL, 4 * P, RW, MAP_SHARED, fd, 0);
  at[0] = 1, at[3 * P] = 2;
  pid_t pid = start();
  if (pid == 0) {
    unsigned char *last = map_at(NULL, P, RW, MAP_SHARED, fd, (off_t)(3 * P));
    if (last[0] != 2) wrong("%s: the child maps %d, not 2", label, last[0]);
    last[P - 1] = 3;
    at[1] = 4;
    __atomic_add_fetch((unsigned *)(at + P), 5, __ATOMIC_SEQ_CST);
    _exit(0);
  }
  for (int i = 0; i < 1000; i++) __atomic_add_fetch((unsigned *)(at + P), 1, __ATOMIC_SEQ_CST);
  finish(pid);
  equal(label, at[1] + at[4 * P - 1], 7);
  equal("additions", *(unsigned *)(at + P), 1005);
}

ROW(S3) {
  unsigned char *at = map_at(NULL, 3 * P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  at[2 * P] = 1;
  ELSEWHERE(equal("anonymous, in the child", at[2 * P], 1); at[P - 1] = 2; at[P] = 3);
  equal("anonymous", at[P - 1] + at[P], 5);
  MUST(munmap(at + P, P));
  ELSEWHERE(at[0] = 8; touched("anonymous, unmapped", try_read(at + P), MAPERR));
  equal("anonymous, after unmapping a part", at[0], 8);
  int fd = MUST(open("rowS3", O_RDWR | O_CREAT, 0600));
  shared_by_two("file", fd);
  fd = MUST(memfd_create("rowS3", 0));
  shared_by_two("memfd", fd);
  char name[40];
  snprintf(name, sizeof name, "/octavo-row-S3-%d", (int)getpid());
  fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  came_to("shm_open", fd, 0);
  if (fd == -1) return;
  shared_by_two("shm_open", fd);
  at = map_at(NULL, P, PROT_READ, MAP_SHARED, fd, (off_t)(4 * P));
  touched("shm_open, past the end", try_read(at), ADRERR);
  MUST(shm_unlink(name));
}
