"""The scorecard that learns in the stream: put into use, asked, taught, and what is kept for it."""

from random import Random

import msgspec
import pytest

from events.authorization import DeclineReason, PaymentAuthorized, PaymentDeclined, RetryAdvice
from events.calendar import DAY, HOUR, day_of
from events.disputes import FraudConfirmed, Label, LabelSource
from events.examples import Example, ExampleDrawn, ExamplesGathered, ExamplesLearned
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied, ReferenceRefused
from events.reference import FraudModel, OnlineModel, encode_reference
from events.risk import Mode, ModelScore, RiskAssessed
from streams import gathering, handovers, risk
from streams.features import kept, online, scorecard
from streams.features.kept import Judged, Kept
from streams.features.logistic import ONE
from streams.features.models import Bins, encode_model
from streams.features.profiles import NAMES
from streams.features.scorecard import MOST_SQUARES, MOST_WEIGHT
from streams.features.scoring import assess, scorer
from tests.streams.builders_early import (
    NOON,
    Bench,
    applied,
    payment_requested,
    recorded,
)
from tests.streams.models import learner, random_model, trained_scorecard
from tests.streams.rules.builders import book, rule

FRAUD, GENUINE = Label


def published(content: OnlineModel, version: int = 1) -> ReferenceApplied:
    """A scorecard coming into use."""
    return ReferenceApplied("online", "learner", version, "00", encode_reference(content))


def bench_with(content: OnlineModel | None = None) -> Bench:
    """The risk processor with a scorecard that has been in use for nine days."""
    bench = Bench(risk, recorded(published(content or learner()), at=NOON - 20 * DAY))
    bench.tick(NOON - 9 * DAY)
    return bench


def judged(bench: Bench, number: int, at: int = NOON, *, amount: int = 700) -> ModelScore:
    """What is said of the next payment; it is approved, unless ``amount`` is 1."""
    body = payment_requested(payment_id=f"p{number:04d}", card_id=f"c{number}", amount=amount)
    [verdict] = bench.take(body, at=at)
    assert isinstance(verdict, RiskAssessed)
    bench.take(declined(body) if amount == 1 else authorized(body), at=at)
    return verdict.models[-1]


def authorized(body: PaymentRequested) -> PaymentAuthorized:
    """The issuer approves it."""
    parties = (body.payment_id, body.merchant, "alpha", 1, body.amount, body.amount, body.currency)
    return PaymentAuthorized(*parties, "00", "A1", "Y", "M", "n", NOON + DAY)


def declined(body: PaymentRequested) -> PaymentDeclined:
    """The issuer declines it."""
    parties = (body.payment_id, body.merchant, body.amount, body.currency, "alpha")
    return PaymentDeclined(*parties, "05", DeclineReason.DO_NOT_HONOUR, RetryAdvice.LATER)


def said(number: int, label: Label) -> FraudConfirmed:
    """Somebody's word about a payment."""
    name = f"p{number:04d}"
    return FraudConfirmed(name, "shop", f"c{number}", LabelSource.DISPUTE, label, "case-1", 700, "USD", NOON)


def drawn(bench: Bench, number: int, label: Label, at: int) -> list[ExampleDrawn]:
    """The examples of a label."""
    return [one for one in bench.take(said(number, label), at=at) if isinstance(one, ExampleDrawn)]


def batch(number: int, *examples: ExampleDrawn, learner: int = 1) -> ExamplesGathered:
    """Examples as they come back."""
    found = [Example(one.payment_id, one.number, one.label, one.weight, one.bins) for one in examples]
    return ExamplesGathered(number, learner, found)


def learned(bench: Bench, at: int) -> list[ExamplesLearned]:
    """What a tick learns."""
    return [one for one in bench.tick(at) if isinstance(one, ExamplesLearned)]


# --- in use -------------------------------------------------------------------------------------------


def test_it_begins_with_what_it_was_trained_to() -> None:
    """Its first word is that of the model that does not learn; both explain it alike."""
    bench = bench_with()
    model = trained_scorecard()
    first = judged(bench, 1)
    assert (Mode.ENFORCE, 0) == (first.mode, first.version)
    chance = Random(1)
    running = bench.state.online.learner
    assert running is not None
    for _ in range(50):
        profile = [chance.choice([0, 2, 400, 9_000, 40_000_000]) for _ in NAMES]
        told, as_seen = online.ask(running, profile, NOON, Mode.SHADOW)
        assert told.margin == scorer(model)(profile)
        assert assess(model, profile) == assess(online.model_of(running), profile)
        assert list(as_seen.bins) == scorecard.bins_of(running.card, profile)


@pytest.mark.parametrize("mode", Mode)
def test_it_stands_in_where_there_is_no_champion(mode: Mode) -> None:
    """In enforce rules read it until there is a champion, and again when there is none; in shadow never."""
    bench = bench_with(learner(mode=mode))
    bench.hear(applied("rulebook", book(rule("model.score >= 0", rule_id="scored"))))
    champion = random_model(Random(1))

    def fired(number: int) -> tuple[bool, list[Mode]]:
        [verdict] = bench.take(payment_requested(payment_id=f"p{number}"), at=NOON)
        assert isinstance(verdict, RiskAssessed)
        return "scored" in verdict.rules, [one.mode for one in verdict.models]

    stands_in = mode is Mode.ENFORCE
    assert (stands_in, [mode]) == fired(1)
    broken = FraudModel(Mode.ENFORCE, "0" * 64, encode_model(champion))
    [refused] = bench.take(applied("model", broken).body)
    assert isinstance(refused, ReferenceRefused)
    assert (stands_in, [mode]) == fired(2)
    for content in (
        FraudModel(Mode.SHADOW, "", encode_model(champion)),
        FraudModel(Mode.ENFORCE, "", encode_model(champion)),
    ):
        bench.take(applied("model", content).body)
    assert (True, [Mode.ENFORCE, Mode.SHADOW, Mode.SHADOW]) == fired(3)
    bench.take(applied("model", FraudModel(Mode.ENFORCE, "", "")).body)
    assert (stands_in, [mode, Mode.SHADOW] if stands_in else [Mode.SHADOW, mode]) == fired(4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (learner(document="{}"), "this is no model file"),
        (learner(sha256="0" * 64), "was asked for, the file holds"),
        (learner(random_model(Random(1))), "kind: a forest does not learn in the stream"),
        (learner(genuine_one_in=0), "genuine_one_in: from 1 to 1,000"),
        (learner(genuine_one_in=1_001), "genuine_one_in: from 1 to 1,000"),
        (learner(genuine_after_days=183), "genuine_after_days: from 1 to 182"),
        (
            learner(msgspec.structs.replace(trained_scorecard(), base=17 * ONE)),
            "bins: no weight is further from 0 than 16",
        ),
        (
            learner(
                msgspec.structs.replace(
                    trained_scorecard(), bins=tuple(Bins(tuple(range(256)), (0,) * 257) for _ in NAMES)
                )
            ),
            "bins: a feature has at most 256 bins",
        ),
    ],
)
def test_one_that_cannot_learn_is_refused_and_the_old_one_stays(content: OnlineModel, reason: str) -> None:
    """With what it has learned."""
    bench = bench_with()
    before = judged(bench, 1)
    [refused] = bench.take(published(content, 2))
    assert isinstance(refused, ReferenceRefused)
    assert refused.reason.startswith("the scorecard in enforce: ")
    assert reason in refused.reason
    assert before == judged(bench, 2)


def test_it_is_taken_out_of_use() -> None:
    """Then it says nothing, and nothing is kept for it."""
    bench = bench_with()
    judged(bench, 1)
    assert [] == bench.take(published(learner(document=""), 2))
    [verdict] = bench.take(payment_requested(payment_id="p2"))
    assert isinstance(verdict, RiskAssessed)
    assert [] == verdict.models
    assert Kept() == bench.state.online.kept
    assert [] == list(online.summary(bench.state.online))
    assert [ExamplesLearned(1, 1, 0, 0, "")] == _given(bench, batch(1))


def _given(bench: Bench, body: ExamplesGathered) -> list[ExamplesLearned]:
    bench.take(body)
    return learned(bench, NOON + HOUR)


# --- learning -----------------------------------------------------------------------------------------


def test_a_label_is_learned_at_the_tick_behind_its_batch_and_not_before() -> None:
    """Drawn with the label, in the bins of then; until the tick every verdict is what it was."""
    bench = bench_with()
    first = judged(bench, 1)
    [example] = drawn(bench, 1, FRAUD, NOON + DAY)
    assert ("p0001", 1, FRAUD, 1, NOON, 1) == msgspec.structs.astuple(example)[:-1]
    assert first == judged(bench, 2)
    bench.take(batch(1, example), at=NOON + DAY)
    assert first == judged(bench, 3)
    [event] = learned(bench, NOON + DAY + HOUR)
    assert (1, 1, 1, 1) == (event.number, event.learner, event.examples, event.frauds)
    after = judged(bench, 4)
    assert after.version == 1
    assert first.margin < after.margin < first.margin + 2 * ONE


def test_what_is_taken_back_is_learned_as_the_opposite() -> None:
    """Nothing is unlearned: the second example moves the other way, from where the first has led."""
    bench = bench_with()
    first = judged(bench, 1).margin
    margins = []
    for number, label in enumerate((FRAUD, GENUINE), 1):
        [example] = drawn(bench, 1, label, NOON + number * DAY)
        assert (number, label) == (example.number, example.label)
        bench.take(batch(number, example))
        learned(bench, NOON + number * DAY + HOUR)
        margins.append(judged(bench, 10 + number).margin)
    assert first < margins[1] < margins[0]


def test_labels_wait_until_genuine_payments_can_be_learned() -> None:
    """Or everything would soon be fraud: the first of both are drawn at one tick, later labels as they come."""
    bench = Bench(risk, recorded(published(learner(genuine_one_in=1)), at=NOON - 9 * DAY))
    assert [] == bench.tick(NOON), "what counts is the tick, and not when the log took it in"
    for number in range(4):
        judged(bench, number, NOON + number)
    for day, number in enumerate((1, 2)):
        assert [] == drawn(bench, number, FRAUD, NOON + day * DAY)
    assert [] == drawn(bench, 2, GENUINE, NOON + 2 * DAY)
    assert [] == [one for one in bench.tick(NOON + 2 * DAY) if isinstance(one, ExampleDrawn)]
    found = [one for one in bench.tick(NOON + 3 * DAY) if isinstance(one, ExampleDrawn)]
    assert {("p0000", 0), ("p0001", 1), ("p0002", 1), ("p0002", 2), ("p0003", 0)} == {
        (one.payment_id, one.number) for one in found
    }
    [later] = drawn(bench, 3, FRAUD, NOON + 3 * DAY)
    assert (1, FRAUD) == (later.number, later.label)
    assert not bench.state.online.early


def test_what_was_declined_teaches_nothing() -> None:
    """Nobody hears whether it was fraud: no example of its label, no share of it."""
    bench = bench_with(learner(genuine_one_in=1))
    judged(bench, 1, amount=1)
    assert [] == drawn(bench, 1, FRAUD, NOON + DAY)
    assert not bench.state.online.kept.blocks
    assert not [one for one in bench.tick(NOON + 9 * DAY) if isinstance(one, ExampleDrawn)]


def test_of_those_that_nobody_labels_a_share_is_genuine() -> None:
    """One in three, by the hash of their ids, when two whole days are over; each weighs three."""
    bench = bench_with()
    for number in range(300):
        judged(bench, number, NOON + number)
    frauds = {one.payment_id for number in range(60) for one in drawn(bench, number, FRAUD, NOON + DAY)}
    assert 60 == len(frauds)
    assert not [one for one in bench.tick(NOON + 2 * DAY) if isinstance(one, ExampleDrawn)]
    found = [one for one in bench.tick(NOON + 3 * DAY) if isinstance(one, ExampleDrawn)]
    assert {(0, GENUINE, 3)} == {(one.number, one.label, one.weight) for one in found}
    expected = {f"p{number:04d}" for number in range(60, 300) if kept.is_drawn(name_of(number), 3)}
    assert expected == {one.payment_id for one in found}
    assert 60 < len(expected) < 100
    assert not [one for one in bench.tick(NOON + 4 * DAY) if isinstance(one, ExampleDrawn)]
    assert not bench.state.online.kept.days


def name_of(number: int) -> bytes:
    """The hash of a payment's id."""
    return kept._name_of(f"p{number:04d}")


def test_a_document_that_is_published_again_goes_on() -> None:
    """With another share, or another use; another document begins anew, and drops what was kept."""
    bench = bench_with()
    first = judged(bench, 1)
    [example] = drawn(bench, 1, FRAUD, NOON + DAY)
    bench.take(batch(1, example))
    learned(bench, NOON + DAY)
    now = judged(bench, 2)
    bench.take(published(learner(mode=Mode.SHADOW, genuine_one_in=9), 2))
    assert (now.margin, Mode.SHADOW) == ((again := judged(bench, 3)).margin, again.mode)
    assert 1 == bench.state.online.since
    bench.take(published(learner(trained_scorecard(2)), 3), at=NOON)
    assert judged(bench, 4).model not in {first.model, now.model}
    assert [] == drawn(bench, 2, FRAUD, NOON + DAY), "it was judged by other bins"
    assert [ExamplesLearned(2, 1, 0, 0, online.digest_of(bench.state.online))] == _given(
        bench, batch(2, example)
    )


def test_a_payment_on_its_way_while_the_scorecard_changes_is_not_learned() -> None:
    """It was judged by other bins than those in use when it is approved."""
    bench = bench_with()
    body = payment_requested(payment_id="p0001", card_id="c1")
    bench.take(body, published(learner(trained_scorecard(2)), 2), authorized(body))
    assert not bench.state.online.kept.blocks


def test_a_batch_waits_for_its_scorecard() -> None:
    """By the clock on the wall another partition may have it sooner: the batch is not lost, nor those behind it."""
    bench = bench_with()
    judged(bench, 1)
    [example] = drawn(bench, 1, FRAUD, NOON + DAY)
    bench.take(batch(1, example, learner=2), batch(2, example, learner=2))
    assert [] == learned(bench, NOON + DAY)
    bench.take(published(learner(trained_scorecard(2)), 2))
    assert [(1, 1), (2, 1)] == [(one.number, one.examples) for one in learned(bench, NOON + DAY)]


def test_numbers_stay_within_their_bounds() -> None:
    """A hundred thousand of the heaviest examples, all of one kind: nothing leaves 64 bits, and it still moves."""
    card = scorecard.empty([0], [[5]], 0)
    most = 0
    for _ in range(20_000):
        scorecard.learn_in(card, [0], True, online.MOST_SHARE)
        scorecard.learn_in(card, [1], False, online.MOST_SHARE)
        most = max(most, *card.squares[0], card.square, abs(card.weights[0][0]))
    assert most <= MOST_SQUARES
    assert MOST_SQUARES << 20 < 1 << 63
    card.squares, card.square = [[MOST_SQUARES] * 2], MOST_SQUARES
    before = scorecard.margin_in(card, [1])
    for _ in range(1_000):
        scorecard.learn_in(card, [1], True, 1_000)
    assert before < scorecard.margin_in(card, [1]) <= 2 * MOST_WEIGHT
    assert card.squares == [[MOST_SQUARES] * 2]


# --- what is kept -------------------------------------------------------------------------------------


def test_a_payment_takes_twenty_bytes() -> None:
    """And is found again among thousands, whatever bytes lie beside it; days are forgotten whole."""
    chance = Random(1)
    found = Kept(len(NAMES))
    paid = {
        f"p{number}": Judged(1, NOON + chance.randrange(3) * DAY, chance.randbytes(12))
        for number in range(3_000)
    }
    for name, one in paid.items():
        kept.keep(found, name, one, day_of(NOON) + 3, 1_000)
    assert 20 * len(paid) == sum(len(block.packed) for block in found.blocks)
    assert sorted(block.day_on for block in found.blocks) == [block.day_on for block in found.blocks]
    for name, one in paid.items():
        assert kept.find(found, name, one.paid_at) == one.bins
    assert kept.find(found, "p0", NOON - DAY) is None
    assert kept.find(found, "nobody", NOON) is None
    assert found == msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Kept)
    today = day_of(NOON) + kept.KEPT_DAYS + 2
    assert [day_of(NOON), day_of(NOON) + 1] == kept.stale_days(found, today)
    kept.forget_day(found, day_of(NOON))
    assert [day_of(NOON) + 1, day_of(NOON) + 2] == [block.day_on for block in found.blocks]


def test_days_that_no_label_reaches_are_forgotten() -> None:
    """By a tick."""
    bench = bench_with()
    judged(bench, 1)
    bench.tick(NOON + kept.KEPT_DAYS * DAY)
    assert bench.state.online.kept.blocks
    bench.tick(NOON + (kept.KEPT_DAYS + 1) * DAY)
    assert not bench.state.online.kept.blocks


# --- gathering ----------------------------------------------------------------------------------------


def test_examples_are_gathered_in_an_order_of_their_own() -> None:
    """Of event time and payment, whoever was read first; a batch is for one scorecard, and has an end."""
    examples = [
        ExampleDrawn(f"p{number}", 1, FRAUD, 1, NOON + number % 7, 1 + number % 2, bytes([number % 251]))
        for number in range(500)
    ]
    found = []
    for seed in range(2):
        Random(seed).shuffle(examples)
        bench = Bench(gathering)
        bench.take(*examples)
        found.append(bench.tick(NOON) + bench.tick(NOON + 1))
        assert [] == bench.tick(NOON + 2)
    assert found[0] == found[1]
    batches = [one for one in found[0] if isinstance(one, ExamplesGathered)]
    assert [1, 1, 2, 2] == [one.learner for one in batches]
    assert [1, 2, 3, 4] == [one.number for one in batches]
    assert 500 == len({example.payment_id for one in batches for example in one.examples})
    assert max(len(one.examples) for one in batches) == gathering.EXAMPLES_A_BATCH


def test_an_example_is_told_to_one_place_and_its_batch_to_every_partition() -> None:
    """By the logs that labels take."""
    example = ExampleDrawn("p1", 1, FRAUD, 1, NOON, 1, b"\0")
    assert [("risk.signals", 0, example)] == handovers.drawn_example(None, recorded(example), 4)
    told = handovers.told_to_all(None, recorded(batch(1, example)), 4)
    assert [("risk.hotlist", number) for number in range(4)] == [one[:2] for one in told]
