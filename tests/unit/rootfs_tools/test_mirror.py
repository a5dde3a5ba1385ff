"""Finding the mirror apt is configured with."""

from pathlib import Path

from rootfs_tools.mirror import (
    HostSources,
    Source,
    choose,
    parse_deb822,
    parse_one_line,
    read_sources,
    source_lines,
)

DEB822 = """\
# the main archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main
Enabled: no
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] https://vendor.example/apt stable main
deb [trusted=yes] https://two.example/debian/ trixie main non-free # why
deb https://broken.example/debian
"""


def test_deb822_gives_each_uri_and_suite() -> None:
    assert list(parse_deb822(DEB822)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib")),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main",)),
    ]


def test_one_line_skips_what_is_no_binary_archive() -> None:
    assert [source.uri for source in parse_one_line(ONE_LINE)] == [
        "https://vendor.example/apt",
        "https://two.example/debian",
    ]


def test_choose_takes_debians_archive_and_its_neighbours() -> None:
    assert choose(list(parse_deb822(DEB822))) == HostSources(
        "http://mirror.example/debian",
        "http://mirror.example/debian",
        "http://mirror.example/debian-security",
    )
    assert choose(list(parse_one_line(ONE_LINE))).mirror == "https://two.example/debian"
    assert choose([]) == HostSources(None, None, None)


def test_read_sources_reads_both_formats_and_nothing_else(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "a.sources").write_text(DEB822)
    (parts / "b.list").write_text(ONE_LINE)
    (parts / "c.list.save").write_text("deb http://old.example/debian sid main\n")
    uris = [source.uri for source in read_sources(str(tmp_path))]
    assert len(uris) == 5
    assert "http://old.example/debian" not in uris
    assert read_sources(str(tmp_path / "none")) == []


def test_source_lines_follow_the_host() -> None:
    host = HostSources("http://m.example/debian", "http://m.example/debian", "http://s.example/sec")
    assert source_lines("trixie", "http://x.example/debian", host) == [
        "deb http://x.example/debian trixie main",
        "deb http://x.example/debian trixie-updates main",
        "deb http://s.example/sec trixie-security main",
    ]
    assert source_lines("sid", "http://x.example/debian", host) == [
        "deb http://x.example/debian sid main"
    ]
    bare = HostSources(None, None, None)
    assert len(source_lines("trixie", "http://x.example/debian", bare)) == 1
