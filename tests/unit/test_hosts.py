"""make test-hosts without its virtual machine: the initramfs, the plan, the report."""

import io
import re
import stat
import subprocess

import pytest

from tests.guest import harness, pages
from tests.hosts import archive, kernel, parts, plan, report, root


def entries(data):
    """{name: (mode, bytes)} of a newc archive, in order (kernel: init/initramfs.c)."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        assert data[at + 110 + fields[11] - 1] == 0
        start = (at + 110 + fields[11] + 3) & ~3
        if name == archive.END:
            return found
        found[name] = (fields[1], data[start : start + fields[6]])
        at = (start + fields[6] + 3) & ~3


def test_archive(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "program").write_bytes(b"12345")
    (tmp_path / "sub" / "program").chmod(0o700)
    (tmp_path / "link").symlink_to("sub/program")
    (tmp_path / "folder-link").symlink_to("sub")
    file = io.BytesIO()
    made = archive.Archive(file)
    made.tree("top", str(tmp_path), lambda path: path != "unwanted")
    made.data("top/sub/other", b"x", executable=False)
    with pytest.raises(ValueError, match="twice"):
        made.data("top/link", b"")
    made.close()
    found = entries(file.getvalue())
    assert found["top/sub/program"] == (stat.S_IFREG | 0o755, b"12345")
    assert found["top/sub/other"] == (stat.S_IFREG | 0o644, b"x")
    assert found["top/link"] == (stat.S_IFLNK | 0o777, b"sub/program")
    assert found["top/folder-link"] == (stat.S_IFLNK | 0o777, b"sub")
    assert stat.S_ISDIR(found["top/sub"][0])
    names = list(found)
    assert names.index("top") < names.index("top/sub") < names.index("top/sub/program")


def test_every_target_and_column_has_its_jobs():
    jobs = [*plan.guest_jobs(re.compile("")), *plan.matrix_jobs(re.compile(""))]
    assert len({job.name for job in jobs}) == len(jobs)
    names = {job.name for job in jobs}
    assert {"memory - aarch64", "memory - aarch64 64k", "memory - arm 4k"} <= names
    assert {"pages_files octavo mips 16k", "pages_files kernel aarch64"} <= names
    assert names >= {"time - arm 4k"} and "time - aarch64 4k" not in names  # nothing about pages
    assert set(harness.programs()) > plan.PAGELESS and set(plan.TARGETS) > set(plan.FEW)
    qemu = next(job for job in jobs if job.name == "pages_views qemu-user 10 riscv64")
    assert qemu.command == ("/qemu/qemu-riscv64", "/guest/riscv64/pages_views")
    only = list(plan.guest_jobs(re.compile("^memory - arm")))
    assert [job.size for job in only] == [None, 4096]  # with the run it is compared with


def results(output="case one: 1\ncase two: 2\n", end="exit 0"):
    jobs = list(plan.guest_jobs(re.compile("^memory - (arm|x86_64)")))
    native = report.Result("case one: 1\ncase two: 2\n", "", "exit 0", 0.1)
    found = {job.name: native for job in jobs}
    found["memory - arm 4k"] = report.Result(output, "said", end, 2)
    return jobs, found


def test_guest_programs_are_compared_with_the_native_run():
    text, failed = report.guests(*results())
    assert not failed and "| arm 4k | 2 | 2 |" in text
    text, failed = report.guests(*results("case one: 1\ncase two: 7\n"))
    assert failed and "| arm 4k | 2 | 1 |" in text and "| x86_64 4k | 2 | 2 |" in text
    assert "case two: native '2', found '7'" in text
    text, failed = report.guests(*results(end="killed by SIGSEGV"))
    assert failed and "killed by SIGSEGV" in text


def test_what_did_not_run_is_a_failure():
    jobs, found = results()
    del found["memory - x86_64 4k"]
    assert report.guests(jobs, found)[1]
    assert report.guests(jobs, {})[1]


def test_matrix_and_readme(tmp_path):
    jobs = list(plan.matrix_jobs(re.compile("^pages_views (octavo arm|kernel)")))
    output = "page 4096\n" + "".join(f"row {row} ideal\n" for row in pages.PROGRAMS["pages_views"])
    columns = report.columns(jobs, {jobs[0].name: report.Result(output, "", "exit 0", 1)})
    assert columns["octavo"]["arm 4k"]["rows"]["M1"] == "ideal"
    assert columns["kernel"]["aarch64 0k"]["rows"]["M1"] == "no line, not run"
    text = report.summary(columns, "a machine")
    assert "| M1 | " in text and text.endswith("octavo: arm 4k.  \nkernel: aarch64 0k.")
    readme = tmp_path / "README.md"
    readme.write_text("before\n{}\nold\n{}\nafter\n".format(*report.MARKS))
    report.write_readme(str(readme), text)
    assert readme.read_text() == "before\n{0}\n{2}\n{1}\nafter\n".format(*report.MARKS, text)
    readme.write_text("nothing")
    with pytest.raises(ValueError, match="begin"):
        report.write_readme(str(readme), text)


def target(*ideal):
    return {"page": 4096, "rows": {row: "ideal" if row in ideal else "no" for row in ("01", "02")}}


def test_columns_of_several_hosts():
    here = {"octavo": {"arm 4k": target("01")}, plan.KERNEL: {"aarch64 16k": target("01")}}
    there = {"octavo": {"arm 4k": target("02")}, plan.KERNEL: {"aarch64 64k": target("02")}}
    assert report.side_by_side({"16k": here}) == here
    both = report.side_by_side({"16k": here, "64k": there})
    assert list(both) == ["octavo, 16k host", "octavo, 64k host", plan.KERNEL]
    assert list(both[plan.KERNEL]) == ["aarch64 16k", "aarch64 64k"]
    assert both["octavo, 64k host"]["arm 4k"]["rows"]["02"] == "ideal"


def test_a_cell_says_what_is_shorter():
    column = {"a": target("01"), "b": target("01"), "c": target("02")}
    assert pages.cell(column, "01") == "not c"
    assert pages.cell(column, "02") == "only c"
    assert pages.cell({"a": target(), "b": target()}, "01") == "none ideal"
    assert pages.cell({"a": target()}, "01") == "not a"
    assert pages.cell({"a": target("01")}, "01") == "ideal"


def test_kernel_options_that_do_not_come_out_are_an_error(tmp_path):
    wanted, found = tmp_path / "64k.config", tmp_path / ".config"
    wanted.write_text("# why\nCONFIG_A=y\nCONFIG_B=y\n")
    found.write_text("CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_B=y\n")
    kernel._check(str(wanted), str(found))
    found.write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    with pytest.raises(parts.NotPossible, match=r"configuration: CONFIG_B=y$"):
        kernel._check(str(wanted), str(found))


def test_a_kernel_is_built_once_for_each_source_and_configuration(tmp_path, monkeypatch):
    """With a tar and a make that only note what they were asked for."""
    source = tmp_path / "root" / "usr" / "src" / "linux-source-6.tar.xz"
    source.parent.mkdir(parents=True)
    source.write_bytes(b"source")
    config = tmp_path / "64k.config"
    config.write_text("CONFIG_A=y\n")
    made: list[tuple[str, ...]] = []

    def make(tree, objects, output, *arguments):
        made.append(arguments)
        boot = tmp_path / "build" / "64k" / "arch" / "arm64" / "boot"
        boot.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / "64k" / ".config").write_text(config.read_text())
        (boot / "Image").write_bytes(b"kernel")

    monkeypatch.setattr(kernel, "HERE", str(tmp_path))
    monkeypatch.setattr(kernel, "VAR", str(tmp_path / "var"))
    monkeypatch.setattr(kernel, "BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(kernel, "unpack", lambda *words: str(tmp_path / "root"))
    monkeypatch.setattr(kernel, "_unpacked", lambda path: str(tmp_path))
    monkeypatch.setattr(kernel, "_make", make)
    first = kernel.kernel("64k", 3)
    assert [words[0] for words in made] == ["allnoconfig", "Image"] and made[1][1] == "-j3"
    assert kernel.kernel("64k", 3) == first and len(made) == 2
    config.write_text("CONFIG_A=y\nCONFIG_B=y\n")
    second = kernel.kernel("64k", 3)
    assert second != first and len(made) == 4
    assert [path.name for path in (tmp_path / "var" / "kernel-64k").iterdir()] == [
        second.rpartition("/")[2]
    ]


def test_what_of_a_root_goes_along() -> None:
    assert root.LEFT_OUT.match("usr/share/doc/bash/README")
    assert root.LEFT_OUT.match("var/lib/apt/lists/x")
    assert not root.LEFT_OUT.match("usr/share/perl/5.36.0/strict.pm")
    assert not root.LEFT_OUT.match("etc/proc/x")


def test_a_program_that_prints_something_else_there_fails(monkeypatch) -> None:
    monkeypatch.setattr(root, "OCTAVO", "/bin/echo")
    wanted = re.compile("perl")
    (job,) = root.jobs(wanted)
    words = subprocess.run(
        root._words("/bin/echo", "/r", root.PROGRAMS["perl"]), capture_output=True, text=True
    )
    same = {str(job["name"]): report.Result(words.stdout, "", "exit 0", 1.0)}
    assert root.table("/r", wanted, same)[1] is False
    other = {str(job["name"]): report.Result(words.stdout + "x", "", "exit 0", 1.0)}
    assert root.table("/r", wanted, other)[1] is True
    assert root.table("/r", wanted, {})[1] is True
