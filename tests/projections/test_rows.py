"""Given events, then rows: what each projection makes of the events it knows."""

from datetime import date, datetime

import pytest

from events.authorization import (
    AuthorizationOutcomeUnknown,
    AuthorizationReversed,
    LateApprovalAction,
    LateApprovalReceived,
    ReversalReason,
)
from events.base import Event
from events.calendar import DAY, HOUR
from events.clearing import Bearer, CaptureWrittenOff
from events.disputes import Label
from events.examples import ExampleDrawn, ExamplesLearned
from events.intake import DuplicateRequestObserved, Outcome, RequestRejected, RequestRejection
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import (
    AuthorizationExpired,
    CaptureVoided,
    OperationParked,
    OperationRejected,
    OperationRejection,
    PaymentVoided,
)
from events.partitions import DeadLetterReason, EventDeadLettered
from events.reconciliation import (
    BankLineRecorded,
    DiscrepancyDetected,
    DiscrepancyKind,
    DiscrepancyResolved,
    NetworkSettlementAdvised,
    NetworkSettlementReceived,
    PayoutReturned,
    ReconciliationMatched,
    SchemeInvoicePaid,
)
from events.refunds import RefundApproved, RefundFailed, RefundFailure
from events.requests import Operation
from events.settlement import (
    ClearingResidualAged,
    EntryCause,
    MerchantBalanceAdjusted,
    PayoutReturnCredited,
)
from tests.projections.stores import Stores, change, day, rows
from tests.projections.story import DAY_ON, FEE, MORNING, Story

SHOP = "shop-1"


def test_ledger_entries_are_the_legs_of_each_event(stores: Stores) -> None:
    """One row a leg, numbered within its event, with account, item and where the event stands."""
    story = Story()
    payment = story.request(1)
    authorized = story.authorize(payment)
    with stores.filled(story) as store:
        assert rows(
            store, "SELECT event_id, leg, type, account, item, currency, amount, log FROM ledger_entries"
        ) == [
            (
                authorized,
                0,
                "PaymentAuthorized",
                "memo:auth_receivable:visa",
                payment,
                "EUR",
                1_999,
                "payments",
            ),
            (authorized, 1, "PaymentAuthorized", "memo:auth_hold:shop-1", payment, "EUR", -1_999, "payments"),
        ]


def test_entries_of_every_log_add_up_to_nothing(stores: Stores) -> None:
    """A day's entries balance in every currency, and what is open is named by item."""
    with stores.filled(day()) as store:
        assert rows(store, "SELECT * FROM ledger_imbalance") == []
        assert rows(store, "SELECT sum(balance) FROM ledger_trial_balance") == [(0,)]
        open_items = rows(
            store, "SELECT DISTINCT split_part(account, ':', 2) FROM ledger_residuals ORDER BY 1"
        )
        assert open_items == [("network_receivable",), ("payout_in_transit",), ("scheme_payable",)]


def test_an_imbalance_is_seen(stores: Stores) -> None:
    """The check can fail: an entry that was altered in the file shows."""
    with stores.filled(day()) as store:
        change(store, "UPDATE ledger_entries_v1 SET amount = amount + 7 WHERE leg = 0 AND position = 3")
        assert rows(store, "SELECT * FROM ledger_imbalance") == [("EUR", 7)]


@pytest.mark.parametrize(
    ("status", "then"),
    [
        ("submitted", []),
        ("unknown", ["unknown"]),
        ("reversed", ["unknown", "reversed"]),
        ("reversed", ["unknown", "late", "reversed"]),
        ("authorized", ["authorized"]),
        ("voided", ["authorized", "voided"]),
        ("expired", ["authorized", "expired"]),
        ("cleared", ["authorized", "captured"]),
        ("voided", ["authorized", "captured", "capture_voided", "voided"]),
        ("written_off", ["authorized", "captured", "written_off"]),
        ("settled", ["authorized", "captured", "settled"]),
        ("paid_out", ["authorized", "captured", "settled", "paid"]),
        ("settled", ["authorized", "captured", "settled", "paid", "returned"]),
        ("declined", ["declined"]),
    ],
)
def test_status_is_read_off_the_steps(stores: Stores, status: str, then: list[str]) -> None:
    """Where a payment stands follows from what happened to it, in any of the logs."""
    story = Story()
    payment = story.request(1)
    capture = ""
    for step in then:
        match step:
            case "authorized":
                story.authorize(payment)
            case "declined":
                story.decline(payment)
            case "captured":
                capture = story.capture(payment)
            case "settled":
                story.settle({capture: 1_999})
            case "paid":
                story.bank_pays(1_999 - FEE)
            case "returned":
                _return_payout(story, 1_999 - FEE)
            case _:
                story.in_payments(payment, [_event(step, payment, capture)])
    with stores.filled(story) as store:
        assert rows(store, "SELECT payment_id, status FROM payments") == [(payment, status)]


def _event(step: str, payment: str, capture: str) -> Event:
    match step:
        case "unknown":
            return AuthorizationOutcomeUnknown(payment, SHOP, "visa", 1, 1_999, "EUR", 8_000)
        case "reversed":
            return AuthorizationReversed(payment, SHOP, "visa", ReversalReason.TIMEOUT, 1_999, 0, "EUR")
        case "late":
            return LateApprovalReceived(
                payment, "visa", 1, 1_999, "EUR", LateApprovalAction.COVERED_BY_REVERSAL
            )
        case "voided":
            return PaymentVoided(payment, SHOP, "visa", 0 if capture else 1_999, "EUR")
        case "expired":
            return AuthorizationExpired(payment, SHOP, "visa", 1_999, "EUR")
        case "capture_voided":
            return CaptureVoided(payment, SHOP, "visa", capture, 1_999, "EUR")
        case _:
            return CaptureWrittenOff(payment, SHOP, "visa", capture, 1_999, "EUR", Bearer.MERCHANT)


def _return_payout(story: Story, amount: int) -> None:
    """The bank brings the payout back, and the merchant has it again."""
    account, statement = "bank-eur", "bank-eur-2026-03-04"
    line = BankLineRecorded(account, statement, 1, amount, "EUR", DAY_ON + 2, "RETURN po-1 R03")
    story.in_reconciliation(account, line, sender="bank/0")
    story.in_reconciliation(
        account, PayoutReturned("po-1", SHOP, account, statement, 1, "EUR", amount, "R03")
    )
    story.in_settlement(SHOP, PayoutReturnCredited("po-1", SHOP, "EUR", amount))


def test_a_payment_carries_its_sums_and_what_ever_happened(stores: Stores) -> None:
    """Amounts are net of what was undone; the was_ columns keep what ever was."""
    story = Story()
    payment = story.request(1)
    story.authorize(payment)
    story.capture(payment)
    story.in_payments(
        payment,
        [
            RefundApproved(payment, SHOP, "visa", "ref-a", 500, "EUR"),
            RefundApproved(payment, SHOP, "visa", "ref-b", 300, "EUR"),
            RefundFailed(payment, SHOP, "visa", "ref-b", 300, "EUR", RefundFailure.CLEARING_REJECTED),
        ],
    )
    with stores.filled(story) as store:
        assert rows(
            store,
            "SELECT authorized_amount, captured_amount, refunded_amount, fee_amount, network, bin, last4,"
            " was_authorized, was_captured, was_refunded, was_voided, was_settled FROM payments",
        ) == [(1_999, 1_999, 500, FEE, "visa", "41111111", "1111", True, True, True, False, False)]


def test_operations_that_waited_or_were_refused_are_steps(stores: Stores) -> None:
    """They move no money, and stand in the story."""
    story = Story()
    payment = story.request(1)
    rejected = OperationRejected(payment, SHOP, Operation.VOID, "k", OperationRejection.NOT_AUTHORIZED)
    story.in_payments(payment, [OperationParked(payment, Operation.VOID, "k"), rejected])
    with stores.filled(story) as store:
        steps = rows(
            store, "SELECT step, item, reason, amount FROM payment_steps ORDER BY sequence DESC LIMIT 2"
        )
        assert steps == [("operation_rejected", "void", "not_authorized", 0), ("parked", "", "void", 0)]


def test_merchant_totals_account_for_every_cent(stores: Stores) -> None:
    """captured = refunded + fees + pending + available + reserve + paid_out, whatever stage the money is at."""
    story = Story()
    first, second = story.sale(1, amount=5_000), story.sale(2, amount=3_000)
    payment = story.recorded[2][2].meta.key
    story.in_payments(payment, [RefundApproved(payment, SHOP, "visa", "ref-a", 700, "EUR")])
    story.settle({first: 5_000})
    story.in_settlement(SHOP, MerchantBalanceAdjusted(SHOP, "EUR", "ref-a", EntryCause.REFUND, -700))
    with stores.filled(story) as store:
        names = ("captured", "refunded", "fees", "pending", "available", "reserve", "paid_out")
        [found] = rows(store, f"SELECT {', '.join(names)} FROM merchant_totals")
        assert dict(zip(names, found, strict=True)) == {
            "captured": 8_000,
            "refunded": 700,
            "fees": 2 * FEE,
            "pending": 3_000 - FEE,
            "available": -700,
            "reserve": 0,
            "paid_out": 5_000 - FEE,
        }
        captured, *parts = found
        assert captured == sum(parts)
    assert second


def test_merchant_totals_have_the_published_columns(stores: Stores) -> None:
    """The view is a contract with whoever reads it."""
    with stores.filled(Story()) as store:
        names, _ = store.fetch("SELECT * FROM merchant_totals")
        assert names == [
            *("merchant", "currency", "requested", "authorized", "declined", "captured", "refunded"),
            *("disputed", "fees", "pending", "available", "reserve", "paid_out"),
            *("held", "receivable", "forgiven"),
        ]


def test_merchant_totals_are_the_balances_of_the_ledger(stores: Stores) -> None:
    """Two projections made from different fields of the events agree: pending is MP, available is MA."""
    with stores.filled(day()) as store:
        totals = rows(store, "SELECT merchant, pending, available FROM merchant_totals ORDER BY merchant")
        books = rows(
            store,
            """
            SELECT split_part(account, ':', 3) AS merchant,
                   -sum(balance) FILTER (WHERE family = 'liab:merchant_pending')::BIGINT,
                   -sum(balance) FILTER (WHERE family = 'liab:merchant_available')::BIGINT
            FROM ledger_balances WHERE family LIKE 'liab:merchant_%' GROUP BY merchant ORDER BY merchant
            """,
        )
        assert totals == books
        assert len(totals) == 3


def test_a_write_off_that_we_bear_is_not_the_merchants(stores: Stores) -> None:
    """Only what the merchant bears lessens what it is owed."""
    story = Story()
    capture = story.sale(1)
    payment = story.recorded[2][2].meta.key
    for bearer in (Bearer.US, Bearer.MERCHANT):
        story.in_payments(payment, [CaptureWrittenOff(payment, SHOP, "visa", capture, 100, "EUR", bearer)])
    with stores.filled(story) as store:
        assert rows(store, "SELECT written_off FROM merchant_losses") == [(100,)]
        assert rows(store, "SELECT pending FROM merchant_totals") == [(1_999 - FEE - 100,)]


def test_a_returned_payout_is_available_again(stores: Stores) -> None:
    """A payout has one row that says what became of it; paid_out is what stayed away."""
    story = Story()
    capture = story.sale(1)
    story.settle({capture: 1_999})
    story.bank_pays(1_999 - FEE)
    _return_payout(story, 1_999 - FEE)
    with stores.filled(story) as store:
        assert rows(store, "SELECT payout_id, status, amount, return_code, value_on FROM payouts") == [
            ("po-1", "credited", 1_999 - FEE, "R03", date(2026, 3, 3))
        ]
        assert rows(store, "SELECT available, paid_out FROM merchant_totals") == [(1_999 - FEE, 0)]


def test_a_statement_adds_up_day_by_day(stores: Stores) -> None:
    """The balance at the end of a day is what all days before it left."""
    story = Story()
    first, second = story.sale(1, amount=5_000), story.sale(2, amount=3_000)
    story.settle({first: 5_000})
    story.now += DAY
    story.in_settlement(SHOP, MerchantBalanceAdjusted(SHOP, "EUR", "ref-a", EntryCause.REFUND, -700))
    story.now += DAY
    story.settle({second: 3_000}, payout="po-2")
    with stores.filled(story) as store:
        assert rows(
            store,
            "SELECT day, captures, fees, refunds, other, payouts, returned_payouts, balance"
            " FROM merchant_statement ORDER BY day",
        ) == [
            (date(2026, 3, 2), 5_000, FEE, 0, 0, 5_000 - FEE, 0, 0),
            (date(2026, 3, 3), 0, 0, 700, 0, 0, 0, -700),
            (date(2026, 3, 4), 3_000, FEE, 0, 0, 3_000 - FEE, 0, -700),
        ]


def test_risk_verdicts_keep_what_they_were_made_of(stores: Stores) -> None:
    """Verdict, score, rules, features and the version of the rules in force."""
    story = Story()
    payment = story.request(1)
    with stores.filled(story) as store:
        assert rows(
            store,
            "SELECT payment_id, merchant, verdict, score, rules, rules_version, feature_set, features"
            " FROM risk_verdicts",
        ) == [(payment, SHOP, "allow", 7, "night", 1, 1, "1,2,3")]
        assert rows(store, "SELECT * FROM risk_rule_hits") == [("night", 1, 0)]


def test_a_label_counts_from_two_times_on(stores: Stores) -> None:
    """Under its card, and two hours later under the rest, in every partition; what is taken back is known no more."""
    story = Story(2)
    kept, back = "pay-0001-kept", "pay-0001-back"
    said = [(kept, 1, Label.FRAUD), (back, 1, Label.FRAUD), (back, 2, Label.GENUINE)]
    for payment, number, label in said:
        told = (payment, number, label, SHOP)
        keys = ("ip-1", "", "", MORNING, True)
        story.tell("payments", 0, PaymentLabelled(*told, "card", *keys, 0))
        story.now += 2 * HOUR
        for partition in range(2):
            story.tell("payments", partition, LabelApplied(*told, *keys, story.now - 2 * HOUR, 0))
    with stores.filled(story) as store:
        assert 9 == len(rows(store, "SELECT * FROM risk_labels"))
        assert [(kept, True, True, True)] == rows(
            store,
            "SELECT payment_id, ordinary, paid_at = known_at, known_everywhere_at - known_at = INTERVAL '2 hours'"
            " FROM known_frauds",
        )


def test_what_the_scorecard_learned(stores: Stores) -> None:
    """An example is one row though two logs have it; a batch one a partition, and where they differ it shows."""
    story = Story(2)
    drawn = ExampleDrawn("pay-0001-kept", 1, Label.FRAUD, 1, MORNING, 5, b"\1\2")
    story.tell("payments", 1, drawn)
    story.tell("velocity", 0, drawn)
    for partition in range(2):
        story.tell("payments", partition, ExamplesLearned(1, 5, 1, 1, "ab"))
        story.tell("payments", partition, ExamplesLearned(2, 5, 4, 0, f"{partition}"))
    with stores.filled(story) as store:
        found = rows(store, "SELECT payment_id, number, label, weight, learner FROM scorecard_examples")
        assert [("pay-0001-kept", 1, "fraud", 1, 5)] == found
        learned = (
            "SELECT number, examples, frauds, partitions, agreed FROM scorecard_learning ORDER BY number"
        )
        assert [(1, 1, 1, 2, True), (2, 4, 0, 2, False)] == rows(store, learned)


def test_cycles_show_three_sides_once(stores: Stores) -> None:
    """What the payments log hands to reconciliation is one total, though two logs hold it."""
    story = Story()
    cycle, account = "visa-EUR-2026-03-02", "bank-eur"
    story.cycle_total(0, 1_000)
    story.cycle_total(0, 500)
    story.in_reconciliation(
        account,
        NetworkSettlementAdvised(account, "visa", cycle, "EUR", 2, 1_500, 0, 20, 1_480),
        sender="bank/0",
    )
    with stores.filled(story) as store:
        assert rows(store, "SELECT our_net, network_net, received, agrees FROM cycles") == [
            (1_480, 1_480, 0, False)
        ]
    story.in_reconciliation(
        account, NetworkSettlementReceived(account, "s-1", 1, "visa", cycle, "EUR", 1_480)
    )
    with stores.filled(story) as store:
        assert rows(
            store, "SELECT records, presented, our_net, network_net, received, agrees FROM cycles"
        ) == [(2, 1_500, 1_480, 1_480, 1_480, True)]


def test_a_bank_line_says_what_it_was_taken_for(stores: Stores) -> None:
    """Recognised lines name their item; the others stay on suspense, with an empty use."""
    story = Story()
    account = "bank-eur"
    for line, (amount, reference) in enumerate([(-40, "INVOICE visa EUR 2026-W10"), (7, "thank you")], 1):
        booked = BankLineRecorded(account, "s-1", line, amount, "EUR", DAY_ON, reference)
        story.in_reconciliation(account, booked, sender="bank/0")
    story.in_reconciliation(account, SchemeInvoicePaid(account, "s-1", 1, "visa", "2026-W10", "EUR", 40))
    with stores.filled(story) as store:
        assert rows(
            store, "SELECT line, booked_on, amount, use, item, balance FROM bank_statement ORDER BY line"
        ) == [
            (1, date(2026, 3, 2), -40, "scheme_invoice", "visa-EUR-2026-W10", -40),
            (2, date(2026, 3, 2), 7, "", "", -33),
        ]
        assert rows(store, "SELECT network, currency, period, owed, paid FROM scheme_invoices") == [
            ("visa", "EUR", "2026-W10", 0, 40)
        ]


def test_a_discrepancy_is_open_until_it_is_resolved(stores: Stores) -> None:
    """What was missing and came is resolved; an amount that differs stays."""
    story = Story()
    account = "bank-eur"
    for body in (
        DiscrepancyDetected("cycle-1", DiscrepancyKind.MISSING, "EUR", 100, 0, "BankLineRecorded"),
        DiscrepancyDetected("clr-1", DiscrepancyKind.AMOUNT, "EUR", 100, 90, "ClearingRecordReturned"),
        DiscrepancyResolved("cycle-1", "s-1/1", "EUR", 100),
        ReconciliationMatched("cycle-1", "ours", "bank", "exact", "EUR", 100),
        ClearingResidualAged("liab:refund_in_transit", "ref-1", "EUR", -5, 12, "RefundCleared"),
    ):
        story.in_reconciliation(account, body)
    with stores.filled(story) as store:
        assert rows(
            store, "SELECT item, kind, difference, resolved, resolution FROM discrepancies ORDER BY item"
        ) == [
            ("clr-1", "amount", -10, False, ""),
            ("cycle-1", "missing", -100, True, "s-1/1"),
        ]
        assert rows(store, 'SELECT item, "left", "right", amount FROM reconciliation_matches') == [
            ("cycle-1", "ours", "bank", 100)
        ]
        assert rows(store, "SELECT item, amount, age_days, expected FROM residuals_aged") == [
            ("ref-1", -5, 12, "RefundCleared")
        ]


def test_the_audit_trail_has_every_event_with_who_and_why(stores: Stores) -> None:
    """Nothing is left out: each record's place, name, cause, body and chain value."""
    story = Story()
    payment = story.request(1)
    story.authorize(payment)
    with stores.filled(story) as store:
        log = story.log
        for topic in ("intake", "payments"):
            chains = [stored.chain for stored in log.read(topic, 0, 0, 100)]
            found = rows(store, f"SELECT chain FROM events WHERE log = '{topic}' ORDER BY position")
            assert [chain for (chain,) in found] == chains
        assert rows(
            store,
            "SELECT event_id, type, who, source, causation_id, correlation_id, rules, simulated, recorded_at"
            " FROM events WHERE position = 0 AND log = 'payments'",
        ) == [
            (
                f"{payment}.1",
                "PaymentRequested",
                "intake/0",
                "payments.inbox/0@1",
                "shop-1/order-1.2",
                "shop-1/order-1",
                1,
                True,
                datetime(2026, 3, 2, 9),  # noqa: DTZ001 - DuckDB gives instants without a zone
            )
        ]
        assert rows(store, "SELECT who FROM events WHERE type = 'RequestReceived'") == [("till-7",)]
        assert rows(store, "SELECT body ->> 'auth_code' FROM events WHERE type = 'PaymentAuthorized'") == [
            ("A12345",)
        ]


def test_refused_duplicate_and_dead_inputs_have_views(stores: Stores) -> None:
    """What never became a payment is accounted for too."""
    story = Story()
    for body in (
        RequestRejected(
            SHOP, "k", Operation.PAYMENT, "", RequestRejection.AMOUNT_NOT_POSITIVE, "amount", 0, "EUR", "mac"
        ),
        DuplicateRequestObserved(SHOP, "k2", "pay", "mac", Outcome.ACCEPTED),
        EventDeadLettered(DeadLetterReason.NOT_DECODABLE, "cut\u2028short", 12, "00", "seal-1"),
    ):
        story.tell("intake", 0, body)
    with stores.filled(story) as store:
        assert rows(store, "SELECT merchant, operation, reason, field, amount FROM refused_requests") == [
            (SHOP, "payment", "amount_not_positive", "amount", 0)
        ]
        assert rows(store, "SELECT idempotency_key, outcome FROM duplicate_requests") == [("k2", "accepted")]
        assert rows(store, "SELECT reason, detail, size FROM dead_letters") == [
            ("not_decodable", "cut\u2028short", 12)
        ]
