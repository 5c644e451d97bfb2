"""What merchants choose for themselves, within their contract: on which days they are paid, and from which balance on.

A choice is for one currency, or for every one without a choice of its own. It holds as long as the contract leaves the
schedule to the merchant: where the terms say otherwise, they hold, and the choice waits for better ones.
"""

import msgspec

from events.base import Event
from events.reference import SettlementTerms
from events.requests import PayoutSchedule
from events.settlement import (
    MerchantSettingsChanged,
    MerchantSettingsRejected,
    MerchantSettingsRequested,
    SettingsRejection,
)


class Choice(msgspec.Struct, frozen=True, gc=False):
    """A schedule with its day, and the least balance (minor units) that is paid out."""

    schedule: PayoutSchedule
    anchor: int
    minimum_payout: int


class Wish(msgspec.Struct, frozen=True, gc=False):
    """Settings that were asked for, until the tick that decides them."""

    wanted: MerchantSettingsRequested
    causation_id: str
    occurred_at: int


def in_force(terms: SettlementTerms, choice: Choice | None) -> SettlementTerms:
    """The terms by which a merchant is settled: its contract's, with what it chose."""
    if choice is None or choice.schedule not in terms.choices:
        return terms
    return msgspec.structs.replace(
        terms, schedule=choice.schedule, anchor=choice.anchor, minimum_payout=choice.minimum_payout
    )


def decided(
    wanted: MerchantSettingsRequested, contract: SettlementTerms, now: SettlementTerms
) -> list[Event]:
    """What becomes of a wish: ``contract`` is what the merchant may choose by, ``now`` how it is settled."""
    merchant, key, currency = wanted.merchant, wanted.idempotency_key, wanted.currency
    before = (now.schedule, now.anchor, now.minimum_payout)
    after = (wanted.schedule, wanted.anchor, wanted.minimum_payout)
    reason = None
    if wanted.schedule not in contract.choices:
        reason = SettingsRejection.NOT_ALLOWED
    elif before == after:
        reason = SettingsRejection.UNCHANGED
    if reason is not None:
        return [MerchantSettingsRejected(merchant, key, currency, *after, reason)]
    return [MerchantSettingsChanged(merchant, key, currency, *after, *before)]
