"""A small, dense input for schedules: few cards that meet often, every operation, everything that can go wrong.

Three hours of requests at three merchants, with terms short enough that every obligation ends within days.
"""

from random import Random

import msgspec

from events.calendar import HOUR, MINUTE, day_number, start_of
from events.identity import card_id, payment_id
from events.reference import MerchantTerms, NetworkProfile
from events.requests import (
    CaptureMode,
    CaptureRequest,
    Channel,
    InputRow,
    PaymentRequest,
    RefundRequest,
    VoidRequest,
)
from streams.edge.reference import Entry, health, published, starter

START = start_of(day_number(2026, 3, 2)) + 18 * HOUR
MERCHANTS = ("inn", "kiosk", "till")
#: Few slots, so that cards share them and some partitions stay idle.
SLOTS = (37, 300, 520, 555, 900)
BINS = ("41111122", "52111133", "41111144")


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


def entries() -> list[Entry]:
    """The starter data with three merchants of our own and holds of one day."""
    return [
        Entry(entry.kind, entry.ref_id, msgspec.structs.replace(entry.content, hold_days=1))
        if isinstance(entry.content, NetworkProfile)
        else entry
        for entry in starter([_terms(merchant) for merchant in MERCHANTS])
    ]


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
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
            "",
            "",
            "",
            at,
            "simulation",
            True,
        )
        self.add(at, request)
        if random.random() < 0.08:  # another body under the same key: a conflict, or the corrected request
            self.add(at + 20 * MINUTE, msgspec.structs.replace(request, amount=777))
        name = payment_id(merchant, key, token)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            self.follow_up(at + random.randrange(0, 90) * MINUTE, merchant, name, amount, currency)

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
                request = RefundRequest(merchant, key, name, part, currency, "", at, "simulation", True)
        self.add(at, request)


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
    troubles = ((60 * MINUTE, False), (120 * MINUTE, True))
    for offset, healthy in troubles:
        entry = health("visa", healthy=healthy, note="simulated")
        for message in published([entry], version + 1):
            maker.add(START + offset, message)
        version += 1
    maker.rows.sort(key=lambda item: item[:2])
    return made + [InputRow(at, entry) for at, _, entry in maker.rows]  # type: ignore[arg-type]
