"""The issuers, simulated: whose cardholder looks at the statement, and what comes of that.

What an issuer does about a capture is planned when the network accepts it, as a function of (seed, capture):
:func:`plan` says what will be said on which day. It knows no order of arrival and no partition.

How often: about 0.6 % of captures are disputed, which is between the one in a thousand of a quiet merchant and the
0.9 % at which networks begin to watch one; three of five disputes are of fraud, and most of those have an early
warning before them. The figures are chosen, not measured.
"""

from typing import Final

import msgspec

from events.clearing import ClearingRecordCreated
from events.disputes import FraudProgram, FraudReportReceived
from events.identity import operation_id
from streams.edge.dice import between, chance, weighted

#: Of captures, in millionths: reported as fraud, and after how many days.
WARNED: Final = 4_000
DAYS_TO_WARNING: Final = (1, 4)

_PROGRAMS: Final = {"visa": FraudProgram.TC40, "mastercard": FraudProgram.SAFE}
#: The networks' codes for kinds of fraud, with how often each is reported.
_FRAUD_TYPES: Final[dict[FraudProgram, tuple[tuple[str, int], ...]]] = {
    FraudProgram.TC40: (
        ("6", 800_000),  # fraudulent use of the account number
        ("B", 90_000),  # account or credentials taken over
        ("1", 60_000),  # stolen
        ("0", 30_000),  # lost
        ("4", 20_000),  # counterfeit
    ),
    FraudProgram.SAFE: (
        ("06", 800_000),  # card not present
        ("05", 90_000),  # account taken over
        ("01", 60_000),  # stolen
        ("00", 30_000),  # lost
        ("04", 20_000),  # counterfeit
    ),
    FraudProgram.OTHER: (("fraud", 1_000_000),),
}


class Planned(msgspec.Struct, frozen=True, gc=False):
    """What an issuer will say on a day (since 1970)."""

    on: int
    said: FraudReportReceived


def plan(seed: int, record: ClearingRecordCreated, accepted_on: int) -> list[Planned]:
    """What becomes of a capture whose record the network accepted on a day; nothing for nearly all."""
    capture = record.source_id
    if chance(seed, "warned", capture) >= WARNED:
        return []
    program = _PROGRAMS.get(record.network, FraudProgram.OTHER)
    report = FraudReportReceived(
        record.payment_id,
        record.network,
        operation_id("frd", record.network, capture),
        program,
        weighted(chance(seed, "fraud type", capture), _FRAUD_TYPES[program]),
        record.amount,
        record.currency,
    )
    return [Planned(accepted_on + between(chance(seed, "warned after", capture), *DAYS_TO_WARNING), report)]
