"""Foreign payment data as an input file: CSV, JSON Lines, Parquet or Avro, and a mapping that says what is what.

The mapping (TOML, :class:`~streams.edge.mapping.Mapping`) names a column, or gives any SQL expression of DuckDB, for
merchant, card, amount, currency, time and key, and for what the file says of who pays. Lines with one key can be summed
to one payment. The mapping is the user's own program and is trusted as such, but it is shown nothing of the machine
beside its file.

Nothing is dropped without a word: every line that cannot become part of a request is reported with its number and
a reason. What is well-formed and makes no sense, such as an amount of nothing, is passed on: refusing it is intake's
business, and its log says why. Neither a report nor an error repeats what stood in a line: it may be a card number.
"""

import csv
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import msgspec

from events.calendar import HOUR, MINUTE
from events.errors import Refused, Unavailable, ValidationError
from events.identity import looks_like_pan
from events.money import EXPONENTS, MILLION
from events.reference import MerchantTerms
from events.requests import InputRow, PaymentRequest
from streams.edge import reference
from streams.edge.buyers import COLUMNS as BUYER
from streams.edge.buyers import Buyers
from streams.edge.identity import Buyer
from streams.edge.inputs import write_rows
from streams.edge.mapping import BuyerColumns, Mapping
from streams.edge.staging import Refusal, stage
from streams.edge.vault import Token, TokenVault, load_key, plain_number, surrogate_card

LEAD: Final = 15 * MINUTE
"""Reference data is stamped at least this long before the first payment, so that it is in force by then."""
EARLIEST_AT: Final = 24 * HOUR
LATEST_AT: Final = 253_402_300_800_000_000
FETCHED: Final = 10_000
LONGEST_KEY: Final = 128
LONGEST_NAME: Final = 64
_NAME_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_DIGITS: Final = "0123456789"
_POWERS: Final = (1, 10, 100, 1_000, 10_000)


class Imported(NamedTuple):
    """What an import came to. ``totals`` are minor units by currency, what intake will refuse included."""

    lines: int
    refused_lines: int
    payments: int
    merchants: int
    cards: int
    totals: dict[str, int]
    refusals: Path | None


class _Payment(NamedTuple):
    """A payment as the database gives it. ``micros`` are millionths of the major unit."""

    key: str
    merchant: str
    card: str
    currency: str
    micros: int
    at: int
    ip: str
    email: str
    phone: str
    device: str


def import_file(
    source: Path,
    mapping: Mapping,
    out: Path,
    *,
    keys: Path,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Imported:
    """Write the payments of ``source`` as an input file, ordered by time, then key.

    ``keys`` is the deployment's key folder; the token vault, where one is needed, lies beside it. Refused lines
    are written to ``<out>.refused.csv``. ``progress`` hears payments done and payments in all.
    """
    with tempfile.TemporaryDirectory(prefix="tallystick-import-") as scratch, _database(scratch) as database:
        refusals = _Refusals()
        lines = _load(database, source, Path(scratch), mapping, refusals)
        with closing(_Cards(mapping, keys)) as cards:
            importing = _Importing(database, mapping, cards, Buyers(mapping, keys), refusals, progress)
            label = f"import/{sha256(_encoded(mapping)).hexdigest()}"
            if importing.payments_in_all == 0:
                raise Refused(f"{source} has no line that could be a payment; {refusals.summary()}")
            write_rows(out, importing.rows(), label)
        report = refusals.write(out.with_name(out.name + ".refused.csv"))
        return Imported(
            lines,
            len(refusals.refused),
            importing.written,
            importing.merchants,
            cards.known,
            importing.totals,
            report,
        )


def _encoded(mapping: Mapping) -> bytes:
    """A mapping, wherever it stands; what came into the form later is left out of those that do not use it."""
    said = {
        name: value for name, value in msgspec.to_builtins(mapping, enc_hook=str).items() if name != "folder"
    }
    for name, unused in (("buyer", msgspec.to_builtins(BuyerColumns())), ("identity", None)):
        if said[name] == unused:
            del said[name]
    return msgspec.json.encode(said)


# --- lines into the database --------------------------------------------------------------------------


@contextmanager
def _database(scratch: str) -> Iterator[duckdb.DuckDBPyConnection]:
    database = duckdb.connect(":memory:")
    try:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"SET temp_directory = '{scratch}'")
        database.execute("SET autoinstall_known_extensions = false")
        yield database
    finally:
        database.close()


def _load(
    database: duckdb.DuckDBPyConnection, source: Path, scratch: Path, mapping: Mapping, refusals: "_Refusals"
) -> int:
    """Make the table ``lines``: what the expressions give, and why a line cannot be used. Returns their number."""
    staged = stage(source, scratch, refusals.add)
    columns, defaults = mapping.columns, mapping.defaults
    buyer = ", ".join(
        f"coalesce(CAST(({getattr(mapping.buyer, name) or repr('')}) AS VARCHAR), '') AS {name}"
        for name in BUYER
    )
    currency = columns.currency or f"'{_checked_code(defaults.currency)}'"
    try:
        database.execute("SET allowed_paths = ?", [[str(staged.path)]])
        # From here on an expression of the mapping reads the staged file and nothing else.
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        database.execute(
            f"""
            CREATE TABLE lines AS
            SELECT
                line,
                CAST(({columns.key}) AS VARCHAR) AS key,
                CAST(({columns.merchant}) AS VARCHAR) AS merchant,
                CAST(({columns.card}) AS VARCHAR) AS card,
                upper(CAST(({currency}) AS VARCHAR)) AS currency,
                CAST(TRY_CAST(({columns.amount}) AS DECIMAL(18, 6)) * 1000000 AS HUGEINT) AS micros,
                epoch_us(TRY_CAST(({columns.time}) AS TIMESTAMPTZ)) AS stamp,
                {buyer}
            FROM (SELECT *, {staged.line} AS line FROM {staged.scan})
            """,  # noqa: S608 - the expressions are the mapping's, and it is the user's own
            [str(staged.path)],
        )
    except duckdb.Error as error:
        raise Refused(f"{source.name} and its mapping do not fit: {_first_line(error)}") from error
    for reason, condition in _REASONS:
        query = f"SELECT line FROM lines WHERE {condition} ORDER BY line"  # noqa: S608 - constants
        refusals.add_all((line, reason) for (line,) in database.execute(query).fetchall())
    _drop_refused(database, mapping, refusals)
    return staged.lines


#: Why a line cannot be used; the first that is true counts.
_REASONS: Final = (
    (
        "the key is empty or longer than 128 characters",
        f"coalesce(length(key), 0) NOT BETWEEN 1 AND {LONGEST_KEY}",
    ),
    (
        "the merchant is empty or longer than 64",
        f"coalesce(length(merchant), 0) NOT BETWEEN 1 AND {LONGEST_NAME}",
    ),
    ("the card is empty", "coalesce(length(card), 0) = 0"),
    ("the amount is not a number", "micros IS NULL"),
    ("the currency is empty", "coalesce(length(currency), 0) = 0"),
    ("the time is not a time", "stamp IS NULL"),
    (
        "the time is before 1970-01-02 or after the year 9999",
        f"stamp < {EARLIEST_AT} OR stamp >= {LATEST_AT}",
    ),
)


def _drop_refused(database: duckdb.DuckDBPyConnection, mapping: Mapping, refusals: "_Refusals") -> None:
    """Take refused lines out; where lines are summed, with all others of their key: part of a sum is no sum."""
    database.execute("CREATE TABLE refused (line BIGINT)")
    _insert(database, "refused", [(line,) for line in refusals.refused])
    if mapping.sum_lines:
        for reason, query in (
            (
                "another line of its key was refused",
                """
                SELECT line FROM lines
                WHERE key IN (SELECT key FROM lines JOIN refused USING (line))
                    AND line NOT IN (SELECT line FROM refused)
                """,
            ),
            (
                "the lines of its key differ in merchant, card or currency",
                """
                SELECT line FROM lines WHERE key IN (
                    SELECT key FROM lines GROUP BY key
                    HAVING min(merchant) <> max(merchant) OR min(card) <> max(card)
                        OR min(currency) <> max(currency)
                ) AND line NOT IN (SELECT line FROM refused)
                """,
            ),
        ):
            more = database.execute(query).fetchall()
            refusals.add_all((line, reason) for (line,) in more)
            _insert(database, "refused", more)
    database.execute("DELETE FROM lines WHERE line IN (SELECT line FROM refused)")


def _insert(database: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        database.executemany(f"INSERT INTO {table} VALUES (?)", rows)  # noqa: S608 - our own table names


def _checked_code(currency: str) -> str:
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
        raise Refused(f"the default currency {currency[:8]!r} is not a code of ISO 4217")
    return currency


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


# --- payments out of the database ---------------------------------------------------------------------


class _Importing:
    """One import under way."""

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        mapping: Mapping,
        cards: "_Cards",
        buyers: Buyers,
        refusals: "_Refusals",
        progress: Callable[[int, int], None],
    ) -> None:
        self._database = database
        self._mapping = mapping
        self._cards = cards
        self._buyers = buyers
        self._refusals = refusals
        self._progress = progress
        self.written = 0
        self.totals: dict[str, int] = {}
        summed = mapping.sum_lines
        # min(line) names a payment that turns out to be no request; key and line break ties of time.
        database.execute(
            f"""
            CREATE TABLE payments AS
            SELECT min(line) AS line, key, min(merchant) AS merchant, min(card) AS card,
                min(currency) AS currency, sum(micros) AS micros, min(stamp) AS stamp,
                {", ".join(f"min({name}) AS {name}" for name in BUYER)}
            FROM lines GROUP BY key {"" if summed else ", line"}
            """  # noqa: S608 - nothing of anybody's in it
        )
        self.payments_in_all = self._one("SELECT count(*) FROM payments")
        self.merchants = self._one("SELECT count(DISTINCT merchant) FROM payments")

    def _one(self, query: str) -> int:
        row = self._database.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def rows(self) -> Iterator[InputRow]:
        """Reference data, then the payments."""
        first_at = self._one("SELECT min(stamp) FROM payments")
        before = (first_at // LEAD - 1) * LEAD
        for entry in reference.published(reference.starter(self._terms())):
            yield InputRow(before, entry)
        cursor = self._database.cursor()
        cursor.execute(
            f"SELECT line, key, merchant, card, currency, micros, stamp, {', '.join(BUYER)} "  # noqa: S608 - constants
            "FROM payments ORDER BY stamp, key, line"
        )
        taken = 0
        while chunk := cursor.fetchmany(FETCHED):
            tokens = self._cards.tokens([row[3] for row in chunk])
            for (line, *fields), token in zip(chunk, tokens, strict=True):
                request = self._request(int(line), _Payment(*fields), token)
                if request is not None:
                    self.written += 1
                    self.totals[request.currency] = self.totals.get(request.currency, 0) + request.amount
                    yield InputRow(request.occurred_at, request)
            taken += len(chunk)
            self._progress(taken, self.payments_in_all)

    def _terms(self) -> Iterator[MerchantTerms]:
        contract = self._mapping.merchants
        query = "SELECT merchant, list_sort(list(DISTINCT currency)) FROM payments GROUP BY merchant ORDER BY merchant"
        for merchant, currencies in self._database.execute(query).fetchall():
            # A merchant whose name cannot be one has no payments either: each of them is refused. And a card number
            # in the wrong column must not get into the reference data, of all places.
            if not _is_name(merchant) or looks_like_pan(merchant):
                continue
            yield MerchantTerms(
                merchant=merchant,
                name=contract.name.replace("{merchant}", merchant),
                mcc=contract.mcc,
                currencies=tuple(currency for currency in currencies if currency in EXPONENTS),
                plan_version=contract.plan_version,
                fee_fixed=contract.fee_fixed,
                fee_ppm=contract.fee_ppm,
                settlement_days=contract.settlement_days,
                max_amount=contract.max_amount,
                card_count_24h=contract.card_count_24h,
                blocked=False,
            )

    def _request(self, line: int, payment: _Payment, token: Token | str) -> PaymentRequest | None:
        amount = _minor_units(payment, rounded=self._mapping.sum_lines)
        reason = _why_not(payment, amount, token)
        if reason is not None:
            self._refuse(line, payment.key, reason)
            return None
        assert isinstance(amount, int)
        assert isinstance(token, Token)
        defaults = self._mapping.defaults
        buyer = self._buyers.introduce(Buyer(payment.ip, payment.email, payment.phone, payment.device))
        return PaymentRequest(
            merchant=payment.merchant,
            idempotency_key=payment.key,
            card_id=token.card_id,
            bin=token.bin,
            last4=token.last4,
            amount=amount,
            currency=payment.currency,
            channel=defaults.channel,
            capture_mode=defaults.capture_mode,
            device_ref=buyer.device_ref,
            ip_ref=buyer.ip_ref,
            email_ref=buyer.email_ref,
            occurred_at=payment.at,
            producer=defaults.producer,
            simulated=False,
            phone_ref=buyer.phone_ref,
            signals=buyer.signals,
        )

    def _refuse(self, line: int, key: str, reason: str) -> None:
        if not self._mapping.sum_lines:
            self._refusals.add(Refusal(line, reason))
            return
        lines = self._database.cursor().execute("SELECT line FROM lines WHERE key = ?", [key]).fetchall()
        self._refusals.add_all((of_key, reason) for (of_key,) in lines)


def _why_not(payment: _Payment, amount: int | str, token: Token | str) -> str | None:
    if not _is_name(payment.merchant):
        return "the merchant has letters other than a-z, A-Z, 0-9, dash, dot and underscore"
    if not payment.key.isascii() or not payment.key.isprintable():
        return "the key is not printable ASCII"
    if looks_like_pan(payment.key) or looks_like_pan(payment.merchant):
        return "the key or the merchant may be a card number"
    if isinstance(amount, str):
        return amount
    return token if isinstance(token, str) else None


def _is_name(merchant: str) -> bool:
    return not merchant.strip(_NAME_LETTERS)


def _minor_units(payment: _Payment, *, rounded: bool) -> int | str:
    """The amount, or why it has none. A sum is rounded, half away from zero; a single amount must be exact."""
    exponent = EXPONENTS.get(payment.currency)
    if exponent is None:
        return "the currency is not one that can be paid with"
    units, rest = divmod(abs(payment.micros) * _POWERS[exponent], MILLION)
    if rest and not rounded:
        return f"the amount has more decimals than {payment.currency}"
    units += rest * 2 >= MILLION
    return units if payment.micros >= 0 else -units


class _Cards:
    """Cards of the file and the ids that stand for them."""

    def __init__(self, mapping: Mapping, keys: Path) -> None:
        self._mapping = mapping
        self._vault: TokenVault | None = None
        self._key = b""
        if mapping.card.holds == "numbers":
            self._vault = TokenVault(keys.parent / "vault.db", keys)
        elif mapping.card.keyed_by == "vault":
            self._key = load_key(keys, "surrogates")
        else:
            self._key = sha256(f"tallystick surrogates/{mapping.card.namespace}".encode()).digest()
        self._ids: set[str] = set()
        self._named = cache(self._name)

    @property
    def known(self) -> int:
        """How many cards have come."""
        return len(self._ids)

    def close(self) -> None:
        """Close the vault."""
        if self._vault is not None:
            self._vault.close()

    def tokens(self, cards: list[str]) -> list[Token | str]:
        """A token for each card, or why there is none."""
        if self._vault is None:
            found = [self._named(card) for card in cards]
        else:
            found = self._numbers(self._vault, cards)
        self._ids.update(token.card_id for token in found if isinstance(token, Token))
        return found

    def _numbers(self, vault: TokenVault, cards: list[str]) -> list[Token | str]:
        plain: dict[str, str] = {}
        for card in cards:
            with suppress(ValidationError):
                plain[card] = plain_number(card)
        tokens = dict(zip(plain, vault.tokens(list(plain.values())), strict=True))
        return [tokens.get(card, "the card is not a card number") for card in cards]

    def _name(self, card: str) -> Token | str:
        if looks_like_pan(card):
            return 'the card may be a card number; the mapping says that cards are names (card.holds = "numbers")'
        card_id = surrogate_card(self._key, self._mapping.card.namespace, card)
        return Token(card_id, self._mapping.defaults.bin, self._mapping.defaults.last4)


class _Refusals:
    """Refused lines, each with the first reason found."""

    def __init__(self) -> None:
        self.refused: dict[int, str] = {}

    def add(self, refusal: Refusal) -> None:
        self.refused.setdefault(refusal.line, refusal.reason)

    def add_all(self, refusals: Iterator[tuple[int, str]]) -> None:
        for line, reason in refusals:
            self.refused.setdefault(line, reason)

    def summary(self) -> str:
        if not self.refused:
            return "it has no lines"
        line, reason = min(self.refused.items())
        return f"{len(self.refused)} lines were refused, line {line} because {reason}"

    def write(self, path: Path) -> Path | None:
        """Write the report; none where there is nothing to report, and then none of an earlier import either."""
        try:
            if not self.refused:
                path.unlink(missing_ok=True)
                return None
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("line", "reason"))
                writer.writerows(sorted(self.refused.items()))
        except OSError as error:
            raise Unavailable(f"the report {path} cannot be written: {error.strerror}") from error
        return path
