"""Routing: which network carries a payment, and which one next when the first was provably not reached.

The brand follows from the card's first digits, the candidates from the networks' profiles. A fit network goes
before an unfit one, then the lower expected cost, then the name. Only what never left is tried elsewhere:
an authorization that may have arrived is taken back, never repeated.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from events.authorization import (
    AuthorizationOutcomeUnknown,
    MessageKind,
    NetworkNotSent,
    PaymentAuthorized,
    PaymentDeclined,
)
from events.base import Event
from events.envelope import Recorded
from events.identity import rrn
from events.lifecycle import PaymentRequested
from events.money import MILLION, share
from events.partitions import ReferenceApplied
from events.reference import BinTable, NetworkHealth, NetworkProfile, decode_reference
from events.risk import Phase, RiskAssessed, Verdict
from events.routing import (
    FailoverReason,
    RouteCandidate,
    RouteExhausted,
    RouteFailedOver,
    RouteReason,
    RouteSelected,
)
from streams.features.bins import BinBlock, blocks_of, range_of

NAME: Final = "routing"
HEARS: Final[tuple[type[Event], ...]] = (
    PaymentRequested,
    RouteSelected,
    PaymentAuthorized,
    PaymentDeclined,
    AuthorizationOutcomeUnknown,
    ReferenceApplied,
)
DECIDES: Final[tuple[type[Event], ...]] = (RiskAssessed, NetworkNotSent)

MID_LENGTH: Final = 15
"""DE 42 of ISO 8583 has fifteen characters."""

NO_BRAND: Final = ""
"""The brand of a card in no range of the table: no network carries it."""

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Network(msgspec.Struct, frozen=True):
    """What routing needs of a network's profile. Costs in minor units and millionths of the amount."""

    brands: list[str]
    currencies: list[str]
    cost_ppm: int
    cost_fixed: int
    success_ppm: int
    mid_prefix: str


class Journey(msgspec.Struct):
    """A payment that may still be sent to another network; ``tried`` in order, the last one is in use."""

    merchant: str
    brand: str
    amount: int
    currency: str
    tried: list[str]


class State(msgspec.Struct):
    """Networks by name, and payments until their outcome is known or known to be unknown."""

    bins: list[BinBlock] = []
    networks: dict[str, Network] = {}
    unfit: dict[str, bool] = {}
    journeys: dict[str, Journey] = {}


def initial() -> State:
    """No network is known."""
    return State()


def decide(state: State, recorded: Recorded) -> list[Event]:
    """The first network after the verdict; the next one after an attempt that was not sent."""
    match recorded.body:
        case RiskAssessed() as body:
            if body.verdict is Verdict.BLOCK or body.phase is not Phase.BEFORE_AUTHORIZATION:
                return []
            return [_next(state, body.payment_id, state.journeys[body.payment_id])]
        case NetworkNotSent(kind=MessageKind.AUTHORIZATION) as body:
            journey = state.journeys.get(body.payment_id)
            # A repeat of the answer, or one to no attempt of ours, is authorization's to name.
            if journey is None or body.attempt != len(journey.tried) or body.rrn != rrn(body.payment_id):
                return []
            following = _next(state, body.payment_id, journey)
            if isinstance(following, RouteExhausted):
                return [following]
            return [
                RouteFailedOver(
                    body.payment_id, journey.tried[-1], following.network, FailoverReason.NOT_SENT
                ),
                following,
            ]
        case _:
            return []


def evolve(state: State, recorded: Recorded) -> State:
    """Follow a payment to its outcome; put BINs, profiles and health into force."""
    match recorded.body:
        case PaymentRequested() as body:
            found = range_of(state.bins, body.bin)
            brand = found.brand if found is not None else NO_BRAND
            state.journeys[body.payment_id] = Journey(body.merchant, brand, body.amount, body.currency, [])
        case RouteSelected() as body:
            state.journeys[body.payment_id].tried.append(body.network)
        case PaymentAuthorized() | PaymentDeclined() | AuthorizationOutcomeUnknown() as body:
            state.journeys.pop(body.payment_id, None)
        case ReferenceApplied() as body:
            _apply(state, body)
        case _:
            pass
    return state


def summary(state: State) -> Iterator[str]:
    """Each payment that is under way, with the networks tried."""
    for payment_id in sorted(state.journeys):
        journey = state.journeys[payment_id]
        yield f"journey {payment_id} {journey.brand} {','.join(journey.tried)}"


# --- choosing -------------------------------------------------------------------------------------------


def _next(state: State, payment_id: str, journey: Journey) -> RouteSelected | RouteExhausted:
    """The best network not yet tried."""
    candidates = [
        RouteCandidate(
            name,
            expected_cost(journey.amount, network.cost_ppm, network.cost_fixed, network.success_ppm),
            network.success_ppm,
            name not in state.unfit,
        )
        for name, network in state.networks.items()
        if journey.brand in network.brands
        and journey.currency in network.currencies
        and name not in journey.tried
    ]
    if not candidates:
        return RouteExhausted(payment_id, journey.brand, list(journey.tried))
    candidates.sort(key=_preference)
    best = candidates[0]
    if len(candidates) == 1:
        reason = RouteReason.ONLY
    elif any(other.cost < best.cost for other in candidates):
        reason = RouteReason.HEALTHIER
    else:
        reason = RouteReason.CHEAPEST
    return RouteSelected(
        payment_id,
        len(journey.tried) + 1,
        best.network,
        journey.brand,
        merchant_number(state.networks[best.network].mid_prefix, journey.merchant),
        reason,
        candidates,
    )


def _preference(candidate: RouteCandidate) -> tuple[bool, int, str]:
    return (not candidate.healthy, candidate.cost, candidate.network)


def expected_cost(amount: int, cost_ppm: int, cost_fixed: int, success_ppm: int) -> int:
    """The cost of one approval in minor units, rounded up: each attempt costs, not each attempt succeeds."""
    return -(-(share(amount, cost_ppm) + cost_fixed) * MILLION // max(1, success_ppm))


@lru_cache(maxsize=1 << 12)
def merchant_number(prefix: str, merchant: str) -> str:
    """The merchant's number with a network (DE 42): its prefix, filled up with letters of a hash.

    Letters alone: digits behind a numeric prefix could be read as a card number.
    """
    value = int.from_bytes(sha256(merchant.encode()).digest()[:10], "big")
    letters = []
    for _ in range(MID_LENGTH):
        value, letter = divmod(value, 26)
        letters.append(_LETTERS[letter])
    return (prefix + "".join(letters))[:MID_LENGTH]


# --- reference data -------------------------------------------------------------------------------------


def _apply(state: State, body: ReferenceApplied) -> None:
    if body.kind not in ("bins", "network", "health"):
        return
    match decode_reference(body.kind, body.content):
        case BinTable() as table:
            state.bins = blocks_of(table.ranges)
        case NetworkProfile() as profile:
            state.networks[profile.network] = Network(
                list(profile.brands),
                list(profile.currencies),
                profile.cost_ppm,
                profile.cost_fixed,
                profile.success_ppm,
                profile.mid_prefix,
            )
        case NetworkHealth(healthy=True) as health:
            state.unfit.pop(health.network, None)
        case NetworkHealth() as health:
            state.unfit[health.network] = True
        case _:
            pass
