"""Replay with verification: take every recorded input again and compare every byte of what follows.

Six accounts of one run are held against each other: the files against their own structure, the chain of every
topic, the decisions of every log against deciding them again, the recorded inputs against the records they name,
what each engine handed over against what stands in the inboxes, and positions and states against their own hashes
and against the log. Nothing is written, nothing outside is called, and a job may go on writing meanwhile.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from events.errors import LogDamaged, WireError
from events.messages import Handover, Marker
from events.partitions import ClockKind, LogOpened
from events.wire import decode_event, decode_message, encode_message
from streams.forensics.sources import Letter, Sources, check_dead_letters
from streams.forensics.writeahead import check_write_ahead
from streams.hosts.admission import Keys
from streams.hosts.embedded import EmbeddedLog
from streams.hosts.engine import Sent
from streams.hosts.index import Index, Run
from streams.hosts.log import GENESIS, Log, TopicPartition, blocks_of, link, records_of
from streams.hosts.snapshots import unseal
from streams.topology import ENGINES, INBOXES, LOGS

#: Told what is being looked at and how many records of it have been.
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification has covered."""

    partitions: int
    records: int
    events: int
    handovers: int
    snapshots: int
    replay_seconds: float
    summaries: list[str] = field(repr=False)


def run_of(log: Log) -> Run:
    """The run a log was opened for, from its own first record. Raises LogDamaged where there is none."""
    first = log.read(LOGS[0], 0, 0, 1)
    if not first:
        raise LogDamaged("the log is empty: there is nothing to replay")
    try:
        body = decode_event(first[0].value).body
    except WireError as error:
        raise LogDamaged(f"{LOGS[0]}/0 at 0: {error}") from error
    if not isinstance(body, LogOpened):
        raise LogDamaged(f"{LOGS[0]}/0 does not begin with LogOpened")
    return Run(body.partitions, ClockKind(body.clock), body.opened_at, body.last_tick, body.run)


def keys_of(log: Log) -> Keys:
    """Keys that name what the log was opened with and can do nothing: a replay makes no MAC and seals nothing."""
    opened = decode_event(log.read(LOGS[0], 0, 0, 1)[0].value).body
    assert isinstance(opened, LogOpened)
    mac_key_id, seal_key_id = opened.key_ids

    def refuse(*_: object) -> str:
        raise AssertionError("a replay takes recorded inputs: it never admits one")

    def refuse_bytes(_: bytes) -> bytes:
        raise AssertionError("a replay takes recorded inputs: it never admits one")

    return Keys(mac_key_id, refuse, seal_key_id, refuse_bytes)


class WholeLog(Log, Protocol):
    """A log that can be looked at as a whole."""

    def view(self) -> AbstractContextManager[None]:
        """Everything read inside is of one moment."""

    def places(self) -> list[TopicPartition]:
        """Every topic partition that holds a record."""

    def owners(self) -> list[str]:
        """Everybody whose positions and states are kept here."""


def verify(log: WholeLog, progress: Progress = lambda _stage, _done: None) -> Verified:
    """Compare everything; raises ReplayDiffers or LogDamaged at the first difference.

    ``progress`` is told once per block or index.
    """
    if isinstance(log, EmbeddedLog):
        check_write_ahead(log.path)
    with log.view():
        if isinstance(log, EmbeddedLog):
            log.check_tree()
        return _verify(log, progress)


def _verify(log: WholeLog, progress: Progress) -> Verified:
    records = 0
    for topic, partition in log.places():
        if log.holes and topic not in LOGS:
            continue  # Several write there, strangers too: what came of their records is compared below.
        for looked_at in _check_chain(log, topic, partition):
            records += looked_at
            progress("checking chains", records)
    owners = log.owners()
    for owner in owners:
        _check_owner(log, owner)
    run = run_of(log)
    keys = keys_of(log)
    events = handovers = 0
    summaries: list[str] = []
    handed: dict[tuple[str, int, str], hashlib._Hash] = {}
    letters: Counter[Letter] = Counter()
    started = time.monotonic()
    for number in range(run.partitions):
        index = Index(number, run, keys)

        def note(name: str, sent: Sent, number: int = number) -> None:
            nonlocal handovers
            handovers += 1
            place = (sent.topic, sent.partition, f"{name}/{number}")
            _running(handed, place).update(encode_message(sent.message))

        sources = Sources(log, number, run, keys, letters)
        if not index.restore(log, on_sent=note, on_taken=sources.note, snapshots=False):
            raise LogDamaged(f"index {number} of {run.partitions} has no log")
        events += index.restored
        progress("deciding again", events)
        summaries += index.summary()
    replay_seconds = time.monotonic() - started
    _check_handovers(log, handed)
    check_dead_letters(log, letters)
    snapshots = sum(log.state(owner) is not None for owner in owners)
    return Verified(run.partitions, records, events, handovers, snapshots, replay_seconds, summaries)


def _check_chain(log: Log, topic: str, partition: int) -> Iterator[int]:
    """Follow a chain from its beginning; yields the number of records of each block."""
    chain, expected = GENESIS, 0
    for block in blocks_of(log, topic, partition):
        for stored in block:
            where = f"{topic}/{partition} at {stored.offset if log.holes else expected}"
            if stored.offset != expected and not log.holes:
                raise LogDamaged(f"{where}: the next record stands at {stored.offset}")
            computed = link(chain, stored.at, stored.value)
            if stored.chain != computed:
                raise LogDamaged(f"{where}: chain is {stored.chain.hex()}, the bytes give {computed.hex()}")
            chain = computed
            expected += 1
        yield len(block)


def _running(
    handed: dict[tuple[str, int, str], "hashlib._Hash"], place: tuple[str, int, str]
) -> "hashlib._Hash":
    digest = handed.get(place)
    if digest is None:
        digest = handed[place] = hashlib.sha256()
    return digest


def _check_handovers(log: WholeLog, handed: dict[tuple[str, int, str], "hashlib._Hash"]) -> None:
    """What the engines hand over again must be, sender by sender, what stands in the inboxes."""
    found: dict[tuple[str, int, str], hashlib._Hash] = {}
    for topic, partition in log.places():
        if topic not in INBOXES:
            continue
        for stored in records_of(log, topic, partition):
            try:
                message = decode_message(stored.value)
            except WireError as error:
                raise LogDamaged(f"{topic}/{partition} at {stored.offset}: {error}") from error
            if not isinstance(message, Handover | Marker):
                raise LogDamaged(f"{topic}/{partition} at {stored.offset} is no hand-over")
            _running(found, (topic, partition, message.sender)).update(stored.value)
    for place in sorted(handed.keys() | found.keys()):
        ours, theirs = handed.get(place), found.get(place)
        if ours is None or theirs is None or ours.digest() != theirs.digest():
            topic, partition, sender = place
            raise LogDamaged(
                f"{topic}/{partition}: what {sender} hands over by its log is not what stands there"
            )


def _check_owner(log: Log, owner: str) -> None:
    positions = log.positions(owner)
    for (topic, partition), position in positions.items():
        end = log.end(topic, partition)
        if position > end:
            raise LogDamaged(f"{owner} has read {topic}/{partition} up to {position}, but it ends at {end}")
    state = log.state(owner)
    if state is None and positions and not owner.startswith("index/"):
        raise LogDamaged(f"{owner} has read, but the state that it kept with its positions is missing")
    if state is not None and owner.startswith("index/"):
        snapshot = unseal(state)
        if snapshot is not None and any(name not in snapshot.engines for name in (e.name for e in ENGINES)):
            raise LogDamaged(f"the snapshot of {owner} lacks an engine")
