"""In which order conditions are asked: the cheap and telling ones first, with the same answer for every payment.

``and`` and ``or`` are asked from left to right, and a rule that divides by zero is counted as failed. So a condition
that can fail keeps its place: what stands before it may be there to guard it, and nothing is moved across it.
"""

from itertools import groupby
from typing import Final

from streams.features.rules.cost import chance, steps
from streams.features.rules.tree import Comparison, Condition, Constant, Joined, Not, total

_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEVER: Final = 1e-9


def ordered(condition: Condition) -> Condition:
    """The same condition, asked in a better order and flattened."""
    match condition:
        case Comparison(operator=operator, left=Constant() as left, right=right, scope=scope):
            return Comparison(_TURNED[operator], right, left, scope)
        case Not(operand=Not(operand=operand)):
            return ordered(operand)
        case Not(operand=operand):
            return Not(ordered(operand))
        case Joined(every=every, operands=operands):
            flat: list[Condition] = []
            for operand in map(ordered, operands):
                if isinstance(operand, Joined) and operand.every == every:
                    flat += operand.operands
                else:
                    flat.append(operand)
            arranged: list[Condition] = []
            for can_move, run in groupby(flat, total):
                kept = list(run)
                arranged += sorted(kept, key=_all_first if every else _any_first) if can_move else kept
            return Joined(every, tuple(arranged))
        case _:
            return condition


def _all_first(condition: Condition) -> float:
    """In ``and``, what costs least for each time it ends the asking."""
    return steps(condition) / max(1 - chance(condition), _NEVER)


def _any_first(condition: Condition) -> float:
    """In ``or``, the other way round."""
    return steps(condition) / max(chance(condition), _NEVER)
