"""What other limits over all cards would have said of the payments of a log: what is passed, by whom, and who pays.

The partitions of the log ``velocity`` take what they have recorded once more, with the limits that are tried in place
of those that came into force. So what is counted at which tick, and when a key is announced again, is what the stream
would have done. A key is in force from the tick at which a house in virtual time lists it; by the clock on the wall
that is a second or two later than it was.

Other limits decline other payments, and what was declined counts: a limit on declines is tried on those that the log
has. Nothing is asked of anybody, and nothing is written.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import msgspec

from events.disputes import Label
from events.envelope import Recorded
from events.hotlist import ReleaseCause, Standing, VelocityLimitCleared, VelocityLimitReached
from events.labels import PaymentLabelled
from events.lifecycle import PaymentRequested
from events.partitions import LogOpened, MarkersTaken, ReferenceApplied, TickPassed, TickStepped
from events.reference import VelocityLimits, encode_reference
from streams import limits as processor
from streams.features.hotlists import item_of, keys_of
from streams.forensics.reading import decoded, kind_of
from streams.forensics.replay import WholeLog, run_of
from streams.hosts.engine import Engine
from streams.hosts.index import Run
from streams.hosts.log import Log, Stored, blocks_of
from streams.topology import HOTLIST_LAG, VELOCITY

_OF_PAYMENTS: Final = (PaymentRequested, PaymentLabelled)

#: Told how many records have been read.
Progress = Callable[[int], None]


class Tried(msgspec.Struct):
    """One limit: how often it was passed, by how many keys; ``recorded`` is how often a limit of its name really was.

    ``payments`` were asked for while a key was listed for it, ``frauds`` of them are known to be fraud.
    """

    limit: str
    standing: Standing
    crossings: int = 0
    keys: int = 0
    most: int = 0
    payments: int = 0
    frauds: int = 0
    recorded: int = 0


class LimitsTried(msgspec.Struct):
    """All limits, and all payments: ``blocked`` and ``looked_at`` meet a listed key, the stricter one counts.

    ``labelled_frauds`` is how many payments the log knows to be fraud, by the last label of each.
    """

    limits: list[Tried]
    payments: int = 0
    blocked: int = 0
    blocked_frauds: int = 0
    looked_at: int = 0
    looked_at_frauds: int = 0
    labelled_frauds: int = 0


class _Hold(msgspec.Struct):
    """A key is listed for a limit in ``[from_at, until_at)``, microseconds UTC."""

    limit: str
    standing: Standing
    from_at: int
    until_at: int


def try_limits(log: WholeLog, limits: VelocityLimits, progress: Progress = lambda done: None) -> LimitsTried:
    """Try limits on a log. Raises LogDamaged where it cannot be read."""
    tried = {one.limit_id: Tried(one.limit_id, one.standing) for one in limits.limits}
    holds: dict[str, list[_Hold]] = {}
    with log.view():
        run = run_of(log)
        for partition in range(run.partitions):
            holds |= _holds(log, run, partition, limits, tried, progress)
        found = LimitsTried(list(tried.values()))
        _meet(log, run, holds, tried, found, progress)
    return found


# --- counting again -------------------------------------------------------------------------------------


def _holds(
    log: Log, run: Run, partition: int, limits: VelocityLimits, tried: dict[str, Tried], progress: Progress
) -> dict[str, list[_Hold]]:
    """When which keys of a partition would have been listed."""
    spec = replace(VELOCITY, processors=(processor,))
    engine = Engine(spec, partition, run.partitions, run.clock, simulated=False)
    content = encode_reference(limits)
    ticks: list[tuple[int, int]] = []
    told: list[tuple[int, VelocityLimitReached | VelocityLimitCleared, int]] = []
    for stored in _records(log, "velocity", partition, progress):
        recorded = decoded(stored, "velocity", partition)
        match recorded.body:
            case TickPassed() as body:
                ticks.append((body.tick, body.at))
                continue
            case TickStepped():
                continue  # Other limits have other works: how many steps they take is the engine's own affair.
            case ReferenceApplied(kind="velocity") as body:
                changed = msgspec.structs.replace(body, content=content)
                recorded = Recorded(recorded.meta, changed)
            case VelocityLimitReached(limit_id=name) if name in tried:
                tried[name].recorded += 1
        told += [
            (engine.tick, event.body, event.meta.recorded_at)
            for event in _taken(engine, recorded)
            if isinstance(event.body, VelocityLimitReached | VelocityLimitCleared)
        ]
    return _listed(ticks, told, tried)


def _taken(engine: Engine, recorded: Recorded) -> Iterator[Recorded]:
    """What an engine makes of a recorded input, be it as large as it may."""
    if not isinstance(recorded.body, LogOpened | MarkersTaken) and recorded.meta.source is None:
        return
    output = engine.retake(recorded)
    while output is not None:
        yield from output.events
        output = engine.step() if engine.unfinished else None


def _listed(
    ticks: list[tuple[int, int]],
    told: list[tuple[int, VelocityLimitReached | VelocityLimitCleared, int]],
    tried: dict[str, Tried],
) -> dict[str, list[_Hold]]:
    holds: dict[str, list[_Hold]] = {}
    for tick, body, at in told:
        known = holds.setdefault(body.item, [])
        if isinstance(body, VelocityLimitCleared):
            if body.cause is ReleaseCause.OPERATOR:
                known[-1].until_at = min(known[-1].until_at, at)
            continue
        one = tried[body.limit_id]
        one.crossings += 1
        one.keys += all(hold.limit != body.limit_id for hold in known)
        one.most = max(one.most, body.measured)
        place = bisect_left(ticks, (tick + HOTLIST_LAG, 0))
        if place < len(ticks):
            known.append(_Hold(body.limit_id, body.standing, ticks[place][1], body.until_at))
    return holds


# --- whom it meets --------------------------------------------------------------------------------------


def _meet(
    log: Log,
    run: Run,
    holds: dict[str, list[_Hold]],
    tried: dict[str, Tried],
    found: LimitsTried,
    progress: Progress,
) -> None:
    """Hold every payment against the keys that would have been listed when it was asked for."""
    for partition in range(run.partitions):
        met: dict[str, list[_Hold]] = {}
        labels: dict[str, Label] = {}
        for stored in _records(log, "payments", partition, progress):
            if kind_of(stored, "payments", partition) not in _OF_PAYMENTS:
                continue
            recorded = decoded(stored, "payments", partition)
            match recorded.body:
                case PaymentRequested() as body:
                    found.payments += 1
                    hits = _hits(holds, body, recorded.meta.ingested_at)
                    if hits:
                        met[body.payment_id] = hits
                case PaymentLabelled() as body:
                    labels[body.payment_id] = body.label
                case _:
                    pass
        found.labelled_frauds += sum(label is Label.FRAUD for label in labels.values())
        for payment_id, hits in met.items():
            _note(hits, labels.get(payment_id) is Label.FRAUD, tried, found)


def _hits(holds: dict[str, list[_Hold]], body: PaymentRequested, at: int) -> list[_Hold]:
    items = (holds.get(item_of(*key), ()) for key in keys_of(body))
    return [hold for known in items for hold in known if hold.from_at <= at < hold.until_at]


def _note(hits: list[_Hold], fraud: bool, tried: dict[str, Tried], found: LimitsTried) -> None:
    for name in {hold.limit for hold in hits}:
        tried[name].payments += 1
        tried[name].frauds += fraud
    if any(hold.standing is Standing.BLOCK for hold in hits):
        found.blocked += 1
        found.blocked_frauds += fraud
    else:
        found.looked_at += 1
        found.looked_at_frauds += fraud


# --- reading --------------------------------------------------------------------------------------------


def _records(log: Log, name: str, partition: int, progress: Progress) -> Iterator[Stored]:
    for block in blocks_of(log, name, partition):
        progress(len(block))
        yield from block
