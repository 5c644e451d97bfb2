"""The first kind of rule pack in this language: a feature above a threshold gives a verdict and points.

One thing is different there, so the verdict comes from :func:`strongest` and not from the order of actions: the
strongest verdict of all rules that fire wins, and ``allow`` overrides nothing. Features have other names here, and
``card_sum_*`` of that catalogue is per currency; :func:`vector` takes them as they were recorded.
"""

from collections.abc import Sequence
from typing import Final

from events.reference import Action, Phase, RuleBook, RulePack, WrittenRule
from events.risk import Verdict
from streams.features import catalogue as first
from streams.features.rules.catalogue import FEATURES, LANGUAGE, PLACES, Value, usual_vector
from streams.features.rules.judging import Outcome
from streams.features.rules.types import Base

HIGHEST_SCORE: Final = 100

#: What a feature of the first catalogue is called here.
NAMED: Final = {
    "card_count_10m": "card.count_10m",
    "card_sum_10m": "card.sum_10m",
    "card_count_1h": "card.count_1h",
    "card_sum_1h": "card.sum_1h",
    "card_count_24h": "card.count_24h",
    "card_sum_24h": "card.sum_24h",
    "card_merchant_count_24h": "card_merchant.count_24h",
    "amount": "amount",
    "merchant_amount_percent": "merchant.limit_percent",
}
_VERDICTS: Final = tuple(Verdict)


def translate(pack: RulePack) -> RuleBook:
    """The pack as a book of this language. A rule on a feature that the first catalogue lacks is left out, as there."""
    rules = []
    for rule in pack.rules:
        name = NAMED.get(rule.feature)
        if name is None:
            continue
        unit = " minor" if FEATURES[PLACES[name]].type.base is Base.MONEY else ""
        rules.append(
            WrittenRule(
                rule.rule_id,
                Action(rule.verdict.value),
                Phase.BEFORE_AUTHORIZATION,
                f"{name} > {rule.threshold}{unit}",
                rule.points,
                False,
            )
        )
    return RuleBook(LANGUAGE, pack.version, "", tuple(rules), (), ())


def vector(features: Sequence[int]) -> list[Value]:
    """The vector of this language for one of the first catalogue."""
    found = usual_vector()
    for feature, value in zip(first.FEATURES, features, strict=True):
        found[PLACES[NAMED[feature.name]]] = value
    return found


def strongest(pack: RulePack, outcome: Outcome) -> tuple[Verdict, int]:
    """The verdict and the score of the first kind of pack: the strongest of all, the sum within its bounds."""
    verdicts = {rule.rule_id: rule.verdict for rule in pack.rules}
    severity = max((_VERDICTS.index(verdicts[name]) for name in outcome.fired), default=0)
    return _VERDICTS[severity], max(0, min(HIGHEST_SCORE, outcome.points))
