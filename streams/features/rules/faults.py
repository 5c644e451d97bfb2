"""What is wrong with a rule, and where: a line, a column, a caret, and the name that was probably meant."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from events.errors import ValidationError

#: A name this many typing errors away is still suggested, if it is long enough to be no accident.
_FARTHEST: Final = 3
#: Letters shown on either side of the place.
_AROUND: Final = 60


class Span(NamedTuple):
    """Where something stands in the text of a rule: characters from ``start`` up to ``end``, from 0."""

    start: int
    end: int


class RuleFault(ValidationError):
    """A rule that cannot be used. ``line`` and ``column`` count from 1 in the rule's own text."""

    def __init__(self, text: str, span: Span, reason: str, hint: str = "") -> None:
        before = text[: span.start]
        self.line = before.count("\n") + 1
        self.column = span.start - (before.rfind("\n") + 1) + 1
        self.text = text.split("\n")[self.line - 1]
        self.length = max(1, min(span.end - span.start, len(self.text) - self.column + 1))
        self.hint = hint
        super().__init__("rule", f"line {self.line}, column {self.column}: {reason}")
        self.reason = reason

    def shown(self) -> str:
        """The line with a caret below the place, and the hint."""
        # A tab keeps its width in both lines, so the caret stands where the eye looks for it.
        first = max(0, self.column - 1 - _AROUND)
        shown = self.text[first : self.column - 1 + _AROUND]
        margin = "".join("\t" if letter == "\t" else " " for letter in shown[: self.column - 1 - first])
        lines = [f"  {shown}", f"  {margin}{'^' * min(self.length, _AROUND)}"]
        return "\n".join([*lines, f"  {self.hint}"] if self.hint else lines)


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant, or nothing."""
    best, best_distance = "", min(_FARTHEST, max(1, len(name) // 3)) + 1
    for candidate in names:
        if abs(len(candidate) - len(name)) < best_distance:
            distance = _distance(name.lower(), candidate.lower())
            if distance < best_distance:
                best, best_distance = candidate, distance
    return best


def meant(name: str, names: Iterable[str]) -> str:
    """The hint that names what was probably meant, or nothing."""
    found = nearest(name, names)
    return f"did you mean {found}?" if found else ""


def _distance(left: str, right: str) -> int:
    """How many letters to add, drop, change or swap."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == other:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
