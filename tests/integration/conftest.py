"""A real broker for the tests, started and stopped by the code that operators use."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from events.errors import Unavailable
from infra.kafka.broker import start, stop
from infra.kafka.client import aiokafka
from infra.kafka.distribution import find

REQUIRE: Final = "TALLYSTICK_REQUIRE_KAFKA"


def require_kafka(environment: Mapping[str, str]) -> None:
    """Go on where a broker can be had; otherwise skip with what to install, or fail where it is required."""
    try:
        aiokafka()
        if not environment.get("KAFKA_BOOTSTRAP"):
            find(environment, print)
    except Unavailable as error:
        sentence = f"NO KAFKA, SO NOTHING HERE IS TESTED ON IT: {error}"
        if environment.get(REQUIRE) == "1":
            pytest.fail(f"{sentence} ({REQUIRE}=1)", pytrace=False)
        pytest.skip(sentence)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that serves: KAFKA_BOOTSTRAP, or one of our own for this run."""
    require_kafka(os.environ)
    data = tmp_path_factory.mktemp("kafka")
    yield start(data, os.environ).bootstrap
    stop(data, os.environ)


@pytest.fixture
def machine() -> dict[str, str]:
    """An environment in which brokers can be started, for tests that start, kill and stop them."""
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    require_kafka(environment)
    return environment
