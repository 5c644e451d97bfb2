"""All rules of a phase as one Python function: 100 rules in a few microseconds.

Written out as source and compiled once. Nothing that a person wrote gets into the source: rules become trees first
(:mod:`streams.features.rules.checking`), names become places, texts become entries of a table. Closures take thirty
times as long.

What the rules share is asked once. Rules that begin with the same feature above some figure stand behind one
comparison with the least of the figures; rules that begin with the same condition stand behind it; features that are
looked at several times are looked up once, and so are sums and products that come up again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from streams.features.rules.catalogue import CURRENCY, Value
from streams.features.rules.ordering import ordered
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
    parts,
    total,
)

Fired = Callable[
    [Sequence[Value], Sequence[int | str], Sequence[Collection[str]]], tuple[list[int], list[int]]
]
"""From a vector, the thresholds (each a figure and its currency) and the lists: the places of the rules that fired,
and of those that failed, both in their order."""

_FEW: Final = 1
_INDENT: Final = "    "


class Generated(NamedTuple):
    """The function, and the source it was made from."""

    fired: Fired
    source: str


class _Rule(NamedTuple):
    """A rule behind its first condition; ``rest`` is what else has to hold, and may divide by zero."""

    place: int
    first: Condition
    rest: tuple[Condition, ...]
    total: bool


def generate(conditions: Sequence[Condition]) -> Generated:
    """The function for these rules, in this order."""
    writer = _Writer()
    source = writer.function([ordered(condition) for condition in conditions])
    space: dict[str, object] = {"__builtins__": {}, **writer.table}
    space |= {"min": min, "max": max, "abs": abs, "ZeroDivisionError": ZeroDivisionError, "len": len}
    exec(compile(source, "<rules>", "exec"), space)  # noqa: S102 - our own source, see above
    fired = space["fired"]
    assert callable(fired)
    return Generated(fired, source)


class _Writer:
    """Writes one function. ``names`` has the local names of what is at hand, ``table`` the texts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[Expression, str] = {}
        self.table: dict[str, object] = {}
        self.constants: dict[object, str] = {}

    def function(self, conditions: list[Condition]) -> str:
        """The source of ``fired``."""
        rules = [_split(place, condition) for place, condition in enumerate(conditions)]
        groups = _groups(rules)
        self.lines = ["def fired(v, t, l):"]
        self._prepare(groups)
        self._line(1, "f = []")
        self._line(1, "x = []")
        for group in groups:
            self._group(group)
        # Groups are asked in their own order; the answer is in the order of the pack.
        self._line(1, "if len(f) > 1: f.sort()")
        self._line(1, "if len(x) > 1: x.sort()")
        self._line(1, "return f, x")
        return "\n".join(self.lines) + "\n"

    def _line(self, depth: int, text: str) -> None:
        self.lines.append(_INDENT * depth + text)

    # --- what is at hand ----------------------------------------------------------------------------

    def _prepare(self, groups: "list[list[_Rule]]") -> None:
        """Give names to what every payment is asked for several times."""
        uses: Counter[Expression] = Counter()
        for group in groups:
            if len(group) > _FEW:
                self._count(group[0].first, uses)
            else:
                for condition in (group[0].first, *group[0].rest):
                    self._count(condition, uses)
        for expression, number in uses.items():
            if number > 1 and isinstance(expression, Read):
                name = f"v{expression.place}"
                self._line(1, f"{name} = v[{expression.place}]")
                self.names[expression] = name
        for expression, number in uses.items():
            if number > 1 and isinstance(expression, Operation):
                text = self.value(expression)
                self.names[expression] = name = f"s{len(self.names)}"
                self._line(1, f"{name} = {text}")

    def _count(self, expression: Expression, uses: Counter[Expression]) -> None:
        match expression:
            case Read():
                uses[expression] += 1
            case Operation() if _always_there(expression):
                uses[expression] += 1
            case _:
                pass
        scope = getattr(expression, "scope", None)
        if isinstance(scope, Scope):
            for place in scope.reads:
                uses[Read(place, True)] += 1
            if scope.currency or scope.given >= 0:
                uses[Read(CURRENCY, False)] += 1
        for part in parts(expression):
            self._count(part, uses)

    # --- rules --------------------------------------------------------------------------------------

    def _group(self, group: "list[_Rule]") -> None:
        if len(group) == 1:
            rule = group[0]
            self._rule(1, rule, (rule.first, *rule.rest))
            return
        firsts = {rule.first for rule in group}
        if len(firsts) == 1:
            self._line(1, f"if {self.condition(group[0].first)}:")
            for rule in group:
                self._rule(2, rule, rule.rest)
            return
        # All of them compare one feature in one direction: whoever is not beyond the nearest is beyond none.
        bounds = [_bound(rule.first) for rule in group]
        assert all(bounds)
        upwards = group[0].first
        assert isinstance(upwards, Comparison)
        figures = [bound[1] for bound in bounds if bound]
        nearest = min(figures) if bounds[0] and bounds[0][0][1] else max(figures)
        sign = ">" if bounds[0] and bounds[0][0][1] else "<"
        head = Comparison(sign, upwards.left, Constant(nearest), upwards.scope)
        self._line(1, f"if {self.condition(head)}:")
        for rule, figure in zip(group, figures, strict=True):
            self._rule(2, rule, rule.rest if figure == nearest else (rule.first, *rule.rest))

    def _rule(self, depth: int, rule: _Rule, conditions: Sequence[Condition]) -> None:
        if rule.total:
            if conditions:
                self._line(depth, f"if {self._all(conditions)}: f.append({rule.place})")
            else:
                self._line(depth, f"f.append({rule.place})")
            return
        self._line(depth, "try:")
        self._line(depth + 1, f"if {self._all(conditions)}: f.append({rule.place})")
        self._line(depth, "except ZeroDivisionError:")
        self._line(depth + 1, f"x.append({rule.place})")

    # --- conditions ---------------------------------------------------------------------------------

    def _all(self, conditions: Sequence[Condition]) -> str:
        if len(conditions) == 1:
            return self.condition(conditions[0])
        return " and ".join(self._closed(condition) for condition in conditions)

    def condition(self, condition: Condition) -> str:
        """A condition as an expression of Python."""
        match condition:
            case Always(value=value):
                return str(value)
            case Truth(read=read):
                return self.value(read)
            case Known(place=place, known=known):
                return f"{self.value(Read(place, True))} is {'not ' if known else ''}None"
            case Not(operand=operand):
                return f"not {self._closed(operand)}"
            case Joined(every=every, operands=operands):
                return f" {'and' if every else 'or'} ".join(self._closed(operand) for operand in operands)
            case Comparison(operator=operator, left=left, right=right, scope=scope):
                return self._scoped(scope, f"{self.value(left)} {operator} {self.value(right)}")
            case Membership(value=value, place=place, prefixes=prefixes, negated=negated, scope=scope):
                return self._contained(self.value(value), f"l[{place}]", prefixes, negated, scope)
            case OneOf(value=value, values=values, prefixes=prefixes, negated=negated, scope=scope):
                written = self._constant(frozenset(values))
                return self._contained(self.value(value), written, prefixes, negated, scope)
            case Between():
                return self._between(condition)
            case _:
                raise AssertionError(f"{type(condition).__name__} is no condition")

    def _closed(self, condition: Condition) -> str:
        return f"({self.condition(condition)})"

    def _scoped(self, scope: Scope, text: str) -> str:
        guards = [f"{self.value(Read(place, True))} is not None" for place in scope.reads]
        currency = self.value(Read(CURRENCY, False))
        if scope.currency:
            guards.append(f"{currency} == {self._constant(scope.currency)}")
        if scope.given >= 0:
            # A threshold in minor units has no currency and fits every payment.
            guards.append(f"t[{2 * scope.given + 1}] in ({currency}, '')")
        return " and ".join([*guards, f"({text})"]) if guards else text

    def _contained(self, value: str, container: str, prefixes: bool, negated: bool, scope: Scope) -> str:
        text = f"{value} in {container}"
        if prefixes:
            text = f"{text} or {value}[:6] in {container}"
        return self._scoped(scope, f"not ({text})" if negated else text)

    def _between(self, condition: Between) -> str:
        value, low, high = (self.value(part, 3) for part in (condition.value, condition.low, condition.high))
        if not condition.clock:
            text = f"{low} <= {value} <= {high}"
        else:
            first, last = condition.low, condition.high
            assert isinstance(first, Constant) and isinstance(last, Constant)
            assert isinstance(first.value, int) and isinstance(last.value, int)
            if first.value < last.value:
                text = f"{low} <= {value} < {high}"
            else:
                text = f"{value} >= {low} or {value} < {high}"
        return self._scoped(condition.scope, f"not ({text})" if condition.negated else text)

    # --- values -------------------------------------------------------------------------------------

    def value(self, expression: Expression, binds: int = 0) -> str:
        """A value as an expression of Python, in brackets where its operator binds less than ``binds``."""
        known = self.names.get(expression)
        if known is not None:
            return known
        match expression:
            case Constant(value=int(value)):
                return f"({value})" if value < 0 else str(value)
            case Constant(value=value):
                return self._constant(value)
            case Read(place=place):
                return f"v[{place}]"
            case Given(place=place):
                return f"t[{2 * place}]"
            case Absolute(operand=operand):
                return f"abs({self.value(operand)})"
            case Operation(operator=Operator.LEAST | Operator.MOST as operator, left=left, right=right):
                return f"{operator}({self.value(left)}, {self.value(right)})"
            case Operation(operator=operator, left=left, right=right):
                own = 1 if operator in (Operator.PLUS, Operator.MINUS) else 2
                sign = "//" if operator is Operator.OVER else operator.value
                text = f"{self.value(left, own)} {sign} {self.value(right, own + 1)}"
                return f"({text})" if own < binds else text
            case _:
                raise AssertionError(f"{type(expression).__name__} is no value")

    def _constant(self, value: object) -> str:
        """The name of an entry of the table: texts stay out of the source."""
        name = self.constants.get(value)
        if name is None:
            name = self.constants[value] = f"k{len(self.constants)}"
            self.table[name] = value
        return name


def _split(place: int, condition: Condition) -> _Rule:
    """A rule behind its first condition, if that cannot fail."""
    match condition:
        case Joined(every=True, operands=(first, *rest)) if total(first):
            return _Rule(place, first, tuple(rest), total(condition))
        case _:
            return _Rule(place, condition, (), total(condition))


def _groups(rules: list[_Rule]) -> list[list[_Rule]]:
    """Rules that begin alike, in the order in which each group begins."""
    found: dict[object, list[_Rule]] = {}
    for rule in rules:
        bound = _bound(rule.first)
        key: object = bound[0] if bound else rule.first
        if not total(rule.first):
            key = ("alone", rule.place)
        found.setdefault(key, []).append(rule)
    return list(found.values())


def _bound(condition: Condition) -> tuple[tuple[int, bool], int] | None:
    """The feature's place, whether it has to be above (or below), and what it has to be beyond; None otherwise."""
    match condition:
        case Comparison(
            operator=(">" | ">=" | "<" | "<=") as operator,
            left=Read(place=place),
            right=Constant(value=int(figure)),
            scope=Scope(currency="", given=-1),
        ):
            upwards = operator in (">", ">=")
            if operator in (">=", "<="):
                figure += -1 if upwards else 1
            return (place, upwards), figure
        case _:
            return None


def _always_there(expression: Expression) -> bool:
    """Whether a value can be reckoned for every payment: nothing in it may be unknown or divide by zero."""
    match expression:
        case Read(optional=True):
            return False
        case _:
            return total(expression) and all(_always_there(part) for part in parts(expression))
