"""A log in memory, written by hand: the events that the engines would leave, without the engines.

``Story`` keeps sequences and partitions as an engine does; ``sale`` is one payment from request to payout's eve.
"""

from collections.abc import Sequence

from events.accounts import bank_account
from events.authorization import (
    AuthorizationSubmitted,
    DeclineReason,
    MessageKind,
    NetworkReplyReceived,
    PaymentAuthorized,
    PaymentDeclined,
    RetryAdvice,
)
from events.base import Event
from events.calendar import DAY, HOUR, day_number, start_of
from events.clearing import (
    ClearingCycleTotalled,
    ClearingRecordAccepted,
    ClearingRecordAnswered,
    ClearingRecordCreated,
    ClearingRejection,
    RecordKind,
)
from events.envelope import Meta, Recorded, Source, Versions
from events.fees import InterchangeAssessed, ProcessingFeeCharged, SchemeFeeAssessed
from events.identity import (
    card_id,
    operation_id,
    partition_of_name,
    partition_of_slot,
    payment_id,
    rrn,
    slot_of_payment,
)
from events.intake import RequestAccepted, RequestReceived
from events.lifecycle import PaymentCaptured, PaymentRequested
from events.partitions import TickPassed
from events.reconciliation import BankLineRecorded, PayoutPaid
from events.requests import CaptureMode, Channel, Operation, PaymentRequest
from events.risk import RiskAssessed, Verdict
from events.routing import RouteCandidate, RouteReason, RouteSelected
from events.settlement import (
    Entry,
    EntryCause,
    FundsMadeAvailable,
    MerchantEntryReceived,
    PayoutInitiated,
)
from events.signals import IdentitySignals
from events.wire import encode_event
from streams.hosts.log import Append
from streams.hosts.memory import MemoryLog

MORNING = start_of(day_number(2026, 3, 2)) + 9 * HOUR
DAY_ON = day_number(2026, 3, 2)
FEE = 30


class Story:
    """Appends events to the logs of a deployment of ``partitions`` partitions."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.log = MemoryLog()
        self.now = MORNING
        self.recorded: list[tuple[str, int, Recorded]] = []
        self._sequences: dict[tuple[str, str], int] = {}
        self._submitted: dict[str, str] = {}
        self._appends: list[Append] = []

    def tell(
        self,
        topic: str,
        partition: int,
        body: Event,
        *,
        cause: str = "",
        correlation: str = "",
        sender: str = "",
        simulated: bool = True,
    ) -> str:
        """Record one event; its id. ``sender`` makes it an input."""
        key = "/".join(_field(body, name) for name in body.KEY) or f"{topic}-{partition}"
        sequence = self._sequences.get((topic, key), 0) + 1
        self._sequences[(topic, key)] = sequence
        source = Source(f"{topic}.inbox", partition, sequence, sender) if sender else None
        meta = Meta(
            key,
            sequence,
            self.now,
            self.now,
            self.now,
            cause,
            correlation,
            source,
            Versions(rules=1),
            simulated,
        )
        self.tell_recorded(topic, partition, Recorded(meta, body))
        return meta.event_id

    def tell_recorded(self, topic: str, partition: int, recorded: Recorded) -> None:
        self.recorded.append((topic, partition, recorded))
        self._appends.append(Append(topic, partition, self.now, encode_event(recorded)))

    def in_payments(self, payment: str, bodies: Sequence[Event], cause: str = "") -> str:
        """A chain of decisions about one payment, each the cause of the next."""
        partition = partition_of_slot(slot_of_payment(payment), self.partitions)
        for body in bodies:
            cause = self.tell("payments", partition, body, cause=cause)
        return cause

    def in_settlement(self, merchant: str, body: Event, *, sender: str = "") -> str:
        return self.tell("settlement", partition_of_name(merchant, self.partitions), body, sender=sender)

    def in_reconciliation(self, account: str, body: Event, *, sender: str = "") -> str:
        return self.tell("reconciliation", partition_of_name(account, self.partitions), body, sender=sender)

    def written(self) -> MemoryLog:
        """The log, with everything told so far committed."""
        self.log.commit("story", self._appends, {})
        self._appends = []
        return self.log

    # -- whole lives ---------------------------------------------------------------------------------

    def request(
        self,
        number: int,
        merchant: str = "shop-1",
        amount: int = 1_999,
        currency: str = "EUR",
        signals: IdentitySignals | None = None,
    ) -> str:
        """A payment is asked for and assessed; its id."""
        key = f"order-{number}"
        card = card_id(number * 37 % 1024, number.to_bytes(10, "big"))
        payment = payment_id(merchant, key, card)
        request = PaymentRequest(
            merchant, key, card, "41111111", "1111", amount, currency, Channel.ECOMMERCE, CaptureMode.AUTOMATIC,
            "", "", "", self.now, "till-7", True, "", signals,
        )  # fmt: skip
        home = partition_of_name(f"{merchant}/{key}", self.partitions)
        self.tell("intake", home, RequestReceived(request, "mac"), sender=f"requests/{home}")
        accepted = RequestAccepted(merchant, key, Operation.PAYMENT, payment, "mac")
        cause = self.tell("intake", home, accepted, cause=f"{merchant}/{key}.1")
        asked = PaymentRequested(
            payment, merchant, key, card, "41111111", "1111", amount, currency, Channel.ECOMMERCE,
            CaptureMode.AUTOMATIC, "", "", "", "", signals,
        )  # fmt: skip
        partition = partition_of_slot(slot_of_payment(payment), self.partitions)
        cause = self.tell(
            "payments",
            partition,
            asked,
            cause=cause,
            correlation=f"{merchant}/{key}",
            sender=f"intake/{home}",
        )
        submitted = AuthorizationSubmitted(
            payment, merchant, "visa", "mid-1", 1, "0100", "000123", rrn(payment), card, "41111111", amount,
            currency, "5411", 8_000,
        )  # fmt: skip
        candidate = RouteCandidate("visa", 12, 990_000, True)
        self._submitted[payment] = self.in_payments(
            payment,
            [
                RiskAssessed(payment, merchant, Verdict.ALLOW, 7, ["night"], 1, [1, 2, 3]),
                RouteSelected(payment, 1, "visa", "visa", "mid-1", RouteReason.ONLY, [candidate]),
                submitted,
            ],
            cause,
        )
        return payment

    def answer(self, payment: str, amount: int, currency: str = "EUR", code: str = "00") -> str:
        """The network answers the first attempt; the id of the recorded answer."""
        reply = NetworkReplyReceived(
            payment, "visa", MessageKind.AUTHORIZATION, 1, False, "0110", "000123", rrn(payment), code,
            amount if code == "00" else 0, currency, "A12345", "Y", "M", "txn-1", b"", b"",
        )  # fmt: skip
        partition = partition_of_slot(slot_of_payment(payment), self.partitions)
        cause = self._submitted[payment]
        return self.tell("payments", partition, reply, cause=cause, sender=f"adapter/{partition}")

    def decline(
        self, payment: str, merchant: str = "shop-1", amount: int = 1_999, currency: str = "EUR"
    ) -> None:
        cause = self.answer(payment, amount, currency, "51")
        declined = PaymentDeclined(
            payment,
            merchant,
            amount,
            currency,
            "visa",
            "51",
            DeclineReason.INSUFFICIENT_FUNDS,
            RetryAdvice.LATER,
        )
        self.in_payments(payment, [declined], cause)

    def authorize(
        self, payment: str, merchant: str = "shop-1", amount: int = 1_999, currency: str = "EUR"
    ) -> str:
        cause = self.answer(payment, amount, currency)
        authorized = PaymentAuthorized(
            payment, merchant, "visa", 1, amount, amount, currency, "00", "A12345", "Y", "M", "txn-1",
            self.now + 7 * DAY,
        )  # fmt: skip
        return self.in_payments(payment, [authorized], cause)

    def capture(
        self,
        payment: str,
        merchant: str = "shop-1",
        amount: int = 1_999,
        currency: str = "EUR",
        cause: str = "",
    ) -> str:
        """Captured, presented, charged and accepted; the capture's id."""
        capture = operation_id("cap", merchant, payment)
        record, batch, cycle = f"clr-{payment[9:]}", "visa-1", f"visa-{currency}-2026-03-02"
        captured = PaymentCaptured(payment, merchant, "visa", capture, amount, currency, amount, True)
        created = ClearingRecordCreated(
            payment, merchant, "visa", record, RecordKind.PRESENTMENT, capture, "7" * 23, 1, amount, currency, batch
        )  # fmt: skip
        presented = self.in_payments(payment, [captured, created], cause)
        self.in_payments(
            payment, [ProcessingFeeCharged(payment, merchant, capture, FEE, currency, 1)], presented
        )
        partition = partition_of_slot(slot_of_payment(payment), self.partitions)
        answered = ClearingRecordAnswered(
            payment,
            "visa",
            record,
            True,
            ClearingRejection.NONE,
            cycle,
            amount,
            currency,
            amount,
            currency,
            10,
        )
        cause = self.tell("payments", partition, answered, cause=presented, sender="network/0")
        self.in_payments(
            payment,
            [
                ClearingRecordAccepted(
                    payment, merchant, "visa", record, capture, amount, currency, amount, currency, cycle
                ),
                InterchangeAssessed(payment, "visa", record, "standard", 3_000, 0, 10, currency, cycle, 1),
                SchemeFeeAssessed(payment, "visa", record, "assessment", 2, currency, "2026-W10", 1),
            ],
            cause,
        )
        for item, reason, value in (
            (capture, EntryCause.CAPTURE, amount),
            (f"fee:{capture}", EntryCause.PROCESSING_FEE, -FEE),
        ):
            entry = MerchantEntryReceived(merchant, currency, item, payment, reason, value, 0)
            self.in_settlement(merchant, entry, sender=f"payments/{partition}")
        return capture

    def sale(self, number: int, merchant: str = "shop-1", amount: int = 1_999, currency: str = "EUR") -> str:
        """Asked, authorized, captured, accepted; the capture's id."""
        payment = self.request(number, merchant, amount, currency)
        return self.capture(
            payment, merchant, amount, currency, self.authorize(payment, merchant, amount, currency)
        )

    def settle(
        self, captures: dict[str, int], merchant: str = "shop-1", currency: str = "EUR", payout: str = "po-1"
    ) -> int:
        """Make captures and their fees available and send it all to the bank; the amount."""
        entries = [
            entry
            for capture, amount in captures.items()
            for entry in (Entry(capture, amount), Entry(f"fee:{capture}", -FEE))
        ]
        total = sum(entry.amount for entry in entries)
        self.in_settlement(merchant, FundsMadeAvailable(merchant, currency, "b-1", 1, 1, entries, total))
        initiated = PayoutInitiated(payout, merchant, currency, total, bank_account(currency), 1, DAY_ON + 1)
        self.in_settlement(merchant, initiated)
        return total

    def bank_pays(
        self,
        amount: int,
        merchant: str = "shop-1",
        currency: str = "EUR",
        payout: str = "po-1",
        line: int = 1,
    ) -> None:
        """The payout shows on the bank statement."""
        account = bank_account(currency)
        statement = f"{account}-2026-03-03"
        booked = BankLineRecorded(account, statement, line, -amount, currency, DAY_ON + 1, f"PAYOUT {payout}")
        self.in_reconciliation(account, booked, sender="bank/0")
        self.in_reconciliation(
            account, PayoutPaid(payout, merchant, account, statement, line, currency, amount)
        )

    def cycle_total(self, partition: int, amount: int, currency: str = "EUR") -> None:
        """A partition's part of a cycle, as the payments log decides it and the reconciliation log takes it."""
        account = bank_account(currency)
        total = ClearingCycleTotalled(
            "visa", currency, f"visa-{currency}-2026-03-02", account, 1, amount, 0, 10, amount - 10
        )
        self.tell("payments", partition, total)
        self.in_reconciliation(account, total, sender=f"payments/{partition}")

    def tick(self, number: int) -> None:
        """Every engine passes a tick; an hour has gone by."""
        self.now += HOUR
        for topic in ("intake", "payments", "velocity", "settlement", "reconciliation"):
            for partition in range(self.partitions):
                self.tell(topic, partition, TickPassed(number, self.now, 1))


def _field(body: Event, name: str) -> str:
    value: object = body
    for part in name.split("."):
        value = getattr(value, part)
    assert isinstance(value, str)
    return value
