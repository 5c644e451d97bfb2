"""Every cent at exactly one place: given events, then places; and what is lost or comes twice is found."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import msgspec
import pytest

from events.accounts import AH, DH, HD, MA, MP, MR, NU, PT, RS, RT, code_of
from projections.conservation import DIVISIONS, conservation
from projections.merchants import SETTLEMENT_KINDS
from projections.places import CAPTURE, MERCHANT, OWED, REQUEST, VIEWS
from projections.store import SqlStore
from tests.projections.lives import ASKED, LIVES, SETTLED, told
from tests.projections.stores import Stores, change, day, rows
from tests.projections.story import Story


@pytest.fixture(scope="module")
def lived() -> tuple[Story, dict[str, str]]:
    """See :func:`told`."""
    return told()


@pytest.fixture
def filled(stores: Stores, lived: tuple[Story, dict[str, str]]) -> Iterator[SqlStore]:
    """A store that has all lives."""
    with stores.filled(lived[0]) as store:
        yield store


def by_name(store: SqlStore, sql: str) -> dict[str, dict[str, int]]:
    """Names with their places and amounts."""
    found: dict[str, dict[str, int]] = {}
    for name, place, amount in rows(store, sql):
        found.setdefault(name, {})[place] = amount
    return found


def test_given_events_then_places(filled: SqlStore, lived: tuple[Story, dict[str, str]]) -> None:
    """Of each life: what was asked for is at these places and no others, and nothing is left over."""
    names = {payment: name for name, payment in lived[1].items()}
    requests = by_name(filled, "SELECT request, place, amount FROM money_places WHERE merchant = 'shop-1'")
    assert {names[request]: places for request, places in requests.items() if request in names} == {
        life.name: life.places for life in LIVES
    }
    captures = by_name(filled, "SELECT payment_id, place, amount FROM capture_places")
    assert {names[payment]: places for payment, places in captures.items() if payment in names} == {
        life.name: life.captures for life in LIVES if life.captures
    }
    for life in LIVES:
        [(asked,)] = rows(filled, f"SELECT asked FROM money_asked WHERE request = '{lived[1][life.name]}'")
        assert sum(life.places.values()) == asked >= ASKED
    assert rows(filled, "SELECT * FROM money_unplaced") == []


def test_a_merchants_money_is_at_all_places(filled: SqlStore) -> None:
    """What its payments owe it, divided by settlement; every place there is."""
    found = by_name(filled, "SELECT merchant, place, amount FROM merchant_places WHERE merchant = 'shop-7'")
    assert found["shop-7"] == SETTLED
    assert SETTLED.keys() == {one.place for one in MERCHANT}
    assert rows(
        filled, "SELECT amount FROM money_places WHERE merchant = 'shop-7' AND place = 'merchant'"
    ) == [(sum(SETTLED.values()),)] == [(6_989,)]  # fmt: skip


def test_what_never_became_a_payment_has_a_place(filled: SqlStore) -> None:
    """Also an amount that no payment may have: the sums of it are beyond what a column holds."""
    found = rows(
        filled,
        "SELECT place, amount FROM money_places WHERE place IN ('refused', 'taken') ORDER BY amount",
    )
    assert found == [("refused", 0), ("refused", 77), ("taken", 88), ("refused", 10**18)]
    [refused] = [one for one in conservation(filled).places if one.place == "refused"]
    assert (refused.names, refused.amount) == (3, 10**18 + 77)


def test_every_place_is_known_by_name(filled: SqlStore) -> None:
    """The lives have been at all of them, and the chart has a row for each."""
    charts = dict(zip(DIVISIONS, (REQUEST, CAPTURE, MERCHANT), strict=True))
    for division, view in (
        ("request", "money_places"),
        ("capture", "capture_places"),
        ("merchant", "merchant_places"),
    ):
        been = {place for (place,) in rows(filled, f"SELECT DISTINCT place FROM {view}")}
        listed = rows(filled, f"SELECT place FROM places WHERE division = '{division}' ORDER BY number")
        assert [place for (place,) in listed] == [one.place for one in charts[division]]
        assert been == {one.place for one in charts[division]}


class Undone(Exception):
    """Takes back what a test has done to a store."""


def harmed(store: SqlStore, *statements: str) -> int:
    """How many amounts are not in place after these statements, which are taken back."""
    found = -1
    with suppress(Undone), store._transaction():
        for statement in statements:
            change(store, statement)
        found = len(rows(store, "SELECT * FROM money_unplaced"))
        raise Undone
    return found


def lost(store: SqlStore, table: str, where: str) -> int:
    """See :func:`harmed`: rows are lost."""
    return harmed(store, f"DELETE FROM {store.dialect.tables}{table}_v1 WHERE {where}")


def twice(store: SqlStore, table: str, where: str) -> int:
    """See :func:`harmed`: rows are there twice."""
    name = f"{store.dialect.tables}{table}_v1"
    return harmed(store, f"INSERT INTO {name} SELECT * FROM {name} WHERE {where}")


#: Accounts on which the money of requests and merchants stands.
HELD: Final = {AH, NU, RT, DH, MP, MA, RS, HD, MR, PT}


@pytest.mark.parametrize("harm", [lost, twice])
def test_a_posting_that_is_lost_or_comes_twice_is_found(
    filled: SqlStore, harm: Callable[[SqlStore, str, str], int]
) -> None:
    """Whichever event it was of: one of each type that moves the money of requests."""
    moving = rows(filled, "SELECT type, account, min(event_id) FROM ledger_entries GROUP BY type, account")
    events = {kind: event for kind, account, event in moving if code_of(account) in HELD}
    assert len(events) >= 30
    assert {kind: event for kind, event in events.items() if not harm(filled, "ledger_entries", f"event_id = '{event}'")
            } == {}  # fmt: skip


#: What of the decisions stands against the ledger, by table and the column that says what was decided.
READ: Final = {
    ("merchant_facts", "kind"): {*OWED, *SETTLEMENT_KINDS},
    ("payment_steps", "step"): {"authorized", "declined", "voided", "expired", "released", "written_off"}
    | {"cleared", "refund_cleared", "dispute_lost"},
    ("payout_steps", "step"): {"paid", "returned"},
}


@pytest.mark.parametrize("harm", [lost, twice])
def test_a_decision_that_is_lost_or_comes_twice_is_found(
    filled: SqlStore, harm: Callable[[SqlStore, str, str], int]
) -> None:
    """Whatever the ledger knows the other side of: one of each kind."""
    for (table, column), kinds in READ.items():
        first = dict(rows(filled, f"SELECT {column}, min(event_id) FROM {table} GROUP BY {column}"))
        assert kinds <= first.keys()
        assert {kind for kind in kinds if not harm(filled, table, f"event_id = '{first[kind]}'")} == set()


def test_a_cent_that_is_elsewhere_is_found(filled: SqlStore) -> None:
    """With its name and both amounts."""
    table = f"{filled.dialect.tables}ledger_entries_v1"
    with suppress(Undone), filled._transaction():
        change(filled, f"UPDATE {table} SET amount = amount + 1 WHERE account = 'liab:merchant_reserve:shop-7'"
               " AND type = 'ReserveReleased'")  # fmt: skip
        [one] = conservation(filled).unplaced
        assert msgspec.structs.astuple(one) == ("merchant", "shop-7", "EUR", 6_989, 6_988)
        raise Undone
    assert conservation(filled).unplaced == []


def test_sums_are_of_all_of_one_merchant_or_of_one_payment(
    filled: SqlStore, lived: tuple[Story, dict[str, str]]
) -> None:
    """In the order of a payment's life, each with what it means."""
    whole = conservation(filled)
    assert list(dict.fromkeys(one.division for one in whole.places)) == list(DIVISIONS)
    of_one = conservation(filled, merchant="shop-7").places
    assert {one.place: one.amount for one in of_one if one.division == "merchant"} == SETTLED
    of_payment = conservation(filled, payment=lived[1]["held"]).places
    assert [(one.place, one.names, one.amount) for one in of_payment] == [
        ("not_approved", 1, 300),
        ("on_hold", 1, 700),
    ]
    assert all(one.meaning for one in (*whole.places, *of_one, *of_payment))


def test_a_small_day_is_in_place(stores: Stores) -> None:
    """On any number of partitions the same places."""
    found = []
    for partitions in (1, 3):
        with stores.filled(day(partitions)) as store:
            found.append(sorted(map(repr, rows(store, f"SELECT * FROM {VIEWS[2].name}"))))
            assert conservation(store).unplaced == []
    assert found[0] == found[1] != []
