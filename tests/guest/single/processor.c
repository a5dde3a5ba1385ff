/* What a program sees of its processor: AT_HWCAP, AT_HWCAP2, /proc/cpuinfo, and whether an instruction that not every
 * model has is there. `processor fork` asks in a child, `processor PROGRAM ...` executes that. Run by
 * test_processors.py. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf back;

static void illegal(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

#ifdef __arm__
__attribute__((target("arm"), noinline))
#endif
static void instruction(void) {
  static int word __attribute__((unused));
#if defined(__aarch64__)
  register int *address asm("x1") = &word;
  asm volatile(".inst 0xb8200020" ::"r"(address) : "w0", "memory"); /* ldadd w0, w0, [x1] */
#elif defined(__arm__)
  asm volatile(".inst 0xe710f110" ::: "r0", "r1"); /* sdiv r0, r0, r1 */
#elif defined(__x86_64__)
  asm volatile("movbe %0, %%eax" ::"m"(word) : "rax");
#endif
}

static void show(void) {
  char line[2000], part[200] = "none";
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, "CPU part", 8) == 0 || strncmp(line, "model name", 10) == 0)
      strcpy(part, strchr(line, ':') + 2);
  part[strcspn(part, "\n")] = 0;
  unsigned long entry[2], hwcap = 0, hwcap2 = 0; /* the C library changes getauxval's on x86 */
  file = fopen("/proc/self/auxv", "r");
  while (fread(entry, sizeof entry, 1, file) == 1) {
    if (entry[0] == AT_HWCAP) hwcap = entry[1];
    if (entry[0] == AT_HWCAP2) hwcap2 = entry[1];
  }
  signal(SIGILL, illegal);
  const char *outcome = "illegal";
  if (sigsetjmp(back, 1) == 0) {
    instruction();
    outcome = "there";
  }
  printf("%lx %lx %s: %s\n", hwcap, hwcap2, part, outcome);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "fork") == 0) {
    int status = 0;
    if (fork() == 0) {
      show();
      _exit(0);
    }
    wait(&status);
    return status;
  }
  show();
  if (argc > 1) {
    execv(argv[1], argv + 1);
    perror("execv");
    return 1;
  }
  return 0;
}
