/* Floating point: arithmetic to the last bit, rounding modes, exception flags, conversions, text, and
 * functions of the library. The sign of a NaN, its payload and traps are the ABI's and stay out. */
#include "case.h"

/* Else the compiler may expand rint() in a way that is only right when rounding to nearest. */
#pragma GCC optimize("rounding-math")

#include <fenv.h>
#include <float.h>
#include <math.h>

static volatile double one = 1, three = 3, tenth = 0.1, zero = 0, big = 1e308, tiny = 1e-308;
static volatile float onef = 1, threef = 3;

CASE(arithmetic) {
  show("third", "%a", one / three);
  show("third single", "%a", (double)(onef / threef));
  show("tenths", "%a", tenth + 0.2);
  show("sum", "%.17g", tenth * 3);
  show("root", "%a", sqrt(three));
  show("root single", "%a", (double)sqrtf(threef));
  double sum = 0;
  for (int i = 1; i < 200; i++) sum += 1.0 / (i * three);
  show("series", "%a", sum);
  float single = 0;
  for (int i = 1; i < 200; i++) single += 1.0f / ((float)i * threef);
  show("series single", "%a", (double)single);
  show("fused", "%a", fma(tenth, 10, -one));
  show("remainder", "%a %a", fmod(big, three), remainder(7.5, 2));
}

CASE(special) {
  show("infinity", "%g %g", big * 10, -big * 10);
  yes("nan", isnan(zero / zero) && isnan(sqrt(-one)));
  yes("nan compares", !(zero / zero == zero / zero));
  show("zero", "%g %d", -zero, signbit(-zero) != 0);
  show("denormal", "%a %d", tiny / 1e10, fpclassify(tiny / 1e10) == FP_SUBNORMAL);
  show("underflow", "%g", tiny * tiny);
  show("smallest", "%a %a", DBL_MIN, DBL_TRUE_MIN);
  show("division", "%g %g", one / zero, -one / zero);
  show("ordering", "%d %d %d %d", one < three, one > three, isless(one, zero / zero), isunordered(one, zero / zero));
  show("minimum", "%g %g", fmin(one, zero / zero), fmax(three, one));
}

static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
static const char *const mode_names[] = {"nearest", "up", "down", "zero"};

CASE(rounding) {
  for (size_t i = 0; i < COUNT(modes); i++) {
    int set = fesetround(modes[i]), get;
    volatile double quotient = one / three, negative = -one / three, sum = tenth + 0.2;
    volatile float single = onef / threef;
    volatile float narrowed = (float)tenth;
    volatile double halves[5] = {2.5, -2.5, 3.5, 1.3, 2.7};
    double whole[4] = {rint(halves[0]), rint(halves[1]), nearbyint(halves[2]), rint(halves[3])};
    long integer = lrint(halves[4]);
    get = fegetround();
    fesetround(FE_TONEAREST);
    show(mode_names[i], "%a %a %a %a %a", quotient, negative, sum, (double)single, (double)narrowed);
    char label[32];
    snprintf(label, sizeof label, "%s whole", mode_names[i]);
    show(label, "%d %d: %g %g %g %g %ld", set, get == modes[i], whole[0], whole[1], whole[2], whole[3], integer);
  }
}

static const char *flags(void) {
  static char text[64];
  int set = fetestexcept(FE_ALL_EXCEPT);
  snprintf(text, sizeof text, "%s%s%s%s%s", set & FE_INVALID ? "invalid " : "", set & FE_DIVBYZERO ? "zero " : "",
           set & FE_OVERFLOW ? "overflow " : "", set & FE_UNDERFLOW ? "underflow " : "", set & FE_INEXACT ? "inexact" : "");
  feclearexcept(FE_ALL_EXCEPT);
  return text;
}

CASE(exceptions) {
  volatile double result;
  flags();
  result = one / three;
  show("third", "%s", flags());
  result = one / zero;
  show("by zero", "%s", flags());
  result = zero / zero;
  show("invalid", "%s", flags());
  result = big * big;
  show("overflow", "%s", flags());
  result = tiny * tiny;
  show("underflow", "%s", flags());
  result = one + three;
  show("exact", "%s", flags());
  result = sqrt(-one);
  show("root", "%s", flags());
  (void)result;
  number("raise", feraiseexcept(FE_INVALID | FE_INEXACT));
  show("raised", "%s", flags());
  fenv_t environment;
  number("hold", feholdexcept(&environment));
  fesetround(FE_UPWARD);
  result = one / zero;
  number("update", feupdateenv(&environment));
  show("kept", "%s %d", flags(), fegetround() == FE_TONEAREST);
}

static volatile sig_atomic_t handled;
static void disturb(int signal) {
  (void)signal;
  handled++;
  fesetround(FE_DOWNWARD);
  feraiseexcept(FE_DIVBYZERO);
}

CASE(state_and_signals) {
  signal(SIGUSR1, disturb);
  feclearexcept(FE_ALL_EXCEPT);
  raise(SIGUSR1);
  number("handled", handled);
  yes("rounding restored", fegetround() == FE_TONEAREST);
  fesetround(FE_UPWARD);
  pid_t pid = start();
  if (pid == 0) _exit(fegetround() == FE_UPWARD ? 1 : 2);
  status("inherited by fork", finish(pid));
  fesetround(FE_TONEAREST);
}

CASE(conversions) {
  static volatile double values[] = {0, 0.5, -0.5, 1.99, -1.99, 2147483647, -2147483648.0, 4294967295.0, 1e15, -1e15};
  for (size_t i = 0; i < COUNT(values); i++) {
    char label[16];
    snprintf(label, sizeof label, "value %zu", i);
    show(label, "%lld %g", (long long)values[i], (double)(float)values[i]);
  }
  volatile unsigned long long huge = UINT64_C(0xfffffffffffffc01);
  volatile long long negative = INT64_MIN;
  volatile unsigned small = 4000000000u;
  show("from integers", "%a %a %a", (double)huge, (double)negative, (double)small);
  show("to unsigned", "%llu %u", (unsigned long long)(volatile double){1.8e19}, (unsigned)(volatile double){3e9});
  show("single", "%a %a", (double)(float)huge, (double)(float)small);
  show("round", "%ld %ld %g %g %g", lround(2.5), lround(-2.5), trunc(-2.7), ceil(2.1), floor(-2.1));
}

CASE(text) {
  show("general", "%g %g %g %g", 1e10, 1e-10, 123456789.0, 0.0001);
  show("fixed", "%.3f %10.2f %-10.1f| %+.0f", 3.14159, -2.5, 1.25, 0.5);
  show("scientific", "%e %.2E", 12345.678, 0.00012345);
  show("hexadecimal", "%a %.3a", 1.0 / 3, 100.0);
  show("long", "%.20f", 0.1);
  show("huge", "%.0f", 1e22);
  show("parse", "%a %a %a", strtod("0.1", NULL), strtod("1e-320", NULL), strtod("0x1.8p3", NULL));
  show("nearly half", "%a", strtod("1.00000000000000011102230246251565404236316680908203126", NULL));
  errno = 0;
  double infinite = strtod("1e999", NULL);
  show("too big", "%g %s", infinite, error_name(errno));
  float single;
  double twice;
  number("sscanf", sscanf("1.5 2.25e3", "%f %lf", &single, &twice));
  show("scanned", "%g %g", (double)single, twice);
}

CASE(library) {
  show("trigonometry", "%.10g %.10g %.10g", sin(one), cos(one), tan(one));
  show("inverse", "%.10g %.10g %.10g", asin(0.5), acos(0.5), atan2(one, -three));
  show("exponential", "%.10g %.10g %.10g", exp(one), log(three), pow(three, 0.7));
  show("more", "%.10g %.10g %.10g %.10g", exp2(0.3), log2(three), log10(three), cbrt(three));
  show("hyperbolic", "%.10g %.10g %.10g", sinh(one), cosh(one), tanh(one));
  show("gamma", "%.10g %.10g %.10g", tgamma(4.5), lgamma(10.5), erf(0.5));
  show("large argument", "%.10g", sin(1e10));
  show("distance", "%.10g", hypot(3e200, 4e200));
  int exponent;
  double fraction = frexp(123.456, &exponent), whole;
  show("parts", "%a %d %a", fraction, exponent, modf(123.456, &whole));
  show("scale", "%a %a %d %g", ldexp(one, 10), scalbn(three, -3), ilogb(1000.0), logb(0.1));
  show("next", "%a %a", nextafter(one, 2), (double)nextafterf(onef, 0));
  show("sign", "%g %g %g", copysign(three, -zero), fabs(-three), fdim(three, one));
}
