"""Commands that ask a store are tested on every database."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from projections.projector import Projector, partitions_of
from streams.hosts.embedded import EmbeddedLog
from tests.infra.asking import Tallystick, told
from tests.infra.runs import Place
from tests.postgres import Server
from tests.projections.stores import DuckStores, PostgresStores, Stores, day
from tests.simulation.schedules import calm


@pytest.fixture(scope="session")
def postgres_houses(postgres: Server) -> PostgresStores:
    """Stores on PostgreSQL, for all tests of this folder."""
    return PostgresStores(postgres)


@pytest.fixture(scope="module", params=["duck", "postgres"])
def houses(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Stores on each database, one after the other; a module's are taken back together."""
    if request.param == "duck":
        yield DuckStores()
        return
    made: PostgresStores = request.getfixturevalue("postgres_houses")
    yield made
    made.give_back()


@pytest.fixture(scope="module")
def small_day(houses: Stores) -> Iterator[str]:
    """The address of a store that holds a small day, on each database."""
    with told(houses, day(2)) as address:
        yield address


@pytest.fixture
def ask(
    small_day: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tallystick:
    """The command line, in an empty folder, with the small day as its store."""
    return settled_in(small_day, capsys, monkeypatch, tmp_path)


def settled_in(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Tallystick:
    """The command line with a store, in a folder, without the settings of whoever runs the tests."""
    for variable in [name for name in os.environ if name.startswith("TALLYSTICK_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TALLYSTICK_STORE", address)
    monkeypatch.chdir(folder)
    return Tallystick(capsys, address)


@pytest.fixture(scope="session")
def simulated_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a simulated day of 300 payments, from the first request to the last bank line."""
    folder = tmp_path_factory.mktemp("simulated")
    done = Place(folder).demo("--payments", "300")
    assert done.code == 0, done.err
    return Place(folder).log


@pytest.fixture(scope="module")
def simulated_day(houses: Stores, simulated_log: Path) -> str:
    """The address of a store that has taken the simulated day, on each database."""
    store = houses.empty()
    with closing(EmbeddedLog(simulated_log, read_only=True)) as log:
        Projector(log, store, partitions_of(log)).catch_up()
    store.close()
    return houses.address(store)


@pytest.fixture
def ask_simulated(
    simulated_day: str,
    simulated_log: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Tallystick:
    """The command line with the simulated day: its store, and its log."""
    made = settled_in(simulated_day, capsys, monkeypatch, tmp_path)
    monkeypatch.setenv("TALLYSTICK_LOG", f"sqlite:{simulated_log}")
    return made


@pytest.fixture(scope="module")
def harsh_day(houses: Stores) -> str:
    """The address of a store that has taken a run in which limits are passed and people decide."""
    log = calm(1).log
    assert log is not None
    store = houses.empty()
    Projector(log, store, 1).catch_up()
    store.close()
    return houses.address(store)


@pytest.fixture
def desk(
    harsh_day: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Tallystick:
    """The command line before that store."""
    return settled_in(harsh_day, capsys, monkeypatch, tmp_path)
