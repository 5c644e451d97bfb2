"""Cut-offs: what waits for a network leaves at its cut-off, batch by batch, and waits until the network has the batch.

Whatever waits when a cut-off has come leaves at the first tick at or after it, in key order. A network has one cut-off
a day; what begins to wait at that tick or later leaves with the next. Whether one has come since a record began to wait
is a comparison of two instants: there is no "last cut-off" to remember, and a cut-off is neither missed nor repeated
however the ticks fall.

Serials of ARNs are given when a record leaves and not when the capture comes: in which order cards come differs between
two runs, the order of keys does not.
"""

from collections.abc import Iterator

import msgspec

from events.base import Event
from events.calendar import MINUTE, civil, day_of, start_of
from events.clearing import ClearingBatchClosed, ClearingRecordCreated, RecordKind
from events.clearingfiles import ClearingBatchAccepted, ClearingFileAccepted
from events.identity import arn, operation_id, slot_of_payment
from events.reference import NetworkProfile
from streams.features.records import Record


class Batch(msgspec.Struct):
    """What has left for one network in one currency at the cut-off under way."""

    network: str
    currency: str
    batch_id: str
    presentments: int = 0
    presented_amount: int = 0
    refunds: int = 0
    refunded_amount: int = 0


class Network(msgspec.Struct, frozen=True):
    """What clearing needs of a network's profile."""

    acquirer_bin: str
    cut_off_minute: int


class CutOffs(msgspec.Struct):
    """What waits, and what has left and is not with its network yet.

    ``waiting``: records by lane (network and currency) and then by source, oldest first. ``batches`` are under way, by
    lane; ``closed`` are those that no network has accepted yet, by cut-off and batch. ``serials`` of the day
    ``serials_on``, by slot.
    """

    networks: dict[str, Network] = {}
    waiting: dict[str, dict[str, Record]] = {}
    batches: dict[str, Batch] = {}
    closed: dict[str, Batch] = {}
    serials: dict[str, int] = {}
    serials_on: int = 0


# --- deciding -------------------------------------------------------------------------------------------


def leaving(state: CutOffs, now: int) -> Iterator[tuple[str, list[str]]]:
    """Lanes whose cut-off has come, each with the sources of its records, oldest first."""
    for lane, records in state.waiting.items():
        oldest = next(iter(records.values()), None)
        network = None if oldest is None else state.networks.get(oldest.network)
        if network is None:
            continue
        cut_off_at = last_cut_off(network, now)
        sources = []
        for source_id, record in records.items():
            if record.since >= cut_off_at:
                break
            sources.append(source_id)
        if sources:
            yield lane, sources


def send(state: CutOffs, lane: str, source_id: str, now: int) -> list[Event]:
    """One record, unless it was voided since the tick began."""
    record = state.waiting[lane].get(source_id)
    if record is None:
        return []
    network = state.networks[record.network]
    slot = slot_of_payment(record.payment_id)
    day_on = day_of(now)
    serial = state.serials.get(str(slot), 0) if state.serials_on == day_on else 0
    return [
        ClearingRecordCreated(
            record.payment_id,
            record.merchant,
            record.network,
            operation_id("clr", record.source_id, str(record.presentment)),
            record.kind,
            record.source_id,
            arn(slot, serial, day_on, network.acquirer_bin),
            record.presentment,
            record.amount,
            record.currency,
            _batch_id(record.network, record.currency, last_cut_off(network, now)),
        )
    ]


def close(state: CutOffs, lane: str, now: int) -> list[Event]:
    """The batch of a lane, with its control totals, unless all of it was voided."""
    batch = state.batches.get(lane)
    if batch is None:
        return []
    return [
        ClearingBatchClosed(
            batch.network,
            batch.currency,
            batch.batch_id,
            last_cut_off(state.networks[batch.network], now),
            batch.presentments,
            batch.presented_amount,
            batch.refunds,
            batch.refunded_amount,
        )
    ]


def accepted(state: CutOffs, file: ClearingFileAccepted) -> list[Event]:
    """The batches of this partition that a network has taken with a file."""
    events: list[Event] = []
    for one in file.batches:
        batch = state.closed.get(_closed_key(file.cut_off_at, one.batch_id))
        if batch is not None:
            events.append(
                ClearingBatchAccepted(
                    batch.network,
                    batch.currency,
                    batch.batch_id,
                    file.cut_off_at,
                    file.file_id,
                    file.sha256,
                    batch.presentments,
                    batch.presented_amount,
                    batch.refunds,
                    batch.refunded_amount,
                )
            )
    return events


def last_cut_off(network: Network, now: int) -> int:
    """The network's newest cut-off that has come, microseconds UTC."""
    minutes = network.cut_off_minute * MINUTE
    return start_of(day_of(now - minutes)) + minutes


def _batch_id(network: str, currency: str, cut_off_at: int) -> str:
    year, month, day = civil(day_of(cut_off_at))
    return f"{network}-{currency}-{year:04d}{month:02d}{day:02d}"


# --- remembering ----------------------------------------------------------------------------------------


def know(state: CutOffs, profile: NetworkProfile) -> None:
    """A network's profile is in force."""
    state.networks[profile.network] = Network(profile.acquirer_bin, profile.cut_off_minute)


def wait(state: CutOffs, record: Record) -> None:
    """The record leaves with the next cut-off."""
    state.waiting.setdefault(lane_of(record.network, record.currency), {})[record.source_id] = record


def withdraw(state: CutOffs, network: str, currency: str, source_id: str) -> None:
    """The record never leaves: it was voided in time."""
    del state.waiting[lane_of(network, currency)][source_id]


def leave(state: CutOffs, body: ClearingRecordCreated, left_on: int) -> Record:
    """The record is on its way, counts in its batch, and has used a serial of its slot and day."""
    lane = lane_of(body.network, body.currency)
    record = state.waiting[lane].pop(body.source_id)
    batch = state.batches.setdefault(lane, Batch(body.network, body.currency, body.batch_id))
    if body.kind is RecordKind.PRESENTMENT:
        batch.presentments += 1
        batch.presented_amount += body.amount
    else:
        batch.refunds += 1
        batch.refunded_amount += body.amount
    if state.serials_on != left_on:
        state.serials, state.serials_on = {}, left_on
    slot = str(slot_of_payment(body.payment_id))
    state.serials[slot] = state.serials.get(slot, 0) + 1
    return record


def closed(state: CutOffs, body: ClearingBatchClosed) -> None:
    """The batch is on its way; it is kept until a network has taken a file with it."""
    batch = state.batches.pop(lane_of(body.network, body.currency))
    state.closed[_closed_key(body.cut_off_at, body.batch_id)] = batch


def taken(state: CutOffs, body: ClearingBatchAccepted) -> None:
    """The network has the batch."""
    del state.closed[_closed_key(body.cut_off_at, body.batch_id)]


def lane_of(network: str, currency: str) -> str:
    """What leaves together."""
    return f"{network}/{currency}"


def _closed_key(cut_off_at: int, batch_id: str) -> str:
    return f"{cut_off_at}/{batch_id}"
