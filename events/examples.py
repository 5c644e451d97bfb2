"""From what a scorecard learns in the stream: payments as they were judged, and what they turned out to be.

An example is drawn where the payment's card is at home: of every label, and of a share of the payments that nobody has
called fraud by the time that labels take. The log ``velocity`` puts the examples of all partitions into one order and
hands them on in batches, and every partition of ``payments`` learns the same batches in the same order. So the
scorecard is the same everywhere after each batch, and each partition says the hash of what it has.
"""

from typing import ClassVar

from events.base import Event, Part
from events.disputes import Label


class ExampleDrawn(Event, frozen=True):
    """A payment to learn from, in the log of its card's partition and then in ``velocity``.

    ``number`` is that of its label, 0 for a payment that nobody has labelled. ``weight`` is how many payments it
    stands for. ``bins`` has one byte for each feature of the scorecard: the bin that the payment was in when it was
    judged. ``learner`` is the version of the reference data that put the scorecard into use. ``paid_at`` is the event
    time of the payment (microseconds UTC).
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    payment_id: str
    number: int
    label: Label
    weight: int
    paid_at: int
    learner: int
    bins: bytes


class Example(Part, frozen=True):
    """One example of a batch; fields as :class:`ExampleDrawn` has them."""

    payment_id: str
    number: int
    label: Label
    weight: int
    bins: bytes


class ExamplesGathered(Event, frozen=True):
    """A batch of examples for one scorecard, in the order in which it learns them; ``number`` counts from 1.

    The log ``velocity`` decides it at a tick, in its first partition, and hands it on to all of ``payments``.
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    number: int
    learner: int
    examples: list[Example]


class ExamplesLearned(Event, frozen=True):
    """From here on the scorecard of this partition knows batch ``number``.

    ``examples`` is how many of it were learned, nothing where the batch was for a scorecard that is no longer in use;
    ``frauds`` are those of them that were fraud. ``sha256`` is the hash of all its numbers (hex, empty where there is
    no scorecard): the same in every partition after the same batch.
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    number: int
    learner: int
    examples: int
    frauds: int
    sha256: str
