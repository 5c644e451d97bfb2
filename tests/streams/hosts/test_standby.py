"""A standby is what restoring gives, however it came there; and whatever happens to it, nobody else is disturbed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from events.calendar import MINUTE
from events.errors import Broken, LogDamaged, ReplayDiffers, Unavailable
from events.partitions import ClockKind
from events.requests import Tick
from events.wire import encode_message
from streams.features import pieces
from streams.features.shelf import NOTHING, Cupboard
from streams.forensics.digests import state_digest
from streams.hosts import snapshots, standby
from streams.hosts.cluster import Cluster, headers
from streams.hosts.index import Index, Run
from streams.hosts.localstate import LocalState
from streams.hosts.log import Append, Stored, TopicPartition
from streams.hosts.memory import MemoryLog
from streams.hosts.snapshots import Spilled
from streams.hosts.standby import Following, Standby, Warm
from streams.hosts.worker import Worker
from streams.topology import LOGS
from tests.patience import PATIENCE_SECONDS
from tests.simulation.schedules import KEYS, Outcome, Simulation, calm
from tests.streams.hosts import test_index as small

SEED: Final = 3


class Beside(MemoryLog):
    """A log in memory beside which snapshots are kept; it can be shorter than what it was made of."""

    def __init__(self) -> None:
        super().__init__()
        self.cupboards: dict[str, Cupboard] = {}
        self.reads = 0

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        self.reads += 1
        return super().read(topic, partition, offset, limit)

    def cupboard(self, owner: str) -> Cupboard:
        return self.cupboards.get(owner, NOTHING)

    @classmethod
    def of(cls, log: MemoryLog, ends: Mapping[str, int] | None = None) -> "Beside":
        """The same records, up to these ends, and the same positions."""
        made = cls()
        made._topics = {
            (name, number): records[: (ends or {}).get(name, len(records))]
            for (name, number), records in log._topics.items()
        }
        made._positions = {owner: dict(places) for owner, places in log._positions.items()}
        return made


@pytest.fixture(scope="module")
def life() -> Outcome:
    """A whole life in a world that fails often."""
    return calm(SEED)


def whole(life: Outcome) -> tuple[Beside, Run]:
    """Its log, and what that was opened for."""
    assert life.log is not None
    return Beside.of(life.log), Simulation(SEED, None).run_arguments


def begun(log: Beside, run: Run, folder: Path) -> Warm:
    """A standby at the beginning, or at what is kept in the folder."""
    warm = Warm(Index(0, run, KEYS))
    assert warm.begin(log, LocalState(folder, "index/0"))
    return warm


def follow(warm: Warm, log: MemoryLog, chance: random.Random, up_to: Mapping[str, int]) -> None:
    """Slices of any size, of any log, until these ends."""
    behind = [name for name in LOGS if warm.index.log_ends[name] < up_to[name]]
    while behind:
        name = chance.choice(behind)
        at = warm.index.log_ends[name]
        warm.take(name, log.read(name, 0, at, min(chance.choice((1, 2, 7, 100, 5_000)), up_to[name] - at)))
        behind = [name for name in LOGS if warm.index.log_ends[name] < up_to[name]]


def ends_of(log: MemoryLog) -> dict[str, int]:
    """Where its logs end."""
    return {name: log.end(name, 0) for name in LOGS}


# --- what it comes to -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_it_is_what_restoring_gives(life: Outcome, tmp_path: Path, number: int) -> None:
    """However the slices fell, and wherever in the events of an input they ended: to the byte, folding only the end."""
    (log, run), chance = whole(life), random.Random(number)
    cut = {name: chance.randint(end * 3 // 4, end) for name, end in ends_of(log).items()}
    warm = begun(log, run, tmp_path)
    follow(warm, log, chance, cut)
    assert sum(cut.values()) == warm.index.restored == warm.events
    assert warm.catch_up(log)
    assert sum(ends_of(log).values()) == warm.index.restored
    cold = Index(0, run, KEYS)
    assert cold.restore(log)
    assert cold.snapshot() == warm.index.snapshot()
    assert life.state == state_digest(warm.index.summary())


def spill_every(events: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the last snapshot was."""
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVENTS", events)
    monkeypatch.setattr(snapshots, "SNAPSHOT_BYTES", 1 << 30)


def test_it_keeps_a_snapshot_and_begins_with_it(
    life: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two inputs alone; a new one goes on from there, and comes to the same."""
    spill_every(1_000, monkeypatch)
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    within = next(at for at in range(1_000, 2_000) if not between_inputs(log, run, tmp_path, at))
    follow(warm, log, random.Random(1), {**dict.fromkeys(LOGS, 1), "payments": within})
    assert not warm.is_worth_keeping
    follow(warm, log, random.Random(1), ends_of(log))
    assert warm.is_worth_keeping
    warm.keep_apart()
    assert not warm.is_worth_keeping
    again = begun(log, run, tmp_path)
    assert (0, warm.events) == (again.index.restored, again.events)
    assert again.catch_up(log)
    assert warm.index.snapshot() == again.index.snapshot()


def test_it_is_the_same_when_nearly_all_of_it_is_cold(
    life: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept at every occasion, taken over, and begun anew by somebody who finds what was kept."""
    spill_every(100, monkeypatch)
    (log, run), chance = whole(life), random.Random(5)
    warm, kept = begun(log, run, tmp_path), 0
    for part in range(1, 101):
        follow(warm, log, chance, {name: end * part // 100 for name, end in ends_of(log).items()})
        if warm.is_worth_keeping:
            warm.keep_apart()
            kept += 1
    assert kept > 4
    assert warm.catch_up(log)
    assert life.state == state_digest(warm.index.summary())
    warm.close()
    again = begun(log, run, tmp_path)
    assert again.catch_up(log)
    assert life.state == state_digest(again.index.summary())
    assert is_mostly_cold(again.index)
    again.close()


def test_a_snapshot_that_is_encoded_bit_by_bit_is_that_of_its_moment(
    life: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index goes on in between, and what it changes is none of its business."""
    spill_every(100, monkeypatch)
    monkeypatch.setattr(pieces, "PIECE", 20)
    log, run = whole(life)
    at_once, slowly = (begun(Beside.of(log), run, tmp_path / name) for name in ("at once", "slowly"))
    kept, steps, parts = 0, 0, 400
    held: tuple[Spilled, bytes] | None = None
    for part in range(1, parts + 1):
        up_to = {name: end * part // parts for name, end in ends_of(log).items()}
        for warm in (at_once, slowly):
            follow(warm, log, random.Random(part), up_to)
        if held is not None:
            if held[0].go_on():
                steps += 1
                continue
            assert held[0].body == held[1]
            slowly.local.write()
            held, kept = None, kept + 1
        elif slowly.is_worth_keeping:
            held = hold(slowly), hold(at_once).body
            at_once.local.write()
    assert kept > 4
    assert steps > 10 * kept
    assert at_once.index.snapshot() == slowly.index.snapshot()


def hold(warm: Warm) -> Spilled:
    """A snapshot, not yet written."""
    spilled = warm.index.spill()
    warm.local.hold(spilled, warm.index.log_ends, {}, warm.events)
    warm._distance.begin(warm.events, 0)
    return spilled


def test_it_restores_a_long_log_with_little_in_memory(
    life: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spilling on its way, from the beginning; and one that dies on the way goes on from there."""
    spill_every(100, monkeypatch)
    log, run = whole(life)
    first = begun(log, run, tmp_path)
    half = Beside.of(log, {name: end // 2 for name, end in ends_of(log).items()})
    with pytest.raises(Broken):  # Within an input, or short of a position: as if it had died there.
        first.go_on(half)
    first.close()
    warm = begun(log, run, tmp_path)
    assert warm.kept_events > 0
    warm.go_on(log)
    assert life.state == state_digest(warm.index.summary())
    assert is_mostly_cold(warm.index)
    warm.close()


def test_nothing_is_kept_while_it_is_taken_over(
    life: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago that was, for nobody decides meanwhile; nor by a thread that was to keep it before."""
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVENTS", 100)
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    follow(warm, log, random.Random(1), {name: end * 3 // 4 for name, end in ends_of(log).items()})
    assert warm.catch_up(log)
    assert 0 == warm.kept_events
    assert warm.is_worth_keeping
    warm.keep_apart()
    assert not any(tmp_path.iterdir())
    warm.close()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_snapshot_that_is_wrong_costs_time_alone(
    life: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_damaged: bool,
) -> None:
    """Well kept, and not what the index was: the log is folded from its beginning, and says whether it is right."""
    spill_every(1_000, monkeypatch)
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    follow(warm, log, random.Random(1), {name: min(2_000, end) for name, end in ends_of(log).items()})
    ahead = warm.index.engines["payments"].ticks.marks
    ahead |= dict.fromkeys(ahead, run.last_tick)
    assert warm.is_worth_keeping
    warm.keep_apart()
    warm.close()
    if is_damaged:
        records = log._topics[("settlement", 0)]
        records[5] = records[4]
    again, local = Warm(Index(0, run, KEYS)), LocalState(tmp_path, "index/0")
    if is_damaged:
        with pytest.raises(ReplayDiffers, match="settlement/0 at 4"):
            again.restore(log, local)
    else:
        assert again.restore(log, local)
        assert life.state == state_digest(again.index.summary())
        assert sum(ends_of(log).values()) == again.events == again.index.restored
    assert [1, 1] == [caplog.text.count(word) for word in ("does not lead to what", "is not used")]
    again.close()


def is_mostly_cold(index: Index) -> bool:
    """Whether most rows of the shelves lie outside memory."""
    shelves = [found.shelf for engine in index.engines.values() for found in engine.shelves()]
    return sum(shelf.cold for shelf in shelves) > sum(map(len, shelves)) // 2


def between_inputs(log: Beside, run: Run, folder: Path, at: int) -> bool:
    """Whether the first so many records of the payments log are whole inputs."""
    warm = begun(log, run, folder)
    warm.take("payments", log.read("payments", 0, 0, at))
    return warm.index.is_between_inputs("payments")


def test_nobody_has_opened_the_log(tmp_path: Path) -> None:
    """Then there is nothing to begin with. One that lacks the beginning of one of its logs is damaged, not new."""
    fresh = Warm(Index(0, small.RUN, small.KEYS))
    assert not fresh.begin(Beside(), LocalState(tmp_path, "index/0"))
    # Whoever opens it then has to find again what becomes cold.
    assert all(found.shelf.attached for engine in fresh.index.engines.values() for found in engine.shelves())
    log = small.filled()
    small.work(log)
    half = Beside.of(log, {"settlement": 0})
    with pytest.raises(LogDamaged, match="settlement/0 does not begin with LogOpened"):
        Warm(Index(0, small.RUN, small.KEYS)).begin(half, LocalState(tmp_path, "index/0"))


# --- what it is not -------------------------------------------------------------------------------------


def test_what_was_left_out_is_noticed(life: Outcome, tmp_path: Path) -> None:
    """A reader that was moved gives other records than those that stand next."""
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    warm.take("payments", log.read("payments", 0, 0, 10))
    with pytest.raises(LogDamaged, match="payments/0 at 11 does not follow what was read before it"):
        warm.take("payments", log.read("payments", 0, 11, 10))


def test_another_decision_is_noticed(life: Outcome, tmp_path: Path) -> None:
    """Of an owner whose code decides otherwise: chained well, and not what is decided here."""
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    first, second = log.read("payments", 0, 0, 2)
    other = MemoryLog()
    appends = [Append("payments", 0, record.at, record.value) for record in (first, second, second)]
    other.commit("index/0", appends, {})
    with pytest.raises(ReplayDiffers, match="payments/0 at 2"):
        warm.take("payments", other.read("payments", 0, 0, 3))


def test_it_stands_at_no_record_of_the_log(life: Outcome, tmp_path: Path) -> None:
    """A log that was cut, or is another one under the same name: it is not believed."""
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    follow(warm, log, random.Random(1), ends_of(log))
    assert not warm.catch_up(Beside.of(log, {"payments": log.end("payments", 0) - 1}))
    other = Beside.of(log)
    last = other._topics[("payments", 0)][-1]
    other._topics[("payments", 0)][-1] = last._replace(chain=bytes(32))
    assert not warm.catch_up(other)
    assert warm.catch_up(log)


@pytest.mark.parametrize("wrong", [b"nothing", b""])
def test_what_comes_behind_it_is_damaged(life: Outcome, tmp_path: Path, wrong: bytes) -> None:
    """It is of no use then; whether the log is, restoring anew says."""
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    follow(warm, log, random.Random(1), {name: end - 1 for name, end in ends_of(log).items()})
    damaged = Beside.of(log)
    for name in LOGS:
        records = damaged._topics[(name, 0)]
        records[-1] = records[-1]._replace(value=wrong)
    assert not warm.catch_up(damaged)


def test_a_transaction_that_was_not_committed_by_the_group_is_noticed(life: Outcome, tmp_path: Path) -> None:
    """Positions that say otherwise than the recorded sources are no log to go on with."""
    log, run = whole(life)
    warm = begun(log, run, tmp_path)
    follow(warm, log, random.Random(1), ends_of(log))
    log._positions["index/0"][("payments.inbox", 0)] -= 1
    assert not warm.catch_up(log)


# --- following ------------------------------------------------------------------------------------------


class Record(NamedTuple):
    """What the client library gives."""

    offset: int
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp: int = 0


class Reader:
    """Reads a log in memory as a follower reads Kafka. ``failing`` is what the next call raises, once."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.failing: Exception | None = None
        self.positions: dict[TopicPartition, int] = {}
        self.taken = 0

    async def start(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Let go."""

    def follow(self, positions: Mapping[TopicPartition, int]) -> None:
        self.positions = dict(positions)

    async def take(self, limit: int, wait_ms: int) -> dict[TopicPartition, list[Record]]:
        failing, self.failing = self.failing, None
        if failing is not None:
            raise failing
        for place, position in self.positions.items():
            found: list[Stored] = self.log.read(*place, position, limit)
            if found:
                self.positions[place] += len(found)
                self.taken += len(found)
                return {place: [Record(r.offset, r.value, headers(r.at, r.chain)) for r in found]}
        await asyncio.sleep(0.001)
        return {}

    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self.log.end(*place) for place in places}

    async def stands(self) -> dict[TopicPartition, int]:
        return dict(self.positions)


@asynccontextmanager
async def standing_by(
    log: Beside, run: Run, folder: Path, **options: Any
) -> AsyncIterator[tuple[Standby, Reader]]:
    """A standby that reads a log in memory, and what it reads it with."""
    reader: Any = Reader(log)
    keys = small.KEYS if run is small.RUN else KEYS
    made = Standby(
        Cluster("localhost:1"), run, keys, folder, reader=lambda _: reader, log=lambda _: log, **options
    )
    try:
        yield made, reader
    finally:
        await made.stop()


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is done now and then is done at once."""
    monkeypatch.setattr(standby, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(standby, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(standby, "_CROWDED_SECONDS", 0.001)


def level(made: Standby, log: MemoryLog, number: int = 0) -> bool:
    """Whether it has folded all there is."""
    return sum(log.end(name, number) for name in LOGS) == made.following[number].events > 0


@pytest.mark.asyncio
async def test_it_follows_a_log_that_grows(tmp_path: Path) -> None:
    """From before it was opened; taken over it folds nothing, and is what restoring gives."""
    log = Beside()
    async with standing_by(log, small.RUN, tmp_path) as (made, reader):
        made.keep([0])
        await until(lambda: reader.positions == {} and made.following[0].events == 0)
        log._topics = small.filled(40)._topics
        small.work(log)
        await until(lambda: level(made, log) and made.following[0].records_behind == 0)
        assert made.following[0].seconds_behind < PATIENCE_SECONDS
        warm = made.release(0)
        assert ({}, None) == (made.following, made.release(0))
    assert warm is not None
    folded = warm.index.restored
    assert warm.catch_up(log)
    assert folded == warm.index.restored
    cold = Index(0, small.RUN, small.KEYS)
    assert cold.restore(log)
    assert cold.snapshot() == warm.index.snapshot()


@pytest.mark.asyncio
async def test_half_an_opening_is_waited_for(tmp_path: Path) -> None:
    """Whoever does not fence may see it in some of the logs before the others: nothing is damaged by that."""
    whole = small.filled(40)
    small.work(whole)
    log = Beside.of(whole, {"settlement": 0})
    async with standing_by(log, small.RUN, tmp_path) as (made, reader):
        made.keep([0])
        seen = log.reads
        await until(lambda: log.reads > seen + 3 * len(LOGS))
        assert ("", 0) == (made.following[0].lost, reader.taken)
        log._topics = whole._topics
        await until(lambda: level(made, log))


@pytest.mark.asyncio
async def test_a_broker_that_does_not_answer_costs_nothing_but_time(tmp_path: Path) -> None:
    """Another reader goes on where the first one stood; what was folded is not folded again."""
    log = Beside.of(small.filled(40))
    small.work(log)
    async with standing_by(log, small.RUN, tmp_path) as (made, reader):
        made.keep([0])
        await until(lambda: made.following[0].events > 0)
        reader.failing = Unavailable("no answer")
        await until(lambda: level(made, log))
        assert (None, made.following[0].events) == (reader.failing, reader.taken)


@pytest.mark.asyncio
async def test_one_that_is_lost_is_lost_alone(life: Outcome, tmp_path: Path) -> None:
    """Its reason is said, and it is not tried again until the group is divided anew; the other one goes on."""
    log, run = whole(life)
    log._topics |= {(name, 1): list(log._topics[(name, 0)]) for name in LOGS}
    async with standing_by(log, run, tmp_path) as (made, _):
        # What index 1 decides of the inputs of index 0 is not what they led to.
        made.keep([0, 1])
        await until(lambda: level(made, log) and made.following[1].lost != "")
        assert "" == made.following[0].lost
        assert made.release(1) is None
        made.keep([0, 1])
        assert "" == made.following[1].lost
        await until(lambda: made.following[1].lost != "")
        assert level(made, log)


@pytest.mark.asyncio
async def test_while_owned_work_is_crowded_nothing_is_read(tmp_path: Path) -> None:
    """Not even what is needed to begin; in the middle it stands, and goes on when there is room again."""
    log = Beside.of(small.filled(250))
    small.work(log)
    crowded = True
    asked = 0

    def is_crowded() -> bool:
        nonlocal asked
        asked += 1
        return crowded

    async with standing_by(log, small.RUN, tmp_path, is_crowded=is_crowded) as (made, reader):
        made.keep([0])
        await until(lambda: asked > 3)
        assert (0, {}) == (reader.taken, reader.positions)
        crowded = False
        await until(lambda: reader.taken > 0)
        crowded, asked = True, 0
        await until(lambda: asked > 1)
        stood, asked = reader.taken, 0
        await until(lambda: asked > 3)
        assert stood == reader.taken < sum(ends_of(log).values())
        crowded = False
        await until(lambda: level(made, log))


@pytest.mark.asyncio
async def test_beside_owned_work_a_pause_follows_each_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the slice took, times a factor; alone it does not pause."""
    monkeypatch.setattr(standby, "_PAUSE", 1e9)
    log = Beside.of(small.filled(250))
    small.work(log)
    alone = False
    async with standing_by(log, small.RUN, tmp_path, is_alone=lambda: alone) as (made, reader):
        made.keep([0])
        await until(lambda: reader.taken > 0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert reader.taken <= standby._SLICE
    alone = True
    async with standing_by(log, small.RUN, tmp_path, is_alone=lambda: alone) as (made, _):
        made.keep([0])
        await until(lambda: level(made, log))


@pytest.mark.asyncio
async def test_what_was_not_used_is_followed_on(tmp_path: Path) -> None:
    """Where the group is divided anew before an index that was released has been restored from it."""
    log = Beside.of(small.filled(40))
    small.work(log)
    async with standing_by(log, small.RUN, tmp_path) as (made, reader):
        made.keep([0])
        await until(lambda: level(made, log))
        warm = made.release(0)
        assert warm is not None
        made.give_back(0, warm)
        made.keep([0])
        tick = Tick(3, small.AT + 3 * MINUTE, 0)
        log.commit("publisher", [Append("payments.requests", 0, small.AT, encode_message(tick))], {})
        before = reader.taken
        small.work(log)
        await until(lambda: sum(ends_of(log).values()) == warm.index.restored)
        assert reader.taken - before == made.following[0].events
        assert warm is made.release(0)


def test_how_far_it_is_behind() -> None:
    """Level is what has read all that was committed at some moment: also where there is always more."""
    place = ("payments", 0)
    following = Following(level_at=0.0)
    following.look({place: 10}, {place: 4}, 100.0)
    assert (6, 0.0) == (following.records_behind, following.level_at)
    following.look({place: 30}, {place: 9}, 102.0)
    assert (21, 0.0) == (following.records_behind, following.level_at)
    following.look({place: 40}, {place: 12}, 104.0)
    assert (28, 100.0) == (following.records_behind, following.level_at)
    following.look({place: 50}, {place: 41}, 106.0)
    assert (9, 104.0) == (following.records_behind, following.level_at)
    following.look({place: 50}, {place: 50}, 108.0)
    assert (0, 108.0) == (following.records_behind, following.level_at)


@pytest.mark.parametrize(
    ("standbys", "ours", "others"),
    [
        (0, set(), []),
        (1, {0, 1}, [2]),
        (1, {2, 3}, [0]),
        (2, {0, 1}, [2, 3]),
        (9, {1}, [2, 3, 0]),
        (9, set(), [0, 1, 2, 3]),
        (9, {0, 1, 2, 3}, []),
    ],
)
def test_which_of_the_others(tmp_path: Path, standbys: int, ours: set[int], others: list[int]) -> None:
    """The next ones, so that workers with few standbys follow different indexes; never one of ours."""
    run = Run(4, ClockKind.WALL, 0, 0, "{}")
    assert others == Worker(Cluster("localhost:1"), run, KEYS, tmp_path, standbys=standbys)._others(ours)
