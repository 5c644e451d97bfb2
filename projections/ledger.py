"""The settlement ledger: every leg of every posting, and what they add up to.

Entries are double: within one event and currency they add up to nothing, so ``ledger_imbalance`` is empty or a
defect. Debits are positive, credits negative. An entry on a clearing account carries its item; what an item still
holds is an open residual, and when everything has run its course there is none.
"""

from itertools import chain
from typing import Any, Final

from events.accounts import ACCOUNTS
from events.postings import POSTING, postings
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "ledger"
VERSION: Final = 1

_POSTING: Final = tuple(POSTING)

ENTRIES: Final = Table(
    "ledger_entries",
    "One leg of a posting. The legs of one event add up to 0 in each currency.",
    (
        Column("event_id", "TEXT", "the event that posts; join with events.event_id"),
        Column("leg", "INTEGER", "which leg of the event, from 0"),
        Column("type", "TEXT", "type of the event"),
        Column("account", "TEXT", "full name of the account: class, name, parameters"),
        Column(
            "item", "TEXT", "what must bring the account back to zero; empty on others than clearing accounts"
        ),
        Column("currency", "TEXT", "ISO 4217"),
        Column("amount", "BIGINT", "minor units; debit positive, credit negative"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("log", "TEXT", "the log of the event"),
        Column("partition", "INTEGER", "its partition"),
        Column("position", "BIGINT", "its position"),
    ),
    business=("type", "account", "item", "currency", "amount"),
)
TABLES: Final = (ENTRIES,)

VIEWS: Final = (
    View(
        "ledger_accounts",
        "Chart of accounts. `item` says what must bring an item of a clearing account back to zero.",
        "SELECT * FROM (VALUES "
        + ", ".join(
            f"('{account.code}', '{account.kind}', '{':'.join(account.pattern.split(':')[:2])}',"
            f" '{account.pattern}', {str(account.clearing).upper()}, '{account.item}')"
            for account in ACCOUNTS.values()
        )
        + ") AS chart(code, class, family, pattern, clearing, item)",
    ),
    View(
        "ledger_balances",
        "What stands on every account: minor units, debit positive.",
        """
        SELECT sums.account, chart.class, chart.family, sums.currency, sums.debit, sums.credit, sums.balance,
               sums.entries
        FROM (
            SELECT account, currency,
                   sum(greatest(amount, 0))::BIGINT AS debit, sum(greatest(-amount, 0))::BIGINT AS credit,
                   sum(amount)::BIGINT AS balance, count(*) AS entries
            FROM ledger_entries GROUP BY account, currency
        ) AS sums
        LEFT JOIN ledger_accounts AS chart
        ON chart.family = split_part(sums.account, ':', 1) || ':' || split_part(sums.account, ':', 2)
        """,
    ),
    View(
        "ledger_trial_balance",
        "Debits and credits by family of accounts; the balances of one currency add up to 0.",
        """
        SELECT class, family, currency, sum(debit)::BIGINT AS debit, sum(credit)::BIGINT AS credit,
               sum(balance)::BIGINT AS balance, count(*) AS accounts
        FROM ledger_balances GROUP BY class, family, currency
        """,
    ),
    View(
        "ledger_imbalance",
        "Currencies whose entries do not add up to 0, and by how much. Empty, or there is a defect.",
        """
        SELECT currency, sum(amount)::BIGINT AS imbalance
        FROM ledger_entries GROUP BY currency HAVING sum(amount) <> 0
        """,
    ),
    View(
        "ledger_residuals",
        "Items on clearing accounts that have not come back to zero.",
        """
        SELECT account, item, currency, sum(amount)::BIGINT AS amount,
               min(recorded_at) AS opened_at, max(recorded_at) AS last_moved_at
        FROM ledger_entries WHERE item <> ''
        GROUP BY account, item, currency
        HAVING sum(amount) <> 0
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a leg."""
    rows = Rows.of(ENTRIES)
    events = batch.of_any(_POSTING)
    of_event = [postings(body) for body in events.bodies]
    places = [place for place, legs in enumerate(of_event) for _ in legs]
    if not places:
        return []
    legs = list(chain.from_iterable(of_event))

    def each(values: list[Any]) -> list[Any]:
        """A value of the event for each of its legs."""
        return [values[place] for place in places]

    rows.add(
        len(legs),
        event_id=each(events.event_ids),
        leg=[number for made in of_event for number in range(len(made))],
        type=each(events.types),
        account=[leg.account for leg in legs],
        item=[leg.item for leg in legs],
        currency=[leg.currency for leg in legs],
        amount=[leg.amount for leg in legs],
        recorded_at=each(events.recorded_at),
        log=each(events.topics),
        partition=each(events.partitions),
        position=each(events.positions),
    )
    return [rows]
