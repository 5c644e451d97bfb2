"""A shelf is a dict, whatever is hot or cold, spilled, on its way or restored."""

from collections.abc import Callable
from itertools import islice

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.features.shelf import Cold, Cupboard, Shelf, moves_of, shelves_in, spill
from streams.hosts.cupboards import Incoming, MemoryCupboard

KEYS = st.sampled_from([f"key {number}" for number in range(12)])
DAYS = st.integers(20_000, 20_004)


class Row(msgspec.Struct):
    """A row that is changed in place, as processors do it."""

    number: int
    marks: list[int] = []


class Part(msgspec.Struct):
    """A Struct in a state, with a shelf of its own."""

    counts: Shelf[int] = msgspec.field(default_factory=Shelf)


class State(msgspec.Struct):
    """What a processor may have."""

    part: Part = msgspec.field(default_factory=Part)
    rows: Shelf[Row] = msgspec.field(default_factory=Shelf)


def attached(state: State, cupboard: Cupboard) -> State:
    """As the host does it."""
    known = set(cupboard.keys())
    for name, shelf, kind in shelves_in(state):
        shelf.attach(name, cupboard, kind, known)
    return state


def leave_memory(state: State, cupboard: MemoryCupboard) -> None:
    """Every row, for two spills take what nobody touches between them."""
    for _ in range(2):
        cupboard.apply(moves_of(spill([found.shelf for found in shelves_in(state)])))


class ShelfAndDict(RuleBasedStateMachine):
    """One history, told to a shelf that spills whenever it wants to, and to a dict.

    What leaves the shelf comes into the cupboard when somebody writes it, as with a local state.
    """

    def __init__(self) -> None:
        super().__init__()
        self.there = MemoryCupboard()
        self.cupboard = Incoming(lambda: self.there)
        self.state = attached(State(), self.cupboard)
        self.rows: dict[str, Row] = {}
        self.days: dict[str, int] = {}
        self.next = 0

    @property
    def shelf(self) -> Shelf[Row]:
        return self.state.rows

    @initialize()
    def stale(self) -> None:
        """What another run left in the cupboard is not there for this one."""
        left = attached(State(), self.cupboard)
        left.rows.put("key 0", Row(-1), 20_000)
        self._let_go(left)
        self._let_go(left)
        assert len(list(self.cupboard.rows("rows"))) == 1

    def _let_go(self, state: State) -> None:
        self.cupboard.add(spill([found.shelf for found in shelves_in(state)]))

    def _row(self) -> Row:
        self.next += 1
        return Row(self.next)

    @rule(key=KEYS)
    def set(self, key: str) -> None:
        row = self._row()
        self.shelf[key] = row
        self.rows[key] = msgspec.structs.replace(row, marks=[])

    @rule(key=KEYS, day=DAYS)
    def put(self, key: str, day: int) -> None:
        row = self._row()
        self.shelf.put(key, row, day)
        self.rows[key] = msgspec.structs.replace(row, marks=[])
        self.days[key] = day

    @rule(key=KEYS, day=DAYS)
    def file(self, key: str, day: int) -> None:
        if key in self.rows:
            self.shelf.file(key, day)
            self.days[key] = day
        else:
            with pytest.raises(KeyError):
                self.shelf.file(key, day)

    @rule(key=KEYS, mark=st.integers(0, 9))
    def change(self, key: str, mark: int) -> None:
        row = self.shelf.get(key)
        assert (row is None) == (key not in self.rows)
        if row is not None:
            row.marks.append(mark)
            self.rows[key].marks.append(mark)

    @rule(key=KEYS)
    def look(self, key: str) -> None:
        assert (key in self.shelf) == (key in self.rows)
        if key in self.rows:
            assert self.shelf[key] == self.rows[key]
        else:
            with pytest.raises(KeyError):
                self.shelf[key]

    @rule(key=KEYS)
    def pop(self, key: str) -> None:
        assert self.shelf.pop(key) == self.rows.pop(key, None)
        self.days.pop(key, None)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        if key in self.rows:
            del self.shelf[key]
            del self.rows[key]
            self.days.pop(key, None)
        else:
            with pytest.raises(KeyError):
                del self.shelf[key]

    @rule(day=DAYS)
    def forget(self, day: int) -> None:
        names = sorted(key for key, filed in self.days.items() if filed == day)
        assert sorted(self.shelf.forget(day)) == names
        for key in names:
            del self.rows[key], self.days[key]

    @rule()
    def spill(self) -> None:
        self._let_go(self.state)

    @rule()
    def write(self) -> None:
        self.there.apply(self.cupboard.moves())
        self.cupboard.clear()

    @rule()
    def write_unnoticed(self) -> None:
        self.there.apply(self.cupboard.moves())

    @rule()
    def restore(self) -> None:
        kept = msgspec.msgpack.encode(self.state)
        self.state = attached(msgspec.msgpack.decode(kept, type=State), self.cupboard)

    @rule()
    def read_all(self) -> None:
        assert list(self.shelf.items()) == sorted(self.rows.items())

    @invariant()
    def sizes_and_days_agree(self) -> None:
        assert len(self.shelf) == len(self.rows)
        assert self.shelf.days_before(20_003) == sorted({day for day in self.days.values() if day < 20_003})


ShelfAndDict.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestShelfAndDict = ShelfAndDict.TestCase


def test_a_row_that_nobody_touches_is_gone_from_memory_behind_two_spills() -> None:
    """And one that somebody has looked at is not."""
    cupboard = MemoryCupboard()
    state = attached(State(), cupboard)
    state.rows["left"], state.rows["seen"] = Row(1), Row(2)
    for _ in range(2):
        assert state.rows["seen"].number == 2
        cupboard.apply(moves_of(spill([state.rows])))
    assert (list(state.rows.young), list(state.rows.old)) == ([], ["seen"])
    assert [cold.key for cold in cupboard.rows("rows")] == ["left"]
    assert len(msgspec.msgpack.encode(state.rows)) < 100


def test_what_was_kept_is_the_state_at_its_spill() -> None:
    """Whatever happens afterwards to cold rows happens in memory: a crash goes back to the snapshot."""
    cupboard = MemoryCupboard()
    state = attached(State(), cupboard)
    for key in ("changed", "removed", "forgotten"):
        state.rows.put(key, Row(1), 20_000 + (key == "forgotten"))
    for _ in range(2):
        cupboard.apply(moves_of(spill([state.rows])))
    snapshot = msgspec.msgpack.encode(state)
    state.rows["changed"].number = 7
    del state.rows["removed"]
    state.rows.forget(20_001)
    assert dict(state.rows.items()) == {"changed": Row(7)}
    crashed = attached(msgspec.msgpack.decode(snapshot, type=State), cupboard)
    assert dict(crashed.rows.items()) == dict.fromkeys(("changed", "removed", "forgotten"), Row(1))


class Asked(MemoryCupboard):
    """A cupboard that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, shelf: str, key: str) -> Cold | None:
        self.asked.append(f"{shelf}: {key}")
        return super().get(shelf, key)


@pytest.mark.parametrize("pieces", range(4))
def test_what_has_stayed_is_encoded_as_it_was_at_the_spill(pieces: int) -> None:
    """However much of it was encoded before rows were changed, removed, forgotten and put anew."""
    state = attached(State(), MemoryCupboard())
    for number in range(6):
        state.rows.put(f"key {number}", Row(number), 20_000 + (number == 5))
    spill([state.rows])
    before = msgspec.msgpack.encode(state.rows.old)
    making = state.rows.stay().pieces(2)
    made = list(islice(making, pieces))
    for number in range(3):
        state.rows[f"key {number}"].marks.append(7)
    state.rows["key 1"].marks.append(8)
    del state.rows["key 3"]
    state.rows["key 4"] = Row(9)
    state.rows.forget(20_001)
    rows: dict[str, Row] = {}
    for piece in (*made, *making):
        rows.update(msgspec.msgpack.decode(piece, type=dict[str, Row]))
    assert msgspec.msgpack.encode(rows) == before


def test_a_new_key_is_looked_for_nowhere() -> None:
    """Whatever shelf asks. One that has left any of them is looked for, also by whoever comes after a restart."""
    cupboard = Asked()
    state = attached(State(), cupboard)
    state.rows["cold"], state.part.counts["cold"] = Row(1), 1
    leave_memory(state, cupboard)
    assert cupboard.asked == []
    state.rows["new"], state.part.counts["new"] = Row(2), 2
    assert ("newer" in state.part.counts, "newer" in state.rows) == (False, False)
    assert cupboard.asked == []
    leave_memory(state, cupboard)
    assert (state.rows["new"], state.part.counts["new"]) == (Row(2), 2)
    assert cupboard.asked == ["rows: new", "part.counts: new"]
    again = attached(msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State), cupboard)
    assert (again.rows["cold"], again.part.counts["cold"]) == (Row(1), 1)
    assert "newest" not in again.rows
    assert cupboard.asked[2:] == ["rows: cold", "part.counts: cold"]


def test_whoever_finds_nothing_and_puts_something_there_has_looked_once() -> None:
    """Also where the key lies on another shelf; and what was put there is found again when it has left memory."""
    cupboard = Asked()
    state = attached(State(), cupboard)
    state.rows["other"], state.part.counts["key"] = Row(1), 1
    leave_memory(state, cupboard)
    assert state.rows.get("key") is None
    state.rows["key"] = Row(2)
    assert cupboard.asked == ["rows: key"]
    leave_memory(state, cupboard)
    state.rows["key"] = Row(3)
    assert (state.rows.cold, dict(state.rows.items())) == (1, {"key": Row(3), "other": Row(1)})


@pytest.mark.parametrize("act", [Shelf.get, Shelf.__contains__, Shelf.pop])
def test_nothing_is_looked_up_where_nothing_is_cold(act: Callable[[Shelf[int], str], object]) -> None:
    """A state without a host, as in a processor's tests, has no cupboard and needs none."""
    assert not act(State().part.counts, "unknown")


def test_shelves_are_found_wherever_they_stand() -> None:
    """By the fields that lead to them, with the types of their rows."""
    assert [(path, kind) for path, _, kind in shelves_in(State())] == [("part.counts", int), ("rows", Row)]
