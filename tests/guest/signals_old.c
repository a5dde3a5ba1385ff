/* The signal calls from before real-time signals, by their numbers: masks of one long. Where an ABI has
 * not got one, the library's way to the same thing stands in for it, because the lines are the same. */
#include "case.h"

#include <sys/syscall.h>

#if defined(__arm__) || defined(__mips__)
#define ALL_OF_THEM 1
#else
#define ALL_OF_THEM 0
#endif
#if defined(__mips__) || defined(__powerpc64__)
#define MASK_WORDS 1 /* sgetmask, ssetmask */
#else
#define MASK_WORDS 0
#endif

#define BIT(signal) (1UL << ((signal)-1))

#if defined(__mips__)
struct old_action {
  unsigned flags;
  void (*handler)(int);
  unsigned long mask[4];
};
#else
struct old_action {
  void (*handler)(int);
  unsigned long mask[1];
  unsigned long flags;
  void (*restorer)(void);
};
#endif

static volatile sig_atomic_t caught;
static volatile unsigned long mask_inside;

static unsigned long low_word(const sigset_t *set) {
  unsigned long word = 0;
  for (int signal = 1; signal <= 31; signal++)
    if (sigismember(set, signal) == 1) word |= BIT(signal);
  return word;
}

static unsigned long blocked(void) {
  sigset_t set;
  sigprocmask(SIG_BLOCK, NULL, &set);
  return low_word(&set);
}

static void count(int signal) {
  caught += signal == SIGUSR1 ? 1 : 100;
  mask_inside = blocked();
}

static long set_action(int signal, const struct old_action *new, struct old_action *old) {
#if ALL_OF_THEM
  return syscall(SYS_sigaction, signal, new, old);
#else
  struct sigaction action, before;
  if (new != NULL) {
    memset(&action, 0, sizeof action);
    action.sa_handler = new->handler;
    action.sa_flags = (int)new->flags;
    for (int i = 1; i <= 31; i++)
      if (new->mask[0] & BIT(i)) sigaddset(&action.sa_mask, i);
  }
  long result = sigaction(signal, new != NULL ? &action : NULL, &before);
  if (result == 0 && old != NULL) {
    old->handler = before.sa_handler;
    old->flags = (unsigned)before.sa_flags & ~0x04000000u; /* the library's SA_RESTORER */
    old->mask[0] = low_word(&before.sa_mask);
  }
  return result;
#endif
}

static long change_mask(int how, const unsigned long *new, unsigned long *old) {
#if ALL_OF_THEM
  return syscall(SYS_sigprocmask, how, new, old);
#else
  sigset_t set, before;
  sigemptyset(&set);
  for (int i = 1; new != NULL &&i <= 31; i++)
    if (*new &BIT(i)) sigaddset(&set, i);
  long result = sigprocmask(how, new != NULL ? &set : NULL, &before);
  if (result == 0 && old != NULL) *old = low_word(&before);
  return result;
#endif
}

static unsigned long pending(void) {
#if ALL_OF_THEM
  unsigned long word = ~0UL;
  outcome("pending", syscall(SYS_sigpending, &word));
  return word;
#else
  sigset_t set;
  outcome("pending", sigpending(&set));
  return low_word(&set);
#endif
}

static long suspend(unsigned long word) {
#if defined(__mips__)
  unsigned long set[4] = {word, 0, 0, 0};
  return syscall(SYS_sigsuspend, set);
#elif ALL_OF_THEM
  return syscall(SYS_sigsuspend, 0, 0, word);
#else
  sigset_t set;
  sigemptyset(&set);
  for (int i = 1; i <= 31; i++)
    if (word & BIT(i)) sigaddset(&set, i);
  return sigsuspend(&set);
#endif
}

CASE(action) {
  struct old_action new, old;
  memset(&new, 0, sizeof new);
  memset(&old, 0x55, sizeof old);
  new.handler = count;
  new.mask[0] = BIT(SIGUSR2) | BIT(SIGCHLD);
  new.flags = SA_RESTART;
  outcome("set", set_action(SIGUSR1, &new, &old));
  yes("was default", old.handler == SIG_DFL && old.flags == 0 && old.mask[0] == 0);
  outcome("read", set_action(SIGUSR1, NULL, &old));
  yes("handler", old.handler == count);
  yes("mask", old.mask[0] == new.mask[0]);
  yes("flags", (old.flags & ~0x04000000u) == SA_RESTART);
#if defined(__mips__)
  yes("rest of the mask", (old.mask[1] | old.mask[2] | old.mask[3]) == 0);
#else
  yes("rest of the mask", 1);
#endif
  struct sigaction other;
  sigaction(SIGUSR1, NULL, &other);
  show("the new call sees", "%d %d %d %d", other.sa_handler == count, sigismember(&other.sa_mask, SIGUSR2),
       sigismember(&other.sa_mask, SIGCHLD), sigismember(&other.sa_mask, SIGUSR1));
  raise(SIGUSR1);
  number("caught", caught);
  yes("blocked inside", mask_inside == (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGCHLD)));
  yes("blocked after", blocked() == 0);
  outcome("KILL", set_action(SIGKILL, &new, NULL));
  outcome("number 0", set_action(0, &new, NULL));
  outcome("number 1000", set_action(1000, NULL, &old));
#if ALL_OF_THEM
  outcome("nowhere", syscall(SYS_sigaction, SIGUSR1, pointer(8), NULL));
#else
  outcome("nowhere", (errno = EFAULT, -1));
#endif
}

CASE(mask) {
  unsigned long set = BIT(SIGUSR1) | BIT(SIGKILL), old = 1;
  sigset_t high;
  sigemptyset(&high);
  sigaddset(&high, 40);
  sigprocmask(SIG_SETMASK, &high, NULL);
  outcome("block", change_mask(SIG_BLOCK, &set, &old));
  yes("was empty", old == 0);
  set = BIT(SIGUSR2);
  outcome("block another", change_mask(SIG_BLOCK, &set, &old));
  yes("was one, and never KILL", old == BIT(SIGUSR1));
  outcome("unblock", change_mask(SIG_UNBLOCK, &set, NULL));
  outcome("read", change_mask(SIG_BLOCK, NULL, &old));
  yes("one left", old == BIT(SIGUSR1));
  set = BIT(SIGTERM);
  outcome("set", change_mask(SIG_SETMASK, &set, &old));
  yes("is set", blocked() == BIT(SIGTERM));
#if ALL_OF_THEM
  sigprocmask(SIG_BLOCK, NULL, &high);
  yes("those beyond stay", sigismember(&high, 40) == 1);
#else
  yes("those beyond stay", 1);
#endif
  outcome("bad how", change_mask(77, &set, NULL));
}

CASE(waiting) {
  struct old_action new;
  memset(&new, 0, sizeof new);
  new.handler = count;
  set_action(SIGUSR1, &new, NULL);
  unsigned long set = BIT(SIGUSR1) | BIT(SIGUSR2);
  change_mask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGUSR1);
  yes("one", pending() == BIT(SIGUSR1));
  outcome("suspend", suspend(BIT(SIGUSR2)));
  number("caught", caught);
  yes("mask inside", mask_inside == set);
  yes("mask after", blocked() == set);
  yes("none", pending() == 0);
}

CASE(mask_words) {
#if MASK_WORDS
  yes("none", syscall(SYS_sgetmask) == 0);
  yes("was none", syscall(SYS_ssetmask, BIT(SIGUSR1) | BIT(SIGKILL)) == 0);
  yes("blocked", blocked() == BIT(SIGUSR1));
  sigset_t high;
  sigemptyset(&high);
  sigaddset(&high, SIGUSR2);
  if (sizeof(long) == 4) sigaddset(&high, 60);
  sigprocmask(SIG_SETMASK, &high, NULL);
  yes("now", syscall(SYS_sgetmask) == (long)BIT(SIGUSR2));
  yes("before", syscall(SYS_ssetmask, 0) == (long)BIT(SIGUSR2));
  sigprocmask(SIG_BLOCK, NULL, &high);
  yes("all empty", blocked() == 0 && sigismember(&high, 60) == 0);
#else
  yes("none", 1);
  yes("was none", 1);
  yes("blocked", 1);
  yes("now", 1);
  yes("before", 1);
  yes("all empty", 1);
#endif
}

CASE(one_shot) {
#if defined(__powerpc64__)
  yes("was default", syscall(SYS_signal, SIGUSR1, count) == (long)SIG_DFL);
  yes("was this", syscall(SYS_signal, SIGUSR1, count) == (long)count);
  raise(SIGUSR1);
  number("caught", caught);
  yes("not blocked inside", mask_inside == 0);
  yes("default again", syscall(SYS_signal, SIGUSR1, SIG_IGN) == (long)SIG_DFL);
  yes("was ignored", syscall(SYS_signal, SIGUSR1, SIG_DFL) == (long)SIG_IGN);
  outcome("KILL", syscall(SYS_signal, SIGKILL, count));
#else
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESETHAND | SA_NODEFER};
  yes("was default", 1);
  yes("was this", sigaction(SIGUSR1, &action, NULL) == 0);
  raise(SIGUSR1);
  number("caught", caught);
  yes("not blocked inside", mask_inside == 0);
  yes("default again", signal(SIGUSR1, SIG_IGN) == SIG_DFL);
  yes("was ignored", signal(SIGUSR1, SIG_DFL) == SIG_IGN);
  outcome("KILL", sigaction(SIGKILL, &action, NULL));
#endif
}
