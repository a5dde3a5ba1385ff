"""The launcher, started by the kernel in an empty root: no /proc, no /dev, no library, no file but the program."""

import ctypes
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from binfmt import settings
from runtime import config
from tests.system import registry
from tests.unit.compilers import COMPILERS

pytestmark = pytest.mark.guest

TOP = Path(__file__).parents[2]
LAUNCHER = TOP / "build" / "launcher" / "octavo"
PTRACE_TRACEME, PTRACE_DETACH = 0, 17  # sys/ptrace.h
AT_PAGESZ = 6
ARCHES = ("aarch64", "arm", "riscv64", "ppc64le", "mips")

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
extern char **environ;
int main(int argc, char **argv) {
    struct utsname name;
    uname(&name);
    printf("%s %s\\n", name.machine, (const char *)getauxval(AT_EXECFN));
    if (argc > 1 && !strcmp(argv[1], "release"))
        printf("%s\\n", name.release);
    if (argc > 1 && !strcmp(argv[1], "hwcap"))
        printf("%lx\\n", getauxval(AT_HWCAP));
    for (int i = 0; i < argc; i++) printf("[%s]", argv[i]);
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "T_", 2) == 0 || !strchr(*e, '=')) printf("{%s}", *e);
    printf("\\n");
    return argc == 1 ? 7 : 0;
}
"""

UNAME = {"arm": "armv7l", "ppc64le": "ppc64le"}


@pytest.fixture(scope="session")
def launcher() -> Path:
    if not LAUNCHER.exists():
        pytest.skip("no launcher: make launcher")
    return LAUNCHER


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """arch -> an empty root that holds a static program, /show."""
    made: dict[str, Path] = {}

    def make(arch: str) -> Path:
        if arch not in made:
            if shutil.which(COMPILERS[arch]) is None:
                pytest.skip(f"{COMPILERS[arch]} is not installed")
            root = tmp_path_factory.mktemp(arch)
            source = root.parent / f"{arch}.c"
            source.write_text(SOURCE)
            command = [COMPILERS[arch], "-static", "-O1", "-o", root / "show", source]
            subprocess.run(command, check=True)
            made[arch] = root
        return made[arch]

    return make


def show(launcher: Path, root: Path, arch: str, argv: list[str], flags: str = "FPO", **options):
    lines = [registry.line(arch, str(launcher), flags)]
    return registry.start(lines, "/show", argv, root=str(root), **options)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_static_program_runs_in_a_root_that_holds_nothing_else(arch, launcher, programs):
    root = programs(arch)
    assert os.listdir(root) == ["show"]
    done = show(launcher, root, arch, ["/show"])
    machine = UNAME.get(arch, arch)
    assert done.stderr == b""
    assert done.stdout == f"{machine} /show\n[/show]\n".encode()
    assert done.returncode == 7


@pytest.mark.parametrize("flags", ["F", "FP", "FO", "FPO", "FOC", "FPOC"])
def test_each_set_of_flags(flags, launcher, programs):
    """Without P the kernel replaces argv[0] by the path. Without P and O nothing says that the kernel has called; the
    name does not either, so that a handler registered so gets a wrong command line."""
    done = show(launcher, programs("aarch64"), "aarch64", ["other name", "--help", "-L"], flags)
    if flags == "F":
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"octavo: " in done.stderr
        return
    name = "other name" if "P" in flags else "/show"
    assert done.stderr == b""
    assert done.stdout == f"aarch64 /show\n[{name}][--help][-L]\n".encode()
    assert done.returncode == 0


def test_the_environment_arrives_as_it_was(launcher, programs):
    done = show(
        launcher,
        programs("aarch64"),
        "aarch64",
        ["x", "y"],
        environment={"T_A": "1", "T_EMPTY": "", "T_BYTES": "\udcff=", "LC_ALL": "C"},
    )
    assert done.stdout.endswith(b"[x][y]{T_A=1}{T_EMPTY=}{T_BYTES=\xff=}\n")


@pytest.mark.parametrize("close", [(0,), (0, 2), (2,)])
def test_the_program_may_be_descriptor_0(close, launcher, programs):
    done = show(launcher, programs("aarch64"), "aarch64", ["x", "y"], close=close)
    assert done.stdout == b"aarch64 /show\n[x][y]\n"
    assert done.returncode == 0


def test_asked_for_its_version_by_the_environment_it_runs_nothing(launcher, programs):
    """What arch-test -n relies on."""
    done = show(
        launcher, programs("aarch64"), "aarch64", ["x"], environment={"QEMU_VERSION": "meow"}
    )
    assert b"[x]" not in done.stdout
    assert re.fullmatch(rb"octavo version [0-9.]+\n", done.stdout)
    assert done.returncode == 0


def test_a_root_with_a_configuration_file_of_its_own_is_not_asked(launcher, programs, tmp_path):
    """It is the guest's; what holds was decided at the registration."""
    root = tmp_path / "root"
    shutil.copytree(programs("aarch64"), root)
    (root / "etc/octavo").mkdir(parents=True)
    (root / "etc/octavo/targets.yaml").write_text("targets:\n  aarch64:\n    no such key: 1\n")
    done = show(launcher, root, "aarch64", ["x", "release"])
    assert done.stderr == b""
    assert done.stdout.split(b"\n")[1] == os.uname().release.encode()


def test_settings_written_into_a_copy_hold(launcher, programs, tmp_path):
    values: config.Settings = ({"default": {"uname_release": ("6.66-settings", "file:1")}}, [])
    copy = tmp_path / "launcher"
    text = config.Configuration(values, ("file",)).dump()
    copy.write_bytes(settings.write(launcher.read_bytes(), text))
    copy.chmod(0o755)
    assert settings.read(copy.read_bytes()) == text
    done = show(copy, programs("aarch64"), "aarch64", ["x", "release"])
    assert done.stdout.split(b"\n")[1] == b"6.66-settings"


def test_a_processor_is_carried_and_asked_for_by_the_environment(launcher, programs, tmp_path):
    """The models are in the launcher: the root holds none of its files."""
    values: config.Settings = ({"aarch64": {"cpu": ("cortex-a53", "file:1")}}, [])
    copy = tmp_path / "launcher"
    carried = config.Configuration(values, ("file",)).dump()
    copy.write_bytes(settings.write(launcher.read_bytes(), carried))
    copy.chmod(0o755)

    def hwcap(handler, **environment):
        done = show(
            handler, programs("aarch64"), "aarch64", ["x", "hwcap"], environment=environment
        )
        assert done.stderr == b""
        return done.stdout.split(b"\n")[1]

    assert hwcap(launcher) == b"2cbff7fb"
    assert hwcap(launcher, QEMU_CPU="cortex-a72") == b"fb"
    assert hwcap(copy) == b"fb"
    assert hwcap(copy, QEMU_CPU="max") == b"2cbff7fb"
    wrong = show(
        launcher, programs("aarch64"), "aarch64", ["x"], environment={"QEMU_CPU": "cortex-a1"}
    )
    assert (wrong.returncode, wrong.stdout) == (126, b"")
    assert wrong.stderr.startswith(b"octavo: -cpu (QEMU_CPU): aarch64 has no processor 'cortex-a1'")


def test_settings_of_another_version_are_one_line(launcher, programs, tmp_path):
    copy = tmp_path / "launcher"
    copy.write_bytes(settings.write(launcher.read_bytes(), b"from elsewhere"))
    copy.chmod(0o755)
    done = show(copy, programs("aarch64"), "aarch64", ["x"])
    assert done.stdout == b""
    assert done.stderr == (
        b"octavo: the settings in this launcher are another version's: register it again\n"
    )


def test_settings_need_room_and_a_launcher(launcher):
    with pytest.raises(settings.NotALauncher, match="it has room for 65516"):
        settings.write(launcher.read_bytes(), bytes(65517))
    with pytest.raises(settings.NotALauncher, match=r"no section \.octavo\.settings"):
        settings.read(Path(sys.executable).resolve().read_bytes())
    with pytest.raises(settings.NotALauncher, match="not a 64-bit ELF file"):
        settings.read(b"#!/bin/sh\n")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, r"octavo: no module \w+ in the launcher, which only runs programs: .*"),
        (["rootfs"], 2, r"octavo: no module \w+ in the launcher, which only runs programs: .*"),
        (["run"], 1, "octavo run: no program given; octavo run --help lists the options"),
        (["run", "/no/such"], 127, "octavo: .*/no/such.*"),
        (["run", "--what"], 1, "octavo run: unknown option '--what'; .*"),
    ],
)
def test_wrong_use_is_one_line_on_stderr(words, status, said, launcher):
    done = subprocess.run([launcher, *words], capture_output=True, text=True)
    assert done.stdout == ""
    assert re.fullmatch(said + "\n", done.stderr), done.stderr
    assert done.returncode == status


def test_under_the_name_of_qemu_user(launcher, programs, tmp_path):
    name = tmp_path / "qemu-aarch64-static"
    name.symlink_to(launcher)
    program = programs("aarch64") / "show"
    done = subprocess.run([name, "-0", "zero", program, "-E"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"aarch64 {program}\n[zero][-E]\n", "")


def _segments(data: bytes) -> list[int]:
    offset, size, count = (
        struct.unpack_from("=Q", data, 32)[0],
        *struct.unpack_from("=HH", data, 54),
    )
    return [struct.unpack_from("=I", data, offset + size * i)[0] for i in range(count)]


def test_it_is_one_static_file_of_less_than_45_megabytes(launcher):
    data = launcher.read_bytes()
    load, dynamic, interpreter = 1, 2, 3
    kinds = _segments(data)
    assert load in kinds
    assert dynamic not in kinds and interpreter not in kinds
    assert struct.unpack_from("=H", data, 16)[0] == 2  # ET_EXEC: nothing to relocate
    assert len(data) < 45e6
    assert str(TOP).encode() not in data  # no name of the machine that built it


def test_a_start_opens_no_file_but_the_program(launcher, programs):
    """Whatever the C library or Python might look for: one readlink of /proc/self/exe by the C library's start."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    program = str(programs("aarch64") / "show")
    traced = ["strace", "-f", "-qq", "-e", "trace=%file", launcher, "run", program]
    said = subprocess.run(traced, capture_output=True, text=True, check=False).stderr
    paths = re.findall(r'^(?:\[pid +\d+\] )?\w+\(.*?"(.*?)"', said, re.M)
    assert paths[0] == str(launcher), said
    assert set(paths[1 : paths.index(program)]) <= {"/proc/self/exe"}, said


def start_with_pages(launcher: Path, page: int) -> tuple[int, bytes]:
    """(status, stderr) of a start as on a host with such pages: traced, and with another AT_PAGESZ, which is all that
    the launcher knows of them."""
    libc = ctypes.CDLL(None)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 2)
        libc.ptrace(PTRACE_TRACEME, 0, None, None)
        os.execv(launcher, ["octavo", "run", "/nowhere/program"])
    os.close(write)
    _, status = os.waitpid(child, 0)
    assert os.WIFSTOPPED(status)
    stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    place = int(stat[25])  # proc(5), startstack: argc, argv, 0, envp, 0, auxv
    memory = os.open(f"/proc/{child}/mem", os.O_RDWR)

    def word(address: int) -> int:
        return int.from_bytes(os.pread(memory, 8, address), sys.byteorder)

    place += 8 * (1 + word(place) + 1)
    while word(place):
        place += 8
    place += 8
    while (key := word(place)) != AT_PAGESZ:
        assert key, "no AT_PAGESZ"
        place += 16
    assert word(place + 8) == os.sysconf("SC_PAGESIZE")
    os.pwrite(memory, page.to_bytes(8, sys.byteorder), place + 8)
    os.close(memory)
    libc.ptrace(PTRACE_DETACH, child, None, None)
    with open(read, "rb") as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_on_a_host_with_other_pages_it_says_so_in_one_line(launcher):
    """What it has imported knows the page size of the machine that built it (snapshot.cc)."""
    own = os.sysconf("SC_PAGESIZE")
    assert start_with_pages(launcher, own) == (127, b"octavo: /nowhere/program: no such file\n")
    for page in (4 * own, 16 * own):
        line = (
            f"octavo: this launcher was built on a machine with pages of {own} bytes, and this one has {page}; "
            "build it here (make launcher), and register it\n"
        )
        assert start_with_pages(launcher, page) == (1, line.encode())
