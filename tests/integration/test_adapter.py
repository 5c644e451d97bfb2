"""The line to the networks on a real broker: an authorization goes out at most once, and whatever went out is answered.

What was on the wire is what the simulated networks say has reached them.
"""

import asyncio
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    ReversalSubmitted,
)
from events.messages import Handover
from events.partitions import ClockKind, LogOpened
from events.wire import decode_event, decode_message, encode_event, encode_message, type_of
from streams.edge.networks import Adapter
from streams.hosts.clocks import WallClock
from streams.hosts.cluster import Cluster
from streams.hosts.following import group_positions
from streams.hosts.kafkalog import KafkaLog
from streams.hosts.log import Append
from tests.integration.outsiders import (
    PARTITIONS,
    SEED,
    Counting,
    Outsider,
    appends,
    copied,
    forget_positions,
    new_cluster,
    played,
    until_empty,
    written,
)
from tests.streams.builders_early import recorded

_KINDS = {
    AuthorizationSubmitted: "authorization",
    IncrementSubmitted: "increment",
    ReversalSubmitted: "reversal",
}
#: A network that has got one of these twice may charge a card twice.
_AT_MOST_ONCE = ("authorization", "increment")
POINTS = ("after-journal", "after-wire", "after-replies", "after-group")


class Asked(NamedTuple):
    """A submission, as answers name it."""

    kind: str
    rrn: str
    attempt: int


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    return new_cluster(kafka)


def opened(clock: ClockKind) -> list[Append]:
    """The first records of payments logs that live by a clock."""
    run = f'{{"seed":{SEED}}}' if clock is ClockKind.VIRTUAL else WallClock().arguments
    return [
        Append(
            "payments",
            number,
            0,
            encode_event(recorded(LogOpened("payments", number, PARTITIONS, clock, 1, 0, 0, run, []))),
        )
        for number in range(PARTITIONS)
    ]


def submitted(clock: ClockKind = ClockKind.WALL) -> list[Append]:
    """The payments logs of a day, as a worker of such a clock would have written them, up to the last submission.

    Half of these records are about half of the work: the days of ticks behind it would be none.
    """
    day = appends(played(), [("payments", number) for number in range(PARTITIONS)])
    last = max(number for number, one in enumerate(day) if type_of(one.value) in _KINDS)
    return [*opened(clock), *(one for one in day[: last + 1] if type_of(one.value) is not LogOpened)]


def asked(records: Sequence[Append]) -> list[Asked]:
    """Every submission in them."""
    bodies = (decode_event(one.value).body for one in records)
    return [
        Asked(kind, body.rrn, body.attempt)
        for body in bodies
        for cls, kind in _KINDS.items()
        if isinstance(body, cls)
    ]


def calm() -> list[list[bytes]]:
    """What the networks answer when nobody dies, as facts."""
    found: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    edges = [Adapter(number, SEED) for number in range(PARTITIONS)]
    for one in submitted():
        if type_of(one.value) in Adapter.HEARS:
            answers = edges[one.partition].see("payments", one.partition, decode_event(one.value))
            found[one.partition] += [encode_message(answer.message) for answer in answers]
    return found


def unreachable() -> set[Asked]:
    """Submissions for which the line is dead: they never leave."""
    return {
        which for values in calm() for which, fact in map(answer, values) if isinstance(fact, NetworkNotSent)
    }


def answer(value: bytes) -> tuple[Asked, object]:
    """Which submission an answer is to, and what it says."""
    message = decode_message(value)
    assert isinstance(message, Handover)
    fact = message.fact
    assert isinstance(fact, NetworkReplyReceived | NetworkReplyTimedOut | NetworkNotSent)
    return Asked(str(fact.kind), fact.rrn, fact.attempt), fact


def answers(cluster: Cluster) -> list[tuple[Asked, object]]:
    return [answer(value) for values in written(cluster, "network.replies") for value in values]


class Line:
    """An adapter, its folder and the networks' account."""

    def __init__(self, cluster: Cluster, folder: Path, name: str = "adapter", *more: str) -> None:
        self.account = folder / "network"
        self.state = folder / name
        self.outsider = Outsider(
            folder / f"{name}-output",
            "adapter", "--log", cluster.address, "--seed", str(SEED), "--state", str(self.state),
            "--network-record", str(self.account), *more,
        )  # fmt: skip

    def __enter__(self) -> Outsider:
        return self.outsider

    def __exit__(self, *_: object) -> None:
        self.outsider.stop()


def reached(account: Path) -> Counter[Asked]:
    """What the networks have got, and how often."""
    found: Counter[Asked] = Counter()
    for text in account.read_text("ascii").splitlines() if account.exists() else ():
        kind, rrn, attempt, *_ = text.split()
        found[Asked(kind, rrn, int(attempt))] += 1
    return found


def check_at_most_once(cluster: Cluster, account: Path, records: Sequence[Append]) -> None:
    """Nothing that asks for money went out twice; every submission has an answer; who was not asked timed out."""
    on_the_wire, said = reached(account), answers(cluster)
    wanted = asked(records)
    twice = [which for which, times in on_the_wire.items() if which.kind in _AT_MOST_ONCE and times > 1]
    assert twice == []
    assert {which for which, _ in said} >= set(wanted)
    assert set(on_the_wire) <= set(wanted)
    silent = set(wanted) - set(on_the_wire) - unreachable()
    for which, fact in said:
        if which in silent:
            assert isinstance(fact, NetworkReplyTimedOut), which


def answered(counting: Counting, cluster: Cluster, records: Sequence[Append]) -> bool:
    """Whether every submission has an answer."""
    wanted = set(asked(records))
    if counting.of("network.replies") < len(wanted):
        return False
    return wanted <= {which for which, _ in answers(cluster)}


@pytest.fixture
def counting(cluster: Cluster) -> Iterator[Counting]:
    with closing(Counting(cluster)) as made:
        yield made


# --- nobody dies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--partitions", "0,1"), ("--latency-ms", "30")])
def test_everything_goes_out_once_and_is_answered(
    cluster: Cluster, counting: Counting, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """The answers are those of the networks, in whatever order; in the end nothing is left in doubt."""
    line = Line(cluster, tmp_path, "adapter", *more)
    with line as adapter:
        adapter.start()
        for _ in copied(cluster, submitted()):
            pass
        adapter.until(lambda: counting.of("network.replies") == sum(map(len, calm())))
        adapter.stop()
        assert adapter.code == 0
    assert [sorted(values) for values in written(cluster, "network.replies")] == list(map(sorted, calm()))
    assert reached(line.account) == Counter(set(asked(submitted())) - unreachable())
    positions = asyncio.run(group_positions(cluster, f"{cluster.prefix}.adapter"))
    with closing(KafkaLog(cluster)) as log:
        for (topic, number), (offset, owner) in positions.items():
            last = log.last(topic, number)
            assert last is not None
            assert (offset, owner) == (last.offset + 1, "")
    if "--latency-ms" in more:
        assert written(cluster, "network.replies") != calm()


# --- killed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("point", "latency"), [(point, "40") for point in POINTS] + [("after-wire", "0")])
def test_killed_before_and_behind_the_wire(
    cluster: Cluster, counting: Counting, tmp_path: Path, point: str, latency: str
) -> None:
    """Journalled and not sent, sent and not answered, answered and not noted: at most once out, all answered."""
    records = submitted()
    line = Line(cluster, tmp_path, "adapter", "--latency-ms", latency, "--batch", "20")
    with line as adapter:
        adapter.start(f"{point}:2")
        for _ in copied(cluster, records, 8):
            pass
        adapter.until(lambda: answered(counting, cluster, records))
        assert adapter.deaths == 1
    check_at_most_once(cluster, line.account, records)


def test_killed_at_random_moments(cluster: Cluster, counting: Counting, tmp_path: Path) -> None:
    """Whenever, with answers under way: at most once on the wire, all answered."""
    seed = random.randrange(1, 10**6)
    print(f"seed {seed}")
    chance, records = random.Random(seed), submitted()
    line = Line(cluster, tmp_path, "adapter", "--latency-ms", "100")
    with line as adapter:
        adapter.start()
        for number, _ in enumerate(copied(cluster, records, 40)):
            if number % 8 == 7:
                adapter.killed_at_random(chance, lambda: False)
        adapter.until(lambda: answered(counting, cluster, records))
    check_at_most_once(cluster, line.account, records)


def test_in_virtual_time_the_networks_are_asked_again(
    cluster: Cluster, counting: Counting, tmp_path: Path
) -> None:
    """They are a function there: no answer is lost, and nobody but they says that nothing was heard."""
    records = submitted(ClockKind.VIRTUAL)
    line = Line(cluster, tmp_path, "adapter", "--batch", "20")
    with line as adapter:
        adapter.start("after-journal:2")
        for _ in copied(cluster, records, 8):
            pass
        adapter.until(lambda: answered(counting, cluster, records))
        assert adapter.deaths == 1
        adapter.stop()
    wanted = {value for values in calm() for value in values}
    assert {value for values in written(cluster, "network.replies") for value in values} == wanted


# --- what is lost, and who else there is --------------------------------------------------------------


@pytest.mark.parametrize("lost", ["journal", "everything"])
def test_a_lost_journal(cluster: Cluster, counting: Counting, tmp_path: Path, lost: str) -> None:
    """What stands behind the group's position may have been sent: it has timed out. With no position, all of it."""
    records = submitted()
    half = len(records) // 2
    line = Line(cluster, tmp_path, "adapter", "--latency-ms", "300")
    with line as adapter:
        adapter.start("after-replies:1")
        for _ in copied(cluster, records[:half], 4):
            pass
        adapter.until_ended()
        sent = reached(line.account)
        assert sent
        shutil.rmtree(line.state)
        if lost == "everything":
            until_empty(cluster, f"{cluster.prefix}.adapter")
            forget_positions(cluster, [f"{cluster.prefix}.adapter"])
        adapter.start()
        adapter.until(lambda: answered(counting, cluster, records[:half]))
        for _ in copied(cluster, records[half:], 4):
            pass
        adapter.until(lambda: answered(counting, cluster, records))
    check_at_most_once(cluster, line.account, records)
    assert set(asked(records[half:])) - unreachable() <= set(reached(line.account))


def test_two_adapters_share_and_hand_over(cluster: Cluster, counting: Counting, tmp_path: Path) -> None:
    """Who joins gets a share, who leaves gives its own back: nothing is in doubt, so nobody is said to be silent."""
    records = submitted()
    third = len(records) // 3
    first, second = Line(cluster, tmp_path, "first"), Line(cluster, tmp_path, "second")

    def owners() -> set[str]:
        found = asyncio.run(group_positions(cluster, f"{cluster.prefix}.adapter"))
        return {owner for _, owner in found.values() if len(found) == PARTITIONS}

    with first as one, second as other:
        one.start()
        for _ in copied(cluster, records[:third], 2):
            pass
        one.until(lambda: answered(counting, cluster, records[:third]))
        alone = owners()
        assert len(alone) == 1
        other.start()
        other.until(lambda: len(owners() - {""}) == 2)
        for _ in copied(cluster, records[third : 2 * third], 2):
            pass
        other.until(lambda: answered(counting, cluster, records[: 2 * third]))
        one.stop()
        for _ in copied(cluster, records[2 * third :], 2):
            pass
        other.until(lambda: answered(counting, cluster, records))
        assert not owners() & alone
    assert [sorted(values) for values in written(cluster, "network.replies")] == list(map(sorted, calm()))
    assert reached(first.account) == Counter(set(asked(records)) - unreachable())


def test_a_frozen_adapter_that_wakes_sends_nothing(
    cluster: Cluster, counting: Counting, tmp_path: Path
) -> None:
    """Another one has its partitions: it finds that out before the wire, and ends in doubt."""
    records = submitted()
    half = len(records) // 2
    first, second = Line(cluster, tmp_path, "first"), Line(cluster, tmp_path, "second")
    with first as one, second as other:
        one.start()
        for _ in copied(cluster, records[:half], 2):
            pass
        one.until(lambda: answered(counting, cluster, records[:half]))
        one.signal(signal.SIGSTOP)
        other.start()
        for _ in copied(cluster, records[half:], 2):
            pass
        other.until(lambda: answered(counting, cluster, records))
        before = reached(first.account)
        one.signal(signal.SIGCONT)
        one.until_ended()
        assert one.code == 3
        assert "taken over" in one.said()
        assert reached(first.account) == before
    check_at_most_once(cluster, first.account, records)


def is_refused(adapter: Outsider) -> bool:
    """Whether it has found its journal in the hands of another."""
    return "another adapter has the journal" in adapter.said()


def test_one_journal_one_adapter(cluster: Cluster, counting: Counting, tmp_path: Path) -> None:
    """A second process on the same folder would spoil what the first knows: one of both is refused."""
    records = submitted()[:40]
    line = Line(cluster, tmp_path)
    with line as adapter:
        adapter.start()
        for _ in copied(cluster, records, 1):
            pass
        adapter.until(lambda: answered(counting, cluster, records))
        twin = Outsider(
            tmp_path / "twin",
            "adapter",
            "--log",
            cluster.address,
            "--seed",
            str(SEED),
            "--state",
            str(line.state),
        )
        with twin:
            twin.start()
            # Whoever had it may have given up on a slow broker and begin again just now, behind its twin.
            adapter.until(lambda: any(map(is_refused, (twin, adapter))))
            late = next(filter(is_refused, (twin, adapter)))
            late.until_ended()
            assert late.code == 3
