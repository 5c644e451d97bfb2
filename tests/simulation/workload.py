"""A small, dense input for schedules: few cards that meet often, every operation, everything that can go wrong.

Three hours of requests at three merchants, with terms short enough that every obligation ends within days.
"""

from random import Random
from unittest.mock import patch

import msgspec

from events.balances import HoldReason, LossReason
from events.calendar import HOUR, MINUTE, day_number, start_of
from events.hotlist import Dimension, Measure, Standing, Window
from events.identity import card_id, operation_id, payment_id
from events.reference import (
    Action,
    HoldInstruction,
    HotlistEntry,
    MerchantTerms,
    NetworkProfile,
    Reference,
    ReviewAssignment,
    ReviewInstruction,
    ReviewQueue,
    ReviewQueues,
    RuleBook,
    SettlementTerms,
    VelocityLimit,
    VelocityLimits,
    WriteOffInstruction,
    WrittenRule,
)
from events.requests import (
    Answered,
    CaptureMode,
    CaptureRequest,
    Channel,
    EvidenceRequest,
    IncrementRequest,
    InputRow,
    PaymentRequest,
    PayoutSchedule,
    RefundReason,
    RefundRequest,
    SettingsRequest,
    VoidRequest,
)
from events.review import ReviewDecision, ReviewFinding
from events.signals import Connection, IdentitySignals, ProviderAnswer
from streams.edge import issuers
from streams.edge.reference import Entry, health, published, starter
from streams.features.rules.catalogue import LANGUAGE
from tests.streams.models import learner

START = start_of(day_number(2026, 3, 2)) + 18 * HOUR
MERCHANTS = ("inn", "kiosk", "till")
#: Few slots, so that cards share them and some partitions stay idle.
SLOTS = (37, 300, 520, 555, 900)
BINS = ("41111122", "52111133", "41111144")
#: Issuers who report and dispute far more than the believable ones.
QUARRELSOME = {"WARNED": 200_000, "DISPUTED": 400_000}
#: Hours after the beginning. Further apart than a day, so that the time between them passes in large steps.
ANSWERED_AFTER = (33, 60, 90, 125)
SETTLEMENT = (
    SettlementTerms("inn", minimum_payout=100, reserve_ppm=200_000, reserve_days=3, negative_limit=0),
    SettlementTerms("inn", "JPY", reserve_ppm=50_000, reserve_days=1),
    SettlementTerms("kiosk", schedule=PayoutSchedule.WEEKLY, anchor=3, minimum_payout=500),
    SettlementTerms("till", "JPY", choices=(PayoutSchedule.WEEKLY,)),
)


def _terms(merchant: str) -> MerchantTerms:
    return MerchantTerms(
        merchant=merchant,
        name=merchant.title(),
        mcc="5812",
        currencies=("USD", "JPY"),
        plan_version=1,
        fee_fixed=3,
        fee_ppm=20_000,
        settlement_days=0 if merchant == "till" else 1,
        max_amount=60_000,
        card_count_24h=9,
        blocked=False,
    )


#: Low enough that six cards behind two addresses and four devices pass them again and again.
LIMITS = VelocityLimits(
    2,
    (
        VelocityLimit("ip-cards-1h", Dimension.IP, Measure.CARDS, Window.HOUR, 2, Standing.REVIEW, 60),
        VelocityLimit("device-count-1h", Dimension.DEVICE, Measure.COUNT, Window.HOUR, 4, Standing.BLOCK, 45),
        VelocityLimit(
            "till-cards-1h", Dimension.MERCHANT, Measure.CARDS, Window.HOUR, 4, Standing.REVIEW, 30
        ),
        VelocityLimit(
            "card-declines-1h", Dimension.CARD, Measure.DECLINES, Window.HOUR, 1, Standing.REVIEW, 30
        ),
        VelocityLimit("card-sum-7d", Dimension.CARD, Measure.SUM, Window.WEEK, 150_000, Standing.REVIEW, 30),
    ),
)

#: One for two people, which lets go of what nobody looks at, and one for one.
QUEUES = ReviewQueues(
    2,
    (
        ReviewQueue("pairs", 40, 1, 75, True, "decline"),
        ReviewQueue("singles", 0, 2, 45, False, "approve"),
    ),
)
APPROVE, DECLINE, REFUND = ReviewDecision
FRAUD, GENUINE = ReviewFinding


def _changed(content: Reference) -> Reference:
    match content:
        case NetworkProfile():
            return msgspec.structs.replace(content, hold_days=1)
        case VelocityLimits():
            return LIMITS
        case ReviewQueues():
            return QUEUES
        case _:
            return content


#: One merchant's rules: about what the network says of code and address, what is known to be fraud, and who pays.
RULED = RuleBook(
    LANGUAGE,
    1,
    MERCHANTS[2],
    (
        WrittenRule("code", Action.BLOCK, None, 'payment.cvv == "no_match"', 70, False),
        WrittenRule("address", Action.REVIEW, None, 'payment.avs == "none"', 30, False),
        WrittenRule("scored", Action.REVIEW, None, "model.score > 20", 10, True),
        WrittenRule("known", Action.REVIEW, None, "card.frauds_30d + device.frauds_30d > 0", 30, False),
        WrittenRule(
            "far", Action.BLOCK, None, "card.travel_kmh > 1000 and account.changes_24h > 0", 30, False
        ),
    ),
    (),
    (),
)


def entries() -> list[Entry]:
    """The starter data with three merchants of our own, low limits, holds of one day, and rules about answers."""
    starting = starter([_terms(merchant) for merchant in MERCHANTS], SETTLEMENT)
    ruled = Entry("rulebook", RULED.merchant, RULED)
    learning = Entry("online", "learner", learner())
    return [
        *(Entry(entry.kind, entry.ref_id, _changed(entry.content)) for entry in starting),
        ruled,
        learning,
    ]


def listed(device: str, standing: Standing | None, until_at: int) -> Entry:
    """An operator lists a device or lets it go."""
    content = HotlistEntry(Dimension.DEVICE, device, standing, until_at, "operator-1", "simulated")
    return Entry("hotlist", f"device:{device}", content)


#: Where the buyers of these hours are: two places a short way apart, one far away, and one that is not to be known.
PLACES = (("PT", 3872, -914), ("PT", 4116, -863), ("NG", 643, 338), ("NL", 9_999, 490))
CONNECTIONS = (Connection.CONSUMER, Connection.CONSUMER, Connection.ORGANIZATION, Connection.PROXY)


def told(number: int, card: int) -> IdentitySignals | None:
    """What a provider said with a payment: nothing of every third; of every fifth that its card is somewhere else."""
    if number % 3 == 2:
        return None
    country, latitude, longitude = PLACES[(card + (number % 5 == 0)) % len(PLACES)]
    return IdentitySignals(
        "simulation",
        ProviderAnswer.GIVEN,
        country,
        latitude,
        longitude,
        20,
        CONNECTIONS[number // 5 % len(CONNECTIONS)],
        number % 101,
    )


def instructions() -> list[tuple[int, Entry]]:
    """What our own people publish while the requests come, by when: good and bad, some of it about nobody's money."""

    def hold(name: str, amount: int, approver: str = "kim", *, released: bool = False) -> Entry:
        return Entry(
            "hold",
            name,
            HoldInstruction("till", "USD", "lee", approver, name, HoldReason.RISK_REVIEW, amount, released),
        )

    write_off = WriteOffInstruction("inn", "USD", "lee", "kim", "w-1", LossReason.INSOLVENT, 0)
    return [
        (20 * MINUTE, hold("h-1", 4_000)),
        (30 * MINUTE, hold("h-2", 0)),
        (40 * MINUTE, hold("h-1", 1)),
        (50 * MINUTE, hold("h-3", 1, approver="")),
        (90 * MINUTE, Entry("writeoff", "w-1", write_off)),
        (110 * MINUTE, hold("h-2", 0, released=True)),
        (115 * MINUTE, hold("h-2", 0, released=True)),
    ]


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.entries: list[tuple[int, Entry]] = []
        self.rows: list[tuple[int, int, object]] = []
        self.number = 0

    def add(self, at: int, request: object) -> None:
        self.number += 1
        self.rows.append((at, self.number, request))

    def payment(self, at: int, card: int) -> None:
        random = self.random
        merchant = random.choice(MERCHANTS)
        key = f"k{self.number}"
        slot = SLOTS[card % len(SLOTS)]
        token = card_id(slot, bytes(range(11 * card + 90, 11 * card + 100)))
        mode = random.choice((CaptureMode.AUTOMATIC, CaptureMode.AUTOMATIC, CaptureMode.MANUAL))
        amount = random.choice((0, 99_999, 500)) if random.random() < 0.1 else random.randrange(100, 50_000)
        currency = "JPY" if random.random() < 0.2 else "USD"
        request = PaymentRequest(
            merchant,
            key,
            token,
            BINS[card % len(BINS)],
            "0042",
            amount,
            currency,
            Channel.ECOMMERCE,
            mode,
            f"dev-{card % 4}",
            f"ip-{card % 2}",
            "",
            at,
            "simulation",
            True,
            f"tel-{card}" if self.number % 6 else "tel-new",
            told(self.number, card),
        )
        self.add(at, request)
        if random.random() < 0.08:  # another body under the same key: a conflict, or the corrected request
            self.add(at + 20 * MINUTE, msgspec.structs.replace(request, amount=777))
        name = payment_id(merchant, key, token)
        self.look_at(at, name, self.number % 6)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            self.follow_up(at + random.randrange(0, 90) * MINUTE, merchant, name, amount, currency)

    def look_at(self, at: int, payment: str, kind: int) -> None:
        """What analysts want of a payment, and whose its review is to be, whether it is under review or not."""
        wanted = (
            ((20, APPROVE, "ana", None),),
            ((25, DECLINE, "ben", FRAUD), (30, DECLINE, "ana", FRAUD)),
            ((15, APPROVE, "ana", GENUINE), (16, APPROVE, "ana", GENUINE), (35, APPROVE, "ben", GENUINE)),
            (
                (10, DECLINE, "ben", FRAUD),
                (20, APPROVE, "ana", None),
                (32, APPROVE, "ben", None),
                (100, REFUND, "ana", FRAUD),
            ),
            ((90, APPROVE, "ben", GENUINE), (95, REFUND, "ben", None)),
            (),
        )[kind]
        for minutes, decision, analyst, finding in wanted:
            content = ReviewInstruction(payment, decision, analyst, "", finding)
            self.entries.append((at + minutes * MINUTE, Entry("review", payment, content)))
        given = (
            ((5, "ana", "lee"), (6, "ana", "ana"), (7, "ben", "ana"), (8, "ana", "lee")),
            ((1, "ben", "lee"), (16, "ana", "ben"), (26, "ben", "ben")),
            ((2, "", "lee"), (3, "ben", "lee"), (14, "", "ben"), (15, "", "lee"), (80, "ana", "lee")),
            ((1, "ana", "ana"), (90, "ben", "lee"), (110, "", "lee")),
            ((20, "ben", "ben"), (100, "ana", "lee")),
            ((10, "ana", "lee"), (60, "", "ana")),
        )[kind]
        for minutes, analyst, by in given:
            assignment = ReviewAssignment(payment, analyst, by, "")
            self.entries.append((at + minutes * MINUTE, Entry("assignment", payment, assignment)))

    def follow_up(self, at: int, merchant: str, name: str, amount: int, currency: str) -> None:
        random = self.random
        key = f"f{self.number}"
        part = max(1, random.choice((amount, amount // 2, amount // 3)))
        if random.random() < 0.05:
            merchant = random.choice(MERCHANTS)
        request: object
        match random.randrange(4):
            case 0 | 1:
                request = CaptureRequest(
                    merchant, key, name, part, currency, random.random() < 0.5, at, "simulation", True
                )
            case 2:
                request = VoidRequest(merchant, key, name, at, "simulation", True)
            case _:
                reason = (None, RefundReason.DUPLICATE, RefundReason.FRAUDULENT)[self.number % 3]
                request = RefundRequest(
                    merchant, key, name, part, currency, "", at, "simulation", True, reason
                )
        self.add(at, request)

    def enlarge(self, random: Random) -> None:
        """Ask for more of what is on hold, take more than that, undo captures. From a generator of its own, so that
        the rest of an input is what it was."""
        for at, number, request in list(self.rows):
            match request:
                case PaymentRequest(capture_mode=CaptureMode.MANUAL) if random.random() < 0.6:
                    name = payment_id(request.merchant, request.idempotency_key, request.card_id)
                    self.grow(random, at + random.randrange(0, 60) * MINUTE, name, request)
                case CaptureRequest() if random.random() < 0.3:
                    capture = operation_id("cap", request.merchant, request.idempotency_key)
                    later = at + random.randrange(0, 60) * MINUTE
                    void = VoidRequest(
                        request.merchant, f"u{number}", request.payment_id, later, "simulation", True, capture
                    )
                    self.add(later, void)
                case _:
                    pass

    def dispute(self, random: Random) -> None:
        """Answer issuers who dispute captures, and a few who do not: some days later, in time, too late, twice, to
        another stage and by another merchant."""
        paid = {
            payment_id(request.merchant, request.idempotency_key, request.card_id): request
            for _, _, request in self.rows
            if isinstance(request, PaymentRequest)
        }
        for _, number, request in list(self.rows):
            match request:
                case PaymentRequest(capture_mode=CaptureMode.AUTOMATIC):
                    payment = payment_id(request.merchant, request.idempotency_key, request.card_id)
                case CaptureRequest():
                    payment = request.payment_id
                case _:
                    continue
            capture = operation_id("cap", request.merchant, request.idempotency_key)
            network = "mastercard" if paid[payment].bin.startswith("5") else "visa"
            about = issuers.complaint(self.seed, network, capture, request.amount)
            if about is None and random.random() < 0.9:
                continue
            for again in range(random.choice((1, 2, 3))):
                at = START + (random.choice(ANSWERED_AFTER) * 60 + random.randrange(20)) * MINUTE
                evidence = EvidenceRequest(
                    request.merchant if random.random() < 0.95 else random.choice(MERCHANTS),
                    f"e{number}-{again}",
                    payment,
                    issuers.case_of(network, capture),
                    Answered.INQUIRY if random.random() < 0.1 else Answered.CHARGEBACK,
                    [f"{number:064x}"],
                    at,
                    "simulation",
                    True,
                )
                self.add(at, evidence)

    def give_back(self, random: Random) -> None:
        """Refunds when payments are captured, if they are: in part, whole, again, once for each reason and for none."""
        for _, number, request in list(self.rows):
            if not isinstance(request, PaymentRequest) or random.random() < 0.4:
                continue
            payment = payment_id(request.merchant, request.idempotency_key, request.card_id)
            for again in range(random.choice((1, 1, 2))):
                at = START + (random.choice(ANSWERED_AFTER[:2]) * 60 + random.randrange(20)) * MINUTE
                part = max(1, request.amount // random.choice((1, 2, 3)))
                reason = random.choice((None, RefundReason.DUPLICATE, RefundReason.FRAUDULENT))
                refund = RefundRequest(
                    request.merchant,
                    f"r{number}-{again}",
                    payment,
                    part,
                    request.currency,
                    "",
                    at,
                    "simulation",
                    True,
                    reason,
                )
                self.add(at, refund)

    def choose(self, random: Random) -> None:
        """Merchants want to be paid otherwise: some may, one may not, some are paid so already or say so twice."""
        wishes = (
            (PayoutSchedule.DAILY, 0, 0),
            (PayoutSchedule.DAILY, 0, 700),
            (PayoutSchedule.WEEKLY, 2, 100),
            (PayoutSchedule.MONTHLY, 12, 0),
            (PayoutSchedule.WEEKLY, 7, 0),
        )
        refused = SettingsRequest(
            "till", "s", "JPY", PayoutSchedule.DAILY, 0, 0, START + 70 * MINUTE, "simulation", True
        )
        self.add(refused.occurred_at, refused)
        for number in range(random.randrange(9)):
            at = START + random.randrange(180) * MINUTE
            merchant, currency = random.choice(MERCHANTS), random.choice(("", "USD", "JPY", "EUR"))
            wish = SettingsRequest(
                merchant, f"s{number}", currency, *random.choice(wishes), at, "simulation", True
            )
            self.add(at, wish)

    def grow(self, random: Random, at: int, name: str, paid: PaymentRequest) -> None:
        """One increment or two, and seldom a capture of a fifth more than all of it."""
        total = paid.amount
        for _ in range(random.choice((1, 1, 2))):
            more = max(1, paid.amount // random.choice((2, 3, 5)))
            key = f"g{self.number}"
            self.add(
                at,
                IncrementRequest(paid.merchant, key, name, more, paid.currency, at, "simulation", True),
            )
            total += more
            at += random.randrange(0, 40) * MINUTE
        if random.random() < 0.4:
            key, above = f"a{self.number}", total + total // random.choice((5, 6, 10))
            capture = CaptureRequest(
                paid.merchant, key, name, above, paid.currency, True, at, "simulation", True
            )
            self.add(at, capture)


def rows(seed: int) -> list[InputRow]:
    """The input of a seed, in order."""
    maker = _Maker(seed)
    reference = entries()
    version = len(reference)
    made = [InputRow(START - 15 * MINUTE, entry) for entry in published(reference)]
    for step in range(36):
        for card in range(6):
            if maker.random.random() < 0.22:
                maker.payment(START + step * 5 * MINUTE, card)
    maker.enlarge(Random(f"{seed}/more"))
    with patch.multiple(issuers, **QUARRELSOME):
        maker.dispute(Random(f"{seed}/disputes"))
    maker.choose(Random(f"{seed}/choices"))
    maker.give_back(Random(f"{seed}/refunds"))
    later = (
        *instructions(),
        (40 * MINUTE, listed("dev-1", Standing.BLOCK, START + 160 * MINUTE)),
        (60 * MINUTE, health("visa", healthy=False, note="simulated")),
        (70 * MINUTE, listed("dev-0", None, START + 130 * MINUTE)),
        (90 * MINUTE, listed("dev-1", None, START + 100 * MINUTE)),
        (120 * MINUTE, health("visa", healthy=True, note="simulated")),
    )
    maker.entries += [(START + offset, entry) for offset, entry in later]
    for at, entry in sorted(maker.entries, key=lambda item: item[0]):
        version += 1
        for message in published([entry], version):
            maker.add(at, message)
    maker.rows.sort(key=lambda item: item[:2])
    return made + [InputRow(at, entry) for at, _, entry in maker.rows]  # type: ignore[arg-type]
