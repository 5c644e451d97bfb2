"""What an identity provider says of a buyer: coarse, and recorded with the request, so that no replay asks anybody.

It is asked where a card number is exchanged for its token (:mod:`streams.edge.identity`), by surrogates of what the
producer knows. None of it says who the buyer is: a place is that of a town, an e-mail address and a telephone number
are an age and a score.
"""

from enum import StrEnum
from typing import Final

from events.base import Part

NOT_KNOWN: Final = -1
"""In a number of which nothing is known."""


class ProviderAnswer(StrEnum):
    """How a provider answered. In all but the first case nothing is known, and the payment goes on without it."""

    GIVEN = "given"
    """It said what it knows."""
    NEVER_SEEN = "never_seen"
    """It knows nothing of this buyer."""
    LATE = "late"
    """It said nothing within the time that a payment can wait."""
    GARBLED = "garbled"
    """What it said cannot be true: it was thrown away whole."""


class Connection(StrEnum):
    """What an internet address belongs to."""

    NOT_KNOWN = "not_known"
    """Nobody knows."""
    CONSUMER = "consumer"
    """A household's line or a mobile network."""
    ORGANIZATION = "organization"
    """A company, a school, an office of the state."""
    HOSTING = "hosting"
    """A data centre: programs live there, and so do many private networks' ends."""
    PROXY = "proxy"
    """A proxy or the end of a private network: the buyer is elsewhere."""
    TOR = "tor"
    """An exit of the Tor network: the buyer is elsewhere."""


class IdentitySignals(Part, frozen=True):
    """What ``provider`` said of a payment's buyer. -1 stands for a number that is not known, as does one out of range.

    ``country`` (ISO 3166-1, two letters, empty where not known), ``latitude`` and ``longitude`` (hundredths of a
    degree, north and east) are where the internet address is, within ``accuracy_km``; where that is -1 there is no
    place. Risks go from 0 (good) to 100; ``email_age_days`` is since the address was first seen anywhere.
    """

    provider: str
    answer: ProviderAnswer
    country: str = ""
    latitude: int = 0
    longitude: int = 0
    accuracy_km: int = NOT_KNOWN
    connection: Connection = Connection.NOT_KNOWN
    ip_risk: int = NOT_KNOWN
    email_age_days: int = NOT_KNOWN
    email_risk: int = NOT_KNOWN
    email_disposable: bool | None = None
    phone_risk: int = NOT_KNOWN
