"""Books, packs and payments with dull defaults: an argument that is set is an argument that matters."""

from events.reference import Action, RuleBook, RuleList, Threshold, WrittenRule
from events.risk import Phase
from streams.features.rules.catalogue import LANGUAGE, PLACES, Value, usual_vector
from streams.features.rules.lists import list_sha256

BEFORE, BETWEEN, AFTER = Phase


def rule(
    when: str,
    action: Action = Action.BLOCK,
    *,
    rule_id: str = "rule",
    phase: Phase | None = None,
    points: int = 0,
    shadow: bool = False,
) -> WrittenRule:
    """A rule that blocks, as soon as it can be asked."""
    return WrittenRule(rule_id, action, phase, when, points, shadow)


def named(name: str, of: str, *entries: str) -> RuleList:
    """A list of these entries."""
    return RuleList(name, of, len(entries), list_sha256(sorted(entries)))


def book(
    *rules: WrittenRule,
    merchant: str = "",
    version: int = 1,
    language: int = LANGUAGE,
    lists: tuple[RuleList, ...] = (),
    **thresholds: str,
) -> RuleBook:
    """A book of the house, with thresholds as arguments."""
    given = tuple(Threshold(name, value) for name, value in thresholds.items())
    return RuleBook(language, version, merchant, rules, given, lists)


def payment(**features: Value) -> list[Value]:
    """The vector of an ordinary payment but for these features; ``card__count_1h`` is ``card.count_1h``."""
    vector = usual_vector()
    for name, value in features.items():
        vector[PLACES[name.replace("__", ".")]] = value
    return vector
