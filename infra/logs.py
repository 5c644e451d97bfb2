"""Logs by their address: ``sqlite:PATH`` or ``kafka://HOST:PORT/PREFIX``."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.settings import Value, path_of

if TYPE_CHECKING:
    from streams.forensics.replay import WholeLog
    from streams.hosts.cluster import Cluster

KAFKA: Final = "kafka://"


def place_of(log: Value, kafka_config: Path | None = None) -> "Path | Cluster":
    """The file or the cluster that an address means. Raises Refused, and Unavailable where the library is missing."""
    if not log.text.startswith(KAFKA):
        return path_of(log, "sqlite")
    from infra.kafka.client import aiokafka

    aiokafka()
    from streams.hosts.cluster import Cluster

    return Cluster.parse(log.text, kafka_config)


@contextmanager
def looking_at(place: "Path | Cluster") -> "Iterator[WholeLog]":
    """A log to be read beside whoever writes it. Raises Refused, Unavailable, LogDamaged."""
    if isinstance(place, Path):
        from streams.hosts.embedded import EmbeddedLog

        with closing(EmbeddedLog(place, read_only=True)) as file:
            yield file
        return
    from streams.forensics.replay import run_of
    from streams.hosts.kafkalog import KafkaLog

    with closing(KafkaLog(place)) as log:
        if log.read("intake", 0, 0, 1):
            log.live_by(run_of(log))
        yield log
