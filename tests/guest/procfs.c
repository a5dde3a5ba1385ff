/* /proc as a program sees itself in it. */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

static char text[65536];

static ssize_t slurp(const char *name) {
  int fd = open(name, O_RDONLY);
  ssize_t size = 0, part = 0;
  if (fd == -1) return -1;
  while (size < (ssize_t)sizeof text - 1 && (part = read(fd, text + size, sizeof text - 1 - (size_t)size)) > 0)
    size += part;
  close(fd);
  text[size] = 0;
  return part == -1 ? -1 : size;
}

int helper(int argc, char **argv) {
  if (strcmp(argv[1], "--wait") == 0) {
    char byte;
    MUST(write(atoi(argv[2]), "x", 1));
    MUST(read(atoi(argv[3]), &byte, 1));
    memcpy(argv[0], "changed", 7);
    MUST(write(atoi(argv[2]), "x", 1));
    pause();
  }
  if (strcmp(argv[1], "--memory") == 0) {
    char byte = 0;
    case_name = "executed";
    number("old memory", read(atoi(argv[2]), &byte, 1));
    int fd = MUST(open("/proc/self/mem", O_RDONLY));
    number("own", pread(fd, &byte, 1, (off_t)(uintptr_t)argv[0]));
    yes("right", byte == argv[0][0]);
    return 0;
  }
  case_name = "arguments";
  ssize_t size = slurp("/proc/self/cmdline");
  int strings = 0;
  for (ssize_t i = 0; i < size; i++) strings += text[i] == 0;
  number("strings", strings);
  yes("same", strcmp(text, argv[0]) == 0 && memcmp(text + strlen(argv[0]) + 1, "--arguments\0two words\0", 22) == 0);
  size = slurp("/proc/self/environ");
  show("environment", "%s %d", text, (int)size);
  return argc;
}

CASE(own_program) {
  char link[PATH_MAX] = "", real[PATH_MAX];
  struct stat first, second;
  yes("link", readlink("/proc/self/exe", link, sizeof link - 1) > 0);
  yes("is the program", realpath(case_self, real) != NULL && strcmp(link, real) == 0);
  outcome("stat", stat("/proc/self/exe", &first));
  MUST(stat(case_self, &second));
  yes("same file", first.st_ino == second.st_ino && first.st_dev == second.st_dev);
  int fd = open("/proc/self/exe", O_RDONLY);
  char magic[4] = "";
  number("read", read(fd, magic, 4));
  show("magic", "%.3s", magic + 1);
  char named[64];
  snprintf(named, sizeof named, "/proc/%d/exe", getpid());
  memset(link, 0, sizeof link);
  readlink(named, link, sizeof link - 1);
  yes("by number", strcmp(link, real) == 0);
  memset(link, 0, sizeof link);
  number("short buffer", readlink("/proc/self/exe", link, 3));
}

CASE(arguments) {
  pid_t pid = start();
  if (pid == 0) {
    char *arguments[] = {(char *)(uintptr_t)"given name", "--arguments", "two words", NULL}, *variables[] = {"ONLY=one", NULL};
    execve(case_self, arguments, variables);
    _exit(95);
  }
  status("status", finish(pid));
}


static int permissions(const void *address, char *found) {
  FILE *file = fopen("/proc/self/maps", "r");
  char line[PATH_MAX + 128], flags[8];
  unsigned long begin, end;
  int hit = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "%lx-%lx %7s", &begin, &end, flags) == 3 && (uintptr_t)address >= begin && (uintptr_t)address < end) {
      strcpy(found, flags);
      hit++;
    }
  if (file != NULL) fclose(file);
  return hit;
}

static const char constant[] = "constant";

CASE(maps) {
  char flags[8] = "none";
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  number("code lines", permissions((void *)(uintptr_t)permissions, flags));
  show("code", "%s", flags);
  permissions(constant, flags);
  yes("constants not writable", flags[1] == '-');
  permissions(flags, flags);
  show("stack", "%c%c%c", flags[0], flags[1], flags[3]);
  char *at = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(mprotect(at + page, page, PROT_READ));
  permissions(at, flags);
  show("mapped", "%s", flags);
  permissions(at + page, flags);
  show("protected", "%s", flags);
  MUST(munmap(at + page, page));
  number("unmapped", permissions(at + page, flags));
  int fd = MUST(open("mapped file", O_RDWR | O_CREAT, 0600));
  MUST(ftruncate(fd, (off_t)(2 * page)));
  char *file = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)page);
  permissions(file, flags);
  show("file", "%s", flags);
  slurp("/proc/self/maps");
  yes("its name", strstr(text, "/mapped file") != NULL);
  yes("has stack", strstr(text, "[stack]") != NULL);
  yes("has program", strstr(text, case_self) != NULL);
  unsigned long begin, end, last = 0;
  int lines = 0, ordered = 1, aligned = 1;
  for (char *line = text; line != NULL && *line != 0; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
    if (sscanf(line, "%lx-%lx", &begin, &end) == 2) {
      ordered &= begin >= last && end > begin;
      aligned &= begin % page == 0 && end % page == 0;
      last = end;
      lines++;
    }
  show("lines", "%d %d %d", lines > 5, ordered, aligned);
}

CASE(heap_in_maps) {
  char *at = sbrk(3 * (intptr_t)sysconf(_SC_PAGESIZE));
  at[0] = 1;
  slurp("/proc/self/maps");
  yes("heap", strstr(text, "[heap]") != NULL);
}

CASE(smaps) {
  yes("read", slurp("/proc/self/smaps") > 0);
  char expected[64];
  snprintf(expected, sizeof expected, "KernelPageSize: %8ld kB", sysconf(_SC_PAGESIZE) / 1024);
  yes("page size", strstr(text, expected) != NULL);
}

CASE(stat_line) {
  prctl(PR_SET_NAME, "a) b (c");
  yes("read", slurp("/proc/self/stat") > 0);
  yes("pid", atoi(text) == getpid());
  char *rest = strrchr(text, ')');
  yes("name", strstr(text, "(a) b (c)") != NULL);
  char state = 0;
  int parent = 0, group = 0, session = 0;
  sscanf(rest + 2, "%c %d %d %d", &state, &parent, &group, &session);
  show("state", "%c %d %d %d", state, parent == getppid(), group == getpgrp(), session == getsid(0));
  int fields = 0;
  for (char *at = rest; *at != 0; at++) fields += *at == ' ';
  yes("fields", fields >= 42);
}

CASE(status_lines) {
  yes("read", slurp("/proc/self/status") > 0);
  char line[64];
  snprintf(line, sizeof line, "\nPid:\t%d\n", getpid());
  yes("pid", strstr(text, line) != NULL);
  snprintf(line, sizeof line, "\nPPid:\t%d\n", getppid());
  yes("parent", strstr(text, line) != NULL);
  yes("threads", strstr(text, "\nThreads:\t1\n") != NULL);
  yes("size", strstr(text, "\nVmSize:\t") != NULL);
}

CASE(auxiliary_vector) {
  ssize_t size = slurp("/proc/self/auxv");
  yes("read", size > 0 && size % (ssize_t)(2 * sizeof(unsigned long)) == 0);
  unsigned long pair[2], page = 0, entry = 0;
  for (ssize_t i = 0; i + (ssize_t)sizeof pair <= size; i += (ssize_t)sizeof pair) {
    memcpy(pair, text + i, sizeof pair);
    if (pair[0] == AT_PAGESZ) page = pair[1];
    if (pair[0] == AT_ENTRY) entry = pair[1];
  }
  yes("page", page == (unsigned long)sysconf(_SC_PAGESIZE));
  yes("entry", entry == getauxval(AT_ENTRY));
}

CASE(descriptors) {
  int fd = MUST(open("/dev/null", O_RDONLY)), count = 0;
  char name[64], link[64] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  number("link", readlink(name, link, sizeof link - 1));
  show("names", "%s", link);
  outcome("reopen", open(name, O_RDONLY));
  DIR *directory = opendir("/proc/self/fd");
  int low = 0;
  for (struct dirent *each; (each = readdir(directory)) != NULL; count++)
    low += atoi(each->d_name) <= 2 && each->d_name[0] != '.';
  number("standard ones", low);
  yes("and ours", count >= 6);
  snprintf(name, sizeof name, "/dev/fd/%d", fd);
  outcome("dev fd", open(name, O_RDONLY));
}

CASE(own_files) {
  char link[PATH_MAX] = "", here[PATH_MAX];
  readlink("/proc/self/cwd", link, sizeof link - 1);
  yes("cwd", getcwd(here, sizeof here) != NULL && strcmp(link, here) == 0);
  memset(link, 0, sizeof link);
  readlink("/proc/self/root", link, sizeof link - 1);
  show("root", "%s", link);
  yes("comm", slurp("/proc/self/comm") > 0);
  memset(link, 0, sizeof link);
  readlink("/proc/self", link, sizeof link - 1);
  yes("self", atoi(link) == getpid());
  outcome("task", access("/proc/self/task", X_OK));
  outcome("limits", (long)slurp("/proc/self/limits") > 0 ? 0 : -1);
  outcome("mounts", (long)slurp("/proc/self/mounts") > 0 ? 0 : -1);
}

CASE(memory_file) {
  volatile int value = 1234;
  int fd = MUST(open("/proc/self/mem", O_RDWR)), found = 0;
  number("read", pread(fd, &found, sizeof found, (off_t)(uintptr_t)&value));
  number("value", found);
  found = 4321;
  number("write", pwrite(fd, &found, sizeof found, (off_t)(uintptr_t)&value));
  number("written", value);
}

CASE(memory_file_position) {
  long page = sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, (size_t)page * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(munmap(pages + page * 2, (size_t)page));
  strcpy(pages, "first second");
  int fd = MUST(open("/proc/self/mem", O_RDWR));
  char found[64] = "";
  yes("seek", lseek(fd, (off_t)(uintptr_t)pages, SEEK_SET) == (off_t)(uintptr_t)pages);
  number("read", read(fd, found, 6));
  int again = MUST(dup(fd));
  number("read on", read(again, found + 6, 6));
  show("found", "%s", found);
  yes("position", lseek(fd, 0, SEEK_CUR) == (off_t)(uintptr_t)pages + 12);
  struct iovec parts[2] = {{"on", 2}, {"ward", 4}};
  number("write in parts", pwritev(fd, parts, 2, (off_t)(uintptr_t)pages + 6));
  number("write", write(fd, "!", 1));
  show("now", "%s", pages);
  outcome("nothing there", pread(fd, found, 4, (off_t)(uintptr_t)(pages + page * 2)));
  number("up to the end", pread(fd, found, 64, (off_t)(uintptr_t)(pages + page * 2 - 10)));
  outcome("bad buffer", pread(fd, pointer(8), 4, (off_t)(uintptr_t)pages));
  number("nothing asked for", read(fd, found, 0));
  int reader = MUST(open("/proc/self/mem", O_RDONLY));
  outcome("write to a reader", pwrite(reader, "x", 1, (off_t)(uintptr_t)pages));
  int writer = MUST(open("/proc/self/mem", O_WRONLY));
  outcome("read from a writer", pread(writer, found, 1, (off_t)(uintptr_t)pages));
  number("another file", write(MUST(open("/dev/null", O_WRONLY)), "x", 1));
}

/* What its own permissions do not allow, a debugger may. */
CASE(memory_file_force) {
  long page = sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(pages, "hidden");
  MUST(mprotect(pages, (size_t)page, PROT_NONE));
  int fd = MUST(open("/proc/self/mem", O_RDWR));
  char found[16] = "";
  number("read what cannot be", pread(fd, found, 7, (off_t)(uintptr_t)pages));
  show("found", "%s", found);
  MUST(mprotect(pages, (size_t)page, PROT_READ));
  number("write to read-only", pwrite(fd, "shown", 6, (off_t)(uintptr_t)pages));
  show("now", "%s", pages);
  int file = MUST(open(case_self, O_RDONLY));
  char *mapped = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE, file, 0);
  number("write to a private file", pwrite(fd, "copy", 4, (off_t)(uintptr_t)mapped));
  show("mapped", "%.4s", mapped);
  MUST(pread(file, found, 4, 0));
  show("file", "%.3s", found + 1);
}

CASE(memory_file_over_exec) {
  char descriptor[16];
  int fd = MUST(open("/proc/self/mem", O_RDWR));
  MUST(lseek(fd, 65536, SEEK_SET));
  snprintf(descriptor, sizeof descriptor, "%d", fd);
  pid_t pid = start();
  if (pid == 0) {
    execl(case_self, case_self, "--memory", descriptor, NULL);
    _exit(1);
  }
  status("a child's", finish(pid));
  execl(case_self, case_self, "--memory", descriptor, NULL);
}

/* What another process sees, ps(1) and start-stop-daemon(8) say. */
static void look_at(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  ssize_t size = slurp(path);
  for (ssize_t i = 0; i < size; i++)
    if (text[i] == 0) text[i] = '|';
}

CASE(other_process) {
  int go[2], end[2];
  MUST(pipe(go));
  MUST(pipe(end));
  pid_t pid = start();
  if (pid == 0) {
    char out[16], in[16];
    snprintf(out, sizeof out, "%d", go[1]);
    snprintf(in, sizeof in, "%d", end[0]);
    char *arguments[] = {"another name", "--wait", out, in, "two words", "", NULL};
    char *environment[] = {"NAME=value", "OTHER=", NULL};
    execve(case_self, arguments, environment);
    _exit(1);
  }
  close(go[1]);
  char byte;
  MUST(read(go[0], &byte, 1));
  look_at(pid, "cmdline");
  char *first = strchr(text, '|'), *last = strstr(text, "two words");
  show("command", "%.*s, %s", first != NULL ? (int)(first - text) : 0, text, last != NULL ? last : "?");
  look_at(pid, "environ");
  show("environment", "%s", text);
  look_at(pid, "comm");
  yes("name", strncmp(text, strrchr(case_self, '/') + 1, 5) == 0);
  char path[64], target[PATH_MAX] = "", own[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
  MUST(readlink(path, target, sizeof target - 1));
  yes("program", realpath(case_self, own) != NULL && strcmp(own, target) == 0);
  struct stat here, there;
  yes("the same file", stat(path, &there) == 0 && stat(case_self, &here) == 0 && here.st_ino == there.st_ino);
  int fd = open(path, O_RDONLY);
  yes("opened", fd != -1 && fstat(fd, &there) == 0 && here.st_ino == there.st_ino);
  MUST(write(end[1], "x", 1));
  MUST(read(go[0], &byte, 1));
  look_at(pid, "cmdline");
  show("written over", "%.7s", text);
  kill(pid, SIGKILL);
  finish(pid);
}

CASE(system_files) {
  yes("cpuinfo", slurp("/proc/cpuinfo") > 0);
  yes("meminfo", slurp("/proc/meminfo") > 0 && strncmp(text, "MemTotal:", 9) == 0);
  yes("version", slurp("/proc/version") > 0 && strncmp(text, "Linux version", 13) == 0);
  yes("uptime", slurp("/proc/uptime") > 0);
  yes("random id", slurp("/proc/sys/kernel/random/uuid") == 37);
}
