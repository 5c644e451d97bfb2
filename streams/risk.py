"""Risk: a verdict on every payment before it is sent anywhere.

A payment is measured (:mod:`streams.features.measuring`) and counted in one go, and the models in use are asked
(:mod:`streams.features.modelling`): the champion gives a score that rules read, a challenger is told beside it. The
rules in force are asked (:mod:`streams.features.rules.in_force`), and the merchant's own limits and the hotlist, which
bind whatever the rules say. The event carries the whole vector: any past verdict can be explained from it, and from the
log it is decided again, bit for bit.

A partition counts what it has all of: the card, and the card at the merchant. A payment's vector is kept while the
payment waits for its outcome. What no window reaches any more is forgotten by ticks.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.envelope import Recorded
from events.hotlist import HotlistApplied, HotlistReleased, Standing
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied, ReferenceRefused
from events.reference import FraudModel, decode_reference
from events.risk import Phase, RiskAssessed, Verdict
from streams.features import hotlists, measuring, modelling
from streams.features.hotlists import Hotlist
from streams.features.measuring import FEATURE_SET, HOME, Measured, Measures, Terms
from streams.features.modelling import Models
from streams.features.rules import in_force
from streams.features.rules.catalogue import PLACES
from streams.features.rules.in_force import HIGHEST_SCORE, InForce
from streams.processor import DEADLINES, Work

NAME: Final = "risk"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentDeclined,
    PaymentAuthorized,
    AuthorizationOutcomeUnknown,
    HotlistApplied,
    HotlistReleased,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (PaymentRequested, ReferenceApplied)

MERCHANT_MAX_AMOUNT: Final = "merchant_max_amount"
MERCHANT_CARD_COUNT_24H: Final = "merchant_card_count_24h"

LISTED_POINTS: Final = 20
"""What each key adds to the score that is listed to be looked at."""

FORGET: Final = "forget"
_COUNT_AT_MERCHANT: Final = PLACES["card_merchant.count_24h"]
_NO_TERMS: Final = Terms()


class State(msgspec.Struct):
    """What payments are measured against, the rules and the hotlist in force, and the payments without an outcome.

    ``refused`` is what was wrong with the reference data that came last.
    """

    measures: Measures
    rules: InForce = msgspec.field(default_factory=InForce)
    models: Models = msgspec.field(default_factory=Models)
    open: dict[str, Measured] = {}
    hotlist: Hotlist = msgspec.field(default_factory=Hotlist)
    refused: list[str] = []


def initial() -> State:
    """No payments, no rules: everything is allowed."""
    return State(measuring.initial(HOME))


def decide(state: State, recorded: Recorded) -> list[Event]:
    """The verdict on a payment, which ``evolve`` has already measured; what was wrong with reference data."""
    match recorded.body:
        case PaymentRequested() as body:
            return [_assess(state, body)]
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
        measuring.features_of(measured),
        Phase.BEFORE_AUTHORIZATION,
        measuring.texts_of(measured),
        list(outcome.shadow),
        list(outcome.failed),
        measured.scores,
    )


def evolve(state: State, recorded: Recorded) -> State:
    """Measure and count a payment, take note of its outcome; put rules and limits into force."""
    match recorded.body:
        case PaymentRequested() as body:
            _measure(state, recorded, body)
        case PaymentDeclined() as body:
            measuring.decline(state.measures, body.payment_id, recorded.meta.recorded_at)
            state.open.pop(body.payment_id, None)
        case PaymentAuthorized() | AuthorizationOutcomeUnknown() as body:
            state.open.pop(body.payment_id, None)
        case ReferenceApplied(kind="rules" | "rulebook" | "rulelist") as body:
            state.refused = in_force.put(state.rules, decode_reference(body.kind, body.content))
        case ReferenceApplied(kind="model") as body:
            model = decode_reference(body.kind, body.content)
            assert isinstance(model, FraudModel)
            state.refused = modelling.put(state.models, model)
        case ReferenceApplied(kind="bins" | "merchant") as body:
            state.refused = []
            measuring.refer(state.measures, decode_reference(body.kind, body.content))
        case ReferenceApplied():
            state.refused = []
        case HotlistApplied() as body:
            hotlists.put(state.hotlist, body)
        case HotlistReleased() as body:
            hotlists.remove(state.hotlist, body)
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
    measuring.ask(state.models, measured)
    state.open[body.payment_id] = measured


def due(state: State, now: int) -> list[Work]:
    """What no window reaches any more."""
    return [Work(DEADLINES, FORGET, what) for what in measuring.stale(state.measures, now)]


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Forget it. Nobody needs to hear of it."""
    measuring.forget(state.measures, work.key)
    return []


def summary(state: State) -> Iterator[str]:
    """What is counted, the rules in force, and the payments that wait for their outcome."""
    yield from measuring.summary(state.measures)
    yield from in_force.summary(state.rules)
    yield from modelling.summary(state.models)
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
