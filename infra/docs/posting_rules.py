"""What an event posts, in words: found by posting one whose every field holds its own name.

The rules are functions (:mod:`events.postings`), so they are asked and not read: each number of the event is one
that no other field has, each text is the field's name, and the legs that come back name what they are made of.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import count, product
from typing import Any, Final, NamedTuple

from events.accounts import code_of
from events.avro import Shape, fields_of
from events.base import Event
from events.postings import POSTING, Leg, postings

_CURRENCY: Final = "currency"
_SETTLEMENT_CURRENCY: Final = "settlement_currency"
#: Numbers to tell fields by: no text of an event contains one by accident.
_FIRST_NUMBER: Final = 900_000_001


class Rule(NamedTuple):
    """What an event posts under ``condition`` (empty: always)."""

    condition: str
    legs: tuple[str, ...]
    codes: tuple[str, ...]


def rules_of(event: type[Event]) -> list[Rule]:
    """The posting rules of an event; empty for one that moves no money."""
    if event not in POSTING:
        return []
    found: dict[tuple[str, ...], Rule] = {}
    for condition, legs, names in _posted(event):
        told = tuple(_told(leg, names) for leg in legs)
        codes = tuple(f"{code_of(leg.account)}{'+' if leg.amount > 0 else '-'}" for leg in legs)
        found.setdefault(told, Rule(condition, told, codes))
    if len(found) == 1:
        return [rule._replace(condition="") for rule in found.values()]
    return list(found.values())


def _posted(event: type[Event]) -> Iterator[tuple[str, tuple[Leg, ...], dict[int, str]]]:
    """The event in every variant that its rule may tell apart: each enum value, one currency and two."""
    fields = fields_of(event)
    enums = [field for field in fields if field.shape.kind == "enum"]
    two_currencies = {_CURRENCY, _SETTLEMENT_CURRENCY} <= {field.name for field in fields}
    for same in (True, False) if two_currencies else (True,):
        for chosen in product(*(_values_of(field.shape) for field in enums)):
            names: dict[int, str] = {}
            numbers = count(_FIRST_NUMBER)
            given = dict(zip((field.name for field in enums), chosen, strict=True))
            values = [
                given[field.name] if field in enums else _value(field.name, field.shape, names, numbers, same)
                for field in fields
            ]
            words = [f"{name} = {value}" for name, value in given.items()]
            if two_currencies:
                words.append("one currency" if same else "two currencies")
            yield ", ".join(words), postings(event(*values)), names


def _values_of(shape: Shape) -> list[StrEnum]:
    values: type[StrEnum] = shape.cls
    return list(values)


def _value(name: str, shape: Shape, names: dict[int, str], numbers: "count[int]", same: bool) -> Any:
    match shape.kind:
        case "string":
            return _CURRENCY if same and name == _SETTLEMENT_CURRENCY else name
        case "long":
            number = next(numbers)
            names[number] = name
            return number
        case "list":
            return [_value(f"{name}.", shape.of[0], names, numbers, same)]
        case "record":
            return shape.cls(
                *[
                    _value(f"{name}{field.name}", field.shape, names, numbers, same)
                    for field in fields_of(shape.cls)
                ]
            )
        case _:
            return shape.kind == "boolean"


def _told(leg: Leg, names: dict[int, str]) -> str:
    sign = "+" if leg.amount > 0 else "-"
    item = leg.item
    for number, name in names.items():
        item = item.replace(str(number), name)
    text = f"{code_of(leg.account)} {sign}{names[abs(leg.amount)]}"
    return f"{text} (item `{item}`)" if item else text
