"""A checked rule, followed slowly and plainly, part by part: what the compiled function has to agree with."""

from collections.abc import Collection, Sequence

from streams.features.rules.catalogue import CURRENCY, Value
from streams.features.rules.tree import (
    Absolute,
    Always,
    Between,
    Comparison,
    Condition,
    Constant,
    Expression,
    Given,
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
)


class Interpreter:
    """Answers for one payment. ZeroDivisionError goes out where a rule fails."""

    def __init__(
        self, vector: Sequence[Value], figures: Sequence[int | str], lists: Sequence[Collection[str]]
    ) -> None:
        self.vector = vector
        self.figures = figures
        self.lists = lists

    def holds(self, condition: Condition) -> bool:
        """Whether a condition holds."""
        match condition:
            case Always():
                return condition.value
            case Truth():
                return self.vector[condition.read.place] is True
            case Known():
                return (self.vector[condition.place] is not None) == condition.known
            case Not():
                return not self.holds(condition.operand)
            case Joined():
                for operand in condition.operands:
                    if self.holds(operand) != condition.every:
                        return not condition.every
                return condition.every
            case Comparison() | Membership() | OneOf() | Between():
                return self.comparable(condition.scope) and self.compared(condition)
        raise AssertionError(condition)

    def comparable(self, scope: Scope) -> bool:
        """Whether everything is known and of one currency."""
        currencies = {scope.currency} | ({self.figures[2 * scope.given + 1]} if scope.given >= 0 else set())
        here = self.vector[CURRENCY]
        return all(self.vector[place] is not None for place in scope.reads) and currencies <= {"", here}

    def compared(self, condition: Comparison | Membership | OneOf | Between) -> bool:
        """Whether a comparison holds that makes sense."""
        match condition:
            case Comparison():
                left, right = self.value(condition.left), self.value(condition.right)
                if condition.operator in ("==", "!="):
                    return (left == right) == (condition.operator == "==")
                assert isinstance(left, int)
                assert isinstance(right, int)
                return {
                    "<": left < right,
                    "<=": left <= right,
                    ">": left > right,
                    ">=": left >= right,
                }[condition.operator]
            case Membership():
                found = self.among(
                    self.value(condition.value), self.lists[condition.place], condition.prefixes
                )
            case OneOf():
                found = self.among(self.value(condition.value), condition.values, condition.prefixes)
            case Between():
                value, low, high = map(self.number, (condition.value, condition.low, condition.high))
                if not condition.clock:
                    found = low <= value <= high
                elif low < high:
                    found = low <= value < high
                else:
                    found = not high <= value < low
        return found != condition.negated

    @staticmethod
    def among(value: int | str, values: Collection[int | str], prefixes: bool) -> bool:
        """Whether a value, or the first six digits of a card's first eight, is there."""
        return value in values or (prefixes and isinstance(value, str) and value[:6] in values)

    def value(self, expression: Expression) -> int | str:
        """What an expression comes to."""
        match expression:
            case Constant():
                return expression.value
            case Given():
                return self.figures[2 * expression.place]
            case Read():
                found = self.vector[expression.place]
                assert found is not None
                return found
            case _:
                return self.number(expression)

    def number(self, expression: Expression) -> int:
        """What an expression comes to that counts."""
        match expression:
            case Absolute():
                return abs(self.number(expression.operand))
            case Operation():
                left, right = self.number(expression.left), self.number(expression.right)
                match expression.operator:
                    case Operator.PLUS:
                        return left + right
                    case Operator.MINUS:
                        return left - right
                    case Operator.TIMES:
                        return left * right
                    case Operator.OVER:
                        return left // right
                    case Operator.LEAST:
                        return min(left, right)
                    case Operator.MOST:
                        return max(left, right)
            case _:
                value = self.value(expression)
                assert isinstance(value, int)
                return value
        raise AssertionError(expression)
