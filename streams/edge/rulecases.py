"""The cases of a pack's file: payments that somebody made up, and what the rules should say of them."""

from collections.abc import Iterable
from typing import NamedTuple

from events.errors import Refused, ValidationError
from streams.edge.rulefiles import Case, RuleFile
from streams.features.rules.catalogue import CURRENCY, FEATURES, NAMES, PLACES, Value, usual_vector
from streams.features.rules.checking import literal
from streams.features.rules.faults import RuleFault, meant
from streams.features.rules.judging import Judge, Outcome
from streams.features.rules.types import DOMAINS, Base


class Tested(NamedTuple):
    """A case and what came of it; ``wrong`` says how it differs, and is empty where it does not."""

    case: Case
    outcome: Outcome
    wrong: str


def run_cases(file: RuleFile, judge: Judge) -> list[Tested]:
    """Every case of a file. Raises Refused where a case gives what no payment can have."""
    return [_run(file, case, judge) for case in file.cases]


def _run(file: RuleFile, case: Case, judge: Judge) -> Tested:
    try:
        vector = vector_of(case.given)
    except ValidationError as error:
        raise Refused(f"{file.path}: case {case.name!r}: {error}") from error
    if case.merchant:
        vector[PLACES["merchant.id"]] = case.merchant
    own = file.book.merchant
    outcome = judge.judge(case.phase, case.merchant or own, vector)
    found = {"fires": outcome.fired, "shadow": outcome.shadow, "fails": outcome.failed}
    expected = {"fires": case.fires, "shadow": case.shadow, "fails": case.fails}
    differences = [
        f"{what} {_listed(found[what], own)}, not {_listed(expected[what], own)}"
        for what in expected
        if set(_shortened(found[what], own)) != set(_shortened(expected[what], own))
    ]
    action = outcome.action.value if outcome.action else ""
    if case.action is not None and action != case.action:
        differences.append(f"the action is {action or 'none'}, not {case.action or 'none'}")
    return Tested(case, outcome, "; ".join(differences))


def vector_of(given: dict[str, int | str | bool]) -> list[Value]:
    """An ordinary payment but for what is given; money may be given with its currency, which is then the payment's."""
    vector = usual_vector()
    currencies: set[str] = set()
    for name, value in given.items():
        place = PLACES.get(name)
        if place is None:
            raise ValidationError(name, f"there is no such feature; {meant(name, NAMES)}".rstrip("; "))
        vector[place] = _value(place, value, currencies)
    if len(currencies) > 1:
        raise ValidationError("given", f"{' and '.join(sorted(currencies))}: a payment has one currency")
    for currency in currencies:
        if given.get("payment.currency", currency) != currency:
            raise ValidationError("payment.currency", f"the money is given in {currency}")
        vector[CURRENCY] = currency
    return vector


def _value(place: int, value: int | str | bool, currencies: set[str]) -> Value:
    feature = FEATURES[place]
    base = feature.type.base
    if value == "unknown" and feature.optional:
        return None
    if base is Base.YES_NO:
        if not isinstance(value, bool):
            raise ValidationError(feature.name, "true or false")
        return value
    if isinstance(value, bool):
        raise ValidationError(feature.name, f"{feature.type} is neither true nor false")
    if base is Base.TEXT:
        why = DOMAINS[feature.type.domain].refuses(str(value))
        if why:
            raise ValidationError(feature.name, f"{str(value)[:40]!r} {why}")
        return str(value)
    if isinstance(value, int):
        return value
    try:
        number, type_ = literal(value)
    except RuleFault as error:
        raise ValidationError(feature.name, error.reason) from error
    if type_.base is not base:
        raise ValidationError(feature.name, f"this is {feature.type}, and {value!r} is {type_}")
    if base is Base.MONEY and value[-3:].isupper():
        currencies.add(value[-3:])
    return number


def _shortened(names: Iterable[str], merchant: str) -> list[str]:
    """A merchant's own rules are named in its own file as they stand there."""
    return [name.removeprefix(f"{merchant}/") for name in names]


def _listed(names: Iterable[str], merchant: str) -> str:
    return ", ".join(_shortened(names, merchant)) or "nothing"
