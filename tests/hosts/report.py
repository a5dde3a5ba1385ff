"""What the virtual machine said, as text: the guest programs' counts and failures, and the page size matrix."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.guest import harness, pages
from tests.hosts.plan import KERNEL, Job


@dataclass(frozen=True)
class Result:
    """How one job went: see harness.Run. `seconds` it took there."""

    output: str
    errors: str
    end: str
    seconds: float


def result(said: Mapping[str, object]) -> Result:
    """What inside.py says of a job."""
    seconds = said["seconds"]
    assert isinstance(seconds, (int, float))
    return Result(str(said["output"]), str(said["errors"]), str(said["end"]), seconds)


def load(path: str) -> dict[str, Result]:
    """The results in the log of an earlier run, by job name."""
    with open(path, encoding="utf-8") as file:
        said = [json.loads(line) for line in file]
    return {each["job"]: result(each) for each in said if "job" in each}


MISSING = Result("", "", "not run", 0)
LONGEST = 12  # differences shown of one program
MARKS = ("<!-- make test-hosts: begin -->", "<!-- make test-hosts: end -->")


def _label(job: Job) -> str:
    return f"{job.architecture} {pages.size_text(job.size or 0)}"


def _differences(job: Job, want: Result, found: Result) -> dict[str, tuple[str, str]]:
    """Cases that differ from the native run and are no known failures."""
    known = {
        each.case
        for each in harness.known_failures(job.architecture)
        if (each.program, each.linkage) == (job.program, "static")
    }
    wrong = harness.differences(harness.cases(want.output), harness.cases(found.output))
    if found.end != "exit 0":
        wrong["(end of the program)"] = ("exit 0", found.end)
    return {key: pair for key, pair in wrong.items() if key not in known}


def guests(jobs: Iterable[Job], results: Mapping[str, Result]) -> tuple[str, bool]:
    """Counts for each target, then what failed; and whether anything did."""
    counts: dict[str, list[int]] = {}
    failures: list[str] = []
    native = Job("", "", "", None, ())
    for job in jobs:
        if job.size is None:
            native = job
            continue
        want, found = results.get(native.name, MISSING), results.get(job.name, MISSING)
        wrong = _differences(job, want, found)
        cases = len(harness.cases(want.output))
        row = counts.setdefault(_label(job), [0, 0])
        row[0] += cases
        row[1] += min(len(wrong), cases) if cases else 1
        shown = [
            f"    {key}: native {right[:90]!r}, found {left[:90]!r}"
            for key, (right, left) in list(wrong.items())[:LONGEST]
        ]
        if not cases or want.end != "exit 0":
            shown.append(f"    the native run: {want.end}")
        if shown:
            failures += [f"  {job.program}, {_label(job)}, {found.seconds:g} s", *shown]
            failures += [f"    {line}" for line in found.errors.splitlines()[-3:]]
    lines = ["| guest programs | cases | as natively there |", "|---|---|---|"]
    lines += [f"| {name} | {total} | {total - bad} |" for name, (total, bad) in counts.items()]
    return "\n".join(lines + failures), bool(failures)


def columns(jobs: Iterable[Job], results: Mapping[str, Result]) -> dict[str, pages.Column]:
    """The matrix as pages.py has it: {column: {"aarch64 16k": {"page": ..., "rows": {...}}}}."""
    found: dict[str, dict[tuple[str, int | None], pages.Target]] = {}
    for job in jobs:
        result = results.get(job.name, MISSING)
        end = result.end + "".join(f" ({line[:160]})" for line in result.errors.splitlines()[-1:])
        page, rows = pages.parse(result.output, job.program, job.size, end)
        target = found.setdefault(job.column, {}).setdefault(
            (job.architecture, job.size), {"page": job.size or 0, "rows": {}}
        )
        target["page"] = page or target["page"]
        target["rows"].update(rows)
    return {
        column: {
            f"{architecture} {pages.size_text(target['page'])}": target
            for (architecture, _), target in targets.items()
        }
        for column, targets in found.items()
    }


def side_by_side(hosts: Mapping[str, Mapping[str, pages.Column]]) -> dict[str, pages.Column]:
    """The columns of several hosts ({name: columns}): each for itself, but the kernels, whose targets tell them apart.

    With one host a column keeps its name.
    """
    names = list(dict.fromkeys(name for found in hosts.values() for name in found))
    merged: dict[str, pages.Column] = {}
    for name in names:
        for host, found in hosts.items():
            alone = len(hosts) == 1 or name == KERNEL
            merged.setdefault(name if alone else f"{name}, {host} host", {}).update(
                found.get(name, {})
            )
    return merged


def summary(columns: dict[str, pages.Column], what: str) -> str:
    """The matrix as the README has it: the table, and which targets a column has, but not what they printed."""
    lines = pages.table(columns, what).splitlines()
    end = max(number for number, line in enumerate(lines) if line.startswith("|"))
    targets = [f"{name}: {', '.join(column)}." for name, column in columns.items()]
    return "\n".join([*lines[: end + 1], "", "  \n".join(targets)])


def write_readme(path: str, text: str) -> None:
    """Replace what is between the two marks. ValueError where they are not there."""
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    begin, end = MARKS
    head, found_begin, rest = whole.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{path} has no lines {begin} and {end}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{head}{begin}\n{text}\n{end}{tail}")
