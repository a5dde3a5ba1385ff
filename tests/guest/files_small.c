/* files.c once more with the ABI's original off_t: on a 32-bit architecture that is another set of
 * system calls and structures (llseek, fstat64 into 32-bit fields, F_SETLK, pread pairs). */
#define CASE_SMALL_FILES
#include "files.c"
