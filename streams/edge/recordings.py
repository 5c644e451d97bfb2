"""An identity provider made of recordings, and one that knows everybody on a simulated day. Both say that they are.

A file of recordings (JSON, ``infra/reference/identity.json`` is one) has answers by what is asked about, as
:mod:`streams.edge.identity` has them: an internet address, an e-mail address, a telephone number, or the surrogate of
one. What is listed as ``late`` or ``garbled`` is answered so. Who is in none of it was never seen.
"""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Refused, Unavailable
from events.requests import InputRow, PaymentRequest
from events.signals import Connection
from streams.edge import reference
from streams.edge.dice import MILLION, between, chance, weighted
from streams.edge.identity import (
    WAIT_MS,
    AboutAddress,
    AboutEmail,
    AboutPhone,
    Answer,
    Buyer,
    LateError,
    signals_of,
)
from streams.features.bins import blocks_of, range_of
from streams.features.rules.types import COUNTRIES

PACKAGE: Final = "infra"
FOLDER: Final = "reference"
FILE: Final = "identity.json"

_WRITER: Final = msgspec.json.Encoder(decimal_format="number")
_HALF_OF_IT: Final = b'{"ip": {"country": "P'


class Recordings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a file of recordings holds. ``towns`` and ``far_away`` are places by country, for simulated days."""

    about: str
    name: str
    ip: dict[str, AboutAddress] = {}
    email: dict[str, AboutEmail] = {}
    phone: dict[str, AboutPhone] = {}
    late: list[str] = []
    garbled: list[str] = []
    towns: dict[str, list[AboutAddress]] = {}
    far_away: dict[str, list[AboutAddress]] = {}


def read_recordings(path: Path) -> Recordings:
    """The recordings of a file; Unavailable where it cannot be read, Refused where it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the recordings {path} cannot be read: {error.strerror}") from error
    return _recordings(data, str(path))


@lru_cache(maxsize=1)
def starter_recordings() -> Recordings:
    """Those of the package."""
    return _recordings((files(PACKAGE) / FOLDER / FILE).read_bytes(), FILE)


def _recordings(data: bytes, name: str) -> Recordings:
    try:
        found = msgspec.json.decode(data, type=Recordings)
    except ValueError as error:
        raise Refused(f"{name} has no recordings: {error}") from None
    if strange := (found.towns.keys() | found.far_away.keys()).difference(COUNTRIES):
        raise Refused(f"{name}: there is no country {min(strange)}")
    return found


class RecordedProvider:
    """A :class:`~streams.edge.identity.Provider` that answers what was recorded."""

    def __init__(self, recordings: Recordings) -> None:
        self.name = recordings.name
        self._recordings = recordings
        self._late, self._garbled = frozenset(recordings.late), frozenset(recordings.garbled)

    def ask(self, buyer: Buyer, within_ms: int) -> bytes | None:
        """The recording of each thing that is known of the buyer; what is recorded as late takes longer than any."""
        if not self._late.isdisjoint(buyer):
            raise LateError
        if not self._garbled.isdisjoint(buyer):
            return _HALF_OF_IT
        known = self._recordings
        answer = Answer(known.ip.get(buyer.ip), known.email.get(buyer.email), known.phone.get(buyer.phone))
        return None if answer == Answer() else _WRITER.encode(answer)


# --- a day on which everybody is known ----------------------------------------------------------------

Shares = tuple[tuple[Connection, int], ...]

#: Of simulated buyers, in millionths: the provider is late, talks nonsense, has never heard of them.
LATE: Final = 4_000
GARBLED: Final = 1_000
NEVER_SEEN: Final = 20_000
#: How simulated buyers come to the internet.
CONNECTIONS: Final[Shares] = (
    (Connection.CONSUMER, 925_000),
    (Connection.ORGANIZATION, 50_000),
    (Connection.PROXY, 18_000),
    (Connection.HOSTING, 5_000),
    (Connection.TOR, 2_000),
)
#: And thieves: most hide, and some are careless.
HIDING: Final[Shares] = (
    (Connection.CONSUMER, 600_000),
    (Connection.HOSTING, 250_000),
    (Connection.PROXY, 150_000),
)
DISPOSABLE: Final = 4_000
OLDEST_DAYS: Final = 5_000
ELSEWHERE: Final = "US"
"""Where those are from whose country has no town here."""

_OPEN: Final = (Connection.CONSUMER, Connection.ORGANIZATION)


class SimulatedProvider:
    """What an identity provider would say on a simulated day: a function of the seed and of the surrogates alone.

    An address is in a town of its holder's country (:meth:`settle`); a thief's is far away (:meth:`haunt`), and what
    comes from there has a fresh e-mail address and a bad name.
    """

    def __init__(self, seed: int, recordings: Recordings) -> None:
        self.name = recordings.name
        self._seed = seed
        self._recordings = recordings
        self._countries: dict[str, str] = {}
        self._haunted: set[str] = set()

    def settle(self, ip_ref: str, country: str) -> None:
        """Say where an address is, unless somebody has."""
        self._countries.setdefault(ip_ref, country)

    def haunt(self, ip_ref: str) -> None:
        """Say that an address is a thief's."""
        self._haunted.add(ip_ref)

    def ask(self, buyer: Buyer, within_ms: int) -> bytes | None:
        """As a provider answers; its faults are the buyer's, so they come again with every question."""
        thief = buyer.ip in self._haunted
        drawn = MILLION if thief else chance(self._seed, "provider", *buyer)
        if drawn < LATE:
            raise LateError
        if drawn < LATE + GARBLED:
            return _HALF_OF_IT
        if drawn < LATE + GARBLED + NEVER_SEEN:
            return None
        return _WRITER.encode(
            Answer(
                self._address(buyer.ip, thief) if buyer.ip else None,
                self._email(buyer.email, thief) if buyer.email else None,
                self._phone(buyer.phone, thief) if buyer.phone else None,
            )
        )

    def _address(self, ip_ref: str, thief: bool) -> AboutAddress:
        drawn = chance(self._seed, "address", ip_ref)
        if thief:
            countries = sorted(self._recordings.far_away)
            country = countries[drawn % len(countries)]
            towns, connections = self._recordings.far_away[country], HIDING
        else:
            country = self._countries.get(ip_ref, ELSEWHERE)
            country = country if country in self._recordings.towns else ELSEWHERE
            towns, connections = self._recordings.towns[country], CONNECTIONS
        connection = weighted(chance(self._seed, "connection", ip_ref), connections)
        town = towns[drawn // 10 % len(towns)]
        return AboutAddress(
            country,
            town.latitude,
            town.longitude,
            between(drawn, 5, 50),
            connection,
            between(drawn, 55, 95) if thief else between(drawn, 0, 15) + 35 * (connection not in _OPEN),
        )

    def _email(self, email_ref: str, thief: bool) -> AboutEmail:
        drawn = chance(self._seed, "e-mail", email_ref)
        if thief:
            return AboutEmail(drawn % 6, between(drawn, 60, 98), drawn % 2 == 0)
        disposable = drawn < DISPOSABLE
        return AboutEmail(
            0 if disposable else between(drawn, 20, OLDEST_DAYS), between(drawn, 0, 20), disposable
        )

    def _phone(self, phone_ref: str, thief: bool) -> AboutPhone:
        drawn = chance(self._seed, "telephone", phone_ref)
        return AboutPhone(between(drawn, 60, 98) if thief else between(drawn, 0, 15))


class Introduced:
    """The payments of a simulated day with what the provider says of their buyers, as a publishing edge fills it in."""

    def __init__(self, seed: int) -> None:
        self.provider = SimulatedProvider(seed, starter_recordings())
        self._bins = blocks_of(reference.starter_bins().ranges)

    def row(self, row: InputRow) -> InputRow:
        """A row, its payment introduced. Whose signals are there already keeps them."""
        request = row.entry
        if not isinstance(request, PaymentRequest) or request.signals is not None:
            return row
        buyer = Buyer(request.ip_ref, request.email_ref, request.phone_ref, request.device_ref)
        if buyer.ip:
            issued = range_of(self._bins, request.bin)
            self.provider.settle(buyer.ip, issued.country if issued is not None else ELSEWHERE)
        said = signals_of(self.provider, buyer, WAIT_MS)
        if said is None:
            return row
        return InputRow(row.ingested_at, msgspec.structs.replace(request, signals=said))
