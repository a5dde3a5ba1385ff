/* Extended attributes, by path, link and descriptor. */
#include "case.h"

#include <fcntl.h>
#include <sys/xattr.h>

CASE(life) {
  write_file("file", "x");
  char value[32] = "", list[256] = "";
  outcome("set", setxattr("file", "user.one", "first", 5, 0));
  outcome("create again", setxattr("file", "user.one", "x", 1, XATTR_CREATE));
  outcome("replace missing", setxattr("file", "user.two", "x", 1, XATTR_REPLACE));
  number("size", getxattr("file", "user.one", NULL, 0));
  number("get", getxattr("file", "user.one", value, sizeof value));
  show("value", "%s", value);
  outcome("too small", getxattr("file", "user.one", value, 2));
  outcome("missing", getxattr("file", "user.none", value, sizeof value));
  number("list", listxattr("file", list, sizeof list));
  show("name", "%s", list);
  outcome("remove", removexattr("file", "user.one"));
  outcome("remove again", removexattr("file", "user.one"));
  outcome("bad name space", setxattr("file", "nospace", "x", 1, 0));
  outcome("missing file", getxattr("absent", "user.one", value, sizeof value));
  outcome("bad pointer", setxattr("file", pointer(8), "x", 1, 0));
}

CASE(descriptor) {
  int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
  char value[8] = "";
  outcome("set", fsetxattr(fd, "user.fd", "\0\1\2", 3, 0));
  number("get", fgetxattr(fd, "user.fd", value, sizeof value));
  show("bytes", "%d %d %d", value[0], value[1], value[2]);
  outcome("remove", fremovexattr(fd, "user.fd"));
  number("list", flistxattr(fd, NULL, 0));
  outcome("closed", fgetxattr(500, "user.fd", value, 1));
}

CASE(links) {
  MUST(symlink("nowhere", "link"));
  char value[8];
  outcome("follows", getxattr("link", "user.x", value, sizeof value));
  outcome("link itself", lgetxattr("link", "user.x", value, sizeof value));
  outcome("set on link", lsetxattr("link", "user.x", "v", 1, 0));
}
