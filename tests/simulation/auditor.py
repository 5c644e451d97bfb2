"""An auditor that shares no code with what it audits.

It reads the bytes of a log with fastavro and the published schemas, keeps books of its own from a table of postings of
its own, and says what does not hold. It imports nothing of ours, so a mistake of ours cannot be its mistake too::

    python tests/simulation/auditor.py var/tallystick.db
    python tests/simulation/auditor.py kafka://127.0.0.1:9092/tallystick

prints each finding on a line and ends with exit code 1 when there is one. ``--open`` audits a log whose run has not
ended: nothing is yet held against it for being on its way.

Given a whole log it follows the money from the request to the bank: every record of an input is in the log that takes
it, once and unchanged; every event has a cause and a place in its stream; every posting sums to zero; nothing is
captured that was not authorized or refunded that was not captured; a duplicate does nothing; the bank account is what
the bank's own statements say; and in the end every item on a clearing account is closed.
"""

import hashlib
import io
import json
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fastavro

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
)
#: The four logs, and the topics that each of them takes whole. Partition p takes partition p, and all of "reference".
INPUTS = {
    "intake": ("reference", "intake.inbox", "payments.requests"),
    "payments": ("reference", "network.replies", "network.notices", "payments.inbox"),
    "settlement": ("reference", "settlement.inbox"),
    "reconciliation": ("reference", "reconciliation.inbox", "bank.statements"),
}
LOGS = tuple(INPUTS)
MOST_FINDINGS = 50

Record = tuple[str, int, int, bytes]
Body = dict[str, Any]
Leg = tuple[str, str, int]

#: Accounts whose every item is back at zero when all is over.
CLEARING = frozenset({"AR", "AH", "NU", "NR", "RT", "MP", "PT", "SP", "SU"})


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
    "PaymentCaptured": _captured,
    "CaptureVoided": _moved("MP", "void:{capture_id}", "NU", "{capture_id}"),
    "PaymentVoided": _released,
    "AuthorizationExpired": _released,
    "AuthorizationReversed": _released,
    "ClearingRecordAccepted": _moved("NR", "{cycle}", "NU", "{capture_id}"),
    "CaptureWrittenOff": _written_off,
    "RefundApproved": _moved("MP", "{refund_id}", "RT", "{refund_id}"),
    "RefundCleared": _moved("RT", "{refund_id}", "NR", "{cycle}"),
    "RefundFailed": _moved("RT", "{refund_id}", "MP", "failed:{refund_id}"),
    "InterchangeAssessed": _moved("IX", "", "NR", "{cycle}"),
    "InterchangeReturned": _moved("NR", "{cycle}", "IX", ""),
    "SchemeFeeAssessed": _moved("SF", "", "SP", "{network}-{currency}-{period}"),
    "ProcessingFeeCharged": _moved("MP", "fee:{capture_id}", "PF", ""),
    "FundsMadeAvailable": _entries,
    "MerchantBalanceAdjusted": _moved("MP", "{item}", "MA", "{merchant}"),
    "PayoutInitiated": _moved("MA", "{merchant}", "PT", "{payout_id}"),
    "PayoutReturnCredited": _moved("PT", "{payout_id}", "MA", "{merchant}"),
    "BankLineRecorded": _moved("BK", "{account}", "SU", "{statement_id}/{line}"),
    "NetworkSettlementReceived": _moved("SU", "{statement_id}/{line}", "NR", "{cycle}"),
    "SchemeInvoicePaid": _moved("SP", "{network}-{currency}-{period}", "SU", "{statement_id}/{line}"),
    "PayoutPaid": _moved("PT", "{payout_id}", "SU", "{statement_id}/{line}"),
    "PayoutReturned": _moved("SU", "{statement_id}/{line}", "PT", "{payout_id}"),
}

#: Whose money it is: no event of another log may post to an account of these.
OWNERS = {
    "payments": frozenset({"AR", "AH", "NU", "NR", "RT", "MP", "SP"}),
    "settlement": frozenset({"MP", "MA", "PT"}),
    "reconciliation": frozenset({"BK", "SU", "NR", "SP", "PT"}),
}
EVERYBODYS = frozenset({"IX", "SF", "PF", "LO"})

#: What may happen once to each: an event, and the fields that name what it happens to.
ONCE = {
    "PaymentRequested": ("payment_id",),
    "CaptureRequested": ("capture_id",),
    "RefundRequested": ("refund_id",),
    "RiskAssessed": ("payment_id",),
    "RequestAccepted": ("merchant", "idempotency_key"),
    "AuthorizationSubmitted": ("payment_id", "attempt"),
    "ReversalSubmitted": ("payment_id", "reason", "attempt"),
    "PaymentAuthorized": ("payment_id",),
    "PaymentDeclined": ("payment_id",),
    "PaymentVoided": ("payment_id",),
    "AuthorizationExpired": ("payment_id",),
    "AuthorizationReversed": ("payment_id", "reason"),
    "LateApprovalReceived": ("payment_id", "attempt"),
    "PaymentCaptured": ("capture_id",),
    "CaptureVoided": ("capture_id",),
    "CaptureWrittenOff": ("capture_id",),
    "ClearingRecordCreated": ("record_id",),
    "ClearingRecordAccepted": ("record_id",),
    "RefundCleared": ("record_id",),
    "RefundApproved": ("refund_id",),
    "RefundFailed": ("refund_id",),
    "InterchangeAssessed": ("record_id",),
    "InterchangeReturned": ("record_id",),
    "SchemeFeeAssessed": ("record_id", "fee_id"),
    "ProcessingFeeCharged": ("capture_id",),
    "MerchantEntryReceived": ("merchant", "currency", "item"),
    "MerchantBalanceAdjusted": ("merchant", "currency", "item"),
    "SettlementBatchClosed": ("merchant", "currency", "batch_id"),
    "PayoutInitiated": ("payout_id", "attempt"),
    "BankLineRecorded": ("account", "statement_id", "line"),
    "NetworkSettlementReceived": ("account", "statement_id", "line"),
    "SchemeInvoicePaid": ("account", "statement_id", "line"),
    "PayoutPaid": ("account", "statement_id", "line"),
    "PayoutReturned": ("account", "statement_id", "line"),
}

#: What became of a request: exactly one of them follows it. From all but the first nothing follows.
ANSWERS = ("RequestAccepted", "DuplicateRequestObserved", "IdempotencyConflictObserved", "RequestRejected")
IDLE = frozenset(
    {*ANSWERS[1:], "NetworkReplyUnmatched", "EventDeadLettered", "OperationRejected", "RefundRejected"}
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
    chain, patience = bytes(32), 0
    while True:
        messages = consumer.consume(1_000, timeout=1.0)
        patience = 0 if messages else patience + 1
        if patience > 60:
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

    def take(self, event: Event) -> Findings:
        """Post it, and look at what it leaves."""
        name, body = event.name, event.body
        posting = POSTINGS.get(name)
        if posting is not None:
            yield from self._post(event, posting)
        if "payment_id" in body:
            yield from self._limit(event)
        if "merchant" in body and "currency" in body:
            yield from self._merchant(event)
        if name in {"ClearingRecordAccepted", "RefundCleared"}:
            self._presented[body["record_id"]] = body["amount"]
        if name in {"InterchangeAssessed", "InterchangeReturned"}:
            yield from self._interchange(event)

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
            case "PaymentAuthorized":
                sums["authorized"] += body["approved_amount"]
            case "PaymentCaptured":
                sums["captured"] += body["amount"]
                if body["amount"] > body["hold_released"]:
                    yield f"{where}: {name} releases {body['hold_released']} for {body['amount']}"
            case "CaptureVoided":
                sums["captured"] -= body["amount"]
            case "RefundApproved":
                sums["refunded"] += body["amount"]
            case "RefundFailed":
                sums["refunded"] -= body["amount"]
            case _:
                pass
        sums["released"] += body.get("hold_released", 0)
        for smaller, larger in (
            ("authorized", "requested"),
            ("captured", "authorized"),
            ("refunded", "captured"),
            ("released", "authorized"),
        ):
            if sums[smaller] > sums[larger]:
                yield f"{where}: {name} leaves {smaller} {sums[smaller]} above {larger} {sums[larger]}"
        if name in POSTINGS:
            currency = self._currencies.setdefault(body["payment_id"], body["currency"])
            if body["currency"] != currency:
                yield f"{where}: {name} is in {body['currency']}, the payment in {currency}"
        if name in POSTINGS and min(body.get("amount", 0), body.get("hold_released", 0)) < 0:
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
            case "ProcessingFeeCharged":
                sums["fees"] += body["amount"]
            case "PayoutInitiated":
                sums["paid_out"] += body["amount"]
                left = -self._balances["MA", body["merchant"], body["currency"]]
                if left < 0 or body["amount"] <= 0:
                    yield f"{event.where}: {name} of {body['amount']} leaves {left} available"
            case "PayoutReturnCredited":
                sums["paid_out"] -= body["amount"]
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
        for (account, item, currency), balance in sorted(self._balances.items()):
            if balance and account in CLEARING:
                yield f"{account} of {item} is open with {balance} {currency}"
        for (merchant, currency), sums in sorted(self._merchants.items()):
            available = -self._balances["MA", merchant, currency]
            placed = sums["refunded"] + sums["fees"] + available + sums["paid_out"]
            if sums["captured"] != placed:
                yield f"{merchant}: captured {sums['captured']} {currency}, placed {placed}"


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


class Counts:
    """What may happen once, and what must."""

    def __init__(self) -> None:
        self._seen: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
        self._requests: dict[str, str] = {}
        self._answers: Counter[str] = Counter()
        self._requested: dict[str, str] = {}
        self._outcomes: Counter[str] = Counter()

    def take(self, event: Event) -> Findings:
        """Count it."""
        name, body = event.name, event.body
        if name in ONCE:
            what = tuple(body[field] for field in ONCE[name])
            if what in self._seen[name]:
                yield f"{event.where}: {name} of {'/'.join(map(str, what))} happens again"
            self._seen[name].add(what)
        match name:
            case "RequestReceived":
                self._requests[event.event_id] = event.where
            case _ if name in ANSWERS:
                self._answers[event.meta["causation_id"]] += 1
            case "PaymentRequested":
                self._requested[body["payment_id"]] = event.where
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
        for payment in sorted(self._requested | self._outcomes.keys()):
            expected = 0 if self._requested.get(payment) in put_aside else 1
            if self._outcomes[payment] != expected:
                yield f"{payment} has {self._outcomes[payment]} outcomes"


# --- inputs ---------------------------------------------------------------------------------------------


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
                passed_over = [
                    offset for offset in stands if taken and offset < max(taken) and offset not in taken
                ]
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
        self._streams = Streams()
        self._counts = Counts()
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
        for part in (self._streams, self._counts, self._inputs, self._books):
            self._find(part.take(event))

    def close(self, *, ended: bool = True) -> list[str]:
        """What does not hold over the whole; ``ended``: every obligation must be over."""
        inputs = self._inputs
        self._find(self._streams.close())
        self._find(self._counts.close(ended, inputs.put_aside))
        if inputs.given:
            self._find(inputs.close(ended))
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
