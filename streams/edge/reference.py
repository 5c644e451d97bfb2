"""The reference data to start with: read from the package, turned into entries of the ``reference`` topic.

The tables are TOML files in ``infra/reference``. They are found as package data by name, not imported: an edge
knows nothing of how it is wired.
"""

import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from hashlib import sha256
from importlib.resources import as_file, files
from typing import Any, Final, TypeVar

import msgspec

from events.calendar import day_number
from events.errors import Refused
from events.reference import (
    BinTable,
    DisputeProgrammes,
    FeeTable,
    Holidays,
    MerchantTerms,
    NetworkHealth,
    NetworkProfile,
    ReconciliationTerms,
    ReviewQueues,
    SettlementTerms,
    VelocityLimits,
)
from events.requests import ReferencePublished
from streams.edge.entries import STANDARD as STANDARD
from streams.edge.entries import Entry as Entry
from streams.edge.rulefiles import entries_to_publish, read_file

PACKAGE: Final = "infra"
FOLDER: Final = "reference"

_T = TypeVar("_T")


class _Networks(msgspec.Struct, forbid_unknown_fields=True):
    network: list[NetworkProfile]


class _Merchants(msgspec.Struct, forbid_unknown_fields=True):
    merchant: list[MerchantTerms]


class _Settlement(msgspec.Struct, forbid_unknown_fields=True):
    terms: list[SettlementTerms]


def starter(
    merchants: Iterable[MerchantTerms] | None = None, settlement: Iterable[SettlementTerms] = ()
) -> list[Entry]:
    """Everything a processor needs before its first payment, with the dozen merchants or with others.

    ``settlement`` are the terms of others; the dozen have theirs.
    """
    terms = starter_merchants() if merchants is None else merchants
    settlement = starter_settlement() if merchants is None else settlement
    entries = [
        Entry("bins", STANDARD, starter_bins()),
        *(Entry("network", profile.network, profile) for profile in starter_networks()),
        Entry("fees", STANDARD, _load("fees.toml", FeeTable)),
        *starter_rules(),
        Entry("queues", STANDARD, _load("queues.toml", ReviewQueues)),
        Entry("velocity", STANDARD, starter_limits()),
        Entry("programmes", STANDARD, starter_programmes()),
        *(Entry("holidays", holidays.currency, holidays) for holidays in starter_holidays()),
        Entry("reconciliation", STANDARD, _load("reconciliation.toml", ReconciliationTerms)),
    ]
    entries += (Entry("merchant", merchant.merchant, merchant) for merchant in terms)
    entries += (Entry("settlement", _settlement_id(one), one) for one in settlement)
    return entries


def _settlement_id(terms: SettlementTerms) -> str:
    return f"{terms.merchant}/{terms.currency}" if terms.currency else terms.merchant


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


def starter_limits() -> VelocityLimits:
    """The house's limits over all cards."""
    return _load("velocity.toml", VelocityLimits)


def starter_rules() -> list[Entry]:
    """The house's rules, and the lists that they name."""
    with as_file(files(PACKAGE).joinpath(FOLDER, "rules.toml")) as path:
        return entries_to_publish(read_file(path))


def starter_merchants() -> list[MerchantTerms]:
    """The merchants, in the order of the file."""
    return _load("merchants.toml", _Merchants).merchant


def starter_settlement() -> list[SettlementTerms]:
    """The terms of merchants who are not paid whole every business day."""
    return _load("settlement.toml", _Settlement).terms


def starter_programmes() -> DisputeProgrammes:
    """The networks' programmes against disputes."""
    written = _read("programmes.toml")
    for programme in written["programmes"]:
        for name in ("from_on", "until_on"):
            day: date = programme[name]
            programme[name] = day_number(day.year, day.month, day.day)
    try:
        return msgspec.convert(written, DisputeProgrammes)
    except msgspec.ValidationError as error:
        raise Refused(f"reference data programmes.toml: {error}") from error


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
