"""What counts as agreement, and when we begin to ask: the reference data ``reconciliation``, in force at ticks."""

import msgspec

from events.reference import ReconciliationTerms

SURE = 1_000_000
"""The confidence, in millionths, of a match in which both records say the very same."""


class Terms(msgspec.Struct):
    """The terms in force; the defaults hold until any are published.

    ``tolerance`` is in minor units by currency, 0 for one that is not there. All others are calendar days.
    """

    tolerance: dict[str, int] = {}
    match_days: int = 7
    invoice_days: int = 21
    answer_days: int = 5
    age_days: tuple[int, ...] = (14, 30, 60)
    memory_days: int = 60


def terms_of(published: ReconciliationTerms) -> Terms:
    """The terms as processors keep them."""
    return Terms(
        {entry.currency: entry.amount for entry in published.tolerances},
        published.match_days,
        published.invoice_days,
        published.answer_days,
        tuple(sorted(published.age_days)),
        published.memory_days,
    )


def differ(ours: int, theirs: int, tolerance: int) -> bool:
    """Whether two amounts are further apart than is tolerated."""
    return abs(ours - theirs) > tolerance


def confidence(difference: int, tolerance: int) -> int:
    """How sure a match within a tolerance is, in millionths: a half where the tolerance is used up."""
    if difference == 0:
        return SURE
    return SURE - SURE * abs(difference) // (2 * tolerance)
