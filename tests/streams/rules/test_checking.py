"""A rule that names nothing, mixes what does not mix, or can only fail is refused at its place."""

import pytest

from events.risk import Phase
from streams.features.rules.checking import check, literal
from streams.features.rules.cost import MOST_STEPS
from streams.features.rules.faults import RuleFault
from streams.features.rules.types import DURATION, MONEY, NUMBER
from streams.features.rules.values import Surroundings
from tests.streams.rules.builders import AFTER, BEFORE, BETWEEN

AROUND = Surroundings(
    {"burst": (0, NUMBER), "large": (1, MONEY), "soon": (2, DURATION)},
    {"blocked_bins": (0, "bin"), "trusted": (1, "card")},
)
MONEY_IS = "money is written 50.00 EUR, or 5000 minor in whatever currency the payment has"

REFUSED = [
    # text, column, letters marked, reason, hint
    ("card.cuont_1h > 5", 1, 13, "there is no feature card.cuont_1h", "did you mean card.count_1h?"),
    ("US == card.country", 1, 2, "there is no feature US", 'a text stands in quotes: "US"'),
    ("price > 5", 1, 5, "there is no feature price", ""),
    ("amount > 50", 10, 2, "money and number cannot be compared or added", MONEY_IS),
    ("50 < amount", 1, 2, "number and money cannot be compared or added", MONEY_IS),
    ("amount > 50 EUR + 3 USD", 10, 14, "EUR and USD are not the same currency", ""),
    ("amount > 50 EUR + $large", 10, 15, "$large and EUR are not the same currency", ""),
    ("amount in 5 EUR..9 USD", 1, 22, "EUR and USD are not the same currency", ""),
    ("amount > 10 EUZ", 10, 6, "'EUZ' is not a currency of ISO 4217", "did you mean EUR?"),
    ("amount > 10.555 EUR", 10, 10, "'10.555' has more than the 2 decimals of EUR", ""),
    ("amount > 1.5 minor", 10, 9, "minor units are whole", ""),
    (
        "amount > 2.5 * merchant.p95",
        10,
        3,
        "numbers are whole",
        "2 * amount > 5 * merchant.p95 says two and a half times",
    ),
    ("card.count_1h > 1000000000000000001", 17, 19, "the largest figure is 1,000,000,000,000,000,000", ""),
    ("card.count_1h > $brust", 17, 6, "there is no threshold $brust", "did you mean $burst?"),
    ("card.id in @trsuted", 12, 8, "there is no list @trsuted", "did you mean @trusted?"),
    ("card.id in @blocked_bins", 12, 13, "@blocked_bins is a list of bin, and this is text (card)", ""),
    ("card.country in @trusted", 17, 8, "@trusted is a list of card, and this is text (country)", ""),
    (
        'card.country == "UK"',
        17,
        4,
        "'UK' is none of AD, AE, AF, AG ... (249 in all)",
        'did you mean "GB"?',
    ),
    (
        'payment.cvv in ["match", "no_macth"]',
        26,
        10,
        "'no_macth' is none of match, no_match, not_given, unavailable",
        "did you mean no_match?",
    ),
    ('merchant.mcc == "54"', 17, 4, "'54' does not look like the four digits of a merchant category", ""),
    ("merchant.mcc == 5411", 17, 4, "text (mcc) and number cannot be compared or added", 'write "5411"'),
    ("merchant.mcc == card.id", 14, 2, "text (mcc) and text (card) cannot be compared or added", ""),
    ('card.id > "a"', 9, 1, "text (card) has no order", "write == or !="),
    ("card.new > true", 10, 1, "yes or no has no order", "write == or !="),
    ('card.id in "a".."b"', 12, 8, "text (card) has no order", "write a list: [...]"),
    (
        "card.idle < 24",
        13,
        2,
        "duration and number cannot be compared or added",
        "a duration is written 30s, 10m, 24h or 7d",
    ),
    ("payment.time > 25:00", 16, 5, "there is no such time of day", ""),
    ("payment.time > 12:60", 16, 5, "there is no such time of day", ""),
    ("payment.time + 5 > 12:00", 1, 12, "nobody can reckon with a time of day", ""),
    ("card.id * 3 > 3", 1, 7, "nobody can reckon with a text (card)", ""),
    ("card.new + 3 > 3", 1, 8, "nobody can reckon with yes or no", ""),
    ("amount * amount > 3 EUR", 1, 15, "money times money means nothing", ""),
    ("card.count_1h / amount > 3", 1, 22, "number divided by money means nothing", ""),
    ("amount / 0 > 5 EUR", 10, 1, "this divides by zero", ""),
    ("amount / (3-3) > 5 EUR", 11, 3, "this divides by zero", ""),
    ("amount", 1, 6, "a condition is expected here, and this is money", ""),
    ("card.new and card.country", 14, 12, "a condition is expected here, and this is text (country)", ""),
    ("not 5", 5, 1, "a condition is expected here, and this is number", ""),
    ("(amount > 3 EUR) > 3", 2, 14, "a value is expected here, and this is a condition", ""),
    (
        "1 < card.count_1h < 3",
        19,
        1,
        "two values are compared at a time",
        "join comparisons with and: 1 < x and x < 5",
    ),
    ("1 > 2", 1, 5, "both sides are the same for every payment", ""),
    ('"US" == "CA"', 6, 2, "both sides are the same for every payment", ""),
    ("3 in [1, 2]", 1, 11, "both sides are the same for every payment", ""),
    ("3 in 1..5", 1, 9, "both sides are the same for every payment", ""),
    ("amount == amount", 1, 16, "both sides are the same", ""),
    ("card.count_1h in 5..3", 18, 4, "the range is empty: it begins behind its end", ""),
    (
        "payment.time in 09:00..09:00",
        17,
        12,
        "the range is empty: a time of day ends before its end",
        "",
    ),
    (
        "card.count_1h in [1, card.count_24h]",
        22,
        14,
        "a list has values that are the same for every payment",
        "",
    ),
    ("card.new in [true]", 1, 8, "yes or no is in no list", ""),
    ("5 is known", 1, 1, "only a feature is known or unknown", ""),
    ("foo(3) > 3", 1, 6, "there is no function foo", "there are min, max, abs"),
    ("mix(3, 4) > card.count_1h", 1, 9, "there is no function mix", "did you mean min?"),
    ("abs(card.count_1h, 2) > 3", 1, 21, "abs takes one value", ""),
    ("min(card.count_1h) > 3", 1, 18, "min takes two values or more", ""),
    (
        " or ".join(["card.id in @blocked"] * 30).replace("@blocked", "@trusted"),
        1,
        686,
        f"the rule takes up to 150 steps; {MOST_STEPS} are the most",
        "",
    ),
]


@pytest.mark.parametrize(("text", "column", "length", "reason", "hint"), REFUSED)
def test_what_makes_no_sense_is_shown(text: str, column: int, length: int, reason: str, hint: str) -> None:
    """With the letters that are wrong, why, and how it is written."""
    with pytest.raises(RuleFault) as caught:
        check(text, AROUND)
    fault = caught.value
    assert (reason, hint) == (fault.reason, fault.hint)
    assert (1, column, length) == (fault.line, fault.column, fault.length)


def test_a_name_without_its_window_is_completed() -> None:
    """What there is stands in the hint."""
    with pytest.raises(RuleFault) as caught:
        check("card.count > 5")
    assert caught.value.hint.startswith("there are card.count_10m, card.count_1h, card.count_24h")


PHASES = [
    ("card.count_1h > 5 and amount > merchant.p95", BEFORE),
    ('authentication.result == "denied"', BETWEEN),
    ("authentication.result is unknown and card.new", BETWEEN),
    ('payment.cvv == "no_match" and authentication.result is known', AFTER),
    ("true", BEFORE),
]


@pytest.mark.parametrize(("text", "phase"), PHASES)
def test_a_rule_can_be_asked_when_all_it_reads_is_known(text: str, phase: Phase) -> None:
    """In the latest phase of its features."""
    assert phase is check(text).phase


STEPS = [
    ("true", 0),
    ("card.new", 1),
    ("amount > 5 minor", 1),
    ("amount > 5 EUR", 2),
    ("amount > 3 * merchant.p95", 3),
    ("amount > $large", 3),
    ("card.id in @trusted", 5),
    ("card.bin in @blocked_bins", 10),
    ("not card.new and card.count_1h in 3..5", 4),
]


@pytest.mark.parametrize(("text", "steps"), STEPS)
def test_what_a_rule_costs(text: str, steps: int) -> None:
    """As if every part of it were asked."""
    assert steps == check(text, AROUND).steps


@pytest.mark.parametrize(
    ("text", "value", "type_"),
    [
        ("5", 5, NUMBER),
        ("1_000", 1_000, NUMBER),
        ("-3", -3, NUMBER),
        ("500.00 EUR", 50_000, MONEY),
        ("500 JPY", 500, MONEY),
        ("1 KWD", 1_000, MONEY),
        ("5_000 minor", 5_000, MONEY),
        ("10m", 600, DURATION),
        ("7d", 604_800, DURATION),
        ("2 * 12h", 86_400, DURATION),
    ],
)
def test_figures(text: str, value: int, type_: object) -> None:
    """As they stand in a pack's thresholds."""
    assert (value, type_) == literal(text)


@pytest.mark.parametrize("text", ["card.count_1h", '"US"', "card.new", "5 >", "", "5 > 3", "1.5"])
def test_what_is_no_figure(text: str) -> None:
    """A threshold is the same for every payment."""
    with pytest.raises(RuleFault):
        literal(text)
