"""An auditor that shares no code with what it audits.

It reads the bytes of a log with fastavro and the published schemas, keeps books of its own from a table of postings of
its own, and says what does not hold. It imports nothing of ours, so a mistake of ours cannot be its mistake too::

    python -m tests.simulation.auditor var/tallystick.db
    python -m tests.simulation.auditor kafka://127.0.0.1:9092/tallystick

prints each finding on a line and ends with exit code 1 when there is one. ``--open`` audits a log whose run has not
ended: nothing is yet held against it for being on its way.

Given a whole log it follows the money from the request to the bank: every record of an input is in the log that takes
it, once and unchanged; every event has a cause and a place in its stream; every posting sums to zero; nothing is
captured that was not authorized or refunded that was not captured; a duplicate does nothing; every clearing record is
in one file that its network took, and each file is, byte for byte, what its records make of it; the bank account is
what the bank's own statements say; and in the end every item on a clearing account is closed.
"""

import hashlib
import io
import json
import math
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

from tests.simulation.auditor_learning import Relearning
from tests.simulation.auditor_lists import Lists
from tests.simulation.auditor_reviews import Reviews

SCHEMAS = Path(__file__).parents[2] / "schemas"
#: The topics of the embedded log in the order of their numbers, from 1.
TOPICS = (
    "payments.requests",
    "intake.inbox",
    "intake",
    "payments.inbox",
    "payments",
    "network.replies",
    "network.notices",
    "settlement.inbox",
    "settlement",
    "reconciliation.inbox",
    "reconciliation",
    "bank.statements",
    "reference",
    "dead-letters",
    "risk.signals",
    "velocity",
    "risk.hotlist",
)
#: The logs, and the topics that each of them takes whole. Partition p takes partition p, and all of "reference".
INPUTS = {
    "intake": ("reference", "intake.inbox", "payments.requests"),
    "payments": ("reference", "network.replies", "network.notices", "risk.hotlist", "payments.inbox"),
    "velocity": ("reference", "risk.signals"),
    "settlement": ("reference", "settlement.inbox"),
    "reconciliation": ("reference", "reconciliation.inbox", "bank.statements"),
}
LOGS = tuple(INPUTS)
MOST_FINDINGS = 50

Record = tuple[str, int, int, bytes]
Body = dict[str, Any]
Leg = tuple[str, str, int]

#: Accounts whose every item is back at zero when all is over.
CLEARING = frozenset({"AR", "AH", "NU", "NR", "DR", "DH", "RT", "MP", "PT", "SP", "SU"})


# --- postings, written down a second time ---------------------------------------------------------------


def _released(body: Body) -> list[Leg]:
    held = body["hold_released"]
    return [("AH", body["payment_id"], held), ("AR", body["payment_id"], -held)]


def _captured(body: Body) -> list[Leg]:
    amount, item = body["amount"], body["capture_id"]
    return [*_released(body), ("NU", item, amount), ("MP", item, -amount)]


def _entries(body: Body) -> list[Leg]:
    legs = [("MP", entry["item"], entry["amount"]) for entry in body["entries"]]
    return [*legs, ("MA", body["merchant"], -body["amount"])]


def _written_off(body: Body) -> list[Leg]:
    amount, capture = body["amount"], body["capture_id"]
    bearer = ("MP", f"loss:{capture}", amount) if body["borne_by"] == "merchant" else ("LO", capture, amount)
    return [bearer, ("NU", capture, -amount)]


def _moved(debit: str, debit_item: str, credit: str, credit_item: str) -> Callable[[Body], list[Leg]]:
    """The amount goes from one account to another; items are formats over the body."""
    return lambda body: [
        (debit, debit_item.format(**body), body["amount"]),
        (credit, credit_item.format(**body), -body["amount"]),
    ]


POSTINGS: dict[str, Callable[[Body], list[Leg]]] = {
    "PaymentAuthorized": lambda body: [
        ("AR", body["payment_id"], body["approved_amount"]),
        ("AH", body["payment_id"], -body["approved_amount"]),
    ],
    "AuthorizationIncremented": lambda body: [
        ("AR", body["payment_id"], body["amount"]),
        ("AH", body["payment_id"], -body["amount"]),
    ],
    "AuthorizationRemainderReleased": _released,
    "PaymentCaptured": _captured,
    "CaptureVoided": _moved("MP", "void:{capture_id}", "NU", "{capture_id}"),
    "PaymentVoided": _released,
    "AuthorizationExpired": _released,
    "AuthorizationReversed": _released,
    "ClearingRecordAccepted": _moved("NR", "{cycle}", "NU", "{capture_id}"),
    "ClearingRecordReturned": _moved("NU", "{capture_id}", "NR", "{cycle}"),
    "CaptureWrittenOff": _written_off,
    "RefundApproved": _moved("MP", "{refund_id}", "RT", "{refund_id}"),
    "RefundCleared": _moved("RT", "{refund_id}", "NR", "{cycle}"),
    "RefundFailed": _moved("RT", "{refund_id}", "MP", "failed:{refund_id}"),
    "InterchangeAssessed": _moved("IX", "", "NR", "{cycle}"),
    "InterchangeReturned": _moved("NR", "{cycle}", "IX", ""),
    "SchemeFeeAssessed": _moved("SF", "", "SP", "{network}-{currency}-{period}"),
    "ProcessingFeeCharged": _moved("MP", "fee:{capture_id}", "PF", ""),
    "DisputeFundsWithdrawn": _moved("DR", "{case_id}", "NR", "{cycle}"),
    "DisputeFundsReturned": _moved("NR", "{cycle}", "DR", "{case_id}"),
    "DisputeMerchantDebited": _moved("MP", "dispute:{case_id}", "DH", "{case_id}"),
    "DisputeWon": _moved("DH", "{case_id}", "MP", "won:{case_id}"),
    "DisputeLost": _moved("DH", "{case_id}", "DR", "{case_id}"),
    "DisputeFeeCharged": _moved("MP", "dispute_fee:{case_id}", "DF", ""),
    "FundsMadeAvailable": _entries,
    "MerchantBalanceAdjusted": _moved("MP", "{item}", "MA", "{merchant}"),
    "PayoutInitiated": _moved("MA", "{merchant}", "PT", "{payout_id}"),
    "PayoutReturnCredited": _moved("PT", "{payout_id}", "MA", "{merchant}"),
    "PayoutFailed": _moved("PT", "{payout_id}", "MA", "{merchant}"),
    "MerchantDebitApplied": _moved("PT", "{debit_id}", "MR", "{merchant}"),
    "MerchantDebitReturned": _moved("MR", "{merchant}", "PT", "{debit_id}"),
    "MerchantDebited": _moved("SU", "{statement_id}/{line}", "PT", "{debit_id}"),
    "MerchantDebitReversed": _moved("PT", "{debit_id}", "SU", "{statement_id}/{line}"),
    "ReserveWithheld": _moved("MA", "{merchant}", "RS", "{merchant}"),
    "ReserveReleased": _moved("RS", "{merchant}", "MA", "{merchant}"),
    "SettlementHoldPlaced": _moved("MA", "{merchant}", "HD", "{merchant}"),
    "SettlementHoldReleased": _moved("HD", "{merchant}", "MA", "{merchant}"),
    "MerchantReceivableRaised": _moved("MR", "{merchant}", "MA", "{merchant}"),
    "MerchantReceivableOffset": _moved("MA", "{merchant}", "MR", "{merchant}"),
    "MerchantLossWrittenOff": _moved("LO", "", "MR", "{merchant}"),
    "BankLineRecorded": _moved("BK", "{account}", "SU", "{statement_id}/{line}"),
    "NetworkSettlementReceived": _moved("SU", "{statement_id}/{line}", "NR", "{cycle}"),
    "SchemeInvoicePaid": _moved("SP", "{network}-{currency}-{period}", "SU", "{statement_id}/{line}"),
    "PayoutPaid": _moved("PT", "{payout_id}", "SU", "{statement_id}/{line}"),
    "PayoutReturned": _moved("SU", "{statement_id}/{line}", "PT", "{payout_id}"),
    "FeeCorrected": _moved("IX", "", "NR", "{cycle}"),
    "SettlementDifferenceWrittenOff": _moved("LO", "", "NR", "{cycle}"),
    "SchemeInvoiceAdjusted": _moved("SF", "", "SP", "{network}-{currency}-{period}"),
    "PayoutDifferenceWrittenOff": _moved("LO", "", "PT", "{payout_id}"),
    "SuspenseWrittenOff": _moved("SU", "{statement_id}/{line}", "LO", ""),
    "SuspenseOffset": _moved("SU", "{statement_id}/{line}", "SU", "{by_statement_id}/{by_line}"),
}

#: Whose money it is: no event of another log may post to an account of these.
OWNERS = {
    "payments": frozenset({"AR", "AH", "NU", "NR", "DR", "DH", "RT", "MP", "SP"}),
    "settlement": frozenset({"MP", "MA", "RS", "HD", "MR", "PT"}),
    "reconciliation": frozenset({"BK", "SU", "NR", "SP", "PT"}),
}
EVERYBODYS = frozenset({"IX", "SF", "PF", "DF", "LO"})

#: What may happen once to each: an event, and the fields that name what it happens to.
ONCE = {
    "PaymentRequested": ("payment_id",),
    "CaptureRequested": ("capture_id",),
    "RefundRequested": ("refund_id",),
    "RiskAssessed": ("payment_id", "phase"),
    "ReviewOpened": ("payment_id",),
    "ReviewDecided": ("payment_id", "decision"),
    "ReviewClosed": ("payment_id",),
    "RequestAccepted": ("merchant", "idempotency_key"),
    "AuthorizationSubmitted": ("payment_id", "attempt"),
    "ReversalSubmitted": ("payment_id", "attempt"),
    "IncrementRequested": ("increment_id",),
    "IncrementAdmitted": ("increment_id",),
    "IncrementSubmitted": ("payment_id", "attempt"),
    "AuthorizationIncremented": ("increment_id",),
    "IncrementDeclined": ("increment_id",),
    "AmountConflictDetected": ("payment_id", "kind", "attempt"),
    "AuthorizationRemainderReleased": ("payment_id",),
    "PaymentAuthorized": ("payment_id",),
    "PaymentDeclined": ("payment_id",),
    "PaymentVoided": ("payment_id",),
    "AuthorizationExpired": ("payment_id",),
    "AuthorizationReversed": ("payment_id", "reason", "attempt"),
    "LateApprovalReceived": ("payment_id", "kind", "attempt"),
    "PaymentCaptured": ("capture_id",),
    "CaptureVoided": ("capture_id",),
    "CaptureWrittenOff": ("capture_id",),
    "ClearingRecordCreated": ("record_id",),
    "ClearingRecordAccepted": ("record_id",),
    "ClearingRecordReturned": ("record_id",),
    "RefundCleared": ("record_id",),
    "RefundApproved": ("refund_id",),
    "RefundFailed": ("refund_id",),
    "InterchangeAssessed": ("record_id",),
    "InterchangeReturned": ("record_id",),
    "SchemeFeeAssessed": ("record_id", "fee_id"),
    "ProcessingFeeCharged": ("capture_id",),
    "EarlyFraudWarningReceived": ("payment_id", "report_id"),
    "FraudConfirmed": ("payment_id", "source", "label", "reference"),
    "PaymentLabelled": ("payment_id", "number"),
    "DisputeInquiryOpened": ("case_id",),
    "DisputeInquiryClosed": ("case_id",),
    "DisputeOpened": ("case_id",),
    "DisputeMerchantDebited": ("case_id",),
    "DisputeEvidenceSubmitted": ("case_id", "stage"),
    "DisputeEscalated": ("case_id", "stage"),
    "DisputeWon": ("case_id",),
    "DisputeLost": ("case_id",),
    "DisputeFeeCharged": ("case_id",),
    "MerchantEntryReceived": ("merchant", "currency", "item"),
    "MerchantBalanceAdjusted": ("merchant", "currency", "item"),
    "SettlementBatchClosed": ("merchant", "currency", "batch_id"),
    "ReserveWithheld": ("merchant", "currency", "reserve_id"),
    "PayoutSubmitted": ("payout_id",),
    "PayoutFailed": ("payout_id",),
    "PayoutReturnCredited": ("payout_id",),
    "PayoutRetryScheduled": ("payout_id",),
    "MerchantDebitApplied": ("debit_id",),
    "MerchantDebitReturned": ("debit_id",),
    "MerchantDebited": ("account", "statement_id", "line"),
    "MerchantDebitReversed": ("account", "statement_id", "line"),
    "MerchantLossWrittenOff": ("merchant", "currency", "write_off_id"),
    "PayoutInitiated": ("payout_id", "attempt"),
    "BankLineRecorded": ("account", "statement_id", "line"),
    "NetworkSettlementReceived": ("account", "statement_id", "line"),
    "SchemeInvoicePaid": ("account", "statement_id", "line"),
    "PayoutPaid": ("account", "statement_id", "line"),
    "PayoutReturned": ("account", "statement_id", "line"),
    "SuspenseWrittenOff": ("account", "statement_id", "line"),
    "SuspenseOffset": ("account", "statement_id", "line"),
    "FeeCorrected": ("record_id",),
}

#: What became of a request: exactly one of them follows it. From all but the first nothing follows.
ANSWERS = ("RequestAccepted", "DuplicateRequestObserved", "IdempotencyConflictObserved", "RequestRejected")
IDLE = frozenset(
    {
        *ANSWERS[1:],
        "NetworkReplyUnmatched",
        "EventDeadLettered",
        "OperationRejected",
        "RefundRejected",
        "ReviewRefused",
        "ReviewAssigned",
        "ReviewUnassigned",
        "ReviewAssignmentRefused",
        "ResolutionRejected",
        "IncrementDeclined",
        "AmountConflictDetected",
        "FraudReportRefused",
        "DisputeNoticeRefused",
        "DisputeEvidenceRejected",
        "MerchantSettingsRejected",
    }
)

#: Events that begin something in a log without being an input of it.
UNCAUSED = frozenset({"LogOpened", "MarkersTaken", "ClockStruck", "TickStepped"})


# --- reading --------------------------------------------------------------------------------------------


class Reader:
    """Decodes values by the published schemas alone."""

    def __init__(self) -> None:
        rows = json.loads((SCHEMAS / "published.json").read_text("utf-8"))["schemas"]
        self._rows = {row["id"]: row for row in rows}
        self._schemas: dict[int, Any] = {}

    def read(self, value: bytes) -> tuple[str, str, Body]:
        """Kind, name and content; raises ValueError for anything that is not exactly one value of its schema."""
        number = int.from_bytes(value[1:5], "big")
        row = self._rows.get(number)
        if len(value) < 5 or value[0] != 0 or row is None:
            raise ValueError("no schema that was ever published")
        schema = self._schemas.get(number)
        if schema is None:
            text = (SCHEMAS / f"{row['name']}.v{row['version']}.avsc").read_text("utf-8")
            schema = self._schemas[number] = fastavro.parse_schema(json.loads(text))
        stream = io.BytesIO(value)
        stream.seek(5)
        # Where a union has several records, the record's name comes with it: what is inside tells what it is.
        content = fastavro.schemaless_reader(
            stream, schema, None, return_record_name=True, return_record_name_override=True
        )
        if stream.read(1):
            raise ValueError(f"{row['name']} has bytes to spare")
        assert isinstance(content, dict)
        return row["kind"], row["name"], content


def records(path: Path) -> Iterator[Record]:
    """The records of an embedded log's file, partition by partition in order. Raises ValueError on a broken chain."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        place, chain = -1, bytes(32)
        for packed, at, value, kept in db.execute("SELECT id, at, value, chain FROM record ORDER BY id"):
            if packed >> 41 != place:
                place, chain = packed >> 41, bytes(32)
            topic, partition, offset = TOPICS[(place >> 12) - 1], place & 0xFFF, packed & ((1 << 41) - 1)
            chain = hashlib.sha256(chain + at.to_bytes(8, "big", signed=True) + value).digest()
            if chain != kept:
                raise ValueError(f"the chain of {topic}/{partition} breaks at {offset}")
            yield topic, partition, offset, value


def records_on_kafka(bootstrap: str, prefix: str) -> Iterator[Record]:
    """The committed records of a house's topics, by another client than ours. Raises ValueError on a broken chain."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{prefix}.auditor",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        there = consumer.list_topics(timeout=30).topics
        _until_settled(
            bootstrap,
            [
                (name, part)
                for name in map(f"{prefix}.{{}}".format, TOPICS)
                if not name.endswith("requests")
                for part in there[name].partitions
            ],
        )
        for topic in TOPICS:
            for partition in sorted(there[f"{prefix}.{topic}"].partitions):
                consumer.assign([TopicPartition(f"{prefix}.{topic}", partition, 0)])
                yield from _partition(consumer, topic, partition)
    finally:
        consumer.close()


def _until_settled(bootstrap: str, places: list[tuple[str, int]]) -> None:
    """Wait until all that is written can be read: the end of a transaction is marked partition by partition."""
    from confluent_kafka import IsolationLevel, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    client = AdminClient({"bootstrap.servers": bootstrap})
    latest = {TopicPartition(*place): OffsetSpec.latest() for place in places}

    def ends(level: IsolationLevel) -> list[int]:
        found = client.list_offsets(latest, isolation_level=level)
        return [future.result(30).offset for future in found.values()]

    patience_ends = time.monotonic() + 60
    while ends(IsolationLevel.READ_COMMITTED) != ends(IsolationLevel.READ_UNCOMMITTED):
        if time.monotonic() > patience_ends:
            raise ValueError("a transaction stands open: what is behind it cannot be audited yet")
        time.sleep(0.05)


def _partition(consumer: Any, topic: str, partition: int) -> Iterator[Record]:
    chain, heard_at = bytes(32), time.monotonic()
    while True:
        # Asked for more than there is, the client waits for all of its time, at the end of every partition.
        messages = consumer.consume(1_000, timeout=0.05)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > 60:
            raise ValueError(f"{topic}/{partition} has no end: the broker gives nothing more")
        for message in messages:
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    return
                raise ValueError(f"{topic}/{partition}: {message.error().str()}")
            value = message.value() or b""
            if topic in LOGS:
                headers = dict(message.headers() or ())
                chain = hashlib.sha256(chain + headers["at"] + value).digest()
                if chain != headers["chain"]:
                    raise ValueError(f"the chain of {topic}/{partition} breaks at {message.offset()}")
            yield topic, partition, message.offset(), value


class Event(NamedTuple):
    """An event as the auditor sees it."""

    where: str
    log: str
    partition: int
    name: str
    meta: Body
    body: Body

    @property
    def event_id(self) -> str:
        """Its name: key and sequence."""
        return f"{self.meta['key']}.{self.meta['sequence']}"


Findings = Iterator[str]


# --- the money ------------------------------------------------------------------------------------------


class Books:
    """Every posting, by account and item; and what no payment and no merchant may exceed."""

    def __init__(self) -> None:
        self._balances: dict[tuple[str, str, str], int] = defaultdict(int)
        self._payments: dict[str, Counter[str]] = defaultdict(Counter)
        self._currencies: dict[str, str] = {}
        self._merchants: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._presented: dict[str, int] = {}
        self._above: dict[tuple[str, str], int] = {}
        self._categories: dict[str, str] = {}
        self._keeping = Keeping(self._balances)

    def take(self, event: Event) -> Findings:
        """Post it, and look at what it leaves."""
        name, body = event.name, event.body
        if name == "ReferenceApplied" and event.log == "payments":
            self._learn(body["kind"], json.loads(body["content"]))
        posting = POSTINGS.get(name)
        if posting is not None:
            yield from self._post(event, posting)
        if "payment_id" in body:
            yield from self._limit(event)
        if "merchant" in body and "currency" in body:
            yield from self._merchant(event)
        if event.log == "settlement":
            yield from self._keeping.take(event)
        if name in {"ClearingRecordAccepted", "RefundCleared"}:
            self._presented[body["record_id"]] = body["amount"]
        if name == "ClearingRecordReturned" and self._presented.get(body["record_id"]) != body["amount"]:
            yield f"{event.where}: {name} of {body['record_id']}, of which {body['amount']} were never accepted"
        if name in {"InterchangeAssessed", "InterchangeReturned"}:
            yield from self._interchange(event)

    def _learn(self, kind: str, content: Body) -> None:
        """How far a category may capture above its hold, in millionths; the most that was ever said."""
        if kind == "merchant":
            self._categories[content["merchant"]] = content["mcc"]
        if kind == "network":
            for row in content.get("over_capture", ()):
                for mcc in row["mccs"]:
                    place = (content["network"], mcc)
                    self._above[place] = max(self._above.get(place, 0), row["ppm"])

    def _post(self, event: Event, posting: Callable[[Body], list[Leg]]) -> Findings:
        where, log, name, body = event.where, event.log, event.name, event.body
        if body.get("settlement_currency", body["currency"]) != body["currency"]:
            yield f"{where}: {name} settles in another currency, which nobody can do yet"
            return
        legs = posting(body)
        if sum(amount for _, _, amount in legs) != 0:
            yield f"{where}: the legs of {name} do not sum to zero"
        for account, item, amount in legs:
            if account not in EVERYBODYS and account not in OWNERS.get(log, ()):
                yield f"{where}: {name} posts to {account}, which is not an account of {log}"
            self._balances[account, item, body["currency"]] += amount

    def _limit(self, event: Event) -> Findings:
        """What a payment may never exceed, asked after every event."""
        where, name, body = event.where, event.name, event.body
        sums = self._payments[body["payment_id"]]
        match name:
            case "PaymentRequested":
                sums["requested"] += body["amount"]
            case "IncrementAdmitted":
                sums["requested"] += body["amount"]
            case "PaymentAuthorized":
                sums["authorized"] += body["approved_amount"]
            case "AuthorizationIncremented":
                sums["authorized"] += body["amount"]
                if body["amount"] > body["requested"] or body["total"] != sums["authorized"]:
                    yield f"{where}: {name} of {body['amount']} comes to {sums['authorized']}, not {body['total']}"
            case "PaymentCaptured":
                sums["captured"] += body["amount"]
                ppm = self._above.get((body["network"], self._categories.get(body["merchant"], "")), 0)
                sums["capturable"] = sums["authorized"] + sums["authorized"] * ppm // 1_000_000
                left = sums["authorized"] - sums["released"]
                above = ppm > 0 and body["final"] and body["hold_released"] == left
                if body["amount"] > body["hold_released"] and not above:
                    yield f"{where}: {name} releases {body['hold_released']} for {body['amount']}"
            case "CaptureVoided":
                sums["captured"] -= body["amount"]
            case "RefundApproved":
                sums["refunded"] += body["amount"]
            case "RefundFailed":
                sums["refunded"] -= body["amount"]
            case "ClearingRecordAccepted":
                sums["cleared"] += body["amount"]
            case "DisputeMerchantDebited":
                sums["disputed"] += body["amount"]
            case "DisputeWon":
                sums["disputed"] -= body["amount"]
            case _:
                pass
        if name == "RefundApproved" and sums["refunded"] + sums["disputed"] > sums["captured"]:
            yield f"{where}: {name} of {body['amount']} while {sums['disputed']} is disputed"
        sums["released"] += body.get("hold_released", 0)
        for smaller, larger in (
            ("authorized", "requested"),
            ("captured", "capturable"),
            ("refunded", "captured"),
            ("disputed", "cleared"),
            ("released", "authorized"),
        ):
            if sums[smaller] > sums[larger]:
                yield f"{where}: {name} leaves {smaller} {sums[smaller]} above {larger} {sums[larger]}"
        if name in POSTINGS:
            currency = self._currencies.setdefault(body["payment_id"], body["currency"])
            if body["currency"] != currency:
                yield f"{where}: {name} is in {body['currency']}, the payment in {currency}"
        least = min(body.get("amount", 0), body.get("hold_released", 0))
        if name in POSTINGS and name != "FeeCorrected" and least < 0:
            yield f"{where}: {name} has a negative amount"

    def _merchant(self, event: Event) -> Findings:
        name, body = event.name, event.body
        sums = self._merchants[body["merchant"], body["currency"]]
        match name:
            case "PaymentCaptured":
                sums["captured"] += body["amount"]
            case "CaptureVoided":
                sums["captured"] -= body["amount"]
            case "CaptureWrittenOff" if body["borne_by"] == "merchant":
                sums["captured"] -= body["amount"]
            case "RefundApproved":
                sums["refunded"] += body["amount"]
            case "RefundFailed":
                sums["refunded"] -= body["amount"]
            case "ProcessingFeeCharged" | "DisputeFeeCharged":
                sums["fees"] += body["amount"]
            case "DisputeMerchantDebited":
                sums["disputed"] += body["amount"]
            case "DisputeWon":
                sums["disputed"] -= body["amount"]
            case "PayoutInitiated":
                sums["paid_out"] += body["amount"]
                left = -self._balances["MA", body["merchant"], body["currency"]]
                if left < 0 or body["amount"] <= 0:
                    yield f"{event.where}: {name} of {body['amount']} leaves {left} available"
            case "PayoutReturnCredited" | "PayoutFailed" | "MerchantDebitApplied":
                sums["paid_out"] -= body["amount"]
            case "MerchantDebitReturned":
                sums["paid_out"] += body["amount"]
            case "MerchantLossWrittenOff":
                sums["forgiven"] += body["amount"]
            case _:
                pass

    def _interchange(self, event: Event) -> Findings:
        """Our figure by its own rate, to the unit that rounding may be off."""
        body = event.body
        base = self._presented.get(body["record_id"])
        if base is None:
            yield f"{event.where}: {event.name} of {body['record_id']}, which no network has accepted"
        elif abs(body["amount"] - body["fixed"] - base * body["rate_ppm"] / 1_000_000) > 1:
            yield f"{event.where}: {event.name} is {body['amount']}, not its rate of {base}"

    def close(self, ended: bool, stated: Counter[tuple[str, str]] | None) -> Findings:
        """The bank account against the bank's own statements; and when all is over, that nothing is left open."""
        if stated is not None:
            ours = {key[1:]: amount for key, amount in self._balances.items() if key[0] == "BK"}
            for account, currency in sorted(ours.keys() | stated.keys()):
                is_, should = ours.get((account, currency), 0), stated[account, currency]
                if is_ != should:
                    yield f"the bank account {account} stands at {is_} {currency}, its statements come to {should}"
        if not ended:
            return
        yield from self._keeping.close()
        for (account, item, currency), balance in sorted(self._balances.items()):
            if balance and account in CLEARING:
                yield f"{account} of {item} is open with {balance} {currency}"
        for (merchant, currency), sums in sorted(self._merchants.items()):
            kept = -sum(self._balances[account, merchant, currency] for account in ("MA", "RS", "HD", "MR"))
            placed = (
                sums["refunded"]
                + sums["disputed"]
                + sums["fees"]
                + kept
                + sums["paid_out"]
                - sums["forgiven"]
            )
            if sums["captured"] != placed:
                yield f"{merchant}: captured {sums['captured']} {currency}, placed {placed}"


# --- what leaves for the networks -----------------------------------------------------------------------


class Files:
    """Every record is in one file that its network took, and every file is what its records make of it.

    The bytes of a file are made here a second time, from what ``docs/clearing.md`` says of the format.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], list[Body]] = defaultdict(list)
        self._closed: dict[tuple[int, str, int], list[Body]] = {}
        self._files: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        self._in_file: dict[tuple[int, str, int], str] = {}
        self._told: dict[tuple[str, str, int], Body] = {}

    def take(self, event: Event) -> Findings:
        """Follow records into batches and batches into files."""
        name, body, partition = event.name, event.body, event.partition
        match name:
            case "ClearingRecordCreated":
                self._open[partition, body["batch_id"]].append(body)
            case "ClearingBatchClosed":
                yield from self._close(event)
            case "ClearingFileSent" | "ClearingFileRejected" | "ClearingFileAccepted":
                told = self._told.setdefault((name, body["file_id"], body["attempt"]), body)
                if told != body:
                    yield f"{event.where}: {name} says another thing of {body['file_id']} than elsewhere"
            case "ClearingBatchAccepted":
                batch = (partition, body["batch_id"], body["cut_off_at"])
                if batch not in self._closed:
                    yield f"{event.where}: batch {body['batch_id']} is accepted and was not closed"
                elif batch in self._in_file:
                    yield f"{event.where}: batch {body['batch_id']} is in {self._in_file[batch]} already"
                elif _figures(body) != _sums(self._closed[batch]):
                    yield f"{event.where}: batch {body['batch_id']} is accepted with other totals"
                self._in_file[batch] = body["file_id"]
                self._files[body["file_id"]].append(batch)
            case _:
                pass

    def _close(self, event: Event) -> Findings:
        body = event.body
        records = self._open.pop((event.partition, body["batch_id"]), [])
        self._closed[event.partition, body["batch_id"], body["cut_off_at"]] = records
        if _figures(body) != _sums(records):
            yield f"{event.where}: batch {body['batch_id']} says {_figures(body)}, it has {_sums(records)}"

    def close(self, ended: bool) -> Findings:
        """When all is over, every batch is in a file, every file is accepted once, and is what it should be."""
        if not ended:
            return
        for partition, batch_id in sorted(self._open):
            yield f"payments/{partition}: batch {batch_id} was never closed"
        for batch in sorted(self._closed.keys() - self._in_file.keys()):
            yield f"payments/{batch[0]}: batch {batch[1]} is in no file that a network took"
        accepted: Counter[str] = Counter()
        for (name, file_id, attempt), told in sorted(self._told.items(), key=lambda item: item[0]):
            if name == "ClearingFileAccepted":
                accepted[file_id] += 1
                yield from self._check(file_id, attempt, told)
            elif name == "ClearingFileSent":
                accepted[file_id] += 0
            elif (
                told["reason"] != "duplicate" and ("ClearingFileSent", file_id, attempt + 1) not in self._told
            ):
                yield f"{file_id} was refused, and was not sent again after attempt {attempt}"
        for file_id, times in sorted(accepted.items()):
            if times != 1:
                yield f"{file_id} was accepted {times} times"

    def _check(self, file_id: str, attempt: int, told: Body) -> Findings:
        """An accepted file is what was sent, and both are what the records make of it."""
        merged: dict[tuple[str, str], list[Body]] = defaultdict(list)
        for batch in self._files[file_id]:
            for record in self._closed.get(batch, []):
                merged[record["currency"], record["batch_id"]].append(record)
        sent = self._told.get(("ClearingFileSent", file_id, attempt), {})
        if any(sent.get(field) != value for field, value in told.items()):
            yield f"{file_id} was accepted as something else than was sent"
        figures = [
            (batch["batch_id"], batch["currency"], *_figures(batch), batch["hash_total"])
            for batch in told["batches"]
        ]
        ours = [
            (batch_id, currency, *_sums(rows), _hashed(rows))
            for (currency, batch_id), rows in sorted(merged.items())
        ]
        if figures != ours or told["records"] != sum(map(len, merged.values())):
            yield f"{file_id} was accepted with totals that its records do not come to"
        if hashlib.sha256(_file(file_id, attempt, told, merged)).hexdigest() != told["sha256"]:
            yield f"{file_id} has other bytes than its records make"


def _figures(body: Body) -> tuple[int, ...]:
    return tuple(body[field] for field in ("presentments", "presented_amount", "refunds", "refunded_amount"))


def _sums(records: list[Body]) -> tuple[int, ...]:
    found: list[int] = []
    for kind in ("presentment", "refund"):
        amounts = [record["amount"] for record in records if record["kind"] == kind]
        found += [len(amounts), sum(amounts)]
    return tuple(found)


def _hashed(records: list[Body]) -> int:
    return sum(int(record["arn"]) for record in records) % (10**18 - 1)


def _file(file_id: str, attempt: int, told: Body, merged: dict[tuple[str, str], list[Body]]) -> bytes:
    cut_off = datetime.fromtimestamp(told["cut_off_at"] // 10**6, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    lines = [f"FH|TALLYSTICK-CLEARING-1|{file_id}|{told['network']}|{cut_off}|{attempt}|simulated"]
    for (currency, batch_id), records in sorted(merged.items()):
        lines.append(f"BH|{batch_id}|{currency}")
        for one in sorted(records, key=lambda record: (record["arn"], record["record_id"])):
            code = "PR" if one["kind"] == "presentment" else "RF"
            fields = ("arn", "record_id", "payment_id", "source_id", "merchant", "presentment", "amount")
            lines.append("|".join([code, *(str(one[field]) for field in fields)]))
        lines.append("|".join(["BT", batch_id, *map(str, _sums(records)), str(_hashed(records))]))
    total = sum(map(_hashed, merged.values())) % (10**18 - 1)
    lines.append(f"FT|{len(merged)}|{sum(map(len, merged.values()))}|{total}")
    return "".join(f"{line}\n" for line in lines).encode()


# --- what is decided about fraud ------------------------------------------------------------------------

#: The windows that begin a vector of set 4, microseconds: five counts of the card's payments, then five sums.
WINDOWS = tuple(minutes * 60_000_000 for minutes in (10, 60, 1_440, 7 * 1_440, 30 * 1_440))
FEATURE_SET = 4
#: How far from the transport's stamp a producer's time is believed, microseconds.
TOLERANCE = 240_000_000
#: Where a vector says how many payments are known to be fraud: under each of these keys, in each window.
FRAUDS_FROM = 37
FRAUD_KEYS = ("card", "ip", "device", "email", "merchant", "card_merchant")
#: Where it says by how many keys it is linked to known frauds, to how many, and of how many cards.
CLUSTERS_FROM = FRAUDS_FROM + len(FRAUD_KEYS) * len(WINDOWS)
#: Of how many cards a key may be to link: card, address, device, e-mail address. How many days a fraud links.
LINKING_CARDS = (1, 16, 64, 64)
LINKING_DAYS = 180
LARGEST_CLUSTER = 1_000
DAY_US = 86_400_000_000
#: Payments of a card from which a figure may be approximate.
HOT = 8_192


class Risks:
    """What the verdicts counted, counted again by looking through everything; and what became of the verdicts."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, int]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._frauds: dict[tuple[int, str, str], list[int]] = defaultdict(list)
        self._linked: dict[int, dict[str, tuple[int, tuple[str, ...]]]] = defaultdict(dict)
        self._links: dict[int, dict[tuple[int, str], set[str]]] = {}
        self._paid: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._blocked: set[str] = set()
        self._taken_back: dict[str, bool] = {}
        self._authorized: set[str] = set()
        self._captured: set[str] = set()

    def take(self, event: Event) -> Findings:
        """Count a payment when it is assessed; a blocked one may go nowhere."""
        name, body = event.name, event.body
        if name == "PaymentRequested":
            self._asked[body["payment_id"]] = (body["card_id"], body["amount"])
            self._keys[body["payment_id"]] = _fraud_keys(body)
        elif name in {"PaymentLabelled", "LabelApplied"}:
            self._count_fraud(event)
        elif name == "TickPassed" and event.log == "payments":
            self._forget_linked(event.partition, body["at"])
        elif name == "RiskAssessed" and body["phase"] == "before_authorization":
            yield from self._assessed(event)
        elif name == "RiskAssessed":
            yield from self._assessed_again(event)
        elif name == "PaymentVoided" and body["payment_id"] in self._taken_back:
            self._taken_back[body["payment_id"]] = True
        elif name == "PaymentCaptured" and body["payment_id"] in self._taken_back:
            yield f"{event.where}: {body['payment_id']} was blocked behind its authorization, and is captured"
        elif name in {"PaymentAuthorized", "PaymentCaptured"}:
            (self._authorized if name == "PaymentAuthorized" else self._captured).add(body["payment_id"])
        elif name == "AuthorizationSubmitted" and body["payment_id"] in self._blocked:
            yield f"{event.where}: {body['payment_id']} was blocked, and is submitted"
        elif name == "PaymentDeclined":
            blocked = body["payment_id"] in self._blocked
            if blocked != (body["reason"] == "risk_blocked"):
                yield f"{event.where}: {body['payment_id']} is declined as {body['reason']}, blocked: {blocked}"

    def _assessed_again(self, event: Event) -> Findings:
        """The second verdict: between the issuer's approval and the first capture."""
        payment = event.body["payment_id"]
        if event.body["phase"] != "after_authorization" or payment not in self._authorized:
            yield f"{event.where}: {payment} is assessed again, and was not authorized"
        if payment in self._captured:
            yield f"{event.where}: {payment} is assessed again, and was captured before"
        if event.body["verdict"] == "block":
            self._taken_back[payment] = False

    def close(self, ended: bool) -> Findings:
        """What was blocked behind its authorization was let go."""
        if ended:
            yield from (
                f"{payment} was blocked behind its authorization, and is not let go"
                for payment, gone in sorted(self._taken_back.items())
                if not gone
            )

    def _assessed(self, event: Event) -> Findings:
        meta, body = event.meta, event.body
        payment_id, features = body["payment_id"], body["features"]
        if body["verdict"] == "block":
            self._blocked.add(payment_id)
        if payment_id not in self._asked or body["feature_set"] != FEATURE_SET:
            yield f"{event.where}: {payment_id} is assessed and was not asked for, or by another set"
            return
        card, amount = self._asked[payment_id]
        stamp = meta["ingested_at"]
        at = min(max(meta["occurred_at"], stamp - TOLERANCE), stamp + TOLERANCE)
        paid = self._paid[card]
        paid.append((at, amount))
        if len(paid) > HOT:
            return
        reached = [[value for when, value in paid if at - width < when <= at] for width in WINDOWS]
        figures = [len(window) for window in reached] + [sum(window) for window in reached]
        if figures != features[: len(figures)]:
            yield f"{event.where}: {payment_id} was measured as {features[: len(figures)]}, and is {figures}"
        frauds = [
            sum(at - width < when <= at for when in self._frauds[event.partition, dimension, key])
            for dimension, key in zip(FRAUD_KEYS, self._keys[payment_id], strict=True)
            for width in WINDOWS
        ]
        said = features[FRAUDS_FROM : FRAUDS_FROM + len(frauds)]
        if said != frauds:
            yield f"{event.where}: {payment_id} knows of {said} frauds under its keys, and there are {frauds}"
        linked = self._linked[event.partition]
        links = self._links.get(event.partition)
        if links is None:
            links = self._links[event.partition] = _links(linked)
        clusters = _touching(linked, links, self._keys[payment_id][: len(LINKING_CARDS)])
        said = features[CLUSTERS_FROM : CLUSTERS_FROM + len(clusters)]
        if said != clusters:
            yield f"{event.where}: {payment_id} was told of clusters as {said}, and they are {clusters}"

    def _count_fraud(self, event: Event) -> None:
        """A label counts from where it stands: under its card, and by its second event under all the rest."""
        body = event.body
        own = event.name == "PaymentLabelled"
        keys = _fraud_keys({"card_id": "", **body})
        for dimension, key in zip(FRAUD_KEYS, keys, strict=True):
            if key and own == dimension.startswith("card"):
                times = self._frauds[event.partition, dimension, key]
                if body["label"] == "fraud":
                    times.append(body["paid_at"])
                elif body["paid_at"] in times:
                    times.remove(body["paid_at"])
        if own:
            return
        linked = self._linked[event.partition]
        self._links.pop(event.partition, None)
        if body["label"] == "fraud":
            day_on = event.meta["recorded_at"] // DAY_US
            linked.setdefault(body["payment_id"], (day_on, keys[: len(LINKING_CARDS)]))
        else:
            linked.pop(body["payment_id"], None)

    def _forget_linked(self, partition: int, at: int) -> None:
        """What became known more than so many days ago links no more."""
        oldest = at // DAY_US - LINKING_DAYS
        linked = self._linked[partition]
        for payment in [one for one, (day, _) in linked.items() if day < oldest]:
            del linked[payment]
            self._links.pop(partition, None)


def _links(linked: dict[str, tuple[int, tuple[str, ...]]]) -> dict[tuple[int, str], set[str]]:
    """The frauds under each key that links."""
    under: dict[tuple[int, str], set[str]] = defaultdict(set)
    cards: dict[tuple[int, str], set[str]] = defaultdict(set)
    for payment, (_, own) in linked.items():
        for place, key in enumerate(own):
            if key:
                under[place, key].add(payment)
                cards[place, key] |= {own[0]} - {""}
    return {key: found for key, found in under.items() if len(cards[key]) <= LINKING_CARDS[key[0]]}


def _touching(
    linked: dict[str, tuple[int, tuple[str, ...]]],
    links: dict[tuple[int, str], set[str]],
    keys: tuple[str, ...],
) -> list[int]:
    """By how many keys a payment is linked to frauds, to how many, of how many cards: all of them are walked."""
    count, touched = 0, set[str]()
    for place, key in enumerate(keys):
        reached, new = set[str](), links.get((place, key), set())
        while new:
            reached |= new
            steps = {step for one in new for step in enumerate(linked[one][1])}
            new = set().union(*(links.get(step, set()) for step in steps)) - reached
        if reached and len({linked[one][1][0] for one in reached} - {""}) <= LARGEST_CLUSTER:
            count += 1
            touched |= reached
    return [count, len(touched), len({linked[one][1][0] for one in touched} - {""})]


def _fraud_keys(body: Body) -> tuple[str, ...]:
    card, merchant = body["card_id"], body["merchant"]
    both = f"{card} at {merchant}" if card else ""
    return card, body["ip_ref"], body["device_ref"], body["email_ref"], merchant, both


#: Where a vector says what is known of who pays: six figures.
PAYER_FROM = CLUSTERS_FROM + 3
#: How long a name counts as known on a card, and two places of it as comparable, microseconds.
REMEMBERED, COMPARED = 90 * 86_400_000_000, 86_400_000_000
#: How far two ways to compute a distance may lie apart, kilometres; and the speed that is told for all above it.
ROUNDED_KM, FASTEST = 2, 99_999
HIDDEN = frozenset({"proxy", "tor", "hosting"})


class Payers:
    """Whether a card's payer is who was there before, and can have come that far: by looking through everything."""

    def __init__(self) -> None:
        self._asked: dict[str, Body] = {}
        #: By card and kind: when each name was there, and when any that can change was.
        self._names: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._had: dict[tuple[str, str], int] = {}
        self._places: dict[str, list[tuple[int, float, float, int]]] = defaultdict(list)
        self._changed: dict[str, list[int]] = defaultdict(list)

    def take(self, event: Event) -> Findings:
        """Look at a payment when it is assessed."""
        body = event.body
        if event.name == "PaymentRequested":
            self._asked[body["payment_id"]] = body
        elif event.name == "RiskAssessed" and body["phase"] == "before_authorization":
            asked = self._asked.get(body["payment_id"])
            if asked is not None and body["feature_set"] == FEATURE_SET:
                stamp = event.meta["ingested_at"]
                at = min(max(event.meta["occurred_at"], stamp - TOLERANCE), stamp + TOLERANCE)
                yield from self._assessed(event, asked, at)

    def _assessed(self, event: Event, asked: Body, at: int) -> Findings:
        card, said = asked["card_id"], asked["signals"] or {}
        country = said.get("country", "")
        kinds = {
            "phone": asked["phone_ref"],
            "country": country if len(country) == 2 and country.isalpha() and country.isupper() else "",
            "email": asked["email_ref"],
            "device": asked["device_ref"],
        }
        changes, new = 0, {}
        for kind, name in kinds.items():
            names = self._names[card, kind]
            if name:
                new[kind] = names.get(name, at - REMEMBERED) <= at - REMEMBERED
                names[name] = max(at, names.get(name, at))
            # A till's device is known there, and belongs to nobody who pays.
            if name and (kind != "device" or asked["channel"] != "point_of_sale"):
                had = self._had.get((card, kind), at - REMEMBERED)
                changes += new[kind] and had > at - REMEMBERED
                self._had[card, kind] = max(at, had)
        self._changed[card] += [at] * changes
        recently = sum(at - COMPARED < when <= at for when in sorted(self._changed[card])[-32:])
        km, seconds = self._travelled(card, said, at)
        said_of = event.body["features"][PAYER_FROM : PAYER_FROM + 6]
        expected = [new.get("phone", -1), new.get("country", -1), changes, recently]
        where = f"{event.where}: {asked['payment_id']}"
        if [*said_of[:2], *said_of[4:]] != expected:
            yield f"{where} has a payer measured as {said_of}, and it is {expected} beside the travel"
        far = said_of[2]
        if event.meta["recorded_at"] - at > COMPARED:
            return  # Decided so late that newer places than the last one may be forgotten: places go by the day.
        if (far < 0) != (km is None) or (km is not None and abs(far - km) > ROUNDED_KM):
            yield f"{where} is said to have travelled {far} km, and it is {km}"
        elif km is not None and said_of[3] != min(FASTEST, far * 3_600 // seconds):
            yield f"{where} is said to have travelled at {said_of[3]} km/h: {far} km in {seconds} seconds"

    def _travelled(self, card: str, said: Body, at: int) -> tuple[float | None, int]:
        """Kilometres from the card's newest place, and the seconds between."""
        accuracy = said.get("accuracy_km", -1)
        north, east = said.get("latitude", 0) / 100, said.get("longitude", 0) / 100
        hidden = said.get("connection") in HIDDEN
        if not 0 <= accuracy <= 20_015 or abs(north) > 90 or abs(east) > 180 or hidden:
            return None, 1
        places = self._places[card]
        newest = max(places, key=lambda place: place[0], default=None)
        places.append((at, north, east, accuracy))
        if newest is None or abs(at - newest[0]) >= COMPARED:
            return None, 1
        km = _great_circle(north, east, newest[1], newest[2]) - accuracy - newest[3]
        return max(0.0, km), max(60, abs(at - newest[0]) // 1_000_000)


def _great_circle(north: float, east: float, other_north: float, other_east: float) -> float:
    """By the law of cosines on unit vectors: another formula than the one it checks."""
    one, other = (
        (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
        for a, b in (
            (math.radians(x), math.radians(y)) for x, y in ((north, east), (other_north, other_east))
        )
    )
    return 6371.0088 * 2 * math.asin(min(1.0, math.dist(one, other) / 2))


#: Whose word a source of labels is; of each voice the last word counts, and one that says fraud is enough.
VOICES = {"early_warning": "issuer", "dispute": "issuer", "refund": "merchant", "analyst": "analyst"}


def _verdict_of(said: dict[str, str]) -> str:
    return "fraud" if "fraud" in said.values() else "genuine" if said else ""


class Labels:
    """That a label counts once, because somebody said so, and that every partition hears of it."""

    def __init__(self) -> None:
        self._paid_at: dict[str, int] = {}
        self._said: dict[str, dict[str, str]] = defaultdict(dict)
        self._grounds: set[tuple[str, str, str, str]] = set()
        self._counted: dict[str, list[str]] = defaultdict(list)
        self._heard: dict[tuple[str, int], Counter[tuple[str, int, str]]] = defaultdict(Counter)
        self._partitions: set[int] = set()

    def take(self, event: Event) -> Findings:
        """Follow a label from who says it to where it counts."""
        name, body, where = event.name, event.body, event.where
        if event.log == "payments":
            self._partitions.add(event.partition)
        match name:
            case "PaymentRequested" if body["payment_id"] not in self._paid_at:
                stamp = event.meta["ingested_at"]
                at = min(max(event.meta["occurred_at"], stamp - TOLERANCE), stamp + TOLERANCE)
                self._paid_at[body["payment_id"]] = at
            case "ReviewDecided" if body["finding"]:
                self._grounds.add((body["payment_id"], "analyst", body["finding"], body["analyst"]))
            case "RefundApproved" if body["reason"] == "fraudulent":
                self._grounds.add((body["payment_id"], "refund", "fraud", body["refund_id"]))
            case "FraudConfirmed":
                yield from self._confirmed(event)
                self._said[body["payment_id"]][VOICES[body["source"]]] = body["label"]
            case "PaymentLabelled":
                yield from self._labelled(event)
            case "LabelSignalled" | "LabelApplied":
                heard = self._heard[f"{event.log} {name}", event.partition]
                label = (body["payment_id"], body["number"], body["label"])
                heard[label] += 1
                if heard[label] > 1:
                    yield f"{where}: {label} is told a second time"
                if (
                    name == "LabelApplied"
                    and not self._heard["payments LabelSignalled", event.partition][label]
                ):
                    yield f"{where}: {label} counts, and nobody told of it"
            case _:
                pass

    def _confirmed(self, event: Event) -> Findings:
        """Merchants and analysts have said so in a refund or a decision, once for each."""
        body = event.body
        if VOICES[body["source"]] == "issuer":
            return
        ground = (body["payment_id"], body["source"], body["label"], body["reference"])
        if ground not in self._grounds:
            yield f"{event.where}: {ground} is said to be found, and was not"
        self._grounds.discard(ground)

    def _labelled(self, event: Event) -> Findings:
        where, body = event.where, event.body
        payment, label = body["payment_id"], body["label"]
        before = self._counted[payment]
        if _verdict_of(self._said[payment]) != label:
            yield f"{where}: {payment} counts as {label}, which nobody said last"
        if before and before[-1] == label:
            yield f"{where}: {payment} counts as {label} a second time"
        if body["number"] != len(before) + 1 or body["paid_at"] != self._paid_at.get(payment):
            yield f"{where}: {payment} is labelled with another number or time than its own"
        before.append(label)

    def close(self, ended: bool) -> Findings:
        """What was said last counts, and in every partition."""
        if not ended:
            return
        for payment, said in sorted(self._said.items()):
            label = _verdict_of(said)
            if self._counted[payment][-1:] != [label]:
                yield f"{payment} was said to be {label}, and counts as {self._counted[payment]}"
        labels = {
            (payment, number, label)
            for payment, counted in self._counted.items()
            for number, label in enumerate(counted, 1)
        }
        for partition in sorted(self._partitions):
            applied = set(self._heard["payments LabelApplied", partition])
            if applied != labels:
                yield f"payments/{partition}: {sorted(applied ^ labels)[:3]} count here or elsewhere alone"
        signalled = Counter(
            label
            for (told, _), heard in self._heard.items()
            if told == "velocity LabelSignalled"
            for label in heard
        )
        if signalled != Counter(labels):
            yield f"{len(labels)} labels, and velocity was told of {signalled.total()}"


# --- the networks' programmes ---------------------------------------------------------------------------

#: What a partition tells of a merchant's day, behind merchant, network, currency and day.
TOLD = (
    *("cleared", "remote", "ecommerce", "ecommerce_sales", "reports", "remote_reports"),
    *("disputes", "remote_disputes", "ecommerce_fraud"),
)
#: Level of an alert, mildest first.
LEVELS = ("near", "expected", "exceeded")


class Exposures:
    """That merchants' figures are told as they are, and that nobody reaches a limit without being named."""

    def __init__(self) -> None:
        self._payments: dict[str, tuple[str, str]] = {}
        self._counted: dict[tuple[int, str, str, str, int], Counter[str]] = defaultdict(Counter)
        self._told: Counter[str] = Counter()
        self._heard: dict[tuple[str, str], list[Body]] = defaultdict(list)
        self._programmes: list[Body] = []
        self._percent = 100
        self._levels: dict[tuple[str, str, str, int], str] = {}
        self._newest: dict[int, int] = {}

    def take(self, event: Event) -> Findings:
        """Count what is told, and hold alerts against it."""
        name, body = event.name, event.body
        match name:
            case "PaymentRequested":
                self._payments[body["payment_id"]] = (body["merchant"], body["channel"])
            case "ClearingRecordAccepted" | "EarlyFraudWarningReceived" | "DisputeOpened":
                self._count(event)
            case "MerchantDisputesTallied":
                yield from self._tallied(event)
            case "TickPassed" if event.log == "payments":
                self._newest[event.partition] = body["at"] // DAY_US
            case "ReferenceApplied" if event.log == "velocity" and body["kind"] == "programmes":
                content = json.loads(body["content"])
                self._programmes, self._percent = content["programmes"], content["alert_percent"]
            case "DisputeAlertRaised":
                yield from self._alerted(event)

    def _count(self, event: Event) -> None:
        body = event.body
        merchant, channel = self._payments[body["payment_id"]]
        day_on = event.meta["recorded_at"] // DAY_US
        counted = self._counted[event.partition, merchant, body["network"], body["currency"], day_on]
        remote, ecommerce = channel != "point_of_sale", channel == "ecommerce"
        if event.name == "ClearingRecordAccepted":
            counted.update(cleared=1, remote=remote, ecommerce=ecommerce)
            counted["ecommerce_sales"] += body["amount"] * ecommerce
        elif event.name == "EarlyFraudWarningReceived":
            counted.update(reports=1, remote_reports=remote)
        else:
            fraud = ecommerce and body["reason_code"] in {"4837", "4863"}
            counted.update(disputes=1, remote_disputes=remote)
            counted["ecommerce_fraud"] += body["amount"] * fraud

    def _tallied(self, event: Event) -> Findings:
        body = event.body
        figures = tuple(body[name] for name in ("merchant", "network", "currency", "day_on", *TOLD))
        if event.log == "velocity":
            self._told[str(figures)] -= 1
            self._heard[body["merchant"], body["network"]].append(body)
            return
        self._told[str(figures)] += 1
        key = (event.partition, body["merchant"], body["network"], body["currency"], body["day_on"])
        counted = self._counted.pop(key, Counter())
        if tuple(counted[name] for name in TOLD) != figures[4:]:
            yield f"{event.where}: {key} is told as {figures[4:]}, and was {dict(counted)}"

    def _alerted(self, event: Event) -> Findings:
        where, body = event.where, event.body
        key = (body["merchant"], body["programme"], body["currency"], body["month_on"])
        programme = next(
            one
            for one in self._programmes
            if one["programme"] == body["programme"] and one["from_on"] <= body["month_on"] < one["until_on"]
        )
        held = self._held(body["merchant"], programme, body["currency"], body["month_on"], body["day_on"])
        if held != (body["counted"], body["base"]):
            yield f"{where}: {key} is named for {body['counted']} of {body['base']}, and it has {held}"
        level, before = body["level"], self._levels.get(key)
        if before is not None and LEVELS.index(level) <= LEVELS.index(before):
            yield f"{where}: {key} is named as {level} behind {before}"
        reached = self._reached(programme, held, 100 if level == "exceeded" else self._percent)
        if level != "expected" and not reached:
            yield f"{where}: {key} is named as {level} too early"
        self._levels[key] = level

    def _held(
        self, merchant: str, programme: Body, currency: str, month_on: int, day_on: int
    ) -> tuple[int, int]:
        """What counts from the first of the month up to a day, and what it is held against."""
        told = [
            one
            for one in self._heard[merchant, programme["network"]]
            if one["day_on"] <= day_on and currency in {"", one["currency"]}
        ]
        before = _first_of_month(month_on - 1)
        now = [one for one in told if one["day_on"] >= month_on]
        earlier = [one for one in told if before <= one["day_on"] < month_on]
        match programme["counts"]:
            case "remote_reports_and_disputes":
                cases = sum(one["remote_reports"] + one["remote_disputes"] for one in now)
                return cases, sum(one["remote"] for one in now)
            case "disputes":
                return sum(one["disputes"] for one in now), sum(one["cleared"] for one in earlier)
            case _:
                base = sum(one["ecommerce_sales"] for one in earlier)
                return sum(one["ecommerce_fraud"] for one in now), base

    def _reached(self, programme: Body, held: tuple[int, int], percent: int) -> bool:
        counted, base = held
        least = programme["least_amount"] or programme["least_count"]
        ratio = counted * 1_000_000 >= percent * programme["least_bps"] * base
        return counted > 0 and counted * 100 >= percent * least and ratio

    def close(self, ended: bool) -> Findings:
        """Every day but the last was told and heard once; whoever had reached limits by a month's end was named."""
        if not ended:
            return
        for key, counted in sorted(self._counted.items()):
            if key[-1] < self._newest[key[0]]:
                yield f"{key}: {dict(counted)} was told to nobody"
        yield from (f"{told} is told and heard, {left} apart" for told, left in self._told.items() if left)
        for (merchant, network), told in sorted(self._heard.items()):
            for month_on in sorted({_first_of_month(one["day_on"]) for one in told}):
                last = max(one["day_on"] for one in told if _first_of_month(one["day_on"]) == month_on)
                yield from self._unnamed(merchant, network, month_on, last)

    def _unnamed(self, merchant: str, network: str, month_on: int, last: int) -> Findings:
        for one in self._programmes:
            applies = one["network"] == network and one["from_on"] <= month_on < one["until_on"]
            if applies and not one["least_amount"] and not one["least_transactions"]:
                held = self._held(merchant, one, "", month_on, last)
                level = self._levels.get((merchant, one["programme"], "", month_on))
                if self._reached(one, held, 100) and level != "exceeded":
                    yield f"{merchant} has {held} in {one['programme']}, and is named as {level}"


def _first_of_month(day_on: int) -> int:
    day = date(1970, 1, 1) + timedelta(days=day_on)
    return (day.replace(day=1) - date(1970, 1, 1)).days


# --- disputes -------------------------------------------------------------------------------------------


class Disputes:
    """The money of each case: what the network holds of it, and whose it is in the end; and that nothing is sent to an
    issuer that its merchant has not asked for, in time and for that stage."""

    def __init__(self) -> None:
        self._cases: dict[str, Counter[str]] = {}
        self._reply_by: dict[str, int] = {}
        self._merchants: dict[str, str] = {}
        self._wanted: dict[str, Event] = {}
        self._unanswered: dict[str, str] = {}

    def take(self, event: Event) -> Findings:
        """Follow a case from its opening to its end."""
        name, body, where = event.name, event.body, event.where
        others = {"DisputeNoticeReceived", "DisputeNoticeRefused", "DisputeAlertRaised"}
        if not name.startswith("Dispute") or name in others:
            return
        case_id = body["case_id"]
        if name in {"DisputeEvidenceRequested", "DisputeEvidenceSubmitted", "DisputeEvidenceRejected"}:
            yield from self._evidence(event, case_id)
            return
        if name in {"DisputeInquiryOpened", "DisputeOpened"}:
            self._merchants[case_id] = body["merchant"]
        if body.get("reply_by_at"):
            self._reply_by[case_id] = body["reply_by_at"]
        if name == "DisputeEvidenceExpired" and event.meta["recorded_at"] < self._reply_by[case_id]:
            yield f"{where}: the time to answer {case_id} had not ended"
        if name == "DisputeOpened":
            self._cases[case_id] = Counter(disputed=body["amount"])
        if name in _OF_CASES:
            case = self._cases.get(case_id)
            if case is None:
                yield f"{where}: {name} of {case_id}, which nobody has opened"
                return
            case[_OF_CASES[name]] += body["amount"]
            yield from self._balance(where, case_id, case)

    def _evidence(self, event: Event, case_id: str) -> Findings:
        name, body, where = event.name, event.body, event.where
        if name == "DisputeEvidenceRequested":
            self._wanted[event.event_id] = event
            self._unanswered[event.event_id] = where
            return
        cause = event.meta["causation_id"]
        if self._unanswered.pop(cause, None) is None:
            yield f"{where}: {name} of {case_id}, which nobody has asked for, or not again"
            return
        if name == "DisputeEvidenceRejected":
            return
        asked, stamp = self._wanted[cause].body, self._wanted[cause].meta["ingested_at"]
        if asked["merchant"] != self._merchants.get(case_id) or asked["payment_id"] != body["payment_id"]:
            yield f"{where}: {asked['merchant']} answers for {case_id}, which is not its own"
        if asked["documents"] != body["documents"] or asked["stage"] not in (None, body["stage"]):
            yield f"{where}: what is sent for {case_id} is not what its merchant has sent"
        if stamp >= self._reply_by[case_id]:
            yield f"{where}: evidence for {case_id} came when its time had ended"

    def _balance(self, where: str, case_id: str, case: Counter[str]) -> Findings:
        held, closed = case["withdrawn"] - case["returned"], case["won"] + case["lost"]
        if not 0 <= held <= case["disputed"]:
            yield f"{where}: the network holds {held} of {case['disputed']} in {case_id}"
        if case["lost"] and case["lost"] != held:
            yield f"{where}: {case['lost']} is lost in {case_id}, and the network holds {held}"
        if closed > case["disputed"]:
            yield f"{where}: {closed} of {case['disputed']} is decided in {case_id}"
        if case["debited"] not in (0, case["disputed"]):
            yield f"{where}: {case['debited']} of {case['disputed']} was debited in {case_id}"

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """In the end every case is decided: won and lost make up what was disputed; and all evidence is answered."""
        for case_id, case in sorted(self._cases.items()):
            if ended and case["won"] + case["lost"] != case["disputed"]:
                yield f"{case_id}: {case['won']} won and {case['lost']} lost of {case['disputed']}"
        for where in self._unanswered.values():
            if ended and where not in put_aside:
                yield f"{where}: the evidence has no answer"


_OF_CASES = {
    "DisputeFundsWithdrawn": "withdrawn",
    "DisputeFundsReturned": "returned",
    "DisputeMerchantDebited": "debited",
    "DisputeWon": "won",
    "DisputeLost": "lost",
}


# --- what merchants choose ------------------------------------------------------------------------------

SCHEDULES = ("daily", "weekly", "monthly")


class Choices:
    """How merchants are paid by their contracts and their own settings: what may change, what did, and that no payout
    is smaller than the merchant wants it."""

    def __init__(self) -> None:
        #: By merchant and currency: what was chosen; and by partition the contracts, for each reads its own.
        self._chosen: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._contracts: dict[tuple[int, str, str], Body] = {}
        self._wanted: dict[str, Event] = {}

    def take(self, event: Event) -> Findings:
        """Follow contracts, wishes and what comes of them."""
        name, body = event.name, event.body
        if name == "ReferenceApplied" and event.log == "settlement" and body["kind"] == "settlement":
            terms = json.loads(body["content"])
            self._contracts[event.partition, terms["merchant"], terms["currency"]] = terms
        elif name == "MerchantSettingsRequested":
            self._wanted[event.event_id] = event
        elif name in {"MerchantSettingsChanged", "MerchantSettingsRejected"}:
            yield from self._answered(event)
        elif name == "PayoutInitiated" and body["attempt"] == 1:
            _, _, least = self._paid(event, body["currency"])
            if body["amount"] < least:
                yield f"{event.where}: {body['payout_id']} is {body['amount']}, less than {least}"

    def _contract(self, event: Event, currency: str) -> Body:
        merchant = event.body["merchant"]
        found = self._contracts.get((event.partition, merchant, currency))
        return found or self._contracts.get((event.partition, merchant, "")) or {}

    def _paid(self, event: Event, currency: str) -> tuple[str, int, int]:
        """Schedule, day and least balance by which a merchant is paid."""
        merchant, contract = event.body["merchant"], self._contract(event, currency)
        chosen = self._chosen.get((merchant, currency)) or self._chosen.get((merchant, ""))
        if chosen is not None and chosen[0] in contract.get("choices", SCHEDULES):
            return chosen
        return contract.get("schedule", "daily"), contract.get("anchor", 0), contract.get("minimum_payout", 0)

    def _answered(self, event: Event) -> Findings:
        body, where = event.body, event.where
        asked = self._wanted.pop(event.meta["causation_id"], None)
        if asked is None:
            yield f"{where}: {event.name} of {body['merchant']}, which it has not asked for, or not again"
            return
        fields = ("merchant", "idempotency_key", "currency", "schedule", "anchor", "minimum_payout")
        if any(asked.body[field] != body[field] for field in fields):
            yield f"{where}: {event.name} is not what {body['merchant']} has asked for"
        before = self._paid(event, body["currency"])
        after = (body["schedule"], body["anchor"], body["minimum_payout"])
        allowed = body["schedule"] in self._contract(event, body["currency"]).get("choices", SCHEDULES)
        if event.name == "MerchantSettingsRejected":
            reason = "unchanged" if allowed else "not_allowed"
            if body["reason"] != reason or (allowed and before != after):
                yield f"{where}: {body['merchant']} is refused as {body['reason']}"
            return
        old = (body["old_schedule"], body["old_anchor"], body["old_minimum_payout"])
        if not allowed or old != before or old == after:
            yield f"{where}: {body['merchant']} changes from {old} to {after}, and is paid by {before}"
        self._chosen[body["merchant"], body["currency"]] = after

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """In the end everybody has been answered."""
        for asked in self._wanted.values():
            if ended and asked.where not in put_aside:
                yield f"{asked.where}: the settings have no answer"


# --- what is kept back from a merchant ------------------------------------------------------------------

#: Balances below zero that a merchant may have between two runs, where its terms do not say.
USUAL_LIMIT = 100_000
#: The run of a day is at six in the morning.
RUN_AT, DAY = 6 * 3_600_000_000, 24 * 3_600_000_000


class Keeping:
    """What is kept back from a merchant and what it owes: reserves, holds, receivables and the limit of its balance."""

    def __init__(self, balances: dict[tuple[str, str, str], int]) -> None:
        self._balances = balances
        self._reserves: dict[tuple[str, str, str], list[int]] = {}
        self._holds: Counter[tuple[str, str, str]] = Counter()
        self._limits: dict[str, int] = {}
        self._touched: dict[int, dict[tuple[str, str], str]] = defaultdict(dict)
        self._last_run = 0
        self._initiated: dict[str, int] = {}
        self._sent: dict[str, int] = {}

    def take(self, event: Event) -> Findings:
        """An event of the settlement log, after its posting."""
        body = event.body
        if "payout_id" in body:
            yield from self._payouts(event)
        match event.name:
            case "ReferenceApplied" if body["kind"] == "settlement":
                terms = json.loads(body["content"])
                name = f"{terms['merchant']} {terms['currency']}"
                self._limits[name] = terms["negative_limit"]
            case "TickPassed":
                self._last_run = max(self._last_run, (body["at"] - RUN_AT) // DAY)
                for (merchant, currency), where in self._touched.pop(event.partition, {}).items():
                    limit = self._limits.get(f"{merchant} {currency}", self._limits.get(f"{merchant} "))
                    available = -self._balances["MA", merchant, currency]
                    if available < -(USUAL_LIMIT if limit is None else limit):
                        yield f"{where}: {merchant} is left with {available} {currency}, and owes nothing for it"
            case name if name in POSTINGS and "merchant" in body:
                self._touched[event.partition][body["merchant"], body["currency"]] = event.where
                yield from self._merchants(event)
            case "SettlementBatchClosed":
                available = -self._balances["MA", body["merchant"], body["currency"]]
                if body["available"] != available or available < 0:
                    yield f"{event.where}: {event.name} says {body['available']}, the balance is {available}"
            case _:
                pass

    def _merchants(self, event: Event) -> Findings:
        body, where = event.body, event.where
        merchant, currency = body["merchant"], body["currency"]
        available, reserve, held, owed = (
            self._balances[account, merchant, currency] for account in ("MA", "RS", "HD", "MR")
        )
        if reserve > 0 or held > 0 or owed < 0:
            yield f"{where}: {event.name} leaves a reserve of {-reserve}, {-held} on hold and {owed} owed"
        match event.name:
            case "ReserveWithheld":
                place = (merchant, currency, body["reserve_id"])
                self._reserves[place] = [body["amount"], body["release_on"]]
                most = body["base"] * body["share_ppm"] // 1_000_000
                if not 0 < body["amount"] <= most or available > 0:
                    yield f"{where}: {event.name} of {body['amount']}, of {most}, leaves {-available}"
            case "ReserveReleased":
                kept = self._reserves.get((merchant, currency, body["reserve_id"]), [0, 0])
                kept[0] -= body["amount"]
                early = (event.meta["recorded_at"] - RUN_AT) // DAY < kept[1]
                short = body["reason"] == "short_balance"
                if kept[0] < 0 or body["amount"] <= 0 or early != short or (short and available < 0):
                    yield f"{where}: {event.name} of {body['amount']}, {body['reason']}, leaves {kept[0]}"
            case "SettlementHoldPlaced":
                place = (merchant, currency, body["hold_id"])
                if place not in self._holds and not body["approver"] and body["reason"] != "payouts_returned":
                    yield f"{where}: nobody has approved the hold {body['hold_id']}"
                self._holds[place] += body["amount"]
                if body["amount"] < 0 or (body["amount"] and available > 0):
                    yield f"{where}: {event.name} of {body['amount']} leaves {-available}"
            case "SettlementHoldReleased":
                if self._holds.pop((merchant, currency, body["hold_id"]), None) != body["amount"]:
                    yield f"{where}: {event.name} of {body['amount']} is not what {body['hold_id']} keeps"
            case "MerchantReceivableRaised" | "MerchantReceivableOffset":
                raised = event.name == "MerchantReceivableRaised"
                if body["amount"] <= 0 or (available != 0 if raised else available > 0):
                    yield f"{where}: {event.name} of {body['amount']} leaves {-available}"
            case "MerchantLossWrittenOff":
                if body["amount"] <= 0 or not body["approver"]:
                    yield f"{where}: {event.name} of {body['amount']}, approved by {body['approver']!r}"
            case _:
                pass

    def _payouts(self, event: Event) -> Findings:
        """What was initiated is sent or stopped, and only what was sent has an outcome."""
        name, body = event.name, event.body
        payout = body["payout_id"]
        match name:
            case "PayoutInitiated":
                self._initiated[payout] = body["amount"]
            case "PayoutSubmitted" | "PayoutFailed":
                if self._initiated.pop(payout, None) != body["amount"]:
                    yield f"{event.where}: {name} of {payout}, which was not initiated so"
                if name == "PayoutSubmitted":
                    self._sent[payout] = body["attempt"]
            case "PayoutReturnCredited":
                if payout not in self._sent:
                    yield f"{event.where}: {name} of {payout}, which was never sent"
            case "PayoutRetryScheduled":
                run_on = (event.meta["recorded_at"] - RUN_AT) // DAY
                if body["attempt"] != self._sent.get(payout, 0) + 1 or body["retry_on"] < run_on:
                    yield f"{event.where}: {payout} is to be sent again as {body['attempt']} on {body['retry_on']}"
            case _:
                pass

    def close(self) -> Findings:
        """Every payout was sent or stopped; every part of a reserve whose day has come has gone back."""
        for payout in self._initiated:
            yield f"{payout} was neither sent nor stopped"
        for (merchant, currency, reserve_id), (amount, release_on) in self._reserves.items():
            if amount and release_on <= self._last_run:
                yield f"{merchant}: {amount} {currency} of {reserve_id} is still kept"


# --- what happens, how often and why --------------------------------------------------------------------


class Streams:
    """Names, sequences and causes of events."""

    def __init__(self) -> None:
        self._sequences: dict[str, tuple[int, str, int]] = {}
        self._names: dict[str, str] = {}
        self._causes: list[tuple[str, str, str]] = []

    def take(self, event: Event) -> Findings:
        """Its place in its stream, and whether it names a cause."""
        meta, event_id = event.meta, event.event_id
        before, log, partition = self._sequences.get(meta["key"], (0, event.log, event.partition))
        if meta["sequence"] != before + 1:
            yield f"{event.where}: {event_id} follows {meta['key']}.{before}"
        if (log, partition) != (event.log, event.partition):
            yield f"{event.where}: the stream {meta['key']} is one of {log}/{partition} already"
        self._sequences[meta["key"]] = (meta["sequence"], event.log, event.partition)
        if event_id in self._names:
            yield f"{event.where}: {event_id} is there twice"
        self._names[event_id] = event.name
        if meta["causation_id"]:
            self._causes.append((event.where, event.name, meta["causation_id"]))
        elif meta["source"] is None and event.name not in UNCAUSED:
            yield f"{event.where}: {event.name} {event_id} has neither a source nor a cause"

    def close(self) -> Findings:
        """Every cause exists, and what has no effect has caused nothing."""
        for where, name, cause in self._causes:
            found = self._names.get(cause)
            if found is None:
                yield f"{where}: {name} names {cause} as its cause, which is nowhere"
            elif found in IDLE:
                yield f"{where}: {name} is caused by {cause}, a {found}, which must do nothing"


class Agreement:
    """What reconciliation said against what stands there: matches that match, discrepancies that are there and end.

    Kept apart from the books: cycles by what each side says of them, lines and payouts by what they are.
    """

    def __init__(self) -> None:
        self._nets: dict[tuple[str, str], int] = defaultdict(int)
        self._open: dict[tuple[str, str], str] = {}
        self._asked: dict[str, Body] = {}

    def take(self, event: Event) -> Findings:
        """Add up what each side says, and judge what is said of it."""
        name, body = event.name, event.body
        match name:
            case "ClearingCycleTotalled" if event.log == "reconciliation":
                self._nets["ours", body["cycle"]] += body["net"]
            case "NetworkSettlementAdvised":
                self._nets["advised", body["cycle"]] = body["net"]
            case "NetworkSettlementReceived":
                self._nets["booked", body["cycle"]] += body["amount"]
            case "SchemePeriodTotalled" if event.log == "reconciliation":
                self._nets["ours", _period(body)] -= body["amount"]
            case "SchemeInvoicePaid":
                self._nets["booked", _period(body)] -= body["amount"]
            case "PayoutAnnounced":
                self._nets["ours", body["payout_id"]] = body["amount"]
            case "PayoutPaid":
                self._nets["booked", body["payout_id"]] += body["amount"]
            case "ReconciliationMatched":
                yield from self._matched(event)
            case "DiscrepancyDetected":
                self._open[event.log, body["item"]] = body["kind"]
                if body["kind"] not in {"missing"} and body["ours"] == body["theirs"]:
                    yield f"{event.where}: a discrepancy of {body['item']} between {body['ours']} and itself"
            case "ResolutionRequested":
                self._asked[event.event_id] = body
            case "DiscrepancyResolved":
                yield from self._resolved(event)
            case "FeeCorrected" if body["new"] - body["old"] != body["amount"]:
                yield f"{event.where}: {name} by {body['amount']} from {body['old']} to {body['new']}"
            case _ if body.get("rule") == "approved" or name in {"SuspenseWrittenOff", "FeeCorrected"}:
                yield from self._approved(event)
            case _:
                pass

    def _matched(self, event: Event) -> Findings:
        body = event.body
        item, rule = body["item"], body["rule"]
        if rule == "payout_return":
            return
        sides = ("ours", "advised", "booked") if rule == "three_way" else ("ours", "booked")
        figures = [self._nets[side, item] for side in sides]
        if max(figures) - min(figures) > body["tolerance"]:
            yield f"{event.where}: {item} is matched by {rule}, of {figures}, within {body['tolerance']}"
        self._open.pop((event.log, item), None)

    def _resolved(self, event: Event) -> Findings:
        body = event.body
        if body["request_id"]:
            yield from self._approved(event)
        elif self._open.get((event.log, body["item"])) == "date":
            yield f"{event.where}: nobody noted that {body['item']} came late"
        self._open.pop((event.log, body["item"]), None)

    def _approved(self, event: Event) -> Findings:
        """Behind a correction stands a request of one person that another approved."""
        request = self._asked.get(event.meta["causation_id"])
        if request is None:
            yield f"{event.where}: {event.name} without a request"
        elif request["requested_by"] == request["approved_by"] or not request["approved_by"]:
            yield f"{event.where}: {event.name} that {request['requested_by']} approved alone"
        elif request["approved_by"] != event.body["approved_by"]:
            yield f"{event.where}: {event.name} says that {event.body['approved_by']} approved it"
        elif abs(_correction(event)) > request["limit"]:
            yield f"{event.where}: {event.name} moves {_correction(event)}, above {request['limit']}"

    def close(self, ended: bool) -> Findings:
        """When all is over nothing differs any more."""
        if ended:
            for (log, item), kind in sorted(self._open.items()):
                yield f"{log}: {item} is open: {kind}"


def _period(body: Body) -> str:
    return f"{body['network']}-{body['currency']}-{body['period']}"


def _correction(event: Event) -> int:
    body = event.body
    if event.name == "DiscrepancyResolved":
        return 0
    return int(body["amount"])


class Counts:
    """What may happen once, and what must."""

    def __init__(self) -> None:
        self._seen: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self._requests: dict[str, str] = {}
        self._answers: Counter[str] = Counter()
        self._requested: dict[str, str] = {}
        self._outcomes: Counter[str] = Counter()
        self._increments: Counter[str] = Counter()

    def take(self, event: Event) -> Findings:
        """Count it."""
        name, body = event.name, event.body
        if name in ONCE:
            what = tuple(body.get(field) for field in ONCE[name])
            if what in self._seen[name]:
                yield f"{event.where}: {name} of {'/'.join(map(str, what))} happens again"
            self._seen[name].add(what)
        match name:
            case "RequestReceived" | "IncrementReceived" | "EvidenceReceived" | "SettingsReceived":
                self._requests[event.event_id] = event.where
            case _ if name in ANSWERS:
                self._answers[event.meta["causation_id"]] += 1
            case "PaymentRequested":
                self._requested[body["payment_id"]] = event.where
            case "IncrementAdmitted":
                self._increments[body["increment_id"]] += 1
            case "AuthorizationIncremented" | "IncrementDeclined":
                self._increments[body["increment_id"]] -= 1
            case "PaymentAuthorized" | "PaymentDeclined":
                self._outcomes[body["payment_id"]] += 1
            case "AuthorizationReversed" if body["reason"] == "timeout":
                self._outcomes[body["payment_id"]] += 1
            case _:
                pass

    def close(self, ended: bool, put_aside: set[str]) -> Findings:
        """One answer to each request, one outcome of each payment; none where it was put aside."""
        if not ended:
            return
        for request, where in self._requests.items():
            if self._answers[request] != (where not in put_aside):
                yield f"{where}: the request {request} has {self._answers[request]} answers"
        for increment, open_ in sorted(self._increments.items()):
            if open_:
                yield f"the increment {increment} has {1 - open_} outcomes"
        for payment in sorted(self._requested | self._outcomes.keys()):
            expected = 0 if self._requested.get(payment) in put_aside else 1
            if self._outcomes[payment] != expected:
                yield f"{payment} has {self._outcomes[payment]} outcomes"


# --- inputs ---------------------------------------------------------------------------------------------


#: Requests that came into the contract later, by the events that hold one kind each.
ALONE = {
    f"{kind}{what}": f"{kind}Request"
    for kind in ("Increment", "Evidence", "Settings")
    for what in ("Received", "Forwarded")
}


class Inputs:
    """What stands on the topics against what the logs say they took: all of it, once, unchanged, in order."""

    def __init__(self, holes: bool) -> None:
        self._holes = holes
        self._topics: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
        self._taken: dict[tuple[str, int, str], dict[int, int]] = defaultdict(dict)
        self._places: dict[tuple[str, int, str, int], str] = {}
        self.put_aside: set[str] = set()
        self.stated: Counter[tuple[str, str]] = Counter()

    @property
    def given(self) -> bool:
        """Whether there are topics to compare with: a log may come alone."""
        return bool(self._topics)

    def stand(self, topic: str, partition: int, offset: int, name: str, content: Body) -> None:
        """A record of a topic."""
        fact = content.get("fact")
        if name == "Handover" and fact is not None:
            name, content = fact[0].rpartition(".")[2], fact[1]
        if name == "BankLineRecorded":
            self.stated[content["account"], content["currency"]] += content["amount"]
        if name == "Tick":
            name, content = "Marker", {"sender": f"requests/{partition}", **content}
        self._topics[topic, partition][offset] = _digest(name, content)

    def take(self, event: Event) -> Findings:
        """What a log says it took."""
        source, body = event.meta["source"], event.body
        if event.name == "MarkersTaken":
            for marker in body["markers"]:
                seen = {field: marker[field] for field in ("sender", "tick", "at", "reference_version")}
                yield from self._note(event, marker, _digest("Marker", seen))
            return
        if source is None:
            return
        if event.name == "EventDeadLettered":
            place = (event.log, event.partition, source["topic"], source["offset"])
            if place in self._places and body["reason"] == "decision_failed":
                self.put_aside.add(self._places[place])  # It was taken, waited, and could not be decided.
                return
            yield from self._note(event, source, 0)
        else:
            self._places[event.log, event.partition, source["topic"], source["offset"]] = event.where
            name = {"ReferenceApplied": "ReferencePublished"}.get(event.name, event.name)
            if name in {"RequestReceived", "RequestForwarded"} and source["topic"] == "payments.requests":
                kind, request = body["request"]
                yield from self._note(event, source, _digest(kind.rpartition(".")[2], request))
            elif name in ALONE and source["topic"] == "payments.requests":
                yield from self._note(event, source, _digest(ALONE[name], body["request"]))
            else:
                yield from self._note(event, source, _digest(name, body))

    def _note(self, event: Event, source: Body, digest: int) -> Findings:
        if source["topic"] not in INPUTS[event.log]:
            yield f"{event.where}: {event.name} came by {source['topic']}, which {event.log} does not read"
        taken = self._taken[event.log, event.partition, source["topic"]]
        before = next(reversed(taken), -1)
        if source["offset"] in taken:
            yield f"{event.where}: {source['topic']} at {source['offset']} is taken again"
            return
        if source["offset"] < before if self._holes else source["offset"] != before + 1:
            yield f"{event.where}: {source['topic']} at {source['offset']} is taken after {before}"
        taken[source["offset"]] = digest

    def close(self, ended: bool) -> Findings:
        """Everything that stands there has been taken as it is."""
        partitions = sorted({(log, partition) for log, partition, _ in self._taken})
        for log, partition in partitions:
            for topic in INPUTS[log]:
                stands = self._topics.get((topic, 0 if topic == "reference" else partition), {})
                taken = self._taken[log, partition, topic]
                for offset, digest in taken.items():
                    if offset not in stands:
                        yield f"{log}/{partition} took {topic} at {offset}, where nothing stands"
                    elif digest and digest != stands[offset]:
                        yield f"{log}/{partition} says of {topic} at {offset} what does not stand there"
                # All records in front of the last one that was taken: where offsets have holes, counting is not enough.
                last = max(taken, default=0)
                passed_over = [offset for offset in stands if offset < last and offset not in taken]
                if passed_over:
                    yield f"{log}/{partition} passed over {topic} at {passed_over[0]}"
                if ended and len(taken) < len(stands):
                    yield f"{log}/{partition} took {len(taken)} of the {len(stands)} records of {topic}"


def _digest(name: str, content: Body) -> int:
    return hash((name, repr(content))) or 1


# --- the audit ------------------------------------------------------------------------------------------


class Audit:
    """All that is looked at; ``findings`` is what does not hold, at most fifty.

    ``holes``: offsets order the records of a partition and do not count them, as on Kafka.
    """

    def __init__(self, *, holes: bool = False) -> None:
        self._holes = holes
        self.findings: list[str] = []
        self.events = 0
        self._reader = Reader()
        self._books = Books()
        self._files = Files()
        self._disputes = Disputes()
        self._choices = Choices()
        self._risks = Risks()
        self._payers = Payers()
        self._labels = Labels()
        self._relearning = Relearning()
        self._exposures = Exposures()
        self._streams = Streams()
        self._counts = Counts()
        self._lists = Lists()
        self._agreement = Agreement()
        self._reviews = Reviews()
        self._inputs = Inputs(holes)
        self._ends: Counter[tuple[str, int]] = Counter()

    def take(self, record: Record) -> None:
        """Look at one record. Those of a partition come in order; partitions and topics in any."""
        topic, partition, offset, value = record
        where = f"{topic}/{partition} at {offset}"
        if offset < self._ends[topic, partition] or (
            offset > self._ends[topic, partition] and not self._holes
        ):
            self._find([f"{where}: it stands behind {self._ends[topic, partition]} records"])
        self._ends[topic, partition] = offset + 1
        try:
            kind, name, content = self._reader.read(value)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of bad bytes, it is a finding
            if topic in LOGS:
                self._find([f"{where}: {type(error).__name__} {error}"])
            else:
                self._inputs.stand(topic, partition, offset, "", {})  # Its log must have put it aside.
            return
        if topic not in LOGS:
            self._inputs.stand(topic, partition, offset, name, content)
            return
        if kind != "event":
            self._find([f"{where}: a {kind} stands in a log"])
            return
        self.events += 1
        event = Event(where, topic, partition, name, content["meta"], content["body"])
        parts = (
            self._streams,
            self._counts,
            self._inputs,
            self._agreement,
            self._books,
            self._files,
            self._disputes,
            self._choices,
            self._risks,
            self._payers,
            self._labels,
            self._relearning,
            self._exposures,
            self._lists,
            self._reviews,
        )
        for part in parts:
            self._find(part.take(event))

    def close(self, *, ended: bool = True) -> list[str]:
        """What does not hold over the whole; ``ended``: every obligation must be over."""
        inputs = self._inputs
        self._find(self._streams.close())
        self._find(self._counts.close(ended, inputs.put_aside))
        self._find(self._agreement.close(ended))
        self._find(self._reviews.close(ended))
        self._find(self._labels.close(ended))
        self._find(self._relearning.close(ended))
        self._find(self._exposures.close(ended))
        self._find(self._lists.close(ended))
        self._find(self._risks.close(ended))
        if inputs.given:
            self._find(inputs.close(ended))
        self._find(self._files.close(ended))
        self._find(self._disputes.close(ended, inputs.put_aside))
        self._find(self._choices.close(ended, inputs.put_aside))
        self._find(self._books.close(ended, inputs.stated if inputs.given and ended else None))
        return self.findings

    def _find(self, findings: Iterable[str]) -> None:
        for finding in findings:
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)


def audit(log: Iterable[Record], *, ended: bool = True, holes: bool = False) -> list[str]:
    """The findings of a whole log, at most fifty."""
    books = Audit(holes=holes)
    for record in log:
        books.take(record)
    return books.close(ended=ended)


def main(arguments: list[str]) -> int:
    """Audit a file, or a house on Kafka."""
    ended = "--open" not in arguments
    (path,) = [argument for argument in arguments if argument != "--open"]
    on_kafka = path.startswith("kafka://")
    books = Audit(holes=on_kafka)
    try:
        bootstrap, _, prefix = path.removeprefix("kafka://").partition("/")
        for record in records_on_kafka(bootstrap, prefix) if on_kafka else records(Path(path)):
            books.take(record)
    except (ValueError, sqlite3.DatabaseError) as error:
        books.findings.append(f"{path}: {error}")
        ended = False
    findings = books.close(ended=ended)
    for finding in findings:
        print(finding)
    print(f"{books.events:,} events audited, {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
