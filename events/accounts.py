"""The chart of accounts: what the accounts are called, whose they are, and which must come back to zero.

A name is text of the form ``class:name:parameters``, such as ``memo:auth_receivable:visa``. Debits are
positive and credits negative; per event and currency they add up to nothing.

A **clearing** account is kept by item (a payment, a capture, a cycle…): each item comes back to zero once what it
stands for is over. Where two logs own one of them, its balance is the money on its way from one to the other.
Income and expense accounts may be posted by any log, for nobody decides on them.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

PAYMENTS: Final = "payments"
SETTLEMENT: Final = "settlement"
RECONCILIATION: Final = "reconciliation"

AR: Final = "AR"
AH: Final = "AH"
NU: Final = "NU"
NR: Final = "NR"
DR: Final = "DR"
DH: Final = "DH"
RT: Final = "RT"
MP: Final = "MP"
MA: Final = "MA"
RS: Final = "RS"
HD: Final = "HD"
MR: Final = "MR"
PT: Final = "PT"
SP: Final = "SP"
BK: Final = "BK"
SU: Final = "SU"
FX: Final = "FX"
PF: Final = "PF"
DF: Final = "DF"
IX: Final = "IX"
SF: Final = "SF"
LO: Final = "LO"


class Kind(StrEnum):
    """The classes of accounts. Memo accounts stand off the balance sheet."""

    MEMO = "memo"
    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    TRADING = "trading"


class Account(NamedTuple):
    """One row of the chart. ``item`` says what brings a clearing account to zero; empty on all others."""

    code: str
    pattern: str
    kind: Kind
    owners: tuple[str, ...]
    item: str = ""

    @property
    def clearing(self) -> bool:
        """Whether the account is kept by item, and each item must come back to zero."""
        return bool(self.item)


_BOOKS: Final = (
    Account(AR, "memo:auth_receivable:{network}", Kind.MEMO, (PAYMENTS,), "payment"),
    Account(AH, "memo:auth_hold:{merchant}", Kind.MEMO, (PAYMENTS,), "payment"),
    Account(NU, "asset:network_unbilled:{network}", Kind.ASSET, (PAYMENTS,), "capture"),
    Account(
        NR,
        "asset:network_receivable:{network}:{currency}:{cycle}",
        Kind.ASSET,
        (PAYMENTS, RECONCILIATION),
        "cycle",
    ),
    Account(DR, "asset:dispute_recoverable", Kind.ASSET, (PAYMENTS,), "case"),
    Account(DH, "liab:dispute_held", Kind.LIABILITY, (PAYMENTS,), "case"),
    Account(RT, "liab:refund_in_transit", Kind.LIABILITY, (PAYMENTS,), "refund"),
    Account(MP, "liab:merchant_pending:{merchant}", Kind.LIABILITY, (PAYMENTS, SETTLEMENT), "source event"),
    Account(MA, "liab:merchant_available:{merchant}", Kind.LIABILITY, (SETTLEMENT,)),
    Account(RS, "liab:merchant_reserve:{merchant}", Kind.LIABILITY, (SETTLEMENT,)),
    Account(HD, "liab:merchant_hold:{merchant}", Kind.LIABILITY, (SETTLEMENT,)),
    Account(MR, "asset:merchant_receivable:{merchant}", Kind.ASSET, (SETTLEMENT,)),
    Account(PT, "liab:payout_in_transit", Kind.LIABILITY, (SETTLEMENT, RECONCILIATION), "payout"),
    Account(
        SP, "liab:scheme_payable:{network}", Kind.LIABILITY, (PAYMENTS, RECONCILIATION), "invoice period"
    ),
    Account(BK, "asset:bank:{account}", Kind.ASSET, (RECONCILIATION,)),
    Account(SU, "liab:suspense:{account}", Kind.LIABILITY, (RECONCILIATION,), "bank line"),
    Account(FX, "trading:fx:{log}:{currency}", Kind.TRADING, (PAYMENTS,)),
    Account(PF, "income:processing_fee", Kind.INCOME, ()),
    Account(DF, "income:dispute_fee", Kind.INCOME, ()),
    Account(IX, "expense:interchange", Kind.EXPENSE, ()),
    Account(SF, "expense:scheme_fee", Kind.EXPENSE, ()),
    Account(LO, "expense:loss", Kind.EXPENSE, ()),
)

ACCOUNTS: Final[dict[str, Account]] = {account.code: account for account in _BOOKS}
CLEARING: Final = frozenset(account.code for account in _BOOKS if account.clearing)

_FAMILY: Final[dict[str, str]] = {
    account.code: ":".join(account.pattern.split(":")[:2]) for account in _BOOKS
}
_CODE: Final[dict[str, str]] = {family: code for code, family in _FAMILY.items()}


@lru_cache(maxsize=1 << 12)
def name(code: str, *parameters: str) -> str:
    """The account of a code with its parameters filled in, in the order of its pattern.

    Remembered, for the same few thousand names come millions of times. A wrong number of parameters is a
    mistake in the caller: it raises TypeError.
    """
    pattern = ACCOUNTS[code].pattern
    if len(parameters) != pattern.count("{"):
        raise TypeError(f"{pattern} does not take {len(parameters)} parameters")
    return ":".join((_FAMILY[code], *parameters))


def code_of(account: str) -> str:
    """The code of an account's name; KeyError for a name that the chart does not have."""
    return _CODE[":".join(account.split(":", 2)[:2])]


@lru_cache(maxsize=1 << 8)
def bank_account(currency: str) -> str:
    """Our bank account for a currency: ``bank-usd``."""
    return f"bank-{currency.lower()}"


def scheme_item(network: str, currency: str, period: str) -> str:
    """The item of one invoice period: ``visa-USD-2026-W10``."""
    return f"{network}-{currency}-{period}"


def line_item(statement_id: str, line: int) -> str:
    """The item of a bank line: ``bank-usd-2026-03-10/1``."""
    return f"{statement_id}/{line}"
