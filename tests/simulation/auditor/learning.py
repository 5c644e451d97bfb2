"""The scorecard that learns in the stream, learned a second time from the events alone.

Every partition of ``payments`` is followed by itself: which scorecard is in force, which batches it has learned, what
it must say of each payment. Then the weights that a partition says it has, by their hash, and every margin in a verdict
must be those that come out here.
"""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from decimal import Context, Decimal
from functools import cache
from hashlib import sha256
from math import isqrt

from tests.simulation.auditor.logs import DAY, Body, Event, Findings

ONE = 1 << 20
STEP = 1 << 16
REACH = 16 * ONE
RATE = ONE // 2
TRUST = 1_024 * ONE
MOST_SQUARES = 1 << 42
#: Days for which a payment may be learned from, and features of the profile at the end of a vector.
KEPT_DAYS = 182
PROFILE = 12
NAMES = (
    "amount amount_ratio card_outliers_7d card_outliers_14d merchant_since_genuine merchant_since_fraud "
    "merchant_frauds_28d merchant_labels_28d merchant_run merchant_run_age merchant_since_ordinary "
    "merchant_ordinary_28d"
).split()
_CONTEXT = Context(prec=40)


@cache
def _entry(odds: int) -> int:
    power = _CONTEXT.exp(-Decimal(odds) / ONE)
    return int(_CONTEXT.divide(Decimal(ONE), 1 + power).to_integral_value())


def probability(odds: int) -> int:
    """Of fraud, in 1/2^20: straight lines between the values at every sixteenth of the log-odds."""
    odds = max(-REACH, min(REACH, odds))
    low = odds // STEP * STEP
    here, there = _entry(low), _entry(low + STEP)
    return here + (there - here) * (odds - low) // STEP


class Card:
    """A scorecard: one weight for each bin of each feature, and the squares of what has moved it."""

    def __init__(self, since: int, began_on: int, content: Body) -> None:
        self.since = since
        self.began_on = began_on
        self.content = content
        file = json.loads(content["document"])
        model = file["model"]
        self.name = file["sha256"][:16]
        self.places = [NAMES.index(name) for name in model["features"]]
        self.edges = [bins["edges"] for bins in model["bins"]]
        self.weights = [list(bins["weights"]) for bins in model["bins"]]
        self.squares = [[TRUST] * len(weights) for weights in self.weights]
        self.base, self.square = model["base"], TRUST
        self.learned = 0

    def waits(self, today: int) -> bool:
        """Whether labels wait: nothing genuine can be learned yet."""
        return bool(today - 1 - self.content["genuine_after_days"] < self.began_on)

    def bins(self, profile: list[int]) -> bytes:
        """The bins of a payment."""
        return bytes(
            bisect_right(edges, profile[place]) for place, edges in zip(self.places, self.edges, strict=True)
        )

    def margin(self, bins: bytes) -> int:
        """What it says of a payment in these bins."""
        return self.base + sum(self.weights[feature][place] for feature, place in enumerate(bins))

    def learn(self, bins: bytes, fraud: bool, weight: int) -> None:
        """One example, by the rule of AdaGrad, cut towards zero."""
        slope = weight * (probability(self.margin(bins)) - ONE * fraud)
        square = slope * slope // ONE

        def moved(value: int, squares: int) -> int:
            length = abs(RATE * slope) // isqrt(squares * ONE)
            return max(-REACH, min(REACH, value - length if slope >= 0 else value + length))

        for feature, place in enumerate(bins):
            squares = min(self.squares[feature][place] + square, MOST_SQUARES)
            self.squares[feature][place] = squares
            self.weights[feature][place] = moved(self.weights[feature][place], squares)
        self.square = min(self.square + square, MOST_SQUARES)
        self.base = moved(self.base, self.square)

    def digest(self) -> str:
        """The hash of all its numbers."""
        numbers = [self.base, self.square]
        for rows in (*self.weights, *self.squares):
            numbers += rows
        return sha256(",".join(map(str, numbers)).encode()).hexdigest()


class _Partition:
    """What one partition of ``payments`` knows."""

    def __init__(self) -> None:
        self.published: list[tuple[int, Body]] = []
        self.card: Card | None = None
        self.since = 0
        self.batches: dict[int, Body] = {}
        self.learned = 0
        #: By payment: the version of the scorecard that judged it, and its bins.
        self.judged: dict[str, tuple[int, bytes]] = {}
        self.approved_on: dict[str, int] = {}
        self.labels: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.early: list[tuple[str, int]] = []

    def advance(self, version: int, today: int) -> None:
        """Put into force what was published up to this version."""
        while self.published and self.published[0][0] <= version:
            since, content = self.published.pop(0)
            if not content["document"]:
                self.card, self.since, self.early = None, since, []
            elif self.card is not None and self.card.name == json.loads(content["document"])["sha256"][:16]:
                self.card.content = content
            else:
                self.card, self.since, self.early = Card(since, today, content), since, []


class Relearning:
    """That nothing is learned but what was drawn, once, in one order, and never before its batch."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = defaultdict(_Partition)
        self._drawn: dict[tuple[str, int], Body] = {}
        self._expected: set[tuple[str, int]] = set()
        self._gathered: Counter[tuple[str, int]] = Counter()
        self._batches: dict[int, Body] = {}

    def take(self, event: Event) -> Findings:
        """Follow one event of ``payments`` or ``velocity``."""
        name, body, where = event.name, event.body, event.where
        if event.log == "velocity" and name == "ExamplesGathered":
            yield from self._gather(where, body)
        if event.log != "payments":
            return
        part = self._partitions[event.partition]
        if name == "ReferenceRefused" and body["kind"] == "online":
            part.published = [one for one in part.published if one[0] != body["version"]]
        today = event.meta["recorded_at"] // DAY
        part.advance(event.meta["versions"]["model"], today)
        match name:
            case "ReferenceApplied" if body["kind"] == "online":
                part.published.append((body["version"], json.loads(body["content"])))
            case "RiskAssessed" if body["phase"] == "before_authorization":
                yield from _judge(where, part, body)
            case "PaymentAuthorized" if body["payment_id"] in part.judged:
                if part.judged[body["payment_id"]][0] == part.since:
                    part.approved_on[body["payment_id"]] = today
            case "PaymentLabelled":
                part.labels[body["payment_id"]].append((body["number"], body["label"]))
                self._expect(part, body, today)
            case "TickPassed" if part.early and part.card is not None and not part.card.waits(today):
                self._expected.update(part.early)
                part.early = []
            case "ExampleDrawn":
                yield from self._draw(where, part, body, today)
            case "ExamplesGathered":
                part.batches[body["number"]] = body
            case "ExamplesLearned":
                yield from _learn(where, part, body)
            case _:
                pass

    def _expect(self, part: _Partition, body: Body, today: int) -> None:
        payment = body["payment_id"]
        in_time = body["paid_at"] // DAY >= today - KEPT_DAYS
        if in_time and payment in part.approved_on and part.judged[payment][0] == part.since:
            assert part.card is not None
            if part.card.waits(today):
                part.early.append((payment, body["number"]))
            else:
                self._expected.add((payment, body["number"]))

    def _draw(self, where: str, part: _Partition, body: Body, today: int) -> Findings:
        payment, number = body["payment_id"], body["number"]
        if (payment, number) in self._drawn:
            yield f"{where}: {payment} is drawn a second time for label {number}"
        self._drawn[payment, number] = body
        if part.card is None or part.judged.get(payment) != (body["learner"], body["bins"]):
            yield f"{where}: {payment} is drawn in other bins than it was judged in"
            return
        if part.card.waits(today):
            yield f"{where}: {payment} is drawn while nothing genuine can be learned"
        if number:
            if (number, body["label"]) not in part.labels.get(payment, ()) or body["weight"] != 1:
                yield f"{where}: {payment} is drawn for a label that it has not, or with a weight"
            return
        content = part.card.content
        name = int.from_bytes(sha256(payment.encode()).digest()[:8], "big")
        waited = today - part.approved_on.get(payment, today)
        if name % content["genuine_one_in"] or body["weight"] != content["genuine_one_in"]:
            yield f"{where}: {payment} is drawn by another share"
        if waited <= content["genuine_after_days"]:
            yield f"{where}: {payment} is drawn {waited} days behind its approval"
        if payment in part.labels or body["label"] != "genuine":
            yield f"{where}: {payment} is drawn as nobody's, and has a label"

    def _gather(self, where: str, body: Body) -> Findings:
        if body["number"] != len(self._batches) + 1:
            yield f"{where}: batch {body['number']} comes behind {len(self._batches)}"
        self._batches[body["number"]] = body
        for one in body["examples"]:
            self._gathered[one["payment_id"], one["number"]] += 1

    def close(self, ended: bool) -> Findings:
        """Everything that was drawn is in one batch, and everybody has learned it."""
        if not ended:
            return
        for example in sorted(self._expected - set(self._drawn)):
            yield f"{example[0]} has label {example[1]}, and was not drawn"
        for number, body in self._batches.items():
            for one in body["examples"]:
                drawn = self._drawn.get((one["payment_id"], one["number"]), {})
                if any(drawn.get(field) != value for field, value in one.items() if field != "-type"):
                    yield f"batch {number}: {one['payment_id']} was not drawn so"
        if self._gathered != Counter(self._drawn.keys()):
            yield f"{len(self._drawn)} examples were drawn, {self._gathered.total()} gathered"
        for number, part in sorted(self._partitions.items()):
            if part.learned != len(self._batches) or part.batches != self._batches:
                yield f"payments/{number}: {part.learned} of {len(self._batches)} batches are learned"


def _judge(where: str, part: _Partition, body: Body) -> Findings:
    card = part.card
    if card is None:
        return
    bins = card.bins(body["features"][-PROFILE:])
    part.judged[body["payment_id"]] = (card.since, bins)
    expected = (card.name, card.learned, card.margin(bins))
    said = [(one["model"], one["version"], one["margin"]) for one in body["models"]]
    if expected not in said:
        yield f"{where}: the scorecard says {expected} of {body['payment_id']}, the verdict has {said}"


def _learn(where: str, part: _Partition, body: Body) -> Findings:
    batch = part.batches.get(body["number"])
    if batch is None or body["number"] != part.learned + 1:
        yield f"{where}: batch {body['number']} is learned behind {part.learned}, or before it came"
        return
    part.learned += 1
    card, frauds, learned = part.card, 0, []
    if card is not None and card.since == batch["learner"]:
        learned, card.learned = batch["examples"], body["number"]
        for one in learned:
            card.learn(one["bins"], one["label"] == "fraud", one["weight"])
            frauds += one["label"] == "fraud"
    expected = (len(learned), frauds, card.digest() if card is not None else "")
    if (body["examples"], body["frauds"], body["sha256"]) != expected:
        yield f"{where}: batch {body['number']} makes another scorecard than the one that was learned again"
