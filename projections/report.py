"""The figures of a run, read off a store: what happened to how many payments, and where the money is now.

Everything is counted over the whole log and in payments, not in events. Amounts are minor units by currency.
"""

from typing import Any, Final

import msgspec

from projections import ledger
from projections.digest import figures
from projections.port import Database
from projections.reading import records

TOP_MERCHANTS: Final = 5


class Counts(msgspec.Struct, frozen=True):
    """How many payments ever came to something, and what else the logs hold.

    ``authorized`` includes partial approvals, ``captured`` and ``refunded`` what was undone later; ``settled`` are
    payments whose every capture was made available, ``paid_out`` those whose every capture a payout carried that
    was paid. ``discrepancies`` are open ones, ``open_clearing_residuals`` items (with their account and currency)
    that are not back at zero, ``ledger_imbalance`` the sum of the absolute imbalances of all currencies,
    ``money_unplaced`` amounts that are not at exactly one place.
    """

    payments: int
    authorized: int
    declined: int
    unknown: int
    reversed: int
    captured: int
    voided: int
    expired: int
    refunded: int
    disputed: int
    settled: int
    paid_out: int
    events: int
    ledger_imbalance: int
    open_clearing_residuals: int
    money_unplaced: int
    discrepancies: int
    discrepancies_detected: int
    requests_refused: int
    duplicates_absorbed: int
    dead_letters: int


class Amounts(msgspec.Struct, frozen=True):
    """Sums of ``merchant_totals`` in one currency."""

    requested: int
    authorized: int
    declined: int
    captured: int
    refunded: int
    disputed: int
    fees: int
    pending: int
    available: int
    reserve: int
    paid_out: int


class Balance(msgspec.Struct, frozen=True):
    """What stands on one family of accounts in one currency, debit positive."""

    account_class: str
    family: str
    currency: str
    balance: int
    accounts: int


class Merchant(msgspec.Struct, frozen=True):
    """A merchant's part of the day."""

    merchant: str
    currency: str
    payments: int
    captured: int
    refunded: int
    fees: int
    paid_out: int


class Network(msgspec.Struct, frozen=True):
    """What one network answered; ``approval_ppm`` of its payments were authorized."""

    network: str
    payments: int
    authorized: int
    declined: int
    unknown: int
    approval_ppm: int


class Report(msgspec.Struct, frozen=True):
    """Everything that the report of a run shows."""

    counts: Counts
    by_status: dict[str, int]
    amounts: dict[str, Amounts]
    balances: list[Balance]
    networks: list[Network]
    top_merchants: list[Merchant]
    refusals: dict[str, int]
    declines: dict[str, int]
    ledger_digest: str


def report(db: Database) -> Report:
    """All of it. About a second for a million events."""
    return Report(
        counts=counts(db),
        by_status=_by_name(db, "SELECT status, count(*) FROM payments GROUP BY status ORDER BY 2 DESC, 1"),
        amounts=amounts(db),
        balances=balances(db),
        networks=networks(db),
        top_merchants=top_merchants(db),
        refusals=_by_name(
            db, "SELECT reason, count(*) FROM refused_requests GROUP BY reason ORDER BY 2 DESC, 1"
        ),
        declines=_by_name(
            db, "SELECT reason, sum(payments)::BIGINT FROM decline_reasons GROUP BY reason ORDER BY 2 DESC, 1"
        ),
        ledger_digest=ledger_digest(db),
    )


def counts(db: Database) -> Counts:
    """See :class:`Counts`."""
    of_payments = _row(
        db,
        """
        SELECT count(*) AS payments, count(*) FILTER (WHERE was_authorized) AS authorized,
               count(*) FILTER (WHERE was_declined) AS declined, count(*) FILTER (WHERE was_unknown) AS unknown,
               count(*) FILTER (WHERE was_reversed) AS reversed, count(*) FILTER (WHERE was_captured) AS captured,
               count(*) FILTER (WHERE was_voided) AS voided, count(*) FILTER (WHERE was_expired) AS expired,
               count(*) FILTER (WHERE was_refunded) AS refunded,
               count(*) FILTER (WHERE was_disputed) AS disputed, count(*) FILTER (WHERE was_settled) AS settled,
               count(*) FILTER (WHERE was_paid_out) AS paid_out
        FROM payments
        """,
    )
    of_events = _row(
        db,
        """
        SELECT count(*) AS events, count(*) FILTER (WHERE type = 'DuplicateRequestObserved') AS duplicates_absorbed,
               count(*) FILTER (WHERE type IN ('RequestRejected', 'IdempotencyConflictObserved')) AS requests_refused,
               count(*) FILTER (WHERE type = 'EventDeadLettered') AS dead_letters
        FROM events
        """,
    )
    of_books = _row(
        db,
        """
        SELECT (SELECT coalesce(sum(abs(imbalance)), 0)::BIGINT FROM ledger_imbalance) AS ledger_imbalance,
               (SELECT count(*) FROM ledger_residuals) AS open_clearing_residuals,
               (SELECT count(*) FROM money_unplaced) AS money_unplaced,
               (SELECT count(*) FROM discrepancies WHERE NOT resolved) AS discrepancies,
               (SELECT count(*) FROM discrepancies) AS discrepancies_detected
        """,
    )
    return Counts(**of_payments, **of_events, **of_books)


def amounts(db: Database) -> dict[str, Amounts]:
    """The sums over all merchants, by currency."""
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in Amounts.__struct_fields__)
    rows = records(db, f"SELECT currency, {sums} FROM merchant_totals GROUP BY currency ORDER BY currency")
    return {row.pop("currency"): Amounts(**row) for row in rows}


def balances(db: Database) -> list[Balance]:
    """Where the money is: every family of accounts that is not at zero."""
    rows = records(
        db,
        """
        SELECT class AS account_class, family, currency, balance, accounts
        FROM ledger_trial_balance WHERE balance <> 0 ORDER BY currency, account_class, family
        """,
    )
    return [Balance(**row) for row in rows]


def networks(db: Database) -> list[Network]:
    """What each network answered."""
    return [Network(**row) for row in records(db, "SELECT * FROM network_performance ORDER BY network")]


def top_merchants(db: Database, limit: int = TOP_MERCHANTS) -> list[Merchant]:
    """The merchants with the most payments, and what came of these."""
    rows = records(
        db,
        f"""
        SELECT merchant, currency, payments, captured, refunded, fees, paid_out
        FROM merchant_totals
        JOIN (SELECT merchant, currency, count(*) AS payments FROM payment_requests GROUP BY merchant, currency)
             AS asked
        USING (merchant, currency)
        ORDER BY payments DESC, merchant, currency LIMIT {int(limit)}
        """,
    )
    return [Merchant(**row) for row in rows]


def ledger_digest(db: Database) -> str:
    """One number for all entries: the same for two runs of one input, however these were cut up."""
    return figures(db, ledger.ENTRIES).digest


def _by_name(db: Database, sql: str) -> dict[str, int]:
    _, rows = db.fetch(sql)
    return dict(rows)


def _row(db: Database, sql: str) -> dict[str, Any]:
    (row,) = records(db, sql)
    return row
