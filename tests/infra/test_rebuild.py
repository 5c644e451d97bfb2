"""Projections made anew while the log grows: at whatever moment, they are the same as before, and they go on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.runs import Done, Place, ended, grown, records
from tests.postgres import Server

#: Enough that the job is still at it when a store has been built twice.
ARGUMENTS = ("--payments", "300", "--seed", "23")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "job")


@pytest.fixture(params=["duckdb", "postgres"])
def store(request: pytest.FixtureRequest, place: Place) -> Iterator[str]:
    """The address of a store beside the job's own."""
    if request.param == "duckdb":
        yield f"duckdb:{place.folder / 'beside.duckdb'}"
        return
    server: Server = request.getfixturevalue("postgres")
    database = server.database()
    yield server.address(database)
    server.drop(database)


def rebuilt(place: Place, store: str) -> Done:
    """``tallystick project rebuild`` of everything."""
    return place.run("project", "rebuild", *place.log_option, "--store", store)


def test_projections_are_made_anew_while_new_events_come_in(place: Place, store: str) -> None:
    """Each build is compared with the one before it; in the end the books are those of the job's own store."""
    job = place.start_demo(*ARGUMENTS)
    assert grown(job, place.log, 1_000)
    grew = 0
    while job.poll() is None:
        before = records(place.log)
        done = rebuilt(place, store)
        assert done.code == 0, done.err
        assert "differs" not in done.err
        grew += records(place.log) > before
    finished = ended(job)
    assert finished.code == 0, finished.err
    assert grew, "the job had ended before anything was built beside it"
    assert "differs" not in rebuilt(place, store).err
    for question in (("ledger", "trial-balance"), ("reconciliation", "open"), ("ledger", "balances")):
        answers = [
            place.run(*question, "--json", "--store", where) for where in (store, f"duckdb:{place.store}")
        ]
        assert [answer.code for answer in answers] == [0, 0], answers
        assert json.loads(answers[0].out) == json.loads(answers[1].out)
