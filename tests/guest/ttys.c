/* Terminals: a pseudo terminal pair, termios, window size, and job control on it. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <pty.h>

static int master, slave;
static void make_pair(void) {
  char name[64];
  master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
  MUST(grantpt(master));
  MUST(unlockpt(master));
  if (ptsname_r(master, name, sizeof name) != 0) must_fail("ptsname", __LINE__);
  slave = MUST(open(name, O_RDWR | O_NOCTTY));
}

static void settle(void) { usleep(5000); }

CASE(pair) {
  make_pair();
  char text[64] = "", name[64];
  show("are terminals", "%d %d %d", isatty(master), isatty(slave), isatty(0));
  yes("name", ttyname_r(slave, name, sizeof name) == 0 && strncmp(name, "/dev/pts/", 9) == 0);
  number("write", write(slave, "out\n", 4));
  number("read with CR", read(master, text, sizeof text));
  show("bytes", "%d %d", text[3], text[4]);
  MUST(write(master, "line\n", 5));
  number("line", read(slave, text, sizeof text));
  memset(text, 0, sizeof text);
  number("echo", read(master, text, sizeof text));
  show("echoed", "%.4s", text);
  outcome("not a terminal", tcgetattr(MUST(open("/dev/null", O_RDONLY)), &(struct termios){0}));
}

CASE(attributes) {
  make_pair();
  struct termios set, found;
  outcome("get", tcgetattr(slave, &set));
  show("input", "%d %d", !!(set.c_iflag & ICRNL), !!(set.c_iflag & IXON));
  show("output", "%d %d", !!(set.c_oflag & OPOST), !!(set.c_oflag & ONLCR));
  show("local", "%d %d %d %d", !!(set.c_lflag & ICANON), !!(set.c_lflag & ECHO), !!(set.c_lflag & ISIG), !!(set.c_lflag & IEXTEN));
  show("control", "%d %d", (set.c_cflag & CSIZE) == CS8, !!(set.c_cflag & CREAD));
  show("characters", "%d %d %d %d %d", set.c_cc[VINTR], set.c_cc[VQUIT], set.c_cc[VEOF], set.c_cc[VSUSP], set.c_cc[VERASE]);
  yes("speed", cfgetospeed(&set) == B38400);
  cfmakeraw(&set);
  set.c_cc[VMIN] = 2;
  set.c_cc[VTIME] = 1;
  set.c_cc[VINTR] = 7;
  cfsetspeed(&set, B9600);
  outcome("set", tcsetattr(slave, TCSANOW, &set));
  MUST(tcgetattr(slave, &found));
  show("after", "%d %d %d %d", !!(found.c_lflag & ICANON), found.c_cc[VMIN], found.c_cc[VTIME], found.c_cc[VINTR]);
  yes("speed after", cfgetospeed(&found) == B9600);
  char text[8];
  MUST(write(master, "ab", 2));
  number("raw read", read(slave, text, sizeof text));
  outcome("flush", tcflush(slave, TCIOFLUSH));
  outcome("drain", tcdrain(slave));
  outcome("flow", tcflow(slave, TCOON));
  outcome("break", tcsendbreak(slave, 0));
  outcome("bad action", tcsetattr(slave, 99, &set));
}

CASE(window_size) {
  make_pair();
  struct winsize size = {.ws_row = 33, .ws_col = 77, .ws_xpixel = 5, .ws_ypixel = 6}, found = {0};
  outcome("set", ioctl(master, TIOCSWINSZ, &size));
  outcome("get", ioctl(slave, TIOCGWINSZ, &found));
  show("size", "%d %d %d %d", found.ws_row, found.ws_col, found.ws_xpixel, found.ws_ypixel);
  int waiting = -1, on = 1;
  MUST(write(master, "xyz\n", 4));
  poll(&(struct pollfd){slave, POLLIN, 0}, 1, 1000); /* the line discipline works on its own time */
  outcome("FIONREAD", ioctl(slave, FIONREAD, &waiting));
  number("waiting", waiting);
  MUST(write(slave, "12", 2));
  outcome("TIOCOUTQ", ioctl(slave, TIOCOUTQ, &waiting));
  outcome("FIONBIO", ioctl(master, FIONBIO, &on));
  yes("nonblocking", !!(fcntl(master, F_GETFL) & O_NONBLOCK));
  outcome("packet mode", ioctl(master, TIOCPKT, &on));
  unsigned number_of = 0;
  outcome("TIOCGPTN", ioctl(master, TIOCGPTN, &number_of));
  outcome("of a file", ioctl(MUST(open("f", O_CREAT | O_RDWR, 0600)), TIOCGWINSZ, &found));
  outcome("bad pointer", ioctl(slave, TIOCGWINSZ, pointer(8)));
  outcome("unknown", ioctl(slave, 0x5499, &found));
}

static volatile sig_atomic_t caught;
static void note(int signal) { caught = signal; }

CASE(signals_from_keys) {
  make_pair();
  pid_t pid = start();
  if (pid == 0) {
    struct sigaction action = {.sa_handler = note};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    MUST(setsid());
    outcome("controlling", ioctl(slave, TIOCSCTTY, 0));
    yes("session", tcgetsid(slave) == getpid());
    yes("foreground", tcgetpgrp(slave) == getpgrp());
    outcome("/dev/tty", open("/dev/tty", O_RDWR));
    MUST(write(master, "\003", 1));
    for (int i = 0; i < 300 && caught != SIGINT; i++) settle();
    show("interrupt", "%s", signal_name(caught));
    struct winsize size = {.ws_row = 10, .ws_col = 20};
    MUST(ioctl(master, TIOCSWINSZ, &size));
    for (int i = 0; i < 300 && caught != SIGWINCH; i++) settle();
    show("resize", "%s", signal_name(caught));
    signal(SIGQUIT, SIG_DFL); /* a background job of a shell starts with it ignored */
    pid_t victim = start();
    if (victim == 0) {
      pause();
      _exit(0);
    }
    signal(SIGQUIT, SIG_IGN);
    settle();
    MUST(write(master, "\034", 1));
    status("quit", finish(victim));
    _exit(0);
  }
  int result = finish(pid);
  yes("leader", WIFEXITED(result) || WIFSIGNALED(result));
}

CASE(job_control) {
  make_pair();
  pid_t pid = start();
  if (pid == 0) {
    MUST(setsid());
    MUST(ioctl(slave, TIOCSCTTY, 0));
    signal(SIGTTOU, SIG_IGN);
    pid_t job = start();
    if (job == 0) {
      signal(SIGTTOU, SIG_DFL);
      for (;;) pause();
    }
    outcome("setpgid", setpgid(job, job));
    outcome("to foreground", tcsetpgrp(slave, job));
    yes("foreground", tcgetpgrp(slave) == job);
    MUST(write(master, "\032", 1));
    int result;
    MUST(waitpid(job, &result, WUNTRACED));
    status("stopped", result);
    outcome("to us", tcsetpgrp(slave, getpgrp()));
    MUST(kill(-job, SIGCONT));
    MUST(waitpid(job, &result, WCONTINUED));
    status("continued", result);
    MUST(kill(-job, SIGTERM));
    MUST(waitpid(job, &result, 0));
    status("ended", result);
    pid_t reader = start();
    if (reader == 0) {
      setpgid(0, 0);
      char byte;
      read(slave, &byte, 1);
      _exit(0);
    }
    MUST(waitpid(reader, &result, WUNTRACED));
    status("background read", result);
    MUST(kill(reader, SIGKILL));
    finish(reader);
    outcome("strange group", tcsetpgrp(slave, 1 << 21));
    _exit(0);
  }
  status("shell", finish(pid));
}

CASE(hang_up) {
  int ready[2];
  char byte = 0;
  make_pair();
  MUST(pipe(ready));
  pid_t pid = start();
  if (pid == 0) {
    close(master);
    MUST(setsid());
    MUST(ioctl(slave, TIOCSCTTY, 0));
    MUST(write(ready[1], &byte, 1));
    pause();
    _exit(0);
  }
  close(slave);
  close(ready[1]);
  number("ready", read(ready[0], &byte, 1));
  close(master);
  status("session leader", finish(pid));
}

CASE(fork_on_a_terminal) {
  struct winsize size = {.ws_row = 5, .ws_col = 6};
  int fd = -1;
  pid_t pid = forkpty(&fd, NULL, NULL, &size);
  if (pid == 0) {
    struct winsize found;
    MUST(ioctl(0, TIOCGWINSZ, &found));
    printf("%d %d\n", found.ws_row, found.ws_col);
    fflush(stdout);
    _exit(isatty(0) + isatty(1) + isatty(2));
  }
  char text[32] = "";
  yes("output", read(fd, text, sizeof text) > 0);
  show("size", "%.3s", text);
  status("terminals", finish(pid));
}
