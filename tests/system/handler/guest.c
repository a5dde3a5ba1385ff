/* A guest program that says how it was started; with "exec PATH ARGS..." it executes another one instead. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "exec")) {
        execv(argv[2], argv + 2);
        printf("errno %d\n", errno);
        return 1;
    }
    struct utsname name;
    uname(&name);
    printf("machine %s\n", name.machine);
    for (int i = 0; i < argc; i++) printf("argv %s\n", argv[i]);
    printf("execfn %s\n", (const char *)getauxval(AT_EXECFN));
    printf("secure %lu\nflags %lu\neuid %d\nuid %d\n", getauxval(AT_SECURE), getauxval(AT_FLAGS),
           geteuid(), getuid());
    char text[4096] = {0};
    prctl(PR_GET_NAME, text);
    printf("comm %s\n", text);
    ssize_t size = readlink("/proc/self/exe", text, sizeof text - 1);
    if (size >= 0)
        printf("exe %.*s\n", (int)size, text);
    for (int i = 0; i < 1024; i++)
        if (fcntl(i, F_GETFD) >= 0) printf("open %d\n", i);
    return 42;
}
