"""How each system is set: three documented tunings of each peer, as many of ours. Of each the fastest counts."""

import shutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.bench.peers.systems import BESIDE, CORE, Tuning

#: Where a C compiler is.
_COMPILED: Final = MappingProxyType({CORE: "compiled"} if shutil.which("cc") else {})

OURS: Final = (
    Tuning("one worker", "as operators start it"),
    Tuning("two workers", "a partition each", processes=2),
    *(
        [Tuning("two workers, compiled core", "as `make fast` builds it", _COMPILED, processes=2)]
        if _COMPILED
        else []
    ),
)
#: Worker and line to the networks alone, as the peers run: nothing is projected meanwhile, no bank, no clearing house.
ALONE: Final = Tuning(
    "the path alone", "as the peers run", MappingProxyType({**_COMPILED, BESIDE: "nothing"}), processes=2
)

_LARGE_BUFFERS: Final = MappingProxyType(
    {
        "stream_buffer_maxsize": 131_072,
        "producer_linger": 0.01,
        "producer_max_batch_size": 262_144,
        "broker_commit_every": 100_000,
    }
)
_UVLOOP: Final = MappingProxyType({"PEER_LOOP": "uvloop"})

FAUST: Final = (
    Tuning("defaults", "as installed"),
    Tuning(
        "large buffers",
        "the settings' own words: a stream buffer of 131,072 'may let you process over 30,000 events a second'; larger "
        "batches, fewer commits, the faster loop",
        _LARGE_BUFFERS,
        environment=_UVLOOP,
    ),
    Tuning(
        "two workers",
        "as its user guide scales: one more process of the same program",
        _LARGE_BUFFERS,
        2,
        _UVLOOP,
    ),
)

_PROMPT: Final = MappingProxyType({"commit_interval": 0.1, "consumer_poll_timeout": 0.05})

QUIX: Final = (
    Tuning(
        "prompt", "what comes behind a transaction waits for it, so commit often and poll briefly", _PROMPT
    ),
    Tuning(
        "every second",
        "fewer and larger transactions; as installed it is five seconds, and the path has four in a row",
        MappingProxyType({"commit_interval": 1.0, "consumer_poll_timeout": 0.1}),
    ),
    Tuning("two processes", "as its guide scales: one more member of the group", _PROMPT, 2),
)

_LARGE_TRANSACTIONS: Final = MappingProxyType(
    {
        "num.stream.threads": 2,
        "commit.interval.ms": 500,
        "producer.linger.ms": 20,
        "producer.batch.size": 262_144,
        "statestore.cache.max.bytes": 67_108_864,
    }
)

KAFKA_STREAMS: Final = (
    Tuning("defaults", "exactly_once_v2 as installed: commit.interval.ms 100, one thread"),
    Tuning("two threads", "as many as cores", MappingProxyType({"num.stream.threads": 2})),
    Tuning(
        "large transactions",
        "fewer and larger ones, larger batches, stores in memory",
        _LARGE_TRANSACTIONS,
        environment=MappingProxyType({"PEER_STORES": "memory"}),
    ),
)

TUNINGS: Final[Mapping[str, tuple[Tuning, ...]]] = {
    "tallystick": OURS,
    "faust": FAUST,
    "quix": QUIX,
    "kafka_streams": KAFKA_STREAMS,
}
