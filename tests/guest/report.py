"""The guest tests' command-line option, and the count of cases at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.guest.harness import LIMIT

KEY = "guest-cases"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--runner",
        help="run the guest programs with this command instead of octavo; {L} becomes -L PREFIX for dynamic "
        "programs, {arch} the architecture's name",
    )


def _counts(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, int, int, int]]:
    """(architecture, cases, failed, known) of every program that ran."""
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) != "call":
                continue
            for key, value in report.user_properties:
                if key == KEY:
                    architecture, total, failed, known = value
                    yield architecture, total, failed, known


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sums: dict[str, list[int]] = {}
    for architecture, *numbers in _counts(terminalreporter):
        row = sums.setdefault(architecture, [0, 0, 0])
        for index, number in enumerate(numbers):
            row[index] += number
    if not sums:
        return
    terminalreporter.section("guest cases")
    for architecture, (total, failed, known) in sorted(sums.items()):
        share = 100 * (failed + known) / max(total, 1)
        over = f"  over the limit of {LIMIT:g} %" if share > LIMIT else ""
        terminalreporter.line(
            f"{architecture:8} {total:6} cases {total - failed - known:6} passed {failed:5} failed "
            f"{known:4} known failures  {share:5.2f} %{over}"
        )
