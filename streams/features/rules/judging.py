"""What the rules say of a payment: which fired, and what is to be done, in the fixed order of actions.

Request 3-D Secure, allow, block, review: the first of these kinds of which a rule fired decides. A rule in shadow is
told and decides nothing; so does one that divides by zero on this payment, which is counted.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from events.errors import ValidationError
from events.reference import Action
from events.risk import Phase
from streams.features.rules.catalogue import PHASES, Value
from streams.features.rules.generated import Fired, generate
from streams.features.rules.lists import Both
from streams.features.rules.packs import Pack, ReadyRule
from streams.features.rules.values import places_of

_RANKS: Final = {action: rank for rank, action in enumerate(Action)}
_ACTIONS: Final = tuple(Action)

Lists = Mapping[str, Collection[str]]
"""The entries of lists by their hashes."""


class Outcome(NamedTuple):
    """What the rules of a phase say.

    ``kinds`` are the actions that rules in force ask for, in their fixed order. Rules are named by their ids in the
    order of the pack, a merchant's own as ``merchant/id``.
    """

    kinds: tuple[Action, ...] = ()
    fired: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    points: int = 0

    @property
    def action(self) -> Action | None:
        """What is to be done: the first of the kinds; None where no rule in force fired.

        With one exception. Nobody can have a cardholder authenticate yet, so where a request for that stands before
        a block, the block decides: the request would let through what it was meant to keep out.
        """
        if self.kinds[:2] == (Action.REQUEST_3DS, Action.BLOCK):
            return Action.BLOCK
        return self.kinds[0] if self.kinds else None


NOTHING: Final = Outcome()


class _Compiled(NamedTuple):
    """The rules of one pack in one phase."""

    fired: Fired
    rules: tuple[ReadyRule, ...]
    names: tuple[str, ...]


class Judge:
    """The house's pack and the merchants' own, compiled: a state that can be made again from the packs.

    ``lists`` has the entries of every list that the packs name.
    """

    def __init__(self, house: Pack, lists: Lists) -> None:
        self.house = house
        self._rules = _compiled(house)
        self._lists = tuple(_entries(house, lists))
        self._figures = house.figures()
        self._own: dict[
            str, tuple[dict[Phase, _Compiled], tuple[int | str, ...], tuple[Collection[str], ...]]
        ] = {}

    def put_on_top(self, own: Pack, lists: Lists) -> None:
        """Put a merchant's own pack into force, which was read on top of this house's."""
        if not own.merchant or own.lists[: len(self.house.lists)] != self.house.lists:
            raise ValidationError("merchant", "the pack does not stand on top of the house's")
        combined: list[Collection[str]] = []
        for place, entries in enumerate(_entries(own, lists)):
            if place < len(self._lists):
                entries = Both(self._lists[place], entries) if own.hashes[place] else self._lists[place]
            combined.append(entries)
        self._own[own.merchant] = (_compiled(own), own.figures(), tuple(combined))

    def rules(self) -> Iterator[tuple[str, Action, bool]]:
        """Every rule by its name, with its action and whether it is in shadow: the house's, then the merchants'."""
        for compiled in (self._rules, *(rules for rules, _, _ in self._own.values())):
            for part in compiled.values():
                for name, rule in zip(part.names, part.rules, strict=True):
                    yield name, rule.action, rule.shadow

    def places(self) -> list[int]:
        """The places of all features that some rule reads."""
        packs = (self._rules, *(rules for rules, _, _ in self._own.values()))
        conditions = [rule.condition for pack in packs for part in pack.values() for rule in part.rules]
        return sorted(set().union(*map(places_of, conditions)))

    def asks(self, phase: Phase, merchant: str) -> bool:
        """Whether any rule is asked of this merchant's payments in a phase."""
        own = self._own.get(merchant)
        return phase in self._rules or (own is not None and phase in own[0])

    def judge(self, phase: Phase, merchant: str, vector: Sequence[Value]) -> Outcome:
        """What the rules of a phase say of a payment with this vector."""
        own = self._own.get(merchant)
        rules = self._rules.get(phase)
        if own is None:
            if rules is None:
                return NOTHING
            fired, failed = rules.fired(vector, self._figures, self._lists)
            return _outcome(rules, fired, failed, NOTHING) if fired or failed else NOTHING
        own_rules, figures, lists = own
        outcome = NOTHING
        for part in (rules, own_rules.get(phase)):
            if part is not None:
                fired, failed = part.fired(vector, figures, lists)
                if fired or failed:
                    outcome = _outcome(part, fired, failed, outcome)
        return outcome


def _entries(pack: Pack, lists: Lists) -> list[Collection[str]]:
    found: list[Collection[str]] = []
    for (name, _), hashed in zip(pack.lists, pack.hashes, strict=True):
        if hashed and hashed not in lists:
            raise ValidationError(f"list @{name}", f"its entries ({hashed[:16]}...) are not here")
        found.append(lists[hashed] if hashed else frozenset())
    return found


def _compiled(pack: Pack) -> dict[Phase, _Compiled]:
    found = {}
    for phase in PHASES:
        rules = tuple(rule for rule in pack.rules if rule.phase is phase)
        if rules:
            prefix = f"{pack.merchant}/" if pack.merchant else ""
            names = tuple(prefix + rule.rule_id for rule in rules)
            found[phase] = _Compiled(generate([rule.condition for rule in rules]).fired, rules, names)
    return found


def _outcome(part: _Compiled, fired: list[int], failed: list[int], before: Outcome) -> Outcome:
    ranks = {_RANKS[kind] for kind in before.kinds}
    names, shadow, points = list(before.fired), list(before.shadow), before.points
    for place in fired:
        rule = part.rules[place]
        if rule.shadow:
            shadow.append(part.names[place])
            continue
        names.append(part.names[place])
        points += rule.points
        ranks.add(_RANKS[rule.action])
    kinds = tuple(_ACTIONS[rank] for rank in sorted(ranks))
    told = (*before.failed, *(part.names[place] for place in failed))
    return Outcome(kinds, tuple(names), tuple(shadow), told, points)
