/* Directories: making, reading, seeking, walking, *at calls, the working directory, fchdir, chroot-free
 * path rules. */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static int by_name(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

CASE(make_and_remove) {
  outcome("mkdir", mkdir("made", 0750));
  outcome("again", mkdir("made", 0750));
  outcome("below missing", mkdir("missing/made", 0750));
  outcome("below a file", (write_file("file", ""), mkdir("file/made", 0750)));
  outcome("inside", mkdir("made/inner", 0750));
  outcome("not empty", rmdir("made"));
  outcome("rmdir", rmdir("made/inner"));
  outcome("rmdir of a file", rmdir("file"));
  outcome("dot", rmdir("made/."));
  outcome("trailing slash", rmdir("made/"));
  outcome("gone", rmdir("made"));
}

CASE(reading) {
  MUST(mkdir("list", 0755));
  char name[64], *names[300];
  for (int i = 0; i < 120; i++) {
    snprintf(name, sizeof name, "list/entry-%03d-with-a-longer-name", i);
    MUST(close(MUST(open(name, O_CREAT | O_WRONLY, 0600))));
  }
  MUST(mkdir("list/folder", 0700));
  MUST(symlink("x", "list/link"));
  DIR *directory = opendir("list");
  struct dirent *entry;
  int count = 0, types = 0;
  struct stat info;
  while ((errno = 0, entry = readdir(directory)) != NULL && count < 300) {
    names[count++] = strdup(entry->d_name);
    if (entry->d_type == DT_UNKNOWN) continue;
    MUST(fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW));
    types += (mode_t)DTTOIF(entry->d_type) != (info.st_mode & S_IFMT);
  }
  returned("end", errno);
  number("entries", count);
  number("wrong types", types);
  qsort(names, (size_t)count, sizeof *names, by_name);
  show("names", "%s %s %s %s %s", names[0], names[1], names[2], names[count - 2], names[count - 1]);
  rewinddir(directory);
  int again = 0;
  while (readdir(directory) != NULL) again++;
  number("after rewind", again);
  closedir(directory);
}

CASE(seeking) {
  MUST(mkdir("seek", 0755));
  for (char name[] = "seek/a"; name[5] <= 'z'; name[5]++) write_file(name, "");
  DIR *directory = opendir("seek");
  for (int i = 0; i < 10; i++) readdir(directory);
  long position = telldir(directory);
  char eleventh[256];
  struct dirent *entry = readdir(directory);
  snprintf(eleventh, sizeof eleventh, "%s", entry != NULL ? entry->d_name : "none");
  for (int i = 0; i < 5; i++) readdir(directory);
  seekdir(directory, position);
  struct dirent *again = readdir(directory);
  yes("same entry", again != NULL && strcmp(again->d_name, eleventh) == 0);
  closedir(directory);
}

CASE(raw_reading) {
  MUST(mkdir("raw", 0755));
  write_file("raw/one", "");
  int fd = MUST(open("raw", O_RDONLY | O_DIRECTORY));
  union {
    char bytes[4096];
    struct {
      uint64_t inode;
      int64_t offset;
      uint16_t length;
    } first;
  } block;
  outcome("too small", syscall(SYS_getdents64, fd, &block, 10));
  long size = syscall(SYS_getdents64, fd, &block, sizeof block);
  yes("some", size > 0);
  yes("record", block.first.length >= 20 && block.first.length % 8 == 0 && block.first.inode != 0);
  number("end", syscall(SYS_getdents64, fd, &block, sizeof block));
  outcome("bad buffer", (lseek(fd, 0, SEEK_SET), syscall(SYS_getdents64, fd, pointer(8), 1000)));
  outcome("of a file", syscall(SYS_getdents64, MUST(open("raw/one", O_RDONLY)), &block, sizeof block));
  MUST(unlink("raw/one"));
  MUST(rmdir("raw"));
  outcome("removed", (lseek(fd, 0, SEEK_SET), syscall(SYS_getdents64, fd, &block, sizeof block)));
}

CASE(working_directory) {
  char text[PATH_MAX], again[PATH_MAX];
  yes("absolute", getcwd(text, sizeof text) != NULL && text[0] == '/');
  MUST(mkdir("work", 0755));
  int here = MUST(open(".", O_RDONLY | O_DIRECTORY));
  outcome("chdir", chdir("work"));
  getcwd(again, sizeof again);
  show("below", "%s", strncmp(again, text, strlen(text)) == 0 ? again + strlen(text) : "elsewhere");
  outcome("small buffer", getcwd(again, 2) == NULL ? -1 : 0);
  outcome("fchdir", fchdir(here));
  yes("back", strcmp(getcwd(again, sizeof again), text) == 0);
  outcome("missing", chdir("missing"));
  outcome("file", (write_file("plain", ""), chdir("plain")));
  outcome("fchdir of a file", fchdir(MUST(open("plain", O_RDONLY))));
  MUST(chdir("work"));
  MUST(rmdir("../work"));
  outcome("removed", getcwd(again, sizeof again) == NULL ? -1 : 0);
  outcome("create in removed", open("x", O_CREAT | O_WRONLY, 0600));
}

CASE(at_calls) {
  MUST(mkdir("at", 0755));
  int at = MUST(open("at", O_RDONLY | O_DIRECTORY));
  int fd = openat(at, "file", O_CREAT | O_RDWR, 0600);
  outcome("openat", fd);
  outcome("mkdirat", mkdirat(at, "folder", 0700));
  outcome("symlinkat", symlinkat("file", at, "link"));
  outcome("linkat", linkat(at, "file", AT_FDCWD, "outside", 0));
  outcome("renameat", renameat(AT_FDCWD, "outside", at, "inside"));
  outcome("faccessat", faccessat(at, "inside", R_OK, 0));
  char text[8] = "";
  number("readlinkat", readlinkat(at, "link", text, sizeof text));
  outcome("mknodat fifo", mknodat(at, "fifo", S_IFIFO | 0600, 0));
  struct stat info;
  MUST(fstatat(at, "fifo", &info, 0));
  yes("is fifo", S_ISFIFO(info.st_mode));
  outcome("unlinkat directory", unlinkat(at, "folder", 0));
  outcome("unlinkat removedir", unlinkat(at, "folder", AT_REMOVEDIR));
  outcome("unlinkat", unlinkat(at, "inside", 0));
  outcome("bad directory", openat(500, "file", O_RDONLY));
  outcome("file as directory", openat(fd, "file", O_RDONLY));
  outcome("absolute ignores it", openat(500, "/dev/null", O_RDONLY));
  outcome("dotdot", faccessat(at, "../at/file", F_OK, 0));
}

static int walked[8];
static int visit(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)path, (void)info;
  walked[type]++;
  return where->level > 5;
}

CASE(tree_walk) {
  MUST(mkdir("tree", 0755));
  MUST(mkdir("tree/a", 0755));
  MUST(mkdir("tree/a/b", 0755));
  write_file("tree/a/b/c", "");
  write_file("tree/d", "");
  MUST(symlink("nowhere", "tree/e"));
  number("nftw", nftw("tree", visit, 10, FTW_PHYS | FTW_DEPTH));
  show("counts", "files %d directories %d links %d", walked[FTW_F], walked[FTW_DP], walked[FTW_SL]);
  glob_t found;
  number("glob", glob("tree/*", 0, NULL, &found));
  show("matches", "%zu %s %s", found.gl_pathc, found.gl_pathv[0], found.gl_pathv[2]);
  number("no match", glob("tree/z*", 0, NULL, &found));
}

CASE(real_path) {
  char text[PATH_MAX], here[PATH_MAX];
  getcwd(here, sizeof here);
  MUST(mkdir("real", 0755));
  MUST(symlink("real", "alias"));
  write_file("real/file", "");
  yes("resolved", realpath("alias/../alias/./file", text) != NULL);
  show("tail", "%s", strncmp(text, here, strlen(here)) == 0 ? text + strlen(here) : text);
  outcome("missing", realpath("missing/file", text) == NULL ? -1 : 0);
  yes("root", strcmp(realpath("/../..", text), "/") == 0);
}

CASE(long_paths) {
  char path[PATH_MAX + 100];
  memset(path, '/', sizeof path);
  memcpy(path, "./", 2);
  strcpy(path + 4000, "long");
  outcome("many slashes", mkdir(path, 0755));
  strcpy(path + PATH_MAX, "x");
  outcome("too long", mkdir(path, 0755));
  for (int i = 0; i < 20; i++) {
    char name[201];
    memset(name, 'd', 200);
    name[200] = 0;
    MUST(mkdir(name, 0755));
    MUST(chdir(name));
  }
  outcome("deep file", open("deep", O_CREAT | O_WRONLY, 0600));
}

CASE(permissions) {
  MUST(mkdir("sticky", 01777));
  MUST(chmod("sticky", 01777));
  struct stat info;
  MUST(stat("sticky", &info));
  show("mode", "%o", info.st_mode);
  number("links of a directory over 0", info.st_nlink > 0);
}
