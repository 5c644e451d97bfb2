"""What has to hold after a round, whatever was done to the house. A complaint is a sentence; there should be none."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from events.authorization import AuthorizationOutcomeUnknown, PaymentAuthorized, PaymentDeclined
from events.errors import TallystickError
from events.intake import RequestReceived
from events.lifecycle import PaymentRequested
from events.requests import PaymentRequest
from events.wire import HEADER_BYTES, decode_event, headers_of
from infra.clusterjob import ClusterJob, summaries
from infra.logs import looking_at
from infra.projecting import Projecting
from infra.stores import reading
from projections.report import Counts, report
from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.index import Run
from tests.simulation.auditor import audit
from tests.simulation.auditor.reading import records_on_kafka
from tests.torture.calm import Asked, Calm
from tests.torture.watching import Stamped, stamped

OUTCOMES: Final = (PaymentAuthorized, PaymentDeclined, AuthorizationOutcomeUnknown)
_WANTED: Final = headers_of((PaymentRequested, RequestReceived, *OUTCOMES))
_SHOWN: Final = 5


class Payments:
    """Every payment of a house by its events alone: how often it was taken, asked for and answered."""

    def __init__(self) -> None:
        self.taken: Counter[Asked] = Counter()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._taken_at: dict[Asked, float] = {}
        self._request_of: dict[str, Asked] = {}
        self._answered_at: dict[str, float] = {}

    def see(self, record: Stamped) -> None:
        """A record of the intake or the payments log."""
        if record.value[:HEADER_BYTES] not in _WANTED:
            return
        recorded = decode_event(record.value)
        match recorded.body:
            case RequestReceived(request=PaymentRequest() as request):
                self.taken[request.merchant, request.idempotency_key] += 1
                taken_at = recorded.meta.ingested_at / 1_000_000
                self._taken_at.setdefault((request.merchant, request.idempotency_key), taken_at)
            case PaymentRequested(payment_id=payment, merchant=merchant, idempotency_key=key):
                self.asked[payment] += 1
                self._request_of[payment] = (merchant, key)
            case (
                PaymentAuthorized(payment_id=payment)
                | PaymentDeclined(payment_id=payment)
                | AuthorizationOutcomeUnknown(payment_id=payment)
            ):
                self.answered[payment] += 1
                self._answered_at[payment] = record.at

    def all_answered(self, wanted: set[Asked]) -> bool:
        """Whether every request has been taken, and every payment answered."""
        return wanted <= self.taken.keys() and self.asked.keys() <= self.answered.keys()

    def waits(self) -> list[float]:
        """Seconds from each request's own record to its outcome, where the log lives by the clock on the wall."""
        return [at - self._taken_at[self._request_of[payment]] for payment, at in self._answered_at.items()]

    def complaints(self, wanted: set[Asked]) -> Iterator[str]:
        """What is missing, or there more than once."""
        yield from _named("requests were never taken", wanted - self.taken.keys())
        yield from _named("requests were taken that nobody made", self.taken.keys() - wanted)
        for what, counted in (("asked for", self.asked), ("answered", self.answered)):
            yield from _named(
                f"payments were {what} more than once", (n for n, m in counted.items() if m > 1)
            )
        yield from _named("payments have no outcome", self.asked.keys() - self.answered.keys())
        yield from _named("outcomes have no payment", self.answered.keys() - self.asked.keys())


def _named(what: str, names: Iterable[object]) -> Iterator[str]:
    held = sorted(map(str, names))
    if held:
        yield f"{len(held)} {what}: {', '.join(held[:_SHOWN])}"


def payments_of(job: ClusterJob) -> Payments:
    """All payments of a house."""
    found = Payments()
    for name in ("intake", "payments"):
        for record in stamped(job.cluster.bootstrap, job.cluster.topic(name)):
            found.see(record)
    return found


def judge(job: ClusterJob, run: Run, wanted: set[Asked], calm: Calm | None) -> list[str]:
    """Everything that does not hold of a house that has come to its end; by the wall's clock there is no ``calm``."""
    complaints = list(payments_of(job).complaints(wanted))
    complaints += [f"the auditor: {line}" for line in _audited(job, ended=calm is not None)]
    try:
        with looking_at(job.cluster) as log:
            verify(log)
        complaints += _books(job, calm)
        if calm is not None and state_digest(summaries(job, run)) != calm.state_digest:
            complaints.append("the state is not the calm run's")
    except TallystickError as error:
        complaints.append(str(error))
    return complaints


def _audited(job: ClusterJob, *, ended: bool) -> list[str]:
    try:
        return audit(records_on_kafka(job.cluster.bootstrap, job.cluster.prefix), ended=ended, holes=True)
    except ValueError as error:
        return [str(error)]


def _books(job: ClusterJob, calm: Calm | None) -> Iterator[str]:
    with Projecting(job.address, job.store, job.partitions) as projecting:
        projecting.finish(lambda _done, _of: None)
    with reading(job.store) as db:
        figures = report(db)
    yield from _of_counts(figures.counts, ended=calm is not None)
    if calm is not None and figures.ledger_digest != calm.ledger_digest:
        yield "the ledger is not the calm run's"
    if calm is not None and figures.counts.payments != calm.payments:
        yield f"{figures.counts.payments} payments, and {calm.payments} in the calm run"


def _of_counts(counts: Counts, *, ended: bool) -> Iterator[str]:
    if counts.ledger_imbalance:
        yield f"the ledger is {counts.ledger_imbalance} out of balance"
    if counts.money_unplaced:
        yield f"{counts.money_unplaced} amounts are at no place, or at two"
    if counts.dead_letters:
        yield f"{counts.dead_letters} dead letters, and every record was good"
    if ended and counts.open_clearing_residuals:
        yield f"{counts.open_clearing_residuals} items are still open on clearing accounts"


def network_complaints(record: Path) -> Iterator[str]:
    """Authorizations that reached a network more than once, by its own account."""
    if record.exists():
        lines = Counter(line for line in record.read_text().splitlines() if line.startswith("authorization "))
        yield from _named(
            "authorizations reached a network twice", (line for line, n in lines.items() if n > 1)
        )
