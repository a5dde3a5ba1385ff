/* Code that a program writes itself: copies of compiled leaf functions, so the source holds for every architecture. */
#ifndef OCTAVO_TESTS_GUEST_CODE_H
#define OCTAVO_TESTS_GUEST_CODE_H

#include <stdint.h>
#include <string.h>

typedef int function(void);
#define LEAF __attribute__((noinline, noclone, unused, aligned(64)))
LEAF static int eleven(void) { return 11; }
LEAF static int twelve(void) { return 12; }
LEAF static int thirteen(void) { return 13; }
enum { CODE = 128 }; /* bytes: longer than any of them */

/* A pointer to the bytes of a function, and one to call bytes by: Thumb code has bit 0 set. */
static void *bytes_of(void *code) {
  void *volatile opaque = code; /* the compiler must not see through to the bytes */
  return (void *)((uintptr_t)opaque & ~(uintptr_t)1);
}
static uintptr_t callable(void *at) { return (uintptr_t)at | ((uintptr_t)eleven & 1); }

/* What a program has to do after it has written code. libgcc's __clear_cache does nothing on powerpc. */
static void code_changed(void *at) {
#ifdef __powerpc__
  for (char *line = at; line < (char *)at + CODE; line += 16)
    __asm__ volatile("dcbst 0,%0; sync; icbi 0,%0" ::"r"(line) : "memory");
  __asm__ volatile("sync; isync" ::: "memory");
#else
  __builtin___clear_cache((char *)at, (char *)at + CODE);
#endif
}

static void plant(void *at, void *code) {
  memcpy(at, bytes_of(code), CODE);
  code_changed(at);
}

static int call(void *at) { return ((function *)callable(at))(); }

#endif
