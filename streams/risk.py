"""Risk: a verdict on every payment before it is sent anywhere, and another when the issuer has approved.

A payment is measured (:mod:`streams.features.measuring`) and counted in one go, and the models in use are asked
(:mod:`streams.features.modelling`): the champion gives a score that rules read, a challenger is told beside it. The
rules in force are asked (:mod:`streams.features.rules.in_force`), and the merchant's own limits and the hotlist, which
bind whatever the rules say. The event carries the whole vector: any past verdict can be explained from it, and from the
log it is decided again, bit for bit.

When the issuer has approved, and some rule reads its answer (what it says of the address and the security code), those
rules are asked, of the same vector and the answer. Their verdict comes before anything is captured: a block takes the
authorization back, a review holds the capture. Of a payment that was declined nothing is asked any more.

A partition counts what it has all of: the card, and the card at the merchant. What a declined payment shares with
others is told (:class:`~events.hotlist.DeclineNoted`), and counted by the log ``velocity``. A payment's vector is kept
while the payment waits for its outcome. What no window reaches any more is forgotten by ticks.

What a payment turned out to be is counted once for each label that changes it: under its card at once, in this
partition alone, and under what other cards share with it in every partition at a tick, when the label has come back
from the log ``velocity`` (:mod:`streams.features.labels`). Nothing that was decided before is decided again.
By the same way go the examples that a scorecard learns from while payments are judged (:mod:`streams.features.online`).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import day_of
from events.disputes import FraudConfirmed
from events.envelope import Recorded
from events.examples import ExamplesGathered
from events.hotlist import DeclineNoted, HotlistApplied, HotlistReleased, Standing
from events.labels import LabelApplied, LabelSignalled, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied, ReferenceRefused
from events.reference import FraudModel, OnlineModel, decode_reference
from events.risk import Phase, RiskAssessed, Verdict
from streams.features import hotlists, labels, measuring, modelling, online, profiles, velocity
from streams.features.hotlists import Hotlist
from streams.features.labels import Book
from streams.features.measuring import Measured, Measures, Terms
from streams.features.modelling import Models
from streams.features.online import Early, Online
from streams.features.rules import in_force
from streams.features.rules.catalogue import PLACES
from streams.features.rules.in_force import HIGHEST_SCORE, InForce
from streams.features.vectors import FEATURE_SET, HOME
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "risk"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentDeclined,
    PaymentAuthorized,
    AuthorizationOutcomeUnknown,
    RiskAssessed,
    DeclineNoted,
    HotlistApplied,
    HotlistReleased,
    FraudConfirmed,
    PaymentLabelled,
    LabelSignalled,
    LabelApplied,
    ExamplesGathered,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentDeclined,
    PaymentAuthorized,
    FraudConfirmed,
    ReferenceApplied,
)

MERCHANT_MAX_AMOUNT: Final = "merchant_max_amount"
MERCHANT_CARD_COUNT_24H: Final = "merchant_card_count_24h"

LISTED_POINTS: Final = 20
"""What each key adds to the score that is listed to be looked at."""

FORGET: Final = "forget"
FORGET_LABELS: Final = "forget_labels"
LABEL: Final = "label"
_COUNT_AT_MERCHANT: Final = PLACES["card_merchant.count_24h"]
_NO_TERMS: Final = Terms()


class Signalled(msgspec.Struct, frozen=True, gc=False):
    """A label that counts here from the next tick on, and the event that said so."""

    body: LabelSignalled
    event_id: str
    occurred_at: int


class State(msgspec.Struct):
    """What payments are measured against, the rules and the hotlist in force, and the payments without an outcome.

    ``open`` are the payments that wait for the issuer's answer, ``answered`` those whose answer is just being judged.
    ``book`` has the labels of payments whose cards are at home here, ``signalled`` those of all cards that the next
    tick counts. ``refused`` is what was wrong with the reference data that came last.
    """

    measures: Measures
    rules: InForce = msgspec.field(default_factory=InForce)
    models: Models = msgspec.field(default_factory=Models)
    online: Online = msgspec.field(default_factory=Online)
    open: dict[str, Measured] = {}
    answered: dict[str, Measured] = {}
    hotlist: Hotlist = msgspec.field(default_factory=Hotlist)
    book: Book = msgspec.field(default_factory=Book)
    signalled: dict[str, Signalled] = {}
    refused: list[str] = []


def initial() -> State:
    """No payments, no rules: everything is allowed."""
    return State(measuring.initial(HOME))


def decide(state: State, recorded: Recorded) -> list[Event]:
    """The verdict on a payment, which ``evolve`` has already measured; what was wrong with reference data."""
    match recorded.body:
        case PaymentRequested() as body:
            return [_assess(state, body)]
        case PaymentDeclined(payment_id=payment_id) if payment_id in state.open:
            return [measuring.decline_of(payment_id, state.open[payment_id])]
        case PaymentAuthorized() as body:
            return _assess_again(state, body)
        case FraudConfirmed() as body:
            return _labelled(state, body, day_of(recorded.meta.recorded_at))
        case ReferenceApplied() as body:
            return [
                ReferenceRefused(body.kind, body.ref_id, body.version, reason) for reason in state.refused
            ]
        case _:
            return []


def _assess(state: State, body: PaymentRequested) -> RiskAssessed:
    measured = state.open[body.payment_id]
    vector = measured.vector
    outcome = in_force.judge_of(state.rules).judge(Phase.BEFORE_AUTHORIZATION, body.merchant, vector)
    verdict, score = in_force.verdict_of(state.rules, outcome), in_force.score_of(outcome)
    rules = list(outcome.fired)
    terms = state.measures.terms.get(body.merchant, _NO_TERMS)
    count_at_merchant = vector[_COUNT_AT_MERCHANT]
    assert isinstance(count_at_merchant, int)
    exceeded = _exceeded(terms, body.amount, count_at_merchant)
    if exceeded:
        verdict, score = Verdict.BLOCK, HIGHEST_SCORE
        rules += exceeded
    for hit in hotlists.hits(state.hotlist, body):
        rules.append(hit.rule)
        if hit.standing is Standing.BLOCK:
            verdict, score = Verdict.BLOCK, HIGHEST_SCORE
        else:
            verdict = Verdict.REVIEW if verdict is Verdict.ALLOW else verdict
            score = min(HIGHEST_SCORE, score + LISTED_POINTS)
    return RiskAssessed(
        body.payment_id,
        body.merchant,
        verdict,
        score,
        rules,
        FEATURE_SET,
        measured.features,
        Phase.BEFORE_AUTHORIZATION,
        measuring.texts_of(measured),
        list(outcome.shadow),
        list(outcome.failed),
        measured.scores,
    )


def _assess_again(state: State, body: PaymentAuthorized) -> list[Event]:
    """What the rules say that were waiting for the issuer's answer."""
    measured = state.answered.get(body.payment_id)
    if measured is None:
        return []
    vector = measuring.answered(measured.vector, body, body.avs_result, body.cvv_result)
    outcome = in_force.judge_of(state.rules).judge(Phase.AFTER_AUTHORIZATION, body.merchant, vector)
    return [
        RiskAssessed(
            body.payment_id,
            body.merchant,
            in_force.verdict_of(state.rules, outcome),
            in_force.score_of(outcome),
            list(outcome.fired),
            FEATURE_SET,
            [],
            Phase.AFTER_AUTHORIZATION,
            measuring.answered_texts_of(vector),
            list(outcome.shadow),
            list(outcome.failed),
        )
    ]


def _labelled(state: State, body: FraudConfirmed, today: int) -> list[Event]:
    """What counts of somebody's word: nothing where it says again what is known."""
    following = labels.following(state.book, body.payment_id)
    if following is None:
        return []
    label, number, replaced_at = following
    _, ip_ref, device_ref, email_ref, _, _ = velocity.keys_of(state.measures.velocity, body.payment_id)
    return [
        PaymentLabelled(
            body.payment_id,
            number,
            label,
            body.merchant,
            body.card_id,
            ip_ref,
            device_ref,
            email_ref,
            body.paid_at,
            body.payment_id not in state.book.outliers,
            replaced_at,
        ),
        *online.labelled(state.online, Early(body.payment_id, number, label, body.paid_at), today),
    ]


def evolve(state: State, recorded: Recorded) -> State:
    """Measure and count a payment, take note of its outcome and of labels; put rules and limits into force."""
    match recorded.body:
        case PaymentRequested() as body:
            _measure(state, recorded, body)
        case PaymentDeclined() as body:
            measuring.decline(state.measures, body.payment_id, recorded.meta.recorded_at)
        case DeclineNoted() as body:
            del state.open[body.payment_id]
        case AuthorizationOutcomeUnknown() as body:
            state.open.pop(body.payment_id, None)
        case PaymentAuthorized() as body:
            measured = state.open.pop(body.payment_id, None)
            if measured is not None and measured.judged is not None:
                today = day_of(recorded.meta.recorded_at)
                online.keep(state.online, body.payment_id, measured.judged, today)
            asks = in_force.judge_of(state.rules).asks(Phase.AFTER_AUTHORIZATION, body.merchant)
            if measured is not None and asks:
                state.answered[body.payment_id] = measured
        case RiskAssessed(phase=Phase.AFTER_AUTHORIZATION) as body:
            state.answered.pop(body.payment_id)
        case ReferenceApplied(kind="rules" | "rulebook" | "rulelist") as body:
            state.refused = in_force.put(state.rules, decode_reference(body.kind, body.content))
        case ReferenceApplied(kind="model") as body:
            model = decode_reference(body.kind, body.content)
            assert isinstance(model, FraudModel)
            state.refused = modelling.put(state.models, model)
        case ReferenceApplied(kind="online") as body:
            learner = decode_reference(body.kind, body.content)
            assert isinstance(learner, OnlineModel)
            state.refused = online.put(state.online, learner, body.version)
        case ReferenceApplied(kind="bins" | "merchant") as body:
            state.refused = []
            measuring.refer(state.measures, decode_reference(body.kind, body.content))
        case ReferenceApplied():
            state.refused = []
        case HotlistApplied() as body:
            hotlists.put(state.hotlist, body)
        case HotlistReleased() as body:
            hotlists.remove(state.hotlist, body)
        case FraudConfirmed() as body:
            labels.hear(state.book, body.payment_id, body.source, body.label)
        case PaymentLabelled() as body:
            now = recorded.meta.recorded_at
            labels.note(state.book, body, now, day_of(now))
            told = Early(body.payment_id, body.number, body.label, body.paid_at)
            online.note(state.online, told, day_of(now))
            measuring.label_own(state.measures, body, now)
        case LabelSignalled() as body:
            meta = recorded.meta
            state.signalled[f"{body.payment_id} {body.number:06d}"] = Signalled(
                body, meta.event_id, meta.occurred_at
            )
        case LabelApplied() as body:
            measuring.label_shared(state.measures, body, recorded.meta.recorded_at)
        case ExamplesGathered() as body:
            online.take(state.online, body, recorded.meta.event_id, recorded.meta.occurred_at)
        case _:
            pass
    return state


def _measure(state: State, recorded: Recorded, body: PaymentRequested) -> None:
    """Once for each delivery of a payment under way; a key that is used again after its claim ran out is another."""
    if body.payment_id in state.open:
        return
    measured = measuring.pay(state.measures, recorded, body.payment_id)
    if measured is None:
        measured = measuring.pay(state.measures, recorded, recorded.meta.event_id)
    assert measured is not None, "a payment that is over was delivered again within its claim"
    measuring.ask(state.models, state.online, measured)
    state.open[body.payment_id] = measured
    if not profiles.is_ordinary(measured.profile):
        labels.note_outlier(state.book, body.payment_id, day_of(recorded.meta.recorded_at))


def due(state: State, now: int) -> list[Work]:
    """Labels that came since the last tick, and what no window reaches any more."""
    works = [
        Work(NOTICES, LABEL, key, signalled.event_id, signalled.occurred_at)
        for key, signalled in state.signalled.items()
    ]
    works += [Work(DEADLINES, FORGET, what) for what in measuring.stale(state.measures, now)]
    works += [
        Work(DEADLINES, FORGET_LABELS, f"{kind} {day_on:08d}")
        for kind, day_on in labels.stale_days(state.book, day_of(now))
    ]
    works += [
        Work(NOTICES if one.kind == online.LEARN else DEADLINES, *one)
        for one in online.due(state.online, day_of(now))
    ]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Let one label count, learn or draw examples, or forget something, of which nobody needs to hear."""
    match work.kind:
        case kind if kind in online.KINDS:
            return online.fire(state.online, kind, work.key, state.book.known)
        case "label":
            body = state.signalled.pop(work.key).body
            return [LabelApplied(*msgspec.structs.astuple(body))]
        case "forget":
            measuring.forget(state.measures, work.key)
        case _:
            kind, day_on = work.key.split()
            labels.forget_day(state.book, kind, int(day_on))
    return []


def summary(state: State) -> Iterator[str]:
    """What is counted, the rules in force, and the payments that wait for their outcome."""
    yield from measuring.summary(state.measures)
    yield from in_force.summary(state.rules)
    yield from modelling.summary(state.models)
    yield from online.summary(state.online)
    yield from labels.summary(state.measures.frauds, state.book)
    for payment_id in sorted(state.open):
        yield f"assessed {payment_id}"


def _exceeded(terms: Terms, amount: int, count_at_merchant: int) -> list[str]:
    """The merchant's own limits that this payment goes beyond."""
    exceeded = []
    if 0 < terms.max_amount < amount:
        exceeded.append(MERCHANT_MAX_AMOUNT)
    if 0 < terms.card_count_24h < count_at_merchant:
        exceeded.append(MERCHANT_CARD_COUNT_24H)
    return exceeded
