/* long double, in whichever of its four formats: what holds in all of them. Most are computed by
 * library routines, which is much integer code that must be exact. */
#include "case.h"

#include <complex.h>
#include <float.h>
#include <math.h>

/* A pair of doubles has an epsilon that says nothing about a sum's accuracy. */
#define NEAR (LDBL_EPSILON > 1e-30L ? LDBL_EPSILON : 1e-30L)
static volatile long double one = 1, three = 3, seven = 7;

CASE(exact) {
  show("sum", "%.1Lf", one + three);
  show("product", "%.1Lf", three * seven * 1000003);
  show("difference", "%.3Lf", one / 8 - seven);
  show("quotient", "%.4Lf", seven * 9 / 16);
  yes("third times three is near", fabsl(one / three * three - one) <= NEAR);
  yes("at least double", LDBL_MANT_DIG >= DBL_MANT_DIG);
}

CASE(comparison) {
  show("order", "%d %d %d %d", one < three, three <= one, seven == seven, one != three);
  yes("nan", isnan(one * NAN) && !(one == (long double)NAN));
  yes("infinity", isinf(LDBL_MAX * three));
}

CASE(conversions) {
  static volatile long long integers[] = {0, 1, -1, 123456789012345, -9007199254740993, INT64_C(1) << 52};
  for (size_t i = 0; i < COUNT(integers); i++) {
    char label[24];
    snprintf(label, sizeof label, "integer %zu", i);
    long double wide = integers[i];
    show(label, "%d %d", (long long)(double)integers[i] == integers[i] || sizeof wide > 8 || i == 4, (double)wide == (double)integers[i]);
  }
  show("to integer", "%lld %lu", (long long)(seven * 1e10L), (unsigned long)(three + 0.75L));
  show("from single", "%.3Lf", (long double)(volatile float){1.625f});
  show("to single", "%.3f", (double)(float)(one / 8));
}

CASE(text) {
  show("fixed", "%.3Lf %10.2Lf %Le", one / 4, -seven, three * 1000);
  show("general", "%Lg %Lg", one / 1024, seven * 1e20L);
  yes("parse", strtold("0.5", NULL) == 0.5L && strtold("-1e10", NULL) == -1e10L);
  long double read_back = 0;
  char text[64];
  snprintf(text, sizeof text, "%.40Lg", one / three);
  sscanf(text, "%Lf", &read_back);
  yes("round trip", fabsl(read_back - one / three) <= NEAR);
}

CASE(library) {
  show("root", "%.12Lf", sqrtl(three));
  show("functions", "%.10Lf %.10Lf %.10Lf", sinl(one), expl(one), logl(seven));
  show("power", "%.10Lf", powl(three, 0.5L));
  show("rounding", "%.0Lf %.0Lf %.0Lf %.0Lf", floorl(-2.5L), ceill(2.1L), truncl(-2.9L), roundl(2.5L));
  show("remainder", "%.3Lf", fmodl(seven, three));
  int exponent = 0;
  long double fraction = frexpl(seven, &exponent);
  show("parts", "%.3Lf %d", fraction, exponent);
}

static long double sum(int count, ...) {
  va_list arguments;
  long double total = 0;
  va_start(arguments, count);
  for (int i = 0; i < count; i++) total += va_arg(arguments, int) + va_arg(arguments, long double) + va_arg(arguments, double);
  va_end(arguments);
  return total;
}

CASE(arguments) {
  show("variadic", "%.2Lf", sum(3, 1, 2.5L, 0.25, 2, 3.5L, 0.25, 3, 4.5L, 0.5));
  long double values[40];
  for (int i = 0; i < 40; i++) values[i] = i / 4.0L;
  long double total = 0;
  for (int i = 0; i < 40; i++) total += values[i];
  show("array", "%.2Lf", total);
}

CASE(complex_numbers) {
  double complex a = 1 + 2 * I, b = 3 - I;
  volatile double complex product = a * b, quotient = a / b;
  show("product", "%g %g", creal(product), cimag(product));
  show("quotient", "%.10g %.10g", creal(quotient), cimag(quotient));
  show("magnitude", "%.10g %.10g", cabs(a), carg(b));
  double complex root = csqrt(a), power = cexp(I * 2);
  show("root", "%.10g %.10g", creal(root), cimag(root));
  show("exponential", "%.10g %.10g", creal(power), cimag(power));
}
