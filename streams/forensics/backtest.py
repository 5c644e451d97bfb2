"""A back-test: what a pack of rules would have said of the payments of a log, and what that would have cost.

Every payment is measured again from the log's beginning; those of the stretch asked for are judged, in all three
phases, and what the rules say is held against what was decided and, as far as anybody knows, against what was fraud:
by labels that somebody gives, otherwise by those of the log itself.

A payment *would have been stopped* where a rule in force blocks it. That costs good money where the payment was
authorized and is not known to be fraud, and prevents fraud where it was authorized and is. What was declined anyway
costs and prevents nothing. What a challenge or a reviewer would have found out, no log can say: those are counted
apart.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from events.authorization import NetworkReplyReceived, PaymentAuthorized, PaymentDeclined
from events.base import Event
from events.disputes import Label as Said
from events.envelope import Recorded
from events.labels import PaymentLabelled
from events.lifecycle import PaymentRequested
from events.reference import Action
from events.risk import Phase, RiskAssessed, Verdict
from streams.features.measuring import answered, is_answer
from streams.features.models import Model
from streams.features.rules.catalogue import Value
from streams.features.rules.judging import Judge, Outcome
from streams.features.windows import event_time
from streams.forensics.measuring import Measuring
from streams.forensics.reading import decoded, kind_of
from streams.forensics.replay import WholeLog, run_of
from streams.hosts.log import Log, records_of

_READ: Final = 5_000
EXAMPLES: Final = 5
"""Payments named for each rule."""
ALWAYS: Final = (-(2**63), 2**63 - 1)

Progress = Callable[[int, int], None]


class Label(NamedTuple):
    """What somebody knows of a payment. Features see it from ``known_at`` on (microseconds); None: never."""

    fraud: bool
    known_at: int | None = None


class Money(msgspec.Struct):
    """How many payments, and their amounts in minor units by currency."""

    payments: int = 0
    amounts: dict[str, int] = {}

    def add(self, amount: int, currency: str) -> None:
        """One more."""
        self.payments += 1
        self.amounts[currency] = self.amounts.get(currency, 0) + amount


class RuleFigures(msgspec.Struct):
    """A rule over the stretch. ``prevented`` and ``cost`` are what it alone would have stopped, had it blocked:
    authorized payments that are known to be fraud, and that are not."""

    rule: str
    action: str
    shadow: bool
    fired: Money = msgspec.field(default_factory=Money)
    prevented: Money = msgspec.field(default_factory=Money)
    cost: Money = msgspec.field(default_factory=Money)
    failed: int = 0
    examples: list[str] = []


class BackTest(msgspec.Struct):
    """What came out. ``labels`` is of how many payments anybody knows what they were; ``decided`` counts payments by
    what was decided and what would have been."""

    payments: int = 0
    frauds: int = 0
    labels: int = 0
    approved: Money = msgspec.field(default_factory=Money)
    stopped: Money = msgspec.field(default_factory=Money)
    prevented: Money = msgspec.field(default_factory=Money)
    cost: Money = msgspec.field(default_factory=Money)
    missed: Money = msgspec.field(default_factory=Money)
    rules: list[RuleFigures] = []
    decided: dict[str, dict[str, int]] = {}
    events: int = 0
    first_at: int = 0
    last_at: int = 0


class Judged(NamedTuple):
    """One payment of the stretch on which something fired: a row of the details."""

    payment_id: str
    at: int
    merchant: str
    amount: int
    currency: str
    decided: str
    authorized: bool
    would: str
    rules: tuple[str, ...]
    shadow: tuple[str, ...]
    fraud: bool | None


class _Open(msgspec.Struct):
    """A payment whose outcome has not come yet. ``outcome`` is None outside of the stretch."""

    body: PaymentRequested
    at: int
    vector: list[Value]
    outcome: list[Outcome] | None
    verdict: str = ""
    reply: NetworkReplyReceived | None = None


class _Paid(NamedTuple):
    """What a label needs of its payment."""

    merchant: str
    at: int
    ordinary: bool


def back_test(
    log: WholeLog,
    judge: Judge,
    *,
    between: tuple[int, int] = ALWAYS,
    labels: Mapping[str, Label] | None = None,
    model: Model | None = None,
    told: Callable[[Judged], None] = lambda _: None,
    progress: Progress = lambda done, of: None,
) -> BackTest:
    """Judge the payments whose event time lies in ``[from, to)``.

    ``labels`` take the place of the log's own. ``told`` hears each payment on which a rule fired or failed. Raises
    LogDamaged where the log cannot be read.
    """
    with log.view():
        return _Run(judge, between, labels, model, told).over(log, progress)


def labels_of(log: Log, partitions: int) -> dict[str, Label]:
    """What a log says of its payments in the end. When each was known is left to the log."""
    found: dict[str, Label] = {}
    for partition in range(partitions):
        for _, _, _, recorded in _events(log, partition, PaymentLabelled):
            if isinstance(recorded.body, PaymentLabelled):
                found[recorded.body.payment_id] = Label(recorded.body.label is Said.FRAUD)
    return found


class _Run:
    """One back-test."""

    def __init__(
        self,
        judge: Judge,
        between: tuple[int, int],
        labels: Mapping[str, Label] | None,
        model: Model | None,
        told: Callable[[Judged], None],
    ) -> None:
        self.judge = judge
        self.between = between
        self.given = labels is not None
        self.labels: Mapping[str, Label] = labels or {}
        self.measuring = Measuring(model, labelled=not self.given)
        self.told = told
        self.open: dict[str, _Open] = {}
        self.found = BackTest()
        self.figures: dict[str, RuleFigures] = {}
        # Labels with a time, the earliest last; `early` are those whose payment has not come yet.
        self.waiting: list[tuple[int, str]] = sorted(
            ((label.known_at, name) for name, label in self.labels.items() if label.known_at is not None),
            reverse=True,
        )
        self.early: set[str] = set()
        self.paid: dict[str, _Paid] = {}
        for name, action, shadow in judge.rules():
            self.figures[name] = RuleFigures(name, action.value, shadow)

    def over(self, log: Log, progress: Progress) -> BackTest:
        """Go through the whole log."""
        partitions = run_of(log).partitions
        if not self.given:
            self.labels = labels_of(log, partitions)
        self.found.labels = len(self.labels)
        ends = sum(log.end("payments", number) for number in range(partitions))
        streams = [_events(log, number) for number in range(partitions)]
        # One order for all partitions: that of logical time, and of partitions within one instant.
        merged = heapq.merge(*streams, key=lambda entry: entry[:3])
        for number, (at, _, _, recorded) in enumerate(merged, 1):
            self._label_until(at)
            self._take(recorded)
            if number % _READ == 0:
                progress(number, ends)
            self.found.events = number
        for waiting in list(self.open.values()):
            self._close(waiting, None)
        self.found.rules = list(self.figures.values())
        progress(ends, ends)
        return self.found

    def _label_until(self, at: int) -> None:
        while self.waiting and self.waiting[-1][0] <= at:
            known_at, name = self.waiting.pop()
            if name in self.paid:
                self._label(name, self.paid.pop(name), known_at)
            else:
                self.early.add(name)

    def _label(self, name: str, paid: _Paid, now: int) -> None:
        fraud = self.labels[name].fraud
        self.measuring.label(name, paid.merchant, paid.at, now, fraud=fraud, ordinary=paid.ordinary)

    def _take(self, recorded: Recorded) -> None:
        body = recorded.body
        match body:
            case PaymentRequested():
                self._request(recorded, body)
            case RiskAssessed(payment_id=name, verdict=verdict) if name in self.open:
                self.open[name].verdict = verdict.value
            case NetworkReplyReceived(payment_id=name) if name in self.open and is_answer(body):
                self.open[name].reply = body
            case PaymentAuthorized(payment_id=name) | PaymentDeclined(payment_id=name):
                waiting = self.open.pop(name, None)
                if waiting is not None:
                    self._close(waiting, body)
                self.measuring.hear(recorded)
            case _:
                self.measuring.hear(recorded)

    def _request(self, recorded: Recorded, body: PaymentRequested) -> None:
        measured = self.measuring.pay(recorded)
        if measured is None:
            return
        vector, ordinary = measured
        at = event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)
        label = self.labels.get(body.payment_id)
        if label is not None and label.known_at is not None:
            paid = _Paid(body.merchant, at, ordinary)
            if body.payment_id in self.early:
                self._label(body.payment_id, paid, recorded.meta.recorded_at)
            else:
                self.paid[body.payment_id] = paid
        outcome = None
        if self.between[0] <= at < self.between[1]:
            phases = (Phase.BEFORE_AUTHORIZATION, Phase.AFTER_AUTHENTICATION)
            outcome = [self.judge.judge(phase, body.merchant, vector) for phase in phases]
        self.open[body.payment_id] = _Open(body, at, vector, outcome)

    def _close(self, payment: _Open, event: PaymentAuthorized | PaymentDeclined | None) -> None:
        """Settle a payment whose outcome is known, or (at the end of the log) is not."""
        if payment.outcome is None:
            return
        body, found = payment.body, self.found
        outcomes = payment.outcome
        # Of a declined payment the stream asks nothing any more.
        if isinstance(event, PaymentAuthorized) and payment.reply is not None:
            vector = answered(payment.vector, event, payment.reply.avs_result, payment.reply.cvv_result)
            outcomes = [*outcomes, self.judge.judge(Phase.AFTER_AUTHORIZATION, body.merchant, vector)]
        authorized = isinstance(event, PaymentAuthorized)
        label = self.labels.get(body.payment_id)
        fraud = label is not None and label.fraud
        found.payments += 1
        found.frauds += fraud
        found.first_at = min(found.first_at or payment.at, payment.at)
        found.last_at = max(found.last_at, payment.at)
        would = _would(outcomes)
        decided = payment.verdict or "open"
        if decided != Verdict.BLOCK.value and event is not None and not authorized:
            decided = "declined"
        row = found.decided.setdefault(decided, {})
        row[would] = row.get(would, 0) + 1
        if authorized:
            found.approved.add(body.amount, body.currency)
        if would == Action.BLOCK.value:
            found.stopped.add(body.amount, body.currency)
            if authorized:
                (found.prevented if fraud else found.cost).add(body.amount, body.currency)
        elif authorized and fraud:
            found.missed.add(body.amount, body.currency)
        fired = tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.fired))
        shadow = tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.shadow))
        failed = [name for outcome in outcomes for name in outcome.failed]
        for name in (*fired, *shadow):
            self._count(self.figures[name], body, authorized, fraud)
        for name in failed:
            self.figures[name].failed += 1
        if fired or shadow or failed:
            known = label.fraud if label is not None else None
            self.told(
                Judged(
                    body.payment_id,
                    payment.at,
                    body.merchant,
                    body.amount,
                    body.currency,
                    decided,
                    authorized,
                    would,
                    fired,
                    shadow,
                    known,
                )
            )

    def _count(self, figures: RuleFigures, body: PaymentRequested, authorized: bool, fraud: bool) -> None:
        figures.fired.add(body.amount, body.currency)
        if authorized:
            (figures.prevented if fraud else figures.cost).add(body.amount, body.currency)
        if len(figures.examples) < EXAMPLES:
            figures.examples.append(body.payment_id)


def _would(outcomes: list[Outcome]) -> str:
    """What the phases come to: the first that blocks ends it; behind that, the strongest thing that is asked."""
    actions = [outcome.action for outcome in outcomes]
    for action in (Action.BLOCK, Action.REVIEW, Action.REQUEST_3DS):
        if action in actions:
            return action.value
    return Action.ALLOW.value


def _events(
    log: Log, partition: int, only: type[Event] | None = None
) -> Iterator[tuple[int, int, int, Recorded]]:
    for stored in records_of(log, "payments", partition):
        if only is None or kind_of(stored, "payments", partition) is only:
            recorded = decoded(stored, "payments", partition)
            yield recorded.meta.recorded_at, partition, stored.offset, recorded
