"""The clearing file: what leaves for a network at one cut-off, as lines of text.

A format of our own, simulated, in the spirit of what networks take (Visa's BASE II files with their transaction codes,
Mastercard's IPM messages): a header, a header and a trailer for the batch of each currency, a trailer. Fields are
divided by ``|``, lines end with a line feed, everything is ASCII::

    FH|TALLYSTICK-CLEARING-1|visa-20260302T2200-1|visa|2026-03-02T22:00:00.000000Z|1|simulated
    BH|visa-USD-20260302|USD
    PR|74111116061037200000008|clr-...|pay-0372-...|cap-...|coffee-kiosk|1|4000
    RF|74111116061037200000016|clr-...|pay-0372-...|ref-...|coffee-kiosk|1|1500
    BT|visa-USD-20260302|1|4000|1|1500|232122074400148246
    FT|1|2|232122074400148246

Header: format, file, network, cut-off, attempt. A record: its acquirer reference number, its own name, the payment's,
the capture's (``PR``) or the refund's (``RF``), the merchant, which presentment it is, the amount in minor units. No
card number: the network knows the card by the payment that it authorized. Trailers: presentments and refunds with their
amounts; number of batches and of records; and the hash total, the sum of all reference numbers modulo 10^18 - 1.

Batches stand in the order of currencies, records in that of their reference numbers: whatever partitions they come
from, the bytes are the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from events.calendar import iso_instant, parse_instant
from events.clearing import ClearingRecordCreated, RecordKind
from events.clearingfiles import FileBatch, FileRejection
from events.errors import ValidationError

FORMAT: Final = "TALLYSTICK-CLEARING-1"
SIMULATED: Final = "simulated"
#: Not a power of ten: each digit of a number counts, wherever it stands.
HASH_MODULUS: Final = 10**18 - 1
#: Longer numbers are none: amounts and totals fit into 64 bits.
_LONGEST_NUMBER: Final = 18

_CODES: Final = {RecordKind.PRESENTMENT: "PR", RecordKind.REFUND: "RF"}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}
_ARN_DIGITS: Final = 23


class Head(NamedTuple):
    """What the header says; ``cut_off_at`` in microseconds UTC, ``attempt`` from 1."""

    file_id: str
    network: str
    cut_off_at: int
    attempt: int


class BatchName(NamedTuple):
    """Which batch: sorted by currency."""

    currency: str
    batch_id: str


class Trouble(NamedTuple):
    """Why a file is not taken."""

    reason: FileRejection
    detail: str


@dataclass(frozen=True, slots=True)
class ClearingFile:
    """A file as its reader has it: everything that its bytes say, and their hash."""

    head: Head
    batches: tuple[FileBatch, ...]
    records: tuple[ClearingRecordCreated, ...]
    sha256: str

    @property
    def hash_total(self) -> int:
        """Over all batches."""
        return hash_total_of(self.batches)


def file_name(network: str, cut_off_at: int, number: int) -> str:
    """``visa-20260302T2200-1``: the number is 1 but where one cut-off needs several files."""
    instant = iso_instant(cut_off_at)
    return f"{network}-{instant[:10].replace('-', '')}T{instant[11:13]}{instant[14:16]}-{number}"


def hash_total_of(batches: Iterable[FileBatch]) -> int:
    """The hash total of batches together."""
    return sum(batch.hash_total for batch in batches) % HASH_MODULUS


# --- writing ------------------------------------------------------------------------------------------


def line_of(record: ClearingRecordCreated) -> str:
    """A record's line, without its end. Network, currency and batch stand in the headers."""
    return (
        f"{_CODES[record.kind]}|{record.arn}|{record.record_id}|{record.payment_id}|{record.source_id}"
        f"|{record.merchant}|{record.presentment}|{record.amount}"
    )


def write(head: Head, lines: Mapping[BatchName, Iterable[str]], miscounted: int = 0) -> bytes:
    """The file. ``miscounted`` is by how much its first batch's trailer is wrong: what a defect of ours would do."""
    batches, text = [], [_header(head)]
    for name in sorted(lines):
        ordered = sorted(lines[name], key=_arn_of)
        batch = totals_of(name, ordered)
        batches.append(batch)
        text += [f"BH|{name.batch_id}|{name.currency}", *ordered, _batch_trailer(batch, miscounted)]
        miscounted = 0
    records = sum(batch.presentments + batch.refunds for batch in batches)
    text.append(f"FT|{len(batches)}|{records}|{hash_total_of(batches)}")
    return "".join(f"{line}\n" for line in text).encode("ascii")


def totals_of(name: BatchName, lines: Iterable[str]) -> FileBatch:
    """The control totals of a batch's lines."""
    counts, amounts, hashed = {"PR": 0, "RF": 0}, {"PR": 0, "RF": 0}, 0
    for line in lines:
        code, number, *_, amount = line.split("|")
        counts[code] += 1
        amounts[code] += int(amount)
        hashed += int(number)
    return FileBatch(
        name.batch_id,
        name.currency,
        counts["PR"],
        amounts["PR"],
        counts["RF"],
        amounts["RF"],
        hashed % HASH_MODULUS,
    )


def _arn_of(line: str) -> tuple[str, str]:
    """Reference number, and the record's name should two ever share one."""
    _, number, record_id, _ = line.split("|", 3)
    return number, record_id


def _header(head: Head) -> str:
    cut_off = iso_instant(head.cut_off_at)
    return f"FH|{FORMAT}|{head.file_id}|{head.network}|{cut_off}|{head.attempt}|{SIMULATED}"


def _batch_trailer(batch: FileBatch, miscounted: int) -> str:
    return (
        f"BT|{batch.batch_id}|{batch.presentments}|{batch.presented_amount + miscounted}|{batch.refunds}"
        f"|{batch.refunded_amount}|{batch.hash_total}"
    )


# --- reading ------------------------------------------------------------------------------------------


def read(content: bytes, network: str) -> ClearingFile | Trouble:
    """What a network makes of the bytes that came to it: the file, or why it takes nothing of it."""
    try:
        lines = content.decode("ascii").split("\n")
    except UnicodeDecodeError:
        return Trouble(FileRejection.UNREADABLE, "it is not all ASCII")
    # A whole file ends with a trailer and the end of its line; behind that is nothing.
    if len(lines) < 2 or lines[-1] or not lines[-2].startswith("FT|"):
        return Trouble(FileRejection.INCOMPLETE, f"it ends after {len(content)} bytes without a trailer")
    try:
        return _Reading(network).take(lines[:-1], sha256(content).hexdigest())
    except _Untaken as untaken:
        return untaken.trouble


class _Untaken(Exception):
    """Carries a trouble out of the midst of a file."""

    def __init__(self, reason: FileRejection, detail: str) -> None:
        super().__init__(detail)
        self.trouble = Trouble(reason, detail)


class _Reading:
    """One pass over the lines. Totals are added up from the records and held against the trailers."""

    def __init__(self, network: str) -> None:
        self._network = network
        self._number = 0
        self._batches: list[FileBatch] = []
        self._records: list[ClearingRecordCreated] = []
        self._open: BatchName | None = None
        self._lines: list[str] = []

    def take(self, lines: Sequence[str], content_sha256: str) -> ClearingFile:
        """All lines but the empty one behind the last. Raises _Untaken."""
        self._number = 1
        head = self._head(lines[0])
        for self._number, line in enumerate(lines[1:-1], 2):
            match line[:3]:
                case "PR|" | "RF|":
                    self._record(line)
                case "BH|":
                    self._begin(line)
                case "BT|":
                    self._end(line)
                case _:
                    raise self._unreadable()
        self._number = len(lines)
        self._close(lines[-1])
        return ClearingFile(head, tuple(self._batches), tuple(self._records), content_sha256)

    def _head(self, line: str) -> Head:
        code, form, file_id, network, cut_off, attempt, simulated = self._fields(line, 7)
        if (code, form, network, simulated) != ("FH", FORMAT, self._network, SIMULATED):
            raise self._unreadable()
        try:
            return Head(file_id, network, parse_instant(cut_off), self._amount(attempt))
        except ValidationError as error:
            raise self._unreadable() from error

    def _begin(self, line: str) -> None:
        _, batch_id, currency = self._fields(line, 3)
        if self._open is not None:
            raise self._unreadable()
        self._open = BatchName(currency, batch_id)

    def _record(self, line: str) -> None:
        code, number, record_id, payment_id, source_id, merchant, presentment, amount = self._fields(line, 8)
        if self._open is None or len(number) != _ARN_DIGITS or not number.isdecimal():
            raise self._unreadable()
        self._lines.append(line)
        self._records.append(
            ClearingRecordCreated(
                payment_id,
                merchant,
                self._network,
                record_id,
                _KINDS[code],
                source_id,
                number,
                self._amount(presentment),
                self._amount(amount),
                self._open.currency,
                self._open.batch_id,
            )
        )

    def _end(self, line: str) -> None:
        _, batch_id, *figures = self._fields(line, 7)
        if self._open is None or self._open.batch_id != batch_id:
            raise self._unreadable()
        ours = totals_of(self._open, self._lines)
        told = FileBatch(batch_id, self._open.currency, *map(self._amount, figures))
        if told != ours:
            name = next(
                name for name in FileBatch.__struct_fields__ if getattr(told, name) != getattr(ours, name)
            )
            raise _Untaken(
                FileRejection.TOTALS,
                f"batch {batch_id}: {name} is said to be {getattr(told, name)},"
                f" and its records come to {getattr(ours, name)}",
            )
        self._batches.append(ours)
        self._open, self._lines = None, []

    def _close(self, line: str) -> None:
        _, *figures = self._fields(line, 4)
        if self._open is not None:
            raise self._unreadable()
        told = tuple(map(self._amount, figures))
        ours = (len(self._batches), len(self._records), hash_total_of(self._batches))
        if told != ours:
            raise _Untaken(
                FileRejection.TOTALS,
                f"batches, records and hash total are said to be {told}, and come to {ours}",
            )

    def _fields(self, line: str, count: int) -> list[str]:
        fields = line.split("|")
        if len(fields) != count or "" in fields:
            raise self._unreadable()
        return fields

    def _amount(self, text: str) -> int:
        if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
            raise self._unreadable()
        return int(text)

    def _unreadable(self) -> _Untaken:
        return _Untaken(FileRejection.UNREADABLE, f"line {self._number} cannot be read")
