"""What a rule costs, before it runs: the steps it takes when nothing cuts it short, and how likely each part holds."""

from typing import Final

from streams.features.rules.catalogue import FEATURES, Value
from streams.features.rules.tree import (
    Always,
    Between,
    Comparison,
    Constant,
    Expression,
    Joined,
    Known,
    Membership,
    Not,
    OneOf,
    Operation,
    Operator,
    Read,
    Scope,
    Truth,
    parts,
)

MOST_STEPS: Final = 100
"""Steps of one rule. A step is some 20 ns (``make bench`` has the figure)."""
MOST_PACK_STEPS: Final = 4_000
"""Steps of all rules of one phase: 80 microseconds if every payment asked all of it, which none does."""

_LOOK_UP: Final = 5
"""A large list is packed (:mod:`streams.features.rules.lists`), and finding something in it takes longer."""

RARE, SELDOM, EVEN = 0.02, 0.1, 0.5


def steps(expression: Expression) -> int:
    """How many steps an expression takes when every part of it is asked."""
    inner = sum(steps(part) for part in parts(expression))
    match expression:
        case Read() | Constant() | Always() | Joined():
            return inner
        case Membership(prefixes=prefixes, scope=scope):
            return inner + (2 if prefixes else 1) * _LOOK_UP + _scope_steps(scope)
        case Between(scope=scope):
            return inner + 2 + _scope_steps(scope)
        case Comparison(scope=scope) | OneOf(scope=scope):
            return inner + 1 + _scope_steps(scope)
        case _:
            return inner + 1


def _scope_steps(scope: Scope) -> int:
    return len(scope.reads) + bool(scope.currency) + (scope.given >= 0)


def chance(expression: Expression) -> float:
    """How likely a condition holds, roughly. Only the order of asking depends on it, never an answer."""
    match expression:
        case Always(value=value):
            return float(value)
        case Truth(read=read):
            return 0.9 if FEATURES[read.place].usual is True else SELDOM
        case Known(place=place, known=known):
            usual = 0.9 if FEATURES[place].usual is not None else SELDOM
            return usual if known else 1 - usual
        case Not(operand=operand):
            return 1 - chance(operand)
        case Membership(negated=negated):
            return 1 - RARE if negated else RARE
        case OneOf(value=value, values=values, negated=negated):
            usual = EVEN if _usual(value) in values else SELDOM
            return 1 - usual if negated else usual
        case Between(negated=negated):
            return 1 - SELDOM if negated else SELDOM
        case Comparison():
            return _compared(expression)
        case Joined(every=True, operands=operands):
            product = 1.0
            for operand in operands:
                product *= chance(operand)
            return product
        case Joined(operands=operands):
            product = 1.0
            for operand in operands:
                product *= 1 - chance(operand)
            return 1 - product
        case _:
            return EVEN


def _compared(comparison: Comparison) -> float:
    left, right = _usual(comparison.left), _usual(comparison.right)
    if left is None or right is None:
        return SELDOM
    if isinstance(left, str) or isinstance(right, str):
        return EVEN if (left == right) == (comparison.operator == "==") else SELDOM
    match comparison.operator:
        case "==":
            return EVEN if left == right else SELDOM
        case "!=":
            return SELDOM if left == right else 1 - SELDOM
        case "<" | "<=":
            left, right = right, left
        case _:
            pass
    # Further beyond what is usual is rarer, and a value at its usual is anybody's guess.
    if left <= right:
        return RARE if right >= 2 * left + 2 else SELDOM
    return 1 - SELDOM


def _usual(expression: Expression) -> Value:
    """What an expression usually comes to; None where there is no telling."""
    match expression:
        case Constant(value=value):
            return value
        case Read(place=place):
            return FEATURES[place].usual
        case Operation(operator=operator, left=left, right=right):
            first, second = _usual(left), _usual(right)
            if not isinstance(first, int) or not isinstance(second, int):
                return None
            match operator:
                case Operator.PLUS:
                    return first + second
                case Operator.MINUS:
                    return first - second
                case Operator.TIMES:
                    return first * second
                case Operator.OVER:
                    return first // second if second else None
                case Operator.LEAST:
                    return min(first, second)
                case Operator.MOST:
                    return max(first, second)
        case _:
            return None
