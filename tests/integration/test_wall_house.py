"""A house by the clock on the wall: nobody waits for a slow neighbour, and still every payment has one outcome."""

import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Final

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.intake import RequestReceived
from events.lifecycle import PaymentRequested
from events.requests import PaymentRequest
from events.wire import HEADER_BYTES, decode_event, headers_of
from infra.logs import looking_at
from streams.edge.inputs import read_rows
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from tests.integration.houses import (
    PATIENCE_SECONDS,
    living,
    new_job,
    publish_on_the_wall,
    start_on_the_wall,
)
from tests.simulation.auditor import audit, records_on_kafka

OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)
_WANTED: Final = headers_of((PaymentRequested, RequestReceived, *OUTCOMES))


class Watched:
    """What the logs of a house say so far, read as they grow."""

    def __init__(self, log: KafkaLog, partitions: int) -> None:
        self.bodies: defaultdict[type[Event], list[Event]] = defaultdict(list)
        self._log = log
        self._positions = {
            (name, number): 0 for name in ("intake", "payments") for number in range(partitions)
        }

    def look(self) -> None:
        """Read what has come."""
        for (name, number), position in self._positions.items():
            while records := self._log.read(name, number, position, 2_000):
                position = records[-1].offset + 1
                for stored in records:
                    if stored.value[:HEADER_BYTES] in _WANTED:
                        body = decode_event(stored.value).body
                        self.bodies[type(body)].append(body)
            self._positions[name, number] = position

    @property
    def outcomes(self) -> Counter[str]:
        """How often each payment was given one."""
        return Counter(body.payment_id for kind in OUTCOMES for body in self.bodies[kind])  # type: ignore[attr-defined]

    @property
    def asked(self) -> Counter[str]:
        """How often each payment was asked for."""
        return Counter(body.payment_id for body in self.bodies[PaymentRequested])  # type: ignore[attr-defined]


def test_killed_by_the_clock_on_the_wall(kafka: str, tmp_path: Path) -> None:
    job = new_job(kafka, tmp_path, partitions=2, workers=2)
    to_die = [(20, "worker-1"), (40, "adapter"), (60, "worker-2"), (75, "counterparties"), (90, "worker-1")]
    with living(job, restart_killed=True) as (house, path, _), closing(KafkaLog(job.cluster)) as log:
        rows = [row.entry for row in read_rows(path)]
        wanted = {(row.merchant, row.idempotency_key) for row in rows if isinstance(row, PaymentRequest)}
        start_on_the_wall(job, house)
        publish_on_the_wall(job, house, path, rate=60)
        watched, patience_ends = Watched(log, job.partitions), time.monotonic() + PATIENCE_SECONDS
        while to_die or not house.ended("publisher") or not _all_are_answered(watched, wanted):
            house.look()
            watched.look()
            if to_die and len(watched.outcomes) >= to_die[0][0]:
                process = house.members[to_die.pop(0)[1]].process
                assert process is not None
                process.kill()
            assert time.monotonic() < patience_ends, {
                name: member.said() for name, member in house.members.items()
            }
            time.sleep(0.1)  # Looking is work for the broker, too.
        house.stop()
        restarted = {member.name for member in house.members.values() if member.restarted}
        watched.look()
    with looking_at(job.cluster) as whole:
        verified = verify(whole)
    assert to_die == []
    assert {"worker-1", "worker-2", "adapter", "counterparties"} <= restarted
    assert set(watched.outcomes.values()) == {1}
    assert watched.outcomes.keys() == watched.asked.keys()
    assert set(watched.asked.values()) == {1}
    assert verified.partitions == job.partitions
    assert audit(records_on_kafka(kafka, job.cluster.prefix), ended=False, holes=True) == []


def _all_are_answered(watched: Watched, wanted: set[tuple[str, str]]) -> bool:
    taken = {
        (body.request.merchant, body.request.idempotency_key)  # type: ignore[attr-defined]
        for body in watched.bodies[RequestReceived]
    }
    return wanted <= taken and watched.asked.keys() <= watched.outcomes.keys()
