"""Progress on standard error: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from infra.job import Stage


@contextmanager
def progress_bar(*, quiet: bool = False) -> Iterator[Callable[[Stage], None]]:
    """What a job may report its stages to; each stage has a bar of its own."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(stage: Stage) -> None:
            task = tasks.get(stage.name)
            if task is None:
                for earlier in tasks.values():
                    progress.stop_task(earlier)
                task = tasks[stage.name] = progress.add_task(stage.name, total=stage.of or None)
            progress.update(task, completed=stage.done)

        yield watch
