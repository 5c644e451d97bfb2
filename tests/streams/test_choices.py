"""What merchants choose for themselves: taken once, one answer to each wish that is wrong, and paid accordingly.

Every wish is asked of a whole house, as a producer asks: request in, event out, money on its day.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from events.calendar import DAY, HOUR, weekday
from events.intake import (
    DuplicateRequestObserved,
    IdempotencyConflictObserved,
    RequestAccepted,
    RequestRejected,
    RequestRejection,
)
from events.reference import Reference, SettlementTerms, decode_reference, encode_reference
from events.requests import Operation, PayoutSchedule, SettingsRequest, has_day
from events.settlement import (
    MerchantSettingsChanged,
    MerchantSettingsRejected,
    PayoutInitiated,
    SettingsRejection,
)
from streams.edge.reference import Entry
from streams.features.choices import Choice, in_force
from tests.simulation.stories import SHOP, Story, entries, terms

DAILY, WEEKLY, MONTHLY = PayoutSchedule
R = SettingsRejection
WEDNESDAY: Final = 2


def contract(merchant: str = SHOP, currency: str = "", **fields: object) -> Entry:
    """Terms of settlement to be published."""
    made: Reference = SettlementTerms(merchant, currency, **fields)  # type: ignore[arg-type]
    return Entry("settlement", f"{merchant}/{currency}", made)


def paid_on(story: Story, currency: str = "USD") -> list[int]:
    """The weekdays on which payouts of a currency were sent, in their order."""
    sent = [one for one in story.events if isinstance(one.body, PayoutInitiated)]
    return [
        weekday((one.meta.recorded_at - 6 * HOUR) // DAY)
        for one in sent
        if one.body.currency == currency  # type: ignore[union-attr]
    ]


def test_settings_come_into_force_with_the_next_run() -> None:
    """Sold on Monday, free on Tuesday; paid on the Wednesday that the merchant wants, and said so in one event."""
    with Story() as story:
        story.wants(WEEKLY, WEDNESDAY, 200)
        story.pay(10_000)
        story.end()
        changed = story.the(MerchantSettingsChanged)
        assert (WEEKLY, WEDNESDAY, 200) == (changed.schedule, changed.anchor, changed.minimum_payout)
        assert (DAILY, 0, 0) == (changed.old_schedule, changed.old_anchor, changed.old_minimum_payout)
        assert [WEDNESDAY] == paid_on(story)
        accepted = story.the(RequestAccepted, operation=Operation.SETTINGS)
        assert ("", SHOP) == (accepted.payment_id, accepted.merchant)


def test_a_small_balance_waits_for_the_minimum_of_its_merchant() -> None:
    """Two sales of 10.00 are paid together, where one is not enough."""
    with Story() as story:
        story.wants(DAILY, 0, 1_500)
        story.pay(1_000)
        story.wait(days=3)
        assert [] == story.all(PayoutInitiated)
        story.pay(1_000)
        story.end()
        assert 1_882 == story.the(PayoutInitiated).amount  # less twice 30 and 2.9 %


def test_a_currency_has_settings_of_its_own() -> None:
    """What is said of one holds for it alone; what is said of all holds for the others."""
    with Story() as story:
        story.wants(WEEKLY, WEDNESDAY)
        story.wait(ticks=2)
        story.wants(DAILY, 0, 0, currency="EUR")
        story.wait(ticks=2)
        story.wants(WEEKLY, 4)
        for currency in ("USD", "EUR"):
            story.pay(10_000, currency=currency)
        story.end()
        olds = [
            (one.currency, one.old_schedule, one.old_anchor) for one in story.all(MerchantSettingsChanged)
        ]
        assert [("", DAILY, 0), ("EUR", WEEKLY, WEDNESDAY), ("", WEEKLY, WEDNESDAY)] == olds
        assert [4] == paid_on(story, "USD")
        assert [1] == paid_on(story, "EUR")


Given = Callable[[Story], None]


def plain(story: Story) -> None:
    """No terms but everybody's."""


def bound(story: Story) -> None:
    """The contract leaves the merchant nothing but a weekly schedule."""
    story.publish(contract(schedule=WEEKLY, anchor=4, choices=(WEEKLY,)))
    story.wait(ticks=2)


def chosen(story: Story) -> None:
    """Wednesdays already, by the merchant's own wish."""
    story.wants(WEEKLY, WEDNESDAY, key="before")
    story.wait(hours=2)


# fmt: off
WRONG: list[tuple[Given, PayoutSchedule, int, int, SettingsRejection]] = [
    (bound,  DAILY,   0,         0, R.NOT_ALLOWED),
    (bound,  MONTHLY, 15,        0, R.NOT_ALLOWED),
    (bound,  WEEKLY,  4,         0, R.UNCHANGED),
    (plain,  DAILY,   0,         0, R.UNCHANGED),
    (chosen, WEEKLY,  WEDNESDAY, 0, R.UNCHANGED),
]
# fmt: on


@pytest.mark.parametrize(("given", "schedule", "anchor", "minimum", "reason"), WRONG)
def test_a_wrong_wish_has_one_answer(
    given: Given, schedule: PayoutSchedule, anchor: int, minimum: int, reason: SettingsRejection
) -> None:
    """And changes nothing; asked again, it is the same request and nothing more is said."""
    with Story() as story:
        given(story)
        before = len(story.all(MerchantSettingsChanged))
        wish = SettingsRequest(SHOP, "the-wish", "", schedule, anchor, minimum, story.now, "story", True)
        for _ in range(2):
            story.ask(wish)
            story.wait(hours=2)
        rejected = story.all(MerchantSettingsRejected, idempotency_key="the-wish")
        assert [(schedule, anchor, minimum, reason)] == [
            (one.schedule, one.anchor, one.minimum_payout, one.reason) for one in rejected
        ]
        assert before == len(story.all(MerchantSettingsChanged))
        assert 1 == len(story.all(DuplicateRequestObserved))
        assert story.findings(ended=False) == []


def test_every_reason_has_a_row() -> None:
    """All that a merchant may be answered."""
    assert set(R) == {reason for *_, reason in WRONG}


#: What is refused before anybody looks at the merchant's books, and which field says why.
MALFORMED = {
    "no such weekday": ({"anchor": 7}, RequestRejection.SETTING_MALFORMED, "anchor"),
    "a day of daily": ({"schedule": DAILY, "anchor": 1}, RequestRejection.SETTING_MALFORMED, "anchor"),
    "the 32nd": ({"schedule": MONTHLY, "anchor": 32}, RequestRejection.SETTING_MALFORMED, "anchor"),
    "no day": ({"schedule": MONTHLY, "anchor": 0}, RequestRejection.SETTING_MALFORMED, "anchor"),
    "below zero": ({"minimum_payout": -1}, RequestRejection.SETTING_MALFORMED, "minimum_payout"),
    "beyond": ({"minimum_payout": 10**12 + 1}, RequestRejection.SETTING_MALFORMED, "minimum_payout"),
    "currency": ({"currency": "KWD"}, RequestRejection.CURRENCY_NOT_ACCEPTED, "currency"),
    "nobody": ({"merchant": "nobody"}, RequestRejection.MERCHANT_UNKNOWN, "merchant"),
    "blocked": ({"merchant": "closed"}, RequestRejection.MERCHANT_BLOCKED, "merchant"),
}


@pytest.mark.parametrize(("fields", "reason", "field"), MALFORMED.values(), ids=MALFORMED)
def test_a_wish_that_makes_no_sense(fields: dict[str, object], reason: RequestRejection, field: str) -> None:
    """Nothing of it reaches settlement."""
    with Story(entries(terms(SHOP), terms("closed", blocked=True))) as story:
        wish = SettingsRequest(SHOP, "the-wish", "", WEEKLY, WEDNESDAY, 0, story.now, "story", True)
        story.ask(msgspec.structs.replace(wish, **fields))
        story.wait(hours=2)
        refused = story.the(RequestRejected)
        assert (reason, field, Operation.SETTINGS) == (refused.reason, refused.field, refused.operation)
        assert [] == story.all(MerchantSettingsChanged) == story.all(MerchantSettingsRejected)


def test_the_same_key_with_another_wish() -> None:
    """The first comes into force, the second is a conflict and does nothing."""
    with Story() as story:
        story.wants(WEEKLY, WEDNESDAY, key="one")
        story.wants(WEEKLY, 4, key="one")
        story.wait(hours=2)
        assert WEDNESDAY == story.the(MerchantSettingsChanged).anchor
        assert SHOP == story.the(IdempotencyConflictObserved).merchant


def test_two_wishes_of_one_tick_are_decided_by_their_times() -> None:
    """Whatever their keys are, and on however many partitions: the later one holds."""
    for partitions in (1, 4):
        with Story(partitions=partitions) as story:
            story.wants(WEEKLY, WEDNESDAY, key="z")
            story.wants(WEEKLY, 4, key="a")
            story.wait(hours=2)
            told = [(one.anchor, one.old_anchor) for one in story.all(MerchantSettingsChanged)]
            assert [(WEDNESDAY, 0), (4, WEDNESDAY)] == told
            story.end()


def test_a_contract_that_leaves_no_choice_holds() -> None:
    """The wish waits; when the contract leaves it to the merchant again, it is in force."""
    free, wanted = SettlementTerms(SHOP, schedule=MONTHLY, anchor=15), Choice(WEEKLY, WEDNESDAY, 7)
    bound_ = msgspec.structs.replace(free, choices=(DAILY, MONTHLY))
    assert free == in_force(free, None)
    assert bound_ == in_force(bound_, wanted)
    now = in_force(free, wanted)
    assert (WEEKLY, WEDNESDAY, 7) == (now.schedule, now.anchor, now.minimum_payout)


def test_terms_without_choices_leave_all_of_them() -> None:
    """As those have none that were published before there were any."""
    old = '{"merchant":"shop","schedule":"weekly","anchor":2}'
    read = decode_reference("settlement", old)
    assert isinstance(read, SettlementTerms)
    assert tuple(PayoutSchedule) == read.choices
    assert read == decode_reference("settlement", encode_reference(read))


def test_which_days_schedules_have() -> None:
    """At both ends."""
    assert [True, False] == [has_day(DAILY, day) for day in (0, 1)]
    assert [False, True, True, False] == [has_day(WEEKLY, day) for day in (-1, 0, 6, 7)]
    assert [False, True, True, False] == [has_day(MONTHLY, day) for day in (0, 1, 31, 32)]
