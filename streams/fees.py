"""Fees: what carrying a payment costs us, and what its merchant pays for it.

When a record is accepted, the issuer keeps interchange and the network notes a scheme fee to invoice by the week.
When a refund is cleared, the issuer gives interchange back. The merchant pays for a capture when it is presented,
once, also when it has to be presented again. A dispute has a price of its own, won or lost.

All rates come from the fee table and the merchant's plan in force when the record settles or leaves. A share is
rounded half to even (:func:`events.money.share`), then the fixed part is added.

What decides a payment's interchange (its channel, and how its card is funded) is kept for :data:`MEMORY_DAYS` days
after the authorization: longer than a refund may be asked for and cleared.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from events.authorization import (
    AuthorizationReversed,
    PaymentAuthorized,
    PaymentDeclined,
    ReversalReason,
)
from events.base import Event
from events.calendar import day_of, iso_week, parse_day
from events.clearing import (
    ClearingRecordAccepted,
    ClearingRecordCreated,
    ClearingRecordReturned,
    RecordKind,
    RefundCleared,
)
from events.disputes import DisputeMerchantDebited
from events.envelope import Recorded
from events.errors import ValidationError
from events.fees import (
    DisputeFeeCharged,
    InterchangeAssessed,
    InterchangeReturned,
    ProcessingFeeCharged,
    SchemeFeeAssessed,
)
from events.lifecycle import PaymentRequested
from events.money import share
from events.partitions import ReferenceApplied
from events.reference import (
    BinTable,
    FeeTable,
    InterchangeRate,
    MerchantTerms,
    SchemeRate,
    decode_reference,
)
from streams.features.bins import BinBlock, blocks_of, range_of
from streams.features.shelf import Shelf
from streams.processor import DEADLINES, Work

NAME: Final = "fees"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationReversed,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (
    ClearingRecordCreated,
    ClearingRecordAccepted,
    ClearingRecordReturned,
    RefundCleared,
    DisputeMerchantDebited,
)

MEMORY_DAYS: Final = 240
"""How many whole days of logical time after its authorization the profile of a payment is kept."""

ANY: Final = "*"
NO_PROGRAM: Final = "none"
"""Where no row of the fee table fits: nothing is assessed, and the network's own figure will differ by all of it."""

RETURNED_PROGRAM: Final = "returned"
"""Interchange that comes back with its record: a fixed amount, by no rate."""

FORGET: Final = "forget"


class Profile(msgspec.Struct, frozen=True, gc=False):
    """What decides the interchange of a payment; empty texts where it is not known."""

    channel: str = ""
    funding: str = ""


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What a merchant pays for a capture (minor units, and millionths of the amount) and for a dispute."""

    version: int
    fixed: int
    rate_ppm: int
    dispute_fee: int


class State(msgspec.Struct):
    """Fee table and plans in force, and the profiles of payments that may still settle or be refunded."""

    table_version: int = 0
    interchange: dict[str, list[InterchangeRate]] = {}
    scheme: dict[str, list[SchemeRate]] = {}
    plans: dict[str, Plan] = {}
    bins: list[BinBlock] = []
    profiles: Shelf[Profile] = msgspec.field(default_factory=Shelf)


_UNKNOWN: Final = Profile()
_NOTHING: Final = InterchangeRate("", ANY, ANY, NO_PROGRAM, 0, 0)
#: One object for equal profiles: a hundred thousand payments have a handful of them.
_shared: Final = lru_cache(maxsize=1 << 8)(Profile)


def initial() -> State:
    """Nothing costs anything."""
    return State()


# --- deciding -------------------------------------------------------------------------------------------


def decide(state: State, recorded: Recorded) -> list[Event]:
    """What a record costs when it leaves and when it settles."""
    match recorded.body:
        case ClearingRecordCreated(kind=RecordKind.PRESENTMENT, presentment=1) as body:
            return _processing_fee(state, body)
        case ClearingRecordAccepted() as body:
            rate = _rate(state, body.network, body.payment_id)
            assessed = InterchangeAssessed(
                body.payment_id,
                body.network,
                body.record_id,
                rate.program,
                rate.rate_ppm,
                rate.fixed,
                _priced(body.settlement_amount, rate),
                body.settlement_currency,
                body.cycle,
                state.table_version,
            )
            period = _period(body.cycle, day_of(recorded.meta.recorded_at))
            return [assessed, *_scheme_fees(state, body, period)]
        case ClearingRecordReturned() as body:
            return [_given_back(body, state.table_version)]
        case RefundCleared() as body:
            rate = _rate(state, body.network, body.payment_id)
            returned = InterchangeReturned(
                body.payment_id,
                body.network,
                body.record_id,
                rate.program,
                rate.rate_ppm,
                rate.fixed,
                _priced(body.settlement_amount, rate),
                body.settlement_currency,
                body.cycle,
                state.table_version,
            )
            return [returned]
        case DisputeMerchantDebited() as body:
            plan = state.plans.get(body.merchant)
            if plan is None or plan.dispute_fee == 0:
                return []
            charged = (plan.dispute_fee, body.currency, plan.version)
            return [DisputeFeeCharged(body.payment_id, body.merchant, body.case_id, *charged)]
        case _:
            return []


def _given_back(body: ClearingRecordReturned, table_version: int) -> InterchangeReturned:
    """All that was assessed of a record that came back, whatever the table says today."""
    return InterchangeReturned(
        body.payment_id,
        body.network,
        body.record_id,
        RETURNED_PROGRAM,
        0,
        body.interchange,
        body.interchange,
        body.settlement_currency,
        body.cycle,
        table_version,
    )


def _processing_fee(state: State, record: ClearingRecordCreated) -> list[Event]:
    plan = state.plans.get(record.merchant)
    if plan is None:
        return []
    fee = share(record.amount, plan.rate_ppm) + plan.fixed
    if fee == 0:
        return []
    return [
        ProcessingFeeCharged(
            record.payment_id, record.merchant, record.source_id, fee, record.currency, plan.version
        )
    ]


def _scheme_fees(state: State, record: ClearingRecordAccepted, period: str) -> Iterator[SchemeFeeAssessed]:
    for rate in state.scheme.get(record.network, ()):
        fee = _priced(record.settlement_amount, rate)
        if fee:
            yield SchemeFeeAssessed(
                record.payment_id,
                record.network,
                record.record_id,
                rate.fee_id,
                fee,
                record.settlement_currency,
                period,
                state.table_version,
            )


def _rate(state: State, network: str, payment_id: str) -> InterchangeRate:
    """The first row that fits. Of a payment that is not known any more only the rows for all fit."""
    profile = state.profiles.get(payment_id) or _UNKNOWN
    for rate in state.interchange.get(network, ()):
        if rate.channel in (ANY, profile.channel) and rate.funding in (ANY, profile.funding):
            return rate
    return _NOTHING


def _priced(amount: int, rate: InterchangeRate | SchemeRate) -> int:
    return share(amount, rate.rate_ppm) + rate.fixed


@lru_cache(maxsize=1 << 10)
def _period(cycle: str, settled_on: int) -> str:
    """The invoice period of a record: the week of its cycle's day, which ends the cycle's name.

    A cycle that a network names in another way counts for the week in which it was heard of.
    """
    try:
        return iso_week(parse_day(cycle[-10:]))
    except ValidationError:
        return iso_week(settled_on)


# --- remembering ----------------------------------------------------------------------------------------


def evolve(state: State, recorded: Recorded) -> State:
    """Keep the profiles of payments; put tables and plans into force."""
    match recorded.body:
        case PaymentRequested() as body:
            found = range_of(state.bins, body.bin)
            state.profiles[body.payment_id] = _shared(
                body.channel.value, "" if found is None else found.funding
            )
        case PaymentAuthorized() as body:
            state.profiles.file(body.payment_id, day_of(recorded.meta.recorded_at))
        case PaymentDeclined() as body:
            state.profiles.pop(body.payment_id)
        case AuthorizationReversed(reason=ReversalReason.TIMEOUT | ReversalReason.VOID) as body:
            # Taken back whole: there is nothing left that could be presented.
            state.profiles.pop(body.payment_id)
        case ReferenceApplied() as body:
            _apply(state, body)
        case _:
            pass
    return state


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("fees", "merchant", "bins"):
        return
    match decode_reference(body.kind, body.content):
        case FeeTable() as table:
            state.table_version = table.version
            state.interchange, state.scheme = {}, {}
            for interchange in table.interchange:
                state.interchange.setdefault(interchange.network, []).append(interchange)
            for scheme in table.scheme:
                state.scheme.setdefault(scheme.network, []).append(scheme)
        case MerchantTerms() as terms:
            state.plans[terms.merchant] = Plan(
                terms.plan_version, terms.fee_fixed, terms.fee_ppm, terms.dispute_fee
            )
        case BinTable() as bins:
            state.bins = blocks_of(bins.ranges)
        case _:
            pass


# --- time -----------------------------------------------------------------------------------------------


def due(state: State, now: int) -> list[Work]:
    """Days whose payments nobody can refund any more."""
    return [
        Work(DEADLINES, FORGET, f"{day_on:08d}")
        for day_on in state.profiles.days_before(day_of(now) - MEMORY_DAYS)
    ]


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Forget one day. Nobody needs to hear of it."""
    state.profiles.forget(int(work.key))
    return []


def summary(state: State) -> Iterator[str]:
    """Nothing: what a payment cost stands in its events, and what is in force is no payment's, nor any partition's."""
    yield from ()
