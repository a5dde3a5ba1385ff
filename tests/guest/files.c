/* Files: open and its flags, reading and writing, offsets, sizes beyond 4 GiB, links, names, modes,
 * times, locks. */
#include "case.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

static int create(const char *name) { return MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644)); }

CASE(open_flags) {
  outcome("missing", open("missing", O_RDONLY));
  int fd = open("flags", O_RDWR | O_CREAT | O_EXCL, 0640);
  outcome("exclusive", fd);
  outcome("exclusive again", open("flags", O_RDWR | O_CREAT | O_EXCL, 0640));
  outcome("as directory", open("flags", O_RDONLY | O_DIRECTORY));
  outcome("directory for writing", open(".", O_WRONLY));
  outcome("through a file", open("flags/x", O_RDONLY));
  MUST(symlink("flags", "flags.link"));
  outcome("nofollow", open("flags.link", O_RDONLY | O_NOFOLLOW));
  outcome("link", open("flags.link", O_RDONLY));
  outcome("empty name", open("", O_RDONLY));
  outcome("bad pointer", open(pointer(8), O_RDONLY));
  char name[300];
  memset(name, 'n', sizeof name);
  name[299] = 0;
  outcome("long name", open(name, O_RDONLY));
  MUST(symlink("loop", "loop"));
  outcome("loop", open("loop", O_RDONLY));
  outcome("temporary", open(".", O_TMPFILE | O_RDWR, 0600));
}

CASE(status_flags) {
  int fd = MUST(open("status", O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0600));
  int flags = MUST(fcntl(fd, F_GETFL));
  number("access mode", flags & O_ACCMODE);
  show("bits", "%d %d %d %d", !!(flags & O_APPEND), !!(flags & O_NONBLOCK), !!(flags & O_CREAT),
       !!(flags & O_DIRECTORY));
  number("cloexec", fcntl(fd, F_GETFD));
  outcome("clear append", fcntl(fd, F_SETFL, O_NONBLOCK));
  flags = fcntl(fd, F_GETFL);
  show("bits after", "%d %d", !!(flags & O_APPEND), !!(flags & O_NONBLOCK));
  outcome("clear cloexec", fcntl(fd, F_SETFD, 0));
  number("cloexec after", fcntl(fd, F_GETFD));
  int path = MUST(open("status", O_PATH));
  yes("path flag", !!(fcntl(path, F_GETFL) & O_PATH));
  outcome("read of a path descriptor", read(path, &flags, 1));
  int directory = MUST(open(".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  flags = fcntl(directory, F_GETFL);
  show("directory bits", "%d %d", !!(flags & O_DIRECTORY), !!(flags & O_NOFOLLOW));
}

CASE(read_write) {
  int fd = create("data");
  number("write", write(fd, "hello, world", 12));
  number("seek", lseek(fd, -5, SEEK_CUR));
  char text[32] = "";
  number("read", read(fd, text, sizeof text));
  show("text", "%s", text);
  number("at end", read(fd, text, 4));
  number("pread", pread(fd, text, 5, 0));
  show("text at 0", "%.5s", text);
  number("pwrite", pwrite(fd, "HELLO", 5, 20));
  number("size", lseek(fd, 0, SEEK_END));
  outcome("before the start", lseek(fd, -1, SEEK_SET));
  outcome("bad whence", lseek(fd, 0, 99));
  outcome("negative offset", pread(fd, text, 1, -1));
  outcome("closed", (close(fd), read(fd, text, 1)));
  int reader = MUST(open("data", O_RDONLY)), writer = MUST(open("data", O_WRONLY));
  outcome("write of a reader", write(reader, "x", 1));
  outcome("read of a writer", read(writer, text, 1));
  outcome("read of a directory", read(MUST(open(".", O_RDONLY)), text, 1));
  outcome("zero bytes from nowhere", read(reader, NULL, 0));
}

CASE(append) {
  int fd = MUST(open("append", O_RDWR | O_CREAT | O_APPEND | O_TRUNC, 0644));
  MUST(write(fd, "one", 3));
  MUST(lseek(fd, 0, SEEK_SET));
  number("write", write(fd, "two", 3));
  number("offset", lseek(fd, 0, SEEK_CUR));
}

CASE(vectors) {
  int fd = create("vectors");
  struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
  number("writev", writev(fd, out, 3));
  char a[3] = "", b[8] = "";
  struct iovec in[2] = {{a, 2}, {b, 7}};
  number("preadv", preadv(fd, in, 2, 1));
  show("parts", "%s %s", a, b);
  number("pwritev", pwritev(fd, out, 3, 10));
  MUST(lseek(fd, 0, SEEK_SET));
  number("readv", readv(fd, in, 2));
  number("none", readv(fd, in, 0));
  outcome("too many", readv(fd, pointer((uintptr_t)in), 1025));
  in[1].iov_base = pointer(8);
  outcome("second bad", readv(fd, in, 2) >= 0 ? 0 : -1);
  outcome("vector nowhere", writev(fd, pointer(8), 2));
  number("preadv2", preadv2(fd, out, 0, 0, 0));
}

CASE(sizes) {
  int fd = create("sizes");
  outcome("truncate", ftruncate(fd, 1000));
  struct stat info;
  MUST(fstat(fd, &info));
  number("size", (long)info.st_size);
  outcome("negative", ftruncate(fd, -1));
  outcome("by name", truncate("sizes", 10));
  MUST(fstat(fd, &info));
  number("size again", (long)info.st_size);
  outcome("missing", truncate("missing", 1));
  outcome("directory", truncate(".", 1));
  outcome("read only", ftruncate(MUST(open("sizes", O_RDONLY)), 1));
  outcome("fallocate", fallocate(fd, 0, 0, 5000));
  MUST(fstat(fd, &info));
  number("allocated", (long)info.st_size);
}

CASE(stat_fields) {
  umask(022);
  int fd = create("fields");
  MUST(write(fd, "12345", 5));
  struct stat by_name, by_fd, at, link_info;
  outcome("stat", stat("fields", &by_name));
  outcome("fstat", fstat(fd, &by_fd));
  outcome("fstatat", fstatat(AT_FDCWD, "fields", &at, 0));
  show("mode", "%o", by_name.st_mode);
  number("links", (long)by_name.st_nlink);
  number("size", (long)by_name.st_size);
  number("blocks over 0", by_name.st_blocks > 0 || by_name.st_size < 4096);
  yes("same", by_name.st_ino == by_fd.st_ino && by_fd.st_ino == at.st_ino && by_name.st_dev == at.st_dev);
  yes("owner", by_name.st_uid == geteuid() && by_name.st_gid == getegid());
  yes("times", by_name.st_mtim.tv_sec > 1600000000 && by_name.st_mtim.tv_nsec < 1000000000);
  MUST(symlink("fields", "fields.link"));
  outcome("lstat", lstat("fields.link", &link_info));
  show("link", "%d %ld", S_ISLNK(link_info.st_mode), (long)link_info.st_size);
  outcome("directory", stat(".", &at));
  show("is", "%d %d", S_ISDIR(at.st_mode), S_ISREG(at.st_mode));
  outcome("null device", stat("/dev/null", &at));
  show("device", "%d %x", S_ISCHR(at.st_mode), (unsigned)at.st_rdev);
  outcome("missing", stat("missing", &at));
  outcome("bad name", stat(pointer(8), &at));
  outcome("empty path", fstatat(fd, "", &at, AT_EMPTY_PATH));
  outcome("bad flag", fstatat(fd, "", &at, 1 << 28));
}

CASE(links) {
  create("first");
  outcome("link", link("first", "second"));
  outcome("exists", link("first", "second"));
  struct stat info;
  MUST(stat("first", &info));
  number("count", (long)info.st_nlink);
  outcome("unlink", unlink("first"));
  outcome("unlink again", unlink("first"));
  outcome("unlink directory", unlink("."));
  outcome("symlink", symlink("target/with/path", "symbolic"));
  char text[64];
  memset(text, 'z', sizeof text);
  number("readlink", readlink("symbolic", text, sizeof text));
  show("text", "%.16s", text);
  number("short", readlink("symbolic", text, 3));
  outcome("of a file", readlink("second", text, sizeof text));
  outcome("dangling", open("symbolic", O_RDONLY));
  outcome("linkat follows", linkat(AT_FDCWD, "symbolic", AT_FDCWD, "third", AT_SYMLINK_FOLLOW));
}

CASE(renames) {
  write_file("old", "old");
  write_file("other", "other");
  outcome("rename", rename("old", "new"));
  outcome("gone", access("old", F_OK));
  outcome("over", rename("new", "other"));
  MUST(mkdir("folder", 0755));
  outcome("file over directory", rename("other", "folder"));
  outcome("directory over file", rename("folder", "other"));
  outcome("missing", rename("missing", "x"));
  outcome("into itself", rename("folder", "folder/inside"));
  write_file("left", "left");
  outcome("noreplace", renameat2(AT_FDCWD, "left", AT_FDCWD, "other", RENAME_NOREPLACE));
  outcome("exchange", renameat2(AT_FDCWD, "left", AT_FDCWD, "folder", RENAME_EXCHANGE));
  struct stat info;
  MUST(stat("left", &info));
  yes("exchanged", S_ISDIR(info.st_mode));
}

CASE(modes) {
  umask(077);
  MUST(close(MUST(open("masked", O_CREAT | O_WRONLY, 0666))));
  struct stat info;
  MUST(stat("masked", &info));
  show("masked", "%o", info.st_mode & 07777);
  show("umask", "%o", umask(022));
  outcome("chmod", chmod("masked", 04755));
  MUST(stat("masked", &info));
  show("mode", "%o", info.st_mode & 07777);
  int fd = MUST(open("masked", O_RDONLY));
  outcome("fchmod", fchmod(fd, 0600));
  outcome("fchmodat", fchmodat(AT_FDCWD, "masked", 0640, 0));
  MUST(fstat(fd, &info));
  show("mode after", "%o", info.st_mode & 07777);
  outcome("chown to itself", chown("masked", geteuid(), getegid()));
  outcome("chown nothing", chown("masked", (uid_t)-1, (gid_t)-1));
  outcome("lchown missing", lchown("missing", 0, 0));
  outcome("access", access("masked", R_OK | W_OK));
  outcome("access mode", access("masked", 99));
  outcome("faccessat", faccessat(AT_FDCWD, "masked", R_OK, AT_EACCESS));
}

CASE(times) {
  create("times");
  struct timespec set[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
  outcome("utimensat", utimensat(AT_FDCWD, "times", set, 0));
  struct stat info;
  MUST(stat("times", &info));
  show("read", "%ld.%09ld %ld.%09ld", (long)info.st_atim.tv_sec, info.st_atim.tv_nsec,
       (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  set[0].tv_nsec = UTIME_OMIT;
  set[1].tv_nsec = UTIME_NOW;
  outcome("omit and now", utimensat(AT_FDCWD, "times", set, 0));
  MUST(stat("times", &info));
  yes("kept", info.st_atim.tv_sec == 1000000000 && info.st_atim.tv_nsec == 123456789);
  yes("now", info.st_mtim.tv_sec > 1600000000);
  set[1].tv_nsec = 1000000000;
  outcome("bad nanoseconds", utimensat(AT_FDCWD, "times", set, 0));
  int fd = MUST(open("times", O_RDONLY));
  outcome("futimens", futimens(fd, NULL));
  outcome("missing", utimensat(AT_FDCWD, "missing", NULL, 0));
}

CASE(duplicates) {
  int fd = create("dup");
  int twin = dup(fd);
  MUST(write(fd, "abcdef", 6));
  number("shared offset", lseek(twin, 0, SEEK_CUR));
  number("dup2", dup2(fd, 50));
  number("same", dup2(50, 50));
  outcome("closed same", dup2(51, 51));
  number("dup3", dup3(fd, 52, O_CLOEXEC));
  number("its cloexec", fcntl(52, F_GETFD));
  outcome("dup3 same", dup3(fd, fd, 0));
  outcome("dup3 flags", dup3(fd, 60, O_APPEND));
  number("above", fcntl(fd, F_DUPFD, 70));
  number("above cloexec", fcntl(fd, F_DUPFD_CLOEXEC, 70));
  outcome("bad", dup(500));
  outcome("negative", dup2(fd, -1));
  number("lowest", (close(50), dup(fd)) < 50);
}

CASE(record_locks) {
  int fd = create("locks");
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
  outcome("set", fcntl(fd, F_SETLK, &lock));
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    struct flock test = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    outcome("get", fcntl(fd, F_GETLK, &test));
    show("found", "%d %ld %ld %d", test.l_type == F_WRLCK, (long)test.l_start, (long)test.l_len,
         test.l_pid == parent);
    test = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 1};
    int result = fcntl(fd, F_SETLK, &test);
    yes("refused", result == -1 && (errno == EAGAIN || errno == EACCES));
    test.l_start = 40;
    outcome("beside", fcntl(fd, F_SETLK, &test));
    _exit(0);
  }
  finish(pid);
  lock.l_type = F_UNLCK;
  outcome("unlock", fcntl(fd, F_SETLK, &lock));
  lock.l_type = F_WRLCK;
  lock.l_pid = 0;
  outcome("open file description", fcntl(fd, F_OFD_SETLK, &lock));
  outcome("whole file", flock(MUST(open("locks", O_RDONLY)), LOCK_EX | LOCK_NB));
  outcome("taken", flock(MUST(open("locks", O_RDONLY)), LOCK_EX | LOCK_NB));
  outcome("bad", flock(fd, 99));
}

CASE(synchronise) {
  int fd = create("sync"), ends[2];
  MUST(pipe(ends));
  outcome("fsync", fsync(fd));
  outcome("fdatasync", fdatasync(fd));
  outcome("pipe", fsync(ends[0]));
  outcome("advise", posix_fadvise(fd, 0, 100, POSIX_FADV_SEQUENTIAL));
  returned("advise bad", posix_fadvise(fd, 0, 100, 99));
  outcome("closed", fsync(500));
}

CASE(streams) {
  FILE *file = fopen("stream", "w+");
  for (int i = 0; i < 2000; i++) fprintf(file, "line %d\n", i);
  yes("position", ftell(file) > 4096);
  rewind(file);
  char line[64];
  int count = 0;
  while (fgets(line, sizeof line, file) != NULL) count++;
  number("lines", count);
  fseek(file, -10, SEEK_END);
  number("read", (long)fread(line, 1, sizeof line, file));
  show("last", "%.9s", line + 1);
  fclose(file);
  file = tmpfile();
  yes("tmpfile", file != NULL);
}

CASE(closing_ranges) {
  for (int fd = 30; fd < 40; fd++) MUST(dup2(1, fd));
  outcome("close_range", close_range(32, 35, 0));
  show("open", "%d %d %d %d", fcntl(31, F_GETFD), fcntl(32, F_GETFD), fcntl(35, F_GETFD),
       fcntl(36, F_GETFD));
  outcome("backwards", close_range(5, 4, 0));
  outcome("twice", (close(36), close(36)));
}
