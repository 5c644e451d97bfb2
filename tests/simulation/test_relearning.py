"""The scorecard is learned again from the log alone, and whatever was learned otherwise is named."""

from collections.abc import Iterator
from math import exp
from unittest.mock import patch

import msgspec
import pytest

from events.calendar import HOUR
from events.disputes import Label
from events.examples import ExampleDrawn, ExamplesGathered, ExamplesLearned
from events.identity import card_id
from events.labels import PaymentLabelled
from events.lifecycle import PaymentCaptured
from events.risk import Mode, Phase, RiskAssessed
from streams.edge.entries import Entry
from streams.features import online
from streams.features.logistic import ONE, probability
from streams.features.profiles import NAMES
from streams.forensics.explaining import explain
from tests.simulation.auditor import audit, learning
from tests.simulation.auditor.logs import Record
from tests.simulation.stories import Story, Word
from tests.simulation.test_auditor import Change, body, first, gone, honest, meta, more, twice
from tests.streams.forensics.test_explaining import Whole
from tests.streams.models import learner, trained_scorecard


def labelled(one: ExampleDrawn) -> bool:
    """An example of a label."""
    return one.number > 0


def nobodys(one: ExampleDrawn) -> bool:
    """An example of a payment that nobody has labelled."""
    return one.number == 0


def before(one: RiskAssessed) -> bool:
    """A verdict with scores."""
    return one.phase is Phase.BEFORE_AUTHORIZATION


def swapped(records: list[Record]) -> list[Record]:
    """The examples of a batch in another order, as one partition has heard of them."""
    change = body(ExamplesGathered, _differ, examples=lambda found: found[::-1])
    return change(records)


def _differ(one: ExamplesGathered) -> bool:
    return one.examples[0].bins != one.examples[-1].bins


PLANTED: dict[str, tuple[Change, str]] = {
    "another margin": (
        body(
            RiskAssessed,
            before,
            models=lambda said: [msgspec.structs.replace(one, margin=one.margin + 1) for one in said],
        ),
        "the scorecard says",
    ),
    "not asked": (body(RiskAssessed, before, models=[]), "the scorecard says"),
    "another scorecard": (body(ExamplesLearned, sha256="0" * 64), "makes another scorecard"),
    "more frauds": (body(ExamplesLearned, frauds=more(1)), "makes another scorecard"),
    "another order": (swapped, "makes another scorecard"),
    "never learned": (gone(ExamplesLearned), "batches are learned"),
    "learned before it came": (body(ExamplesLearned, number=more(1)), "or before it came"),
    "learned twice": (twice(ExamplesLearned), "or before it came"),
    "drawn twice": (twice(ExampleDrawn), "is drawn a second time"),
    "not drawn": (gone(ExampleDrawn, labelled), "and was not drawn"),
    "of no label": (gone(PaymentLabelled), "is drawn for a label that it has not"),
    "with a weight": (body(ExampleDrawn, labelled, weight=2), "that it has not, or with a weight"),
    "too early": (meta(ExampleDrawn, recorded_at=1), "is drawn while nothing genuine can be learned"),
    "another share": (body(ExampleDrawn, nobodys, weight=2), "is drawn by another share"),
    "as fraud": (body(ExampleDrawn, nobodys, label=Label.FRAUD), "is drawn as nobody's"),
    "other bins": (body(ExampleDrawn, bins=lambda bins: bins[::-1]), "in other bins than it was judged"),
    "gathered otherwise": (body(ExampleDrawn, payment_id="pay-0000-aaaaaaaaaaaaaaaa"), "was not drawn so"),
}


@pytest.mark.parametrize(("change", "finding"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_named(change: Change, finding: str) -> None:
    """Each invariant can fail, and says what failed."""
    findings = audit(change(list(honest())))
    assert [line for line in findings if finding in line], findings


def test_the_run_has_every_kind_of_example() -> None:
    """Or the tests above would say little."""
    assert first(ExampleDrawn, labelled) < first(ExamplesLearned)
    assert first(ExampleDrawn, nobodys)


# --- a label is not known before its position -----------------------------------------------------------

THIEF, OTHER = card_id(3, b"a" * 10), card_id(900, b"b" * 10)


def told(partitions: int) -> Story:
    """Two cards pay for days; one payment is reported, disputed and given back; then both pay again."""
    entry = Entry("online", "learner", learner(genuine_one_in=1, genuine_after_days=4))
    with Story(partitions=partitions) as story:
        story.publish(entry)
        story.wait(days=6, every=6 * HOUR)
        stolen = story.pay(9_000, card=THIEF)
        story.wait(hours=1)
        capture = story.the(PaymentCaptured, payment_id=stolen).capture_id
        story.disputes(capture, Word(2, amount=9_000))
        for _ in range(60):
            story.wait(hours=2)
            story.pay(500, card=THIEF)
            story.pay(700, card=OTHER)
        story.wait(hours=30)
        story.pay(500, card=OTHER)
        story.end()
    return story


@pytest.fixture(scope="module")
def honestly() -> Story:
    """As it is, in two partitions."""
    return told(2)


def hindsight(state: online.Online, *brought: object) -> None:
    """A batch that is learned as soon as it comes, and not at its tick."""
    TAKEN(state, *brought)  # type: ignore[arg-type]
    online._learn(state, state.waiting[-1].body)


TAKEN = online.take


def test_a_label_that_is_learned_before_its_position_is_found() -> None:
    """What it would look like: the first payment behind it is judged by weights that nobody has announced."""
    with patch.object(online, "take", hindsight), pytest.raises(AssertionError, match="the scorecard says"):
        told(1)


def test_every_partition_learns_the_same_at_the_same_tick(honestly: Story) -> None:
    """Batch by batch, the same hash at the same logical time; and what one partition makes is what two make."""
    learned = [one for one in honestly.events if isinstance(one.body, ExamplesLearned)]
    seen = {(one.body.number, one.body.sha256, one.meta.recorded_at) for one in learned}  # type: ignore[attr-defined]
    assert len(learned) == 2 * len(seen) > 4
    assert len({sha256 for _, sha256, _ in seen}) == len(seen)
    alone = told(1)
    assert {(one.number, one.sha256) for one in alone.all(ExamplesLearned)} == {one[:2] for one in seen}


def test_an_example_takes_the_way_of_a_label(honestly: Story) -> None:
    """Drawn with it, learned two ticks behind it, as the vector was when the payment was judged."""
    [label] = [one for one in honestly.events if isinstance(one.body, PaymentLabelled)]
    [drawn] = [one for one in honestly.events if isinstance(one.body, ExampleDrawn) and one.body.number][:1]
    learned = [
        one
        for one in honestly.events
        if isinstance(one.body, ExamplesLearned) and one.meta.recorded_at > label.meta.recorded_at
    ]
    assert drawn.meta.recorded_at == label.meta.recorded_at
    assert min(one.meta.recorded_at for one in learned) == label.meta.recorded_at + 2 * HOUR


def test_every_verdict_is_explained_with_the_scorecard_of_its_position(honestly: Story) -> None:
    """Decided again it has the same bytes, and the contributions add up to the margin of that moment."""
    log = Whole(honestly.log)
    verdicts = honestly.all(RiskAssessed)
    margins = set()
    for verdict in (verdicts[0], *verdicts[len(verdicts) // 2 :: 20], verdicts[-1]):
        found = explain(log, verdict.payment_id)  # type: ignore[arg-type]
        assert found.agrees
        [said], [why] = verdict.models, found.models
        assert (said.mode, said.score, said.margin) == (Mode.ENFORCE, why.score, why.margin)
        assert why.margin == why.base + sum(one.margin for one in why.contributions)
        margins.add(why.base)
    assert len(margins) > 1, "it has learned meanwhile"


def test_the_logistic_functions_agree() -> None:
    """That of the auditor and ours, to the bit; and both with the one of the library, nearly."""
    for odds in (*range(-17 * ONE, 17 * ONE, 65_521), -(1 << 60), 1 << 60):
        assert probability(odds) == learning.probability(odds)
        held = max(-16.0, min(16.0, odds / ONE))
        assert probability(odds) / ONE == pytest.approx(1 / (1 + exp(-held)), abs=4e-5)


# --- and in numbers with a point -------------------------------------------------------------------------


class Plain:
    """The scorecard in floating point: the definition, without scales and bounds."""

    def __init__(self) -> None:
        model = trained_scorecard()
        self.base = model.base / ONE
        self.weights = [[weight / ONE for weight in bins.weights] for bins in model.bins]
        self.square = 1_024.0
        self.squares = [[1_024.0] * len(row) for row in self.weights]

    def margin(self, bins: bytes) -> float:
        """Log-odds."""
        return self.base + sum(row[place] for row, place in zip(self.weights, bins, strict=True))

    def learn(self, bins: bytes, fraud: bool, weight: int) -> None:
        """AdaGrad with a rate of one half."""
        slope = weight * (1 / (1 + exp(-self.margin(bins))) - fraud)
        for weights, squares, place in zip(self.weights, self.squares, bins, strict=True):
            squares[place] += slope * slope
            weights[place] -= slope / 2 / squares[place] ** 0.5
        self.square += slope * slope
        self.base -= slope / 2 / self.square**0.5


def test_plain_numbers_come_to_the_same(honestly: Story) -> None:
    """Over the whole story, every margin within a thousandth of the one that whole numbers gave."""
    plain, batches = Plain(), iter(_batches(honestly))
    card = learning.Card(0, 0, msgspec.to_builtins(learner()))
    apart, learned = 0.0, 0
    for recorded in _of_partition(honestly, 1):
        match recorded:
            case RiskAssessed(phase=Phase.BEFORE_AUTHORIZATION) as verdict:
                bins = card.bins(verdict.features[-len(NAMES) :])
                apart = max(apart, abs(plain.margin(bins) - verdict.models[0].margin / ONE))
            case ExamplesLearned():
                for one in next(batches).examples:
                    plain.learn(one.bins, one.label is Label.FRAUD, one.weight)
                    learned += 1
            case _:
                pass
    assert learned > 50
    assert 0 < apart < 0.001


def _batches(story: Story) -> Iterator[ExamplesGathered]:
    seen = {one.number: one for one in story.all(ExamplesGathered)}
    yield from (seen[number] for number in sorted(seen))


def _of_partition(story: Story, partition: int) -> Iterator[object]:
    """The verdicts of the card that is at home there, and what its scorecard learns, in their order."""
    home = {0: "pay-0003", 1: "pay-0900"}[partition]
    for one in story.events:
        match one.body:
            case RiskAssessed() as body if body.payment_id.startswith(home):
                yield body
            case ExamplesLearned() as body if one.meta.key == f"payments-{partition}":
                yield body
            case _:
                pass
