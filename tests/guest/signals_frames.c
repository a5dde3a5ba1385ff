/* Signal frames: what a handler finds in its context, that every register survives it, alternate
 * stacks, overflow recovery, and user contexts. */
#include "case.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

static volatile sig_atomic_t caught;
static sigset_t context_mask;
static volatile int on_alternate, context_flags;
static char *alternate;
static size_t alternate_size;

static void look(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ucontext_t *user = context;
  char here;
  caught++;
  context_mask = user->uc_sigmask;
  on_alternate = alternate != NULL && &here >= alternate && &here < alternate + alternate_size;
  context_flags = user->uc_stack.ss_flags;
}

static void catch(int signal, int flags) {
  struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | flags};
  MUST(sigaction(signal, &action, NULL));
}

static void alternate_stack(void) {
  alternate_size = (size_t)sysconf(_SC_SIGSTKSZ) + 16384;
  alternate = malloc(alternate_size);
  stack_t stack = {.ss_sp = alternate, .ss_size = alternate_size};
  MUST(sigaltstack(&stack, NULL));
}

CASE(context_mask) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  catch(SIGUSR1, 0);
  raise(SIGUSR1);
  show("members", "%d %d %d", sigismember(&context_mask, SIGUSR1), sigismember(&context_mask, SIGUSR2),
       sigismember(&context_mask, SIGRTMAX));
}

static void change_mask(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2);
}

CASE(context_changed) {
  struct sigaction action = {.sa_sigaction = change_mask, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  show("mask after", "%d %d", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

static void spoil(int signal) {
  (void)signal;
  volatile double x = 1.5;
  for (int i = 0; i < 50; i++) x = x * 1.25 + i;
  volatile unsigned long long product = 1;
  for (unsigned i = 1; i < 60; i++) product = product * i + (product >> 3);
  caught++;
}

/* Long dependent arithmetic under a fast timer: a register lost in a frame changes the sum. */
CASE(registers) {
  signal(SIGPROF, spoil);
  signal(SIGALRM, spoil);
  pid_t parent = getpid(), pid = start();
  if (pid == 0) {
    do usleep(500);
    while (kill(parent, SIGALRM) == 0);
    _exit(0);
  }
  time_t late = time(NULL) + 5;
  double wrong = 0;
  int rounds = 0;
  unsigned bad = 0;
  while (caught < 60 && time(NULL) < late) {
    unsigned a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    double p = 1, q = 2, r = 3, s = 4, t = 5, u = 6;
    float v = 0.5f, w = 0.25f;
    for (int i = 0; i < 200; i++) {
      a += b, b ^= c, c += d, d ^= e, e += f, f ^= g, g += h, h ^= a;
      p += q * 0.5, q += r * 0.25, r -= s * 0.125, s += t, t -= u * 0.5, u += 1, v += w, w += 0.125f;
    }
    static unsigned expected;
    static double expected_float;
    unsigned sum = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
    double float_sum = p + q + r + s + t + u + (double)v + (double)w;
    if (rounds++ == 0) expected = sum, expected_float = float_sum;
    bad += sum != expected;
    wrong += float_sum != expected_float;
  }
  kill(pid, SIGKILL);
  finish(pid);
  yes("signals came", caught > 5);
  show("wrong", "%u %.0f", bad, wrong);
}

CASE(alternate_stack) {
  stack_t old;
  outcome("read", sigaltstack(NULL, &old));
  number("disabled", old.ss_flags == SS_DISABLE);
  alternate_stack();
  catch(SIGUSR1, SA_ONSTACK);
  raise(SIGUSR1);
  show("on it", "%d", on_alternate);
  catch(SIGUSR2, 0);
  raise(SIGUSR2);
  show("not on it", "%d", on_alternate);
  sigaltstack(NULL, &old);
  yes("same", old.ss_sp == alternate && old.ss_size == alternate_size && old.ss_flags == 0);
  stack_t tiny = {.ss_sp = alternate, .ss_size = 100};
  outcome("too small", sigaltstack(&tiny, NULL));
  tiny.ss_flags = 0x1234;
  tiny.ss_size = alternate_size;
  outcome("bad flags", sigaltstack(&tiny, NULL));
  stack_t off = {.ss_flags = SS_DISABLE};
  outcome("disable", sigaltstack(&off, NULL));
  raise(SIGUSR1);
  show("disabled again", "%d", on_alternate);
  outcome("bad pointer", sigaltstack(pointer(8), NULL));
}

static volatile int inside_error, inside_flags;
static void try_change(int signal) {
  (void)signal;
  stack_t stack = {.ss_sp = alternate, .ss_size = alternate_size}, old;
  inside_error = sigaltstack(&stack, NULL) == 0 ? 0 : errno;
  sigaltstack(NULL, &old);
  inside_flags = old.ss_flags;
}

CASE(change_while_on) {
  alternate_stack();
  struct sigaction action = {.sa_handler = try_change, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  returned("change", inside_error);
  yes("flag", inside_flags == SS_ONSTACK);
}

static sigjmp_buf jump;
static void recover(int signal, siginfo_t *info, void *context) {
  (void)info, (void)context;
  siglongjmp(jump, signal);
}

static volatile int bottom;
__attribute__((noinline)) static int deeper(int level) {
  volatile char space[2048];
  memset((char *)space, level, sizeof space);
  bottom = level;
  return level > 1000000 ? 0 : deeper(level + 1) + space[level % 2048];
}

static void *overflow(void *unused) {
  (void)unused;
  size_t size = (size_t)sysconf(_SC_SIGSTKSZ) + 16384;
  stack_t stack = {.ss_sp = malloc(size), .ss_size = size};
  MUST(sigaltstack(&stack, NULL));
  struct sigaction action = {.sa_sigaction = recover, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  for (int i = 0; i < 2; i++) {
    int signal = sigsetjmp(jump, 1);
    if (signal == 0) deeper(1);
    show(i ? "recovered again" : "recovered", "%s", signal_name(signal));
  }
  yes("went deep", bottom > 20);
  return NULL;
}

CASE(stack_overflow) { overflow(NULL); }

CASE(thread_stack_overflow) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  returned("stack size", pthread_attr_setstacksize(&attributes, 256 * 1024));
  pthread_t thread;
  returned("create", pthread_create(&thread, &attributes, overflow, NULL));
  pthread_join(thread, NULL);
}

CASE(overflow_without_alternate) {
  pid_t pid = start();
  if (pid == 0) {
    struct sigaction action = {.sa_sigaction = recover, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(jump, 1) == 0) deeper(1);
    _exit(0);
  }
  status("dies", finish(pid));
}

static ucontext_t main_context, other_context;
static int trace[8], traced;
static void coroutine(int first, int second) {
  trace[traced++] = first + second;
  swapcontext(&other_context, &main_context);
  trace[traced++] = 3;
}

CASE(user_contexts) {
  size_t size = 131072;
  MUST(getcontext(&other_context));
  other_context.uc_stack.ss_sp = malloc(size);
  other_context.uc_stack.ss_size = size;
  other_context.uc_link = &main_context;
  makecontext(&other_context, (void (*)(void))(void *)coroutine, 2, 40, 2);
  outcome("swap", swapcontext(&main_context, &other_context));
  trace[traced++] = 1;
  outcome("swap again", swapcontext(&main_context, &other_context));
  trace[traced++] = 4;
  show("trace", "%d %d %d %d", trace[0], trace[1], trace[2], trace[3]);
}

CASE(big_frames) {
  struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGUSR1, &action, NULL);
  double values[8];
  for (int i = 0; i < 8; i++) values[i] = i / 7.0;
  for (int i = 0; i < 40; i++) raise(SIGUSR1);
  double sum = 0;
  for (int i = 0; i < 8; i++) sum += values[i];
  show("sum", "%.6f", sum);
  number("caught", caught);
}

/* Handlers set without the C library, which gives its own return code where the ABI lets it: these return through
 * the kernel's. x86-64's kernel has none. */
#if defined(__x86_64__)
void raw_return(void);
__asm__(".text\n.globl raw_return\nraw_return:\n mov $15, %eax\n syscall\n");
struct raw_action {
  void *handler;
  unsigned long flags;
  void (*restorer)(void);
  unsigned long mask;
};
#define RAW_ACTION(function, bits) {(void *)(function), (bits) | 0x04000000, raw_return, 0}
#elif defined(__mips__)
struct raw_action {
  unsigned flags;
  void *handler;
  unsigned long mask[16 / sizeof(long)];
};
#define RAW_ACTION(function, bits) {bits, (void *)(function), {0}}
#elif defined(__riscv)
struct raw_action {
  void *handler;
  unsigned long flags, mask;
};
#define RAW_ACTION(function, bits) {(void *)(function), bits, 0}
#else
struct raw_action {
  void *handler;
  unsigned long flags;
  void *restorer;
  unsigned long mask[8 / sizeof(long)];
};
#define RAW_ACTION(function, bits) {(void *)(function), bits, NULL, {0}}
#endif

static volatile double scale = 1.5;
static volatile int plain_calls, full_calls;
static void plain(int signal) {
  plain_calls += signal == SIGUSR1;
  scale = scale * 3 + 1;
}
static void full(int signal, siginfo_t *info, void *context) {
  full_calls += signal == SIGUSR1 && info->si_pid == getpid() && context != NULL;
  scale = scale * 3 + 1;
}

CASE(raw_handlers) {
  size_t set = sizeof ((struct raw_action *)NULL)->mask;
  struct raw_action first = RAW_ACTION(plain, 0), second = RAW_ACTION(full, SA_SIGINFO);
  outcome("plain", syscall(SYS_rt_sigaction, SIGUSR1, &first, NULL, set));
  double kept = scale * 4;
  syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
  show("after plain", "%d %g", plain_calls, kept + 1);
  outcome("full", syscall(SYS_rt_sigaction, SIGUSR1, &second, NULL, set));
  kept = scale * 4;
  syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
  show("after full", "%d %g", full_calls, kept + 1);
}
