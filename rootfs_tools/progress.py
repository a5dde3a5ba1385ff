"""What a person sees while a root is made: a live line on a terminal, a line for each step elsewhere."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars


class Progress:
    """The steps of one run. Calls come in the order start, (expect, package, detail, note)*, stop."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.bars: Bars | None = None
        self.task: TaskID | None = None
        self.began = 0.0
        self.title = ""
        self.seen: set[tuple[str, str]] = set()

    def skip(self, number: int, count: int, title: str) -> None:
        """A step that was finished earlier."""
        self.console.print(f"[{number}/{count}] {title}: done before", markup=False, soft_wrap=True)

    def start(self, number: int, count: int, title: str) -> None:
        self.title = f"[{number}/{count}] {title}"
        self.began = time.monotonic()
        self.seen.clear()
        self.console.print(self.title, markup=False, soft_wrap=True)
        if not self.console.is_terminal:
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(None))
        self.bars = Bars(
            *columns,
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self.task = self.bars.add_task("starting", total=None)
        self.bars.start()

    def expect(self, packages: int | None) -> None:
        """How many packages the step will unpack, and configure."""
        if self.bars and self.task is not None and packages:
            self.bars.update(self.task, total=2 * packages)

    def package(self, verb: str, name: str) -> None:
        """Work on a package began; the second time the same is said counts nothing."""
        self.seen.add((verb, name))
        if self.bars and self.task is not None:
            self.bars.update(self.task, description=f"{verb} {name}", completed=len(self.seen))

    def detail(self, text: str) -> None:
        if self.bars and self.task is not None:
            self.bars.update(self.task, description=text[:60])

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print("    " + text, markup=False, soft_wrap=True)

    def stop(self, *, failed: bool) -> None:
        if self.bars:
            self.bars.stop()
            self.bars = None
        seconds = time.monotonic() - self.began
        word = "failed" if failed else "done"
        self.console.print(f"    {word} in {seconds:.1f} s", markup=False)
