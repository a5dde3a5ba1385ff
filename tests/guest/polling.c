/* Waiting for descriptors: poll, ppoll, select, pselect, epoll, and what each says of pipes, closed
 * ends and bad descriptors. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

static volatile sig_atomic_t caught;
static void count(int signal) {
  (void)signal;
  caught++;
}

static const char *events(int bits) {
  static char text[64];
  snprintf(text, sizeof text, "%s%s%s%s%s%s", bits & POLLIN ? "IN " : "", bits & POLLOUT ? "OUT " : "",
           bits & POLLHUP ? "HUP " : "", bits & POLLERR ? "ERR " : "", bits & POLLNVAL ? "NVAL " : "",
           bits & POLLRDHUP ? "RDHUP " : "");
  return text;
}

CASE(poll_pipes) {
  int ends[2];
  MUST(pipe(ends));
  struct pollfd wanted[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {-1, POLLIN, 77}};
  number("empty", poll(wanted, 3, 0));
  show("empty events", "%d %s%d", wanted[0].revents, events(wanted[1].revents), wanted[2].revents);
  MUST(write(ends[1], "x", 1));
  number("full", poll(wanted, 3, 1000));
  show("full events", "%s", events(wanted[0].revents));
  close(ends[1]);
  number("closed", poll(wanted, 1, 1000));
  show("closed events", "%s", events(wanted[0].revents));
  wanted[0].fd = 500;
  number("bad", poll(wanted, 1, 0));
  show("bad events", "%s", events(wanted[0].revents));
  MUST(pipe(ends));
  close(ends[0]);
  wanted[1].fd = ends[1];
  number("no reader", poll(wanted + 1, 1, 0));
  show("no reader events", "%s", events(wanted[1].revents));
  number("time", poll(NULL, 0, 10));
  outcome("bad pointer", poll(pointer(8), 1, 0));
}

CASE(poll_sockets) {
  int ends[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  struct pollfd wanted = {ends[0], POLLIN | POLLOUT | POLLRDHUP, 0};
  number("open", poll(&wanted, 1, 0));
  show("open events", "%s", events(wanted.revents));
  MUST(shutdown(ends[1], SHUT_WR));
  number("half", poll(&wanted, 1, 0));
  show("half events", "%s", events(wanted.revents));
  close(ends[1]);
  number("closed", poll(&wanted, 1, 0));
  show("closed events", "%s", events(wanted.revents));
}

CASE(ppoll_mask) {
  sigset_t set, none;
  sigemptyset(&none);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  signal(SIGUSR1, count);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  struct timespec time = {3, 0}, little = {0, 10000000};
  outcome("with mask", ppoll(NULL, 0, &time, &none));
  number("caught", caught);
  number("without", ppoll(NULL, 0, &little, NULL));
  struct timespec bad = {0, -1};
  outcome("bad time", ppoll(NULL, 0, &bad, NULL));
}

CASE(select_pipes) {
  int ends[2];
  MUST(pipe(ends));
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(ends[0], &in);
  FD_SET(ends[1], &out);
  struct timeval time = {0, 0};
  number("writable", select(ends[1] + 1, &in, &out, NULL, &time));
  show("sets", "%d %d", FD_ISSET(ends[0], &in), FD_ISSET(ends[1], &out));
  MUST(write(ends[1], "x", 1));
  FD_SET(ends[0], &in);
  time = (struct timeval){5, 0};
  number("readable", select(ends[1] + 1, &in, &out, NULL, &time));
  yes("time left", time.tv_sec == 4 || time.tv_sec == 5);
  MUST(dup2(ends[0], 900));
  FD_ZERO(&in);
  FD_SET(900, &in);
  number("high", select(901, &in, NULL, NULL, NULL));
  number("high set", FD_ISSET(900, &in) != 0);
  FD_ZERO(&in);
  FD_SET(800, &in);
  outcome("closed", select(801, &in, NULL, NULL, &time));
  outcome("negative", select(-1, NULL, NULL, NULL, &time));
  time = (struct timeval){0, 10000};
  number("only time", select(0, NULL, NULL, NULL, &time));
  show("time used", "%ld %ld", (long)time.tv_sec, (long)time.tv_usec);
  time = (struct timeval){-1, 0};
  outcome("bad time", select(0, NULL, NULL, NULL, &time));
}

CASE(pselect_mask) {
  sigset_t set, none;
  sigemptyset(&none);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  signal(SIGUSR1, count);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  struct timespec time = {3, 0};
  outcome("pselect", pselect(0, NULL, NULL, NULL, &time, &none));
  number("caught", caught);
  yes("time untouched", time.tv_sec == 3 && time.tv_nsec == 0);
}

CASE(epoll_basics) {
  int ends[2], fd = epoll_create1(EPOLL_CLOEXEC);
  MUST(pipe(ends));
  outcome("create", fd);
  number("cloexec", fcntl(fd, F_GETFD));
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_C(0x1122334455667788)}, found[4];
  outcome("add", epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event));
  outcome("twice", epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event));
  event.events = EPOLLOUT;
  event.data.u64 = UINT64_C(0xfedcba9876543210);
  outcome("second", epoll_ctl(fd, EPOLL_CTL_ADD, ends[1], &event));
  number("wait", epoll_wait(fd, found, 4, 0));
  show("data", "%llx %x", (unsigned long long)found[0].data.u64, found[0].events);
  MUST(write(ends[1], "x", 1));
  number("both", epoll_wait(fd, found, 4, 1000));
  show("sum", "%llx", (unsigned long long)(found[0].data.u64 ^ found[1].data.u64));
  number("one at a time", epoll_wait(fd, found, 1, 0));
  event.events = 0;
  outcome("modify", epoll_ctl(fd, EPOLL_CTL_MOD, ends[1], &event));
  number("one left", epoll_wait(fd, found, 4, 0));
  outcome("delete", epoll_ctl(fd, EPOLL_CTL_DEL, ends[0], NULL));
  outcome("delete again", epoll_ctl(fd, EPOLL_CTL_DEL, ends[0], NULL));
  number("none", epoll_wait(fd, found, 4, 10));
  outcome("itself", epoll_ctl(fd, EPOLL_CTL_ADD, fd, &event));
  outcome("regular file", epoll_ctl(fd, EPOLL_CTL_ADD, MUST(open("f", O_CREAT | O_RDWR, 0600)), &event));
  outcome("no room", epoll_wait(fd, found, 0, 0));
  outcome("not epoll", epoll_wait(ends[0], found, 1, 0));
  outcome("bad operation", epoll_ctl(fd, 99, ends[0], &event));
  outcome("bad pointer", epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], pointer(8)));
}

CASE(epoll_modes) {
  int ends[2], fd = MUST(epoll_create1(0));
  MUST(pipe(ends));
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 5}, found[2];
  MUST(epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event));
  MUST(write(ends[1], "x", 1));
  number("edge", epoll_wait(fd, found, 2, 0));
  number("edge again", epoll_wait(fd, found, 2, 0));
  MUST(write(ends[1], "x", 1));
  number("new edge", epoll_wait(fd, found, 2, 0));
  event.events = EPOLLIN | EPOLLONESHOT;
  MUST(epoll_ctl(fd, EPOLL_CTL_MOD, ends[0], &event));
  number("one shot", epoll_wait(fd, found, 2, 0));
  number("one shot again", epoll_wait(fd, found, 2, 0));
  MUST(epoll_ctl(fd, EPOLL_CTL_MOD, ends[0], &event));
  close(ends[1]);
  number("hang up", epoll_wait(fd, found, 2, 0));
  show("its events", "%s", events((int)found[0].events));
  struct pollfd wanted = {fd, POLLIN, 0};
  number("poll of epoll", poll(&wanted, 1, 0));
}

CASE(epoll_mask) {
  sigset_t set, none;
  sigemptyset(&none);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  signal(SIGUSR1, count);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  struct epoll_event found;
  outcome("epoll_pwait", epoll_pwait(MUST(epoll_create1(0)), &found, 1, 3000, &none));
  number("caught", caught);
}

CASE(wakes_another) {
  int ends[2];
  MUST(pipe(ends));
  pid_t pid = start();
  if (pid == 0) {
    usleep(20000);
    _exit(write(ends[1], "x", 1) != 1);
  }
  struct pollfd wanted = {ends[0], POLLIN, 0};
  number("poll", poll(&wanted, 1, -1));
  status("child", finish(pid));
}
