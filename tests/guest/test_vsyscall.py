"""x86-64's vsyscall page: three fixed addresses that old static programs call."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.guest import harness

pytestmark = pytest.mark.guest

PROGRAM = r"""
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
int main(void) {
  time_t (*old_time)(time_t *) = (void *)0xffffffffff600400;
  int (*old_gettimeofday)(struct timeval *, void *) = (void *)0xffffffffff600000;
  long (*old_getcpu)(unsigned *, unsigned *, void *) = (void *)0xffffffffff600800;
  struct timeval now = {0};
  unsigned cpu = 1u << 30;
  time_t before = time(NULL), stored = 0, seconds = old_time(&stored);
  printf("%d %d %d ", seconds >= before && seconds < before + 60, stored == seconds, old_gettimeofday(&now, NULL));
  printf("%d %ld ", now.tv_sec >= seconds && now.tv_sec < seconds + 60, old_getcpu(&cpu, NULL, NULL));
  printf("%d ", cpu < 65536);
  printf("%d\n", old_gettimeofday((void *)8, NULL));
}
"""


def test_vsyscall(tmp_path: Path) -> None:
    """Each entry does its system call and returns to its caller; an error is a negative number."""
    source, program = tmp_path / "vsyscall.c", tmp_path / "vsyscall"
    source.write_text(PROGRAM)
    toolchain = harness.TOOLCHAINS["x86_64"]
    subprocess.run([toolchain.compiler, "-O1", "-static", source, "-o", program], check=True)
    run = harness.execute([*harness.runner(toolchain, "static"), str(program)])
    assert (run.output, run.end) == ("1 1 0 1 0 1 -14\n", "exit 0"), run.errors
