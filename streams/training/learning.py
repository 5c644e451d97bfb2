"""A scorecard that learns in the stream, on a history: what it would have said of each payment when it came.

It is asked about a payment before it learns anything of it, and learns by the rule and the examples of the stream
(:mod:`streams.features.online`): a fraud when its label has come, and of the rest a share, drawn by a hash, when labels
have had their time. A history does not say what was declined, so everything is taken to have been approved.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import numpy as np

from events.calendar import DAY
from events.errors import Refused, ValidationError
from events.reference import OnlineModel
from events.risk import Mode
from streams.features import online, scorecard
from streams.features.kept import NAME_BYTES, is_drawn
from streams.features.models import Model
from streams.features.scoring import places
from streams.training.histories import History, Whole

HEARD_OF: Final = 1 << 15
"""Payments between two words about the progress."""


def said_while_learning(
    model: Model,
    history: History,
    vectors: Whole,
    rows: slice,
    *,
    delay_days: int,
    genuine_one_in: int,
    genuine_after_days: int,
    watch: Callable[[int], None] = lambda done: None,
) -> Whole:
    """The margin of each of these rows, by a scorecard that is put into use with the first of them."""
    content = OnlineModel(Mode.SHADOW, "", "", genuine_one_in, genuine_after_days)
    try:
        online.check(model, content)
    except ValidationError as error:
        raise Refused(f"this model does not learn: {error}") from error
    card = online.card_of(model)
    times = history.at[rows].tolist()
    frauds = history.fraud[rows].tolist()
    bins = _bins_of(model, vectors[rows])
    drawn = [not fraud and is_drawn(_name_of(number), genuine_one_in) for number, fraud in enumerate(frauds)]
    margins = np.empty(len(times), np.int64)
    # Labels wait until the first genuine payments can be learned; those are drawn at the beginning of a day.
    begins = (times[0] // DAY + 1 + genuine_after_days) * DAY
    labelled = sampled = 0
    for number, at in enumerate(times):
        while max(times[labelled] + delay_days * DAY, begins) <= at:
            if frauds[labelled]:
                scorecard.learn_in(card, bins[labelled], True)
            labelled += 1
        while (times[sampled] // DAY + 1 + genuine_after_days) * DAY <= at:
            if drawn[sampled]:
                scorecard.learn_in(card, bins[sampled], False, genuine_one_in)
            sampled += 1
        margins[number] = scorecard.margin_in(card, bins[number])
        if number % HEARD_OF == 0:
            watch(number)
    return margins


def _bins_of(model: Model, vectors: Whole) -> list[bytes]:
    """The bins of each row, one byte a feature."""
    columns = [
        np.searchsorted(np.array(bins.edges, np.int64), vectors[:, place], side="right").astype(np.uint8)
        for place, bins in zip(places(model), model.bins, strict=True)
    ]
    packed = np.stack(columns, axis=1).tobytes()
    width = len(columns)
    return [packed[start : start + width] for start in range(0, len(packed), width)]


def _name_of(number: int) -> bytes:
    """A name for a payment that has none, which is drawn as payments of the stream are."""
    return sha256(f"{number}".encode()).digest()[:NAME_BYTES]
