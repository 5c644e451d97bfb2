"""A back-test counts what rules would have said, against counting it payment by payment."""

from collections.abc import Sequence
from typing import Any

import pytest

from events.authorization import NetworkReplyReceived, PaymentAuthorized
from events.envelope import Recorded
from events.errors import LogDamaged
from events.lifecycle import PaymentRequested
from events.reference import Action, RuleBook
from streams.features.rules.catalogue import PLACES
from streams.features.rules.judging import Judge
from streams.features.rules.packs import read_pack
from streams.features.windows import event_time
from streams.forensics.backtest import BackTest, Judged, Label, back_test
from streams.forensics.measuring import Measuring
from streams.hosts.log import Append
from tests.streams.builders_early import NOON, payment_requested, recorded
from tests.streams.forensics.days import authorized, log_of, made_up
from tests.streams.rules.builders import book, rule

REQUEST, ALLOW, BLOCK, REVIEW = Action

PACK = book(
    rule("amount > 60.00 USD", rule_id="large"),
    rule("card.count_1h > 1", REVIEW, rule_id="twice"),
    rule('payment.cvv == "no_match"', REVIEW, rule_id="code"),
    rule("amount / card.declines_24h > 20.00 USD", rule_id="divides"),
    rule("amount > 80.00 USD", ALLOW, rule_id="very-large"),
    rule("device.new", REQUEST, rule_id="device", shadow=True),
)


def judged(
    *partitions: Sequence[Recorded], pack: RuleBook = PACK, **options: Any
) -> tuple[BackTest, list[Judged]]:
    """What came out, and every payment on which a rule fired or failed."""
    rows: list[Judged] = []
    found = back_test(log_of(*partitions), Judge(read_pack(pack), {}), told=rows.append, **options)
    return found, rows


def firsts(events: Sequence[Recorded]) -> dict[str, Recorded]:
    """Each payment by its first request."""
    found: dict[str, Recorded] = {}
    for one in events:
        if isinstance(one.body, PaymentRequested):
            found.setdefault(one.body.payment_id, one)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_are_those_of_single_payments(seed: int) -> None:
    """Rules that need no history, counted by hand: fired, cost, prevented, missed, stopped."""
    events = made_up(seed)
    payments = firsts(events)
    approved = {one.body.payment_id for one in events if isinstance(one.body, PaymentAuthorized)}
    replies = {one.body.payment_id: one.body for one in events if isinstance(one.body, NetworkReplyReceived)}
    labels = {name: Label(number % 3 == 0) for number, name in enumerate(payments)}
    found, rows = judged(events, labels=labels)
    dollars = {name: one.body.amount for name, one in payments.items() if one.body.currency == "USD"}  # type: ignore[attr-defined]
    large = {name for name, amount in dollars.items() if amount > 6_000}
    fired = {figures.rule: figures for figures in found.rules}
    assert ["large", "twice", "divides", "very-large", "device", "code"] == list(fired)
    assert len(payments) == found.payments
    assert len(large) == fired["large"].fired.payments
    assert sum(dollars[name] for name in large) == fired["large"].fired.amounts.get("USD", 0)
    assert len([n for n in large & approved if labels[n].fraud]) == fired["large"].prevented.payments
    assert len([n for n in large & approved if not labels[n].fraud]) == fired["large"].cost.payments
    code = {n for n, reply in replies.items() if reply.cvv_result == "N" and n in approved}
    assert len(code) == fired["code"].fired.payments
    assert fired["divides"].failed > 0
    # `very-large` allows what `large` would block, and `divides` blocks what nothing allows.
    stopped = {row.payment_id for row in rows if row.would == "block"}
    assert stopped >= {name for name in large if dollars[name] <= 8_000}
    assert not {name for name in stopped if dollars[name] > 8_000}
    assert len(stopped) == found.stopped.payments
    assert sum(dollars[name] for name in stopped & approved if not labels[name].fraud) == (
        found.cost.amounts.get("USD", 0)
    )
    assert {name for name in stopped & approved if labels[name].fraud} == {
        row.payment_id for row in rows if row.would == "block" and row.authorized and row.fraud
    }
    assert len(approved) == found.approved.payments
    assert found.prevented.payments + found.missed.payments == sum(labels[name].fraud for name in approved)
    assert found.payments == sum(sum(row.values()) for row in found.decided.values())
    assert found.stopped.payments == sum(row.get("block", 0) for row in found.decided.values())
    assert len([row for row in rows if "device" in row.shadow]) == fired["device"].fired.payments > 0
    assert all("device" not in row.rules for row in rows)


def test_payments_outside_of_the_stretch_are_measured_and_not_judged() -> None:
    """The features of the first one inside are those that it had."""
    events = made_up(2)
    times = sorted(event_time(one.meta.occurred_at, one.meta.ingested_at) for one in firsts(events).values())
    first, end = times[50], times[100]
    whole, all_rows = judged(events)
    part, rows = judged(events, between=(first, end))
    assert sum(first <= at < end for at in times) == part.payments < whole.payments
    assert [row for row in all_rows if first <= row.at < end] == rows
    assert first <= part.first_at <= part.last_at < end


def test_partitions_are_one_history() -> None:
    """A card's payments count wherever they were decided; within one instant, partition by partition."""
    pack = book(rule("card.count_1h > 2"))
    left = [recorded(payment_requested(payment_id=f"a{n}"), at=NOON + 2 * n) for n in range(2)]
    right = [recorded(payment_requested(payment_id=f"b{n}"), at=NOON + 2 * n + 1) for n in range(2)]
    found, rows = judged(left, right, pack=pack)
    assert 4 == found.payments
    assert ["a1", "b1"] == sorted(row.payment_id for row in rows)
    assert {"open": {"allow": 2, "block": 2}} == found.decided


def test_rules_about_who_pays_are_tried_on_what_was_recorded() -> None:
    """No provider is asked: a payment without signals has none, and the speed is that of the recorded places."""
    pack = book(
        rule("card.travel_kmh > 1000", REVIEW, rule_id="travel"),
        rule("account.changes_24h > 1", REQUEST, rule_id="changes"),
        rule('ip.country == "NG" and ip.risk is known', REVIEW, rule_id="country"),
    )
    events = made_up(2)
    measuring, expected = Measuring(), dict.fromkeys(("travel", "changes", "country"), 0)
    for one in events:
        body = one.body
        if not isinstance(body, PaymentRequested):
            measuring.hear(one)
            continue
        taken = measuring.pay(one)
        if taken is None:
            continue
        kmh, changes = (taken[0][PLACES[name]] for name in ("card.travel_kmh", "account.changes_24h"))
        expected["travel"] += isinstance(kmh, int) and kmh > 1000
        expected["changes"] += isinstance(changes, int) and changes > 1
        expected["country"] += body.signals is not None and body.signals.country == "NG"
    found, _ = judged(events, pack=pack)
    assert expected == {figures.rule: figures.fired.payments for figures in found.rules}
    assert min(expected.values()) > 0


def test_a_label_is_seen_by_later_payments_alone() -> None:
    """From the time at which it became known; one without a time is seen by none."""
    pack = book(rule("merchant.frauds_24h > 0"))
    events = [
        event
        for n in range(4)
        for event in (
            recorded(payment_requested(payment_id=f"p{n}"), at=NOON + n),
            recorded(authorized(f"p{n}"), at=NOON + n),
        )
    ]
    _, rows = judged(events, pack=pack, labels={"p0": Label(True, NOON + 2)})
    assert ["p2", "p3"] == [row.payment_id for row in rows]
    for label in (Label(True), Label(True, NOON + 9), Label(False, NOON + 1)):
        assert [] == judged(events, pack=pack, labels={"p0": label})[1]
    # A label for a payment that is nowhere, and one from before its payment.
    assert [] == judged(events, pack=pack, labels={"nobody": Label(True, NOON)})[1]


def test_a_label_from_before_its_payment_waits_for_it() -> None:
    """Nobody can have seen it before; it counts from the next payment on."""
    pack = book(rule("merchant.frauds_24h > 0"))
    events = [recorded(payment_requested(payment_id=f"p{n}"), at=NOON + n) for n in range(3)]
    _, rows = judged(events, pack=pack, labels={"p1": Label(True, NOON - 5)})
    assert ["p2"] == [row.payment_id for row in rows]


def test_a_merchants_own_rules_are_counted_under_its_name() -> None:
    """Beside the house's."""
    house = read_pack(PACK)
    judge = Judge(house, {})
    judge.put_on_top(read_pack(book(rule("amount > 1 minor"), merchant="shop-1"), house), {})
    found = back_test(log_of(made_up(1)), judge)
    own = next(figures for figures in found.rules if figures.rule == "shop-1/rule")
    assert own.fired.payments == sum(
        one.body.merchant == "shop-1"  # type: ignore[attr-defined]
        for one in firsts(made_up(1)).values()
    )
    assert 5 == len(own.examples)


def test_progress_comes_to_its_end() -> None:
    """And is told of the number of events."""
    heard: list[tuple[int, int]] = []
    judged(made_up(3), progress=lambda done, of: heard.append((done, of)))
    assert heard[-1] == (len(made_up(3)), len(made_up(3)))


def test_a_log_that_cannot_be_read_is_damaged() -> None:
    """With the place."""
    log = log_of(made_up(3))
    end = log.end("payments", 0)
    log.commit("test", [Append("payments", 0, NOON, b"\0\0\0\0\1x")], {})
    with pytest.raises(LogDamaged, match=f"payments/0 at {end}: "):
        back_test(log, Judge(read_pack(PACK), {}))
