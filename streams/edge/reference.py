"""The reference data to start with: read from the package, turned into entries of the ``reference`` topic.

The tables are TOML files in ``infra/reference``. They are found as package data by name, not imported: an edge
knows nothing of how it is wired.
"""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from events.calendar import day_number
from events.errors import Refused
from events.reference import (
    BinTable,
    FeeTable,
    Holidays,
    MerchantTerms,
    NetworkHealth,
    NetworkProfile,
    Reference,
    RulePack,
)
from events.requests import ReferencePublished

PACKAGE: Final = "infra"
FOLDER: Final = "reference"
#: The id of an entry of which there is one for all.
STANDARD: Final = "standard"

_T = TypeVar("_T")


class _Networks(msgspec.Struct, forbid_unknown_fields=True):
    network: list[NetworkProfile]


class _Merchants(msgspec.Struct, forbid_unknown_fields=True):
    merchant: list[MerchantTerms]


class Entry(NamedTuple):
    """One piece of reference data before it has a version."""

    kind: str
    ref_id: str
    content: Reference


def starter(merchants: Iterable[MerchantTerms] | None = None) -> list[Entry]:
    """Everything a processor needs before its first payment, with the dozen merchants or with others."""
    terms = starter_merchants() if merchants is None else merchants
    entries = [
        Entry("bins", STANDARD, starter_bins()),
        *(Entry("network", profile.network, profile) for profile in starter_networks()),
        Entry("fees", STANDARD, _load("fees.toml", FeeTable)),
        Entry("rules", STANDARD, _load("rules.toml", RulePack)),
        *(Entry("holidays", holidays.currency, holidays) for holidays in starter_holidays()),
    ]
    entries += (Entry("merchant", merchant.merchant, merchant) for merchant in terms)
    return entries


def published(entries: Iterable[Entry], first_version: int = 1) -> Iterator[ReferencePublished]:
    """The entries as messages; versions count on from ``first_version``."""
    for version, entry in enumerate(entries, first_version):
        content = msgspec.json.encode(entry.content, order="deterministic")
        yield ReferencePublished(
            entry.kind, entry.ref_id, version, sha256(content).hexdigest(), content.decode()
        )


def health(network: str, *, healthy: bool, note: str) -> Entry:
    """The fact that a network is, or is no longer, fit to be sent to."""
    return Entry("health", network, NetworkHealth(network, healthy, note))


def starter_bins() -> BinTable:
    """Which number ranges belong to which brand."""
    return _load("bins.toml", BinTable)


def starter_networks() -> list[NetworkProfile]:
    """The networks, in the order of the file."""
    return _load("networks.toml", _Networks).network


def starter_merchants() -> list[MerchantTerms]:
    """The merchants, in the order of the file."""
    return _load("merchants.toml", _Merchants).merchant


def starter_holidays() -> list[Holidays]:
    """The bank holidays of each currency."""
    days: dict[str, list[date]] = _load("holidays.toml", dict[str, list[date]])
    return [
        Holidays(currency, tuple(sorted(day_number(day.year, day.month, day.day) for day in of_currency)))
        for currency, of_currency in sorted(days.items())
    ]


def _load(name: str, cls: type[_T]) -> _T:
    try:
        return msgspec.convert(_read(name), cls)
    except msgspec.ValidationError as error:
        raise Refused(f"reference data {name}: {error}") from error


def _read(name: str) -> dict[str, Any]:
    text = files(PACKAGE).joinpath(FOLDER, name).read_text(encoding="utf-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"reference data {name} is not TOML: {error}") from error
