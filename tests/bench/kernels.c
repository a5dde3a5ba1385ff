/* One kernel by name, timed inside the program: prints "NS OPERATIONS CHECK". Start-up is not in the numbers, and the
 * check must be the same wherever it runs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t calls_getpid(long n) {
    uint64_t failed = 0;
    for (long i = 0; i < n; i++) failed += syscall(SYS_getpid) <= 0;
    return failed;
}

static uint64_t calls_read(long n) {
    char byte;
    uint64_t sum = 0;
    int fd = open("/dev/zero", O_RDONLY);
    if (fd < 0) return 1;
    for (long i = 0; i < n; i++) sum += read(fd, &byte, 1) == 1;
    close(fd);
    return sum;
}

static uint64_t calls_stat(long n) {
    struct stat st;
    uint64_t sum = 0;
    for (long i = 0; i < n; i++) sum += stat("/", &st) == 0 && S_ISDIR(st.st_mode);
    return sum;
}

/* CRC-32, bit by bit: shifts, branches, no memory */
static uint64_t integer(long n) {
    uint32_t crc = 0xffffffffu;
    for (long i = 0; i < n; i++) {
        crc ^= (uint32_t)(i & 0xff);
        for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return crc;
}

#define SIDE 64
static uint64_t floating(long n) {
    static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) a[i][j] = i - j, b[i][j] = (i + j) * 0.5;
    for (long r = 0; r < n; r++)
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                double sum = 0;
                for (int k = 0; k < SIDE; k++) sum += a[i][k] * b[k][j];
                c[i][j] += sum;
            }
    return (uint64_t)(int64_t)(c[3][5] * 2);
}

/* a sieve of bytes (strided stores), then copies */
static uint64_t memory(long n) {
    enum { BYTES = 1 << 20 };
    uint64_t sum = 0;
    unsigned char *sieve = malloc(BYTES), *copy = malloc(BYTES);
    if (!sieve || !copy) return 0;
    for (long r = 0; r < n; r++) {
        memset(sieve, 1, BYTES);
        for (long i = 2; i * i < BYTES; i++)
            if (sieve[i])
                for (long j = i * i; j < BYTES; j += i) sieve[j] = 0;
        memcpy(copy, sieve, BYTES);
        for (long i = 2; i < BYTES; i++) sum += copy[i];
    }
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*run)(long);
} kernels[] = {
    {"getpid", calls_getpid}, {"read", calls_read},   {"stat", calls_stat},
    {"integer", integer},     {"float", floating},    {"memory", memory},
};

int main(int argc, char **argv) {
    long n = argc == 3 ? atol(argv[2]) : 0;
    for (size_t i = 0; n > 0 && i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(kernels[i].name, argv[1])) {
            uint64_t start = now(), check = kernels[i].run(n);
            printf("%llu %ld %llu\n", (unsigned long long)(now() - start), n, (unsigned long long)check);
            return 0;
        }
    fputs("usage: kernels NAME COUNT\n", stderr);
    return 2;
}
