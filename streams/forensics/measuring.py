"""The features of the rules' catalogue, measured again from the events of a log: one payment after the other.

What is measured is a function of the events up to the payment: the same code as in the stream (:mod:`streams.velocity`,
:mod:`streams.features`), fed with what was recorded. A label counts from the time at which it became known.

Not known from a log: what identity providers and 3-D Secure say, for nobody records it yet.
"""

from collections.abc import Sequence
from typing import Final

from events.authorization import MessageKind, NetworkReplyReceived, PaymentAuthorized, PaymentDeclined
from events.calendar import DAY, HOUR, SECOND, weekday
from events.envelope import Recorded
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied, TickPassed
from events.reference import BinTable, MerchantTerms, decode_reference
from streams import velocity
from streams.features import familiar, profiles, quantiles
from streams.features.bins import BinBlock, blocks_of, range_of
from streams.features.familiar import Familiar, meet
from streams.features.models import Model
from streams.features.quantiles import Quantiles
from streams.features.rules.catalogue import NAMES, PLACES, WINDOWS, Value
from streams.features.rules.types import DOMAINS, WEEKDAYS
from streams.features.scoring import score_of, scorer
from streams.features.windows import event_time
from streams.velocity import Mark

ENOUGH: Final = 100
"""Payments from which a merchant's amounts have a middle and a tail."""

_MINUTE_US: Final = 60 * SECOND
_AVS: Final = {
    **dict.fromkeys("XYDFM", "full"),
    **dict.fromkeys("AB", "street"),
    **dict.fromkeys("PWZ", "postal_code"),
    **dict.fromkeys("CN", "none"),
    **dict.fromkeys("EGIRSU", "unavailable"),
}
_CVV: Final = {"M": "match", "N": "no_match", "P": "not_given", "S": "not_given", "U": "unavailable"}
"""The networks' letters in words. A letter that is in no table is not known."""


class Measuring:
    """The state of everything that is measured. Nobody keeps it: it is made again from the log."""

    def __init__(self, model: Model | None = None) -> None:
        self._plan = velocity.plan_of(",".join(WINDOWS))
        self._velocity = velocity.initial(self._plan)
        # velocity says card_count_1h and card_merchant_count_1h, the rules card.count_1h and card_merchant.count_1h.
        self._columns = [PLACES[_rule_name(column)] for column in velocity.columns(self._plan)]
        self._profiles = profiles.Profiles()
        self._familiar = Familiar()
        self._amounts: dict[str, Quantiles] = {}
        self._bins: list[BinBlock] = []
        self._terms: dict[str, MerchantTerms] = {}
        self._model = model
        self._score = scorer(model) if model is not None else None
        self._hour = 0

    def hear(self, recorded: Recorded) -> None:
        """Take an event that is no payment: reference data, declines, time."""
        match recorded.body:
            case PaymentDeclined() as body:
                velocity.mark(self._velocity, body.payment_id, Mark.DECLINED, recorded.meta.recorded_at)
            case ReferenceApplied(kind="bins" | "merchant") as body:
                match decode_reference(body.kind, body.content):
                    case BinTable(ranges=ranges):
                        self._bins = blocks_of(ranges)
                    case MerchantTerms() as terms:
                        self._terms[terms.merchant] = terms
                    case _:
                        pass
            case TickPassed(at=at) if at // HOUR > self._hour:
                self._hour = at // HOUR
                for hour in velocity.stale_hours(self._velocity, at):
                    velocity.forget(self._velocity, hour)
                for day_on in familiar.stale_days(self._familiar, at):
                    familiar.forget_day(self._familiar, day_on)
            case _:
                pass

    def label(
        self, payment_id: str, merchant: str, paid_at: int, now: int, *, fraud: bool, ordinary: bool
    ) -> None:
        """Take what became known of a payment at ``now``."""
        if fraud:
            velocity.mark(self._velocity, payment_id, Mark.FRAUD, now)
        profiles.learn(self._profiles, merchant, paid_at, now, fraud=fraud, ordinary=ordinary)

    def pay(self, recorded: Recorded) -> tuple[list[Value], bool] | None:
        """The vector of a payment before authorization, and whether its amount is ordinary for its card.

        None where the payment was seen before.
        """
        body = recorded.body
        assert isinstance(body, PaymentRequested)
        at = event_time(recorded.meta.occurred_at, recorded.meta.ingested_at)
        found = velocity.observe(
            self._velocity,
            body.payment_id,
            at,
            body.card_id,
            body.ip_ref,
            body.device_ref,
            body.email_ref,
            body.merchant,
            body.amount,
        )
        if found is None:
            return None
        vector: list[Value] = [None] * len(NAMES)
        for place, figure in zip(self._columns, found.values, strict=True):
            vector[place] = figure
        profile = profiles.observe(
            self._profiles, f"{body.card_id}\x1f{body.currency}", body.merchant, at, body.amount
        )
        row = range_of(self._bins, body.bin)
        terms = self._terms.get(body.merchant)
        limit = terms.max_amount if terms is not None else 0
        ratio = profile[profiles.RATIO]
        given: dict[str, Value] = {
            "amount": body.amount,
            "payment.currency": body.currency,
            "payment.channel": body.channel.value,
            "payment.time": at % DAY // _MINUTE_US,
            "payment.weekday": WEEKDAYS[weekday(at // DAY)],
            "card.id": body.card_id,
            "card.bin": body.bin,
            "card.country": _word("country", row.country) if row else None,
            "card.brand": _word("brand", row.brand) if row else None,
            "card.funding": _word("funding", row.funding) if row else None,
            "merchant.id": body.merchant,
            "merchant.mcc": _word("mcc", terms.mcc) if terms is not None else None,
            "merchant.limit_percent": body.amount * 100 // limit if limit > 0 else None,
            "ip.id": body.ip_ref or None,
            "device.id": body.device_ref or None,
            "email.id": body.email_ref or None,
            "card.amount_percent": ratio * 100 // profiles.UNIT if ratio else None,
            "card.outliers_7d": profile[profiles.NAMES.index("card_outliers_7d")],
            **self._met(body, at),
            **self._usual_amounts(body),
        }
        if self._model is not None and self._score is not None:
            given["model.score"] = score_of(self._model, self._score(profile))
        for name, value in given.items():
            vector[PLACES[name]] = value
        return vector, profiles.is_ordinary(profile)

    def _met(self, body: PaymentRequested, at: int) -> dict[str, Value]:
        card = meet(self._familiar, body.card_id, at)
        found: dict[str, Value] = {
            "card.new": card is None,
            "card.idle": (at - card) // SECOND if card is not None else None,
        }
        for name, ref in (("device", body.device_ref), ("email", body.email_ref)):
            if ref:
                pair = f"{name}\x1f{ref}\x1f{body.card_id}"
                found[f"{name}.new"] = meet(self._familiar, pair, at) is None
        return found

    def _usual_amounts(self, body: PaymentRequested) -> dict[str, Value]:
        """Of the payments before this one."""
        amounts = self._amounts.setdefault(f"{body.merchant}\x1f{body.currency}", Quantiles())
        known = amounts.amounts >= ENOUGH
        found: dict[str, Value] = {
            f"merchant.p{part}": quantiles.read(amounts, place) if known else None
            for place, part in enumerate(quantiles.PER_CENT)
        }
        quantiles.take(amounts, body.amount)
        return found


def answered(
    vector: Sequence[Value], event: PaymentAuthorized | PaymentDeclined, reply: NetworkReplyReceived | None
) -> list[Value]:
    """The vector after authorization: what the issuer said, and what the network said of address and code."""
    found = list(vector)
    approved = isinstance(event, PaymentAuthorized)
    code = event.response_code
    found[PLACES["authorization.approved"]] = approved
    found[PLACES["authorization.code"]] = code or None
    if reply is not None:
        found[PLACES["payment.avs"]] = _AVS.get(reply.avs_result)
        found[PLACES["payment.cvv"]] = _CVV.get(reply.cvv_result)
    return found


def is_answer(body: object) -> bool:
    """Whether an event is a network's answer to an authorization, in time."""
    return isinstance(body, NetworkReplyReceived) and body.kind is MessageKind.AUTHORIZATION and not body.late


def _rule_name(column: str) -> str:
    key, measure, window = column.rsplit("_", 2)
    return f"{key}.{measure}_{window}"


def _word(domain: str, text: str) -> str | None:
    """A word of reference data, if rules can know it."""
    return None if DOMAINS[domain].refuses(text) else text
