"""Who is it that pays? A provider is asked where a card number is exchanged for its token, and never again.

A :class:`Provider` answers in JSON, in a form that is ours: a provider of somebody's gets an adapter that speaks it ::

    {
        "ip": {
            "country": "PT",
            "latitude": 38.72,
            "longitude": -9.14,
            "accuracy_km": 20,
            "connection": "consumer",
            "risk": 4,
        },
        "email": {"age_days": 2900, "risk": 2, "disposable": false},
        "phone": {"risk": 1},
    }

Every member may be missing or null. Degrees are decimal, risks 0 to 100, connections those of
:class:`~events.signals.Connection`. What comes of it is recorded with the request (:mod:`events.signals`), so the core
asks nobody and a replay needs no provider.

A payment never waits for longer than it was said, and never fails for what a provider does: where it is silent, broken
or talks nonsense nothing is known. Places are told to a hundredth of a degree and never as if they were known better
than to :data:`NEAREST_KM`: a town is enough to see a traveller, and a house is nobody's business.
"""

from decimal import Decimal
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Annotated, Final, NamedTuple, Protocol

import msgspec

from events.signals import NOT_KNOWN, Connection, IdentitySignals, ProviderAnswer
from streams.features.earth import HALF_WAY_ROUND_KM
from streams.features.identity import OLDEST_DAYS, WORST
from streams.features.rules.types import COUNTRIES

WAIT_MS: Final = 200
"""How long a payment waits for an answer, unless somebody says otherwise."""
MOST_AT_ONCE: Final = 8
"""Questions that may be without an answer; while there are so many, nobody else waits."""
NEAREST_KM: Final = 5
LONGEST_ANSWER: Final = 4_096
"""Bytes of an answer. None has a tenth of it."""

_HUNDREDTHS: Final = 100


class Buyer(NamedTuple):
    """What a producer knows of who pays, each empty where it knows nothing: what its provider is asked about.

    In clear where the producer has it in clear, surrogates where it has no more. It prints as nothing, and goes nowhere
    but to the provider.
    """

    ip: str = ""
    email: str = ""
    phone: str = ""
    device: str = ""

    def __repr__(self) -> str:
        return f"Buyer({sum(map(bool, self))} known)"


class LateError(Exception):
    """A provider has not answered in time, and will not be heard any more."""


class Provider(Protocol):
    """Somebody who knows about internet addresses, e-mail addresses and telephones.

    Called once for each payment that has any of them, by whoever exchanges card numbers for tokens. Nothing of it is
    kept: after a crash the same payment may be asked about again.
    """

    name: str

    def ask(self, buyer: Buyer, within_ms: int) -> bytes | None:
        """The answer as JSON, None for a buyer of whom nothing is known.

        Raises LateError where it takes longer than ``within_ms``; a provider may raise anything else as well.
        """
        ...


def signals_of(provider: Provider, buyer: Buyer, within_ms: int = WAIT_MS) -> IdentitySignals | None:
    """What is recorded of a buyer; None where there is nothing to ask about. Raises nothing."""
    if not (buyer.ip or buyer.email or buyer.phone):
        return None
    try:
        answer = provider.ask(buyer, within_ms)
    except Exception:  # noqa: BLE001 - whatever goes wrong at somebody else's, the payment goes on without it
        return IdentitySignals(provider.name, ProviderAnswer.LATE)
    if answer is None:
        return IdentitySignals(provider.name, ProviderAnswer.NEVER_SEEN)
    return _understood(provider.name, answer)


# --- what an answer says ------------------------------------------------------------------------------

_Risk = Annotated[int, msgspec.Meta(ge=0, le=WORST)]


class AboutAddress(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of an internet address. A place has all three of its numbers."""

    country: str | None = None
    latitude: Decimal | None = None
    longitude: Decimal | None = None
    accuracy_km: Annotated[int, msgspec.Meta(ge=0, le=HALF_WAY_ROUND_KM)] | None = None
    connection: Connection = Connection.NOT_KNOWN
    risk: _Risk | None = None


class AboutEmail(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of an e-mail address."""

    age_days: Annotated[int, msgspec.Meta(ge=0, le=OLDEST_DAYS)] | None = None
    risk: _Risk | None = None
    disposable: bool | None = None


class AboutPhone(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of a telephone number."""

    risk: _Risk | None = None


class Answer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A whole answer."""

    ip: AboutAddress | None = None
    email: AboutEmail | None = None
    phone: AboutPhone | None = None


def _understood(name: str, answer: bytes) -> IdentitySignals:
    try:
        if len(answer) > LONGEST_ANSWER:
            raise ValueError("it is too long")
        said = msgspec.json.decode(answer, type=Answer)
        place = _place(said.ip)
    except (ValueError, TypeError, ArithmeticError):
        return IdentitySignals(name, ProviderAnswer.GARBLED)
    address, email, phone = said.ip or AboutAddress(), said.email or AboutEmail(), said.phone or AboutPhone()
    return IdentitySignals(
        name,
        ProviderAnswer.GIVEN,
        address.country or "",
        *place,
        address.connection,
        _or_not_known(address.risk),
        _or_not_known(email.age_days),
        _or_not_known(email.risk),
        email.disposable,
        _or_not_known(phone.risk),
    )


def _place(said: AboutAddress | None) -> tuple[int, int, int]:
    """Latitude, longitude and accuracy; ValueError for a country or a place that cannot be."""
    if said is None:
        return 0, 0, NOT_KNOWN
    if said.country is not None and said.country not in COUNTRIES:
        raise ValueError("there is no such country")
    if said.latitude is None or said.longitude is None or said.accuracy_km is None:
        return 0, 0, NOT_KNOWN
    if not (abs(said.latitude) <= 90 and abs(said.longitude) <= 180):
        raise ValueError("there is no such place")
    north, east = (round(degrees * _HUNDREDTHS) for degrees in (said.latitude, said.longitude))
    return north, east, max(NEAREST_KM, said.accuracy_km)


def _or_not_known(value: int | None) -> int:
    return NOT_KNOWN if value is None else value


# --- a bounded wait -----------------------------------------------------------------------------------


class Bounded:
    """A provider that is given up when its time is over, whether it keeps time itself or not.

    An answer that comes later is thrown away. At most :data:`MOST_AT_ONCE` questions are open: a provider that hangs
    costs a payment nothing once it has so many.
    """

    def __init__(self, provider: Provider) -> None:
        self.name = provider.name
        self._provider = provider
        self._free = BoundedSemaphore(MOST_AT_ONCE)

    def ask(self, buyer: Buyer, within_ms: int) -> bytes | None:
        """As the provider answers; LateError when the time is over, or when too many questions are open."""
        if not self._free.acquire(blocking=False):
            raise LateError
        answers: SimpleQueue[bytes | Exception | None] = SimpleQueue()

        def call() -> None:
            try:
                answers.put(self._provider.ask(buyer, within_ms))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                answers.put(error)
            finally:
                self._free.release()

        # A daemon: a process may end while somebody else still thinks.
        Thread(target=call, name=f"asking {self.name}", daemon=True).start()
        try:
            answer = answers.get(timeout=within_ms / 1_000)
        except Empty:
            raise LateError from None
        if isinstance(answer, Exception):
            raise answer
        return answer
