"""The translator's buffer, as large as it is, in huge pages only where they are small: asked in processes of their own,
whose C library says what their page size is and notes what madvise(2) is asked for."""

import os
import shutil
import subprocess
import sys

import pytest

MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
long sysconf(int name) {
  long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
  return name == _SC_PAGESIZE ? atol(getenv("PAGE")) : real(name);
}
int madvise(void *start, size_t length, int advice) {
  (void)start;
  dprintf(2, "advice %d of %d MiB\n", advice, (int)(length >> 20));
  return 0;
}
"""
OPEN = """
from tests.unit.core.machine import Machine
Machine("aarch64", 65536)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize(("page", "wanted"), [(4096, MADV_HUGEPAGE), (65536, MADV_NOHUGEPAGE)])
def test_translations_take_no_huge_pages_of_512_mib(tmp_path, page, wanted):
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, tmp_path / "shim.c", "-ldl"], check=True)
    environment = os.environ | {"LD_PRELOAD": str(shim), "PAGE": str(page)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    large = [line.split() for line in done.stderr.splitlines() if line.startswith("advice")]
    assert [int(words[1]) for words in large if int(words[3]) >= 16] == [wanted]
