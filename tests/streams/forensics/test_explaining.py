"""A verdict explained: decided again from the log, the same to the bit, or the field that differs is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import msgspec
import pytest

from events.envelope import Recorded
from events.errors import Refused
from events.identity import card_id, slot_of_payment
from events.reference import Action, FraudModel, RuleBook, WrittenRule
from events.risk import Mode, RiskAssessed, Verdict
from events.wire import decode_event, encode_event
from streams.edge.entries import Entry
from streams.features.models import encode_model
from streams.features.rules.catalogue import LANGUAGE
from streams.forensics.explaining import Explained, Fired, explain
from streams.hosts.log import Stored, TopicPartition
from streams.hosts.memory import MemoryLog
from tests.simulation.stories import Story
from tests.streams.models import random_model

PARTITIONS = 2
BOOK = RuleBook(
    LANGUAGE,
    1,
    "",
    (
        WrittenRule("burst", Action.REVIEW, None, "card.count_24h > 2", 40, False),
        WrittenRule("scored", Action.BLOCK, None, "model.score >= 0", 1, True),
        WrittenRule("ratio", Action.BLOCK, None, "amount / card.declines_24h > 1 minor", 1, False),
    ),
    (),
    (),
)


class Whole:
    """A story's log, looked at as a whole, with one record replaced."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.holes = False
        self.altered: dict[tuple[int, int], bytes] = {}

    @contextmanager
    def view(self) -> Iterator[None]:
        """Nobody writes beside a test."""
        yield

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        """As the log, but for what was altered."""
        return [
            stored._replace(value=self.altered[partition, stored.offset])
            if topic == "payments" and (partition, stored.offset) in self.altered
            else stored
            for stored in self._log.read(topic, partition, offset, limit)
        ]

    def end(self, topic: str, partition: int) -> int:
        """How many records there are."""
        return self._log.end(topic, partition)

    def places(self) -> list[TopicPartition]:
        """All of payments."""
        return [("payments", partition) for partition in range(PARTITIONS)]

    def owners(self) -> list[str]:
        """Nobody is asked for."""
        return []


@pytest.fixture(scope="module")
def told() -> tuple[Whole, list[str]]:
    """A day at two merchants: three payments each of cards in both partitions, one an hour later."""
    model = FraudModel(Mode.ENFORCE, "", encode_model(random_model(Random(1))))
    asked = []
    with Story(partitions=PARTITIONS) as story:
        story.publish(Entry("model", "champion", model), Entry("rulebook", "standard", BOOK))
        story.wait(hours=1)
        for number in range(12):
            card = card_id(300 * (number % 4), bytes([200 + number % 4]) * 10)
            asked.append(story.pay(1_000 + number, card=card, merchant="other" if number > 9 else "shop"))
            if number % 4 == 3:
                story.wait(ticks=1)
        story.end()
    return Whole(story.log), asked


def explained(log: Whole, payment_id: str) -> Explained:
    """The explanation, from a log that is one as far as it needs."""
    return explain(log, payment_id)  # type: ignore[arg-type]


def test_every_verdict_comes_out_again(told: tuple[Whole, list[str]]) -> None:
    """From both partitions; as many payments are named as were counted, and their sum is the sum."""
    log, asked = told
    assert {slot_of_payment(payment) * PARTITIONS // 1024 for payment in asked} == {0, 1}
    for payment in asked:
        found = explained(log, payment)
        assert (True, []) == (found.agrees, found.differences)
        paid = [one for one in found.origins if one.what == "payment"]
        assert found.features["card.count_30d"] == len(paid)
        assert found.features["card.sum_30d"] == sum(one.amount for one in paid)
        assert [payment] == [one.event_id.rpartition(".")[0] for one in paid][-1:]
        assert all(one.offset < found.offset for one in paid)


def test_what_fired_is_told_with_its_text(told: tuple[Whole, list[str]]) -> None:
    """In force, in shadow and failed; and what the champion's score is made of adds up."""
    log, asked = told
    found = explained(log, asked[-1])
    assert isinstance(found.event.body, RiskAssessed)
    assert found.event.body.verdict is Verdict.REVIEW
    assert found.fired == [
        Fired("burst", "fired", "review", "card.count_24h > 2", 40),
        Fired("scored", "shadow", "block", "model.score >= 0", 1),
        Fired("ratio", "failed", "block", "amount / card.declines_24h > 1 minor", 1),
    ]
    [said] = found.event.body.models
    [why] = found.models
    assert (said.score, said.margin) == (why.score, why.margin)
    assert said.margin == why.base + sum(one.margin for one in why.contributions)
    assert found.texts["card.country"]


def altered(found: Explained, **fields: object) -> tuple[tuple[int, int], bytes]:
    """The record of a verdict with other fields."""
    body = msgspec.structs.replace(found.event.body, **fields)
    return (found.partition, found.offset), encode_event(Recorded(found.event.meta, body))


@pytest.mark.parametrize(
    ("field", "value"), [("features", [9] * 79), ("verdict", Verdict.BLOCK), ("models", []), ("rules", ["x"])]
)
def test_a_verdict_that_was_altered_is_found(
    told: tuple[Whole, list[str]], field: str, value: object
) -> None:
    """By the field that comes out otherwise."""
    log, asked = told
    place, record = altered(explained(log, asked[0]), **{field: value})
    assert decode_event(record)
    log.altered = {place: record}
    try:
        found = explained(log, asked[0])
    finally:
        log.altered = {}
    assert not found.agrees
    assert [f"body.{field}"] == [difference.field for difference in found.differences]


def test_what_the_log_does_not_have_is_refused(told: tuple[Whole, list[str]]) -> None:
    """A payment of nobody, and what is no payment."""
    log, asked = told
    with pytest.raises(Refused, match="there is no payment"):
        explained(log, asked[0][:-1] + ("2" if asked[0][-1] != "2" else "3"))
    with pytest.raises(Refused, match="is no payment"):
        explained(log, "nonsense")
