/* Page 0 of a program (page_zero.h), by way of personality(2). Run by test_page_zero.py, which knows who gets one.
 *
 *   PROGRAM CASE    probe: looks;  exec: asks for the page and executes probe;  child: as exec, in a fork's child;
 *                   again: asks, executes a program that executes probe;  set-id: asks, executes ./set-id (a copy) */
#include "../case.h"

#include <sys/personality.h>

#include "../page_zero.h"

#define QUERY 0xffffffffUL

static void ask(void) { MUST(personality((unsigned long)personality(QUERY) | MMAP_PAGE_ZERO)); }

CASE(probe) { zero_probe(); }

static void become(const char *program, const char *argument, const char *more) {
  execl(program, program, argument, more, (char *)NULL);
  must_fail("execl", __LINE__);
}

int helper(int argc, char **argv) {
  (void)argc;
  case_name = "zero";
  const char *what = argv[1] + 2;
  if (strcmp(what, "probe") == 0) {
    yes("asked for", (personality(QUERY) & MMAP_PAGE_ZERO) != 0);
    zero_probe();
    return 0;
  }
  if (strcmp(what, "next") == 0) become(case_self, "--probe", NULL);
  ask();
  show("before exec", "%s", try_read(pointer(0)));
  if (strcmp(what, "exec") == 0) become(case_self, "--probe", NULL);
  if (strcmp(what, "again") == 0) become(case_self, "--next", NULL);
  if (strcmp(what, "set-id") == 0) become("./set-id", "--probe", NULL);
  pid_t pid = start();
  if (pid == 0) become(case_self, "--probe", NULL);
  status("child", finish(pid));
  return 0;
}
