"""Stories: one script, told to a whole house in memory, with an outside that answers by hand.

A story asks for payments and what comes after them, lets time pass, and looks at what was decided and where the money
stands. All four engines work, and the simulated networks and the bank stand outside. Left alone they are kind: the
line never breaks, everything is approved and acknowledged, every clearing record is accepted, every payout arrives.
What shall be otherwise is written down before it happens::

    with Story() as story:
        payment = story.pay(1_000, manual=True)
        story.answers(payment, partly(600))
        story.wait(hours=1)
        capture = story.capture(payment, 600)
        story.end()
    assert story.path("NU", capture) == [600, 0]

Three ways to write what the outside says, from the nearest to the furthest: :meth:`Story.answers` to a submission,
:meth:`Story.refuses` to a clearing record, :meth:`Story.rewrites` for any fact that an edge sends; and
:meth:`Story.says` for a fact that nobody was asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar
from unittest.mock import patch

import msgspec

from events.accounts import CLEARING, bank_account, code_of
from events.authorization import (
    AuthorizationSubmitted,
    IncrementSubmitted,
    MessageKind,
    NetworkNotSent,
    NetworkReplyReceived,
    NetworkReplyTimedOut,
    ReversalSubmitted,
)
from events.base import Event, Message
from events.calendar import DAY, HOUR, SECOND, day_number, iso_day, next_business_day, parse_day, start_of
from events.clearing import ClearingRecordCreated, ClearingRejection
from events.disputes import (
    DisputeEvidenceSubmitted,
    DisputeNoticeReceived,
    DisputeStage,
    DisputeStep,
    FraudProgram,
    FraudReportReceived,
)
from events.envelope import Recorded
from events.identity import card_id, operation_id, partition_of_name, payment_id
from events.messages import Handover
from events.partitions import ClockKind
from events.postings import postings
from events.reconciliation import BankLineRecorded, NetworkSettlementAdvised
from events.reference import MerchantTerms
from events.requests import (
    Answered,
    CaptureMode,
    CaptureRequest,
    Channel,
    EvidenceRequest,
    IncrementRequest,
    PaymentRequest,
    PayoutSchedule,
    RefundReason,
    RefundRequest,
    Request,
    SettingsRequest,
    Tick,
    VoidRequest,
)
from events.wire import encode_message
from streams.edge import bank, clearinghouse, issuers, networks, presenting
from streams.edge.bank import Bank
from streams.edge.clearinghouse import ClearingHouse
from streams.edge.faults import NO_FAULTS, Plan
from streams.edge.networks import Adapter, Submission
from streams.edge.presenting import Presented
from streams.edge.reference import Entry, published, starter
from streams.hosts.actors import Actor, EdgeActor, IndexActor
from streams.hosts.edges import Edge, Outgoing
from streams.hosts.index import Run, Staged
from streams.hosts.log import Append
from streams.hosts.memory import MemoryLog
from tests.simulation.auditor import audit
from tests.simulation.auditor.logs import TOPICS, Record
from tests.simulation.schedules import KEYS

#: A Monday morning: nothing has begun.
START: Final = start_of(day_number(2026, 3, 2)) + 9 * HOUR
SHOP: Final = "shop"
VISA: Final = "41111122"
MASTERCARD: Final = "52111133"
#: Long enough for holds, settlement, payouts and weekly invoices of whatever a story leaves behind.
END_DAYS: Final = 21

#: An outside that does nothing of its own accord.
KIND: Final[dict[str, Any]] = {
    "CALM": networks.Shares(0, 0, 0, 0),
    "CONFLICTING": 0,
    "BAD_HOUR": networks.Shares(0, 0, 0, 0),
    "REVERSALS_LOST": 0,
    "REVERSALS_LOST_IN_A_BAD_HOUR": 0,
    "REVERSALS_NOT_SENT": 0,
    "LATE_APPROVALS": 0,
    "TWICE": 0,
}
PRESENTED: Final[dict[str, Any]] = {"REFUSED_FIRST": 0, "REFUSED_AGAIN": 0, "REFUSED_FOR_GOOD": 0}

_E = TypeVar("_E", bound=Event)
#: What a network says to a submission: any number of facts, none of them for an answer that is lost with its line.
Answer = Callable[[Any], list[Event]]


def terms(merchant: str, **changes: Any) -> MerchantTerms:
    """A merchant that takes USD, EUR and JPY, pays 30 and 2.9 % and has its money after a business day."""
    usual = MerchantTerms(
        merchant, merchant.title(), "5411", ("EUR", "JPY", "USD"), 1, 30, 29_000, 1, 0, 0, False
    )
    return msgspec.structs.replace(usual, **changes)


def entries(*merchants: MerchantTerms) -> list[Entry]:
    """The starter data with these merchants, or with ``shop`` and ``other``."""
    return starter(merchants or (terms(SHOP), terms("other")))


class Word(NamedTuple):
    """What an issuer says some days later: about a case, or that the payment was fraud where there is no step.

    ``reply_days``: how long the merchant has to answer; 0 where nothing is asked of it.
    """

    days: int
    step: DisputeStep | None = None
    amount: int = 0
    reason_code: str = "13.1"
    reply_days: int = 0

    def planned(
        self, day_on: int, number: int, about: tuple[str, str, str], currency: str
    ) -> issuers.Planned:
        payment, network, case_id = about
        on = day_on + self.days
        if self.step is None:
            report = FraudReportReceived(
                payment, network, f"frd-{case_id[4:]}", FraudProgram.TC40, "6", self.amount, currency
            )
            return issuers.Planned(on, report)
        moves = self.amount and self.step is not DisputeStep.INQUIRY_OPENED
        notice = DisputeNoticeReceived(
            payment,
            network,
            case_id,
            number,
            self.step,
            self.reason_code,
            "7" * 23,
            self.amount,
            currency,
            f"{network}-{currency}-{iso_day(on)}" if moves else "",
            start_of(on + self.reply_days) if self.reply_days else 0,
        )
        return issuers.Planned(on, notice)


class Story:
    """A house of ``partitions`` indexes, its outside, and the hand that leads both. A context manager."""

    def __init__(
        self,
        reference: Iterable[Entry] | None = None,
        *,
        partitions: int = 1,
        every: int = HOUR,
        faults: Plan = NO_FAULTS,
    ) -> None:
        """``every``: how far ticks are apart, microseconds. ``faults`` are planted in networks and bank."""
        self.now = START
        self.partitions = partitions
        #: Every event of every log, in the order in which they were committed.
        self.events: list[Recorded] = []
        self.log = MemoryLog()
        self._every = every
        self._tick = 0
        self._version = 0
        self._named = 0
        self._script: dict[tuple[type[Event], str, int], Answer] = {}
        self._refused: dict[tuple[str, int], ClearingRejection] = {}
        self._complaints: dict[str, tuple[Word, ...]] = {}
        self._replies: dict[tuple[str, DisputeStage], tuple[int, tuple[Word, ...]]] = {}
        self._changes: dict[type[Event], Callable[[Any], Sequence[Event]]] = {}
        self._patches = ExitStack()
        run = Run(partitions, ClockKind.VIRTUAL, START, 0, "{}")
        edges: list[Edge] = [Bank(partitions, 1, faults), ClearingHouse(partitions, 1, faults)]
        edges += [Adapter(number, 1) for number in range(partitions)]
        self._actors: list[Actor] = [EdgeActor(self.log, _ByHand(edge, self)) for edge in edges]
        self._actors += [IndexActor(self.log, n, run, KEYS, self._hear) for n in range(partitions)]
        self.publish(*(entries() if reference is None else reference))

    def __enter__(self) -> "Story":
        present = presenting.present

        def by_hand(
            seed: int, record: ClearingRecordCreated, recorded_at: int, faults: Plan = NO_FAULTS
        ) -> Presented:
            reason = self._refused.get((record.source_id, record.presentment))
            return (
                present(seed, record, recorded_at, faults)
                if reason is None
                else Presented(reason, "", 0, 0, 0, 0, "")
            )

        for edge in (clearinghouse, bank):
            self._patches.enter_context(
                patch.multiple(edge, plan=self._plan, answer=self._answer, present=by_hand)
            )
        self._patches.enter_context(patch.multiple(networks, **KIND))
        self._patches.enter_context(patch.multiple(presenting, **PRESENTED))
        self._patches.enter_context(patch.multiple(clearinghouse, MISHAPS=()))
        self._patches.enter_context(patch.multiple(issuers, WARNED=0))
        self._patches.enter_context(patch.multiple(bank, PAYOUTS_RETURNED=0))
        self.wait(ticks=1)  # What was published is in force from here on.
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()

    # -- what merchants ask for ----------------------------------------------------------------------------

    def pay(
        self,
        amount: int,
        *,
        manual: bool = False,
        merchant: str = SHOP,
        currency: str = "USD",
        key: str = "",
        bin_: str = VISA,
        card: str = "",
        device: str = "",
        ip: str = "",
    ) -> str:
        """A payment with a card of its own; its id."""
        self._named += 1
        key = key or f"order-{self._named}"
        card = card or card_id(37 * self._named % 1_000, self._named.to_bytes(10, "big"))
        self.ask(
            PaymentRequest(
                merchant,
                key,
                card,
                bin_,
                "0042",
                amount,
                currency,
                Channel.ECOMMERCE,
                CaptureMode.MANUAL if manual else CaptureMode.AUTOMATIC,
                device,
                ip,
                "",
                self.now,
                "story",
                True,
            )
        )
        return payment_id(merchant, key, card)

    def capture(
        self,
        payment: str,
        amount: int,
        *,
        final: bool = False,
        merchant: str = SHOP,
        currency: str = "USD",
        key: str = "",
    ) -> str:
        """A capture; the id that it has, or would have."""
        key = key or self._key("capture")
        self.ask(CaptureRequest(merchant, key, payment, amount, currency, final, self.now, "story", True))
        return operation_id("cap", merchant, key)

    def increment(
        self, payment: str, amount: int, *, merchant: str = SHOP, currency: str = "USD", key: str = ""
    ) -> str:
        """More on hold; the id that the increment has, or would have."""
        key = key or self._key("increment")
        self.ask(IncrementRequest(merchant, key, payment, amount, currency, self.now, "story", True))
        return operation_id("inc", merchant, key)

    def void(self, payment: str, *, capture: str = "", merchant: str = SHOP, key: str = "") -> None:
        """A void, of one capture where it is named."""
        self.ask(VoidRequest(merchant, key or self._key("void"), payment, self.now, "story", True, capture))

    def refund(
        self,
        payment: str,
        amount: int,
        *,
        merchant: str = SHOP,
        currency: str = "USD",
        key: str = "",
        reason: RefundReason | None = None,
    ) -> str:
        """A refund; the id that it has, or would have."""
        key = key or self._key("refund")
        self.ask(RefundRequest(merchant, key, payment, amount, currency, "", self.now, "story", True, reason))
        return operation_id("ref", merchant, key)

    def evidence(
        self,
        payment: str,
        case_id: str,
        stage: Answered = Answered.CHARGEBACK,
        *,
        merchant: str = SHOP,
        key: str = "",
        documents: Sequence[str] = ("ab" * 32,),
    ) -> None:
        """The merchant answers an issuer, with one document unless told."""
        key = key or self._key("evidence")
        at = self.now
        self.ask(EvidenceRequest(merchant, key, payment, case_id, stage, list(documents), at, "story", True))

    def wants(
        self,
        schedule: PayoutSchedule,
        anchor: int = 0,
        minimum: int = 0,
        *,
        merchant: str = SHOP,
        currency: str = "",
        key: str = "",
    ) -> None:
        """The merchant wants to be paid on other days, or from another balance on."""
        key = key or self._key("settings")
        self.ask(SettingsRequest(merchant, key, currency, schedule, anchor, minimum, self.now, "story", True))

    def ask(self, request: Request) -> None:
        """Any request, as a producer sends it. One comes a second after the other."""
        home = partition_of_name(f"{request.merchant}/{request.idempotency_key}", self.partitions)
        self._append("payments.requests", home, request)
        self.now += SECOND

    def publish(self, *content: Entry) -> None:
        """Reference data, in force from the next tick on."""
        for message in published(content, self._version + 1):
            self._version = message.version
            self._append("reference", 0, message)

    def _key(self, kind: str) -> str:
        self._named += 1
        return f"{kind}-{self._named}"

    # -- what the outside says -----------------------------------------------------------------------------

    def answers(
        self,
        payment: str,
        answer: Answer,
        *,
        attempt: int = 1,
        to: type[Event] = AuthorizationSubmitted,
    ) -> None:
        """What the network says to a submission of this payment, in place of its kind answer."""
        self._script[to, payment, attempt] = answer

    def refuses(
        self,
        source: str,
        reason: ClearingRejection = ClearingRejection.INVALID_DATA,
        *,
        presentment: int = 1,
    ) -> None:
        """The network refuses the clearing record of a capture or a refund; the bank knows of it."""
        self._refused[source, presentment] = reason

    def disputes(self, capture: str, *words: "Word") -> str:
        """What the issuer will say of a capture, in days behind its clearing; the network's name for the case."""
        self._complaints[capture] = words
        return issuers.case_of("visa", capture)

    def replies(self, capture: str, stage: DisputeStage, *words: "Word") -> None:
        """What comes of evidence at this stage, in days behind it. Stages in their order."""
        case_id = issuers.case_of("visa", capture)
        said = sum(1 for word in self._complaints[capture] if word.step) + sum(
            len(kept) for (case, _), (_, kept) in self._replies.items() if case == case_id
        )
        self._replies[case_id, stage] = (said, words)

    def _plan(self, seed: int, record: ClearingRecordCreated, accepted_on: int) -> list[issuers.Planned]:
        case_id = issuers.case_of(record.network, record.source_id)
        words = self._complaints.get(record.source_id, ())
        about = (record.payment_id, record.network, case_id)
        # Reports have no number: the network counts what it says of the case.
        numbers = count(1)
        return [
            word.planned(accepted_on, next(numbers) if word.step else 0, about, record.currency)
            for word in words
        ]

    def _answer(
        self, seed: int, submitted: DisputeEvidenceSubmitted, submitted_on: int
    ) -> list[issuers.Planned]:
        said, words = self._replies.get((submitted.case_id, submitted.stage), (0, ()))
        about = (submitted.payment_id, submitted.network, submitted.case_id)
        return [
            word.planned(submitted_on, number, about, submitted.currency)
            for number, word in enumerate(words, said + 1)
        ]

    def settles(self, cycle: str, *, records: int, presented: int, interchange: int) -> None:
        """A network's cycle of which the simulated one knows nothing: its advice, and the line that pays it."""
        network, currency, _ = cycle.split("-", 2)
        account, net = bank_account(currency), presented - interchange
        home = partition_of_name(account, self.partitions)
        booked_on = next_business_day(parse_day(cycle[-10:]))
        facts: tuple[Event, ...] = (
            NetworkSettlementAdvised(
                account, network, cycle, currency, records, presented, 0, interchange, net
            ),
            BankLineRecorded(account, f"{account}-{cycle}", 1, net, currency, booked_on, f"NET {cycle}"),
        )
        for fact in facts:
            self.says("bank.statements", fact, sender="bank/0", partition=home)

    def rewrites(self, kind: type[_E], change: Callable[[_E], Sequence[Event]]) -> None:
        """From here on every fact of this kind that an edge sends is replaced by these."""
        self._changes[kind] = change

    def says(self, topic: str, fact: Event, *, sender: str, partition: int = 0) -> None:
        """A fact that nobody was asked for, from an outside party."""
        self._append(topic, partition, Handover(sender, "", "", self.now, self.now, True, fact))

    def on_its_way(self, edge: str, recorded: Recorded, outgoing: list[Outgoing]) -> list[Outgoing]:
        """What leaves an edge, as the script wants it."""
        body = recorded.body
        answer = self._script.get((type(body), getattr(body, "payment_id", ""), getattr(body, "attempt", 0)))
        if answer is not None:
            facts = answer(body)
            topic, partition = "network.replies", int(edge.partition("/")[2])
            outgoing = [Outgoing(topic, partition, networks.handover(edge, recorded, one)) for one in facts]
        return [changed for one in outgoing for changed in self._rewritten(one)]

    def _rewritten(self, one: Outgoing) -> list[Outgoing]:
        message = one.message
        change = self._changes.get(type(message.fact)) if isinstance(message, Handover) else None
        if change is None:
            return [one]
        assert isinstance(message, Handover)
        return [
            Outgoing(one.topic, one.partition, msgspec.structs.replace(message, fact=fact))
            for fact in change(message.fact)
        ]

    # -- time ----------------------------------------------------------------------------------------------

    def wait(self, *, hours: int = 0, days: int = 0, ticks: int = 0, every: int = 0) -> None:
        """Let time pass, tick by tick, and everybody do what is theirs."""
        every = every or self._every
        until = self.now + days * DAY + hours * HOUR + ticks * every
        while (at := (self.now // every + 1) * every) <= until:
            self._tick += 1
            self.now = at
            for number in range(self.partitions):
                self._append("payments.requests", number, Tick(self._tick, at, self._version))
        while sum(
            actor.turn(1_000) for actor in self._actors
        ):  # All of them, whoever has had something to do.
            pass

    def end(self, days: int = END_DAYS) -> None:
        """Wait until everything is over, and let the auditor look at it. Nothing may be open."""
        self.wait(days=days, every=6 * HOUR)
        findings, left = self.findings(), self.open_items()
        assert findings == [], findings
        assert left == {}, left

    def findings(self, *, ended: bool = True) -> list[str]:
        """What the auditor says to all that stands on the topics."""
        return audit(self._records(), ended=ended)

    def _records(self) -> Iterable[Record]:
        for topic in TOPICS:
            for partition in range(self.partitions):
                for stored in self.log.read(topic, partition, 0, 1_000_000):
                    yield topic, partition, stored.offset, stored.value

    def _append(self, topic: str, partition: int, message: Message) -> None:
        self.log.commit("story", [Append(topic, partition, self.now, encode_message(message))], {})

    def _hear(self, staged: Staged) -> None:
        for recorded in staged.events.values():
            self.events += recorded

    # -- what came of it -----------------------------------------------------------------------------------

    def all(self, kind: type[_E], /, **fields: Any) -> list[_E]:
        """The events of a kind whose fields are these, in order."""
        return [
            recorded.body
            for recorded in self.events
            if isinstance(recorded.body, kind)
            and all(getattr(recorded.body, field) == value for field, value in fields.items())
        ]

    def the(self, kind: type[_E], /, **fields: Any) -> _E:
        """The one event of a kind whose fields are these."""
        (one,) = self.all(kind, **fields)
        return one

    def told(self, payment: str, *kinds: type[Event]) -> list[str]:
        """What the payments log says of a payment, by the names of its events; of these kinds alone, where given."""
        return [
            type(recorded.body).__name__
            for recorded in self.events
            if recorded.meta.key == payment and (not kinds or isinstance(recorded.body, kinds))
        ]

    def path(self, code: str, item: str) -> list[int]:
        """How an item went on the accounts of a code: its balance after each event that moved it."""
        balance, path = 0, []
        for recorded in self.events:
            moved = [leg.amount for leg in postings(recorded.body) if self._is(leg, code, item)]
            if moved:
                balance += sum(moved)
                path.append(balance)
        return path

    @staticmethod
    def _is(leg: Any, code: str, item: str) -> bool:
        return code_of(leg.account) == code and leg.item == item

    def balances(self) -> dict[tuple[str, str], int]:
        """What stands on each account, by account and currency; what is zero is left out."""
        totals: dict[tuple[str, str], int] = {}
        for recorded in self.events:
            for leg in postings(recorded.body):
                place = (leg.account, leg.currency)
                totals[place] = totals.get(place, 0) + leg.amount
        return {place: amount for place, amount in totals.items() if amount}

    def open_items(self) -> dict[tuple[str, str, str], int]:
        """What is not zero on clearing accounts, by account, item and currency."""
        totals: dict[tuple[str, str, str], int] = {}
        for recorded in self.events:
            for leg in postings(recorded.body):
                if code_of(leg.account) in CLEARING:
                    place = (leg.account, leg.item, leg.currency)
                    totals[place] = totals.get(place, 0) + leg.amount
        return {place: amount for place, amount in totals.items() if amount}


class _ByHand:
    """An edge whose words pass through a story on their way."""

    def __init__(self, edge: Edge, story: Story) -> None:
        self.HEARS = edge.HEARS
        self.name = edge.name
        self._edge = edge
        self._story = story

    @property
    def state(self) -> Any:
        return self._edge.state

    @state.setter
    def state(self, value: Any) -> None:
        self._edge.state = value

    def reads(self) -> list[tuple[str, int]]:
        return self._edge.reads()

    def writes(self) -> list[tuple[str, int]]:
        return self._edge.writes()

    def see(self, topic: str, partition: int, recorded: Recorded) -> list[Outgoing]:
        return self._story.on_its_way(self.name, recorded, self._edge.see(topic, partition, recorded))


# --- what a network may say -----------------------------------------------------------------------------


def reply(code: str, approved: int | None = None, **fields: Any) -> Answer:
    """A response code with an amount (an approval: all that was asked for), and other fields by name."""

    def answer(asked: Submission) -> list[Event]:
        reversal = isinstance(asked, ReversalSubmitted)
        full = asked.amount if code == networks.APPROVED and not reversal else 0
        said = NetworkReplyReceived(
            payment_id=asked.payment_id,
            network=asked.network,
            kind=_kind(asked),
            attempt=asked.attempt,
            late=False,
            mti="0410" if reversal else "0110",
            stan=asked.stan,
            rrn=asked.rrn,
            response_code=code,
            approved_amount=full if approved is None else approved,
            currency=asked.currency,
            auth_code="A1B2C3" if code in (networks.APPROVED, networks.PARTIALLY_APPROVED) else "",
            avs_result="Y",
            cvv_result="M",
            network_transaction_id="ntx-1",
            frame=b"",
            frame_sha256=b"",
        )
        return [msgspec.structs.replace(said, **fields)]

    return answer


def partly(approved: int) -> Answer:
    """A partial approval (response code 10)."""
    return reply(networks.PARTIALLY_APPROVED, approved)


def declined(code: str = "51") -> Answer:
    """A decline; 51 is for want of funds."""
    return reply(code)


def silence(asked: Submission) -> list[Event]:
    """Nobody answers in time."""
    return [
        NetworkReplyTimedOut(
            asked.payment_id,
            asked.network,
            _kind(asked),
            asked.attempt,
            asked.stan,
            asked.rrn,
            asked.timeout_ms,
        )
    ]


def not_sent(asked: Submission) -> list[Event]:
    """The message provably never left."""
    return [
        NetworkNotSent(asked.payment_id, asked.network, _kind(asked), asked.attempt, asked.stan, asked.rrn)
    ]


def _kind(asked: Submission) -> MessageKind:
    match asked:
        case AuthorizationSubmitted():
            return MessageKind.AUTHORIZATION
        case IncrementSubmitted():
            return MessageKind.INCREMENT
        case ReversalSubmitted():
            return MessageKind.REVERSAL
