"""In the virtual machine: run the jobs of a file, several at a time, and print a line about each.

A line is MARK and a JSON object. There are no disks and no network in there, so the console is the way out; what the
kernel or a stray program prints there does not begin with MARK.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.guest.harness import execute

MARK = "@octavo "
OUTPUT_LIMIT = 60_000  # characters of one job's output: an endless one would fill the console

_console = threading.Lock()


def say(**fields: object) -> None:
    """One line, whole: two jobs may end at the same time."""
    line = f"{MARK}{json.dumps(fields)}\n".encode()
    with _console:
        while line:
            line = line[os.write(1, line) :]


def run_one(job: dict[str, object]) -> None:
    """Run one job in an empty directory, and say what it printed, how it ended and how long it took."""
    command = job["command"]
    assert isinstance(command, list)
    start = time.monotonic()
    run = execute(command)
    say(
        job=job["name"],
        output=run.output[:OUTPUT_LIMIT],
        errors=run.errors[-2000:],
        end=run.end,
        seconds=round(time.monotonic() - start, 1),
    )


def main(path: str) -> None:
    """Install the octavo command where the jobs expect it, then run them."""
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    say(kernel=os.uname().release, page=os.sysconf("SC_PAGESIZE"), python=sys.version.split()[0])
    for command in plan["first"]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        say(first=command, status=done.returncode, output=done.stdout + done.stderr)
    with ThreadPoolExecutor(plan["workers"]) as pool:
        for future in [pool.submit(run_one, job) for job in plan["jobs"]]:
            future.result()
    say(done=True)


if __name__ == "__main__":
    main(sys.argv[1])
