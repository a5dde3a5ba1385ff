"""The command that runs the page size matrix: what it reads, which targets it chooses, and its table."""

import json

import pytest

from tests.guest import pages

ALL = "page 16384\n" + "".join(f"row {row} ideal\n" for row in pages.PROGRAMS["pages_views"])


def test_lines_become_rows():
    page, rows = pages.parse(ALL, "pages_views", 16384, "exit 0")
    assert (page, set(rows.values())) == (16384, {"ideal"})
    page, rows = pages.parse("page 4096\nrow M1: a: b\n", "pages_views", None, "killed by SIGSEGV")
    assert rows.pop("M1") == "a: b"
    assert rows and set(rows.values()) == {"no line, killed by SIGSEGV"}


def test_another_page_size_fails_row_1():
    output = "page 4096\n" + "".join(
        f"row {row} ideal\n" for row in pages.PROGRAMS["pages_mapping"]
    )
    _, rows = pages.parse(output, "pages_mapping", 65536, "exit 0")
    assert rows.pop("01") == "the page size is 4096, not 65536"
    assert set(rows.values()) == {"ideal"}


def test_a_command_that_names_the_size_runs_for_each():
    chosen = {"aarch64": (4096, 65536), "arm": (4096,)}
    assert pages.targets("run {size}", chosen) == [
        ("aarch64", 4096), ("aarch64", 65536), ("arm", 4096),
    ]  # fmt: skip
    assert pages.targets("qemu-{qemu}", chosen) == [("aarch64", None), ("arm", None)]
    assert pages.command_for("x --page-size {size} {page}", "arm", 65536) == [
        "x", "--page-size", "64k", "65536",
    ]  # fmt: skip
    with pytest.raises(pages.UsageError):
        pages.command_for("x {wrong}", "arm", 4096)


def test_the_table_names_what_is_not_ideal(capsys, tmp_path):
    ideal = dict.fromkeys(pages.ROWS, "ideal")
    good = {"page": 4096, "rows": ideal}
    bad = {"page": 65536, "rows": ideal | {"10": "no signal"}}
    files = []
    for name, column in (("ours", {"arm 4k": good}), ("other", {"arm 4k": good, "mips 64k": bad})):
        path = tmp_path / name
        path.write_text(json.dumps({"host": "a machine", "columns": {name: column}}))
        files += ["--load", str(path)]
    assert pages.main(files) == 0
    text = capsys.readouterr().out
    assert f"| 10 | {pages.ROWS['10']} | ideal | not mips 64k |" in text
    assert "mips 64k, row 10: no signal" in text
    assert pages.main(files[2:]) == 1


@pytest.mark.parametrize("words", [["--arch", "vax"], ["--column", "noname"], ["--arch", "arm:x"]])
def test_bad_usage(words, capsys, tmp_path):
    assert pages.main([*words, "--binaries", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("pages: ")


def test_a_missing_command_is_a_failure_not_a_crash(capsys, tmp_path):
    words = ["--column", "none=/nowhere/at-all", "--arch", "arm", "--binaries", str(tmp_path)]
    assert pages.main(words) == 1
    assert "No such file" in capsys.readouterr().out
