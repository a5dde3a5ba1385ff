"""Real programs at every page size: a Debian arm64 root with 4, 16 and 64 KiB pages on whatever host this is.

Uses a copy of OCTAVO_TEST_ROOT (or of the root that `make run` creates) with gcc, python3 and perl in it, in which it
installs sqlite3 with apt-get, inside Octavo; OCTAVO_TEST_SQLITE names a root that has all of them already.
"""

import math
import os
import subprocess
from hashlib import md5
from pathlib import Path

import pytest

pytestmark = [pytest.mark.root, pytest.mark.slow]

TOP = Path(__file__).parents[2]
OCTAVO = TOP / ".venv/bin/octavo"
SIZES = {"4k": 4 << 10, "16k": 16 << 10, "64k": 64 << 10}
TOOLS = ("/usr/bin/bash", "/usr/bin/python3", "/usr/bin/perl", "/usr/bin/gcc")
SECONDS = 600.0


def octavo(root: Path, size: str, *words: str, text: str = "") -> str:
    """Standard output of a program that has to succeed, without a line on stderr of Octavo's own."""
    done = subprocess.run(
        [OCTAVO, "run", "--root", root, "--page-size", size, "-E", "LC_ALL=C.UTF-8", "--", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    assert "octavo:" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    ready = os.environ.get("OCTAVO_TEST_SQLITE")
    if ready is not None:
        return Path(ready)
    origin = Path(os.environ.get("OCTAVO_TEST_ROOT", TOP / "var/roots/arm64"))
    for tool in TOOLS:
        if not (origin / tool[1:]).exists():
            pytest.skip(f"{origin} has no {tool}")
    path = tmp_path_factory.mktemp("pages") / "root"
    subprocess.run(["cp", "-a", origin, path], check=True)
    octavo(path, "auto", "/usr/bin/apt-get", "update")
    words = ("-y", "--no-install-recommends", "install", "sqlite3")
    octavo(
        path, "auto", "/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "/usr/bin/apt-get", *words
    )
    return path


@pytest.fixture(params=SIZES)
def run(request, root):
    """Run a program of the root with this page size; run.bytes is the size."""

    def call(*words: str, text: str = "") -> str:
        return octavo(root, request.param, *words, text=text)

    call.bytes = SIZES[request.param]  # type: ignore[attr-defined]
    return call


def test_all_programs_agree_on_the_size(run):
    said = run(
        "/bin/bash",
        "-c",
        "getconf PAGESIZE; python3 -c 'import mmap; print(mmap.PAGESIZE)';"
        "perl -MPOSIX -e 'print sysconf(_SC_PAGESIZE), qq(\\n)';"
        "od -An -t u8 -w16 /proc/self/auxv | awk '$1 == 6 { print $2 }';"
        "awk '/^KernelPageSize/ { print $2 * 1024 }' /proc/self/smaps | sort -u",
    )
    assert said.split() == [str(run.bytes)] * 5


def test_bash(run):
    script = (
        "declare -A counts; for word in $(seq 1 300 | sed 's/.$//'); do (( counts[$word]++ )); done\n"
        'echo ${#counts[@]}; mapfile -t rows < <(printf "%s\\n" {a..e}{1..200}); echo ${#rows[@]}\n'
        "trap 'echo trapped' USR1; kill -USR1 $$\n"
        "coproc cat; echo hello >&${COPROC[1]}; read -u ${COPROC[0]} x; echo $x\n"
        "f() { if (( $1 )); then f $(( $1 - 1 )); else echo deep; fi; }; f 500\n"
    )
    assert run("/bin/bash", text=script).split() == ["30", "1000", "trapped", "hello", "deep"]


def test_python(run):
    script = """
import ctypes, hashlib, json, mmap, os, ssl, tempfile, threading, zlib
from multiprocessing import Pool, shared_memory

assert zlib.decompress(zlib.compress(b"octavo" * 100_000)) == b"octavo" * 100_000
with tempfile.TemporaryFile() as file:
    file.truncate(3 * mmap.PAGESIZE + 5)
    view = mmap.mmap(file.fileno(), 0)
    view[mmap.PAGESIZE : mmap.PAGESIZE + 4] = b"page"
    view.flush(mmap.PAGESIZE, mmap.PAGESIZE)
    assert os.pread(file.fileno(), 4, mmap.PAGESIZE) == b"page"
    part = mmap.mmap(file.fileno(), mmap.PAGESIZE, offset=mmap.PAGESIZE)
    view[mmap.PAGESIZE] = 80
    assert part[:4] == b"Page"
memory = shared_memory.SharedMemory(create=True, size=mmap.PAGESIZE + 1)
def work(number):
    other = shared_memory.SharedMemory(memory.name)
    other.buf[number] = number
    return hashlib.sha256(bytes([number]) * 100_000).hexdigest()
with Pool(2) as pool:
    assert len(set(pool.map(work, range(8)))) == 8
assert bytes(memory.buf[:8]) == bytes(range(8))
memory.close(); memory.unlink()
total = []
threads = [threading.Thread(target=lambda: total.append(sum(range(50_000)))) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert total == [sum(range(50_000))] * 8
assert ctypes.CDLL(None).getpid() == os.getpid()
print(json.dumps({"page": mmap.PAGESIZE, "ssl": ssl.OPENSSL_VERSION_INFO[0]}))
"""
    assert run("/usr/bin/python3", "-", text=script) == f'{{"page": {run.bytes}, "ssl": 3}}\n'


def test_perl(run):
    script = r"""
use strict; use warnings; use POSIX; use File::Temp; use Digest::MD5 qw(md5_hex); use List::Util qw(sum);
my %h; $h{$_ % 97} .= "x$_" for 1 .. 20000;
my $text = join "", map { "$_=$h{$_};" } sort { $a <=> $b } keys %h;
my @children;
for my $n (1 .. 4) {
  my $p = open(my $f, "-|") // die;
  if (!$p) { print md5_hex($n x 1000); exit }
  push @children, $f;
}
my @sums = map { my $l = <$_>; close $_; $l } @children;
(my $copy = $text) =~ s/x(\d)/$1/g;
printf "%d %d %s\n", scalar(keys %h), length($copy), md5_hex(join "", @sums);
"""
    sums = "".join(md5(str(n).encode() * 1000).hexdigest() for n in range(1, 5))
    values: dict[int, str] = {}
    for n in range(1, 20001):
        values[n % 97] = values.get(n % 97, "") + str(n)
    length = sum(len(f"{key}={value};") for key, value in values.items())
    expected = f"97 {length} {md5(sums.encode()).hexdigest()}\n"
    assert run("/usr/bin/perl", "-", text=script) == expected


def test_gcc_compiles_and_the_result_runs(run):
    """With 64 KiB pages too: the linker's segments are 64 KiB apart on arm64."""
    source = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
struct row { double key; char name[24]; };
static int compare(const void *a, const void *b) {
  double x = ((const struct row *)a)->key, y = ((const struct row *)b)->key;
  return (x > y) - (x < y);
}
int main(void) {
  enum { N = 20000 };
  struct row *rows = malloc(N * sizeof *rows);
  for (int i = 0; i < N; i++) {
    rows[i].key = sin(i);
    snprintf(rows[i].name, sizeof rows[i].name, "row %d", i);
  }
  qsort(rows, N, sizeof *rows, compare);
  printf("%ld %s %s\n", sysconf(_SC_PAGESIZE), rows[0].name, rows[N - 1].name);
}
"""
    build = (
        'd=$(mktemp -d); cd "$d"; cat > x.c; gcc -O2 -Wall -o x x.c -lm && ./x && '
        "gcc -O1 -static -o y x.c -lm && ./y; cd /; rm -r $d"
    )
    said = run("/bin/sh", "-c", build, text=source).splitlines()
    rows = sorted((math.sin(i), i) for i in range(20000))
    line = f"{run.bytes} row {rows[0][1]} row {rows[-1][1]}"
    assert said == [line, line]


def test_sqlite_with_a_write_ahead_log(run):
    """The log's index is shared memory in a file, mapped by readers and writers of several processes."""
    script = """
set -e
d=$(mktemp -d); cd "$d"
sqlite3 t.db "PRAGMA journal_mode=WAL; PRAGMA mmap_size=8388608; CREATE TABLE t (who INTEGER, n INTEGER, text TEXT);"
for who in 1 2 3; do
  ( i=0; while [ $i -lt 10 ]; do
      sqlite3 -cmd ".timeout 60000" t.db "BEGIN IMMEDIATE;
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 50)
        INSERT INTO t SELECT $who, n + $i * 50, hex(randomblob(40)) FROM c; COMMIT;"
      i=$((i+1))
    done ) &
done
wait
ls t.db* | tr '\\n' ' '; echo
sqlite3 -cmd ".timeout 60000" t.db "PRAGMA mmap_size=8388608;
  SELECT who, count(*), sum(n), count(DISTINCT n) FROM t GROUP BY who; PRAGMA integrity_check;"
sqlite3 t.db "PRAGMA wal_checkpoint(TRUNCATE); CREATE INDEX i ON t (text);
  SELECT count(DISTINCT text) FROM t; PRAGMA integrity_check; VACUUM;"
sqlite3 t.db "SELECT count(*) FROM t;"
cd /; rm -r "$d"
"""
    lines = run("/bin/bash", "-c", script).splitlines()
    total = sum(range(1, 501))
    assert lines[0] == "wal"
    assert lines[1] == "8388608"
    assert lines[2].split()[0] == "t.db"
    assert lines[3:] == [
        "8388608",
        *(f"{who}|500|{total}|500" for who in (1, 2, 3)),
        "ok",
        "0|0|0",
        "1500",
        "ok",
        "1500",
    ]
