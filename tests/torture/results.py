"""The outcome of a torture: one JSON file, and the table that is made of it."""

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from tests.torture.rounds import Round

#: What stands between these lines of the README is made from the result file.
_BEGIN: Final = "<!-- torture: made by `python -m tests.torture --readme` -->"
_END: Final = "<!-- /torture -->"


class Caught(msgspec.Struct, frozen=True):
    """A defect that was planted, and what gave it away. ``by`` is empty where nothing did."""

    defect: str
    words: str
    by: str


class Result(msgspec.Struct, frozen=True):
    """A whole torture. ``on`` is the day, ``machine`` what it ran on."""

    on: str
    machine: str
    seed: int
    payments: int
    brokers: int
    seconds: float
    rounds: list[Round]
    #: Faults that could not be done here, and why.
    left_out: dict[str, str] = {}
    planted: list[Caught] = []

    @property
    def holds(self) -> bool:
        """Whether no round left a complaint, and every planted defect was caught."""
        return not any(one.complaints for one in self.rounds) and all(one.by for one in self.planted)


def this_machine() -> str:
    """Processors, memory, system: enough to judge a figure by. With the load, for others may be at work on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = os.getloadavg()[2]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, load average {load:.1f}"
    )


def save(result: Result, path: Path) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    partial.replace(path)


def load(path: Path) -> Result:
    """Read it back."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


def table(results: Iterable[Result], words: dict[str, str]) -> list[str]:
    """Faults by outcomes, in Markdown: a line for each kind of fault in the order of ``words``, rounds added up."""
    lines = [
        "| what was done | blows | payments | lost, doubled or wrong | back at work (ms, middle / longest) |",
        "|---|---|--:|--:|--:|",
    ]
    rounds = [one for result in results for one in result.rounds]
    for fault, said in words.items():
        same = [one for one in rounds if one.fault == fault]
        if not same:
            continue
        blows = Counter[str]()
        for one in same:
            blows.update(one.blows)
        payments = sum(one.payments for one in same)
        wrong = sum(len(one.complaints) for one in same)
        longest = max(one.recovery.max for one in same)
        middle = sorted(one.recovery.p50 for one in same)[len(same) // 2]
        recovered = f"{middle:,} / {longest:,}" if longest else ""
        named = ", ".join(f"{what} ({count})" for what, count in sorted(blows.items()))
        done = f"{blows.total():,} kills" if any(one.hits for one in same) else named
        lines.append(f"| {said} | {done} | {payments:,} | {wrong} | {recovered} |")
    return lines


def hits(results: Iterable[Result]) -> Counter[str]:
    """How often each kind of process was killed at each named point."""
    found = Counter[str]()
    for result in results:
        for one in result.rounds:
            found.update(one.hits)
    return found


def paragraph(results: list[Result], words: dict[str, str]) -> str:
    """What the README shows: the table, the points, the planted defects, and where and when it was measured."""
    lines = table(results, words)
    points = hits(results)
    rounds = [one for result in results for one in result.rounds]
    longest = max(one.exposure.max for one in rounds)
    calm = [one.exposure.max for one in rounds if one.fault == "none"]
    beside = f" ({max(calm):,} ms where nobody died)" if calm else ""
    said = []
    if points:
        fewest = min(points.values())
        said.append(
            f"Killed at {len(points)} named points, {sum(points.values()):,} times in all, each at least {fewest}"
            f" time{'s' * (fewest > 1)}."
        )
    said.append(f"Open transactions hid committed records from readers for {longest:,} ms at most{beside}.")
    waits = [one.outcome for one in rounds if one.outcome.count]
    if waits:
        worst = max(waits, key=lambda wait: wait.max)
        said.append(
            f"By the clock on the wall a request had its outcome after {worst.p50:,} ms in the middle and"
            f" {worst.max:,} ms at most."
        )
    planted = [one for result in results for one in result.planted]
    if planted:
        caught = sum(bool(one.by) for one in planted)
        said.append(f"Of {len(planted)} defects planted in the engine {caught} were caught.")
    where = "; ".join(
        f"{one.on}, {one.brokers} broker{'s' * (one.brokers > 1)}, seed {one.seed}, {one.machine}"
        for one in results
    )
    return "\n".join([*lines, "", *said, "", f"Measured {where}. `make torture` repeats it."])


def write_into(readme: Path, text: str) -> None:
    """Put the paragraph between its two lines."""
    before = readme.read_text("utf-8")
    pattern = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END), re.DOTALL)
    assert pattern.search(before), f"{readme} has no place for it"
    readme.write_text(pattern.sub(lambda _: f"{_BEGIN}\n{text}\n{_END}", before), "utf-8")
