"""Risk: a verdict on every payment before it is sent anywhere.

A payment is taken into its card's windows (:mod:`streams.features.windows`), its features are measured
(:mod:`streams.features.catalogue`), the rule pack and the merchant's own limits are asked, and the strongest
verdict wins. The event carries the whole vector: any past verdict can be explained from it alone.

Cards that have been quiet for longer than a window can reach are forgotten by the hour.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.base import Event
from events.calendar import DAY
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied
from events.reference import MerchantTerms, RulePack, decode_reference
from events.risk import RiskAssessed, Verdict
from streams.features.catalogue import FEATURE_SET, INDEX, measure, remember_payment
from streams.features.windows import Histories, count, event_time, forget, stale_hours
from streams.processor import DEADLINES, Work

NAME: Final = "risk"
HEARS: Final[tuple[type[Event], ...]] = (PaymentRequested, ReferenceApplied)
DECIDES: Final[tuple[type[Event], ...]] = (PaymentRequested,)

HIGHEST_SCORE: Final = 100
MERCHANT_MAX_AMOUNT: Final = "merchant_max_amount"
MERCHANT_CARD_COUNT_24H: Final = "merchant_card_count_24h"

_VERDICTS: Final = tuple(Verdict)
_BLOCK: Final = _VERDICTS.index(Verdict.BLOCK)
_COUNT_AT_MERCHANT: Final = INDEX["card_merchant_count_24h"]


class Limits(msgspec.Struct, frozen=True):
    """What a merchant's terms bound; 0 bounds nothing. ``max_amount`` in minor units of the payment."""

    max_amount: int = 0
    card_count_24h: int = 0


class ReadyRule(msgspec.Struct, frozen=True):
    """A rule of the pack with its feature looked up; ``severity`` is the verdict's place, mildest first."""

    rule_id: str
    feature: int
    threshold: int
    severity: int
    points: int


class State(msgspec.Struct):
    """Cards' histories (until KEPT after their newest payment) and what is in force."""

    histories: Histories
    rules: list[ReadyRule] = []
    limits: dict[str, Limits] = {}


_NO_LIMITS: Final = Limits()


def initial() -> State:
    """No payments, no rules: everything is allowed."""
    return State(Histories())


def decide(state: State, recorded: Recorded) -> list[Event]:
    """The verdict on a payment, which ``evolve`` has already counted."""
    body = recorded.body
    assert isinstance(body, PaymentRequested)
    limits = state.limits.get(body.merchant, _NO_LIMITS)
    at = event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)
    features = measure(
        state.histories.by_subject[body.card_id],
        at,
        body.merchant,
        body.amount,
        body.currency,
        limits.max_amount,
    )
    severity, score, matched = 0, 0, []
    for rule in state.rules:
        if features[rule.feature] > rule.threshold:
            matched.append(rule.rule_id)
            score += rule.points
            severity = max(severity, rule.severity)
    for rule_id in _exceeded(limits, body.amount, features[_COUNT_AT_MERCHANT]):
        matched.append(rule_id)
        score += HIGHEST_SCORE
        severity = _BLOCK
    return [
        RiskAssessed(
            body.payment_id,
            body.merchant,
            _VERDICTS[severity],
            max(0, min(HIGHEST_SCORE, score)),
            matched,
            FEATURE_SET,
            features,
        )
    ]


def evolve(state: State, recorded: Recorded) -> State:
    """Count a payment; put rules and limits into force."""
    match recorded.body:
        case PaymentRequested() as body:
            at = event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)
            remember_payment(
                state.histories,
                body.card_id,
                body.payment_id,
                at,
                body.merchant,
                body.amount,
                body.currency,
            )
        case ReferenceApplied(kind="rules") as body:
            pack = decode_reference(body.kind, body.content)
            assert isinstance(pack, RulePack)
            state.rules = _ready(pack)
        case ReferenceApplied(kind="merchant") as body:
            terms = decode_reference(body.kind, body.content)
            assert isinstance(terms, MerchantTerms)
            state.limits[terms.merchant] = Limits(terms.max_amount, terms.card_count_24h)
        case _:
            pass
    return state


def due(state: State, now: int) -> list[Work]:
    """One work for each hour whose cards no window reaches any more."""
    return [Work(DEADLINES, "forget", f"{hour:08d}") for hour in stale_hours(state.histories, now)]


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Forget the quiet cards of an hour. Nobody needs to hear of it."""
    forget(state.histories, int(work.key))
    return []


def summary(state: State) -> Iterator[str]:
    """Each card with the payments of the 24 hours up to its newest one."""
    for card_id in sorted(state.histories.by_subject):
        history = state.histories.by_subject[card_id]
        newest = history.times[-1]
        yield f"card {card_id} {count(history, newest, DAY)} payments in 24 h, newest {newest}"


def unknown_features(pack: RulePack) -> list[str]:
    """Features that the pack names and the catalogue does not have: for whoever publishes a pack."""
    return sorted({rule.feature for rule in pack.rules} - INDEX.keys())


def _ready(pack: RulePack) -> list[ReadyRule]:
    """The pack's rules in order. One on a feature of a later catalogue cannot match here and is left out."""
    return [
        ReadyRule(
            rule.rule_id,
            INDEX[rule.feature],
            rule.threshold,
            _VERDICTS.index(rule.verdict),
            rule.points,
        )
        for rule in pack.rules
        if rule.feature in INDEX
    ]


def _exceeded(limits: Limits, amount: int, count_at_merchant: int) -> list[str]:
    """The merchant's own limits that this payment goes beyond."""
    exceeded = []
    if 0 < limits.max_amount < amount:
        exceeded.append(MERCHANT_MAX_AMOUNT)
    if 0 < limits.card_count_24h < count_at_merchant:
        exceeded.append(MERCHANT_CARD_COUNT_24H)
    return exceeded
