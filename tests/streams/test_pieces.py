"""States in pieces: the same state again, whatever is large in it, and no piece larger than it may be."""

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.features import pieces
from streams.features.pieces import PIECE, dicts_in, put_together, take_apart
from streams.features.shelf import Shelf, row_decoder
from streams.topology import ENGINES


class Row(msgspec.Struct):
    at: int
    names: list[str] = []


class Inner(msgspec.Struct, frozen=True):
    rows: dict[int, Row] = {}
    note: str = ""


class State(msgspec.Struct):
    inner: Inner
    counts: list[dict[str, str | Row]]
    shelf: Shelf[Row]
    perhaps: dict[str, int] | None = None
    plain: dict[str, int] = {}


DECODER: Final = msgspec.msgpack.Decoder(State)
TEXTS: Final = st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=8)
ROWS: Final = st.builds(Row, st.integers(0, 9), st.lists(st.text(max_size=2), max_size=2))
STATES: Final = st.builds(
    State,
    st.builds(Inner, st.dictionaries(st.integers(0, 99), ROWS, max_size=8), st.text(max_size=3)),
    st.lists(st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=3), ROWS)), max_size=3),
    st.builds(
        Shelf,
        young=st.dictionaries(st.text(max_size=3), ROWS, max_size=8),
        filed=TEXTS,
        taken=st.dictionaries(st.text(max_size=3), st.booleans(), max_size=8),
        cold=st.integers(0, 9),
    ),
    st.one_of(st.none(), TEXTS),
    TEXTS,
)


@given(STATES, st.integers(1, 4))
def test_a_state_is_the_same_again(state: State, piece: int) -> None:
    """With its dicts in their order, to the byte; and it was not changed by being taken apart."""
    before = msgspec.msgpack.encode(state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", piece)
        apart, used = take_apart(state), take_apart(state)
        again = put_together(used, DECODER)
    assert not used.pieces
    assert before == msgspec.msgpack.encode(state) == msgspec.msgpack.encode(again)
    large = {found.path for found in dicts_in(state) if len(found.rows) > piece}
    assert large == apart.pieces.keys()
    for found in dicts_in(state):
        if found.path in large:
            lengths = [len(row_decoder(found.kind).decode(one)) for one in apart.pieces[found.path]]
            assert len(found.rows) == sum(lengths)
            assert max(lengths) <= piece


def test_every_field_of_every_processor_that_grows_is_among_them() -> None:
    """A dict of a million entries anywhere in a state of ours is apart, unless its field may also be None."""
    for spec in ENGINES:
        for processor, decoder in zip(spec.processors, spec.decoders, strict=True):
            state = processor.initial()
            grown = {found.path for found in dicts_in(state)}
            named = {f".{name}" for name in state.__struct_fields__ if isinstance(getattr(state, name), dict)}
            assert named <= grown, processor.NAME
            assert put_together(take_apart(state), decoder) == state


def test_what_is_small_stays_whole() -> None:
    """One encoding, as before."""
    state = State(Inner({1: Row(1)}), [{"a": "b"}], Shelf(young={"a": Row(2)}))
    assert not take_apart(state).pieces
    state.plain = {str(number): number for number in range(PIECE + 1)}
    apart = take_apart(state)
    assert {".plain": 2} == {path: len(found) for path, found in apart.pieces.items()}
    assert len(apart.rest) < 200
