/* /proc/self/maps, read into a table. */
#ifndef OCTAVO_TESTS_GUEST_MAPS_H
#define OCTAVO_TESTS_GUEST_MAPS_H

struct maps_line {
  unsigned long start, end, offset;
  char access[5], name[256];
  unsigned major, minor;
  unsigned long inode;
};
static struct maps_line maps_lines[400];
static size_t maps_count;

static void maps_load(void) {
  char text[512];
  FILE *file = fopen("/proc/self/maps", "r");
  if (file == NULL) must_fail("/proc/self/maps", __LINE__);
  for (maps_count = 0; maps_count < COUNT(maps_lines) && fgets(text, sizeof text, file) != NULL; maps_count++) {
    struct maps_line *line = &maps_lines[maps_count];
    line->name[0] = 0;
    if (sscanf(text, "%lx-%lx %4s %lx %x:%x %lu %255s", &line->start, &line->end, line->access,
               &line->offset, &line->major, &line->minor, &line->inode, line->name) < 7)
      wrong("not a line of maps: %.100s", text);
  }
  fclose(file);
}

UNUSED static struct maps_line *maps_at(void *at) {
  for (size_t i = 0; i < maps_count; i++)
    if (maps_lines[i].start <= (unsigned long)at && (unsigned long)at < maps_lines[i].end) return &maps_lines[i];
  return NULL;
}

UNUSED static struct maps_line *maps_named(const char *name) {
  for (size_t i = 0; i < maps_count; i++)
    if (strcmp(maps_lines[i].name, name) == 0) return &maps_lines[i];
  return NULL;
}

/* The number after `key:` in a file of /proc, after the line that begins with `start` (NULL: any); -1: none. */
UNUSED static long proc_number(const char *name, const char *start, const char *key) {
  char text[512];
  int found = start == NULL;
  long value = -1;
  FILE *file = fopen(name, "r");
  if (file == NULL) must_fail(name, __LINE__);
  while (value < 0 && fgets(text, sizeof text, file) != NULL) {
    if (start != NULL && strncmp(text, start, strlen(start)) == 0)
      found = 1;
    else if (found && strncmp(text, key, strlen(key)) == 0 && text[strlen(key)] == ':')
      value = strtol(text + strlen(key) + 1, NULL, 10);
  }
  fclose(file);
  return value;
}

#endif
