"""A pack of rules: checked as a whole, with its thresholds and lists; and a merchant's own on top of it.

A merchant may give the house's thresholds other values of the same type, add entries to the house's lists, and have
rules of its own. Its rules cannot allow: what the house blocks, no merchant lets through.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from events.errors import ValidationError
from events.reference import Action, RuleBook, RuleList, Threshold, WrittenRule, encode_reference
from events.risk import Phase
from streams.features.rules.catalogue import LANGUAGE, PHASES
from streams.features.rules.checking import check, literal
from streams.features.rules.cost import MOST_PACK_STEPS
from streams.features.rules.faults import RuleFault
from streams.features.rules.lists import MOST_ENTRIES
from streams.features.rules.tree import Condition
from streams.features.rules.types import DOMAINS, Base, Type
from streams.features.rules.values import Surroundings

MOST_RULES: Final = 500
MOST_THRESHOLDS: Final = 200
MOST_LISTS: Final = 50
MOST_POINTS: Final = 100
MOST_BYTES: Final = 65_000
"""Of a book's canonical JSON: it travels as one text, and the wire takes none that is longer than 65,536 bytes."""

_RULE_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_Named = TypeVar("_Named", Threshold, RuleList)
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class ReadyRule(NamedTuple):
    """A rule with its meaning."""

    rule_id: str
    action: Action
    phase: Phase
    condition: Condition
    steps: int
    points: int
    shadow: bool


class Pack(NamedTuple):
    """A pack that can be used. Thresholds and lists stand in their places: the house's first, then its own.

    A threshold is its value, its type, and its currency ("" for none). A list is its name and of what it is; ``hashes``
    are what a merchant's own (or the house's) pack puts into it, "" where it puts nothing.
    """

    merchant: str
    version: int
    sha256: str
    rules: tuple[ReadyRule, ...]
    thresholds: tuple[tuple[str, int, Type, str], ...]
    lists: tuple[tuple[str, str], ...]
    hashes: tuple[str, ...]

    def figures(self) -> tuple[int | str, ...]:
        """The thresholds as compiled rules take them: value and currency, one after the other."""
        return tuple(part for _, value, _, currency in self.thresholds for part in (value, currency))


class Trouble(NamedTuple):
    """Something in a pack that is wrong. ``rule_id`` is empty where it is no rule."""

    rule_id: str
    error: ValidationError


def told(error: ValidationError) -> str:
    """What is wrong, with the place in the text where there is one."""
    return str(error).removeprefix(f"{error.field}: ")


class PackRefused(ValidationError):
    """A pack that cannot be used, with everything that is wrong with it."""

    def __init__(self, troubles: Sequence[Trouble]) -> None:
        first = troubles[0]
        super().__init__(f"rule {first.rule_id}" if first.rule_id else first.error.field, told(first.error))
        self.troubles = list(troubles)


def read_pack(book: RuleBook, house: Pack | None = None) -> Pack:
    """The pack of a book, a merchant's on top of the ``house``'s; PackRefused names all that is wrong."""
    troubles: list[Trouble] = []

    def wrong(field: str, reason: str) -> None:
        troubles.append(Trouble("", ValidationError(field, reason)))

    if book.language != LANGUAGE:
        wrong("language", f"{book.language} is not {LANGUAGE}, the language that is spoken here")
        raise PackRefused(troubles)
    if book.merchant and house is None:
        wrong("merchant", "a merchant's own pack stands on top of the house's")
        raise PackRefused(troubles)
    size = len(encode_reference(book).encode())
    if size > MOST_BYTES:
        wrong("pack", f"{size:,} bytes without the entries of its lists; {MOST_BYTES:,} are the most")
        raise PackRefused(troubles)
    if book.version < 1:
        wrong("version", "versions count from 1")
    base = house if book.merchant and house is not None else None

    thresholds = list(base.thresholds) if base else []
    places = {name: place for place, (name, *_) in enumerate(thresholds)}
    for threshold in _once("threshold", book.thresholds, MOST_THRESHOLDS, wrong):
        try:
            value, type_ = literal(threshold.value)
        except RuleFault as fault:
            troubles.append(Trouble("", ValidationError(f"threshold ${threshold.name}", told(fault))))
            continue
        if type_.base not in (Base.NUMBER, Base.MONEY, Base.DURATION):
            wrong(f"threshold ${threshold.name}", f"a {type_} is no threshold")
            continue
        currency = threshold.value[-3:] if type_.base is Base.MONEY and threshold.value[-3:].isupper() else ""
        entry = (threshold.name, value, type_, currency)
        place = places.get(threshold.name)
        if place is None:
            places[threshold.name] = len(thresholds)
            thresholds.append(entry)
        elif thresholds[place][2].base is not type_.base:
            expected = thresholds[place][2]
            wrong(f"threshold ${threshold.name}", f"the house has {expected} here, and this is {type_}")
        else:
            thresholds[place] = entry

    lists = list(base.lists) if base else []
    hashes = [""] * len(lists)
    list_places = {name: place for place, (name, _) in enumerate(lists)}
    for named in _once("list", book.lists, MOST_LISTS, wrong):
        if named.of not in DOMAINS:
            wrong(f"list @{named.name}", f"there are no lists of {named.of!r}; of {', '.join(DOMAINS)}")
        elif named.entries > MOST_ENTRIES:
            wrong(f"list @{named.name}", f"a list has at most {MOST_ENTRIES:,} entries")
        elif (place := list_places.get(named.name)) is None:
            list_places[named.name] = len(lists)
            lists.append((named.name, named.of))
            hashes.append(named.sha256)
        elif lists[place][1] != named.of:
            wrong(f"list @{named.name}", f"the house's is a list of {lists[place][1]}, not of {named.of}")
        else:
            hashes[place] = named.sha256

    around = Surroundings(
        {name: (place, thresholds[place][2]) for name, place in places.items()},
        {name: (place, lists[place][1]) for name, place in list_places.items()},
    )
    rules = _rules(book, around, troubles)
    if troubles:
        raise PackRefused(troubles)
    return Pack(
        book.merchant,
        book.version,
        book_sha256(book),
        tuple(rules),
        tuple(thresholds),
        tuple(lists),
        tuple(hashes),
    )


def book_sha256(book: RuleBook) -> str:
    """The hash over a book's canonical JSON, which names its lists by their own hashes."""
    return sha256(encode_reference(book).encode()).hexdigest()


def steps_by_phase(pack: Pack) -> dict[Phase, int]:
    """What the rules of each phase cost together."""
    return {phase: sum(rule.steps for rule in pack.rules if rule.phase is phase) for phase in PHASES}


def _rules(book: RuleBook, around: Surroundings, troubles: list[Trouble]) -> list[ReadyRule]:
    if len(book.rules) > MOST_RULES:
        troubles.append(Trouble("", ValidationError("rules", f"a pack has at most {MOST_RULES:,}")))
        return []
    rules: list[ReadyRule] = []
    seen: set[str] = set()
    total = dict.fromkeys(PHASES, 0)
    for rule in book.rules:
        try:
            ready = _ready(rule, around, own=bool(book.merchant))
            if rule.rule_id in seen:
                raise ValidationError("id", "another rule has this id")
        except ValidationError as error:
            troubles.append(Trouble(rule.rule_id, error))
            continue
        seen.add(rule.rule_id)
        rules.append(ready)
        total[ready.phase] += ready.steps
    for phase, cost in total.items():
        if cost > MOST_PACK_STEPS:
            reason = f"they take up to {cost:,} steps {_words(phase)}; {MOST_PACK_STEPS:,} are the most"
            troubles.append(Trouble("", ValidationError("rules", reason)))
    return rules


def _ready(rule: WrittenRule, around: Surroundings, *, own: bool) -> ReadyRule:
    if not _RULE_ID.fullmatch(rule.rule_id):
        raise ValidationError("id", "an id is up to 64 small letters, digits and hyphens")
    if not -MOST_POINTS <= rule.points <= MOST_POINTS:
        raise ValidationError("points", f"between -{MOST_POINTS} and {MOST_POINTS}")
    checked = check(rule.when, around)
    phase = rule.phase or checked.phase
    if PHASES.index(phase) < PHASES.index(checked.phase):
        raise ValidationError(
            "phase",
            f"what the rule reads is known {_words(checked.phase)}, so it cannot be asked {_words(phase)}",
        )
    if rule.action is Action.REQUEST_3DS and phase is not Phase.BEFORE_AUTHORIZATION:
        raise ValidationError("action", f"{_words(phase)} it is too late to request 3-D Secure")
    if rule.action is Action.ALLOW and own:
        raise ValidationError("action", "a merchant's own rules cannot allow")
    return ReadyRule(
        rule.rule_id, rule.action, phase, checked.condition, checked.steps, rule.points, rule.shadow
    )


def _once(
    what: str, entries: Sequence[_Named], most: int, wrong: Callable[[str, str], None]
) -> Iterator[_Named]:
    """The entries whose name is one, and theirs alone; what is wrong with the others is told."""
    if len(entries) > most:
        wrong(f"{what}s", f"a pack has at most {most}")
        return
    seen: set[str] = set()
    for entry in entries:
        if not _NAME.fullmatch(entry.name):
            wrong(f"{what} {entry.name[:40]}", "a name is up to 63 small letters, digits and underscores")
        elif entry.name in seen:
            wrong(f"{what} {entry.name}", "another one has this name")
        else:
            seen.add(entry.name)
            yield entry


def _words(phase: Phase) -> str:
    return phase.value.replace("_", " ")
