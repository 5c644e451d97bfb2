"""When an alert is raised, goes on and is over."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.errors import Refused
from infra.worker.alerts import Alert, Kind, State, Thresholds, Watch, decode, load
from infra.worker.catalogue import LATENCY_SECONDS, NETWORKS
from infra.worker.samples import Sample, histogram

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
#: Judged by ten attempts in ten seconds; raised after three bad seconds, over after five good ones.
QUICK = Thresholds(window_seconds=10, least_attempts=10, patience_seconds=3, calm_seconds=5, renew_seconds=20)


def sample(at: int, approved: int = 10, timed_out: int = 0, seconds: float = 0.1, **fields: Any) -> Sample:
    """Ten approvals within a tenth of a second, unless told otherwise."""
    answers = histogram([seconds] * approved)
    return Sample("w", fields.pop("network", "visa"), at, approved, {}, timed_out, 0, 0, answers, **fields)


class Story:
    """A watch, and a second after the other."""

    def __init__(self, **thresholds: Thresholds) -> None:
        self.watch = Watch({"default": QUICK, **thresholds})
        self.now = START
        self.said: list[Alert] = []

    def passes(self, count: int, **traffic: Any) -> list[tuple[int, Kind, State]]:
        """So many seconds with the same traffic in each; what was said, and in which of them."""
        before = len(self.said)
        for _ in range(count):
            self.now += SECOND
            if traffic:
                assert self.watch.fold(sample(self.now, **traffic), self.now)
            self.said += self.watch.judge(self.now)
        return [((said.at - START) // SECOND, said.alert, said.state) for said in self.said[before:]]


GOOD: dict[str, Any] = {"approved": 10}
BAD: dict[str, Any] = {"approved": 2, "timed_out": 18}
MIDDLING: dict[str, Any] = {"approved": 13, "timed_out": 7}
SLOW: dict[str, Any] = {"approved": 10, "seconds": 4.0}
RATE, LATENCY = Kind.SUCCESS_RATE, Kind.LATENCY


def test_an_alert_is_raised_and_over() -> None:
    """Raised when it has been bad for three seconds, over when the window has been good for five."""
    story = Story()
    assert [] == story.passes(10, **GOOD)
    assert [(16, RATE, State.RAISED)] == story.passes(12, **BAD)
    raised = story.said[0]
    assert raised.value < raised.raise_at == 60
    assert (raised.since, raised.over_at, raised.attempts) == (raised.at, 70, 160)
    assert "visa: 32 % of 160 attempts were approved in the last 10 s" == raised.text
    assert {("visa", RATE): True, ("visa", LATENCY): False} == story.watch.raised

    ((at, kind, state),) = story.passes(20, **GOOD)
    assert (RATE, State.OVER) == (kind, state)
    assert story.said[1].since == raised.at
    assert story.said[1].value >= 70
    assert at >= 22 + QUICK.calm_seconds
    assert [] == story.passes(20, **GOOD)


def test_a_bad_moment_is_no_alert() -> None:
    """What has not been bad for as long as the patience lasts is not said."""
    story = Story()
    story.passes(10, **GOOD)
    assert [] == story.passes(1, approved=0, timed_out=300)
    # The window forgets it within ten seconds, but two good seconds drown it sooner.
    assert [] == story.passes(1, approved=2_000)
    assert [] == story.passes(10, **GOOD)


def test_between_the_thresholds_nothing_changes() -> None:
    """65 % is neither bad (below 60) nor good (70): calm stays calm, an alert stays raised and is said again."""
    assert [] == Story().passes(60, **MIDDLING)
    story = Story()
    story.passes(10, **BAD)
    assert [State.RAISED] == [said.state for said in story.said]
    again = story.passes(60, **MIDDLING)
    assert [State.CONTINUES] * 3 == [state for _, _, state in again]
    seconds = [second for second, _, _ in again]
    assert [20, 20] == [later - earlier for earlier, later in pairwise(seconds)]
    assert {story.said[0].at} == {said.since for said in story.said}


def test_slow_answers_are_an_alert_of_their_own() -> None:
    """All approved, and all too late: the figure is the bound within which 95 % lie."""
    story = Story()
    assert [(4, LATENCY, State.RAISED)] == story.passes(6, **SLOW)
    assert (5_000, 2_000, 1_000) == (story.said[0].value, story.said[0].raise_at, story.said[0].over_at)
    assert "95 % of the answers came within 5000 ms" in story.said[0].text


def test_answers_beyond_the_last_bound_count_as_twice_that() -> None:
    """There is no bound to name, and it must not look fast."""
    story = Story()
    story.passes(6, approved=10, seconds=60.0)
    assert [20_000] == [said.value for said in story.said]


def test_without_traffic_an_alert_ends() -> None:
    """Silence is not success, and it is said which of the two it was; nothing is raised by it either."""
    story = Story()
    story.passes(10, **BAD)
    story.passes(30)
    assert (State.OVER, -1) == (story.said[-1].state, story.said[-1].value)
    assert "too few attempts to tell (0)" in story.said[-1].text
    assert [] == story.passes(60)
    assert [] == Story().passes(30, approved=0, timed_out=0)


def test_a_few_attempts_are_too_few() -> None:
    """One time-out a second, at a network that is hardly used, wakes nobody."""
    story = Story(visa=msgspec.structs.replace(QUICK, least_attempts=100))
    assert [] == story.passes(30, approved=0, timed_out=1)


def test_a_network_has_thresholds_of_its_own() -> None:
    """65 % are bad where 80 are asked for."""
    strict = msgspec.structs.replace(QUICK, success_raise_percent=80, success_over_percent=90)
    story = Story(visa=strict)
    assert [(4, RATE, State.RAISED)] == story.passes(5, **MIDDLING)
    assert [] == story.passes(5, network="mastercard", **MIDDLING)


@pytest.mark.parametrize(
    ("seconds", "taken"), [(0, True), (9, True), (10, False), (3_600, False), (-5, True), (-6, False)]
)
def test_what_is_not_of_now_is_left_out(seconds: int, taken: bool) -> None:
    """A backlog says how it was, and a clock that is ahead would stay in the window for ever."""
    assert taken == Watch({"default": QUICK}).fold(sample(START - seconds * SECOND), START)


def test_there_is_a_bound_of_networks() -> None:
    """Whoever writes made-up names to the topic fills a list, not the memory."""
    watch = Watch({"default": QUICK})
    taken = [watch.fold(sample(START, network=f"n{number}"), START) for number in range(2 * NETWORKS)]
    assert NETWORKS == sum(taken)


def test_whoever_takes_over_begins_anew() -> None:
    """A window that was left is not judged when it is taken up again."""
    story = Story()
    story.passes(10, **BAD)
    story.watch.forget()
    assert {} == story.watch.raised
    assert [] == story.passes(10)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"worker":"w","network":"visa","at":1,"approved":"1"}',
        b'{"worker":"w","network":"visa","at":1,"approved":-1}',
        b'{"worker":"w","network":"visa","at":1,"latency_counts":[-1]}',
        b'{"worker":"w","network":"visa","at":1,"colour":"red"}',
    ],
)
def test_what_is_no_sample_is_none(data: bytes) -> None:
    """The topic is open to whoever can reach the broker."""
    assert decode(data) is None


def test_a_sample_survives_the_topic() -> None:
    """What is encoded is what is decoded; one with another histogram than ours is not folded."""
    sent = sample(START, timed_out=3)
    assert sent == decode(msgspec.json.encode(sent))
    assert not Watch({"default": QUICK}).fold(Sample("w", "visa", START, latency_counts=[1]), START)


def test_histogram() -> None:
    """A value that equals a bound is within it."""
    assert [1, 0, 2, 0, 0, 0, 0, 1, 1] == histogram([0.01, 0.2, 0.15, 10.0, 11.0])
    assert len(LATENCY_SECONDS) + 1 == len(histogram([]))


def test_thresholds_from_a_file(tmp_path: Path) -> None:
    """What a network's table does not name is as in the default table, and what that does not name as in the code."""
    path = tmp_path / "alerts.toml"
    path.write_text("[default]\nwindow_seconds = 30\n[networks.visa]\nsuccess_raise_percent = 65\n", "utf-8")
    found = load(path)
    assert Thresholds(window_seconds=30) == found["default"]
    assert Thresholds(window_seconds=30, success_raise_percent=65) == found["visa"]
    assert {"default": Thresholds()} == load(None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "does not hold thresholds"),
        ("[defaults]\n", "unknown field `defaults`"),
        ("[default]\nwindow = 3\n", "window"),
        ("[default]\nwindow_seconds = 0\n", "window_seconds 1 to 3600"),
        ("[default]\nsuccess_raise_percent = 80\n", "must not be above"),
        ("[default]\nlatency_over_ms = 9000\n", "must not be above"),
        ("[default]\nrenew_seconds = 0\n", "at least 1"),
        ("[default]\nleast_attempts = 'many'\n", "least_attempts"),
        ("networks = 3\n", "networks.toml"),
    ],
)
def test_thresholds_that_make_no_sense(text: str, said: str, tmp_path: Path) -> None:
    """One sentence that names the file."""
    path = tmp_path / "networks.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(Refused) as refused:
        load(path)
    assert said in str(refused.value)
