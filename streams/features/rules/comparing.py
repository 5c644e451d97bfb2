"""What two packs differ in: rules, thresholds and lists, with what each was and is.

Rules are compared word by word, so white space and comments make no difference; the order of rules makes none either,
for it decides nothing but the order in which they are named.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from events.reference import RuleBook, WrittenRule
from streams.features.rules.syntax import words_of


class Difference(NamedTuple):
    """One thing that differs. ``old`` is empty where it was added, ``new`` where it was removed."""

    kind: str
    name: str
    field: str
    old: str
    new: str

    @property
    def change(self) -> str:
        """What happened to it."""
        return "changed" if self.old and self.new else "added" if self.new else "removed"


Entries = Mapping[str, Sequence[str]]
"""The entries of lists by their hashes."""


def differences(old: RuleBook, new: RuleBook, old_entries: Entries, new_entries: Entries) -> list[Difference]:
    """What ``new`` changes, in the order of the new pack; what it removes comes last in each kind.

    RuleFault where a rule of either cannot be read.
    """
    found: list[Difference] = []
    if old.merchant != new.merchant:
        found.append(
            Difference("pack", "merchant", "", old.merchant or "the house", new.merchant or "the house")
        )
    old_rules = {rule.rule_id: rule for rule in old.rules}
    new_rules = {rule.rule_id: rule for rule in new.rules}
    for name in _both(old_rules, new_rules):
        before, after = old_rules.get(name), new_rules.get(name)
        if before is None or after is None:
            found.append(Difference("rule", name, "", _said(before), _said(after)))
        else:
            found += (Difference("rule", name, field, *values) for field, values in _changed(before, after))
    old_figures = {threshold.name: threshold.value for threshold in old.thresholds}
    new_figures = {threshold.name: threshold.value for threshold in new.thresholds}
    for name in _both(old_figures, new_figures):
        figures = (old_figures.get(name, ""), new_figures.get(name, ""))
        if figures[0] != figures[1]:
            found.append(Difference("threshold", name, "", *figures))
    old_lists = {named.name: named for named in old.lists}
    new_lists = {named.name: named for named in new.lists}
    for name in _both(old_lists, new_lists):
        was, is_ = old_lists.get(name), new_lists.get(name)
        if was is None or is_ is None:
            found.append(
                Difference("list", name, "", *(_size(one.entries if one else None) for one in (was, is_)))
            )
            continue
        if was.of != is_.of:
            found.append(Difference("list", name, "of", was.of, is_.of))
        if was.sha256 != is_.sha256:
            gone, come = set(old_entries[was.sha256]), set(new_entries[is_.sha256])
            told = f"{_size(is_.entries)} (+{len(come - gone):,} -{len(gone - come):,})"
            found.append(Difference("list", name, "entries", _size(was.entries), told))
    return found


def _changed(before: WrittenRule, after: WrittenRule) -> list[tuple[str, tuple[str, str]]]:
    found = []
    if words_of(before.when) != words_of(after.when):
        found.append(("when", (" ".join(before.when.split()), " ".join(after.when.split()))))
    for field in ("action", "phase", "points", "shadow"):
        was, is_ = getattr(before, field), getattr(after, field)
        if was != is_:
            found.append((field, (_word(was), _word(is_))))
    return found


def _word(value: object) -> str:
    if value is None:
        return "as soon as known"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(rule: WrittenRule | None) -> str:
    if rule is None:
        return ""
    return f"{rule.action}{' in shadow' if rule.shadow else ''} when {' '.join(rule.when.split())}"


def _size(entries: int | None) -> str:
    return "" if entries is None else f"{entries:,} entries"


def _both(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [*new, *(name for name in old if name not in new)]
