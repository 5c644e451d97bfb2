"""A checked rule: what it means, without where it stood. Equal trees mean the same."""

from enum import StrEnum

import msgspec


class Expression(msgspec.Struct, frozen=True):
    """Part of a checked rule."""


class Constant(Expression, frozen=True):
    """A value that is the same for every payment."""

    value: int | str


class Read(Expression, frozen=True):
    """The feature at a place of the vector."""

    place: int
    optional: bool


class Given(Expression, frozen=True):
    """The threshold at a place of the pack's thresholds."""

    place: int


class Operator(StrEnum):
    """What is done with two whole numbers. A quotient is rounded down."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    OVER = "/"
    LEAST = "min"
    MOST = "max"


class Operation(Expression, frozen=True):
    """An operator and its two sides."""

    operator: Operator
    left: Expression
    right: Expression


class Absolute(Expression, frozen=True):
    """A number without its sign."""

    operand: Expression


class Condition(Expression, frozen=True):
    """Part of a rule that holds or does not."""


class Truth(Condition, frozen=True):
    """A feature that is yes or no; one that is not known is no."""

    read: Read


class Always(Condition, frozen=True):
    """``true`` or ``false``."""

    value: bool


class Scope(Expression, frozen=True):
    """When the two sides of a comparison can be compared at all; where they cannot, the comparison does not hold.

    ``reads`` have to be known. The payment has to be in ``currency``, and in that of the threshold ``given`` (a place;
    negative for none).
    """

    reads: tuple[int, ...] = ()
    currency: str = ""
    given: int = -1


class Comparison(Condition, frozen=True):
    """``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Expression
    right: Expression
    scope: Scope


class Membership(Condition, frozen=True):
    """Whether a value is in the list at a place of the pack's lists; ``prefixes`` too where it is of card numbers."""

    value: Read
    place: int
    prefixes: bool
    negated: bool
    scope: Scope


class OneOf(Condition, frozen=True):
    """Whether a value is one of those written in the rule."""

    value: Expression
    values: tuple[int | str, ...]
    prefixes: bool
    negated: bool
    scope: Scope


class Between(Condition, frozen=True):
    """Whether ``low <= value <= high``; of times of day ``low <= value < high``, round midnight if need be."""

    value: Expression
    low: Expression
    high: Expression
    clock: bool
    negated: bool
    scope: Scope


class Known(Condition, frozen=True):
    """Whether a feature is known, or (``known`` is false) is not."""

    place: int
    known: bool


class Not(Condition, frozen=True):
    """The opposite."""

    operand: Condition


class Joined(Condition, frozen=True):
    """``and`` (``every``) or ``or``, asked from left to right until the answer is clear."""

    every: bool
    operands: tuple[Condition, ...]


def total(expression: Expression) -> bool:
    """Whether it has an answer for every payment: nothing in it can divide by zero."""
    match expression:
        case Operation(operator=Operator.OVER, left=left, right=Constant(value=int(divisor))):
            return divisor != 0 and total(left)
        case Operation(operator=Operator.OVER):
            return False
        case _:
            return all(total(part) for part in parts(expression))


def parts(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is made of, in the order in which it is asked."""
    match expression:
        case Operation(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case Absolute(operand=operand) | Not(operand=operand):
            return (operand,)
        case Between(value=value, low=low, high=high):
            return (value, low, high)
        case Membership(value=value) | OneOf(value=value):
            return (value,)
        case Truth(read=value):
            return (value,)
        case Joined(operands=operands):
            return operands
        case _:
            return ()
