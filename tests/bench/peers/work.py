"""The work that every system of the comparison gets: the same payments, terms and answers.

The payments are those of a simulated day that intake accepts, some of them delivered twice. Three things are changed.
*Captured by hand*: nobody captures within the run, so the path ends with the answer. *Keys*: all requests of one card
go to the same one of two partitions. Which payment of a card came first is then no matter of chance, and neither is a
verdict that counts them. *Thieves*: one payment in five hundred is followed by more with its card, for a day has few.

Tallystick reads its own Avro records; the peers read the same requests as JSON, which both Python libraries take as
it comes, and read faster than Avro. Both are made before anything is timed.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from events.identity import looks_like_pan, partition_of_name, payment_id, slot_of
from events.reference import RuleBook
from events.requests import CaptureMode, InputRow, PaymentRequest
from events.wire import encode_message
from streams.edge.reference import Entry, published, starter
from streams.edge.simulate import simulate

PARTITIONS: Final = 2
SEED: Final = 1
#: Reference data that is not published: limits over all cards of a device or an address, which no peer has.
_LEFT_OUT: Final = frozenset({"velocity"})
#: The house's rules in the words of the peers. Where they are no longer the same, the comparison finds other verdicts.
RULES: Final = (
    {"feature": "card_count_10m", "threshold": 5, "verdict": "block"},
    {"feature": "card_count_10m", "threshold": 3, "verdict": "review"},
    {"feature": "card_count_1h", "threshold": 8, "verdict": "block"},
    {"feature": "card_count_24h", "threshold": 15, "verdict": "review"},
    {"feature": "card_merchant_count_24h", "threshold": 6, "verdict": "review"},
    {"feature": "merchant_amount_percent", "threshold": 85, "verdict": "review"},
)
#: The rules among the house's that these are; peers have not the features that others ask for.
_SHARED_RULES: Final = frozenset(
    {
        "card-count-10m-block",
        "card-count-10m",
        "card-count-1h",
        "card-count-24h",
        "card-at-merchant-24h",
        "near-merchant-limit",
    }
)
_LARGEST: Final = 10**12
_THIEF_EVERY: Final = 500
_THIEF_PAYMENTS: Final = 7


class Outcome(NamedTuple):
    """How a payment ended, in words that all systems share.

    ``approved`` in minor units; without a network it was declined before any was asked.
    """

    payment: str
    outcome: str
    network: str
    verdict: str
    approved: int


def name_of(request: PaymentRequest) -> str:
    """What a payment is called everywhere: its merchant and idempotency key."""
    return f"{request.merchant}/{request.idempotency_key}"


def id_of(request: PaymentRequest) -> str:
    """What Tallystick calls it."""
    return payment_id(request.merchant, request.idempotency_key, request.card_id)


def requests(payments: int, seed: int = SEED) -> list[PaymentRequest]:
    """About so many payments, in the order in which they are sent; one in a hundred comes twice."""
    terms = {one.content.merchant: one.content for one in starter() if one.kind == "merchant"}
    keys: dict[tuple[str, str], str] = {}
    bodies: dict[str, PaymentRequest] = {}
    found: list[PaymentRequest] = []
    for row in simulate(payments, seed):
        request = row.entry
        if not isinstance(request, PaymentRequest):
            continue
        merchant = terms.get(request.merchant)
        good = merchant is not None and not merchant.blocked and request.currency in merchant.currencies
        if not good or not 0 < request.amount <= _LARGEST or len(request.card_id) != 26:
            continue
        old = (request.merchant, request.idempotency_key)
        if old not in keys:
            keys[old] = _key(request)
        request = msgspec.structs.replace(request, idempotency_key=keys[old], capture_mode=CaptureMode.MANUAL)
        # The same key with another body is a conflict: the peers do not look at bodies.
        if bodies.setdefault(name_of(request), request) == request:
            found.append(request)
            if len(bodies) % _THIEF_EVERY == 0:
                found += _stolen(request, terms[request.merchant].currencies[0])
    return found


def _stolen(request: PaymentRequest, currency: str) -> Iterator[PaymentRequest]:
    """A thief tries the card out where it was just used."""
    for number in range(_THIEF_PAYMENTS):
        body = msgspec.structs.replace(
            request,
            idempotency_key=f"{request.idempotency_key}-thief-{number}",
            amount=100 + 50 * number,
            currency=currency,
        )
        yield msgspec.structs.replace(body, idempotency_key=_key(body))


def _key(request: PaymentRequest) -> str:
    """A key whose partition follows from the card, but is not the card's own: half of all payments change over.

    Where its groups of digits make a card number, intake would seal the request away.
    """
    wanted = slot_of(request.card_id) % PARTITIONS
    tries = (f"{request.idempotency_key}-{number}" for number in count())
    return next(
        key
        for key in tries
        if partition_of_name(f"{request.merchant}/{key}", PARTITIONS) == wanted and not looks_like_pan(key)
    )


def stamped(bodies: Sequence[PaymentRequest], first_at: int, apart: int) -> list[PaymentRequest]:
    """The requests as of now, ``apart`` microseconds from one to the next; a repeat is the same to the last byte."""
    known: dict[str, PaymentRequest] = {}
    for number, body in enumerate(bodies):
        known.setdefault(name_of(body), msgspec.structs.replace(body, occurred_at=first_at + number * apart))
    return [known[name_of(body)] for body in bodies]


def now() -> int:
    """The wall's clock, microseconds UTC."""
    return time.time_ns() // 1_000


# --- as Tallystick reads it ---------------------------------------------------------------------------


def avro(request: PaymentRequest) -> bytes:
    """As our producers write it."""
    return encode_message(request)


def reference_rows(first: Iterable[PaymentRequest]) -> list[InputRow]:
    """An input file's rows: everything that has to be in force, and the requests that come first."""
    entries: list[Entry] = [_shared(one) for one in starter() if one.kind not in _LEFT_OUT]
    at = now()
    rows = [InputRow(at, entry) for entry in published(entries)]
    return rows + [InputRow(at, request) for request in first]


def _shared(entry: Entry) -> Entry:
    """An entry; the house's book without the rules that peers do not have."""
    book = entry.content
    if not isinstance(book, RuleBook):
        return entry
    rules = tuple(rule for rule in book.rules if rule.rule_id in _SHARED_RULES)
    return entry._replace(content=msgspec.structs.replace(book, rules=rules))


# --- as the peers read it -----------------------------------------------------------------------------


def json(request: PaymentRequest) -> bytes:
    """The same fields."""
    return msgspec.json.encode(request)


def terms() -> dict[str, Any]:
    """The reference data that decides, for ``PEER_TERMS``. Raises where ranges of one length overlap: no peer looks."""
    by_kind: dict[str, list[Any]] = {}
    for one in starter():
        by_kind.setdefault(one.kind, []).append(msgspec.to_builtins(one.content))
    ranges = by_kind["bins"][0]["ranges"]
    for one in ranges:
        for other in ranges:
            same = len(one["low"]) == len(other["low"]) and one is not other
            if same and one["low"] <= other["low"] <= one["high"] and one["brand"] != other["brand"]:
                raise ValueError(f"the ranges {one} and {other} overlap")
    return {
        "rules": list(RULES),
        "merchants": by_kind["merchant"],
        "bins": ranges,
        "networks": by_kind["network"],
    }


def digest(outcomes: Iterable[Outcome]) -> str:
    """One line for a set of outcomes: equal where the sets are."""
    return sha256("\n".join(map(repr, sorted(outcomes))).encode()).hexdigest()[:16]
