"""Rules as they are published: from their tick on they decide, in the whole house."""

from events.authorization import DeclineReason, PaymentAuthorized, PaymentDeclined
from events.partitions import ReferenceRefused
from events.reference import Action, RuleBook, WrittenRule
from events.risk import RiskAssessed, Verdict
from streams.edge.reference import Entry
from streams.features.rules.catalogue import LANGUAGE
from tests.simulation.stories import SHOP, Story

_REQUEST, _ALLOW, BLOCK, REVIEW = Action


def book(version: int, *rules: tuple[str, Action, str], merchant: str = "", shadow: str = "") -> Entry:
    """A book of (id, action, condition); the rule ``shadow`` names is in shadow."""
    written = tuple(WrittenRule(name, kind, None, when, 10, name == shadow) for name, kind, when in rules)
    return Entry("rulebook", merchant or "standard", RuleBook(LANGUAGE, version, merchant, written, (), ()))


def assessed(story: Story, payment: str) -> tuple[Verdict, int, list[str], list[str]]:
    """What was decided of a payment: verdict, score, rules, rules in shadow."""
    event = story.the(RiskAssessed, payment_id=payment)
    return event.verdict, event.score, event.rules, event.shadow_rules


def test_a_book_decides_from_its_tick_on() -> None:
    """The house's before and behind, a merchant's own on top, one rule in shadow; every account ends at zero."""
    large, very = ("large", BLOCK, "amount > 50.00 USD"), ("very", REVIEW, "amount > 20.00 USD")
    own = ("mine", BLOCK, "amount > 10.00 USD")
    with Story(partitions=2) as story:
        before = story.pay(6_000)
        story.publish(book(1, large, very, shadow="very"), book(1, own, merchant=SHOP))
        same_interval = story.pay(6_000)
        story.wait(hours=1)
        blocked, mine, others, small = (
            story.pay(6_000, merchant="other"),
            story.pay(1_500),
            story.pay(3_000, merchant="other"),
            story.pay(500),
        )
        story.end()
    allowed: tuple[Verdict, int, list[str], list[str]] = (Verdict.ALLOW, 0, [], [])
    assert allowed == assessed(story, before) == assessed(story, same_interval) == assessed(story, small)
    assert (Verdict.BLOCK, 10, ["large"], ["very"]) == assessed(story, blocked)
    assert (Verdict.BLOCK, 10, ["shop/mine"], []) == assessed(story, mine)
    assert (Verdict.ALLOW, 0, [], ["very"]) == assessed(story, others)
    declined = {body.payment_id for body in story.all(PaymentDeclined, reason=DeclineReason.RISK_BLOCKED)}
    assert {blocked, mine} == declined
    assert {before, same_interval, others, small} == {
        body.payment_id for body in story.all(PaymentAuthorized)
    }


def test_a_book_that_cannot_be_used_is_refused_in_every_partition() -> None:
    """And the one before it decides on; its version is not the one that verdicts name."""
    with Story(partitions=2) as story:
        story.publish(book(1, ("large", BLOCK, "amount > 50.00 USD")))
        story.wait(hours=1)
        story.publish(book(2, ("large", BLOCK, "amuont > 70.00 USD")))
        story.wait(hours=1)
        payment = story.pay(6_000)
        story.end()
    assert (Verdict.BLOCK, 10, ["large"], []) == assessed(story, payment)
    refused = story.all(ReferenceRefused)
    assert len(refused) == 2
    assert {("rulebook", "the house's rules: rule large: line 1, column 1: there is no feature amuont")} == {
        (body.kind, body.reason) for body in refused
    }
