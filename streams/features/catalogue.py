"""The features of a payment: names, units, order, and how each is measured.

A vector in the log is a list of integers in the order of :data:`FEATURES`; :data:`FEATURE_SET` names that
order. A new feature goes to the end under a new set, so that recorded vectors keep their meaning. Sums are
per card *and* currency: minor units of two currencies do not add up.
"""

from typing import Final, NamedTuple

from events.calendar import DAY, HOUR, MINUTE
from streams.features.windows import Histories, History, count, count_in, remember, total_in

FEATURE_SET: Final = 1

TEN_MINUTES: Final = 10 * MINUTE
BASIS: Final = 100


class Feature(NamedTuple):
    """One entry of the vector. Windows end with the payment's own event time and include the payment."""

    name: str
    unit: str
    meaning: str


FEATURES: Final = (
    Feature("card_count_10m", "payments", "payments asked for with this card in 10 minutes"),
    Feature("card_sum_10m", "minor units", "their amounts, in this payment's currency"),
    Feature("card_count_1h", "payments", "payments asked for with this card in 1 hour"),
    Feature("card_sum_1h", "minor units", "their amounts, in this payment's currency"),
    Feature("card_count_24h", "payments", "payments asked for with this card in 24 hours"),
    Feature("card_sum_24h", "minor units", "their amounts, in this payment's currency"),
    Feature("card_merchant_count_24h", "payments", "payments with this card at this merchant in 24 hours"),
    Feature("amount", "minor units", "this payment's amount"),
    Feature("merchant_amount_percent", "percent", "the amount against the merchant's limit; 0 without one"),
)

INDEX: Final[dict[str, int]] = {feature.name: index for index, feature in enumerate(FEATURES)}


def remember_payment(
    histories: Histories, card_id: str, payment_id: str, at: int, merchant: str, amount: int, currency: str
) -> History:
    """Take a payment into its card's history, once."""
    return remember(histories, card_id, payment_id, at, ((currency, amount), ("@" + merchant, 0)))


def measure(
    history: History, at: int, merchant: str, amount: int, currency: str, max_amount: int
) -> list[int]:
    """The feature vector of a payment that the history already holds, at its event time ``at``."""
    return [
        count(history, at, TEN_MINUTES),
        total_in(history, currency, at, TEN_MINUTES),
        count(history, at, HOUR),
        total_in(history, currency, at, HOUR),
        count(history, at, DAY),
        total_in(history, currency, at, DAY),
        count_in(history, "@" + merchant, at, DAY),
        amount,
        amount * BASIS // max_amount if max_amount > 0 else 0,
    ]
