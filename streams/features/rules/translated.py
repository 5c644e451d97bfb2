"""The first kind of rule pack in this language: a feature above a threshold gives a verdict and points.

One thing is different there: the strongest verdict of all rules that fire wins, and ``allow`` overrides nothing
(:mod:`streams.features.rules.in_force` decides accordingly). Features have other names here, and ``card_sum_*`` was per
currency there: here minor units of all currencies are added up, so for a card that pays in several a sum may be larger.
"""

from typing import Final

from events.reference import Action, RuleBook, RulePack, WrittenRule
from events.risk import Phase, Verdict
from streams.features.rules.catalogue import FEATURES, LANGUAGE, PLACES
from streams.features.rules.types import Base

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
_ACTIONS: Final = {
    Verdict.ALLOW: Action.ALLOW,
    Verdict.REVIEW: Action.REVIEW,
    Verdict.STEP_UP: Action.REQUEST_3DS,
    Verdict.BLOCK: Action.BLOCK,
}


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
                _ACTIONS[rule.verdict],
                Phase.BEFORE_AUTHORIZATION,
                f"{name} > {rule.threshold}{unit}",
                rule.points,
                False,
            )
        )
    return RuleBook(LANGUAGE, pack.version, "", tuple(rules), (), ())


def unknown_features(pack: RulePack) -> list[str]:
    """Features that a pack names and the first catalogue lacks: for whoever publishes one."""
    return sorted({rule.feature for rule in pack.rules} - NAMED.keys())
