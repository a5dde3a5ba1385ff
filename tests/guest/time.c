/* Clocks and sleeping: which clocks exist, that they advance and agree, sleeping to a time, calendar
 * arithmetic of the C library on top. */
#include "case.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>
#include <utime.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <poll.h>

static double seconds(clockid_t clock) {
  struct timespec now;
  MUST(clock_gettime(clock, &now));
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

CASE(clocks) {
  static const clockid_t clocks[] = {CLOCK_REALTIME,         CLOCK_MONOTONIC,    CLOCK_PROCESS_CPUTIME_ID,
                                     CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                                     CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,     CLOCK_TAI};
  for (size_t i = 0; i < COUNT(clocks); i++) {
    char label[32];
    struct timespec now = {0, -1}, resolution = {-1, -1};
    snprintf(label, sizeof label, "clock %zu", i);
    int got = clock_gettime(clocks[i], &now), res = clock_getres(clocks[i], &resolution);
    show(label, "%d %d %d %d", got, res, now.tv_nsec >= 0 && now.tv_nsec < 1000000000,
         resolution.tv_sec == 0 && resolution.tv_nsec > 0);
  }
  struct timespec now;
  outcome("unknown", clock_gettime(99, &now));
  outcome("resolution null", clock_getres(CLOCK_MONOTONIC, NULL));
  outcome("resolution unknown", clock_getres(99, &now));
}

CASE(agreement) {
  struct timeval of_day;
  outcome("gettimeofday", gettimeofday(&of_day, NULL));
  double now = seconds(CLOCK_REALTIME);
  yes("time of day", now - (double)of_day.tv_sec < 2 && of_day.tv_usec < 1000000);
  yes("time", now - (double)time(NULL) < 2 && time(NULL) > 1600000000);
  yes("coarse", now - seconds(CLOCK_REALTIME_COARSE) < 1);
  yes("boot time is later", seconds(CLOCK_BOOTTIME) + 0.1 >= seconds(CLOCK_MONOTONIC));
  time_t stored = 0;
  yes("time stores", time(&stored) >= stored && stored > 1600000000);
}

CASE(monotonic) {
  double last = seconds(CLOCK_MONOTONIC);
  int backwards = 0;
  for (int i = 0; i < 500; i++) {
    double now = seconds(CLOCK_MONOTONIC);
    backwards += now < last;
    last = now;
  }
  number("backwards", backwards);
}

CASE(sleeping) {
  struct timespec little = {0, 20000000}, left = {7, 7};
  double begin = seconds(CLOCK_MONOTONIC);
  outcome("nanosleep", nanosleep(&little, &left));
  double slept = seconds(CLOCK_MONOTONIC) - begin;
  yes("about right", slept >= 0.02 && slept < 2);
  yes("rest untouched", left.tv_sec == 7 && left.tv_nsec == 7);
  struct timespec bad = {0, 1000000000};
  outcome("bad nanoseconds", nanosleep(&bad, NULL));
  bad = (struct timespec){-1, 0};
  outcome("negative", nanosleep(&bad, NULL));
  struct timespec until;
  MUST(clock_gettime(CLOCK_MONOTONIC, &until));
  until.tv_nsec += 10000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  returned("absolute", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
  struct timespec now;
  MUST(clock_gettime(CLOCK_MONOTONIC, &now));
  yes("reached", now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
  until.tv_sec -= 5;
  returned("past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL));
  returned("relative", clock_nanosleep(CLOCK_REALTIME, 0, &little, NULL));
  returned("unknown clock", clock_nanosleep(99, 0, &little, NULL));
  number("usleep", usleep(1000));
  number("sleep", (long)sleep(0));
}

CASE(processor_time) {
  clock_t begin = clock();
  volatile unsigned x = 0;
  while (clock() - begin < CLOCKS_PER_SEC / 100) x++;
  yes("process clock", seconds(CLOCK_PROCESS_CPUTIME_ID) >= 0.009);
  yes("thread clock", seconds(CLOCK_THREAD_CPUTIME_ID) >= 0.009);
  struct tms used;
  yes("times", times(&used) != (clock_t)-1);
  struct rusage usage;
  outcome("getrusage", getrusage(RUSAGE_SELF, &usage));
  yes("spent", usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000L +
                       usage.ru_stime.tv_usec >
                   1000);
  outcome("thread", getrusage(RUSAGE_THREAD, &usage));
  clockid_t clock;
  returned("own clock id", clock_getcpuclockid(0, &clock));
  yes("its time", seconds(clock) > 0);
  number("ticks", sysconf(_SC_CLK_TCK));
}

CASE(setting) {
  struct timespec bad = {0, -1};
  outcome("monotonic", clock_settime(CLOCK_MONOTONIC, &bad));
  struct timex state = {.modes = 0};
  yes("adjtimex", adjtimex(&state) >= 0);
  yes("tick", state.tick > 9000 && state.tick < 11000);
  yes("its time", state.time.tv_sec > 1600000000);
}

CASE(file_times) {
  MUST(close(MUST(open("old", O_CREAT | O_WRONLY, 0644))));
  struct utimbuf buffer = {1234567, 7654321};
  outcome("utime", utime("old", &buffer));
  struct stat info;
  MUST(stat("old", &info));
  show("read", "%ld %ld", (long)info.st_atime, (long)info.st_mtime);
  struct timeval values[2] = {{1000, 5}, {2000, 999999}};
  outcome("utimes", utimes("old", values));
  MUST(stat("old", &info));
  show("read again", "%ld.%09ld %ld.%09ld", (long)info.st_atime, info.st_atim.tv_nsec, (long)info.st_mtime,
       info.st_mtim.tv_nsec);
  struct timespec early[2] = {{-1000, 0}, {0, 1}};
  outcome("before 1970", utimensat(AT_FDCWD, "old", early, 0));
  MUST(stat("old", &info));
  show("early", "%ld %ld", (long)info.st_atime, (long)info.st_mtime);
}

CASE(timer_descriptor) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  outcome("create", fd);
  uint64_t count = 0;
  outcome("not yet", read(fd, &count, 8));
  struct itimerspec spec = {{0, 5000000}, {0, 5000000}}, now;
  outcome("set", timerfd_settime(fd, 0, &spec, NULL));
  struct pollfd wanted = {fd, POLLIN, 0};
  number("poll", poll(&wanted, 1, 3000));
  number("read", read(fd, &count, 8));
  yes("count", count >= 1);
  outcome("get", timerfd_gettime(fd, &now));
  yes("interval", now.it_interval.tv_sec == 0 && now.it_interval.tv_nsec == 5000000);
  outcome("short read", read(fd, &count, 4));
  outcome("bad clock", timerfd_create(77, 0));
  outcome("bad flags", timerfd_create(CLOCK_MONOTONIC, 0x40));
}

CASE(calendar) {
  setenv("TZ", "EST5EDT4,M3.2.0,M11.1.0", 1);
  tzset();
  time_t summer = 1720000000, winter = 1705000000;
  struct tm parts;
  char text[64];
  strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z %j %u", localtime_r(&summer, &parts));
  show("summer", "%s %d", text, parts.tm_isdst);
  strftime(text, sizeof text, "%a %b %e %T %Z %Y", localtime_r(&winter, &parts));
  show("winter", "%s %d", text, parts.tm_isdst);
  number("mktime", (long)mktime(&parts));
  gmtime_r(&winter, &parts);
  number("timegm", (long)timegm(&parts));
  memset(&parts, 0, sizeof parts);
  yes("strptime", strptime("2024-02-29 23:59:58", "%Y-%m-%d %H:%M:%S", &parts) != NULL);
  number("leap day", (long)timegm(&parts));
  show("weekday", "%d %d", parts.tm_wday, parts.tm_yday);
  show("difference", "%.1f", difftime(summer, winter));
  setenv("TZ", "XYZ-3:30", 1);
  tzset();
  show("offset", "%ld %s", timezone, tzname[0]);
}
