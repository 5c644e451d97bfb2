"""Where events stand and why: their names, their sequences, their causes."""

from tests.simulation.auditor.counts import ANSWERS
from tests.simulation.auditor.logs import Event, Findings

#: From these nothing follows; of the answers to a request, from all but the first.
IDLE = frozenset(
    {
        *ANSWERS[1:],
        "NetworkReplyUnmatched",
        "EventDeadLettered",
        "OperationRejected",
        "RefundRejected",
        "ReviewRefused",
        "ReviewAssigned",
        "ReviewUnassigned",
        "ReviewAssignmentRefused",
        "ResolutionRejected",
        "IncrementDeclined",
        "AmountConflictDetected",
        "FraudReportRefused",
        "DisputeNoticeRefused",
        "DisputeEvidenceRejected",
        "MerchantSettingsRejected",
    }
)

#: Events that begin something in a log without being an input of it.
UNCAUSED = frozenset({"LogOpened", "MarkersTaken", "ClockStruck", "TickStepped"})


class Streams:
    """Names, sequences and causes of events."""

    def __init__(self) -> None:
        self._sequences: dict[str, tuple[int, str, int]] = {}
        self._names: dict[str, str] = {}
        self._causes: list[tuple[str, str, str]] = []

    def take(self, event: Event) -> Findings:
        """Its place in its stream, and whether it names a cause."""
        meta, event_id = event.meta, event.event_id
        before, log, partition = self._sequences.get(meta["key"], (0, event.log, event.partition))
        if meta["sequence"] != before + 1:
            yield f"{event.where}: {event_id} follows {meta['key']}.{before}"
        if (log, partition) != (event.log, event.partition):
            yield f"{event.where}: the stream {meta['key']} is one of {log}/{partition} already"
        self._sequences[meta["key"]] = (meta["sequence"], event.log, event.partition)
        if event_id in self._names:
            yield f"{event.where}: {event_id} is there twice"
        self._names[event_id] = event.name
        if meta["causation_id"]:
            self._causes.append((event.where, event.name, meta["causation_id"]))
        elif meta["source"] is None and event.name not in UNCAUSED:
            yield f"{event.where}: {event.name} {event_id} has neither a source nor a cause"

    def close(self) -> Findings:
        """Every cause exists, and what has no effect has caused nothing."""
        for where, name, cause in self._causes:
            found = self._names.get(cause)
            if found is None:
                yield f"{where}: {name} names {cause} as its cause, which is nowhere"
            elif found in IDLE:
                yield f"{where}: {name} is caused by {cause}, a {found}, which must do nothing"
