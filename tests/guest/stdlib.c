/* The C library's own algorithms, as a test of ordinary integer code: sorting, searching, numbers and
 * text, random sequences, patterns, character sets, wide characters. */
#include "case.h"

#include <ctype.h>
#include <fnmatch.h>
#include <iconv.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <regex.h>
#include <search.h>
#include <setjmp.h>
#include <wchar.h>
#include <wctype.h>
#include <wordexp.h>

static int ascending(const void *left, const void *right) {
  int a = *(const int *)left, b = *(const int *)right;
  return (a > b) - (a < b);
}

CASE(sorting) {
  int values[500];
  unsigned state = 12345;
  for (size_t i = 0; i < COUNT(values); i++) values[i] = (int)((state = state * 1103515245 + 12345) >> 8);
  qsort(values, COUNT(values), sizeof *values, ascending);
  int sorted = 1;
  for (size_t i = 1; i < COUNT(values); i++) sorted &= values[i - 1] <= values[i];
  show("sorted", "%d %d %d", sorted, values[0], values[499]);
  int key = values[123];
  int *found = bsearch(&key, values, COUNT(values), sizeof *values, ascending);
  yes("found", found != NULL && *found == key);
  key = -5;
  yes("not found", bsearch(&key, values, COUNT(values), sizeof *values, ascending) == NULL);
}

CASE(tables) {
  hcreate(50);
  hsearch((ENTRY){.key = (char *)(uintptr_t)"one", .data = (void *)1}, ENTER);
  hsearch((ENTRY){.key = (char *)(uintptr_t)"two", .data = (void *)2}, ENTER);
  ENTRY *entry = hsearch((ENTRY){.key = (char *)(uintptr_t)"two"}, FIND);
  number("hash", entry != NULL ? (long)(uintptr_t)entry->data : -1);
  void *root = NULL;
  static int values[] = {5, 3, 8, 1, 4, 7, 9, 2, 6};
  for (size_t i = 0; i < COUNT(values); i++) tsearch(&values[i], &root, ascending);
  int key = 7;
  int **node = tfind(&key, &root, ascending);
  number("tree", node != NULL ? **node : -1);
  tdelete(&key, &root, ascending);
  yes("deleted", tfind(&key, &root, ascending) == NULL);
}

CASE(numbers) {
  char *end;
  long decimal = strtol("  -123abc", &end, 10);
  show("decimal", "%ld %s", decimal, end);
  show("bases", "%ld %ld %ld %ld", strtol("0x7f", NULL, 0), strtol("0755", NULL, 0), strtol("zz", NULL, 36), strtol("1011", NULL, 2));
  errno = 0;
  long long most = strtoll("99999999999999999999", NULL, 10);
  show("overflow", "%lld %s", most, error_name(errno));
  show("unsigned", "%llu", strtoull("18446744073709551615", NULL, 10));
  lldiv_t parts = lldiv(-1000000000007, 1000);
  show("division", "%lld %lld", parts.quot, parts.rem);
  volatile int64_t a = INT64_C(0x123456789abcdef), b = 977;
  volatile uint64_t c = UINT64_C(0xfedcba9876543210), d = 1000003;
  show("wide", "%" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64, a / b, a % b, c / d, c % d);
  show("shifts", "%" PRIx64 " %" PRIx64 " %" PRId64, a << 13, c >> 29, (int64_t)c >> 17);
  show("product", "%" PRIx64 " %" PRIx64, (uint64_t)a * (uint64_t)b, c * d);
  volatile uint32_t e = 0xdeadbeef;
  show("bits", "%d %d %d %x", __builtin_clz(e), __builtin_ctz(e), __builtin_popcountll(c), __builtin_bswap32(e));
  volatile int32_t negative = -17, five = 5;
  show("signed", "%d %d %d", negative / five, negative % five, negative >> 2);
  volatile int64_t result;
  show("overflowing", "%d %d", __builtin_add_overflow(INT64_MAX, a, (int64_t *)&result), __builtin_mul_overflow(a, b, (int64_t *)&result));
}

CASE(printing) {
  show("integers", "%5d|%-5d|%05d|%+d|%x|%#o|%lld", 42, 42, 42, 42, 255, 8, -9000000000LL);
  show("strings", "%10s|%-10s|%.2s|%c", "right", "left", "cut", 'c');
  show("positions", "%2$s %1$s", "first", "second");
  show("sizes", "%hhd %hd %zu %jd", (signed char)-1, (short)-2, (size_t)3, (intmax_t)-4);
  char text[8];
  number("truncated", snprintf(text, sizeof text, "%s", strerror(ENOENT)));
  show("text", "%s", text);
  char *made = NULL;
  number("asprintf", asprintf(&made, "%d-%s", 7, "x"));
  int a = 0, b = 0;
  char word[16] = "";
  number("sscanf", sscanf("12:0x1f:word rest", "%d:%x:%15s", &a, (unsigned *)&b, word));
  show("scanned", "%d %d %s", a, b, word);
  int set = sscanf("abc123", "%[a-z]%n", word, &a);
  show("set", "%d %s %d", set, word, a);
}

CASE(random_sequences) {
  srand(42);
  int a = rand(), b = rand();
  show("rand", "%d %d", a, b);
  srandom(7);
  long c = random(), d = random();
  show("random", "%ld %ld", c, d);
  srand48(9);
  double e = drand48();
  show("48 bits", "%.12f %ld", e, lrand48());
  unsigned seed = 3;
  a = rand_r(&seed);
  show("rand_r", "%d %u", a, seed);
}

CASE(strings) {
  char text[200], *state;
  memset(text, 0, sizeof text);
  for (int i = 0; i < 150; i++) text[i] = (char)('a' + i % 26);
  int right = 0;
  for (size_t i = 0; i < 40; i++)
    for (size_t size = 0; size < 20; size += 3) {
      char copy[100];
      memset(copy, '#', sizeof copy);
      memcpy(copy + i, text + size, size);
      memmove(copy + i + 1, copy + i, size);
      right += memcmp(copy + i + 1, text + size, size) == 0 && copy[i + size + 1] == '#';
    }
  number("copies", right);
  int lengths = 0, places = 0;
  for (int i = 0; i < 60; i++) {
    lengths += strlen(text + i) == (size_t)(150 - i);
    places += strchr(text + i, 'z') == text + (i / 26) * 26 + 25;
  }
  show("lengths places", "%d %d", lengths, places);
  show("search", "%d %d %d", (int)(strstr(text, "xyzab") - text), (int)(strrchr(text, 'b') - text), (int)strcspn(text, "pq"));
  show("compare", "%d %d %d", strcmp("abc", "abd") < 0, strncmp("abcx", "abcy", 3), strcasecmp("HeLLo", "hEllO"));
  char words[] = "one,two;;three";
  char *first = strtok_r(words, ",;", &state), *second = strtok_r(NULL, ",;", &state);
  show("tokens", "%s %s", first, second);
  show("memmem", "%s", (char *)memmem("haystack with needle", 20, "needle", 6));
  show("versions", "%d %d", strverscmp("file9", "file10") < 0, strverscmp("1.0", "1.0") == 0);
}

CASE(patterns) {
  regex_t expression;
  regmatch_t match[3];
  number("compile", regcomp(&expression, "([a-z]+)-([0-9]{2,4})$", REG_EXTENDED));
  number("match", regexec(&expression, "some text abc-1234", 3, match, 0));
  show("places", "%d %d %d %d", (int)match[1].rm_so, (int)match[1].rm_eo, (int)match[2].rm_so, (int)match[2].rm_eo);
  number("no match", regexec(&expression, "abc-1", 0, NULL, 0));
  number("bad", regcomp(&expression, "(", REG_EXTENDED) != 0);
  show("fnmatch", "%d %d", fnmatch("*.[ch]", "file.c", 0), fnmatch("a?c", "a/c", FNM_PATHNAME) != 0);
  wordexp_t words;
  number("wordexp", wordexp("a 'b c' $((6*7))", &words, WRDE_NOCMD));
  show("words", "%zu %s %s", words.we_wordc, words.we_wordv[1], words.we_wordv[2]);
}

CASE(character_sets) {
  iconv_t convert = iconv_open("UCS-4BE", "UTF-8");
  outcome("open", convert == (iconv_t)-1 ? -1 : 0);
  if (convert == (iconv_t)-1) return;
  char in[] = "a\xc3\xa9\xe2\x82\xac", out[32] = "", *from = in, *to = out;
  size_t in_left = sizeof in - 1, out_left = sizeof out;
  number("convert", (long)iconv(convert, &from, &in_left, &to, &out_left));
  show("result", "%d %02x %02x%02x", (int)(to - out), (unsigned char)out[7], (unsigned char)out[10], (unsigned char)out[11]);
  char bad[] = "\xff", *wrong = bad;
  in_left = 1;
  outcome("invalid", (long)iconv(convert, &wrong, &in_left, &to, &out_left));
}

CASE(wide_characters) {
  show("locale", "%s %s", setlocale(LC_ALL, NULL), nl_langinfo(CODESET));
  wchar_t wide[32];
  number("mbstowcs", (long)mbstowcs(wide, "plain", 32));
  number("wcslen", (long)wcslen(wide));
  wcscat(wide, L"+more");
  char narrow[32] = "";
  number("wcstombs", (long)wcstombs(narrow, wide, sizeof narrow));
  show("narrow", "%s", narrow);
  show("classes", "%d %d %d", iswalpha(L'x') != 0, towupper(L'q') == L'Q', isxdigit('f') != 0);
  swprintf(wide, 32, L"%d %ls", 5, L"wide");
  wcstombs(narrow, wide, sizeof narrow);
  show("printed", "%s", narrow);
  yes("unknown locale", setlocale(LC_ALL, "xx_XX.nothing") == NULL);
}

static jmp_buf place;
static void throw(int value) { longjmp(place, value); }

CASE(jumps) {
  volatile int rounds = 0;
  int value = setjmp(place);
  if (++rounds < 4) throw(rounds);
  show("rounds", "%d %d", rounds, value);
  if (setjmp(place) == 0) throw(0);
  else show("zero becomes one", "yes");
}

struct wide {
  double a;
  int b;
  char c[20];
  long long d;
};
__attribute__((noinline)) static struct wide pass(struct wide first, int second, struct wide third, float fourth) {
  first.a += third.a + (double)fourth;
  first.d += third.d * second;
  first.c[3] = third.c[4];
  return first;
}

CASE(structures) {
  struct wide one = {1.5, 2, "abcdefg", 1000000000000}, two = {2.25, 3, "ABCDEFG", -7};
  struct wide result = pass(one, 3, two, 0.25f);
  show("passed", "%g %d %s %lld", result.a, result.b, result.c, result.d);
  union {
    uint32_t word;
    unsigned char bytes[4];
  } order = {.word = 0x01020304};
  yes("byte order is one of two", order.bytes[0] == 1 || order.bytes[0] == 4);
  struct {
    unsigned a : 3, b : 7, c : 14;
    int d : 5;
  } bits = {5, 100, 9999, -9};
  show("fields", "%u %u %u %d", bits.a, bits.b, bits.c, bits.d);
}
