"""The values in a rule: features, thresholds and figures, what is reckoned with them, and what fits together."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from events.errors import ValidationError
from events.money import parse_major
from streams.features.rules import syntax
from streams.features.rules.catalogue import FEATURES, NAMES, PLACES
from streams.features.rules.faults import RuleFault, Span, meant
from streams.features.rules.tree import (
    Absolute,
    Constant,
    Expression,
    Given,
    Known,
    Operation,
    Operator,
    Read,
    Scope,
    parts,
)
from streams.features.rules.types import CLOCK, DOMAINS, DURATION, MONEY, NUMBER, YES_NO, Base, Type

LARGEST: Final = 10**18
"""No figure in a rule is larger; products then stay small enough to be fast."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MINUTES: Final = 24 * 60
_FUNCTIONS: Final = ("min", "max", "abs")
#: How a value of a type is written: for whoever wrote a bare number.
_WRITTEN: Final = {
    Base.MONEY: "money is written 50.00 EUR, or 5000 minor in whatever currency the payment has",
    Base.DURATION: "a duration is written 30s, 10m, 24h or 7d",
    Base.CLOCK: "a time of day is written 22:00",
    Base.TEXT: 'a text is written "in quotes"',
    Base.NUMBER: "a number is written 1000 or 1_000",
    Base.YES_NO: "",
}


class Surroundings(NamedTuple):
    """What a pack brings along: the place and the type of each threshold, the place and the domain of each list."""

    thresholds: Mapping[str, tuple[int, Type]] = {}
    lists: Mapping[str, tuple[int, str]] = {}


NOTHING: Final = Surroundings()


class Value(NamedTuple):
    """A checked value. ``currencies`` are all that went into it, a threshold's as ``$name``."""

    expression: Expression
    type: Type
    span: Span
    currencies: frozenset[str] = frozenset()


def places_of(expression: Expression) -> set[int]:
    """The places of all features that an expression looks at."""
    found: set[int] = set()
    match expression:
        case Read(place=place) | Known(place=place):
            found.add(place)
        case _:
            found.update(*(places_of(part) for part in parts(expression)))
    return found


class Values:
    """Reads the values of one rule."""

    def __init__(self, text: str, around: Surroundings) -> None:
        self.text = text
        self.around = around

    def fault(self, span: Span, reason: str, hint: str = "") -> RuleFault:
        """What is wrong, to be raised."""
        return RuleFault(self.text, span, reason, hint)

    # --- values -------------------------------------------------------------------------------------

    def value(self, node: syntax.Node) -> Value:
        """What has a type."""
        match node:
            case syntax.Name(span=span, name=name):
                return self._feature(span, name)
            case syntax.Parameter(span=span, name=name):
                if name not in self.around.thresholds:
                    hint = named_with("$", meant(name, self.around.thresholds))
                    raise self.fault(span, f"there is no threshold ${name}", hint)
                place, type_ = self.around.thresholds[name]
                if type_.base is Base.MONEY:
                    return Value(Given(place), MONEY, span, frozenset([f"${name}"]))
                return Value(Given(place), type_, span)
            case syntax.Literal():
                return self._literal(node)
            case syntax.Minus(span=span, operand=operand):
                inner = self.value(operand)
                self._countable(inner)
                return inner._replace(
                    expression=_folded(Operator.MINUS, Constant(0), inner.expression), span=span
                )
            case syntax.Arithmetic():
                return self._arithmetic(node)
            case syntax.Call():
                return self._call(node)
            case _:
                raise self.fault(node.span, "a value is expected here, and this is a condition")

    def _feature(self, span: Span, name: str) -> Value:
        place = PLACES.get(name)
        if place is None:
            # A name of the catalogue without its window: say what there is.
            begun = [known for known in NAMES if known.startswith((f"{name}_", f"{name}."))]
            if name.isupper():
                hint = f'a text stands in quotes: "{name}"'
            else:
                hint = f"there are {', '.join(begun[:6])}" if begun else meant(name, NAMES)
            raise self.fault(span, f"there is no feature {name}", hint)
        feature = FEATURES[place]
        return Value(Read(place, feature.optional), feature.type, span)

    def _literal(self, node: syntax.Literal) -> Value:
        span, text = node.span, node.text.replace("_", "") if node.kind != "text" else node.text
        currencies: frozenset[str] = frozenset()
        value: int | str
        match node.kind:
            case "integer":
                value, type_ = int(text), NUMBER
            case "money":
                number, currency = text.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZminor").rstrip(), text[-3:]
                type_ = MONEY
                if text.endswith("minor"):
                    if "." in number:
                        raise self.fault(span, "minor units are whole")
                    value = int(number)
                else:
                    try:
                        value = parse_major(number, currency)
                    except ValidationError as error:
                        hint = meant(currency, DOMAINS["currency"].words)
                        raise self.fault(
                            span, error.reason, hint if error.field == "currency" else ""
                        ) from None
                    currencies = frozenset([currency])
            case "duration":
                value, type_ = int(text[:-1]) * _SECONDS[text[-1]], DURATION
            case "clock":
                hours, minutes = map(int, text.split(":"))
                value, type_ = 60 * hours + minutes, CLOCK
                if minutes > 59 or value > _MINUTES:
                    raise self.fault(span, "there is no such time of day")
            case "decimal":
                raise self.fault(
                    span, "numbers are whole", "2 * amount > 5 * merchant.p95 says two and a half times"
                )
            case "truth":
                return Value(Constant(int(text == "true")), YES_NO, span)
            case _:
                return Value(Constant(text[1:-1]), Type(Base.TEXT), span)
        if value > LARGEST:
            raise self.fault(span, f"the largest figure is {LARGEST:,}")
        return Value(Constant(value), type_, span, currencies)

    def _arithmetic(self, node: syntax.Arithmetic) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        self._countable(left)
        self._countable(right)
        operator = Operator(node.operator)
        bases = (left.type.base, right.type.base)
        match operator:
            case Operator.PLUS | Operator.MINUS:
                left, right = self.alike(left, right, right.span)
                type_ = left.type
            case Operator.TIMES if Base.NUMBER in bases:
                type_ = left.type if right.type == NUMBER else right.type
            case Operator.TIMES:
                raise self.fault(node.span, f"{left.type} times {right.type} means nothing")
            case _ if right.type == NUMBER:
                type_ = left.type
            case _ if left.type == right.type:
                type_ = NUMBER
            case _:
                raise self.fault(node.span, f"{left.type} divided by {right.type} means nothing")
        if operator is Operator.OVER and right.expression == Constant(0):
            raise self.fault(right.span, "this divides by zero")
        currencies = self._one_currency(node.span, left, right)
        return Value(_folded(operator, left.expression, right.expression), type_, node.span, currencies)

    def _call(self, node: syntax.Call) -> Value:
        if node.name not in _FUNCTIONS:
            hint = meant(node.name, _FUNCTIONS) or f"there are {', '.join(_FUNCTIONS)}"
            raise self.fault(node.span, f"there is no function {node.name}", hint)
        arguments = [self.value(argument) for argument in node.arguments]
        for argument in arguments:
            self._countable(argument)
        first = arguments[0]
        if node.name == "abs":
            if len(arguments) != 1:
                raise self.fault(node.span, "abs takes one value")
            return first._replace(expression=Absolute(first.expression), span=node.span)
        if len(arguments) < 2:
            raise self.fault(node.span, f"{node.name} takes two values or more")
        for argument in arguments[1:]:
            left, right = self.alike(first, argument, argument.span)
            currencies = self._one_currency(node.span, left, right)
            folded = _folded(Operator(node.name), left.expression, right.expression)
            first = Value(folded, left.type, node.span, currencies)
        return first

    # --- what fits together -------------------------------------------------------------------------

    def _countable(self, value: Value) -> None:
        if value.type.base in (Base.TEXT, Base.YES_NO, Base.CLOCK):
            raise self.fault(value.span, f"nobody can reckon with {_article(value.type)}")

    def alike(self, left: Value, right: Value, where: Span) -> tuple[Value, Value]:
        """Both with one type: texts get the vocabulary of the other side, 0 is 0 of everything that counts."""
        if left.type == right.type and left.type != Type(Base.TEXT):
            return left, right
        for one, other, swapped in ((left, right, False), (right, left, True)):
            zero = one.expression == Constant(0) and one.type == NUMBER
            if zero and other.type.base in (Base.MONEY, Base.DURATION):
                one = one._replace(type=other.type)
                return (other, one) if swapped else (one, other)
            if one.type == Type(Base.TEXT) and other.type.base is Base.TEXT and other.type.domain:
                assert isinstance(one.expression, Constant) and isinstance(one.expression.value, str)
                self._word(one.span, one.expression.value, other.type.domain)
                one = one._replace(type=other.type)
                return (other, one) if swapped else (one, other)
        if left.type == right.type:
            raise self.fault(where, "both sides are the same for every payment")
        wrong, expected = (right, left) if isinstance(right.expression, Constant) else (left, right)
        hint = _WRITTEN[expected.type.base]
        if expected.type.base is Base.TEXT and isinstance(wrong.expression, Constant):
            hint = f'write "{wrong.expression.value}"'
        if not isinstance(wrong.expression, Constant):
            hint = ""
        raise self.fault(
            where if left.type.base == right.type.base else wrong.span,
            f"{left.type} and {right.type} cannot be compared or added",
            hint,
        )

    def _word(self, span: Span, word: str, domain: str) -> None:
        why = DOMAINS[domain].refuses(word)
        if why:
            # "UK" is nobody's typing error and is not near "GB".
            hint = 'did you mean "GB"?' if (domain, word) == ("country", "UK") else ""
            near = meant(word, DOMAINS[domain].words)
            raise self.fault(span, f"{word[:40]!r} {why}", hint or near)

    def _one_currency(self, span: Span, *values: Value) -> frozenset[str]:
        """All currencies of some values; two of them never meet."""
        found = frozenset().union(*(value.currencies for value in values))
        if len(found) > 1:
            raise self.fault(span, f"{' and '.join(sorted(found))} are not the same currency")
        return found

    def scope(self, span: Span, *values: Value) -> Scope:
        currency, given = "", -1
        for name in self._one_currency(span, *values):
            if name.startswith("$"):
                given = self.around.thresholds[name[1:]][0]
            else:
                currency = name
        optional: set[int] = set()
        for value in values:
            optional |= {place for place in places_of(value.expression) if FEATURES[place].optional}
        return Scope(tuple(sorted(optional)), currency, given)


def _folded(operator: Operator, left: Expression, right: Expression) -> Expression:
    """The operation, done where both sides are the same for every payment."""
    match left, right:
        case Constant(value=int(first)), Constant(value=int(second)):
            match operator:
                case Operator.PLUS:
                    return Constant(first + second)
                case Operator.MINUS:
                    return Constant(first - second)
                case Operator.TIMES:
                    return Constant(first * second)
                case Operator.OVER if second:
                    return Constant(first // second)
                case Operator.LEAST:
                    return Constant(min(first, second))
                case Operator.MOST:
                    return Constant(max(first, second))
                case _:
                    pass
        case _:
            pass
    return Operation(operator, left, right)


def named_with(sign: str, hint: str) -> str:
    return hint.replace("did you mean ", f"did you mean {sign}")


def _article(type_: Type) -> str:
    return f"a {type_}" if type_.base is not Base.YES_NO else str(type_)
