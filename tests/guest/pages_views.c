/* page-sizes.md 5.4, row 30 and section 11's M1: what /proc/self says of the program's memory. */
#include "pages.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "maps.h"

/* A page of `area` must be in maps like this; access NULL: it must not be there. */
static void shown(unsigned char *at, const char *access, const char *name, size_t offset, struct stat *file) {
  struct maps_line *line = maps_at(at);
  if (line == NULL || access == NULL) {
    if (line != NULL || access != NULL) wrong("%s: a line %s", name, line ? "too many" : "is missing");
    return;
  }
  if (strcmp(line->access, access) != 0) wrong("%s: %s, not %s", name, line->access, access);
  if (file == NULL) {
    equal("inode of no file", (long long)line->inode, 0);
    return;
  }
  const char *end = strrchr(line->name, '/');
  if (end == NULL || strcmp(end + 1, name) != 0) wrong("%s: name %.60s", name, line->name);
  equal("offset", (long long)(line->offset + ((unsigned long)at - line->start)), (long long)offset);
  equal("inode", (long long)line->inode, (long long)file->st_ino);
  if (line->major != major(file->st_dev) || line->minor != minor(file->st_dev)) wrong("%s: device", name);
}

ROW(M1) {
  struct stat file;
  int fd = file_of("rowM1", 8 * P);
  MUST(fstat(fd, &file));
  unsigned char *at = anonymous(12, PROT_NONE);
  MUST(mprotect(at + P, P, PROT_READ));
  MUST(mprotect(at + 2 * P, P, RW));
  MUST(mprotect(at + 3 * P, P, PROT_READ | PROT_EXEC));
  MUST(munmap(at + 4 * P, P));
  map_at(at + 5 * P, P, RW, MAP_SHARED | MAP_FIXED, fd, (off_t)(7 * P));
  map_at(at + 6 * P, P, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, (off_t)(3 * P));
  map_at(at + 7 * P, P, RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
  map_at(at + 8 * P, 2 * P, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)(9 * P)); /* past the end */
  at[7 * P] = 1;
  (void)*(volatile unsigned char *)(at + 5 * P);
  maps_load();
  for (size_t i = 0; i < maps_count; i++) {
    if (maps_lines[i].start % P || maps_lines[i].end % P || maps_lines[i].offset % P)
      wrong("%lx-%lx offset %lx: not whole pages", maps_lines[i].start, maps_lines[i].end, maps_lines[i].offset);
    if (maps_lines[i].start >= maps_lines[i].end || (i > 0 && maps_lines[i].start < maps_lines[i - 1].end))
      wrong("%lx-%lx: not in order", maps_lines[i].start, maps_lines[i].end);
  }
  shown(at, "---p", "no access", 0, NULL);
  shown(at + P, "r--p", "read", 0, NULL);
  shown(at + 2 * P, "rw-p", "write", 0, NULL);
  shown(at + 3 * P, "r-xp", "execute", 0, NULL);
  shown(at + 4 * P, NULL, "hole", 0, NULL);
  shown(at + 5 * P, "rw-s", "rowM1", 7 * P, &file);
  shown(at + 6 * P, "r--p", "rowM1", 3 * P, &file);
  shown(at + 7 * P, "rw-p", "rowM1", 0, &file);
  shown(at + 9 * P, "r--s", "rowM1", 10 * P, &file);
  shown(at + 11 * P - 1, "---p", "the last but one", 0, NULL);
  struct maps_line *line = maps_at(at + 2 * P);
  if (line != NULL) equal("length of a single page's line", (long)(line->end - line->start), (long)P);
}

/* kB of the smaps entry that begins at an address. */
static long smaps(void *at, const char *key) {
  char start[40];
  snprintf(start, sizeof start, "%08lx-", (unsigned long)at);
  return proc_number("/proc/self/smaps", start, key);
}

ROW(30) {
  unsigned char *area = anonymous(11, PROT_NONE), *at = area + P;
  long unit = (long)(P / 1024);
  MUST(mprotect(at, 8 * P, RW));
  at[0] = at[3 * P] = at[7 * P] = 1;
  equal("KernelPageSize", smaps(at, "KernelPageSize"), unit);
  equal("MMUPageSize", smaps(at, "MMUPageSize"), unit);
  equal("Size", smaps(at, "Size"), 8 * unit);
  equal("Rss", smaps(at, "Rss"), 3 * unit);
  equal("Private_Dirty", smaps(at, "Private_Dirty"), 3 * unit);
  char text[512];
  FILE *file = fopen("/proc/self/smaps", "r");
  while (file != NULL && fgets(text, sizeof text, file) != NULL) {
    long value;
    if (sscanf(text, "KernelPageSize: %ld", &value) == 1 && value != unit) {
      wrong("another KernelPageSize: %ld", value);
      break;
    }
  }
}

static unsigned long long pagemap(int fd, void *at) {
  unsigned long long entry = 0;
  if (pread(fd, &entry, 8, (off_t)((uintptr_t)at / P * 8)) != 8) wrong("pagemap: %s", error_name(errno));
  return entry;
}

ROW(P1) {
  int file = file_of("rowP1", 3 * P);
  unsigned char *at = anonymous(8, RW), *content = map_at(NULL, 3 * P, RW, MAP_SHARED, file, 0);
  at[0] = at[3 * P] = at[7 * P + 9] = content[P] = 1;
  int fd = MUST(open("/proc/self/pagemap", O_RDONLY));
  for (size_t i = 0; i < 8; i++) {
    unsigned long long entry = pagemap(fd, at + i * P);
    equal("present", (long long)(entry >> 63), i == 0 || i == 3 || i == 7);
    if (entry >> 61 & 1) wrong("page %zu is of a file", i);
  }
  equal("a file's page", (long long)(pagemap(fd, content + P) >> 61), 5);
  MUST(munmap(at + 3 * P, P));
  fd = MUST(open("/proc/self/pagemap", O_RDONLY));
  equal("unmapped", (long long)(pagemap(fd, at + 3 * P) >> 63), 0);
  equal("beside it", (long long)(pagemap(fd, at + 7 * P) >> 63), 1);
}

struct sizes {
  long size, resident, stat_size, stat_resident, status_size, status_resident;
};

static struct sizes sizes_now(void) {
  struct sizes now = {0};
  char text[1024] = "", *field;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &now.size, &now.resident) != 2) wrong("statm");
  if (file != NULL) fclose(file);
  file = fopen("/proc/self/stat", "r");
  if (file == NULL || fgets(text, sizeof text, file) == NULL) wrong("stat");
  if (file != NULL) fclose(file);
  field = strrchr(text, ')');
  for (int number = 2; field != NULL && number < 23; number++) field = strchr(field + 1, ' ');
  if (field == NULL || sscanf(field, "%ld %ld", &now.stat_size, &now.stat_resident) != 2) wrong("stat fields");
  now.status_size = proc_number("/proc/self/status", NULL, "VmSize");
  now.status_resident = proc_number("/proc/self/status", NULL, "VmRSS");
  return now;
}

/* The kernel's own counters of resident pages run behind by some dozens of pages. */
static void about(const char *label, long found, long expected) {
  if (found < expected * 3 / 4 || found > expected * 5 / 4) wrong("%s: %ld, not about %ld", label, found, expected);
}

ROW(P2) {
  enum { PAGES = 800 };
  long unit = (long)(P / 1024);
  sizes_now(); /* the heap has its size from now on */
  struct sizes before = sizes_now();
  unsigned char *at = anonymous(PAGES, RW);
  for (size_t i = 0; i < PAGES; i++) at[i * P] = 1;
  struct sizes after = sizes_now();
  equal("statm size", after.size - before.size, PAGES);
  about("statm resident", after.resident - before.resident, PAGES);
  equal("stat size", after.stat_size - before.stat_size, PAGES * (long)P);
  about("stat resident", after.stat_resident - before.stat_resident, PAGES);
  equal("status size", after.status_size - before.status_size, PAGES * unit);
  about("status resident", after.status_resident - before.status_resident, PAGES * unit);
  equal("statm, stat", after.size * (long)P, after.stat_size);
  equal("statm, status", after.size * unit, after.status_size);
  truth("resident is not more than the size", after.resident <= after.size);
}
