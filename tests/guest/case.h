/* The frame every guest test program stands in: cases, each in a process of its own, that print
 * `case label: value` lines. What a line says must be true of every Linux ABI, because the lines
 * of the native build are the expected output of all the others: no pids, addresses, times or
 * structure sizes, only relations between them.
 *
 *   CASE(name) { ... }        registers itself; runs in a forked child under alarm(CASE_SECONDS)
 *   int helper(argc, argv)    optional; what the program does when its first argument starts "--"
 *
 * `PROGRAM NAME...` runs only those cases, in the program's own process, for a debugger. */
#ifndef OCTAVO_TESTS_GUEST_CASE_H
#define OCTAVO_TESTS_GUEST_CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
/* Debian builds nearly everything with 64-bit file offsets; files_small.c asks for the old ones. */
#ifndef CASE_SMALL_FILES
#define _FILE_OFFSET_BITS 64
#endif

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_SECONDS (6u * case_patience())
#define UNUSED __attribute__((unused))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* GUEST_TEST_PATIENCE: how many times longer than on a machine of its own a case may take. */
UNUSED static unsigned case_patience(void) {
  const char *value = getenv("GUEST_TEST_PATIENCE");
  return value != NULL ? (unsigned)atoi(value) : 1;
}

struct case_entry {
  const char *name;
  void (*run)(void);
  struct case_entry *next;
};
static struct case_entry *case_list;
UNUSED static struct case_entry **case_tail = &case_list;
static const char *case_name = "main";
static const char *case_self; /* argv[0]: the harness starts every program by its absolute path */

#define CASE(id)                                                      \
  static void case_##id(void);                                        \
  static struct case_entry entry_##id = {#id, case_##id, NULL};       \
  __attribute__((constructor)) static void register_##id(void) {      \
    *case_tail = &entry_##id;                                         \
    case_tail = &entry_##id.next;                                     \
  }                                                                   \
  static void case_##id(void)

int helper(int argc, char **argv) __attribute__((weak));

/* One line in one write, so that lines of several processes never mix. */
UNUSED __attribute__((format(printf, 2, 3))) static void show(const char *label,
                                                              const char *format, ...) {
  char line[1024];
  int used = snprintf(line, sizeof line, "%s %s: ", case_name, label);
  va_list arguments;
  va_start(arguments, format);
  used += vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
  va_end(arguments);
  if (used > (int)sizeof line - 2) used = (int)sizeof line - 2;
  line[used++] = '\n';
  if (write(STDOUT_FILENO, line, (size_t)used) != used) _exit(99);
}

UNUSED static const char *error_name(int error) {
  const char *name = error == 0 ? "ok" : strerrorname_np(error);
  return name != NULL ? name : "unknown error";
}

UNUSED static const char *signal_name(int signal) {
  static char text[32];
  const char *name = sigabbrev_np(signal);
  if (name != NULL)
    snprintf(text, sizeof text, "SIG%s", name);
  else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
    snprintf(text, sizeof text, "SIGRTMIN+%d", signal - SIGRTMIN);
  else
    snprintf(text, sizeof text, signal == 0 ? "none" : "signal %d", signal);
  return text;
}

/* "ok" or the error: for results whose number means nothing (descriptors, pids, addresses). */
UNUSED static void outcome(const char *label, long result) {
  show(label, "%s", result == -1 ? error_name(errno) : "ok");
}

/* The number itself, or the error. */
UNUSED static void number(const char *label, long result) {
  if (result == -1)
    show(label, "%s", error_name(errno));
  else
    show(label, "%ld", result);
}

UNUSED static void yes(const char *label, int condition) {
  show(label, "%s", condition ? "yes" : "no");
}

/* A pthread function's result: the error is the value returned. */
UNUSED static void returned(const char *label, int error) {
  show(label, "%s", error_name(error));
}

UNUSED static void status(const char *label, int wait_status) {
  if (WIFEXITED(wait_status))
    show(label, "exit %d", WEXITSTATUS(wait_status));
  else if (WIFSIGNALED(wait_status))
    show(label, "killed by %s", signal_name(WTERMSIG(wait_status)));
  else if (WIFSTOPPED(wait_status))
    show(label, "stopped by %s", signal_name(WSTOPSIG(wait_status)));
  else if (WIFCONTINUED(wait_status))
    show(label, "continued");
  else
    show(label, "not a wait status");
}

#ifdef CASE_ROWS /* pages.h says it in its own way */
static void must_fail(const char *expression, int line);
#else
UNUSED static void must_fail(const char *expression, int line) {
  int error = errno;
  show("(setup)", "line %d: %s: %s", line, expression, error_name(error));
  _exit(98);
}
#endif

/* For steps a case needs but is not about. */
#define MUST(expression)                                                     \
  (__extension__({                                                           \
    __typeof__(expression) must_value = (expression);                        \
    if ((long)must_value == -1L) must_fail(#expression, __LINE__);           \
    must_value;                                                              \
  }))

/* A pointer the compiler knows nothing about: what is wrong with it is for the kernel to say. */
UNUSED static void *pointer(uintptr_t address) {
  volatile uintptr_t hidden = address;
  return (void *)hidden;
}

/* fork, with the watchdog a child does not inherit. */
UNUSED static pid_t start(void) {
  pid_t pid = MUST(fork());
  if (pid == 0) alarm(CASE_SECONDS);
  return pid;
}

UNUSED static int finish(pid_t pid) {
  int result = 0;
  while (waitpid(pid, &result, 0) == -1)
    if (errno != EINTR) must_fail("waitpid", __LINE__);
  return result;
}

/* Give a process time to fall asleep in its next call, which a signal is to end: on a busy machine it may be long on
 * its way there. Not for ever, if it never does. */
UNUSED static void until_asleep(pid_t pid) {
  char name[32], text[256] = "";
  snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
  for (int i = 0; i < 200; i++) {
    usleep(20000 * case_patience());
    FILE *file = fopen(name, "r"); /* PID (NAME) STATE ... */
    if (file == NULL || fgets(text, sizeof text, file) == NULL) must_fail(name, __LINE__);
    fclose(file);
    const char *end = strrchr(text, ')');
    if (end != NULL && end[2] == 'S') return;
  }
}

UNUSED static void write_file(const char *name, const char *text) {
  FILE *file = fopen(name, "w");
  if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0) must_fail(name, __LINE__);
}

/* waitpid for a case. An emulator that hangs may not answer the case's own alarm: then kill it. */
static int case_wait(pid_t pid) {
  int result = 0;
  for (unsigned waited = 0, step = 100; waitpid(pid, &result, WNOHANG) == 0; waited += step) {
    if (waited > (CASE_SECONDS + 1) * 1000000u) {
      kill(pid, SIGKILL);
      return finish(pid);
    }
    usleep(step);
    if (step < 5000) step *= 2;
  }
  return result;
}

#ifndef CASE_ROWS
static void case_run(const struct case_entry *entry) {
  case_name = entry->name;
  pid_t pid = fork();
  if (pid == -1) {
    show("(end)", "fork: %s", error_name(errno));
    return;
  }
  if (pid == 0) {
    alarm(CASE_SECONDS);
    entry->run();
    exit(0);
  }
  int result = case_wait(pid);
  if (result != 0) status("(end)", result); /* a line the expected output does not have */
}

int main(int argc, char **argv) {
  case_self = argv[0];
  if (argc > 1 && strncmp(argv[1], "--", 2) == 0) {
    case_name = "helper";
    return helper != NULL ? helper(argc, argv) : 97;
  }
  for (struct case_entry *entry = case_list; entry != NULL; entry = entry->next) {
    if (argc == 1) case_run(entry);
    for (int i = 1; i < argc; i++)
      if (strcmp(argv[i], entry->name) == 0) {
        case_name = entry->name;
        entry->run();
      }
  }
  return 0;
}
#endif

#endif
