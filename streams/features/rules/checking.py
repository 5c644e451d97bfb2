"""A rule against the catalogue: every name known, every type right, nothing that can only fail or costs too much.

What comes out means the same for every payment: each comparison has its :class:`~streams.features.rules.tree.Scope`,
so a value that is not known, or money of another currency, makes it false and never wrong.
"""

from typing import NamedTuple

from events.risk import Phase
from streams.features.rules import syntax
from streams.features.rules.catalogue import FEATURES, PHASES
from streams.features.rules.cost import MOST_STEPS, steps
from streams.features.rules.faults import RuleFault, meant
from streams.features.rules.tree import (
    Always,
    Between,
    Comparison,
    Condition,
    Constant,
    Expression,
    Joined,
    Known,
    Membership,
    Not,
    OneOf,
    Read,
    Truth,
)
from streams.features.rules.types import CLOCK, YES_NO, Base, Type
from streams.features.rules.values import NOTHING, Surroundings, Values, named_with, places_of


class Checked(NamedTuple):
    """A rule that can be used, the first phase in which everything it reads can be known, and its cost in steps."""

    condition: Condition
    phase: Phase
    steps: int


def check(text: str, around: Surroundings = NOTHING) -> Checked:
    """The meaning of a rule; RuleFault says what is wrong with one that has none."""
    node = syntax.read(text)
    condition = _Checker(text, around).condition(node)
    cost = steps(condition)
    if cost > MOST_STEPS:
        raise RuleFault(text, node.span, f"the rule takes up to {cost:,} steps; {MOST_STEPS:,} are the most")
    return Checked(condition, phase_of(condition), cost)


def phase_of(condition: Expression) -> Phase:
    """The first phase in which everything that is read can be known."""
    phases = [FEATURES[place].phase for place in places_of(condition)]
    return max(phases, key=PHASES.index, default=Phase.BEFORE_AUTHORIZATION)


def literal(text: str) -> tuple[int, Type]:
    """A figure written as in a rule (``5``, ``500.00 EUR``, ``24h``) and its type; RuleFault where it is none."""
    node = syntax.read(text)
    value = _Checker(text, Surroundings()).value(node)
    constant = value.expression
    if not isinstance(constant, Constant) or not isinstance(constant.value, int):
        raise RuleFault(text, node.span, "a figure is expected here", "for example 5, 500.00 EUR or 24h")
    return constant.value, value.type


class _Checker(Values):
    """Reads the conditions of one rule."""

    # --- conditions ---------------------------------------------------------------------------------

    def condition(self, node: syntax.Node) -> Condition:
        """What holds or does not."""
        match node:
            case syntax.Joined(every=every, operands=operands):
                return Joined(every, tuple(self.condition(operand) for operand in operands))
            case syntax.Negated(operand=operand):
                return Not(self.condition(operand))
            case syntax.Compared():
                return self._compared(node)
            case syntax.Member():
                return self._member(node)
            case syntax.Knowledge(value=asked, known=known):
                read = self.value(asked)
                if not isinstance(read.expression, Read):
                    raise self.fault(asked.span, "only a feature is known or unknown")
                return Known(read.expression.place, known)
            case syntax.Literal(kind="truth", text=word):
                return Always(word == "true")
            case _:
                found = self.value(node)
                if found.type != YES_NO or not isinstance(found.expression, Read):
                    raise self.fault(node.span, f"a condition is expected here, and this is {found.type}")
                return Truth(found.expression)

    def _compared(self, node: syntax.Compared) -> Condition:
        if len(node.operators) > 1:
            raise self.fault(
                node.operators[1][1],
                "two values are compared at a time",
                "join comparisons with and: 1 < x and x < 5",
            )
        operator, sign = node.operators[0]
        left, right = (self.value(operand) for operand in node.operands)
        left, right = self.alike(left, right, sign)
        equality = operator in ("==", "!=")
        if left.type.base in (Base.TEXT, Base.YES_NO) and not equality:
            raise self.fault(sign, f"{left.type} has no order", "write == or !=")
        scope = self.scope(node.span, left, right)
        if isinstance(left.expression, Constant) and isinstance(right.expression, Constant):
            raise self.fault(node.span, "both sides are the same for every payment")
        if left.expression == right.expression:
            raise self.fault(node.span, "both sides are the same")
        if left.type == YES_NO:
            return _truth(left.expression, right.expression, operator == "==")
        if left.type.domain == "bin" and isinstance(right.expression, Constant):
            return OneOf(left.expression, (right.expression.value,), True, operator == "!=", scope)
        return Comparison(operator, left.expression, right.expression, scope)

    def _member(self, node: syntax.Member) -> Condition:
        value = self.value(node.value)
        negated = node.negated
        match node.container:
            case syntax.Named(span=span, name=name):
                if name not in self.around.lists:
                    raise self.fault(
                        span, f"there is no list @{name}", named_with("@", meant(name, self.around.lists))
                    )
                place, domain = self.around.lists[name]
                if value.type != Type(Base.TEXT, domain):
                    raise self.fault(span, f"@{name} is a list of {domain}, and this is {value.type}")
                if not isinstance(value.expression, Read):
                    raise self.fault(node.value.span, "only a feature can be in a list")
                scope = self.scope(node.span, value)
                return Membership(value.expression, place, domain == "bin", negated, scope)
            case syntax.Listed(items=items):
                values = []
                for item in items:
                    _, right = self.alike(value, self.value(item), item.span)
                    if not isinstance(right.expression, Constant):
                        raise self.fault(item.span, "a list has values that are the same for every payment")
                    values.append(right)
                if value.type == YES_NO:
                    raise self.fault(node.value.span, "yes or no is in no list")
                scope = self.scope(node.span, value, *values)
                constants = tuple(
                    right.expression.value for right in values if isinstance(right.expression, Constant)
                )
                if isinstance(value.expression, Constant):
                    raise self.fault(node.span, "both sides are the same for every payment")
                return OneOf(value.expression, constants, value.type.domain == "bin", negated, scope)
            case syntax.Range(span=span, low=low_node, high=high_node):
                _, low = self.alike(value, self.value(low_node), low_node.span)
                _, high = self.alike(value, self.value(high_node), high_node.span)
                if value.type.base in (Base.TEXT, Base.YES_NO):
                    raise self.fault(span, f"{value.type} has no order", "write a list: [...]")
                clock = value.type == CLOCK
                match low.expression, high.expression:
                    case Constant(value=int(first)), Constant(value=int(last)):
                        if first > last and not clock:
                            raise self.fault(span, "the range is empty: it begins behind its end")
                        if isinstance(value.expression, Constant):
                            raise self.fault(node.span, "both sides are the same for every payment")
                        if first == last and clock:
                            raise self.fault(span, "the range is empty: a time of day ends before its end")
                    case _ if clock:
                        raise self.fault(span, "a range of times of day has the same ends for every payment")
                    case _:
                        pass
                scope = self.scope(node.span, value, low, high)
                return Between(value.expression, low.expression, high.expression, clock, negated, scope)


def _truth(left: Expression, right: Expression, equal: bool) -> Condition:
    """A yes-or-no feature against ``true`` or ``false``; one that is not known is neither."""
    if isinstance(left, Constant):
        left, right = right, left
    assert isinstance(left, Read)
    if not isinstance(right, Constant):
        assert isinstance(right, Read)
        both = Joined(
            False, (Joined(True, (Truth(left), Truth(right))), Joined(True, (_no(left), _no(right))))
        )
        either = Joined(
            False, (Joined(True, (Truth(left), _no(right))), Joined(True, (_no(left), Truth(right))))
        )
        return both if equal else either
    return Truth(left) if bool(right.value) == equal else _no(left)


def _no(read: Read) -> Condition:
    return Joined(True, (Known(read.place, True), Not(Truth(read)))) if read.optional else Not(Truth(read))
