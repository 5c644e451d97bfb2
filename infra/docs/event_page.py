"""``docs/events.md``: every event and message of the contract."""

from itertools import chain
from types import ModuleType
from typing import Any, Final

from events import envelope, messages
from events.accounts import ACCOUNTS
from events.avro import Shape, classes_within, fields_of
from events.base import Event, Part
from events.catalog import EVENTS, FAMILIES, MESSAGES
from events.envelope import Meta
from infra.docs.markdown import WRITTEN, docstring, first_sentence, page, table
from infra.docs.origins import origins
from infra.docs.posting_rules import rules_of
from schemas import published
from streams.topology import LOGS

_UNITS: Final = {
    "_at": "instant",
    "_on": "day",
    "_ms": "milliseconds",
    "_ppm": "millionths",
    "_days": "days",
}
_ABOUT: Final = """\
Everything that a log may hold, and everything that travels on a topic. A log keeps an **event** for ever, in an
envelope; a **message** travels without one. Money is in minor units of the `currency` beside it (`instant`:
microseconds since 1970-01-01 UTC, `day`: days since then, `millionths`: parts per million). How the bytes look:
[schemas](../schemas/README.md). What the reasons mean: [reasons](reasons.md)."""
_POSTED: Final = """\
A posting is a pure function of one event, and its legs add up to nothing in every currency. Debits are positive.
A negative amount moves the other way, an amount of 0 posts nothing. In the table of all events `NU+` is
a debit of NU and `MP-` a credit of MP; the exact legs stand with each event."""


def text() -> str:
    """The page."""
    return page(
        WRITTEN,
        "# Events",
        _ABOUT,
        "## Accounts",
        _POSTED,
        _accounts(),
        "## All events",
        _overview(),
        "## The envelope",
        docstring(envelope),
        _fields(Meta),
        *chain.from_iterable(_family(family) for family in FAMILIES),
        "## Values inside",
        *(f"**{part.__name__}.** {docstring(part)} {_fields(part)}" for part in _parts()),
    )


def _accounts() -> str:
    rows = (
        (
            account.code,
            f"`{account.pattern}`",
            ", ".join(account.owners) or "any",
            f"{account.item} is over" if account.item else "",
        )
        for account in ACCOUNTS.values()
    )
    return table(("code", "account", "posted by", "an item is back at zero when its"), rows)


def _overview() -> str:
    return table(("event", "says", "log", "stream key", "posts"), (_row(event) for event in EVENTS))


def _row(event: type[Event]) -> tuple[str, ...]:
    name = event.__name__
    codes = dict.fromkeys(" ".join(rule.codes) for rule in rules_of(event))
    return (
        f"[{name}](#{name.lower()})",
        first_sentence(docstring(event)),
        _logs(event),
        _key(event),
        " or ".join(codes),
    )


def _logs(event: type[Event]) -> str:
    logs = [origin.log for origin in origins()[event]]
    return "all" if len(logs) == len(LOGS) else ", ".join(logs)


def _key(event: type[Event]) -> str:
    return " / ".join(f"`{name}`" for name in event.KEY) or "the log partition"


def _family(family: ModuleType) -> list[str]:
    classes = [cls for cls in (*EVENTS, *MESSAGES) if cls.__module__ == family.__name__]
    title = (
        "Between logs and edges" if family is messages else family.__name__.rpartition(".")[2].capitalize()
    )
    return [f"## {title}", docstring(family), *(_entry(cls) for cls in classes)]


def _entry(cls: type[Any]) -> str:
    number = max(row["id"] for row in published() if row["name"] == cls.__name__)
    lines = [f"Schema {number}, version {cls.VERSION}."]
    if issubclass(cls, Event):
        lines.append(f"Stream key: {_key(cls)}.")
        lines += _where(cls)
    return "\n\n".join(
        [f"### {cls.__name__}", docstring(cls), " ".join(lines), _fields(cls), *_posting_lines(cls)]
    )


def _where(event: type[Event]) -> list[str]:
    places = origins()[event]
    if len(places) == len(LOGS) and len({str(place) for place in places}) == 1:
        return [f"In every log, {places[0]}."]
    return [f"In the log **{place.log}**, {place}." for place in places]


def _posting_lines(cls: type[Any]) -> list[str]:
    return [
        "Posts" + (f" (where {rule.condition})" if rule.condition else "") + ": " + ", ".join(rule.legs) + "."
        for rule in rules_of(cls)
    ]


def _fields(cls: type[Any]) -> str:
    return (
        "Fields: "
        + ", ".join(f"`{field.name}` {_kind(field.name, field.shape)}" for field in fields_of(cls))
        + "."
    )


def _kind(name: str, shape: Shape) -> str:
    match shape.kind:
        case "string":
            return "text"
        case "long":
            return next((unit for ending, unit in _UNITS.items() if f"_{name}".endswith(ending)), "number")
        case "boolean":
            return "yes or no"
        case "bytes":
            return "bytes"
        case "enum":
            return f"[{shape.cls.__name__}](reasons.md#{shape.cls.__name__.lower()})"
        case "record":
            return shape.cls.__name__
        case "list":
            return f"list of {_kind(name, shape.of[0])}"
        case "optional":
            return f"{_kind(name, shape.of[0])} or nothing"
        case "union":
            return "one of " + ", ".join(_kind(name, branch) for branch in shape.of)


def _parts() -> list[type[Part]]:
    found: dict[type[Part], None] = {}
    classes: tuple[type[Any], ...] = (Meta, *EVENTS, *MESSAGES)
    for cls in classes:
        found |= dict.fromkeys(inner for inner in classes_within(cls) if issubclass(inner, Part))
    return [part for part in found if part is not Meta]
