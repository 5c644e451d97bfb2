"""Reconciliation: our books, the networks' and the bank's side by side, and what does not agree.

What one log hands to another is an event of both; here it counts where it was decided, so nothing counts twice.
"""

from typing import Any, Final

from events.accounts import line_item
from events.base import Event
from events.clearing import ClearingCycleTotalled, SchemePeriodTotalled
from events.corrections import (
    PayoutDifferenceWrittenOff,
    ResolutionRejected,
    ResolutionRequested,
    SchemeInvoiceAdjusted,
    SettlementDifferenceWrittenOff,
    SuspenseOffset,
    SuspenseWrittenOff,
    WriteOffRule,
)
from events.fees import FeeCorrected
from events.payouts import MerchantDebited, MerchantDebitReversed
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyResolved,
    NetworkSettlementAdvised,
    NetworkSettlementReceived,
    PayoutPaid,
    PayoutReturned,
    ReconciliationMatched,
    SchemeInvoicePaid,
)
from events.settlement import ClearingResidualAged
from projections.batch import Batch, Slice
from projections.port import Column, Rows, Table, View

NAME: Final = "reconciliation"
VERSION: Final = 2

_EVENT: Final = (
    Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
    Column("event_id", "TEXT", "the event; join with events.event_id"),
)

CYCLES: Final = Table(
    "cycle_totals",
    "Totals of a network's settlement cycle: ours as partial sums that add up, the network's as it advised them.",
    (
        Column("side", "TEXT", "ours or network"),
        Column("account", "TEXT", "the bank account it settles on"),
        Column("network", "TEXT", "the network"),
        Column("cycle", "TEXT", "network-currency-day"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("records", "BIGINT", "clearing records"),
        Column("presented", "BIGINT", "minor units"),
        Column("refunded", "BIGINT", "minor units"),
        Column("interchange", "BIGINT", "what the network keeps, minor units"),
        Column("disputed", "BIGINT", "what issuers took in disputes less what they gave back, minor units"),
        Column("net", "BIGINT", "presented - refunded - interchange - disputed"),
        *_EVENT,
    ),
    # Ours come in as many parts as there are partitions and ticks: two runs agree on the sums (view `cycles`).
    business=(
        "account",
        "network",
        "cycle",
        "currency",
        "records",
        "presented",
        "refunded",
        "interchange",
        "disputed",
        "net",
    ),
    where="side = 'network'",
)
PERIODS: Final = Table(
    "scheme_totals",
    "What we owe a network in scheme fees for an invoice period, as partial sums that add up.",
    (
        Column("account", "TEXT", "the bank account that pays"),
        Column("network", "TEXT", "the network"),
        Column("period", "TEXT", "ISO week of the invoice"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("records", "BIGINT", "clearing records"),
        Column("amount", "BIGINT", "minor units"),
        *_EVENT,
    ),
    business=("account", "network", "period", "currency", "records", "amount"),
    where="FALSE",
)
LINES: Final = Table(
    "bank_lines",
    "Lines of our bank's statements.",
    (
        Column("account", "TEXT", "our bank account"),
        Column("statement_id", "TEXT", "the statement"),
        Column("line", "INTEGER", "line number"),
        Column("amount", "BIGINT", "minor units, money in positive"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("booked_on", "DATE", "the bank's booking day"),
        Column("reference", "TEXT", "what the bank says it is for"),
        *_EVENT,
    ),
    business=("account", "statement_id", "line", "amount", "currency", "booked_on", "reference"),
)
USES: Final = Table(
    "bank_line_uses",
    "What a bank line was recognised as.",
    (
        Column("statement_id", "TEXT", "the statement"),
        Column("line", "INTEGER", "line number"),
        Column("account", "TEXT", "our bank account"),
        Column(
            "use",
            "TEXT",
            "what it was for; written_off, taken_back and takes_back: for nothing",
        ),
        Column("item", "TEXT", "cycle, invoice period (network-currency-period), payout or line"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units as the event states them"),
        *_EVENT,
    ),
    business=("statement_id", "line", "account", "use", "item", "currency", "amount"),
)
MATCHES: Final = Table(
    "reconciliation_matches",
    "Records of the same thing that agree.",
    (
        Column("item", "TEXT", "what was matched"),
        Column("left", "TEXT", "one record"),
        Column("right", "TEXT", "the other"),
        Column("rule", "TEXT", "the rule that matched them"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units"),
        Column("tolerance", "BIGINT", "by how many minor units they might differ"),
        Column(
            "confidence_ppm",
            "BIGINT",
            "millionths: less than 1,000,000 where they differ within the tolerance",
        ),
        *_EVENT,
    ),
    business=("item", "left", "right", "rule", "currency", "amount", "tolerance", "confidence_ppm"),
)
DISCREPANCIES: Final = Table(
    "discrepancy_steps",
    "Discrepancies found and resolved.",
    (
        Column("item", "TEXT", "what does not agree"),
        Column("step", "TEXT", "detected or resolved"),
        Column("kind", "TEXT", "on detected: docs/reasons.md explains each"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("ours", "BIGINT", "our figure, minor units; of dates days since 1970-01-01"),
        Column("theirs", "BIGINT", "their figure, the same"),
        Column("expected", "TEXT", "on detected: the event that would settle it; on resolved: what did"),
        Column(
            "requested_by", "TEXT", "on resolved: who asked for the correction; empty where nobody had to"
        ),
        Column("approved_by", "TEXT", "on resolved: who approved it"),
        Column("note", "TEXT", "on resolved: why, in their words"),
        Column("log", "TEXT", "the log that holds the item"),
        Column("partition", "INTEGER", "its partition, which takes requests about the item"),
        *_EVENT,
    ),
    business=("item", "step", "kind", "currency", "ours", "theirs", "expected"),
)
RESIDUALS: Final = Table(
    "residuals_aged",
    "Items that stayed open on a clearing account for too long.",
    (
        Column("account", "TEXT", "the clearing account"),
        Column("item", "TEXT", "what is open"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units, debit positive"),
        Column("age_days", "INTEGER", "since it was opened"),
        Column("expected", "TEXT", "the event that would close it"),
        *_EVENT,
    ),
    business=("account", "item", "currency", "amount", "age_days", "expected"),
)
CORRECTIONS: Final = Table(
    "corrections",
    "What was put right in the books: differences written off or adjusted, lines taken back.",
    (
        Column(
            "kind",
            "TEXT",
            "settlement_difference, scheme_invoice, payout_difference, suspense, suspense_offset or fee",
        ),
        Column("item", "TEXT", "cycle, invoice period, payout, bank line or clearing record"),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units as the event states them"),
        Column("rule", "TEXT", "tolerance: nobody was asked; approved: two people; reversal: the bank's own"),
        Column("approved_by", "TEXT", "who approved it; empty where nobody was asked"),
        Column("log", "TEXT", "the log that decided it"),
        *_EVENT,
    ),
    business=("kind", "item", "currency", "amount", "rule", "approved_by"),
)
REQUESTS: Final = Table(
    "resolution_requests",
    "What people asked to be put right, and the requests that were refused.",
    (
        Column("item", "TEXT", "what does not agree"),
        Column("request_id", "TEXT", "the request's own name"),
        Column("step", "TEXT", "requested or rejected; what was done stands in discrepancies"),
        Column("action", "TEXT", "what was wanted: docs/reasons.md explains each"),
        Column("reason", "TEXT", "on rejected: why"),
        Column("requested_by", "TEXT", "who asked"),
        Column("approved_by", "TEXT", "who approved"),
        Column("log", "TEXT", "the log that took it"),
        *_EVENT,
    ),
    business=("item", "request_id", "step", "action", "reason", "requested_by", "approved_by"),
)
TABLES: Final = (CYCLES, PERIODS, LINES, USES, MATCHES, DISCREPANCIES, RESIDUALS, CORRECTIONS, REQUESTS)

VIEWS: Final = (
    View(
        "cycles",
        "Three sides of each settlement cycle: our net, the network's advice, what the bank received; and what was"
        " written off between them.",
        """
        SELECT *, our_net = received + written_off AND (our_net = network_net OR EXISTS (
            SELECT 1 FROM discrepancy_steps AS step
            WHERE step.step = 'resolved' AND step.item = cycle AND step.approved_by <> ''
        )) AS agrees
        FROM (
            SELECT cycle, network, currency,
                   coalesce(sum(records) FILTER (WHERE side = 'ours'), 0)::BIGINT AS records,
                   coalesce(sum(presented) FILTER (WHERE side = 'ours'), 0)::BIGINT AS presented,
                   coalesce(sum(refunded) FILTER (WHERE side = 'ours'), 0)::BIGINT AS refunded,
                   coalesce(sum(interchange) FILTER (WHERE side = 'ours'), 0)::BIGINT AS interchange,
                   coalesce(sum(disputed) FILTER (WHERE side = 'ours'), 0)::BIGINT AS disputed,
                   coalesce(sum(net) FILTER (WHERE side = 'ours'), 0)::BIGINT AS our_net,
                   coalesce(sum(net) FILTER (WHERE side = 'network'), 0)::BIGINT AS network_net,
                   coalesce(sum(net) FILTER (WHERE side = 'bank'), 0)::BIGINT AS received,
                   coalesce(sum(net) FILTER (WHERE side = 'off'), 0)::BIGINT AS written_off
            FROM (
                SELECT side, cycle, network, currency, records, presented, refunded, interchange, disputed, net
                FROM cycle_totals
                UNION ALL
                SELECT 'bank', item, split_part(item, '-', 1), currency, 0, 0, 0, 0, 0, amount
                FROM bank_line_uses WHERE use = 'network_settlement'
                UNION ALL
                SELECT 'off', item, split_part(item, '-', 1), currency, 0, 0, 0, 0, 0, amount
                FROM corrections WHERE kind = 'settlement_difference'
            ) AS sides
            GROUP BY cycle, network, currency
        ) AS totals
        """,
    ),
    View(
        "scheme_invoices",
        "Scheme fees by network and invoice period: what we counted, with adjustments, and what was paid.",
        """
        SELECT network, currency, period, sum(owed)::BIGINT AS owed, sum(paid)::BIGINT AS paid,
               (sum(owed) - sum(paid))::BIGINT AS open
        FROM (
            SELECT network, currency, period, amount AS owed, 0 AS paid FROM scheme_totals
            UNION ALL
            SELECT split_part(item, '-', 1), currency,
                   substr(item, length(split_part(item, '-', 1)) + length(split_part(item, '-', 2)) + 3), 0, amount
            FROM bank_line_uses WHERE use = 'scheme_invoice'
            UNION ALL
            SELECT split_part(item, '-', 1), currency,
                   substr(item, length(split_part(item, '-', 1)) + length(split_part(item, '-', 2)) + 3), amount, 0
            FROM corrections WHERE kind = 'scheme_invoice'
        ) AS sides
        GROUP BY network, currency, period
        """,
    ),
    View(
        "bank_statement",
        "Bank lines with what each was recognised as; an empty use stays on suspense.",
        """
        SELECT line.account, line.statement_id, line.line, line.booked_on, line.amount, line.currency, line.reference,
               coalesce(used.use, '') AS use, coalesce(used.item, '') AS item,
               sum(line.amount) OVER (PARTITION BY line.account, line.currency
                   ORDER BY line.booked_on, line.statement_id, line.line)::BIGINT AS balance
        FROM bank_lines AS line
        LEFT JOIN bank_line_uses AS used USING (account, statement_id, line)
        """,
    ),
    View(
        "discrepancies",
        "Every discrepancy, with whether and how it was resolved.",
        """
        SELECT found.item, found.kind, found.currency, found.ours, found.theirs,
               found.theirs - found.ours AS difference, found.expected, found.log, found.partition,
               found.recorded_at AS detected_at, settled.item IS NOT NULL AS resolved,
               settled.recorded_at AS resolved_at, coalesce(settled.expected, '') AS resolution,
               coalesce(settled.requested_by, '') AS requested_by, coalesce(settled.approved_by, '') AS approved_by,
               coalesce(settled.note, '') AS note
        FROM (SELECT * FROM discrepancy_steps WHERE step = 'detected') AS found
        LEFT JOIN (
            SELECT *, row_number() OVER (PARTITION BY item ORDER BY recorded_at DESC, event_id DESC) AS newest
            FROM discrepancy_steps WHERE step = 'resolved'
        ) AS settled
        ON settled.item = found.item AND settled.newest = 1 AND settled.recorded_at >= found.recorded_at
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a total, bank line, use, match, discrepancy or residual."""
    return [
        _cycles(batch),
        _copied(PERIODS, batch.decided(SchemePeriodTotalled)),
        _copied(LINES, batch.of(BankLineRecorded)),
        _uses(batch),
        _copied(MATCHES, batch.of(ReconciliationMatched)),
        _discrepancies(batch),
        _residuals(batch),
        _corrections(batch),
        _requests(batch),
    ]


def _common(events: Slice[Any]) -> dict[str, list[Any]]:
    return {"recorded_at": events.recorded_at, "event_id": events.event_ids}


def _copied(table: Table, events: Slice[Any]) -> Rows:
    """Rows whose columns are fields of the same names."""
    rows = Rows.of(table)
    rows.add(len(events), **_common(events), **{field: events.get(field) for field in table.business})
    return rows


def _cycles(batch: Batch) -> Rows:
    rows = Rows.of(CYCLES)
    sides: tuple[tuple[str, Slice[Any]], ...] = (
        ("ours", batch.decided(ClearingCycleTotalled)),
        ("network", batch.of(NetworkSettlementAdvised)),
    )
    for side, events in sides:
        fields = {field: events.get(field) for field in CYCLES.business}
        rows.add(len(events), side=side, **_common(events), **fields)
    return rows


def _uses(batch: Batch) -> Rows:
    rows = Rows.of(USES)
    invoices = batch.of(SchemeInvoicePaid)
    named = [f"{body.network}-{body.currency}-{body.period}" for body in invoices.bodies]
    settled, paid, returned = (
        batch.of(NetworkSettlementReceived),
        batch.of(PayoutPaid),
        batch.of(PayoutReturned),
    )
    debited, reversed_ = batch.of(MerchantDebited), batch.of(MerchantDebitReversed)
    off, back = batch.of(SuspenseWrittenOff), batch.of(SuspenseOffset)
    uses: tuple[tuple[str, Slice[Any], list[Any]], ...] = (
        ("network_settlement", settled, settled.get("cycle")),
        ("scheme_invoice", invoices, named),
        ("payout_paid", paid, paid.get("payout_id")),
        ("payout_returned", returned, returned.get("payout_id")),
        ("debit_paid", debited, debited.get("debit_id")),
        ("debit_returned", reversed_, reversed_.get("debit_id")),
        ("written_off", off, [line_item(body.statement_id, body.line) for body in off.bodies]),
        ("taken_back", back, [line_item(body.by_statement_id, body.by_line) for body in back.bodies]),
    )
    for use, events, items in uses:
        fields = {
            field: events.get(field) for field in ("statement_id", "line", "account", "currency", "amount")
        }
        rows.add(len(events), use=use, item=items, **_common(events), **fields)
    # The line that takes the other back is off suspense by the same event.
    rows.add(
        len(back),
        use="takes_back",
        item=[line_item(body.statement_id, body.line) for body in back.bodies],
        statement_id=back.get("by_statement_id"),
        line=back.get("by_line"),
        account=back.get("account"),
        currency=back.get("currency"),
        amount=[-body.amount for body in back.bodies],
        **_common(back),
    )
    return rows


def _discrepancies(batch: Batch) -> Rows:
    rows = Rows.of(DISCREPANCIES)
    found, settled = batch.of(DiscrepancyDetected), batch.of(DiscrepancyResolved)
    rows.add(
        len(found),
        step="detected",
        expected=found.get("expected_event"),
        requested_by="",
        approved_by="",
        note="",
        log=found.topics,
        partition=found.partitions,
        **_common(found),
        **{field: found.get(field) for field in ("item", "kind", "currency", "ours", "theirs")},
    )
    rows.add(
        len(settled),
        item=settled.get("item"),
        step="resolved",
        kind="",
        currency=settled.get("currency"),
        ours=settled.get("amount"),
        theirs=settled.get("amount"),
        expected=settled.get("resolution"),
        requested_by=settled.get("requested_by"),
        approved_by=settled.get("approved_by"),
        note=settled.get("note"),
        log=settled.topics,
        partition=settled.partitions,
        **_common(settled),
    )
    return rows


def _residuals(batch: Batch) -> Rows:
    rows = Rows.of(RESIDUALS)
    events: Slice[Event] = batch.of_any((ClearingResidualAged,))
    fields = ("account", "item", "currency", "amount", "age_days")
    rows.add(
        len(events),
        expected=events.get("expected_event"),
        **_common(events),
        **{field: events.get(field) for field in fields},
    )
    return rows


def _corrections(batch: Batch) -> Rows:
    rows = Rows.of(CORRECTIONS)
    cycles, invoices = batch.of(SettlementDifferenceWrittenOff), batch.of(SchemeInvoiceAdjusted)
    payouts, lines = batch.of(PayoutDifferenceWrittenOff), batch.of(SuspenseWrittenOff)
    back, fees = batch.of(SuspenseOffset), batch.of(FeeCorrected)
    named = [f"{body.network}-{body.currency}-{body.period}" for body in invoices.bodies]
    kinds: tuple[tuple[str, Slice[Any], list[Any]], ...] = (
        ("settlement_difference", cycles, cycles.get("cycle")),
        ("scheme_invoice", invoices, named),
        ("payout_difference", payouts, payouts.get("payout_id")),
        ("suspense", lines, [line_item(body.statement_id, body.line) for body in lines.bodies]),
        ("suspense_offset", back, [line_item(body.statement_id, body.line) for body in back.bodies]),
        ("fee", fees, fees.get("record_id")),
    )
    for kind, events, items in kinds:
        rows.add(
            len(events),
            kind=kind,
            item=items,
            currency=events.get("currency"),
            amount=events.get("amount"),
            rule=[_rule(body) for body in events.bodies],
            approved_by=[getattr(body, "approved_by", "") for body in events.bodies],
            log=events.topics,
            **_common(events),
        )
    return rows


def _rule(body: Any) -> str:
    if isinstance(body, SuspenseOffset):
        return "reversal"
    return str(getattr(body, "rule", WriteOffRule.APPROVED))


def _requests(batch: Batch) -> Rows:
    rows = Rows.of(REQUESTS)
    steps: tuple[tuple[str, Slice[Any]], ...] = (
        ("requested", batch.of(ResolutionRequested)),
        ("rejected", batch.of(ResolutionRejected)),
    )
    for step, events in steps:
        rows.add(
            len(events),
            step=step,
            reason="" if step == "requested" else events.get("reason"),
            log=events.topics,
            **_common(events),
            **{
                field: events.get(field)
                for field in ("item", "request_id", "action", "requested_by", "approved_by")
            },
        )
    return rows
