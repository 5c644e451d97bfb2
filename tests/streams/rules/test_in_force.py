"""What reference data puts into force; what cannot be used is refused, and what was there stays."""

import msgspec
import pytest

from events.reference import Action, Reference, Rule, RuleBook, RulePack
from events.risk import Verdict
from streams.features.rules import in_force
from streams.features.rules.in_force import InForce, judge_of, put, score_of, verdict_of
from streams.features.rules.judging import Outcome
from streams.features.rules.lists import PACKED_FROM, parts_of
from tests.streams.rules.builders import BEFORE, book, named, payment, rule

REQUEST, ALLOW, BLOCK, REVIEW = Action
NOBODY = "rule rule: line 1, column 12: there is no list @nobody"


def in_use(*contents: Reference) -> InForce:
    """Everything put into force, one after the other, and nothing refused; through a snapshot each time."""
    rules = InForce()
    for content in contents:
        assert put(rules, content) == []
        rules = msgspec.msgpack.decode(msgspec.msgpack.encode(rules), type=InForce)
    return rules


def fired(rules: InForce, merchant: str = "shop", **features: object) -> tuple[str, ...]:
    """The rules that fire before authorization."""
    return judge_of(rules).judge(BEFORE, merchant, payment(**features)).fired


def listed(count: int, prefix: str = "card") -> list[str]:
    """Entries, sorted."""
    return sorted(f"{prefix}-{number}" for number in range(count))


VERDICTS = [
    # kinds that fire, verdict of a book, of a pack of the first kind
    ((), Verdict.ALLOW, Verdict.ALLOW),
    ((REVIEW,), Verdict.REVIEW, Verdict.REVIEW),
    ((BLOCK, REVIEW), Verdict.BLOCK, Verdict.BLOCK),
    ((ALLOW, BLOCK, REVIEW), Verdict.ALLOW, Verdict.BLOCK),
    ((REQUEST,), Verdict.STEP_UP, Verdict.STEP_UP),
    ((REQUEST, REVIEW), Verdict.STEP_UP, Verdict.STEP_UP),
    ((REQUEST, ALLOW, BLOCK), Verdict.STEP_UP, Verdict.BLOCK),
    ((REQUEST, BLOCK, REVIEW), Verdict.BLOCK, Verdict.BLOCK),
]


@pytest.mark.parametrize(("kinds", "of_book", "of_first"), VERDICTS)
def test_verdicts(kinds: tuple[Action, ...], of_book: Verdict, of_first: Verdict) -> None:
    """A book has a fixed order; nobody can authenticate yet, so a request does not stand in the way of a block."""
    assert of_book == verdict_of(in_use(book()), Outcome(kinds))
    assert of_first == verdict_of(in_use(RulePack(1, ())), Outcome(kinds))


@pytest.mark.parametrize(("points", "score"), [(-5, 0), (0, 0), (99, 99), (250, 100)])
def test_the_score_has_bounds(points: int, score: int) -> None:
    """0 is harmless, 100 the most."""
    assert score == score_of(Outcome(points=points))


def test_the_last_one_is_in_force() -> None:
    """A book, a pack of the first kind, a book again."""
    rules = in_use(book(rule("card.new")))
    assert fired(rules, card__new=True) == ("rule",)
    assert put(rules, RulePack(1, (Rule("large", "amount", 10, Verdict.BLOCK, 1),))) == []
    assert fired(rules, card__new=True, amount=11) == ("large",)
    assert put(rules, book(rule("amount > 20 minor", rule_id="larger"), version=2)) == []
    assert fired(rules, card__new=True, amount=11) == ()
    assert fired(rules, amount=21) == ("larger",)


def test_a_merchants_own_stands_on_top() -> None:
    """With the house's thresholds replaced, whether the house's rules were there before or not."""
    house = book(rule("card.count_10m > $few"), few="5")
    own = book(rule("card.count_10m > $few", rule_id="mine"), few="2", merchant="shop")
    late = in_use(house, own)
    assert fired(late, card__count_10m=3) == ("rule", "shop/mine")
    assert fired(late, "other", card__count_10m=3) == ()
    assert fired(in_use(book(rule("card.new", rule_id="x"), merchant="shop")), card__new=True) == ("shop/x",)


def test_what_cannot_be_used_changes_nothing() -> None:
    """The reason names the place; the rules before it decide on."""
    rules = in_use(book(rule("card.new")))
    before = msgspec.msgpack.encode(rules)
    [reason] = put(rules, book(rule("card.nwe"), version=2))
    assert reason == "the house's rules: rule rule: line 1, column 1: there is no feature card.nwe"
    [reason] = put(rules, book(rule("card.id in @nobody"), version=2))
    assert "there is no list @nobody" in reason
    [reason] = put(rules, book(rule("card.new", ALLOW), merchant="shop"))
    assert reason == "the rules of shop: rule rule: a merchant's own rules cannot allow"
    assert before == msgspec.msgpack.encode(rules)


def test_a_merchants_own_that_no_longer_fits_is_named_and_dropped() -> None:
    """The house's new threshold is money, the merchant's a number; the others stay."""
    rules = in_use(
        book(few="5"),
        book(rule("card.count_10m > $few"), few="2", merchant="shop"),
        book(rule("card.new", rule_id="mine"), merchant="other"),
    )
    [reason] = put(rules, book(few="5.00 USD", version=2))
    assert reason.startswith("the rules of shop: threshold $few: the house has money")
    assert fired(rules, card__count_10m=3) == ()
    assert fired(rules, "other", card__new=True) == ("other/mine",)


# --- lists ----------------------------------------------------------------------------------------------


def listing(entries: list[str], **fields: object) -> RuleBook:
    """A book with a rule on a list of these cards."""
    return book(rule("card.id in @cards"), lists=(named("cards", "card", *entries),), **fields)


@pytest.mark.parametrize("count", [0, 3, PACKED_FROM])
def test_a_book_takes_its_lists_along(count: int) -> None:
    """They come in parts before it, in any order; a long one is packed."""
    entries = listed(count)
    parts = list(parts_of(entries))
    assert len(parts) == (1 if count < PACKED_FROM else 2)
    rules = in_use(*reversed(parts), listing(entries))
    for entry in entries[:3] + entries[-3:]:
        assert fired(rules, card__id=entry) == ("rule",)
    assert fired(rules, card__id="somebody") == ()


def test_a_book_whose_list_has_not_come_is_refused() -> None:
    """In whole or in part; with the rest of it, it is in force."""
    entries = listed(PACKED_FROM)
    first, *others = parts_of(entries)
    rules = in_use(first)
    [reason] = put(rules, listing(entries))
    assert reason.startswith("the house's rules: list @cards: its entries (")
    for part in others:
        assert put(rules, part) == []
    assert put(rules, listing(entries)) == []
    assert fired(rules, card__id="card-7") == ("rule",)


def test_a_list_that_is_not_what_its_hash_says_is_refused() -> None:
    """So are parts that do not fit together."""
    [part] = parts_of(["card-1"])
    forged = msgspec.structs.replace(part, entries=("card-2",))
    rules = in_use(forged)
    assert put(rules, listing(["card-1"])) == [
        "the house's rules: sha256: the parts of the list are not what their hash says"
    ]
    assert "does not fit the others" in put(rules, msgspec.structs.replace(part, part=1, parts=2))[0]
    assert put(rules, part) == []
    assert put(rules, listing(["card-1"])) == []


def test_a_list_that_nobody_names_any_more_is_forgotten() -> None:
    """With the book that named it; one that waits for its book stays."""
    old, new = listed(2), listed(2, "next")
    rules = in_use(*parts_of(old), listing(old), *parts_of(new))
    assert len(rules.lists) == 2
    assert put(rules, listing(new, version=2)) == []
    assert list(rules.lists) == [part.sha256 for part in parts_of(new)]


# --- judges ---------------------------------------------------------------------------------------------


def test_a_judge_is_a_function_of_its_sources() -> None:
    """The same sources, however they came, have the same one; the number that are kept has a bound."""
    first = in_use(book(rule("card.new")), book(rule("device.new", rule_id="d"), merchant="shop"))
    again = in_use(book(), book(rule("device.new", rule_id="d"), merchant="shop"), book(rule("card.new")))
    assert first.sha256 == again.sha256
    assert judge_of(first) is judge_of(again)
    for number in range(2 * in_force.MOST_JUDGES):
        judge_of(in_use(book(rule(f"card.count_24h > {number}"))))
    assert len(in_force._JUDGES) == in_force.MOST_JUDGES
    assert fired(first, card__new=True) == ("rule",)
