"""Every promise of a store is tested on every database."""

from collections.abc import Iterator

import pytest

from tests.postgres import Server
from tests.projections.stores import DuckStores, PostgresStores, Stores


@pytest.fixture(scope="session")
def postgres_databases(postgres: Server) -> PostgresStores:
    """Stores on PostgreSQL, for all tests of this folder."""
    return PostgresStores(postgres)


@pytest.fixture
def postgres_stores(postgres_databases: PostgresStores) -> Iterator[PostgresStores]:
    """Stores on PostgreSQL; what a test has made is taken back after it."""
    yield postgres_databases
    postgres_databases.give_back()


@pytest.fixture
def duck_stores() -> DuckStores:
    """Stores on DuckDB."""
    return DuckStores()


@pytest.fixture(params=["duck", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Stores on each database, one after the other."""
    made = request.getfixturevalue(f"{request.param}_stores")
    assert isinstance(made, Stores)
    return made
