"""Exposure: how near merchants are to the networks' programmes against disputes, and the alert before they get there.

Each partition of payments tells once a day what it has counted of a merchant (:mod:`streams.disputes`). Here, in the
partition of the merchant, it is added up, and at the tick that follows the merchant is held against every programme
that applies to the month: by what was counted, and by what is expected until the month ends
(:mod:`streams.features.exposure`). Each level of a programme is announced once a month.

A merchant's days are kept for as long as they are asked for, and its alerts with them.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from events.base import Event
from events.calendar import day_of
from events.envelope import Recorded
from events.exposure import DisputeAlertLevel, DisputeAlertRaised, MerchantDisputesTallied
from events.partitions import ReferenceApplied
from events.reference import DisputeProgramme, DisputeProgrammes, decode_reference
from streams.features import exposure
from streams.features.days import Day as Told
from streams.features.days import before, forget, put_aside
from streams.features.exposure import Day
from streams.processor import DEADLINES, NOTICES, Work

NAME: Final = "exposure"
HEARS: Final[tuple[type[Event], ...]] = (MerchantDisputesTallied, DisputeAlertRaised, ReferenceApplied)
DECIDES: Final[tuple[type[Event], ...]] = ()

JUDGE: Final = "judge"
FORGET: Final = "forget_merchants"
_SEVERITY: Final = {level: place for place, level in enumerate(DisputeAlertLevel)}


class Raised(msgspec.Struct, frozen=True, gc=False):
    """The worst that was said of a programme in a month."""

    month_on: int
    level: DisputeAlertLevel


class Merchant(msgspec.Struct):
    """A merchant at a network: its days by currency, and what was said by programme and currency."""

    days: dict[str, list[Day]] = {}
    raised: dict[str, Raised] = {}
    newest_on: int = 0


class State(msgspec.Struct):
    """The programmes in force; merchants by name and network, those with news, and all by the days of their news."""

    programmes: DisputeProgrammes | None = None
    merchants: dict[str, Merchant] = {}
    news: dict[str, bool] = {}
    days: list[Told] = []


def initial() -> State:
    """No programme, and nothing to hold against one."""
    return State()


def decide(state: State, recorded: Recorded) -> list[Event]:
    """Nothing is decided before the tick."""
    return []


def due(state: State, now: int) -> list[Work]:
    """Merchants of whom something was told since the last tick; those of whom nothing is asked any more."""
    works = [Work(NOTICES, JUDGE, key) for key in state.news]
    oldest = day_of(now) - exposure.KEPT_DAYS
    works += [Work(DEADLINES, FORGET, f"{day_on:08d}") for day_on in before(state.days, oldest)]
    return works


def fire(state: State, work: Work, now: int) -> list[Event]:
    """Hold one merchant against the programmes of a network, or forget what was told on one day."""
    if work.kind == FORGET:
        oldest = int(work.key)
        for key in forget(state.days, oldest):
            if key in state.merchants and state.merchants[key].newest_on <= oldest:
                del state.merchants[key]
        return []
    del state.news[work.key]
    return list(_alerts(state, work.key))


def _alerts(state: State, key: str) -> Iterator[DisputeAlertRaised]:
    if state.programmes is None:
        return
    merchant, network = key.split(exposure.SEPARATOR)
    found = state.merchants[key]
    today = found.newest_on
    month_on = exposure.month_of(today)
    for programme in exposure.in_force(state.programmes.programmes, network, month_on):
        for currency, held in _held(programme, found):
            standing = exposure.standing(programme, state.programmes.delays, held, today)
            level = exposure.level(standing, state.programmes.alert_percent)
            said = found.raised.get(f"{programme.programme} {currency}")
            worst = said.level if said is not None and said.month_on == month_on else None
            if level is None or (worst is not None and _SEVERITY[level] <= _SEVERITY[worst]):
                continue
            yield DisputeAlertRaised(
                merchant,
                network,
                programme.programme,
                currency,
                month_on,
                today,
                level,
                standing.counted,
                standing.base,
                standing.expected,
                standing.expected_base,
                standing.least,
                standing.least_bps,
            )


def _held(programme: DisputeProgramme, found: Merchant) -> Iterator[tuple[str, list[Day]]]:
    """What a programme looks at: each of its currencies where it goes by amount, else all of them together."""
    if programme.least_amount:
        yield from (
            (currency, found.days[currency]) for currency in programme.currencies if currency in found.days
        )
    else:
        yield "", [day for currency in sorted(found.days) for day in found.days[currency]]


def evolve(state: State, recorded: Recorded) -> State:
    """Add up what partitions tell; remember what was said; put programmes into force."""
    match recorded.body:
        case MerchantDisputesTallied() as body:
            key = f"{body.merchant}{exposure.SEPARATOR}{body.network}"
            merchant = state.merchants.setdefault(key, Merchant())
            kept = merchant.days.setdefault(body.currency, [])
            exposure.add(kept, body)
            merchant.newest_on = max(merchant.newest_on, body.day_on)
            exposure.forget(kept, merchant.newest_on)
            if key not in state.news:
                state.news[key] = True
                put_aside(state.days, day_of(recorded.meta.recorded_at), key)
        case DisputeAlertRaised() as body:
            merchant = state.merchants[f"{body.merchant}{exposure.SEPARATOR}{body.network}"]
            merchant.raised[f"{body.programme} {body.currency}"] = Raised(body.month_on, body.level)
        case ReferenceApplied(kind="programmes") as body:
            programmes = decode_reference(body.kind, body.content)
            assert isinstance(programmes, DisputeProgrammes)
            state.programmes = programmes
        case _:
            pass
    return state


def summary(state: State) -> Iterator[str]:
    """Each merchant's days, and what was said of it."""
    for key in sorted(state.merchants):
        found = state.merchants[key]
        merchant, network = key.split(exposure.SEPARATOR)
        for currency in sorted(found.days):
            for day in found.days[currency]:
                figures = " ".join(map(str, msgspec.structs.astuple(day)))
                yield f"exposure {merchant} {network} {currency} {figures}"
        for name in sorted(found.raised):
            raised = found.raised[name]
            yield f"alert {merchant} {network} {name} {raised.level} in {raised.month_on}"
