"""The figures of a run: counted in payments, over the whole log."""

from events.authorization import AuthorizationOutcomeUnknown, AuthorizationReversed, ReversalReason
from events.clearing import ClearingRecordRejected, ClearingRejection, RecordKind
from events.intake import DuplicateRequestObserved, Outcome
from projections.report import Amounts, Merchant, Network, report
from tests.projections.stores import Stores, change, day
from tests.projections.story import FEE, Story


def test_a_day_in_figures(stores: Stores) -> None:
    """Twelve payments at three shops, three declined, two shops paid out."""
    story = day(2)
    with stores.filled(story) as store:
        found = report(store)
    counts = found.counts
    assert (counts.payments, counts.authorized, counts.declined) == (12, 9, 3)
    assert (counts.captured, counts.settled, counts.paid_out) == (9, 9, 6)
    assert (counts.unknown, counts.reversed, counts.refunded) == (0, 0, 0)
    assert counts.events == len(story.recorded)
    assert counts.ledger_imbalance == 0
    # One cycle and one invoice that nobody has paid yet, and the payout of the last shop.
    assert counts.open_clearing_residuals == 3
    assert found.by_status == {"paid_out": 6, "declined": 3, "settled": 3}
    assert found.declines == {"insufficient_funds": 3}
    assert found.networks == [Network("visa", 12, 9, 3, 0, 750_000)]
    assert found.top_merchants[0] == Merchant("shop-0", "EUR", 4, 3 * 1_005, 0, 3 * FEE, 3 * (1_005 - FEE))
    captured = sum(1_000 + number for number in range(12) if number % 4 != 3)
    assert found.amounts == {
        "EUR": Amounts(
            requested=sum(range(1_000, 1_012)),
            authorized=captured,
            declined=1_003 + 1_007 + 1_011,
            captured=captured,
            refunded=0,
            disputed=0,
            fees=9 * FEE,
            pending=0,
            available=0,
            reserve=0,
            paid_out=captured - 9 * FEE,
        )
    }
    assert sum(balance.balance for balance in found.balances) == 0


def test_an_unknown_outcome_is_counted_once_for_ever(stores: Stores) -> None:
    """Reversed later, repeated twice: still one payment of each."""
    story = Story()
    payment = story.request(1)
    unknown = AuthorizationOutcomeUnknown(payment, "shop-1", "visa", 1, 1_999, "EUR", 8_000)
    reversal = AuthorizationReversed(payment, "shop-1", "visa", ReversalReason.TIMEOUT, 1_999, 0, "EUR")
    story.in_payments(payment, [unknown, reversal, reversal])
    story.tell("intake", 0, DuplicateRequestObserved("shop-1", "order-1", payment, "mac", Outcome.ACCEPTED))
    with stores.filled(story) as store:
        counts = report(store).counts
    assert (counts.payments, counts.unknown, counts.reversed, counts.authorized) == (1, 1, 1, 0)
    assert counts.duplicates_absorbed == 1


def test_an_imbalance_counts_in_every_currency(stores: Stores) -> None:
    """One integer, so that no currency hides another."""
    story = Story()
    story.sale(1, currency="EUR")
    story.sale(2, currency="JPY")
    with stores.filled(story) as store:
        change(
            store,
            "UPDATE ledger_entries_v1 SET amount = amount + CASE currency WHEN 'EUR' THEN 5 ELSE -3 END WHERE leg = 0"
            " AND type = 'PaymentCaptured'",
        )
        assert report(store).counts.ledger_imbalance == 8


def test_a_rejected_record_shows_in_no_count_of_money(stores: Stores) -> None:
    """It is a step of the payment, and the capture stays open."""
    story = Story()
    capture = story.sale(1)
    payment = story.recorded[2][2].meta.key
    rejected = ClearingRecordRejected(
        payment, "visa", "clr-1", RecordKind.PRESENTMENT, capture, ClearingRejection.INVALID_DATA, True
    )
    story.in_payments(payment, [rejected])
    with stores.filled(story) as store:
        assert report(store).by_status == {"cleared": 1}


def test_an_empty_store_has_a_report(stores: Stores) -> None:
    """Before the first event everything is nothing, and nothing fails."""
    with stores.empty() as store:
        found = report(store)
    assert (found.counts.payments, found.counts.events, found.counts.ledger_imbalance) == (0, 0, 0)
    assert found.amounts == {}
