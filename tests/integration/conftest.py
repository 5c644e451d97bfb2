"""A real broker for the tests, started and stopped by the code that operators use."""

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from events.errors import Unavailable
from infra.kafka.broker import start, stop
from infra.kafka.client import aiokafka
from infra.kafka.distribution import find
from tests.integration.foreign import wall_house

#: Fixtures that tests of several files ask for.
__all__ = ["wall_house"]

REQUIRE: Final = "TALLYSTICK_REQUIRE_KAFKA"

#: A broker that answers too late, on a machine that stands still for seconds, ends whatever is in doubt about its
#: transaction. A supervisor then starts it again; in a test's own process nobody does, so the test begins anew.
TOO_LATE: Final = r"(Unavailable|Fenced|TimeoutError): .*(it takes too long|another process has taken over)"
_BEGINNINGS: Final = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What fails for a broker's being late alone is begun anew, and said to be."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=_BEGINNINGS - 1, only_rerun=[TOO_LATE]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where no broker can be had, nothing here runs. Said here and not in a fixture, it is one line for all tests."""
    assert isinstance(item, pytest.Function)
    reason = _why_not_here(own="machine" in item.fixturenames)
    if reason:
        require_kafka(reason, os.environ)


def require_kafka(reason: str, environment: Mapping[str, str]) -> None:
    """Skip, or fail where Kafka is required."""
    if environment.get(REQUIRE) == "1":
        pytest.fail(f"{reason} ({REQUIRE}=1)", pytrace=False)
    pytest.skip(reason)


def why_not(environment: Mapping[str, str]) -> str:
    """Why no broker can be had, with what to install; empty where one can."""
    try:
        aiokafka()
        if not environment.get("KAFKA_BOOTSTRAP"):
            find(environment, print)
    except Unavailable as error:
        return f"NO KAFKA, SO NOTHING IS TESTED ON IT: {error}"
    return ""


@cache
def _why_not_here(*, own: bool) -> str:
    return why_not(_without_ready_broker() if own else os.environ)


def _without_ready_broker() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that serves: KAFKA_BOOTSTRAP, or one of our own for this run."""
    data = tmp_path_factory.mktemp("kafka")
    yield start(data, os.environ).bootstrap
    stop(data, os.environ)


@pytest.fixture
def machine() -> dict[str, str]:
    """The environment of tests that start, kill and stop brokers of their own."""
    return _without_ready_broker()
