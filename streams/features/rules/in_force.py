"""The rules that are in force: what reference data has put there, and the judge that is made of it.

A state keeps the sources alone: books, the first kind of pack, the parts of lists. The judge is compiled from them when
it is first asked for and kept beside the states by the hash of its sources: a pure function of them, so a restart, or
another partition of the process, has the same one.

What cannot be used is refused with a reason, and what was in force stays. A new book of the house may put an end to
merchants' own that no longer stand on top of it; they are named too.
"""

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Final

import msgspec

from events.errors import ValidationError
from events.reference import (
    Action,
    Reference,
    RuleBook,
    RuleListPart,
    RulePack,
)
from events.risk import Verdict
from streams.features.rules.catalogue import LANGUAGE
from streams.features.rules.judging import Judge, Outcome
from streams.features.rules.lists import packed, whole
from streams.features.rules.packs import Pack, book_sha256, read_pack
from streams.features.rules.translated import translate

HIGHEST_SCORE: Final = 100
MOST_JUDGES: Final = 16
"""Judges that a process keeps; one more lets go of the oldest. There is one for each moment that is being decided."""

_NO_BOOK: Final = RuleBook(LANGUAGE, 1, "", (), (), ())
_VERDICTS: Final = {
    Action.REQUEST_3DS: Verdict.STEP_UP,
    Action.ALLOW: Verdict.ALLOW,
    Action.BLOCK: Verdict.BLOCK,
    Action.REVIEW: Verdict.REVIEW,
}
_SEVERITY: Final = {verdict: place for place, verdict in enumerate(Verdict)}


class InForce(msgspec.Struct):
    """The sources. ``first`` is a pack of the first kind, in place of the house's book; ``own`` are merchants' books.

    ``lists`` has the texts of a list's parts by the list's hash: entries a line each, None for a part that has not
    come. A list is kept from its first part until the book that names it is replaced by one that does not.
    """

    first: RulePack | None = None
    house: RuleBook | None = None
    own: dict[str, RuleBook] = {}
    lists: dict[str, list[str | None]] = {}
    sha256: str = ""


def put(rules: InForce, content: Reference) -> list[str]:
    """Put reference data into force; what was refused, in words."""
    match content:
        case RuleListPart():
            parts = rules.lists.setdefault(content.sha256, [None] * content.parts)
            if len(parts) != content.parts or not 0 <= content.part < content.parts:
                return [
                    f"list {content.sha256[:16]}: part {content.part} of {content.parts} does not fit the others"
                ]
            parts[content.part] = "\n".join(content.entries)
            return []
        case RulePack():
            return _replace(rules, content, translate(content))
        case RuleBook(merchant=""):
            return _replace(rules, None, content)
        case RuleBook():
            return _put_on_top(rules, content)
        case _:
            return []


def judge_of(rules: InForce) -> Judge:
    """The judge of the rules in force."""
    found = _JUDGES.get(rules.sha256)
    if found is None:
        found = _compile(rules)
        while len(_JUDGES) >= MOST_JUDGES:
            del _JUDGES[next(iter(_JUDGES))]
        _JUDGES[rules.sha256] = found
    return found


_JUDGES: Final[dict[str, Judge]] = {}


def verdict_of(rules: InForce, outcome: Outcome) -> Verdict:
    """What an outcome comes to: what its action says, or with a pack of the first kind the strongest of all."""
    if not outcome.kinds:
        return Verdict.ALLOW
    if rules.first is not None:
        return max((_VERDICTS[kind] for kind in outcome.kinds), key=_SEVERITY.__getitem__)
    action = outcome.action
    return _VERDICTS[action] if action is not None else Verdict.ALLOW


def score_of(outcome: Outcome) -> int:
    """The points of all rules that fired, 0 to 100."""
    return max(0, min(HIGHEST_SCORE, outcome.points))


def summary(rules: InForce) -> Iterator[str]:
    """What is in force, by its hash."""
    if rules.sha256:
        yield f"rules {rules.sha256}"


# --- putting into force ---------------------------------------------------------------------------------


def _replace(rules: InForce, first: RulePack | None, house: RuleBook) -> list[str]:
    """Put another pack of the house into force, and let go of merchants' books that do not stand on top of it."""
    try:
        pack = _read(rules, house, None)
    except ValidationError as error:
        return [f"the house's rules: {error}"]
    before = rules.house
    rules.first, rules.house = first, house
    refused = []
    for merchant in sorted(rules.own):
        try:
            _read(rules, rules.own[merchant], pack)
        except ValidationError as error:
            refused.append(f"the rules of {merchant}: {error}")
            del rules.own[merchant]
    _settle(rules, before)
    return refused


def _put_on_top(rules: InForce, book: RuleBook) -> list[str]:
    try:
        _read(rules, book, read_pack(rules.house or _NO_BOOK))
    except ValidationError as error:
        return [f"the rules of {book.merchant}: {error}"]
    before = rules.own.get(book.merchant)
    rules.own[book.merchant] = book
    _settle(rules, before)
    return []


def _read(rules: InForce, book: RuleBook, house: Pack | None) -> Pack:
    """The pack of a book, all of whose lists are here."""
    pack = read_pack(book, house)
    for named in book.lists:
        _entries(rules, named.sha256, named.name)
    return pack


def _entries(rules: InForce, hashed: str, name: str) -> list[str]:
    """The entries of a list; ValidationError where a part is missing, or they are not what the hash says."""
    parts = rules.lists.get(hashed)
    if parts is None or None in parts:
        raise ValidationError(f"list @{name}", f"its entries ({hashed[:16]}...) have not come")
    texts = [part for part in parts if part is not None]
    entries = whole(
        RuleListPart(hashed, place, len(texts), tuple(text.split("\n")) if text else ())
        for place, text in enumerate(texts)
    )
    assert entries is not None
    return entries


def _settle(rules: InForce, before: RuleBook | None) -> None:
    """Name what is in force now, and forget the lists that only the replaced book has named."""
    books = ([] if rules.house is None else [rules.house]) + [rules.own[name] for name in sorted(rules.own)]
    kind = "first" if rules.first is not None else "book"
    rules.sha256 = sha256("\n".join([kind, *map(book_sha256, books)]).encode()).hexdigest()
    named = {entry.sha256 for book in books for entry in book.lists}
    for entry in before.lists if before is not None else ():
        if entry.sha256 not in named:
            rules.lists.pop(entry.sha256, None)


def _compile(rules: InForce) -> Judge:
    house = read_pack(rules.house or _NO_BOOK)
    judge = Judge(house, _lists(rules, rules.house or _NO_BOOK))
    for merchant in sorted(rules.own):
        book = rules.own[merchant]
        judge.put_on_top(read_pack(book, house), _lists(rules, book))
    return judge


def _lists(rules: InForce, book: RuleBook) -> dict[str, Collection[str]]:
    return {named.sha256: packed(_entries(rules, named.sha256, named.name)) for named in book.lists}
