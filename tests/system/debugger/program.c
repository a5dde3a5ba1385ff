// What tests/system/test_gdb.py debugs. The first argument says which part; lines are found by their comments.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int counter = 1, caught, go_on;
double real = 2.5;
char text[16] = "before";
static pthread_barrier_t barrier;
static long rounds = 1000;
static char **words;

static int square(int n) {
    int result = n * n;  // in square
    counter += result;
    return result;
}

static void say(const char *what) {
    printf("%s %d %s\n", what, counter, text);
    fflush(stdout);
}

static void handler(int signo) {
    caught++;
}

static int sums(void) {
    int total = 0;  // first line of sums
    for (int i = 1; i <= 3; i++)
        total += square(i);
    real *= 2;
    say("sums");
    return total;
}

static int signals(void) {
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    raise(SIGUSR1);
    printf("caught %d\n", caught);
    fflush(stdout);
    *(volatile int *)8 = caught;  // crash
    return 0;
}

void bump(void) {
    __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
}

static void *worker(void *argument) {
    long number = (long)argument;
    pthread_barrier_wait(&barrier);  // in worker
    for (long i = 0; i < rounds; i++)
        bump();
    return (void *)number;
}

static int threads(void) {
    pthread_t thread[3];
    pthread_barrier_init(&barrier, NULL, 4);
    for (long n = 0; n < 3; n++)
        pthread_create(&thread[n], NULL, worker, (void *)n);
    pthread_barrier_wait(&barrier);
    for (int n = 0; n < 3; n++)
        pthread_join(thread[n], NULL);
    say("joined");
    return 3;
}

static int forks(void) {
    pid_t child = fork();
    if (child == 0) {
        say("child");
        _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    counter = WEXITSTATUS(status);
    say("parent");
    return 4;
}

static int reads(void) {
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], "after", 6) != 6)
        return 1;
    read(ends[0], text, 6);
    say("read");
    return 7;
}

static int stops(void) {
    raise(SIGTSTP);
    say("continued");
    return 8;
}

static int waits(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    say("waiting");
    if (read(0, text, sizeof text) < 0 && errno == EINTR)
        say("interrupted");
    return 10 + caught;
}

static void *replace(void *unused) {
    execl(words[0], words[0], "sums", (char *)NULL);  // in replace
    return unused;
}

static int elsewhere(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, replace, NULL);
    pause();
    return 1;
}

static int loops(void) {
    while (!go_on)
        counter++;
    return 5;
}

static int sleeps(void) {
    alarm(30);
    while (!go_on)
        sleep(1);
    return 6;
}

int main(int argc, char **argv) {
    const char *part = argc > 1 ? argv[1] : "sums";  // first line of main
    words = argv;
    if (argc > 2)
        rounds = atol(argv[2]);
    if (!strcmp(part, "sums"))
        return sums();
    if (!strcmp(part, "signals"))
        return signals();
    if (!strcmp(part, "threads"))
        return threads();
    if (!strcmp(part, "forks"))
        return forks();
    if (!strcmp(part, "reads"))
        return reads();
    if (!strcmp(part, "stops"))
        return stops();
    if (!strcmp(part, "waits"))
        return waits();
    if (!strcmp(part, "elsewhere"))
        return elsewhere();
    if (!strcmp(part, "loops"))
        return loops();
    if (!strcmp(part, "sleeps"))
        return sleeps();
    if (!strcmp(part, "again"))
        execl(argv[0], argv[0], "sums", (char *)NULL);
    return 1;
}
