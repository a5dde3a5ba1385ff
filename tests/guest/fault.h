/* Touch an address and say what came of it: "ok", or the signal, its code and whether si_addr is
 * the very byte. */
#ifndef OCTAVO_TESTS_GUEST_FAULT_H
#define OCTAVO_TESTS_GUEST_FAULT_H

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf fault_jump;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void fault_handler(int signal, siginfo_t *info, void *context) {
  (void)context;
  fault_signal = signal;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(fault_jump, 1);
}

static void fault_install(void) {
  struct sigaction action = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
}

static const char *fault_text(volatile void *address) {
  static char text[64];
  const char *code = "other code";
  if (fault_signal == SIGSEGV && fault_code == SEGV_MAPERR) code = "MAPERR";
  if (fault_signal == SIGSEGV && fault_code == SEGV_ACCERR) code = "ACCERR";
  if (fault_signal == SIGBUS && fault_code == BUS_ADRERR) code = "ADRERR";
  if (fault_signal == SIGBUS && fault_code == BUS_ADRALN) code = "ADRALN";
  snprintf(text, sizeof text, "%s %s %s", signal_name(fault_signal), code,
           fault_address == (void *)address ? "at the address" : "elsewhere");
  return text;
}

UNUSED static const char *try_read(volatile void *address) {
  fault_install();
  if (sigsetjmp(fault_jump, 1) != 0) return fault_text(address);
  (void)*(volatile unsigned char *)address;
  return "ok";
}

UNUSED static const char *try_write(volatile void *address) {
  fault_install();
  if (sigsetjmp(fault_jump, 1) != 0) return fault_text(address);
  *(volatile unsigned char *)address = 0x5a;
  return "ok";
}

#endif
