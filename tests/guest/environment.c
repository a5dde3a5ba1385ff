/* What a program is started with: arguments, environment, auxiliary vector, stack, limits, and the
 * identity of machine and kernel. */
#include "case.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

extern char **environ;

CASE(variables) {
  show("given", "%s", getenv("GUEST_TEST"));
  yes("unset", getenv("GUEST_TEST_UNSET") == NULL);
  number("setenv", setenv("NEW", "one", 1));
  number("no overwrite", setenv("NEW", "two", 0));
  show("value", "%s", getenv("NEW"));
  number("unsetenv", unsetenv("NEW"));
  outcome("bad name", setenv("A=B", "x", 1));
  int count = 0;
  for (char **each = environ; *each != NULL; each++) count += strchr(*each, '=') != NULL;
  yes("all have values", count >= 2);
  number("clearenv", clearenv());
  yes("empty", environ == NULL || *environ == NULL);
}

CASE(auxiliary_vector) {
  number("page size", getauxval(AT_PAGESZ) == (unsigned long)sysconf(_SC_PAGESIZE));
  number("clock ticks", (long)getauxval(AT_CLKTCK));
  yes("ids", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid() && getauxval(AT_GID) == getgid() &&
                 getauxval(AT_EGID) == getegid());
  number("secure", (long)getauxval(AT_SECURE));
  const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
  int sum = 0;
  for (int i = 0; random != NULL && i < 16; i++) sum += random[i] != 0;
  yes("random", sum > 5);
  const char *name = (const char *)getauxval(AT_EXECFN);
  yes("name", name != NULL && strcmp(name, case_self) == 0);
  number("flags", (long)getauxval(AT_FLAGS));
  errno = 0;
  number("missing", (long)getauxval(9999));
  returned("its error", errno);
}

CASE(program_headers) {
  const ElfW(Phdr) *header = (const void *)getauxval(AT_PHDR);
  yes("entry size", getauxval(AT_PHENT) == sizeof *header);
  unsigned long count = getauxval(AT_PHNUM);
  yes("count", count > 3 && count < 30);
  int loads = 0, interpreters = 0;
  uintptr_t bias = 0, entry = getauxval(AT_ENTRY);
  for (unsigned long i = 0; i < count; i++)
    if (header[i].p_type == PT_PHDR) bias = (uintptr_t)header - header[i].p_vaddr;
  int inside = 0;
  for (unsigned long i = 0; i < count; i++) {
    interpreters += header[i].p_type == PT_INTERP;
    if (header[i].p_type != PT_LOAD) continue;
    loads++;
    inside += entry >= bias + header[i].p_vaddr && entry < bias + header[i].p_vaddr + header[i].p_memsz;
  }
  yes("loads", loads >= 2);
  number("entry inside", inside);
  yes("interpreter base", (interpreters > 0) == (getauxval(AT_BASE) != 0));
}

static int visited;
static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size, (void)data;
  visited++;
  return info->dlpi_phnum == 0;
}

CASE(loaded_objects) {
  number("iterate", dl_iterate_phdr(visit, NULL));
  yes("some", visited >= 1);
}

CASE(stack_layout) {
  char here, *argument = (char *)(uintptr_t)case_self;
  yes("arguments above", argument > &here || sizeof(void *) == 0);
  yes("strings together", environ[0] == NULL || environ[0] > argument);
  yes("aligned", ((uintptr_t)__builtin_frame_address(0) & (sizeof(void *) - 1)) == 0);
  yes("auxv random above", getauxval(AT_RANDOM) > (uintptr_t)&here);
}

CASE(big_stack) {
  volatile char block[1 << 20];
  for (size_t i = 0; i < sizeof block; i += 512) block[i] = (char)i;
  number("one megabyte", block[1024] + block[512 * 3]);
  volatile char second[5 << 20];
  second[0] = 5;
  second[sizeof second - 1] = 6;
  number("six", second[0] + second[sizeof second - 1]);
}

CASE(uname_fields) {
  struct utsname name;
  outcome("uname", uname(&name));
  show("system", "%s", name.sysname);
  yes("release", name.release[0] >= '2' && name.release[0] <= '9' && strchr(name.release, '.') != NULL);
  yes("machine", name.machine[0] != 0);
  char host[256] = "";
  outcome("gethostname", gethostname(host, sizeof host));
  yes("same", strcmp(host, name.nodename) == 0);
  outcome("bad pointer", uname(pointer(8)));
}

CASE(system_information) {
  struct sysinfo info;
  outcome("sysinfo", sysinfo(&info));
  yes("memory", info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
  yes("uptime", info.uptime > 0 && info.procs > 0);
  yes("load", getloadavg((double[3]){0}, 3) == 3);
  yes("processors", sysconf(_SC_NPROCESSORS_ONLN) >= 1 && get_nprocs() >= 1);
  yes("pages", sysconf(_SC_PHYS_PAGES) > 0);
  outcome("bad pointer", sysinfo(pointer(8)));
}

CASE(configuration) {
  number("argument bytes", sysconf(_SC_ARG_MAX) >= 131072);
  number("open files", sysconf(_SC_OPEN_MAX) >= 256);
  number("iovecs", sysconf(_SC_IOV_MAX));
  number("name", pathconf("/", _PC_NAME_MAX));
  number("path", pathconf("/", _PC_PATH_MAX));
  number("pipe", fpathconf(0, _PC_PIPE_BUF));
  number("host name", sysconf(_SC_HOST_NAME_MAX));
  number("threads", sysconf(_SC_THREADS) > 0);
}

CASE(random_bytes) {
  unsigned char first[64] = {0}, second[64] = {0};
  number("getrandom", getrandom(first, sizeof first, 0));
  number("again", getrandom(second, sizeof second, GRND_NONBLOCK));
  yes("differ", memcmp(first, second, sizeof first) != 0);
  number("none", getrandom(first, 0, 0));
  outcome("bad flags", getrandom(first, 1, 0x1000));
  outcome("bad pointer", getrandom(pointer(8), 16, 0));
  outcome("getentropy", getentropy(first, 64));
  outcome("too much entropy", getentropy(pointer((uintptr_t)first), 257));
}

CASE(process_controls) {
  char name[17] = "";
  outcome("set name", prctl(PR_SET_NAME, "guest name is long"));
  outcome("get name", prctl(PR_GET_NAME, name));
  show("name", "%s", name);
  number("dumpable", prctl(PR_GET_DUMPABLE));
  outcome("set dumpable", prctl(PR_SET_DUMPABLE, 0));
  number("dumpable then", prctl(PR_GET_DUMPABLE));
  int signal = -1;
  outcome("death signal", prctl(PR_SET_PDEATHSIG, SIGUSR1));
  outcome("get death signal", prctl(PR_GET_PDEATHSIG, &signal));
  show("is", "%s", signal_name(signal));
  outcome("bad death signal", prctl(PR_SET_PDEATHSIG, 1000));
  outcome("new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  number("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  outcome("slack", prctl(PR_SET_TIMERSLACK, 70000));
  number("slack is", prctl(PR_GET_TIMERSLACK));
  int reaper = 9;
  outcome("subreaper", prctl(PR_GET_CHILD_SUBREAPER, &reaper));
  number("reaper", reaper);
  outcome("unknown", prctl(987654));
  number("keep capabilities", prctl(PR_GET_KEEPCAPS));
}

CASE(personality_word) {
  int now = personality(0xffffffff);
  yes("known", now != -1);
  number("plain", now & 0xff);
  outcome("set", personality((unsigned long)now | ADDR_NO_RANDOMIZE));
  yes("kept", (personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0);
}
