"""The scorecard that learns in the stream: the same in every partition, after each batch of examples.

It is reference data (:class:`~events.reference.OnlineModel`): a trained scorecard, whose bins stay and whose weights go
on from there. What it was trained to is trusted as much as if each bin had moved by :data:`TRUST` labels before, so
the first label does not throw it over. Labels of fraud come sooner than payments turn out to be genuine, and whoever
learns frauds alone soon takes everything for fraud: so labels wait until the first genuine payments can be learned, and
from then on are learned as they come. A payment of which somebody says that it was fraud is learned as fraud; one that
is taken back is not unlearned, but learned as the opposite. Of payments that nobody labels, a share is learned as
genuine when labels have had their time, each with the weight of those it stands for. Only what was approved is
learned: of what was declined nobody hears whether it was fraud.

An example has the bins of the payment when it was judged, never later ones, and counts from the tick on at which its
batch is learned. In ``shadow`` the scorecard is asked beside the models in use; in ``enforce`` it stands in where there
is no champion, and rules read its score.
"""

from bisect import bisect_right
from collections.abc import Container, Iterator
from hashlib import sha256
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from events.base import Event
from events.disputes import Label
from events.errors import ValidationError
from events.examples import ExampleDrawn, ExamplesGathered, ExamplesLearned
from events.reference import OnlineModel
from events.risk import Mode, ModelScore
from streams.features import kept, scorecard
from streams.features.kept import Judged, Kept
from streams.features.logistic import ONE
from streams.features.modelling import NAMED_BY
from streams.features.models import Kind, Model, decode_model
from streams.features.scorecard import MOST_WEIGHT, Scorecard
from streams.features.scoring import places

TRUST: Final = 1_024 * ONE
"""What the squared moves of a trained bin start from."""
MOST_BINS: Final = 256
"""Bins of a feature: which one is one byte."""
MOST_SHARE: Final = 1_000
"""A payment weighs as many as this at most: a gradient then stays within its bound."""
MOST_DAYS: Final = kept.KEPT_DAYS
DRAWN_A_WORK: Final = 100

LEARN: Final = "learn"
BEGIN: Final = "begin_to_learn"
DRAW_EARLY: Final = "draw_early"
DRAW: Final = "draw_examples"
FORGET: Final = "forget_examples"
KINDS: Final = frozenset({LEARN, BEGIN, DRAW_EARLY, DRAW, FORGET})


class Learner(msgspec.Struct):
    """A scorecard in use, since version ``since`` of the reference data; ``learned`` is the last batch it knows.

    ``began_on`` is the day of the tick that put it into force, which is not when the log took it in: the tick itself
    sets it (-1 until then).
    """

    since: int
    content: OnlineModel
    marks: list[int]
    card: Scorecard
    learned: int = 0
    began_on: int = -1


class Early(msgspec.Struct, frozen=True, gc=False):
    """A label that came before any genuine payment can be learned."""

    payment_id: str
    number: int
    label: Label
    paid_at: int


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A batch that is learned at the next tick, and the event that brought it."""

    body: ExamplesGathered
    event_id: str
    occurred_at: int


class Online(msgspec.Struct):
    """The scorecard in use, if any, what it may learn from later, labels that wait, and the batches that have come.

    ``since`` is the version of the reference data that put it into use, or out of it.
    """

    learner: Learner | None = None
    since: int = 0
    kept: Kept = msgspec.field(default_factory=Kept)
    early: list[Early] = []
    waiting: list[Waiting] = []


# --- in use and out of it -------------------------------------------------------------------------------


def put(online: Online, content: OnlineModel, version: int) -> list[str]:
    """Put a scorecard into use, or out of it; what was refused, in words.

    The one that is in use goes on with what it has learned; another document begins anew.
    """
    if not content.document:
        online.learner, online.since, online.kept, online.early = None, version, Kept(), []
        return []
    try:
        model, found = decode_model(content.document, content.sha256)
        check(model, content)
    except ValidationError as error:
        return [f"the scorecard in {content.mode}: {error}"]
    content = msgspec.structs.replace(content, sha256=found)
    running = online.learner
    if running is not None and running.content.sha256 == found:
        running.content = content
        return []
    online.learner = Learner(version, content, list(model.marks), card_of(model))
    online.since, online.kept, online.early = version, Kept(len(model.features)), []
    return []


def check(model: Model, content: OnlineModel) -> None:
    """ValidationError where a model cannot learn in the stream, or not so."""
    if model.kind is not Kind.SCORECARD:
        raise ValidationError("kind", f"a {model.kind} does not learn in the stream; a scorecard does")
    if max(len(bins.edges) for bins in model.bins) >= MOST_BINS:
        raise ValidationError("bins", f"a feature has at most {MOST_BINS} bins")
    if max(abs(model.base), *(abs(weight) for bins in model.bins for weight in bins.weights)) > MOST_WEIGHT:
        raise ValidationError("bins", f"no weight is further from 0 than {MOST_WEIGHT // ONE}")
    if not 1 <= content.genuine_one_in <= MOST_SHARE:
        raise ValidationError("genuine_one_in", f"from 1 to {MOST_SHARE:,}")
    if not 1 <= content.genuine_after_days <= MOST_DAYS:
        raise ValidationError("genuine_after_days", f"from 1 to {MOST_DAYS}")


def card_of(model: Model) -> Scorecard:
    """What a scorecard knows when it begins to learn."""
    card = scorecard.empty(places(model), [bins.edges for bins in model.bins], model.base)
    card.weights = [list(bins.weights) for bins in model.bins]
    card.squares = [[TRUST] * len(bins.weights) for bins in model.bins]
    card.square = TRUST
    return card


# --- scoring --------------------------------------------------------------------------------------------


def ask(learner: Learner, profile: list[int], paid_at: int, mode: Mode) -> tuple[ModelScore, Judged]:
    """What it says of a payment, and the payment as it saw it."""
    card = learner.card
    bins = scorecard.bins_of(card, profile)
    margin = scorecard.margin_in(card, bins)
    said = ModelScore(
        learner.content.sha256[:NAMED_BY],
        learner.learned,
        mode,
        bisect_right(learner.marks, margin),
        margin,
    )
    return said, Judged(learner.since, paid_at, bytes(bins))


def mode_of(learner: Learner, *, champion: bool) -> Mode:
    """What its score is for: rules read it where it may stand in, and there is no champion."""
    return Mode.SHADOW if champion else learner.content.mode


def model_of(learner: Learner) -> Model:
    """The scorecard as it is now, as a model that does not learn: the document that it began with, with its weights."""
    model, _ = decode_model(learner.content.document)
    card = learner.card
    return msgspec.structs.replace(model, base=card.base, bins=scorecard.learned_bins(card))


# --- examples -------------------------------------------------------------------------------------------


def keep(online: Online, payment_id: str, judged: Judged, today: int) -> None:
    """Keep a payment that was approved on day ``today``, if the scorecard in use is the one that judged it."""
    learner = online.learner
    if learner is not None and judged.learner == learner.since:
        kept.keep(online.kept, payment_id, judged, today, learner.content.genuine_one_in)


def labelled(online: Online, one: Early, today: int) -> list[ExampleDrawn]:
    """The example of a label, where its payment is kept; none while labels wait."""
    return [] if _waits(online, today) else _examples_of(online, one)


def note(online: Online, one: Early, today: int) -> None:
    """Let a label wait, where they do."""
    if _waits(online, today):
        online.early.append(one)


def _waits(online: Online, today: int) -> bool:
    """Whether the first payments that the scorecard in use has judged may still be labelled."""
    learner = online.learner
    return learner is not None and (learner.began_on < 0 or _ripe_on(learner, today) < learner.began_on)


def _ripe_on(learner: Learner, today: int) -> int:
    """The last day whose payments have had all the days in which labels come."""
    return today - 1 - learner.content.genuine_after_days


def _examples_of(online: Online, one: Early) -> list[ExampleDrawn]:
    bins = kept.find(online.kept, one.payment_id, one.paid_at)
    if bins is None:
        return []
    return [ExampleDrawn(one.payment_id, one.number, one.label, 1, one.paid_at, online.since, bins)]


class Due(NamedTuple):
    """Something that a tick does; a batch with the event that brought it and that event's time."""

    kind: str
    key: str
    event_id: str = ""
    occurred_at: int = 0


def due(online: Online, today: int) -> Iterator[Due]:
    """Batches to learn, in their order; labels that need not wait any more; payments that nobody has labelled in time;
    days that no label reaches."""
    for waiting in online.waiting:
        if waiting.body.learner > online.since:
            break  # For a scorecard that comes into use here with a later tick.
        yield Due(LEARN, f"{waiting.body.number:012d}", waiting.event_id, waiting.occurred_at)
    if online.learner is not None:
        if online.learner.began_on < 0:
            yield Due(BEGIN, f"{today:08d}")
        if not _waits(online, today):
            for place in range(-(-len(online.early) // DRAWN_A_WORK)):
                yield Due(DRAW_EARLY, f"{place:06d}")
        for day in kept.drawn_until(online.kept, _ripe_on(online.learner, today)):
            for place in range(-(-len(day.drawn) // DRAWN_A_WORK)):
                yield Due(DRAW, f"{day.day_on:08d} {place:06d}")
    for day_on in kept.stale_days(online.kept, today):
        yield Due(FORGET, f"{day_on:08d}")


def fire(online: Online, kind: str, key: str, known: Container[str]) -> list[Event]:
    """Learn a batch, draw some payments, or forget a day. ``known`` are the payments that have a label."""
    match kind:
        case "learn":
            return [_learn(online, online.waiting.pop(0).body)]
        case "begin_to_learn":
            assert online.learner is not None
            online.learner.began_on = int(key)
            return []
        case "draw_early":
            taken = online.early[:DRAWN_A_WORK]
            del online.early[:DRAWN_A_WORK]
            return [example for one in taken for example in _examples_of(online, one)]
        case "draw_examples":
            learner = online.learner
            assert learner is not None
            weight = learner.content.genuine_one_in
            return [
                ExampleDrawn(one.payment_id, 0, Label.GENUINE, weight, one.paid_at, online.since, one.bins)
                for one in kept.take_drawn(online.kept, DRAWN_A_WORK)
                if one.payment_id not in known
            ]
        case _:
            kept.forget_day(online.kept, int(key))
            return []


def take(online: Online, body: ExamplesGathered, event_id: str, occurred_at: int) -> None:
    """A batch that is learned at the next tick. They come in their order, from one sender."""
    online.waiting.append(Waiting(body, event_id, occurred_at))


def _learn(online: Online, body: ExamplesGathered) -> ExamplesLearned:
    learner = online.learner
    if learner is None or learner.since != body.learner:
        return ExamplesLearned(body.number, body.learner, 0, 0, digest_of(online))
    for one in body.examples:
        scorecard.learn_in(learner.card, one.bins, one.label is Label.FRAUD, one.weight)
    learner.learned = body.number
    frauds = sum(one.label is Label.FRAUD for one in body.examples)
    return ExamplesLearned(body.number, body.learner, len(body.examples), frauds, digest_of(online))


def digest_of(online: Online) -> str:
    """SHA-256 of the scorecard's numbers: base, weights by feature, sums of squares by feature; "" where there is none.

    They are written in decimal digits with a comma between, so that anybody can make it again.
    """
    if online.learner is None:
        return ""
    card = online.learner.card
    numbers = [card.base, card.square, *chain(*card.weights), *chain(*card.squares)]
    return sha256(",".join(map(str, numbers)).encode()).hexdigest()


def summary(online: Online) -> Iterator[str]:
    """What the scorecard has come to, the same in every partition; and what is kept in this one."""
    if online.learner is not None:
        yield f"scorecard {online.learner.learned} {digest_of(online)}"
        yield from (f"early {one.payment_id} {one.number}" for one in online.early)
        yield from kept.summary(online.kept)
