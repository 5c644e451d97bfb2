"""The chart of accounts: names lead to codes and back, and it is known which accounts must come to zero."""

import pytest

from events import accounts
from events.accounts import ACCOUNTS, CLEARING, Kind, bank_account, code_of, line_item, name, scheme_item

NAMES = [
    ("AR", ("visa",), "memo:auth_receivable:visa"),
    ("AH", ("shop-1",), "memo:auth_hold:shop-1"),
    ("NU", ("visa",), "asset:network_unbilled:visa"),
    ("NR", ("visa", "USD", "visa-USD-2026-03-09"), "asset:network_receivable:visa:USD:visa-USD-2026-03-09"),
    ("DR", (), "asset:dispute_recoverable"),
    ("DH", (), "liab:dispute_held"),
    ("RT", (), "liab:refund_in_transit"),
    ("MP", ("shop-1",), "liab:merchant_pending:shop-1"),
    ("MA", ("shop-1",), "liab:merchant_available:shop-1"),
    ("RS", ("shop-1",), "liab:merchant_reserve:shop-1"),
    ("HD", ("shop-1",), "liab:merchant_hold:shop-1"),
    ("MR", ("shop-1",), "asset:merchant_receivable:shop-1"),
    ("PT", (), "liab:payout_in_transit"),
    ("SP", ("visa",), "liab:scheme_payable:visa"),
    ("BK", ("bank-usd",), "asset:bank:bank-usd"),
    ("SU", ("bank-usd",), "liab:suspense:bank-usd"),
    ("FX", ("payments", "EUR"), "trading:fx:payments:EUR"),
    ("PF", (), "income:processing_fee"),
    ("DF", (), "income:dispute_fee"),
    ("IX", (), "expense:interchange"),
    ("SF", (), "expense:scheme_fee"),
    ("LO", (), "expense:loss"),
]


@pytest.mark.parametrize(("code", "parameters", "expected"), NAMES)
def test_a_name_is_made_from_its_code_and_leads_back(
    code: str, parameters: tuple[str, ...], expected: str
) -> None:
    """Names stand in projections and reports for good."""
    assert name(code, *parameters) == expected
    assert code_of(expected) == code


def test_every_account_has_a_name_above() -> None:
    """An account that is added needs a row."""
    assert sorted(code for code, _, _ in NAMES) == sorted(ACCOUNTS)


def test_clearing_accounts_are_those_of_the_walks() -> None:
    """What must come back to zero, and for which item."""
    assert sorted(CLEARING) == ["AH", "AR", "DH", "DR", "MP", "NR", "NU", "PT", "RT", "SP", "SU"]
    assert {code for code, account in ACCOUNTS.items() if account.clearing} == CLEARING
    assert ACCOUNTS["NR"].item == "cycle"


def test_between_two_logs_there_is_a_clearing_account() -> None:
    """Money on its way from one log to the other must be seen to arrive."""
    shared = {code: account.owners for code, account in ACCOUNTS.items() if len(account.owners) > 1}
    assert shared == {
        "MP": (accounts.PAYMENTS, accounts.SETTLEMENT),
        "NR": (accounts.PAYMENTS, accounts.RECONCILIATION),
        "PT": (accounts.SETTLEMENT, accounts.RECONCILIATION),
        "SP": (accounts.PAYMENTS, accounts.RECONCILIATION),
    }
    assert set(shared) <= CLEARING


def test_nobody_owns_what_nobody_decides_on() -> None:
    """Income and expense may be posted by any log."""
    assert {a.code for a in ACCOUNTS.values() if not a.owners} == {
        a.code for a in ACCOUNTS.values() if a.kind in (Kind.INCOME, Kind.EXPENSE)
    }


@pytest.mark.parametrize(("code", "parameters"), [("AR", ()), ("AR", ("visa", "USD")), ("RT", ("visa",))])
def test_a_wrong_number_of_parameters_is_a_mistake(code: str, parameters: tuple[str, ...]) -> None:
    """Nobody gets an account that the chart does not have."""
    with pytest.raises(TypeError, match="parameters"):
        name(code, *parameters)


@pytest.mark.parametrize("text", ["", "asset", "asset:cash:drawer", "merchant_pending:liab:shop-1"])
def test_an_unknown_name_has_no_code(text: str) -> None:
    """A guess would put money on a wrong account."""
    with pytest.raises(KeyError):
        code_of(text)


def test_items_read_as_documented() -> None:
    """Other logs and people look for these texts."""
    assert bank_account("USD") == "bank-usd"
    assert scheme_item("visa", "USD", "2026-W11") == "visa-USD-2026-W11"
    assert line_item("bank-usd-2026-03-10", 4) == "bank-usd-2026-03-10/4"
