"""Values made from types: the same ones for ever, so that golden bytes can be made of them.

For every class there are as many samples as it takes to see each branch of each union, each enum value in
turn, lists that are empty and not, texts that are empty, ASCII and not, and integers of every length on the
wire. Nothing is random.
"""

from enum import StrEnum
from itertools import count
from typing import Any, Final, cast

from events.avro import Shape, classes_within, fields_of
from events.base import Event
from events.envelope import Meta, Recorded

SAMPLES: Final = 4
_TEXTS: Final = ("", "EUR", "pay-0372-0123456789abcdef", "Käufer №7 😀", "x" * 64, "y" * 200)
_LONGS: Final = (
    0,
    1,
    -1,
    63,
    64,
    -65,
    8191,
    8192,
    1_999,
    20_521,
    10**9,
    1_773_059_400_000_000,
    -(2**63),
    2**63 - 1,
)
_BYTES: Final = (b"", b"\x00\xff", bytes(range(256)))


def samples(cls: type[Any]) -> list[Any]:
    """Values of a record class: bodies for events, messages, parts."""
    return [_value(Shape("record", cls), number, count(number)) for number in range(_needed(cls))]


def recorded_samples(cls: type[Event]) -> list[Recorded]:
    """Events of a class, each in an envelope."""
    return [
        Recorded(_value(Shape("record", Meta), number, count(number * 3)), body)
        for number, body in enumerate(samples(cls))
    ]


def _needed(cls: type[Any]) -> int:
    """As many samples as the widest union within has branches, and at least :data:`SAMPLES`."""
    widest = SAMPLES
    for inner in classes_within(cls):
        for field in fields_of(inner):
            widest = max(widest, len(field.shape.of))
    return widest


def _value(shape: Shape, number: int, steps: "count[int]") -> Any:
    """The ``number``-th value of a shape; ``steps`` moves on with every field, so neighbours differ."""
    step = next(steps)
    match shape.kind:
        case "string":
            return _TEXTS[step % len(_TEXTS)]
        case "long":
            return _LONGS[step % len(_LONGS)]
        case "boolean":
            return step % 2 == 0
        case "bytes":
            return _BYTES[step % len(_BYTES)]
        case "enum":
            values = list(cast("type[StrEnum]", shape.cls))
            return values[step % len(values)]
        case "record":
            return shape.cls(*[_value(field.shape, number, steps) for field in fields_of(shape.cls)])
        case "list":
            length = (0, 1, 3, 65)[number % 4]
            return [_value(shape.of[0], number, steps) for _ in range(length)]
        case "optional":
            return _value(shape.of[0], number, steps) if number % 2 else None
        case "union":
            return _value(shape.of[number % len(shape.of)], number, steps)
