"""An auditor that shares no code with what it audits.

It reads the bytes of a log with fastavro and the published schemas, keeps books of its own from a table of postings of
its own, and says what does not hold. It imports nothing of ours, so a mistake of ours cannot be its mistake too::

    python -m tests.simulation.auditor var/tallystick.db
    python -m tests.simulation.auditor kafka://127.0.0.1:9092/tallystick

prints each finding on a line and ends with exit code 1 when there is one. ``--open`` audits a log whose run has not
ended: nothing is yet held against it for being on its way.

Given a whole log it follows the money from the request to the bank: every record of an input is in the log that takes
it, once and unchanged; every event has a cause and a place in its stream; every posting sums to zero; nothing is
captured that was not authorized or refunded that was not captured; a duplicate does nothing; every clearing record is
in one file that its network took, and each file is, byte for byte, what its records make of it; the bank account is
what the bank's own statements say; and in the end every item on a clearing account is closed.

Each room audits one thing and is given every event; ``reading`` is how bytes are read, ``logs`` what all rooms know.
"""

from collections import Counter
from collections.abc import Iterable

from tests.simulation.auditor.books import Books
from tests.simulation.auditor.counts import Counts
from tests.simulation.auditor.disputes import Disputes
from tests.simulation.auditor.files import Files
from tests.simulation.auditor.inputs import Inputs
from tests.simulation.auditor.labels import Labels
from tests.simulation.auditor.learning import Relearning
from tests.simulation.auditor.lists import Lists
from tests.simulation.auditor.logs import LOGS, Event, Record
from tests.simulation.auditor.merchants import Choices
from tests.simulation.auditor.payers import Payers
from tests.simulation.auditor.programmes import Exposures
from tests.simulation.auditor.reading import Reader
from tests.simulation.auditor.reconciling import Agreement
from tests.simulation.auditor.reviews import Reviews
from tests.simulation.auditor.risks import Risks
from tests.simulation.auditor.streams import Streams

MOST_FINDINGS = 50


class Audit:
    """All that is looked at; ``findings`` is what does not hold, at most fifty.

    ``holes``: offsets order the records of a partition and do not count them, as on Kafka.
    """

    def __init__(self, *, holes: bool = False) -> None:
        self._holes = holes
        self.findings: list[str] = []
        self.events = 0
        self._reader = Reader()
        self._books = Books()
        self._files = Files()
        self._disputes = Disputes()
        self._choices = Choices()
        self._risks = Risks()
        self._payers = Payers()
        self._labels = Labels()
        self._relearning = Relearning()
        self._exposures = Exposures()
        self._streams = Streams()
        self._counts = Counts()
        self._lists = Lists()
        self._agreement = Agreement()
        self._reviews = Reviews()
        self._inputs = Inputs(holes)
        self._ends: Counter[tuple[str, int]] = Counter()

    def take(self, record: Record) -> None:
        """Look at one record. Those of a partition come in order; partitions and topics in any."""
        topic, partition, offset, value = record
        where = f"{topic}/{partition} at {offset}"
        if offset < self._ends[topic, partition] or (
            offset > self._ends[topic, partition] and not self._holes
        ):
            self._find([f"{where}: it stands behind {self._ends[topic, partition]} records"])
        self._ends[topic, partition] = offset + 1
        try:
            kind, name, content = self._reader.read(value)
        except Exception as error:  # noqa: BLE001 - whatever a decoder makes of bad bytes, it is a finding
            if topic in LOGS:
                self._find([f"{where}: {type(error).__name__} {error}"])
            else:
                self._inputs.stand(topic, partition, offset, "", {})  # Its log must have put it aside.
            return
        if topic not in LOGS:
            self._inputs.stand(topic, partition, offset, name, content)
            return
        if kind != "event":
            self._find([f"{where}: a {kind} stands in a log"])
            return
        self.events += 1
        event = Event(where, topic, partition, name, content["meta"], content["body"])
        parts = (
            self._streams,
            self._counts,
            self._inputs,
            self._agreement,
            self._books,
            self._files,
            self._disputes,
            self._choices,
            self._risks,
            self._payers,
            self._labels,
            self._relearning,
            self._exposures,
            self._lists,
            self._reviews,
        )
        for part in parts:
            self._find(part.take(event))

    def close(self, *, ended: bool = True) -> list[str]:
        """What does not hold over the whole; ``ended``: every obligation must be over."""
        inputs = self._inputs
        self._find(self._streams.close())
        self._find(self._counts.close(ended, inputs.put_aside))
        self._find(self._agreement.close(ended))
        self._find(self._reviews.close(ended))
        self._find(self._labels.close(ended))
        self._find(self._relearning.close(ended))
        self._find(self._exposures.close(ended))
        self._find(self._lists.close(ended))
        self._find(self._risks.close(ended))
        if inputs.given:
            self._find(inputs.close(ended))
        self._find(self._files.close(ended))
        self._find(self._disputes.close(ended, inputs.put_aside))
        self._find(self._choices.close(ended, inputs.put_aside))
        self._find(self._books.close(ended, inputs.stated if inputs.given and ended else None))
        return self.findings

    def _find(self, findings: Iterable[str]) -> None:
        for finding in findings:
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)


def audit(log: Iterable[Record], *, ended: bool = True, holes: bool = False) -> list[str]:
    """The findings of a whole log, at most fifty."""
    books = Audit(holes=holes)
    for record in log:
        books.take(record)
    return books.close(ended=ended)
