"""What a network makes of a clearing record, simulated: whether it settles, in which cycle, what it costs, and whether
its issuer gives it back days later.

A function of (seed, record) and of what is planted. It prices from its own table with its own code, so reconciliation
compares two records that were made apart. Clearing house and bank each ask for themselves and are told the same.
"""

from typing import Final, NamedTuple

from events.calendar import day_of, iso_week
from events.clearing import ClearingRecordCreated, ClearingRejection, ClearingReturnReceived, RecordKind
from streams.edge.dice import MILLION, between, chance, weighted
from streams.edge.faults import FEE_WRONG_BY, NO_FAULTS, FaultKind, Plan, befalls
from streams.edge.issuers import DAYS_TO_RETURN, Planned, complaint, cycle_on


class Price(NamedTuple):
    """What carrying one record costs: a share in millionths and a fixed part in minor units."""

    rate_ppm: int
    fixed: int


class Tariff(NamedTuple):
    """A network's own price list: what the issuer keeps, and what is invoiced by the week."""

    interchange: Price
    scheme: tuple[Price, ...]


#: The networks' own figures. They are not read from our fee table on purpose: reconciliation compares two
#: records that were made apart, and a mistake in ours shows as a difference.
TARIFFS: Final[dict[str, Tariff]] = {
    "visa": Tariff(Price(15_100, 10), (Price(1_400, 2),)),
    "mastercard": Tariff(Price(15_800, 10), (Price(1_380, 2),)),
    "amex": Tariff(Price(19_000, 10), (Price(1_500, 0),)),
    "discover": Tariff(Price(15_600, 10), (Price(1_300, 2),)),
    "jcb": Tariff(Price(16_000, 10), (Price(1_400, 2),)),
    "unionpay": Tariff(Price(14_000, 10), (Price(1_200, 1),)),
    "star": Tariff(Price(8_000, 15), (Price(900, 2),)),
}

#: In millionths of records: refused at the first presentment and at the second.
REFUSED_FIRST: Final = 5_000
REFUSED_AGAIN: Final = 100_000
REFUSED_FOR_GOOD: Final = 400
#: In millionths of refunds: there is no card any more that could be credited.
REFUNDS_REFUSED: Final = 4_000
#: In millionths of first presentments that were accepted: given back by their issuers. Chosen, as all shares here.
RETURNED: Final = 1_500
#: Why, with how often: what may leave once more first.
_WHY_RETURNED: Final = (
    (ClearingRejection.INVALID_DATA, 600_000),
    (ClearingRejection.AUTHORIZATION_NOT_FOUND, 400_000),
)


class Presented(NamedTuple):
    """What a network makes of one record. ``presented`` and ``refunded`` exclude each other."""

    rejection: ClearingRejection
    cycle: str
    presented: int
    refunded: int
    interchange: int
    scheme_fee: int
    period: str
    #: Planted: nobody answers, or it is answered and settled twice.
    lost: bool = False
    twice: bool = False

    @property
    def accepted(self) -> bool:
        """Whether it settles."""
        return self.rejection is ClearingRejection.NONE


def priced(amount: int, price: Price) -> int:
    """A share of an amount, half to even, and the fixed part."""
    whole, millionths = divmod(amount * price.rate_ppm, MILLION)
    half = MILLION // 2
    up = millionths > half or (millionths == half and whole % 2 == 1)
    return whole + up + price.fixed


def present(
    seed: int, record: ClearingRecordCreated, recorded_at: int, faults: Plan = NO_FAULTS
) -> Presented:
    """What the network says to a clearing record that left at ``recorded_at``. The bank's settlement agrees."""
    if _befalls(seed, faults, FaultKind.RECORD_LOST, record):
        return Presented(ClearingRejection.NOT_RECEIVED, "", 0, 0, 0, 0, "", lost=True)
    rejection = _rejection(seed, record)
    if rejection is not ClearingRejection.NONE:
        return Presented(rejection, "", 0, 0, 0, 0, "")
    day_on = day_of(recorded_at)
    cycle = cycle_on(record.network, record.currency, day_on)
    tariff = TARIFFS[record.network]
    interchange = priced(record.amount, tariff.interchange)
    if record.kind is RecordKind.REFUND:
        return Presented(rejection, cycle, 0, record.amount, -interchange, 0, iso_week(day_on))
    scheme_fee = sum(priced(record.amount, price) for price in tariff.scheme)
    if _befalls(seed, faults, FaultKind.WRONG_FEE, record):
        interchange += FEE_WRONG_BY
    twice = _befalls(seed, faults, FaultKind.RECORD_TWICE, record)
    return Presented(
        rejection, cycle, record.amount, 0, interchange, scheme_fee, iso_week(day_on), twice=twice
    )


def returned(seed: int, record: ClearingRecordCreated, said: Presented, accepted_on: int) -> Planned | None:
    """The return of a record that the network accepted on a day; None for nearly all.

    It takes the money back in the cycle of the day on which it comes, and keeps nothing of it. What comes a second
    time stays, and so does what its cardholder disputes, and what the network itself has mixed up.
    """
    if record.kind is not RecordKind.PRESENTMENT or record.presentment > 1 or not said.accepted or said.twice:
        return None
    if chance(seed, "returned", record.record_id) >= RETURNED:
        return None
    if complaint(seed, record.network, record.source_id, record.amount) is not None:
        return None
    on = accepted_on + between(chance(seed, "returned after", record.record_id), *DAYS_TO_RETURN)
    back = ClearingReturnReceived(
        record.payment_id,
        record.network,
        record.record_id,
        weighted(chance(seed, "why returned", record.record_id), _WHY_RETURNED),
        cycle_on(record.network, record.currency, on),
        record.amount,
        record.currency,
        record.amount,
        record.currency,
        said.interchange,
    )
    return Planned(on, back)


def _befalls(seed: int, faults: Plan, kind: FaultKind, record: ClearingRecordCreated) -> bool:
    return bool(faults) and befalls(faults, kind, record, chance(seed, kind, record.record_id))


def _rejection(seed: int, record: ClearingRecordCreated) -> ClearingRejection:
    drawn = chance(seed, "clearing", record.source_id, record.presentment)
    if record.presentment > 1:
        refused = drawn < REFUSED_AGAIN
        return ClearingRejection.AUTHORIZATION_NOT_FOUND if refused else ClearingRejection.NONE
    if record.kind is RecordKind.REFUND and drawn >= MILLION - REFUNDS_REFUSED:
        return ClearingRejection.AUTHORIZATION_NOT_FOUND
    if drawn < REFUSED_FOR_GOOD:
        return ClearingRejection.DUPLICATE_PRESENTMENT
    return ClearingRejection.INVALID_DATA if drawn < REFUSED_FIRST else ClearingRejection.NONE
