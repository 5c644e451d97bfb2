"""What payments turned out to be, as far as decisions about later payments may know of it.

:class:`~events.disputes.FraudConfirmed` is what somebody says; here is what is counted of it. A label counts once
however often it is said, and one that does not stand is taken back. In the partition of its card it is known at once;
under the merchant, the address, the device and the e-mail address it has to be known in every partition from the same
tick on, so it goes by the log ``velocity``, as limits do, and comes back as a fact.
"""

from typing import ClassVar

from events.base import Event
from events.disputes import Label
from events.lifecycle import PAYMENT


class PaymentLabelled(Event, frozen=True):
    """From here on a payment counts as fraud under its card, or no longer does.

    ``number`` counts the labels of the payment from 1; ``replaced_at`` is since when the opposite was known (logical
    time, 0 where nothing was). ``paid_at`` is the event time of the payment. ``ordinary``: its amount was none that is
    unusual for its card. Keys are empty where it has none, or where no window reaches it any more.
    """

    KEY: ClassVar[tuple[str, ...]] = PAYMENT

    payment_id: str
    number: int
    label: Label
    merchant: str
    card_id: str
    ip_ref: str
    device_ref: str
    email_ref: str
    paid_at: int
    ordinary: bool
    replaced_at: int


class LabelSignalled(Event, frozen=True):
    """The label of a payment, on its way to every partition; ``known_at`` is since when its card's own knows it.

    The log ``velocity`` takes it in the partition of the merchant, and hands it on to all of ``payments``, where it
    waits for the tick that ends its interval. ``card_id`` came with version 2: it is empty in what was recorded before.
    """

    VERSION: ClassVar[int] = 2

    payment_id: str
    number: int
    label: Label
    merchant: str
    ip_ref: str
    device_ref: str
    email_ref: str
    paid_at: int
    ordinary: bool
    known_at: int
    replaced_at: int
    card_id: str = ""


class LabelApplied(Event, frozen=True):
    """From here on the label of a payment counts in this partition, under all that other cards share with it.

    ``card_id`` came with version 2: it is empty in what was recorded before.
    """

    VERSION: ClassVar[int] = 2

    payment_id: str
    number: int
    label: Label
    merchant: str
    ip_ref: str
    device_ref: str
    email_ref: str
    paid_at: int
    ordinary: bool
    known_at: int
    replaced_at: int
    card_id: str = ""
