"""Attackers, simulated: who tries numbers out, empties a card, charges for nothing, takes an account over.

An attack is a function of (seed, the name of its scene, its number). What is planned here is woven into an input by
whoever makes one, with a ledger of it (:mod:`streams.edge.attackledger`).

Nobody in a run is told who attacks. The simulated issuers answer and complain as a function of the seed and of
business ids (:mod:`streams.edge.networks`, :mod:`streams.edge.issuers`), and whoever plants foresees them: a thief's
request gets a key under which the issuer declines the number, or under which its cardholder will report the payment,
as a victim would; a share of victims does not look at their statements. So what was fraud becomes known in the run by
reports and disputes alone, days later, as it does in life. With another seed the cardholders are others: the attacks
are the same, and nobody complains.

Some of those who will report a payment call at once, as holders do whose bank sends them a message: then the house's
review desk wants the payment declined, whether it is under review or not (:class:`Desk`).

How many payments an attack has, how fast they come and of what amount is chosen to look like what acquirers describe;
nobody publishes such figures.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from typing import Final, NamedTuple

from events.calendar import MILLISECOND, MINUTE, SECOND
from events.identity import operation_id, payment_id, rrn
from events.reference import MerchantTerms, ReviewInstruction
from events.requests import CaptureMode, Channel, PaymentRequest
from events.review import ReviewDecision, ReviewFinding
from events.signals import Connection, IdentitySignals, ProviderAnswer
from streams.edge import issuers, networks
from streams.edge.attackledger import Attack, AttackKind, AttackPayment
from streams.edge.dice import between, chance
from streams.edge.entries import Entry

#: How long a request of an attacker's takes to the publisher, in microseconds.
DELAY: Final = 50 * MILLISECOND

#: Card testing: so many numbers, one every so many seconds, for so many minor units.
TESTED_CARDS: Final = 110
TEST_SECONDS: Final = (45, 90)
TEST_AMOUNTS: Final = (99, 499)
#: Of tested numbers, in millionths: refused by their issuers.
TESTS_REFUSED: Final = 620_000

SPREE_PAYMENTS: Final = 11
SPREE_SECONDS: Final = (150, 400)
SPREE_FIRST: Final = 2_500
SPREE_GROWTH: Final = 135  # per cent of the purchase before

ROGUE_CARDS: Final = 48
VICTIMS: Final = 1 + ROGUE_CARDS
ROGUE_SECONDS: Final = (300, 660)
ROGUE_AMOUNTS: Final = (5_900, 14_900)

TAKEN_PAYMENTS: Final = 5
TAKEN_SECONDS: Final = (200, 900)
TAKEN_AMOUNTS: Final = (38_000, 88_000)

#: Of holders who will report a payment, in millionths: those whose bank sends them a message, and who call at once.
CALLS: Final = 700_000
MINUTES_TO_CALL: Final = (8, 70)
MINUTES_TO_AGREE: Final = (6, 25)
ANALYST, COLLEAGUE = "simulated-analyst", "simulated-colleague"

#: Of payments that a thief got through, in millionths: never noticed by the cardholder.
UNNOTICED: Final = 150_000
#: Tiny amounts are overlooked more often.
TESTS_UNNOTICED: Final = 450_000

#: What a simulated identity provider says of holders at home, and of thieves: a data centre far away, and a mailbox
#: that nobody has seen before.
AT_HOME: Final = IdentitySignals(
    "simulated", ProviderAnswer.GIVEN, "US", 4188, -8763, 25, Connection.CONSUMER, 3, 2_600, 2, False
)
FAR_AWAY: Final = IdentitySignals(
    "simulated", ProviderAnswer.GIVEN, "RO", 4443, 2610, 25, Connection.HOSTING, 78, 1, 64, False
)

#: A key is found after a few hundred tries; so many would say that the issuers have no such answer.
_MOST_TRIES: Final = 200_000


class Person(NamedTuple):
    """A card and what its payments come from. References are surrogates, empty where there is none."""

    card_id: str
    bin: str
    last4: str
    network: str
    device: str = ""
    ip: str = ""
    email: str = ""
    signals: IdentitySignals | None = None


class Shop(NamedTuple):
    """A merchant at which attackers pay; ``max_amount`` in minor units of the scene's currency."""

    merchant: str
    producer: str
    max_amount: int
    channels: tuple[Channel, ...]


class Scene(NamedTuple):
    """Where attackers strike: all in one currency.

    ``shops`` sell dear things on the web; ``streets`` are where a stolen card can be used; ``rogue`` is a merchant that
    exists to defraud. ``fresh`` makes a card that nobody has used, ``victims`` are cardholders whose numbers got out,
    :data:`VICTIMS` of them: the first loses the card itself. ``known`` is one whose account got out.
    """

    seed: int
    name: str
    currency: str
    shops: tuple[Shop, ...]
    streets: tuple[Shop, ...]
    rogue: MerchantTerms
    victims: tuple[Person, ...]
    known: Person
    fresh: Callable[[int], Person]
    rogue_seconds: tuple[int, int] = ROGUE_SECONDS


class Wish(NamedTuple):
    """What shall come of a payment: refused by the issuer, or paid and then reported, or not."""

    refused: bool
    reported: bool


REFUSED: Final = Wish(refused=True, reported=False)
REPORTED: Final = Wish(refused=False, reported=True)
QUIET: Final = Wish(refused=False, reported=False)


class Desk(NamedTuple):
    """What the review desk wants of a payment at a time (microseconds UTC)."""

    at: int
    entry: Entry


class Planned(NamedTuple):
    """An attack with its requests, in order of time, and what the desk does because cardholders call."""

    attack: Attack
    requests: list[PaymentRequest]
    desk: list[Desk]


# --- what an attacker does ----------------------------------------------------------------------------


def card_testing(scene: Scene, number: int, at: int) -> Planned:
    """Numbers from a list, one a minute, from one device: which of them work? Each gives another e-mail address."""
    script = _Script(scene, AttackKind.CARD_TESTING, number)
    device, ip = script.reference("dev"), script.reference("ip")
    shop = scene.shops[script.draw("shop") % len(scene.shops)]
    for turn in range(TESTED_CARDS):
        wish = (
            REFUSED if script.draw("refused", turn) < TESTS_REFUSED else script.noticed(turn, TESTS_UNNOTICED)
        )
        card = scene.fresh(number * TESTED_CARDS + turn)
        thief = card._replace(device=device, ip=ip, email=script.reference("mail", turn), signals=FAR_AWAY)
        script.pay(
            at, shop, thief, between(script.draw("amount", turn), *TEST_AMOUNTS), Channel.ECOMMERCE, wish
        )
        at += between(script.draw("pause", turn), *TEST_SECONDS) * SECOND
    return script.planned([f"device:{device}", f"ip:{ip}"])


def stolen_card(scene: Scene, number: int, at: int) -> Planned:
    """One card, shop after shop, each purchase larger, until the card is blocked or the thief has enough."""
    script = _Script(scene, AttackKind.STOLEN_CARD, number)
    card = scene.victims[0]._replace(device="", ip="", email="", signals=None)
    online = card._replace(
        device=script.reference("dev"),
        ip=script.reference("ip"),
        email=script.reference("mail"),
        signals=AT_HOME,
    )
    first = script.draw("street")
    amount = SPREE_FIRST
    for turn in range(SPREE_PAYMENTS):
        shop = scene.streets[(first + turn) % len(scene.streets)]
        paid = min(amount, shop.max_amount * 8 // 10)
        if Channel.POINT_OF_SALE in shop.channels:
            script.pay(at, shop, card, paid, Channel.POINT_OF_SALE, script.noticed(turn))
        else:
            script.pay(at, shop, online, paid, Channel.ECOMMERCE, script.noticed(turn))
        amount = amount * SPREE_GROWTH // 100 + script.draw("cents", turn) % 97
        at += between(script.draw("pause", turn), *SPREE_SECONDS) * SECOND
    return script.planned([f"card:{card.card_id}"])


def rogue_merchant(scene: Scene, number: int, at: int) -> Planned:
    """A merchant keys in bought numbers, one after the other, for goods that nobody ordered."""
    script = _Script(scene, AttackKind.ROGUE_MERCHANT, number)
    shop = Shop(scene.rogue.merchant, "back-office", scene.rogue.max_amount, (Channel.MAIL_OR_TELEPHONE,))
    for turn in range(ROGUE_CARDS):
        victim = scene.victims[1 + turn]
        card = victim._replace(device="", ip="", email="", signals=None)
        amount = between(script.draw("amount", turn), *ROGUE_AMOUNTS)
        script.pay(at, shop, card, amount, Channel.MAIL_OR_TELEPHONE, script.noticed(turn))
        at += between(script.draw("pause", turn), *scene.rogue_seconds) * SECOND
    return script.planned([f"merchant:{shop.merchant}"])


def account_takeover(scene: Scene, number: int, at: int) -> Planned:
    """A cardholder's account from somebody else's device: what is dear and can be sold on."""
    script = _Script(scene, AttackKind.ACCOUNT_TAKEOVER, number)
    device, ip, email = (script.reference(kind) for kind in ("dev", "ip", "mail"))
    thief = scene.known._replace(device=device, ip=ip, email=email, signals=FAR_AWAY)
    for turn in range(TAKEN_PAYMENTS):
        shop = scene.shops[(script.draw("shop") + turn) % len(scene.shops)]
        amount = min(between(script.draw("amount", turn), *TAKEN_AMOUNTS), shop.max_amount * 8 // 10)
        script.pay(at, shop, thief, amount, Channel.ECOMMERCE, script.noticed(turn))
        at += between(script.draw("pause", turn), *TAKEN_SECONDS) * SECOND
    return script.planned([f"card:{thief.card_id}", f"device:{device}", f"ip:{ip}", f"email:{email}"])


def asked(
    scene: Scene, shop: Shop, payer: Person, key: str, amount: int, channel: Channel, at: int
) -> PaymentRequest:
    """A payment of a scene, by whoever pays."""
    return PaymentRequest(
        merchant=shop.merchant,
        idempotency_key=key,
        card_id=payer.card_id,
        bin=payer.bin,
        last4=payer.last4,
        amount=amount,
        currency=scene.currency,
        channel=channel,
        capture_mode=CaptureMode.AUTOMATIC,
        device_ref=payer.device,
        ip_ref=payer.ip,
        email_ref=payer.email,
        occurred_at=at,
        producer=shop.producer,
        simulated=True,
        signals=payer.signals,
    )


def paid_by_attack(request: PaymentRequest) -> AttackPayment:
    """A request as the ledger has it."""
    payment = payment_id(request.merchant, request.idempotency_key, request.card_id)
    return AttackPayment(payment, request.occurred_at, request.amount)


class _Script:
    """An attack being written down."""

    def __init__(self, scene: Scene, kind: AttackKind, number: int) -> None:
        self.scene = scene
        self.kind = kind
        self.attack_id = f"{kind.value.replace('_', '-')}-{number}"
        self.requests: list[PaymentRequest] = []
        self.payments: list[AttackPayment] = []
        self.desk: list[Desk] = []

    def draw(self, *what: str | int) -> int:
        return chance(self.scene.seed, self.scene.name, self.attack_id, *what)

    def reference(self, kind: str, turn: int = 0) -> str:
        """A surrogate that looks like everybody's."""
        text = f"{self.scene.seed}/{self.scene.name}/{self.attack_id}/{kind}/{turn}"
        return f"{kind}-{blake2b(text.encode(), digest_size=5).hexdigest()}"

    def noticed(self, turn: int, unnoticed: int = UNNOTICED) -> Wish:
        return QUIET if self.draw("unnoticed", turn) < unnoticed else REPORTED

    def pay(self, at: int, shop: Shop, card: Person, amount: int, channel: Channel, wish: Wish) -> None:
        name = f"{self.scene.name}/{self.attack_id}/{len(self.requests)}"
        key = key_for(self.scene.seed, name, shop, card, amount, wish)
        request = asked(self.scene, shop, card, key, amount, channel, at)
        self.payments.append(paid_by_attack(request))
        self.requests.append(request)
        if wish is REPORTED:
            self.call(self.payments[-1], len(self.requests))

    def call(self, payment: AttackPayment, turn: int) -> None:
        """The holder calls, and the desk declines the payment as fraud; a colleague agrees, be it needed or not."""
        if self.kind is AttackKind.CARD_TESTING or self.draw("calls", turn) >= CALLS:
            return
        at = payment.at + between(self.draw("call", turn), *MINUTES_TO_CALL) * MINUTE
        for analyst in (ANALYST, COLLEAGUE):
            name = payment.payment_id
            wanted = ReviewInstruction(name, ReviewDecision.DECLINE, analyst, "", ReviewFinding.FRAUD)
            self.desk.append(Desk(at, Entry("review", name, wanted)))
            at += between(self.draw("agree", turn), *MINUTES_TO_AGREE) * MINUTE

    def planned(self, keys: list[str]) -> Planned:
        attack = Attack(self.attack_id, self.kind, keys, self.scene.currency, self.payments)
        return Planned(attack, self.requests, self.desk)


# --- what the issuers will say ------------------------------------------------------------------------


def key_for(seed: int, name: str, shop: Shop, card: Person, amount: int, wish: Wish) -> str:
    """An idempotency key under which the simulated issuers do as is wished; ``name`` makes it this payment's own."""
    for key in _keys(seed, name, shop.producer):
        # What is cheap and seldom true comes first.
        capture = operation_id("cap", shop.merchant, key)
        if not wish.refused and _reported(seed, card.network, capture, amount) is not wish.reported:
            continue
        payment = payment_id(shop.merchant, key, card.card_id)
        answer = networks.authorize(seed, rrn(payment), 1, amount, healthy=True)
        refused = answer.sent and answer.response_code not in (
            "",
            networks.APPROVED,
            networks.PARTIALLY_APPROVED,
        )
        paid = answer.response_code == networks.APPROVED and answer.held(amount) == amount
        if refused if wish.refused else paid:
            return key
    raise AssertionError("the issuers have each of their answers for some key")


def _keys(seed: int, name: str, producer: str) -> Iterator[str]:
    """Keys that look like the shop's others: a number of letters that say nothing."""
    for turn in count():
        if turn == _MOST_TRIES:
            return
        digest = blake2b(f"{seed}/{name}/{turn}".encode(), digest_size=6).hexdigest()
        yield f"{producer}-{digest[:6]}-{digest[6:]}"


def _reported(seed: int, network: str, capture: str, amount: int) -> bool:
    """Whether the cardholder will report the capture as fraud, by a dispute or by a warning alone."""
    about = issuers.complaint(seed, network, capture, amount)
    if about is not None:
        return about.fraud
    return issuers.warned(seed, capture)
