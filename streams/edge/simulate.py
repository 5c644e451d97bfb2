"""A day of card payments at a dozen merchants, made up from a seed.

The day is Monday, 2026-03-02, UTC. Everything that producers send is in it: payments with their captures, voids
and refunds (up to five days later), evidence in disputes, requests delivered twice or late, keys used again for
something else, requests that no payment can come of, follow-ups from merchants who do not own the payment, a card that
a thief tries out, on a large enough day attacks of four more kinds (:mod:`streams.edge.attackedday`), and a network
that is slow for an hour.

Exactly the number of payments asked for can be accepted; what is bad, repeated or in conflict comes on top. A
merchant knows whether its payment was approved before it captures or refunds it, so follow-ups are made with the
networks' own answer in mind (:func:`streams.edge.networks.authorize`), and a few without.

The same seed gives the same rows on every machine: of Python's generator only ``random()`` is used, whose values
for a seed are promised, and amounts are made with whole numbers.
"""

import heapq
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, TypeVar

import msgspec

from events.balances import HoldReason
from events.calendar import DAY, HOUR, MILLISECOND, MINUTE, SECOND, day_number, start_of
from events.errors import Refused
from events.identity import operation_id, payment_id, rrn
from events.reference import HoldInstruction, PayoutAccount
from events.requests import (
    CaptureMode,
    CaptureRequest,
    Channel,
    IncrementRequest,
    InputRow,
    PaymentRequest,
    PayoutSchedule,
    ReferencePublished,
    RefundReason,
    RefundRequest,
    Request,
    SettingsRequest,
    VoidRequest,
)
from streams.edge import attackedday, networks, reference
from streams.edge.answering import Charge, answers, cleared_on
from streams.edge.attackledger import Attack, AttackKind, write_ledger
from streams.edge.attacks import DELAY, paid_by_attack
from streams.edge.dice import MILLION, chance
from streams.edge.inputs import write_rows
from streams.edge.market import TRADES, Card, Cards, Trade, amount_of, channel_of, seconds_of_day
from streams.edge.recordings import Introduced
from streams.edge.reference import Entry

DAY_ON: Final = day_number(2026, 3, 2)
DAY_AT: Final = start_of(DAY_ON)
#: Reference data is stamped one tick before midnight, so that it is in force when the first request comes.
REFERENCE_LEAD: Final = 15 * MINUTE
MOST_PAYMENTS: Final = 2_000_000
MOST_DAYS: Final = 1_000
#: Days after which the same customers have all come again.
_MONTH: Final = 30
PROGRESS_EVERY: Final = 1_000
#: Of the first day. Early enough for its late and repeated deliveries to come on the same day, the fifth after.
LAST_FOLLOW_UP_AT: Final = DAY_AT + 6 * DAY - HOUR

SLOW_NETWORK: Final = "visa"
SLOW_FROM: Final = DAY_AT + 13 * HOUR
SLOW_UNTIL: Final = DAY_AT + 14 * HOUR

# How likely what is: shares of payments, unless another thing is named.
DUPLICATES: Final = 0.010  # of all requests
LATE_DELIVERIES: Final = 0.012  # of all requests
CONFLICTS: Final = 0.0015
BAD_REQUESTS: Final = 0.004
CORRECTED: Final = 0.001
CARD_TESTS: Final = 0.0003
CARD_TEST_PAYMENTS: Final = 8
RETURNING_SOON: Final = 0.02  # of payments whose card was just used
CARD_NOT_TAKEN: Final = 0.03  # of payments with a brand that nobody carries in the currency
FOREIGN_FOLLOW_UPS: Final = 0.001
STUBBORN: Final = 0.03  # of declined payments: followed up all the same
CANCELLED_UNHEARD: Final = 0.5  # of payments without an answer: the merchant voids
AUTOMATIC_VOIDED: Final = 0.015
REFUNDED: Final = 0.045
REFUNDED_IN_FULL: Final = 0.6  # of refunds
REFUNDED_AGAIN: Final = 0.06  # of refunds: more than there was
#: In millionths of refunds: the merchant has found out that somebody else bought. The others are for customers.
REFUNDED_FOR_FRAUD: Final = 25_000
MANUAL_FORGOTTEN: Final = 0.07  # of manual captures, and so the next three
MANUAL_VOIDED: Final = 0.05
MANUAL_IN_PARTS: Final = 0.15
MANUAL_LESS: Final = 0.15

CAPTURE_UNDONE: Final = (
    0.1  # of first parts: the merchant takes it back the same day, and captures the rest alone
)
#: At merchants with an open end, of their payments. Chosen to look like a hotel's nights: nobody publishes such shares.
INCREMENTED: Final = 0.3
INCREMENTED_AGAIN: Final = 0.4  # of these
ABOVE_HOLD: Final = 0.12  # of their final captures
FAR_ABOVE_HOLD: Final = (
    0.2  # of these: more than the network lets them, so it is refused and they take what is held
)
ABOVE_PERCENT: Final = 15

CHOOSERS: Final = 250_000  # in millionths: of merchants who want to be paid otherwise on this day
#: What they want: schedule, day, and the least balance in minor units.
CHOICES: Final = (
    (PayoutSchedule.DAILY, 0, 0),
    (PayoutSchedule.WEEKLY, 2, 0),
    (PayoutSchedule.WEEKLY, 4, 5_000),
    (PayoutSchedule.DAILY, 0, 2_500),
)
EVIDENCE_DUPLICATED: Final = 30_000  # in millionths: what is sent by hand is sent again more often

_T = TypeVar("_T")


def simulate(payments: int, seed: int, days: int = 1) -> Iterator[InputRow]:
    """The rows of a day, or of several, with exactly ``payments`` payments that can be accepted."""
    return _Day(payments, seed, days).rows()


def write_day(
    path: Path,
    payments: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
    days: int = 1,
) -> int:
    """Write a day, or several, to an input file, with the ledger of its attacks beside it, and return its rows.

    ``progress`` hears how many payments have begun.
    """

    day = _Day(payments, seed, days)

    def counted() -> Iterator[InputRow]:
        for number, row in enumerate(day.rows()):
            if number % PROGRESS_EVERY == 0:
                progress(day.begun)
            yield row
        progress(payments)

    over = f"/{days}" if days > 1 else ""
    rows = write_rows(path, counted(), f"simulate/{payments}/{seed}{over}")
    write_ledger(path, seed, day.attacks)
    return rows


class _Waiting(NamedTuple):
    """A row on its way. ``number`` keeps the order of rows with one stamp."""

    at: int
    number: int
    entry: Request | ReferencePublished


class _Day:
    def __init__(self, payments: int, seed: int, days: int) -> None:
        if not 1 <= payments <= MOST_PAYMENTS:
            raise Refused(f"{payments} payments: 1 to {MOST_PAYMENTS:,} are possible")
        if not 1 <= days <= min(payments, MOST_DAYS):
            raise Refused(
                f"{payments} payments in {days} days: 1 to {MOST_DAYS} are possible, and none without any"
            )
        self.days = days
        self.last_at = LAST_FOLLOW_UP_AT + (days - 1) * DAY
        self.attacked = attackedday.attacked(seed, payments, DAY_AT)
        self.attacks = list(self.attacked.attacks)
        #: Payments of its own, beside those that the attacks bring.
        self.payments = payments - len(self.attacked.requests)
        self.begun = 0
        self.seed = seed
        self.draw = Random(seed).random  # noqa: S311 - a scenario must come again, nothing is kept secret
        # A year has as many cards as a month.
        self.cards = Cards(seed, -(-payments * min(days, _MONTH) // days))
        self.introduced = Introduced(seed)
        self.carried = {
            (brand, currency)
            for profile in reference.starter_networks()
            for brand in profile.brands
            for currency in profile.currencies
        }
        self.cut_offs = {profile.network: profile.cut_off_minute for profile in reference.starter_networks()}
        self.used: dict[str, int] = {}
        self.waiting: list[_Waiting] = []
        self.pushed = 0
        self.keys = 0
        self.version = 0

    # -- the order of rows -----------------------------------------------------------------------------

    def rows(self) -> Iterator[InputRow]:
        for entry in reference.published([*reference.starter(), *self.attacked.entries]):
            self.version = entry.version
            yield InputRow(DAY_AT - REFERENCE_LEAD, entry)
        for request in self.attacked.requests:
            self._push(request.occurred_at + DELAY, request)
        announced = [*self._health(), *self.attacked.desk, *self._about_money()]
        for at, told in sorted(announced, key=lambda one: one[0]):
            self._publish(at, told)
        self._choose()
        skip = 0
        for number, begun in enumerate(self._beginnings()):
            at, trade = divmod(begun, len(TRADES))
            self.begun = number + 1
            yield from self._come(at)
            if skip:
                skip -= 1
            elif self.payments - number >= CARD_TEST_PAYMENTS and self._chance(CARD_TESTS):
                self._test_card(at)
                skip = CARD_TEST_PAYMENTS - 1
            else:
                self._pay(at, TRADES[trade])
        yield from self._come(self.last_at + DAY)

    def _beginnings(self) -> list[int]:
        """When each payment begins and at which merchant, in one number, in order of time."""
        shares = [trade.share for trade in TRADES]
        begun = array("q")
        for number in range(self.payments):
            trade = self._weighted(shares)
            second = seconds_of_day(self.draw(), self.draw(), TRADES[trade].hours_east)
            midnight = DAY_AT + number * self.days // self.payments * DAY
            at = midnight + second * SECOND + int(self.draw() * SECOND)
            begun.append(at * len(TRADES) + trade)
        return sorted(begun)

    def _come(self, until: int) -> Iterator[InputRow]:
        while self.waiting and self.waiting[0].at < until:
            row = heapq.heappop(self.waiting)
            yield self.introduced.row(InputRow(row.at, row.entry))

    def _push(self, at: int, entry: Request | ReferencePublished) -> None:
        self.pushed += 1
        heapq.heappush(self.waiting, _Waiting(at, self.pushed, entry))

    def _send(self, at: int, entry: Request) -> int:
        """Deliver a request made at ``at``: soon, or minutes late; now and then twice. Returns when it arrived."""
        if self._chance(LATE_DELIVERIES):
            arrived = at + MINUTE + self._up_to(8 * MINUTE)
        else:
            arrived = at + 40 * MILLISECOND + self._up_to(900 * MILLISECOND)
        self._push(arrived, entry)
        if self._chance(DUPLICATES):
            self._push(arrived + SECOND + self._up_to(20 * MINUTE), entry)
        return arrived

    def _health(self) -> Iterator[tuple[int, Entry]]:
        note = "every third answer takes longer than the time-out"
        yield SLOW_FROM, reference.health(SLOW_NETWORK, healthy=False, note=note)
        note = "answers come in time again"
        yield SLOW_UNTIL, reference.health(SLOW_NETWORK, healthy=True, note=note)

    def _about_money(self) -> Iterator[tuple[int, Entry]]:
        """A merchant moves to a bank account that takes two days to be validated; another's money is held for two."""
        for day, valid in ((1, False), (3, True)):
            account = PayoutAccount("lumen-books", "EUR", "ba-7f3k9q", "micro_deposit", valid)
            yield DAY_AT + day * DAY, Entry("payoutaccount", "lumen-books/EUR", account)
            hold = HoldInstruction(
                "al-safat-electronics",
                "KWD",
                "risk-desk",
                "head-of-risk",
                "hold-1",
                HoldReason.RISK_REVIEW,
                0,
                valid,
            )
            yield DAY_AT + day * DAY + HOUR, Entry("hold", hold.hold_id, hold)

    def _choose(self) -> None:
        """Some merchants want to be paid otherwise, and not all of them may; one in ten is mistaken about the day."""
        for trade in TRADES:
            drawn = chance(self.seed, "pay days", trade.merchant)
            if drawn >= CHOOSERS:
                continue
            schedule, anchor, minimum = CHOICES[drawn % len(CHOICES)]
            at = DAY_AT + drawn % 24 * HOUR + drawn % 60 * MINUTE
            for number, mistaken in enumerate((drawn % 10 == 0, False)):
                if mistaken or number:
                    request = SettingsRequest(
                        trade.merchant,
                        f"settings-{number}",
                        "",
                        schedule,
                        anchor + 31 if mistaken else anchor,
                        minimum,
                        at + number * HOUR,
                        trade.producer,
                        True,
                    )
                    self._push(request.occurred_at + SECOND, request)

    def _publish(self, at: int, entry: Entry) -> None:
        """Reference data that comes while the day lasts: to be called in the order of time."""
        self.version += 1
        for published in reference.published([entry], self.version):
            self._push(at, published)

    # -- payments --------------------------------------------------------------------------------------

    def _pay(self, at: int, trade: Trade) -> None:
        currency, median = self._pick(tuple(trade.median.items()))
        card = self._card(trade, at, currency)
        request = self._request(at, trade, card, currency, amount_of(self.draw, median, trade.spread))
        if self._chance(CORRECTED):
            # Sent without an amount, refused, and put right under the same key.
            self._push(at, msgspec.structs.replace(request, amount=0))
            at += 30 * SECOND + self._up_to(MINUTE)
            request = msgspec.structs.replace(request, occurred_at=at)
        arrived = self._send(at, request)
        if self._chance(CONFLICTS):
            other = msgspec.structs.replace(request, amount=request.amount + 100)
            self._push(arrived + MINUTE + self._up_to(HOUR), other)
        if self._chance(BAD_REQUESTS):
            self._send_bad(at + self._up_to(MINUTE), trade, card, currency)
        self._follow_up(at, trade, card, request)

    def _request(
        self, at: int, trade: Trade, card: Card, currency: str, amount: int, *, manual: bool | None = None
    ) -> PaymentRequest:
        channel = channel_of(self.draw, trade)
        manual = trade.capture_hours > 0 if manual is None else manual
        return PaymentRequest(
            merchant=trade.merchant,
            idempotency_key=self._key(trade.producer),
            card_id=card.card_id,
            bin=card.bin,
            last4=card.last4,
            amount=amount,
            currency=currency,
            channel=channel,
            capture_mode=CaptureMode.MANUAL if manual else CaptureMode.AUTOMATIC,
            device_ref=card.device(trade.merchant, channel),
            ip_ref=card.ip(channel),
            email_ref=card.email(channel),
            occurred_at=at,
            producer=trade.producer,
            simulated=True,
            phone_ref=card.phone(channel),
        )

    def _card(self, trade: Trade, at: int, currency: str) -> Card:
        """A card of the merchant's region; seldom one just used, or of a brand the shop's door does not show."""
        quarter = at // (15 * MINUTE)
        for _ in range(8):
            card = self.cards.pick(self.draw, trade.region)
            again = self.used.get(card.card_id) == quarter
            taken = (card.brand, currency) in self.carried
            if (not again or self._chance(RETURNING_SOON)) and (taken or self._chance(CARD_NOT_TAKEN)):
                break
        self.used[card.card_id] = quarter
        return card

    def _test_card(self, at: int) -> None:
        """A thief tries a stolen number out: small amounts, one after the other, in the same shop."""
        trade = self._pick([trade for trade in TRADES if trade.producer == "webshop"])
        card = self.cards.stolen(self.pushed)
        currency = next(iter(trade.median))
        self.introduced.provider.haunt(card.ip(Channel.ECOMMERCE))
        tried = []
        for number in range(CARD_TEST_PAYMENTS):
            request = self._request(at, trade, card, currency, 100 + number * 50, manual=False)
            self._push(at + DELAY, request)
            tried.append(paid_by_attack(request))
            at += 20 * SECOND + self._up_to(40 * SECOND)
        name = f"card-trial-{1 + sum(attack.kind is AttackKind.CARD_TRIAL for attack in self.attacks)}"
        self.attacks.append(Attack(name, AttackKind.CARD_TRIAL, [f"card:{card.card_id}"], currency, tried))

    def _send_bad(self, at: int, trade: Trade, card: Card, currency: str) -> None:
        """A request that intake refuses, for one of its reasons."""
        good = self._request(at, trade, card, currency, 1_000, manual=False)
        change = msgspec.structs.replace
        bad = self._pick(
            (
                change(good, amount=0),
                change(good, amount=-good.amount),
                change(good, amount=10**15),
                change(good, currency="EURO"),
                change(good, currency="SEK"),
                change(good, card_id=card.card_id[:-1]),
                change(good, merchant="nobody-knows"),
                change(good, merchant="midnight-pharmacy"),
                change(good, occurred_at=at - 9 * DAY),
                change(good, occurred_at=at + HOUR),
            )
        )
        self._push(at, bad)

    # -- what comes after ------------------------------------------------------------------------------

    def _follow_up(self, at: int, trade: Trade, card: Card, request: PaymentRequest) -> None:
        payment = payment_id(request.merchant, request.idempotency_key, request.card_id)
        heard = self._heard(at, card.brand, payment, request)
        if heard.response_code == "":
            if heard.sent and self._chance(CANCELLED_UNHEARD):
                self._void(at + 2 * MINUTE + self._up_to(10 * MINUTE), request, payment)
            return
        amount = heard.held(request.amount)
        if amount == 0:
            if not self._chance(STUBBORN):
                return
            amount = request.amount
        if self._chance(FOREIGN_FOLLOW_UPS):
            stranger = self._pick([other for other in TRADES if other.merchant != trade.merchant])
            foreign = msgspec.structs.replace(request, merchant=stranger.merchant)
            self._refund(at + HOUR, foreign, payment, amount)
        if request.capture_mode is CaptureMode.MANUAL:
            if trade.open_ended and self._chance(INCREMENTED):
                amount += self._increments(at, trade, request, payment)
            self._capture_by_hand(at, trade, card, request, payment, amount)
            return
        if self._chance(AUTOMATIC_VOIDED):
            self._void(at + 5 * MINUTE + self._up_to(85 * MINUTE), request, payment)
            return
        if self._chance(REFUNDED):
            self._refund_some(at + HOUR, request, payment, amount)
        capture = operation_id("cap", request.merchant, request.idempotency_key)
        self._answer_disputes(at, card, request, payment, capture, amount)

    def _heard(self, at: int, brand: str, payment: str, request: PaymentRequest) -> networks.Answer:
        """What the merchant will have been told: the networks' answer, as far as it can be told beforehand."""
        slow = brand == SLOW_NETWORK and SLOW_FROM <= at < SLOW_UNTIL and request.currency != "USD"
        reference_number = rrn(payment)
        answer = networks.NOT_SENT
        for attempt in (1, 2):
            answer = networks.authorize(
                self.seed, reference_number, attempt, request.amount, healthy=not slow
            )
            if answer.sent:
                break
        return answer

    def _increments(self, at: int, trade: Trade, request: PaymentRequest, payment: str) -> int:
        """Have more held, once or twice, before any capture can come; what the network will say to that."""
        more = 0
        earliest = trade.capture_hours * HOUR // 2
        for attempt in (1, 2):
            amount = max(1, request.amount * (2 + int(self.draw() * 5)) // 10)
            later = at + (attempt - 1) * earliest // 2 + self._up_to(earliest // 2 - HOUR)
            self._increment(later, request, payment, amount)
            answer = networks.increment(self.seed, rrn(payment), attempt, amount, healthy=True)
            more += answer.held(amount)
            if not self._chance(INCREMENTED_AGAIN):
                break
        return more

    def _capture_by_hand(
        self, at: int, trade: Trade, card: Card, request: PaymentRequest, payment: str, amount: int
    ) -> None:
        drawn = self.draw()
        later = at + (trade.capture_hours * HOUR) // 2 + self._up_to(trade.capture_hours * HOUR)
        if drawn < MANUAL_FORGOTTEN:
            return
        drawn -= MANUAL_FORGOTTEN
        if drawn < MANUAL_VOIDED:
            self._void(later, request, payment)
            return
        drawn -= MANUAL_VOIDED
        captured = amount
        if drawn < MANUAL_IN_PARTS and amount >= 10:
            first = amount * (2 + int(self.draw() * 6)) // 10
            capture = self._capture(later, request, payment, first, final=False)
            if self._chance(CAPTURE_UNDONE):
                self._void(later + HOUR, request, payment, capture)
                captured = amount - first
            later += 3 * HOUR + self._up_to(20 * HOUR)
            capture = self._capture(later, request, payment, amount - first, final=True)
        elif drawn < MANUAL_IN_PARTS + MANUAL_LESS:
            captured = max(1, amount * (6 + int(self.draw() * 4)) // 10)
            capture = self._capture(later, request, payment, captured, final=True)
        elif trade.open_ended and self._chance(ABOVE_HOLD):
            captured, capture = self._capture_above(later, request, payment, amount)
        else:
            capture = self._capture(later, request, payment, captured, final=True)
        self._answer_disputes(later, card, request, payment, capture, captured)
        if self._chance(REFUNDED):
            self._refund_some(later + HOUR, request, payment, captured)

    def _capture_above(self, at: int, request: PaymentRequest, payment: str, held: int) -> tuple[int, str]:
        """Take what is held and what came after; what there will be, and the capture's id."""
        above = held + held * (1 + int(self.draw() * (ABOVE_PERCENT - 1))) // 100
        if self._chance(FAR_ABOVE_HOLD):
            self._capture(at, request, payment, 2 * held, final=True)
            above, at = held, at + HOUR
        return above, self._capture(at, request, payment, above, final=True)

    def _answer_disputes(
        self, at: int, card: Card, request: PaymentRequest, payment: str, capture: str, amount: int
    ) -> None:
        """What the merchant says to whoever disputes a capture, as far as the days of follow-ups go."""
        cut_off = self.cut_offs.get(card.brand)
        if cut_off is None or (card.brand, request.currency) not in self.carried:
            return
        charge = Charge(
            request.merchant,
            request.producer,
            payment,
            card.brand,
            capture,
            amount,
            request.currency,
            cleared_on(at, cut_off),
        )
        others = [trade.merchant for trade in TRADES if trade.merchant != request.merchant]
        stranger = others[chance(self.seed, "stranger", capture) * len(others) // MILLION]
        for evidence in answers(self.seed, charge, stranger):
            if evidence.occurred_at <= self.last_at:
                # Without a draw of the day's own: whoever disputes changes nothing else of the day.
                drawn = chance(self.seed, "delivered", evidence.merchant, evidence.idempotency_key)
                arrived = evidence.occurred_at + 40 * MILLISECOND + drawn  # up to a second more
                self._push(arrived, evidence)
                if drawn < EVIDENCE_DUPLICATED:
                    self._push(arrived + 5 * MINUTE, evidence)

    def _refund_some(self, at: int, request: PaymentRequest, payment: str, captured: int) -> None:
        last_at = min(self.last_at, LAST_FOLLOW_UP_AT + (at - DAY_AT) // DAY * DAY)
        at += self._up_to(max(1, last_at - at))
        whole = self._chance(REFUNDED_IN_FULL)
        amount = captured if whole else max(1, captured * (1 + int(self.draw() * 8)) // 10)
        self._refund(at, request, payment, amount)
        if self._chance(REFUNDED_AGAIN):
            self._refund(at + 2 * HOUR, request, payment, captured)

    def _capture(self, at: int, request: PaymentRequest, payment: str, amount: int, *, final: bool) -> str:
        key = self._key("capture")
        self._send_follow_up(
            at,
            CaptureRequest(
                request.merchant,
                key,
                payment,
                amount,
                request.currency,
                final,
                min(at, self.last_at),
                request.producer,
                True,
            ),
        )
        return operation_id("cap", request.merchant, key)

    def _increment(self, at: int, request: PaymentRequest, payment: str, amount: int) -> None:
        self._send_follow_up(
            at,
            IncrementRequest(
                request.merchant,
                self._key("increment"),
                payment,
                amount,
                request.currency,
                min(at, self.last_at),
                request.producer,
                True,
            ),
        )

    def _void(self, at: int, request: PaymentRequest, payment: str, capture: str = "") -> None:
        occurred_at = min(at, self.last_at)
        void = VoidRequest(
            request.merchant, self._key("void"), payment, occurred_at, request.producer, True, capture
        )
        self._send_follow_up(at, void)

    def _refund(self, at: int, request: PaymentRequest, payment: str, amount: int) -> None:
        note = self._pick(("returned goods", "cancelled order", "price adjustment", "goodwill"))
        key = self._key("refund")
        stolen = chance(self.seed, "refunded for fraud", request.merchant, key) < REFUNDED_FOR_FRAUD
        self._send_follow_up(
            at,
            RefundRequest(
                request.merchant,
                key,
                payment,
                amount,
                request.currency,
                note,
                min(at, self.last_at),
                request.producer,
                True,
                RefundReason.FRAUDULENT if stolen else RefundReason.REQUESTED_BY_CUSTOMER,
            ),
        )

    def _send_follow_up(self, at: int, request: Request) -> None:
        self._send(min(at, self.last_at), request)

    # -- chance ----------------------------------------------------------------------------------------

    def _chance(self, share: float) -> bool:
        return self.draw() < share

    def _up_to(self, length: int) -> int:
        return int(self.draw() * length)

    def _pick(self, of: tuple[_T, ...] | list[_T]) -> _T:
        return of[int(self.draw() * len(of))]

    def _weighted(self, weights: list[int]) -> int:
        drawn = int(self.draw() * sum(weights))
        for index, weight in enumerate(weights):
            drawn -= weight
            if drawn < 0:
                return index
        return len(weights) - 1

    def _key(self, kind: str) -> str:
        """An idempotency key that no other request of the day has."""
        self.keys += 1
        return f"{kind}-{self.keys:07d}-{int(self.draw() * 65_536):04x}"
