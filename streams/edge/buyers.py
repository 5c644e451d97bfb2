"""Who pays in a foreign file: surrogates for what it says of them, and what an identity provider says.

Where the card number becomes a token, the internet address, the e-mail address, the telephone number and the device
become surrogates: a keyed hash of 48 bits each, of the value in lower case without blanks around it. The values
themselves go to the provider, if the mapping names one, and nowhere else.
"""

from pathlib import Path
from typing import Final, NamedTuple

from events.signals import IdentitySignals
from streams.edge.identity import Bounded, Buyer, signals_of
from streams.edge.mapping import BuyerColumns, Mapping
from streams.edge.recordings import RecordedProvider, read_recordings
from streams.edge.vault import load_key, surrogate

COLUMNS: Final = BuyerColumns.__struct_fields__
"""What a file may say, in the order of :class:`~streams.edge.identity.Buyer`."""

_PREFIXES: Final = ("ip", "mail", "tel", "dev")
#: Twelve hexadecimal digits: a thirteenth, and some would look like a card number.
_SURROGATE_BYTES: Final = 6


class Introduced(NamedTuple):
    """What a request says of who pays."""

    ip_ref: str = ""
    email_ref: str = ""
    phone_ref: str = ""
    device_ref: str = ""
    signals: IdentitySignals | None = None


NOBODY: Final = Introduced()


class Buyers:
    """Introduces the buyers of one file."""

    def __init__(self, mapping: Mapping, keys: Path) -> None:
        said = any(getattr(mapping.buyer, column) for column in COLUMNS)
        self._key = load_key(keys, "surrogates") if said else b""
        self._provider: Bounded | None = None
        if mapping.identity is not None:
            recordings = read_recordings(mapping.folder / mapping.identity.recordings)
            self._provider = Bounded(RecordedProvider(recordings))
            self._wait_ms = mapping.identity.wait_ms

    def introduce(self, buyer: Buyer) -> Introduced:
        """The surrogates of a buyer and what is known of them. A provider is asked about the values themselves."""
        if not any(buyer):
            return NOBODY
        plain = Buyer(*(value.strip().lower() for value in buyer))
        ip, email, phone, device = map(self._ref, _PREFIXES, plain)
        said = None if self._provider is None else signals_of(self._provider, plain, self._wait_ms)
        return Introduced(ip, email, phone, device, said)

    def _ref(self, prefix: str, value: str) -> str:
        return f"{prefix}-{surrogate(self._key, prefix, value)[:_SURROGATE_BYTES].hex()}" if value else ""
