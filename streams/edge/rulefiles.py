"""Rule packs as people write them: a TOML file with rules, thresholds, lists, and cases that say what should happen.

::

    version = 3
    merchant = ""                 # a merchant's own pack names it, and stands on top of the house's

    [thresholds]
    burst = 5
    large = "500.00 EUR"

    [lists.blocked_cards]
    of = "card"
    file = "blocked.txt"          # beside this file, an entry a line; or entries = ["...", "..."]

    [[rule]]
    id = "card-burst"
    action = "block"
    when = "card.count_10m > $burst and amount > $large"

    [[case]]
    name = "six in ten minutes"
    given = { "card.count_10m" = 6, amount = "500.01 EUR" }
    fires = ["card-burst"]

What a case does not give is as on an ordinary payment (:mod:`streams.edge.rulecases`). Cases and notes stay in the
file; the rest becomes reference data.
"""

import re
import tomllib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from events.errors import Refused, Unavailable, ValidationError
from events.reference import Action, RuleBook, RuleList, Threshold, WrittenRule
from events.risk import Phase
from streams.edge.entries import STANDARD, Entry
from streams.features.rules.catalogue import LANGUAGE
from streams.features.rules.faults import RuleFault
from streams.features.rules.judging import Judge
from streams.features.rules.lists import entries_of, list_sha256, packed, parts_of
from streams.features.rules.packs import Pack, PackRefused, read_pack, told

MOST_BYTES: Final = 4 * 1024 * 1024
MOST_CASES: Final = 10_000
LONGEST_LINE: Final = 1_000


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a pack's file."""


class FileRule(_Part, frozen=True):
    """A rule as written. Without a phase it is asked as soon as everything that it reads is known."""

    id: str
    action: Action
    when: str
    phase: Phase | None = None
    points: int = 0
    shadow: bool = False
    note: str = ""


class FileList(_Part, frozen=True):
    """A list as written: entries here, or in a file beside this one."""

    of: str
    entries: list[str] = []
    file: str = ""


class Case(_Part, frozen=True):
    """A payment, and what the rules should say of it in a phase.

    ``fires`` and ``shadow`` are all rules that fire, ``fails`` those that divide by zero; ``action`` is "" for none
    and left out where it does not matter.
    """

    name: str
    given: dict[str, int | str | bool] = {}
    fires: list[str] = []
    shadow: list[str] = []
    fails: list[str] = []
    action: str | None = None
    phase: Phase = Phase.BEFORE_AUTHORIZATION
    merchant: str = ""


class _File(_Part, frozen=True):
    version: int
    merchant: str = ""
    note: str = ""
    thresholds: dict[str, int | str] = {}
    lists: dict[str, FileList] = {}
    rule: list[FileRule] = []
    case: list[Case] = []


class Trouble(NamedTuple):
    """Something that is wrong, at its place in the file; line and column are 0 where there is none.

    ``shown`` is the line with a caret below the place.
    """

    line: int
    column: int
    what: str
    reason: str
    hint: str = ""
    shown: str = ""


class RuleFile(NamedTuple):
    """A pack's file that was read: what is published of it, the entries of its lists by hash, and its cases."""

    path: Path
    book: RuleBook
    entries: dict[str, list[str]]
    cases: list[Case]
    text: str


class FileRefused(Refused):
    """A pack's file that cannot be used, with all that is wrong with it."""

    def __init__(self, path: Path, troubles: list[Trouble]) -> None:
        first = troubles[0]
        where = f"{path}:{first.line}:{first.column}" if first.line else str(path)
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        super().__init__(f"{where}: {first.what}: {first.reason}{more}")
        self.path = path
        self.troubles = troubles


def read_file(path: Path) -> RuleFile:
    """A pack's file and the files of its lists. Raises Refused or FileRefused, and Unavailable where one is missing."""
    text = _text(path, MOST_BYTES)
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise Refused(f"{path}: {_plain(str(error))}") from error
    if len(file.case) > MOST_CASES:
        raise Refused(f"{path}: a file has at most {MOST_CASES:,} cases")
    entries: dict[str, list[str]] = {}
    lists: list[RuleList] = []
    troubles: list[Trouble] = []
    for name, written in file.lists.items():
        try:
            found = entries_of(name, written.of, _entries(path, written))
        except ValidationError as error:
            troubles.append(Trouble(0, 0, error.field, error.reason))
            continue
        hashed = list_sha256(found)
        entries[hashed] = found
        lists.append(RuleList(name, written.of, len(found), hashed))
    if troubles:
        raise FileRefused(path, troubles)
    rules = tuple(
        WrittenRule(rule.id, rule.action, rule.phase, rule.when, rule.points, rule.shadow)
        for rule in file.rule
    )
    thresholds = tuple(Threshold(name, str(value)) for name, value in file.thresholds.items())
    book = RuleBook(LANGUAGE, file.version, file.merchant, rules, thresholds, tuple(lists))
    return RuleFile(path, book, entries, file.case, text)


def pack_of(file: RuleFile, house: Pack | None = None) -> Pack:
    """The checked pack of a file, a merchant's on top of the house's; FileRefused with every fault at its place."""
    if file.book.merchant and house is None:
        raise Refused(f"{file.path} is {file.book.merchant}'s own: name the house's pack with --house")
    try:
        return read_pack(file.book, house)
    except PackRefused as error:
        troubles = [_placed(file, trouble.rule_id, trouble.error) for trouble in error.troubles]
        raise FileRefused(file.path, troubles) from error


def judge_of(file: RuleFile, house: RuleFile | None = None) -> Judge:
    """What decides by a file's rules, on top of those of the house where the file is a merchant's."""
    if house is None:
        return Judge(pack_of(file), _packed(file.entries.items()))
    if house.book.merchant:
        raise Refused(f"{house.path} is {house.book.merchant}'s own and no house's")
    if not file.book.merchant:
        raise Refused(f"{file.path} is the house's own pack: it stands on top of nothing")
    base = pack_of(house)
    judge = Judge(base, _packed(house.entries.items()))
    judge.put_on_top(pack_of(file, base), _packed(file.entries.items()))
    return judge


def entries_to_publish(file: RuleFile) -> list[Entry]:
    """The reference data of a file: the parts of its lists, and behind them the book that names them."""
    found = [
        Entry("rulelist", f"{part.sha256[:32]}/{part.part}", part)
        for _, entries in sorted(file.entries.items())
        for part in parts_of(entries)
    ]
    return [*found, Entry("rulebook", file.book.merchant or STANDARD, file.book)]


def _packed(lists: Iterable[tuple[str, list[str]]]) -> dict[str, Collection[str]]:
    return {hashed: packed(entries) for hashed, entries in lists}


def _placed(file: RuleFile, rule_id: str, error: ValidationError) -> Trouble:
    """A fault at its place in the file, where the rule stands there as it was read."""
    if not rule_id:
        return Trouble(0, 0, error.field, told(error))
    line, column = _place_of(file, rule_id)
    if not isinstance(error, RuleFault):
        return Trouble(line, column, f"rule {rule_id}", f"{error.field}: {error.reason}")
    if not line:
        return Trouble(0, 0, f"rule {rule_id}", told(error), error.hint, error.shown())
    column = column + error.column - 1 if error.line == 1 else error.column
    return Trouble(line + error.line - 1, column, f"rule {rule_id}", error.reason, error.hint, error.shown())


def _place_of(file: RuleFile, rule_id: str) -> tuple[int, int]:
    """Where the text of a rule begins; (0, 0) where it is not written as it is read (with escapes, say)."""
    named = re.search(rf"^\s*id\s*=\s*[\"']{re.escape(rule_id)}[\"']", file.text, re.MULTILINE)
    when = next(rule.when for rule in file.book.rules if rule.rule_id == rule_id)
    if named is None:
        return 0, 0
    # The text may stand above its id as well as below, but within its own table.
    first = file.text.rfind("[[rule]]", 0, named.start())
    end = file.text.find("[[", named.end())
    key = re.compile(r"^\s*when\s*=\s*(\"\"\"|'''|\"|')\n?", re.MULTILINE)
    found = key.search(file.text, max(first, 0), end if end >= 0 else len(file.text))
    if found is None or not file.text.startswith(when, found.end()):
        return 0, 0
    before = file.text[: found.end()]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _entries(path: Path, written: FileList) -> Iterable[str]:
    if not written.file:
        return written.entries
    if written.entries:
        raise ValidationError("list", "entries stand here or in a file, not in both")
    beside = path.parent / written.file
    try:
        with beside.open(encoding="utf-8") as lines:
            return [entry for line in lines if (entry := _entry(line))]
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{beside} cannot be read: {_why(error)}") from error


def _entry(line: str) -> str:
    if len(line) > LONGEST_LINE:
        raise ValidationError("list", f"a line has at most {LONGEST_LINE:,} letters")
    return line.partition("#")[0].strip()


def _text(path: Path, most: int) -> str:
    try:
        if path.stat().st_size > most:
            raise Refused(f"{path} has more than {most:,} bytes; long lists go into files of their own")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or "no such file"


def _plain(message: str) -> str:
    """What msgspec says, with the place as it stands in the file: ``$.rule[0].when`` is rule 1, when."""
    text, _, path = message.partition(" - at `$")
    if not path:
        return message
    place = (
        re.sub(r"\[(\d+)\]", lambda found: f" {int(found[1]) + 1}", path.rstrip("`"))
        .replace(".", " ")
        .strip()
    )
    return f"{place}: {text}"
