/* User and group identities: real, effective, saved, file system, supplementary; what root may and an
 * ordinary user may not. The values are those of whoever runs the test, so only relations are printed. */
#include "case.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/capability.h>

CASE(own) {
  uid_t real, effective, saved;
  gid_t real_group, effective_group, saved_group;
  outcome("getresuid", getresuid(&real, &effective, &saved));
  yes("users", real == getuid() && effective == geteuid() && saved == geteuid());
  outcome("getresgid", getresgid(&real_group, &effective_group, &saved_group));
  yes("groups", real_group == getgid() && effective_group == getegid());
  outcome("setuid to own", setuid(getuid()));
  outcome("setgid to own", setgid(getgid()));
  outcome("setreuid unchanged", setreuid((uid_t)-1, (uid_t)-1));
  outcome("setresuid unchanged", setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1));
  outcome("bad pointer", syscall(SYS_getresuid, pointer(8), pointer(8), pointer(8)));
  yes("fsuid", setfsuid((uid_t)-1) == (int)geteuid());
  yes("fsgid", setfsgid((gid_t)-1) == (int)getegid());
}

CASE(supplementary) {
  gid_t groups[64];
  int count = getgroups(0, NULL);
  yes("count", count >= 0 && count <= 64 && getgroups(64, groups) == count);
}

CASE(change_user) {
  pid_t pid = start();
  if (pid == 0) {
    outcome("setgroups", setgroups(2, (gid_t[]){10, 70000}));
    gid_t groups[8] = {0};
    number("getgroups", getgroups(8, groups) >= 0 ? 1 : 0);
    outcome("setresgid", setresgid(1001, 1002, 1003));
    outcome("setresuid", setresuid(2001, 2002, 70003));
    uid_t real = 0, effective = 0, saved = 0;
    getresuid(&real, &effective, &saved);
    show("changed", "%d", real == 2001 && effective == 2002 && saved == 70003);
    outcome("back to root", setuid(0));
    outcome("to saved", seteuid(70003));
    show("is", "%d", geteuid() == 70003);
    _exit(0);
  }
  status("status", finish(pid));
}

CASE(permissions_of_another) {
  MUST(close(MUST(open("secret", O_CREAT | O_WRONLY, 0600))));
  MUST(mkdir("closed", 0700));
  MUST(chmod(".", 0755));
  pid_t pid = start();
  if (pid == 0) {
    int changed = setresuid(3000, 3000, 3000);
    outcome("change", changed);
    outcome("open", open("secret", O_RDONLY));
    outcome("access", access("secret", W_OK));
    outcome("chdir", chdir("closed"));
    outcome("create", open("new", O_CREAT | O_WRONLY, 0600));
    outcome("chmod", chmod("secret", 0644));
    outcome("chown", chown("secret", 3000, 3000));
    outcome("kill parent", kill(getppid(), 0));
    outcome("nice", nice(-5) == -1 ? -1 : 0);
    _exit(0);
  }
  finish(pid);
}

CASE(capabilities) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  outcome("capget", syscall(SYS_capget, &header, data));
  yes("root has them", geteuid() != 0 || data[0].effective != 0);
  header.version = 77;
  outcome("bad version", syscall(SYS_capget, &header, data));
  yes("told", header.version == _LINUX_CAPABILITY_VERSION_3);
  number("bounding", prctl(PR_CAPBSET_READ, 0) >= 0);
  outcome("bad capability", prctl(PR_CAPBSET_READ, 500));
}

CASE(names) {
  FILE *file = fopen("/etc/passwd", "r");
  struct passwd *entry = file != NULL ? fgetpwent(file) : NULL;
  show("first", "%s %d", entry != NULL ? entry->pw_name : "none", entry != NULL ? (int)entry->pw_uid : -1);
  file = fopen("/etc/group", "r");
  struct group *group = file != NULL ? fgetgrent(file) : NULL;
  show("first group", "%s", group != NULL ? group->gr_name : "none");
}
