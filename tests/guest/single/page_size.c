/* What a program sees of its configuration. Run by test_configuration.py. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct rlimit stack;
  struct utsname names;
  getrlimit(RLIMIT_STACK, &stack);
  uname(&names);
  if (argc > 1 && argv[1][0] == '/') {
    execl(argv[1], argv[1], argv[2], (char *)NULL);
    perror("execl");
    return 1;
  }
  if (argc > 1 && dlopen(argv[1], RTLD_NOW) == NULL) puts("not loaded");
  const char *value = getenv("VARIABLE");
  printf("page %ld stack %lu release %s variable %s\n", sysconf(_SC_PAGESIZE),
         (unsigned long)stack.rlim_cur, names.release, value == NULL ? "none" : value);
}
