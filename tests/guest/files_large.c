/* Offsets and sizes beyond 4 GiB, holes, and the calls that move data between descriptors. */
#include "case.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static const off_t FAR = ((off_t)5 << 30) + 12345;

CASE(beyond_four_gigabytes) {
  int fd = MUST(open("far", O_RDWR | O_CREAT | O_TRUNC, 0644));
  yes("seek", lseek(fd, FAR, SEEK_SET) == FAR);
  number("write", write(fd, "far", 3));
  struct stat info;
  MUST(fstat(fd, &info));
  yes("size", info.st_size == FAR + 3);
  char text[8] = "";
  number("pread", pread(fd, text, 3, FAR));
  show("text", "%s", text);
  number("pwrite", pwrite(fd, "FAR", 3, FAR + 1));
  yes("offset kept", lseek(fd, 0, SEEK_CUR) == FAR + 3);
  number("hole", pread(fd, text, 3, FAR - 100));
  show("hole bytes", "%d %d", text[0], text[2]);
  outcome("truncate", ftruncate(fd, FAR * 2));
  yes("end", lseek(fd, 0, SEEK_END) == FAR * 2);
  outcome("by name", truncate("far", FAR));
  MUST(stat("far", &info));
  yes("size again", info.st_size == FAR);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = FAR, .l_len = 10};
  outcome("lock", fcntl(fd, F_SETLK, &lock));
}

CASE(data_and_hole) {
  int fd = MUST(open("holes", O_RDWR | O_CREAT | O_TRUNC, 0644));
  MUST(ftruncate(fd, 1 << 20));
  MUST(pwrite(fd, "x", 1, 1 << 19));
  yes("data", lseek(fd, 0, SEEK_DATA) == 1 << 19 || lseek(fd, 0, SEEK_DATA) == 0);
  number("hole", lseek(fd, 0, SEEK_HOLE));
  outcome("past", lseek(fd, 2 << 20, SEEK_DATA));
}

CASE(send_file) {
  int from = MUST(open("from", O_RDWR | O_CREAT | O_TRUNC, 0644));
  int to = MUST(open("to", O_RDWR | O_CREAT | O_TRUNC, 0644));
  MUST(write(from, "0123456789", 10));
  off_t offset = 3;
  number("sendfile", sendfile(to, from, &offset, 4));
  number("offset", offset);
  MUST(lseek(from, 0, SEEK_SET));
  number("without offset", sendfile(to, from, NULL, 100));
  number("moved", lseek(from, 0, SEEK_CUR));
  char text[32] = "";
  number("result", pread(to, text, sizeof text, 0));
  show("text", "%s", text);
  outcome("bad offset", sendfile(to, from, pointer(8), 1));
}

CASE(copy_range) {
  int from = MUST(open("from2", O_RDWR | O_CREAT | O_TRUNC, 0644));
  int to = MUST(open("to2", O_RDWR | O_CREAT | O_TRUNC, 0644));
  MUST(write(from, "0123456789", 10));
  off64_t in = 2, out = 5;
  number("copied", copy_file_range(from, &in, to, &out, 4, 0));
  show("offsets", "%ld %ld", (long)in, (long)out);
  char text[16] = "";
  number("size", pread(to, text, sizeof text, 0));
  show("text", "%s", text + 5);
  outcome("flags", copy_file_range(from, &in, to, &out, 4, 99));
}

CASE(splicing) {
  int from = MUST(open("spliced", O_RDWR | O_CREAT | O_TRUNC, 0644)), first[2], second[2];
  MUST(write(from, "splice me", 9));
  MUST(pipe(first));
  MUST(pipe(second));
  off64_t offset = 7;
  number("splice", splice(from, &offset, first[1], NULL, 100, 0));
  number("offset", (long)offset);
  number("tee", tee(first[0], second[1], 100, 0));
  char text[16] = "";
  number("read", read(first[0], text, sizeof text));
  show("text", "%s", text);
  number("read tee", read(second[0], text, sizeof text));
  struct iovec vector = {"vm", 2};
  number("vmsplice", vmsplice(first[1], &vector, 1, 0));
  outcome("no pipe", splice(from, NULL, from, NULL, 1, 0));
}

CASE(file_systems) {
  struct statfs info;
  outcome("statfs", statfs("/proc", &info));
  show("proc type", "%lx", (unsigned long)info.f_type);
  outcome("fstatfs", fstatfs(MUST(open(".", O_RDONLY)), &info));
  yes("block size", info.f_bsize >= 512);
  yes("name length", info.f_namelen == 255);
  struct statvfs portable;
  outcome("statvfs", statvfs("/", &portable));
  yes("blocks", portable.f_blocks > 0 && portable.f_bfree <= portable.f_blocks);
  number("name maximum", (long)portable.f_namemax);
  outcome("missing", statfs("/missing", &info));
  outcome("bad buffer", statfs("/", pointer(8)));
}

CASE(extended_stat) {
  umask(022);
  write_file("extended", "12345");
  struct statx info;
  outcome("statx", statx(AT_FDCWD, "extended", 0, STATX_BASIC_STATS | STATX_BTIME, &info));
  yes("mask", (info.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
  show("mode size links", "%o %lu %u", info.stx_mode, (unsigned long)info.stx_size, info.stx_nlink);
  struct stat old;
  MUST(stat("extended", &old));
  yes("inode", info.stx_ino == old.st_ino);
  yes("device", makedev(info.stx_dev_major, info.stx_dev_minor) == old.st_dev);
  yes("time", info.stx_mtime.tv_sec == old.st_mtim.tv_sec && (long)info.stx_mtime.tv_nsec == (long)old.st_mtim.tv_nsec);
  outcome("empty path", statx(MUST(open("extended", O_PATH)), "", AT_EMPTY_PATH, STATX_SIZE, &info));
  outcome("missing", statx(AT_FDCWD, "missing", 0, STATX_SIZE, &info));
  outcome("bad mask", statx(AT_FDCWD, "extended", 0, STATX__RESERVED, &info));
  outcome("bad flag", statx(AT_FDCWD, "extended", 1 << 27, STATX_SIZE, &info));
}

CASE(punch) {
  int fd = MUST(open("punch", O_RDWR | O_CREAT | O_TRUNC, 0644));
  MUST(ftruncate(fd, 1 << 20));
  MUST(pwrite(fd, "abc", 3, 4096 * 32));
  outcome("keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 1 << 20, 4096));
  yes("size kept", lseek(fd, 0, SEEK_END) == 1 << 20);
  outcome("punch hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096 * 32, 65536));
  char text[4] = "xyz";
  MUST(pread(fd, text, 3, 4096 * 32));
  show("bytes", "%d %d %d", text[0], text[1], text[2]);
  outcome("bad mode", fallocate(fd, 1 << 20, 0, 1));
  outcome("zero length", fallocate(fd, 0, 0, 0));
  yes("far", fallocate(fd, FALLOC_FL_KEEP_SIZE, FAR, 4096) == 0);
}
