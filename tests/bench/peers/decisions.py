"""The authorization path as the peers in Python decide it: written from its description, with nothing of ours.

A payment becomes a *submission* to a network or, where it is blocked or nobody carries it, an *outcome*; a network's
answer becomes an outcome or, where it was never sent, the next submission. All are plain dicts, for they travel as
JSON. A submission carries whatever the answer's reader needs, and the line to the networks gives it back: no peer has
to keep a payment that is under way.

A card's history is a list of ``[occurred_at, merchant, currency, amount]`` in order of time
(microseconds, minor units).
"""

from bisect import bisect_right, insort
from typing import Any

Message = dict[str, Any]
History = list[list[Any]]

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
#: Payments may come an hour late and still find the day before them.
KEPT = DAY + HOUR
MILLION = 1_000_000
VERDICTS = ("allow", "review", "block")


class Terms:
    """What is in force: rules, merchants' limits, number ranges, networks. Read once from JSON."""

    def __init__(self, terms: Message) -> None:
        self.rules = [
            (rule["feature"], rule["threshold"], VERDICTS.index(rule["verdict"])) for rule in terms["rules"]
        ]
        self.merchants: dict[str, Message] = {one["merchant"]: one for one in terms["merchants"]}
        self.networks: list[Message] = terms["networks"]
        by_length: dict[int, list[Message]] = {}
        for one in sorted(terms["bins"], key=lambda one: str(one["low"])):
            by_length.setdefault(len(one["low"]), []).append(one)
        #: Longest prefixes first; ranges of one length do not overlap.
        self.bins = [
            (length, [one["low"] for one in ranges], ranges)
            for length, ranges in sorted(by_length.items(), reverse=True)
        ]

    def brand(self, digits: str) -> str:
        """The brand of a card by its first digits; empty where nobody's range has them."""
        for length, lows, ranges in self.bins:
            prefix = digits[:length]
            index = bisect_right(lows, prefix) - 1
            if len(digits) >= length and index >= 0 and ranges[index]["high"] >= prefix:
                return str(ranges[index]["brand"])
        return ""


def remember(history: History, payment: Message) -> None:
    """Take a payment into its card's history, and let go of what no window reaches."""
    at = payment["occurred_at"]
    insort(history, [at, payment["merchant"], payment["currency"], payment["amount"]], key=_time_of)
    stale = bisect_right(history, history[-1][0] - KEPT, key=_time_of)
    del history[:stale]


def features(history: History, payment: Message, max_amount: int) -> dict[str, int]:
    """What the rules look at, for a payment that the history already holds. Windows end with its own time."""
    at, merchant, currency = payment["occurred_at"], payment["merchant"], payment["currency"]
    found = {
        "card_count_10m": 0,
        "card_sum_10m": 0,
        "card_count_1h": 0,
        "card_count_24h": 0,
        "card_sum_24h": 0,
        "card_merchant_count_24h": 0,
        "merchant_amount_percent": payment["amount"] * 100 // max_amount if max_amount > 0 else 0,
    }
    for then, where, paid_in, amount in history:
        if not at - DAY < then <= at:
            continue
        same = amount if paid_in == currency else 0
        found["card_count_24h"] += 1
        found["card_sum_24h"] += same
        found["card_merchant_count_24h"] += where == merchant
        found["card_count_1h"] += then > at - HOUR
        if then > at - 10 * MINUTE:
            found["card_count_10m"] += 1
            found["card_sum_10m"] += same
    return found


def authorize(terms: Terms, history: History, payment: Message) -> Message:
    """The submission of a new payment to its first network, or the outcome of one that goes nowhere."""
    remember(history, payment)
    limits = terms.merchants[payment["merchant"]]
    found = features(history, payment, limits["max_amount"])
    verdict = max((how for name, above, how in terms.rules if found[name] > above), default=0)
    if 0 < limits["max_amount"] < payment["amount"]:
        verdict = 2
    if 0 < limits["card_count_24h"] < found["card_merchant_count_24h"]:
        verdict = 2
    step = {
        "payment": payment["merchant"] + "/" + payment["idempotency_key"],
        "merchant": payment["merchant"],
        "card_id": payment["card_id"],
        "brand": terms.brand(payment["bin"]),
        "amount": payment["amount"],
        "currency": payment["currency"],
        "verdict": VERDICTS[verdict],
        "tried": [],
    }
    return outcome(step, "declined", "risk_blocked") if verdict == 2 else submission(terms, step)


def submission(terms: Terms, step: Message) -> Message:
    """The payment on its way to the cheapest network that was not tried yet; an outcome where there is none."""
    fitting = [
        (expected_cost(step["amount"], network), network["network"])
        for network in terms.networks
        if step["brand"] in network["brands"]
        and step["currency"] in network["currencies"]
        and network["network"] not in step["tried"]
    ]
    if not fitting:
        return outcome(step, "declined", "no_route")
    name = min(fitting)[1]
    tried = [*step["tried"], name]
    return {**step, "type": "submission", "network": name, "attempt": len(tried), "tried": tried}


def expected_cost(amount: int, network: Message) -> int:
    """What one approval costs there, minor units, rounded up: each attempt costs, not each one succeeds."""
    share, rest = divmod(amount * network["cost_ppm"], MILLION)
    share += rest * 2 > MILLION or (rest * 2 == MILLION and share & 1)
    return -(-(share + network["cost_fixed"]) * MILLION // network["success_ppm"])


def answer(terms: Terms, reply: Message) -> Message:
    """What a network's answer means: an outcome, or the next submission where it was never sent."""
    if not reply["sent"]:
        return submission(terms, reply)
    code = reply["response_code"]
    if not code:
        return outcome(reply, "unknown", "", reply["network"])
    # Of what somebody approves in another currency, nothing can be on hold.
    meant = reply["approved_currency"] == reply["currency"]
    if code in ("00", "10") and reply["approved_amount"] > 0 and meant:
        approved = min(reply["approved_amount"], reply["amount"])
        return outcome(reply, "authorized", code, reply["network"], approved)
    return outcome(reply, "declined", code, reply["network"])


def outcome(step: Message, what: str, reason: str, network: str = "", approved: int = 0) -> Message:
    """How a payment ended. ``network`` is who said so; ``approved`` is held, in minor units."""
    return {
        "type": "outcome",
        "payment": step["payment"],
        "merchant": step["merchant"],
        "outcome": what,
        "reason": reason,
        "network": network,
        "verdict": step["verdict"],
        "approved": approved,
        "currency": step["currency"],
    }


def _time_of(entry: list[Any]) -> int:
    return int(entry[0])
