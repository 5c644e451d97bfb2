"""What is measured of a payment is a function of the log: of no batch, no restart, no kind of log, no partition."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random

import msgspec
import pytest

from events.calendar import HOUR, MINUTE, SECOND
from events.identity import card_id, partition_of_name
from events.partitions import ClockKind
from events.reference import FraudModel
from events.requests import CaptureMode, Channel, PaymentRequest, Tick
from events.risk import Mode, Phase, RiskAssessed
from events.wire import decode_event, encode_message
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.entries import Entry
from streams.edge.networks import Adapter
from streams.edge.reference import published
from streams.features.models import encode_model
from streams.hosts.actors import Actor, EdgeActor, IndexActor
from streams.hosts.edges import Edge
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.index import Run
from streams.hosts.log import Append, Log
from streams.hosts.memory import MemoryLog
from tests.simulation import workload
from tests.simulation.schedules import KEYS
from tests.streams.models import random_model

AT = workload.START
HOURS, CARDS = 8, 6
BATCHES = (1, 100, 1_000, 7_777)


def given(log: Log, partitions: int, seed: int) -> None:
    """Half a day: every card pays once between two ticks, from devices that they share, some of it late."""
    chance = Random(seed)
    model = FraudModel(Mode.ENFORCE, "", encode_model(random_model(Random(1))))
    reference = list(published([*workload.entries(), Entry("model", "champion", model)]))
    log.commit("given", [Append("reference", 0, AT, encode_message(entry)) for entry in reference], {})
    for number in range(1, HOURS + 1):
        tick = Tick(number, AT + number * HOUR, len(reference))
        appends = [
            Append("payments.requests", partition, tick.at, encode_message(tick))
            for partition in range(partitions)
        ]
        for card in range(CARDS):
            at = tick.at + card * MINUTE
            request = PaymentRequest(
                "till",
                f"k{number}-{card}",
                card_id(170 * card, bytes([200 + card]) * 10),
                "41111122",
                "0042",
                chance.randrange(100, 9_000),
                "USD",
                Channel.ECOMMERCE,
                CaptureMode.AUTOMATIC,
                f"device-{chance.randrange(3)}",
                "",
                "",
                at - chance.choice([0, 0, 30 * SECOND]),
                "till-1",
                True,
            )
            home = partition_of_name(f"till/{request.idempotency_key}", partitions)
            appends.append(Append("payments.requests", home, at, encode_message(request)))
        log.commit("given", appends, {})


def vectors(log: Log, partitions: int = 1, batch: int = 100, *, restarts: bool = False, seed: int = 7) -> str:
    """The hash over all verdicts, once everything is decided; with ``restarts`` from a snapshot after every turn."""
    given(log, partitions, seed)
    run = Run(partitions, ClockKind.VIRTUAL, AT, HOURS, "{}")
    indexes = [IndexActor(log, number, run, KEYS) for number in range(partitions)]
    edges: list[Edge] = [Bank(partitions, 1), ClearingHouse(partitions, 1)]
    edges += [Adapter(number, 1) for number in range(partitions)]
    outside: list[Actor] = [EdgeActor(log, edge) for edge in edges]
    busy = True
    while busy:
        busy = False
        for place, actor in enumerate(indexes):
            busy |= bool(actor.turn(batch))
            if restarts:
                log.commit(actor.name, [], {}, actor.index.snapshot())
                indexes[place] = IndexActor(log, place, run, KEYS)
        for other in outside:
            busy |= bool(other.turn(batch))
    bodies = [
        decode_event(stored.value).body
        for partition in range(partitions)
        for stored in log.read("payments", partition, 0, 100_000)
    ]
    verdicts = {
        body.payment_id: body
        for body in bodies
        if isinstance(body, RiskAssessed) and body.phase is Phase.BEFORE_AUTHORIZATION
    }
    assert len(verdicts) == HOURS * CARDS
    assert len({tuple(body.features) for body in verdicts.values()}) > HOURS
    assert all(body.models for body in verdicts.values())
    found = sha256()
    for name in sorted(verdicts):
        found.update(msgspec.msgpack.encode(verdicts[name]))
    return found.hexdigest()


@pytest.fixture(scope="module")
def expected() -> str:
    """In batches of one hundred, on the log in memory."""
    return vectors(MemoryLog())


@pytest.mark.parametrize("batch", BATCHES)
def test_batches_change_nothing(batch: int, expected: str) -> None:
    """Whatever a turn takes."""
    assert expected == vectors(MemoryLog(), batch=batch)


@pytest.mark.parametrize("partitions", [2, 4])
def test_partitions_change_nothing(partitions: int, expected: str) -> None:
    """A card is at home in one of them, and what is counted is counted there."""
    assert expected == vectors(MemoryLog(), partitions)


def test_restarts_change_nothing(expected: str) -> None:
    """From a snapshot, after every turn."""
    assert expected == vectors(MemoryLog(), batch=7, restarts=True)


def test_the_kind_of_log_changes_nothing(expected: str, tmp_path: Path) -> None:
    """A file in place of memory."""
    with closing(EmbeddedLog(tmp_path / "log.db")) as log:
        assert expected == vectors(log)


def test_another_input_is_another_hash(expected: str) -> None:
    """Or nothing above would say anything."""
    assert expected != vectors(MemoryLog(), seed=8)
