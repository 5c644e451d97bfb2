"""The networks' back offices, simulated, and the line over which clearing files go there.

One edge for all partitions, ``network/0``, with a time of its own as the bank has one: its tick t comes when every
payments log has passed t. It merges what the partitions close into one file for each network and cut-off
(:mod:`streams.edge.merging`) and sends it. The network takes the bytes that came to it, checks them
(:func:`streams.edge.clearingfile.read`), and takes them whole or not at all; a file that it refused leaves again before
the tick is over. It knows which files it has: none is taken twice. What it then says of each record, it says of the
file that it took: :mod:`streams.edge.presenting`.

What goes wrong on the line is a function of (seed, file, attempt): what there is to be said does not depend on the
order in which logs are read, on partitions, or on who dies when.
"""

import logging
from collections.abc import Iterator
from enum import Enum
from itertools import count
from typing import Final

import msgspec

from events.base import Event
from events.calendar import MINUTE, day_of, iso_instant
from events.clearing import (
    ClearingBatchClosed,
    ClearingRecordAnswered,
    ClearingRecordCreated,
    ClearingReturnReceived,
    RecordKind,
)
from events.clearingfiles import (
    ClearingFileAccepted,
    ClearingFileRejected,
    ClearingFileSent,
    FileRejection,
)
from events.disputes import DisputeEvidenceSubmitted, DisputeNoticeReceived
from events.envelope import Recorded
from events.identity import partition_of_slot, slot_of_payment
from events.messages import Handover, Marker
from events.partitions import ClockKind, LogOpened, TickPassed
from events.reconciliation import DiscrepancyDetected, DiscrepancyResolved
from streams.edge import clearingfile
from streams.edge.clearingfile import ClearingFile, Trouble
from streams.edge.desk import Desk, hear, requests
from streams.edge.dice import chance
from streams.edge.faults import NO_FAULTS, Plan
from streams.edge.issuers import Planned, answer, plan
from streams.edge.merging import REMEMBERED, Held, Merging, Parcel, close, complete, leave
from streams.edge.presenting import Presented, present, returned
from streams.edge.ticking import come
from streams.hosts.edges import Outgoing

LOGGER: Final = logging.getLogger("tallystick.edges")

#: By the wall's clock: after so long it is said that a file waits for a log. In virtual time nobody can be behind.
PATIENCE: Final = 10 * MINUTE


class Mishap(Enum):
    """What goes wrong with a file, simulated."""

    CUT = "the line breaks: the end of the file does not arrive"
    GARBLED = "a digit of an amount arrives as another"
    MISCOUNTED = "our side writes a wrong total into a trailer"
    UNHEARD = "the file arrives, and what the network says to it does not"


#: In millionths of files: more often than in life, so that a simulated month has each of them.
MISHAPS: Final = (
    (Mishap.CUT, 20_000),
    (Mishap.GARBLED, 10_000),
    (Mishap.MISCOUNTED, 10_000),
    (Mishap.UNHEARD, 10_000),
)
#: From this attempt on all goes well, so that every run comes to an end.
LAST_ATTEMPT: Final = 3
#: By how much a trailer is miscounted, minor units.
MISCOUNTED_BY: Final = 100


def mishap(seed: int, file_id: str, attempt: int) -> Mishap | None:
    """What goes wrong with an attempt, if anything."""
    drawn = chance(seed, "file", file_id, attempt)
    if attempt < LAST_ATTEMPT:
        for kind, share in MISHAPS:
            drawn -= share
            if drawn < 0:
                return kind
    return None


def arrived(content: bytes, wrong: Mishap | None) -> bytes:
    """The bytes at the other end of the line."""
    match wrong:
        case Mishap.CUT:
            return content[: len(content) * 2 // 3]
        case Mishap.GARBLED:
            # The last digit before the first batch trailer: an amount, for a batch is never empty.
            at = content.index(b"\nBT|") - 1
            return content[:at] + (b"7" if content[at : at + 1] != b"7" else b"1") + content[at + 1 :]
        case _:
            return content


class ClearingHouseState(msgspec.Struct):
    """What has not left yet, and what issuers will say on a day (since 1970), by day.

    ``done`` is its own last tick, ``passed`` that of each log and ``reached`` when that was, ``at`` when the ticks are
    that it has before it. ``waited_for``: whether the logs wait for markers, as in virtual time. ``accepted`` has the
    files taken, with their cut-off; ``overdue`` those of which it was said that they wait.
    """

    waited_for: bool = True
    done: int = 0
    passed: dict[str, int] = {}
    reached: dict[str, int] = {}
    at: dict[str, int] = {}
    merging: Merging = msgspec.field(default_factory=Merging)
    accepted: dict[str, int] = {}
    overdue: list[str] = []
    desk: Desk = msgspec.field(default_factory=Desk)
    planned: dict[str, list[Planned]] = {}


class ClearingHouse:
    """Edge ``network/0``: says to each payments partition on ``network.notices`` what networks and issuers have to say.

    What is said of tick t stands before its marker t, so it takes effect at tick t + lag.
    """

    HEARS: tuple[type[Event], ...] = (
        LogOpened,
        ClearingRecordCreated,
        ClearingBatchClosed,
        DisputeEvidenceSubmitted,
        TickPassed,
    )
    name = "network/0"

    def __init__(self, partitions: int, seed: int, faults: Plan = NO_FAULTS) -> None:
        """With planted faults, the simulated desk looks into what they lead to, and its requests travel with the
        network's notices."""
        self.partitions = partitions
        self.seed = seed
        self.faults = faults
        if faults:
            self.HEARS = (*ClearingHouse.HEARS, DiscrepancyDetected, DiscrepancyResolved)
        logs = [str(number) for number in range(partitions)]
        self.state = ClearingHouseState(passed=dict.fromkeys(logs, 0), reached=dict.fromkeys(logs, 0))

    def reads(self) -> list[tuple[str, int]]:
        return [("payments", number) for number in range(self.partitions)]

    def writes(self) -> list[tuple[str, int]]:
        return [("network.notices", number) for number in range(self.partitions)]

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        match recorded.body:
            case ClearingRecordCreated() as record:
                leave(self.state.merging, partition, recorded, record)
            case ClearingBatchClosed() as batch:
                close(self.state.merging, partition, recorded, batch)
            case DiscrepancyDetected() | DiscrepancyResolved():
                hear(self.state.desk, partition, recorded)
            case DisputeEvidenceSubmitted() as submitted:
                self._keep(answer(self.seed, submitted, day_of(recorded.meta.recorded_at)))
            case LogOpened() as opened:
                self.state.waited_for = opened.clock is ClockKind.VIRTUAL
            case TickPassed() as passed:
                return self._pass(partition, passed)
            case _:
                pass
        return []

    # -- time ----------------------------------------------------------------------------------------------

    def _pass(self, partition: int, body: TickPassed) -> list[Outgoing]:
        state = self.state
        state.reached[str(partition)] = body.at
        out = [said for tick, now in come(state, str(partition), body) for said in self._go_on(tick, now)]
        if not state.waited_for:
            self._tell_overdue(body.at)
        return out

    def _go_on(self, tick: int, now: int) -> list[Outgoing]:
        self.state.accepted = {
            file_id: at for file_id, at in self.state.accepted.items() if at >= now - REMEMBERED
        }
        out = [said for parcel in complete(self.state.merging, now) for said in self._deliver(parcel, now)]
        out += self._due(now)
        out += self._asked(now)
        if self.state.waited_for:
            marker = Marker(self.name, tick, now, 0)
            out += [self._to(number, marker) for number in range(self.partitions)]
        return out

    def _tell_overdue(self, now: int) -> None:
        """Say, once, which file waits for which log. It leaves when that log has come as far; nothing is lost."""
        state = self.state
        state.overdue = [key for key in state.overdue if key in state.merging.gathering]
        for key, file in state.merging.gathering.items():
            if key not in state.overdue and now - file.closed_at >= PATIENCE:
                state.overdue.append(key)
                behind = [name for name, at in sorted(state.reached.items()) if at < file.closed_at]
                LOGGER.warning(
                    "the clearing file of %s for the cut-off at %s waits for %s: it leaves when that has passed %s",
                    file.network,
                    iso_instant(file.cut_off_at),
                    " and ".join(f"payments/{name}" for name in behind),
                    iso_instant(file.closed_at),
                )

    # -- files ---------------------------------------------------------------------------------------------

    def _deliver(self, parcel: Parcel, now: int) -> Iterator[Outgoing]:
        """Send a file until the network has it and we know it; then its answers, in the order of the file."""
        taken: ClearingFile | None = None
        for attempt in count(1):
            wrong = mishap(self.seed, parcel.file_id, attempt)
            content = parcel.content(attempt, MISCOUNTED_BY if wrong is Mishap.MISCOUNTED else 0)
            sent = parcel.sent(attempt, content)
            yield from self._told(parcel, now, sent)
            said = self._take(parcel, arrived(content, wrong))
            if isinstance(said, ClearingFile):
                taken = said
            if wrong is Mishap.UNHEARD:
                continue
            if isinstance(said, Trouble):
                yield from self._told(parcel, now, _refusal(sent, said))
                if said.reason is not FileRejection.DUPLICATE:
                    continue
            break
        assert taken is not None
        yield from self._told(parcel, now, _acceptance(taken))
        held = {one.record_id: one for batch in parcel.batches.values() for one in batch}
        for record in taken.records:
            yield from self._answers(record, held[record.record_id], now)

    def _take(self, parcel: Parcel, content: bytes) -> ClearingFile | Trouble:
        """The network's side: all of a file that is whole and new, nothing of any other."""
        file = clearingfile.read(content, parcel.network)
        if isinstance(file, Trouble):
            return file
        if file.head.file_id in self.state.accepted:
            return Trouble(FileRejection.DUPLICATE, f"file {file.head.file_id} has been accepted before")
        self.state.accepted[file.head.file_id] = file.head.cut_off_at
        return file

    def _told(self, parcel: Parcel, now: int, fact: Event) -> Iterator[Outgoing]:
        """A fact about a file, for every partition that has a batch in it."""
        for number in parcel.partitions:
            yield self._to(number, self._fact(parcel.closings[number], "", now, fact))

    def _answers(self, record: ClearingRecordCreated, held: Held, now: int) -> Iterator[Outgoing]:
        said = present(self.seed, record, held.at, self.faults)
        if said.accepted and record.kind is RecordKind.PRESENTMENT:
            accepted_on = day_of(held.at)
            self._keep(plan(self.seed, record, accepted_on))
            back = returned(self.seed, record, said, accepted_on)
            self._keep([back] if back else [])
        answered = self._fact(held.event_id, held.correlation_id, now, _answer(record, said))
        for _ in range(0 if said.lost else 2 if said.twice else 1):
            yield self._to(held.partition, answered)

    # -- issuers, and the desk -----------------------------------------------------------------------------

    def _keep(self, plans: list[Planned]) -> None:
        for planned in plans:
            self.state.planned.setdefault(str(planned.on), []).append(planned)

    def _due(self, now: int) -> list[Outgoing]:
        """What issuers say up to a day, in the order of days and of what they say it about."""
        days = sorted(int(day) for day in self.state.planned if int(day) <= day_of(now))
        return [
            self._to(
                partition_of_slot(slot_of_payment(planned.said.payment_id), self.partitions),
                self._fact("", "", now, planned.said),
            )
            for day in days
            for planned in sorted(self.state.planned.pop(str(day)), key=_about)
        ]

    def _asked(self, now: int) -> list[Outgoing]:
        return [
            self._to(case.partition, self._fact(case.event_id, "", now, body))
            for case, body in requests(self.state.desk, now)
        ]

    def _fact(self, causation_id: str, correlation_id: str, now: int, fact: Event) -> Handover:
        return Handover(self.name, causation_id, correlation_id, now, now, True, fact)  # type: ignore[arg-type]  # all callers make facts of the union

    def _to(self, partition: int, message: Handover | Marker) -> Outgoing:
        return Outgoing("network.notices", partition, message)


def _about(planned: Planned) -> tuple[str, str, int]:
    """A place among what is said on the same day that does not depend on when it was planned; reports come first."""
    match planned.said:
        case DisputeNoticeReceived() as notice:
            return notice.payment_id, notice.case_id, notice.number
        case ClearingReturnReceived() as back:
            return back.payment_id, back.record_id, 0
        case report:
            return report.payment_id, "", 0


def _refusal(sent: ClearingFileSent, said: Trouble) -> ClearingFileRejected:
    return ClearingFileRejected(
        sent.network, sent.file_id, sent.attempt, sent.cut_off_at, sent.sha256, said.reason, said.detail
    )


def _acceptance(taken: ClearingFile) -> ClearingFileAccepted:
    head = taken.head
    return ClearingFileAccepted(
        head.network,
        head.file_id,
        head.attempt,
        head.cut_off_at,
        taken.sha256,
        len(taken.records),
        taken.hash_total,
        list(taken.batches),
    )


def _answer(record: ClearingRecordCreated, said: Presented) -> ClearingRecordAnswered:
    return ClearingRecordAnswered(
        payment_id=record.payment_id,
        network=record.network,
        record_id=record.record_id,
        accepted=said.accepted,
        rejection=said.rejection,
        cycle=said.cycle,
        amount=record.amount,
        currency=record.currency,
        settlement_amount=record.amount if said.accepted else 0,
        settlement_currency=record.currency,
        interchange=said.interchange,
    )
