"""The card networks, simulated: who answers a submission.

An edge for each payments partition: the :class:`Adapter` stands where a line to a network would be, and answers
authorizations and reversals. The networks' back offices are :mod:`streams.edge.clearinghouse`.

What is answered is a function of (seed, RRN, kind, attempt), the amount and whether the network is having a bad
hour. It knows no clock, no order of arrival and no partition, so an edge that is asked again after a crash says
the same again. A network's bad hour is the reference fact ``health``, in force from the tick that names it.
"""

from typing import Final, NamedTuple

import msgspec

from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    ReversalReason,
    ReversalSubmitted,
)
from events.base import Event
from events.envelope import Recorded
from events.messages import Handover
from events.partitions import (
    ClockStruck,
    MarkersTaken,
    ReferenceApplied,
)
from events.reference import NetworkHealth, decode_reference
from streams.edge.dice import MILLION, chance, digits, weighted
from streams.features.approvals import stan
from streams.hosts.edges import Outgoing

#: What an adapter puts on the line.
Submission = AuthorizationSubmitted | IncrementSubmitted | ReversalSubmitted
FIRST_REVERSAL: Final = "0400"
#: How many increments of a payment a late answer is looked for among.
MOST_INCREMENTS: Final = 1_000

#: From this attempt on a reversal is always acknowledged, so that every run comes to an end.
REVERSAL_PATIENCE: Final = 6


# --- what is in force ---------------------------------------------------------------------------------


class Announced(msgspec.Struct, frozen=True, gc=False):
    """A piece of reference data that was read and waits for its tick."""

    version: int
    ref_id: str
    content: str


class Onset(msgspec.Struct, frozen=True, gc=False):
    """From business time ``at`` on, everything up to ``version`` is in force."""

    at: int
    version: int


class Announcements(msgspec.Struct):
    """Reference data of one kind on its way into force, as an edge sees it in the logs it reads.

    A log records an entry when it reads it, which is early or late by chance; it is in force from the first tick
    that names its version: the markers that the log has taken, or its clock, say which tick that is.
    """

    waiting: list[Announced] = []
    onsets: list[Onset] = []
    read: int = 0
    named: int = 0

    def hear(self, body: ReferenceApplied | MarkersTaken | ClockStruck, kind: str) -> None:
        """Take what a log says. The same from a second log, or again, changes nothing."""
        match body:
            case ReferenceApplied():
                if body.version > self.read:
                    self.read = body.version
                    if body.kind == kind:
                        self.waiting.append(Announced(body.version, body.ref_id, body.content))
            case MarkersTaken():
                for marker in body.markers:
                    self._name(marker.reference_version, marker.at)
            case ClockStruck():
                self._name(body.reference_version, body.at)

    def _name(self, version: int, at: int) -> None:
        # A sender's markers come in order, so the first that names a version is of that version's first tick.
        if version > self.named:
            self.named = version
            self.onsets.append(Onset(at, version))

    def come(self, now: int) -> list[Announced]:
        """What has come into force up to ``now`` since this was last asked."""
        version = 0
        while self.onsets and self.onsets[0].at <= now:
            version = self.onsets.pop(0).version
        come = [entry for entry in self.waiting if entry.version <= version]
        if come:
            self.waiting = self.waiting[len(come) :]
        return come


# --- authorizations and reversals ---------------------------------------------------------------------


class Shares(NamedTuple):
    """How a network answers, in millionths of its authorizations. What is left over is approved in full."""

    not_sent: int
    timed_out: int
    declined: int
    partial: int


CALM: Final = Shares(not_sent=3_000, timed_out=6_000, declined=41_000, partial=4_000)
BAD_HOUR: Final = Shares(not_sent=3_000, timed_out=330_000, declined=30_000, partial=2_000)

#: Of reversals: left unanswered in calm and in a bad hour.
REVERSALS_LOST: Final = 150_000
REVERSALS_LOST_IN_A_BAD_HOUR: Final = 500_000
REVERSALS_NOT_SENT: Final = 10_000
#: Of authorizations and increments that timed out: approved all the same, and the answer comes after the time-out.
LATE_APPROVALS: Final = 300_000
#: Of approvals: for another amount than was asked for, or in another currency. Chosen, for nobody publishes it: seldom
#: enough to surprise, often enough that every simulated day has some.
CONFLICTING: Final = 600
#: Of answers: delivered twice.
TWICE: Final = 8_000

#: Response codes (DE 39) of declines with their weights: what issuers say most, first.
DECLINES: Final[tuple[tuple[str, int], ...]] = (
    ("51", 420_000),  # insufficient funds
    ("05", 260_000),  # do not honour
    ("61", 80_000),  # exceeds amount limit
    ("54", 70_000),  # expired card
    ("65", 40_000),  # exceeds frequency limit
    ("14", 40_000),  # invalid card number
    ("59", 30_000),  # suspected fraud
    ("91", 25_000),  # issuer unavailable
    ("43", 15_000),  # stolen card
    ("41", 10_000),  # lost card
    ("57", 10_000),  # not permitted to cardholder
)

APPROVED: Final = "00"
PARTIALLY_APPROVED: Final = "10"
LONGEST_FAILOVER: Final = 16
#: Reserved for testing (ISO 4217): what a network says that has mixed something up.
NOBODYS_CURRENCY: Final = "XTS"


class Answer(NamedTuple):
    """What a network makes of an authorization. ``response_code`` is empty where there is no answer.

    ``currency`` is empty where it is the one asked for.
    """

    sent: bool
    response_code: str
    approved_amount: int
    currency: str = ""

    def held(self, amount: int) -> int:
        """What there is to capture of it: no more than was asked for, and nothing in another currency."""
        return 0 if self.currency else min(amount, self.approved_amount)


NOT_SENT: Final = Answer(False, "", 0)
TIMED_OUT: Final = Answer(True, "", 0)


def not_sent(seed: int, rrn: str, attempt: int) -> bool:
    """Whether the line is dead for this attempt. The same in good hours and bad: a late approval must know it."""
    return chance(seed, "line", rrn, attempt) < CALM.not_sent


def authorize(seed: int, rrn: str, attempt: int, amount: int, *, healthy: bool) -> Answer:
    """A network's answer to an authorization."""
    if not_sent(seed, rrn, attempt):
        return NOT_SENT
    shares = CALM if healthy else BAD_HOUR
    drawn = chance(seed, "authorization", rrn, attempt) - shares.timed_out
    if drawn < 0:
        return TIMED_OUT
    drawn -= shares.declined
    if drawn < 0:
        return Answer(True, weighted(chance(seed, "decline", rrn, attempt), DECLINES), 0)
    drawn -= shares.partial
    if drawn < 0 and amount > 1:
        share = 200_000 + chance(seed, "partial", rrn, attempt) * 7 // 10
        return Answer(True, PARTIALLY_APPROVED, max(1, amount * share // MILLION))
    return _conflicting(seed, rrn, attempt, amount) or Answer(True, APPROVED, amount)


def _conflicting(seed: int, rrn: str, attempt: int, amount: int) -> Answer | None:
    """Seldom, an approval that is not of what was asked for: a little less, a little more, another currency."""
    drawn = chance(seed, "conflict", rrn, attempt)
    if drawn >= CONFLICTING:
        return None
    match drawn % 3:
        case 0:
            return Answer(True, APPROVED, max(1, amount - 1 - amount // 100))
        case 1:
            return Answer(True, APPROVED, amount + 1 + amount // 100)
        case _:
            return Answer(True, APPROVED, amount, NOBODYS_CURRENCY)


def increment(seed: int, rrn: str, attempt: int, amount: int, *, healthy: bool) -> Answer:
    """A network's answer to an increment: by the same shares, of a die of its own, and never in part."""
    if not_sent(seed, f"{rrn}/increment", attempt):
        return NOT_SENT
    shares = CALM if healthy else BAD_HOUR
    drawn = chance(seed, "increment", rrn, attempt) - shares.timed_out
    if drawn < 0:
        return TIMED_OUT
    if drawn < shares.declined:
        return Answer(True, weighted(chance(seed, "increment declined", rrn, attempt), DECLINES), 0)
    return _conflicting(seed, f"{rrn}/increment", attempt, amount) or Answer(True, APPROVED, amount)


class AdapterState(msgspec.Struct):
    """Which networks are having a bad hour, and what has been announced of that."""

    announcements: Announcements = msgspec.field(default_factory=Announcements)
    unhealthy: list[str] = []


class Adapter:
    """Edge ``adapter/<p>``: answers what payments partition p submits, on ``network.replies``."""

    HEARS: tuple[type[Event], ...] = (
        AuthorizationSubmitted,
        IncrementSubmitted,
        ReversalSubmitted,
        ReferenceApplied,
        MarkersTaken,
        ClockStruck,
    )

    def __init__(self, partition: int, seed: int) -> None:
        self.partition = partition
        self.seed = seed
        self.name = f"adapter/{partition}"
        self.state = AdapterState()

    def reads(self) -> list[tuple[str, int]]:
        return [("payments", self.partition)]

    def writes(self) -> list[tuple[str, int]]:
        return [("network.replies", self.partition)]

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        match recorded.body:
            case ReferenceApplied() | MarkersTaken() | ClockStruck() as body:
                self.state.announcements.hear(body, "health")
                return []
            case AuthorizationSubmitted() as body:
                self._look_at_health(recorded.meta.recorded_at)
                return self._answers(recorded, self._authorization(body))
            case IncrementSubmitted() as body:
                self._look_at_health(recorded.meta.recorded_at)
                return self._answers(recorded, self._increment(body))
            case ReversalSubmitted() as body:
                self._look_at_health(recorded.meta.recorded_at)
                return self._answers(recorded, self._reversal(body))
            case _:
                return []

    def _look_at_health(self, now: int) -> None:
        for entry in self.state.announcements.come(now):
            health = decode_reference("health", entry.content)
            assert isinstance(health, NetworkHealth)
            others = [network for network in self.state.unhealthy if network != health.network]
            self.state.unhealthy = others if health.healthy else sorted([*others, health.network])

    def _authorization(self, body: AuthorizationSubmitted) -> list[Event]:
        healthy = body.network not in self.state.unhealthy
        answer = authorize(self.seed, body.rrn, body.attempt, body.amount, healthy=healthy)
        twice = chance(self.seed, "twice", body.rrn, body.attempt) < TWICE
        return self._said(body, MessageKind.AUTHORIZATION, answer, twice=twice)

    def _increment(self, body: IncrementSubmitted) -> list[Event]:
        healthy = body.network not in self.state.unhealthy
        answer = increment(self.seed, body.rrn, body.attempt, body.amount, healthy=healthy)
        twice = chance(self.seed, "increment twice", body.rrn, body.attempt) < TWICE
        return self._said(body, MessageKind.INCREMENT, answer, twice=twice)

    def _said(
        self,
        body: AuthorizationSubmitted | IncrementSubmitted,
        kind: MessageKind,
        answer: Answer,
        *,
        twice: bool,
    ) -> list[Event]:
        if answer is NOT_SENT:
            return [NetworkNotSent(body.payment_id, body.network, kind, body.attempt, body.stan, body.rrn)]
        if answer is TIMED_OUT:
            return [_timed_out(body, kind)]
        reply = _reply(self.seed, body, kind, body.attempt, answer, late=False)
        return [reply, reply] if twice else [reply]

    def _reversal(self, body: ReversalSubmitted) -> list[Event]:
        answered = self._reversal_answer(body)
        late = self._late_approval(body) if body.mti == FIRST_REVERSAL else None
        if late is None:
            return [answered]
        return [late, answered] if chance(self.seed, "first", body.rrn) < MILLION // 2 else [answered, late]

    def _late_approval(self, body: ReversalSubmitted) -> NetworkReplyReceived | None:
        """The approval that a time-out did not wait for crosses the reversal on the line, before or behind its answer.

        Published with it: any later, and whether it still finds the payment open would be chance.
        """
        approval = Answer(True, APPROVED, body.amount)
        if body.reason is ReversalReason.TIMEOUT and chance(self.seed, "late", body.rrn) < LATE_APPROVALS:
            attempt = next(n for n in range(1, LONGEST_FAILOVER) if not not_sent(self.seed, body.rrn, n))
            return _reply(self.seed, body, MessageKind.AUTHORIZATION, attempt, approval, late=True)
        if body.reason is ReversalReason.INCREMENT:
            # Which increment it is of, the trace number says.
            late = chance(self.seed, "late increment", body.rrn, body.stan) < LATE_APPROVALS
            attempts = range(1, MOST_INCREMENTS)
            attempt = next((n for n in attempts if stan(f"{body.rrn}/increment", n) == body.stan), 0)
            if late and attempt:
                return _reply(self.seed, body, MessageKind.INCREMENT, attempt, approval, late=True)
        return None

    def _reversal_answer(self, body: ReversalSubmitted) -> Event:
        kind = MessageKind.REVERSAL
        acknowledged = _reply(self.seed, body, kind, body.attempt, Answer(True, APPROVED, 0), late=False)
        if body.attempt >= REVERSAL_PATIENCE:
            return acknowledged
        drawn = chance(self.seed, "reversal", body.rrn, body.attempt)
        if drawn < REVERSALS_NOT_SENT:
            return NetworkNotSent(body.payment_id, body.network, kind, body.attempt, body.stan, body.rrn)
        bad = body.network in self.state.unhealthy
        lost = REVERSALS_LOST_IN_A_BAD_HOUR if bad else REVERSALS_LOST
        return _timed_out(body, kind) if drawn < REVERSALS_NOT_SENT + lost else acknowledged

    def _answers(self, recorded: Recorded, facts: list[Event]) -> list[Outgoing]:
        return [
            Outgoing("network.replies", self.partition, handover(self.name, recorded, fact)) for fact in facts
        ]


def handover(sender: str, recorded: Recorded, fact: Event) -> Handover:
    """An outside fact on its way to a log: caused by what the edge saw, at that record's logical time."""
    meta = recorded.meta
    return Handover(
        sender,
        meta.event_id,
        meta.correlation_id,
        meta.recorded_at,
        meta.recorded_at,
        True,
        fact,  # type: ignore[arg-type]  # callers make only facts of the union; listing it again says no more
    )


def _timed_out(body: Submission, kind: MessageKind) -> NetworkReplyTimedOut:
    return NetworkReplyTimedOut(
        body.payment_id, body.network, kind, body.attempt, body.stan, body.rrn, body.timeout_ms
    )


def _reply(
    seed: int,
    body: Submission,
    kind: MessageKind,
    attempt: int,
    answer: Answer,
    *,
    late: bool,
) -> NetworkReplyReceived:
    authorization = kind is not MessageKind.REVERSAL
    approved = authorization and answer.approved_amount > 0
    return NetworkReplyReceived(
        payment_id=body.payment_id,
        network=body.network,
        kind=kind,
        attempt=attempt,
        late=late,
        mti="0110" if authorization else "0410",
        stan=body.stan,
        rrn=body.rrn,
        response_code=answer.response_code,
        approved_amount=answer.approved_amount,
        currency=answer.currency or body.currency,
        auth_code=digits(seed, 6, *_of(kind, "code"), body.rrn, attempt) if approved else "",
        avs_result=_one_of("YYYYYYAZN", chance(seed, "avs", body.rrn)) if approved else "",
        cvv_result=_one_of("MMMMMMMMMN", chance(seed, "cvv", body.rrn)) if approved else "",
        network_transaction_id=digits(seed, 15, *_of(kind, "transaction"), body.rrn, attempt)
        if authorization
        else "",
        frame=b"",
        frame_sha256=b"",
    )


def _of(kind: MessageKind, what: str) -> tuple[str, ...]:
    """What numbers of this kind are made of; those of an increment are not those of its authorization."""
    return (what,) if kind is MessageKind.AUTHORIZATION else (str(kind), what)


def _one_of(letters: str, drawn: int) -> str:
    return letters[drawn * len(letters) // MILLION]
