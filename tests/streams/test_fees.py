"""Fees as tables: which row of the fee table fits, what it comes to, and what the merchant pays."""

import pytest

from events.authorization import AuthorizationReversed, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.calendar import DAY
from events.clearing import ClearingRecordAccepted, ClearingRecordCreated, RecordKind, RefundCleared
from events.envelope import Recorded
from events.fees import InterchangeAssessed, InterchangeReturned, ProcessingFeeCharged, SchemeFeeAssessed
from events.lifecycle import PaymentRequested
from events.reference import BinRange, BinTable, FeeTable, InterchangeRate, SchemeRate
from events.requests import Channel
from streams import fees
from tests.streams.builders_early import NOON, PAYMENT, applied, merchant_terms
from tests.streams.builders_late import Table, make

BINS = applied(
    "bins",
    BinTable(
        (BinRange("4", "4", "visa", "US", "credit"), BinRange("402600", "402699", "visa", "US", "debit"))
    ),
)


def fee_table(version: int = 1, scheme: tuple[SchemeRate, ...] = ()) -> Recorded:
    """Rows from the particular to the general."""
    rows = (
        InterchangeRate("visa", "ecommerce", "debit", "WEB-DEBIT", 2_000, 22),
        InterchangeRate("visa", "*", "debit", "DEBIT", 1_000, 21),
        InterchangeRate("visa", "ecommerce", "*", "WEB", 18_000, 10),
        InterchangeRate("visa", "*", "*", "REST", 15_000, 5),
    )
    return applied("fees", FeeTable(version, rows, scheme))


SCHEME = (SchemeRate("visa", "ASSESSMENT", 1_400, 2), SchemeRate("visa", "SWITCH", 0, 1))


def after(*given: Event, table: Recorded | None = None) -> Table:
    result = Table(fees, BINS, merchant_terms(), table or fee_table())
    result.hear_of(*given)
    return result


def interchange(
    program: str, rate_ppm: int, fixed: int, amount: int, **fields: object
) -> InterchangeAssessed:
    return make(InterchangeAssessed, program=program, rate_ppm=rate_ppm, fixed=fixed, amount=amount, **fields)


# fmt: off
FITS = [
    # channel                bin         program      ppm     fixed  of 10.00
    (Channel.ECOMMERCE,     "40265500", "WEB-DEBIT",  2_000,  22,    24),
    (Channel.POINT_OF_SALE, "40265500", "DEBIT",      1_000,  21,    22),
    (Channel.ECOMMERCE,     "41111111", "WEB",        18_000, 10,    28),
    (Channel.RECURRING,     "41111111", "REST",       15_000, 5,     20),
    (Channel.POINT_OF_SALE, "37000000", "REST",       15_000, 5,     20),  # in no range: no funding is known
]
# fmt: on


@pytest.mark.parametrize(("channel", "card_bin", "program", "rate_ppm", "fixed", "amount"), FITS)
def test_the_first_row_that_fits_decides(
    channel: Channel, card_bin: str, program: str, rate_ppm: int, fixed: int, amount: int
) -> None:
    """By network, channel and how the card is funded; a refund gets back by the same row."""
    table = after(make(PaymentRequested, channel=channel, bin=card_bin), make(PaymentAuthorized))
    assert table.comes(make(ClearingRecordAccepted)) == [interchange(program, rate_ppm, fixed, amount)]
    assert table.comes(make(RefundCleared, settlement_amount=1_000)) == [
        make(InterchangeReturned, program=program, rate_ppm=rate_ppm, fixed=fixed, amount=amount)
    ]


def test_a_share_is_rounded_half_to_even_before_the_fixed_part() -> None:
    """1.5 % of 1.00 is one and a half: two; of 0.33 it is nought point four nine five: none."""
    table = after(make(PaymentRequested, channel=Channel.RECURRING))
    assert table.comes(make(ClearingRecordAccepted, settlement_amount=100))[0].amount == 2 + 5
    assert table.comes(make(ClearingRecordAccepted, settlement_amount=33))[0].amount == 0 + 5


def test_scheme_fees_are_noted_by_the_week_of_the_cycle() -> None:
    """One event for each fee of the network, on presentments alone."""
    table = after(make(PaymentRequested), table=fee_table(scheme=SCHEME))
    # A Sunday, noted on the Monday after.
    accepted = make(ClearingRecordAccepted, cycle="visa-USD-2026-03-08")
    assert table.comes(accepted)[1:] == [
        make(SchemeFeeAssessed, fee_id="ASSESSMENT", amount=3, period="2026-W10"),
        make(SchemeFeeAssessed, fee_id="SWITCH", amount=1, period="2026-W10"),
    ]
    assert [type(body) for body in table.comes(make(RefundCleared))] == [InterchangeReturned]


def test_a_cycle_with_another_kind_of_name_counts_for_the_week_it_was_heard_in() -> None:
    """The names are the networks' to give."""
    table = after(make(PaymentRequested), table=fee_table(scheme=SCHEME))
    assert table.comes(make(ClearingRecordAccepted, cycle="0042"))[1].period == "2026-W11"


def test_a_settlement_in_another_currency_is_priced_in_it() -> None:
    """What the issuer keeps comes off what the network pays."""
    table = after(make(PaymentRequested, channel=Channel.RECURRING))
    accepted = make(ClearingRecordAccepted, settlement_amount=900, settlement_currency="EUR")
    assert table.comes(accepted) == [interchange("REST", 15_000, 5, 14 + 5, currency="EUR")]


def test_nothing_is_assessed_where_no_row_fits() -> None:
    """The network's own figure then differs by all of it, and clearing says so."""
    table = after(make(PaymentRequested))
    accepted = make(ClearingRecordAccepted, network="nowhere")
    assert table.comes(accepted) == [interchange("none", 0, 0, 0, network="nowhere")]


# --- the merchant's fee ---------------------------------------------------------------------------------


# fmt: off
CHARGES = [
    ("plan",             make(ClearingRecordCreated),                          [make(ProcessingFeeCharged, amount=59)]),
    ("second time",      make(ClearingRecordCreated, presentment=2),           []),
    ("refund",           make(ClearingRecordCreated, kind=RecordKind.REFUND),  []),
    ("unknown merchant", make(ClearingRecordCreated, merchant="other"),        []),
]
# fmt: on


@pytest.mark.parametrize(("record", "then"), [row[1:] for row in CHARGES], ids=[row[0] for row in CHARGES])
def test_a_capture_is_charged_when_it_is_first_presented(record: Event, then: list[Event]) -> None:
    """30 and 2.9 % of 10.00."""
    assert after(make(PaymentRequested)).comes(record) == then


def test_a_plan_without_a_price_charges_nothing() -> None:
    """No event says nothing."""
    table = Table(fees, merchant_terms(fee_fixed=0, fee_ppm=0))
    assert table.comes(make(ClearingRecordCreated)) == []


def test_a_new_plan_and_table_count_from_when_they_come_into_force() -> None:
    """And each event says which version it went by."""
    table = after(make(PaymentRequested, channel=Channel.RECURRING))
    table.hear(merchant_terms(fee_fixed=1, fee_ppm=0, plan_version=2))
    table.hear(fee_table(version=7))
    assert table.comes(make(ClearingRecordCreated)) == [make(ProcessingFeeCharged, amount=1, plan_version=2)]
    assert table.comes(make(ClearingRecordAccepted))[0].fee_table_version == 7


# --- memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [PaymentDeclined, AuthorizationReversed])
def test_a_payment_that_came_to_nothing_is_forgotten_at_once(ending: type[Event]) -> None:
    """Nothing of it will be presented."""
    assert len(after(make(PaymentRequested), make(ending)).state.profiles) == 0


def test_a_profile_is_kept_for_its_days() -> None:
    """After that only the rows for all can fit."""
    table = after(make(PaymentRequested), make(PaymentAuthorized))
    table.passes(NOON + fees.MEMORY_DAYS * DAY)
    assert PAYMENT in table.state.profiles
    table.passes(NOON + (fees.MEMORY_DAYS + 1) * DAY)
    assert (len(table.state.profiles), table.state.profiles.days) == (0, {})
    assert table.comes(make(RefundCleared))[0].program == "REST"


def test_fees_have_nothing_of_their_own_to_agree_on() -> None:
    """A line for each partition would tell how many there are."""
    assert after(make(PaymentRequested)).summary() == []
