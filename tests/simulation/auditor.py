"""An auditor that shares no code with what it audits.

It reads the bytes of a log with fastavro and the published schemas, keeps books of its own from a table of postings of
its own, and says what does not hold. It imports nothing of ours, so a mistake of ours cannot be its mistake too::

    python tests/simulation/auditor.py var/tallystick.db

prints each finding on a line and ends with exit code 1 when there is one.
"""

import io
import json
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fastavro

SCHEMAS = Path(__file__).parents[2] / "schemas"
LOGS = ("intake", "payments", "settlement", "reconciliation")
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


# --- reading --------------------------------------------------------------------------------------------


class Reader:
    """Decodes log values by the published schemas alone."""

    def __init__(self) -> None:
        published = json.loads((SCHEMAS / "published.json").read_text("utf-8"))
        rows = published["schemas"] if isinstance(published, dict) else published
        self._names = {row["id"]: (row["name"], row["version"]) for row in rows if row["kind"] == "event"}
        self._schemas: dict[int, Any] = {}

    def event(self, value: bytes) -> tuple[str, Body, Body]:
        """Name, envelope and body of an event; raises ValueError for anything else."""
        if len(value) < 5 or value[0] != 0:
            raise ValueError("no header")
        number = int.from_bytes(value[1:5], "big")
        if number not in self._names:
            raise ValueError(f"no event has the schema {number}")
        name, version = self._names[number]
        schema = self._schemas.get(number)
        if schema is None:
            text = (SCHEMAS / f"{name}.v{version}.avsc").read_text("utf-8")
            schema = self._schemas[number] = fastavro.parse_schema(json.loads(text))
        stream = io.BytesIO(value[5:])
        decoded = fastavro.schemaless_reader(stream, schema, None)
        if stream.read(1):
            raise ValueError(f"{name} has bytes to spare")
        assert isinstance(decoded, dict)
        return name, decoded["meta"], decoded["body"]


def records(path: Path) -> Iterator[Record]:
    """The log records of an embedded log's file, partition by partition in order."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        for packed, value in db.execute("SELECT id, value FROM record ORDER BY id"):
            place, offset = packed >> 41, packed & ((1 << 41) - 1)
            topic = TOPICS[(place >> 12) - 1]
            if topic in LOGS:
                yield topic, place & 0xFFF, offset, value


# --- the audit ------------------------------------------------------------------------------------------


class Audit:
    """Books, payments and streams as the auditor sees them; ``findings`` is what does not hold."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.events = 0
        self._reader = Reader()
        self._balances: dict[tuple[str, str, str], int] = defaultdict(int)
        self._sequences: dict[tuple[str, int, str], int] = defaultdict(int)
        self._ids: set[str] = set()
        self._causes: list[tuple[str, str]] = []
        self._outcomes: Counter[str] = Counter()
        self._requested: set[str] = set()
        self._submitted: Counter[tuple[str, int]] = Counter()
        self._accepted: Counter[tuple[str, str]] = Counter()
        self._sums: dict[str, Counter[str]] = defaultdict(Counter)
        self._merchants: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._bank: Counter[tuple[str, str]] = Counter()

    def take(self, record: Record) -> None:
        """Look at one record of a log."""
        topic, partition, offset, value = record
        where = f"{topic}/{partition} at {offset}"
        try:
            name, meta, body = self._reader.event(value)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of bad bytes, it is a finding
            self._find(f"{where}: {type(error).__name__} {error}")
            return
        self.events += 1
        key, sequence = meta["key"], meta["sequence"]
        self._sequences[topic, partition, key] += 1
        if sequence != self._sequences[topic, partition, key]:
            self._find(
                f"{where}: {key}.{sequence} follows {key}.{self._sequences[topic, partition, key] - 1}"
            )
            self._sequences[topic, partition, key] = sequence
        if f"{key}.{sequence}" in self._ids:
            self._find(f"{where}: {key}.{sequence} is there twice")
        self._ids.add(f"{key}.{sequence}")
        if meta["causation_id"]:
            self._causes.append((f"{key}.{sequence}", meta["causation_id"]))
        self._post(where, name, body)
        self._follow(where, name, body)

    def _post(self, where: str, name: str, body: Body) -> None:
        posting = POSTINGS.get(name)
        if posting is None:
            return
        if body.get("settlement_currency", body["currency"]) != body["currency"]:
            self._find(f"{where}: {name} settles in another currency, which nobody can do yet")
            return
        legs = posting(body)
        if sum(amount for _, _, amount in legs) != 0:
            self._find(f"{where}: the legs of {name} do not sum to zero")
        for account, item, amount in legs:
            self._balances[account, item, body["currency"]] += amount

    def _follow(self, where: str, name: str, body: Body) -> None:
        match name:
            case "RequestAccepted":
                self._accepted[body["merchant"], body["idempotency_key"]] += 1
            case "PaymentRequested":
                self._requested.add(body["payment_id"])
            case "AuthorizationSubmitted":
                self._submitted[body["payment_id"], body["attempt"]] += 1
            case "PaymentAuthorized" | "PaymentDeclined":
                self._outcomes[body["payment_id"]] += 1
            case "AuthorizationReversed" if body["reason"] == "timeout":
                self._outcomes[body["payment_id"]] += 1
            case "BankLineRecorded":
                self._bank[body["account"], body["currency"]] += body["amount"]
            case "PayoutInitiated":
                self._merchants[body["merchant"], body["currency"]]["paid_out"] += body["amount"]
            case "PayoutReturnCredited":
                self._merchants[body["merchant"], body["currency"]]["paid_out"] -= body["amount"]
            case _:
                pass
        self._sum(where, name, body)

    def _sum(self, where: str, name: str, body: Body) -> None:
        """What a payment may never exceed, asked after every event."""
        sums = self._sums[body["payment_id"]] if "payment_id" in body else Counter[str]()
        merchant = self._merchants[body.get("merchant", ""), body.get("currency", "")]
        match name:
            case "PaymentAuthorized":
                sums["authorized"] += body["approved_amount"]
            case "PaymentCaptured" | "CaptureVoided":
                sign = 1 if name == "PaymentCaptured" else -1
                sums["captured"] += sign * body["amount"]
                merchant["captured"] += sign * body["amount"]
            case "CaptureWrittenOff" if body["borne_by"] == "merchant":
                merchant["captured"] -= body["amount"]
            case "RefundApproved" | "RefundFailed":
                sign = 1 if name == "RefundApproved" else -1
                sums["refunded"] += sign * body["amount"]
                merchant["refunded"] += sign * body["amount"]
            case "ProcessingFeeCharged":
                merchant["fees"] += body["amount"]
            case _:
                pass
        sums["released"] += body.get("hold_released", 0)
        for smaller, larger in (
            ("captured", "authorized"),
            ("refunded", "captured"),
            ("released", "authorized"),
        ):
            if sums[smaller] > sums[larger]:
                self._find(f"{where}: {name} leaves {smaller} {sums[smaller]} above {larger} {sums[larger]}")

    def close(self, *, ended: bool = True) -> list[str]:
        """What does not hold over the whole; ``ended``: every obligation must be over."""
        for event, cause in self._causes:
            if cause not in self._ids:
                self._find(f"{event} names {cause} as its cause, which is nowhere")
        for what, count in self._accepted.items():
            if count != 1:
                self._find(f"the request {'/'.join(what)} was accepted {count} times")
        for (payment, attempt), count in self._submitted.items():
            if count != 1:
                self._find(f"attempt {attempt} of {payment} was submitted {count} times")
        for (account, currency), amount in self._bank.items():
            if self._balances["BK", account, currency] != amount:
                self._find(f"the bank account {account} does not equal its statement")
        if ended:
            for payment in sorted(self._requested | self._outcomes.keys()):
                if self._outcomes[payment] != 1:
                    self._find(f"{payment} has {self._outcomes[payment]} outcomes")
            for (account, item, currency), balance in sorted(self._balances.items()):
                if balance and account in CLEARING:
                    self._find(f"{account} of {item} is open with {balance} {currency}")
            self._merchants_balance()
        return self.findings

    def _merchants_balance(self) -> None:
        """With nothing pending, what was captured is refunded, charged, available or paid out."""
        for (merchant, currency), sums in sorted(self._merchants.items()):
            available = -self._balances["MA", merchant, currency]
            placed = sums["refunded"] + sums["fees"] + available + sums["paid_out"]
            if sums["captured"] != placed:
                self._find(f"{merchant}: captured {sums['captured']} {currency}, placed {placed}")

    def _find(self, finding: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)


def audit(log: Iterable[Record], *, ended: bool = True) -> list[str]:
    """The findings of a whole log, at most fifty."""
    books = Audit()
    for record in log:
        books.take(record)
    return books.close(ended=ended)


def main(arguments: list[str]) -> int:
    """Audit a file."""
    books = Audit()
    for record in records(Path(arguments[0])):
        books.take(record)
    findings = books.close()
    for finding in findings:
        print(finding)
    print(f"{books.events:,} events audited, {len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
