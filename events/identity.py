"""Names that can be computed: ids, slots, partitions, references of the networks.

No id is drawn here and none knows a position in a topic. Whoever holds the merchant and the idempotency
key can compute the payment id, so a capture can name its payment before the answer is in. The one thing
that is random, the card id, is drawn by the vault and only *written* here (:func:`card_id`).

Every id of a card, of a payment and of a network message carries the card's **slot** (0 to 1023) in clear:
a late answer or a dispute notice finds its partition without a look-up, and the number of partitions can
differ between deployments without any id changing.

=============  ============================  ====================================================
card           ``card-0372-<16>``            slot, 80 random bits
payment        ``pay-0372-<16>``             slot of the card, 80 bits of hash(merchant, key)
operation      ``cap-<16>``, ``ref-<16>``    80 bits of hash(prefix, merchant, key)
RRN (DE 37)    ``AC0123456789``              slot in two base-36 digits, ten of hash(payment id)
ARN (DE 31)    23 digits                     slot and serial in the film locator, Luhn digit
=============  ============================  ====================================================

``<16>`` is lower-case Crockford base 32: no i, l, o or u, so nothing is misread on a telephone.
"""

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

from events.calendar import day_of_year
from events.errors import ValidationError

SLOTS: Final = 1024
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
ENTROPY_BYTES: Final = 10
ARN_FORMAT: Final = "7"
ARN_SERIALS: Final = 10_000_000
MASKED: Final = "****"

_CARD_LENGTH: Final = 26
_PAYMENT_LENGTH: Final = 25
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RRN_SPACE: Final = 36**10
_DIGITS: Final = "0123456789"
_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_LETTERS: Final = _LOWER + _LOWER.upper()
_PAN_SHORTEST: Final = 13
_PAN_LONGEST: Final = 19
_WORDS: Final = re.compile(r"([^\W_]+)")
_JOINERS: Final = " -._/\t\u00a0\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2212"
_JOINERS_LONGEST: Final = 3
#: How the digits of a card are grouped in print: by their numbers, for 13 to 19 digits.
_CARD_GROUPS: Final = frozenset(
    {(4, 3, 3, 3), (4, 4, 4, 1), (4, 6, 4), (4, 6, 5), (4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2)}
    | {(4, 4, 4, 4, 3)}
)
_RUN_OF_DIGITS: Final = re.compile(rf"\d(?:[\W_]{{0,3}}\d){{{_PAN_SHORTEST - 1},}}")

# Ten bits at a time: one look-up for two letters, or for four digits of a slot. Eight look-ups write an
# id in 0.34 µs where base64.b32encode with a translation takes 1.27.
_PAIRS: Final[list[str]] = [first + second for first in ALPHABET for second in ALPHABET]
_SLOT_TEXT: Final[list[str]] = [f"{slot:04d}" for slot in range(SLOTS)]
_SLOT_OF_TEXT: Final[dict[str, int]] = {text: slot for slot, text in enumerate(_SLOT_TEXT)}
_RRN_SLOT_TEXT: Final[list[str]] = [_BASE36[slot // 36] + _BASE36[slot % 36] for slot in range(SLOTS)]
_SLOT_OF_RRN_TEXT: Final[dict[str, int]] = {text: slot for slot, text in enumerate(_RRN_SLOT_TEXT)}
_BASE36_PAIRS: Final[list[str]] = [first + second for first in _BASE36 for second in _BASE36]
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


# --- slots and partitions -----------------------------------------------------------------------------


def partition_of_slot(slot: int, partitions: int) -> int:
    """The partition of a slot. Contiguous ranges, so that a slot range can be named in an incident."""
    if not 0 <= slot < SLOTS:
        raise ValidationError("slot", f"{slot} is not between 0 and {SLOTS - 1}")
    if not 1 <= partitions <= SLOTS:
        raise ValidationError("partitions", f"{partitions} is not between 1 and {SLOTS}")
    return slot * partitions // SLOTS


@lru_cache(maxsize=1 << 14)
def slot_of_name(text: str) -> int:
    """The slot of a merchant, an account or a ``merchant/key`` pair: the first ten bits of SHA-256."""
    digest = sha256(text.encode()).digest()
    return (digest[0] << 2) | (digest[1] >> 6)


def partition_of_name(text: str, partitions: int) -> int:
    """The partition that owns a name. Same slot arithmetic as for cards."""
    return partition_of_slot(slot_of_name(text), partitions)


# --- cards and payments -------------------------------------------------------------------------------


def card_id(slot: int, entropy: bytes) -> str:
    """Write a card id from a slot and ten random bytes. Called by the vault, which draws both."""
    if not 0 <= slot < SLOTS:
        raise ValidationError("slot", f"{slot} is not between 0 and {SLOTS - 1}")
    if len(entropy) != ENTROPY_BYTES:
        raise ValidationError("entropy", f"{len(entropy)} bytes where {ENTROPY_BYTES} are needed")
    return f"card-{_SLOT_TEXT[slot]}-{_letters(entropy)}"


def slot_of(card_id: str) -> int:
    """The slot that a card id carries; raises ValidationError when it is not a card id."""
    slot = _SLOT_OF_TEXT.get(card_id[5:9])
    if (
        slot is None
        or len(card_id) != _CARD_LENGTH
        or card_id[:5] != "card-"
        or card_id[9] != "-"
        or card_id[10:].strip(ALPHABET)
    ):
        raise ValidationError("card_id", f"{_safe(card_id)} is not of the form card-0372-<16 letters>")
    return slot


def slot_of_payment(payment_id: str) -> int:
    """The slot that a payment id carries; raises ValidationError when it is not a payment id."""
    slot = _SLOT_OF_TEXT.get(payment_id[4:8])
    if (
        slot is None
        or len(payment_id) != _PAYMENT_LENGTH
        or payment_id[:4] != "pay-"
        or payment_id[8] != "-"
        or payment_id[9:].strip(ALPHABET)
    ):
        raise ValidationError("payment_id", f"{_safe(payment_id)} is not of the form pay-0372-<16 letters>")
    return slot


def payment_id(merchant: str, key: str, card_id: str) -> str:
    """The id of the payment that ``merchant`` asks for under idempotency ``key`` with this card."""
    slot = slot_of(card_id)
    return f"pay-{_SLOT_TEXT[slot]}-{_letters(_digest(merchant, key))}"


def operation_id(prefix: str, merchant: str, key: str) -> str:
    """The id of a capture (``cap``), a refund (``ref``) and the like, asked for under ``key``.

    The prefix takes part in the hash: a capture and a refund under one key share no letters, so nobody
    is tempted to read one id out of another.
    """
    if not 2 <= len(prefix) <= 5 or prefix.strip(_LOWER):
        raise ValidationError("prefix", f"{_safe(prefix)} is not two to five lower-case letters")
    return f"{prefix}-{_letters(_digest(merchant, key, prefix))}"


def check_operation_id(text: str, prefix: str) -> None:
    """Raise ValidationError unless ``text`` is ``<prefix>-<16 letters>``."""
    if (
        len(text) != len(prefix) + 17
        or not text.startswith(prefix)
        or text[-17] != "-"
        or text[-16:].strip(ALPHABET)
    ):
        raise ValidationError("operation_id", f"{_safe(text)} is not of the form {prefix}-<16 letters>")


# --- references of the networks -----------------------------------------------------------------------


@lru_cache(maxsize=1 << 12)
def rrn(payment_id: str) -> str:
    """The retrieval reference number (DE 37) of a payment: slot and hash, never a counter.

    A counter would depend on the order in which cards come, which no two runs share.
    """
    slot = slot_of_payment(payment_id)
    value = int.from_bytes(sha256(payment_id.encode()).digest()[:16], "big") % _RRN_SPACE
    pairs = _BASE36_PAIRS
    value, e = divmod(value, 1296)
    value, d = divmod(value, 1296)
    value, c = divmod(value, 1296)
    a, b = divmod(value, 1296)
    return f"{_RRN_SLOT_TEXT[slot]}{pairs[a]}{pairs[b]}{pairs[c]}{pairs[d]}{pairs[e]}"


def slot_of_rrn(rrn: str) -> int:
    """The slot that a retrieval reference number carries."""
    slot = _SLOT_OF_RRN_TEXT.get(rrn[:2])
    if slot is None or len(rrn) != 12 or rrn.strip(_BASE36):
        raise ValidationError("rrn", f"{_safe(rrn)} is not twelve base-36 characters that start with a slot")
    return slot


def arn(slot: int, serial: int, day_on: int, acquirer_bin: str) -> str:
    """The acquirer reference number of a clearing record.

    One format digit, six of the acquirer's BIN, four of the date (last digit of the year, day of the
    year), eleven of the film locator (four of the slot, seven of the serial), one Luhn digit. ``serial``
    is unique per slot and day; ``day_on`` counts from 1970-01-01.
    """
    if not 0 <= slot < SLOTS:
        raise ValidationError("slot", f"{slot} is not between 0 and {SLOTS - 1}")
    if not 0 <= serial < ARN_SERIALS:
        raise ValidationError("serial", f"{serial} does not fit into seven digits")
    if len(acquirer_bin) != 6 or acquirer_bin.strip(_DIGITS):
        raise ValidationError("acquirer_bin", f"{_safe(acquirer_bin)} is not six digits")
    year, day = day_of_year(day_on)
    digits = f"{ARN_FORMAT}{acquirer_bin}{year % 10}{day:03d}{_SLOT_TEXT[slot]}{serial:07d}"
    return digits + _luhn_digit(digits)


def slot_of_arn(arn: str) -> int:
    """The slot that an acquirer reference number of ours carries."""
    slot = _SLOT_OF_TEXT.get(arn[11:15])
    if slot is None or len(arn) != 23 or arn.strip(_DIGITS) or not luhn_ok(arn):
        raise ValidationError("arn", f"{_safe(arn)} is not 23 digits with a slot and a Luhn digit")
    return slot


# --- card numbers -------------------------------------------------------------------------------------


def luhn_ok(digits: str) -> bool:
    """Whether a text of decimal digits passes the Luhn check. Anything but digits does not."""
    if not digits or digits.strip(_DIGITS):
        return False
    plain = sum(map(int, digits[-1::-2]))
    return (plain + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def looks_like_pan(text: str) -> bool:
    """Whether ``text`` holds what may be a card number: 13 to 19 digits that pass Luhn.

    Digits may stand in groups with blanks or dashes between, and letters may stand before the first or
    behind the last (``PAN4111…``). With dots, underscores and the like between, the groups have to be those of a
    card (``4111.1111.1111.1111``): ids and times of day are written so, too, and every tenth passes Luhn. Digits
    *among* letters are not a number: every ninth SHA-256 in hex has thirteen digits in a row. A longer unbroken
    run (an ARN has 23) is not a number either, but a run of groups is searched for one: ``4111 1111 1111 1111
    2027`` holds a card number and a year.
    """
    if sum(map(str.isdecimal, text)) < _PAN_SHORTEST:
        return False
    if not text.isascii():
        # Full-width and Arabic digits are digits too: int() reads them, so would a thief.
        text = "".join(str(int(letter)) if letter.isdecimal() else letter for letter in text)
    # Groups of digits, and whether something else than blanks and dashes stands before each.
    groups: list[tuple[str, bool]] = []
    gap, *parts = _WORDS.split(text)
    for word, following in zip(parts[::2], parts[1::2], strict=True):
        plain = not gap.strip(" -")
        if not plain and (gap.strip(_JOINERS) or len(gap) > _JOINERS_LONGEST):
            groups.clear()
        gap = following
        bare = word.strip(_LETTERS)
        if not bare or bare.strip(_DIGITS):
            groups.clear()
            continue
        if not word[0].isdecimal():
            groups.clear()
        groups.append((bare, not plain))
        if _ends_with_pan(groups):
            return True
        if not word[-1].isdecimal():
            groups.clear()
        elif len(groups) > _PAN_LONGEST:
            del groups[0]
    return False


def covered(text: str) -> str:
    """A text of somebody else, fit to be seen: every digit that may be part of a card number is a ``*``.

    Wider than :func:`looks_like_pan`, which must not refuse good requests: any 13 to 19 digits that pass Luhn, with
    at most three characters that are neither letters nor digits between two of them.
    """
    return _RUN_OF_DIGITS.sub(lambda found: _covered_run(found[0]), text)


def mask(text: str) -> str:
    """A card number fit to be seen: first six and last four, the last four alone when it is short.

    Fails closed: whatever is not exactly one card number prints as ``****``, with no digit of it.
    """
    digits = text.replace(" ", "").replace("-", "")
    if not _PAN_SHORTEST <= len(digits) <= _PAN_LONGEST or not luhn_ok(digits):
        return MASKED
    shown = 6 if len(digits) >= 15 else 0
    return digits[:shown] + "*" * (len(digits) - shown - 4) + digits[-4:]


def _ends_with_pan(groups: list[tuple[str, bool]]) -> bool:
    """Whether the last groups, joined, are a card number."""
    joined, joined_otherwise = "", False
    lengths: list[int] = []
    for digits, otherwise in reversed(groups):
        joined = digits + joined
        lengths.insert(0, len(digits))
        if len(joined) > _PAN_LONGEST:
            return False
        fits = not joined_otherwise or tuple(lengths) in _CARD_GROUPS
        if len(joined) >= _PAN_SHORTEST and fits and luhn_ok(joined):
            return True
        joined_otherwise = joined_otherwise or otherwise
    return False


def _covered_run(run: str) -> str:
    places = [place for place, letter in enumerate(run) if letter.isdecimal()]
    digits = "".join(str(int(run[place])) for place in places)
    letters = list(run)
    for start in range(len(digits) - _PAN_SHORTEST + 1):
        for end in range(start + _PAN_SHORTEST, min(start + _PAN_LONGEST, len(digits)) + 1):
            if luhn_ok(digits[start:end]):
                for place in places[start:end]:
                    letters[place] = "*"
    return "".join(letters)


def _luhn_digit(digits: str) -> str:
    """The digit that makes ``digits`` pass the Luhn check when it is put behind."""
    total = sum(map(int, digits[-2::-2])) + sum(_DOUBLED[int(digit)] for digit in digits[-1::-2])
    return str(-total % 10)


def _safe(text: str) -> str:
    """A refused text for a message: short, and masked when a card number came where an id belongs."""
    return MASKED if looks_like_pan(text) else repr(text[:40])


def _digest(merchant: str, key: str, prefix: str = "") -> bytes:
    """The first 80 bits of SHA-256 over the parts, each behind its length: ("ab", "c") is not ("a", "bc")."""
    if not merchant:
        raise ValidationError("merchant", "is empty")
    if not key:
        raise ValidationError("idempotency_key", "is empty")
    first, second = merchant.encode(), key.encode()
    hashed = sha256(len(first).to_bytes(4, "big") + first + len(second).to_bytes(4, "big") + second)
    if prefix:
        third = prefix.encode()
        hashed.update(len(third).to_bytes(4, "big") + third)
    return hashed.digest()[:ENTROPY_BYTES]


def _letters(ten_bytes: bytes) -> str:
    """Eighty bits in sixteen base-32 letters."""
    bits = int.from_bytes(ten_bytes, "big")
    pairs = _PAIRS
    return (
        f"{pairs[bits >> 70]}{pairs[bits >> 60 & 1023]}{pairs[bits >> 50 & 1023]}{pairs[bits >> 40 & 1023]}"
        f"{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
