"""Any number of lines, in order: a few in memory, the others in files that are merged.

The lines that a digest is made of are as many as the payments of years.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import merge
from itertools import islice
from typing import Final

#: So many are sorted in memory: some thirty megabytes.
IN_MEMORY: Final = 100_000


def in_order(lines: Iterable[str], in_memory: int = IN_MEMORY) -> Iterator[str]:
    """The lines, sorted by their characters. Raises OSError where a temporary file cannot be written."""
    source = iter(lines)
    with ExitStack() as held:
        runs: list[Iterator[str]] = []
        while len(run := sorted(islice(source, in_memory))) == in_memory:
            kept = held.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n"))
            for line in run:
                assert "\n" not in line, "a line ends once"
                kept.write(f"{line}\n")
            kept.seek(0)
            runs.append(line.removesuffix("\n") for line in kept)
        yield from merge(*runs, run)
