"""The features of a payment: measured once, when it is asked for, by the stream and by whoever looks back.

A payment's vector has the values of the rules' catalogue (:mod:`streams.features.rules.catalogue`) in their places. It
is a function of the events that were taken before it, and of the payment: the same code measures in the stream, in a
back-test and in an explanation.

``mine`` says whose keys are counted here (:mod:`streams.features.velocity`). A partition of the stream holds all
payments of its cards and some of everybody else's, so it counts its own (``HOME``) alone; what would depend on how the
payments are shared out is not known there. A back-test reads every partition and counts every key. Labels are told to
every partition, so how many payments are known to be fraud is known under every key (:mod:`streams.features.labels`).

What a verdict records of it, :mod:`streams.features.vectors` says. What the request itself says stands in the request.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final

import msgspec

from events.authorization import MessageKind, NetworkReplyReceived, PaymentAuthorized, PaymentDeclined
from events.calendar import DAY, SECOND, day_of, weekday
from events.disputes import Label
from events.envelope import Recorded
from events.hotlist import DeclineNoted
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.reference import BinTable, MerchantTerms, Reference
from events.requests import Channel
from events.risk import Mode, ModelScore
from streams.features import (
    clusters,
    familiar,
    identity,
    labels,
    modelling,
    online,
    profiles,
    quantiles,
    velocity,
)
from streams.features.bins import BinBlock, blocks_of, range_of
from streams.features.clusters import Clusters
from streams.features.familiar import Familiar, meet
from streams.features.identity import Identities
from streams.features.kept import Judged
from streams.features.labels import Counts
from streams.features.modelling import Models
from streams.features.online import Online
from streams.features.profiles import Profiles
from streams.features.quantiles import Quantiles
from streams.features.rules.catalogue import PLACES, Value
from streams.features.rules.types import DOMAINS, WEEKDAYS
from streams.features.scoring import Assessment, assess
from streams.features.vectors import ANSWERED_TEXTS, TEXTS, plan_of, spread_of
from streams.features.velocity import MERCHANT, Mark
from streams.features.windows import event_time

ENOUGH: Final = 100
"""Payments from which a merchant's amounts have a middle and a tail."""

_CHANNELS: Final = {channel: channel.value for channel in Channel}
_DEVICE, _EMAIL = familiar.KINDS.index("device"), familiar.KINDS.index("email")
_MINUTE_US: Final = 60 * SECOND
_SEPARATOR: Final = "\x1f"
_AVS: Final = {
    **dict.fromkeys("XYDFM", "full"),
    **dict.fromkeys("AB", "street"),
    **dict.fromkeys("PWZ", "postal_code"),
    **dict.fromkeys("CN", "none"),
    **dict.fromkeys("EGIRSU", "unavailable"),
}
_CVV: Final = {"M": "match", "N": "no_match", "P": "not_given", "S": "not_given", "U": "unavailable"}
"""The networks' letters in words. A letter that is in no table is not known."""


_texts_recorded: Final = itemgetter(*(PLACES[name] for name in TEXTS))
_answered_recorded: Final = itemgetter(*(PLACES[name] for name in ANSWERED_TEXTS))
_keys_of: Final = itemgetter(
    *(PLACES[f"{name}.id"] for name in ("card", "ip", "device", "email", "merchant")),
    PLACES["payment.channel"],
)
_SCORE: Final = PLACES["model.score"]
_OUTLIERS_7D: Final = profiles.NAMES.index("card_outliers_7d")


class Terms(msgspec.Struct, frozen=True):
    """What a merchant's contract says of its payments; 0 bounds nothing."""

    mcc: str | None = None
    max_amount: int = 0
    card_count_24h: int = 0


_NO_TERMS: Final = Terms()


class Measures(msgspec.Struct):
    """Everything that payments are measured against. Bounded: what no feature can reach any more is forgotten."""

    mine: int
    velocity: velocity.State
    frauds: Counts
    clusters: Clusters = msgspec.field(default_factory=Clusters)
    profiles: Profiles = msgspec.field(default_factory=Profiles)
    familiar: Familiar = msgspec.field(default_factory=Familiar)
    identities: Identities = msgspec.field(default_factory=Identities)
    amounts: dict[str, Quantiles] = {}
    bins: list[BinBlock] = []
    terms: dict[str, Terms] = {}


class Measured(msgspec.Struct, gc=False):
    """What was measured of a payment at its event time: what rules read, models read, verdicts record; what models say.

    ``features`` are the whole numbers that a verdict records, ``scores`` is what the models say. ``judged`` is the
    payment as the scorecard that learns saw it, where there is one.
    """

    at: int
    vector: list[Value]
    profile: list[int]
    features: list[int]
    scores: list[ModelScore] = []
    judged: Judged | None = None


def initial(mine: int) -> Measures:
    """Nothing has happened."""
    return Measures(mine, velocity.initial(plan_of(mine)), labels.initial())


def refer(measures: Measures, content: Reference) -> None:
    """Put reference data into force; what measures nothing is passed over."""
    match content:
        case BinTable(ranges=ranges):
            measures.bins = blocks_of(ranges)
        case MerchantTerms():
            measures.terms[content.merchant] = Terms(
                _word("mcc", content.mcc), content.max_amount, content.card_count_24h
            )
        case _:
            pass


def pay(measures: Measures, recorded: Recorded, event_id: str) -> Measured | None:
    """Measure a payment before its authorization, and count it; None, and nothing changes, when its id is known."""
    body = recorded.body
    assert isinstance(body, PaymentRequested)
    at = event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)
    card, merchant, amount = body.card_id, body.merchant, body.amount
    found = velocity.observe(
        measures.velocity,
        event_id,
        at,
        card,
        body.ip_ref,
        body.device_ref,
        body.email_ref,
        merchant,
        amount,
        measures.mine,
    )
    if found is None:
        return None
    profile = profiles.observe(measures.profiles, f"{card}{_SEPARATOR}{body.currency}", merchant, at, amount)
    row = range_of(measures.bins, body.bin)
    terms = measures.terms.get(merchant, _NO_TERMS)
    seen, new = meet(measures.familiar, card, identity.names_of(body), at)
    ratio = profile[profiles.RATIO]
    half, most = _usual_amounts(measures, body)
    given = (
        amount,
        body.currency,
        _CHANNELS[body.channel],
        at % DAY // _MINUTE_US,
        WEEKDAYS[weekday(at // DAY)],
        card,
        body.bin,
        merchant,
        body.ip_ref or None,
        body.device_ref or None,
        body.email_ref or None,
        _word("country", row.country) if row else None,
        _word("brand", row.brand) if row else None,
        _word("funding", row.funding) if row else None,
        terms.mcc,
        amount * 100 // terms.max_amount if terms.max_amount > 0 else None,
        seen is None,
        None if seen is None else (at - seen) // SECOND,
        new[_DEVICE],
        new[_EMAIL],
        ratio * 100 // profiles.UNIT if ratio else None,
        profile[_OUTLIERS_7D],
        half,
        most,
        *labels.measure(measures.frauds, found.keys, at),
        *clusters.measure(measures.clusters, found.keys),
        *identity.measure(measures.identities, body, at, new),
    )
    vector, features = spread_of(measures.mine)(found.values, given, profile)
    return Measured(at, vector, profile, features)


def ask(models: Models, learning: Online, measured: Measured) -> None:
    """Ask the models in use; rules read the champion's score, or that of the scorecard that stands in for it."""
    measured.scores = modelling.scores(models, measured.profile)
    learner = learning.learner
    if learner is not None:
        mode = online.mode_of(learner, champion=Mode.ENFORCE in models.hashes)
        told, measured.judged = online.ask(learner, measured.profile, measured.at, mode)
        measured.scores.insert(0 if mode is Mode.ENFORCE else len(measured.scores), told)
    for said in measured.scores:
        if said.mode is Mode.ENFORCE:
            measured.vector[_SCORE] = said.score


def reasons(models: Models, learning: Online, profile: list[int]) -> list[Assessment]:
    """Where the scores that :func:`ask` finds come from, in their order: for payments that somebody looks at."""
    found = [modelling.reasons(models, mode, profile) for mode in Mode if mode in models.hashes]
    learner = learning.learner
    if learner is not None:
        mode = online.mode_of(learner, champion=Mode.ENFORCE in models.hashes)
        why = assess(online.model_of(learner), profile)
        found.insert(0 if mode is Mode.ENFORCE else len(found), why)
    return found


def decline(measures: Measures, payment_id: str, now: int) -> None:
    """Take note that a payment was declined."""
    velocity.mark(measures.velocity, payment_id, Mark.DECLINED, now)


def decline_of(payment_id: str, measured: Measured) -> DeclineNoted:
    """A declined payment with its keys. At a till the device is the merchant's, and no key."""
    card, ip, device, email, merchant, channel = (value or "" for value in _keys_of(measured.vector))
    device = "" if channel == Channel.POINT_OF_SALE else device
    return DeclineNoted(payment_id, card, ip, device, email, merchant, measured.at)


def label_own(measures: Measures, body: PaymentLabelled, now: int) -> None:
    """Take a label where the payment's card is at home; no vector that was measured before changes."""
    _count(measures, body.label, labels.OWN, labels.own_keys(body), body.paid_at, now)


def label_shared(measures: Measures, body: LabelApplied, now: int) -> None:
    """Take a label under what payments of other cards share with its payment."""
    _count(measures, body.label, labels.SHARED, labels.shared_keys(body), body.paid_at, now)
    if body.label is Label.FRAUD:
        keys = (body.card_id, body.ip_ref, body.device_ref, body.email_ref)
        clusters.add(measures.clusters, body.payment_id, keys, day_of(now))
    else:
        clusters.take_back(measures.clusters, (body.payment_id,))
    profiles.learn(
        measures.profiles,
        body.merchant,
        body.paid_at,
        body.known_at,
        fraud=body.label is Label.FRAUD,
        ordinary=body.ordinary,
        replaced_at=body.replaced_at,
    )


def label(
    measures: Measures, payment_id: str, merchant: str, paid_at: int, now: int, *, fraud: bool, ordinary: bool
) -> None:
    """Take what somebody knows of a payment from ``now`` on, under all of its keys at once; once for each payment."""
    if fraud:
        keys = velocity.keys_of(measures.velocity, payment_id)
        labels.count(measures.frauds, velocity.EVERY, keys, paid_at, now)
        clusters.add(measures.clusters, payment_id, keys[:4], day_of(now))
    profiles.learn(measures.profiles, merchant, paid_at, now, fraud=fraud, ordinary=ordinary)


def _count(
    measures: Measures, said: Label, dimensions: int, keys: velocity.Keys, paid_at: int, now: int
) -> None:
    match said:
        case Label.FRAUD:
            labels.count(measures.frauds, dimensions, keys, paid_at, now)
        case Label.GENUINE:
            labels.take_back(measures.frauds, dimensions, keys, paid_at)


def stale(measures: Measures, now: int) -> list[str]:
    """What can be forgotten at ``now``, in the order in which :func:`forget` takes it."""
    return [
        *(f"payments {hour:08d}" for hour in velocity.stale_hours(measures.velocity, now)),
        *(f"names {day_on:08d}" for day_on in familiar.stale_days(measures.familiar, now)),
        *(f"profiles {day_on:08d}" for day_on in profiles.stale_days(measures.profiles, now)),
        *(f"frauds {hour:08d}" for hour in labels.stale_hours(measures.frauds, now)),
        *(f"clusters {day_on:08d}" for day_on in clusters.stale_days(measures.clusters, day_of(now))),
        *identity.stale(measures.identities, now),
    ]


def forget(measures: Measures, what: str) -> None:
    """Forget one thing that :func:`stale` has named."""
    kind, number = what.split()
    match kind:
        case "payments":
            velocity.forget(measures.velocity, int(number))
        case "names":
            familiar.forget_day(measures.familiar, int(number))
        case "frauds":
            labels.forget_hour(measures.frauds, int(number))
        case "clusters":
            clusters.forget_day(measures.clusters, int(number))
        case "profiles":
            profiles.forget_day(measures.profiles, int(number))
        case _:
            identity.forget(measures.identities, kind, int(number))


def texts_of(measured: Measured) -> list[str]:
    """The texts of :data:`~streams.features.vectors.TEXTS`."""
    return [value or "" for value in _texts_recorded(measured.vector)]


def answered_texts_of(vector: Sequence[Value]) -> list[str]:
    """The texts of :data:`~streams.features.vectors.ANSWERED_TEXTS`."""
    return [value or "" for value in _answered_recorded(vector)]


def answered(
    vector: Sequence[Value], event: PaymentAuthorized | PaymentDeclined, avs_result: str, cvv_result: str
) -> list[Value]:
    """The vector after authorization: what the issuer said, and what the network said of address and code."""
    found = list(vector)
    found[PLACES["authorization.approved"]] = isinstance(event, PaymentAuthorized)
    found[PLACES["authorization.code"]] = event.response_code or None
    found[PLACES["payment.avs"]] = _AVS.get(avs_result)
    found[PLACES["payment.cvv"]] = _CVV.get(cvv_result)
    return found


def is_answer(body: object) -> bool:
    """Whether an event is a network's answer to an authorization, in time."""
    return isinstance(body, NetworkReplyReceived) and body.kind is MessageKind.AUTHORIZATION and not body.late


def summary(measures: Measures) -> Iterator[str]:
    """Each key with what is counted under it, each card with its usual amount."""
    yield from velocity.summary(measures.velocity)
    cards = measures.profiles.cards
    for card in sorted(cards):
        known = cards[card]
        yield f"profile {card} {known.payments} {known.total} {known.outliers or []} {known.newest}"
    yield from identity.summary(measures.identities)


def _usual_amounts(measures: Measures, body: PaymentRequested) -> tuple[int | None, int | None]:
    """Half of the merchant's payments before this one, and 95 in 100, were for no more."""
    if not measures.mine & MERCHANT:
        return None, None
    amounts = measures.amounts.setdefault(f"{body.merchant}{_SEPARATOR}{body.currency}", Quantiles())
    known = amounts.amounts >= ENOUGH
    half = quantiles.read(amounts, 0) if known else None
    most = quantiles.read(amounts, 1) if known else None
    quantiles.take(amounts, body.amount)
    return half, most


@lru_cache(maxsize=1 << 12)
def _word(domain: str, text: str) -> str | None:
    """A word of reference data, if rules can know it."""
    return None if DOMAINS[domain].refuses(text) else text
