"""How each system is set: three documented tunings of each peer, of which the best counts."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.bench.peers.systems import Tuning

OURS: Final = Tuning("one worker", "as operators start it")

FAUST: Final = (
    Tuning("defaults", "as installed"),
    Tuning(
        "large buffers",
        "the settings' own words: a stream buffer of 131,072 'may let you process over 30,000 events a second'; larger "
        "batches, fewer commits",
        MappingProxyType(
            {
                "stream_buffer_maxsize": 131_072,
                "producer_linger": 0.01,
                "producer_max_batch_size": 262_144,
                "broker_commit_every": 100_000,
            }
        ),
    ),
    Tuning("two workers", "as its user guide scales: one more process of the same program", processes=2),
)
QUIX: Final = (
    Tuning(
        "prompt",
        "commit_interval 0.1 s: what comes behind a transaction waits for it",
        MappingProxyType({"commit_interval": 0.1}),
    ),
    Tuning("every second", "commit_interval 1 s", MappingProxyType({"commit_interval": 1.0})),
    Tuning(
        "defaults but larger fetches",
        "commit_interval 5 s, as installed, and a shorter wait when polling",
        MappingProxyType({"consumer_poll_timeout": 0.1}),
    ),
)
KAFKA_STREAMS: Final = (
    Tuning("defaults", "exactly_once_v2 as installed: commit.interval.ms 100, one thread"),
    Tuning(
        "two threads",
        "num.stream.threads as many as cores",
        MappingProxyType({"num.stream.threads": 2}),
    ),
    Tuning(
        "large transactions",
        "commit.interval.ms 500, larger batches, stores in memory",
        MappingProxyType(
            {
                "commit.interval.ms": 500,
                "producer.linger.ms": 20,
                "producer.batch.size": 262_144,
                "statestore.cache.max.bytes": 67_108_864,
            }
        ),
        environment=MappingProxyType({"PEER_STORES": "memory"}),
    ),
)
TUNINGS: Final[Mapping[str, tuple[Tuning, ...]]] = {
    "faust": FAUST,
    "quix": QUIX,
    "kafka_streams": KAFKA_STREAMS,
}
