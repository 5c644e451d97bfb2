"""What every cupboard promises: it moves with its owner's state, in one transaction, and gives back what it got."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from events.errors import LogDamaged
from streams.features.shelf import UNFILED, Cold, Cupboard, Leaving, Moves
from streams.hosts.cupboards import Incoming, MemoryCupboard
from streams.hosts.embedded import EmbeddedLog
from tests.contracts.test_logs import ALICE, BOB, IMPLEMENTATIONS, Harness

ROWS = "payments/refunds/payments"
ONE, TWO, THREE = Cold("a", 20_000, b"one"), Cold("b", 20_001, b"two"), Cold("ü/c", UNFILED, b"three")


def moves(
    *rows: Cold,
    anew: bool = False,
    forgotten: tuple[int, ...] = (),
    taken: tuple[str, ...] = (),
    shelf: str = ROWS,
) -> list[list[Moves]]:
    """What one spill of one shelf does."""
    return [[Moves(shelf, anew, list(forgotten), list(taken), list(rows))]]


@pytest.fixture(params=IMPLEMENTATIONS, ids=["memory", "embedded"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    """A log in which two owners have each kept three rows."""
    made: Harness = request.param(tmp_path)
    for owner in (ALICE, BOB):
        made.log.commit(owner, (), {}, b"state", moves(THREE, ONE, TWO))
    made.reopen()
    return made


def found(harness: Harness, owner: str = ALICE, shelf: str = ROWS) -> list[Cold]:
    """All rows of a shelf."""
    return list(harness.log.cupboard(owner).rows(shelf))


def test_rows_come_back_in_the_order_of_their_keys(harness: Harness) -> None:
    """Each by its key, and all of a day by their day."""
    assert found(harness) == [ONE, TWO, THREE]
    cupboard = harness.log.cupboard(ALICE)
    assert [cupboard.get(ROWS, key) for key in ("a", "ü/c", "unknown")] == [ONE, THREE, None]
    assert (cupboard.filed(ROWS, 20_001), cupboard.filed(ROWS, 19_999)) == (["b"], [])


def test_shelves_and_owners_are_apart(harness: Harness) -> None:
    """A key stands for itself on each shelf of each owner."""
    other = Cold("a", UNFILED, b"other")
    harness.log.commit(ALICE, (), {}, b"state", moves(other, shelf="payments/fees/profiles"))
    harness.log.commit(BOB, (), {}, b"state", moves(anew=True))
    assert found(harness, ALICE, "payments/fees/profiles") == [other]
    assert found(harness) == [ONE, TWO, THREE]
    assert found(harness, BOB) == []
    assert harness.log.cupboard("index/2").get(ROWS, "a") is None


@pytest.mark.parametrize(
    ("what", "left"),
    [
        (moves(forgotten=(20_000,)), [TWO, THREE]),
        (moves(taken=("b", "unknown")), [ONE, THREE]),
        (moves(ONE._replace(row=b"again"), forgotten=(20_000, 20_001)), [ONE._replace(row=b"again"), THREE]),
        (moves(TWO._replace(day=UNFILED), taken=("b",)), [ONE, TWO._replace(day=UNFILED), THREE]),
        (moves(TWO, anew=True), [TWO]),
        (moves(), [ONE, TWO, THREE]),
    ],
)
def test_days_go_then_rows_go_then_rows_come(
    harness: Harness, what: list[list[Moves]], left: list[Cold]
) -> None:
    """In this order, so that what comes is there in the end."""
    harness.log.commit(ALICE, (), {}, b"state", what)
    harness.reopen()
    assert found(harness) == left
    assert found(harness, BOB) == [ONE, TWO, THREE]


def test_what_lies_under_one_key_goes_and_comes_by_its_shelf(harness: Harness) -> None:
    """Whatever else lies there, and whichever day that is filed under."""
    fees, other = "payments/fees/profiles", Cold("a", 20_001, b"fees")
    harness.log.commit(ALICE, (), {}, b"state", moves(other, shelf=fees))
    harness.log.commit(ALICE, (), {}, b"state", moves(ONE._replace(day=20_001), taken=("a",)))
    harness.reopen()
    cupboard = harness.log.cupboard(ALICE)
    assert (cupboard.filed(ROWS, 20_000), cupboard.filed(fees, 20_001)) == ([], ["a"])
    assert set(cupboard.filed(ROWS, 20_001)) == {"a", "b"}
    harness.log.commit(ALICE, (), {}, b"state", moves(forgotten=(20_001,)))
    harness.reopen()
    assert (found(harness), found(harness, shelf=fees)) == ([THREE], [other])
    harness.log.commit(ALICE, (), {}, b"state", moves(anew=True) + moves(taken=("a",), shelf=fees))
    harness.reopen()
    assert list(harness.log.cupboard(ALICE).keys()) == []


def test_it_tells_its_keys(harness: Harness) -> None:
    """Those of its owner, whatever shelf they are on: whoever has them asks for no other."""
    cupboard = harness.log.cupboard(ALICE)
    assert set(cupboard.keys()) == {"a", "b", "ü/c"}
    harness.log.commit(ALICE, (), {}, b"state", moves(taken=("a",)))
    harness.reopen()
    assert set(harness.log.cupboard(ALICE).keys()) == {"b", "ü/c"}
    assert set(harness.log.cupboard(BOB).keys()) == {"a", "b", "ü/c"}
    assert set(harness.log.cupboard("index/2").keys()) == set()
    many = [Cold(f"key {number:04d}", UNFILED, b"row") for number in range(2_500)]
    harness.log.commit(ALICE, (), {}, b"state", moves(*many, anew=True))
    assert sorted(set(harness.log.cupboard(ALICE).keys())) == [one.key for one in many]


def test_a_shelf_that_began_anew_can_begin_again(harness: Harness) -> None:
    """Whatever has come to it meanwhile, and in whatever run."""
    for row in (ONE, TWO):
        harness.log.commit(ALICE, (), {}, b"state", moves(anew=True))
        assert found(harness) == []
        harness.log.commit(ALICE, (), {}, b"state", moves(row, anew=True))
        assert found(harness) == [row]
        harness.log.commit(ALICE, (), {}, b"state", moves(THREE, anew=True))
        harness.reopen()
        assert found(harness) == [THREE]
    assert found(harness, BOB) == [ONE, TWO, THREE]


def test_tables_of_an_older_version_are_made_anew(tmp_path: Path) -> None:
    """What lies there belongs to a snapshot that nobody uses any more."""
    path = tmp_path / "log.db"
    log = EmbeddedLog(path)
    log.close()
    with sqlite3.connect(path) as db:
        for table in ("shelf", "cold", "filed"):
            db.execute(f"DROP TABLE {table}")
        db.execute("CREATE TABLE shelf (number INTEGER PRIMARY KEY, owner TEXT, name TEXT)")
        db.execute("CREATE TABLE cold (owner, key, shelf, day, row, sha256, PRIMARY KEY (owner, key, shelf))")
        db.execute("INSERT INTO shelf VALUES (1, ?, ?)", (ALICE, ROWS))
        db.execute("INSERT INTO cold VALUES (1, 'a', 1, 20000, x'00', x'00')")
    db.close()
    log = EmbeddedLog(path)
    assert list(log.cupboard(ALICE).rows(ROWS)) == []
    log.commit(ALICE, (), {}, b"state", moves(THREE, anew=True))
    log.close()
    log = EmbeddedLog(path)
    assert list(log.cupboard(ALICE).rows(ROWS)) == [THREE]
    log.close()


def test_more_rows_than_one_read_takes(harness: Harness) -> None:
    """All of them, once."""
    many = [Cold(f"{number:05d}", UNFILED, b"row") for number in range(2_500)]
    harness.log.commit(ALICE, (), {}, b"state", moves(*many, anew=True))
    assert found(harness) == many


def test_a_round_that_is_taken_back_takes_the_rows_back(tmp_path: Path) -> None:
    """With everything else that was committed in it, and the numbers that shelves were given."""
    log = EmbeddedLog(tmp_path / "log.db")

    def failing() -> None:
        with log.round():
            log.commit(ALICE, (), {}, b"state", moves(ONE))
            log.commit(ALICE, (), {}, b"state", moves(TWO, shelf="intake/sequences"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert log.state(ALICE) is None
    log.commit(BOB, (), {}, b"state", moves(THREE))
    assert list(log.cupboard(ALICE).rows(ROWS)) == []
    assert list(log.cupboard(BOB).rows(ROWS)) == [THREE]
    log.close()


@pytest.mark.parametrize(
    "change", ["rows = x'00'", "rows = x'80'", "key = 'A'", "sha256 = x''", "rows = 'one'"]
)
@pytest.mark.parametrize("look", [EmbeddedLog.check_tree, lambda log: list(log.cupboard(ALICE).rows(ROWS))])
def test_an_altered_row_is_found(tmp_path: Path, change: str, look: Callable[[EmbeddedLog], object]) -> None:
    """When it is read, and by whoever looks at the whole log."""
    log = EmbeddedLog(tmp_path / "log.db")
    log.commit(ALICE, (), {}, b"state", moves(ONE, TWO))
    log.check_tree()
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute(f"UPDATE cold SET {change} WHERE key = 'a'")
    db.close()
    log = EmbeddedLog(tmp_path / "log.db", read_only=True)
    with pytest.raises(LogDamaged, match="altered"):
        look(log)
    log.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cold SET owner = 2 WHERE key = 'a'",
        "DELETE FROM cold WHERE key = 'a'",
        "DELETE FROM filed WHERE day = 20000",
        "UPDATE filed SET day = 20002 WHERE day = 20000",
        "UPDATE filed SET number = 3 WHERE day = 20000",
        "UPDATE shelf SET rows = 3",
    ],
)
def test_what_is_lost_or_misfiled_is_found(tmp_path: Path, change: str) -> None:
    """By whoever looks at the whole log: what is there is sound, and not all of it."""
    log = EmbeddedLog(tmp_path / "log.db")
    log.commit(ALICE, (), {}, b"state", moves(ONE, TWO))
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        assert db.execute(change).rowcount == 1
    db.close()
    log = EmbeddedLog(tmp_path / "log.db", read_only=True)
    with pytest.raises(LogDamaged, match="altered"):
        log.check_tree()
    log.close()


@pytest.mark.parametrize("change", ["DELETE FROM cold WHERE key = 'a'", "UPDATE filed SET number = 3"])
def test_a_day_that_is_misfiled_is_not_forgotten(tmp_path: Path, change: str) -> None:
    """Rows that were to go would be left, or others taken."""
    log = EmbeddedLog(tmp_path / "log.db")
    log.commit(ALICE, (), {}, b"state", moves(ONE, TWO._replace(day=20_001), THREE))
    with sqlite3.connect(tmp_path / "log.db") as db:
        db.execute("DELETE FROM filed WHERE day = 20001")
        assert db.execute(change).rowcount == 1
    db.close()
    log.close()
    log = EmbeddedLog(tmp_path / "log.db")
    with pytest.raises(LogDamaged, match="days"):
        log.commit(ALICE, (), {}, b"state", moves(forgotten=(20_000,)))
    log.close()


def test_a_cupboard_that_nobody_has_written_is_empty() -> None:
    """And looking at it changes nothing."""
    cupboard = MemoryCupboard()
    assert (cupboard.get(ROWS, "a"), cupboard.filed(ROWS, 20_000), list(cupboard.rows(ROWS))) == (
        None,
        [],
        [],
    )


@pytest.mark.parametrize(
    "look",
    [
        lambda cupboard: cupboard.get(ROWS, "a") is not None,
        lambda cupboard: cupboard.filed(ROWS, 20_000) == ["a"],
        lambda cupboard: [found.key for found in cupboard.rows(ROWS)] == ["a"],
    ],
    ids=["get", "filed", "rows"],
)
def test_a_row_is_found_though_it_comes_just_then(look: Callable[[Cupboard], bool]) -> None:
    """Its transaction may end when the cupboard has just been asked for: that one knows nothing of it."""
    there = MemoryCupboard()

    def before() -> Cupboard:
        there.apply(incoming.moves())
        incoming.clear()
        return MemoryCupboard()

    incoming = Incoming(before)
    incoming.add([Leaving(ROWS, True, [], {}, {"a": 1}, {"a": 20_000})])
    assert look(incoming)
    assert look(there)
