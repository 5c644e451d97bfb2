"""Commands about the past, on both databases: each says the same as a store that has read no further."""

from tests.infra.asking import Tallystick

BEFORE = "2026-03-02T09:30:00Z"


def test_the_books_balance_in_the_past(ask: Tallystick) -> None:
    """Before the payouts as well as after, and the two differ."""
    then = ask("ledger", "trial-balance", "--as-of", BEFORE, "--json").told
    now = ask("ledger", "trial-balance", "--json").told
    for told in (then, now):
        assert told["imbalance"] == []
        assert sum(row["balance"] for row in told["accounts"]) == 0
    assert "asset:bank" not in {row["family"] for row in then["accounts"]}
    assert "asset:bank" in {row["family"] for row in now["accounts"]}
    assert then["freshness"]["as_of"] == BEFORE
    assert now["freshness"]["as_of"] == ""
    assert then["freshness"]["up_to"] == now["freshness"]["up_to"]


def test_a_payment_stands_where_it_stood(ask: Tallystick) -> None:
    """Its status, and no event of what came later."""
    then = ask("payment", "show", "shop-1/order-1", "--as-of", BEFORE, "--json").told
    now = ask("payment", "show", "shop-1/order-1", "--json").told
    assert (then["payment"]["status"], now["payment"]["status"]) == ("cleared", "paid_out")
    known = [event["event_id"] for event in then["events"]]
    assert set(known) < {event["event_id"] for event in now["events"]}
    assert all(event["recorded_at"] <= BEFORE for event in then["events"])


def test_a_payment_may_not_be_known_yet(ask: Tallystick) -> None:
    """Then it is as unknown as any other."""
    answer = ask("payment", "show", "shop-1/order-1", "--as-of", "2026-03-01")
    assert answer.code == 2
    assert "no payment is called 'shop-1/order-1'" in answer.err


def test_a_merchants_money_is_where_it_was(ask: Tallystick) -> None:
    """Pending first, paid out later; every cent at one place."""
    [then] = ask("merchant", "statement", "shop-1", "--as-of", BEFORE, "--json").told["totals"]
    [now] = ask("merchant", "statement", "shop-1", "--json").told["totals"]
    assert (then["paid_out"], now["pending"]) == (0, 0)
    assert then["pending"] == now["paid_out"] > 0


def test_any_query_can_be_asked_of_the_past(ask: Tallystick) -> None:
    """By position as well; the line beside the answer says which."""
    sql = "SELECT count(*) AS n FROM events WHERE log = 'payments' AND partition = 0"
    answer = ask("query", sql, "--as-of", "payments/0@4", "--format", "table")
    assert answer.shown.split() == ["n", "5"]
    assert "as of payments/0@4; the store holds" in answer.err
    assert "open since" in ask("ledger", "residuals", "--as-of", BEFORE).shown
