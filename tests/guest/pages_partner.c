/* One of several processes, each with another page size or processor, that share a System V segment, a POSIX shared
 * memory object and a file. They take turns; each checks what the one before it has stored, everywhere, and stores
 * its own.
 *
 *   --make NAME              create the three, print the segment's identifier
 *   --take NAME ID INDEX N   take part as INDEX of N
 *   --end NAME ID            remove them */
#include "pages.h"

#include <sys/shm.h>

enum { SIZE = 2 * 65536 + 100, ROUNDS = 12 };
static const size_t places[] = {100, 4095, 4096, 16384 + 5, 65535, 65536, 65536 + 4096 * 3 + 1, SIZE - 1};

static volatile unsigned char *attach(int id) {
  void *at = shmat(id, NULL, 0);
  if (at == (void *)-1) must_fail("shmat", __LINE__);
  return at;
}

static int object(const char *name, int flags) {
  char path[80];
  snprintf(path, sizeof path, "/octavo-partner-%s", name);
  return MUST(shm_open(path, flags, 0600));
}

static void check(const char *label, volatile unsigned char *at, unsigned char expected) {
  for (size_t i = 0; i < COUNT(places); i++)
    if (at[places[i]] != expected) {
      wrong("%s: byte %zu is %d, not %d", label, places[i], at[places[i]], expected);
      _exit(1);
    }
}

static void store(volatile unsigned char *at, unsigned char value) {
  for (size_t i = 0; i < COUNT(places); i++) at[places[i]] = value;
}

static int take(const char *name, int id, int index, int count) {
  int fd = MUST(open(name, O_RDWR));
  volatile unsigned char *segment = attach(id);
  volatile unsigned char *shared = map_at(NULL, SIZE, RW, MAP_SHARED, object(name, O_RDWR), 0);
  volatile unsigned char *file = map_at(NULL, SIZE, RW, MAP_SHARED, fd, 0);
  for (int turn = index; turn < ROUNDS * count; turn += count) {
    while (segment[0] != turn) usleep(200);
    __sync_synchronize();
    check("segment", segment, (unsigned char)turn);
    check("shm_open", shared, (unsigned char)turn);
    check("file", file, (unsigned char)turn);
    if (byte_of(fd, SIZE - 1) != turn) wrong("the file's last byte: %d, not %d", byte_of(fd, SIZE - 1), turn);
    store(segment, (unsigned char)(turn + 1));
    store(shared, (unsigned char)(turn + 1));
    store(file, (unsigned char)(turn + 1));
    __sync_synchronize();
    segment[0] = (unsigned char)(turn + 1);
  }
  printf("page %zu done\n", P);
  return 0;
}

int helper(int argc, char **argv) {
  alarm(60);
  if (argc == 3 && strcmp(argv[1], "--make") == 0) {
    int fd = MUST(open(argv[2], O_RDWR | O_CREAT | O_EXCL, 0600));
    MUST(ftruncate(fd, SIZE));
    MUST(ftruncate(object(argv[2], O_RDWR | O_CREAT | O_EXCL), SIZE));
    printf("%d\n", MUST(shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600)));
    return 0;
  }
  if (argc == 6 && strcmp(argv[1], "--take") == 0)
    return take(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
  if (argc == 4 && strcmp(argv[1], "--end") == 0) {
    char path[80];
    snprintf(path, sizeof path, "/octavo-partner-%s", argv[2]);
    MUST(shmctl(atoi(argv[3]), IPC_RMID, NULL));
    MUST(shm_unlink(path));
    return 0;
  }
  return 97;
}
