/* time.c once more with a 64-bit time_t: on a 32-bit architecture every call has another number and
 * another structure. */
#define _TIME_BITS 64
#include "time.c"
