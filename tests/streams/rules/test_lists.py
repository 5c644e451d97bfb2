"""A list of a million names is exact, small and fast, and travels in parts that are checked."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import ValidationError
from events.reference import RuleListPart, encode_reference
from streams.features.rules.lists import (
    PACKED_FROM,
    PART_BYTES,
    Both,
    Packed,
    entries_of,
    list_sha256,
    packed,
    parts_of,
    whole,
)

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=6)


@given(st.sets(NAMES, max_size=60), st.lists(NAMES, max_size=30))
def test_a_packed_list_is_a_set(entries: set[str], others: list[str]) -> None:
    """The same answer for what is in it and what is not, parts of entries and longer ones included."""
    made = Packed(entries)
    assert (len(entries), entries) == (len(made), set(made))
    for other in [*entries, *others, *(entry[1:] for entry in entries), *(f"{entry}x" for entry in entries)]:
        assert (other in entries) == (other in made)
    assert None not in made
    assert 5 not in made


def test_short_lists_are_sets_and_long_ones_are_packed() -> None:
    """Whichever suits the number."""
    assert isinstance(packed(["a"]), frozenset)
    assert isinstance(packed([str(number) for number in range(PACKED_FROM)]), Packed)


def test_a_million_entries_are_small() -> None:
    """Less than 24 bytes an entry beside its own letters, where a set takes more than a hundred."""
    chance = random.Random(1)
    entries = [f"card-{number:012x}" for number in chance.sample(range(2**48), 200_000)]
    tracemalloc.start()
    made = packed(entries)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(entries) < 24 + len(entries[0])
    assert all(entry in made for entry in entries[:1_000])
    assert "card-000000000000" not in made


def test_a_merchants_own_stands_on_top() -> None:
    """Both lists are asked; one entry in both is one."""
    both = Both(frozenset("ab"), frozenset("bc"))
    assert ("abc", 3) == ("".join(sorted(both)), len(both))
    assert "a" in both
    assert "c" in both
    assert "d" not in both


FULL = PART_BYTES // len('"00000000",')


@pytest.mark.parametrize(("size", "expected"), [(0, 1), (1, 1), (FULL, 1), (FULL + 1, 2), (3 * FULL, 3)])
def test_a_list_travels_in_parts(size: int, expected: int) -> None:
    """Each fits into a text of the wire; whole again in whatever order they come, and not before the last one."""
    entries = [f"{number:08}" for number in range(size)]
    parts = list(parts_of(entries))
    assert expected == len(parts)
    assert all(len(encode_reference(part)) < 65_536 for part in parts)
    assert {list_sha256(entries)} == {part.sha256 for part in parts}
    assert entries == whole(reversed(parts))
    assert whole(parts[1:]) is None


def test_parts_of_something_else_are_refused() -> None:
    """The hash is over all entries."""
    [part] = parts_of(["a", "b"])
    with pytest.raises(ValidationError, match="not what their hash says"):
        whole([RuleListPart(part.sha256, 0, 1, ("a", "c"))])


BAD = [
    ("mcc", ["5411", "54"], "list @shops: entry 2 does not look like the four digits of a merchant category"),
    ("country", ["US", "UK"], "list @shops: entry 2 is none of AD, AE, AF, AG ... (249 in all)"),
    ("card", ["a b"], "list @shops: entry 1 does not look like an id of up to 200 letters without spaces"),
    ("card", ["a\nb"], "list @shops: entry 1 does not look like an id of up to 200 letters without spaces"),
    ("shop", ["x"], "list @shops: there are no lists of 'shop'; of country, currency, mcc, "),
]


@pytest.mark.parametrize(("of", "given_entries", "reason"), BAD)
def test_an_entry_that_cannot_be_one_is_counted_and_not_quoted(
    of: str, given_entries: list[str], reason: str
) -> None:
    """It may be a card number."""
    with pytest.raises(ValidationError) as caught:
        entries_of("shops", of, given_entries)
    assert str(caught.value).startswith(reason)


def test_entries_are_sorted_and_each_once() -> None:
    """The same list has the same hash however it was written."""
    assert ["CA", "US"] == entries_of("there", "country", ["US", "CA", "US"])
