"""The ledger of planted attacks: what a simulated attacker did, in a file beside the input that it is in.

Who plants writes it, and nobody who judges, answers or projects a payment reads it: it is the truth against which
``tallystick risk attacks`` holds what the run made of the attacks.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Refused, Unavailable

SUFFIX: Final = ".attacks.json"


class AttackKind(StrEnum):
    """What an attacker is after."""

    CARD_TESTING = "card_testing"
    """Stolen numbers are tried in bulk: many cards, one device and address, tiny amounts."""
    CARD_TRIAL = "card_trial"
    """One stolen number is tried out: small amounts in one shop, one after the other."""
    STOLEN_CARD = "stolen_card"
    """A card is emptied: a burst of growing purchases at many merchants."""
    ROGUE_MERCHANT = "rogue_merchant"
    """A merchant charges cards whose holders never bought there."""
    ACCOUNT_TAKEOVER = "account_takeover"
    """A card that is known pays from a new device and address with a new e-mail address, and pays much."""


class AttackPayment(msgspec.Struct, frozen=True):
    """A payment that an attacker asked for, at ``at`` (microseconds UTC), of ``amount`` minor units."""

    payment_id: str
    at: int
    amount: int


class Attack(msgspec.Struct, frozen=True):
    """One attack. ``keys`` are what its payments have in common, as the hotlist names them: ``device:dev-…``.

    All its payments are in ``currency`` and in order of time.
    """

    attack_id: str
    kind: AttackKind
    keys: list[str]
    currency: str
    payments: list[AttackPayment]


class AttackLedger(msgspec.Struct, frozen=True):
    """All attacks of an input. ``seed`` is that of the simulated issuers for whom it was made."""

    seed: int
    attacks: list[Attack]
    simulated: bool = True


def beside(input_: Path) -> Path:
    """Where the ledger of an input file lies."""
    return input_.with_name(input_.name + SUFFIX)


def write_ledger(input_: Path, seed: int, attacks: Iterable[Attack]) -> Path | None:
    """Write the ledger of an input; none where nobody attacks, and then none of an earlier input either."""
    path, ledger = beside(input_), AttackLedger(seed, list(attacks))
    try:
        if not ledger.attacks:
            path.unlink(missing_ok=True)
            return None
        path.write_bytes(msgspec.json.format(msgspec.json.encode(ledger)) + b"\n")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    return path


def read_ledger(path: Path) -> AttackLedger:
    """The ledger in a file; Refused where it is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=AttackLedger)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no ledger of attacks: {error}") from error
