"""Page-size decisions: every allowed size, host size, alignment and wish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import arch as arches
from runtime import policy
from runtime.image import Image, Segment
from runtime.policy import PageSizeError

K = 1024
SIZES = (4 * K, 16 * K, 64 * K)


def program(*segments, name=b"prog") -> Image:
    result = Image(kind="elf", path=name, fd=-1, identity=(0, 0, 0, 0), head=b"")
    result.segments = tuple(segments) or (Segment(0, 0x400000, 100, 100, 5, 64 * K),)
    return result


def aligned(align, name=b"prog") -> Image:
    return program(Segment(0, 0x400000, 100, 100, 5, align), name=name)


@pytest.mark.parametrize(
    ("arch", "host", "align", "guest"),
    [
        ("aarch64", 4 * K, 64 * K, 4 * K),
        ("aarch64", 16 * K, 64 * K, 16 * K),
        ("aarch64", 64 * K, 64 * K, 64 * K),
        ("aarch64", 64 * K, 4 * K, 4 * K),
        ("aarch64", 64 * K, 16 * K, 16 * K),
        ("aarch64", 8 * K, 64 * K, 4 * K),
        ("aarch64", 4 * K, 1, 4 * K),
        ("x86_64", 16 * K, 64 * K, 4 * K),
        ("arm", 64 * K, 64 * K, 4 * K),
        ("ppc64le", 64 * K, 64 * K, 64 * K),
        ("ppc64le", 16 * K, 64 * K, 4 * K),
    ],
)
def test_auto(arch, host, align, guest):
    for wanted in (None, "auto"):
        pages = policy.decide(arches.load(arch), host, [aligned(align)], wanted)
        assert pages.guest == guest
        assert pages.host == host
        assert guest % pages.engine == 0
        assert pages.reasons


def test_the_interpreter_counts_too():
    facts = arches.load("aarch64")
    pages = policy.decide(facts, 64 * K, [aligned(64 * K), aligned(4 * K, b"/lib/ld.so")], None)
    assert pages.guest == 4 * K
    assert any("/lib/ld.so allow at most 4k" in reason for reason in pages.reasons)


def test_offset_and_address_must_agree():
    odd = program(Segment(0x1000, 0x402000, 100, 100, 5, 64 * K))
    assert policy.allowed_by(odd) == 4 * K
    empty = program(Segment(0x1000, 0x402000, 0, 100, 6, 64 * K))
    assert policy.allowed_by(empty) == 64 * K


@pytest.mark.parametrize("size", SIZES)
def test_wished_sizes(size):
    pages = policy.decide(arches.load("aarch64"), 4 * K, [aligned(64 * K)], size)
    assert pages.guest == size
    assert pages.engine == size  # arm64's engine page follows


def test_host():
    assert policy.decide(arches.load("aarch64"), 16 * K, [aligned(64 * K)], "host").guest == 16 * K
    with pytest.raises(PageSizeError, match="arm has no pages of 16k; possible: 4k"):
        policy.decide(arches.load("arm"), 16 * K, [aligned(64 * K)], "host")


def test_a_size_that_the_abi_does_not_have():
    with pytest.raises(
        PageSizeError, match=r"^f:3: targets.arm.page_size: arm has no pages of 64k; possible: 4k$"
    ):
        policy.decide(
            arches.load("arm"), 4 * K, [aligned(64 * K)], 64 * K, "f:3: targets.arm.page_size"
        )


def test_a_size_that_the_segments_do_not_allow():
    with pytest.raises(
        PageSizeError,
        match=r"^--page-size: the segments of /bin/x allow .* 4k, not 64k; possible: 4k$",
    ):
        policy.decide(arches.load("aarch64"), 4 * K, [aligned(4 * K, b"/bin/x")], 64 * K)


@pytest.mark.parametrize(
    ("word", "size"),
    [
        ("auto", "auto"),
        ("HOST", "host"),
        ("throughput", "throughput"),
        ("4k", 4 * K),
        ("64K", 64 * K),
        ("16384", 16 * K),
        (4096, 4096),
    ],
)
def test_words(word, size):
    assert policy.parse_size(word) == size


@pytest.mark.parametrize("word", ["3k", "0", "-4k", "4kb", "", "k", "4.5k", "\u0664k", 3000])
def test_bad_words(word):
    with pytest.raises(PageSizeError):
        policy.parse_size(word)


@given(
    st.sampled_from(arches.ARCHITECTURES),
    st.sampled_from([4 * K, 16 * K, 64 * K]),
    st.lists(st.integers(0, 20).map(lambda bits: 1 << bits), min_size=1, max_size=3),
)
def test_auto_never_fails_and_never_takes_what_is_not_allowed(arch, host, aligns):
    facts = arches.load(arch)
    images = [aligned(align) for align in aligns]
    pages = policy.decide(facts, host, images)
    assert pages.guest in facts.page_sizes
    assert pages.engine in facts.engine.page_sizes
    limit = min(aligns)
    assert pages.guest <= limit or pages.guest == min(facts.page_sizes)
    if host in facts.page_sizes and host <= limit:
        assert pages.guest == host


def test_throughput_asks_the_libraries_and_takes_the_largest():
    facts = arches.load("aarch64")
    both = [aligned(64 * K), aligned(64 * K, b"/lib/ld.so")]

    def libraries():
        return [aligned(64 * K, b"/lib/a.so"), aligned(16 * K, b"/lib/b.so")]

    pages = policy.decide(facts, 4 * K, both, "throughput", "f:1: key", libraries)
    assert pages.guest == pages.engine == 16 * K
    assert "the segments of /lib/b.so allow at most 16k" in pages.reasons
    assert any(reason.startswith("f:1: key asks for throughput: 16k") for reason in pages.reasons)
    assert policy.decide(facts, 4 * K, both, "throughput").guest == 64 * K
    assert policy.decide(arches.load("arm"), 4 * K, both, "throughput").guest == 4 * K


def test_libraries_are_looked_for_only_when_they_are_asked_about():
    def libraries():
        raise AssertionError

    for wanted in (None, "auto", "host", 4 * K):
        policy.decide(arches.load("aarch64"), 4 * K, [aligned(64 * K)], wanted, "x", libraries)


def test_a_library_that_is_aligned_too_little():
    facts = arches.load("aarch64")
    library = aligned(16 * K, b"/usr/lib/libx.so.1")
    assert policy.too_tight(facts, library, 16 * K) is None
    assert policy.too_tight(facts, library, 64 * K) == (
        "/usr/lib/libx.so.1: its segments are aligned to 16k, too little for the program's pages of 64k; "
        "page sizes that work: 4k, 16k"
    )
    assert str(policy.too_tight(facts, aligned(1 * K), 4 * K)).endswith("no page size works")


def _unread() -> bytes:
    raise AssertionError


@pytest.mark.parametrize("page", SIZES)
def test_mmap_min_addr_is_the_sysctl_in_whole_guest_pages(page):
    """absent, 0, 1, H-1, H -> H; 65536 -> 65536 (page-sizes P31); and what is no number at all."""
    for text in (b"", b"0\n", b"1\n", b"%d\n" % (page - 1), b"%d\n" % page, b"x\n", b"-1\n"):
        assert policy.mmap_min_addr(page, text.__bytes__) == page
    assert policy.mmap_min_addr(page, lambda: b"65536\n") == 64 * K
    assert policy.mmap_min_addr(page, lambda: b"%d\n" % (page + 1)) == 2 * page
    # configured: the sysctl is not even read
    assert policy.mmap_min_addr(page, _unread, 0) == 0
    assert policy.mmap_min_addr(page, lambda: b"65536", 1) == page
    assert policy.mmap_min_addr(page, lambda: b"65536", 2 * page) == 2 * page
