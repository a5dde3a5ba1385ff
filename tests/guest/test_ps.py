"""octavo ps: what runs, by what it is inside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.guest import harness

pytestmark = pytest.mark.guest

PROGRAM = """
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (argc == 2) return (int)sleep(60);
  if (fork() == 0) execl(argv[0], "a child", argv[0], (char *)NULL);
  write(1, ".", 1);
  return wait(NULL) != -1;
}
"""


def listed() -> list[dict[str, Any]]:
    octavo = str(harness.ROOT / ".venv/bin/octavo")
    command = [octavo, "ps", "--interval", "0", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize(("name", "size"), [("aarch64", "16k"), ("arm", "4k"), ("mips", "4k")])
def test_ps(name, size, tmp_path):
    toolchain = harness.TOOLCHAINS[name]
    (tmp_path / "x.c").write_text(PROGRAM)
    program = tmp_path / "program with a long name"
    subprocess.run(
        [toolchain.compiler, "-w", "-static", tmp_path / "x.c", "-o", program], check=True
    )
    command = [
        *harness.runner(toolchain, "static"),
        "--page-size",
        size,
        str(program),
        "one",
        "two",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None and process.stdout.read(1) == b"."
            rows: list[dict[str, Any]] = []
            for _ in range(100):  # until the child has executed its program
                rows = [row for row in listed() if str(program) in row["command"]]
                if any(row["command"][0] == "a child" for row in rows):
                    break
                time.sleep(0.05)
            (parent,) = [row for row in rows if row["pid"] == process.pid]
            (child,) = [row for row in rows if row["parent"] == process.pid]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert parent["command"] == [str(program), "one", "two"]
    assert child["command"] == ["a child", str(program)]
    for row in (parent, child):
        assert (row["target"], row["page_size"]) == (name, int(size[:-1]) << 10)
        assert row["view"] == "host"
        assert row["memory"] > 0 and row["threads"] >= 1 and row["cpu"] >= 0
    assert process.pid not in [row["pid"] for row in listed()]
