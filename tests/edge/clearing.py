"""What leaves for a network, as the tests of its edges need it."""

from typing import Any

from events.clearing import ClearingBatchClosed, ClearingRecordCreated, RecordKind
from events.identity import payment_id
from streams.edge.clearingfile import BatchName, line_of, totals_of
from streams.edge.clearinghouse import ClearingHouse
from tests.streams.builders_early import CARD, NOON, changed, recorded


def record(number: int = 0, **fields: Any) -> ClearingRecordCreated:
    """A capture of 40.00 USD that leaves for Visa."""
    event = ClearingRecordCreated(
        payment_id("shop-1", f"order-{number}", CARD),
        "shop-1",
        "visa",
        f"clr-{number}",
        RecordKind.PRESENTMENT,
        f"cap-{number}",
        f"7411111{number:016d}",
        1,
        4000,
        "USD",
        "visa-USD-20260309",
    )
    return changed(event, **fields)


def cleared(
    house: ClearingHouse, *records: ClearingRecordCreated, partition: int = 0, at: int = NOON
) -> None:
    """Records leave and their batches are closed, at a tick that is not over yet; the cut-off is at noon."""
    for one in records:
        assert not house.see("payments", partition, recorded(one, at=at))
    for name in sorted({BatchName(one.currency, one.batch_id) for one in records}):
        of_it = [one for one in records if one.batch_id == name.batch_id]
        totals = totals_of(name, map(line_of, of_it))
        closed = ClearingBatchClosed(
            of_it[0].network,
            name.currency,
            name.batch_id,
            NOON,
            totals.presentments,
            totals.presented_amount,
            totals.refunds,
            totals.refunded_amount,
        )
        assert not house.see("payments", partition, recorded(closed, at=at))
