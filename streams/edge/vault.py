"""The vault: the keys of a deployment, seals for what must not be read, tokens for card numbers.

* **Body MACs.** Two bodies under one idempotency key are compared by HMAC-SHA-256, so that a log can say "the
  same" or "another" and nobody can guess a body from what it says.
* **Seals.** A dead letter may hold a card number, so its bytes are sealed to a public key: an ephemeral X25519
  exchange, HKDF-SHA256, AES-256-GCM. Whoever seals cannot open; the private key may lie elsewhere.
* **Tokens.** A card number rests here alone, encrypted, beside the card id that stands for it everywhere else.
  The id is drawn at random, once; the number is found again by an HMAC with a key of its own.

Keys are files of one folder, readable by their owner alone. No text of this module (a name, an error, a ``repr``)
holds a card number or a key.
"""

import hmac
import json
import os
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import randbelow, token_bytes
from typing import Final, NamedTuple, NoReturn

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from events.errors import Refused, Unavailable, ValidationError
from events.identity import ENTROPY_BYTES, SLOTS, card_id, luhn_ok, mask
from events.requests import PaymentRequest, Request
from streams.hosts.admission import Keys

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

SEAL_MAGIC: Final = b"TSEAL\x01"
"""What a sealed text begins with; the last byte is the version of the form."""
SEAL_HEADER: Final = len(SEAL_MAGIC) + KEY_ID_BYTES + KEY_BYTES

SHORTEST_PAN: Final = 13
LONGEST_PAN: Final = 19


# --- keys ---------------------------------------------------------------------------------------------


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    purpose: str
    key: str


def load_key(folder: Path, purpose: str) -> bytes:
    """The key of a purpose: 32 random bytes, drawn when it is first asked for and then kept for good.

    Two processes that ask at once get the same key: it appears under its name whole, and only once.
    """
    path = folder / f"{purpose}.key"
    try:
        if not path.exists():
            _draw_key(path, purpose)
        data = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the key file {path} cannot be had: {error.strerror}") from error
    try:
        kept = msgspec.json.decode(data, type=_KeyFile)
        key = b64decode(kept.key, validate=True)
    except ValueError:
        _not_a_key(path)
    if kept.version != 1 or kept.purpose != purpose or len(key) != KEY_BYTES:
        _not_a_key(path)
    return key


def _draw_key(path: Path, purpose: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {"version": 1, "purpose": purpose, "key": b64encode(token_bytes(KEY_BYTES)).decode()}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first, and its key counts
            os.link(unfinished, path)
    finally:
        unfinished.unlink()


def _not_a_key(path: Path) -> NoReturn:
    # Not "from error": what stood in the file may be half a key.
    raise Refused(f"{path} is not a key file; restore it, for without its key the log cannot go on") from None


def key_id(purpose: str, public: bytes) -> str:
    """The name of a key in logs: its purpose and a hash of what anybody may know of it."""
    return f"{purpose}-{sha256(public).hexdigest()[: 2 * KEY_ID_BYTES]}"


def open_keys(folder: Path) -> Keys:
    """The keys of a deployment, drawn on first use; what the engine needs of them as functions."""
    mac_key = load_key(folder, "body-mac")
    private = X25519PrivateKey.from_private_bytes(load_key(folder, "seal"))
    public = private.public_key()

    def mac(request: Request) -> str:
        return body_mac(mac_key, request)

    def seal_to_vault(data: bytes) -> bytes:
        return seal(public, data)

    # A MAC of a constant tells two keys apart and says nothing about either.
    mac_name = key_id("body-mac", hmac.digest(mac_key, b"tallystick key id", "sha256"))
    return Keys(mac_name, mac, key_id("seal", public.public_bytes_raw()), seal_to_vault)


def body_mac(key: bytes, request: Request) -> str:
    """The keyed hash of a request, hexadecimal. Covers every field that was asked for, the kind of request among them.

    What an identity provider said is not: asked again it may say another thing of the same request.
    """
    if isinstance(request, PaymentRequest) and request.signals is not None:
        request = msgspec.structs.replace(request, signals=None)
    return hmac.digest(key, msgspec.json.encode(request, order="deterministic"), "sha256").hex()


# --- seals --------------------------------------------------------------------------------------------


def seal(public: X25519PublicKey, data: bytes) -> bytes:
    """Seal bytes to a public key: magic, version, key id, ephemeral public key, then the ciphertext and its tag."""
    ephemeral = X25519PrivateKey.generate()
    recipient = public.public_bytes_raw()
    header = (
        SEAL_MAGIC + sha256(recipient).digest()[:KEY_ID_BYTES] + ephemeral.public_key().public_bytes_raw()
    )
    key, nonce = _derive(ephemeral.exchange(public), header, recipient)
    return header + AESGCM(key).encrypt(nonce, data, header)


def unseal(private: X25519PrivateKey, sealed: bytes) -> bytes:
    """What was sealed; ValidationError where the bytes are no seal, were changed, or are for another key."""
    header, ciphertext = sealed[:SEAL_HEADER], sealed[SEAL_HEADER:]
    if len(ciphertext) < TAG_BYTES or not header.startswith(SEAL_MAGIC):
        raise ValidationError("sealed", "is not a seal of version 1")
    recipient = private.public_key().public_bytes_raw()
    named = header[len(SEAL_MAGIC) : len(SEAL_MAGIC) + KEY_ID_BYTES]
    if not hmac.compare_digest(named, sha256(recipient).digest()[:KEY_ID_BYTES]):
        raise ValidationError("sealed", f"is for the key seal-{named.hex()}")
    ephemeral = X25519PublicKey.from_public_bytes(header[-KEY_BYTES:])
    try:
        key, nonce = _derive(private.exchange(ephemeral), header, recipient)
        return AESGCM(key).decrypt(nonce, ciphertext, header)
    except (InvalidTag, ValueError):
        raise ValidationError("sealed", "was changed since it was sealed") from None


def _derive(shared: bytes, header: bytes, recipient: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of one seal. The ephemeral key is used once, so the nonce need not travel."""
    info = b"tallystick seal 1" + header + recipient
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES + NONCE_BYTES, salt=None, info=info).derive(shared)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]


# --- tokens -------------------------------------------------------------------------------------------


class Token(NamedTuple):
    """What may be known of a card outside the vault."""

    card_id: str
    bin: str
    last4: str


class CardNumber:
    """A card number that has been asked for. It prints masked; :attr:`digits` is the number."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        self.digits = digits

    def __repr__(self) -> str:
        return f"CardNumber({mask(self.digits)})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a card number is not to be pickled")


def plain_number(text: str) -> str:
    """The digits of a card number written with blanks or dashes; ValidationError for anything else."""
    digits = text.replace(" ", "").replace("-", "")
    if not SHORTEST_PAN <= len(digits) <= LONGEST_PAN or not digits.isascii() or not luhn_ok(digits):
        raise ValidationError("card_number", "is not 13 to 19 digits that pass the Luhn check")
    return digits


def shown_parts(digits: str) -> tuple[str, str]:
    """BIN and last four: the first eight of sixteen digits, the first six of any other length."""
    return digits[: 8 if len(digits) == 16 else 6], digits[-4:]


class TokenVault:
    """Card numbers and their ids, in one SQLite file.

    A number gets its id when it first comes and keeps it for good: every payment of the card, and the partition
    they live in, hang on it.
    """

    _TABLE: Final = """
        CREATE TABLE IF NOT EXISTS cards (
            look_up BLOB PRIMARY KEY,
            card_id TEXT NOT NULL UNIQUE,
            nonce   BLOB NOT NULL,
            sealed  BLOB NOT NULL
        ) STRICT, WITHOUT ROWID
    """

    def __init__(self, path: Path, keys: Path) -> None:
        self._look_up_key = load_key(keys, "card-look-up")
        self._cipher = AESGCM(load_key(keys, "card-data"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=30)
            with _readable(path):
                self._file.execute("PRAGMA journal_mode = WAL")
                self._file.execute("PRAGMA synchronous = FULL")
                self._file.execute(self._TABLE)
        except OSError as error:
            raise Unavailable(f"the token vault {path} cannot be had: {error.strerror}") from error
        self._path = path

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def tokens(self, texts: list[str]) -> list[Token]:
        """Tokens for card numbers, in one transaction; ValidationError, without the number, where one is none."""
        numbers = [plain_number(text) for text in texts]
        with _readable(self._path):
            self._file.execute("BEGIN IMMEDIATE")
            try:
                found = [Token(self._id_of(digits), *shown_parts(digits)) for digits in numbers]
                self._file.execute("COMMIT")
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
        return found

    def token(self, text: str) -> Token:
        """The token of one card number."""
        return self.tokens([text])[0]

    def reveal(self, card: str) -> CardNumber:
        """The number behind a card id; ValidationError where the vault does not know it."""
        with _readable(self._path), closing(self._file.cursor()) as cursor:
            row = cursor.execute("SELECT nonce, sealed FROM cards WHERE card_id = ?", (card,)).fetchone()
        if row is None:
            raise ValidationError("card_id", "is not in this vault")
        try:
            return CardNumber(self._cipher.decrypt(row[0], row[1], card.encode()).decode("ascii"))
        except (InvalidTag, ValueError):
            raise ValidationError("card_id", "has an entry that was changed, or another key") from None

    def _id_of(self, digits: str) -> str:
        look_up = hmac.digest(self._look_up_key, digits.encode("ascii"), "sha256")
        row = self._file.execute("SELECT card_id FROM cards WHERE look_up = ?", (look_up,)).fetchone()
        if row is not None:
            return str(row[0])
        drawn = card_id(randbelow(SLOTS), token_bytes(ENTROPY_BYTES))
        nonce = token_bytes(NONCE_BYTES)
        # The id is sealed with the number: an entry moved to another id no longer opens.
        sealed = self._cipher.encrypt(nonce, digits.encode("ascii"), drawn.encode())
        self._file.execute("INSERT INTO cards VALUES (?, ?, ?, ?)", (look_up, drawn, nonce, sealed))
        return drawn


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the token vault {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path} is not a token vault, or is damaged: {error}") from error


# --- surrogates ---------------------------------------------------------------------------------------


def surrogate(key: bytes, namespace: str, value: str) -> bytes:
    """32 bytes that stand for a value: the same for the same key, namespace and value, and no way back."""
    name, text = namespace.encode(), value.encode()
    return hmac.digest(key, len(name).to_bytes(4, "big") + name + text, "sha256")


def surrogate_card(key: bytes, namespace: str, value: str) -> str:
    """A card id for something that stands for a card and is no number: a household, a customer, a token."""
    digest = surrogate(key, namespace, value)
    slot = int.from_bytes(digest[ENTROPY_BYTES : ENTROPY_BYTES + 4], "big") % SLOTS
    return card_id(slot, digest[:ENTROPY_BYTES])
