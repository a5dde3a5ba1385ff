/* Atomic instructions on memory that several processes share: nothing of what one does may be lost to
 * another. (That holds between threads even where they take turns; processes really run at once.) */
#include "case.h"

#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#define PROCESSES 4
#define ROUNDS 20000

static void *shared(void) {
  void *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) must_fail("mmap", __LINE__);
  return page;
}

/* Run `work` in every process at the same time. */
static void all(void (*work)(void *, unsigned), void *memory) {
  pid_t children[PROCESSES];
  uint32_t *gate = (uint32_t *)memory + 1000;
  for (unsigned i = 0; i < PROCESSES; i++)
    if ((children[i] = start()) == 0) {
      __atomic_add_fetch(gate, 1, __ATOMIC_SEQ_CST);
      while (__atomic_load_n(gate, __ATOMIC_SEQ_CST) < PROCESSES) usleep(100);
      work(memory, i);
      _exit(0);
    }
  for (unsigned i = 0; i < PROCESSES; i++) {
    int result = finish(children[i]);
    if (result != 0) status("a process", result);
  }
}

struct counter {
  pthread_mutex_t mutex;
  long count;
};

static void lock_and_count(void *memory, UNUSED unsigned self) {
  struct counter *counter = memory;
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&counter->mutex);
    counter->count++;
    pthread_mutex_unlock(&counter->mutex);
  }
}

CASE(mutex) {
  struct counter *counter = shared();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&counter->mutex, &attributes);
  all(lock_and_count, counter);
  number("counted", counter->count);
}

/* Every value put into the word by an exchange comes out of one, or is in it at the end. */
struct tokens {
  uint64_t word8, in[PROCESSES], out[PROCESSES];
  uint32_t word4;
  uint16_t word2[2];
  uint8_t word1[4];
};

#define EXCHANGES(word, mask)                                       \
  do {                                                              \
    uint64_t in = 0, out = 0;                                       \
    for (unsigned i = 1; i <= ROUNDS; i++) {                        \
      uint64_t token = (i * 7 + self) & (mask);                     \
      in += token;                                                  \
      out += __atomic_exchange_n(&(word), token, __ATOMIC_SEQ_CST); \
    }                                                               \
    tokens->in[self] = in;                                          \
    tokens->out[self] = out;                                        \
  } while (0)

static int nothing_lost(const struct tokens *tokens, uint64_t left) {
  for (int i = 0; i < PROCESSES; i++) left += tokens->out[i] - tokens->in[i];
  return left == 0;
}

static void exchange_bytes(void *memory, unsigned self) {
  struct tokens *tokens = memory;
  EXCHANGES(tokens->word1[1], 0xff);
}

static void exchange_halves(void *memory, unsigned self) {
  struct tokens *tokens = memory;
  EXCHANGES(tokens->word2[1], 0xffff);
}

static void exchange_words(void *memory, unsigned self) {
  struct tokens *tokens = memory;
  EXCHANGES(tokens->word4, 0xffffffff);
}

CASE(exchange) {
  struct tokens *tokens = shared();
  all(exchange_bytes, tokens);
  yes("one byte", nothing_lost(tokens, tokens->word1[1]));
  memset(tokens, 0, 65536);
  all(exchange_halves, tokens);
  yes("two bytes", nothing_lost(tokens, tokens->word2[1]));
  memset(tokens, 0, 65536);
  all(exchange_words, tokens);
  yes("four bytes", nothing_lost(tokens, tokens->word4));
}

#if UINTPTR_MAX > 0xffffffff
static void exchange_long(void *memory, unsigned self) {
  struct tokens *tokens = memory;
  EXCHANGES(tokens->word8, (uint64_t)-1);
}
#endif

CASE(exchange_eight) {
#if UINTPTR_MAX > 0xffffffff
  struct tokens *tokens = shared();
  all(exchange_long, tokens);
  yes("eight bytes", nothing_lost(tokens, tokens->word8));
#else
  yes("eight bytes", 1);
#endif
}

/* The greater of the word and 0, which changes nothing: but it stores. */
static void no_less_than_nothing(uint32_t *word) {
#if defined(__riscv)
  __asm__ volatile("amomaxu.w.aqrl zero, zero, (%0)" ::"r"(word) : "memory");
#elif defined(__aarch64__)
  if (getauxval(AT_HWCAP) & 1 << 8) /* ATOMICS */
    __asm__ volatile(".arch_extension lse\n\tldumaxal wzr, w9, [%0]" ::"r"(word) : "memory", "x9");
#else
  __atomic_fetch_or(word, 0, __ATOMIC_SEQ_CST);
#endif
}

static void add_or_compare(void *memory, unsigned self) {
  uint32_t *word = memory;
  for (int i = 0; i < ROUNDS; i++)
    if (self % 2 != 0)
      __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    else
      no_less_than_nothing(word);
}

CASE(greatest) {
  uint32_t *word = shared();
  all(add_or_compare, word);
  number("added", *word);
}

/* A locked instruction whose operand crosses a cache line is rare, but allowed where it exists. */
CASE(across_a_line) {
  char *line = (char *)shared() + 62;
  uint32_t value = 0;
  for (int i = 0; i < 100; i++) {
#if defined(__x86_64__)
    __asm__ volatile("lock incl (%0)" ::"r"(line) : "memory", "cc");
#else
    memcpy(&value, line, sizeof value);
    value++;
    memcpy(line, &value, sizeof value);
#endif
  }
  memcpy(&value, line, sizeof value);
  number("counted", value);
}

/* One that is refused can be tried again: it has done nothing, and the address is its own. */
static uint32_t *refused_word;
static volatile int refusals, exact;

static void allow(UNUSED int signal, siginfo_t *info, UNUSED void *context) {
  refusals++;
  exact = info->si_addr == (void *)refused_word && info->si_code == SEGV_ACCERR;
  mprotect((void *)((uintptr_t)refused_word & ~(uintptr_t)65535), 65536, PROT_READ | PROT_WRITE);
}

CASE(refused) {
  char *pages = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  refused_word = (uint32_t *)((((uintptr_t)pages + 65535) & ~(uintptr_t)65535) + 40);
  *refused_word = 7;
  mprotect((char *)refused_word - 40, 65536, PROT_READ);
  struct sigaction action = {.sa_sigaction = allow, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  number("exchanged for", __atomic_exchange_n(refused_word, 9, __ATOMIC_SEQ_CST));
  number("now", *refused_word);
  number("refusals", refusals);
  yes("exact", exact);
}

/* Minimum and maximum, signed and not, in every width: what is stored, and what comes back in the whole
 * register. */
#if defined(__aarch64__)
#define ONE(name, width, mnemonic, reg)                                               \
  static uint64_t name##width(void *word, uint64_t value) {                           \
    uint64_t old;                                                                     \
    __asm__ volatile(".arch_extension lse\n\t" mnemonic " %" reg "1, %" reg "0, [%2]" \
                     : "=r"(old)                                                      \
                     : "r"(value), "r"(word)                                          \
                     : "memory");                                                     \
    return old;                                                                       \
  }
#define SEEN(width, old) (old) /* zero-extended */
#define WIDTHS(name, mnemonic)     \
  ONE(name, 8, mnemonic "b", "w")  \
  ONE(name, 16, mnemonic "h", "w") \
  ONE(name, 32, mnemonic, "w")     \
  ONE(name, 64, mnemonic, "x")
WIDTHS(smax, "ldsmaxal")
WIDTHS(smin, "ldsminal")
WIDTHS(umax, "ldumaxal")
WIDTHS(umin, "lduminal")
#else
#if defined(__riscv)
#define ONE(name, width, mnemonic)                                                              \
  static uint64_t name##width(void *word, uint64_t value) {                                     \
    uint64_t old;                                                                               \
    __asm__ volatile(mnemonic " %0, %1, (%2)" : "=&r"(old) : "r"(value), "r"(word) : "memory"); \
    return old;                                                                                 \
  }
#define SEEN(width, old) (width == 32 ? (uint64_t)(int32_t)(old) : (old)) /* sign-extended */
ONE(smax, 32, "amomax.w.aqrl")
ONE(smin, 32, "amomin.w.aqrl")
ONE(umax, 32, "amomaxu.w.aqrl")
ONE(umin, 32, "amominu.w.aqrl")
ONE(smax, 64, "amomax.d.aqrl")
ONE(smin, 64, "amomin.d.aqrl")
ONE(umax, 64, "amomaxu.d.aqrl")
ONE(umin, 64, "amominu.d.aqrl")
#else
#define SEEN(width, old) (old)
#endif
#define PLAIN(name, width, type, better)                                                 \
  UNUSED static uint64_t name##width(void *word, uint64_t value) {                       \
    uint##width##_t old = *(uint##width##_t *)word;                                      \
    if ((type)value better(type) old) *(uint##width##_t *)word = (uint##width##_t)value; \
    return old;                                                                          \
  }
#define PLAINS(width)                    \
  PLAIN(smax, width, int##width##_t, >)  \
  PLAIN(smin, width, int##width##_t, <)  \
  PLAIN(umax, width, uint##width##_t, >) \
  PLAIN(umin, width, uint##width##_t, <)
PLAINS(8)
PLAINS(16)
#if !defined(__riscv)
PLAINS(32)
PLAINS(64)
#endif
#endif

static const uint64_t values[] = {0,
                                  1,
                                  0x7f,
                                  0x80,
                                  0xff,
                                  0x7fff,
                                  0x8000,
                                  0xffff,
                                  0x7fffffff,
                                  0x80000000,
                                  0xffffffff,
                                  0x7fffffffffffffff,
                                  0x8000000000000000,
                                  0xffffffffffffffff,
                                  0x123456789abcdef0};

#define CHECK(name, width, type, better)                                                                \
  do {                                                                                                  \
    int wrong = 0;                                                                                      \
    for (size_t i = 0; i < COUNT(values); i++)                                                          \
      for (size_t j = 0; j < COUNT(values); j++) {                                                      \
        uint##width##_t old = (uint##width##_t)values[i], word = old;                                   \
        uint##width##_t expected = (type)values[j] better(type) old ? (uint##width##_t)values[j] : old; \
        uint64_t back = name##width(&word, values[j]);                                                  \
        wrong += word != expected || back != SEEN(width, (uint64_t)old);                                \
      }                                                                                                 \
    number(#name " " #width, wrong);                                                                    \
  } while (0)
#define CHECKS(width)                     \
  CHECK(smax, width, int##width##_t, >);  \
  CHECK(smin, width, int##width##_t, <);  \
  CHECK(umax, width, uint##width##_t, >); \
  CHECK(umin, width, uint##width##_t, <)

CASE(least_and_greatest) {
  CHECKS(8);
  CHECKS(16);
  CHECKS(32);
  CHECKS(64);
}

/* Two words at once, where the processor can: one up by 1, the other by 3. */
static void add_to_both(unsigned long *both) {
#if defined(__powerpc64__)
  __asm__ volatile(
      "mr 4,%0\n1:\tlqarx 8,0,4\n\taddi 9,9,1\n\taddi 8,8,3\n\tstqcx. 8,0,4\n\tbne- 1b" ::"r"(both)
      : "r4", "r8", "r9", "cr0", "memory");
#elif defined(__aarch64__)
  unsigned long first, second;
  unsigned failed;
  do
    __asm__ volatile("ldaxp %0, %1, [%3]\n\tadd %0, %0, 1\n\tadd %1, %1, 3\n\tstlxp %w2, %0, %1, [%3]"
                     : "=&r"(first), "=&r"(second), "=&r"(failed)
                     : "r"(both)
                     : "memory");
  while (failed);
#elif defined(__x86_64__)
  unsigned long first = both[0], second = both[1];
  unsigned char done;
  do
    __asm__ volatile("lock cmpxchg16b (%3)\n\tsete %0"
                     : "=q"(done), "+a"(first), "+d"(second)
                     : "S"(both), "b"(first + 1), "c"(second + 3)
                     : "memory", "cc");
  while (!done);
#else
  __atomic_fetch_add(&both[0], 1, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&both[1], 3, __ATOMIC_SEQ_CST);
#endif
}

static void count_both(void *memory, UNUSED unsigned self) {
  for (int i = 0; i < ROUNDS; i++) add_to_both(memory);
}

CASE(two_words) {
  unsigned long *both = shared();
  all(count_both, both);
  show("counted", "%lu %lu", both[0], both[1]);
}
