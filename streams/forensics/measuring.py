"""The features of the rules' catalogue, measured again from the events of a log: one payment after the other.

What is measured is a function of the events up to the payment, by the code of the stream
(:mod:`streams.features.measuring`), over the keys of all partitions. The labels of the log count where it knew of
them, or those that somebody else gives from the time on that he gives.

Not known from a log: what 3-D Secure says, for nobody records it yet.
"""

from typing import Final

from events.authorization import PaymentDeclined
from events.calendar import HOUR
from events.envelope import Recorded
from events.labels import LabelApplied, PaymentLabelled
from events.lifecycle import PaymentRequested
from events.partitions import ReferenceApplied, TickPassed
from events.reference import decode_reference
from streams.features import measuring, profiles
from streams.features.models import Model
from streams.features.rules.catalogue import PLACES, Value
from streams.features.scoring import score_of, scorer
from streams.features.velocity import EVERY

_SCORE: Final = PLACES["model.score"]


class Measuring:
    """The state of everything that is measured. Nobody keeps it: it is made again from the log.

    ``labelled`` is whether the log's own labels count; otherwise those alone that :meth:`label` is given.
    """

    def __init__(self, model: Model | None = None, *, labelled: bool = True) -> None:
        self._labelled = labelled
        self._applied: dict[str, int] = {}
        self._measures = measuring.initial(EVERY)
        self._model = model
        self._score = scorer(model) if model is not None else None
        self._hour = 0

    def hear(self, recorded: Recorded) -> None:
        """Take an event that is no payment: reference data, declines, labels, time."""
        match recorded.body:
            case PaymentDeclined() as body:
                measuring.decline(self._measures, body.payment_id, recorded.meta.recorded_at)
            case PaymentLabelled() as body if self._labelled:
                measuring.label_own(self._measures, body, recorded.meta.recorded_at)
            case LabelApplied() as body if self._labelled:
                # Every partition says so, and the first one is heard.
                if self._applied.get(body.payment_id, 0) < body.number:
                    self._applied[body.payment_id] = body.number
                    measuring.label_shared(self._measures, body, recorded.meta.recorded_at)
            case ReferenceApplied(kind="bins" | "merchant") as body:
                measuring.refer(self._measures, decode_reference(body.kind, body.content))
            case TickPassed(at=at) if at // HOUR > self._hour:
                self._hour = at // HOUR
                for what in measuring.stale(self._measures, at):
                    measuring.forget(self._measures, what)
            case _:
                pass

    def label(
        self, payment_id: str, merchant: str, paid_at: int, now: int, *, fraud: bool, ordinary: bool
    ) -> None:
        """Take what became known of a payment at ``now``."""
        measuring.label(self._measures, payment_id, merchant, paid_at, now, fraud=fraud, ordinary=ordinary)

    def pay(self, recorded: Recorded) -> tuple[list[Value], bool] | None:
        """The vector of a payment before authorization, and whether its amount is ordinary for its card.

        None where the payment was seen before.
        """
        body = recorded.body
        assert isinstance(body, PaymentRequested)
        measured = measuring.pay(self._measures, recorded, body.payment_id)
        if measured is None:
            return None
        if self._model is not None and self._score is not None:
            measured.vector[_SCORE] = score_of(self._model, self._score(measured.profile))
        return measured.vector, profiles.is_ordinary(measured.profile)
