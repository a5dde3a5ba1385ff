/* execve(2) and its family: arguments, environment, descriptors, signals and masks across it, every
 * error, scripts, descriptors as programs, and exec among threads. */
#include "case.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <libgen.h>

extern char **environ;

/* --report CASE: say what arrived. The other modes check one thing each. */
int helper(int argc, char **argv) {
  case_name = argc > 2 ? argv[2] : "helper";
  if (strcmp(argv[1], "--report") == 0) {
    for (int i = 3; i < argc; i++) {
      char label[32];
      snprintf(label, sizeof label, "argument %d", i - 2);
      show(label, "'%s'", argv[i]);
    }
    const char *value = getenv("EXEC_TEST");
    show("environment", "%s", value != NULL ? value : "unset");
    return argc;
  }
  if (strcmp(argv[1], "--state") == 0) {
    sigset_t mask, pending;
    struct sigaction ignored, handled;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigpending(&pending);
    sigaction(SIGUSR1, NULL, &ignored);
    sigaction(SIGUSR2, NULL, &handled);
    show("ignored stays", "%d", ignored.sa_handler == SIG_IGN);
    show("handled is default", "%d", handled.sa_handler == SIG_DFL);
    show("mask", "%d %d", sigismember(&mask, SIGTERM), sigismember(&mask, SIGHUP));
    show("pending", "%d", sigismember(&pending, SIGTERM));
    show("descriptors", "%d %d", fcntl(40, F_GETFD), fcntl(41, F_GETFD));
    show("offset", "%ld", (long)lseek(40, 0, SEEK_CUR));
    stack_t stack;
    sigaltstack(NULL, &stack);
    show("alternate stack", "%d", stack.ss_flags == SS_DISABLE);
    show("umask", "%o", umask(0));
    yes("alarm is kept", alarm(0) > 50);
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    yes("name is the program's", strncmp(name, basename((char *)(uintptr_t)case_self), 15) == 0);
    yes("parent and pid", getenv("EXEC_PID") != NULL && atoi(getenv("EXEC_PID")) == getpid());
    return 0;
  }
  if (strcmp(argv[1], "--many") == 0) {
    long bytes = 0;
    for (int i = 3; i < argc; i++) bytes += (long)strlen(argv[i]);
    show("received", "%d arguments, %ld bytes", argc - 3, bytes);
    return 0;
  }
  if (strcmp(argv[1], "--large") == 0) {
    number("pages", (long)((strlen(argv[3]) + 1) / (size_t)sysconf(_SC_PAGESIZE)));
    return 0;
  }
  if (strcmp(argv[1], "--threads") == 0) {
    yes("thread id is pid", syscall(SYS_gettid) == getpid());
    yes("pid kept", argc > 3 && atoi(argv[3]) == getpid());
    return 23;
  }
  if (strcmp(argv[1], "--chain") == 0) {
    int left = atoi(argv[3]);
    if (left == 0) return 61;
    char text[16];
    snprintf(text, sizeof text, "%d", left - 1);
    execl(argv[0], argv[0], "--chain", argv[2], text, NULL);
    return 1;
  }
  if (strcmp(argv[1], "--closed") == 0) {
    int open_before = open("/dev/null", O_RDONLY);
    dprintf(atoi(argv[3]), "%s lowest: %d\n", case_name, open_before);
    return 0;
  }
  if (strcmp(argv[1], "--zero") == 0) return argc;
  return 96;
}

static void report(int wait_status) { status("status", wait_status); }

#define IN_CHILD(code)          \
  do {                          \
    pid_t in_child = start();   \
    if (in_child == 0) {        \
      code;                     \
      outcome("failed", -1);    \
      _exit(95);                \
    }                           \
    report(finish(in_child));   \
  } while (0)

CASE(arguments) {
  setenv("EXEC_TEST", "inherited", 1);
  IN_CHILD(execl(case_self, "any name", "--report", case_name, "one", "", "three words here", NULL));
}

CASE(environment) {
  char *arguments[] = {"x", "--report", "environment", NULL}, *variables[] = {"EXEC_TEST=given", NULL};
  IN_CHILD(execve(case_self, arguments, variables));
}

CASE(no_environment) {
  char *arguments[] = {"x", "--report", "no_environment", NULL};
  IN_CHILD(execve(case_self, arguments, NULL));
}

CASE(search_path) {
  char *path = strdup(case_self), *name = strdup(case_self);
  setenv("PATH", dirname(path), 1);
  unsetenv("EXEC_TEST");
  IN_CHILD(execlp(basename(name), "x", "--report", case_name, NULL));
}

CASE(state) {
  char text[16];
  signal(SIGUSR1, SIG_IGN);
  signal(SIGUSR2, exit);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pid_t pid = start();
  if (pid == 0) {
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGTERM);
    int fd = MUST(open("state", O_RDWR | O_CREAT, 0600));
    MUST(write(fd, "abc", 3));
    MUST(dup2(fd, 40));
    MUST(dup3(fd, 41, O_CLOEXEC));
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    MUST(sigaltstack(&stack, NULL));
    umask(031);
    alarm(100);
    prctl(PR_SET_NAME, "renamed");
    snprintf(text, sizeof text, "%d", getpid());
    setenv("EXEC_PID", text, 1);
    execl(case_self, case_self, "--state", case_name, NULL);
    _exit(1);
  }
  report(finish(pid));
}

static void attempt(const char *label, const char *path) {
  char *arguments[] = {(char *)(uintptr_t)path, NULL};
  pid_t pid = start();
  if (pid == 0) {
    execve(path, arguments, environ);
    outcome(label, -1);
    _exit(0);
  }
  finish(pid);
}

static void make(const char *name, const void *bytes, size_t size, mode_t mode) {
  int fd = MUST(open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600));
  MUST(write(fd, bytes, size));
  MUST(fchmod(fd, mode));
  MUST(close(fd));
}

CASE(errors) {
  attempt("missing", "./missing");
  attempt("empty name", "");
  attempt("directory", ".");
  make("plain", "echo", 4, 0644);
  attempt("not executable", "./plain");
  make("empty", "", 0, 0755);
  attempt("empty file", "./empty");
  make("text", "hello world\n", 12, 0755);
  attempt("text", "./text");
  attempt("below a file", "./plain/x");
  MUST(symlink("circle", "circle"));
  attempt("loop", "./circle");
  MUST(symlink("missing", "dangling"));
  attempt("dangling", "./dangling");
  make("script", "#!./no-such-interpreter\n", 24, 0755);
  attempt("script without interpreter", "./script");
  make("blank", "#!\n", 3, 0755);
  attempt("script naming nothing", "./blank");
  make("noexec", "#!./plain\n", 10, 0755);
  attempt("script with plain interpreter", "./noexec");
  char name[NAME_MAX + 20];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = 0;
  attempt("long name", name);
  attempt("bad pointer", pointer(8));
  attempt("fifo", (mkfifo("fifo", 0755), "./fifo"));
}

CASE(broken_elf) {
  unsigned char header[4096] = "";
  int fd = MUST(open(case_self, O_RDONLY));
  MUST(read(fd, header, sizeof header));
  make("truncated", header, 30, 0755);
  attempt("truncated header", "./truncated");
  unsigned char copy[4096];
  memcpy(copy, header, sizeof copy);
  copy[18] = copy[19] = 0x7f; /* e_machine */
  make("machine", copy, sizeof copy, 0755);
  attempt("machine", "./machine");
  memcpy(copy, header, sizeof copy);
  copy[16] = copy[17] = 4; /* e_type */
  make("type", copy, sizeof copy, 0755);
  attempt("type", "./type");
  memcpy(copy, header, sizeof copy);
  size_t place = sizeof(void *) == 8 ? 56 : 44; /* e_phnum */
  copy[place] = copy[place + 1] = 0;
  make("headers", copy, sizeof copy, 0755);
  attempt("no program headers", "./headers");
  static const char *const types[] = {"no type", "object", "", "", "core dump"};
  for (uint16_t type = 0; type <= 4; type++)
    if (*types[type] != 0) {
      memcpy(copy, header, sizeof copy);
      memcpy(copy + 16, &type, sizeof type);
      make("typed", copy, sizeof copy, 0755);
      attempt(types[type], "./typed");
    }
  make("beyond", header, sizeof(void *) == 8 ? 64 + 20 : 52 + 20, 0755);
  attempt("program headers beyond the file", "./beyond");
}

/* A program header for a dynamic loader that is not there, in front of a header of this program. */
CASE(missing_interpreter) {
  unsigned char file[4096] = "";
  int fd = MUST(open(case_self, O_RDONLY));
  MUST(read(fd, file, 64));
  ElfW(Ehdr) *header = (void *)file;
  header->e_type = ET_EXEC;
  header->e_phoff = sizeof *header;
  header->e_phnum = 2;
  ElfW(Phdr) *programs = (void *)(file + sizeof *header);
  static const char name[] = "./no/such/loader";
  programs[0] = (ElfW(Phdr)){.p_type = PT_INTERP, .p_offset = 1024, .p_filesz = sizeof name};
  programs[1] = (ElfW(Phdr)){.p_type = PT_LOAD, .p_vaddr = 0x400000, .p_filesz = 2048, .p_memsz = 2048};
  programs[1].p_flags = PF_R | PF_X;
  programs[1].p_align = 65536;
  memcpy(file + 1024, name, sizeof name);
  make("dynamic", file, sizeof file, 0755);
  attempt("missing", "./dynamic");
  make("loader", "no program", 10, 0755);
  memset(file + 1024, 0, sizeof name);
  memcpy(file + 1024, "./loader", 9);
  make("dynamic", file, sizeof file, 0755);
  attempt("too short", "./dynamic");
  make("loader", file + 64, 2048, 0755);
  attempt("no ELF file", "./dynamic");
  make("loader", file, 4096, 0644);
  attempt("not executable", "./dynamic");
  file[1024 + 8] = 'x';
  make("dynamic", file, sizeof file, 0755);
  attempt("name without an end", "./dynamic");
}

/* One argument of so many pages: 32 with the NUL are allowed. */
static void large_argument(size_t pages) {
  size_t size = pages * (size_t)sysconf(_SC_PAGESIZE);
  char *large = malloc(size);
  memset(large, 'L', size - 1);
  large[size - 1] = 0;
  char *arguments[] = {"x", "--large", strdup(case_name), large, NULL};
  IN_CHILD(execve(case_self, arguments, environ));
}

CASE(big) { large_argument(31); }

CASE(too_big) { large_argument(33); }

CASE(many_arguments) {
  enum { MANY = 3000 };
  char **arguments = calloc(MANY + 4, sizeof *arguments), *text = strdup("0123456789012345678901234567890123456789");
  arguments[0] = "x";
  arguments[1] = "--many";
  arguments[2] = "many_arguments";
  for (int i = 0; i < MANY; i++) arguments[i + 3] = text;
  IN_CHILD(execve(case_self, arguments, environ));
}

static void script(const char *name, const char *first_line) {
  make(name, first_line, strlen(first_line), 0755);
}

CASE(scripts) {
  char line[PATH_MAX + 64];
  setenv("EXEC_TEST", "script", 1);
  snprintf(line, sizeof line, "#! %s --report\n", case_self);
  script("first", line); /* its path takes the place of the case name in what it prints */
  pid_t pid = start();
  if (pid == 0) {
    execl("./first", "lost name", "second", "third", NULL);
    _exit(1);
  }
  report(finish(pid));
}

CASE(script_argument) {
  char line[PATH_MAX + 64];
  snprintf(line, sizeof line, "#!%s   --report two words \t \nrest\n", case_self);
  script("spaced", line);
  IN_CHILD(execl("./spaced", "x", "after", NULL)); /* one argument "--report two words": helper knows it not */
}

CASE(nested_scripts) {
  char line[PATH_MAX + 64];
  setenv("EXEC_TEST", "nested", 1);
  snprintf(line, sizeof line, "#!%s --report\n", case_self);
  script("inner", line);
  script("outer", "#!./inner argument\n");
  IN_CHILD(execl("./outer", "x", "last", NULL));
  script("endless", "#!./endless\n");
  attempt("endless", "./endless");
}

CASE(script_of_shell) {
  script("shell", "#!/bin/sh\necho \"script_of_shell output: $0 $# $2\"\nexit 12\n");
  IN_CHILD(execl("./shell", "x", "a", "b c", NULL));
}

CASE(shell_without_line) {
  script("plain", "echo \"shell_without_line output: $1\"\n");
  IN_CHILD(execlp("./plain", "x", "by execvp", NULL));
}

CASE(system_and_popen) {
  status("system", system("exit 7"));
  yes("shell there", system(NULL) != 0);
  FILE *pipe = popen("echo from the shell", "r");
  char text[64] = "";
  fgets(text, sizeof text, pipe);
  show("popen", "%.14s", text);
  status("pclose", pclose(pipe));
  pipe = popen("read line; echo \"system_and_popen written: $line\"", "w");
  fputs("to the shell\n", pipe);
  status("pclose writer", pclose(pipe));
}

CASE(by_descriptor) {
  int fd = MUST(open(case_self, O_RDONLY | O_CLOEXEC));
  char *arguments[] = {"x", "--report", "by_descriptor", "argument", NULL};
  setenv("EXEC_TEST", "fexecve", 1);
  IN_CHILD(fexecve(fd, arguments, environ));
}

CASE(by_directory) {
  char *path = strdup(case_self), *name = strdup(case_self);
  int fd = MUST(open(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC));
  char *arguments[] = {"x", "--report", "by_directory", NULL};
  setenv("EXEC_TEST", "execveat", 1);
  IN_CHILD(execveat(fd, basename(name), arguments, environ, 0));
}

CASE(execveat_errors) {
  int fd = MUST(open(case_self, O_RDONLY));
  char *arguments[] = {"x", NULL};
#define AT(label, ...) outcome(label, execveat(__VA_ARGS__))
  AT("empty without flag", fd, "", arguments, environ, 0);
  AT("bad flag", AT_FDCWD, "x", arguments, environ, 1 << 20);
  AT("bad descriptor", 500, "x", arguments, environ, 0);
  MUST(symlink(case_self, "nofollow"));
  AT("nofollow", AT_FDCWD, "nofollow", arguments, environ, AT_SYMLINK_NOFOLLOW);
}

CASE(from_memory) {
  int from = MUST(open(case_self, O_RDONLY)), fd = MUST(memfd_create("program", MFD_CLOEXEC));
  char block[65536];
  ssize_t size;
  while ((size = read(from, block, sizeof block)) > 0) MUST(write(fd, block, (size_t)size));
  char *arguments[] = {"x", "--zero", NULL};
  IN_CHILD(fexecve(fd, arguments, environ));
}

CASE(through_link) {
  MUST(symlink(case_self, "link"));
  setenv("EXEC_TEST", "link", 1);
  IN_CHILD(execl("./link", "x", "--report", case_name, NULL));
}

CASE(closed_descriptors) {
  char text[8];
  int saved = MUST(dup(1));
  snprintf(text, sizeof text, "%d", saved);
  pid_t pid = start();
  if (pid == 0) {
    close(0);
    close(1);
    close(2);
    execl(case_self, case_self, "--closed", case_name, text, NULL);
    _exit(1);
  }
  report(finish(pid));
}

CASE(chain) { IN_CHILD(execl(case_self, case_self, "--chain", case_name, "10", NULL)); }

static void *wait_here(void *unused) {
  for (;;) pause();
  return unused;
}

static void *execute(void *unused) {
  char text[16];
  snprintf(text, sizeof text, "%d", getpid());
  execl(case_self, case_self, "--threads", case_name, text, NULL);
  return unused;
}

CASE(main_among_threads) {
  pid_t pid = start();
  if (pid == 0) {
    pthread_t thread;
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, wait_here, NULL);
    execute(NULL);
    _exit(1);
  }
  report(finish(pid));
}

CASE(from_a_thread) {
  pid_t pid = start();
  if (pid == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, wait_here, NULL);
    pthread_create(&thread, NULL, execute, NULL);
    for (;;) pause();
  }
  report(finish(pid));
}

CASE(failure_keeps_program) {
  signal(SIGUSR2, exit);
  int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));
  execl("./missing", "x", NULL);
  struct sigaction now;
  sigaction(SIGUSR2, NULL, &now);
  yes("handler kept", now.sa_handler == exit);
  number("descriptor kept", fcntl(fd, F_GETFD));
}

CASE(text_busy) {
  char copy[] = "./busy", block[65536];
  int from = MUST(open(case_self, O_RDONLY)), to = MUST(open(copy, O_CREAT | O_WRONLY, 0755));
  ssize_t size;
  while ((size = read(from, block, sizeof block)) > 0) MUST(write(to, block, (size_t)size));
  attempt("open for writing", copy);
  MUST(close(to));
  IN_CHILD(execl(copy, copy, "--zero", "a", "b", NULL));
}
