"""A key comes on the hotlist at a tick, counts in verdicts, and comes off by time or by hand."""

from typing import Any

import pytest

from events.calendar import HOUR, MINUTE
from events.hotlist import (
    Dimension,
    HotlistAnnounced,
    HotlistApplied,
    HotlistReleased,
    ListedBy,
    ReleaseCause,
    Standing,
)
from events.partitions import ReferenceApplied
from events.reference import HotlistEntry, encode_reference
from events.requests import Channel
from events.risk import RiskAssessed, Verdict
from streams import hotlist, risk
from streams.features import hotlists
from streams.features.hotlists import Hit, Hotlist
from tests.streams.builders_early import CARD, NOON, SHOP, Bench, payment_requested

UNTIL = NOON + 4 * HOUR


def announced(**fields: Any) -> HotlistAnnounced:
    """A limit wants an address blocked."""
    values = {"item": "ip:ip-1", "limit_id": "ip-cards-1h", "standing": Standing.BLOCK, "until_at": UNTIL}
    return HotlistAnnounced(**(values | fields))


def applied(**fields: Any) -> HotlistApplied:
    """It is."""
    values = {
        "item": "ip:ip-1",
        "standing": Standing.BLOCK,
        "listed_by": ListedBy.LIMIT,
        "reason": "ip-cards-1h",
        "author": "",
        "until_at": UNTIL,
    }
    return HotlistApplied(**(values | fields))


def operator(standing: Standing | None, until_at: int = 0) -> ReferenceApplied:
    """An operator lists the address, or lets it go."""
    entry = HotlistEntry(Dimension.IP, "ip-1", standing, until_at, "mk", "seen before")
    return ReferenceApplied("hotlist", "ip:ip-1", 1, "", encode_reference(entry))


def test_what_is_announced_is_in_force_at_the_tick() -> None:
    """And comes off at the first tick at or after its end."""
    ready = Bench(hotlist)
    assert [] == ready.take(announced())
    assert [applied()] == ready.tick(NOON + MINUTE)
    assert [] == ready.tick(UNTIL - 1)
    released = HotlistReleased("ip:ip-1", ListedBy.LIMIT, ReleaseCause.EXPIRED, "ip-cards-1h", "")
    assert [released] == ready.tick(UNTIL)
    assert [] == ready.tick(UNTIL + HOUR)
    assert (ready.state.ends, ready.state.hotlist.items) == ([], {})


def test_what_is_over_before_it_is_in_force_is_not_applied() -> None:
    """A hold may be shorter than the way here."""
    ready = Bench(hotlist)
    ready.take(announced(until_at=NOON + MINUTE))
    assert [] == ready.tick(NOON + MINUTE)


def test_a_hold_that_was_prolonged_ends_with_the_longer_one() -> None:
    """The earlier end passes without a word."""
    ready = Bench(hotlist)
    for until_at in (UNTIL, UNTIL + HOUR):
        ready.take(announced(until_at=until_at))
        assert [applied(until_at=until_at)] == ready.tick(NOON + MINUTE)
    assert [] == ready.tick(UNTIL)
    assert 1 == len(ready.tick(UNTIL + HOUR))


def test_an_operator_and_a_limit_list_each_for_itself() -> None:
    """What one of them ends goes on for the other."""
    ready = Bench(hotlist)
    by_hand = applied(
        listed_by=ListedBy.OPERATOR, reason="seen before", author="mk", standing=Standing.REVIEW, until_at=0
    )
    assert [by_hand] == ready.take(operator(Standing.REVIEW))
    ready.take(announced())
    ready.tick(NOON + MINUTE)
    assert {"limit", "operator"} == set(ready.state.hotlist.items["ip:ip-1"])
    ready.tick(UNTIL)
    assert {"operator"} == set(ready.state.hotlist.items["ip:ip-1"])


def test_an_operator_lets_go_for_all() -> None:
    """And no limit puts it back before the time that he gives, be it announced already."""
    ready = Bench(hotlist)
    ready.take(operator(Standing.BLOCK))
    ready.take(announced())
    ready.tick(NOON + MINUTE)
    released = ready.take(operator(None, UNTIL))
    assert [ListedBy.LIMIT, ListedBy.OPERATOR] == [event.listed_by for event in released]  # type: ignore[attr-defined]
    assert {("mk", "seen before", ReleaseCause.OPERATOR)} == {
        (event.author, event.reason, event.cause)  # type: ignore[attr-defined]
        for event in released
    }
    ready.take(announced(until_at=UNTIL + HOUR))
    assert [] == ready.tick(NOON + 2 * MINUTE)
    ready.take(announced(until_at=UNTIL + HOUR))
    assert 1 == len(ready.tick(UNTIL))


def test_to_let_go_who_is_not_listed_does_nothing() -> None:
    """It only keeps limits away."""
    assert [] == Bench(hotlist).take(operator(None, UNTIL))


# --- what a payment meets -----------------------------------------------------------------------------

KEYS = [
    (f"card:{CARD}", "card"),
    ("ip:ip-1", "ip"),
    ("device:dev-1", "device"),
    ("email:mail-1", "email"),
    (f"merchant:{SHOP}", "merchant"),
]


@pytest.mark.parametrize(("item", "dimension"), KEYS)
@pytest.mark.parametrize("standing", list(Standing))
def test_each_key_of_a_payment_is_looked_up(item: str, dimension: str, standing: Standing) -> None:
    """The rule that hits names the dimension and the limit."""
    lists = Hotlist()
    hotlists.put(lists, applied(item=item, standing=standing, reason="too-many-1h"))
    payment = payment_requested(ip_ref="ip-1", device_ref="dev-1", email_ref="mail-1")
    assert [Hit(f"hotlist:{dimension}:too-many-1h", standing)] == hotlists.hits(lists, payment)
    other = payment_requested(merchant="shop-2", card_id="card-2", ip_ref="ip-2", device_ref="", email_ref="")
    assert [] == hotlists.hits(lists, other)


def test_a_till_is_no_device() -> None:
    """Everybody in the shop pays with it."""
    lists = Hotlist()
    hotlists.put(lists, applied(item="device:till-7"))
    at_the_till = payment_requested(device_ref="till-7", channel=Channel.POINT_OF_SALE)
    assert [] == hotlists.hits(lists, at_the_till)


def test_the_stricter_of_two_counts() -> None:
    """Whoever said it."""
    lists = Hotlist()
    hotlists.put(lists, applied(standing=Standing.REVIEW))
    hotlists.put(lists, applied(listed_by=ListedBy.OPERATOR, reason="known", author="mk"))
    assert [Hit("hotlist:ip:operator", Standing.BLOCK)] == hotlists.hits(
        lists, payment_requested(ip_ref="ip-1")
    )


@pytest.mark.parametrize(
    ("standing", "verdict"), [(Standing.REVIEW, Verdict.REVIEW), (Standing.BLOCK, Verdict.BLOCK)]
)
def test_risk_goes_by_the_hotlist(standing: Standing, verdict: Verdict) -> None:
    """From the event on until it is taken back."""
    bench = Bench(risk)
    bench.take(applied(standing=standing))
    [told] = bench.take(payment_requested(ip_ref="ip-1"))
    assert isinstance(told, RiskAssessed)
    assert (verdict, ["hotlist:ip:ip-cards-1h"]) == (told.verdict, told.rules)
    bench.take(HotlistReleased("ip:ip-1", ListedBy.LIMIT, ReleaseCause.EXPIRED, "", ""))
    [told] = bench.take(payment_requested(payment_id="pay-2", ip_ref="ip-1"))
    assert isinstance(told, RiskAssessed)
    assert (Verdict.ALLOW, []) == (told.verdict, told.rules)
