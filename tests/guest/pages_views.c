/* page-sizes.md 5.4, row 30 and section 11's M1: what /proc/self says of the program's memory. */
#include "pages.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

struct line {
  unsigned long start, end, offset;
  char access[5], name[256];
  unsigned major, minor;
  unsigned long inode;
};
static struct line lines[400];
static size_t count;

static void load(void) {
  char text[512];
  FILE *file = fopen("/proc/self/maps", "r");
  if (file == NULL) must_fail("/proc/self/maps", __LINE__);
  for (count = 0; count < COUNT(lines) && fgets(text, sizeof text, file) != NULL; count++) {
    struct line *line = &lines[count];
    line->name[0] = 0;
    if (sscanf(text, "%lx-%lx %4s %lx %x:%x %lu %255s", &line->start, &line->end, line->access,
               &line->offset, &line->major, &line->minor, &line->inode, line->name) < 7)
      wrong("not a line of maps: %.100s", text);
  }
  fclose(file);
}

static struct line *line_of(void *at) {
  for (size_t i = 0; i < count; i++)
    if (lines[i].start <= (unsigned long)at && (unsigned long)at < lines[i].end) return &lines[i];
  return NULL;
}

/* A page of `area` must be in maps like this; access NULL: it must not be there. */
static void shown(unsigned char *at, const char *access, const char *name, size_t offset, struct stat *file) {
  struct line *line = line_of(at);
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
  load();
  for (size_t i = 0; i < count; i++) {
    if (lines[i].start % P || lines[i].end % P || lines[i].offset % P)
      wrong("%lx-%lx offset %lx: not whole pages", lines[i].start, lines[i].end, lines[i].offset);
    if (lines[i].start >= lines[i].end || (i > 0 && lines[i].start < lines[i - 1].end))
      wrong("%lx-%lx: not in order", lines[i].start, lines[i].end);
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
  struct line *line = line_of(at + 2 * P);
  if (line != NULL) equal("length of a single page's line", (long)(line->end - line->start), (long)P);
}

/* A number of kB of the smaps entry that begins at an address; -1 when it is not there. */
static long smaps(unsigned long start, const char *key) {
  char text[512];
  int found = 0;
  long value = -1;
  FILE *file = fopen("/proc/self/smaps", "r");
  if (file == NULL) must_fail("/proc/self/smaps", __LINE__);
  while (value < 0 && fgets(text, sizeof text, file) != NULL) {
    unsigned long from, to;
    if (sscanf(text, "%lx-%lx ", &from, &to) == 2)
      found = from == start;
    else if (found && strncmp(text, key, strlen(key)) == 0 && text[strlen(key)] == ':')
      value = strtol(text + strlen(key) + 1, NULL, 10);
  }
  fclose(file);
  return value;
}

ROW(30) {
  unsigned char *area = anonymous(11, PROT_NONE), *at = area + P;
  long unit = (long)(P / 1024);
  MUST(mprotect(at, 8 * P, RW));
  at[0] = at[3 * P] = at[7 * P] = 1;
  equal("KernelPageSize", smaps((unsigned long)at, "KernelPageSize"), unit);
  equal("MMUPageSize", smaps((unsigned long)at, "MMUPageSize"), unit);
  equal("Size", smaps((unsigned long)at, "Size"), 8 * unit);
  equal("Rss", smaps((unsigned long)at, "Rss"), 3 * unit);
  equal("Private_Dirty", smaps((unsigned long)at, "Private_Dirty"), 3 * unit);
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
