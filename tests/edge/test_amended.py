"""Reference data is added to an input without a gap in its versions."""

import pytest

from events.errors import Refused
from events.reference import RuleBook
from events.requests import InputRow, ReferencePublished
from streams.edge.amended import amended
from streams.edge.publisher import schedule
from streams.edge.reference import Entry, health, published
from tests.streams.builders_early import NOON, payment_request

BOOK = Entry("rulebook", "standard", RuleBook(1, 1, "", (), (), ()))


def day() -> list[InputRow]:
    """Two entries, a payment, an entry in the middle, a payment."""
    first, second, third = published([health(name, healthy=True, note="") for name in ("a", "b", "c")])
    pay = [payment_request(idempotency_key=f"k{n}", occurred_at=NOON + 10 * n) for n in (1, 2)]
    entries = [first, second, pay[0], third, pay[1]]
    return [InputRow(NOON + at, entry) for at, entry in zip((0, 0, 10, 15, 20), entries, strict=True)]


PLACES = [
    # published at, where the entries then stand (B the book), and its time
    (None, "rrBprp", 0),
    (NOON, "Brrprp", 0),
    (NOON + 10, "rrBprp", 10),
    (NOON + 12, "rrpBrp", 12),
    (NOON + 99, "rrprpB", 99),
]


@pytest.mark.parametrize(("at", "expected", "added_at"), PLACES)
def test_an_entry_stands_where_its_time_is(at: int | None, expected: str, added_at: int) -> None:
    """Versions count on behind it, and the input can still be run."""
    rows = list(amended(day(), [BOOK], at))
    letters = ""
    for row in rows:
        entry = row.entry
        if isinstance(entry, ReferencePublished):
            letters += "B" if entry.kind == "rulebook" else "r"
        else:
            letters += "p"
    assert expected == letters
    versions = [row.entry.version for row in rows if isinstance(row.entry, ReferencePublished)]
    assert [1, 2, 3, 4] == versions
    [book] = [
        row for row in rows if isinstance(row.entry, ReferencePublished) and row.entry.kind == "rulebook"
    ]
    assert NOON + added_at == book.ingested_at
    assert 6 == schedule(rows).rows


def test_without_the_counting_on_the_input_would_be_refused() -> None:
    """Two entries of one version are no input."""
    rows = day()
    with pytest.raises(Refused, match="reference data of version 3 where 4 comes next"):
        schedule([*rows[:4], *(InputRow(NOON + 15, entry) for entry in published([BOOK], 3)), rows[4]])
