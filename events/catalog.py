"""Every class of the contract, found in the family modules: a class written there is published by ``make schemas``."""

from types import ModuleType
from typing import Final, TypeVar

from events import (
    authorization,
    balances,
    clearing,
    clearingfiles,
    corrections,
    disputes,
    examples,
    exposure,
    fees,
    hotlist,
    intake,
    labels,
    lifecycle,
    messages,
    partitions,
    payouts,
    reconciliation,
    refunds,
    requests,
    review,
    risk,
    routing,
    settlement,
    signals,
)
from events.base import Event, Message

_T = TypeVar("_T")

FAMILIES: Final[tuple[ModuleType, ...]] = (
    requests,
    signals,
    intake,
    lifecycle,
    risk,
    hotlist,
    review,
    routing,
    authorization,
    refunds,
    clearing,
    clearingfiles,
    disputes,
    labels,
    examples,
    exposure,
    fees,
    settlement,
    balances,
    payouts,
    reconciliation,
    corrections,
    partitions,
    messages,
)


def _defined(base: type[_T]) -> tuple[type[_T], ...]:
    return tuple(
        value
        for family in FAMILIES
        for value in vars(family).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == family.__name__
    )


EVENTS: Final = _defined(Event)
MESSAGES: Final = _defined(Message)
BY_NAME: Final = {cls.__name__: cls for cls in (*EVENTS, *MESSAGES)}
