"""Reference data: what decisions look up, published as versioned JSON and applied at ticks.

Each type here is the content of one ``kind`` (see :data:`KINDS`). Rates are parts per million, amounts minor
units of the payment's currency, times of day minutes after midnight UTC.
"""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec

from events.balances import HoldReason, LossReason
from events.errors import ValidationError
from events.hotlist import Dimension, Measure, Standing, Window
from events.requests import PayoutSchedule, has_day
from events.review import ReviewDecision, ReviewFinding
from events.risk import Mode, Phase, Verdict


class Reference(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The content of one reference entry."""


class MerchantTerms(Reference, frozen=True):
    """A merchant's contract: identity, price, limits, when and where it is paid.

    ``dispute_fee`` is charged for every dispute.
    ``max_amount`` bounds one payment; ``card_count_24h`` bounds how often one card may pay here in 24 hours
    (0: no bound). ``settlement_days`` are business days between capture and availability.
    """

    merchant: str
    name: str
    mcc: str
    currencies: tuple[str, ...]
    plan_version: int
    fee_fixed: int
    fee_ppm: int
    settlement_days: int
    max_amount: int
    card_count_24h: int
    blocked: bool
    dispute_fee: int = 0


class BinRange(Reference, frozen=True):
    """Card numbers whose first digits lie from ``low`` to ``high`` (same length) belong to ``brand``."""

    low: str
    high: str
    brand: str
    country: str
    funding: str


class BinTable(Reference, frozen=True):
    """Which brand a number belongs to; the longest prefix wins."""

    ranges: tuple[BinRange, ...]


class OverCapture(Reference, frozen=True):
    """How much more than was approved merchants of these categories (ISO 18245) may capture."""

    mccs: tuple[str, ...]
    ppm: int


class NetworkProfile(Reference, frozen=True):
    """A network we can send to: whom it carries, what it costs, when it clears, what it lets merchants do.

    ``over_capture`` has no category twice; a category that it leaves out may capture what was approved and no more.
    ``increments``: whether a hold may be made larger.
    """

    network: str
    brands: tuple[str, ...]
    currencies: tuple[str, ...]
    cost_ppm: int
    cost_fixed: int
    success_ppm: int
    acquirer_bin: str
    mid_prefix: str
    cut_off_minute: int
    hold_days: int
    timeout_ms: int
    over_capture: tuple[OverCapture, ...] = ()
    increments: bool = True


class NetworkHealth(Reference, frozen=True):
    """Whether a network is fit to be sent to; an unfit one is used only when nothing else is left."""

    network: str
    healthy: bool
    note: str


class InterchangeRate(Reference, frozen=True):
    """What the issuer keeps: the first row that fits network, channel and funding (``*`` fits all)."""

    network: str
    channel: str
    funding: str
    program: str
    rate_ppm: int
    fixed: int


class SchemeRate(Reference, frozen=True):
    """What the network invoices per record."""

    network: str
    fee_id: str
    rate_ppm: int
    fixed: int


class FeeTable(Reference, frozen=True):
    """Interchange and scheme fees of all networks, one version."""

    version: int
    interchange: tuple[InterchangeRate, ...]
    scheme: tuple[SchemeRate, ...]


class Rule(Reference, frozen=True):
    """``feature`` (a name of the feature catalogue) above ``threshold`` gives ``verdict`` and ``points``."""

    rule_id: str
    feature: str
    threshold: int
    verdict: Verdict
    points: int


class RulePack(Reference, frozen=True):
    """The rules in force for every merchant."""

    version: int
    rules: tuple[Rule, ...]


class Action(StrEnum):
    """What a rule asks for. Of the rules that fire, the first kind in this order decides."""

    REQUEST_3DS = "request_3ds"
    """Have the cardholder authenticate first."""
    ALLOW = "allow"
    """Go on, whatever the kinds below say."""
    BLOCK = "block"
    """Decline; behind an authorization, take it back."""
    REVIEW = "review"
    """Let a person look at it."""


class WrittenRule(Reference, frozen=True):
    """A rule in the language of ``streams.features.rules``: where ``when`` holds, ``action`` is asked for.

    ``phase`` is null for the first in which everything that it reads is known. One in ``shadow`` is told and decides
    nothing. ``points`` add to the score.
    """

    rule_id: str
    action: Action
    phase: Phase | None
    when: str
    points: int
    shadow: bool


class Threshold(Reference, frozen=True):
    """A figure that rules name as ``$name``, written as in a rule: ``5``, ``500.00 EUR``, ``24h``."""

    name: str
    value: str


class RuleList(Reference, frozen=True):
    """A list that rules name as ``@name``: how many entries, and SHA-256 over them, sorted, a line each."""

    name: str
    of: str
    entries: int
    sha256: str


class RuleListPart(Reference, frozen=True):
    """Some entries of the list with this hash; with ``parts`` of them it is whole. Parts count from 0."""

    sha256: str
    part: int
    parts: int
    entries: tuple[str, ...]


class RuleBook(Reference, frozen=True):
    """Rules for every merchant, or (``merchant`` is not empty) one's own thresholds, lists and rules on top.

    ``language`` names the meaning of the rules' words; another meaning is another number.
    """

    language: int
    version: int
    merchant: str
    rules: tuple[WrittenRule, ...]
    thresholds: tuple[Threshold, ...]
    lists: tuple[RuleList, ...]


class FraudModel(Reference, frozen=True):
    """A trained model (its ``document`` as ``streams.features.models`` writes it, and the hash of what is in it).

    In ``enforce`` it is the champion, whose score rules read; in ``shadow`` its challenger. Without a document there is
    none from then on.
    """

    mode: Mode
    sha256: str
    document: str


class OnlineModel(Reference, frozen=True):
    """A scorecard that goes on learning in the stream; ``document`` and ``sha256`` as :class:`FraudModel` has them.

    It begins with what its document was trained to. In ``shadow`` it decides nothing; in ``enforce`` rules read its
    score wherever there is no champion. Of the payments that nobody has labelled ``genuine_after_days`` days after
    their authorization, one in ``genuine_one_in`` is learned as genuine, and weighs as many. Without a document there
    is none from then on.
    """

    mode: Mode
    sha256: str
    document: str
    genuine_one_in: int
    genuine_after_days: int


class Holidays(Reference, frozen=True):
    """Days on which no bank of ``currency`` works, as days since 1970-01-01."""

    currency: str
    days_on: tuple[int, ...]


class VelocityLimit(Reference, frozen=True):
    """More than ``above`` of ``measure`` under one key of ``dimension`` within ``window`` lists the key.

    It stays listed for ``hold_minutes``, counted from the tick at which it is found. ``limit_id`` stands in verdicts;
    name it by what it limits: ``ip-cards-10m``. With a ``value`` the limit is of that key alone: what is expected of
    one merchant.
    """

    limit_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]
    dimension: Dimension
    measure: Measure
    window: Window
    above: Annotated[int, msgspec.Meta(ge=1)]
    standing: Standing
    hold_minutes: Annotated[int, msgspec.Meta(ge=1, le=60 * 24 * 365)]
    value: Annotated[str, msgspec.Meta(max_length=200)] = ""


class VelocityLimits(Reference, frozen=True):
    """The limits in force for every key."""

    version: int
    limits: tuple[VelocityLimit, ...]


class HotlistEntry(Reference, frozen=True):
    """A person puts a key on the hotlist, or (``standing`` is null) takes it off.

    ``until_at`` (microseconds UTC) is when it comes off by itself, 0 for never; where it is taken off, no limit puts it
    back before then. ``author`` and ``reason`` are recorded with it.
    """

    dimension: Dimension
    value: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    standing: Standing | None
    until_at: int
    author: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Tolerance(Reference, frozen=True):
    """By how many minor units of ``currency`` two records may differ and still agree."""

    currency: str
    amount: int


class ReconciliationTerms(Reference, frozen=True):
    """When records agree, and when we begin to ask where one is. Days are calendar days.

    ``match_days`` after the rest a record of a cycle or a payout is missing, ``invoice_days`` after the first fee an
    invoice, ``answer_days`` after it left the answer to a clearing record. ``age_days`` are the steps, rising, at which
    what is still open is reported as an aged residual, counted from that day. ``memory_days`` is how long matched
    items are kept, so that what comes twice is known to.
    """

    tolerances: tuple[Tolerance, ...]
    match_days: int
    invoice_days: int
    answer_days: int
    age_days: tuple[int, ...]
    memory_days: int


class ReviewQueue(Reference, frozen=True):
    """Where a review of at least ``from_score`` waits, for ``minutes`` at most, and what it falls to then.

    A smaller ``priority`` comes first. With ``four_eyes`` two people have to agree.
    """

    queue: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}$")]
    from_score: Annotated[int, msgspec.Meta(ge=0, le=100)]
    priority: int
    minutes: Annotated[int, msgspec.Meta(ge=1, le=60 * 24 * 5)]
    four_eyes: bool
    falls_to: Literal["approve", "decline"]


class ReviewQueues(Reference, frozen=True):
    """The queues in force; of several that fit the first takes it."""

    version: int
    queues: tuple[ReviewQueue, ...]


class ReviewInstruction(Reference, frozen=True):
    """What an analyst wants of a payment. ``note_sha256`` is the hash of the reasons, which are kept elsewhere.

    ``finding`` is what it was found to be, null for nothing known.
    """

    payment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    decision: ReviewDecision
    analyst: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    note_sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    finding: ReviewFinding | None = None

    def __post_init__(self) -> None:
        """Nobody lets a payment go on that he calls fraud."""
        if self.decision is ReviewDecision.APPROVE and self.finding is ReviewFinding.FRAUD:
            raise ValueError("what is found to be fraud cannot be approved")


class ReviewAssignment(Reference, frozen=True):
    """Whose a review is to be; ``analyst`` is empty where it is to be anybody's again.

    ``assigned_by`` is who says so. ``note_sha256`` is the hash of the reasons, which are kept elsewhere.
    """

    payment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    analyst: Annotated[str, msgspec.Meta(max_length=80)]
    assigned_by: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    note_sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]


class SettlementTerms(Reference, frozen=True):
    """How a merchant is settled in a currency; ``currency`` is empty for every one that has no terms of its own.

    ``anchor`` is the weekday of a weekly schedule (0: Monday) or the day of a monthly one (1 to 31). A balance below
    ``minimum_payout`` waits. ``reserve_ppm`` of what a run makes available is kept back for ``reserve_days`` days.
    Between two runs the balance may be ``negative_limit`` below zero before the merchant owes it to us; what it has
    owed for ``debit_after_days`` days is drawn from its bank account (0: never). A payout is sent
    ``payout_attempts`` times at most before its money goes on hold. ``choices`` are the schedules that the merchant may
    change to by itself, and with them its minimum; none where it may change nothing. Amounts are minor units of
    whatever currency.
    """

    merchant: str
    currency: str = ""
    schedule: PayoutSchedule = PayoutSchedule.DAILY
    anchor: int = 0
    minimum_payout: int = 0
    reserve_ppm: int = 0
    reserve_days: int = 0
    negative_limit: int = 100_000
    debit_after_days: int = 0
    payout_attempts: int = 3
    choices: tuple[PayoutSchedule, ...] = tuple(PayoutSchedule)

    def __post_init__(self) -> None:
        """A day that no calendar has would never come."""
        if not has_day(self.schedule, self.anchor):
            raise ValueError(f"a {self.schedule} schedule has no day {self.anchor}")
        if not 0 <= self.reserve_ppm <= 1_000_000:
            raise ValueError(f"a share of {self.reserve_ppm} millionths is not one")
        if self.payout_attempts < 1:
            raise ValueError("a payout is sent at least once")
        for name in ("minimum_payout", "reserve_days", "negative_limit", "debit_after_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below zero")


class Instruction(Reference, frozen=True):
    """What our own people decide about a merchant's money in a currency: one asks, another approves."""

    merchant: str
    currency: str
    requested_by: str
    approver: str


class HoldInstruction(Instruction, frozen=True):
    """Hold ``amount`` of a merchant's money (0: all, also what will come), or let go of what a hold keeps."""

    hold_id: str
    reason: HoldReason
    amount: int
    released: bool = False


class WriteOffInstruction(Instruction, frozen=True):
    """Give up ``amount`` of what a merchant owes (0: all of it)."""

    write_off_id: str
    reason: LossReason
    amount: int


class PayoutAccount(Reference, frozen=True):
    """A bank account of a merchant for a currency, as the validation by ``method`` has found it.

    ``account_ref`` is the vault's name of the account, never its number.
    """

    merchant: str
    currency: str
    account_ref: str
    method: str
    valid: bool


class Counted(StrEnum):
    """What a programme counts, and against what."""

    REMOTE_REPORTS_AND_DISPUTES = "remote_reports_and_disputes"
    """Fraud reports and disputes of the month against cleared payments of the month, all without a card present."""
    DISPUTES = "disputes"
    """First chargebacks of the month against cleared payments of the month before."""
    ECOMMERCE_FRAUD_AMOUNT = "ecommerce_fraud_amount"
    """What was disputed as fraud in the month against the sales of the month before, by amount, in e-commerce."""


class DisputeProgramme(Reference, frozen=True):
    """A network's programme against merchants with too many disputes, for the months that begin in a span of days.

    It applies where both limits are reached: ``least_count`` cases (``least_amount`` minor units of each of
    ``currencies`` where it goes by amount) and ``least_bps`` of what they are held against, in basis points; and not
    below ``least_transactions`` payments in the month before.
    """

    programme: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,40}$")]
    network: str
    counts: Counted
    from_on: int
    until_on: int
    least_count: Annotated[int, msgspec.Meta(ge=0)]
    least_bps: Annotated[int, msgspec.Meta(ge=1)]
    least_transactions: Annotated[int, msgspec.Meta(ge=0)] = 0
    least_amount: Annotated[int, msgspec.Meta(ge=0)] = 0
    currencies: tuple[str, ...] = ()


class DelayPoint(Reference, frozen=True):
    """After so many days a payment has had this share of its cases, in millionths."""

    days: Annotated[int, msgspec.Meta(ge=0)]
    ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class DisputeProgrammes(Reference, frozen=True):
    """The networks' programmes, the share of their limits from which we warn, and how late cases come.

    ``delays`` rise in days and in shares, and end with all.
    """

    version: int
    alert_percent: Annotated[int, msgspec.Meta(ge=1, le=100)]
    programmes: tuple[DisputeProgramme, ...]
    delays: tuple[DelayPoint, ...]

    def __post_init__(self) -> None:
        """A curve that falls, or ends below all, would take back what it has promised."""
        pairs = list(pairwise(self.delays))
        if any(one.days >= other.days or one.ppm > other.ppm for one, other in pairs):
            raise ValueError("the delays do not rise")
        if not self.delays or self.delays[0].days < 1 or self.delays[-1].ppm != 1_000_000:
            raise ValueError("the delays do not lead to all")


KINDS: Final[dict[str, type[Reference]]] = {
    "merchant": MerchantTerms,
    "bins": BinTable,
    "network": NetworkProfile,
    "health": NetworkHealth,
    "fees": FeeTable,
    "rules": RulePack,
    "rulebook": RuleBook,
    "rulelist": RuleListPart,
    "model": FraudModel,
    "online": OnlineModel,
    "holidays": Holidays,
    "velocity": VelocityLimits,
    "hotlist": HotlistEntry,
    "reconciliation": ReconciliationTerms,
    "queues": ReviewQueues,
    "programmes": DisputeProgrammes,
    "review": ReviewInstruction,
    "assignment": ReviewAssignment,
    "settlement": SettlementTerms,
    "hold": HoldInstruction,
    "writeoff": WriteOffInstruction,
    "payoutaccount": PayoutAccount,
}
#: Made before there are threads: msgspec learns a type step by step, and nobody may decode by it meanwhile.
_DECODERS: Final = {kind: msgspec.json.Decoder(content) for kind, content in KINDS.items()}


def decode_reference(kind: str, content: str) -> Reference:
    """The typed content of a reference entry; ValidationError where the kind or the content is not known."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ValidationError("kind", f"no reference data of kind {kind!r}; one of {', '.join(KINDS)}")
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise ValidationError("content", str(error)) from error


def encode_reference(content: Reference) -> str:
    """The canonical JSON of a reference entry."""
    return msgspec.json.encode(content, order="deterministic").decode()
