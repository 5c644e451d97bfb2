"""Identity: what a provider said of those who pay, as it was recorded, and how it answered."""

from typing import Final

from events.lifecycle import PaymentRequested
from events.signals import IdentitySignals
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "identity"
VERSION: Final = 1

SIGNALS: Final = Table(
    "payment_signals",
    "What an identity provider said of one payment's buyer. Payments without signals have no row.",
    (
        Column("payment_id", "TEXT", "the payment"),
        Column("merchant", "TEXT", "merchant id"),
        Column("card_id", "TEXT", "the vault's name for its card"),
        Column("provider", "TEXT", "who says so; a simulated one is called that"),
        Column("answer", "TEXT", "given, never_seen, late or garbled"),
        Column("country", "TEXT", "where the internet address is, ISO 3166-1; empty where not known"),
        Column("latitude", "BIGINT", "hundredths of a degree north; a place where accuracy_km is not -1"),
        Column("longitude", "BIGINT", "hundredths of a degree east"),
        Column("accuracy_km", "BIGINT", "how exact the place is; -1 where there is none"),
        Column(
            "connection", "TEXT", "what the address belongs to: consumer, organization, hosting, proxy, tor"
        ),
        Column("ip_risk", "BIGINT", "0 good to 100; -1 is not known"),
        Column(
            "email_age_days", "BIGINT", "since the e-mail address was first seen anywhere; -1 is not known"
        ),
        Column("email_risk", "BIGINT", "0 good to 100; -1 is not known"),
        Column("email_disposable", "TEXT", "yes or no; empty where not known"),
        Column("phone_risk", "BIGINT", "0 good to 100; -1 is not known"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=(
        "payment_id",
        "merchant",
        "card_id",
        "provider",
        "answer",
        "country",
        "latitude",
        "longitude",
        "accuracy_km",
        "connection",
        "ip_risk",
        "email_age_days",
        "email_risk",
        "email_disposable",
        "phone_risk",
    ),
)
TABLES: Final = (SIGNALS,)

VIEWS: Final = (
    View(
        "identity_answers",
        "How each identity provider answered: for how many payments, and until when.",
        """
        SELECT provider, answer, count(*) AS payments, min(recorded_at) AS first_at, max(recorded_at) AS last_at
        FROM payment_signals GROUP BY provider, answer
        """,
    ),
)

#: What is taken as it was said.
_SAID: Final = tuple(name for name in IdentitySignals.__struct_fields__ if name != "email_disposable")
_DISPOSABLE: Final = {True: "yes", False: "no", None: ""}


def apply(batch: Batch) -> list[Rows]:
    """One row a payment that came with signals."""
    rows, events = Rows.of(SIGNALS), batch.of(PaymentRequested)
    told = zip(events.bodies, events.recorded_at, events.event_ids, strict=True)
    found = [(body, body.signals, at, name) for body, at, name in told if body.signals is not None]
    rows.add(
        len(found),
        payment_id=[body.payment_id for body, _, _, _ in found],
        merchant=[body.merchant for body, _, _, _ in found],
        card_id=[body.card_id for body, _, _, _ in found],
        **{field: [getattr(said, field) for _, said, _, _ in found] for field in _SAID},
        email_disposable=[_DISPOSABLE[said.email_disposable] for _, said, _, _ in found],
        recorded_at=[at for _, _, at, _ in found],
        event_id=[name for _, _, _, name in found],
    )
    return [rows]
