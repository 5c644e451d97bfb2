"""Days of payments made up from a seed, and logs of them: small worlds in which everybody meets everybody."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from events.authorization import DeclineReason, PaymentAuthorized, PaymentDeclined, RetryAdvice
from events.calendar import HOUR, MINUTE
from events.envelope import Recorded
from events.partitions import ClockKind, LogOpened, TickPassed
from events.reference import BinRange, BinTable
from events.risk import RiskAssessed, Verdict
from events.wire import encode_event
from streams.hosts.log import Append
from streams.hosts.memory import MemoryLog
from tests.streams.builders_early import (
    NOON,
    applied,
    merchant_terms,
    payment_requested,
    recorded,
    reply,
    signals,
)

BINS = BinTable(
    (BinRange("4", "4", "visa", "US", "credit"), BinRange("424242", "424242", "visa", "DE", "debit"))
)


class WholeMemoryLog(MemoryLog):
    """A log in memory that can be looked at as a whole."""

    @contextmanager
    def view(self) -> Iterator[None]:
        """Nobody writes beside a test."""
        yield


def made_up(seed: int, payments: int = 150) -> list[Recorded]:
    """Five weeks at two merchants: a few cards and devices, some late, some twice, one in five declined."""
    chance, said = random.Random(seed), random.Random(f"signals/{seed}")
    events = [applied("bins", BINS), merchant_terms(merchant="shop-0", max_amount=10_000)]
    at = NOON
    for number in range(payments):
        at += chance.choice([0, MINUTE, 5 * MINUTE, HOUR, 20 * HOUR])
        name = f"p{number if chance.random() < 0.95 or not number else number - 1}"
        body = payment_requested(
            payment_id=name,
            merchant=f"shop-{chance.randrange(2)}",
            card_id=f"card-{chance.randrange(4)}",
            bin=chance.choice(["41111111", "42424242", "30000000"]),
            amount=chance.randrange(100, 9_000),
            currency=chance.choice(["USD", "USD", "EUR"]),
            device_ref=chance.choice(["", "tablet", "phone"]),
            ip_ref=chance.choice(["", "ip-1", "ip-2"]),
            phone_ref=said.choice(["", "tel-1", "tel-2"]),
            signals=said.choice([None, signals(), signals(country="NG", latitude=643, longitude=338)]),
        )
        late = chance.choice([0, 0, 0, 3 * MINUTE])
        events.append(recorded(body, at=at, occurred_at=at - late, ingested_at=at))
        if name != f"p{number}":
            continue
        verdict = Verdict.BLOCK if chance.random() < 0.1 else Verdict.ALLOW
        assessed = RiskAssessed(name, body.merchant, verdict, 0, [], 1, [])
        events.append(recorded(assessed, at=at))
        if verdict is Verdict.BLOCK:
            events.append(recorded(declined(name, DeclineReason.RISK_BLOCKED), at=at))
        elif chance.random() < 0.1:
            answer = reply("05", payment_id=name, cvv_result="N", avs_result="")
            events += [
                recorded(answer, at=at),
                recorded(declined(name, DeclineReason.DO_NOT_HONOUR, "05"), at=at),
            ]
        elif chance.random() < 0.95:
            answer = reply(payment_id=name, cvv_result=chance.choice("MNP"), avs_result=chance.choice("YN?"))
            events += [recorded(answer, at=at), recorded(authorized(name), at=at)]
        if chance.random() < 0.3:
            events.append(recorded(TickPassed(number, at, 1), at=at))
    return events


def declined(name: str, reason: DeclineReason, code: str = "") -> PaymentDeclined:
    """A payment that ended without money."""
    return PaymentDeclined(name, "shop-0", 4_000, "USD", "alpha", code, reason, RetryAdvice.NEVER)


def authorized(name: str) -> PaymentAuthorized:
    """A payment that the issuer approved."""
    return PaymentAuthorized(
        name, "shop-0", "alpha", 1, 4_000, 4_000, "USD", "00", "A1B2C3", "Y", "M", "ntx-1", NOON
    )


def log_of(*partitions: Sequence[Recorded]) -> WholeMemoryLog:
    """A log of these partitions."""
    opened = LogOpened("intake", 0, len(partitions), ClockKind.VIRTUAL, 1, NOON, 9, "{}", ["a", "b"])
    log = WholeMemoryLog()
    appends = [Append("intake", 0, NOON, encode_event(recorded(opened)))]
    appends += [
        Append("payments", number, NOON, encode_event(one))
        for number, events in enumerate(partitions)
        for one in events
    ]
    log.commit("test", appends, {})
    return log
