"""What models saw of the payments of a log: the profile in each verdict, and the models that were in use.

Nothing is measured again: a verdict records the whole vector. Only verdicts of today's feature set are read; others are
counted and passed over, for their numbers mean something else.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from events.errors import Refused
from events.partitions import ReferenceApplied
from events.reference import FraudModel, OnlineModel, Reference, decode_reference
from events.risk import Mode, Phase, RiskAssessed
from events.wire import decode_event
from streams.features.models import Model, decode_model
from streams.features.profiles import NAMES
from streams.features.vectors import FEATURE_SET
from streams.forensics.reading import kind_of
from streams.forensics.replay import WholeLog, run_of
from streams.hosts.log import Log, Stored, records_of
from streams.training.histories import Whole

_READ: Final = 5_000
_ASKED: Final = (RiskAssessed, ReferenceApplied)

Progress = Callable[[int], None]


class Judged(NamedTuple):
    """The profiles of the verdicts of a stretch, their logical times, and how many are of another feature set."""

    vectors: Whole
    at: Whole
    passed_over: int


def judged(log: WholeLog, first_at: int, end_at: int, progress: Progress = lambda done: None) -> Judged:
    """Of the verdicts before an authorization in ``[first_at, end_at)``, logical time; partition by partition."""
    values, times = array("q"), array("q")
    passed_over = 0
    with log.view():
        for done, (stored, kind) in enumerate(_events(log)):
            if done % _READ == 0:
                progress(done)
            if kind is not RiskAssessed:
                continue
            recorded = decode_event(stored.value)
            body = recorded.body
            assert isinstance(body, RiskAssessed)
            within = first_at <= recorded.meta.recorded_at < end_at
            if not within or body.phase is not Phase.BEFORE_AUTHORIZATION:
                continue
            if body.feature_set != FEATURE_SET:
                passed_over += 1
                continue
            values.extend(body.features[-len(NAMES) :])
            times.append(recorded.meta.recorded_at)
    found = np.frombuffer(values, np.int64) if values else np.empty(0, np.int64)
    at = np.frombuffer(times, np.int64) if times else np.empty(0, np.int64)
    return Judged(found.reshape(-1, len(NAMES)), at, passed_over)


def model_in_use(log: WholeLog, role: str) -> tuple[Model, str]:
    """The model that the log's reference data named last as ``champion``, ``challenger`` or ``learner``.

    Of a learner it is the document that it began with, whose training it is held against. Raises Refused.
    """
    content: Reference | None = None
    with log.view():
        for stored, kind in _events(log, partitions=1):
            if kind is ReferenceApplied:
                body = decode_event(stored.value).body
                assert isinstance(body, ReferenceApplied)
                if body.kind in {"model", "online"}:
                    said = decode_reference(body.kind, body.content)
                    content = said if _role_of(said) == role else content
    if not isinstance(content, FraudModel | OnlineModel) or not content.document:
        raise Refused(f"this log has no {role}: name a model file with --model")
    return decode_model(content.document)


def _role_of(content: Reference) -> str:
    match content:
        case FraudModel(mode=Mode.ENFORCE):
            return "champion"
        case FraudModel():
            return "challenger"
        case _:
            return "learner"


def _events(log: Log, partitions: int = 0) -> Iterator[tuple[Stored, type]]:
    """The verdicts and the reference data of ``payments``, of all partitions or of the first ones."""
    for partition in range(partitions or run_of(log).partitions):
        for stored in records_of(log, "payments", partition):
            kind = kind_of(stored, "payments", partition)
            if kind in _ASKED:
                yield stored, kind
