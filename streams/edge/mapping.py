"""What a mapping file (TOML) says of a foreign file: which column, or which SQL expression of DuckDB, is what."""

import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec

from events.errors import Refused, Unavailable
from events.requests import CaptureMode, Channel
from streams.edge.identity import WAIT_MS

LONGEST_WAIT_MS: Final = 10_000
_DIGITS: Final = "0123456789"


class Columns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A column or an SQL expression for each. Times without a zone are UTC; amounts are major units."""

    merchant: str
    card: str
    amount: str
    time: str
    key: str
    currency: str = ""


class CardColumn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the card column holds, and how a name becomes a card id.

    ``numbers`` go through the token vault. ``names`` (customers, households, tokens of somebody else) become card
    ids by a keyed hash of namespace and name: ``vault`` takes a key that only this deployment has, ``namespace``
    the namespace itself, so that everybody gets the same ids: for names that are no secret.
    """

    holds: Literal["names", "numbers"] = "names"
    namespace: str = "import"
    keyed_by: Literal["vault", "namespace"] = "vault"


class Defaults(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What every payment has that the file does not say. ``bin`` and ``last4`` are of cards that are names."""

    currency: str = ""
    channel: Channel = Channel.ECOMMERCE
    capture_mode: CaptureMode = CaptureMode.AUTOMATIC
    producer: str = "import"
    bin: str = "40000000"
    last4: str = "0000"


class Contract(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The terms that every merchant of the file gets; see :class:`~events.reference.MerchantTerms`."""

    mcc: str
    name: str = "{merchant}"
    plan_version: int = 1
    fee_fixed: int = 30
    fee_ppm: int = 29_000
    settlement_days: int = 2
    max_amount: int = 0
    card_count_24h: int = 0


class BuyerColumns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a line says who pays: a column or an SQL expression for each, empty where the file does not say."""

    ip: str = ""
    email: str = ""
    phone: str = ""
    device: str = ""


class IdentitySource(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to ask about buyers: ``recordings``, a JSON file beside the mapping (:mod:`streams.edge.recordings`)."""

    recordings: str
    wait_ms: int = WAIT_MS


class Mapping(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a mapping file says. With ``sum_lines`` the lines of one key are one payment of their sum.

    ``folder`` is where the file stands.
    """

    columns: Columns
    merchants: Contract
    card: CardColumn = CardColumn()
    defaults: Defaults = Defaults()
    sum_lines: bool = False
    buyer: BuyerColumns = BuyerColumns()
    identity: IdentitySource | None = None
    folder: Path = Path()


def read_mapping(path: Path) -> Mapping:
    """The mapping of a TOML file; Refused with the place of the mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"the mapping {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Refused(f"the mapping {path} is not UTF-8") from error
    try:
        said = tomllib.loads(text)
        if "folder" in said:
            raise msgspec.ValidationError("Object contains unknown field `folder`")
        mapping = msgspec.structs.replace(msgspec.convert(said, Mapping), folder=path.parent)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Refused(f"the mapping {path}: {error}") from error
    if not mapping.columns.currency and not mapping.defaults.currency:
        raise Refused(f"the mapping {path} names neither a column nor a default for the currency")
    bin_ = mapping.defaults.bin
    if (
        len(bin_) not in (6, 8)
        or len(mapping.defaults.last4) != 4
        or (bin_ + mapping.defaults.last4).strip(_DIGITS)
    ):
        raise Refused(f"the mapping {path}: bin is 6 or 8 digits, last4 is 4")
    if mapping.identity is not None and not 0 < mapping.identity.wait_ms <= LONGEST_WAIT_MS:
        raise Refused(f"the mapping {path}: identity.wait_ms is from 1 to {LONGEST_WAIT_MS:,}")
    return mapping
