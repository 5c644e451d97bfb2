"""A pack is checked as a whole; a merchant's own stands on top of the house's and cannot undo it."""

import pytest

from events.errors import ValidationError
from events.reference import Action, Rule, RuleBook, RulePack, decode_reference, encode_reference
from events.risk import Phase, Verdict
from streams.features.rules.cost import MOST_PACK_STEPS
from streams.features.rules.judging import NOTHING, Judge, Outcome
from streams.features.rules.lists import list_sha256
from streams.features.rules.packs import PackRefused, book_sha256, read_pack
from streams.features.rules.translated import translate, unknown_features
from tests.streams.rules.builders import AFTER, BEFORE, BETWEEN, book, named, payment, rule

REQUEST, ALLOW, BLOCK, REVIEW = Action
BINS = named("bins", "bin", "411111")
LISTS = {list_sha256(["411111"]): frozenset(["411111"]), list_sha256(["555555"]): frozenset(["555555"])}


REFUSED = [
    (book(language=2), "language: 2 is not 1, the language that is spoken here"),
    (book(version=0), "version: versions count from 1"),
    (book(merchant="shop"), "merchant: a merchant's own pack stands on top of the house's"),
    (book(rule("card.nwe")), "rule rule: line 1, column 1: there is no feature card.nwe"),
    (
        book(rule("true", rule_id="Not So")),
        "rule Not So: an id is up to 64 small letters, digits and hyphens",
    ),
    (book(rule("true"), rule("false")), "rule rule: another rule has this id"),
    (book(rule("true", points=101)), "rule rule: between -100 and 100"),
    (
        book(rule('payment.cvv == "match"', phase=BETWEEN)),
        "rule rule: what the rule reads is known after authorization, so it cannot be asked after authentication",
    ),
    (
        book(rule('payment.cvv == "match"', REQUEST, phase=AFTER)),
        "rule rule: after authorization it is too late to request 3-D Secure",
    ),
    (
        book(*(rule("true", rule_id=f"r{n}") for n in range(501))),
        "rules: a pack has at most 500",
    ),
    (
        book(*(rule("card.new" + " " * 3_000, rule_id=f"r{n}") for n in range(30))),
        "pack: 92,827 bytes without the entries of its lists; 65,000 are the most",
    ),
    (
        book(*(rule(" or ".join(["card.new"] * 99), rule_id=f"r{n}") for n in range(41))),
        f"rules: they take up to 4,059 steps before authorization; {MOST_PACK_STEPS:,} are the most",
    ),
    (book(few="card.count_1h"), "threshold $few: line 1, column 1: a figure is expected here"),
    (book(few="5 >"), "threshold $few: line 1, column 4: the rule ends before it is complete"),
    (book(few="22:00"), "threshold $few: a time of day is no threshold"),
    (book(Few="5"), "threshold Few: a name is up to 63 small letters, digits and underscores"),
    (book(lists=(BINS, BINS)), "list bins: another one has this name"),
    (
        book(lists=(named("shops", "shop"),)),
        "list @shops: there are no lists of 'shop'; of country, currency",
    ),
    (
        book(lists=(BINS.__class__("bins", "bin", 2_000_001, ""),)),
        "list @bins: a list has at most 2,000,000 entries",
    ),
]


@pytest.mark.parametrize(("bad", "reason"), REFUSED)
def test_a_pack_that_cannot_be_used_is_refused(bad: RuleBook, reason: str) -> None:
    """In a sentence that names the rule, the threshold or the list."""
    with pytest.raises(PackRefused) as caught:
        read_pack(bad)
    assert str(caught.value).startswith(reason)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Whoever mends a pack of a hundred rules is not sent back a hundred times."""
    with pytest.raises(PackRefused) as caught:
        read_pack(
            book(rule("card.nwe", rule_id="a"), rule("true", rule_id="b"), rule("x", rule_id="c"), few="x")
        )
    assert ["", "a", "c"] == [trouble.rule_id for trouble in caught.value.troubles]


NEW_AND_FAST = {"card__new": True, "card__count_1h": 6}
HOUSE = read_pack(
    book(
        rule("card.count_1h > $few"),
        rule("amount > $large", REVIEW, rule_id="large"),
        rule("card.bin in @bins", rule_id="bins"),
        few="5",
        large="100.00 EUR",
        lists=(BINS,),
    )
)

ON_TOP_REFUSED = [
    (book(merchant="shop", few="5 EUR"), "threshold $few: the house has number here, and this is money"),
    (
        book(merchant="shop", lists=(named("bins", "country", "US"),)),
        "list @bins: the house's is a list of bin, not of country",
    ),
    (
        book(rule("card.new", ALLOW), merchant="shop"),
        "rule rule: a merchant's own rules cannot allow",
    ),
]


@pytest.mark.parametrize(("own", "reason"), ON_TOP_REFUSED)
def test_what_a_merchant_cannot_have(own: RuleBook, reason: str) -> None:
    """Other types than the house's, and a way around it."""
    with pytest.raises(PackRefused) as caught:
        read_pack(own, HOUSE)
    assert reason == str(caught.value)


def judged(
    own: RuleBook | None, merchant: str = "shop", phase: Phase = BEFORE, **features: object
) -> Outcome:
    """What the house says of a payment, with a merchant's own on top."""
    judge = Judge(HOUSE, LISTS)
    if own is not None:
        judge.put_on_top(read_pack(own, HOUSE), LISTS)
    return judge.judge(phase, merchant, payment(**features))  # type: ignore[arg-type]


ON_TOP = [
    # the merchant's own, merchant of the payment, features, action, rules
    (book(merchant="shop", few="2"), "shop", {"card__count_1h": 3}, BLOCK, ("rule",)),
    (book(merchant="shop", few="2"), "other", {"card__count_1h": 3}, None, ()),
    (book(merchant="shop", few="9"), "shop", {"card__count_1h": 6}, None, ()),
    # A threshold in another currency speaks of that currency alone.
    (book(merchant="shop", large="10.00 USD"), "shop", {"amount": 1_001}, REVIEW, ("large",)),
    (
        book(merchant="shop", large="10.00 USD"),
        "shop",
        {"amount": 99_999, "payment__currency": "EUR"},
        None,
        (),
    ),
    (book(merchant="shop", large="1000 minor"), "shop", {"amount": 1_001}, REVIEW, ("large",)),
    # Entries are added to the house's list, for this merchant.
    (
        book(merchant="shop", lists=(named("bins", "bin", "555555"),)),
        "shop",
        {"card__bin": "555555"},
        BLOCK,
        ("bins",),
    ),
    (
        book(merchant="shop", lists=(named("bins", "bin", "555555"),)),
        "shop",
        {"card__bin": "411111"},
        BLOCK,
        ("bins",),
    ),
    (
        book(merchant="shop", lists=(named("bins", "bin", "555555"),)),
        "other",
        {"card__bin": "555555"},
        None,
        (),
    ),
    (
        book(
            rule("card.bin in @ours and amount > $mine"),
            merchant="shop",
            mine="1.00 USD",
            lists=(named("ours", "bin", "555555"),),
        ),
        "shop",
        {"card__bin": "555555"},
        BLOCK,
        ("shop/rule",),
    ),
    (
        book(rule("card.new", REVIEW), merchant="shop"),
        "shop",
        {"card__new": True, "card__count_1h": 6},
        BLOCK,
        ("rule", "shop/rule"),
    ),
    (
        book(rule("card.new", REQUEST), merchant="shop"),
        "shop",
        {"card__new": True, "card__count_1h": 6},
        BLOCK,
        ("rule", "shop/rule"),
    ),
]


@pytest.mark.parametrize(("own", "merchant", "features", "action", "fired"), ON_TOP)
def test_a_merchants_own_on_top(
    own: RuleBook, merchant: str, features: dict[str, object], action: Action | None, fired: tuple[str, ...]
) -> None:
    """Thresholds replace, lists add, rules are asked beside the house's; of payments of this merchant."""
    outcome = judged(own, merchant, **features)
    assert (action, fired, 0) == (outcome.action, outcome.fired, outcome.points)


ORDER = [
    # kinds that fire, what is done
    ([REVIEW], REVIEW),
    ([REVIEW, BLOCK], BLOCK),
    ([REVIEW, BLOCK, ALLOW], ALLOW),
    ([BLOCK, ALLOW, REVIEW, REQUEST], REQUEST),
    ([BLOCK, REVIEW, REQUEST], BLOCK),
    ([REVIEW, ALLOW], ALLOW),
    ([], None),
]


@pytest.mark.parametrize(("kinds", "expected"), ORDER)
def test_actions_have_a_fixed_order(kinds: list[Action], expected: Action | None) -> None:
    """Request 3-D Secure, allow, block, review; wherever the rules stand. All that fired are told, points add up.

    A request does not stand in the way of a block, while nobody can authenticate.
    """
    rules = [rule("card.new", kind, rule_id=kind.value.replace("_", "-"), points=7) for kind in kinds]
    judge = Judge(read_pack(book(*rules, rule("not card.new", rule_id="other"))), {})
    outcome = judge.judge(BEFORE, "shop", payment(card__new=True))
    names = tuple(kind.value.replace("_", "-") for kind in kinds)
    assert expected == outcome.action
    in_order = tuple(kind for kind in Action if kind in kinds)
    assert Outcome(in_order, names, points=7 * len(kinds)) == outcome


def test_a_rule_in_shadow_is_told_and_decides_nothing() -> None:
    """Neither its action nor its points."""
    rules = [rule("card.new", points=50, shadow=True), rule("card.new", REVIEW, rule_id="seen", points=5)]
    outcome = Judge(read_pack(book(*rules)), {}).judge(BEFORE, "shop", payment(card__new=True))
    assert Outcome((REVIEW,), ("seen",), ("rule",), (), 5) == outcome


def test_a_rule_that_fails_is_told_and_decides_nothing() -> None:
    """The others go on."""
    rules = [rule("card.count_24h / card.declines_24h > 2"), rule("card.new", REVIEW, rule_id="seen")]
    outcome = Judge(read_pack(book(*rules)), {}).judge(BEFORE, "shop", payment(card__new=True))
    assert Outcome((REVIEW,), ("seen",), failed=("rule",)) == outcome


def test_rules_are_asked_in_their_phase() -> None:
    """And in no other; a phase without rules says nothing."""
    judge = Judge(
        read_pack(
            book(
                rule("card.new"),
                rule('payment.cvv == "no_match"', rule_id="cvv", phase=AFTER),
                rule("card.new", rule_id="late", phase=AFTER),
            )
        ),
        {},
    )
    vector_ = payment(card__new=True, payment__cvv="no_match")
    assert [("rule",), (), ("cvv", "late")] == [judge.judge(phase, "shop", vector_).fired for phase in Phase]
    assert NOTHING == judge.judge(BETWEEN, "shop", vector_)


def test_a_pack_without_its_lists_is_refused() -> None:
    """Decisions go on with what was in force."""
    with pytest.raises(ValidationError, match=r"list @bins: its entries \(.*\) are not here"):
        Judge(HOUSE, {})


def test_a_pack_on_top_of_another_house_is_refused() -> None:
    """Places would mean other lists."""
    other = read_pack(book(lists=(named("cards", "card", "x"),)))
    with pytest.raises(ValidationError, match="does not stand on top"):
        Judge(other, {list_sha256(["x"]): frozenset("x")}).put_on_top(
            read_pack(book(merchant="shop"), HOUSE), LISTS
        )


def test_a_book_is_named_by_its_hash() -> None:
    """Canonical JSON: read back, it is the same book; a changed word is another name."""
    one = book(rule("card.new"), few="5", lists=(BINS,))
    content = encode_reference(one)
    assert one == decode_reference("rulebook", content)
    assert read_pack(one).sha256 == book_sha256(one)
    assert book_sha256(one) != book_sha256(book(rule("card.new"), few="6", lists=(BINS,)))


def test_the_first_kind_of_pack_in_this_language() -> None:
    """A feature above its threshold; one that the first catalogue lacks is left out, as it was there."""
    first = RulePack(
        3,
        (
            Rule("count", "card_count_10m", 2, Verdict.REVIEW, 40),
            Rule("sum", "card_sum_1h", 9_000, Verdict.BLOCK, 90),
            Rule("later", "card_age_days", 0, Verdict.BLOCK, 100),
            Rule("limit", "merchant_amount_percent", 80, Verdict.STEP_UP, -10),
        ),
    )
    written = [(rule.rule_id, rule.action, rule.when, rule.points) for rule in translate(first).rules]
    assert written == [
        ("count", Action.REVIEW, "card.count_10m > 2", 40),
        ("sum", Action.BLOCK, "card.sum_1h > 9000 minor", 90),
        ("limit", Action.REQUEST_3DS, "merchant.limit_percent > 80", -10),
    ]
    assert read_pack(translate(first)).version == 3
    assert unknown_features(first) == ["card_age_days"]
