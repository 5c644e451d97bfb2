"""What an input comes to when nobody dies: one process, one partition, in memory."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from events.base import Message
from events.requests import PaymentRequest
from events.risk import RiskAssessed
from infra.job import run_of
from infra.stores import in_file, open_store, reading
from projections.port import Database
from projections.projector import Projector
from projections.report import report
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.inputs import read_rows
from streams.edge.networks import Adapter
from streams.edge.publisher import Publisher
from streams.edge.vault import open_keys
from streams.forensics.digests import digest, events_of, state_digest
from streams.hosts.actors import EdgeActor, IndexActor, PublisherActor
from streams.hosts.house import TICKS_AHEAD, House
from streams.hosts.log import Log
from streams.hosts.memory import MemoryLog

#: A request as a merchant knows it: merchant and idempotency key.
Asked = tuple[str, str]


class Case(NamedTuple):
    """A dispute: how far it came, how it ended, and whose the money is; amounts in minor units."""

    case_id: str
    payment_id: str
    stage: str
    status: str
    amount: int
    at_stake: int
    held_by_network: int
    won: int
    lost: int
    fees: int
    evidence: int


@dataclass(frozen=True)
class Calm:
    """What every disturbed run is held against."""

    state_digest: str
    ledger_digest: str
    verdicts_digest: str
    payments: int
    disputes: list[Case]


def cases(db: Database) -> list[Case]:
    """The disputes of a store."""
    _, found = db.fetch(f"SELECT {', '.join(Case._fields)} FROM disputes ORDER BY case_id")
    return [Case(*row) for row in found]


@cache
def calm_run(path: Path, folder: Path, seed: int, every: int, tail: int) -> Calm:
    """Run an input; ``folder`` takes its keys and its store. ``every`` and ``tail`` as in :class:`ClusterJob`."""
    run, plan = run_of(path, seed, 1, every, tail)
    keys = open_keys(folder / "keys")
    log = MemoryLog()
    index = IndexActor(log, 0, run, keys)
    edges = [EdgeActor(log, edge) for edge in (Adapter(0, seed), ClearingHouse(1, seed), Bank(1, seed))]
    publisher = PublisherActor(log, Publisher(read_rows(path), plan, 1), keys, index.index.tick, TICKS_AHEAD)
    for _ in House([index], [publisher, *edges]).run():
        pass
    store = in_file(folder / f"calm-{path.stem}-{every}-{tail}.duckdb")
    with closing(open_store(store)) as held:
        Projector(log, held, 1).catch_up()
    with reading(store) as db:
        figures, disputes = report(db), cases(db)
    state = state_digest(index.index.summary())
    return Calm(state, figures.ledger_digest, verdicts_digest(log, 1), figures.counts.payments, disputes)


def verdicts_digest(log: Log, partitions: int) -> str:
    """A hash over every verdict with its whole vector, whatever the log and however it is shared out."""
    return digest(
        repr(msgspec.to_builtins(recorded.body))
        for recorded in events_of(log, partitions)
        if isinstance(recorded.body, RiskAssessed)
    )


def entries(path: Path) -> Iterator[Message]:
    """The messages of an input, in order."""
    return (row.entry for row in read_rows(path))


def asked(path: Path) -> set[Asked]:
    """The payments that an input asks for; one that is asked for again is the same."""
    return {
        (entry.merchant, entry.idempotency_key)
        for entry in entries(path)
        if isinstance(entry, PaymentRequest)
    }
